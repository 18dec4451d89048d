/* What a thief of the coordinator may try (online key, ledger, store - no person's key), against
 * the real brain. Every row: refused with its kind, last good state kept, nothing removed, agent
 * usable afterwards. */
#include "rig.h"

/* prod with one good promotion in force: digits seq 5, bundle "good", promotion by alice (and bob
 * where two are needed). */
typedef struct {
    Rig *r;
    char *bundle, *promotion, *other;
} Prod;

static void prod_clear(Prod *p)
{
    rig_free(p->r);
    g_free(p->bundle);
    g_free(p->promotion);
    g_free(p->other);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Prod, prod_clear)

static const RigKey *const *people(Rig *r, bool two)
{
    static const RigKey *keys[3];
    keys[0] = &r->alice;
    keys[1] = two ? &r->bob : NULL;
    keys[2] = NULL;
    return keys;
}

static Prod prod_new(bool two)
{
    Prod p = {.r = rig_new("prod", two)};
    p.bundle = rig_servers(p.r, "a b", 1);
    p.other = rig_servers(p.r, "a b", 66);
    p.promotion =
        rig_run_promotion(p.r, &(RigPromotion){.seq = 5, .bundle = p.bundle}, people(p.r, two));
    rig_assert_reported(p.r, "unit/digits/prod", "health", "Healthy");
    rig_clear(p.r);
    return p;
}

static void assert_kept(const Prod *p)
{
    rig_assert_reported(p->r, "unit/digits/prod", "promotion", p->promotion);
    rig_assert_reported(p->r, "unit/digits/prod", "health", "Healthy");
    g_assert_cmpuint(g_hash_table_size(p->r->engine), ==, 2);
    g_assert_cmpuint(rig_count(p->r, "APPLY"), ==, 0);
    g_assert_cmpuint(rig_count(p->r, "REMOVE"), ==, 0);
}

static void assert_usable(Prod *p, uint64_t seq, bool two)
{
    g_autofree char *b = rig_servers(p->r, "a b", 1000);
    g_autofree char *d =
        rig_run_promotion(p->r, &(RigPromotion){.seq = seq, .bundle = b}, people(p->r, two));
    rig_assert_reported(p->r, "unit/digits/prod", "promotion", d);
    rig_assert_reported(p->r, "unit/digits/prod", "health", "Healthy");
    rig_assert_refused(p->r, "unit/digits/prod", "");
}

static void refuse_promotion(Prod *p, const RigPromotion *how, const RigKey *const *keys,
                             const char *kind)
{
    g_autofree char *d = rig_publish(p->r, rig_promotion(p->r, how, keys));
    g_autofree char *line = g_strdup_printf("unit/digits/prod %s", d);
    rig_list(p->r, RIG_LINES(line));
    rig_wait(p->r, 2 * SL_SECOND_US);
    rig_assert_refused(p->r, "unit/digits/prod", kind);
    assert_kept(p);
}

static void online_key_only(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = p.other}, RIG_KEYS(&r->online),
                     "unapproved");
    g_autofree char *message = rig_reported(r, "refused/unit/digits/prod", "message");
    g_assert_nonnull(strstr(message, "0 of 1"));
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = p.other}, RIG_NO_KEYS, "unsigned");
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = p.other}, RIG_KEYS(&r->eve),
                     "unsigned");
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = p.other},
                     RIG_KEYS(&r->eve, &r->online), "unapproved");
    assert_usable(&p, 6, false);
}

static void too_few_people(void)
{
    g_auto(Prod) p = prod_new(true);
    Rig *r = p.r;
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = p.other},
                     RIG_KEYS(&r->alice, &r->online), "unapproved");
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = p.other},
                     RIG_KEYS(&r->alice, &r->alice2), "unapproved");
    assert_usable(&p, 6, true);
}

static void change_root(Rig *r, void (*change)(SlRoot *root, Rig *r))
{
    r->root->version++;
    change(r->root, r);
    rig_steps(r, rig_root_sign(r->root, RIG_KEYS(&r->alice)), NULL);
}

static void revoke_bob(SlRoot *root, Rig *r)
{
    g_ptr_array_add(root->revoked, sl_public_key_copy(r->bob.key));
    for (guint i = 0; i < root->roles->len; i++) {
        SlRole *role = root->roles->pdata[i];
        role->threshold = MIN(role->threshold, 1);
    }
}

static void revoked_key(void)
{
    g_auto(Prod) p = prod_new(true);
    Rig *r = p.r;
    change_root(r, revoke_bob);
    g_autofree char *root = rig_view_str(r, "fleet");
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = p.other},
                     RIG_KEYS(&r->bob, &r->online), "unapproved");
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = p.other}, RIG_KEYS(&r->bob),
                     "unsigned");
    g_autofree char *d =
        rig_run_promotion(r, &(RigPromotion){.seq = 6, .bundle = p.other}, RIG_KEYS(&r->alice));
    rig_assert_reported(r, "unit/digits/prod", "promotion", d);
}

static void exclude_both(SlRoot *root, Rig *r)
{
    (void)r;
    for (guint i = 0; i < root->roles->len; i++) {
        SlRole *role = root->roles->pdata[i];
        role->exclude_author = role->exclude_requester =
            role->act == SL_ACT_PROMOTE && role->threshold > 0;
        role->threshold = MIN(role->threshold, 1);
    }
}

static void author_and_requester(void)
{
    g_auto(Prod) p = prod_new(true);
    Rig *r = p.r;
    change_root(r, exclude_both);
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = p.other, .requester = "bob"},
                     RIG_KEYS(&r->bob), "unapproved");
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = p.other, .author = "bob"},
                     RIG_KEYS(&r->bob), "unapproved");
    g_autofree char *d = rig_run_promotion(
        r, &(RigPromotion){.seq = 6, .bundle = p.other, .author = "bob", .requester = "bob"},
        RIG_KEYS(&r->alice));
    rig_assert_reported(r, "unit/digits/prod", "promotion", d);
}

static void seq_reused_or_older(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    refuse_promotion(&p, &(RigPromotion){.seq = 5, .bundle = p.other}, RIG_KEYS(&r->alice),
                     "seq-reused");
    refuse_promotion(&p, &(RigPromotion){.seq = 4, .bundle = p.other}, RIG_KEYS(&r->alice),
                     "replay");
    rig_crash(r);
    refuse_promotion(&p, &(RigPromotion){.seq = 4, .bundle = p.other}, RIG_KEYS(&r->alice),
                     "replay");
    assert_usable(&p, 6, false);
}

static void other_environment(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    refuse_promotion(&p, &(RigPromotion){.env = "dev", .seq = 6, .bundle = p.other},
                     RIG_KEYS(&r->online), "other-environment");
    /* dev's registry claims this cluster. */
    rig_steps(r, NULL, rig_registry(r, "dev", 2, RIG_KEYS(&r->online)));
    rig_wait(r, SL_SECOND_US);
    rig_assert_refused(r, "registry", "other-environment");
    rig_send_head(r, &(RigHead){.env = "dev"});
    rig_wait(r, SL_SECOND_US);
    rig_assert_refused(r, "head", "other-environment");
    /* A list line for a unit of another environment. */
    g_autofree char *d =
        rig_publish(r, rig_promotion(r, &(RigPromotion){.env = "dev", .seq = 6, .bundle = p.other},
                                     RIG_KEYS(&r->online)));
    g_autofree char *line = g_strdup_printf("unit/digits/dev %s", d);
    g_autofree char *good = g_strdup_printf("unit/digits/prod %s", p.promotion);
    rig_list(r, RIG_LINES(line, good));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "unit/digits/dev", "other-environment");
    assert_kept(&p);
    assert_usable(&p, 6, false);
}

static void registry_by_online_key(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    rig_steps(r, NULL, rig_registry(r, "prod", 2, RIG_KEYS(&r->online)));
    rig_wait(r, SL_SECOND_US);
    rig_assert_refused(r, "registry", "unapproved");
    rig_steps(r, NULL, rig_registry(r, "prod", UINT64_C(1) << 40, RIG_KEYS(&r->alice)));
    rig_wait(r, SL_SECOND_US);
    rig_assert_refused(r, "registry", "jump");
    assert_kept(&p);
    assert_usable(&p, 6, false);
}

static void unit_left_out(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    rig_list(r, RIG_LINES(NULL));
    rig_wait(r, 2 * SL_SECOND_US);
    g_autofree char *flag = rig_reported(r, "flag/unlisted/digits/prod", "message");
    g_assert_cmpstr(flag, !=, "");
    assert_kept(&p);
    rig_crash(r);
    rig_wait(r, 2 * SL_SECOND_US);
    assert_kept(&p);
    assert_usable(&p, 6, false);
}

static void refuse_head(Prod *p, const RigHead *how, const char *kind)
{
    Rig *r = p->r;
    g_autofree char *before = rig_view_str(r, "head.digest");
    rig_send_head(r, how);
    rig_wait(r, SL_SECOND_US);
    g_autofree char *after = rig_view_str(r, "head.digest");
    g_assert_cmpstr(before, ==, after);
    rig_assert_refused(r, "head", kind);
    assert_kept(p);
}

static void heads(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    refuse_head(&p, &(RigHead){.key = &r->eve}, "unsigned");
    refuse_head(&p, &(RigHead){.key = &r->alice}, "unsigned");
    refuse_head(&p, &(RigHead){.fleet = RIG_HASH}, "other-fleet");
    refuse_head(&p, &(RigHead){.cluster = "prod2"}, "other-cluster");
    refuse_head(&p, &(RigHead){.nonce = "00000000000000000000000000000001"}, "old-session");
    refuse_head(&p, &(RigHead){.epoch = 2}, "epoch");
    refuse_head(&p, &(RigHead){.term = 1, .version = 999}, "replay");
    refuse_head(&p, &(RigHead){.version = 1}, "replay");
    refuse_head(&p, &(RigHead){.version = UINT64_C(1) << 40}, "jump");
    refuse_head(&p, &(RigHead){.term = UINT64_MAX}, "jump");
    refuse_head(&p, &(RigHead){.term = INT64_MAX, .version = INT64_MAX}, "jump");
    refuse_head(&p, &(RigHead){.issued = r->now + SL_HOUR_US, .expires = r->now + 2 * SL_HOUR_US},
                "future");
    refuse_head(&p, &(RigHead){.issued = r->now - SL_HOUR_US, .expires = r->now - SL_MINUTE_US},
                "expired");
    refuse_head(&p, &(RigHead){.issued = r->now - SL_HOUR_US, .expires = r->now + 400 * SL_DAY_US},
                "expired");
    assert_usable(&p, 6, false);
}

static void head_withheld(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    rig_wait(r, 20 * SL_MINUTE_US);
    g_autofree char *flag = rig_reported(r, "flag/stale-head", "message");
    g_assert_nonnull(strstr(flag, "nothing new starts"));
    assert_kept(&p);
    /* A replay into a new session is of no use. */
    g_autoptr(SlSigned) old = rig_make_head(r, &(RigHead){.version = 900});
    rig_connect(r);
    rig_send(r, &(SlAgentInput){.type = SL_AGENT_HEAD, .statement = old});
    rig_wait(r, SL_SECOND_US);
    rig_assert_refused(r, "head", "old-session");
    assert_usable(&p, 6, false);
    rig_assert_reported(r, "flag/stale-head", "message", "");
    /* It was on its way when the session began, for all we know: over soon. One that is played into
     * a session that has its head is shown for long. */
    rig_wait(r, 20 * SL_SECOND_US);
    rig_assert_refused(r, "head", "");
    rig_send(r, &(SlAgentInput){.type = SL_AGENT_HEAD, .statement = old});
    rig_send_head(r, &(RigHead){0});
    rig_wait(r, 5 * SL_MINUTE_US);
    rig_assert_refused(r, "head", "old-session");
}

static void other_fleet_unit_epoch(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    refuse_promotion(&p, &(RigPromotion){.fleet = RIG_HASH, .seq = 6, .bundle = p.other},
                     RIG_KEYS(&r->alice), "other-fleet");
    refuse_promotion(&p, &(RigPromotion){.app = "letters", .seq = 6, .bundle = p.other},
                     RIG_KEYS(&r->alice), "other-unit");
    refuse_promotion(&p, &(RigPromotion){.epoch = 2, .seq = 6, .bundle = p.other},
                     RIG_KEYS(&r->alice), "epoch");
    refuse_promotion(&p, &(RigPromotion){.cluster = "prod2", .seq = 6, .bundle = p.other},
                     RIG_KEYS(&r->alice), "not-target");
    assert_usable(&p, 6, false);
}

static void raise_epoch(SlRoot *root, Rig *r)
{
    (void)r;
    ((SlRootEnv *)(uintptr_t)sl_root_env(root, "prod"))->epoch++;
}

static void epoch_heals(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    refuse_promotion(&p, &(RigPromotion){.seq = UINT64_C(1) << 62, .bundle = p.other},
                     RIG_KEYS(&r->alice), "jump");
    change_root(r, raise_epoch);
    rig_wait(r, SL_SECOND_US);
    assert_kept(&p);
    rig_send_head(r, &(RigHead){.epoch = 1});
    rig_wait(r, SL_SECOND_US);
    rig_assert_refused(r, "head", "epoch");
    r->version = 0;
    r->term = 1;
    g_autofree char *old = rig_publish(
        r, rig_promotion(r, &(RigPromotion){.seq = 6, .bundle = p.other}, RIG_KEYS(&r->alice)));
    g_autofree char *line = g_strdup_printf("unit/digits/prod %s", old);
    sl_map_free(r->list);
    r->list = sl_map_new();
    g_assert_true(sl_map_add(r->list, "unit/digits/prod", old, NULL));
    rig_send_head(r, &(RigHead){.epoch = 2});
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "unit/digits/prod", "epoch");
    assert_kept(&p);
    g_autofree char *again = rig_publish(
        r, rig_promotion(
               r, &(RigPromotion){.act = SL_ACT_REDEPLOY, .epoch = 2, .seq = 1, .bundle = p.bundle},
               RIG_KEYS(&r->alice)));
    sl_map_free(r->list);
    r->list = sl_map_new();
    g_assert_true(sl_map_add(r->list, "unit/digits/prod", again, NULL));
    rig_send_head(r, &(RigHead){.epoch = 2});
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "unit/digits/prod", "promotion", again);
    rig_assert_reported(r, "unit/digits/prod", "seq", "1");
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
}

/* What the epoch voided starts nothing more: no going back, no new run. */
static void old_epoch_starts_nothing(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    g_autofree char *d =
        rig_run_promotion(r, &(RigPromotion){.seq = 6, .bundle = p.other, .auto_to = p.promotion},
                          RIG_KEYS(&r->alice));
    change_root(r, raise_epoch);
    SlAgentInput ill = {.type = SL_AGENT_OBSERVED,
                        .object = {"digits", "gitops.sluice/ModelServer", "-", "a"},
                        .health = SL_HEALTH_DEGRADED,
                        .reason = "CrashLoop"};
    rig_send(r, &ill);
    rig_wait(r, SL_HOUR_US);
    rig_assert_reported(r, "unit/digits/prod", "health", "Degraded");
    rig_assert_reported(r, "unit/digits/prod", "latched", "false");
    rig_assert_reported(r, "unit/digits/prod", "promotion", d);
}

static bool head_is_fresh(Rig *r)
{
    g_autoptr(json_t) view = rig_view(r);
    return sl_json_bool(sl_json_at(view, "head"), "fresh", false);
}

/* The root says how long a head lives, whatever the head says. */
static void head_that_lives_for_ever(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    int64_t lifetime = sl_root_env(r->root, "prod")->head_lifetime_us;
    rig_send_head(r, &(RigHead){.expires = r->now + 1000 * SL_DAY_US});
    g_assert_true(head_is_fresh(r));
    r->now += lifetime + 6 * SL_MINUTE_US;
    rig_tick(r, SL_SECOND_US);
    g_assert_false(head_is_fresh(r));
    rig_crash(r);
    g_assert_false(head_is_fresh(r));
}

static void going_back_to_what_never_ran(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    refuse_promotion(&p, &(RigPromotion){.act = SL_ACT_ROLLBACK, .seq = 6, .bundle = p.other},
                     RIG_KEYS(&r->alice), "never-healthy");
    refuse_promotion(&p, &(RigPromotion){.act = SL_ACT_BREAK_GLASS, .seq = 6, .bundle = p.other},
                     RIG_KEYS(&r->alice), "never-healthy");
    assert_usable(&p, 6, false);
}

static void acts_without_people(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    refuse_promotion(&p, &(RigPromotion){.act = SL_ACT_REDEPLOY, .seq = 6, .bundle = p.bundle},
                     RIG_KEYS(&r->online), "unapproved");
    refuse_promotion(&p, &(RigPromotion){.act = SL_ACT_ROLLBACK, .seq = 6, .bundle = p.bundle},
                     RIG_KEYS(&r->online), "unapproved");
    refuse_promotion(&p, &(RigPromotion){.act = SL_ACT_REMOVE, .seq = 6, .bundle = p.bundle},
                     RIG_KEYS(&r->online), "unapproved");
    refuse_promotion(&p, &(RigPromotion){.act = SL_ACT_BREAK_GLASS, .seq = 6, .bundle = p.bundle},
                     RIG_KEYS(&r->online), "unapproved");
    const RigOrder orders[] = {
        {.act = SL_ACT_RENEW, .scope = "promotion " RIG_HASH, .number = 1},
        {.act = SL_ACT_RESUME, .scope = "unit digits/prod", .number = 1},
        {.act = SL_ACT_START_RUN, .scope = "run-key digits/prod train " RIG_HASH " 1", .number = 1},
    };
    g_autofree char *good = g_strdup_printf("unit/digits/prod %s", p.promotion);
    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autofree char *d = rig_publish(r, rig_order(r, &orders[i], RIG_KEYS(&r->online)));
        g_autofree char *line = g_strdup_printf("order/%s x", d),
                        *what = g_strdup_printf("order/%.16s", d);
        rig_list(r, RIG_LINES(line, good));
        rig_wait(r, 2 * SL_SECOND_US);
        rig_assert_refused(r, what, "unapproved");
    }
    assert_kept(&p);
    assert_usable(&p, 6, false);
}

static void no_role(SlRoot *root, Rig *r)
{
    (void)r;
    for (guint i = 0; i < root->roles->len;) {
        const SlRole *role = root->roles->pdata[i];
        if (role->act == SL_ACT_BREAK_GLASS) {
            g_ptr_array_remove_index(root->roles, i);
        } else {
            i++;
        }
    }
}

static void act_without_role(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    change_root(r, no_role);
    refuse_promotion(&p, &(RigPromotion){.act = SL_ACT_BREAK_GLASS, .seq = 6, .bundle = p.bundle},
                     RIG_KEYS(&r->alice, &r->online), "unapproved");
}

static void wrong_bytes(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    /* The list of objects is not what the digest says: the shell would not store it; the brain
     * hashes again. */
    g_autofree char *b = rig_servers(r, "a b", 7);
    g_hash_table_replace(r->origin, g_strdup(b),
                         g_bytes_ref(g_hash_table_lookup(r->origin, p.other)));
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = b}, RIG_KEYS(&r->alice),
                     "wrong-bytes");
    /* The list is malformed under its right digest. */
    g_autofree char *bad = rig_put(r, "object nonsense\n");
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = bad}, RIG_KEYS(&r->alice),
                     "wrong-bytes");
    /* The object is another one than the list says. */
    g_autoptr(SlBundle) liar = sl_bundle_new();
    g_autofree char *object =
        rig_object(r, liar, "gitops.sluice/ModelServer", "a", "},\"spec\":{\"v\":8");
    GBytes *bytes = g_hash_table_lookup(r->origin, object);
    g_autoptr(SlBundle) lie = sl_bundle_new();
    sl_bundle_add_object(lie, "core/ConfigMap", "-", "a", g_bytes_get_size(bytes), object);
    g_autofree char *b2 = rig_bundle_put(r, lie);
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = b2}, RIG_KEYS(&r->alice),
                     "wrong-bytes");
    /* Targets: duplicate key in a bucket. */
    g_autofree char *lines = g_strdup_printf("prod1 %s\nprod1 %s\n", p.other, p.bundle);
    g_autofree char *bucket = rig_put(r, lines);
    g_autofree char *index = g_strdup_printf("k: 0\n%s\n", bucket), *root = rig_put(r, index);
    refuse_promotion(&p, &(RigPromotion){.seq = 6, .bundle = b, .targets = root},
                     RIG_KEYS(&r->alice), "wrong-bytes");
    /* An entry in the wrong bucket: two buckets that hold each other's lines. */
    g_autofree char *line = g_strdup_printf("prod1 %s\n", p.other), *one = rig_put(r, line),
                    *none = rig_put(r, "");
    uint8_t hash[32];
    sl_sha256_raw("prod1", 5, hash);
    bool high = (hash[0] & 0x80) != 0;
    g_autofree char *index2 =
                        g_strdup_printf("k: 1\n%s\n%s\n", high ? one : none, high ? none : one),
                    *root2 = rig_put(r, index2);
    g_autofree char *d = rig_publish(
        r, rig_promotion(r, &(RigPromotion){.seq = 6, .targets = root2}, RIG_KEYS(&r->alice)));
    g_autofree char *unit = g_strdup_printf("unit/digits/prod %s", d);
    rig_list(r, RIG_LINES(unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_autofree char *kind = rig_refused(r, "unit/digits/prod");
    g_assert_true(strcmp(kind, "not-target") == 0 || strcmp(kind, "wrong-bytes") == 0);
    assert_kept(&p);
    assert_usable(&p, 6, false);
}

static void wrong_list(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    g_autofree char *bucket = rig_put(r, "unit/digits/prod x\nunit/a/prod y\n");
    g_autofree char *index = g_strdup_printf("k: 0\n%s\n", bucket), *root = rig_put(r, index);
    rig_send_head(r, &(RigHead){.desired = root});
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "desired", "wrong-bytes");
    assert_kept(&p);
    rig_list(r, RIG_LINES("unit/digits/prod nonsense", "run/x y", "order/z pause"));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "unit/digits/prod", "malformed");
    assert_kept(&p);
    assert_usable(&p, 6, false);
}

static void statement_never_comes(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    rig_list(r, RIG_LINES("unit/digits/prod " RIG_HASH));
    rig_wait(r, 2 * SL_SECOND_US);
    g_autofree char *waits = rig_reported(r, "flag/waits/digits/prod", "message");
    g_assert_nonnull(strstr(waits, "fetches the statement"));
    assert_kept(&p);
    assert_usable(&p, 6, false);
}

static void old_roots(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    /* A step that eve or the online key signed. */
    r->root->version = 2;
    rig_steps(r, rig_root_sign(r->root, RIG_KEYS(&r->online)), NULL);
    rig_wait(r, SL_SECOND_US);
    rig_assert_refused(r, "root", "root-step");
    /* A good step, then the old root again. */
    rig_steps(r, rig_root_sign(r->root, RIG_KEYS(&r->alice)), NULL);
    rig_steps(r, sl_signed_copy(r->root_text), NULL);
    rig_wait(r, SL_SECOND_US);
    rig_assert_refused(r, "root", "replay");
    refuse_head(&p, &(RigHead){.root = 1}, "old-trust");
    assert_usable(&p, 6, false);
}

static void root_expired(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    r->now = r->root->expires_us + SL_DAY_US;
    refuse_head(&p, &(RigHead){0}, "root-expired");
}

static void dropped_pause(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    g_autofree char *pause = rig_publish(r, rig_order(r,
                                                      &(RigOrder){.act = SL_ACT_PAUSE,
                                                                  .scope = "unit digits/prod",
                                                                  .number = 3,
                                                                  .expires = RIG_T0 + SL_DAY_US},
                                                      RIG_KEYS(&r->alice)));
    g_autofree char *d = rig_publish(
        r, rig_promotion(r, &(RigPromotion){.seq = 6, .bundle = p.other}, RIG_KEYS(&r->alice)));
    g_autofree char *order = g_strdup_printf("order/%s pause", pause),
                    *unit = g_strdup_printf("unit/digits/prod %s", d);
    g_autofree char *good = g_strdup_printf("unit/digits/prod %s", p.promotion);
    rig_list(r, RIG_LINES(order, good));
    rig_list(r, RIG_LINES(unit));
    rig_wait(r, 2 * SL_SECOND_US);
    g_autofree char *waits = rig_reported(r, "flag/waits/digits/prod", "message");
    g_assert_nonnull(strstr(waits, "paused until"));
    assert_kept(&p);
    rig_crash(r);
    rig_send_head(r, &(RigHead){0});
    rig_wait(r, 2 * SL_SECOND_US);
    assert_kept(&p);
    /* An old resume does not end it; a newer one does. */
    g_autofree char *old = rig_publish(
        r, rig_order(r, &(RigOrder){.act = SL_ACT_RESUME, .scope = "unit digits/prod", .number = 2},
                     RIG_KEYS(&r->alice)));
    g_autofree char *old_line = g_strdup_printf("order/%s resume", old),
                    *what = g_strdup_printf("order/%.16s", old);
    rig_list(r, RIG_LINES(old_line, unit));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, what, "replay");
    assert_kept(&p);
    g_autofree char *resume = rig_publish(
        r, rig_order(r, &(RigOrder){.act = SL_ACT_RESUME, .scope = "unit digits/prod", .number = 4},
                     RIG_KEYS(&r->alice)));
    g_autofree char *resume_line = g_strdup_printf("order/%s resume", resume);
    rig_list(r, RIG_LINES(resume_line, unit));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "unit/digits/prod", "promotion", d);
}

static void lost_state(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    g_clear_pointer(&r->slots[0], g_bytes_unref);
    g_clear_pointer(&r->slots[1], g_bytes_unref);
    r->slots[0] = g_bytes_new("sluice-agent-slot 1 7", 21);
    rig_clear(r);
    rig_crash(r);
    g_hash_table_remove_all(r->applied);
    rig_steps(r, sl_signed_copy(r->root_text), rig_registry(r, "prod", 1, RIG_KEYS(&r->alice)));
    /* The coordinator offers an old approval, and an old resume. */
    g_autofree char *old = rig_publish(
        r, rig_promotion(r, &(RigPromotion){.seq = 2, .bundle = p.other}, RIG_KEYS(&r->alice)));
    g_autofree char *resume =
        rig_publish(r, rig_order(r,
                                 &(RigOrder){.act = SL_ACT_RESUME,
                                             .scope = "env prod",
                                             .number = 1,
                                             .cluster = "prod1",
                                             .nonce = "00000000000000000000000000000001"},
                                 RIG_KEYS(&r->alice)));
    g_autofree char *unit = g_strdup_printf("unit/digits/prod %s", old),
                    *order = g_strdup_printf("order/%s resume", resume);
    g_autofree char *what = g_strdup_printf("order/%.16s", resume);
    rig_list(r, RIG_LINES(unit, order));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, what, "old-session");
    g_autofree char *lost = rig_reported(r, "flag/state-lost", "message");
    g_assert_nonnull(strstr(lost, "nonce"));
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 2);
    /* People answer this loss: floors first, then it goes on. */
    g_autofree char *nonce = rig_view_str(r, "lostNonce");
    g_autofree char *floor = g_strdup_printf("digits/prod 5 %s", p.promotion);
    char *floors[] = {floor, NULL};
    g_autofree char *answer = rig_publish(r, rig_order(r,
                                                       &(RigOrder){.act = SL_ACT_RESUME,
                                                                   .scope = "env prod",
                                                                   .number = 2,
                                                                   .cluster = "prod1",
                                                                   .nonce = nonce,
                                                                   .floors = floors},
                                                       RIG_KEYS(&r->alice)));
    g_autofree char *line = g_strdup_printf("order/%s resume", answer);
    rig_list(r, RIG_LINES(unit, line));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_refused(r, "unit/digits/prod", "replay");
    g_assert_cmpuint(rig_count(r, "APPLY"), ==, 0);
    g_autofree char *good = g_strdup_printf("unit/digits/prod %s", p.promotion);
    rig_list(r, RIG_LINES(good, line));
    rig_wait(r, 2 * SL_SECOND_US);
    rig_assert_reported(r, "unit/digits/prod", "promotion", p.promotion);
    rig_assert_reported(r, "flag/state-lost", "message", "");
}

static void model_store_emptied(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    (void)sl_throw(&r->apply_error, SLU_NOT_FOUND, "model sha256:.. is not in the store");
    g_autofree char *d =
        rig_run_promotion(r, &(RigPromotion){.seq = 6, .bundle = p.other, .auto_to = p.promotion},
                          RIG_KEYS(&r->alice));
    rig_wait(r, SL_HOUR_US);
    rig_assert_reported(r, "unit/digits/prod", "health", "Unknown");
    rig_assert_reported(r, "unit/digits/prod", "latched", "false");
    g_assert_cmpuint(g_hash_table_size(r->engine), ==, 2); /* the old versions go on */
    g_assert_cmpuint(rig_count(r, "REMOVE"), ==, 0);
}

static void window_over(void)
{
    g_auto(Prod) p = prod_new(false);
    Rig *r = p.r;
    refuse_promotion(&p,
                     &(RigPromotion){.seq = 6, .bundle = p.other, .until = r->now - SL_MINUTE_US},
                     RIG_KEYS(&r->alice), "window");
    assert_usable(&p, 7, false);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/attacks/online-key-only", online_key_only);
    g_test_add_func("/attacks/too-few-people", too_few_people);
    g_test_add_func("/attacks/revoked-key", revoked_key);
    g_test_add_func("/attacks/author-and-requester", author_and_requester);
    g_test_add_func("/attacks/seq-reused-or-older", seq_reused_or_older);
    g_test_add_func("/attacks/other-environment", other_environment);
    g_test_add_func("/attacks/registry-by-online-key", registry_by_online_key);
    g_test_add_func("/attacks/unit-left-out", unit_left_out);
    g_test_add_func("/attacks/heads", heads);
    g_test_add_func("/attacks/head-withheld", head_withheld);
    g_test_add_func("/attacks/other-fleet-unit-epoch", other_fleet_unit_epoch);
    g_test_add_func("/attacks/epoch-heals", epoch_heals);
    g_test_add_func("/attacks/old-epoch-starts-nothing", old_epoch_starts_nothing);
    g_test_add_func("/attacks/head-that-lives-for-ever", head_that_lives_for_ever);
    g_test_add_func("/attacks/going-back-to-what-never-ran", going_back_to_what_never_ran);
    g_test_add_func("/attacks/acts-without-people", acts_without_people);
    g_test_add_func("/attacks/act-without-role", act_without_role);
    g_test_add_func("/attacks/wrong-bytes", wrong_bytes);
    g_test_add_func("/attacks/wrong-list", wrong_list);
    g_test_add_func("/attacks/statement-never-comes", statement_never_comes);
    g_test_add_func("/attacks/old-roots", old_roots);
    g_test_add_func("/attacks/root-expired", root_expired);
    g_test_add_func("/attacks/dropped-pause", dropped_pause);
    g_test_add_func("/attacks/lost-state", lost_state);
    g_test_add_func("/attacks/model-store-emptied", model_store_emptied);
    g_test_add_func("/attacks/window-over", window_over);
    return g_test_run();
}
