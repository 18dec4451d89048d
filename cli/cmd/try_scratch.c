/* try_scratch.c - what the working tree does not have is given on the command line: folders for inputs, files for secrets. Then the
 * scratch folder, which is all that `sluice-agent try` sees. */
#include "base/text.h"
#include "cli/cmd/try.h"
#include "runtime/atomicfile.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* NAME=PATH pairs of an option: name -> absolute path; each path must be there. */
static GHashTable *pairs_of(SlCli *cli, const char *option, bool folder, GError **error)
{
    g_autoptr(GHashTable) pairs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (const char *const *each = sl_cli_option_all(cli, option); *each != NULL; each++) {
        const char *equals = strchr(*each, '=');
        g_autofree char *name =
            equals != NULL ? g_strndup(*each, (size_t)(equals - *each)) : g_strdup("");
        g_autofree char *path = equals != NULL ? g_canonicalize_filename(equals + 1, NULL) : NULL;
        struct stat info;
        if (path == NULL || !sl_is_name(name)) {
            return sl_throw_null(error, SLU_INVALID, "--%s %s: must be NAME=%s", option, *each,
                                 folder ? "DIR" : "FILE");
        }
        if (stat(path, &info) != 0) {
            return sl_throw_null(error, SLU_NOT_FOUND, "--%s %s: %s: %s", option, name, path,
                                 g_strerror(errno));
        }
        if (folder != (bool)S_ISDIR(info.st_mode)) {
            return sl_throw_null(error, SLU_INVALID, "--%s %s: %s is %s", option, name, path,
                                 folder ? "no folder" : "a folder");
        }
        g_hash_table_replace(pairs, g_steal_pointer(&name), g_steal_pointer(&path));
    }
    return g_steal_pointer(&pairs);
}

static const char *digest_of(const json_t *input)
{
    const char *model = sl_json_str_or(input, "model", "");
    const char *at = strstr(model, "sha256:");
    return at != NULL ? at + strlen("sha256:") : "";
}

/* Given folders leave `inputs` and become plain variables; the others come from the model store or are missing. */
static void place_inputs(const SlTryJob *job, GHashTable *given, GString *missing)
{
    json_t *spec = json_object_get(job->object, "spec"), *input = NULL, *left = json_array(),
           *env = json_object_get(spec, "env");
    size_t i = 0;
    if (!json_is_array(env)) {
        env = json_array();
        json_object_set_new(spec, "env", env);
    }
    json_array_foreach (json_object_get(spec, "inputs"), i, input) {
        const char *name = sl_json_str_or(input, "name", "model");
        const char *folder = g_hash_table_lookup(given, name),
                   *item = g_hash_table_lookup(job->items, digest_of(input));
        g_autofree char *variable = sl_env_name("SLUICE_INPUT_", name);
        if (folder != NULL) {
            json_array_append_new(env, json_pack("{s:s,s:s}", "name", variable, "value", folder));
            g_hash_table_remove(given, name);
        } else if (item != NULL) {
            g_string_append_printf(missing,
                                   "%sinput `%s` (item `%s`): give a folder with --input %s=DIR",
                                   missing->len > 0 ? "; " : "", name, item, name);
        } else {
            json_array_append(left, input);
        }
    }
    json_object_set_new(spec, "inputs", left);
}

static void place_secrets(const SlTryJob *job, GHashTable *given, json_t *secrets, GString *missing)
{
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (sl_json_at(job->object, "spec.env"), i, each) {
        const char *secret = sl_json_str(each, "secret"),
                   *file = secret != NULL ? g_hash_table_lookup(given, secret) : NULL;
        if (file != NULL) {
            json_object_set_new(secrets, secret, json_pack("{s:s}", "file", file));
        } else if (secret != NULL) {
            g_string_append_printf(
                missing, "%ssecret `%s` (for %s): give a file of mode 0600 with --secret %s=FILE",
                missing->len > 0 ? "; " : "", secret, sl_json_str_or(each, "name", "?"), secret);
        }
    }
}

static bool nothing_left(GHashTable *given, const char *what, GError **error)
{
    GHashTableIter iter;
    gpointer name = NULL;
    g_hash_table_iter_init(&iter, given);
    return !g_hash_table_iter_next(&iter, &name, NULL) ||
           sl_throw(error, SLU_INVALID, "--%s %s: the job has no %s of that name", what,
                    (char *)name, what);
}

/* One machine without the promised hardware is still good enough to try. */
static void fit_to_here(SlCli *cli, const SlTryJob *job)
{
    json_t *spec = json_object_get(job->object, "spec"),
           *resources = json_object_get(spec, "resourcesPerNode");
    int64_t nodes = sl_json_int(spec, "numNodes", 1);
    if (nodes > 1) {
        fprintf(stderr, "note: runs on one node here, not on %" G_GINT64_FORMAT "\n", nodes);
        sl_json_set_int(spec, "numNodes", 1);
    }
    if (g_strcmp0(sl_cli_option(cli, "gpus"), "none") == 0 &&
        sl_json_int(resources, "gpu", 0) > 0) {
        fprintf(stderr, "note: runs without the %" G_GINT64_FORMAT " GPUs that it asks for\n",
                sl_json_int(resources, "gpu", 0));
        sl_json_set_int(resources, "gpu", 0);
    }
}

bool sl_try_complete(SlCli *cli, SlTryJob *job, json_t **ret_secrets, GError **error)
{
    g_autoptr(GHashTable) inputs = pairs_of(cli, "input", true, error);
    g_autoptr(GHashTable) secrets = inputs != NULL ? pairs_of(cli, "secret", false, error) : NULL;
    g_autoptr(json_t) found = json_object();
    g_autoptr(GString) missing = g_string_new(NULL);
    if (secrets == NULL) {
        return false;
    }
    place_secrets(job, secrets, found, missing);
    place_inputs(job, inputs, missing);
    if (missing->len > 0) {
        return sl_throw(error, SLU_INVALID, "%s/%s cannot start: %s", job->app, job->job,
                        missing->str);
    }
    if (!nothing_left(inputs, "input", error)) {
        return false;
    }
    fit_to_here(cli, job);
    *ret_secrets = g_steal_pointer(&found);
    return true;
}

/* ---- the folder ---- */

static char *make_dir(SlCli *cli, const SlTryJob *job, GError **error)
{
    const char *given = sl_cli_option(cli, "dir"), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (given != NULL) {
        g_autofree char *path = g_canonicalize_filename(given, NULL);
        if (!sl_dir_make(path, 0700, error)) {
            return NULL;
        }
        /* rmdir tells empty from not empty without a second look */
        return rmdir(path) == 0 && mkdir(path, 0700) == 0
                   ? g_steal_pointer(&path)
                   : sl_throw_null(error, SLU_EXISTS, "%s: is not empty", path);
    }
    g_autofree char *base =
        cache != NULL && *cache == '/'
            ? g_build_filename(cache, "sluice", "try", NULL)
            : g_build_filename(home != NULL ? home : "/tmp", ".cache", "sluice", "try", NULL);
    g_autofree char *path = g_strdup_printf("%s/%s-%s-XXXXXX", base, job->app, job->job);
    if (!sl_dir_make(base, 0700, error)) {
        return NULL;
    }
    return mkdtemp(path) != NULL ? g_steal_pointer(&path)
                                 : sl_throw_null(error, SLU_IO, "%s: %s", path, g_strerror(errno));
}

static bool write_blobs(const SlTryJob *job, const char *dir, GError **error)
{
    size_t i = 0;
    json_t *file = NULL;
    g_autofree char *blobs = g_build_filename(dir, "blobs", NULL);
    if (!sl_dir_make(blobs, 0700, error)) {
        return false;
    }
    json_array_foreach (sl_json_at(job->object, "spec.files"), i, file) {
        const char *digest = sl_json_str_or(file, "sha256", "");
        GBytes *bytes = g_hash_table_lookup(job->rendered->blobs, digest);
        g_autofree char *path = g_build_filename(blobs, digest, NULL);
        if (bytes == NULL || !sl_file_write_atomic(path, g_bytes_get_data(bytes, NULL),
                                                   g_bytes_get_size(bytes), 0600, error)) {
            return bytes != NULL ||
                   sl_throw(error, SLU_INTERNAL, "file %s was not rendered", digest);
        }
    }
    return true;
}

static char *model_store(SlCli *cli)
{
    const char *given = sl_cli_option(cli, "model-store");
    const SlContext *context = given == NULL ? sl_cli_context(cli, NULL) : NULL;
    if (given != NULL) {
        return g_canonicalize_filename(given, NULL);
    }
    return sl_context_model_store(context);
}

char *sl_try_scratch(SlCli *cli, const SlTryJob *job, json_t *secrets, GError **error)
{
    g_autofree char *dir = make_dir(cli, job, error);
    g_autofree char *path = dir != NULL ? g_build_filename(dir, "try.json", NULL) : NULL,
                    *store = model_store(cli);
    g_autoptr(json_t) doc = json_object();
    if (dir == NULL || !write_blobs(job, dir, error)) {
        return NULL;
    }
    sl_json_set_int(doc, "format", 1);
    sl_json_set_str(doc, "app", job->app);
    sl_json_set_str(doc, "env", job->env);
    sl_json_set_str(doc, "job", job->job);
    sl_json_set_str(doc, "runKey", job->run_key);
    sl_json_set_str(doc, "gpus",
                    sl_cli_option(cli, "gpus") != NULL ? sl_cli_option(cli, "gpus") : "all");
    sl_json_set_bool(doc, "log", sl_cli_flag(cli, "log"));
    if (store != NULL) {
        sl_json_set_str(doc, "modelStore", store);
    }
    json_object_set(doc, "secrets", secrets);
    json_object_set(doc, "object", job->object);
    g_autofree char *text = sl_json_canonical(doc, error);
    bool ok = text != NULL && sl_file_write_atomic(path, text, strlen(text), 0600, error);
    return ok ? g_steal_pointer(&dir) : NULL;
}
