/* try_render.c - which job is meant, and its object out of the working tree as a first commit would render it; nothing is asked of a
 * coordinator. Items that only a run can fill get made-up digests, so that their jobs are not withheld. */
#include "base/digest.h"
#include "base/text.h"
#include "cli/cmd/try.h"
#include "cli/foldertree.h"
#include "core/registry.h"
#include "runtime/atomicfile.h"
#include <string.h>
#include <sys/stat.h>

#define MANIFEST_MAX (1024 * 1024)

/* ---- a tree with documents of our own on top ---- */

typedef struct {
    SlTree tree;
    SlTree *inner;
    GBytes *documents;
} Overlay;

static GPtrArray *overlay_list(void *user, const char *path, GError **error)
{
    Overlay *o = user;
    GPtrArray *entries = o->inner->list(o->inner->user, path, error);
    for (unsigned i = 0; entries != NULL && *path == '\0' && i < entries->len;) {
        const SlTreeEntry *entry = g_ptr_array_index(entries, i);
        bool hidden = strcmp(entry->name, "fleet") == 0 || strcmp(entry->name, "sluice.yaml") == 0;
        hidden ? (void)g_ptr_array_remove_index(entries, i) : (void)i++;
    }
    if (entries != NULL && *path == '\0') {
        SlTreeEntry *entry = g_new0(SlTreeEntry, 1);
        unsigned at = 0;
        entry->name = g_strdup("sluice.yaml");
        entry->mode = SL_TREE_FILE;
        entry->size = g_bytes_get_size(o->documents);
        while (at < entries->len &&
               strcmp(((SlTreeEntry *)g_ptr_array_index(entries, at))->name, entry->name) < 0) {
            at++;
        }
        g_ptr_array_insert(entries, (int)at, entry);
    }
    return entries;
}

static GBytes *overlay_read(void *user, const char *path, size_t max, GError **error)
{
    Overlay *o = user;
    return strcmp(path, "sluice.yaml") == 0 ? g_bytes_ref(o->documents)
                                            : o->inner->read(o->inner->user, path, max, error);
}

static void overlay_free(Overlay *o)
{
    if (o->inner != NULL) {
        sl_folder_tree_free(o->inner);
    }
    g_bytes_unref(o->documents);
    g_free(o);
}

void sl_try_clear(SlTryJob *job)
{
    sl_rendered_free(job->rendered);
    if (job->overlay != NULL) {
        job->local.tree = NULL;
        overlay_free((Overlay *)job->overlay->user);
    }
    sl_local_clear(&job->local);
    g_free(job->app);
    g_free(job->env);
    g_free(job->job);
    g_free(job->run_key);
    json_decref(job->object);
    g_clear_pointer(&job->items, g_hash_table_unref);
    *job = (SlTryJob){0};
}

/* ---- rendering one environment ---- */

static GPtrArray *made_up_clusters(const SlAppEnv *where, const char *env)
{
    GPtrArray *clusters = g_ptr_array_new_with_free_func((GDestroyNotify)sl_cluster_free);
    for (unsigned i = 0; i < where->parts->len; i++) {
        const SlPart *part = g_ptr_array_index(where->parts, i);
        SlCluster *cluster = g_new0(SlCluster, 1);
        cluster->id = g_strdup_printf("%s%u", env, i + 1);
        cluster->name = g_strdup(cluster->id);
        cluster->engine = g_strdup("process");
        cluster->labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        GHashTableIter iter;
        gpointer name = NULL, value = NULL;
        g_hash_table_iter_init(&iter, part->match_labels);
        while (g_hash_table_iter_next(&iter, &name, &value)) {
            g_hash_table_insert(cluster->labels, g_strdup(name), g_strdup(value));
        }
        g_ptr_array_add(clusters, cluster);
    }
    return clusters;
}

/* A digest that no content has, for what only a run can fill. */
static void fill_items(SlTryJob *job, GPtrArray *items)
{
    for (unsigned i = 0; i < items->len; i++) {
        SlItemValue *item = g_ptr_array_index(items, i);
        if (item->digest == NULL) {
            g_autofree char *text = g_strconcat("sluice try: item ", item->name, NULL);
            item->digest = sl_sha256_hex(text, strlen(text));
            g_hash_table_replace(job->items, g_strdup(item->digest), g_strdup(item->name));
        }
    }
}

static const SlRenderedJob *find_job(const SlRendered *rendered, const char *name)
{
    for (unsigned i = 0; rendered != NULL && i < rendered->jobs->len; i++) {
        const SlRenderedJob *each = g_ptr_array_index(rendered->jobs, i);
        if (strcmp(each->name, name) == 0 &&
            strcmp(each->object_kind, SL_API_GROUP "/TrainingJob") == 0) {
            return each;
        }
    }
    return NULL;
}

/* True if @env has the job; its problems go to the local ones only then, or if it can't be rendered at all. */
static bool render_in(SlTryJob *job, const SlApplicationDoc *app, const char *env)
{
    const SlAppEnv *where = sl_app_env(app, env);
    if (where == NULL) {
        return false;
    }
    g_autoptr(GPtrArray) items = sl_local_items(&job->local, app);
    g_autoptr(GPtrArray) clusters = made_up_clusters(where, env);
    fill_items(job, items);
    SlRenderAsk ask = {.docs = job->local.docs,
                       .app = app,
                       .env = env,
                       .tree = job->local.tree,
                       .items = items,
                       .clusters = clusters};
    g_autoptr(SlRendered) rendered = sl_render_unit(&ask, job->local.problems);
    const SlRenderedJob *found = find_job(rendered, job->job);
    if (found == NULL) {
        return false;
    }
    size_t len = 0;
    const char *text = g_bytes_get_data(g_hash_table_lookup(rendered->blobs, found->digest), &len);
    job->object = sl_json_parse(text, len, NULL, "object", NULL);
    job->run_key = g_strdup(found->run_key);
    job->env = g_strdup(env);
    job->rendered = g_steal_pointer(&rendered);
    return job->object != NULL;
}

static bool render_job(SlCli *cli, SlTryJob *job, GError **error)
{
    const char *env = sl_cli_option(cli, "env");
    const SlApplicationDoc *app =
        job->local.docs != NULL ? sl_fleet_app(job->local.docs, job->app) : NULL;
    if (app == NULL) {
        return sl_throw(error, SLU_NOT_FOUND, "the documents have no application `%s`", job->app);
    }
    if (app->repository != NULL) {
        return sl_throw(error, SLU_UNSUPPORTED,
                        "application `%s` has its files in repository `%s`: try its manifest there",
                        job->app, app->repository);
    }
    for (unsigned i = 0; job->object == NULL && i < job->local.docs->environments->len; i++) {
        const SlEnvironmentDoc *each = g_ptr_array_index(job->local.docs->environments, i);
        if ((env == NULL || strcmp(env, each->name) == 0) && render_in(job, app, each->name)) {
            return true;
        }
    }
    return sl_throw(error, SLU_NOT_FOUND, "%s has no TrainingJob `%s`%s%s", job->app, job->job,
                    env != NULL ? " in environment " : " in any environment",
                    env != NULL ? env : "");
}

/* ---- a manifest file ---- */

/* Names of the TrainingJobs in a file, of the items that they name, and the folders of their files. */
static GPtrArray *jobs_of(const char *path, GHashTable *items, GHashTable *folders, GError **error)
{
    g_autoptr(GBytes) text = sl_file_read(path, MANIFEST_MAX, error);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(GPtrArray) docs = text != NULL ? sl_yaml_read(path, text, false, problems) : NULL;
    for (unsigned i = 0; docs != NULL && i < docs->len; i++) {
        const json_t *doc = sl_yaml_json(g_ptr_array_index(docs, i));
        size_t n = 0;
        json_t *input = NULL;
        if (strcmp(sl_json_str_or(doc, "kind", ""), "TrainingJob") != 0) {
            continue;
        }
        g_ptr_array_add(names, g_strdup(sl_json_str_or(doc, "metadata.name", "")));
        if (sl_json_str(doc, "spec.files.from") != NULL) {
            g_hash_table_add(folders, g_strdup(sl_json_str(doc, "spec.files.from")));
        }
        json_array_foreach (sl_json_at(doc, "spec.inputs"), n, input) {
            const char *model = sl_json_str_or(input, "model", "");
            model = g_str_has_prefix(model, "model://") ? model + strlen("model://") : model;
            if (sl_is_name(model)) {
                g_hash_table_add(items, g_strdup(model));
            }
        }
    }
    return names;
}

/* Fleet, Environment and Application around one manifest. (transfer full) */
static char *made_up_documents(const char *folder, const char *file, GHashTable *items,
                               GHashTable *folders)
{
    g_autoptr(json_t) source = json_pack("{s:s}", "path", folder), list = json_array(),
                      paths = json_pack("[s]", file);
    GHashTableIter iter;
    gpointer name = NULL;
    g_hash_table_iter_init(&iter, folders);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        json_array_append_new(paths, json_string(name));
    }
    g_hash_table_iter_init(&iter, items);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_autofree char *text = g_strconcat("sluice try: item ", (char *)name, NULL);
        g_autofree char *hex = sl_sha256_hex(text, strlen(text));
        g_autofree char *digest = g_strconcat("sha256:", hex, NULL);
        json_array_append_new(list, json_pack("{s:s,s:s,s:{s:s}}", "name", (char *)name, "kind",
                                              "model", "from", "digest", digest));
    }
    g_autofree char *source_text = sl_json_canonical(source, NULL),
                    *items_text = sl_json_canonical(list, NULL),
                    *paths_text = sl_json_canonical(paths, NULL);
    return g_strdup_printf(
        "apiVersion: " SL_API_VERSION "\nkind: Fleet\nmetadata: {name: try}\n---\n"
        "apiVersion: " SL_API_VERSION
        "\nkind: Environment\nmetadata: {name: try}\nspec: {promotion: manual}\n---\n"
        "apiVersion: " SL_API_VERSION "\nkind: Application\nmetadata: {name: try}\nspec:\n"
        "  source: %s\n  items: %s\n  environments: {try: {parts: [{paths: %s}]}}\n",
        source_text, items_text, paths_text);
}

static bool open_overlay(SlTryJob *job, const char *path, GHashTable *items, GHashTable *folders,
                         GError **error)
{
    g_autofree char *file = g_path_get_basename(path), *folder = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(folder), *parent = g_path_get_dirname(folder);
    GHashTableIter iter;
    gpointer item = NULL;
    if (strcmp(folder, "/") == 0) {
        return sl_throw(error, SLU_INVALID, "%s: give the manifest a folder of its own", path);
    }
    Overlay *overlay = g_new0(Overlay, 1);
    char *documents = made_up_documents(name, file, items, folders);
    job->overlay = &overlay->tree;
    overlay->documents = g_bytes_new_take(documents, strlen(documents));
    overlay->inner = sl_folder_tree_new(parent, error);
    overlay->tree = (SlTree){.user = overlay, .list = overlay_list, .read = overlay_read};
    if (overlay->inner == NULL) {
        return false;
    }
    g_hash_table_iter_init(&iter, items);
    while (g_hash_table_iter_next(&iter, &item, NULL)) {
        g_autofree char *text = g_strconcat("sluice try: item ", (char *)item, NULL);
        g_hash_table_replace(job->items, sl_sha256_hex(text, strlen(text)), g_strdup(item));
    }
    job->local.tree = job->overlay;
    job->local.problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    job->local.docs = sl_fleet_read(job->overlay, job->local.problems);
    job->app = g_strdup("try");
    return true;
}

static bool part_has(const SlApplicationDoc *app, const char *relative)
{
    for (unsigned e = 0; e < app->environments->len; e++) {
        const SlAppEnv *env = g_ptr_array_index(app->environments, e);
        for (unsigned p = 0; p < env->parts->len; p++) {
            const SlPart *part = g_ptr_array_index(env->parts, p);
            for (char **path = part->paths; *path != NULL; path++) {
                size_t len = strlen(*path);
                if (len == 0 || (strncmp(relative, *path, len) == 0 &&
                                 (relative[len] == '/' || relative[len] == '\0'))) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* The application of the fleet around a manifest that takes the file in. */
static bool open_owner(SlTryJob *job, const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *fleet = sl_find_fleet_folder(folder, NULL);
    g_autofree char *top = fleet != NULL ? g_canonicalize_filename(fleet, NULL) : NULL;
    SlTree *tree =
        top != NULL && g_str_has_prefix(path, top) ? sl_folder_tree_new(top, NULL) : NULL;
    if (tree == NULL) {
        return false;
    }
    job->local.tree = tree;
    job->local.problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    job->local.docs = sl_fleet_read(tree, job->local.problems);
    const char *relative = path + strlen(top);
    relative += *relative == '/' ? 1 : 0;
    for (unsigned i = 0; job->local.docs != NULL && i < job->local.docs->applications->len; i++) {
        const SlApplicationDoc *app = g_ptr_array_index(job->local.docs->applications, i);
        size_t len = strlen(app->path);
        bool inside = len == 0 || (strncmp(relative, app->path, len) == 0 && relative[len] == '/');
        if (app->repository == NULL && inside &&
            part_has(app, relative + len + (len > 0 ? 1 : 0))) {
            job->app = g_strdup(app->name);
            return true;
        }
    }
    sl_local_clear(&job->local);
    return false;
}

static bool open_manifest(SlCli *cli, SlTryJob *job, const char *given, GError **error)
{
    g_autofree char *path = g_canonicalize_filename(given, NULL);
    const char *wanted = sl_cli_option(cli, "job");
    g_autoptr(GHashTable) items = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) names = jobs_of(path, items, folders, &why);
    if (why != NULL) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    if (names->len == 0) {
        return sl_throw(error, SLU_NOT_FOUND, "%s: holds no TrainingJob", given);
    }
    if (names->len > 1 && wanted == NULL) {
        return sl_throw(error, SLU_INVALID, "%s: holds %u TrainingJobs: name one with --job", given,
                        names->len);
    }
    job->job = g_strdup(wanted != NULL ? wanted : g_ptr_array_index(names, 0));
    return open_owner(job, path) || open_overlay(job, path, items, folders, error);
}

/* ---- both ---- */

static bool is_file(const char *path)
{
    struct stat info;
    return (g_str_has_suffix(path, ".yaml") || g_str_has_suffix(path, ".yml")) &&
           stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool open_named(SlCli *cli, SlTryJob *job, const char *word, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(word, "/", 3);
    if (g_strv_length(parts) != 2 || !sl_is_name(parts[0]) || !sl_is_name(parts[1])) {
        return sl_throw(error, SLU_INVALID,
                        "`%s` is neither APP/JOB nor a manifest file that is there", word);
    }
    job->app = g_strdup(parts[0]);
    job->job = g_strdup(parts[1]);
    return sl_local_open(cli, &job->local, error);
}

bool sl_try_render(SlCli *cli, SlTryJob *job, int *ret_code)
{
    const char *word = sl_cli_arg(cli, 0);
    g_autoptr(GError) error = NULL;
    job->items = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    bool ok =
        is_file(word) ? open_manifest(cli, job, word, &error) : open_named(cli, job, word, &error);
    ok = ok && render_job(cli, job, &error);
    if (job->local.problems != NULL) {
        sl_problems_once(job->local.problems);
        unsigned errors = sl_print_problems(cli, job->local.problems);
        if (!ok && errors > 0 && error != NULL && error->code == SLU_NOT_FOUND) {
            *ret_code = SL_EXIT_NO; /* what is wrong was said, with file and line */
            return false;
        }
    }
    if (!ok) {
        *ret_code = sl_cli_fail(cli, error);
    }
    return ok;
}
