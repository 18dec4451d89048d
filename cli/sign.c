/* sign.c - a person's signature: by a private key file (ours, 0600), or by ssh-agent where the context names a public key (.pub).
 * Keys are read for one signature and wiped. */
#include "base/auto.h"
#include "base/digest.h"
#include "cli/private.h"
#include "core/sshsig.h"
#include "runtime/atomicfile.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define KEY_FILE_MAX (16 * 1024)
#define AGENT_MESSAGE_MAX (256 * 1024) /* OpenSSH's own limit */
enum { AGENT_SIGN_REQUEST = 13, AGENT_SIGN_RESPONSE = 14 };

static bool uses_agent(const SlContext *context)
{
    return context->key != NULL && g_str_has_suffix(context->key, ".pub");
}

static const SlContext *context_with_key(SlCli *cli, GError **error)
{
    const SlContext *context = sl_cli_context(cli, error);
    if (context != NULL && context->key == NULL) {
        return sl_throw_null(error, SLU_NO_KEY,
                             "fleet %s has no signing key for you in ~/.config/sluice/config.json",
                             context->name);
    }
    return context;
}

static SlPublicKey *read_public(const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = sl_file_read(path, KEY_FILE_MAX, error);
    if (bytes == NULL) {
        return NULL;
    }
    size_t len = 0;
    const char *text = g_bytes_get_data(bytes, &len);
    g_autofree char *line = g_strstrip(g_strndup(text, len));
    return sl_public_key_parse(line, error);
}

static bool read_secret(const char *path, uint8_t secret[64], GError **error)
{
    g_autoptr(GBytes) bytes = sl_file_read_secret(path, KEY_FILE_MAX, error);
    if (bytes == NULL) {
        return false;
    }
    size_t len = 0;
    const char *text = g_bytes_get_data(bytes, &len);
    bool ok = sl_private_key_parse(text, len, secret, error) || sl_prefix(error, "%s", path);
    sodium_memzero((void *)(uintptr_t)text, len); /* ours alone: read for this one signature */
    return ok;
}

static int agent_connect(GError **error)
{
    const char *path = getenv("SSH_AUTH_SOCK");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || strlen(path) >= sizeof address.sun_path) {
        (void)sl_throw(error, SLU_NO_KEY, "the key is in ssh-agent, but SSH_AUTH_SOCK names none");
        return -1;
    }
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    sl_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 120}; /* a hardware key waits for a touch */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)sl_throw(error, SLU_NO_KEY, "ssh-agent at %s: %s", path, g_strerror(errno));
        return -1;
    }
    return sl_steal_fd(&fd);
}

static void put_uint32(GByteArray *out, size_t value)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                        (uint8_t)value};
    g_byte_array_append(out, bytes, sizeof bytes);
}

static void put_string(GByteArray *out, const void *bytes, size_t len)
{
    put_uint32(out, len);
    g_byte_array_append(out, bytes, (guint)len);
}

static bool read_all(int fd, uint8_t *bytes, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, bytes + got, len - got);
        if (n <= 0) {
            return false;
        }
        got += (size_t)n;
    }
    return true;
}

static size_t get_uint32(const uint8_t *bytes)
{
    return (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
}

/* One request and its answer (type byte and body). */
static GBytes *agent_call(const GByteArray *body, GError **error)
{
    sl_autofd fd = agent_connect(error);
    if (fd < 0) {
        return NULL;
    }
    g_autoptr(GByteArray) request = g_byte_array_new();
    put_string(request, body->data, body->len);
    uint8_t header[4];
    if (send(fd, request->data, request->len, MSG_NOSIGNAL) != (ssize_t)request->len ||
        !read_all(fd, header, sizeof header)) {
        return sl_throw_null(error, SLU_SIGN, "ssh-agent did not answer");
    }
    size_t len = get_uint32(header);
    if (len < 1 || len > AGENT_MESSAGE_MAX) {
        return sl_throw_null(error, SLU_SIGN, "ssh-agent answered with %zu bytes", len);
    }
    uint8_t *answer = g_malloc(len);
    if (!read_all(fd, answer, len)) {
        g_free(answer);
        return sl_throw_null(error, SLU_SIGN, "ssh-agent's answer was cut off");
    }
    return g_bytes_new_take(answer, len);
}

static char *sign_by_agent(const SlContext *context, GBytes *text, const char *namespace_,
                           GError **error)
{
    g_autoptr(SlPublicKey) key = read_public(context->key, error);
    if (key == NULL) {
        return NULL;
    }
    size_t len = 0;
    const void *message = g_bytes_get_data(text, &len);
    g_autoptr(GBytes) preamble = sl_sshsig_preamble(message, len, namespace_);
    const char *encoded = strchr(key->line, ' ') + 1;
    g_autoptr(GBytes) blob = sl_unbase64(encoded, strlen(encoded));
    g_autoptr(GByteArray) body = g_byte_array_new();
    g_byte_array_append(body, (const uint8_t[]){AGENT_SIGN_REQUEST}, 1);
    put_string(body, g_bytes_get_data(blob, NULL), g_bytes_get_size(blob));
    put_string(body, g_bytes_get_data(preamble, NULL), g_bytes_get_size(preamble));
    put_uint32(body, 0);
    g_autoptr(GBytes) answer = agent_call(body, error);
    if (answer == NULL) {
        return NULL;
    }
    const uint8_t *bytes = g_bytes_get_data(answer, &len);
    if (bytes[0] != AGENT_SIGN_RESPONSE || len < 5 || get_uint32(bytes + 1) != len - 5) {
        return sl_throw_null(
            error, SLU_SIGN,
            "ssh-agent refused to sign with %s (is the key loaded? `ssh-add -L` lists them)",
            context->key);
    }
    return sl_sshsig_wrap(key, bytes + 5, len - 5, namespace_, error);
}

char *sl_cli_sign(SlCli *cli, GBytes *text, const char *namespace_, GError **error)
{
    const SlContext *context = context_with_key(cli, error);
    if (context == NULL) {
        return NULL;
    }
    if (uses_agent(context)) {
        return sign_by_agent(context, text, namespace_, error);
    }
    uint8_t secret[64];
    if (!read_secret(context->key, secret, error)) {
        return NULL;
    }
    size_t len = 0;
    const void *message = g_bytes_get_data(text, &len);
    char *armour = sl_sshsig_sign(secret, message, len, namespace_);
    sodium_memzero(secret, sizeof secret);
    return armour;
}

char *sl_cli_public_key(SlCli *cli, GError **error)
{
    const SlContext *context = context_with_key(cli, error);
    if (context == NULL) {
        return NULL;
    }
    if (uses_agent(context)) {
        g_autoptr(SlPublicKey) key = read_public(context->key, error);
        return key != NULL ? g_strdup(key->line) : NULL;
    }
    uint8_t secret[64];
    if (!read_secret(context->key, secret, error)) {
        return NULL;
    }
    /* libsodium's secret key ends with the public one (RFC 8032 seed + key). */
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(secret + 32);
    sodium_memzero(secret, sizeof secret);
    return g_strdup(key->line);
}

bool sl_cli_confirm(SlCli *cli, const char *question)
{
    if (sl_cli_flag(cli, "yes")) {
        return true;
    }
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr, "sluice: %s: there is no terminal to ask on; --yes says yes\n", question);
        return false;
    }
    fprintf(stderr, "%s [y/N] ", question);
    char answer[16] = "";
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}
