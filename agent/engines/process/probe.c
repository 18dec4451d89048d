/* probe.c - is this instance ready? An http path, a command, or just its port. One answer per
 * probe, within its time limit. */
#include "agent/engines/process/server.h"
#include "base/auto.h"
#include "base/text.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define PROBE_TIMEOUT_US (2 * SL_SECOND_US) /* unless probe.timeout says otherwise */
#define PROBE_BODY_MAX (64 * 1024)
#define PROBE_OUTPUT_MAX 1024

struct Probe {
    Instance *instance; /* NULL = cancelled while the HTTP client still has it */
    void (*done)(Instance *instance, const char *problem);
    SlChild *child;
    int fd;
    SlWatch *watch;
    SlTimer *timer;
    bool http;
    int64_t timeout_us;
};

static void probe_free(Probe *probe)
{
    sl_child_free(probe->child);
    sl_watch_free(probe->watch);
    sl_timer_free(probe->timer);
    sl_close_fd(&probe->fd);
    g_free(probe);
}

static void finish(Probe *probe, const char *problem)
{
    Instance *instance = probe->instance;
    void (*done)(Instance *, const char *) = probe->done;
    g_autofree char *copy = g_strdup(problem);
    if (instance)
        instance->probe = NULL;
    probe_free(probe);
    if (instance)
        done(instance, copy);
}

static void http_done(const SlHttpResponse *response, const GError *error, void *data)
{
    Probe *probe = data;
    g_autofree char *problem = NULL;
    if (error)
        problem = g_strdup_printf("probe: %s", error->message);
    else if (response->status < 200 || response->status > 399)
        problem = g_strdup_printf("probe: HTTP status %d", response->status);
    finish(probe, problem);
}

static void start_http(Probe *probe, const char *path)
{
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u%s%s", probe->instance->port,
                                           *path == '/' ? "" : "/", path);
    SlHttpRequest request = {
        .method = "GET", .url = url, .body_max = PROBE_BODY_MAX, .timeout_us = probe->timeout_us};
    probe->http = true;
    sl_http_send(probe->instance->version->server->engine->http, &request, http_done, probe);
}

static void command_ended(const SlChildEnd *end, void *data)
{
    Probe *probe = data;
    probe->child = NULL;
    size_t len = 0;
    const char *text = end->error ? g_bytes_get_data(end->error, &len) : NULL;
    g_autofree char *said = g_strndup(text ? text : "", len);
    g_autofree char *problem =
        end->timed_out ? g_strdup("probe: the command took longer than its time limit")
        : end->code != 0
            ? g_strdup_printf("probe: the command ended with %d: %s", end->code, g_strstrip(said))
            : NULL;
    finish(probe, problem);
}

static void give_up(void *data)
{
    finish(data, "probe: no answer within its time limit");
}

/* argv[0] as an absolute path: spawn takes no other. The instance's PATH is the default one. */
static char *find_program(const char *name)
{
    return strchr(name, '/') ? g_canonicalize_filename(name, "/") : g_find_program_in_path(name);
}

static void start_command(Probe *probe, const json_t *command)
{
    const Version *version = probe->instance->version;
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)command, i, item) g_ptr_array_add(
        argv, i == 0 ? find_program(json_string_value(item) ? json_string_value(item) : "")
                     : g_strdup(json_string_value(item)));
    g_ptr_array_add(argv, NULL);
    for (guint n = 0; version->pairs && n < version->pairs->len; n++)
        g_ptr_array_add(pairs, g_strdup(g_ptr_array_index(version->pairs, n)));
    g_ptr_array_add(pairs, g_strdup_printf("PORT=%u", probe->instance->port));
    g_ptr_array_add(pairs, NULL);
    SlSpawn how = {.argv = (const char *const *)argv->pdata,
                   .envp = (const char *const *)pairs->pdata,
                   .cwd = version->files,
                   .error_max = PROBE_OUTPUT_MAX,
                   .timeout_us = probe->timeout_us};
    if (argv->pdata[0])
        probe->child = sl_spawn(version->server->engine->loop, &how, command_ended, probe, &error);
    if (!probe->child) {
        sl_timer_free(probe->timer);
        probe->timer = sl_timer_new(version->server->engine->loop, give_up, probe);
        sl_timer_arm(probe->timer, 0);
    }
}

static void connected(int fd, unsigned events, void *data)
{
    Probe *probe = data;
    int problem = 0;
    socklen_t len = sizeof problem;
    (void)events;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len);
    g_autofree char *text =
        problem ? g_strdup_printf("probe: port %u: %s", probe->instance->port, g_strerror(problem))
                : NULL;
    finish(probe, text);
}

static void start_connect(Probe *probe)
{
    SlLoop *loop = probe->instance->version->server->engine->loop;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(probe->instance->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    probe->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    probe->timer = sl_timer_new(loop, give_up, probe);
    bool going =
        probe->fd >= 0 && (connect(probe->fd, (struct sockaddr *)&address, sizeof address) == 0 ||
                           errno == EINPROGRESS);
    if (going)
        probe->watch = sl_watch_new(loop, probe->fd, SL_WRITABLE, connected, probe);
    sl_timer_arm(probe->timer, going ? probe->timeout_us : 0);
}

Probe *probe_start(Instance *instance, void (*done)(Instance *instance, const char *problem))
{
    const json_t *spec = instance->version->spec;
    Probe *probe = g_new0(Probe, 1);
    probe->instance = instance;
    probe->done = done;
    probe->fd = -1;
    const char *limit = sl_json_str(spec, "probe.timeout");
    if (!limit || !sl_parse_duration(limit, &probe->timeout_us, NULL)) {
        probe->timeout_us = PROBE_TIMEOUT_US;
    }
    instance->probe = probe;
    const char *path = sl_json_str(spec, "probe.httpGet.path");
    const json_t *command = sl_json_at(spec, "probe.exec.command");
    if (!path)
        path = sl_json_str(spec, "probe.http");
    if (!json_is_array(command))
        command = sl_json_at(spec, "probe.command");
    if (path)
        start_http(probe, path);
    else if (json_is_array(command) && json_array_size(command) > 0)
        start_command(probe, command);
    else
        start_connect(probe);
    return instance->probe;
}

void probe_cancel(Probe *probe)
{
    if (!probe)
        return;
    probe->instance->probe = NULL;
    probe->instance = NULL;
    if (!probe->http)
        probe_free(probe);
}
