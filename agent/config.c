/* config.c - agent.json: unknown keys are errors, every value is checked before anything starts. */
#include "agent/config.h"
#include "base/digest.h"
#include "base/text.h"
#include "runtime/atomicfile.h"
#include <string.h>

typedef enum { CONF_NAME, CONF_HEX, CONF_TEXT, CONF_PATH } ConfType;
typedef struct {
    const char *key;
    size_t offset;
    ConfType type;
    bool required;
} ConfRow;

#define ROW(key, field, type, required)                                                            \
    {                                                                                              \
        key, offsetof(SlAgentConf, field), type, required                                          \
    }
static const ConfRow rows[] = {
    ROW("cluster", cluster, CONF_NAME, true),
    ROW("environment", env, CONF_NAME, true),
    ROW("fleet", fleet, CONF_HEX, true),
    ROW("root", root, CONF_HEX, true),
    ROW("coordinator", coordinator, CONF_TEXT, true),
    ROW("curve", curve, CONF_HEX, true),
    ROW("engine", engine, CONF_NAME, true),
    ROW("modelStore", model_store, CONF_PATH, false),
    ROW("exec", exec, CONF_PATH, false),
    ROW("logLevel", log_level, CONF_NAME, false),
};

static bool check_value(const ConfRow *row, const char *text, GError **error)
{
    switch (row->type) {
    case CONF_NAME:
        return sl_is_name(text) || sl_throw(error, SLU_AGENT_CONFIG,
                                            "agent.json: %s: `%s` is not a name", row->key, text);
    case CONF_HEX:
        return sl_is_hex_digest(text) ||
               sl_throw(error, SLU_AGENT_CONFIG, "agent.json: %s: must be 64 hex digits", row->key);
    case CONF_PATH:
        return g_path_is_absolute(text) ||
               sl_throw(error, SLU_AGENT_CONFIG, "agent.json: %s: `%s` is not an absolute path",
                        row->key, text);
    case CONF_TEXT:
        break;
    }
    return *text != '\0' ||
           sl_throw(error, SLU_AGENT_CONFIG, "agent.json: %s: must not be empty", row->key);
}

static bool read_row(const ConfRow *row, const json_t *j, SlAgentConf *conf, GError **error)
{
    const json_t *value = json_object_get(j, row->key);
    if (!value && !row->required)
        return true;
    if (!json_is_string(value))
        return sl_throw(error, SLU_AGENT_CONFIG, "agent.json: %s: %s", row->key,
                        value ? "must be text" : "is missing");
    if (!check_value(row, json_string_value(value), error))
        return false;
    *(char **)(void *)((char *)conf + row->offset) = g_strdup(json_string_value(value));
    return true;
}

static bool check_keys(const json_t *j, GError **error)
{
    const char *key;
    json_t *value;
    const char *known[G_N_ELEMENTS(rows) + 4] = {"format", "engines", "secrets"};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        known[i + 3] = rows[i].key;
    json_object_foreach((json_t *)j, key, value)
    {
        const char *near = sl_nearest(key, known);
        if (!g_strv_contains(known, key))
            return sl_throw(error, SLU_AGENT_CONFIG, "agent.json: unknown key `%s`%s%s%s", key,
                            near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
    }
    return true;
}

SlAgentConf *sl_agent_conf_load(const char *dir, GError **error)
{
    g_autoptr(SlAgentConf) conf = g_new0(SlAgentConf, 1);
    g_autoptr(GError) why = NULL;
    conf->dir = g_canonicalize_filename(dir, NULL);
    g_autofree char *path = sl_agent_conf_path(conf, "agent.json");
    g_autoptr(GBytes) bytes = sl_file_read(path, SL_AGENT_CONFIG_MAX, &why);
    if (!bytes && sl_error_class(why) == SL_CLASS_NOT_FOUND)
        return sl_throw_null(error, SLU_FILE_MISSING,
                             "%s has no agent.json: run `sluice-agent join --dir %s` first",
                             dir, dir);
    if (!bytes) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    g_autoptr(json_t) j =
        sl_json_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), NULL, path, error);
    if (!j)
        return NULL;
    if (!json_is_object(j) || sl_json_int(j, "format", 0) != 1)
        return sl_throw_null(error, SLU_AGENT_CONFIG, "%s: format must be 1", path);
    if (!check_keys(j, error))
        return NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!read_row(&rows[i], j, conf, error))
            return NULL;
    conf->engines = json_deep_copy(json_object_get(j, "engines"));
    conf->secrets = json_deep_copy(json_object_get(j, "secrets"));
    return g_steal_pointer(&conf);
}

bool sl_agent_conf_save(const SlAgentConf *conf, GError **error)
{
    g_autoptr(json_t) j = json_object();
    sl_json_set_int(j, "format", 1);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *text = *(char *const *)(const void *)((const char *)conf + rows[i].offset);
        if (text && !check_value(&rows[i], text, error))
            return false;
        if (text)
            sl_json_set_str(j, rows[i].key, text);
    }
    json_object_set_new(j, "engines",
                        conf->engines ? json_deep_copy(conf->engines) : json_object());
    json_object_set_new(j, "secrets",
                        conf->secrets ? json_deep_copy(conf->secrets) : json_object());
    char *dumped = json_dumps(j, JSON_INDENT(2) | JSON_SORT_KEYS);
    g_autofree char *path = sl_agent_conf_path(conf, "agent.json"),
                    *text = g_strconcat(dumped, "\n", NULL);
    free(dumped);
    return sl_file_write_atomic(path, text, strlen(text), 0600, error);
}

void sl_agent_conf_free(SlAgentConf *conf)
{
    if (!conf)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_free(*(char **)(void *)((char *)conf + rows[i].offset));
    g_free(conf->dir);
    json_decref(conf->engines);
    json_decref(conf->secrets);
    g_free(conf);
}

char *sl_agent_conf_path(const SlAgentConf *conf, const char *name)
{
    return g_build_filename(conf->dir, name, NULL);
}

json_t *sl_agent_conf_options(const SlAgentConf *conf)
{
    const json_t *own = json_object_get(conf->engines, conf->engine);
    json_t *options = own ? json_deep_copy(own) : json_object();
    if (conf->secrets)
        json_object_set(options, "secrets", conf->secrets);
    return options;
}
