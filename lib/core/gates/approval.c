/* approval.c - gate `approval`: people who signed the promotion. The root's role is asked first and
 * always; this gate may only ask for more: more people, or certain people, or nobody who asked for
 * or wrote the change.
 *
 *   approval: {count: 2, people: [alice, bob], excludeRequester: true, excludeAuthors: true} */
#include "base/text.h"
#include "core/gates/gates.h"
#include "core/policy.h"
#include <string.h>

#define PEOPLE_MAX 64

static const char *const keys[] = {"count", "people", "excludeRequester", "excludeAuthors", NULL};

static void check_people(const json_t *config, GPtrArray *problems)
{
    const json_t *people = json_object_get(config, "people");
    size_t i = 0;
    json_t *person = NULL;
    if (people == NULL) {
        return;
    }
    if (!json_is_array(people) || json_array_size(people) == 0 ||
        json_array_size(people) > PEOPLE_MAX) {
        sl_gate_problem(problems, "people: must be a list of 1 to %d people of the root",
                        PEOPLE_MAX);
        return;
    }
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    json_array_foreach(people, i, person)
    {
        const char *name = json_string_value(person);
        if (name == NULL || !sl_is_name(name)) {
            sl_gate_problem(problems, "people.%zu: must be the name of a person", i);
        } else if (!g_hash_table_add(seen, (void *)(uintptr_t)name)) {
            sl_gate_problem(problems, "people.%zu: %s is there twice", i, name);
        }
    }
}

static void validate(const json_t *config, GPtrArray *problems)
{
    if (!sl_gate_check_keys(config, keys, problems)) {
        return;
    }
    const json_t *count = json_object_get(config, "count");
    json_int_t n = json_integer_value(count);
    size_t people = json_array_size(json_object_get(config, "people"));
    if (count != NULL && (!json_is_integer(count) || n < 1 || n > PEOPLE_MAX)) {
        sl_gate_problem(problems, "count: must be 1..%d", PEOPLE_MAX);
    } else if (people > 0 && n > (json_int_t)people) {
        sl_gate_problem(problems, "count: %lld people are asked for, but only %zu are named",
                        (long long)n, people);
    }
    check_people(config, problems);
    static const char *const flags[] = {"excludeRequester", "excludeAuthors"};
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        const json_t *flag = json_object_get(config, flags[i]);
        if (flag != NULL && !json_is_boolean(flag)) {
            sl_gate_problem(problems, "%s: must be true or false", flags[i]);
        }
    }
}

static bool contains(const json_t *list, const char *name)
{
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(item);
        if (text != NULL && name != NULL && strcmp(text, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool counts(const json_t *config, const SlGateFacts *facts, const json_t *approvals,
                   const char *person)
{
    const json_t *people = json_object_get(config, "people");
    if (json_is_array(people) && !contains(people, person)) {
        return false;
    }
    if (sl_json_bool(config, "excludeRequester", false) && facts->requester != NULL &&
        strcmp(facts->requester, person) == 0) {
        return false;
    }
    const json_t *authors = json_object_get(approvals, "authors");
    return !sl_json_bool(config, "excludeAuthors", false) ||
           (!contains(authors, person) && !contains(authors, SL_AUTHOR_EVERYONE));
}

/* Those of @list who count here, each once. */
static json_t *those_who_count(const json_t *config, const SlGateFacts *facts,
                               const json_t *approvals, const json_t *list)
{
    json_t *kept = json_array();
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(list, i, item)
    {
        const char *person = json_string_value(item);
        if (person != NULL && counts(config, facts, approvals, person) && !contains(kept, person)) {
            json_array_append(kept, item);
        }
    }
    return kept;
}

static char *reason_of(bool open, int64_t have, int64_t need, const json_t *signed_by)
{
    GString *text = g_string_new(open ? "approved by" : NULL);
    if (!open) {
        g_string_printf(text, "waits for approval: %lld of %lld", (long long)have, (long long)need);
    }
    if (!open && json_array_size(signed_by) > 0) {
        g_string_append(text, ", signed by");
    }
    size_t i = 0;
    json_t *person = NULL;
    json_array_foreach(signed_by, i, person)
    {
        g_string_append_printf(text, "%s %s", i > 0 ? "," : "", json_string_value(person));
    }
    return g_string_free(text, FALSE);
}

static void judge(const json_t *config, const SlGateFacts *facts, SlGateAnswer *ret_answer)
{
    const json_t *approvals = facts->approvals(facts);
    int64_t threshold = sl_json_int(approvals, "threshold", -1);
    const char *rejected = sl_json_str(approvals, "rejected");
    if (rejected != NULL) {
        g_autofree char *who = sl_escape_for_people(rejected, 64);
        sl_gate_answer(ret_answer, SL_GATE_SHUT, g_strdup_printf("rejected by %s", who));
        return;
    }
    if (threshold < 0 || (sl_json_bool(config, "excludeAuthors", false) &&
                          !json_is_array(json_object_get(approvals, "authors")))) {
        sl_gate_answer(ret_answer, SL_GATE_WAIT,
                       g_strdup(threshold < 0 ? "waits until it is known who must sign"
                                              : "waits until the authors of the change are known"));
        return;
    }
    json_t *signed_by =
        those_who_count(config, facts, approvals, json_object_get(approvals, "people"));
    int64_t need = MAX(sl_json_int(config, "count", 1), 1);
    int64_t have = (int64_t)json_array_size(signed_by);
    int64_t root_have = sl_json_int(approvals, "count", 0);
    bool open = have >= need && root_have >= threshold;
    bool root_short = root_have < threshold && have >= need;
    sl_gate_answer(ret_answer, open ? SL_GATE_OPEN : SL_GATE_WAIT,
                   reason_of(open, root_short ? root_have : have,
                             root_short ? threshold : MAX(need, threshold), signed_by));
    if (!open) {
        ret_answer->who =
            those_who_count(config, facts, approvals, json_object_get(approvals, "who"));
    }
    ret_answer->evidence = json_pack("{s:O, s:I, s:I}", "people", signed_by, "need",
                                     (json_int_t)need, "threshold", (json_int_t)threshold);
    json_decref(signed_by);
}

const SlGateOps sl_gate_approval = {.type = "approval", .validate = validate, .judge = judge};
