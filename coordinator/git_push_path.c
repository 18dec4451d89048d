/* git_push_path.c - see git_push_path.h. Objects first, as one pack; then the refs, one by one.
 *
 * A push that is killed leaves the lock of the ref that it was moving. The folder may be somebody
 * else's too, and a lock does not say whose it is; so before it moves refs a push writes into our own
 * repository which ones, and to what (INTENT). The next push finds that, and removes the locks that
 * hold just this or nothing yet, and are no older. It must never remove another: who left that has
 * to. */
#include "coordinator/git_push_path.h"
#include <glib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INTENT "sluice-pushing"      /* a line for the folder, then "<commit> <ref>" lines */
#define INTENT_BYTES_MAX (64 * 1024) /* SL_PUSH_REFS_MAX lines */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_repository, git_repository_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_reference, git_reference_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_revwalk, git_revwalk_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_packbuilder, git_packbuilder_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_odb, git_odb_free)

typedef struct {
    char *from, *to;
    git_oid now, before; /* of @from here; of @to there, if @had */
    bool force, had, moves;
} Move;

static void move_clear(void *move)
{
    g_free(((Move *)move)->from);
    g_free(((Move *)move)->to);
}

/* May it go there? 0: yes or nothing to do. */
static int look(git_repository *repo, git_repository *there, git_odb *odb, Move *move)
{
    int rc = git_reference_name_to_id(&move->now, repo, move->from);
    if (rc < 0)
        return rc;
    move->had = git_reference_name_to_id(&move->before, there, move->to) == 0;
    move->moves = !move->had || !git_oid_equal(&move->now, &move->before);
    if (!move->moves || !move->had || move->force)
        return 0;
    bool forward = git_odb_exists(odb, &move->before) &&
                   git_graph_descendant_of(repo, &move->now, &move->before) == 1;
    if (!forward)
        git_error_set_str(GIT_ERROR_REFERENCE,
                          "the branch there has commits that are not present locally");
    return forward ? 0 : GIT_ENONFASTFORWARD;
}

/* What the branches there do not reach already, and nothing if that is nothing. */
static int write_objects(git_repository *repo, git_odb *odb, const GArray *moves, const char *path)
{
    g_autoptr(git_revwalk) walk = NULL;
    g_autoptr(git_packbuilder) builder = NULL;
    int rc = git_revwalk_new(&walk, repo);
    if (rc == 0)
        rc = git_packbuilder_new(&builder, repo);
    for (guint i = 0; rc == 0 && i < moves->len; i++) {
        const Move *move = &g_array_index(moves, Move, i);
        if (move->moves)
            rc = git_revwalk_push(walk, &move->now);
        if (rc == 0 && move->had && git_odb_exists(odb, &move->before))
            rc = git_revwalk_hide(walk, &move->before);
    }
    if (rc == 0)
        rc = git_packbuilder_insert_walk(builder, walk);
    if (rc < 0 || git_packbuilder_object_count(builder) == 0)
        return rc;
    g_autofree char *packs = g_build_filename(path, "objects", "pack", NULL);
    return git_packbuilder_write(builder, packs, 0, NULL, NULL);
}

/* GIT_EMODIFIED, GIT_EEXISTS: somebody moved it since the look; the next push looks again. */
static int swap(git_repository *there, const Move *move)
{
    g_autoptr(git_reference) ref = NULL;
    return move->had ? git_reference_create_matching(&ref, there, move->to, &move->now, 1,
                                                     &move->before, NULL)
                     : git_reference_create(&ref, there, move->to, &move->now, 0, NULL);
}

static void take_spec(GArray *moves, const char *spec)
{
    Move move = {.force = spec[0] == '+'};
    const char *colon = strchr(spec, ':');
    move.from = g_strndup(spec + move.force, (gsize)(colon - spec - move.force));
    move.to = g_strdup(colon + 1);
    g_array_append_val(moves, move);
}

/* ---- locks of a push that was killed ---- */

static char *read_small(const char *path, struct stat *ret_st)
{
    char *text = NULL;
    bool fit =
        lstat(path, ret_st) == 0 && S_ISREG(ret_st->st_mode) && ret_st->st_size <= INTENT_BYTES_MAX;
    return fit && g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

static bool is_older(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec < b->st_mtim.tv_sec
                                                  : a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

/* @line: "<commit> <ref>" of what was intended. */
static void remove_lock(const char *path, const char *line, const struct stat *intended)
{
    struct stat st;
    const char *ref = strchr(line, ' ');
    if (ref == NULL)
        return;
    g_autofree char *commit = g_strndup(line, (gsize)(ref - line));
    g_autofree char *lock = g_strdup_printf("%s/%s.lock", path, ref + 1);
    g_autofree char *held = read_small(lock, &st);
    if (held == NULL || is_older(&st, intended))
        return;
    g_strchomp(held);
    if (*held == '\0' || strcmp(held, commit) == 0)
        unlink(lock);
}

static void remove_locks(const char *intent, const char *path)
{
    struct stat st;
    g_autofree char *text = read_small(intent, &st);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
    for (size_t i = 1; lines[0] != NULL && strcmp(lines[0], path) == 0 && lines[i] != NULL; i++)
        remove_lock(path, lines[i], &st);
}

static int write_intent(const char *intent, const char *path, const GArray *moves)
{
    g_autoptr(GString) text = g_string_new(path);
    for (guint i = 0; i < moves->len; i++) {
        const Move *move = &g_array_index(moves, Move, i);
        char hex[GIT_OID_HEXSZ + 1];
        if (move->moves)
            g_string_append_printf(text, "\n%s %s", git_oid_tostr(hex, sizeof hex, &move->now),
                                   move->to);
    }
    if (g_file_set_contents(intent, text->str, (gssize)text->len, NULL))
        return 0;
    git_error_set_str(GIT_ERROR_OS, "what is about to be pushed cannot be written down");
    return GIT_ERROR;
}

int sl_git_push_path(git_repository *repo, const char *path, char *const *specs, size_t count)
{
    g_autoptr(git_repository) there = NULL;
    g_autoptr(git_odb) odb = NULL;
    g_autoptr(GArray) moves = g_array_new(FALSE, TRUE, sizeof(Move));
    g_array_set_clear_func(moves, move_clear);
    int rc = git_repository_open_bare(&there, path);
    if (rc == 0)
        rc = git_repository_odb(&odb, repo);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        take_spec(moves, specs[i]);
        rc = look(repo, there, odb, &g_array_index(moves, Move, i));
    }
    g_autofree char *intent = g_build_filename(git_repository_path(repo), INTENT, NULL);
    remove_locks(intent, path);
    if (rc == 0)
        rc = write_objects(repo, odb, moves, path);
    if (rc == 0)
        rc = write_intent(intent, path, moves);
    for (guint i = 0; rc == 0 && i < moves->len; i++) {
        const Move *move = &g_array_index(moves, Move, i);
        if (move->moves)
            rc = swap(there, move);
    }
    unlink(intent); /* whatever it came to: a push that ends holds no lock */
    return rc;
}
