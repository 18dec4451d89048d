/* fuzz_json.c - JSON from outside: what parses has one canonical text, which parses to the same text. */
#include "fuzz.h"
#include "base/json.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(json_t) tree = sl_json_parse((const char *)data, size, NULL, "fuzz", NULL);
    g_autofree char *text = tree != NULL ? sl_json_canonical(tree, NULL) : NULL;
    if (text != NULL) {
        SlJsonLimits wide = {.bytes_max = 16 * 1024 * 1024};
        g_autoptr(json_t) again = sl_json_parse(text, strlen(text), &wide, "again", NULL);
        g_autofree char *second = again != NULL ? sl_json_canonical(again, NULL) : NULL;
        if (g_strcmp0(text, second) != 0) {
            fuzz_fail("canonical text is not a fixed point: %s", text);
        }
    }
    return 0;
}
