/* test_views.c - what people are shown before they sign, who asks to come in, and the past. */
#include "rig.h"

static json_t *line_with(const json_t *list, const char *word)
{
    size_t i;
    json_t *each;
    json_array_foreach(list, i, each)
    {
        if (strstr(json_string_value(each), word) != NULL) {
            return each;
        }
    }
    return NULL;
}

static void test_evidence(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    rig_seal(rig, "dev", "train", "m1", "0.97");
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:i}", "n", 4));
    const json_t *evidence = json_object_get(view, "evidence");
    g_autofree char *digest = sl_sha256_hex("m1", 2);
    g_assert_cmpuint(json_array_size(evidence), ==, 1);
    const char *line = json_string_value(json_array_get(evidence, 0));
    g_assert_nonnull(strstr(line, digest));
    g_assert_nonnull(strstr(line, "of job train in dev on dev1: Succeeded, accuracy 0.97"));
    const json_t *signers = json_object_get(view, "registrySigners");
    g_assert_nonnull(line_with(signers, "registry of dev, version 1"));
    g_assert_nonnull(line_with(signers, "the coordinator's online key SHA256:"));
    g_assert_nonnull(line_with(signers, "(the clusters that it goes to): signed by alice SHA256:"));
    rig_free(rig);
}

/* A job that only test has, as `evaluate` of the example: its result is shown for prod. */
static void test_evaluation(void)
{
    g_auto(GStrv) parts = g_strsplit(RIG_FLEET, "parts: [{paths: [serve]}]\n      gates", 2);
    g_autofree char *fleet =
        g_strconcat(parts[0], "parts: [{paths: [serve, evaluate]}]\n      gates", parts[1], NULL);
    Rig *rig = rig_new();
    SlTree *tree = rig_tree(fleet, "1", "1");
    sl_tree_memory_put(tree, "digits/evaluate/job.yaml",
                       RIG_API "kind: TrainingJob\nmetadata: {name: evaluate}\nspec:\n  command: "
                               "[python3, e.py]\n  waitFor: finished\n  inputs: [{name: model, "
                               "model: model://model}]\n  outputs: [{name: model, path: x}]\n",
                       SL_TREE_FILE);
    rig_push_tree(rig, "c1", tree, false);
    rig_seal(rig, "dev", "train", "m1", "0.97");
    rig_seal(rig, "test", "evaluate", "report", "0.96");
    rig_ask(rig, "promote", rig_unit_args("digits", "prod"));
    uint64_t n = (uint64_t)sl_json_int(rig->reply, "attempt", 0);
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    const json_t *evidence = json_object_get(view, "evidence");
    g_assert_cmpuint(json_array_size(evidence), ==, 2);
    g_assert_nonnull(
        line_with(evidence, "of job evaluate in test on test1: Succeeded, accuracy 0.96"));
    g_assert_nonnull(line_with(json_object_get(view, "registrySigners"), "registry of test"));
    rig_free(rig);
}

static void test_who_asks(void)
{
    Rig *rig = rig_new();
    Agent *two = rig_agent_new(rig, "prod2", "prod", 44);
    g_autoptr(json_t) join = rig_join(rig, "prod2", "prod");
    rig_enrol_with(rig, two, join);
    g_assert_cmpstr(sl_json_str(rig->enrol, "state"), ==, "pending");
    g_autoptr(SlPublicKey) key = rig_key(two->secret);
    g_autofree char *print = sl_public_key_fingerprint(key);
    g_assert_true(g_str_has_prefix(print, "SHA256:"));
    g_autoptr(json_t) view = rig_view(rig, "clusters", json_pack("{s:s}", "env", "prod"));
    const json_t *asking = json_array_get(json_object_get(view, "pending"), 0);
    g_assert_cmpstr(sl_json_str(asking, "name"), ==, "prod2");
    g_assert_cmpstr(sl_json_str(asking, "env"), ==, "prod");
    g_assert_cmpstr(sl_json_str(asking, "fingerprint"), ==, print);
    const json_t *draft = rig_ask(rig, "registry-draft", json_pack("{s:s}", "env", "prod"));
    const json_t *add = json_array_get(json_object_get(draft, "adds"), 0);
    g_assert_cmpstr(sl_json_str(add, "id"), ==, "prod2");
    g_assert_cmpstr(sl_json_str(add, "fingerprint"), ==, print);
    rig_free(rig);
}

/* The past is folded: nobody is stale in it, and health is what was recorded. */
static void test_at(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    guint before = rig->ledger->len;
    rig_agent(rig, "dev1")->sick = true;
    rig_push(rig, "c2", "1", "2");
    rig_seal(rig, "dev", "train", "m1", "0.97");
    rig_tick(rig, 20 * SL_MINUTE_US);
    const guint counts[] = {before, rig->ledger->len};
    static const char *const healths[] = {"Healthy", "Degraded"};
    for (int i = 0; i < 2; i++) {
        g_autoptr(SlCoord) past = rig_fold(rig, counts[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) view = sl_coord_view(past, "status", NULL, rig->now_us, &error);
        g_assert_no_error(error);
        g_assert_nonnull(sl_json_str(view, "at"));
        const json_t *dev = json_array_get(json_object_get(view, "units"), 0);
        const json_t *target = json_array_get(json_object_get(dev, "targets"), 0);
        g_assert_cmpstr(sl_json_str(dev, "env"), ==, "dev");
        g_assert_cmpstr(sl_json_str(dev, "health"), ==, healths[i]);
        g_assert_false(sl_json_bool(target, "stale", true));
        g_assert_nonnull(sl_json_str(target, "seen"));
        const json_t *cluster = json_array_get(json_object_get(view, "clusters"), 0);
        g_assert_false(sl_json_bool(cluster, "stale", true));
        g_autofree char *text = sl_json_canonical(view, NULL);
        g_assert_null(strstr(text, "NotReported"));
    }
    g_autoptr(json_t) now = rig_view(rig, "status", NULL);
    g_assert_null(sl_json_str(now, "at"));
    rig_free(rig);
}

/* A cluster that joined after the last change has nothing, and status says so until a redeploy. */
static void test_late(void)
{
    Rig *rig = rig_new();
    rig_push(rig, "c1", "1", "1");
    g_autoptr(json_t) before = rig_unit(rig, "dev");
    g_assert_cmpuint(json_array_size(json_object_get(before, "late")), ==, 0);
    Agent *two = rig_agent_new(rig, "dev2", "dev", 40);
    g_autoptr(json_t) join = rig_join(rig, "dev2", "dev");
    rig_enrol_with(rig, two, join);
    two->root = 1;
    agent_hello(rig, "dev2");
    g_autoptr(json_t) after = rig_unit(rig, "dev");
    g_assert_cmpuint(json_array_size(json_object_get(after, "targets")), ==, 1);
    g_assert_cmpuint(json_array_size(json_object_get(after, "late")), ==, 1);
    g_assert_cmpstr(json_string_value(json_array_get(json_object_get(after, "late"), 0)), ==,
                    "dev2");
    rig_ask(rig, "redeploy", rig_unit_args("digits", "dev"));
    g_autoptr(json_t) done = rig_unit(rig, "dev");
    g_assert_cmpuint(json_array_size(json_object_get(done, "targets")), ==, 2);
    g_assert_cmpuint(json_array_size(json_object_get(done, "late")), ==, 0);
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/views/evidence", test_evidence);
    g_test_add_func("/views/evaluation", test_evaluation);
    g_test_add_func("/views/who-asks", test_who_asks);
    g_test_add_func("/views/at", test_at);
    g_test_add_func("/views/late", test_late);
    return g_test_run();
}
