/* fuzz_patch.c - patches on an object: {"object": {...}, "patch": {...} or [...]}; a refused RFC 6902 patch changes nothing. */
#include "fuzz.h"
#include "render/patch.h"
#include <string.h>

static void check_6902(json_t *object, const json_t *patch)
{
    g_autofree char *before = sl_json_canonical(object, NULL);
    bool done = sl_patch_6902(object, patch, NULL);
    g_autofree char *after = sl_json_canonical(object, NULL);
    if (!done && strcmp(before, after) != 0) {
        fuzz_fail("a refused patch changed the object: %s", after);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(json_t) input = sl_json_parse((const char *)data, size, NULL, "fuzz", NULL);
    json_t *object = json_object_get(input, "object"), *patch = json_object_get(input, "patch");
    g_autofree char *kept = json_is_object(object) && patch != NULL ? sl_json_canonical(patch, NULL) : NULL;
    if (kept == NULL) {
        return 0;
    }
    if (json_is_array(patch)) {
        check_6902(object, patch);
    } else {
        bool gone = false;
        (void)!sl_patch_strategic(object, patch, &gone, NULL);
    }
    g_autofree char *after = sl_json_canonical(patch, NULL);
    g_assert_cmpstr(after, ==, kept); /* the patch itself is only read */
    return 0;
}
