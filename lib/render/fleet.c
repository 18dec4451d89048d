/* fleet.c - reading all documents of a fleet repository into one set, as JSON for the ledger, and back.
 *
 * A set is all or nothing as far as Fleet and Environments go; a broken Application stays in it, marked, so that its
 * units stand still while others go on. Nothing is taken from a file that could not be read to its end. */
#include "render/fleet.h"
#include "base/text.h"
#include "render/fleet_build.h"
#include "render/tree_walk.h"
#include <string.h>

#define FLEET_FILES_MAX 10000     /* files below fleet/ */
#define FLEET_DOCUMENTS_MAX 20000 /* documents in all of them */

void sl_fleet_source_free(SlFleetSource *source)
{
    if (!source)
        return;
    g_free(source->file);
    sl_yaml_doc_free(source->yaml);
    json_decref(source->json);
    g_free(source->kind);
    g_free(source->name);
    g_free(source->title);
    g_free(source);
}

SlDocCheck sl_fleet_source_check(const SlFleetSource *source, GPtrArray *problems)
{
    return (SlDocCheck){.file = source->file, .yaml = source->yaml, .title = source->title, .problems = problems};
}

static void repository_free(void *data)
{
    SlRepositoryDoc *repository = data;
    g_free(repository->name);
    g_free(repository->url);
    g_free(repository->branch);
    json_decref(repository->doc);
    g_free(repository);
}

void sl_fleet_docs_free(SlFleetDocs *docs)
{
    if (!docs)
        return;
    json_decref(docs->fleet);
    g_free(docs->fleet_digest);
    g_ptr_array_unref(docs->repositories);
    g_ptr_array_unref(docs->environments);
    g_ptr_array_unref(docs->applications);
    g_free(docs);
}

const SlEnvironmentDoc *sl_fleet_env(const SlFleetDocs *docs, const char *name)
{
    for (guint i = 0; name && i < docs->environments->len; i++) {
        const SlEnvironmentDoc *env = g_ptr_array_index(docs->environments, i);
        if (g_str_equal(env->name, name))
            return env;
    }
    return NULL;
}

bool sl_fleet_signed_commits(const SlFleetDocs *docs, const char *repository)
{
    const json_t *doc = *repository ? NULL : docs->fleet;
    for (guint i = 0; !doc && i < docs->repositories->len; i++) {
        const SlRepositoryDoc *each = g_ptr_array_index(docs->repositories, i);
        if (g_str_equal(each->name, repository))
            doc = each->doc;
    }
    return doc && g_str_equal(sl_json_str_or(doc, "spec.commits.signed", ""), "required");
}

const SlApplicationDoc *sl_fleet_app(const SlFleetDocs *docs, const char *name)
{
    guint low = 0, high = docs->applications->len;
    while (name && low < high) { /* by name */
        guint middle = low + (high - low) / 2;
        const SlApplicationDoc *app = g_ptr_array_index(docs->applications, middle);
        int order = strcmp(name, app->name);
        if (order == 0)
            return app;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const SlAppEnv *sl_app_env(const SlApplicationDoc *app, const char *env)
{
    for (guint i = 0; i < app->environments->len; i++) {
        const SlAppEnv *mine = g_ptr_array_index(app->environments, i);
        if (g_str_equal(mine->env, env))
            return mine;
    }
    return NULL;
}

/* ---- one document ---- */

static void check_kind(SlFleetSource *source, GPtrArray *problems)
{
    SlDocCheck check = sl_fleet_source_check(source, problems);
    const char *api = sl_json_str(source->json, "apiVersion"), *kind = sl_json_str(source->json, "kind");
    const char *near = kind ? sl_nearest(kind, sl_fleet_kinds()) : NULL;
    g_autofree char *all = sl_words_text(sl_fleet_kinds());
    g_autofree char *hint = near ? g_strdup_printf("did you mean `%s`?", near) : g_strdup_printf("kinds are %s", all);
    const char *foreign = sl_fleet_kind_hint(api, kind);
    if (!json_is_object(source->json))
        sl_doc_error(&check, "", SLU_FLEET_DOCUMENT, hint, "a document must be a map with apiVersion, kind, metadata and spec");
    else if (!kind)
        sl_doc_error(&check, "", SLU_FLEET_DOCUMENT, hint, "`kind` is missing");
    else
        sl_doc_error(&check, "kind", SLU_FLEET_DOCUMENT, foreign ? foreign : hint, "there is no kind `%.64s`", kind);
    source->broken = true;
}

/* Takes @yaml and @json; adds everything that is wrong with the shape. */
static SlFleetSource *source_new(const char *file, SlYamlDoc *yaml, json_t *json, GPtrArray *problems)
{
    SlFleetSource *source = g_new0(SlFleetSource, 1);
    source->file = g_strdup(file);
    source->yaml = yaml;
    source->json = json;
    source->broken = yaml && sl_yaml_broken(yaml);
    const char *name = sl_json_str(json, "metadata.name");
    const SlShape *shape = sl_fleet_shape(sl_json_str(json, "kind"));
    source->kind = g_strdup(shape ? sl_json_str(json, "kind") : "");
    source->name = g_strdup(name && sl_is_name(name) ? name : "");
    source->title = *source->kind ? g_strdup_printf("%s %s", source->kind, *source->name ? source->name : "(without a name)")
                                  : g_strdup("document");
    if (!shape) {
        check_kind(source, problems);
        return source;
    }
    SlDocCheck check = sl_fleet_source_check(source, problems);
    sl_shape_check(&check, shape, json, "");
    source->broken |= check.broken;
    return source;
}

/* ---- building the set ---- */

typedef struct {
    GPtrArray *sources; /* of SlFleetSource* */
    GPtrArray *problems;
    const SlTree *tree;
    bool fatal;
} Build;

static GPtrArray *of_kind(const Build *b, const char *kind)
{
    GPtrArray *found = g_ptr_array_new();
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < b->sources->len; i++) {
        SlFleetSource *source = g_ptr_array_index(b->sources, i);
        if (!g_str_equal(source->kind, kind))
            continue;
        g_ptr_array_add(found, source);
        if (!*source->name)
            continue;
        SlFleetSource *first = g_hash_table_lookup(names, source->name);
        if (!first) {
            g_hash_table_insert(names, source->name, source);
            continue;
        }
        SlDocCheck check = sl_fleet_source_check(source, b->problems);
        int line = 0, column = 0;
        if (first->yaml)
            sl_yaml_position(first->yaml, "metadata.name", &line, &column);
        sl_doc_error(&check, "metadata.name", SLU_FLEET_DUPLICATE, "rename or remove one of them", "is there twice, first in %s:%d",
                     first->file, line);
        source->broken = first->broken = true;
    }
    return found;
}

static void build_fleet(Build *b, SlFleetDocs *docs)
{
    g_autoptr(GPtrArray) fleets = of_kind(b, "Fleet");
    if (fleets->len == 0) {
        sl_problem_add(b->problems, "sluice.yaml", 0, 0, SLU_FLEET_MISSING, false,
                       "add apiVersion: " SL_API_VERSION ", kind: Fleet, metadata: {name: ...}", "there is no Fleet document");
        b->fatal = true;
        return;
    }
    for (guint i = 1; i < fleets->len; i++) {
        SlDocCheck check = sl_fleet_source_check(g_ptr_array_index(fleets, i), b->problems);
        sl_doc_error(&check, "kind", SLU_FLEET_DUPLICATE, "keep one", "there is a Fleet document already, in %s",
                     ((SlFleetSource *)g_ptr_array_index(fleets, 0))->file);
        b->fatal = true;
    }
    SlFleetSource *source = g_ptr_array_index(fleets, 0);
    b->fatal |= source->broken;
    if (source->broken)
        return;
    if (!json_object_get(source->json, "spec"))
        json_object_set_new(source->json, "spec", json_object());
    json_t *spec = json_object_get(source->json, "spec");
    if (!json_object_get(spec, "limits"))
        json_object_set_new(spec, "limits", json_object());
    json_t *limits = json_object_get(spec, "limits");
    if (!json_object_get(limits, "autoStartGPUs"))
        sl_json_set_int(limits, "autoStartGPUs", 8);
    if (!json_object_get(limits, "protectAfter"))
        sl_json_set_str(limits, "protectAfter", "1h");
    docs->fleet = json_incref(source->json);
    docs->fleet_digest = sl_json_digest(source->json);
    docs->auto_start_gpus = sl_json_int(limits, "autoStartGPUs", 8);
    g_autoptr(GError) error = NULL;
    b->fatal |= !sl_parse_duration(sl_json_str_or(limits, "protectAfter", "1h"), &docs->protect_after_us, &error);
}

static void build_repositories(Build *b, SlFleetDocs *docs)
{
    g_autoptr(GPtrArray) sources = of_kind(b, "Repository");
    for (guint i = 0; i < sources->len; i++) {
        const SlFleetSource *source = g_ptr_array_index(sources, i);
        if (source->broken)
            continue; /* applications that name it say so */
        SlRepositoryDoc *repository = g_new0(SlRepositoryDoc, 1);
        repository->name = g_strdup(source->name);
        repository->url = g_strdup(sl_json_str(source->json, "spec.url"));
        repository->branch = g_strdup(sl_json_str(source->json, "spec.branch"));
        repository->doc = json_incref(source->json);
        g_ptr_array_add(docs->repositories, repository);
    }
}

static void build_environments(Build *b, SlFleetDocs *docs)
{
    g_autoptr(GPtrArray) sources = of_kind(b, "Environment"), good = g_ptr_array_new();
    for (guint i = 0; i < sources->len; i++) {
        SlFleetSource *source = g_ptr_array_index(sources, i);
        b->fatal |= source->broken;
        /* A document with a mistake is still a name that others may refer to. */
        if (!*source->name)
            continue;
        if (source->broken) {
            json_decref(source->json);
            source->json = json_pack("{s:{}}", "spec");
        }
        g_ptr_array_add(docs->environments, sl_environment_build(source));
        g_ptr_array_add(good, source);
    }
    b->fatal |= !sl_environments_link(docs->environments, good, b->problems);
    for (guint i = 0; i < good->len; i++) {
        const SlFleetSource *source = g_ptr_array_index(good, i);
        const SlEnvironmentDoc *env = sl_fleet_env(docs, source->name);
        SlDocCheck check = sl_fleet_source_check(source, b->problems);
        sl_gates_link(&check, env->gates, "spec.gates", docs);
        b->fatal |= check.broken;
    }
}

static int app_by_name(gconstpointer a, gconstpointer b)
{
    const SlApplicationDoc *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static void build_applications(Build *b, SlFleetDocs *docs)
{
    g_autoptr(GPtrArray) sources = of_kind(b, "Application");
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < sources->len; i++) {
        SlFleetSource *source = g_ptr_array_index(sources, i);
        if (!*source->name || !g_hash_table_add(seen, source->name))
            continue;
        SlApplicationDoc *app = sl_application_build(source);
        if (!app->broken)
            sl_application_link(source, app, docs, b->problems);
        if (!app->broken && !b->fatal)
            sl_items_resolve(source, app, docs, b->tree, b->problems);
        g_ptr_array_add(docs->applications, app);
    }
    g_ptr_array_sort(docs->applications, app_by_name);
}

static SlFleetDocs *build_docs(Build *b)
{
    g_autoptr(SlFleetDocs) docs = g_new0(SlFleetDocs, 1);
    docs->repositories = g_ptr_array_new_with_free_func(repository_free);
    docs->environments = g_ptr_array_new_with_free_func((GDestroyNotify)sl_environment_doc_free);
    docs->applications = g_ptr_array_new_with_free_func((GDestroyNotify)sl_application_doc_free);
    for (guint i = 0; i < b->sources->len; i++) /* an unknown kind may be a mistyped Environment */
        b->fatal |= !*((SlFleetSource *)g_ptr_array_index(b->sources, i))->kind;
    build_fleet(b, docs);
    build_repositories(b, docs);
    build_environments(b, docs);
    build_applications(b, docs);
    return b->fatal ? NULL : g_steal_pointer(&docs);
}

/* ---- reading ---- */

static void add_broken(Build *b, const char *file, const char *name)
{
    SlFleetSource *source = g_new0(SlFleetSource, 1);
    source->file = g_strdup(file);
    source->json = json_pack("{s:{s:s}}", "metadata", "name", name);
    source->kind = g_strdup("Application");
    source->name = g_strdup(name);
    source->title = g_strconcat("Application ", name, NULL);
    source->broken = true;
    g_ptr_array_add(b->sources, source);
}

/* A file that holds Applications only stops only these; any other may hold an Environment in the part that was not read. */
static void read_torn(Build *b, const char *path, GBytes *text)
{
    g_autoptr(GPtrArray) names = sl_torn_applications(text);
    b->fatal |= names == NULL;
    for (guint i = 0; names && i < names->len; i++)
        add_broken(b, path, g_ptr_array_index(names, i));
}

static void tree_problem(Build *b, const char *path, const GError *error)
{
    sl_problem_add(b->problems, path, 0, 0, error->code, false, NULL, "%s", error->message);
    b->fatal = true;
}

static void read_file(Build *b, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_tree_read_file(b->tree, path, 8 * 1024 * 1024, &error);
    if (!text) {
        tree_problem(b, path, error);
        return;
    }
    bool cut = false;
    g_autoptr(GPtrArray) docs = sl_yaml_read_cut(path, text, true, b->problems, &cut);
    if (cut) {
        read_torn(b, path, text);
        return;
    }
    for (guint i = 0; i < docs->len; i++) {
        if (b->sources->len >= FLEET_DOCUMENTS_MAX) {
            sl_problem_add(b->problems, path, 0, 0, SLU_FLEET_LIMIT, false, NULL, "more than %d documents", FLEET_DOCUMENTS_MAX);
            b->fatal = true;
            return;
        }
        SlYamlDoc *doc = g_steal_pointer(&docs->pdata[i]);
        g_ptr_array_add(b->sources, source_new(path, doc, json_deep_copy(sl_yaml_json(doc)), b->problems));
    }
}

static void read_folder(Build *b)
{
    g_autoptr(GError) error = NULL;
    SlTreeEntry entry;
    if (!sl_tree_lookup(b->tree, "fleet", &entry, &error)) {
        if (error->code != SLU_NOT_FOUND)
            tree_problem(b, "fleet", error);
        return;
    }
    g_autoptr(GPtrArray) files = entry.mode == SL_TREE_FOLDER ? sl_tree_files(b->tree, "fleet", &error) : NULL;
    if (!files) {
        if (error)
            tree_problem(b, "fleet", error);
        return;
    }
    if (files->len > FLEET_FILES_MAX) {
        sl_problem_add(b->problems, "fleet", 0, 0, SLU_FLEET_LIMIT, false, NULL, "more than %d files", FLEET_FILES_MAX);
        b->fatal = true;
        return;
    }
    for (guint i = 0; i < files->len; i++) {
        const SlTreeFile *file = g_ptr_array_index(files, i);
        if (g_str_has_suffix(file->path, ".yaml") || g_str_has_suffix(file->path, ".yml"))
            read_file(b, file->path);
    }
}

SlFleetDocs *sl_fleet_read(const SlTree *tree, GPtrArray *problems)
{
    g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func((GDestroyNotify)sl_fleet_source_free);
    Build b = {.sources = sources, .problems = problems, .tree = tree};
    g_autoptr(GError) error = NULL;
    SlTreeEntry entry;
    if (sl_tree_lookup(tree, "sluice.yaml", &entry, &error))
        read_file(&b, "sluice.yaml");
    else if (error->code != SLU_NOT_FOUND)
        tree_problem(&b, "sluice.yaml", error);
    read_folder(&b);
    if (sources->len == 0) {
        if (!sl_problems_have_errors(problems))
            sl_problem_add(problems, "sluice.yaml", 0, 0, SLU_FLEET_MISSING, false, "`sluice init` writes one",
                           "there is neither a sluice.yaml nor a document below fleet/");
        return NULL;
    }
    return build_docs(&b);
}

json_t *sl_fleet_to_json(const SlFleetDocs *docs)
{
    json_t *repositories = json_array(), *environments = json_array(), *applications = json_array();
    for (guint i = 0; i < docs->repositories->len; i++)
        json_array_append(repositories, ((SlRepositoryDoc *)g_ptr_array_index(docs->repositories, i))->doc);
    for (guint i = 0; i < docs->environments->len; i++)
        json_array_append(environments, ((SlEnvironmentDoc *)g_ptr_array_index(docs->environments, i))->doc);
    for (guint i = 0; i < docs->applications->len; i++) {
        const SlApplicationDoc *app = g_ptr_array_index(docs->applications, i);
        if (app->broken) /* what it says cannot be trusted; its name is enough to hold its units */
            json_array_append_new(applications, json_pack("{s:b, s:{s:s}}", "broken", 1, "metadata", "name", app->name));
        else
            json_array_append(applications, app->doc);
    }
    return json_pack("{s:O, s:o, s:o, s:o}", "fleet", docs->fleet, "repositories", repositories, "environments", environments,
                     "applications", applications);
}

static void add_json(Build *b, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *doc = json_array_get(list, i);
        const char *name = sl_json_str(doc, "metadata.name");
        if (sl_json_bool(doc, "broken", false) && name && sl_is_name(name))
            add_broken(b, "", name);
        else
            g_ptr_array_add(b->sources, source_new("", NULL, json_deep_copy(doc), b->problems));
    }
}

SlFleetDocs *sl_fleet_from_json(const json_t *json, GError **error)
{
    g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func((GDestroyNotify)sl_fleet_source_free);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    Build b = {.sources = sources, .problems = problems};
    const json_t *fleet = json_object_get(json, "fleet");
    g_ptr_array_add(sources, source_new("", NULL, fleet ? json_deep_copy(fleet) : json_null(), problems));
    add_json(&b, json_object_get(json, "repositories"));
    add_json(&b, json_object_get(json, "environments"));
    add_json(&b, json_object_get(json, "applications"));
    g_autoptr(SlFleetDocs) docs = build_docs(&b);
    if (!docs || sl_problems_have_errors(problems)) {
        const SlProblem *first = problems->len > 0 ? g_ptr_array_index(problems, 0) : NULL;
        sl_throw(error, SLU_FLEET_DOCUMENT, "fleet documents: %s", first ? first->message : "incomplete");
        return NULL;
    }
    return g_steal_pointer(&docs);
}
