/* brain.h - what the decision files of this room offer each other. Private. Each is called inside a
 * step only. */
#pragma once
#include "coordinator/brain/state.h"

/* candidates.c: the one predicate. OPEN: may be requested and committed; WAIT: not yet; SHUT: not
 * in this unit. */
typedef enum { SL_ELIGIBLE_OPEN, SL_ELIGIBLE_WAIT, SL_ELIGIBLE_SHUT } SlEligible;
SlEligible sl_brain_eligible(const SlCoord *c, const SlRelease *r, const char *app, const char *env,
                             char **ret_reason);
/* What `newest` would ask for now; NULL = nothing. Borrowed. */
SlRelease *sl_brain_candidate(const SlCoord *c, const char *app, const char *env, int64_t now_us,
                              int64_t *ret_next_us);
/* Newest eligible release, for a person's promote without a release. */
SlRelease *sl_brain_newest(const SlCoord *c, const char *app, const char *env, char **ret_reason);
GPtrArray *sl_brain_clusters(const SlCoord *c,
                             const char *env); /* narrowed; of SlCluster*, borrowed, by id */
/* The veto of the release, or of a bundle of @target_of (nullable). NULL = none. */
const SlVeto *sl_brain_veto(const SlUnit *u, const char *release, GHashTable *target_of);
/* The one that stops @a, until its commit; a rollback and a removal heed none. */
const SlVeto *sl_brain_veto_of(const SlCoord *c, const SlAttempt *a);
/* dirty.c: what has to be looked at again. NULL = everything. */
void sl_brain_touch(SlCoord *c, const char *app);
void sl_brain_touch_session(SlCoord *c, const SlSession *session);
void sl_brain_touch_sessions(SlCoord *c, const char *env); /* NULL = of every environment */
void sl_brain_touch_targets(SlCoord *c,
                            const char *cluster); /* live attempts that it is a target of */
/* clock.c */
void sl_brain_clock_step(SlCoord *c, int64_t wall_us, int64_t monotonic_us);
void sl_brain_clock_heard(SlCoord *c, SlSeen *seen, int64_t clock_us); /* a report's clock */
void sl_brain_clock_look(SlCoord *c); /* who is wrong; marks all when that changes */
void sl_brain_clock_back(SlCoord *c); /* no time that was noted lies ahead of now any more */
void sl_brain_touch_time(SlCoord *c); /* at each step: a clock that went back marks all */
void sl_brain_wait_auto(SlCoord *c, const char *app, int64_t at_us);
bool sl_brain_is_dirty(const SlCoord *c);
typedef struct {
    GHashTable *apps;
    bool all;
} SlRound;
void sl_round_begin(SlCoord *c, SlRound *round); /* takes what is marked by now */
void sl_round_end(SlRound *round);
bool sl_round_has(const SlRound *round, const char *app);

void sl_brain_auto(SlCoord *c, const SlRound *round);

/* attempts.c */
typedef struct {
    const char *app, *env, *release, *requester, *reason;
    SlAct act;
    bool allow_prune, disrupt, force_fields;
    json_t *privileged; /* borrowed or NULL */
    uint64_t to;
} SlAsk;
uint64_t sl_brain_request(SlCoord *c, const SlAsk *ask); /* emits Requested; n */
void sl_brain_attempts(SlCoord *c,
                       const SlRound *round); /* moves every active attempt as far as it goes */
void sl_brain_rendered(SlCoord *c, const SlCoordRendered *in);
void sl_attempt_wait_for(SlAttempt *a, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* renders.c */
void sl_brain_ask_render(SlCoord *c, SlAttempt *a);
void sl_brain_render_again(SlCoord *c,
                           const SlAttempt *a); /* bytes only; RENDERED changes nothing */
void sl_brain_render_rollback(SlCoord *c, SlAttempt *a);
void sl_brain_render_remove(SlCoord *c, SlAttempt *a);
void sl_brain_retry_later(SlCoord *c, SlAttempt *a, int code, const char *message);
bool sl_attempt_waits(const SlAttempt *a); /* before COMMITTING and not final */
bool sl_attempt_live(const SlAttempt *a);  /* COMMITTED .. VERIFYING */
int64_t sl_attempt_until(const SlCoord *c, const SlAttempt *a);

/* gating.c: judges gates and approvals; true when everything is open (online key signed where the
 * threshold is 0). */
bool sl_brain_gates(SlCoord *c, SlAttempt *a);
/* signing.c */
SL_MUST_USE GBytes *sl_brain_statement(SlCoord *c, SlAttempt *a, const SlRelease *r, uint64_t seq,
                                       const char *targets, uint64_t target_count, GError **error);
char **sl_brain_authors(const SlCoord *c, const SlAttempt *a);
SlPolicyAsk sl_brain_policy_ask(const SlAttempt *a, char **authors);
SL_MUST_USE bool sl_brain_approve(SlCoord *c, SlAttempt *a, const char *armour, const char *by,
                                  GError **error);
/* People whose signature is on the statement, each once; while it waits only those whose key is in
 * force. Of char*, borrowed from @a. */
GPtrArray *sl_brain_approvers(const SlCoord *c, const SlAttempt *a);
char *sl_brain_policy_digest(const SlCoord *c, const char *app, const char *env);

/* commit.c */
void sl_brain_commits(SlCoord *c);
void sl_brain_env_written(SlCoord *c, const SlCoordEnvWritten *in);
void sl_brain_env_tip(SlCoord *c, const SlCoordEnvTip *in);
/* claims.c: why an attempt may not be committed: another application writes one of its objects
 * already; NULL = it may. (transfer full) */
char *sl_brain_conflict(SlCoord *c, SlAttempt *a);
/* Adds what @a writes to @taken; false (and nothing added) if something of it is there already. */
bool sl_brain_claim_together(SlCoord *c, const SlAttempt *a, GHashTable *taken);
/* Ends @a FAILED if another application writes one of its objects. */
bool sl_brain_ended_by_conflict(SlCoord *c, SlAttempt *a);
/* verify.c */
void sl_brain_verify(SlCoord *c, SlAttempt *a);
/* runs.c */
typedef enum { SL_REACH_WAIT, SL_REACH_YES, SL_REACH_HELD, SL_REACH_FAILED } SlReach;
void sl_brain_runs(SlCoord *c, const SlRound *round);
SlReach sl_brain_run_reach(const SlCoord *c, const SlAttempt *a, const SlJob *job, char **ret_text);
SlRun *sl_brain_run_going(const SlUnit *u, const char *job);
SlRun *sl_brain_run_of(const SlUnit *u, const char *job, const char *key); /* highest generation */
/* mint.c */
void sl_brain_source(SlCoord *c, const SlCoordSource *in);
/* May this revision be read, as far as signatures go (signers.c)? @ret_authors: the people who signed
 * where the documents demand it (transfer full), else NULL. */
bool sl_brain_signers_hold(SlCoord *c, const SlCoordSource *in, json_t **ret_authors);
void sl_brain_signers_again(SlCoord *c); /* the root changed: refused revisions are read again */
void sl_brain_refresh(SlCoord *c, const char *repository); /* effect: the shell reads it again */
void sl_brain_children(SlCoord *c, const SlRun *run);
/* authors.c. What a read leaves unsettled, for its event; NULL: as before. Who may have changed what
 * is offered since the application's last release. (transfer full) */
json_t *sl_brain_unsettled(SlCoord *c, const SlCoordSource *in);
json_t *sl_brain_offer_authors(SlCoord *c, const SlCoordSource *in, const SlOffer *offer);
/* seals.c, reports.c, sessions.c, enrol.c */
void sl_brain_seal(SlCoord *c, const SlCoordStatement *in);
void sl_brain_report(SlCoord *c, const SlCoordStatement *in);
void sl_brain_hello(SlCoord *c, const SlCoordHello *in);
void sl_brain_send_steps(SlCoord *c, const SlEnv *env, SlSession *session);
void sl_brain_gone(SlCoord *c, const char *curve);
void sl_brain_trouble(SlCoord *c, const SlCoordTrouble *in);
void sl_brain_troubles_end(SlCoord *c); /* alarms of the link that were not said again */
void sl_brain_troubles_clock_back(SlCoord *c);
void sl_brain_enrol(SlCoord *c, const SlCoordEnrol *in);
uint64_t sl_brain_next_term(const SlCoord *c, uint64_t above);
void sl_brain_lease(SlCoord *c, uint64_t above);
SlSession *sl_brain_session(const SlCoord *c, const char *cluster);
/* Parsed entry of what a cluster reported; NULL. (transfer full) */
json_t *sl_brain_seen_entry(const SlCoord *c, const char *cluster, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* The highest number of a promotion or order that the ledger or an agent knows, from what an agent
 * @said: so far its word moves it. */
uint64_t sl_brain_follow(uint64_t number, int64_t said);
void sl_brain_alarm(SlCoord *c, const char *cluster, const char *what, int code,
                    const char *message);
void sl_brain_clear_alarm(SlCoord *c, const char *cluster, const char *what);
/* heads.c */
void sl_brain_heads(SlCoord *c);
void sl_brain_head_seen(SlCoord *c, const SlSession *session); /* after a report */
/* registry.c: text of the next registry of an environment; adds/removes are filled with cluster
 * ids. */
SL_MUST_USE GBytes *sl_brain_registry_draft(SlCoord *c, const char *env, json_t *adds,
                                            json_t *removes, SlMap **ret_map, GError **error);
SL_MUST_USE bool sl_brain_registry_emit(SlCoord *c, const char *env, const SlSigned *s,
                                        const SlMap *map, GError **error);
/* Threshold 0: the online key signs. false: a person must. */
bool sl_brain_registry_auto(SlCoord *c, const char *env);
/* orders.c */
/* Of the epoch in force, and not expired. */
bool sl_brain_order_holds(const SlCoord *c, const SlOrder *order, int64_t now_us);
SL_MUST_USE GBytes *sl_brain_order_draft(SlCoord *c, const json_t *args, const char *person,
                                         unsigned *ret_threshold, json_t *who, GError **error);
SL_MUST_USE bool sl_brain_order_take(SlCoord *c, const char *text, const json_t *sigs,
                                     char **ret_digest, GError **error);
/* requests.c */
void sl_brain_handle_request(SlCoord *c, const SlCoordRequest *in);

/* views */
json_t *sl_view_attempt(const SlCoord *c, const SlAttempt *a);
json_t *sl_view_release(const SlCoord *c, const SlRelease *r);
json_t *sl_view_run(const SlCoord *c, const SlRun *run);
json_t *sl_view_seal(const SlSeal *seal);
#define SL_STALE_US (3 * SL_MINUTE_US) /* an agent reports at least every minute: three missed */
/* @clusters: sl_brain_clusters of @env. */
json_t *sl_view_unit(const SlCoord *c, const char *app, const char *env, const GPtrArray *clusters,
                     int64_t now_us);
json_t *sl_view_cluster(const SlCoord *c, const SlCluster *cluster, const char *env,
                        int64_t now_us);
json_t *sl_view_status(const SlCoord *c, const json_t *args, int64_t now_us, GError **error);
json_t *sl_view_clusters(const SlCoord *c, const json_t *args, int64_t now_us, GError **error);
json_t *sl_view_attempt_full(const SlCoord *c, const json_t *args, GError **error);
json_t *sl_view_diff(const SlCoord *c, const json_t *args, GError **error);
json_t *sl_view_why(const SlCoord *c, const json_t *args, int64_t now_us, GError **error);
json_t *sl_view_environments(const SlCoord *c);
json_t *sl_view_problems(const SlCoord *c);
/* Adds `evidence` and `registrySigners` to the full view of an attempt. */
void sl_view_evidence(const SlCoord *c, const SlAttempt *a, json_t *json);
/* Objects of a bundle: "kind namespace name" -> digest. (transfer full) */
GHashTable *sl_view_objects(const SlCoord *c, const char *bundle);
/* Objects that differ between two target maps: [{change, kind, namespace, name, from, to,
 * clusters}]. */
json_t *sl_view_changes(const SlCoord *c, GHashTable *from, GHashTable *to);
