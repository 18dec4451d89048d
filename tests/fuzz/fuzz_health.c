/* fuzz_health.c - an expression of a health rule (first line) over an object (the rest), the object's verdict, and its state there
 * and back. */
#include "core/health/expr.h"
#include "core/health/health.h"
#include "fuzz.h"
#include <string.h>

#define NOW_US (INT64_C(1795421210) * SL_SECOND_US)

static void judge(const json_t *object, const SlHealthRules *rules)
{
    SlHealthState state = {0}, kept = {0};
    SlHealthVerdict verdict = {0};
    sl_health_state_from_json(object, &state); /* an object may pretend to be one */
    g_autoptr(json_t) list = json_array();
    json_array_append(list, (json_t *)(uintptr_t)object);
    g_autoptr(SlHealthKin) kin = sl_health_kin_new(list);
    for (int i = 0; i < 4; i++) {
        SlHealthContext context = {.now_us = NOW_US + i * 6 * SL_MINUTE_US, .snapshot = i == 3, .rules = rules};
        sl_health_kin_context(kin, object, &context);
        sl_health_judge(object, &context, &state, &verdict);
        if (verdict.health >= SL_N_HEALTH || verdict.reason[0] == '\0' || strlen(verdict.message) > SL_HEALTH_MESSAGE_MAX ||
            !g_utf8_validate(verdict.message, -1, NULL)) {
            fuzz_fail("odd verdict: %d %s %s", (int)verdict.health, verdict.reason, verdict.message);
        }
        g_autoptr(json_t) json = sl_health_state_to_json(&state);
        sl_health_state_from_json(json, &kept);
        g_autoptr(json_t) again = sl_health_state_to_json(&kept);
        if (!json_equal(json, again)) {
            fuzz_fail("a state is not what was written");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t len = line != NULL ? (size_t)(line - data) : size;
    g_autofree char *text = g_strndup((const char *)data, len);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlExpr) expr = sl_expr_parse(text, &error);
    if ((expr == NULL) != (error != NULL)) {
        fuzz_fail("refused without a text, or taken with one");
    }
    g_autoptr(json_t) object =
        line != NULL ? sl_json_parse((const char *)line + 1, size - len - 1, NULL, "object", NULL) : NULL;
    if (object == NULL) {
        object = json_object();
    }
    g_autoptr(SlHealthRules) rules = sl_health_rules_new();
    if (expr != NULL) {
        g_autofree char *why = NULL;
        SlExprAnswer answer = sl_expr_eval(expr, object, &why);
        if ((why != NULL) != (answer == SL_EXPR_MISSING || answer == SL_EXPR_BROKEN)) {
            fuzz_fail("answer %d with%s a reason", (int)answer, why != NULL ? "" : "out");
        }
        g_autoptr(json_t) rule = json_object();
        sl_json_set_str(rule, "apiVersion", sl_json_str_or(object, "apiVersion", "v1"));
        sl_json_set_str(rule, "kind", "Odd");
        sl_json_set_str(rule, "current", text);
        if (text[0] != '\0' && !sl_health_rules_add(rules, rule, NULL)) {
            fuzz_fail("what parses is no rule");
        }
    }
    if (json_is_object(object)) {
        judge(object, rules);
    }
    return 0;
}
