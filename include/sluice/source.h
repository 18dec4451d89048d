/* source.h - where commits come from. Implementations: coordinator/sources/<name>.c + a line in
 * sources.def. Network work happens in the child sluice-git (no keys, kill timer); trees are read
 * from the object database, never checked out. */
#pragma once
#include "base/json.h"
#include "render/tree.h"

typedef struct {
    const char *name; /* repository document's name, "" = fleet repository */
    const char *url;  /* path, file:// is refused, http(s)://; no user info */
    const char *branch;
    const char *cache_dir;                 /* bare repository of our own */
    const char *git_path;                  /* the sluice-git program */
    const char *ca_file, *credential_file; /* or NULL */
    bool signed_commits;                   /* also say who signed each commit of a change */
    int64_t timeout_us;
    int stop_fd; /* readable: the daemon stops, do not wait any longer; 0 = none */
    uint64_t pack_bytes_max; /* 512 MiB */
    uint64_t objects_max;    /* 200000 */
} SlSourceConfig;

typedef struct {
    char *commit;
    uint64_t position;
    int64_t time_us;
    char *author, *subject;
    json_t *authors; /* e-mails of the commits since @since */
    /* where signed_commits: of the same commits {"commit", "key"} or {"commit", "why"}, each key and
     * each reason with the first commit that has it; of the tip only where @since is NULL or gone */
    json_t *signers;
    bool rewound;
} SlSourceTip;
void sl_source_tip_free(SlSourceTip *tip);

typedef struct {
    const char *name; /* "path", "http" */
    bool (*matches)(const char *url);
    /* Blocking: called on a work-queue thread. @since: last commit read or NULL. Errors:
     * SOURCE_UNREACHABLE, SOURCE_BRANCH, TIMEOUT, LIMIT, SOURCE_REFUSED. (transfer full) */
    SlSourceTip *(*fetch)(const SlSourceConfig *config, const char *since, GError **error);
    /* Blocking. Tree of a commit that fetch returned at some time. Free with sl_source_tree_free.
     */
    SlTree *(*tree)(const SlSourceConfig *config, const char *commit, GError **error);
} SlSourceOps;

void sl_source_tree_free(SlTree *tree);
const SlSourceOps *const *sl_sources(void);
const SlSourceOps *sl_source_find(const char *url);
