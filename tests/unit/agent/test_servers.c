/* test_servers.c - model servers on the engine process: ready before switched, drained, repaired,
 * adopted, and clear about what is wrong. */
#include "tests/unit/agent/fixture.h"

#define KIND SL_API_GROUP "/ModelServer"

/* A server in a few lines: answers each connection with its word, its model's content and its pid;
 * "slow" waits for a file first. */
static const char program[] =
    "import os,socket,sys,time\n"
    "word=open('word.txt').read().strip()\n"
    "if word=='crash': print('last words "
    "of',os.path.basename(os.environ['SLUICE_CONFIG_DIR']),flush=True); sys.exit(9)\n"
    "s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
    "s.bind(('127.0.0.1', int(os.environ['PORT']))); s.listen(64)\n"
    "model=open(os.environ['SLUICE_MODEL']+'/w').read() if 'SLUICE_MODEL' in os.environ else '-'\n"
    "while True:\n"
    "  c,_=s.accept()\n"
    "  line=c.recv(100)\n"
    "  if line.startswith(b'hold'):\n"
    "    c.sendall(b'held '); c.recv(100)\n"
    "  c.sendall(('%s %s %d' % (word, model, os.getpid())).encode()); c.close()\n";

static uint16_t test_port(unsigned n)
{
    return (uint16_t)(10000 + (unsigned)getpid() % 1000 * 10 + n);
}

static json_t *server(Fix *f, const char *word, uint16_t port, const char *more)
{
    g_autofree char *code = fix_add_blob(f, program), *content = fix_add_blob(f, word);
    g_autofree char *spec = g_strdup_printf(
        "{\"command\": [\"python3\", \"serve.py\"], \"port\": %u, \"grace\": \"2s\", \"files\": ["
        "{\"path\": \"serve.py\", \"mode\": \"644\", \"sha256\": \"%s\"},"
        "{\"path\": \"word.txt\", \"mode\": \"644\", \"sha256\": \"%s\"}]%s%s}",
        port, code, content, *more ? ", " : "", more);
    return fix_object("ModelServer", "serve", spec);
}

static bool says(Fix *f, uint16_t port, const char *word)
{
    sl_loop_turn(f->loop, 0);
    g_autofree char *answer = fix_ask(port, "x\n");
    return answer && g_str_has_prefix(answer, word);
}

static int pid_of(uint16_t port)
{
    g_autofree char *answer = fix_ask(port, "x\n");
    const char *space = answer ? strrchr(answer, ' ') : NULL;
    return space ? (int)g_ascii_strtoll(space + 1, NULL, 10) : 0;
}

static void remove_named(Fix *f, const char *name)
{
    SlEngineRef ref = {"app", KIND, "-", name};
    f->ops->remove(f->engine, &ref);
    FIX_UNTIL(f, g_hash_table_contains(f->removed, name));
    g_assert_cmpstr(g_hash_table_lookup(f->removed, name), ==, "");
}

static void remove_server(Fix *f)
{
    remove_named(f, "serve");
}

/* Put a folder with one file `w` into the store; its digest. */
static char *make_model(Fix *f, const char *content)
{
    uint64_t bytes;
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_build_filename(f->dir, "made", NULL),
                    *path = g_build_filename(folder, "w", NULL);
    fix_write(path, content);
    char *digest = sl_models_store_folder(f->store, folder, &bytes, &error);
    g_assert_no_error(error);
    return digest;
}

static void test_serve_and_switch(void)
{
    Fix *f = fix_new("process");
    uint16_t port = test_port(0);
    g_autofree char *model = make_model(f, "m1"),
                    *more = g_strdup_printf("\"model\": \"model://sha256:%s\"", model);
    fix_apply(f, KIND, "serve", server(f, "one", port, more));
    g_assert_cmpstr(g_hash_table_lookup(f->applied, "serve"), ==, "");
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy Serving 1 of 1"));
    g_assert_true(says(f, port, "one m1 "));
    /* A connection of the old version goes on while the new one takes over; nobody is refused
     * meanwhile. */
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char bytes[64] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint((int)send(fd, "hold\n", 5, 0), ==, 5);
    g_assert_cmpint((int)recv(fd, bytes, sizeof bytes - 1, 0), ==, 5);
    fix_apply(f, KIND, "serve", server(f, "two", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy Serving 1 of 1") && says(f, port, "two - "));
    g_assert_cmpint((int)send(fd, "go\n", 3, 0), ==, 3);
    memset(bytes, 0, sizeof bytes);
    g_assert_cmpint((int)recv(fd, bytes, sizeof bytes - 1, 0), >, 0);
    g_assert_true(g_str_has_prefix(bytes, "one m1"));
    close(fd);
    remove_server(f);
    g_assert_null(fix_ask(port, "x\n"));
    fix_free(f);
}

static void test_killed_is_restarted(void)
{
    Fix *f = fix_new("process");
    uint16_t port = test_port(1);
    fix_apply(f, KIND, "serve", server(f, "one", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    int pid = pid_of(port);
    g_assert_cmpint(pid, >, 1);
    int64_t before = sl_clock_real.monotonic_us(NULL);
    kill(pid, SIGKILL);
    FIX_UNTIL(f, fix_health_is(f, "serve", "Progressing Restarting") || pid_of(port) > 1);
    FIX_UNTIL(f, says(f, port, "one"));
    g_assert_cmpint(sl_clock_real.monotonic_us(NULL) - before, <,
                    3 * SL_SECOND_US); /* a second, on a busy machine */
    g_assert_cmpint(pid_of(port), !=, pid);
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    remove_server(f);
    fix_free(f);
}

static void test_restart_adopts(void)
{
    Fix *f = fix_new("process");
    uint16_t port = test_port(2);
    fix_apply(f, KIND, "serve", server(f, "one", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    int pid = pid_of(port);
    fix_close(f);
    g_assert_cmpint(pid_of(port), ==, pid); /* without any agent */
    fix_open(f);
    g_hash_table_remove_all(f->health);
    fix_apply(f, KIND, "serve", server(f, "one", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    g_assert_cmpint(pid_of(port), ==, pid);
    remove_server(f);
    fix_free(f);
}

static void test_file_put_back(void)
{
    Fix *f = fix_new("process");
    uint16_t port = test_port(3);
    fix_apply(f, KIND, "serve", server(f, "one", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    g_autofree char *link = g_strdup_printf("/proc/%d/cwd", pid_of(port)),
                    *cwd = g_file_read_link(link, NULL);
    g_autofree char *path = g_build_filename(cwd, "word.txt", NULL);
    fix_write(path, "hacked");
    g_autofree char *text = NULL;
    FIX_UNTIL(f, (g_free(text), text = fix_read(path), strcmp(text, "one") == 0));
    remove_server(f);
    fix_free(f);
}

/* What the crashed process wrote, though another one serves. */
static void assert_previous(Fix *f)
{
    g_autoptr(GError) error = NULL;
    SlEngineRef ref = {"app", KIND, "-", "serve"};
    SlEngineLogAsk ask = {.ref = &ref, .previous = true, .tail = true, .max = 1000};
    SlEngineLog log;
    g_autoptr(GBytes) bytes = f->ops->log(f->engine, &ask, &log, &error);
    g_assert_no_error(error);
    g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_assert_cmpstr(text, ==, "last words of -\n");
    ask.rank = 1;
    g_assert_null(f->ops->log(f->engine, &ask, &log, &error));
    g_assert_nonnull(strstr(error->message, "no process of it crashed here"));
}

static void test_bad_version_keeps_old(void)
{
    Fix *f = fix_new("process");
    uint16_t port = test_port(4);
    fix_apply(f, KIND, "serve", server(f, "one", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    fix_apply(f, KIND, "serve", server(f, "crash", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Degraded CrashLoop"));
    const char *text = g_hash_table_lookup(f->health, "serve");
    g_assert_nonnull(strstr(text, "ended with code 9"));
    g_assert_nonnull(strstr(text, "the version before goes on serving"));
    assert_previous(f);
    g_assert_true(says(f, port, "one"));
    /* Back to the old object: the live one is at once healthy again. */
    fix_apply(f, KIND, "serve", server(f, "one", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    remove_server(f);
    fix_free(f);
}

/* A wrong byte in the store: not started, said with file and chunk, what runs goes on; repaired:
 * taken. */
static void test_corrupt_model(void)
{
    Fix *f = fix_new("process");
    uint16_t port = test_port(5);
    fix_apply(f, KIND, "serve", server(f, "one", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    g_autofree char *model = make_model(f, "good"),
                    *more = g_strdup_printf("\"model\": \"model://sha256:%s\"", model);
    g_autofree char *chunk = sl_sha256_hex("good", 4),
                    *path = g_strdup_printf("%s/chunks/%.2s/%s", f->store, chunk, chunk);
    fix_write(path, "gOod");
    fix_apply(f, KIND, "serve", server(f, "two", port, more));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Unknown ModelCorrupt"));
    const char *text = g_hash_table_lookup(f->health, "serve");
    g_assert_nonnull(strstr(text, "file w: chunk 0"));
    g_assert_true(says(f, port, "one"));
    fix_write(path, "good");
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy") && says(f, port, "two good"));
    remove_server(f);
    fix_free(f);
}

/* The model's copy is deleted, and the store is away: what serves goes on, also for an agent that starts again;
 * what is to start waits, Unknown and no crash; the store is back: it serves again. Wrong bytes likewise. */
static void test_model_verified_again(void)
{
    Fix *f = fix_new("process");
    uint16_t port = test_port(8);
    g_autofree char *model = make_model(f, "good"),
                    *more = g_strdup_printf("\"model\": \"model://sha256:%s\"", model);
    g_autofree char *copies = g_build_filename(f->dir, "models", NULL),
                    *weights = g_build_filename(copies, model, "w", NULL),
                    *away = g_strconcat(f->store, ".away", NULL);
    json_t *object = server(f, "one", port, more);
    fix_apply(f, KIND, "serve", json_incref(object));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    int pid = pid_of(port);
    g_assert_true(sl_dir_remove_tree(copies, NULL));
    g_assert_cmpint(rename(f->store, away), ==, 0);
    fix_restart(f);
    fix_apply(f, KIND, "serve", object);
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    g_assert_cmpint(pid_of(port), ==, pid);

    kill(pid, SIGKILL);
    FIX_UNTIL(f, fix_health_is(f, "serve", "Unknown ModelUnavailable"));
    g_assert_cmpint(rename(away, f->store), ==, 0);
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy") && says(f, port, "one good"));

    pid = pid_of(port);
    g_assert_cmpint(chmod(weights, 0600), ==, 0);
    fix_write(weights, "gOod");
    kill(pid, SIGKILL);
    FIX_UNTIL(f, says(f, port, "one good") && pid_of(port) != pid);
    remove_server(f);
    fix_free(f);
}

static void test_port_in_use(void)
{
    Fix *f = fix_new("process");
    uint16_t port = test_port(6);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    fix_apply(f, KIND, "serve", server(f, "one", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Degraded PortInUse"));
    g_assert_nonnull(strstr(g_hash_table_lookup(f->health, "serve"), "Address already in use"));
    close(fd);
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy") && says(f, port, "one"));
    remove_server(f);
    fix_free(f);
}

/* The port that the one back end of `serve` got. */
static uint16_t back_end(Fix *f, uint16_t port)
{
    g_autofree char *path = g_strdup_printf(
        "%s/servers/app.default.modelserver.serve/front-%u/backends", f->state, port);
    g_autofree char *text = fix_read(path);
    const char *found = strstr(text, "backend: 127.0.0.1:");
    return found ? (uint16_t)g_ascii_strtoll(strrchr(found, ':') + 1, NULL, 10) : 0;
}

/* A port of the back ends' range that a server declares: given to none; one that has it moves, and what
 * it serves goes on meanwhile. */
static void test_port_of_a_back_end(void)
{
    Fix *f = fix_new("process");
    uint16_t port = test_port(9);
    fix_apply(f, KIND, "serve", server(f, "one", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    uint16_t wanted = back_end(f, port);
    g_assert_cmpuint(wanted, >, 0);
    fix_apply(f, KIND, "other", server(f, "two", wanted, ""));
    FIX_UNTIL(f, says(f, port, "one") && fix_health_is(f, "other", "Healthy"));
    g_assert_true(says(f, wanted, "two"));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy") && says(f, port, "one"));
    g_assert_cmpuint(back_end(f, port), !=, wanted);
    /* The same by itself: a new version declares what a back end of the version before has. */
    uint16_t own = back_end(f, port);
    fix_apply(f, KIND, "serve", server(f, "three", own, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy") && says(f, own, "three"));
    remove_named(f, "other");
    remove_server(f);
    fix_free(f);
}

/* The first port of the range is some server's own: its back end gets the next one. */
static void test_declared_port_is_not_given(void)
{
    Fix *f = fix_new("process");
    uint16_t first = (uint16_t)g_ascii_strtoll(sl_json_str(f->options, "ports"), NULL, 10);
    fix_apply(f, KIND, "serve", server(f, "one", first, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy") && says(f, first, "one"));
    g_assert_cmpuint(back_end(f, first), >, first);
    remove_server(f);
    fix_free(f);
}

/* The front itself is killed: a new one within a second, connections work again. */
static void test_front_killed(void)
{
    Fix *f = fix_new("process");
    uint16_t port = test_port(7);
    fix_apply(f, KIND, "serve", server(f, "one", port, ""));
    FIX_UNTIL(f, fix_health_is(f, "serve", "Healthy"));
    g_autofree char *path =
        g_strdup_printf("%s/servers/app.default.modelserver.serve/front-%u/pid", f->state, port);
    g_autofree char *record = fix_read(path);
    int pid = (int)g_ascii_strtoll(strstr(record, "pid: ") + 5, NULL, 10);
    g_assert_cmpint(pid, >, 1);
    kill(pid, SIGKILL);
    FIX_UNTIL(f, says(f, port, "one"));
    remove_server(f);
    fix_free(f);
}

static void test_config_map(void)
{
    Fix *f = fix_new("process");
    json_t *map = fix_json("{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": "
                           "{\"name\": \"conf\"}, \"data\": {\"a.txt\": \"one\"}}");
    fix_apply(f, "core/ConfigMap", "conf", map);
    FIX_UNTIL(f, fix_health_is(f, "conf", "Healthy Written"));
    g_autofree char *path = g_build_filename(f->state, "config/app/-/conf/a.txt", NULL);
    g_autofree char *text = fix_read(path);
    g_assert_cmpstr(text, ==, "one");
    fix_write(path, "edited");
    FIX_UNTIL(f, (g_free(text), text = fix_read(path), strcmp(text, "one") == 0));
    map = fix_json("{\"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"conf\"}, \"data\": "
                   "{\"../x\": \"bad\"}}");
    fix_apply(f, "core/ConfigMap", "conf", map);
    g_assert_nonnull(strstr(g_hash_table_lookup(f->applied, "conf"), "must not contain a slash"));
    SlEngineRef ref = {"app", "core/ConfigMap", "-", "conf"};
    f->ops->remove(f->engine, &ref);
    FIX_UNTIL(f, g_hash_table_contains(f->removed, "conf"));
    g_assert_cmpint(access(path, F_OK), !=, 0);
    fix_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/servers/serve-and-switch", test_serve_and_switch);
    g_test_add_func("/servers/killed-is-restarted", test_killed_is_restarted);
    g_test_add_func("/servers/restart-adopts", test_restart_adopts);
    g_test_add_func("/servers/file-put-back", test_file_put_back);
    g_test_add_func("/servers/bad-version-keeps-old", test_bad_version_keeps_old);
    g_test_add_func("/servers/corrupt-model", test_corrupt_model);
    g_test_add_func("/servers/model-verified-again", test_model_verified_again);
    g_test_add_func("/servers/port-in-use", test_port_in_use);
    g_test_add_func("/servers/port-of-a-back-end", test_port_of_a_back_end);
    g_test_add_func("/servers/declared-port-is-not-given", test_declared_port_is_not_given);
    g_test_add_func("/servers/front-killed", test_front_killed);
    g_test_add_func("/servers/config-map", test_config_map);
    return g_test_run();
}
