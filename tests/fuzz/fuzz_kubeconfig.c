/* fuzz_kubeconfig.c - a kubeconfig in JSON: files that it names are looked for in a folder that is not there. */
#include "fuzz.h"
#include "kube/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *bytes = g_memdup2(data, size); /* exactly as long: no NUL behind it */
    g_autoptr(GError) error = NULL;
    g_autoptr(SlKubeConfig) config =
        sl_kube_config_parse(bytes != NULL ? bytes : "", size, "/nonexistent/sluice", NULL, &error);
    g_assert_true((config == NULL) == (error != NULL));
    if (config != NULL) {
        g_assert_true(g_str_has_prefix(config->server, "https://"));
        g_assert_true((config->cert_pem == NULL) == (config->key_pem == NULL));
        g_assert_nonnull(config->namespace_);
    }
    return 0;
}
