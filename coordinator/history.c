/* history.c - two things that may lag behind: points of run progress into the cache file, and
 * pushes of the state repository. */
#include "coordinator/coordinator.h"
#include "coordinator/store/push.h"

#define HISTORY_EVERY_US (SL_SECOND_US / 2) /* runs of seconds leave a line too */
#define PUSH_AFTER_US (200 * 1000)          /* several commits, one push */
#define PUSH_RETRY_FIRST_US (2 * SL_SECOND_US)
#define PUSH_RETRY_MAX_US (5 * SL_MINUTE_US)
#define PUSH_TIMEOUT_US (60 * SL_SECOND_US)
/* Where pushes are required every append has one; it waits so long for another, at a silent remote. */
#define PUSH_BETWEEN_US (5 * SL_SECOND_US)
#define POINTS_MAX 10000 /* runs whose last point is remembered */

/* ---- run progress ---- */

typedef struct {
    SlCoordinator *c;
    json_t *rows;
    GError *error;
} AddJob;

static void add_work(void *user)
{
    AddJob *job = user;
    if (!sl_cache_add(job->c->cache, job->rows, &job->error))
        g_prefix_error(&job->error, "history: ");
}

static void add_done(void *user, bool cancelled)
{
    AddJob *job = user;
    if (!cancelled && job->error != NULL)
        sl_log_error(job->c->log, "history-not-written", job->error);
    json_decref(job->rows);
    g_clear_error(&job->error);
    g_free(job);
}

static json_t *point_of(const json_t *run)
{
    static const char *const keys[] = {"phase",    "cluster", "attempt",
                                       "progress", "metrics", "heartbeatAt"};
    json_t *point = json_object();
    sl_json_set_str(point, "run", sl_json_str(run, "id"));
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        json_t *value = json_object_get(run, keys[i]);
        if (value != NULL)
            json_object_set(point, keys[i], value);
    }
    return point;
}

/* The points of runs that changed since the last look. */
static json_t *new_points(SlCoordinator *c)
{
    g_autoptr(json_t) args = json_pack("{s:s}", "active", "1");
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) view = sl_coord_view(c->brain, "runs", args, sl_now_us(c), &error);
    json_t *rows = json_array();
    size_t index = 0;
    json_t *run = NULL;
    if (g_hash_table_size(c->points) > POINTS_MAX)
        g_hash_table_remove_all(c->points);
    json_array_foreach (json_object_get(view, "runs"), index, run) {
        const char *id = sl_json_str(run, "id");
        json_t *point = point_of(run);
        g_autofree char *digest = sl_json_digest(point);
        if (id != NULL && g_strcmp0(g_hash_table_lookup(c->points, id), digest) != 0) {
            g_hash_table_insert(c->points, g_strdup(id), g_strdup(digest));
            json_array_append(rows, point);
        }
        json_decref(point);
    }
    return rows;
}

static void history_fired(void *user)
{
    SlCoordinator *c = user;
    c->history_armed = false;
    json_t *rows = new_points(c);
    if (json_array_size(rows) == 0) {
        json_decref(rows);
        return;
    }
    AddJob *job = g_new0(AddJob, 1);
    job->c = c;
    job->rows = rows;
    if (!sl_workq_push(c->store_queue, add_work, add_done, job, &job->error))
        add_done(job, false);
}

void sl_history_note(SlCoordinator *c)
{
    if (c->cache == NULL || c->history_armed)
        return;
    c->history_armed = true;
    sl_timer_arm(c->history_timer, HISTORY_EVERY_US);
}

/* ---- pushes ---- */

typedef struct {
    SlCoordinator *c;
    uint64_t appends; /* so many there were when it began */
    GError *error;
} PushJob;

/* Work and store queue, never the loop. */
static bool push_refs(SlCoordinator *c, const char *const *refs, int64_t timeout_us, GError **error)
{
    SlPush push = {.git_path = c->config->git_path,
                   .repo = c->config->state_git,
                   .url = c->config->state_remote,
                   .ca_file = c->config->ca_file,
                   .credential_file = c->config->credential_file,
                   .refs = refs,
                   .timeout_us = timeout_us,
                   .stop_fd = c->stop_fd};
    pthread_mutex_lock(&c->push_one);
    bool good = sl_push_state(&push, error);
    pthread_mutex_unlock(&c->push_one);
    return good;
}

static bool push_now(SlCoordinator *c, int64_t timeout_us, GError **error)
{
    g_auto(GStrv) refs = sl_push_refs(c->config->state_git, error);
    return refs != NULL && push_refs(c, (const char *const *)refs, timeout_us, error);
}

static bool throw_required(const GError *inner, GError **error)
{
    return sl_throw(error,
                    inner->code == SLU_PUSH_REWOUND ? SLU_PUSH_REWOUND : SLU_STATE_REMOTE_AWAY,
                    "%s", inner->message);
}

bool sl_push_required(SlCoordinator *c, GError **error)
{
    g_autoptr(GError) inner = NULL;
    return push_now(c, PUSH_TIMEOUT_US, &inner) || throw_required(inner, error);
}

bool sl_push_staged(SlCoordinator *c, const char *env, GError **error)
{
    g_autoptr(GError) inner = NULL;
    g_autofree char *ref = g_strconcat(SL_PUSH_STAGED, env, NULL);
    return push_refs(c, (const char *[]){ref, NULL}, PUSH_TIMEOUT_US, &inner) ||
           throw_required(inner, error);
}

static void push_work(void *user)
{
    PushJob *job = user;
    bool between = job->c->config->state_remote_required;
    if (!push_now(job->c, between ? PUSH_BETWEEN_US : PUSH_TIMEOUT_US, &job->error))
        g_prefix_error(&job->error, "state repository: ");
}

static void push_done(void *user, bool cancelled)
{
    PushJob *job = user;
    SlCoordinator *c = job->c;
    c->pushing = false;
    if (!cancelled && job->error != NULL) {
        sl_log_error(c->log, "state-push-failed", job->error);
        if (c->push_error == NULL)
            c->push_failed_us = sl_now_us(c);
        g_clear_error(&c->push_error);
        c->push_error = g_steal_pointer(&job->error);
        int64_t wait = PUSH_RETRY_FIRST_US << MIN(c->push_failures, 8u);
        c->push_failures++;
        sl_timer_arm(c->push_timer, MIN(wait, PUSH_RETRY_MAX_US));
    } else if (!cancelled) {
        c->push_failures = 0;
        c->count_pushed = job->appends;
        g_clear_error(&c->push_error);
        if (c->push_again)
            sl_timer_arm(c->push_timer, PUSH_AFTER_US);
    }
    g_clear_error(&job->error);
    g_free(job);
}

static void push_fired(void *user)
{
    SlCoordinator *c = user;
    if (c->pushing) {
        c->push_again = true;
        return;
    }
    PushJob *job = g_new0(PushJob, 1);
    job->c = c;
    job->appends = c->count_appends;
    c->pushing = true;
    c->push_again = false;
    if (!sl_workq_push(c->work_queue, push_work, push_done, job, &job->error))
        push_done(job, false);
}

void sl_push_soon(SlCoordinator *c)
{
    if (c->config->state_remote == NULL)
        return;
    if (c->pushing)
        c->push_again = true;
    else if (c->push_failures == 0)
        sl_timer_arm(c->push_timer, PUSH_AFTER_US);
}

void sl_history_init(SlCoordinator *c)
{
    c->points = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    c->history_timer = sl_timer_new(c->loop, history_fired, c);
    c->push_timer = sl_timer_new(c->loop, push_fired, c);
    pthread_mutex_init(&c->push_one, NULL);
}

void sl_history_free(SlCoordinator *c)
{
    sl_timer_free(c->history_timer);
    sl_timer_free(c->push_timer);
    pthread_mutex_destroy(&c->push_one);
    g_clear_error(&c->push_error);
    g_clear_pointer(&c->points, g_hash_table_unref);
}
