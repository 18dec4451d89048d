/* fuzz_statement.c - first byte picks the kind; what parses must format to the same bytes where a formatter exists. */
#include "fuzz.h"
#include "core/head.h"
#include "core/order.h"
#include "core/promotion.h"
#include "core/registry.h"
#include "core/report.h"
#include "core/root.h"
#include "core/seal.h"
#include <string.h>

static void check_equal(GBytes *again, GBytes *text)
{
    if (again == NULL || !g_bytes_equal(again, text)) {
        fuzz_fail("a statement that parses must be written back byte for byte");
    }
}

static void typed(SlStatementKind kind, GBytes *text)
{
    if (kind == SL_STATEMENT_PROMOTION) {
        g_autoptr(SlPromotion) p = sl_promotion_parse(text, NULL);
        g_autoptr(GBytes) again = p != NULL ? sl_promotion_format(p, NULL) : NULL;
        if (p != NULL) {
            check_equal(again, text);
        }
    } else if (kind == SL_STATEMENT_HEAD) {
        g_autoptr(SlHead) head = sl_head_parse(text, NULL);
        g_autoptr(GBytes) again = head != NULL ? sl_head_format(head, NULL) : NULL;
        if (head != NULL) {
            check_equal(again, text);
        }
    } else if (kind == SL_STATEMENT_ORDER) {
        g_autoptr(SlOrder) order = sl_order_parse(text, NULL);
        g_autoptr(GBytes) again = order != NULL ? sl_order_format(order, NULL) : NULL;
        if (order != NULL) {
            check_equal(again, text);
        }
    } else if (kind == SL_STATEMENT_ROOT) {
        g_autoptr(SlRoot) root = sl_root_parse(text, NULL);
        (void)root;
    } else if (kind == SL_STATEMENT_SEAL) {
        g_autoptr(SlSeal) seal = sl_seal_parse(text, NULL);
        (void)seal;
    } else if (kind == SL_STATEMENT_REPORT) {
        g_autoptr(SlReport) report = sl_report_parse(text, NULL);
        (void)report;
    } else if (kind == SL_STATEMENT_REGISTRY) {
        g_autoptr(SlRegistry) registry = sl_registry_parse(text, NULL);
        (void)registry;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    /* By its own second line if it has one, so that corpora are plain statements; else by the first byte. */
    SlStatementKind kind = (SlStatementKind)(data[0] % SL_N_STATEMENTS);
    for (int k = 0; k < SL_N_STATEMENTS; k++) {
        g_autofree char *line = g_strdup_printf("format: 1\nkind: %s\n", sl_statement_kind_name((SlStatementKind)k));
        if (size > strlen(line) && memcmp(data, line, strlen(line)) == 0) {
            kind = (SlStatementKind)k;
        }
    }
    g_autoptr(GBytes) text = g_bytes_new(data, size);
    g_autoptr(SlStatement) statement = sl_statement_parse(kind, data, size, NULL);
    typed(kind, text);
    return 0;
}
