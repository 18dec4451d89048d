/* fuzz_require.c - gate expressions. */
#include "fuzz.h"
#include "core/require.h"
#include <math.h>

static bool number(const char *name, double *ret, void *user)
{
    (void)user;
    *ret = name[0] == 'n' ? NAN : 0.5;
    return name[0] != 'm';
}

static const char *word(const char *name, void *user)
{
    (void)name;
    (void)user;
    return "Succeeded";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(SlRequire) require = sl_require_parse(text, NULL);
    if (require != NULL) {
        g_autofree char *explain = NULL;
        (void)sl_require_eval(require, number, word, NULL, &explain);
    }
    return 0;
}
