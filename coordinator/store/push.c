/* push.c - see push.h. */
#include "coordinator/store/push.h"
#include "base/json.h"
#include "git/gitutil.h"
#include "runtime/spawn.h"
#include <string.h>

#define OUTPUT_MAX (64 * 1024)

static void add_option(GPtrArray *argv, const char *name, const char *value)
{
    if (value == NULL)
        return;
    g_ptr_array_add(argv, (char *)name);
    g_ptr_array_add(argv, (char *)value);
}

static bool judge(const SlPush *push, const SlChildEnd *end, GError **error)
{
    gsize len = 0;
    const char *text = end->output != NULL ? g_bytes_get_data(end->output, &len) : "";
    while (len > 0 && text[len - 1] == '\n')
        len--;
    if (end->timed_out)
        return sl_throw(error, SLU_PUSH_FAILED, "%s: no answer in time", push->url);
    if (end->code == 0)
        return true;
    g_autoptr(json_t) line = sl_json_parse(text, len, NULL, "sluice-git", NULL);
    const char *kind = line != NULL ? sl_json_str_or(line, "error.kind", "") : "";
    const char *said = line != NULL ? sl_json_str_or(line, "error.message", "")
                                    : "sluice-git ended without an answer";
    SlErrorCode code = strcmp(kind, "rewound") == 0 ? SLU_PUSH_REWOUND : SLU_PUSH_FAILED;
    return sl_throw(error, code, "%s: %s", push->url, said);
}

bool sl_push_state(const SlPush *push, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, (char *)push->git_path);
    g_ptr_array_add(argv, (char *)"push");
    add_option(argv, "--repo", push->repo);
    add_option(argv, "--url", push->url);
    add_option(argv, "--ca", push->ca_file);
    add_option(argv, "--credentials", push->credential_file);
    for (size_t i = 0; push->refs[i] != NULL; i++)
        add_option(argv, "--ref", push->refs[i]);
    g_ptr_array_add(argv, NULL);
    SlSpawn how = {.argv = (const char *const *)argv->pdata,
                   .output_max = OUTPUT_MAX,
                   .error_max = OUTPUT_MAX,
                   .timeout_us = push->timeout_us,
                   .stop_fd = push->stop_fd};
    SlChildEnd end = {0};
    if (!sl_spawn_wait(&how, &end, error))
        return false;
    bool good = judge(push, &end, error);
    sl_child_end_clear(&end);
    return good;
}

static bool add_names(git_repository *repo, const char *glob, GPtrArray *names, GError **error)
{
    git_reference_iterator *iterator = NULL;
    git_reference *ref = NULL;
    if (git_reference_iterator_glob_new(&iterator, repo, glob) < 0)
        return sl_git_throw(error, SLU_PUSH_FAILED, "listing the branches");
    while (names->len <= SL_PUSH_REFS_MAX && git_reference_next(&ref, iterator) == 0) {
        g_ptr_array_add(names, g_strdup(git_reference_name(ref)));
        git_reference_free(ref);
    }
    git_reference_iterator_free(iterator);
    return true;
}

char **sl_push_refs(const char *repo_dir, GError **error)
{
    g_autoptr(git_repository) repo = sl_git_open(repo_dir, false, error);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    if (repo == NULL || !add_names(repo, "refs/heads/sluice/*", names, error) ||
        !add_names(repo, SL_PUSH_STAGED "*", names, error))
        return NULL;
    if (names->len > SL_PUSH_REFS_MAX) /* a part of them would look like all of them */
        return sl_throw_null(error, SLU_PUSH_FAILED, "more than %d branches in %s",
                             SL_PUSH_REFS_MAX, repo_dir);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_steal(names, NULL);
}
