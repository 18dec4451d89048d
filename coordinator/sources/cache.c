/* cache.c - see cache.h. Reads our own bare cache; writes only the position file beside it. Runs on
 * work-queue threads, each call with its own handle. */
#include "coordinator/sources/cache.h"
#include "base/text.h"
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
    g_free(tip);
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

static json_t *authors_since(git_repository *repo, const git_oid *tip, const git_oid *since)
{
    json_t *list = json_array();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(git_revwalk) walk = NULL;
    if (git_revwalk_new(&walk, repo) < 0 || git_revwalk_push(walk, tip) < 0)
        return list;
    if (since != NULL && git_revwalk_hide(walk, since) < 0)
        return list;
    git_oid oid;
    for (unsigned n = 0; n < SL_SOURCE_AUTHORS_MAX && git_revwalk_next(&oid, walk) == 0; n++) {
        g_autoptr(git_commit) commit = NULL;
        if (git_commit_lookup(&commit, repo, &oid) < 0)
            continue;
        g_autofree char *email = g_utf8_make_valid(git_commit_author(commit)->email, -1);
        if (g_hash_table_add(seen, g_strdup(email)))
            json_array_append_new(list, json_string(email));
    }
    return list;
}

static char *clean_line(const char *text, size_t max)
{
    g_autofree char *valid = g_utf8_make_valid(text != NULL ? text : "", -1);
    return sl_escape_for_people(valid, max);
}

static void fill_people(SlSourceTip *tip, const git_commit *commit)
{
    const git_signature *author = git_commit_author(commit);
    g_autofree char *who = g_strdup_printf("%s <%s>", author->name, author->email);
    tip->author = clean_line(who, SUBJECT_MAX);
    tip->subject = clean_line(git_commit_summary((git_commit *)commit), SUBJECT_MAX);
    tip->time_us = (int64_t)git_commit_time(commit) * SL_SECOND_US;
}

SlSourceTip *sl_source_cache_tip(const SlSourceConfig *config, const char *commit_hex,
                                 const char *since, GError **error)
{
    g_autoptr(git_repository) repo = sl_git_open(config->cache_dir, false, error);
    if (repo == NULL)
        return NULL;
    git_oid oid, old;
    g_autoptr(git_commit) commit = NULL;
    if (git_oid_fromstr(&oid, commit_hex) < 0 || git_commit_lookup(&commit, repo, &oid) < 0) {
        sl_git_throw(error, SLU_SOURCE_COMMIT, commit_hex);
        return NULL;
    }
    uint64_t position = 0;
    if (!count_first_parents(repo, config->cache_dir, &oid, &position, error))
        return NULL;
    SlSourceTip *tip = g_new0(SlSourceTip, 1);
    tip->commit = sl_git_hex(&oid);
    tip->position = position;
    fill_people(tip, commit);
    bool have_old = since != NULL && git_oid_fromstr(&old, since) == 0;
    g_autoptr(git_commit) old_commit = NULL;
    if (have_old && git_commit_lookup(&old_commit, repo, &old) < 0)
        tip->rewound = true; /* the cache was made anew and the origin does not have it any more */
    else if (have_old && !git_oid_equal(&old, &oid))
        tip->rewound = git_graph_descendant_of(repo, &oid, &old) != 1;
    tip->authors = have_old && git_oid_equal(&old, &oid)
                       ? json_array()
                       : authors_since(repo, &oid, have_old && old_commit != NULL ? &old : NULL);
    return tip;
}

SlTree *sl_source_cache_tree(const SlSourceConfig *config, const char *commit, GError **error)
{
    return sl_git_tree_open(config->cache_dir, commit, error);
}

void sl_source_tree_free(SlTree *tree)
{
    sl_git_tree_free(tree);
}
