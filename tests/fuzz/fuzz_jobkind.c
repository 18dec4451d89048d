/* fuzz_jobkind.c - portable kinds: what is valid stays valid with its defaults filled in, and filling them twice changes nothing. */
#include "fuzz.h"
#include "core/run.h"
#include "sluice/jobkind.h"
#include <string.h>

static char *with_defaults(const SlJobKindOps *kind, json_t *object)
{
    kind->defaults(object);
    char *text = sl_json_canonical(object, NULL);
    g_assert_nonnull(text);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(json_t) object = sl_json_parse((const char *)data, size, NULL, "fuzz", NULL);
    const SlJobKindOps *kind = object != NULL ? sl_jobkind_find(object) : NULL;
    if (kind == NULL) {
        return 0;
    }
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(g_free);
    kind->validate(object, problems);
    if (problems->len > 0) {
        return 0;
    }
    g_autofree char *once = with_defaults(kind, object);
    g_autofree char *twice = with_defaults(kind, object);
    kind->validate(object, problems);
    kind->items(object, items);
    if (strcmp(once, twice) != 0 || problems->len > 0 || kind->gpus(object) < 0) {
        fuzz_fail("defaults do not settle: %s\n%s\n%s", once, twice, problems->len > 0 ? (char *)g_ptr_array_index(problems, 0) : "");
    }
    return 0;
}
