/* test_seal.c - seals: golden text, metrics with and without finite values, what is refused. */
#include "core/seal.h"
#include "golden_file.h"
#include <math.h>

static GPtrArray *lines(const char *one, const char *two)
{
    GPtrArray *array = g_ptr_array_new();
    if (one != NULL) {
        g_ptr_array_add(array, (char *)(uintptr_t)one);
    }
    if (two != NULL) {
        g_ptr_array_add(array, (char *)(uintptr_t)two);
    }
    return array;
}

static SlSeal sample(GPtrArray *inputs, GPtrArray *outputs, GPtrArray *metrics)
{
    return (SlSeal){.fleet = (char *)H1,
                    .env = (char *)"dev",
                    .cluster = (char *)"dev1",
                    .app = (char *)"digits",
                    .job = (char *)"train",
                    .run_id = (char *)H2,
                    .run_key = (char *)H3,
                    .generation = 0,
                    .promotion = (char *)H1,
                    .bundle = (char *)H2,
                    .release = (char *)H3,
                    .phase = SL_RUN_SUCCEEDED,
                    .reason = (char *)"Completed",
                    .exit = (char *)"0",
                    .attempts = 1,
                    .started_us = INT64_C(1795435200000000),
                    .finished_us = INT64_C(1795435260000000),
                    .inputs = inputs,
                    .outputs = outputs,
                    .metrics = metrics};
}

static void test_golden(void)
{
    g_autoptr(GPtrArray) inputs = lines("base sha256:" H1, NULL);
    g_autoptr(GPtrArray) outputs = lines("model sha256:" H2 " 123456", NULL);
    g_autoptr(GPtrArray) metrics = lines("final.accuracy 0.97", "final.loss NaN");
    SlSeal seal = sample(inputs, outputs, metrics);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_seal_format(&seal, &error);
    g_assert_no_error(error);
    golden_check("seal.txt", text);
    g_autoptr(SlSeal) back = sl_seal_parse(text, &error);
    g_assert_no_error(error);
    double value = 0;
    g_assert_true(sl_seal_metric(back, "final.accuracy", &value));
    g_assert_cmpfloat(value, ==, 0.97);
    g_assert_true(sl_seal_metric(back, "final.loss", &value));
    g_assert_true(isnan(value));
    g_assert_false(sl_seal_metric(back, "final.acc", &value));
    g_autofree char *model = sl_seal_output(back, "model");
    g_assert_cmpstr(model, ==, H2);
    g_assert_null(sl_seal_output(back, "mode"));
    g_autoptr(json_t) json = sl_seal_to_json(back, H3);
    g_autofree char *canonical = sl_json_canonical(json, NULL);
    g_autoptr(GBytes) bytes = g_bytes_new(canonical, strlen(canonical));
    golden_check("seal.json", bytes);
}

static void test_refused(void)
{
    static const struct {
        const char *input, *output, *metric, *metric2, *word;
    } rows[] = {
        {"base " H1, NULL, NULL, NULL, "input: `base"},
        {"base sha256:" H1 " 3", NULL, NULL, NULL, "malformed"},
        {NULL, "model sha256:" H1, NULL, NULL, "output: `model"},
        {NULL, "model sha256:" H1 " -1", NULL, NULL, "malformed"},
        {NULL, NULL, "final.a nan", NULL, "metric: `final.a nan`"},
        {NULL, NULL, "final.a 1e999", NULL, "malformed"},
        {NULL, NULL, "final.a 0x10", NULL, "malformed"},
        {NULL, NULL, "final.a 1", "final.a 2", "`final.a` is there twice"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) inputs = lines(rows[i].input, NULL);
        g_autoptr(GPtrArray) outputs = lines(rows[i].output, NULL);
        g_autoptr(GPtrArray) metrics = lines(rows[i].metric, rows[i].metric2);
        SlSeal seal = sample(inputs, outputs, metrics);
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_seal_format(&seal, &error));
        expect_error(&error, SLU_STATEMENT_FORMAT, rows[i].word);
    }
    SlSeal seal = sample(NULL, NULL, NULL);
    g_autoptr(GError) error = NULL;
    seal.phase = SL_RUN_RUNNING;
    g_assert_null(sl_seal_format(&seal, &error));
    expect_error(&error, SLU_STATEMENT_FORMAT, "a seal is final");
    seal.phase = SL_RUN_FAILED;
    seal.finished_us = seal.started_us - 1;
    g_assert_null(sl_seal_format(&seal, &error));
    expect_error(&error, SLU_STATEMENT_FORMAT, "before started");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/seal/golden", test_golden);
    g_test_add_func("/seal/refused", test_refused);
    return g_test_run();
}
