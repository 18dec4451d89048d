/* people.c - what the HTTP API asks of the shell: views and actions go to the brain, logs to an
 * agent, bytes come from the store. */
#include "base/digest.h"
#include "base/text.h"
#include "coordinator/coordinator.h"
#include "core/statement.h"
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

static void alarm_row(json_t *alarms, const char *what, int code, const char *message,
                      int64_t since_us)
{
    json_t *row = json_object();
    g_autofree char *number = g_strdup_printf("SLU%d", code);
    g_autofree char *since = sl_format_time(since_us);
    sl_json_set_str(row, "what", what);
    sl_json_set_str(row, "code", number);
    sl_json_set_str(row, "message", message);
    sl_json_set_str(row, "since", since);
    json_array_append_new(alarms, row);
}

/* What is wrong with this process and not with the fleet: the brain does not know it. */
static void add_own_alarms(const SlCoordinator *c, json_t *alarms)
{
    g_autoptr(GError) closed = NULL;
    if (!sl_append_open(c, &closed))
        alarm_row(alarms, closed->code == SLU_STORAGE_FULL ? "storage" : "state-remote",
                  closed->code, closed->message,
                  c->short_since_us != 0 ? c->short_since_us : c->held_since_us);
    if (c->push_error != NULL) {
        g_autofree char *text =
            g_strdup_printf("%" G_GUINT64_FORMAT " commits of the ledger wait for it: %s",
                            c->count_appends - c->count_pushed, c->push_error->message);
        alarm_row(alarms, "state-remote", c->push_error->code, text, c->push_failed_us);
    }
}

static json_t *view(void *user, const char *what, const json_t *args, GError **error)
{
    SlCoordinator *c = user;
    json_t *answer = sl_coord_view(c->brain, what, args, sl_now_us(c), error);
    json_t *alarms = json_object_get(answer, "alarms");
    if (json_is_array(alarms) && strcmp(what, "status") == 0)
        add_own_alarms(c, alarms);
    return answer;
}

/* ---- the whole status: rendered once for all who ask ---- */

#define SNAPSHOT_AGE_US SL_SECOND_US /* what depends on the clock alone is at most so old */
#define SNAPSHOT_SHARE 19            /* of the time, at most a twentieth goes into rendering it */

static bool is_fresh(const SlSnapshot *s, int64_t now_us)
{
    if (s->bytes == NULL || s->asked)
        return false;
    int64_t age = now_us - s->made_us;
    return age < (s->changed ? MIN(s->cost_us * SNAPSHOT_SHARE, SNAPSHOT_AGE_US) : SNAPSHOT_AGE_US);
}

static GBytes *status(void *user, uint64_t *ret_tag)
{
    SlCoordinator *c = user;
    SlSnapshot *s = &c->snapshot;
    int64_t start = sl_clock_real.monotonic_us(sl_clock_real.user);
    if (!is_fresh(s, start)) {
        g_autoptr(json_t) args = json_object();
        g_autoptr(json_t) answer = view(user, "status", args, NULL);
        char *text = answer != NULL ? sl_json_canonical(answer, NULL) : NULL;
        if (text == NULL)
            return NULL;
        g_autoptr(GBytes) old = s->bytes;
        s->bytes = g_bytes_new_take(text, strlen(text));
        if (old == NULL) /* another process's tags are other ones */
            s->tag = (uint64_t)c->started_us;
        else if (!g_bytes_equal(old, s->bytes))
            s->tag++;
        s->changed = s->asked = false;
        s->made_us = sl_clock_real.monotonic_us(sl_clock_real.user);
        s->cost_us = s->made_us - start;
    }
    *ret_tag = s->tag;
    return s->bytes;
}

/* ---- status as of an earlier time ---- */

typedef struct {
    SlCoordinator *c;
    int64_t at_us;
    json_t *args, *answer;
    GError *error;
    void (*done)(json_t *answer, const GError *error, void *call);
    void *call;
} AtJob;

static void at_work(void *user)
{
    AtJob *job = user;
    g_autoptr(SlLedger) ledger = sl_ledger_open(job->c->config->state_git, &job->error);
    if (ledger == NULL)
        return;
    SlReplay replay = {.config = job->c->config,
                       .online = job->c->online,
                       .ledger = ledger,
                       .blobs = job->c->blobs,
                       .until_us = job->at_us};
    job->answer = sl_replay_status(&replay, job->args, &job->error);
}

static void at_done(void *user, bool cancelled)
{
    AtJob *job = user;
    job->c->replays--;
    if (cancelled && job->error == NULL)
        sl_throw(&job->error, SLU_UNAVAILABLE, "the coordinator is stopping");
    job->done(job->answer, job->error, job->call);
    json_decref(job->args);
    g_clear_error(&job->error);
    g_free(job);
}

static void view_at(void *user, int64_t at_us, const json_t *args,
                    void (*done)(json_t *, const GError *, void *), void *call)
{
    AtJob *job = g_new0(AtJob, 1);
    job->c = user;
    job->at_us = at_us;
    job->args = json_deep_copy(args);
    job->done = done;
    job->call = call;
    if (++job->c->replays > SL_REPLAYS_MAX) {
        sl_throw(&job->error, SLU_API_RATE, "%d views of an earlier time are being made already",
                 SL_REPLAYS_MAX);
        at_done(job, false);
    } else if (!sl_workq_push(job->c->work_queue, at_work, at_done, job, &job->error)) {
        at_done(job, false);
    }
}

/* ---- the rest ---- */

static bool token(void *user, const char *text, const char **ret_person, const char **ret_scope,
                  GError **error)
{
    SlCoordinator *c = user;
    return sl_coord_token_check(c->brain, text, sl_now_us(c), ret_person, ret_scope, error);
}

static bool writable(void *user, GError **error)
{
    return sl_append_open(user, error);
}

static void action(void *user, const SlApiAction *a)
{
    SlCoordinator *c = user;
    SlCoordInput input = {.type = SL_COORD_REQUEST};
    sl_random_bytes(c->random, sizeof c->random);
    input.request = (SlCoordRequest){.id = a->id,
                                     .verb = a->verb,
                                     .person = a->person,
                                     .scope = a->scope,
                                     .args = a->args,
                                     .idempotency_key = a->idempotency_key,
                                     .random = c->random};
    sl_turn_input(c, &input);
}

typedef struct {
    void (*done)(GBytes *bytes, const GError *error, void *call);
    void *call;
} BlobWait;

static void blob_found(SlCoordinator *c, GBytes *bytes, bool searched, void *user)
{
    BlobWait *wait = user;
    g_autoptr(GError) error = NULL;
    if (!searched)
        sl_throw(&error, SLU_UNAVAILABLE,
                 c->failed ? "the coordinator is stopping"
                           : "too many searches for bytes wait already");
    wait->done(bytes, error, wait->call);
    g_free(wait);
}

static void blob(void *user, const char *person, const char *digest,
                 void (*done)(GBytes *, const GError *, void *), void *call)
{
    SlCoordinator *c = user;
    g_autoptr(GBytes) bytes = sl_turn_blob(c, digest);
    if (bytes != NULL) {
        done(bytes, NULL, call);
        return;
    }
    BlobWait *wait = g_new0(BlobWait, 1);
    *wait = (BlobWait){.done = done, .call = call};
    g_autofree char *who = g_strconcat("api:", person, NULL);
    SlFind find = {.who = who, .digest = digest};
    if (!sl_find_bytes(c, &find, blob_found, wait))
        blob_found(c, NULL, false, wait);
}

static json_t *statement(void *user, const char *digest)
{
    SlCoordinator *c = user;
    const SlSigned *found = sl_coord_statement(c->brain, digest);
    return found != NULL ? sl_signed_to_json(found) : NULL;
}

static json_t *run_history(void *user, const char *run)
{
    SlCoordinator *c = user;
    return c->cache != NULL ? sl_cache_run(c->cache, run) : json_array();
}

static void ask_log(void *user, const json_t *args, void (*done)(json_t *, const GError *, void *),
                    void *call)
{
    sl_agents_log(user, args, done, call);
}

static uint64_t ledger_seq(void *user)
{
    SlCoordinator *c = user;
    return sl_coord_ledger_seq(c->brain);
}

static bool ready(void *user)
{
    SlCoordinator *c = user;
    return !c->failed && c->server != NULL;
}

static void metric(GString *text, const char *name, const char *help, const char *type,
                   double value)
{
    g_autofree char *number = sl_json_repr_double(value);
    g_string_append_printf(text, "# HELP sluice_%s %s\n# TYPE sluice_%s %s\nsluice_%s %s\n", name,
                           help, name, type, name, number);
}

static void door_metrics(GString *text, const char *port, const SlDoorCounts *counts)
{
    static const char *const names[] = {"crowd", "pace", "mute", "endless", "flood", "asked"};
    const uint64_t values[] = {counts->crowd, counts->pace, counts->mute, counts->endless,
                               counts->flood, counts->asked};
    g_string_append_printf(text, "sluice_connections{port=\"%s\"} %zu\n", port,
                           counts->connections);
    g_string_append_printf(text, "sluice_connections_accepted_total{port=\"%s\"} %" PRIu64 "\n",
                           port, counts->accepted);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        g_string_append_printf(
            text, "sluice_connections_cut_total{port=\"%s\",reason=\"%s\"} %" PRIu64 "\n", port,
            names[i], values[i]);
}

static void doors(SlCoordinator *c, GString *text)
{
    SlDoorCounts agents, enrol;
    sl_server_counts(c->server, &agents, &enrol);
    g_string_append(text,
                    "# HELP sluice_connections Open connections of agents, by port.\n"
                    "# TYPE sluice_connections gauge\n"
                    "# HELP sluice_connections_accepted_total Accepted since the start.\n"
                    "# TYPE sluice_connections_accepted_total counter\n"
                    "# HELP sluice_connections_cut_total Cut since the start: crowd (too many "
                    "that said nothing), pace (too many a second), mute (said nothing), "
                    "endless (a message that did not end), flood (went on above its share), "
                    "asked (removed or suspended).\n"
                    "# TYPE sluice_connections_cut_total counter\n");
    door_metrics(text, "agents", &agents);
    door_metrics(text, "enrol", &enrol);
}

static char *metrics(void *user)
{
    SlCoordinator *c = user;
    GString *text = g_string_new(NULL);
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    metric(text, "ledger_seq", "Last event of the ledger.", "gauge",
           (double)sl_coord_ledger_seq(c->brain));
    metric(text, "ledger_commits_total", "Commits to the ledger since the start.", "counter",
           (double)c->count_appends);
    metric(text, "ledger_events_total", "Events appended since the start.", "counter",
           (double)c->count_events);
    metric(text, "agents_connected", "Agents with a session.", "gauge",
           (double)g_hash_table_size(c->heard));
    metric(text, "agent_messages_total", "Messages of agents since the start.", "counter",
           (double)c->count_messages);
    metric(text, "agent_messages_dropped_total",
           "Messages that were refused before they were read.", "counter",
           (double)c->count_dropped);
    metric(text, "enrolments_refused_total",
           "Requests to join that were answered by a refusal, since the start.", "counter",
           (double)c->count_refused);
    metric(text, "renders_total", "Renders since the start.", "counter", (double)c->count_renders);
    metric(text, "ledger_repacks_total", "Repacks of the state repository since the start.",
           "counter", (double)c->count_repacks);
    metric(text, "api_requests_total", "HTTP requests since the start.", "counter",
           (double)sl_api_count(c->api));
    metric(text, "api_slow_total",
           "HTTP connections that were cut because a request or its answer took too long.",
           "counter", (double)sl_api_slow(c->api));
    metric(text, "work_queue_jobs", "Jobs that wait or run.", "gauge",
           (double)(sl_workq_pending(c->work_queue) + sl_workq_pending(c->store_queue)));
    metric(text, "max_resident_bytes", "Most memory that was resident.", "gauge",
           (double)use.ru_maxrss * 1024);
    metric(text, "start_time_seconds", "When this process started.", "gauge",
           (double)c->started_us / 1e6);
    if (c->server != NULL)
        doors(c, text);
    return g_string_free(text, FALSE);
}

const SlApiOps sl_people_ops = {
    .view = view,
    .status = status,
    .view_at = view_at,
    .token = token,
    .writable = writable,
    .action = action,
    .blob = blob,
    .statement = statement,
    .run_history = run_history,
    .log = ask_log,
    .ledger_seq = ledger_seq,
    .metrics = metrics,
    .ready = ready,
};

/* base64url without padding, as in the join token. */
static char *base64url(const char *text)
{
    char *coded = sl_base64(text, strlen(text));
    for (char *p = coded; *p != '\0'; p++) {
        if (*p == '+')
            *p = '-';
        else if (*p == '/')
            *p = '_';
        else if (*p == '=')
            *p = '\0';
    }
    return coded;
}

char *sl_people_join_token(SlCoordinator *c, const json_t *join)
{
    g_autoptr(json_t) token = json_object();
    char curve[65];
    sl_curve_public_hex(&c->curve, curve);
    sl_json_set_str(token, "coordinator", c->config->enrol_advertise);
    sl_json_set_str(token, "curve", curve);
    sl_json_set_str(token, "env", sl_json_str(join, "env"));
    sl_json_set_str(token, "fleet", sl_json_str(join, "fleet"));
    sl_json_set_str(token, "id", sl_json_str(join, "id"));
    sl_json_set_str(token, "name", sl_json_str(join, "name"));
    sl_json_set_str(token, "root", sl_json_str(join, "root"));
    sl_json_set_str(token, "secret", sl_json_str(join, "secret"));
    g_autofree char *text = sl_json_canonical(token, NULL);
    g_autofree char *coded = base64url(text != NULL ? text : "{}");
    return g_strconcat("slj1.", coded, NULL);
}
