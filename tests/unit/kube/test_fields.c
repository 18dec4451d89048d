/* test_fields.c - kube/fields.h: what we own of an object, and what we lost. Fields as an API server
 * of version 1.37 writes them. */
#include "kube/fields.h"

#define WANTED                                                                                     \
    "{\"apiVersion\":\"apps/"                                                                      \
    "v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\",\"labels\":"                      \
    "{\"a\":\"b\"},\"annotations\":{}},\"spec\":{\"replicas\":2,\"paused\":null,\"template\":{"    \
    "\"spec\":{\"containers\":[{\"name\":\"web\",\"image\":\"web:1\",\"ports\":[{"                 \
    "\"containerPort\":"                                                                           \
    "80}]}]}}},\"status\":{\"replicas\":1}}"
#define PORT                                                                                       \
    "\"k:{\\\"containerPort\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:containerPort\":" \
    "{}}"
#define WEB "\"k:{\\\"name\\\":\\\"web\\\"}\":{\".\":{},\"f:name\":{},%s\"f:ports\":{" PORT "}}"

static json_t *parse(const char *text)
{
    json_t *tree = json_loads(text, 0, NULL);
    g_assert_nonnull(tree);
    return tree;
}

/* @replicas and @image are owned. */
static json_t *fields(bool replicas, bool image)
{
    g_autofree char *web = g_strdup_printf(WEB, image ? "\"f:image\":{}," : "");
    g_autofree char *text = g_strdup_printf(
        "{\"f:metadata\":{\"f:labels\":{\"f:a\":{}}},\"f:spec\":{%s\"f:template\":{\"f:spec\":{"
        "\"f:containers\":{%s}}}}}",
        replicas ? "\"f:replicas\":{}," : "", web);
    return parse(text);
}

static void expect_lost(const char *owned, const char *wanted, const char *lost)
{
    g_autoptr(json_t) o = parse(owned), w = parse(wanted);
    g_autofree char *path = sl_kube_fields_lost(o, w);
    g_assert_cmpstr(path, ==, lost);
}

static void test_all_are_owned(void)
{
    g_autoptr(json_t) wanted = parse(WANTED), owned = fields(true, true);
    g_assert_null(sl_kube_fields_lost(owned, wanted));
}

static void test_what_is_lost_is_named(void)
{
    g_autoptr(json_t) wanted = parse(WANTED), no_replicas = fields(false, true),
                      no_image = fields(true, false);
    g_autofree char *replicas = sl_kube_fields_lost(no_replicas, wanted);
    g_autofree char *image = sl_kube_fields_lost(no_image, wanted);
    g_autofree char *all = sl_kube_fields_lost(NULL, wanted);
    g_assert_cmpstr(replicas, ==, ".spec.replicas");
    g_assert_cmpstr(image, ==, ".spec.template.spec.containers[0].image");
    g_assert_cmpstr(all, ==, ".metadata.labels");
}

static void test_lists(void)
{
    expect_lost("{\"f:s\":{\"v:\\\"a\\\"\":{},\"v:1\":{}}}", "{\"s\":[\"a\",1]}", NULL);
    expect_lost("{\"f:s\":{\"v:\\\"a\\\"\":{}}}", "{\"s\":[\"a\",\"b\"]}", ".s[1]");
    expect_lost("{\"f:s\":{}}", "{\"s\":[{\"x\":1},{\"y\":2}]}", NULL); /* atomic */
    expect_lost("{\"f:s\":{\"k:{\\\"n\\\":1}\":{\".\":{},\"f:n\":{}}}}", "{\"s\":[{\"n\":2}]}",
                ".s[0]");
    expect_lost("{\"f:s\":{\"k:not json\":{}}}", "{\"s\":[{\"n\":2}]}", ".s[0]");
    expect_lost("{}", "{\"s\":[],\"m\":{},\"n\":null}", NULL);
}

static void test_managers(void)
{
    g_autoptr(json_t) object = parse(
        "{\"metadata\":{\"managedFields\":["
        "{\"manager\":\"sluice\",\"operation\":\"Update\",\"time\":\"2026-01-01T00:00:09Z\","
        "\"fieldsV1\":{\"f:x\":{}}},"
        "{\"manager\":\"sluice\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:y\":{}}},"
        "{\"manager\":\"old\",\"operation\":\"Update\",\"time\":\"2026-01-01T00:00:01Z\"},"
        "{\"manager\":\"kubectl-edit\",\"operation\":\"Update\",\"time\":\"2026-01-01T00:00:02Z\"},"
        "{\"manager\":\"controller\",\"operation\":\"Update\",\"subresource\":\"status\",\"time\":"
        "\"2026-01-01T00:00:03Z\"}]}}");
    g_autoptr(json_t) ours = parse("{\"f:y\":{}}"), nothing = parse("{}");
    g_assert_true(json_equal(sl_kube_fields(object, "sluice"), ours));
    g_assert_null(sl_kube_fields(object, "nobody"));
    g_assert_cmpstr(sl_kube_fields_other(object, "sluice"), ==, "kubectl-edit");
    g_assert_cmpstr(sl_kube_fields_other(nothing, "sluice"), ==, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fields/all-are-owned", test_all_are_owned);
    g_test_add_func("/fields/what-is-lost-is-named", test_what_is_lost_is_named);
    g_test_add_func("/fields/lists", test_lists);
    g_test_add_func("/fields/managers", test_managers);
    return g_test_run();
}
