/* fuzz_yaml.c - YAML from outside: what reads without problems is written by our emitter and reads back equal. */
#include "fuzz.h"
#include "render/yaml.h"
#include <string.h>

static void check_back(const json_t *value)
{
    g_autofree char *yaml = sl_yaml_emit(value);
    g_autoptr(GBytes) bytes = g_bytes_new(yaml, strlen(yaml));
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(GPtrArray) docs = sl_yaml_read("again.yaml", bytes, true, problems);
    if (docs == NULL || docs->len != 1 || !json_equal((json_t *)(uintptr_t)sl_yaml_json(g_ptr_array_index(docs, 0)), (json_t *)(uintptr_t)value)) {
        fuzz_fail("emitted YAML reads back differently:\n%s", yaml);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) text = g_bytes_new(data, size);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(GPtrArray) docs = sl_yaml_read("fuzz.yaml", text, false, problems);
    for (unsigned i = 0; docs != NULL && i < docs->len && !sl_problems_have_errors(problems); i++) {
        const json_t *value = sl_yaml_json(g_ptr_array_index(docs, i));
        if (json_is_object(value) && json_object_size(value) > 0) {
            check_back(value);
        }
    }
    return 0;
}
