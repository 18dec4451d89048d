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

/* ---- the command ---- */

#define THING(name, status) "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: " name ", namespace: a, creationTimestamp: \"2026-11-23T11:59:00Z\"}\nstatus: " status "\n"
#define READY(name) THING(name, "{conditions: [{type: Ready, status: \"True\", reason: Done}]}")

static json_t *printed(const Rig *r)
{
    json_t *json = sl_json_parse(r->out, strlen(r->out), NULL, "stdout", NULL);
    g_assert_nonnull(json);
    return json;
}

static void test_exit_codes(void)
{
    g_autoptr(Rig) r = rig_new();
    rig_put(r, "ready.yaml", READY("one") "---\n" READY("two"));
    rig_put(r, "waits.yaml", THING("three", "{conditions: [{type: Ready, status: \"False\", reason: Working, message: 1 of 2}]}"));
    rig_put(r, "bad.yaml", THING("four", "{conditions: [{type: Stalled, status: \"True\", reason: BadSpec}]}"));
    rig_put(r, "cron.yaml", "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: five}\nspec: {suspend: true}\n");
    assert_code(r, RUN(r, "health", "-f", "ready.yaml", "-f", "cron.yaml", "--at", NOW), 0);
    assert_has(r->out, "3 objects: 1 Suspended, 2 Healthy");
    assert_code(r, RUN(r, "health", "-f", "ready.yaml", "-f", "waits.yaml", "--at", NOW), SL_EXIT_WAITING);
    assert_has(r->out, "Progressing  Working  1 of 2");
    assert_code(r, RUN(r, "health", "-f", "ready.yaml", "-f", "waits.yaml", "-f", "bad.yaml", "--at", NOW), SL_EXIT_NO);
    assert_has(r->out, "4 objects: 1 Degraded, 1 Progressing, 2 Healthy");
    /* the deadline, and another one */
    assert_code(r, RUN(r, "health", "-f", "waits.yaml", "--at", "2026-11-23T12:09:00Z"), SL_EXIT_NO);
    assert_has(r->out, "DeadlineExceeded  Working: no progress for 10m: 1 of 2");
    assert_code(r, RUN(r, "health", "-f", "waits.yaml", "--at", "2026-11-23T12:09:00Z", "--timeout", "image=1m", "--timeout", "generic=20m"), SL_EXIT_WAITING);
    assert_code(r, RUN(r, "health", "-f", "waits.yaml", "--timeout", "generic=never"), SL_EXIT_WAITING);
}

static void test_json(void)
{
    g_autoptr(Rig) r = rig_new();
    rig_put(r, "mixed.yaml", READY("one") "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: two}\nstatus: {phase: Active}\n");
    assert_code(r, RUN(r, "health", "-f", "mixed.yaml", "-o", "json"), 0);
    g_autoptr(json_t) list = printed(r);
    g_autofree char *text = sl_json_canonical(list, NULL);
    g_assert_cmpstr(text, ==, "[{\"apiVersion\":\"example.com/v1\",\"health\":\"Healthy\",\"kind\":\"Thing\",\"message\":\"Ready is True\",\"name\":\"one\",\"namespace\":\"a\",\"reason\":\"Done\"},"
                              "{\"apiVersion\":\"v1\",\"health\":\"Healthy\",\"kind\":\"Namespace\",\"message\":\"is active\",\"name\":\"two\",\"namespace\":null,\"reason\":\"Active\"}]");
}

static void test_lists(void)
{
    g_autoptr(Rig) r = rig_new();
    rig_put(r, "list.json", "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"a\"}}]}");
    rig_put(r, "typed.json", "{\"apiVersion\": \"v1\", \"kind\": \"SecretList\", \"items\": [{\"metadata\": {\"name\": \"b\"}}]}");
    rig_put(r, "array", "\n[{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"c\"}}]");
    rig_put(r, "flow", "{apiVersion: v1, kind: ConfigMap, metadata: {name: d}}\n");
    rig_put(r, "none.yaml", "apiVersion: v1\nkind: List\nitems: []\n");
    assert_code(r, RUN(r, "health", "-f", "list.json", "-f", "typed.json", "-f", "array", "-f", "flow", "-f", "none.yaml"), 0);
    assert_has(r->out, "4 objects: 4 Healthy");
    assert_has(r->out, "Secret     -          b");
    assert_code(r, RUN(r, "health", "-f", "none.yaml"), 0);
    assert_has(r->out, "0 objects");
}

static void test_stdin(void)
{
    g_autoptr(Rig) r = rig_new();
    rig_put(r, "ready.yaml", READY("one"));
    rig_put(r, "empty.yaml", "# nothing\n");
    int kept = dup(STDIN_FILENO);
    static const char *const files[] = {"ready.yaml", "empty.yaml"};
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        int fd = open(files[i], O_RDONLY | O_CLOEXEC);
        g_assert_cmpint(dup2(fd, STDIN_FILENO), ==, STDIN_FILENO);
        close(fd);
        assert_code(r, RUN(r, "health", "-f", "-"), i == 0 ? 0 : 3);
    }
    assert_has(r->err, "<stdin>: SLU5072: is empty");
    int folder = open(".", O_RDONLY | O_CLOEXEC);
    dup2(folder, STDIN_FILENO);
    close(folder);
    assert_code(r, RUN(r, "health", "-f", "-"), 7);
    assert_has(r->err, "SLU1004: standard input: Is a directory");
    int big = open("big", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(ftruncate(big, 65 * 1024 * 1024), ==, 0);
    dup2(big, STDIN_FILENO);
    close(big);
    assert_code(r, RUN(r, "health", "-f", "-"), 9);
    assert_has(r->err, "standard input: larger than 67108864 bytes");
    dup2(kept, STDIN_FILENO);
    close(kept);
}

static void test_mistakes_have_a_place(void)
{
    g_autoptr(Rig) r = rig_new();
    rig_put(r, "bad.yaml", READY("one") "---\nkind: Thing\nmetadata: {name: two}\n---\napiVersion: v1\nkind: List\nitems:\n  - {apiVersion: v1, kind: Pod, metadata: {name: ok}}\n  - {apiVersion: v1, kind: Pod}\n  - 7\n");
    assert_code(r, RUN(r, "health", "-f", "bad.yaml"), 3);
    g_assert_cmpstr(r->out, ==, "");
    assert_has(r->err, "bad.yaml:6:1: SLU5072: is no object of a cluster: apiVersion: must be a text, but is missing");
    assert_has(r->err, "bad.yaml:13:5: SLU5072: items.1: is no object of a cluster: metadata.name");
    assert_has(r->err, "bad.yaml:14:5: SLU5072: items.2: is no object");
    rig_put(r, "torn.yaml", "a: [1\n");
    assert_code(r, RUN(r, "health", "-f", "torn.yaml", "-o", "json"), 3);
    assert_has(r->err, "torn.yaml:");
    assert_has(r->err, "SLU1200");
    rig_put(r, "torn.json", "{\"kind\": \"Pod\",\n \"a\": }");
    assert_code(r, RUN(r, "health", "-f", "torn.json"), 3);
    assert_has(r->err, "SLU1102: torn.json:2:7");
    rig_put(r, "twice", "{\"kind\": \"Pod\", \"kind\": \"Pod\"}");
    assert_code(r, RUN(r, "health", "-f", "twice"), 3);
    assert_has(r->err, "SLU1103");
    assert_code(r, RUN(r, "health", "-f", "nowhere"), 4);
    assert_has(r->err, "nowhere");
    assert_code(r, RUN(r, "health"), SL_EXIT_USAGE);
    assert_has(r->err, "name the objects: -f FILE");
    rig_put(r, "ok.yaml", READY("one"));
    assert_code(r, RUN(r, "health", "-f", "ok.yaml", "--at", "noon"), 3);
    assert_has(r->err, "--at noon: must be a time such as 2026-11-23T12:00:00Z");
    assert_code(r, RUN(r, "health", "-f", "ok.yaml", "--timeout", "generic"), 3);
    assert_has(r->err, "--timeout generic: must be NAME=DURATION");
    assert_code(r, RUN(r, "health", "-f", "ok.yaml", "--timeout", "all=1m"), 3);
    assert_has(r->err, "--timeout: there is no time-out `all`");
}

static void test_too_many(void)
{
    g_autoptr(Rig) r = rig_new();
    g_autoptr(GString) text = g_string_new("[");
    for (int i = 0; i <= 20000; i++) {
        g_string_append_printf(text, "%s{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"}}", i > 0 ? "," : "");
    }
    g_string_append_c(text, ']');
    rig_put(r, "many.json", text->str);
    assert_code(r, RUN(r, "health", "-f", "many.json"), 9);
    assert_has(r->err, "SLU1003: more than 20000 objects");
}

static void test_rules(void)
{
    g_autoptr(Rig) r = rig_new();
    static const char *const shapes[] = {
        "- apiVersion: example.com/v1\n  kind: Thing\n  current: status.phase == 'Done'\n",
        "healthCheckExprs:\n  - {apiVersion: example.com/v1, kind: Thing, current: status.phase == 'Done'}\n",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec:\n  healthCheckExprs:\n    - {apiVersion: example.com/v1, kind: Thing, current: status.phase == 'Done'}\n",
    };
    rig_put(r, "done.yaml", THING("one", "{phase: Done}"));
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        rig_put(r, "rules.yaml", shapes[i]);
        assert_code(r, RUN(r, "health", "-f", "done.yaml", "--rules", "rules.yaml"), 0);
        assert_has(r->out, "RuleCurrent");
    }
    rig_put(r, "rules.yaml", "healthCheckExprs:\n  - {apiVersion: a/v1, kind: A, current: 'true'}\n  - apiVersion: a/v1\n    kind: B\n    current: status.phase = 'Done'\n");
    assert_code(r, RUN(r, "health", "-f", "done.yaml", "--rules", "rules.yaml"), 3);
    assert_has(r->err, "rules.yaml:3:5: SLU5071: rule 2: current: column 14: expected an operator");
    rig_put(r, "rules.yaml", "{}\n");
    assert_code(r, RUN(r, "health", "-f", "done.yaml", "--rules", "rules.yaml"), 3);
    assert_has(r->err, "rules.yaml: SLU5070: holds no list of rules");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/health/golden", test_golden);
    g_test_add_func("/health/exit-codes", test_exit_codes);
    g_test_add_func("/health/json", test_json);
    g_test_add_func("/health/lists", test_lists);
    g_test_add_func("/health/stdin", test_stdin);
    g_test_add_func("/health/mistakes", test_mistakes_have_a_place);
    g_test_add_func("/health/too-many", test_too_many);
    g_test_add_func("/health/rules", test_rules);
    return g_test_run();
}
