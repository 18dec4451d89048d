/* fuzz_signed.c - a statement with its signatures as JSON (API, ledger): what reads is written back and reads the same. */
#include "fuzz.h"
#include "core/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(json_t) json = sl_json_parse((const char *)data, size, NULL, "fuzz", NULL);
    g_autoptr(SlSigned) statement = json != NULL ? sl_signed_from_json(json, NULL) : NULL;
    if (statement == NULL) {
        return 0;
    }
    g_autoptr(json_t) back = sl_signed_to_json(statement);
    g_autoptr(SlSigned) again = sl_signed_from_json(back, NULL);
    if (again == NULL || !g_bytes_equal(again->text, statement->text) || again->sigs->len != statement->sigs->len) {
        fuzz_fail("a signed statement does not survive JSON");
    }
    return 0;
}
