/* fuzz_bundle.c - bundle lists and model manifests: what parses is written back byte for byte. */
#include "fuzz.h"
#include "core/bundle.h"
#include "core/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) text = g_bytes_new(data, size);
    g_autoptr(SlBundle) bundle = sl_bundle_parse(text, NULL);
    if (bundle != NULL) {
        g_autoptr(GBytes) again = sl_bundle_format(bundle);
        if (!g_bytes_equal(again, text)) {
            fuzz_fail("bundle list changed");
        }
    }
    g_autoptr(SlManifest) manifest = sl_manifest_parse(text, NULL);
    if (manifest != NULL) {
        g_autoptr(GBytes) again = sl_manifest_format(manifest);
        if (!g_bytes_equal(again, text)) {
            fuzz_fail("manifest changed");
        }
    }
    return 0;
}
