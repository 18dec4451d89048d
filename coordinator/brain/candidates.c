/* candidates.c - may this release go into this unit? One pure predicate, used by lists, automatic
 * promotion, a person's request and the commit: so that they can never disagree. */
#include "coordinator/brain/brain.h"
#include <string.h>

static int by_id(gconstpointer a, gconstpointer b)
{
    return strcmp((*(SlCluster *const *)a)->id, (*(SlCluster *const *)b)->id);
}

GPtrArray *sl_brain_clusters(const SlCoord *c, const char *name)
{
    GPtrArray *list = g_ptr_array_new();
    const SlEnv *env = sl_brain_env(c, name);
    const SlEnvironmentDoc *doc = c->docs != NULL ? sl_fleet_env(c->docs, name) : NULL;
    GHashTableIter iter;
    gpointer value;
    if (env == NULL || doc == NULL) {
        return list;
    }
    g_hash_table_iter_init(&iter, env->clusters);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (sl_labels_match(doc->match_labels, ((SlCluster *)value)->labels)) {
            g_ptr_array_add(list, value);
        }
    }
    g_ptr_array_sort(list, by_id);
    return list;
}

/* A success that later environments may build on. */
static bool succeeded_in(const SlCoord *c, const SlRelease *r, const char *app, const char *env)
{
    const SlUnit *u = sl_brain_unit(c, app, env);
    for (guint i = u != NULL ? u->attempts->len : 0; i > 0; i--) {
        const SlAttempt *a = g_ptr_array_index(u->attempts, i - 1);
        if (a->state == SL_STATE_SUCCEEDED && a->withheld == 0 && a->act != SL_ACT_REMOVE &&
            strcmp(a->release, r->id) == 0) {
            return true;
        }
    }
    return false;
}

/* `after` of an environment; one that the application leaves out stands for its own `after`. */
static bool after_holds(const SlCoord *c, const SlRelease *r, const SlApplicationDoc *app,
                        const char *env, int depth)
{
    const SlEnvironmentDoc *doc = sl_fleet_env(c->docs, env);
    if (doc == NULL || depth > 64) {
        return false;
    }
    int have = 0;
    for (char **name = doc->after.names; name != NULL && *name != NULL; name++) {
        bool ok = sl_app_env(app, *name) != NULL ? succeeded_in(c, r, app->name, *name)
                                                 : after_holds(c, r, app, *name, depth + 1);
        have += ok ? 1 : 0;
    }
    return doc->after.names == NULL || doc->after.names[0] == NULL || have >= doc->after.need;
}

const SlVeto *sl_brain_veto(const SlUnit *u, const char *release, GHashTable *target_of)
{
    for (guint i = 0; u != NULL && i < u->vetoes->len; i++) {
        const SlVeto *veto = g_ptr_array_index(u->vetoes, i);
        bool hit = strcmp(veto->release, release) == 0;
        GHashTableIter iter;
        gpointer bundle;
        if (!hit && target_of != NULL) {
            g_hash_table_iter_init(&iter, target_of);
            while (!hit && g_hash_table_iter_next(&iter, NULL, &bundle)) {
                hit = g_strv_contains((const char *const *)veto->bundles, bundle);
            }
        }
        if (hit) {
            return veto;
        }
    }
    return NULL;
}

const SlVeto *sl_brain_veto_of(const SlCoord *c, const SlAttempt *a)
{
    bool heeds = a->act != SL_ACT_ROLLBACK && a->act != SL_ACT_REMOVE;
    return heeds ? sl_brain_veto(sl_brain_unit(c, a->app, a->env), a->release, a->target_of) : NULL;
}

static SlEligible say(SlEligible verdict, char **ret_reason, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
static SlEligible say(SlEligible verdict, char **ret_reason, const char *format, ...)
{
    if (ret_reason != NULL) {
        va_list args;
        va_start(args, format);
        *ret_reason = g_strdup_vprintf(format, args);
        va_end(args);
    }
    return verdict;
}

static char *after_names(const SlEnvironmentDoc *doc)
{
    return g_strjoinv(", ", doc->after.names);
}

/* Documents first: what is not there cannot be judged. */
static SlEligible documents_allow(const SlCoord *c, const SlRelease *r, const char *app,
                                  const char *env, char **ret_reason)
{
    const SlApplicationDoc *doc = c->docs != NULL ? sl_fleet_app(c->docs, app) : NULL;
    if (doc == NULL || sl_fleet_env(c->docs, env) == NULL || sl_app_env(doc, env) == NULL) {
        return say(SL_ELIGIBLE_SHUT, ret_reason,
                   "the documents in force have no application %s in environment %s", app, env);
    }
    if (strcmp(r->app, app) != 0) {
        return say(SL_ELIGIBLE_SHUT, ret_reason, "%s is a release of %s", r->name, r->app);
    }
    if (doc->broken) {
        return say(SL_ELIGIBLE_WAIT, ret_reason,
                   "the Application document of %s has errors: `sluice validate` lists them", app);
    }
    if (sl_root_env(c->root, env) == NULL) {
        return say(SL_ELIGIBLE_WAIT, ret_reason,
                   "the root does not know environment %s; a root step must add it", env);
    }
    return SL_ELIGIBLE_OPEN;
}

/* Do the release's objects in @env name the item? Unknown counts as yes. */
static bool needs_item(const SlRelease *r, const char *env, const char *item)
{
    const json_t *list = r->needs != NULL ? json_object_get(r->needs, env) : NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (g_strcmp0(json_string_value(json_array_get(list, i)), item) == 0) {
            return true;
        }
    }
    return list == NULL;
}

SlEligible sl_brain_eligible(const SlCoord *c, const SlRelease *r, const char *app, const char *env,
                             char **ret_reason)
{
    SlEligible documents = documents_allow(c, r, app, env, ret_reason);
    if (documents != SL_ELIGIBLE_OPEN) {
        return documents;
    }
    const SlVeto *veto = sl_brain_veto(sl_brain_unit(c, app, env), r->id, NULL);
    if (veto != NULL) {
        return say(SL_ELIGIBLE_SHUT, ret_reason, "%s is vetoed in %s/%s by %s: %s", r->name, app,
                   env, veto->by, veto->reason);
    }
    for (guint i = 0; i < r->items->len; i++) {
        const SlItem *item = g_ptr_array_index(r->items, i);
        if (item->digest == NULL && g_strcmp0(item->origin, env) != 0 &&
            needs_item(r, env, item->name)) {
            return say(SL_ELIGIBLE_WAIT, ret_reason,
                       "item %s of %s is pending: job %s in %s has no successful seal yet",
                       item->name, r->name, item->job != NULL ? item->job : "?",
                       item->origin != NULL ? item->origin : "?");
        }
    }
    if (!after_holds(c, r, sl_fleet_app(c->docs, app), env, 0)) {
        g_autofree char *names = after_names(sl_fleet_env(c->docs, env));
        return say(SL_ELIGIBLE_WAIT, ret_reason, "%s has not succeeded in %s yet", r->name, names);
    }
    g_autoptr(GPtrArray) clusters = sl_brain_clusters(c, env);
    if (clusters->len == 0) {
        return say(SL_ELIGIBLE_WAIT, ret_reason,
                   "environment %s has no cluster yet: `sluice cluster add`", env);
    }
    return say(SL_ELIGIBLE_OPEN, ret_reason, "may be promoted");
}

/* When an automatic attempt may be made again; 0 = never, now or earlier = at once. */
static int64_t auto_again_us(const SlUnit *u, const SlRelease *r)
{
    unsigned errored = 0;
    int64_t last_us = 0;
    for (guint i = u != NULL ? u->attempts->len : 0; i > 0; i--) {
        const SlAttempt *a = g_ptr_array_index(u->attempts, i - 1);
        if (strcmp(a->release, r->id) != 0) {
            continue;
        }
        switch (a->state) {
        case SL_STATE_FAILED:
        case SL_STATE_REJECTED:
        case SL_STATE_ABORTED:
        case SL_STATE_EXPIRED:
            return 0;
        case SL_STATE_ERRORED:
            last_us = MAX(last_us, a->finished_us);
            errored++;
            break;
        default:
            break;
        }
    }
    if (errored == 0) {
        return 1;
    }
    return errored >= SL_TRIES_MAX
               ? 0
               : last_us + MIN(SL_RETRY_FIRST_US << MIN(errored, 20), SL_RETRY_MAX_US);
}

/* The latest release in release order that was current in the unit and (if @complete) has no
 * pending items. */
static const SlRelease *latest_been(const SlCoord *c, const SlUnit *u, bool complete)
{
    const SlRelease *latest = NULL;
    GHashTableIter iter;
    gpointer id;
    g_hash_table_iter_init(&iter, u->been);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        const SlRelease *r = sl_brain_release(c, id);
        if (r != NULL && (!complete || !sl_release_pending(r)) &&
            (latest == NULL || sl_release_compare(r, latest) > 0)) {
            latest = r;
        }
    }
    return latest;
}

/* `newest` moves forward only: never back to what has been current, and past a complete release
 * only with a later one. */
static bool is_forward(const SlCoord *c, const SlUnit *u, const SlRelease *r)
{
    if (u == NULL) {
        return true;
    }
    const char *order = g_hash_table_lookup(u->been, r->id);
    uint64_t was = 0;
    if (order != NULL && sl_parse_uint64(order, &was) && was >= r->order) {
        return false;
    }
    const SlRelease *bar = latest_been(c, u, !sl_release_pending(r));
    return bar == NULL || bar == r || sl_release_compare(r, bar) > 0;
}

static bool unit_is_busy(const SlUnit *u, const SlRelease *r)
{
    for (guint i = u != NULL ? u->attempts->len : 0; i > 0; i--) {
        const SlAttempt *a = g_ptr_array_index(u->attempts, i - 1);
        if (sl_state_info(a->state)->final) {
            continue;
        }
        /* A person's waiting request is never overtaken by an automatic one; nor is the same one
         * asked for twice. */
        if (strcmp(a->release, r->id) == 0 || (a->requester != NULL && sl_attempt_waits(a))) {
            return true;
        }
    }
    return false;
}

SlRelease *sl_brain_candidate(const SlCoord *c, const char *app, const char *env, int64_t now_us,
                              int64_t *ret_next_us)
{
    const SlUnit *u = sl_brain_unit(c, app, env);
    GPtrArray *releases = g_hash_table_lookup(c->app_releases, app);
    SlRelease *best = NULL;
    int64_t best_us = 0;
    if (releases == NULL || (u != NULL && u->pinned != NULL)) {
        return NULL;
    }
    for (guint i = 0; i < releases->len; i++) {
        SlRelease *r = g_ptr_array_index(releases, i);
        if ((best != NULL && sl_release_compare(r, best) < 0) || !is_forward(c, u, r)) {
            continue;
        }
        int64_t again_us = auto_again_us(u, r);
        if (again_us != 0 && sl_brain_eligible(c, r, app, env, NULL) == SL_ELIGIBLE_OPEN) {
            best = r;
            best_us = again_us;
        }
    }
    if (best == NULL || unit_is_busy(u, best)) {
        return NULL;
    }
    if (best_us > now_us) {
        *ret_next_us = best_us;
        return NULL;
    }
    return best;
}

SlRelease *sl_brain_newest(const SlCoord *c, const char *app, const char *env, char **ret_reason)
{
    GPtrArray *releases = g_hash_table_lookup(c->app_releases, app);
    SlRelease *best = NULL, *newest = NULL;
    for (guint i = 0; releases != NULL && i < releases->len; i++) {
        SlRelease *r = g_ptr_array_index(releases, i);
        newest = newest == NULL || sl_release_compare(r, newest) > 0 ? r : newest;
        if ((best == NULL || sl_release_compare(r, best) > 0) &&
            sl_brain_eligible(c, r, app, env, NULL) == SL_ELIGIBLE_OPEN) {
            best = r;
        }
    }
    if (best == NULL && newest != NULL) {
        (void)sl_brain_eligible(c, newest, app, env, ret_reason);
    } else if (best == NULL) {
        *ret_reason = g_strdup_printf(
            "application %s has no release yet: push a commit, or `sluice refresh`", app);
    }
    return best;
}

void sl_brain_auto(SlCoord *c, const SlRound *round)
{
    for (guint i = 0; c->docs != NULL && i < c->docs->applications->len; i++) {
        const SlApplicationDoc *app = g_ptr_array_index(c->docs->applications, i);
        for (guint k = 0;
             sl_round_has(round, app->name) && !app->broken && k < app->environments->len; k++) {
            const SlAppEnv *app_env = g_ptr_array_index(app->environments, k);
            const SlEnvironmentDoc *env = sl_fleet_env(c->docs, app_env->env);
            int64_t next_us = INT64_MAX;
            if (env == NULL || env->mode != SL_MODE_NEWEST) {
                continue;
            }
            const SlRelease *r = sl_brain_candidate(c, app->name, env->name, c->now_us, &next_us);
            if (next_us != INT64_MAX) {
                sl_brain_wait_auto(c, app->name, next_us);
                sl_wake(c, next_us);
            }
            if (r != NULL) {
                SlAsk ask = {.app = app->name,
                             .env = env->name,
                             .release = r->id,
                             .act = SL_ACT_PROMOTE,
                             .reason = "newest"};
                (void)sl_brain_request(c, &ask);
            }
        }
    }
}
