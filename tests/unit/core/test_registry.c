/* test_registry.c - registries and the entries of their clusters. */
#include "core/registry.h"
#include "golden_file.h"

static void test_golden(void)
{
    SlRegistry registry = {.fleet = (char *)H1,
                           .env = (char *)"prod",
                           .version = 2,
                           .count = 1,
                           .clusters = (char *)H2};
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_registry_format(&registry, &error);
    g_assert_no_error(error);
    golden_check("registry.txt", text);
    g_autoptr(SlRegistry) back = sl_registry_parse(text, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(back->version, ==, 2);
    g_assert_cmpstr(back->clusters, ==, H2);
}

static char *entry(const char *labels)
{
    static const uint8_t point[32] = {0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                      0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                      0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                      0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66};
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(point);
    return g_strdup_printf("name=prod1 engine=process sign=%s curve=" H1 " labels=%s",
                           strchr(key->line, ' ') + 1, labels);
}

static void test_cluster(void)
{
    static const char *const labels[] = {"-", "gpu=h100,zone=eu-1"};
    for (size_t i = 0; i < G_N_ELEMENTS(labels); i++) {
        g_autofree char *text = entry(labels[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(SlCluster) cluster = sl_cluster_parse("prod1-7f3a", text, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(g_hash_table_lookup(cluster->labels, "engine"), ==, "process");
        g_assert_cmpstr(g_hash_table_lookup(cluster->labels, "cluster"), ==, "prod1");
        g_autoptr(SlCluster) copy = sl_cluster_copy(cluster);
        g_autofree char *back = sl_cluster_format(copy);
        g_assert_cmpstr(back, ==, text);
    }
}

static void test_cluster_refused(void)
{
    static const char *const labels[] = {"",          "b=1,a=1", "a=1,a=2",   "a", "engine=slurm",
                                         "cluster=x", "a=1 b=2", "a=\xc3\xa4"};
    for (size_t i = 0; i < G_N_ELEMENTS(labels); i++) {
        g_autofree char *text = entry(labels[i]);
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_cluster_parse("prod1", text, &error));
        expect_error(&error, SLU_REGISTRY_ENTRY, "cluster prod1");
    }
    static const char *const values[] = {
        "", "name=x", "name=prod1 engine=process sign=AAAA curve=" H1 " labels=-",
        "name=prod1 engine=process sign=* curve=" H1 " labels=-",
        "engine=process name=prod1 sign=AAAA curve=" H1 " labels=-"};
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_cluster_parse("prod1", values[i], &error));
        expect_error(&error, SLU_REGISTRY_ENTRY, "cluster prod1");
    }
    g_autofree char *good = entry("-");
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_cluster_parse("Prod/1", good, &error));
    expect_error(&error, SLU_REGISTRY_ENTRY, "must be");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/registry/golden", test_golden);
    g_test_add_func("/registry/cluster", test_cluster);
    g_test_add_func("/registry/cluster-refused", test_cluster_refused);
    return g_test_run();
}
