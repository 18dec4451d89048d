/* views_evidence.c - what an approver is shown beside the objects: which runs made the release's
 * models and with what result, what was measured upstream, and who signed the registries of the
 * clusters that say so. Texts for people; the gates' recorded facts stay JSON. Reads only. */
#include "coordinator/brain/brain.h"
#include <string.h>

typedef struct {
    const SlCoord *c;
    json_t *lines;
    GHashTable *runs; /* run id: said already */
    GHashTable *envs; /* environments whose registry vouches for a cluster */
} Evidence;

static char *metrics_text(const SlSeal *seal)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < seal->metrics->len; i++) {
        const char *line = g_ptr_array_index(seal->metrics, i);
        g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "",
                               g_str_has_prefix(line, "final.") ? line + strlen("final.") : line);
    }
    return g_string_free(text, FALSE);
}

static void add_line(Evidence *e, const char *front, const SlRun *run)
{
    g_autofree char *metrics = metrics_text(run->seal);
    g_autofree char *text =
        g_strdup_printf("%srun %.12s of job %s in %s on %s: %s%s%s (seal %.12s)", front, run->id,
                        run->job, run->env, run->cluster, sl_run_phase_name(run->seal->phase),
                        *metrics != '\0' ? ", " : "", metrics, run->seal_digest);
    g_autofree char *clean = sl_escape_for_people(text, 1000);
    json_array_append_new(e->lines, json_string(clean));
    g_hash_table_add(e->runs, run->id);
    g_hash_table_add(e->envs, run->env);
}

static void add_item(Evidence *e, const SlRelease *r, const SlItem *item)
{
    const SlRun *win = item->origin != NULL && item->run_key != NULL
                           ? sl_brain_win(e->c, r->app, item->origin, item->run_key)
                           : NULL;
    g_autofree char *front = NULL;
    if (item->digest == NULL) {
        front = g_strdup_printf("item %s is pending", item->name);
    } else if (win != NULL) {
        front = g_strdup_printf("item %s sha256:%s by ", item->name, item->digest);
        add_line(e, front, win);
        return;
    } else {
        front = g_strdup_printf("item %s sha256:%s, named by the Application document", item->name,
                                item->digest);
    }
    json_array_append_new(e->lines, json_string(front));
}

/* Runs of the release in an environment that it came through: evaluations. */
static void add_runs(Evidence *e, const SlRelease *r, const char *env)
{
    const SlUnit *u = sl_brain_unit(e->c, r->app, env);
    for (guint i = u != NULL ? u->attempts->len : 0; i > 0; i--) {
        const SlAttempt *a = g_ptr_array_index(u->attempts, i - 1);
        for (guint k = 0; strcmp(a->release, r->id) == 0 && k < a->jobs->len; k++) {
            const SlJob *job = g_ptr_array_index(a->jobs, k);
            const SlRun *win = sl_brain_win(e->c, r->app, env, job->run_key);
            const SlRun *run = win != NULL ? win : sl_brain_run_of(u, job->name, job->run_key);
            if (run != NULL && run->seal != NULL && !g_hash_table_contains(e->runs, run->id)) {
                add_line(e, "", run);
            }
        }
    }
}

static void collect(Evidence *e, const SlAttempt *a)
{
    const SlRelease *r = sl_brain_release(e->c, a->release);
    g_autoptr(GPtrArray) upstream =
        e->c->docs != NULL ? sl_fleet_upstream(e->c->docs, a->env) : g_ptr_array_new();
    for (guint i = 0; i < r->items->len; i++) {
        add_item(e, r, g_ptr_array_index(r->items, i));
    }
    for (guint i = 0; i < upstream->len; i++) {
        add_runs(e, r, g_ptr_array_index(upstream, i));
    }
}

static void add_signers(Evidence *e, json_t *list, const char *name, const SlAttempt *a)
{
    const SlEnv *env = sl_brain_env(e->c, name);
    if (env == NULL || env->registry == NULL) {
        return;
    }
    g_autoptr(GPtrArray) keys = sl_signed_signers(env->registry, SL_STATEMENT_REGISTRY, NULL);
    for (guint i = 0; i < keys->len; i++) {
        const SlPublicKey *key = g_ptr_array_index(keys, i);
        const SlPerson *person = sl_root_person_of_key(e->c->root, key);
        bool online = sl_root_is_online_key(e->c->root, key);
        g_autofree char *print = sl_public_key_fingerprint(key);
        g_autofree char *text =
            g_strdup_printf("registry of %s, version %" G_GUINT64_FORMAT " (%s): signed by %s %s",
                            env->name, env->registry_version,
                            strcmp(env->name, a->env) == 0 ? "the clusters that it goes to"
                                                           : "the clusters that made the evidence",
                            person != NULL ? person->name
                            : online       ? "the coordinator's online key"
                                           : "a key that the root no longer names",
                            print);
        json_array_append_new(list, json_string(text));
    }
}

void sl_view_evidence(const SlCoord *c, const SlAttempt *a, json_t *json)
{
    g_autoptr(GHashTable) runs = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) envs = g_hash_table_new(g_str_hash, g_str_equal);
    json_t *signers = json_array();
    Evidence e = {c, json_array(), runs, envs};
    collect(&e, a);
    g_hash_table_add(envs, a->env);
    g_autoptr(GPtrArray) names = sl_sorted_keys(envs);
    for (guint i = 0; i < names->len; i++) {
        add_signers(&e, signers, g_ptr_array_index(names, i), a);
    }
    json_object_set_new(json, "evidence", e.lines);
    json_object_set_new(json, "registrySigners", signers);
}
