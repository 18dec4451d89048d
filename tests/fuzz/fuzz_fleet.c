/* fuzz_fleet.c - fleet documents: every mistake is a problem with a place, never a crash; what is accepted survives JSON. */
#include "fuzz.h"
#include "render/fleet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    SlTree *tree = sl_tree_memory_new();
    sl_tree_memory_put(tree, "sluice.yaml", text, SL_TREE_FILE);
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(SlFleetDocs) docs = sl_fleet_read(tree, problems);
    if (docs != NULL && !sl_problems_have_errors(problems)) {
        g_autoptr(json_t) json = sl_fleet_to_json(docs);
        g_autoptr(SlFleetDocs) again = sl_fleet_from_json(json, NULL);
        if (again == NULL) {
            fuzz_fail("accepted documents do not survive JSON");
        }
    }
    sl_tree_memory_free(tree);
    return 0;
}
