/* switch.c - the front of the declared port, and the change from one version to the next.
 *
 *   next ready -> back-end file names next's ports (generation + 1) -> front sends new connections
 * there -> front says that no connection is left on an old back end, or grace is over -> old
 * instances get their stop signal */
#include "agent/engines/process/server.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define FRONT_RETRY_US SL_SECOND_US
#define DRAIN_CHECK_US (100 * 1000)
#define STATE_MAX 1024

void server_write_backends(Server *server)
{
    g_autoptr(GError) error = NULL;
    if (!server->live || server->front_port == 0 || server->removing)
        return;
    g_autofree char *path = g_build_filename(server->front_dir, "backends", NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(text,
                           "generation: %" G_GUINT64_FORMAT "\ngrace-us: %" G_GINT64_FORMAT "\n",
                           server->generation, version_grace(server->live));
    for (guint i = 0; i < server->live->instances->len; i++) {
        const Instance *instance = g_ptr_array_index(server->live->instances, i);
        g_string_append_printf(text, "backend: 127.0.0.1:%u\n", instance->port);
    }
    if (!sl_file_write_atomic(path, text->str, text->len, 0600, &error))
        sl_log_error(server->engine->log, "front-backends", error);
}

/* ---- the declared port ---- */

static bool holds_port(const Version *version, uint16_t port)
{
    bool holds = false;
    for (guint i = 0; version && !holds && i < version->instances->len; i++)
        holds = ((Instance *)g_ptr_array_index(version->instances, i))->port == port;
    return holds;
}

static bool declares_port(const Server *server, uint16_t port)
{
    return server->front_port == port || (server->live && version_port(server->live) == port) ||
           (server->next && version_port(server->next) == port);
}

bool sl_port_declared(const SlEngine *engine, uint16_t port)
{
    bool declared = false;
    GHashTableIter iter;
    void *server;
    if (!engine->servers)
        return false; /* the doctor loads none */
    g_hash_table_iter_init(&iter, engine->servers);
    while (!declared && g_hash_table_iter_next(&iter, NULL, &server))
        declared = declares_port(server, port);
    return declared;
}

/* The switch-over moves them: the same object once more, and no connection is cut. One that is being made
 * ready already has other ports; a draining one ends by itself. */
void server_port_claim(Server *server, uint16_t port)
{
    GHashTableIter iter;
    void *value;
    g_hash_table_iter_init(&iter, server->engine->servers);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Server *other = value;
        const Version *version = other->next ? other->next : other->live;
        if (other == server || !holds_port(version, port))
            continue;
        g_autofree char *why =
            g_strdup_printf("port %u of a back end is declared by %s", port, server->key);
        sl_log(server->engine->log, SL_LOG_WARNING, "server-moved", "object", other->key, "message",
               why, NULL);
        server_prepare(other, version->digest, version->object);
    }
}

bool server_port_fits(const Server *server)
{
    uint16_t port = server->next ? version_port(server->next) : 0;
    return !server->live || port == 0 || port == server->front_port || sl_port_free(port) ||
           holds_port(server->live, port); /* its own back end, which makes room as it drains */
}

/* ---- the front ---- */

static void front_started(void *data, const GError *error)
{
    Server *server = data;
    g_free(server->front_problem);
    server->front_problem = error ? g_strdup(error->message) : NULL;
    if (error) {
        sl_shim_free(g_steal_pointer(&server->front));
        sl_timer_arm(server->front_timer, FRONT_RETRY_US);
        if (error->code == SLU_FRONT_PORT)
            server_port_claim(server, server->front_port);
    } else if (server->removing) {
        sl_shim_signal(server->front, SIGTERM); /* asked for while it was starting */
    }
    server_changed(server);
}

static void front_ended(void *data, const SlExit *end)
{
    Server *server = data;
    (void)end;
    sl_shim_free(g_steal_pointer(&server->front));
    g_autofree char *pid = g_build_filename(server->front_dir, "pid", NULL);
    unlink(
        pid); /* a front may be started again in its folder: its lock tells whether one is there */
    if (server->removing)
        server_settled(server);
    else
        sl_timer_arm(server->front_timer, 0);
}

static const SlShimEvents front_events = {front_started, front_ended};

static bool write_front(Server *server, GError **error)
{
    g_autofree char *path = g_build_filename(server->front_dir, "front", NULL);
    g_autofree char *text =
        g_strdup_printf("listen: %s:%u\n", server->engine->listen, server->front_port);
    return sl_dir_make(server->front_dir, 0700, error) &&
           sl_file_write_atomic(path, text, strlen(text), 0600, error);
}

void server_front_ensure(Server *server)
{
    g_autoptr(GError) error = NULL;
    uint16_t port = server->live ? version_port(server->live) : 0;
    if (server->front_port != 0 && server->front_port != port)
        server_front_stop(server);
    if (port == 0 || server->front || server->removing)
        return;
    server->front_port = port;
    g_free(server->front_dir);
    server->front_dir = g_strdup_printf("%s/front-%u", server->dir, port);
    if (!write_front(server, &error)) {
        g_free(server->front_problem);
        server->front_problem = g_strdup(error->message);
        sl_timer_arm(server->front_timer, FRONT_RETRY_US);
        return;
    }
    server_write_backends(server);
    g_autofree char *pid = g_build_filename(server->front_dir, "pid", NULL);
    int pidfd;
    if (sl_shim_look(server->front_dir, &pidfd) == SL_SHIM_LOST)
        unlink(pid);
    if (pidfd >= 0)
        close(pidfd);
    server->front =
        sl_shim_new(server->engine, server->front_dir, "--front", &front_events, server);
    sl_shim_start(server->front, NULL);
}

void server_front_stop(Server *server)
{
    if (server->front) {
        sl_shim_signal(server->front, SIGTERM); /* it drains by itself */
        if (!server->removing)
            sl_shim_free(g_steal_pointer(&server->front));
    }
    server->front_port = 0;
}

/* Is no connection left on the old back ends, as far as the front said for this generation? */
static bool is_drained(const Server *server)
{
    g_autofree char *path =
        server->front_dir ? g_build_filename(server->front_dir, "state", NULL) : NULL;
    g_autofree char *want =
        g_strdup_printf("generation: %" G_GUINT64_FORMAT "\nold: 0\n", server->generation);
    g_autoptr(GBytes) state = path ? sl_file_read(path, STATE_MAX, NULL) : NULL;
    size_t len = 0;
    const char *text = state ? g_bytes_get_data(state, &len) : NULL;
    return text && g_strstr_len(text, (gssize)len, want) != NULL;
}

void version_drain_check(Version *version)
{
    Server *server = version->server;
    if (server->front_port == 0 || is_drained(server) ||
        sl_process_now(server->engine) >= version->drain_until_us)
        version_stop(version);
    else
        sl_timer_arm(version->timer, DRAIN_CHECK_US);
    server_settled(server);
}

void server_take_over(Server *server)
{
    Version *old = server->live;
    server->live = g_steal_pointer(&server->next);
    server->generation++;
    if (old) {
        old->is_draining = true;
        old->drain_until_us = sl_process_now(server->engine) + version_grace(old);
        sl_timer_arm(old->timer, DRAIN_CHECK_US);
        g_ptr_array_add(server->draining, old);
    }
    server_save(server);
    if (server->front && server->front_port == version_port(server->live))
        server_write_backends(server);
    else
        server_front_ensure(server);
}
