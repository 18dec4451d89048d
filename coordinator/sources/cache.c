/* cache.c - see cache.h. Reads our own bare cache; writes only the position file beside it. Runs on
 * work-queue threads, each call with its own handle. */
#include "coordinator/sources/cache.h"
#include "base/text.h"
#include "coordinator/store/gitstore.h"
#include "git/gitutil.h"
#include "git/tree.h"
#include "runtime/atomicfile.h"
#include "sluice/clock.h"
#include <stdio.h>
#include <string.h>

#define POSITION_FILE_MAX 256
#define SUBJECT_MAX 256

void sl_source_tip_free(SlSourceTip *tip)
{
    if (tip == NULL)
        return;
    g_free(tip->commit);
    g_free(tip->author);
    g_free(tip->subject);
    json_decref(tip->authors);
    json_decref(tip->signers);
    g_free(tip);
}

void sl_source_cache_unlock(const SlSourceConfig *config)
{
    sl_git_store_unlock(config->cache_dir);
}

bool sl_source_check_branch(const char *branch, GError **error)
{
    int valid = 0;
    sl_git_init();
    g_autofree char *ref = g_strconcat("refs/heads/", branch != NULL ? branch : "", NULL);
    if (branch == NULL || *branch == '\0' || strlen(branch) > 200 ||
        git_reference_name_is_valid(&valid, ref) < 0 || !valid)
        return sl_throw(error, SLU_SOURCE_REFUSED, "branch `%s`: this is no valid branch name",
                        branch != NULL ? branch : "");
    return true;
}

/* Last known (commit, position) of the first-parent chain: a walk ends there instead of at the
 * root. */
static uint64_t known_position(const char *dir, git_oid *ret_oid)
{
    g_autofree char *path = g_build_filename(dir, "sluice-position", NULL);
    g_autoptr(GBytes) bytes = sl_file_read(path, POSITION_FILE_MAX, NULL);
    if (bytes == NULL)
        return 0;
    g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_strchomp(text);
    uint64_t position = 0;
    if (strlen(text) < GIT_OID_HEXSZ + 2 || git_oid_fromstrn(ret_oid, text, GIT_OID_HEXSZ) < 0 ||
        !sl_parse_uint64(text + GIT_OID_HEXSZ + 1, &position))
        return 0;
    return position;
}

static bool count_first_parents(git_repository *repo, const char *dir, const git_oid *tip,
                                uint64_t *ret, GError **error)
{
    git_oid known = {{0}}, at = *tip;
    uint64_t base = known_position(dir, &known), steps = 0;
    while (base == 0 || !git_oid_equal(&at, &known)) {
        g_autoptr(git_commit) commit = NULL;
        if (git_commit_lookup(&commit, repo, &at) < 0)
            return sl_git_throw(error, SLU_SOURCE_COMMIT, "walking the history");
        steps++;
        if (git_commit_parentcount(commit) == 0) {
            base = 0;
            break;
        }
        at = *git_commit_parent_id(commit, 0);
    }
    *ret = base + steps;
    char hex[GIT_OID_HEXSZ + 1];
    g_autofree char *line =
        g_strdup_printf("%s %" G_GUINT64_FORMAT "\n", git_oid_tostr(hex, sizeof hex, tip), *ret);
    g_autofree char *path = g_build_filename(dir, "sluice-position", NULL);
    return steps == 0 || sl_file_write_atomic(path, line, strlen(line), 0644, error);
}

/* What is asked of the commits of one change. */
typedef struct {
    git_odb *odb;
    bool judge; /* signatures too */
    json_t *authors, *signers;
    GHashTable *emails, *keys; /* that were seen */
} Change;

/* {"commit", "key"} or {"commit", "why"}, each key and each reason once: the first of them decides. */
static void note_signer(Change *change, const SlGitCommit *commit, const git_oid *oid)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(SlPublicKey) key = sl_gitcommit_signer(commit, &why);
    if (!g_hash_table_add(change->keys, g_strdup(key != NULL ? key->line : why->message)))
        return;
    g_autofree char *hex = sl_git_hex(oid);
    json_t *signer = json_object();
    sl_json_set_str(signer, "commit", hex);
    sl_json_set_str(signer, key != NULL ? "key" : "why", key != NULL ? key->line : why->message);
    json_array_append_new(change->signers, signer);
}

static bool note_commit(Change *change, const git_oid *oid, GError **error)
{
    g_autoptr(SlGitCommit) commit = sl_git_commit(change->odb, oid, error);
    if (commit == NULL)
        return false;
    if (g_hash_table_add(change->emails, g_strdup(commit->author.email)))
        json_array_append_new(change->authors, json_string(commit->author.email));
    if (change->judge)
        note_signer(change, commit, oid);
    return MAX(g_hash_table_size(change->emails), g_hash_table_size(change->keys)) <=
               SL_SOURCE_PEOPLE_MAX ||
           sl_throw(error, SLU_SOURCE_LIMIT,
                    "more than %d authors or signing keys in one change; push it in parts",
                    SL_SOURCE_PEOPLE_MAX);
}

/* Every commit that came with the change, none left out: an author who is not seen is not excluded.
 * On the first reading the newest few only: there the tip's signature vouches for what is under it. */
static bool note_change(Change *change, git_repository *repo, const git_oid *tip,
                        const git_oid *since, GError **error)
{
    g_autoptr(git_revwalk) walk = NULL;
    if (git_revwalk_new(&walk, repo) < 0 || git_revwalk_push(walk, tip) < 0 ||
        (since != NULL && git_revwalk_hide(walk, since) < 0))
        return sl_git_throw(error, SLU_SOURCE_COMMIT, "walking the change");
    unsigned max = since != NULL ? SL_SOURCE_CHANGE_MAX : SL_SOURCE_FIRST_MAX, n = 0;
    git_oid oid;
    int rc = 0;
    while ((rc = git_revwalk_next(&oid, walk)) == 0) {
        if (n++ == max)
            return since == NULL ||
                   sl_throw(error, SLU_SOURCE_LIMIT,
                            "more than %u commits in one change; push it in parts", max);
        if (!note_commit(change, &oid, error))
            return false;
        change->judge = change->judge && since != NULL;
    }
    return rc == GIT_ITEROVER || sl_git_throw(error, SLU_SOURCE_COMMIT, "walking the change");
}

static char *clean_line(const char *text, size_t max)
{
    return sl_escape_for_people(text, max);
}

static bool fill_people(SlSourceTip *tip, git_odb *odb, const git_oid *oid, GError **error)
{
    g_autoptr(SlGitCommit) commit = sl_git_commit(odb, oid, error);
    if (commit == NULL)
        return false;
    g_autofree char *who = g_strdup_printf("%s <%s>", commit->author.name, commit->author.email);
    g_autofree char *subject = sl_gitcommit_subject(commit);
    tip->author = clean_line(who, SUBJECT_MAX);
    tip->subject = clean_line(subject, SUBJECT_MAX);
    tip->time_us = commit->committer.time_us;
    return true;
}

static bool fill_change(SlSourceTip *tip, const SlSourceConfig *config, git_repository *repo,
                        const git_oid *oid, const char *since, GError **error)
{
    git_oid old;
    g_autoptr(git_odb) odb = NULL;
    if (git_repository_odb(&odb, repo) < 0)
        return sl_git_throw(error, SLU_IO, config->cache_dir);
    if (!fill_people(tip, odb, oid, error))
        return false;
    bool have_old = since != NULL && git_oid_fromstr(&old, since) == 0;
    tip->authors = json_array();
    tip->signers = config->signed_commits ? json_array() : NULL;
    if (have_old && git_oid_equal(&old, oid))
        return true;
    bool kept = have_old && git_odb_exists(odb, &old);
    /* The cache was made anew and the origin does not have it any more, or it was left. */
    tip->rewound = have_old && (!kept || git_graph_descendant_of(repo, oid, &old) != 1);
    g_autoptr(GHashTable) emails = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Change change = {odb, config->signed_commits, tip->authors, tip->signers, emails, keys};
    return note_change(&change, repo, oid, kept ? &old : NULL, error);
}

SlSourceTip *sl_source_cache_tip(const SlSourceConfig *config, const char *commit_hex,
                                 const char *since, GError **error)
{
    g_autoptr(git_repository) repo = sl_git_open(config->cache_dir, false, error);
    if (repo == NULL)
        return NULL;
    git_oid oid;
    g_autoptr(git_commit) commit = NULL;
    if (git_oid_fromstr(&oid, commit_hex) < 0 || git_commit_lookup(&commit, repo, &oid) < 0) {
        sl_git_throw(error, SLU_SOURCE_COMMIT, commit_hex);
        return NULL;
    }
    SlSourceTip *tip = g_new0(SlSourceTip, 1);
    tip->commit = sl_git_hex(&oid);
    if (count_first_parents(repo, config->cache_dir, &oid, &tip->position, error) &&
        fill_change(tip, config, repo, &oid, since, error))
        return tip;
    sl_source_tip_free(tip);
    return NULL;
}

SlTree *sl_source_cache_tree(const SlSourceConfig *config, const char *commit, GError **error)
{
    return sl_git_tree_open(config->cache_dir, commit, error);
}

void sl_source_tree_free(SlTree *tree)
{
    sl_git_tree_free(tree);
}
