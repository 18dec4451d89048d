/* git_fixture.h - a real Git repository made by the git program, and a small smart-HTTP server over
 * it on 127.0.0.1. */
#pragma once
#include "runtime/atomicfile.h"
#include <arpa/inet.h>
#include <glib.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum { GIT_HTTP_NORMAL, GIT_HTTP_REDIRECT, GIT_HTTP_AUTH } GitHttpMode;

typedef struct {
    char *dir, *work, *bare, *cache;
    struct MHD_Daemon *daemon;
    _Atomic GitHttpMode mode; /* set by the test, read by the server's thread */
    char *url;
} GitFixture;

static inline char *git_run(const char *cwd, const char *const *args, GBytes *input, gsize *ret_len)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, (char *)"git");
    for (size_t i = 0; args[i] != NULL; i++)
        g_ptr_array_add(argv, (char *)args[i]);
    g_ptr_array_add(argv, NULL);
    g_auto(GStrv) env = g_get_environ();
    static const char *const set[][2] = {{"GIT_CONFIG_NOSYSTEM", "1"},
                                         {"GIT_CONFIG_GLOBAL", "/dev/null"},
                                         {"GIT_AUTHOR_NAME", "Alice"},
                                         {"GIT_AUTHOR_EMAIL", "a@x.test"},
                                         {"GIT_COMMITTER_NAME", "Alice"},
                                         {"GIT_COMMITTER_EMAIL", "a@x.test"},
                                         {"GIT_AUTHOR_DATE", "1700000000 +0000"},
                                         {"GIT_COMMITTER_DATE", "1700000000 +0000"}};
    for (size_t i = 0; i < G_N_ELEMENTS(set); i++)
        env = g_environ_setenv(env, set[i][0], set[i][1], TRUE);
    int in = -1, out = -1, status = 0;
    GPid pid = 0;
    g_autoptr(GError) error = NULL;
    g_spawn_async_with_pipes(cwd, (char **)argv->pdata, env,
                             G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                 G_SPAWN_STDERR_TO_DEV_NULL,
                             NULL, NULL, &pid, &in, &out, NULL, &error);
    g_assert_no_error(error);
    if (input != NULL) { /* requests of these tests fit into a pipe */
        ssize_t n = write(in, g_bytes_get_data(input, NULL), g_bytes_get_size(input));
        g_assert_cmpint(n, ==, (ssize_t)g_bytes_get_size(input));
    }
    close(in);
    GByteArray *all = g_byte_array_new();
    guint8 buffer[65536];
    for (ssize_t n = read(out, buffer, sizeof buffer); n > 0; n = read(out, buffer, sizeof buffer))
        g_byte_array_append(all, buffer, (guint)n);
    close(out);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (ret_len != NULL)
        *ret_len = all->len;
    g_byte_array_append(all, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(all, FALSE);
}

#define GIT(cwd, ...) git_run(cwd, (const char *const[]){__VA_ARGS__, NULL}, NULL, NULL)

static inline void git_write(GitFixture *f, const char *path, const char *text)
{
    g_autofree char *full = g_build_filename(f->work, path, NULL);
    g_autofree char *folder = g_path_get_dirname(full);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

/* Commits everything and pushes; the commit's id. */
static inline char *git_commit_all(GitFixture *f, const char *subject)
{
    g_free(GIT(f->work, "add", "-A"));
    g_free(GIT(f->work, "commit", "-q", "--allow-empty", "-m", subject));
    g_free(GIT(f->work, "push", "-q", "--force", f->bare, "main"));
    return g_strchomp(GIT(f->work, "rev-parse", "HEAD"));
}

/* The same, signed with the SSH key in the file @key by the git program. */
static inline char *git_commit_signed(GitFixture *f, const char *key, const char *subject)
{
    g_autofree char *signing = g_strconcat("user.signingkey=", key, NULL);
    g_free(GIT(f->work, "add", "-A"));
    g_free(GIT(f->work, "-c", "gpg.format=ssh", "-c", signing, "commit", "-q", "--allow-empty",
               "-S", "-m", subject));
    g_free(GIT(f->work, "push", "-q", "--force", f->bare, "main"));
    return g_strchomp(GIT(f->work, "rev-parse", "HEAD"));
}

/* Raw bytes of a commit whose tree is HEAD's become the branch's tip, however wrong they are. */
static inline char *git_commit_raw(GitFixture *f, const char *rest)
{
    g_autofree char *tree = g_strchomp(GIT(f->work, "rev-parse", "HEAD^{tree}"));
    g_autofree char *text = g_strdup_printf("tree %s\n%s", tree, rest);
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    const char *args[] = {"hash-object", "-t", "commit", "-w", "--stdin", "--literally", NULL};
    char *id = g_strchomp(git_run(f->bare, args, bytes, NULL));
    g_free(GIT(f->bare, "update-ref", "refs/heads/main", id));
    return id;
}

static inline void git_fixture_set_up(GitFixture *f)
{
    f->dir = g_dir_make_tmp("sluice-source-XXXXXX", NULL);
    f->work = g_build_filename(f->dir, "work", NULL);
    f->bare = g_build_filename(f->dir, "bare.git", NULL);
    f->cache = g_build_filename(f->dir, "cache.git", NULL);
    g_free(GIT(f->dir, "init", "-q", "-b", "main", f->work));
    g_free(GIT(f->dir, "init", "-q", "--bare", "-b", "main", f->bare));
}

/* ---- smart HTTP ---- */

typedef struct {
    GByteArray *body;
} GitHttpCall;

static inline enum MHD_Result git_http_answer(struct MHD_Connection *c, unsigned status,
                                              const char *type, void *bytes, size_t len,
                                              const char *header, const char *value)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(r, "Content-Type", type);
    if (header != NULL)
        MHD_add_response_header(r, header, value);
    enum MHD_Result result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

static inline enum MHD_Result git_http_refs(GitFixture *f, struct MHD_Connection *c)
{
    gsize len = 0;
    const char *args[] = {"upload-pack", "--stateless-rpc", "--advertise-refs", f->bare, NULL};
    g_autofree char *refs = git_run(f->dir, args, NULL, &len);
    static const char head[] = "001e# service=git-upload-pack\n0000";
    char *all = malloc(sizeof head - 1 + len);
    memcpy(all, head, sizeof head - 1);
    memcpy(all + sizeof head - 1, refs, len);
    return git_http_answer(c, 200, "application/x-git-upload-pack-advertisement", all,
                           sizeof head - 1 + len, NULL, NULL);
}

static inline enum MHD_Result git_http_handle(void *user, struct MHD_Connection *c, const char *url,
                                              const char *method, const char *version,
                                              const char *data, size_t *size, void **state)
{
    GitFixture *f = user;
    GitHttpCall *call = *state;
    (void)version;
    if (call == NULL) {
        call = g_new0(GitHttpCall, 1);
        call->body = g_byte_array_new();
        *state = call;
        return MHD_YES;
    }
    if (*size > 0) {
        g_byte_array_append(call->body, (const guint8 *)data, (guint)*size);
        *size = 0;
        return MHD_YES;
    }
    if (f->mode == GIT_HTTP_REDIRECT)
        return git_http_answer(c, 302, "text/plain", strdup(""), 0, "Location",
                               "http://127.0.0.2:9/other.git/info/refs");
    const char *auth = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    if (f->mode == GIT_HTTP_AUTH && g_strcmp0(auth, "Basic Ym90OnNlY3JldA==") != 0) /* bot:secret */
        return git_http_answer(c, 401, "text/plain", strdup(""), 0, "WWW-Authenticate",
                               "Basic realm=\"git\"");
    if (strcmp(method, "GET") == 0 && g_str_has_suffix(url, "/info/refs"))
        return git_http_refs(f, c);
    gsize len = 0;
    g_autoptr(GBytes) body = g_bytes_new(call->body->data, call->body->len);
    const char *args[] = {"upload-pack", "--stateless-rpc", f->bare, NULL};
    g_autofree char *out = git_run(f->dir, args, body, &len);
    char *copy = malloc(len + 1);
    memcpy(copy, out, len);
    return git_http_answer(c, 200, "application/x-git-upload-pack-result", copy, len, NULL, NULL);
}

static inline void git_http_completed(void *user, struct MHD_Connection *c, void **state,
                                      enum MHD_RequestTerminationCode code)
{
    GitHttpCall *call = *state;
    (void)user, (void)c, (void)code;
    if (call != NULL)
        g_byte_array_unref(call->body);
    g_free(call);
}

static inline void git_http_start(GitFixture *f)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned port = 20000 + (unsigned)getpid() % 8000;
    for (unsigned tries = 0; f->daemon == NULL && tries < 200; tries++) {
        port = port >= 32000 ? 20000 : port + 7;
        address.sin_port = htons((uint16_t)port);
        f->daemon =
            MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, git_http_handle, f,
                             MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED,
                             git_http_completed, f, MHD_OPTION_END);
    }
    g_assert_nonnull(f->daemon);
    f->url = g_strdup_printf("http://127.0.0.1:%u/bare.git", port);
}

static inline void git_fixture_tear_down(GitFixture *f)
{
    g_autoptr(GError) error = NULL;
    if (f->daemon != NULL)
        MHD_stop_daemon(f->daemon);
    g_assert_true(sl_dir_remove_tree(f->dir, &error));
    g_free(f->dir);
    g_free(f->work);
    g_free(f->bare);
    g_free(f->cache);
    g_free(f->url);
}
