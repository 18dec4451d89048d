/* fuzz_gittree.c - raw trees of a Git host: what parses has one spelling, each name once and harmless. */
#include "fuzz.h"
#include "base/text.h"
#include "core/gittree.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = sl_gittree_parse(data, size, "folder", &error);
    g_assert_true((list == NULL) == (error != NULL));
    g_autoptr(GByteArray) back = g_byte_array_new();
    for (guint i = 0; list != NULL && i < list->len; i++) {
        const SlGitEntry *entry = g_ptr_array_index(list, i);
        g_autofree char *mode = g_strdup_printf("%o ", entry->mode);
        g_byte_array_append(back, (const guint8 *)mode, (guint)strlen(mode));
        g_byte_array_append(back, (const guint8 *)entry->name, (guint)strlen(entry->name) + 1);
        g_byte_array_append(back, entry->id, sizeof entry->id);
        if (sl_is_dotgit(entry->name) || !sl_check_relative_path(entry->name, NULL)) {
            fuzz_fail("a tree lets %s through", entry->name);
        }
    }
    if (list != NULL && (back->len != size || (size > 0 && memcmp(back->data, data, size) != 0))) {
        fuzz_fail("a tree has a second spelling");
    }
    return 0;
}
