/* fuzz_map.c - digest maps: the input is an index (with the root that it has), and the one bucket of a map (with the index that it has). */
#include "fuzz.h"
#include "base/digest.h"
#include "core/digestmap.h"
#include "core/registry.h"
#include <string.h>

static void look(SlMapIndex *index, GBytes *bucket)
{
    static const char *const keys[] = {"prod1", "alone", "unit digits/prod", ""};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *values = NULL;
        (void)!sl_map_bucket_get(index, bucket, keys[i], &values, NULL);
        g_autoptr(SlCluster) cluster = values != NULL ? sl_cluster_parse(keys[i], values, NULL) : NULL;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) text = g_bytes_new(data, size);
    g_autofree char *digest = sl_sha256_hex(data, size);
    g_autoptr(SlMapIndex) index = sl_map_index_parse(text, digest, NULL);
    if (index != NULL) {
        look(index, text);
    }
    g_autofree char *own = g_strdup_printf("k: 0\n%s\n", digest);
    g_autofree char *root = sl_sha256_hex(own, strlen(own));
    g_autoptr(GBytes) own_text = g_bytes_new(own, strlen(own));
    g_autoptr(SlMapIndex) one = sl_map_index_parse(own_text, root, NULL);
    g_assert_nonnull(one);
    look(one, text);
    return 0;
}
