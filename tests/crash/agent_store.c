/* agent_store.c - the agent's stores at every call: slots, keys, blobs, models. */
#include "agent/brain/state.h"
#include "agent/store/blobs.h"
#include "agent/store/models.h"
#include "link/keys.h"
#include "rounds.h"
#include "runtime/atomicfile.h"
#include <string.h>

static char *in(const char *dir, const char *name)
{
    return g_build_filename(dir, name, NULL);
}

/* ---- slots: written in turns, the newer readable one counts ---- */

#define GENERATIONS 6

static bool save(const char *dir, uint64_t generation, GError **error)
{
    g_autofree char *path = in(dir, generation % 2 == 1 ? "state/b" : "state/a");
    g_autofree char *filler = g_strnfill(generation % 3 * 5000, 'x');
    g_autoptr(json_t) content = json_object();
    sl_json_set_int(content, "generation", (int64_t)generation);
    sl_json_set_str(content, "filler", filler);
    g_autoptr(GBytes) bytes = sl_slot_pack(content, generation);
    return sl_file_write_atomic(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0600,
                                error);
}

static bool slots_live(const char *dir, volatile uint32_t *acked, GError **error)
{
    g_autofree char *state = in(dir, "state");
    if (!sl_dir_make(state, 0700, error))
        return false;
    for (uint64_t generation = 1; generation <= GENERATIONS; generation++) {
        if (!save(dir, generation, error))
            return false;
        *acked = (uint32_t)generation;
    }
    return true;
}

static uint64_t read_slot(const char *dir, const char *name)
{
    g_autofree char *path = in(dir, name);
    g_autoptr(GBytes) bytes = sl_file_read(path, 1 << 20, NULL);
    uint64_t generation = 0;
    g_autoptr(json_t) content = bytes != NULL ? sl_slot_unpack(bytes, &generation, NULL) : NULL;
    if (content == NULL)
        return 0;
    g_assert_cmpint(sl_json_int(content, "generation", 0), ==, (int64_t)generation);
    return generation;
}

static void slots_check(const char *dir, uint32_t acked)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *state = in(dir, "state");
    uint64_t a = read_slot(dir, "state/a"), b = read_slot(dir, "state/b"), newest = MAX(a, b);
    g_assert_cmpuint(newest, >=, acked);
    g_assert_true(sl_dir_make(state, 0700, &error) && save(dir, newest + 1, &error));
    g_assert_cmpuint(read_slot(dir, (newest + 1) % 2 == 1 ? "state/b" : "state/a"), ==, newest + 1);
}

/* ---- keys: made once, never another one after they were shown ---- */

static bool load_keys(const char *dir, uint8_t secret[64], SlCurveKeys *curve, GError **error)
{
    g_autofree char *keys = in(dir, "keys"), *sign = in(dir, "keys/agent"),
                    *transport = in(dir, "keys/curve");
    return sl_dir_make(keys, 0700, error) &&
           sl_signing_key_load(sign, true, "test", secret, error) &&
           sl_curve_keys_load(transport, true, curve, error);
}

/* What was shown to others, by a file that this test writes durably before it says so. */
static bool keys_live(const char *dir, volatile uint32_t *acked, GError **error)
{
    uint8_t secret[64];
    SlCurveKeys curve;
    g_autofree char *shown = in(dir, "shown");
    if (!load_keys(dir, secret, &curve, error) ||
        !sl_file_write_atomic(shown, secret, sizeof secret, 0600, error))
        return false;
    *acked = 1;
    return true;
}

static void keys_check(const char *dir, uint32_t acked)
{
    g_autoptr(GError) error = NULL;
    uint8_t secret[64];
    SlCurveKeys curve;
    g_autofree char *path = in(dir, "shown");
    bool good = load_keys(dir, secret, &curve, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    g_autoptr(GBytes) shown = sl_file_read(path, sizeof secret, NULL);
    g_assert_true(shown != NULL || acked == 0);
    g_autoptr(GBytes) now = g_bytes_new(secret, sizeof secret);
    g_assert_true(shown == NULL || g_bytes_equal(shown, now));
}

/* ---- blobs: a cache; a fetch that was cut off goes on ---- */

static const char *const parts[] = {"hello ", "wide ", "world"};

static bool add_parts(SlBlobs *blobs, const char *digest, GError **error)
{
    uint64_t have = sl_blobs_partial_size(blobs, digest), begin = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        uint64_t end = begin + strlen(parts[i]);
        if (have < end && !sl_blobs_partial_add(blobs, digest, have, parts[i] + (have - begin),
                                                (size_t)(end - have), error))
            return false;
        have = MAX(have, end);
        begin = end;
    }
    return sl_blobs_partial_finish(blobs, digest, error);
}

static char *whole_digest(void)
{
    return sl_sha256_hex("hello wide world", 16);
}

static bool blobs_live(const char *dir, volatile uint32_t *acked, GError **error)
{
    g_autofree char *folder = in(dir, "blobs"), *digest = whole_digest();
    g_autoptr(SlBlobs) blobs = sl_blobs_open(folder, error);
    g_autoptr(GBytes) other = g_bytes_new("other", 5);
    g_autofree char *other_digest = sl_sha256_hex("other", 5);
    (void)acked;
    return blobs != NULL && sl_blobs_put(blobs, other_digest, other, error) &&
           add_parts(blobs, digest, error);
}

static void blobs_check(const char *dir, uint32_t acked)
{
    g_autofree char *folder = in(dir, "blobs"), *digest = whole_digest();
    g_autofree char *other = sl_sha256_hex("other", 5);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlBlobs) blobs = sl_blobs_open(folder, &error);
    (void)acked;
    g_assert_no_error(error);
    GBytes *found = sl_blobs_get(blobs, other);
    g_assert_true(found == NULL || g_bytes_get_size(found) == 5);
    /* A part that is not what was written is thrown away at the end, and then it works. */
    if (!sl_blobs_has(blobs, digest) && !add_parts(blobs, digest, &error)) {
        g_assert_error(error, SL_ERROR, SLU_CORRUPT);
        g_clear_error(&error);
        bool again = add_parts(blobs, digest, &error);
        g_assert_no_error(error);
        g_assert_true(again);
    }
    g_assert_true(sl_blobs_has(blobs, digest));
}

/* ---- models: a stored output is promised (its seal names it), a copy is not ---- */

static bool make_output(const char *dir, GError **error)
{
    g_autofree char *folder = in(dir, "output/deep"), *one = in(dir, "output/weights"),
                    *two = in(dir, "output/deep/bias");
    return sl_dir_make(folder, 0700, error) &&
           sl_file_write_atomic(one, "weights 0.95", 12, 0600, error) &&
           sl_file_write_atomic(two, "bias 1", 6, 0600, error);
}

static char *store_output(const char *dir, GError **error)
{
    g_autofree char *store = in(dir, "store"), *output = in(dir, "output");
    uint64_t bytes = 0;
    return sl_models_store_folder(store, output, &bytes, error);
}

static bool materialise(const char *dir, const char *digest, GError **error)
{
    g_autofree char *store = in(dir, "store"), *cache = in(dir, "models");
    return sl_dir_make(cache, 0700, error) && sl_models_materialise(store, cache, digest, error);
}

static bool models_live(const char *dir, volatile uint32_t *acked, GError **error)
{
    if (!make_output(dir, error))
        return false;
    g_autofree char *digest = store_output(dir, error);
    if (digest == NULL)
        return false;
    *acked = 1;
    return materialise(dir, digest, error);
}

static void models_check(const char *dir, uint32_t acked)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *output = in(dir, "output");
    g_autofree char *again = in(dir, "again");
    g_assert_true(sl_dir_make(again, 0700, &error) && make_output(again, &error));
    g_autofree char *wanted = store_output(again, &error); /* what the digest must be */
    g_assert_no_error(error);
    if (acked == 0) { /* the job is run again, or its outputs stored again */
        g_assert_true(sl_dir_remove_tree(output, &error));
        g_autofree char *digest = make_output(dir, &error) ? store_output(dir, &error) : NULL;
        g_assert_no_error(error);
        g_assert_cmpstr(digest, ==, wanted);
    }
    bool good = materialise(dir, wanted, &error);
    g_assert_no_error(error);
    g_assert_true(good);
    g_autofree char *copy = g_strdup_printf("%s/models/%s/deep/bias", dir, wanted);
    g_autoptr(GBytes) bytes = sl_file_read(copy, 100, &error);
    g_assert_no_error(error);
    g_autoptr(GBytes) bias = g_bytes_new_static("bias 1", 6);
    g_assert_true(g_bytes_equal(bytes, bias));
}

int main(int argc, char **argv)
{
    static const CrashScenario scenarios[] = {{"slots", slots_live, slots_check},
                                              {"keys", keys_live, keys_check},
                                              {"blobs", blobs_live, blobs_check},
                                              {"models", models_live, models_check},
                                              {0}};
    return crash_main(argc, argv, scenarios);
}
