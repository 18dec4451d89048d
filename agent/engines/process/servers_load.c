/* servers_load.c - after a restart of the agent: servers go on, fronts go on, and whatever was
 * under way is finished. */
#include "agent/engines/process/server.h"
#include "base/digest.h"
#include "runtime/atomicfile.h"
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#define JOURNAL_MAX (8 * 1024 * 1024) /* a few versions of at most 1 MiB */

static bool is_running(const Instance *instance)
{
    int pidfd;
    SlShimState state = sl_shim_look(instance->dir, &pidfd);
    if (pidfd >= 0)
        close(pidfd);
    return state == SL_SHIM_RUNNING;
}

static Version *restore_version(Server *server, const json_t *j)
{
    size_t i;
    json_t *item;
    const char *digest = sl_json_str(j, "digest");
    if (!sl_is_hex_digest(digest) || !json_is_object(json_object_get(j, "object")))
        return NULL;
    Version *version = version_new(server, digest, json_object_get(j, "object"));
    version->since_us = sl_json_int(j, "since", version->since_us);
    json_array_foreach(json_object_get(j, "instances"), i, item)
    {
        uint64_t serial = (uint64_t)sl_json_int(item, "serial", 0);
        Instance *instance = instance_new(version, serial, (uint16_t)sl_json_int(item, "port", 0));
        server->serial = MAX(server->serial, serial);
        g_ptr_array_add(version->instances, instance);
        if (is_running(instance))
            instance_launch(instance);
    }
    return version;
}

static void restore_draining(Server *server, Version *version)
{
    version->is_draining = true;
    g_ptr_array_add(server->draining, version);
    for (guint i = 0; i < version->instances->len; i++) {
        Instance *instance = g_ptr_array_index(version->instances, i);
        if (!instance->shim)
            instance_stop(instance); /* gone already: only its folder is left */
    }
    version->drain_until_us = sl_process_now(server->engine) + version_grace(version);
    if (server->removing)
        version_stop(version);
    sl_timer_arm(version->timer, 0);
}

static Server *restore(SlEngine *engine, const json_t *j)
{
    SlEngineRef ref = {sl_json_str(j, "app"), sl_json_str(j, "kind"), sl_json_str(j, "namespace"),
                       sl_json_str(j, "name")};
    size_t i;
    json_t *item;
    if (!ref.app || !ref.kind || !ref.namespace_ || !ref.name)
        return NULL;
    Server *server = sl_servers_make(engine, &ref);
    server->serial = (uint64_t)sl_json_int(j, "serial", 0);
    server->generation = (uint64_t)sl_json_int(j, "generation", 0);
    server->removing = sl_json_bool(j, "removing", false);
    json_array_foreach(json_object_get(j, "versions"), i, item)
    {
        const char *role = sl_json_str_or(item, "role", "draining");
        Version *version = restore_version(server, item);
        if (version && strcmp(role, "live") == 0 && !server->live)
            server->live = version;
        else if (version && strcmp(role, "next") == 0 && !server->next)
            server->next = version;
        else if (version)
            restore_draining(server, version);
    }
    return server;
}

static void load_one(SlEngine *engine, const char *name)
{
    g_autoptr(GError) error = NULL;
    SlJsonLimits limits = {.bytes_max = JOURNAL_MAX};
    g_autofree char *path =
        g_build_filename(engine->state_dir, "servers", name, "server.json", NULL);
    g_autoptr(GBytes) bytes = sl_file_read(path, JOURNAL_MAX, &error);
    g_autoptr(json_t) j = bytes ? sl_json_parse(g_bytes_get_data(bytes, NULL),
                                                g_bytes_get_size(bytes), &limits, path, &error)
                                : NULL;
    Server *server = j ? restore(engine, j) : NULL;
    if (!server) {
        if (error)
            sl_log_error(engine->log, "server-load", error);
        return;
    }
    g_hash_table_insert(engine->servers, server->key, server);
    if (server->removing) {
        server_front_stop(server);
        server_changed(server); /* settles on the next turn */
        return;
    }
    server_front_ensure(server);
    if (server->live)
        version_prepare(server->live);
    if (server->next)
        version_prepare(server->next);
}

void sl_servers_load(SlEngine *engine)
{
    engine->servers = sl_servers_table();
    g_autofree char *folder = g_build_filename(engine->state_dir, "servers", NULL);
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            load_one(engine, entry->d_name);
    if (dir)
        closedir(dir);
}
