/* rules.c - rules of a user for kinds: inProgress, failed, current, evaluated in that order as Flux does; none true is Progressing. */
#include "base/text.h"
#include "core/health/case.h"
#include "core/health/expr.h"
#include <string.h>

#define SHOWN_MAX 200 /* bytes of an expression that a message quotes */

enum { IN_PROGRESS, FAILED, CURRENT, N_PARTS };

static const struct {
    const char *key;
    SlHealth health;
    const char *reason;
} parts[N_PARTS] = {
    [IN_PROGRESS] = {"inProgress", SL_HEALTH_PROGRESSING, "RuleInProgress"},
    [FAILED] = {"failed", SL_HEALTH_DEGRADED, "RuleFailed"},
    [CURRENT] = {"current", SL_HEALTH_HEALTHY, "RuleCurrent"},
};

typedef struct {
    char *group, *kind;
    SlExpr *exprs[N_PARTS]; /* NULL = left out */
    char *texts[N_PARTS];
} Rule;

struct SlHealthRules {
    GPtrArray *rules; /* of Rule* */
};

static void rule_free(Rule *rule)
{
    for (int i = 0; i < N_PARTS; i++) {
        sl_expr_free(rule->exprs[i]);
        g_free(rule->texts[i]);
    }
    g_free(rule->group);
    g_free(rule->kind);
    g_free(rule);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rule, rule_free)

SlHealthRules *sl_health_rules_new(void)
{
    SlHealthRules *rules = g_new0(SlHealthRules, 1);
    rules->rules = g_ptr_array_new_with_free_func((GDestroyNotify)rule_free);
    return rules;
}

void sl_health_rules_free(SlHealthRules *rules)
{
    if (rules != NULL) {
        g_ptr_array_unref(rules->rules);
        g_free(rules);
    }
}

static const Rule *find(const SlHealthRules *rules, const char *group, const char *kind)
{
    for (guint i = 0; rules != NULL && i < rules->rules->len; i++) {
        const Rule *rule = g_ptr_array_index(rules->rules, i);
        if (strcmp(rule->kind, kind) == 0 && strcmp(rule->group, group) == 0) {
            return rule;
        }
    }
    return NULL;
}

static bool check_keys(const json_t *json, GError **error)
{
    static const char *const known[] = {"apiVersion", "kind",    "inProgress",
                                        "failed",     "current", NULL};
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(json)) {
        return sl_throw(error, SLU_HEALTH_RULE,
                        "a rule is an object with apiVersion, kind and current");
    }
    json_object_foreach ((json_t *)(uintptr_t)json, key, value) {
        g_autofree char *shown = sl_escape_for_people(key, 64);
        if (!g_strv_contains(known, key)) {
            const char *near = sl_nearest(key, known);
            return sl_throw(error, SLU_HEALTH_RULE, "unknown key `%s`; %s%s", shown,
                            near != NULL
                                ? "did you mean "
                                : "there are apiVersion, kind, inProgress, failed, current",
                            near != NULL ? near : "");
        }
        if (!json_is_string(value) || json_string_length(value) == 0) {
            return sl_throw(error, SLU_HEALTH_RULE, "%s: must be text and not empty", shown);
        }
    }
    return true;
}

static Rule *rule_new(const json_t *json, GError **error)
{
    const char *version = sl_json_str(json, "apiVersion");
    const char *kind = sl_json_str(json, "kind");
    if (version == NULL || kind == NULL || sl_json_str(json, "current") == NULL) {
        return sl_throw_null(error, SLU_HEALTH_RULE, "%s is missing",
                             version == NULL ? "apiVersion"
                             : kind == NULL  ? "kind"
                                             : "current");
    }
    g_autoptr(Rule) rule = g_new0(Rule, 1);
    rule->group = sl_group_of(version);
    rule->kind = g_strdup(kind);
    for (int i = 0; i < N_PARTS; i++) {
        const char *text = sl_json_str(json, parts[i].key);
        rule->exprs[i] = text != NULL ? sl_expr_parse(text, error) : NULL;
        if (text != NULL && rule->exprs[i] == NULL) {
            sl_prefix(error, "%s", parts[i].key);
            return NULL;
        }
        rule->texts[i] = text != NULL ? sl_escape_for_people(text, SHOWN_MAX) : NULL;
    }
    return g_steal_pointer(&rule);
}

bool sl_health_rules_add(SlHealthRules *rules, const json_t *json, GError **error)
{
    if (rules->rules->len >= SL_HEALTH_RULES_MAX) {
        return sl_throw(error, SLU_LIMIT, "there are at most %d health rules", SL_HEALTH_RULES_MAX);
    }
    g_autoptr(Rule) rule = check_keys(json, error) ? rule_new(json, error) : NULL;
    if (rule == NULL) {
        return false;
    }
    if (find(rules, rule->group, rule->kind) != NULL) {
        g_autofree char *shown = sl_escape_for_people(rule->kind, 64);
        return sl_throw(error, SLU_HEALTH_RULE, "there is a rule for %s of this group already",
                        shown);
    }
    g_ptr_array_add(rules->rules, g_steal_pointer(&rule));
    return true;
}

bool sl_rules_judge(const SlHealthRules *rules, const char *kind, SlHealthCase *c)
{
    const Rule *rule = find(rules, c->group, kind);
    g_autofree char *missing = NULL;
    for (int i = 0; rule != NULL && i < N_PARTS; i++) {
        g_autofree char *why = NULL;
        SlExprAnswer answer =
            rule->exprs[i] != NULL ? sl_expr_eval(rule->exprs[i], c->object, &why) : SL_EXPR_FALSE;
        if (answer == SL_EXPR_TRUE) {
            return sl_case_say(c, parts[i].health, parts[i].reason, parts[i].key,
                               "the rule's `%s` is true: %s", parts[i].key, rule->texts[i]);
        }
        if (answer == SL_EXPR_BROKEN) {
            return sl_case_say(c, SL_HEALTH_UNKNOWN, "RuleBroken", parts[i].key,
                               "the rule's `%s`: %s", parts[i].key, why);
        }
        if (answer == SL_EXPR_MISSING && missing == NULL) {
            missing = g_strdup_printf("; `%s`: %s", parts[i].key, why);
        }
    }
    return rule != NULL &&
           sl_case_say(c, SL_HEALTH_PROGRESSING, "NoRuleTrue", "current",
                       "no expression of the rule is true%s", missing != NULL ? missing : "");
}
