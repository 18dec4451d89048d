/* config.c - see config.h. One table says which keys there are; what is not in it is a mistake. */
#include "coordinator/config.h"
#include "base/text.h"
#include "coordinator/api/api.h"
#include "coordinator/sources/cache.h"
#include "runtime/atomicfile.h"
#include "sluice/clock.h"
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_BYTES_MAX (64 * 1024)
#define DURATION_MIN_US (1 * SL_SECOND_US)
#define DURATION_MAX_US (1 * SL_DAY_US)
#define BALLAST_MIN (1024 * 1024)
#define BALLAST_DEFAULT (64 * 1024 * 1024) /* some thousand batches */
#define BALLAST_MAX (INT64_C(1) << 40)
#define COUNT_MAX 50000 /* above 15,000 agents one ROUTER is not enough */

typedef enum { TEXT, ENDPOINT, ADDRESS, DURATION, FLAG, COUNT, BYTES } Kind;

typedef struct {
    const char *section, *key; /* section NULL = top */
    Kind kind;
    size_t offset;
    bool required, nullable;
} Row;

#define AT(member) offsetof(SlConfig, member)
static const Row rows[] = {
    {NULL, "repository", TEXT, AT(repository), true, false},
    {NULL, "branch", TEXT, AT(branch), false, false},
    {NULL, "caFile", TEXT, AT(ca_file), false, true},
    {NULL, "credentialFile", TEXT, AT(credential_file), false, true},
    {NULL, "person", TEXT, AT(person), true, false},
    {NULL, "poll", DURATION, AT(poll_us), false, false},
    {NULL, "modelStore", TEXT, AT(model_store), false, true},
    {NULL, "ballastBytes", BYTES, AT(ballast_bytes), false, false},
    {"api", "socket", TEXT, AT(api_socket), false, false},
    {"api", "listen", ADDRESS, AT(api_listen), false, true},
    {"api", "requestTimeout", DURATION, AT(api_request_us), false, false},
    {"agents", "listen", ENDPOINT, AT(agents_listen), true, false},
    {"agents", "advertise", ENDPOINT, AT(agents_advertise), false, false},
    {"agents", "max", COUNT, AT(agents_max), false, false},
    {"enrol", "listen", ENDPOINT, AT(enrol_listen), false, true},
    {"enrol", "advertise", ENDPOINT, AT(enrol_advertise), false, false},
    {"stateRemote", "url", TEXT, AT(state_remote), false, false},
    {"stateRemote", "required", FLAG, AT(state_remote_required), false, false},
};
static const char *const sections[] = {"api", "agents", "enrol", "stateRemote"};

static void complain(GString *problems, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void complain(GString *problems, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_string_append(problems, problems->len > 0 ? "\n" : "");
    g_string_append_vprintf(problems, format, args);
    va_end(args);
}

static char *name_of(const Row *row)
{
    return row->section != NULL ? g_strconcat(row->section, ".", row->key, NULL)
                                : g_strdup(row->key);
}

static const Row *find_row(const char *section, const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (g_strcmp0(rows[i].section, section) == 0 && strcmp(rows[i].key, key) == 0)
            return &rows[i];
    return NULL;
}

/* The known key nearest to an unknown one, for the message. */
static const char *near(const char *section, const char *key)
{
    const char *names[G_N_ELEMENTS(rows) + G_N_ELEMENTS(sections) + 1];
    size_t n = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (g_strcmp0(rows[i].section, section) == 0)
            names[n++] = rows[i].key;
    for (size_t i = 0; section == NULL && i < G_N_ELEMENTS(sections); i++)
        names[n++] = sections[i];
    names[n] = NULL;
    return sl_nearest(key, names);
}

static bool is_section(const char *key)
{
    return g_strv_contains((const char *const[]){"api", "agents", "enrol", "stateRemote", NULL},
                           key);
}

static void check_keys(const json_t *object, const char *section, GString *problems)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach ((json_t *)object, key, value) {
        if (section == NULL && is_section(key)) {
            if (json_is_object(value))
                check_keys(value, key, problems);
            else if (!json_is_null(value))
                complain(problems, "%s: must be an object", key);
            continue;
        }
        if (find_row(section, key) != NULL)
            continue;
        const char *nearest = near(section, key);
        complain(problems, "%s%s%s: unknown key%s%s%s", section != NULL ? section : "",
                 section != NULL ? "." : "", key, nearest != NULL ? "; did you mean `" : "",
                 nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "");
    }
}

static bool port_is_fit(const char *text, bool with_scheme)
{
    const char *host = with_scheme ? text + strlen("tcp://") : text;
    if (with_scheme && !g_str_has_prefix(text, "tcp://"))
        return false;
    const char *colon = strrchr(host, ':');
    uint64_t port = 0;
    return colon != NULL && colon > host && sl_parse_uint64(colon + 1, &port) && port > 0 &&
           port < 65536;
}

static void take_value(SlConfig *config, const Row *row, const json_t *value, const char *name,
                       GString *problems)
{
    char *at = (char *)config + row->offset;
    const char *text = json_string_value(value);
    if (row->kind == FLAG) {
        bool flag = json_is_true(value);
        if (!json_is_boolean(value))
            complain(problems, "%s: must be true or false", name);
        memcpy(at, &flag, sizeof flag);
        return;
    }
    if (row->kind == COUNT) {
        size_t count = (size_t)json_integer_value(value);
        if (!json_is_integer(value) || count < 1 || count > COUNT_MAX)
            complain(problems, "%s: must be a number from 1 to %d", name, COUNT_MAX);
        memcpy(at, &count, sizeof count);
        return;
    }
    if (row->kind == BYTES) {
        uint64_t bytes = (uint64_t)json_integer_value(value);
        if (!json_is_integer(value) || bytes < BALLAST_MIN || bytes > BALLAST_MAX)
            complain(problems, "%s: must be a number of bytes from 1 MiB to 1 TiB", name);
        memcpy(at, &bytes, sizeof bytes);
        return;
    }
    if (text == NULL || *text == '\0') {
        complain(problems, "%s: must be a text", name);
        return;
    }
    if (row->kind == DURATION) {
        int64_t us = 0;
        g_autoptr(GError) error = NULL;
        if (!sl_parse_duration(text, &us, &error))
            complain(problems, "%s: %s", name, error->message);
        else if (us < DURATION_MIN_US || us > DURATION_MAX_US)
            complain(problems, "%s: must be between 1s and 1d", name);
        memcpy(at, &us, sizeof us);
        return;
    }
    if (row->kind == ENDPOINT && !port_is_fit(text, true))
        complain(problems, "%s: `%s` is not tcp://HOST:PORT", name, text);
    if (row->kind == ADDRESS && !port_is_fit(text, false))
        complain(problems, "%s: `%s` is not HOST:PORT", name, text);
    char *copy = g_strdup(text);
    char **slot = (char **)(void *)at;
    g_free(*slot);
    *slot = copy;
}

static void take_rows(SlConfig *config, const json_t *json, GString *problems)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const Row *row = &rows[i];
        g_autofree char *name = name_of(row);
        const json_t *parent = row->section != NULL ? json_object_get(json, row->section) : json;
        const json_t *value = json_is_object(parent) ? json_object_get(parent, row->key) : NULL;
        if (value == NULL || (json_is_null(value) && row->nullable)) {
            if (row->required)
                complain(problems, "%s: is missing", name);
            continue;
        }
        take_value(config, row, value, name, problems);
    }
}

static void check_rest(const SlConfig *config, GString *problems)
{
    g_autoptr(GError) error = NULL;
    if (config->repository != NULL && sl_source_find(config->repository) == NULL)
        complain(problems, "repository: `%s` is neither an absolute path nor an http(s) URL",
                 config->repository);
    if (!sl_source_check_branch(config->branch, &error))
        complain(problems, "branch: %s", error->message);
    if (config->person != NULL && !sl_is_name(config->person))
        complain(problems, "person: `%s` is no name (lower-case letters, digits, -)",
                 config->person);
    if (config->api_socket[0] != '/' || strlen(config->api_socket) > 100)
        complain(problems, "api.socket: must be an absolute path of at most 100 bytes");
}

SlConfig *sl_config_paths(const char *dir)
{
    SlConfig *config = g_new0(SlConfig, 1);
    config->dir = g_canonicalize_filename(dir, NULL);
    config->state_git = g_build_filename(config->dir, "state.git", NULL);
    config->blobs_dir = g_build_filename(config->dir, "cache", "blobs", NULL);
    config->sources_dir = g_build_filename(config->dir, "cache", "sources", NULL);
    config->cache_file = g_build_filename(config->dir, "cache", "history.sqlite", NULL);
    config->online_key = g_build_filename(config->dir, "keys", "online", NULL);
    config->curve_key = g_build_filename(config->dir, "keys", "curve", NULL);
    config->api_socket = g_build_filename(config->dir, "api.sock", NULL);
    config->branch = g_strdup("main");
    config->poll_us = 30 * SL_SECOND_US;
    config->api_request_us = SL_API_REQUEST_US;
    config->ballast_bytes = BALLAST_DEFAULT;
    return config;
}

/* sluice-git lies beside this program. */
static char *find_git_program(void)
{
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0)
        return g_strdup("/usr/bin/sluice-git");
    self[len] = '\0';
    g_autofree char *folder = g_path_get_dirname(self);
    return g_build_filename(folder, "sluice-git", NULL);
}

SlConfig *sl_config_load(const char *dir, GError **error)
{
    g_autoptr(SlConfig) config = sl_config_paths(dir);
    g_autofree char *path = g_build_filename(config->dir, "coordinator.json", NULL);
    g_autoptr(GError) inner = NULL;
    g_autoptr(GBytes) bytes = sl_file_read(path, CONFIG_BYTES_MAX, &inner);
    if (bytes == NULL)
        return sl_throw_null(error, SLU_CONFIG_MISSING, "%s", inner->message);
    gsize len = 0;
    const char *text = g_bytes_get_data(bytes, &len);
    g_autoptr(json_t) json = sl_json_parse(text, len, NULL, path, &inner);
    if (json == NULL)
        return sl_throw_null(error, SLU_CONFIG_INVALID, "%s", inner->message);
    if (!json_is_object(json))
        return sl_throw_null(error, SLU_CONFIG_INVALID, "%s: must be a JSON object", path);
    g_autoptr(GString) problems = g_string_new(NULL);
    check_keys(json, NULL, problems);
    take_rows(config, json, problems);
    check_rest(config, problems);
    if (problems->len > 0)
        return sl_throw_null(error, SLU_CONFIG_INVALID, "%s:\n%s", path, problems->str);
    if (config->agents_advertise == NULL)
        config->agents_advertise = g_strdup(config->agents_listen);
    if (config->enrol_listen != NULL && config->enrol_advertise == NULL)
        config->enrol_advertise = g_strdup(config->enrol_listen);
    config->git_path = find_git_program();
    return g_steal_pointer(&config);
}

void sl_config_free(SlConfig *config)
{
    if (config == NULL)
        return;
    char *const all[] = {config->dir,          config->repository,      config->branch,
                         config->ca_file,      config->credential_file, config->api_socket,
                         config->api_listen,   config->agents_listen,   config->agents_advertise,
                         config->enrol_listen, config->enrol_advertise, config->person,
                         config->model_store,  config->state_remote,    config->state_git,
                         config->blobs_dir,    config->sources_dir,     config->cache_file,
                         config->online_key,   config->curve_key,       config->git_path};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        g_free(all[i]);
    g_free(config);
}
