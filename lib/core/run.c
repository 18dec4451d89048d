/* run.c - identity of runs: what makes two runs the same run (key), and the name of one execution
 * (id). Both are fixed before anything is submitted. A change here retrains every model of every
 * fleet: golden vectors guard it. */
#include "core/run.h"
#include "base/digest.h"
#include "core/bundle.h"
#include <string.h>

/* Members of spec that say when, where in a queue and how often, but not what is computed. */
static const char *const not_identity[] = {"timeLimit", "priority", "queue",  "retries",
                                           "start",     "onChange", "waitFor"};

static bool is_foreign_annotation(const char *key)
{
    return !g_str_has_prefix(key, SL_API_GROUP "/") &&
           !g_str_has_prefix(key, "argocd.argoproj.io/");
}

static json_t *identity_metadata(const json_t *metadata)
{
    json_t *kept = json_object();
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        if (strcmp(key, "name") != 0 && strcmp(key, "labels") != 0 &&
            strcmp(key, "annotations") != 0) {
            json_object_set(kept, key, value);
        }
    }
    json_t *annotations = json_object();
    json_object_foreach(json_object_get(metadata, "annotations"), key, value)
    {
        if (is_foreign_annotation(key) || strcmp(key, SL_ANNOTATION_RUN_INPUTS) == 0) {
            json_object_set(annotations, key, value);
        }
    }
    if (json_object_size(annotations) > 0) {
        json_object_set(kept, "annotations", annotations);
    }
    json_decref(annotations);
    return kept;
}

char *sl_run_key(const json_t *job)
{
    g_autoptr(json_t) identity = json_copy((json_t *)(uintptr_t)job);
    json_object_set_new(identity, "metadata", identity_metadata(json_object_get(job, "metadata")));
    json_t *spec = json_copy(json_object_get(job, "spec"));
    for (size_t i = 0; spec != NULL && i < G_N_ELEMENTS(not_identity); i++) {
        json_object_del(spec, not_identity[i]);
    }
    if (spec != NULL) {
        json_object_set_new(identity, "spec", spec);
    }
    json_object_del(identity, "status");
    return sl_json_digest(identity);
}

char *sl_run_id(const char *fleet, const char *app, const char *env, const char *job,
                const char *run_key, uint64_t generation)
{
    g_autofree char *text = g_strdup_printf("%s\n%s/%s\n%s\n%s\n%" G_GUINT64_FORMAT "\n", fleet,
                                            app, env, job, run_key, generation);
    return sl_sha256_hex(text, strlen(text));
}
