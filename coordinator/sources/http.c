/* http.c - source `http`: http(s) through the child program sluice-git, which is killed when a
 * server stays silent. This process only reads the cache afterwards. Blocking: work-queue threads.
 */
#include "coordinator/sources/cache.h"
#include "runtime/spawn.h"
#include <string.h>

#define OUTPUT_MAX (64 * 1024)

static const struct {
    const char *kind;
    SlErrorCode code;
} kinds[] = {
    {"branch", SLU_SOURCE_BRANCH},
    {"limit", SLU_SOURCE_LIMIT},
    {"auth", SLU_SOURCE_AUTH},
    {"refused", SLU_SOURCE_REFUSED},
    {"redirect", SLU_SOURCE_REFUSED},
    {"certificate", SLU_SOURCE_UNREACHABLE},
    {"unreachable", SLU_SOURCE_UNREACHABLE},
};

static bool matches(const char *url)
{
    return g_str_has_prefix(url, "https://") || g_str_has_prefix(url, "http://");
}

static bool url_is_fit(const char *url, GError **error)
{
    for (const char *p = url; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == 127)
            return sl_throw(error, SLU_SOURCE_REFUSED,
                            "the URL contains a space or control character");
    if (strchr(url, '@') != NULL)
        return sl_throw(error, SLU_SOURCE_REFUSED,
                        "the URL contains user info; use a credential file");
    return true;
}

static char *commit_of(const SlSourceConfig *config, const SlChildEnd *end, GError **error)
{
    if (end->timed_out)
        return sl_throw_null(error, SLU_SOURCE_TIMEOUT,
                             "%s: no answer within %" G_GINT64_FORMAT " s", config->url,
                             config->timeout_us / SL_SECOND_US);
    gsize len = 0;
    const char *text = end->output != NULL ? g_bytes_get_data(end->output, &len) : "";
    while (len > 0 && text[len - 1] == '\n')
        len--;
    g_autoptr(json_t) line = sl_json_parse(text, len, NULL, "sluice-git", NULL);
    const char *commit = line != NULL ? sl_json_str(line, "commit") : NULL;
    if (commit != NULL && end->code == 0)
        return g_strdup(commit);
    const char *kind = line != NULL ? sl_json_str_or(line, "error.kind", "") : "";
    const char *said = line != NULL ? sl_json_str_or(line, "error.message", "") : "";
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return sl_throw_null(error, kinds[i].code, "%s: %s", config->url, said);
    return sl_throw_null(error, SLU_SOURCE_UNREACHABLE,
                         "%s: sluice-git ended with code %d, signal %d", config->url, end->code,
                         end->signal);
}

static SlSourceTip *fetch(const SlSourceConfig *config, const char *since, GError **error)
{
    if (!sl_source_check_branch(config->branch, error) || !url_is_fit(config->url, error))
        return NULL;
    g_autofree char *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, config->pack_bytes_max);
    g_autofree char *objects = g_strdup_printf("%" G_GUINT64_FORMAT, config->objects_max);
    const char *argv[20] = {
        config->git_path,  "fetch",    "--url",        config->url,    "--cache",
        config->cache_dir, "--branch", config->branch, "--pack-bytes", bytes,
        "--objects",       objects};
    size_t n = 12;
    if (config->ca_file != NULL) {
        argv[n++] = "--ca";
        argv[n++] = config->ca_file;
    }
    if (config->credential_file != NULL) {
        argv[n++] = "--credentials";
        argv[n++] = config->credential_file;
    }
    SlSpawn how = {.argv = argv,
                   .output_max = OUTPUT_MAX,
                   .error_max = OUTPUT_MAX,
                   .timeout_us = config->timeout_us,
                   .stop_fd = config->stop_fd};
    SlChildEnd end = {0};
    sl_source_cache_unlock(config);
    if (!sl_spawn_wait(&how, &end, error))
        return NULL;
    g_autofree char *commit = commit_of(config, &end, error);
    sl_child_end_clear(&end);
    return commit != NULL ? sl_source_cache_tip(config, commit, since, error) : NULL;
}

const SlSourceOps sl_source_http = {
    .name = "http", .matches = matches, .fetch = fetch, .tree = sl_source_cache_tree};
