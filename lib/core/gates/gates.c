/* gates.c - the table of gates from gates.def, and what all of them share. */
#include "core/gates/gates.h"
#include "base/text.h"
#include <string.h>

#define SL_GATE(name) extern const SlGateOps sl_gate_##name;
#include "core/gates/gates.def"
#undef SL_GATE

static const SlGateOps *const gates[] = {
#define SL_GATE(name) &sl_gate_##name,
#include "core/gates/gates.def"
#undef SL_GATE
    NULL,
};

const SlGateOps *const *sl_gates(void)
{
    return gates;
}

const SlGateOps *sl_gate_find(const char *type)
{
    for (size_t i = 0; gates[i] != NULL; i++) {
        if (type != NULL && strcmp(gates[i]->type, type) == 0) {
            return gates[i];
        }
    }
    return NULL;
}

void sl_gate_answer_clear(SlGateAnswer *answer)
{
    g_clear_pointer(&answer->reason, g_free);
    g_clear_pointer(&answer->who, json_decref);
    g_clear_pointer(&answer->evidence, json_decref);
}

void sl_gate_answer(SlGateAnswer *answer, SlGateVerdict verdict, char *reason)
{
    *answer = (SlGateAnswer){.verdict = verdict, .next_us = INT64_MAX, .reason = reason};
}

void sl_gate_problem(GPtrArray *problems, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_ptr_array_add(problems, g_strdup_vprintf(format, args));
    va_end(args);
}

bool sl_gate_check_keys(const json_t *config, const char *const *keys, GPtrArray *problems)
{
    if (!json_is_object(config)) {
        sl_gate_problem(problems, "must be a mapping of %s ...", keys[0]);
        return false;
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        if (g_strv_contains(keys, key)) {
            continue;
        }
        g_autofree char *shown = sl_escape_for_people(key, 64);
        const char *near = sl_nearest(key, keys);
        if (near != NULL) {
            sl_gate_problem(problems, "%s: unknown key; did you mean `%s`?", shown, near);
        } else {
            g_autofree char *known = g_strjoinv(", ", (char **)(uintptr_t)keys);
            sl_gate_problem(problems, "%s: unknown key; there are %s", shown, known);
        }
    }
    return true;
}
