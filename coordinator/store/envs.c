/* envs.c - see envs.h. Writing: units to trees, trees to one commit. Reading back lives in
 * envs_read.c. */
#include "coordinator/store/envs.h"
#include "base/digest.h"
#include "base/text.h"
#include "core/bundle.h"
#include "render/yaml.h"
#include <string.h>

typedef struct {
    SlGitStore *store;
    git_repository *repo;
    const SlEnvWrite *ask;
    git_tree *base;      /* of the old commit, or the empty tree */
    GArray *updates;     /* of git_tree_update */
    GPtrArray *paths;    /* owns the paths of updates */
    GHashTable *files;   /* digest: files/ entries that the new commit adds or keeps */
    GHashTable *dropped; /* digest: blobs of the old lists of the changed applications */
    GHashTable *changed; /* names of applications in this commit */
} Write;

/* Bytes that a file system or a path could misread as %XX, so that two identities never share a
 * name. */
static void append_part(GString *text, const char *part)
{
    for (const char *p = part; *p != '\0'; p++) {
        bool plain = g_ascii_isalnum(*p) || *p == '-' || (*p == '.' && p != part);
        if (plain)
            g_string_append_c(text, *p);
        else
            g_string_append_printf(text, "%%%02X", (unsigned char)*p);
    }
}

char *sl_envs_file_name(const char *kind, const char *ns, const char *name)
{
    GString *text = g_string_new(NULL);
    const char *slash = strrchr(kind, '/');
    append_part(text, slash != NULL ? slash + 1 : kind);
    if (slash != NULL && strncmp(kind, "core/", 5) != 0) {
        g_autofree char *group = g_strndup(kind, (gsize)(slash - kind));
        g_string_append_c(text, '.');
        append_part(text, group);
    }
    if (strcmp(ns, "-") != 0) {
        g_string_append_c(text, '_');
        append_part(text, ns);
    }
    g_string_append_c(text, '_');
    append_part(text, name);
    g_string_append(text, ".yaml");
    return g_string_free(text, FALSE);
}

static void update(Write *w, git_tree_update_t action, char *path /* taken */, const git_oid *oid,
                   git_filemode_t mode)
{
    git_tree_update made = {.action = action, .filemode = mode, .path = path};
    if (oid != NULL)
        made.id = *oid;
    g_ptr_array_add(w->paths, path);
    g_array_append_val(w->updates, made);
}

static bool base_has(const Write *w, const char *path)
{
    g_autoptr(git_tree_entry) entry = NULL;
    return git_tree_entry_bypath(&entry, w->base, path) == 0;
}

static void remove_path(Write *w, char *path /* taken */)
{
    if (base_has(w, path))
        update(w, GIT_TREE_UPDATE_REMOVE, path, NULL, GIT_FILEMODE_BLOB);
    else
        g_free(path);
}

static GBytes *need(Write *w, const char *digest, GError **error)
{
    GBytes *bytes = w->ask->get(digest, w->ask->user);
    if (bytes == NULL)
        sl_throw(error, SLU_BLOB_MISSING, "bytes of %s are not in the cache", digest);
    return bytes;
}

/* YAML of an object, proved to read back to the very same canonical JSON. */
static char *yaml_of(GBytes *bytes, const SlBundleObject *object, GError **error)
{
    gsize len = 0;
    const char *text = g_bytes_get_data(bytes, &len);
    SlJsonLimits limits = {.bytes_max = SL_OBJECT_MAX, .depth_max = 64};
    g_autoptr(json_t) json = sl_json_parse(text, len, &limits, object->name, error);
    if (json == NULL)
        return NULL;
    g_autofree char *yaml = sl_yaml_emit(json);
    g_autoptr(GBytes) file = g_bytes_new(yaml, strlen(yaml));
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(GPtrArray) docs = sl_yaml_read(object->name, file, false, problems);
    g_autofree char *again = docs != NULL && docs->len == 1
                                 ? sl_json_canonical(sl_yaml_json(docs->pdata[0]), NULL)
                                 : NULL;
    g_autofree char *digest = again != NULL ? sl_sha256_hex(again, strlen(again)) : NULL;
    if (g_strcmp0(digest, object->digest) != 0)
        return sl_throw_null(error, SLU_ENV_READ_BACK, "%s %s: the YAML does not read back to %s",
                             object->kind, object->name, object->digest);
    return g_steal_pointer(&yaml);
}

static bool add_objects(Write *w, const SlBundle *bundle, git_treebuilder *folder, GError **error)
{
    for (guint i = 0; i < bundle->objects->len; i++) {
        const SlBundleObject *object = bundle->objects->pdata[i];
        g_autoptr(GBytes) bytes = need(w, object->digest, error);
        if (bytes == NULL)
            return false;
        g_autofree char *yaml = yaml_of(bytes, object, error);
        g_autofree char *name = sl_envs_file_name(object->kind, object->namespace_, object->name);
        git_oid oid;
        if (yaml == NULL || !sl_git_store_blob(w->store, yaml, strlen(yaml), &oid, error))
            return false;
        if (git_treebuilder_insert(NULL, folder, name, &oid, GIT_FILEMODE_BLOB) < 0)
            return sl_git_throw(error, SLU_ENV_WRITE, name);
    }
    return true;
}

static bool add_files(Write *w, const SlBundle *bundle, GError **error)
{
    for (guint i = 0; i < bundle->blobs->len; i++) {
        const SlBundleBlob *blob = bundle->blobs->pdata[i];
        if (!g_hash_table_add(w->files, g_strdup(blob->digest)))
            continue;
        g_autofree char *path = g_strconcat("files/", blob->digest, NULL);
        if (base_has(w, path))
            continue;
        g_autoptr(GBytes) bytes = need(w, blob->digest, error);
        git_oid oid;
        if (bytes == NULL || !sl_git_store_blob(w->store, g_bytes_get_data(bytes, NULL),
                                                g_bytes_get_size(bytes), &oid, error))
            return false;
        update(w, GIT_TREE_UPDATE_UPSERT, g_steal_pointer(&path), &oid, GIT_FILEMODE_BLOB);
    }
    return true;
}

/* Folder of one cluster (or all): manifests into @apps, list text into @lists. */
static bool add_folder(Write *w, const char *name, const char *bundle_digest, git_treebuilder *app,
                       git_treebuilder *lists, GError **error)
{
    g_autoptr(GBytes) text = need(w, bundle_digest, error);
    g_autoptr(SlBundle) bundle = text != NULL ? sl_bundle_parse(text, error) : NULL;
    if (bundle == NULL)
        return false;
    git_treebuilder *folder = NULL;
    git_oid tree, list;
    if (git_treebuilder_new(&folder, w->repo, NULL) < 0)
        return sl_git_throw(error, SLU_ENV_WRITE, name);
    bool good = add_objects(w, bundle, folder, error) && add_files(w, bundle, error) &&
                sl_git_store_blob(w->store, g_bytes_get_data(text, NULL), g_bytes_get_size(text),
                                  &list, error);
    bool some = good && git_treebuilder_entrycount(folder) > 0; /* Git keeps no empty folder */
    int rc = good ? git_treebuilder_insert(NULL, lists, name, &list, GIT_FILEMODE_BLOB) : 0;
    if (some && rc == 0)
        rc = git_treebuilder_write(&tree, folder);
    if (some && rc == 0)
        rc = git_treebuilder_insert(NULL, app, name, &tree, GIT_FILEMODE_TREE);
    git_treebuilder_free(folder);
    return good && (rc == 0 || sl_git_throw(error, SLU_ENV_WRITE, name));
}

static bool put_tree(Write *w, git_treebuilder *builder, char *path /* taken */, GError **error)
{
    git_oid oid;
    if (git_treebuilder_entrycount(builder) == 0) {
        remove_path(w, path);
        return true;
    }
    if (git_treebuilder_write(&oid, builder) < 0) {
        g_free(path);
        return sl_git_throw(error, SLU_ENV_WRITE, "writing a folder");
    }
    update(w, GIT_TREE_UPDATE_UPSERT, path, &oid, GIT_FILEMODE_TREE);
    return true;
}

/* The one bundle of all targets, or NULL if they differ. */
static const char *common_bundle(GHashTable *target_of)
{
    GHashTableIter iter;
    gpointer cluster = NULL, bundle = NULL;
    const char *one = NULL;
    g_hash_table_iter_init(&iter, target_of);
    while (g_hash_table_iter_next(&iter, &cluster, &bundle)) {
        if (one != NULL && strcmp(one, bundle) != 0)
            return NULL;
        one = bundle;
    }
    return one;
}

static bool fill_folders(Write *w, const SlEnvUnit *unit, git_treebuilder *app,
                         git_treebuilder *lists, GError **error)
{
    const char *one = common_bundle(unit->target_of);
    if (one != NULL)
        return add_folder(w, "all", one, app, lists, error);
    g_autoptr(GPtrArray) clusters = sl_sorted_keys(unit->target_of);
    for (guint i = 0; i < clusters->len; i++) {
        const char *cluster = g_ptr_array_index(clusters, i);
        if (!add_folder(w, cluster, g_hash_table_lookup(unit->target_of, cluster), app, lists,
                        error))
            return false;
    }
    return true;
}

static bool write_rendered(Write *w, const SlEnvUnit *unit, GError **error)
{
    git_treebuilder *app = NULL, *lists = NULL;
    bool good = git_treebuilder_new(&app, w->repo, NULL) == 0 &&
                git_treebuilder_new(&lists, w->repo, NULL) == 0;
    if (!good)
        sl_git_throw(error, SLU_ENV_WRITE, unit->app);
    good = good && fill_folders(w, unit, app, lists, error) &&
           put_tree(w, app, g_strconcat("manifests/", unit->app, NULL), error) &&
           put_tree(w, lists, g_strconcat(".sluice/bundles/", unit->app, NULL), error);
    git_treebuilder_free(app);
    git_treebuilder_free(lists);
    return good;
}

typedef bool (*EachBlob)(Write *w, const char *digest, void *user, GError **error);

/* Calls @each for every blob that the bundle lists of @app in @root name. @ret_foreign: a list that is
 * none was found (an adopted commit may hold anything); NULL: that is an error. */
static bool each_listed_blob(Write *w, git_tree *root, const char *app, EachBlob each, void *user,
                             bool *ret_foreign, GError **error)
{
    g_autofree char *path = g_strconcat(".sluice/bundles/", app, NULL);
    g_autoptr(git_tree_entry) entry = NULL;
    g_autoptr(git_tree) folder = NULL;
    if (git_tree_entry_bypath(&entry, root, path) < 0 ||
        git_tree_lookup(&folder, w->repo, git_tree_entry_id(entry)) < 0)
        return true;
    for (size_t i = 0; i < git_tree_entrycount(folder); i++) {
        g_autoptr(GBytes) text =
            sl_git_blob_bytes(w->repo, git_tree_entry_id(git_tree_entry_byindex(folder, i)));
        if (text == NULL)
            return sl_git_throw(error, SLU_ENV_WRITE, path);
        g_autoptr(SlBundle) bundle = sl_bundle_parse(text, ret_foreign != NULL ? NULL : error);
        if (bundle == NULL && ret_foreign == NULL)
            return false;
        if (bundle == NULL) {
            *ret_foreign = true;
            continue;
        }
        for (guint k = 0; k < bundle->blobs->len; k++)
            if (!each(w, ((SlBundleBlob *)bundle->blobs->pdata[k])->digest, user, error))
                return false;
    }
    return true;
}

static bool bring_back_file(Write *w, const char *digest, void *earlier, GError **error)
{
    if (!g_hash_table_add(w->files, g_strdup(digest)))
        return true;
    g_autofree char *path = g_strconcat("files/", digest, NULL);
    g_autoptr(git_tree_entry) entry = NULL;
    if (base_has(w, path))
        return true;
    if (git_tree_entry_bypath(&entry, earlier, path) < 0)
        return sl_throw(error, SLU_BLOB_MISSING, "%s is not in the earlier commit", path);
    update(w, GIT_TREE_UPDATE_UPSERT, g_steal_pointer(&path), git_tree_entry_id(entry),
           GIT_FILEMODE_BLOB);
    return true;
}

/* The folder of an earlier commit, exactly: its tree objects are taken by id. */
static bool write_earlier(Write *w, const SlEnvUnit *unit, GError **error)
{
    git_oid oid;
    g_autoptr(git_commit) commit = NULL;
    g_autoptr(git_tree) root = NULL;
    if (git_oid_fromstr(&oid, unit->from_commit) < 0 ||
        git_commit_lookup(&commit, w->repo, &oid) < 0 || git_commit_tree(&root, commit) < 0)
        return sl_git_throw(error, SLU_NOT_FOUND, unit->from_commit);
    static const char *const prefixes[] = {"manifests/", ".sluice/bundles/"};
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        g_autofree char *path = g_strconcat(prefixes[i], unit->app, NULL);
        g_autoptr(git_tree_entry) entry = NULL;
        if (git_tree_entry_bypath(&entry, root, path) == 0)
            update(w, GIT_TREE_UPDATE_UPSERT, g_steal_pointer(&path), git_tree_entry_id(entry),
                   GIT_FILEMODE_TREE);
        else if (i == 1)
            return sl_throw(error, SLU_NOT_FOUND, "commit %s has no bundles of %s",
                            unit->from_commit, unit->app);
        else
            remove_path(w, g_steal_pointer(&path));
    }
    return each_listed_blob(w, root, unit->app, bring_back_file, root, NULL, error);
}

static bool note_dropped(Write *w, const char *digest, void *user, GError **error)
{
    (void)user, (void)error;
    g_hash_table_add(w->dropped, g_strdup(digest));
    return true;
}

static bool note_kept(Write *w, const char *digest, void *user, GError **error)
{
    (void)user, (void)error;
    g_hash_table_remove(w->dropped, digest);
    return true;
}

static bool write_unit(Write *w, const SlEnvUnit *unit, GError **error)
{
    if (!sl_is_name(unit->app))
        return sl_throw(error, SLU_ENV_WRITE, "an application without a name");
    g_hash_table_add(w->changed, unit->app);
    bool foreign = false;
    if (!each_listed_blob(w, w->base, unit->app, note_dropped, NULL, &foreign, error))
        return false;
    char *provenance = g_strdup_printf(".sluice/provenance/%s.json", unit->app);
    git_oid oid;
    if (unit->provenance == NULL) {
        remove_path(w, provenance);
    } else if (sl_git_store_blob(w->store, unit->provenance, strlen(unit->provenance), &oid,
                                 error)) {
        update(w, GIT_TREE_UPDATE_UPSERT, provenance, &oid, GIT_FILEMODE_BLOB);
    } else {
        g_free(provenance);
        return false;
    }
    if (unit->from_commit != NULL)
        return write_earlier(w, unit, error);
    if (unit->target_of != NULL)
        return write_rendered(w, unit, error);
    remove_path(w, g_strconcat("manifests/", unit->app, NULL));
    remove_path(w, g_strconcat(".sluice/bundles/", unit->app, NULL));
    return true;
}

/* Files that only the old bundles of the changed applications named go; the history keeps them. Beside
 * a list that can't be read nothing goes. */
static bool drop_files(Write *w, GError **error)
{
    GHashTableIter iter;
    gpointer digest = NULL;
    g_hash_table_iter_init(&iter, w->files);
    while (g_hash_table_iter_next(&iter, &digest, NULL))
        g_hash_table_remove(w->dropped, digest);
    g_autoptr(git_tree_entry) entry = NULL;
    g_autoptr(git_tree) apps = NULL;
    bool foreign = false;
    if (g_hash_table_size(w->dropped) == 0)
        return true;
    if (git_tree_entry_bypath(&entry, w->base, ".sluice/bundles") < 0 ||
        git_tree_lookup(&apps, w->repo, git_tree_entry_id(entry)) < 0)
        return sl_git_throw(error, SLU_ENV_WRITE, ".sluice/bundles");
    for (size_t i = 0; i < git_tree_entrycount(apps); i++) {
        const char *app = git_tree_entry_name(git_tree_entry_byindex(apps, i));
        if (!g_hash_table_contains(w->changed, app) &&
            !each_listed_blob(w, w->base, app, note_kept, NULL, &foreign, error))
            return false;
    }
    if (foreign)
        return true;
    g_hash_table_iter_init(&iter, w->dropped);
    while (g_hash_table_iter_next(&iter, &digest, NULL))
        remove_path(w, g_strconcat("files/", digest, NULL));
    return true;
}

static git_tree *base_tree(Write *w, GError **error)
{
    git_tree *tree = NULL;
    git_oid oid;
    g_autoptr(git_commit) commit = NULL;
    git_treebuilder *empty = NULL;
    int rc = 0;
    if (w->ask->old != NULL) {
        rc =
            git_oid_fromstr(&oid, w->ask->old) < 0 ? -1 : git_commit_lookup(&commit, w->repo, &oid);
        if (rc == 0)
            rc = git_commit_tree(&tree, commit);
    } else {
        rc = git_treebuilder_new(&empty, w->repo, NULL);
        if (rc == 0)
            rc = git_treebuilder_write(&oid, empty);
        if (rc == 0)
            rc = git_tree_lookup(&tree, w->repo, &oid);
        git_treebuilder_free(empty);
    }
    if (rc < 0)
        sl_git_throw(error, SLU_ENV_WRITE, "reading the branch as it was");
    return tree;
}

static bool write_all(Write *w, git_oid *ret, GError **error)
{
    for (guint i = 0; i < w->ask->units->len; i++)
        if (!write_unit(w, w->ask->units->pdata[i], error))
            return sl_prefix(error, "%s in %s", ((SlEnvUnit *)w->ask->units->pdata[i])->app,
                             w->ask->env);
    if (!drop_files(w, error))
        return false;
    git_oid tree, old;
    if (git_tree_create_updated(&tree, w->repo, w->base, w->updates->len,
                                (git_tree_update *)(void *)w->updates->data) < 0)
        return sl_git_throw(error, SLU_ENV_WRITE, "making the tree");
    bool have = w->ask->old != NULL && git_oid_fromstr(&old, w->ask->old) == 0;
    return sl_git_store_commit(w->store, &tree, have ? &old : NULL, w->ask->time_us,
                               w->ask->message, ret, error) &&
           sl_git_store_hold(w->store, ret, error);
}

char *sl_envs_write(SlGitStore *store, const SlEnvWrite *ask, GError **error)
{
    g_autoptr(GArray) updates = g_array_new(FALSE, FALSE, sizeof(git_tree_update));
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) dropped = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) changed = g_hash_table_new(g_str_hash, g_str_equal);
    Write w = {.store = store,
               .repo = sl_git_store_repo(store),
               .ask = ask,
               .updates = updates,
               .paths = paths,
               .files = files,
               .dropped = dropped,
               .changed = changed};
    g_autoptr(git_tree) base = base_tree(&w, error);
    git_oid commit;
    w.base = base;
    if (base != NULL && write_all(&w, &commit, error))
        return sl_git_hex(&commit);
    sl_git_store_discard(store);
    return NULL;
}
