/* context.c - which fleet a command talks to: ~/.config/sluice/config.json
 * {"current": NAME, "fleets": {NAME: {"socket"|"url", "tokenFile", "person", "key", "repository", "state"}}}. */
#include "base/text.h"
#include "cli/private.h"
#include "runtime/atomicfile.h"
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX (1024 * 1024)

void sl_context_free(SlContext *context)
{
    if (context == NULL) {
        return;
    }
    g_free(context->name);
    g_free(context->socket);
    g_free(context->url);
    g_free(context->token_file);
    g_free(context->person);
    g_free(context->key);
    g_free(context->repository);
    g_free(context->state);
    g_free(context);
}

char *sl_config_dir(void)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    return base != NULL && *base == '/'
               ? g_build_filename(base, "sluice", NULL)
               : g_build_filename(home != NULL ? home : "/", ".config", "sluice", NULL);
}

static char *config_path(void)
{
    g_autofree char *dir = sl_config_dir();
    return g_build_filename(dir, "config.json", NULL);
}

static json_t *read_json(const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = sl_file_read(path, CONFIG_MAX, error);
    return bytes != NULL ? sl_json_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                                         NULL, path, error)
                         : NULL;
}

/* The file's tree; an empty one if there is no file. */
static json_t *read_config(GError **error)
{
    g_autofree char *path = config_path();
    g_autoptr(GError) problem = NULL;
    json_t *config = read_json(path, &problem);
    if (config == NULL) {
        if (sl_error_class(problem) == SL_CLASS_NOT_FOUND) {
            return json_object();
        }
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    if (!json_is_object(config)) {
        json_decref(config);
        return sl_throw_null(error, SLU_JSON_TYPE, "%s: must be an object", path);
    }
    return config;
}

static SlContext *from_json(const char *name, const json_t *fleet)
{
    SlContext *context = g_new0(SlContext, 1);
    context->name = g_strdup(name);
    context->socket = g_strdup(sl_json_str(fleet, "socket"));
    context->url = g_strdup(sl_json_str(fleet, "url"));
    context->token_file = g_strdup(sl_json_str(fleet, "tokenFile"));
    context->person = g_strdup(sl_json_str(fleet, "person"));
    context->key = g_strdup(sl_json_str(fleet, "key"));
    context->repository = g_strdup(sl_json_str(fleet, "repository"));
    context->state = g_strdup(sl_json_str(fleet, "state"));
    return context;
}

static void replace(char **field, const char *value)
{
    g_free(*field);
    *field = g_strdup(value);
}

static void apply_options(SlCli *cli, SlContext *context)
{
    const char *socket = sl_cli_option(cli, "socket"), *url = sl_cli_option(cli, "url");
    if (socket != NULL || url != NULL) {
        replace(&context->socket, socket);
        replace(&context->url, url);
    }
    if (sl_cli_option(cli, "token-file") != NULL) {
        replace(&context->token_file, sl_cli_option(cli, "token-file"));
    }
    if (sl_cli_option(cli, "key") != NULL) {
        replace(&context->key, sl_cli_option(cli, "key"));
    }
}

const SlContext *sl_cli_context(SlCli *cli, GError **error)
{
    if (cli->context != NULL) {
        return cli->context;
    }
    g_autoptr(json_t) config = read_config(error);
    if (config == NULL) {
        return NULL;
    }
    const char *name = sl_cli_option(cli, "fleet");
    const char *from_env = getenv("SLUICE_FLEET");
    name = name != NULL                            ? name
           : from_env != NULL && *from_env != '\0' ? from_env
                                                   : sl_json_str(config, "current");
    json_t *fleet = name != NULL ? json_object_get(json_object_get(config, "fleets"), name) : NULL;
    bool by_option = sl_cli_option(cli, "socket") != NULL || sl_cli_option(cli, "url") != NULL ||
                     sl_cli_option(cli, "key") != NULL;
    if (fleet == NULL && !by_option) {
        g_autofree char *path = config_path();
        return name != NULL
                   ? sl_throw_null(error, SLU_NO_CONTEXT, "%s has no fleet `%s`", path, name)
                   : sl_throw_null(error, SLU_NO_CONTEXT, "%s names no fleet", path);
    }
    cli->context = from_json(name != NULL ? name : "(by option)", fleet);
    apply_options(cli, cli->context);
    return cli->context;
}

char *sl_context_model_store(const SlContext *context)
{
    if (context == NULL || context->state == NULL) {
        return NULL;
    }
    g_autofree char *path = g_build_filename(context->state, "coordinator.json", NULL);
    g_autoptr(json_t) config = read_json(path, NULL);
    return g_strdup(sl_json_str(config, "modelStore"));
}

bool sl_context_save(const SlContext *context, GError **error)
{
    g_autoptr(json_t) config = read_config(error);
    g_autofree char *dir = sl_config_dir();
    if (config == NULL || !sl_dir_make(dir, 0700, error)) {
        return false;
    }
    json_t *fleets = json_object_get(config, "fleets");
    if (!json_is_object(fleets)) {
        fleets = json_object();
        json_object_set_new(config, "fleets", fleets);
    }
    json_t *fleet = json_object();
    const struct {
        const char *key, *value;
    } fields[] = {
        {"socket", context->socket}, {"url", context->url}, {"tokenFile", context->token_file},
        {"person", context->person}, {"key", context->key}, {"repository", context->repository},
        {"state", context->state}};
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (fields[i].value != NULL) {
            sl_json_set_str(fleet, fields[i].key, fields[i].value);
        }
    }
    json_object_set_new(fleets, context->name, fleet);
    sl_json_set_str(config, "current", context->name);
    g_autofree char *path = config_path();
    char *text = json_dumps(config, JSON_INDENT(2) | JSON_SORT_KEYS);
    bool ok = sl_file_write_atomic(path, text, strlen(text), 0600, error);
    free(text);
    return ok;
}
