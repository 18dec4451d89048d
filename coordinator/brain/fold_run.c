/* fold_run.c - events of runs, orders, marks on units (pins, vetoes) and of environment branches
 * changed by others. */
#include "coordinator/brain/brain.h"
#include "coordinator/brain/fold.h"
#include <string.h>

bool sl_fold_run_placed(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    static const char *const keys[] = {"run", "app", "env", "job", "runKey", "cluster"};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (sl_json_need_str(event, keys[i], error) == NULL) {
            return false;
        }
    }
    const char *id = sl_json_str(event, "run");
    if (g_hash_table_contains(c->runs, id)) {
        return sl_throw(error, SLU_LEDGER_EVENT, "run %.12s was placed before", id);
    }
    SlRun *run = g_new0(SlRun, 1);
    run->id = g_strdup(id);
    run->app = g_strdup(sl_json_str(event, "app"));
    run->env = g_strdup(sl_json_str(event, "env"));
    run->job = g_strdup(sl_json_str(event, "job"));
    run->key = g_strdup(sl_json_str(event, "runKey"));
    run->cluster = g_strdup(sl_json_str(event, "cluster"));
    run->generation = (uint64_t)sl_json_int(event, "generation", 0);
    run->attempt = (uint64_t)sl_json_int(event, "attempt", 0);
    run->placed_us = at_us;
    run->placed_seq = (uint64_t)sl_json_int(event, "seq", 0);
    g_hash_table_insert(c->runs, run->id, run);
    g_ptr_array_add(sl_brain_unit_make(c, run->app, run->env)->runs, run);
    return true;
}

bool sl_fold_sealed(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    json_t *json = sl_json_need_object(event, "seal", error);
    g_autoptr(SlSigned) s = json != NULL ? sl_signed_from_json(json, error) : NULL;
    g_autoptr(SlSeal) seal = s != NULL ? sl_seal_parse(s->text, error) : NULL;
    if (seal == NULL) {
        return false;
    }
    SlRun *run = g_hash_table_lookup(c->runs, seal->run_id);
    if (run == NULL || run->sealed != NULL) {
        return sl_throw(error, SLU_LEDGER_EVENT, "run %.12s was not placed, or has its seal",
                        seal->run_id);
    }
    run->seal_digest = sl_signed_digest(s);
    run->sealed = g_steal_pointer(&s);
    run->seal = g_steal_pointer(&seal);
    run->sealed_us = at_us;
    run->sealed_seq = (uint64_t)sl_json_int(event, "seq", 0);
    g_hash_table_replace(c->statements, g_strdup(run->seal_digest), run->sealed);
    if (run->seal->phase == SL_RUN_SUCCEEDED &&
        sl_brain_win(c, run->app, run->env, run->key) == NULL) {
        g_hash_table_insert(c->wins, g_strdup_printf("%s/%s/%s", run->app, run->env, run->key),
                            run);
    }
    return true;
}

/* The unit's line of a report's text, unparsed; NULL. (transfer full) */
static char *unit_line(const SlSigned *s, const SlUnit *u)
{
    gsize len = 0;
    const char *text = g_bytes_get_data(s->text, &len);
    g_autofree char *front = g_strdup_printf("\nchange: unit/%s ", u->key);
    const char *at = g_strstr_len(text, (gssize)len, front);
    const char *from = at != NULL ? at + strlen(front) : NULL;
    const char *end = from != NULL ? memchr(from, '\n', len - (gsize)(from - text)) : NULL;
    return end != NULL ? g_strndup(from, (gsize)(end - from)) : NULL;
}

/* The report of a Health event: its own, or that of the event of the same cluster that it names. */
static const SlSigned *proof_of(SlCoord *c, const json_t *event, const char *cluster,
                                GError **error)
{
    int64_t in = sl_json_int(event, "reportIn", 0);
    SlProof *proof = g_hash_table_lookup(c->proofs, cluster);
    if (in != 0) {
        return proof != NULL && proof->seq == (uint64_t)in
                   ? proof->report
                   : sl_throw_null(error, SLU_LEDGER_EVENT,
                                   "reportIn: event %" G_GINT64_FORMAT
                                   " is not the last one with a report of %s",
                                   in, cluster);
    }
    json_t *json = sl_json_need_object(event, "report", error);
    g_autoptr(SlSigned) s = json != NULL ? sl_signed_from_json(json, error) : NULL;
    if (s == NULL) {
        return NULL;
    }
    proof = g_new0(SlProof, 1);
    proof->seq = (uint64_t)sl_json_int(event, "seq", 0);
    proof->report = g_steal_pointer(&s);
    g_hash_table_replace(c->proofs, g_strdup(cluster), proof);
    return proof->report;
}

/* The proof of a verdict: the signed report that it was taken from. Nothing is decided from it
 * again; while the ledger is only folded it is what a view of the past shows. */
bool sl_fold_health(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    const SlAttempt *a = sl_brain_attempt(c, (uint64_t)sl_json_int(event, "attempt", 0));
    const char *cluster = sl_json_need_str(event, "cluster", error);
    const SlSigned *s = cluster != NULL ? proof_of(c, event, cluster, error) : NULL;
    if (s == NULL || a == NULL || c->started) {
        return s != NULL;
    }
    SlUnit *u = sl_brain_unit(c, a->app, a->env);
    SlRecorded *recorded = g_new0(SlRecorded, 1);
    recorded->entry = unit_line(s, u);
    recorded->at_us = at_us;
    if (u->recorded == NULL) {
        u->recorded = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                            (GDestroyNotify)sl_recorded_free);
    }
    g_hash_table_replace(u->recorded, g_strdup(cluster), recorded);
    return true;
}

bool sl_fold_order(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    json_t *json = sl_json_need_object(event, "order", error);
    g_autoptr(SlSigned) s = json != NULL ? sl_signed_from_json(json, error) : NULL;
    g_autoptr(SlOrder) order = s != NULL ? sl_order_parse(s->text, error) : NULL;
    if (order == NULL) {
        return false;
    }
    SlOrderKept *kept = g_new0(SlOrderKept, 1);
    g_autofree char *scope = g_strdup_printf("%s %s", order->env, order->scope);
    g_hash_table_replace(c->floors, g_steal_pointer(&scope),
                         g_strdup_printf("%" G_GUINT64_FORMAT, order->number));
    kept->digest = sl_signed_digest(s);
    kept->order = g_steal_pointer(&order);
    kept->statement = g_steal_pointer(&s);
    kept->at_us = at_us;
    g_ptr_array_add(c->orders, kept);
    g_hash_table_replace(c->statements, g_strdup(kept->digest), kept->statement);
    return true;
}

static SlUnit *unit_of(SlCoord *c, const json_t *event, GError **error)
{
    const char *app = sl_json_need_str(event, "app", error);
    const char *env = app != NULL ? sl_json_need_str(event, "env", error) : NULL;
    return env != NULL ? sl_brain_unit_make(c, app, env) : NULL;
}

static void unpin(SlUnit *u)
{
    if (u->pinned != NULL) {
        g_free(u->pinned->by);
        g_free(u->pinned->reason);
        g_clear_pointer(&u->pinned, g_free);
    }
}

bool sl_fold_pinned(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    SlUnit *u = unit_of(c, event, error);
    if (u == NULL) {
        return false;
    }
    unpin(u);
    u->pinned = g_new0(SlMark, 1);
    u->pinned->by = g_strdup(sl_json_str_or(event, "by", ""));
    u->pinned->reason = g_strdup(sl_json_str_or(event, "reason", ""));
    u->pinned->since_us = at_us;
    return true;
}

bool sl_fold_unpinned(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    SlUnit *u = unit_of(c, event, error);
    if (u == NULL) {
        return false;
    }
    unpin(u);
    return true;
}

static void drop_veto(SlUnit *u, const char *release)
{
    for (guint i = u->vetoes->len; i > 0; i--) {
        const SlVeto *veto = g_ptr_array_index(u->vetoes, i - 1);
        if (strcmp(veto->release, release) == 0) {
            g_ptr_array_remove_index(u->vetoes, i - 1);
        }
    }
}

bool sl_fold_vetoed(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    SlUnit *u = unit_of(c, event, error);
    const char *release = u != NULL ? sl_json_need_str(event, "release", error) : NULL;
    if (release == NULL) {
        return false;
    }
    drop_veto(u, release);
    SlVeto *veto = g_new0(SlVeto, 1);
    veto->release = g_strdup(release);
    veto->by = g_strdup(sl_json_str_or(event, "by", ""));
    veto->reason = g_strdup(sl_json_str_or(event, "reason", ""));
    veto->since_us = at_us;
    veto->bundles = sl_json_strv_at(event, "bundles");
    g_ptr_array_add(u->vetoes, veto);
    return true;
}

bool sl_fold_unvetoed(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    SlUnit *u = unit_of(c, event, error);
    const char *release = u != NULL ? sl_json_need_str(event, "release", error) : NULL;
    if (release == NULL) {
        return false;
    }
    drop_veto(u, release);
    return true;
}

bool sl_fold_external_change(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    const char *name = sl_json_need_str(event, "env", error);
    const char *policy = name != NULL ? sl_json_need_str(event, "policy", error) : NULL;
    SlEnv *env = policy != NULL ? sl_brain_env(c, name) : NULL;
    if (env == NULL) {
        return policy != NULL &&
               sl_throw(error, SLU_LEDGER_EVENT, "environment %s is not known", name);
    }
    const char *found = sl_json_str(event, "found");
    g_clear_pointer(&env->external, g_free);
    if (strcmp(policy, "adopt") == 0) {
        g_free(env->tip);
        env->tip = g_strdup(found);
        env->tip_known = true;
    } else {
        env->external = g_strdup(found != NULL ? found : "");
    }
    return true;
}

bool sl_fold_external_resolved(SlCoord *c, const json_t *event, int64_t at_us, GError **error)
{
    (void)at_us;
    const char *name = sl_json_need_str(event, "env", error);
    SlEnv *env = name != NULL ? sl_brain_env(c, name) : NULL;
    if (env == NULL) {
        return name != NULL &&
               sl_throw(error, SLU_LEDGER_EVENT, "environment %s is not known", name);
    }
    g_clear_pointer(&env->external, g_free);
    return true;
}
