/* test_head.c - heads: golden text, size, what is refused. */
#include "core/head.h"
#include "golden_file.h"
#include "sluice/types.h"

static const SlHead sample = {
    .fleet = (char *)H1,
    .env = (char *)"prod",
    .cluster = (char *)"prod1",
    .epoch = 1,
    .nonce = (char *)N1,
    .term = 2,
    .version = 4,
    .root = 1,
    .registry = 1,
    .ledger_seq = 11,
    .ledger_hash = (char *)H2,
    .issued_us = INT64_C(1795435200000000),
    .expires_us = INT64_C(1795436100000000),
    .desired = (char *)H3,
};

static void test_golden(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_head_format(&sample, &error);
    g_assert_no_error(error);
    golden_check("head.txt", text);
    g_autoptr(SlHead) back = sl_head_parse(text, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(back->term, ==, 2);
    g_assert_cmpstr(back->nonce, ==, N1);
    g_assert_cmpint(back->expires_us - back->issued_us, ==, INT64_C(900000000));
}

static void test_longest_fits(void)
{
    SlHead head = sample;
    g_autofree char *name = g_strnfill(SL_NAME_MAX, 'x');
    head.env = head.cluster = name;
    head.epoch = head.term = head.version = head.root = head.registry = head.ledger_seq =
        UINT64_MAX;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_head_format(&head, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_bytes_get_size(text), <=, SL_HEAD_MAX);
}

static void test_refused(void)
{
    static const struct {
        const char *from, *to, *word;
    } rows[] = {
        {"nonce: 01", "nonce: 0", "nonce"},
        {"expires: 2026-11-23T12", "expires: 2025-11-23T12", "later than issued"},
        {"term: 2", "term: -2", "term"},
        {"desired: 3", "desired: G", "desired"},
        {"cluster: prod1\n", "", "cluster"},
    };
    g_autoptr(GBytes) good = sl_head_format(&sample, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GBytes) bad = changed(good, rows[i].from, rows[i].to);
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_head_parse(bad, &error));
        expect_error(&error, SLU_STATEMENT_FORMAT, rows[i].word);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/head/golden", test_golden);
    g_test_add_func("/head/longest", test_longest_fits);
    g_test_add_func("/head/refused", test_refused);
    return g_test_run();
}
