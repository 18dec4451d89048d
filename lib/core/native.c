/* native.c - see native.h. An engine changes nothing else in what was signed: what is approved is what is applied. */
#include "core/native.h"
#include "base/digest.h"
#include <string.h>

typedef struct {
    const char *run_id;
    char *run, *attempt;
} Values;

/* Value of the placeholder that @text begins with; NULL: it is none. */
static const char *value_of(const Values *values, const char *text, size_t *ret_len)
{
    const struct {
        const char *word, *value;
    } rows[] = {{SL_NATIVE_RUN, values->run},
                {SL_NATIVE_RUN_ID, values->run_id},
                {SL_NATIVE_ATTEMPT, values->attempt}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        *ret_len = strlen(rows[i].word);
        if (strncmp(text, rows[i].word, *ret_len) == 0)
            return rows[i].value;
    }
    return NULL;
}

static char *filled_text(const Values *values, const char *text, GError **error)
{
    g_autoptr(GString) filled = g_string_new(NULL);
    for (const char *found = strstr(text, SL_NATIVE_PLACEHOLDER); found;
         found = strstr(text, SL_NATIVE_PLACEHOLDER)) {
        size_t len = 0;
        const char *value = value_of(values, found, &len);
        if (!value)
            return sl_throw_null(error, SLU_OBJECT_SPEC,
                                 SL_NATIVE_MEMBER ": %.24s is no placeholder that is known", found);
        g_string_append_len(filled, text, found - text);
        g_string_append(filled, value);
        text = found + len;
    }
    g_string_append(filled, text);
    return g_string_free(g_steal_pointer(&filled), FALSE);
}

static json_t *filled_value(const Values *values, const json_t *value, GError **error)
{
    if (json_is_string(value)) {
        g_autofree char *text = filled_text(values, json_string_value(value), error);
        return text ? json_string(text) : NULL;
    }
    if (!json_is_object(value) && !json_is_array(value))
        return json_deep_copy(value);
    g_autoptr(json_t) filled = json_is_object(value) ? json_object() : json_array();
    const char *key = NULL;
    json_t *each = NULL;
    json_object_foreach ((json_t *)(uintptr_t)value, key, each) {
        if (json_object_set_new(filled, key, filled_value(values, each, error)) != 0)
            return NULL;
    }
    for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++)
        if (json_array_append_new(filled, filled_value(values, json_array_get(value, i), error)) !=
            0)
            return NULL;
    return g_steal_pointer(&filled);
}

json_t *sl_native_run(const json_t *job, const char *run_id, unsigned attempt, GError **error)
{
    const json_t *objects = json_object_get(job, SL_NATIVE_MEMBER);
    if (!json_is_array(objects) || json_array_size(objects) == 0)
        return sl_throw_null(error, SLU_OBJECT_SPEC,
                             SL_NATIVE_MEMBER ": the job was not rendered for Kubernetes");
    if (!sl_is_hex_digest(run_id) || attempt < 1 || attempt > SL_NATIVE_ATTEMPTS_MAX)
        return sl_throw_null(error, SLU_OBJECT_SPEC,
                             "attempt %u of run %.64s: must be a run id and 1..%d", attempt, run_id,
                             SL_NATIVE_ATTEMPTS_MAX);
    g_autofree char *number = g_strdup_printf("%u", attempt);
    g_autofree char *run = g_strdup_printf("%.*s%s%s", SL_NATIVE_RUN_DIGITS, run_id,
                                           attempt > 1 ? "-" : "", attempt > 1 ? number : "");
    const Values values = {.run_id = run_id, .run = run, .attempt = number};
    return filled_value(&values, objects, error);
}
