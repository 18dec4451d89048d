/* fuzz_gitcommit.c - raw commits of a Git host: what is left when the signature is taken out is what Git signs, and reads the same. */
#include "fuzz.h"
#include "core/gitcommit.h"
#include <string.h>

static void check_payload(const SlGitCommit *commit, const uint8_t *data, size_t size)
{
    gsize len = 0;
    const uint8_t *payload = g_bytes_get_data(commit->payload, &len);
    if (commit->signature == NULL) {
        g_assert_true(len == size && memcmp(payload, data, len) == 0);
        return;
    }
    g_assert_cmpuint(len, <, size);
    g_autoptr(SlGitCommit) plain = sl_gitcommit_parse(payload, len, NULL);
    if (plain == NULL || plain->signing != SL_GIT_UNSIGNED || strcmp(plain->tree, commit->tree) != 0 ||
        strcmp(plain->author.email, commit->author.email) != 0 || strcmp(plain->message, commit->message) != 0) {
        fuzz_fail("the payload does not read as the commit without its signature");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlGitCommit) commit = sl_gitcommit_parse(data, size, &error);
    g_assert_true((commit == NULL) == (error != NULL));
    if (commit == NULL) {
        return 0;
    }
    check_payload(commit, data, size);
    g_assert_true(g_utf8_validate(commit->author.name, -1, NULL) && g_utf8_validate(commit->message, -1, NULL));
    g_autoptr(SlPublicKey) key = sl_gitcommit_signer(commit, &error);
    g_assert_true((key == NULL) == (error != NULL));
    g_autofree char *subject = sl_gitcommit_subject(commit);
    g_assert_null(strchr(subject, '\n'));
    return 0;
}
