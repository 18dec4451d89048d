/* fuzz_kubewatch.c - the stream of a watch in pieces of growing size: lines, then events. */
#include "fuzz.h"
#include "kube/watchline.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(SlKubeLines) lines = sl_kube_lines_new(2048);
    const char *line = NULL;
    size_t len = 0, at = 0;
    for (size_t piece = 1; at < size; piece = piece * 3 + 1) {
        size_t part = MIN(piece, size - at);
        g_autofree uint8_t *bytes = g_memdup2(data + at, part);
        sl_kube_lines_feed(lines, bytes, part);
        at += part;
        SlKubeLine next;
        while ((next = sl_kube_lines_next(lines, &line, &len)) == SL_KUBE_LINE_READY) {
            SlKubeEvent event = {0};
            g_autoptr(GError) error = NULL;
            g_assert_true(len > 0 && len <= 2048 && memchr(line, '\n', len) == NULL);
            bool good = sl_kube_event_parse(line, len, &event, &error);
            g_assert_true(good == (error == NULL));
            if (good) {
                g_assert_true(json_is_object(event.object));
                json_decref(event.object);
            }
        }
        if (next == SL_KUBE_LINE_TOO_LONG) {
            g_assert_cmpint(sl_kube_lines_next(lines, &line, &len), ==, SL_KUBE_LINE_TOO_LONG);
            break;
        }
    }
    return 0;
}
