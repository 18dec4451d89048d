/* test_bundle.c - bundle lists: golden text, identity and waves of objects, what is refused. */
#include "core/bundle.h"
#include "golden_file.h"

static void test_golden(void)
{
    g_autoptr(SlBundle) b = sl_bundle_new();
    sl_bundle_add_withheld(b, "gitops.sluice/ModelServer", "-", "serve", "model", H3);
    sl_bundle_add_withheld(b, "apps/Deployment", "ml", "web", "model", NULL);
    sl_bundle_add_object(b, "gitops.sluice/TrainingJob", "-", "train", 512, H1);
    sl_bundle_add_object(b, "core/ConfigMap", "ml", "settings", 80, H2);
    sl_bundle_add_blob(b, H2, 10);
    sl_bundle_add_blob(b, H1, 20);
    sl_bundle_add_blob(b, H2, 10);
    g_autoptr(GBytes) text = sl_bundle_format(b);
    golden_check("bundle.txt", text);
    g_autofree char *digest = sl_bundle_digest(b);
    g_autofree char *sum = sl_sha256_hex_bytes(text);
    g_assert_cmpstr(digest, ==, sum);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlBundle) back = sl_bundle_parse(text, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(back->objects->len, ==, 2);
    g_assert_cmpuint(back->blobs->len, ==, 2);
    g_assert_cmpuint(back->withheld->len, ==, 2);
    g_assert_null(((SlBundleWithheld *)back->withheld->pdata[0])->run_key);
    g_autoptr(GBytes) again = sl_bundle_format(back);
    g_assert_true(g_bytes_equal(text, again));
}

static void test_empty(void)
{
    g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0);
    g_autoptr(SlBundle) b = sl_bundle_parse(nothing, NULL);
    g_assert_nonnull(b);
    g_autofree char *digest = sl_bundle_digest(b);
    g_assert_cmpstr(digest, ==, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_refused(void)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"object a/B - x 1 " H1, "not lines"},
        {"object a/B - y 1 " H1 "\nobject a/B - x 1 " H1 "\n",
         "line 2: lines must be in byte order"},
        {"blob " H1 " 1\nblob " H1 " 1\n", "line 2: lines must be"},
        {"blob " H1 " 1\nblob " H1 " 2\n", "this blob is there twice"},
        {"object a/B - x 1 " H1 "\nobject a/B - x 2 " H1 "\n", "this object is there twice"},
        {"object a/B - x 1 " H1 "\nwithheld a/B - x item -\n", "this object is there twice"},
        {"object aB - x 1 " H1 "\n", "kind, namespace or name"},
        {"object a/B/C - x 1 " H1 "\n", "kind, namespace or name"},
        {"object a/B Ns x 1 " H1 "\n", "kind, namespace or name"},
        {"object a/B - x/y 1 " H1 "\n", "kind, namespace or name"},
        {"object a/B - x 01 " H1 "\n", "<size> <sha256>"},
        {"object a/B - x 1048577 " H1 "\n", "at most 1 MiB"},
        {"blob " H1 " 16777217\n", "at most 16 MiB"},
        {"blob XYZ 1\n", "blob <sha256>"},
        {"withheld a/B - x item key\n", "<item> <run key|->"},
        {"wish a/B - x 1 " H1 "\n", "must start with"},
        {"object a/B - x 1 " H1 " \n", "must start with"},
        {"\n", "byte order"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GBytes) text = g_bytes_new(rows[i].text, strlen(rows[i].text));
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_bundle_parse(text, &error));
        expect_error(&error, SLU_BUNDLE_FORMAT, rows[i].word);
    }
}

static void test_identity(void)
{
    g_autoptr(json_t) map =
        json_loads("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"s\","
                   "\"namespace\":\"ml\","
                   "\"annotations\":{\"argocd.argoproj.io/sync-wave\":\"-5\"}}}",
                   0, NULL);
    g_autofree char *kind = sl_object_kind(map, NULL);
    g_assert_cmpstr(kind, ==, "core/ConfigMap");
    g_assert_cmpstr(sl_object_name(map), ==, "s");
    g_assert_cmpstr(sl_object_namespace(map), ==, "ml");
    g_assert_cmpint(sl_object_wave(map), ==, -5);
    json_object_set_new(sl_json_at(map, "metadata.annotations"), SL_ANNOTATION_WAVE,
                        json_string("2"));
    g_assert_cmpint(sl_object_wave(map), ==, 2);
    json_object_set_new(sl_json_at(map, "metadata.annotations"), SL_ANNOTATION_WAVE,
                        json_string("soon"));
    g_assert_cmpint(sl_object_wave(map), ==, 0);
    g_autoptr(json_t) job =
        json_loads("{\"apiVersion\":\"gitops.sluice/v1alpha1\",\"kind\":\"TrainingJob\"}", 0, NULL);
    g_autofree char *job_kind = sl_object_kind(job, NULL);
    g_assert_cmpstr(job_kind, ==, "gitops.sluice/TrainingJob");
    g_assert_cmpstr(sl_object_namespace(job), ==, "-");
    g_assert_null(sl_object_name(job));
    g_autoptr(json_t) bad = json_object();
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_object_kind(bad, &error));
    expect_error(&error, SLU_JSON_TYPE, "apiVersion");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bundle/golden", test_golden);
    g_test_add_func("/bundle/empty", test_empty);
    g_test_add_func("/bundle/refused", test_refused);
    g_test_add_func("/bundle/identity", test_identity);
    return g_test_run();
}
