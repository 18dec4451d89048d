/* fuzz_sshagent.c - what an ssh-agent answers to the CLI's request for a signature: whoever owns SSH_AUTH_SOCK says it. The input is the
 * bytes on the socket, after which it ends. What is accepted must be armour that names the key that was asked; anything else is an
 * error with a text. The file itself is compiled in; its socket is ours. */
#include "fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int answering(void);
static int connected(void)
{
    return 0;
}
#define socket(domain, type, protocol) answering()
#define connect(fd, address, len) connected()
#include "cli/sign.c"
#undef socket
#undef connect

#define PUBLIC "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAsvscQIXXfasnZz4HiJ/BIzA3Zmhl6CajcT1clfsGWf alice\n"

static const uint8_t *answer;
static size_t answer_len;
static char *key_path;

/* One end of a pair, with the whole answer in its buffer. */
static int answering(void)
{
    int ends[2];
    g_assert_cmpint((socketpair)(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    for (size_t at = 0; at < answer_len;) {
        ssize_t n = send(ends[1], answer + at, answer_len - at, MSG_DONTWAIT);
        if (n <= 0) {
            break; /* more than fits in the buffer: cut */
        }
        at += (size_t)n;
    }
    shutdown(ends[1], SHUT_WR);
    /* The request is smaller than a socket's buffer; who reads it does not matter. */
    static int other = -1;
    if (other >= 0) {
        close(other);
    }
    other = ends[1];
    return ends[0];
}

static void remove_key(void)
{
    unlink(key_path);
    g_free(key_path);
}

static void prepare(void)
{
    int fd = g_file_open_tmp("fuzz-sshagent-XXXXXX.pub", &key_path, NULL);
    g_assert_true(fd >= 0 && write(fd, PUBLIC, strlen(PUBLIC)) == (ssize_t)strlen(PUBLIC));
    close(fd);
    atexit(remove_key);
    g_setenv("SSH_AUTH_SOCK", "/nowhere", TRUE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "format: 1\n";
    char line[] = PUBLIC;
    if (key_path == NULL) {
        prepare();
    }
    answer = data;
    answer_len = size;
    SlContext context = {.key = key_path};
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) message = g_bytes_new_static(text, strlen(text));
    g_autofree char *armour = sign_by_agent(&context, message, "promotion@sluice.v1", &error);
    if ((armour == NULL) != (error != NULL)) {
        fuzz_fail("neither a signature nor an error, or both");
    }
    if (armour == NULL && error->message[0] == '\0') {
        fuzz_fail("an error without a text");
    }
    if (armour != NULL) { /* mostly no signature of anything, but always one that can be read and judged */
        g_autoptr(SlPublicKey) key = sl_public_key_parse(g_strchomp(line), NULL);
        (void)sl_sshsig_verify_by(armour, text, strlen(text), "promotion@sluice.v1", key);
    }
    return 0;
}
