/* kube_driver.c - lib/kube at a real API server, driven by test_kube.py: a command per line of
 * standard input (JSON), an event per line of standard output. It ends when its input does. */
#include "kube/answer.h"
#include "kube/discovery.h"
#include "kube/watch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_MAX ((size_t)8 * 1024 * 1024)

typedef struct {
    SlLoop *loop;
    SlKube *kube;
    SlKubeDiscovery *discovery;
    GPtrArray *watches; /* of Watch* */
    GString *input;
} Driver;

typedef struct {
    char *id;
    SlKubeWatch *watch;
} Watch;

typedef struct {
    Driver *driver;
    json_t *command;
} Asked;

static void print(json_t *line)
{
    g_autofree char *text = sl_json_canonical(line, NULL);
    g_print("%s\n", text != NULL ? text : "{\"event\":\"unprintable\"}");
    json_decref(line);
}

static void set_error(json_t *line, const GError *error)
{
    if (error != NULL) {
        sl_json_set_str(line, "code", sl_error_info(error->code)->slug);
        sl_json_set_str(line, "message", error->message);
    }
}

/* ---- watches ---- */

static json_t *event(const Watch *watch, const char *what)
{
    return json_pack("{s:s,s:s}", "event", what, "id", watch->id);
}

static void on_seen(const json_t *object, void *user)
{
    json_t *line = event(user, "seen");
    sl_json_set_str(line, "kind", sl_json_str(object, "kind"));
    sl_json_set_str(line, "name", sl_json_str(object, "metadata.name"));
    sl_json_set_str(line, "uid", sl_json_str(object, "metadata.uid"));
    print(line);
}

static void on_gone(const char *namespace_, const char *name, const char *uid, void *user)
{
    json_t *line = event(user, "gone");
    sl_json_set_str(line, "namespace", namespace_);
    sl_json_set_str(line, "name", name);
    sl_json_set_str(line, "uid", uid);
    print(line);
}

static void on_synced(void *user)
{
    print(event(user, "synced"));
}

static void on_problem(const GError *error, void *user)
{
    json_t *line = event(user, "problem");
    set_error(line, error);
    print(line);
}

static const SlKubeWatchEvents watch_events = {on_seen, on_gone, on_synced, on_problem};

static void start_watch(Driver *driver, const json_t *command)
{
    SlKubeWatchHow how = {.path = sl_json_str(command, "path"),
                          .selector = sl_json_str(command, "selector"),
                          .page = (unsigned)sl_json_int(command, "page", 0)};
    Watch *watch = g_new0(Watch, 1);
    watch->id = g_strdup(sl_json_str(command, "id"));
    watch->watch = sl_kube_watch_new(driver->kube, &how, &watch_events, watch);
    g_ptr_array_add(driver->watches, watch);
}

static void free_watch(gpointer data)
{
    Watch *watch = data;
    sl_kube_watch_free(watch->watch);
    g_free(watch->id);
    g_free(watch);
}

/* ---- requests ---- */

static Asked *asked(Driver *driver, json_t *command)
{
    Asked *what = g_new0(Asked, 1);
    *what = (Asked){.driver = driver, .command = json_incref(command)};
    return what;
}

static json_t *end_of(Asked *what, const GError *error)
{
    json_t *line = json_pack("{s:s,s:s}", "event", "done", "id", sl_json_str(what->command, "id"));
    set_error(line, error);
    return line;
}

static void free_asked(Asked *what)
{
    json_decref(what->command);
    g_free(what);
}

static void on_done(const SlKubeAnswer *answer, const GError *error, void *user)
{
    Asked *what = user;
    json_t *line = end_of(what, error);
    SlKubeCause cause;
    if (error != NULL && sl_kube_cause(answer->json, 0, &cause)) {
        sl_json_set_str(line, "field", cause.field);
        sl_json_set_str(line, "manager", cause.manager);
        sl_kube_cause_clear(&cause);
    }
    json_object_set_new(line, "status", json_integer(answer->status));
    if (error == NULL) {
        json_object_set(line, "json", answer->json);
    }
    print(line);
    free_asked(what);
}

static void send_request(Driver *driver, json_t *command)
{
    SlKubeRequest request = {.method = sl_json_str(command, "method"),
                             .path = sl_json_str(command, "path"),
                             .content_type = sl_json_str(command, "type"),
                             .body = json_object_get(command, "body")};
    sl_kube_send(driver->kube, &request, on_done, asked(driver, command));
}

/* ---- discovery ---- */

static void on_kinds(const GError *error, void *user)
{
    static const char *const found_names[] = {"absent", "present", "unknown"};
    Asked *what = user;
    json_t *line = end_of(what, error);
    const SlKubeKind *kind = NULL;
    SlKubeFound found =
        sl_kube_discovery_find(what->driver->discovery, sl_json_str_or(what->command, "group", ""),
                               sl_json_str_or(what->command, "version", ""),
                               sl_json_str_or(what->command, "kind", ""), &kind);
    sl_json_set_str(line, "found", found_names[found]);
    if (kind != NULL) {
        g_autofree char *path = sl_kube_path(kind, "default", "one", NULL, NULL);
        sl_json_set_str(line, "path", path);
        sl_json_set_int(line, "verbs", kind->verbs);
        sl_json_set_bool(line, "status", sl_kube_kind_has(kind, "status"));
    }
    print(line);
    free_asked(what);
}

/* ---- commands ---- */

static void obey(Driver *driver, const char *text, size_t len)
{
    g_autoptr(GError) error = NULL;
    SlJsonLimits limits = {.bytes_max = COMMAND_MAX};
    g_autoptr(json_t) command = sl_json_parse(text, len, &limits, "command", &error);
    const char *verb = sl_json_str_or(command, "do", "");
    if (strcmp(verb, "watch") == 0) {
        start_watch(driver, command);
    } else if (strcmp(verb, "send") == 0) {
        send_request(driver, command);
    } else if (strcmp(verb, "find") == 0) {
        sl_kube_discovery_refresh(driver->discovery, on_kinds, asked(driver, command));
    } else {
        json_t *line = json_pack("{s:s}", "event", "refused");
        set_error(line, error);
        print(line);
    }
}

static void on_input(int fd, unsigned events, void *user)
{
    (void)events;
    Driver *driver = user;
    char buffer[65536];
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) {
        return;
    }
    if (got <= 0) {
        sl_loop_quit(driver->loop, 0);
        return;
    }
    g_string_append_len(driver->input, buffer, got);
    for (char *lf = strchr(driver->input->str, '\n'); lf != NULL;
         lf = strchr(driver->input->str, '\n')) {
        obey(driver, driver->input->str, (size_t)(lf - driver->input->str));
        g_string_erase(driver->input, 0, lf + 1 - driver->input->str);
    }
}

/* kube-driver KUBECONFIG, or kube-driver --pod FOLDER (with KUBERNETES_SERVICE_HOST and _PORT) */
static SlKubeConfig *configure(int argc, char **argv, GError **error)
{
    if (argc == 3 && strcmp(argv[1], "--pod") == 0) {
        return sl_kube_config_of_pod(argv[2], g_getenv("KUBERNETES_SERVICE_HOST"),
                                     g_getenv("KUBERNETES_SERVICE_PORT"), error);
    }
    return argc == 2 ? sl_kube_config_load(argv[1], NULL, error)
                     : sl_throw_null(error, SLU_INVALID, "usage: kube-driver KUBECONFIG");
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    SlKubeConfig *config = configure(argc, argv, &error);
    if (config == NULL) {
        json_t *line = json_pack("{s:s}", "event", "config");
        set_error(line, error);
        print(line);
        return 1;
    }
    Driver driver = {.loop = sl_loop_new(), .input = g_string_new(NULL)};
    driver.kube = sl_kube_new(driver.loop, config);
    driver.discovery = sl_kube_discovery_new(driver.kube);
    driver.watches = g_ptr_array_new_with_free_func(free_watch);
    SlWatch *input = sl_watch_new(driver.loop, STDIN_FILENO, SL_READABLE, on_input, &driver);
    int code = sl_loop_run(driver.loop);
    sl_watch_free(input);
    g_ptr_array_unref(driver.watches);
    sl_kube_discovery_free(driver.discovery);
    sl_kube_free(driver.kube);
    g_string_free(driver.input, TRUE);
    sl_loop_free(driver.loop);
    return code;
}
