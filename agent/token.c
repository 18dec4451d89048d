/* token.c - the join token: "slj1." and base64url without padding of canonical JSON. Everything the
 * agent trusts at first is in it. */
#include "agent/config.h"
#include "base/digest.h"
#include "base/text.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define TOKEN_MAX 4096
#define CTRL_C 3

static GBytes *unbase64url(const char *text)
{
    g_autoptr(GString) plain = g_string_new(text);
    for (char *c = plain->str; *c; c++)
        *c = *c == '-' ? '+' : *c == '_' ? '/' : *c == '+' || *c == '/' || *c == '=' ? ' ' : *c;
    while (plain->len % 4)
        g_string_append_c(plain, '=');
    return sl_unbase64(plain->str, plain->len);
}

static bool take(const json_t *j, const char *key, size_t hex_bytes, char **ret, GError **error)
{
    uint8_t bytes[32];
    const char *text = sl_json_str(j, key);
    if (!text || !*text || (hex_bytes && !sl_unhex(text, bytes, hex_bytes)))
        return sl_throw(error, SLU_TOKEN_FORMAT, "join token: `%s` is missing or malformed", key);
    *ret = g_strdup(text);
    return true;
}

/* First line of @fd. */
static char *read_line(int fd, GError **error)
{
    char line[TOKEN_MAX + 2];
    size_t len = 0;
    while (len < sizeof line && !memchr(line, '\n', len) && !memchr(line, CTRL_C, len)) {
        ssize_t n = read(fd, line + len, sizeof line - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    const char *end = memchr(line, '\n', len);
    g_autofree char *text = g_strndup(line, end ? (size_t)(end - line) : len);
    sodium_memzero(line, sizeof line);
    g_strstrip(text);
    if (strchr(text, CTRL_C))
        return sl_throw_null(error, SLU_TOKEN_FORMAT, "join token: given up");
    if (!*text)
        return sl_throw_null(
            error, SLU_TOKEN_FORMAT,
            "join token: give the token of `sluice cluster add` on standard input");
    return g_steal_pointer(&text);
}

char *sl_join_token_read(int fd, GError **error)
{
    struct termios before;
    if (tcgetattr(fd, &before) != 0)
        return read_line(fd, error);
    struct termios quiet = before;
    /* ICANON: its lines end at 4095 bytes. ISIG: Ctrl-C must not leave a terminal without echo. */
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
    fputs("join token: ", stderr);
    tcsetattr(fd, TCSADRAIN, &quiet); /* what was pasted before is kept */
    char *text = read_line(fd, error);
    tcsetattr(fd, TCSAFLUSH, &before);
    fputs("\n", stderr);
    return text;
}

SlJoinToken *sl_join_token_parse(const char *text, GError **error)
{
    g_autoptr(SlJoinToken) token = g_new0(SlJoinToken, 1);
    if (strlen(text) > TOKEN_MAX || !g_str_has_prefix(text, "slj1."))
        return sl_throw_null(error, SLU_TOKEN_FORMAT,
                             "join token: must start with slj1. and have at most %d characters",
                             TOKEN_MAX);
    g_autoptr(GBytes) bytes = unbase64url(text + strlen("slj1."));
    if (!bytes)
        return sl_throw_null(error, SLU_TOKEN_FORMAT,
                             "join token: is cut off or has a wrong character");
    g_autoptr(json_t) j = sl_json_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                                        NULL, "join token", NULL);
    if (!j)
        return sl_throw_null(error, SLU_TOKEN_FORMAT, "join token: is cut off or damaged");
    if (!take(j, "coordinator", 0, &token->coordinator, error) ||
        !take(j, "curve", 32, &token->curve, error) ||
        !take(j, "fleet", 32, &token->fleet, error) || !take(j, "id", 16, &token->id, error) ||
        !take(j, "root", 32, &token->root, error) ||
        !take(j, "secret", 32, &token->secret, error) || !take(j, "name", 0, &token->name, error) ||
        !take(j, "env", 0, &token->env, error))
        return NULL;
    if (!sl_is_name(token->name) || !sl_is_name(token->env))
        return sl_throw_null(error, SLU_TOKEN_FORMAT, "join token: name or env is not a name");
    return g_steal_pointer(&token);
}

void sl_join_token_free(SlJoinToken *token)
{
    if (!token)
        return;
    if (token->secret)
        sodium_memzero(token->secret, strlen(token->secret));
    char *texts[] = {token->coordinator, token->curve,  token->fleet, token->id,
                     token->root,        token->secret, token->name,  token->env};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    g_free(token);
}
