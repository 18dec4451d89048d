/* The two slots: torn, cut, mixed and foreign bytes; which one wins; what a restart keeps. */
#include "agent/brain/state.h"
#include "rig.h"

static void pack_and_unpack(void)
{
    g_autoptr(json_t) content = json_pack("{s:s,s:i}", "a", "b\nc", "n", 3);
    g_autoptr(GBytes) bytes = sl_slot_pack(content, 41);
    g_autoptr(GError) error = NULL;
    uint64_t generation = 0;
    g_autoptr(json_t) back = sl_slot_unpack(bytes, &generation, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(generation, ==, 41);
    g_assert_true(json_equal(content, back));
}

static void every_damage_is_seen(void)
{
    g_autoptr(json_t) content = json_pack("{s:s}", "key", "value");
    g_autoptr(GBytes) bytes = sl_slot_pack(content, 7);
    size_t size = 0;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    for (size_t at = 0; at < size; at++) {
        g_autofree uint8_t *copy = g_memdup2(data, size);
        copy[at] ^= 1;
        g_autoptr(GBytes) damaged = g_bytes_new(copy, size), cut = g_bytes_new(data, at);
        uint64_t generation = 0;
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_slot_unpack(damaged, &generation, &error));
        g_assert_nonnull(error);
        g_assert_null(sl_slot_unpack(cut, &generation, NULL));
    }
    g_autofree char *more = g_strdup_printf("%.*s ", (int)size, (const char *)data);
    g_autoptr(GBytes) longer = g_bytes_new(more, size + 1);
    uint64_t generation = 0;
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_slot_unpack(longer, &generation, &error));
    g_assert_error(error, SL_ERROR, SLU_AGENT_SLOT);
}

static SlAgent *try_new(Rig *r, const char *cluster, const char *env, GError **error)
{
    SlAgentConfig config = {.secret = r->self.secret,
                            .cluster = cluster,
                            .env = env,
                            .version = "0",
                            .boot = r->nonce,
                            .root_digest = r->root_digest,
                            .blob = rig_blob,
                            .user = r};
    return sl_agent_new(&config, r->slots[0], r->slots[1], error);
}

static void contradictions(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autoptr(GError) error = NULL;
    g_assert_null(try_new(r, "other", "prod", &error));
    g_assert_error(error, SL_ERROR, SLU_AGENT_STATE);
    g_assert_nonnull(strstr(error->message, "prod1"));
    g_clear_error(&error);
    g_assert_null(try_new(r, "prod1", "dev", &error));
    g_assert_error(error, SL_ERROR, SLU_AGENT_STATE);
    g_clear_error(&error);
    g_clear_pointer(&r->slots[1], g_bytes_unref);
    r->slots[1] = g_bytes_new_static("sluice-agent-slot 2 9 0 x\n", 26);
    g_assert_null(try_new(r, "prod1", "prod", &error));
    g_assert_error(error, SL_ERROR, SLU_UNSUPPORTED);
}

/* A run is sealed exactly when its seal is there: what no agent writes, none follows. */
static void sealed_without_seal(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autoptr(GError) error = NULL;
    uint64_t generation = 0;
    GBytes *slot = r->slots[0] != NULL ? r->slots[0] : r->slots[1];
    g_autoptr(json_t) content = sl_slot_unpack(slot, &generation, &error);
    g_assert_no_error(error);
    for (int state = -1; state <= SL_N_JOURNAL; state++) {
        json_object_set_new(content, "runs",
                            json_pack("[{s:s,s:i,s:n}]", "id", "r1", "state", state, "seal"));
        g_autoptr(GBytes) packed = sl_slot_pack(content, generation + 2);
        g_clear_pointer(&r->slots[0], g_bytes_unref);
        r->slots[0] = g_bytes_ref(packed);
        g_autoptr(SlAgent) agent = try_new(r, "prod1", "prod", &error);
        if (state == SL_JOURNAL_PLACED || state == SL_JOURNAL_STARTED) {
            g_assert_no_error(error);
            g_assert_nonnull(agent);
            continue;
        }
        g_assert_null(agent);
        g_assert_error(error, SL_ERROR, SLU_AGENT_STATE);
        g_assert_nonnull(strstr(error->message, "without a seal"));
        g_clear_error(&error);
    }
}

/* The slot that was being written is torn: the one before it is used, and nothing goes back below
 * it. */
static void torn_slot(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b1 = rig_servers(r, "a", 1), *b2 = rig_servers(r, "a", 2);
    g_autofree char *p1 =
        rig_run_promotion(r, &(RigPromotion){.seq = 1, .bundle = b1}, RIG_KEYS(&r->alice));
    g_autofree char *p2 =
        rig_run_promotion(r, &(RigPromotion){.seq = 2, .bundle = b2}, RIG_KEYS(&r->alice));
    rig_wait(r, 5 * SL_SECOND_US);
    for (int n = 0; n < 2; n++) {
        GBytes *good = r->slots[n],
               *torn = g_bytes_new_from_bytes(good, 0, g_bytes_get_size(good) / 2);
        r->slots[n] = torn;
        rig_crash(r);
        g_autoptr(json_t) v = rig_view(r);
        g_assert_cmpint(sl_json_int(v, "units.digits.seq", 0), ==, 2);
        g_assert_false(sl_json_bool(v, "stateLost", true));
        rig_wait(r, 5 * SL_SECOND_US);
        if (r->slots[n] == torn) {
            r->slots[n] = g_bytes_ref(good);
            g_bytes_unref(torn);
        }
        g_bytes_unref(good);
    }
}

static void fallback_keeps_floors(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autofree char *b1 = rig_servers(r, "a", 1);
    g_autofree char *p1 =
        rig_run_promotion(r, &(RigPromotion){.seq = 5, .bundle = b1}, RIG_KEYS(&r->alice));
    rig_crash(r);
    g_autoptr(json_t) v = rig_view(r);
    g_assert_cmpint(sl_json_int(v, "units.digits.seq", 0), ==, 5);
    g_assert_cmpint(sl_json_int(v, "head.version", 0), ==, (json_int_t)r->version);
    g_autofree char *p0 =
        rig_run_promotion(r, &(RigPromotion){.seq = 4, .bundle = b1}, RIG_KEYS(&r->alice));
    rig_assert_refused(r, "unit/digits/prod", "replay");
}

static void first_slot_refuses(void)
{
    g_autoptr(Rig) r = rig_new("prod", false);
    g_autoptr(GPtrArray) roots = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_agent_first_slot("c", "prod", roots, NULL, r->root_digest, &error));
    g_assert_error(error, SL_ERROR, SLU_AGENT_ROOT_STEP);
    g_clear_error(&error);
    g_ptr_array_add(roots, r->root_text);
    g_assert_null(sl_agent_first_slot("c", "prod", roots, NULL, RIG_HASH, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_null(sl_agent_first_slot("c", "stage", roots, NULL, r->root_digest, &error));
    g_assert_error(error, SL_ERROR, SLU_AGENT_OTHER_ENV);
    g_clear_error(&error);
    g_autoptr(SlSigned) forged = rig_registry(r, "prod", 1, RIG_KEYS(&r->online));
    g_assert_null(sl_agent_first_slot("c", "prod", roots, forged, r->root_digest, &error));
    g_assert_error(error, SL_ERROR, SLU_AGENT_REGISTRY);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/slots/pack-and-unpack", pack_and_unpack);
    g_test_add_func("/slots/every-damage-is-seen", every_damage_is_seen);
    g_test_add_func("/slots/contradictions", contradictions);
    g_test_add_func("/slots/sealed-without-seal", sealed_without_seal);
    g_test_add_func("/slots/torn-slot", torn_slot);
    g_test_add_func("/slots/fallback-keeps-floors", fallback_keeps_floors);
    g_test_add_func("/slots/first-slot-refuses", first_slot_refuses);
    return g_test_run();
}
