/* fuzz.h - what every target has: the entry point, and a way to say what is wrong that libFuzzer sees (g_error ends by SIGTRAP, which
 * it does not catch). */
#pragma once
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_fail(const char *format, ...) G_GNUC_PRINTF(1, 2);
static inline void fuzz_fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    abort();
}
