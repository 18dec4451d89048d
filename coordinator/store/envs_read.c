/* envs_read.c - the reading half of envs.h: tips, moves, and bytes of a digest out of the branches
 * when the cache lost them. */
#include "base/digest.h"
#include "base/text.h"
#include "coordinator/store/envs.h"
#include "coordinator/store/push.h"
#include "core/bundle.h"
#include "render/yaml.h"
#include <string.h>

#define REF_PREFIX "refs/heads/sluice/env/"
#define HISTORY_MAX 256 /* commits of one branch that are looked through for lost bytes */

static char *ref_of(const char *env)
{
    return g_strconcat(REF_PREFIX, env, NULL);
}

bool sl_envs_tip(SlGitStore *store, const char *env, char **ret_tip, GError **error)
{
    g_autofree char *ref = ref_of(env);
    bool there = false;
    git_oid oid;
    if (!sl_git_store_tip(store, ref, &there, &oid, error))
        return false;
    *ret_tip = there ? sl_git_hex(&oid) : NULL;
    return true;
}

bool sl_envs_descends(SlGitStore *store, const char *tip, const char *from)
{
    git_oid a, b;
    if (git_oid_fromstr(&a, tip) < 0 || git_oid_fromstr(&b, from) < 0)
        return false;
    return git_oid_equal(&a, &b) || git_graph_descendant_of(sl_git_store_repo(store), &a, &b) == 1;
}

bool sl_envs_stage(SlGitStore *store, const char *env, const char *commit, GError **error)
{
    g_autofree char *name = g_strconcat(SL_PUSH_STAGED, env, NULL);
    g_autoptr(git_reference) ref = NULL;
    git_oid oid;
    if (!sl_git_store_flush(store, NULL, error)) /* what is held: the ref would name nothing */
        return false;
    if (git_oid_fromstr(&oid, commit) < 0)
        return sl_throw(error, SLU_ENV_WRITE, "%s: %s is no commit id", env, commit);
    return git_reference_create(&ref, sl_git_store_repo(store), name, &oid, 1, NULL) == 0 ||
           sl_git_store_throw_write(error, name);
}

bool sl_envs_unstage(SlGitStore *store, const char *const *kept, GError **error)
{
    git_repository *repo = sl_git_store_repo(store);
    git_strarray names = {0};
    bool good = git_reference_list(&names, repo) == 0;
    for (size_t i = 0; good && i < names.count; i++) {
        const char *name = names.strings[i];
        bool gone = g_str_has_prefix(name, SL_PUSH_STAGED) &&
                    !g_strv_contains(kept, name + strlen(SL_PUSH_STAGED));
        good = !gone || git_reference_remove(repo, name) == 0;
    }
    git_strarray_dispose(&names);
    return good || sl_git_throw(error, SLU_ENV_WRITE, "forgetting what was staged");
}

bool sl_envs_move(SlGitStore *store, const char *env, const char *old, const char *to,
                  GError **error)
{
    g_autofree char *ref = ref_of(env);
    g_autofree char *tip = NULL;
    git_oid from, target;
    if (!sl_envs_tip(store, env, &tip, error))
        return false;
    if (tip != NULL && sl_envs_descends(store, tip, to))
        return true;
    if (git_oid_fromstr(&target, to) < 0 || (old != NULL && git_oid_fromstr(&from, old) < 0))
        return sl_throw(error, SLU_ENV_TIP, "%s: no commit id", env);
    return sl_git_store_move(store, ref, old != NULL ? &from : NULL, &target, error);
}

/* ---- bytes of a digest ---- */

typedef struct {
    git_repository *repo;
    git_tree *root;
    const char *digest;
    GBytes *found;
} Search;

static GBytes *blob_at(Search *s, const char *path)
{
    g_autoptr(git_tree_entry) entry = NULL;
    if (git_tree_entry_bypath(&entry, s->root, path) < 0)
        return NULL;
    return sl_git_blob_bytes(s->repo, git_tree_entry_id(entry));
}

static bool take_if_equal(Search *s, GBytes *bytes /* consumed, nullable */)
{
    g_autofree char *digest = bytes != NULL ? sl_sha256_hex_bytes(bytes) : NULL;
    if (g_strcmp0(digest, s->digest) == 0)
        s->found = bytes;
    else if (bytes != NULL)
        g_bytes_unref(bytes);
    return s->found != NULL;
}

static GBytes *canonical_of_yaml(GBytes *yaml)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(GPtrArray) docs = sl_yaml_read("manifest", yaml, false, problems);
    char *text = docs != NULL && docs->len == 1
                     ? sl_json_canonical(sl_yaml_json(docs->pdata[0]), NULL)
                     : NULL;
    return text != NULL ? g_bytes_new_take(text, strlen(text)) : NULL;
}

/* One bundle list: is it what is wanted, or does it name the object that is? */
static bool search_list(Search *s, const char *app, const char *folder, const git_oid *oid)
{
    g_autoptr(GBytes) text = sl_git_blob_bytes(s->repo, oid);
    if (text == NULL || take_if_equal(s, g_bytes_ref(text)))
        return s->found != NULL;
    g_autoptr(SlBundle) bundle = sl_bundle_parse(text, NULL);
    for (guint i = 0; bundle != NULL && i < bundle->objects->len; i++) {
        const SlBundleObject *object = bundle->objects->pdata[i];
        if (strcmp(object->digest, s->digest) != 0)
            continue;
        g_autofree char *name = sl_envs_file_name(object->kind, object->namespace_, object->name);
        g_autofree char *path = g_strdup_printf("manifests/%s/%s/%s", app, folder, name);
        g_autoptr(GBytes) yaml = blob_at(s, path);
        if (yaml != NULL && take_if_equal(s, canonical_of_yaml(yaml)))
            return true;
    }
    return false;
}

static git_tree *subtree(Search *s, git_tree *parent, const git_tree_entry *entry)
{
    git_tree *tree = NULL;
    (void)parent;
    return git_tree_entry_type(entry) == GIT_OBJECT_TREE &&
                   git_tree_lookup(&tree, s->repo, git_tree_entry_id(entry)) == 0
               ? tree
               : NULL;
}

static bool search_tree(Search *s)
{
    g_autofree char *file = g_strconcat("files/", s->digest, NULL);
    if (take_if_equal(s, blob_at(s, file)))
        return true;
    g_autoptr(git_tree_entry) entry = NULL;
    g_autoptr(git_tree) apps = NULL;
    if (git_tree_entry_bypath(&entry, s->root, ".sluice/bundles") < 0 ||
        git_tree_lookup(&apps, s->repo, git_tree_entry_id(entry)) < 0)
        return false;
    for (size_t i = 0; i < git_tree_entrycount(apps); i++) {
        const git_tree_entry *app = git_tree_entry_byindex(apps, i);
        g_autoptr(git_tree) folders = subtree(s, apps, app);
        for (size_t k = 0; folders != NULL && k < git_tree_entrycount(folders); k++) {
            const git_tree_entry *folder = git_tree_entry_byindex(folders, k);
            if (search_list(s, git_tree_entry_name(app), git_tree_entry_name(folder),
                            git_tree_entry_id(folder)))
                return true;
        }
    }
    return false;
}

/* Commit number @depth (0 = tip) of the branch; false at the end of its history. */
static bool search_commit(Search *s, const git_oid *tip, unsigned depth, bool *ret_end)
{
    g_autoptr(git_commit) commit = NULL;
    g_autoptr(git_commit) at = NULL;
    *ret_end = git_commit_lookup(&commit, s->repo, tip) < 0 ||
               git_commit_nth_gen_ancestor(&at, commit, depth) < 0 ||
               git_commit_tree(&s->root, at) < 0;
    if (*ret_end)
        return false;
    bool found = search_tree(s);
    git_tree_free(s->root);
    s->root = NULL;
    return found;
}

static GArray *branch_tips(git_repository *repo)
{
    GArray *tips = g_array_new(FALSE, FALSE, sizeof(git_oid));
    git_reference_iterator *iterator = NULL;
    git_reference *ref = NULL;
    if (git_reference_iterator_glob_new(&iterator, repo, REF_PREFIX "*") < 0)
        return tips;
    while (git_reference_next(&ref, iterator) == 0) {
        const git_oid *oid = git_reference_target(ref);
        if (oid != NULL)
            g_array_append_val(tips, *oid);
        git_reference_free(ref);
    }
    git_reference_iterator_free(iterator);
    return tips;
}

GBytes *sl_envs_find(SlGitStore *store, const char *digest)
{
    Search s = {.repo = sl_git_store_repo(store), .digest = digest};
    g_autoptr(GArray) tips = branch_tips(s.repo);
    for (unsigned depth = 0; depth < HISTORY_MAX; depth++) {
        bool all_ended = true;
        for (guint i = 0; i < tips->len; i++) {
            bool ended = false;
            if (search_commit(&s, &g_array_index(tips, git_oid, i), depth, &ended))
                return s.found;
            all_ended = all_ended && ended;
        }
        if (all_ended)
            break;
    }
    return NULL;
}
