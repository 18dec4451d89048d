/* jobkind_contract.c - what every row of jobkinds.def must keep, whatever it means: the table is
 * complete, hostile trees are answered with messages and never with a crash, validation changes
 * nothing, defaults are idempotent and valid. */
#include "base/json.h"
#include "core/run.h"
#include "sluice/jobkind.h"
#include "sluice/types.h"
#include <string.h>

static json_t *object(const char *kind, json_t *spec)
{
    return json_pack("{s:s, s:s, s:{s:s}, s:o}", "apiVersion", SL_API_VERSION, "kind", kind,
                     "metadata", "name", "x", "spec", spec);
}

static char *canonical(const json_t *json)
{
    char *text = sl_json_canonical(json, NULL);
    g_assert_nonnull(text);
    return text;
}

static void check_all(const SlJobKindOps *ops, json_t *json)
{
    g_autofree char *before = canonical(json);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) again = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(g_free);
    ops->validate(json, problems);
    ops->validate(json, again);
    ops->items(json, items);
    g_assert_cmpuint(problems->len, ==, again->len);
    g_assert_cmpint(ops->gpus(json), >=, 0);
    g_autofree char *after = canonical(json);
    g_assert_cmpstr(before, ==, after); /* none of these changes the object */
    for (guint i = 0; i < problems->len; i++) {
        const char *text = problems->pdata[i];
        g_assert_nonnull(strchr(text, ':')); /* "<place>: <what>" */
        g_assert_null(strpbrk(text, "\n\x1b"));
    }
    ops->defaults(json);
    g_autofree char *once = canonical(json);
    ops->defaults(json);
    g_autofree char *twice = canonical(json);
    g_assert_cmpstr(once, ==, twice);
}

static void test_table(void)
{
    for (size_t i = 0; sl_jobkinds()[i] != NULL; i++) {
        const SlJobKindOps *ops = sl_jobkinds()[i];
        g_assert_nonnull(ops->kind);
        g_assert_nonnull(ops->validate);
        g_assert_nonnull(ops->defaults);
        g_assert_nonnull(ops->items);
        g_assert_nonnull(ops->gpus);
        g_autoptr(json_t) json = object(ops->kind, json_object());
        g_assert_true(sl_jobkind_find(json) == ops);
    }
}

/* Every value that JSON can be, in every member that a kind knows (found by its own defaults and by
 * common names). */
static void test_hostile(void)
{
    static const char *const values[] = {"null", "true",      "-1",           "9223372036854775807",
                                         "0.5",  "\"\"",      "\"../x\"",     "\"\\u001b[31m\"",
                                         "[]",   "[null]",    "[{}]",         "[[[]]]",
                                         "{}",   "{\"\":{}}", "{\"a\\nb\":1}"};
    static const char *const keys[] = {
        "image",      "command",   "args",    "env",       "files",
        "inputs",     "outputs",   "model",   "port",      "probe",
        "native",     "retries",   "stop",    "resources", "resourcesPerNode",
        "numNodes",   "replicas",  "grace",   "timeLimit", "start",
        "checkpoint", "placement", "zzz\x1b", "queue"};
    for (size_t i = 0; sl_jobkinds()[i] != NULL; i++) {
        const SlJobKindOps *ops = sl_jobkinds()[i];
        for (size_t v = 0; v < G_N_ELEMENTS(values); v++) {
            for (size_t k = 0; k < G_N_ELEMENTS(keys); k++) {
                g_autoptr(json_t) json = object(ops->kind, json_object());
                json_t *value = json_loads(values[v], JSON_DECODE_ANY, NULL);
                json_object_set_new(json_object_get(json, "spec"), keys[k], value);
                check_all(ops, json);
            }
            g_autoptr(json_t) json =
                object(ops->kind, json_loads(values[v], JSON_DECODE_ANY, NULL));
            check_all(ops, json);
            g_autoptr(json_t) bare = json_loads(values[v], JSON_DECODE_ANY, NULL);
            check_all(ops, bare);
        }
    }
}

static void test_unknown_keys_are_errors(void)
{
    for (size_t i = 0; sl_jobkinds()[i] != NULL; i++) {
        const SlJobKindOps *ops = sl_jobkinds()[i];
        g_autoptr(json_t) json = object(ops->kind, json_pack("{s:i}", "imagee", 1));
        g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
        ops->validate(json, problems);
        g_assert_cmpstr(problems->pdata[0], ==, "spec.imagee: unknown key; did you mean `image`?");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/jobkind-contract/table", test_table);
    g_test_add_func("/jobkind-contract/hostile", test_hostile);
    g_test_add_func("/jobkind-contract/unknown-keys", test_unknown_keys_are_errors);
    return g_test_run();
}
