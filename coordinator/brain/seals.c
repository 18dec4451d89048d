/* seals.c - a run's signed end: checked against the placement, recorded, acknowledged (after the
 * ledger's fsync, as every effect). */
#include "coordinator/brain/brain.h"
#include <string.h>

/* Every statement that the seal leans on must be one that we made for that run. */
static bool check_seal(const SlCoord *c, const SlSeal *seal, const SlCluster *cluster,
                       const char *env, GError **error)
{
    const SlRun *run = g_hash_table_lookup(c->runs, seal->run_id);
    if (strcmp(seal->fleet, c->root->fleet) != 0 || strcmp(seal->env, env) != 0 ||
        strcmp(seal->cluster, cluster->id) != 0) {
        return sl_throw(
            error, SLU_SEAL_REFUSED,
            "seal of run %.12s names another fleet, environment or cluster than its signer's",
            seal->run_id);
    }
    if (run == NULL) {
        return sl_throw(error, SLU_SEAL_REFUSED, "run %.12s was never placed", seal->run_id);
    }
    if (strcmp(run->cluster, cluster->id) != 0) {
        return sl_throw(error, SLU_SEAL_REFUSED, "run %.12s was placed on %s, not on %s", run->id,
                        run->cluster, cluster->id);
    }
    if (strcmp(run->app, seal->app) != 0 || strcmp(run->env, seal->env) != 0 ||
        strcmp(run->job, seal->job) != 0 || strcmp(run->key, seal->run_key) != 0 ||
        run->generation != seal->generation) {
        return sl_throw(error, SLU_SEAL_REFUSED,
                        "seal of run %.12s names another unit, job, run key or generation than it "
                        "was placed with",
                        seal->run_id);
    }
    if (seal->phase != SL_RUN_SUCCEEDED && seal->phase != SL_RUN_FAILED) {
        return sl_throw(error, SLU_SEAL_REFUSED,
                        "seal of run %.12s: a run ends Succeeded or Failed", seal->run_id);
    }
    return true;
}

static void acknowledge(SlCoord *c, const SlCoordStatement *in, const char *refused)
{
    SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_SEND);
    effect->curve = g_strdup(in->curve);
    effect->send = SL_COORD_SEND_SEAL_ACK;
    effect->digest = sl_signed_digest(in->statement);
    effect->refused = g_strdup(refused);
}

void sl_brain_seal(SlCoord *c, const SlCoordStatement *in)
{
    const char *env = NULL;
    g_autoptr(GError) error = NULL;
    const SlCluster *cluster = sl_coord_cluster_of_key(c, in->curve, &env);
    if (cluster == NULL) {
        acknowledge(c, in, "this key is not registered");
        return;
    }
    if (!sl_signed_by(in->statement, SL_STATEMENT_SEAL, cluster->sign)) {
        acknowledge(c, in, "the seal was not signed by the cluster's registered key");
        sl_brain_alarm(c, cluster->id, "seal", SLU_SEAL_REFUSED,
                       "a seal was not signed by the cluster's registered key");
        return;
    }
    g_autoptr(SlSeal) seal = sl_seal_parse(in->statement->text, &error);
    if (seal == NULL || !check_seal(c, seal, cluster, env, &error)) {
        acknowledge(c, in, error->message);
        sl_brain_alarm(c, cluster->id, "seal", error->code, error->message);
        return;
    }
    SlRun *run = g_hash_table_lookup(c->runs, seal->run_id);
    g_autofree char *digest = sl_signed_digest(in->statement);
    if (run->sealed != NULL) {
        bool same = strcmp(run->seal_digest, digest) == 0;
        acknowledge(c, in, same ? NULL : "this run has another seal already");
        return;
    }
    json_t *event = sl_event("Sealed");
    sl_json_set_str(event, "run", run->id);
    sl_json_set_str(event, "cluster", cluster->id);
    json_object_set_new(event, "seal", sl_signed_to_json(in->statement));
    sl_emit(c, event);
    sl_brain_children(c, run);
    acknowledge(c, in, NULL);
}
