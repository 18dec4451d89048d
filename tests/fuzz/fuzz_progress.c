/* fuzz_progress.c - lines of a training program: hostile input, never an error. */
#include "fuzz.h"
#include "core/run.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(SlProgress) progress = sl_progress_new();
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end != NULL ? (size_t)(end - data) : size;
        sl_progress_line(progress, (const char *)data, len, -1, 1000000);
        len += end != NULL ? 1 : 0;
        data += len;
        size -= len;
    }
    g_autoptr(json_t) record = json_object();
    sl_progress_to_record(progress, record);
    g_autofree char *text = sl_json_canonical(record, NULL);
    if (text == NULL) {
        fuzz_fail("a record must have a canonical text");
    }
    g_autoptr(json_t) kept = sl_progress_to_json(progress);
    g_autoptr(SlProgress) again = sl_progress_from_json(kept);
    g_autoptr(GPtrArray) lines = sl_progress_final_metrics(again);
    return 0;
}
