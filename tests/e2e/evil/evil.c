/* evil.c - sluice-evil ENDPOINT CURVE-KEY-FILE BLOB-FOLDER AGENT-CURVE-KEY...
 *
 * Reads one JSON command a line, answers each with one line {"re": ...}; what agents do comes as {"ev": ...} between.
 *   {"do":"blob","text":T[,"as":DIGEST]}        serves T under its digest, or under another one
 *   {"do":"hide","digest":D[,"not":true]}       says "not here", or no longer does
 *   {"do":"statement","text":T,"sigs":[SSHSIG..][,"as":DIGEST]}
 *   {"do":"head","to":CURVE,"digest":D}   {"do":"steps","to":CURVE,"roots":[D..],"registries":[D..]}   {"do":"reset","to":CURVE}
 * It ends with its standard input. Statements are neither parsed nor signed here: that is the thief's business. */
#include "evil.h"

#include "base/digest.h"
#include "runtime/loop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES (4 * 1024 * 1024)
#define DIGESTS_MAX 64

void evil_say(json_t *event)
{
    char *text = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    (void)puts(text);
    (void)fflush(stdout);
    free(text);
}

static json_t *digest_reply(const char *digest)
{
    json_t *reply = json_object();
    sl_json_set_str(reply, "digest", digest);
    return reply;
}

static json_t *do_blob(Evil *evil, const json_t *ask, GError **error)
{
    const char *text = sl_json_str(ask, "text"), *as = sl_json_str(ask, "as");
    if (text == NULL) {
        return sl_throw_null(error, SLU_INVALID, "blob: no text");
    }
    g_autofree char *digest = as != NULL ? g_strdup(as) : sl_sha256_hex(text, strlen(text));
    g_hash_table_replace(evil->blobs, g_strdup(digest), g_bytes_new(text, strlen(text)));
    return digest_reply(digest);
}

static json_t *do_hide(Evil *evil, const json_t *ask, GError **error)
{
    const char *digest = sl_json_str(ask, "digest");
    if (digest == NULL) {
        return sl_throw_null(error, SLU_INVALID, "hide: no digest");
    }
    if (json_is_true(json_object_get(ask, "not"))) {
        g_hash_table_remove(evil->hidden, digest);
    } else {
        g_hash_table_add(evil->hidden, g_strdup(digest));
    }
    return digest_reply(digest);
}

static json_t *do_statement(Evil *evil, const json_t *ask, GError **error)
{
    const char *text = sl_json_str(ask, "text"), *as = sl_json_str(ask, "as");
    if (text == NULL) {
        return sl_throw_null(error, SLU_INVALID, "statement: no text");
    }
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    g_autoptr(SlSigned) s = sl_signed_new(bytes);
    size_t i;
    json_t *armour;
    json_array_foreach(json_object_get(ask, "sigs"), i, armour)
    {
        sl_signed_add(s, json_is_string(armour) ? json_string_value(armour) : "");
    }
    g_autofree char *digest = as != NULL ? g_strdup(as) : sl_signed_digest(s);
    g_hash_table_replace(evil->statements, g_strdup(digest), sl_signed_copy(s));
    return digest_reply(digest);
}

static json_t *sent(bool ok, GError **error)
{
    return ok ? json_object() : sl_throw_null(error, SLU_NOT_FOUND, "the agent is not connected");
}

static json_t *do_head(Evil *evil, const json_t *ask, GError **error)
{
    const char *to = sl_json_str(ask, "to"), *digest = sl_json_str(ask, "digest");
    const SlSigned *head = digest != NULL ? g_hash_table_lookup(evil->statements, digest) : NULL;
    if (to == NULL || head == NULL) {
        return sl_throw_null(error, SLU_INVALID, "head: no agent or no such statement");
    }
    return sent(evil_send_head(evil, to, head), error);
}

static bool look_up(const Evil *evil, const json_t *digests, GPtrArray *ret, GError **error)
{
    size_t i;
    json_t *digest;
    json_array_foreach(digests, i, digest)
    {
        SlSigned *s = json_is_string(digest) && i < DIGESTS_MAX
                          ? g_hash_table_lookup(evil->statements, json_string_value(digest)) : NULL;
        if (s == NULL) {
            return sl_throw(error, SLU_NOT_FOUND, "steps: no such statement");
        }
        g_ptr_array_add(ret, s);
    }
    return true;
}

static json_t *do_steps(Evil *evil, const json_t *ask, GError **error)
{
    g_autoptr(GPtrArray) roots = g_ptr_array_new(), registries = g_ptr_array_new();
    const char *to = sl_json_str(ask, "to");
    if (to == NULL) {
        return sl_throw_null(error, SLU_INVALID, "steps: no agent");
    }
    if (!look_up(evil, json_object_get(ask, "roots"), roots, error) ||
        !look_up(evil, json_object_get(ask, "registries"), registries, error)) {
        return NULL;
    }
    return sent(evil_send_steps(evil, to, roots, registries), error);
}

static json_t *do_reset(Evil *evil, const json_t *ask, GError **error)
{
    const char *to = sl_json_str(ask, "to");
    return sent(to != NULL && evil_send_reset(evil, to), error);
}

static const struct {
    const char *name;
    json_t *(*act)(Evil *, const json_t *, GError **);
} COMMANDS[] = {
    {"blob", do_blob}, {"hide", do_hide}, {"statement", do_statement}, {"head", do_head}, {"steps", do_steps}, {"reset", do_reset},
};

static json_t *obey(Evil *evil, const char *line, GError **error)
{
    g_autoptr(json_t) ask = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    const char *verb = ask != NULL ? sl_json_str(ask, "do") : NULL;
    for (size_t i = 0; verb != NULL && i < G_N_ELEMENTS(COMMANDS); i++) {
        if (strcmp(COMMANDS[i].name, verb) == 0) {
            return COMMANDS[i].act(evil, ask, error);
        }
    }
    return sl_throw_null(error, SLU_INVALID, "no such command: %.80s", line);
}

static void take_line(Evil *evil, const char *line)
{
    g_autoptr(GError) error = NULL;
    json_t *reply = obey(evil, line, &error);
    if (reply == NULL) {
        reply = json_object();
        sl_json_set_str(reply, "error", error->message);
    }
    sl_json_set_bool(reply, "re", true);
    evil_say(reply);
}

static void on_stdin(int fd, unsigned events, void *user)
{
    Evil *evil = user;
    char part[65536];
    (void)events;
    ssize_t got = read(fd, part, sizeof part);
    if (got < 0 && errno == EINTR) {
        return;
    }
    if (got <= 0 || evil->in->len > LINE_MAX_BYTES) {
        sl_watch_free(evil->watch);
        evil->watch = NULL;
        sl_loop_quit(evil->loop, got == 0 ? 0 : 1);
        return;
    }
    g_string_append_len(evil->in, part, got);
    for (char *end = strchr(evil->in->str, '\n'); end != NULL; end = strchr(evil->in->str, '\n')) {
        g_autofree char *line = g_strndup(evil->in->str, (gsize)(end - evil->in->str));
        g_string_erase(evil->in, 0, end - evil->in->str + 1);
        take_line(evil, line);
    }
}

static GHashTable *set_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void evil_clear(Evil *evil)
{
    sl_watch_free(evil->watch);
    sl_server_free(evil->server);
    g_hash_table_unref(evil->blobs);
    g_hash_table_unref(evil->statements);
    g_hash_table_unref(evil->hidden);
    g_hash_table_unref(evil->greeted);
    g_string_free(evil->in, TRUE);
    sl_loop_free(evil->loop);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        (void)fputs("usage: sluice-evil ENDPOINT CURVE-KEY-FILE BLOB-FOLDER AGENT-CURVE-KEY...\n", stderr);
        return 2;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) agents = g_ptr_array_new();
    for (int i = 4; i < argc; i++) {
        g_ptr_array_add(agents, argv[i]);
    }
    Evil evil = {.loop = sl_loop_new(), .blob_dir = argv[3], .in = g_string_new(NULL), .hidden = set_new(), .greeted = set_new()};
    evil.blobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    evil.statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)sl_signed_free);
    int code = 1;
    if (sl_curve_keys_load(argv[2], false, &evil.keys, &error) && evil_bind(&evil, argv[1], agents, &error)) {
        evil.watch = sl_watch_new(evil.loop, STDIN_FILENO, SL_READABLE | SL_HANGUP, on_stdin, &evil);
        evil_say(json_pack("{s:s}", "ev", "bound"));
        code = sl_loop_run(evil.loop);
    } else {
        (void)fprintf(stderr, "sluice-evil: %s\n", error->message);
    }
    evil_clear(&evil);
    return code;
}
