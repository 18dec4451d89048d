/* fuzz_kubeanswer.c - what an API server answers, of the first byte's status: an object or an error
 * with its causes; and, where it is a list of discovery, the table of kinds. */
#include "fuzz.h"
#include "kube/answer.h"
#include "kube/kinds.h"

static void look_at_causes(const json_t *status)
{
    SlKubeCause cause;
    for (size_t n = 0; sl_kube_cause(status, n, &cause); n++) {
        g_assert_nonnull(cause.field);
        g_assert_nonnull(cause.reason);
        g_assert_nonnull(cause.message);
        sl_kube_cause_clear(&cause);
    }
}

static void look_at_kinds(const json_t *list)
{
    g_autoptr(SlKubeKinds) before = sl_kube_kinds_new(), after = sl_kube_kinds_new();
    g_autoptr(GError) first = NULL, second = NULL;
    const SlKubeKind *kind = NULL;
    bool good = sl_kube_kinds_add(before, list, NULL, &first);
    g_assert_true(good == (first == NULL));
    g_assert_true(sl_kube_kinds_add(after, list, before, &second) == good);
    if (good && sl_kube_kinds_find(after, "apps", "v1", "Deployment", &kind) == SL_KUBE_PRESENT) {
        g_autofree char *path = sl_kube_path(kind, "a", "b", "status", NULL);
        g_assert_true(path == NULL || path[0] == '/');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 304, 401, 403, 404, 409, 410, 413, 422, 429, 500, 503};
    if (size == 0) {
        return 0;
    }
    g_autofree char *bytes = g_memdup2(data + 1, size - 1); /* exactly as long: no NUL behind it */
    const SlKubeRawAnswer raw = {.status = statuses[data[0] % G_N_ELEMENTS(statuses)],
                                 .content_type = "application/json",
                                 .bytes = bytes != NULL ? bytes : "",
                                 .len = size - 1,
                                 .max = 8192};
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) status = NULL;
    g_autoptr(json_t) tree = sl_kube_answer_parse(&raw, "GET /x", &status, &error);
    g_assert_true((tree == NULL) == (error != NULL));
    if (tree != NULL) {
        look_at_kinds(tree);
    }
    look_at_causes(status);
    return 0;
}
