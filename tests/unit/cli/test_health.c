/* test_health.c - sluice health, and the golden objects of tests/unit/core/health: what each is judged to be, and that every verdict of
 * every kind has one. */
#include "core/health/case.h"
#include "core/health/health.h"
#include "render/yaml.h"
#include "rig.h"

#define GOLDEN SLUICE_SOURCE_DIR "/tests/unit/core/health"
#define NOW "2026-11-23T12:00:00Z"

typedef struct {
    GHashTable *seen; /* "group/Kind" -> letters of the verdicts of its rule (GString) */
    unsigned objects;
} Golden;

static void note(Golden *g, const json_t *object, const SlHealthVerdict *verdict)
{
    static const char letters[SL_N_HEALTH] = {'H', 'S', 'P', 'M', 'D', 'U'};
    g_auto(GStrv) version = g_strsplit(sl_json_str_or(object, "apiVersion", ""), "/", 2);
    g_autofree char *key = g_strdup_printf("%s/%s", version[1] != NULL ? version[0] : "", sl_json_str(object, "kind"));
    const char *general[] = {"NotObserved", "Deleting", "StuckDeleting", "DeadlineExceeded", NULL};
    if (g_strv_contains(general, verdict->reason)) {
        return;
    }
    GString *have = g_hash_table_lookup(g->seen, key);
    if (have == NULL) {
        have = g_string_new(NULL);
        g_hash_table_insert(g->seen, g_steal_pointer(&key), have);
    }
    if (strchr(have->str, letters[verdict->health]) == NULL) {
        g_string_append_c(have, letters[verdict->health]);
    }
}

static const char *annotation(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(sl_json_at(object, "metadata.annotations"), key));
}

static void check_object(Golden *g, const char *file, const json_t *object, const SlHealthKin *kin)
{
    const char *expect = annotation(object, "expect"), *message = annotation(object, "message");
    const char *failure = annotation(object, "failure");
    SlHealthState state = {0};
    SlHealthVerdict v;
    SlHealthContext context = {.snapshot = true};
    g_assert_true(sl_parse_time(NOW, &context.now_us));
    sl_health_kin_context(kin, object, &context);
    sl_health_judge(object, &context, &state, &v);
    g_autofree char *is = g_strdup_printf("%s %s", sl_health_name(v.health), v.reason);
    g_autoptr(json_t) there = sl_health_state_to_json(&state);
    SlHealthState back;
    sl_health_state_from_json(there, &back);
    g_autoptr(json_t) again = sl_health_state_to_json(&back);
    g_assert_true(json_equal(there, again));
    if (expect == NULL) {
        return;
    }
    if (strcmp(is, expect) != 0 || (message != NULL && strstr(v.message, message) == NULL) ||
        (failure != NULL && strcmp(sl_pod_failure_name(v.failure), failure) != 0)) {
        g_test_message("%s: %s %s: expected `%s` (%s; %s), got `%s` (%s; %s)", file, sl_json_str(object, "kind"),
                sl_json_str(object, "metadata.name"), expect, message ? message : "-", failure ? failure : "-", is, v.message,
                sl_pod_failure_name(v.failure));
        g_test_fail();
    }
    g_assert_true(*v.message != '\0' || v.health == SL_HEALTH_DEGRADED);
    g->objects++;
    note(g, object, &v);
}

static void check_file(Golden *g, const char *name)
{
    g_autofree char *path = g_build_filename(GOLDEN, name, NULL);
    char *text = NULL;
    gsize len = 0;
    g_assert_true(g_file_get_contents(path, &text, &len, NULL));
    g_autoptr(GBytes) bytes = g_bytes_new_take(text, len);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(GPtrArray) docs = sl_yaml_read(path, bytes, true, problems);
    for (guint i = 0; i < problems->len; i++) {
        g_autofree char *problem = sl_problem_format(g_ptr_array_index(problems, i));
        g_error("%s", problem);
    }
    g_autoptr(json_t) objects = json_array();
    for (guint i = 0; i < docs->len; i++) {
        json_array_append(objects, (json_t *)(uintptr_t)sl_yaml_json(g_ptr_array_index(docs, i)));
    }
    g_autoptr(SlHealthKin) kin = sl_health_kin_new(objects);
    size_t i = 0;
    json_t *object = NULL;
    json_array_foreach (objects, i, object) {
        check_object(g, name, object, kin);
    }
}

static void free_string(void *string)
{
    g_string_free(string, TRUE);
}

/* Each kind gives every verdict that its line names, and no other; kinds without a status need no object of their own. */
static void check_lines(Golden *g)
{
    size_t count = 0;
    const SlHealthKind *kinds = sl_health_kinds(&count);
    for (size_t i = 0; i < count; i++) {
        g_autofree char *key = g_strdup_printf("%s/%s", kinds[i].group, kinds[i].kind);
        const GString *have = g_hash_table_lookup(g->seen, key);
        const char *letters = have != NULL ? have->str : "";
        for (const char *c = kinds[i].verdicts; *c != '\0' && strcmp(kinds[i].verdicts, "H") != 0; c++) {
            if (strchr(letters, *c) == NULL) {
                g_test_fail();
                g_test_message("%s: no golden object for verdict %c", key, *c);
            }
        }
        for (const char *c = letters; *c != '\0'; c++) {
            if (strchr(kinds[i].verdicts, *c) == NULL) {
                g_test_fail();
                g_test_message("%s: gives verdict %c, which its line in kinds.def does not name", key, *c);
            }
        }
    }
}

static void test_golden(void)
{
    Golden g = {.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_string)};
    GDir *dir = g_dir_open(GOLDEN, 0, NULL);
    g_assert_nonnull(dir);
    for (const char *name = NULL; (name = g_dir_read_name(dir)) != NULL;) {
        if (g_str_has_suffix(name, ".yaml")) {
            check_file(&g, name);
        }
    }
    g_dir_close(dir);
    check_lines(&g);
    g_assert_cmpuint(g.objects, >, 200);
    g_hash_table_unref(g.seen);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/health/golden", test_golden);
    return g_test_run();
}
