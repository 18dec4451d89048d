/* replay.c - folding the ledger into a brain: the whole at start, or up to a time for `status?at=`.
 */
#include "base/text.h"
#include "coordinator/coordinator.h"
#include <string.h>

typedef struct {
    SlCoord *brain;
    const SlReplay *replay;
    bool beyond;
} Fold;

static void note_committed(const SlReplay *replay, const json_t *event)
{
    const char *type = sl_json_str_or(event, "type", ""), *env = sl_json_str(event, "env");
    const char *commit = NULL;
    if (strcmp(type, "Committed") == 0)
        commit = sl_json_str(event, "new");
    else if (strcmp(type, "ExternalChange") == 0 &&
             strcmp(sl_json_str_or(event, "policy", ""), "adopt") == 0)
        commit = sl_json_str(event, "found");
    if (replay->committed != NULL && env != NULL && commit != NULL)
        g_hash_table_insert(replay->committed, g_strdup(env), g_strdup(commit));
}

static bool fold_event(const json_t *event, void *user, GError **error)
{
    Fold *fold = user;
    int64_t at = 0;
    const char *text = sl_json_str(event, "at");
    if (fold->beyond || (text != NULL && sl_parse_time(text, &at) && at > fold->replay->until_us)) {
        fold->beyond = true;
        return true;
    }
    size_t len = 0;
    const char *line = sl_ledger_line(fold->replay->ledger, &len);
    if (!sl_coord_fold_text(fold->brain, event, line, len, error))
        return false;
    note_committed(fold->replay, event);
    return true;
}

bool sl_replay_into(SlCoord *brain, const SlReplay *replay, GError **error)
{
    Fold fold = {.brain = brain, .replay = replay};
    return sl_ledger_replay(replay->ledger, fold_event, &fold, error);
}

typedef struct {
    const SlReplay *replay;
    GBytes *lent;
} Reader;

static GBytes *read_blob(const char *digest, void *user)
{
    Reader *reader = user;
    g_clear_pointer(&reader->lent, g_bytes_unref);
    reader->lent = sl_blobs_get(reader->replay->blobs, digest);
    if (reader->lent == NULL)
        reader->lent = sl_ledger_map(reader->replay->ledger, digest);
    return reader->lent;
}

json_t *sl_replay_status(const SlReplay *replay, const json_t *args, GError **error)
{
    Reader reader = {.replay = replay};
    SlCoordConfig config = {.online_secret = replay->online,
                            .blobs = {.get = read_blob, .user = &reader},
                            .owner_person = replay->config->person};
    g_autoptr(SlCoord) brain = sl_coord_new(&config);
    json_t *answer = NULL;
    if (sl_replay_into(brain, replay, error))
        answer = sl_coord_view(brain, "status", args, replay->until_us, error);
    g_clear_pointer(&reader.lent, g_bytes_unref);
    return answer;
}
