/* What is special about one source: refused URLs, redirects, credentials, a server that never
 * answers, a missing program. */
#include "git_fixture.h"
#include "sluice/clock.h"
#include "sluice/source.h"

static void set_up(GitFixture *f, gconstpointer data)
{
    (void)data;
    git_fixture_set_up(f);
    git_http_start(f);
    git_write(f, "a", "1");
    g_free(git_commit_all(f, "first"));
}

static void tear_down(GitFixture *f, gconstpointer data)
{
    (void)data;
    git_fixture_tear_down(f);
}

static SlSourceConfig config_of(GitFixture *f, const char *url)
{
    return (SlSourceConfig){.name = "",
                            .url = url,
                            .branch = "main",
                            .cache_dir = f->cache,
                            .git_path = SLUICE_BIN_DIR "/sluice-git",
                            .timeout_us = 20 * SL_SECOND_US,
                            .pack_bytes_max = 1 << 20,
                            .objects_max = 1000};
}

static void fails(const SlSourceConfig *config, int code, const char *text)
{
    g_autoptr(GError) error = NULL;
    const SlSourceOps *ops = sl_source_find(config->url);
    g_assert_nonnull(ops);
    g_assert_null(ops->fetch(config, NULL, &error));
    g_assert_error(error, SL_ERROR, code);
    g_assert_nonnull(strstr(error->message, text));
}

static void test_urls(void)
{
    static const char *const refused[] = {"file:///etc",
                                          "ext::sh -c id",
                                          "git@host:x",
                                          "ssh://host/x",
                                          "../up",
                                          "-upload-pack=x",
                                          ""};
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        g_assert_null(sl_source_find(refused[i]));
    g_assert_cmpstr(sl_source_find("https://x/y.git")->name, ==, "http");
    g_assert_cmpstr(sl_source_find("/srv/x.git")->name, ==, "path");
}

static void test_user_info(GitFixture *f, gconstpointer data)
{
    (void)data;
    SlSourceConfig config = config_of(f, "http://alice:secret@127.0.0.1/x.git");
    fails(&config, SLU_SOURCE_REFUSED, "user info");
    config.url = "http://127.0.0.1/x y.git";
    fails(&config, SLU_SOURCE_REFUSED, "space or control");
}

static void test_redirect(GitFixture *f, gconstpointer data)
{
    (void)data;
    f->mode = GIT_HTTP_REDIRECT;
    SlSourceConfig config = config_of(f, f->url);
    fails(&config, SLU_SOURCE_REFUSED, "cannot redirect");
}

static void test_credentials(GitFixture *f, gconstpointer data)
{
    (void)data;
    f->mode = GIT_HTTP_AUTH;
    SlSourceConfig config = config_of(f, f->url);
    fails(&config, SLU_SOURCE_AUTH, "none are configured");
    g_autofree char *path = g_build_filename(f->dir, "credentials", NULL);
    g_assert_true(g_file_set_contents(path, "bot:wrong\n", -1, NULL));
    config.credential_file = path;
    fails(&config, SLU_SOURCE_AUTH, "refused the configured credentials");
    g_assert_true(g_file_set_contents(path, "bot:secret\n", -1, NULL));
    g_autoptr(GError) error = NULL;
    SlSourceTip *tip = sl_source_find(f->url)->fetch(&config, NULL, &error);
    g_assert_no_error(error);
    sl_source_tip_free(tip);
    /* The same server by an address that is not plainly this machine: no password in the clear. */
    g_autofree char *path_there = g_strdup(strstr(f->url, "127.0.0.1") + strlen("127.0.0.1"));
    g_autofree char *elsewhere = g_strconcat("http://0.0.0.0", path_there, NULL);
    config.url = elsewhere;
    fails(&config, SLU_SOURCE_REFUSED, "not sent over http://");
}

/* A server that accepts and says nothing: libgit2 would wait for ever, the child is killed. */
static void test_silent_server(GitFixture *f, gconstpointer data)
{
    (void)data;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned port = 29000 + (unsigned)getpid() % 2000;
    do
        address.sin_port = htons((uint16_t)++port);
    while (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 && port < 32000);
    g_assert_cmpint(listen(fd, 5), ==, 0);
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u/x.git", port);
    SlSourceConfig config = config_of(f, url);
    config.timeout_us = 300000;
    fails(&config, SLU_SOURCE_TIMEOUT, "no answer within");
    close(fd);
    config.timeout_us = 20 * SL_SECOND_US; /* who refuses does so at once */
    fails(&config, SLU_SOURCE_UNREACHABLE, "connect");
}

/* A fetch that was killed while it wrote its branch down left a lock: the next one reads all the
 * same. */
static void reads_over_lock(GitFixture *f, const char *url)
{
    SlSourceConfig config = config_of(f, url);
    g_autoptr(GError) error = NULL;
    SlSourceTip *tip = sl_source_find(url)->fetch(&config, NULL, &error);
    g_assert_no_error(error);
    sl_source_tip_free(tip);
    static const char *const locks[] = {"refs/sluice/main.lock", "config.lock"};
    for (size_t i = 0; i < G_N_ELEMENTS(locks); i++) {
        g_autofree char *lock = g_build_filename(f->cache, locks[i], NULL);
        g_assert_true(g_file_set_contents(lock, "", 0, NULL));
    }
    git_write(f, "more", url);
    g_autofree char *commit = git_commit_all(f, "after the kill");
    tip = sl_source_find(url)->fetch(&config, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(tip->commit, ==, commit);
    sl_source_tip_free(tip);
}

static void test_stale_lock(GitFixture *f, gconstpointer data)
{
    (void)data;
    reads_over_lock(f, f->bare);
    reads_over_lock(f, f->url);
}

static void test_missing_program(GitFixture *f, gconstpointer data)
{
    (void)data;
    SlSourceConfig config = config_of(f, f->url);
    config.git_path = "/nonexistent/sluice-git";
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_source_find(f->url)->fetch(&config, NULL, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, "/nonexistent/sluice-git"));
}

static void test_no_repository(GitFixture *f, gconstpointer data)
{
    (void)data;
    SlSourceConfig config = config_of(f, "/nonexistent/x.git");
    fails(&config, SLU_SOURCE_UNREACHABLE, "there is no Git repository");
    config.url = f->dir; /* a folder that is none, above which there may be one */
    fails(&config, SLU_SOURCE_UNREACHABLE, "there is no Git repository");
}

static void test_normal_repository(GitFixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    SlSourceConfig config = config_of(f, f->work); /* not bare */
    SlSourceTip *tip = sl_source_find(f->work)->fetch(&config, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(tip->subject, ==, "first");
    sl_source_tip_free(tip);
}

/* Author and subject come from outside: no terminal escapes get through. */
static void test_hostile_subject(GitFixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_free(git_commit_all(f, "red \033[31m text"));
    SlSourceConfig config = config_of(f, f->bare);
    SlSourceTip *tip = sl_source_find(f->bare)->fetch(&config, NULL, &error);
    g_assert_no_error(error);
    g_assert_null(strchr(tip->subject, '\033'));
    g_assert_nonnull(strstr(tip->subject, "text"));
    sl_source_tip_free(tip);
}

/* Each author of a change is named in one event of the ledger: more than fit are refused, not cut. */
static void test_too_many_authors(GitFixture *f, gconstpointer data)
{
    (void)data;
    SlSourceConfig config = config_of(f, f->bare);
    config.objects_max = 10000;
    const SlSourceOps *ops = sl_source_find(config.url);
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) script = g_string_new(NULL);
    g_autofree char *first = git_commit_all(f, "first");
    for (unsigned i = 0; i <= 4096; i++)
        g_string_append_printf(script,
                               "commit refs/heads/main\nauthor A <%u@x.test> 1700000000 +0000\n"
                               "committer A <a@x.test> 1700000000 +0000\ndata 0\n%s",
                               i, i == 0 ? "from refs/heads/main^0\n" : "");
    g_autoptr(GBytes) input = g_bytes_new(script->str, script->len);
    g_free(git_run(f->bare, (const char *const[]){"fast-import", "--quiet", NULL}, input, NULL));
    g_assert_null(ops->fetch(&config, g_strchomp(first), &error));
    g_assert_error(error, SL_ERROR, SLU_SOURCE_LIMIT);
    g_assert_nonnull(strstr(error->message, "more than 4096 authors"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sources/urls", test_urls);
#define ADD(name, function)                                                                        \
    g_test_add("/sources/" name, GitFixture, NULL, set_up, function, tear_down)
    ADD("user-info", test_user_info);
    ADD("redirect", test_redirect);
    ADD("credentials", test_credentials);
    ADD("silent-server", test_silent_server);
    ADD("stale-lock", test_stale_lock);
    ADD("missing-program", test_missing_program);
    ADD("no-repository", test_no_repository);
    ADD("normal-repository", test_normal_repository);
    ADD("hostile-subject", test_hostile_subject);
    ADD("too-many-authors", test_too_many_authors);
    return g_test_run();
}
