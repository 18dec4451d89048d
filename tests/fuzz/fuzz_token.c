/* fuzz_token.c - join tokens: pasted by people, sent by mail. */
#include "fuzz.h"
#include "agent/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlJoinToken) token = sl_join_token_parse(text, &error);
    g_assert_true((token == NULL) == (error != NULL));
    return 0;
}
