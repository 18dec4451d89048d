/* health.c - sluice health: judges objects from files or standard input, without a cluster, by the rules of docs/health.md. */
#include "core/health/health.h"
#include "base/text.h"
#include "cli/cli.h"
#include "core/bundle.h"
#include "render/yaml.h"
#include "runtime/atomicfile.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX                                                                             \
    ((size_t)64 * 1024 * 1024) /* JSON of some 10,000 objects; YAML has its own, smaller limits */
#define JSON_DEPTH_MAX 64      /* schemas of CustomResourceDefinitions are deep */
#define JSON_NODES_MAX 4000000
#define OBJECTS_MAX SL_BUNDLE_OBJECTS_MAX

typedef struct {
    SlCli *cli;
    json_t *objects;
    GPtrArray *problems; /* of SlProblem* */
    size_t documents;    /* read so far */
    int64_t timers_us[SL_N_TIMERS];
    int64_t now_us;
    SlHealthRules *rules;
} Health;

/* ---- reading ---- */

static GBytes *read_stdin(GError **error)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    uint8_t block[16 * 1024];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, block, sizeof block);
        if (n == 0) {
            return g_byte_array_free_to_bytes(g_steal_pointer(&all));
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return sl_throw_null(error, SLU_IO, "standard input: %s", g_strerror(errno));
        }
        if (all->len + (size_t)n > FILE_BYTES_MAX) {
            return sl_throw_null(error, SLU_LIMIT, "standard input: larger than %zu bytes",
                                 FILE_BYTES_MAX);
        }
        g_byte_array_append(all, block, (guint)n);
    }
}

static void add_error(Health *h, const char *file, int line, int column, const GError *error)
{
    sl_problem_add(h->problems, file, line, column, error->code, false,
                   sl_error_info(error->code)->advice, "%s", error->message);
}

/* One document of a file: YAML with places, or JSON without. */
typedef struct {
    const char *file;
    const SlYamlDoc *yaml; /* NULL for JSON */
    json_t *json;
} Document;

typedef void DocumentTaker(Health *h, const Document *doc);

static void place_of(const Document *doc, const char *path, int *ret_line, int *ret_column)
{
    *ret_line = 0;
    *ret_column = 0;
    if (doc->yaml != NULL) {
        sl_yaml_position(doc->yaml, path, ret_line, ret_column);
    }
}

static void take_yaml(Health *h, const char *file, GBytes *bytes, DocumentTaker *take)
{
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(GPtrArray) docs = sl_yaml_read(file, bytes, false, problems);
    bool bad = sl_problems_have_errors(problems);
    /* Warnings are about readers that differ from kubectl's: what a cluster wrote has one reader. */
    for (guint i = 0; i < problems->len; i++) {
        const SlProblem *p = g_ptr_array_index(problems, i);
        if (!p->warning) {
            sl_problem_add(h->problems, p->file, p->line, p->column, p->code, false, p->hint, "%s",
                           p->message);
        }
    }
    for (guint i = 0; !bad && i < docs->len; i++) {
        const SlYamlDoc *yaml = g_ptr_array_index(docs, i);
        Document doc = {file, yaml, (json_t *)(uintptr_t)sl_yaml_json(yaml)};
        h->documents++;
        take(h, &doc);
    }
}

static void take_bytes(Health *h, const char *file, GBytes *bytes, DocumentTaker *take)
{
    static const SlJsonLimits limits = {FILE_BYTES_MAX, JSON_DEPTH_MAX, JSON_NODES_MAX};
    size_t len = 0;
    const char *text = g_bytes_get_data(bytes, &len);
    size_t start = 0;
    while (start < len && g_ascii_isspace(text[start])) {
        start++;
    }
    g_autoptr(GError) error = NULL;
    if (start == len || (text[start] != '{' && text[start] != '[')) {
        take_yaml(h, file, bytes, take);
        return;
    }
    g_autoptr(json_t) json = sl_json_parse(text, len, &limits, file, &error);
    if (json != NULL) {
        Document doc = {file, NULL, json};
        h->documents++;
        take(h, &doc);
    } else if (error->code == SLU_JSON_SYNTAX && !g_str_has_suffix(file, ".json")) {
        take_yaml(
            h, file, bytes,
            take); /* YAML may start with a brace, too; it says what is wrong with its place */
    } else {
        add_error(h, "", 0, 0, error);
    }
}

static void take_file(Health *h, const char *file, DocumentTaker *take)
{
    g_autoptr(GError) error = NULL;
    bool is_stdin = strcmp(file, "-") == 0;
    g_autoptr(GBytes) bytes =
        is_stdin ? read_stdin(&error) : sl_file_read(file, FILE_BYTES_MAX, &error);
    if (bytes == NULL) {
        add_error(h, "", 0, 0, error);
        return;
    }
    size_t before = h->documents + h->problems->len;
    const char *name = is_stdin ? "<stdin>" : file;
    take_bytes(h, name, bytes, take);
    if (h->documents + h->problems->len ==
        before) { /* what feeds a pipe may have failed: nothing is not Healthy */
        sl_problem_add(h->problems, name, 0, 0, SLU_HEALTH_OBJECT, false,
                       sl_error_info(SLU_HEALTH_OBJECT)->advice, "is empty");
    }
}

/* ---- objects ---- */

static void add_object(Health *h, const Document *doc, json_t *object, const char *path)
{
    int line = 0;
    int column = 0;
    g_autoptr(GError) error = NULL;
    place_of(doc, path, &line, &column);
    g_autofree char *kind = sl_object_kind(object, &error);
    if (kind != NULL && sl_json_need_str(object, "metadata.name", &error) != NULL) {
        if (json_array_size(h->objects) < OBJECTS_MAX) {
            json_array_append(h->objects, object);
            return;
        }
        (void)sl_throw(&error, SLU_LIMIT, "more than %d objects", OBJECTS_MAX);
    }
    if (error->code == SLU_LIMIT) {
        add_error(h, doc->file, line, column, error);
        return;
    }
    sl_problem_add(h->problems, doc->file, line, column, SLU_HEALTH_OBJECT, false,
                   sl_error_info(SLU_HEALTH_OBJECT)->advice, "%s%sis no object of a cluster: %s",
                   path, *path != '\0' ? ": " : "", error->message);
}

/* Items of a typed list (PodList) may leave out what the list says already. */
static void add_items(Health *h, const Document *doc, json_t *items, const char *version,
                      const char *kind, const char *path)
{
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (items, i, each) {
        g_autofree char *at = g_strdup_printf("%s%s%zu", path, *path != '\0' ? "." : "", i);
        if (kind != NULL && json_object_get(each, "kind") == NULL && json_is_object(each)) {
            sl_json_set_str(each, "apiVersion", version);
            sl_json_set_str(each, "kind", kind);
        }
        add_object(h, doc, each, at);
    }
}

static void take_objects(Health *h, const Document *doc)
{
    const char *kind = sl_json_str_or(doc->json, "kind", "");
    json_t *items = json_object_get(doc->json, "items");
    if (json_is_array(doc->json)) {
        add_items(h, doc, doc->json, NULL, NULL, "");
    } else if (g_str_has_suffix(kind, "List") && json_is_array(items)) {
        g_autofree char *of = g_strndup(kind, strlen(kind) - strlen("List"));
        add_items(h, doc, items, sl_json_str_or(doc->json, "apiVersion", ""),
                  *of != '\0' ? of : NULL, "items");
    } else {
        add_object(h, doc, doc->json, "");
    }
}

/* ---- rules ---- */

/* A list of rules, Flux's key with one, or a Flux Kustomization that holds it. */
static json_t *find_rules(json_t *json, const char **ret_path)
{
    static const char *const paths[] = {"", "healthCheckExprs", "spec.healthCheckExprs"};
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        json_t *list = sl_json_at(json, paths[i]);
        if (json_is_array(list)) {
            *ret_path = paths[i];
            return list;
        }
    }
    return NULL;
}

static void take_rules(Health *h, const Document *doc)
{
    const char *path = "";
    json_t *list = find_rules(doc->json, &path);
    size_t i = 0;
    json_t *each = NULL;
    if (list == NULL) {
        sl_problem_add(h->problems, doc->file, 0, 0, SLU_HEALTH_RULE, false,
                       sl_error_info(SLU_HEALTH_RULE)->advice,
                       "holds no list of rules (healthCheckExprs)");
    }
    json_array_foreach (list, i, each) {
        g_autoptr(GError) error = NULL;
        g_autofree char *at = g_strdup_printf("%s%s%zu", path, *path != '\0' ? "." : "", i);
        int line = 0;
        int column = 0;
        if (!sl_health_rules_add(h->rules, each, &error)) {
            place_of(doc, at, &line, &column);
            sl_prefix(&error, "rule %zu", i + 1);
            add_error(h, doc->file, line, column, error);
        }
    }
}

/* ---- judging ---- */

static json_t *verdict_to_json(const json_t *object, const SlHealthVerdict *verdict)
{
    json_t *json = json_object();
    sl_json_set_str(json, "apiVersion", sl_json_str(object, "apiVersion"));
    sl_json_set_str(json, "kind", sl_json_str(object, "kind"));
    sl_json_set_str(json, "namespace", sl_json_str(object, "metadata.namespace"));
    sl_json_set_str(json, "name", sl_object_name(object));
    sl_json_set_str(json, "health", sl_health_name(verdict->health));
    sl_json_set_str(json, "reason", verdict->reason);
    sl_json_set_str(json, "message", verdict->message);
    return json;
}

static void print_total(const Health *h, const SlHealthTotal *total)
{
    g_autoptr(GString) text = g_string_new(NULL);
    size_t count = json_array_size(h->objects);
    for (int i = SL_N_HEALTH - 1; i >= 0; i--) {
        if (total->counts[i] > 0) {
            g_string_append_printf(text, "%s%u %s", text->len > 0 ? ", " : ": ", total->counts[i],
                                   sl_health_name((SlHealth)i));
        }
    }
    sl_say(h->cli, "%zu object%s%s", count, count == 1 ? "" : "s", text->str);
}

static int exit_code_of(SlHealth health)
{
    switch (health) {
    case SL_HEALTH_HEALTHY:
        return SL_EXIT_OK;
    case SL_HEALTH_SUSPENDED:
    case SL_HEALTH_PROGRESSING:
        return SL_EXIT_WAITING;
    default:
        return SL_EXIT_NO;
    }
}

static int judge_all(Health *h)
{
    g_autoptr(json_t) list = json_array();
    g_autoptr(SlHealthKin) kin = sl_health_kin_new(h->objects);
    bool json = sl_cli_json(h->cli);
    SlTable *table =
        json ? NULL
             : sl_table_new("KIND", "NAMESPACE", "NAME", "HEALTH", "REASON", "MESSAGE", NULL);
    SlHealthTotal total = {0};
    size_t i = 0;
    json_t *object = NULL;
    json_array_foreach (h->objects, i, object) {
        SlHealthState state = {0};
        SlHealthVerdict verdict;
        SlHealthContext context = {
            .now_us = h->now_us, .snapshot = true, .timers_us = h->timers_us, .rules = h->rules};
        sl_health_kin_context(kin, object, &context);
        sl_health_judge(object, &context, &state, &verdict);
        sl_health_total_add(&total, &verdict);
        if (json) {
            json_array_append_new(list, verdict_to_json(object, &verdict));
            continue;
        }
        g_autofree char *health = sl_colour_state(h->cli, sl_health_name(verdict.health));
        sl_table_row(table, sl_json_str_or(object, "kind", "?"),
                     sl_json_str_or(object, "metadata.namespace", "-"), sl_object_name(object),
                     health, verdict.reason, verdict.message, NULL);
    }
    if (json) {
        sl_print_json(h->cli, list);
    } else {
        sl_table_print(table, h->cli, stdout);
        print_total(h, &total);
    }
    return exit_code_of(total.health);
}

/* ---- options ---- */

static bool read_timers(Health *h, GError **error)
{
    const char *const *given = sl_cli_option_all(h->cli, "timeout");
    for (size_t i = 0; given[i] != NULL; i++) {
        g_auto(GStrv) pair = g_strsplit(given[i], "=", 2);
        if (g_strv_length(pair) != 2) {
            return sl_throw(error, SLU_INVALID, "--timeout %s: must be NAME=DURATION", given[i]);
        }
        if (!sl_health_timer_set(h->timers_us, pair[0], pair[1], error)) {
            return sl_prefix(error, "--timeout");
        }
    }
    return true;
}

static bool read_options(Health *h, GError **error)
{
    const char *at = sl_cli_option(h->cli, "at");
    h->now_us = sl_cli_now_us();
    if (at != NULL && !sl_parse_time(at, &h->now_us)) {
        return sl_throw(error, SLU_INVALID, "--at %s: must be a time such as 2026-11-23T12:00:00Z",
                        at);
    }
    return read_timers(h, error);
}

/* Every mistake, each with its place; returns the exit code of the first one's class. */
static int print_mistakes(const Health *h)
{
    int code = SL_EXIT_OK;
    for (guint i = 0; i < h->problems->len; i++) {
        const SlProblem *problem = g_ptr_array_index(h->problems, i);
        g_autofree char *text = sl_problem_format(problem);
        fprintf(stderr, "%s\n", text);
        code = code == SL_EXIT_OK ? sl_error_exit_code(sl_error_info(problem->code)->error_class)
                                  : code;
    }
    return code;
}

static int run(SlCli *cli)
{
    const char *const *files = sl_cli_option_all(cli, "file");
    const char *const *rules = sl_cli_option_all(cli, "rules");
    g_autoptr(GError) error = NULL;
    Health h = {.cli = cli};
    if (files[0] == NULL) {
        return sl_cli_usage(cli, "name the objects: -f FILE, or -f - for standard input");
    }
    if (!read_options(&h, &error)) {
        return sl_cli_fail(cli, error);
    }
    g_autoptr(json_t) objects = json_array();
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(SlHealthRules) own_rules = sl_health_rules_new();
    h.objects = objects;
    h.problems = problems;
    h.rules = own_rules;
    for (size_t i = 0; rules[i] != NULL; i++) {
        take_file(&h, rules[i], take_rules);
    }
    for (size_t i = 0; files[i] != NULL; i++) {
        take_file(&h, files[i], take_objects);
    }
    int code = print_mistakes(&h);
    return code != SL_EXIT_OK ? code : judge_all(&h);
}

static const SlCliOption options[] = {
    {"file", 'f', "FILE", "objects as YAML or JSON; may be repeated, - is standard input", "file"},
    {"rules", 0, "FILE", "rules of your own for kinds (healthCheckExprs, as in Flux)", "file"},
    {"timeout", 0, "NAME=TIME", "how long Progressing may last: generic=20m, image=1h, queue=never",
     NULL},
    {"at", 0, "TIME", "judge as of this time, for a dump that was made earlier (default: now)",
     NULL},
    {0},
};

const SlCommand sl_cmd_health = {
    .name = "health",
    .group = "Look",
    .synopsis = "-f FILE... [--rules FILE] [--timeout NAME=TIME] [--at TIME]",
    .summary = "health of objects from files, without a cluster",
    .description = "Judges what `kubectl get -o yaml` or `-o json` wrote by the rules of "
                   "docs/health.md: documents, JSON, lists. Pods, Workloads and classes in the "
                   "same input are used for the "
                   "objects that they belong to. A single "
                   "look has no history: time-outs run from the newest time that an object itself "
                   "names (creation, conditions, start), "
                   "and Healthy need not hold. With -o json: a list of {apiVersion, kind, "
                   "namespace, name, health, reason, message}.\n\n"
                   "Exit code 0: all Healthy. 1: something is Degraded, Missing or Unknown. 23: "
                   "nothing is, but something is Progressing "
                   "or Suspended (a suspended CronJob does not count). Mistakes in a file are all "
                   "named with their line, and nothing is "
                   "judged.",
    .options = options,
    .run = run,
};
