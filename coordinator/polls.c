/* polls.c - following sources: a poll per repository, woken by its timer, by inotify (local paths)
 * or by `refresh`. Fetching and reading happens on the work queue; only applications whose inputs
 * changed are offered (Git tree ids are the cache key). */
#include "base/auto.h"
#include "base/digest.h"
#include "coordinator/coordinator.h"
#include "sluice/source.h"
#include <string.h>
#include <sys/inotify.h>

#define FETCH_TIMEOUT_US (60 * SL_SECOND_US)
#define BACKOFF_MAX_US SL_HOUR_US
#define PACK_BYTES_MAX (UINT64_C(512) << 20)
#define OBJECTS_MAX 200000
#define REPOSITORIES_MAX 1000

struct SlSourcePoll {
    SlCoordinator *c;
    char *name, *url, *branch, *cache_dir;
    SlTimer *timer;
    GPtrArray *watches; /* of GINT_TO_POINTER(inotify watch) */
    char *ref_name;     /* last part of the branch: file name to look for */
    bool busy, again, force, gone;
    unsigned failures;
    char *delivered;     /* commit that the brain saw last */
    char *said;          /* error that the brain saw last */
    GHashTable *offered; /* application -> key of what was offered last */
};

typedef struct {
    SlSourcePoll *poll;
    SlSourceConfig config;
    bool force;
    char *since, *delivered;
    json_t *docs_json; /* for repositories that are not the fleet's */
    GHashTable *offered;
    SlSourceTip *tip;
    SlFleetDocs *docs;
    GPtrArray *offers, *problems;
    GError *error;
} ReadJob;

static void poke(SlSourcePoll *poll, bool force);

/* Two polls of one folder have the same watch. */
static bool is_watched(const SlCoordinator *c, gconstpointer watch)
{
    for (guint i = 0; i < c->polls->len; i++)
        if (g_ptr_array_find(((const SlSourcePoll *)c->polls->pdata[i])->watches, watch, NULL))
            return true;
    return false;
}

/* @poll is not among c->polls any more. */
static void poll_free(SlSourcePoll *poll)
{
    sl_timer_free(poll->timer);
    for (guint i = 0; i < poll->watches->len; i++)
        if (!is_watched(poll->c, poll->watches->pdata[i]))
            inotify_rm_watch(poll->c->inotify, GPOINTER_TO_INT(poll->watches->pdata[i]));
    g_ptr_array_unref(poll->watches);
    char *const all[] = {poll->name,     poll->url,       poll->branch, poll->cache_dir,
                         poll->ref_name, poll->delivered, poll->said};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        g_free(all[i]);
    g_clear_pointer(&poll->offered, g_hash_table_unref);
    g_free(poll);
}

void sl_poll_config_clear(SlSourceConfig *config)
{
    const char *const all[] = {config->name,           config->url,      config->branch,
                               config->cache_dir,      config->git_path, config->ca_file,
                               config->credential_file};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        g_free((char *)all[i]);
    *config = (SlSourceConfig){0};
}

static void fill_config(const SlSourcePoll *poll, SlSourceConfig *ret)
{
    const SlConfig *config = poll->c->config;
    const SlFleetDocs *docs = sl_coord_docs(poll->c->brain);
    bool fleet = poll->name[0] == '\0';
    *ret = (SlSourceConfig){.name = g_strdup(poll->name),
                            .url = g_strdup(poll->url),
                            .branch = g_strdup(poll->branch),
                            .cache_dir = g_strdup(poll->cache_dir),
                            .git_path = g_strdup(config->git_path),
                            .ca_file = fleet ? g_strdup(config->ca_file) : NULL,
                            .credential_file = fleet ? g_strdup(config->credential_file) : NULL,
                            .signed_commits =
                                docs != NULL && sl_fleet_signed_commits(docs, poll->name),
                            .timeout_us = FETCH_TIMEOUT_US,
                            .stop_fd = poll->c->stop_fd,
                            .pack_bytes_max = PACK_BYTES_MAX,
                            .objects_max = OBJECTS_MAX};
}

/* Repositories that no document names any more; one that is being read goes when its job is done.
 */
static void drop_gone(SlCoordinator *c)
{
    for (guint i = c->polls->len; i-- > 1;) { /* number 0 is the fleet repository */
        SlSourcePoll *poll = c->polls->pdata[i];
        if (!poll->gone || poll->busy)
            continue;
        g_ptr_array_remove_index(c->polls, i);
        poll_free(poll);
    }
}

static SlSourcePoll *find(SlCoordinator *c, const char *name)
{
    for (guint i = 0; i < c->polls->len; i++) {
        SlSourcePoll *poll = c->polls->pdata[i];
        if (!poll->gone && strcmp(poll->name, name != NULL ? name : "") == 0)
            return poll;
    }
    return NULL;
}

bool sl_polls_config(SlCoordinator *c, const char *repository, SlSourceConfig *ret)
{
    SlSourcePoll *poll = find(c, repository);
    if (poll != NULL)
        fill_config(poll, ret);
    return poll != NULL;
}

/* ---- reading, on the work queue ---- */

static void add_env(const SlEnvironmentDoc *env, SlSha256 *hash)
{
    sl_sha256_update(hash, env->digest, strlen(env->digest));
}

/* What an offer depends on: the document, the graph of environments, the Git id of the declared
 * folder. */
static char *offer_key(const SlFleetDocs *docs, const SlApplicationDoc *app, const SlTree *tree)
{
    g_autofree char *id =
        tree->id != NULL ? tree->id(tree->user, app->path != NULL ? app->path : "") : NULL;
    g_autoptr(SlSha256) hash = sl_sha256_new();
    sl_sha256_update(hash, app->digest, strlen(app->digest));
    sl_sha256_update(hash, id != NULL ? id : "-", id != NULL ? strlen(id) : 1);
    for (guint i = 0; i < docs->environments->len; i++)
        add_env(docs->environments->pdata[i], hash);
    return sl_sha256_final_hex(hash);
}

static void offer_apps(ReadJob *job, const SlFleetDocs *docs, const SlTree *tree)
{
    for (guint i = 0; i < docs->applications->len; i++) {
        const SlApplicationDoc *app = docs->applications->pdata[i];
        const char *repository = app->repository != NULL ? app->repository : "";
        if (app->broken || strcmp(repository, job->config.name) != 0)
            continue;
        g_autofree char *key = offer_key(docs, app, tree);
        const char *before = g_hash_table_lookup(job->offered, app->name);
        if (g_strcmp0(before, key) == 0 && !job->force)
            continue;
        g_ptr_array_add(job->offers, sl_offer_make(docs, app, tree));
        g_hash_table_insert(job->offered, g_strdup(app->name), g_steal_pointer(&key));
    }
}

static void read_tree(ReadJob *job, const SlSourceOps *ops)
{
    SlTree *tree = ops->tree(&job->config, job->tip->commit, &job->error);
    if (tree == NULL)
        return;
    if (job->config.name[0] == '\0') {
        job->docs = sl_fleet_read(tree, job->problems);
        if (job->docs != NULL)
            offer_apps(job, job->docs, tree);
    } else if (job->docs_json != NULL) {
        g_autoptr(SlFleetDocs) docs = sl_fleet_from_json(job->docs_json, &job->error);
        if (docs != NULL)
            offer_apps(job, docs, tree);
    }
    sl_source_tree_free(tree);
}

static void read_work(void *user)
{
    ReadJob *job = user;
    const SlSourceOps *ops = sl_source_find(job->config.url);
    if (ops == NULL) {
        sl_throw(&job->error, SLU_SOURCE_REFUSED, "%s: neither an absolute path nor an http(s) URL",
                 job->config.url);
        return;
    }
    job->tip = ops->fetch(&job->config, job->since, &job->error);
    if (job->tip != NULL && (job->force || g_strcmp0(job->tip->commit, job->delivered) != 0))
        read_tree(job, ops);
}

/* ---- back on the loop ---- */

static void job_free(ReadJob *job)
{
    sl_poll_config_clear(&job->config);
    g_free(job->since);
    g_free(job->delivered);
    json_decref(job->docs_json);
    g_clear_pointer(&job->offered, g_hash_table_unref);
    sl_source_tip_free(job->tip);
    sl_fleet_docs_free(job->docs);
    g_ptr_array_unref(job->offers);
    g_ptr_array_unref(job->problems);
    g_clear_error(&job->error);
    g_free(job);
}

static void deliver_tip(SlSourcePoll *poll, ReadJob *job)
{
    const SlSourceTip *tip = job->tip;
    SlCoordInput input = {.type = SL_COORD_SOURCE};
    input.source = (SlCoordSource){.repository = poll->name,
                                   .branch = poll->branch,
                                   .commit = tip->commit,
                                   .position = tip->position,
                                   .time_us = tip->time_us,
                                   .author = tip->author,
                                   .subject = tip->subject,
                                   .authors = tip->authors,
                                   .signers = tip->signers,
                                   .rewound = tip->rewound,
                                   .docs = job->docs,
                                   .offers = job->offers,
                                   .problems = job->problems};
    g_free(poll->delivered);
    poll->delivered = g_strdup(tip->commit);
    sl_log(poll->c->log, SL_LOG_INFO, "source-read", "repository", poll->name, "commit",
           tip->commit, "rewound", tip->rewound ? "yes" : "no", NULL);
    sl_turn_input(poll->c, &input);
}

static void deliver_error(SlSourcePoll *poll, const GError *error)
{
    if (g_strcmp0(poll->said, error->message) == 0)
        return; /* said already; the status shows it */
    g_free(poll->said);
    poll->said = g_strdup(error->message);
    sl_log_error(poll->c->log, "source-failed", error);
    SlCoordInput input = {.type = SL_COORD_SOURCE};
    input.source =
        (SlCoordSource){.repository = poll->name, .branch = poll->branch, .error = error};
    sl_turn_input(poll->c, &input);
}

static void rearm(SlSourcePoll *poll)
{
    unsigned shift = MIN(poll->failures, 10u);
    int64_t wait = poll->c->config->poll_us << shift;
    if (poll->failures == 0 || wait < poll->c->config->poll_us)
        wait = poll->c->config->poll_us;
    sl_timer_arm(poll->timer, MIN(wait, BACKOFF_MAX_US));
}

static void read_done(void *user, bool cancelled)
{
    ReadJob *job = user;
    SlSourcePoll *poll = job->poll;
    poll->busy = false;
    poll->offered = g_steal_pointer(&job->offered);
    if (!cancelled && !poll->gone) {
        bool recovered = poll->said != NULL && job->error == NULL;
        if (recovered)
            g_clear_pointer(&poll->said, g_free);
        poll->failures = job->error != NULL ? poll->failures + 1 : 0;
        if (job->error != NULL)
            deliver_error(poll, job->error);
        else if (job->force || g_strcmp0(job->tip->commit, job->delivered) != 0)
            deliver_tip(poll, job);
        else if (recovered)
            poke(poll, true); /* so that the error goes away in the status */
        rearm(poll);
        if (poll->again)
            poke(poll, poll->force);
    }
    job_free(job);
    if (poll->gone)
        drop_gone(poll->c);
}

static void poke(SlSourcePoll *poll, bool force)
{
    SlCoordinator *c = poll->c;
    if (c->failed || poll->gone)
        return; /* stopping: the queue may be gone */
    if (c->short_since_us != 0 || !sl_append_takes(c, SL_COORD_SOURCE))
        return; /* space.c and append.c poke all when it goes on */
    if (poll->busy) {
        poll->again = true;
        poll->force = poll->force || force;
        return;
    }
    const SlFleetDocs *docs = sl_coord_docs(c->brain);
    ReadJob *job = g_new0(ReadJob, 1);
    job->poll = poll;
    fill_config(poll, &job->config);
    job->force = force;
    job->since = g_strdup(sl_coord_followed(c->brain, poll->name));
    job->delivered = g_strdup(poll->delivered);
    job->docs_json = poll->name[0] != '\0' && docs != NULL ? sl_fleet_to_json(docs) : NULL;
    job->offered = g_steal_pointer(&poll->offered);
    job->offers = g_ptr_array_new_with_free_func((GDestroyNotify)sl_offer_free);
    job->problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    poll->busy = true;
    poll->again = poll->force = false;
    if (!sl_workq_push(c->work_queue, read_work, read_done, job, &job->error))
        read_done(job, false);
}

static void timer_fired(void *user)
{
    poke(user, false);
}

/* ---- inotify: a push into a local repository is picked up at once ---- */

static void watch_folder(SlSourcePoll *poll, const char *folder)
{
    int watch =
        inotify_add_watch(poll->c->inotify, folder,
                          IN_MOVED_TO | IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_ONLYDIR);
    if (watch >= 0)
        g_ptr_array_add(poll->watches, GINT_TO_POINTER(watch));
}

static void watch_path(SlSourcePoll *poll)
{
    if (poll->url[0] != '/' || poll->c->inotify < 0)
        return;
    g_autofree char *inner = g_build_filename(poll->url, ".git", NULL);
    const char *git_dir = g_file_test(inner, G_FILE_TEST_IS_DIR) ? inner : poll->url;
    g_autofree char *ref = g_build_filename(git_dir, "refs", "heads", poll->branch, NULL);
    g_autofree char *folder = g_path_get_dirname(ref);
    poll->ref_name = g_path_get_basename(ref);
    watch_folder(poll, git_dir); /* packed-refs */
    watch_folder(poll, folder);
}

static bool concerns(const SlSourcePoll *poll, const struct inotify_event *event)
{
    for (guint i = 0; i < poll->watches->len; i++)
        if (GPOINTER_TO_INT(poll->watches->pdata[i]) == event->wd)
            return event->len == 0 || strcmp(event->name, poll->ref_name) == 0 ||
                   strcmp(event->name, "packed-refs") == 0;
    return false;
}

static void inotify_ready(int fd, unsigned events, void *user)
{
    SlCoordinator *c = user;
    char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    (void)events;
    ssize_t len = read(fd, buffer, sizeof buffer);
    for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= len;) {
        const struct inotify_event *event =
            (const struct inotify_event *)(const void *)(buffer + at);
        for (guint i = 0; i < c->polls->len; i++)
            if (concerns(c->polls->pdata[i], event))
                poke(c->polls->pdata[i], false);
        at += (ssize_t)sizeof *event + (ssize_t)event->len;
    }
}

/* ---- which repositories ---- */

static SlSourcePoll *add(SlCoordinator *c, const char *name, const char *url, const char *branch)
{
    SlSourcePoll *poll = g_new0(SlSourcePoll, 1);
    g_autofree char *key = g_strconcat(name, "\n", url, NULL);
    g_autofree char *digest = sl_sha256_hex(key, strlen(key));
    g_autofree char *folder = g_strdup_printf("%.16s.git", digest);
    poll->c = c;
    poll->name = g_strdup(name);
    poll->url = g_strdup(url);
    poll->branch = g_strdup(branch);
    poll->cache_dir = g_build_filename(c->config->sources_dir, folder, NULL);
    poll->watches = g_ptr_array_new();
    poll->offered = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    poll->timer = sl_timer_new(c->loop, timer_fired, poll);
    g_ptr_array_add(c->polls, poll);
    watch_path(poll);
    return poll;
}

static bool same(const SlSourcePoll *poll, const SlRepositoryDoc *doc)
{
    return strcmp(poll->url, doc->url) == 0 &&
           strcmp(poll->branch, doc->branch != NULL ? doc->branch : "main") == 0;
}

void sl_polls_follow_docs(SlCoordinator *c)
{
    const SlFleetDocs *docs = sl_coord_docs(c->brain);
    if (docs == NULL || c->polls == NULL || c->polls->len == 0)
        return;
    if (c->docs_followed == sl_coord_docs_version(c->brain))
        return;
    c->docs_followed = sl_coord_docs_version(c->brain);
    g_autoptr(json_t) json = sl_fleet_to_json(docs);
    g_autofree char *digest = sl_json_digest(json);
    if (g_strcmp0(digest, c->docs_digest) == 0)
        return;
    g_free(c->docs_digest);
    c->docs_digest = g_steal_pointer(&digest);
    for (guint i = 1; i < c->polls->len; i++) /* number 0 is the fleet repository */
        ((SlSourcePoll *)c->polls->pdata[i])->gone = true;
    for (guint i = 0; i < docs->repositories->len && i < REPOSITORIES_MAX; i++) {
        const SlRepositoryDoc *doc = docs->repositories->pdata[i];
        SlSourcePoll *known = NULL;
        for (guint k = 1; k < c->polls->len; k++) {
            SlSourcePoll *poll = c->polls->pdata[k];
            if (strcmp(poll->name, doc->name) == 0 && same(poll, doc))
                known = poll;
        }
        if (known == NULL)
            known = add(c, doc->name, doc->url, doc->branch != NULL ? doc->branch : "main");
        known->gone = false;
        poke(known, true); /* other documents may want other applications of it */
    }
    drop_gone(c);
}

void sl_polls_poke(SlCoordinator *c, const char *repository)
{
    for (guint i = 0; i < c->polls->len; i++) {
        SlSourcePoll *poll = c->polls->pdata[i];
        if (!poll->gone && (repository == NULL || strcmp(poll->name, repository) == 0))
            poke(poll, true);
    }
}

void sl_polls_start(SlCoordinator *c)
{
    c->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (c->inotify >= 0)
        c->inotify_watch = sl_watch_new(c->loop, c->inotify, SL_READABLE, inotify_ready, c);
    poke(add(c, "", c->config->repository, c->config->branch), true);
    sl_polls_follow_docs(c);
}

void sl_polls_free(SlCoordinator *c)
{
    while (c->polls != NULL && c->polls->len > 0)
        poll_free(g_ptr_array_steal_index(c->polls, c->polls->len - 1));
    g_clear_pointer(&c->polls, g_ptr_array_unref);
    sl_watch_free(c->inotify_watch);
    sl_close_fd(&c->inotify);
    g_free(c->docs_digest);
}
