/* pending.c - a join that waits for a person: what was asked is kept in join.json, and
 * `sluice-agent run` asks on until it is signed. */
#include "agent/shell.h"
#include "runtime/atomicfile.h"
#include <string.h>
#include <unistd.h>

#define JOIN_MAX (64 * 1024)

static char *path_of(const char *dir, const char *name)
{
    return g_build_filename(dir, name, NULL);
}

bool sl_join_keep(const SlJoinAsk *ask, GError **error)
{
    g_autoptr(json_t) j = json_object();
    struct {
        const char *key, *value;
    } rows[] = {{"token", ask->token},   {"coordinator", ask->coordinator},
                {"engine", ask->engine}, {"modelStore", ask->model_store},
                {"exec", ask->exec},     {"labels", ask->labels}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].value)
            sl_json_set_str(j, rows[i].key, rows[i].value);
    if (ask->options)
        json_object_set(j, "options", ask->options);
    g_autofree char *text = sl_json_canonical(j, error), *path = path_of(ask->dir, "join.json");
    return text && sl_file_write_atomic(path, text, strlen(text), 0600, error);
}

void sl_join_done(const char *dir)
{
    g_autofree char *path = path_of(dir, "join.json");
    unlink(path);
}

bool sl_join_resume(const char *dir, SlLoop *loop, void (*say)(const char *line), GError **error)
{
    g_autofree char *joined = path_of(dir, "agent.json"), *path = path_of(dir, "join.json");
    if (access(joined, F_OK) == 0 || access(path, F_OK) != 0)
        return true;
    g_autoptr(GBytes) bytes = sl_file_read_secret(path, JOIN_MAX, error);
    g_autoptr(json_t) j = bytes ? sl_json_parse(g_bytes_get_data(bytes, NULL),
                                                g_bytes_get_size(bytes), NULL, path, error)
                                : NULL;
    const char *token = j ? sl_json_need_str(j, "token", error) : NULL;
    if (!token)
        return false;
    bool pending = false;
    SlJoinAsk ask = {.token = token,
                     .dir = dir,
                     .coordinator = sl_json_str(j, "coordinator"),
                     .engine = sl_json_str_or(j, "engine", "process"),
                     .model_store = sl_json_str(j, "modelStore"),
                     .exec = sl_json_str(j, "exec"),
                     .labels = sl_json_str(j, "labels"),
                     .options = sl_json_at(j, "options"),
                     .wait = true};
    return sl_join(&ask, loop, say, &pending, error) && !pending;
}
