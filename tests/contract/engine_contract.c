/* engine_contract.c - what agent/engines/ENGINE must do, over every row of engines.def: answers
 * always and later, the same thing twice is a no-op that still answers, a run id starts once,
 * closing stops nothing, errors name what is wrong. */
#include "tests/unit/agent/fixture.h"

#define MAP "core/ConfigMap"

static json_t *config_map(const char *value)
{
    g_autofree char *text =
        g_strdup_printf("{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": "
                        "{\"name\": \"conf\"}, \"data\": {\"key\": \"%s\"}}",
                        value);
    return fix_json(text);
}

static json_t *job(const char *phase, const char *command)
{
    g_autofree char *text =
        g_strdup_printf("{\"kind\": \"TrainingJob\", \"metadata\": {\"name\": \"train\", "
                        "\"annotations\": {\"gitops.sluice/fake-run\": \"%s\"}},"
                        "\"spec\": {\"command\": [%s]}}",
                        phase, command);
    return fix_json(text);
}

/* Its digest (transfer full); the loop does not turn. */
static char *apply_map(Fix *f, const char *value)
{
    g_autoptr(json_t) object = config_map(value);
    char *digest = sl_json_digest(object);
    SlEngineApply what = {.ref = {"app", MAP, "-", "conf"},
                          .object = object,
                          .digest = digest,
                          .env = "dev",
                          .cluster = "dev1"};
    f->ops->apply(f->engine, &what);
    return digest;
}

static void test_says_nothing_inside(const void *data)
{
    Fix *f = fix_new(data);
    g_free(apply_map(f, "one"));
    g_assert_cmpuint(g_hash_table_size(f->applied), ==, 0); /* facts come on a later turn */
    g_assert_cmpuint(g_hash_table_size(f->health), ==, 0);
    FIX_UNTIL(f, g_hash_table_contains(f->applied, "conf") && fix_health_is(f, "conf", "Healthy"));
    fix_free(f);
}

/* Who asks for v1, v2 and v1 again counts answers: which of them the last one is, its bytes don't say. */
static void test_answers_each_apply(const void *data)
{
    static const char *const values[] = {"one", "two", "one"};
    Fix *f = fix_new(data);
    g_autoptr(GPtrArray) asked = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < G_N_ELEMENTS(values); i++)
        g_ptr_array_add(asked, apply_map(f, values[i]));
    FIX_UNTIL(f, f->answers->len >= asked->len && fix_health_is(f, "conf", "Healthy"));
    g_assert_cmpuint(f->answers->len, ==, asked->len);
    for (guint i = 0; i < asked->len; i++)
        g_assert_cmpstr(f->answers->pdata[i], ==, asked->pdata[i]);
    fix_free(f);
}

static void test_apply_twice_remove_twice(const void *data)
{
    Fix *f = fix_new(data);
    for (int i = 0; i < 2; i++) {
        fix_apply(f, MAP, "conf", config_map("one"));
        g_assert_cmpstr(g_hash_table_lookup(f->applied, "conf"), ==, "");
        FIX_UNTIL(f, fix_health_is(f, "conf", "Healthy"));
    }
    SlEngineRef ref = {"app", MAP, "-", "conf"};
    for (int i = 0; i < 2; i++) {
        g_hash_table_remove_all(f->removed);
        f->ops->remove(f->engine, &ref);
        FIX_UNTIL(f, g_hash_table_contains(f->removed, "conf"));
        g_assert_cmpstr(g_hash_table_lookup(f->removed, "conf"), ==, "");
    }
    fix_free(f);
}

static void test_adopt_missing(const void *data)
{
    Fix *f = fix_new(data);
    g_autoptr(json_t) object = config_map("one");
    g_autofree char *digest = sl_json_digest(object),
                    *path = g_build_filename(f->state, "config", NULL);
    SlEngineApply what = {.ref = {"app", MAP, "-", "conf"},
                          .object = object,
                          .digest = digest,
                          .env = "dev",
                          .cluster = "dev1"};
    f->ops->adopt(f->engine, &what);
    FIX_UNTIL(f, fix_health_is(f, "conf", "Missing"));
    g_assert_cmpint(access(path, F_OK), !=, 0); /* adopting makes nothing */
    fix_free(f);
}

static void test_run_ends_once_per_ask(const void *data)
{
    Fix *f = fix_new(data);
    g_autofree char *id = fix_run_id("contract");
    fix_start(f, id, job("Succeeded", "\"/bin/true\""));
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "phase"), ==, "Succeeded");
    g_assert_cmpint(sl_json_int(end, "attempts", 0), ==, 1);
    const char *const keys[] = {"reason", "exit", "message"};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        g_assert_nonnull(sl_json_str(end, keys[i]));
    g_assert_true(json_is_array(json_object_get(end, "outputs")) &&
                  json_is_array(json_object_get(end, "metrics")));
    g_assert_cmpint(sl_json_int(end, "finished", 0), >=, sl_json_int(end, "started", 0));
    g_hash_table_remove_all(f->ends);
    fix_start(f, id, job("Succeeded", "\"/bin/false\"")); /* known: only its end is said again */
    end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "phase"), ==, "Succeeded");
    const json_t *record = g_hash_table_lookup(f->records, id);
    g_assert_cmpstr(sl_json_str(record, "id"), ==, id);
    g_assert_cmpstr(sl_json_str(record, "unit"), ==, "app/dev");
    fix_free(f);
}

static void test_run_stop(const void *data)
{
    Fix *f = fix_new(data);
    g_autofree char *id = fix_run_id("stop");
    fix_start(f, id, job("Running", "\"/bin/sleep\", \"60\""));
    FIX_UNTIL(f, g_hash_table_contains(f->records, id));
    f->ops->run_stop(f->engine, id, "why not");
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "phase"), ==, "Failed");
    g_assert_cmpstr(sl_json_str(end, "reason"), ==, "Stopped");
    g_assert_cmpstr(sl_json_str(end, "message"), ==, "why not");
    f->ops->run_stop(f->engine, "unknown", "no such run"); /* nothing happens */
    f->ops->run_forget(f->engine, id);
    fix_free(f);
}

static void test_run_adopt_lost(const void *data)
{
    Fix *f = fix_new(data);
    g_autofree char *id = fix_run_id("lost");
    f->ops->run_adopt(f->engine, id);
    const json_t *end = fix_wait_end(f, id);
    g_assert_cmpstr(sl_json_str(end, "reason"), ==, "Lost");
    g_assert_cmpstr(sl_json_str(end, "phase"), ==, "Failed");
    fix_free(f);
}

static void test_log_errors(const void *data)
{
    Fix *f = fix_new(data);
    g_autoptr(GError) error = NULL;
    SlEngineLogAsk ask = {.run_id = "0000", .max = 100};
    SlEngineLog log;
    g_assert_null(f->ops->log(f->engine, &ask, &log, &error));
    g_assert_error(error, SL_ERROR, SLU_RUN_UNKNOWN);
    fix_free(f);
}

static void test_table(void)
{
    size_t count = 0;
    for (const SlEngineOps *const *engine = sl_engines(); *engine; engine++, count++) {
        const SlEngineOps *ops = *engine;
        g_assert_true(sl_engine_find(ops->name) == ops);
        g_assert_true(ops->can_apply && ops->open && ops->close && ops->apply && ops->remove &&
                      ops->adopt && ops->run_start && ops->run_stop && ops->run_adopt &&
                      ops->run_forget && ops->log);
        g_assert_true(ops->can_apply(MAP));
    }
    g_assert_cmpuint(count, >, 0);
    g_assert_null(sl_engine_find("no-such-engine"));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(const void *data);
        bool runs; /* of engines that start runs */
    } rows[] = {{"says-nothing-inside", test_says_nothing_inside, false},
                {"answers-each-apply", test_answers_each_apply, false},
                {"apply-twice-remove-twice", test_apply_twice_remove_twice, false},
                {"adopt-missing", test_adopt_missing, false},
                {"run-ends-once-per-ask", test_run_ends_once_per_ask, true},
                {"run-stop", test_run_stop, true},
                {"run-adopt-lost", test_run_adopt_lost, false},
                {"log-errors", test_log_errors, false}};
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine/table", test_table);
    for (const SlEngineOps *const *engine = sl_engines(); *engine; engine++) {
        /* Its rows run at the API server of tests/cluster. */
        if (strcmp((*engine)->name, "kubernetes") == 0 && g_getenv(FIX_KUBECONFIG) == NULL) {
            continue;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
            if (rows[i].runs && !(*engine)->can_apply(SL_API_GROUP "/TrainingJob")) {
                continue;
            }
            g_autofree char *path = g_strdup_printf("/engine/%s/%s", (*engine)->name, rows[i].name);
            g_test_add_data_func(path, (*engine)->name, rows[i].test);
        }
    }
    return g_test_run();
}
