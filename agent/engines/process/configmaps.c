/* configmaps.c - a ConfigMap as files: <state>/config/<app>/<namespace>/<name>/<key>. An edited or
 * deleted file is put back at once. */
#include "agent/engines/process/process.h"
#include "base/digest.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_KEYS_MAX 1024
#define RECORD_MAX (4 * 1024 * 1024)

struct ConfigDir {
    SlEngine *engine;
    SlEngineRef ref; /* owned strings */
    char *key, *dir, *record, *digest;
    json_t *object;
    unsigned watch;
    unsigned repaired;
};

static void config_free(void *data)
{
    ConfigDir *c = data;
    if (c->watch)
        sl_dirwatch_remove(c->engine->watch, c->watch);
    g_free((char *)c->ref.app);
    g_free((char *)c->ref.kind);
    g_free((char *)c->ref.namespace_);
    g_free((char *)c->ref.name);
    g_free(c->key);
    g_free(c->dir);
    g_free(c->record);
    g_free(c->digest);
    json_decref(c->object);
    g_free(c);
}

static ConfigDir *config_new(SlEngine *engine, const SlEngineRef *ref)
{
    ConfigDir *c = g_new0(ConfigDir, 1);
    c->engine = engine;
    c->ref = (SlEngineRef){g_strdup(ref->app), g_strdup(ref->kind), g_strdup(ref->namespace_),
                           g_strdup(ref->name)};
    c->key = sl_process_key(ref);
    c->dir =
        g_build_filename(engine->state_dir, "config", ref->app, ref->namespace_, ref->name, NULL);
    c->record = g_strdup_printf("%s/config/.%s.json", engine->state_dir, c->key);
    return c;
}

char *sl_config_folder(const SlEngine *engine, const char *app, const json_t *object)
{
    const char *ns = sl_json_str(object, "metadata.namespace");
    return g_build_filename(engine->state_dir, "config", app, ns && *ns ? ns : "-", NULL);
}

static bool check_key(const char *key, GError **error)
{
    if (strchr(key, '/'))
        return sl_throw(error, SLU_OBJECT_SPEC, "data: key `%s` must not contain a slash", key);
    return sl_check_relative_path(key, error);
}

static bool write_member(ConfigDir *c, const char *key, const json_t *value, bool binary,
                         unsigned *written, GError **error)
{
    bool wrote = false;
    const char *text = json_string_value(value);
    if (!text || !check_key(key, error))
        return (error && *error) ? sl_prefix(error, "data")
                                 : sl_throw(error, SLU_OBJECT_SPEC, "data.%s: must be text", key);
    g_autoptr(GBytes) bytes =
        binary ? sl_unbase64(text, strlen(text)) : g_bytes_new(text, json_string_length(value));
    if (!bytes)
        return sl_throw(error, SLU_OBJECT_SPEC, "binaryData.%s: is not base64", key);
    if (!sl_files_write_one(c->dir, key, bytes, 0644, &wrote, error))
        return false;
    *written += wrote;
    return true;
}

static unsigned remove_others(ConfigDir *c)
{
    unsigned removed = 0;
    const json_t *data = json_object_get(c->object, "data"),
                 *binary = json_object_get(c->object, "binaryData");
    DIR *dir = opendir(c->dir);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        g_autofree char *path = g_build_filename(c->dir, entry->d_name, NULL);
        if (entry->d_name[0] == '.' || json_object_get(data, entry->d_name) ||
            json_object_get(binary, entry->d_name))
            continue;
        removed += unlink(path) == 0;
    }
    if (dir)
        closedir(dir);
    return removed;
}

static bool write_all(ConfigDir *c, unsigned *ret_written, GError **error)
{
    const char *key;
    json_t *value;
    unsigned written = 0;
    json_t *data = json_object_get(c->object, "data"),
           *binary = json_object_get(c->object, "binaryData");
    if (json_object_size(data) + json_object_size(binary) > CONFIG_KEYS_MAX)
        return sl_throw(error, SLU_LIMIT, "data: more than %d keys", CONFIG_KEYS_MAX);
    if (!sl_dir_make(c->dir, 0755, error))
        return false;
    json_object_foreach(
        data, key, value) if (!write_member(c, key, value, false, &written, error)) return false;
    json_object_foreach(
        binary, key, value) if (!write_member(c, key, value, true, &written, error)) return false;
    *ret_written = written + remove_others(c);
    return true;
}

static void observe(ConfigDir *c, const GError *error)
{
    g_autofree char *message =
        error ? g_strdup(error->message) : g_strdup_printf("%u times put back", c->repaired);
    c->engine->events.observed(
        c->engine->events.user, &c->ref, error ? SL_HEALTH_DEGRADED : SL_HEALTH_HEALTHY,
        error ? "WriteFailed" : "Written", !error && c->repaired == 0 ? "" : message);
}

static void watch_it(ConfigDir *c);

static void changed(void *data)
{
    ConfigDir *c = data;
    unsigned written = 0;
    g_autoptr(GError) error = NULL;
    if (!write_all(c, &written, &error) || written > 0) {
        c->repaired += written;
        sl_log(c->engine->log, SL_LOG_WARNING, "drift-repaired", "object", c->key, "message",
               error ? error->message : "", NULL);
        watch_it(c); /* the folder may be a new one */
        observe(c, error);
    }
}

static void watch_it(ConfigDir *c)
{
    if (c->watch)
        sl_dirwatch_remove(c->engine->watch, c->watch);
    c->watch = sl_dirwatch_add(c->engine->watch, c->dir, changed, c);
}

static bool save(ConfigDir *c, GError **error)
{
    g_autoptr(json_t) record = json_object();
    sl_json_set_str(record, "app", c->ref.app);
    sl_json_set_str(record, "kind", c->ref.kind);
    sl_json_set_str(record, "namespace", c->ref.namespace_);
    sl_json_set_str(record, "name", c->ref.name);
    sl_json_set_str(record, "digest", c->digest);
    json_object_set(record, "object", c->object);
    g_autofree char *text = sl_json_canonical(record, error),
                    *folder = g_path_get_dirname(c->record);
    return text && sl_dir_make(folder, 0700, error) &&
           sl_file_write_atomic(c->record, text, strlen(text), 0600, error);
}

void sl_configs_apply(SlEngine *engine, const SlEngineApply *what)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *key = sl_process_key(&what->ref);
    ConfigDir *c = g_hash_table_lookup(engine->configs, key);
    unsigned written;
    if (!c) {
        c = config_new(engine, &what->ref);
        g_hash_table_insert(engine->configs, c->key, c);
    }
    json_decref(c->object);
    c->object = json_deep_copy(what->object);
    g_free(c->digest);
    c->digest = g_strdup(what->digest);
    if (write_all(c, &written, &error) && save(c, &error))
        watch_it(c);
    engine->events.applied(engine->events.user, &c->ref, c->digest, error);
    observe(c, error);
}

void sl_configs_adopt(SlEngine *engine, const SlEngineApply *what)
{
    g_autofree char *key = sl_process_key(&what->ref);
    ConfigDir *c = g_hash_table_lookup(engine->configs, key);
    if (c)
        observe(c, NULL);
    else
        engine->events.observed(engine->events.user, &what->ref, SL_HEALTH_MISSING, "Missing",
                                "no files of this ConfigMap are here");
}

void sl_configs_remove(SlEngine *engine, const SlEngineRef *ref)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *key = sl_process_key(ref);
    ConfigDir *c = g_hash_table_lookup(engine->configs, key);
    if (c && (sl_dir_remove_tree(c->dir, &error) || sl_error_class(error) == SL_CLASS_NOT_FOUND)) {
        g_clear_error(&error);
        unlink(c->record);
        g_hash_table_remove(engine->configs, key);
    }
    engine->events.removed(engine->events.user, ref, error);
}

static void load_one(SlEngine *engine, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = sl_file_read(path, RECORD_MAX, &error);
    SlJsonLimits limits = {.bytes_max = RECORD_MAX};
    g_autoptr(json_t) record = bytes ? sl_json_parse(g_bytes_get_data(bytes, NULL),
                                                     g_bytes_get_size(bytes), &limits, path, &error)
                                     : NULL;
    SlEngineRef ref = {sl_json_str(record, "app"), sl_json_str(record, "kind"),
                       sl_json_str(record, "namespace"), sl_json_str(record, "name")};
    if (!ref.app || !ref.kind || !ref.namespace_ || !ref.name)
        return;
    ConfigDir *c = config_new(engine, &ref);
    unsigned written = 0;
    c->object = json_deep_copy(json_object_get(record, "object"));
    c->digest = g_strdup(sl_json_str(record, "digest"));
    g_hash_table_replace(engine->configs, c->key, c);
    if (write_all(c, &written, &error))
        watch_it(c);
    else
        sl_log_error(engine->log, "config-load", error);
}

void sl_configs_load(SlEngine *engine)
{
    engine->configs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, config_free);
    g_autofree char *folder = g_build_filename(engine->state_dir, "config", NULL);
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        g_autofree char *path = g_build_filename(folder, entry->d_name, NULL);
        if (entry->d_name[0] == '.' && g_str_has_suffix(entry->d_name, ".json"))
            load_one(engine, path);
    }
    if (dir)
        closedir(dir);
}

void sl_configs_free(SlEngine *engine)
{
    g_clear_pointer(&engine->configs, g_hash_table_unref);
}
