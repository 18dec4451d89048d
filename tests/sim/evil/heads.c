/* heads.c - forged heads, each an honest one with one thing changed, and steps: roots and registries by
 * whom they must not come from, older, other bytes of the same version. */
#include "evil.h"

static void other_fleet(Forging *f)
{
    g_free(f->h->fleet);
    f->h->fleet = g_strnfill(64, '0');
}

static void other_env(Forging *f)
{
    put_text(&f->h->env, "dev");
}

static void other_cluster(Forging *f)
{
    put_text(&f->h->cluster, "prod99");
}

static void no_session(Forging *f)
{
    g_free(f->h->nonce);
    f->h->nonce = g_strnfill(32, '0');
}

static void other_epoch(Forging *f)
{
    f->h->epoch += 8; /* more than people raise it meanwhile */
}

static void same_version(Forging *f)
{
    f->h->version--;
}

static void older_term(Forging *f)
{
    f->h->term--;
    f->h->version += 1000;
}

static void version_leaps(Forging *f)
{
    f->h->version = INT64_MAX;
}

static void term_leaps(Forging *f)
{
    f->h->term = INT64_MAX;
}

static void from_the_future(Forging *f)
{
    f->h->issued_us += SL_HOUR_US;
    f->h->expires_us = f->h->issued_us + SL_MINUTE_US;
}

static void expired(Forging *f)
{
    f->h->issued_us -= SL_HOUR_US;
    f->h->expires_us = f->h->issued_us + 10 * SL_MINUTE_US;
}

static void lives_too_long(Forging *f)
{
    f->h->issued_us -= 2 * SL_HOUR_US;
    f->h->expires_us = f->w->now + SL_DAY_US;
}

static void older_root(Forging *f)
{
    f->h->root--;
}

static void older_registry(Forging *f)
{
    f->h->registry--;
}

static void none(Forging *f)
{
    (void)f;
}

#define REPLAY KIND("replay", SLU_AGENT_REPLAY)
#define JUMP KIND("jump", SLU_AGENT_JUMP)
#define EXPIRED KIND("expired", SLU_AGENT_EXPIRED)
#define OLD KIND("old-trust", SLU_AGENT_OLD_TRUST)

static const Attack HEADS[] = {
    ROW("of-a-person", KIND("unsigned", SLU_AGENT_SIGNER), "alice", none),
    ROW("of-a-stranger", KIND("unsigned", SLU_AGENT_SIGNER), "mallory", none),
    ROW("fleet", KIND("other-fleet", SLU_AGENT_OTHER_FLEET), "online", other_fleet),
    ROW("env", KIND("other-environment", SLU_AGENT_OTHER_ENV), "online", other_env),
    ROW("cluster", KIND("other-cluster", SLU_AGENT_OTHER_CLUSTER), "online", other_cluster),
    ROW("session", KIND("old-session", SLU_AGENT_NONCE), "online", no_session),
    ROW("epoch", KIND("epoch", SLU_AGENT_EPOCH), "online", other_epoch),
    ROW("same-version", REPLAY, "online", same_version),
    ROW("older-term", REPLAY, "online", older_term),
    ROW("version-leaps", JUMP, "online", version_leaps),
    ROW("term-leaps", JUMP, "online", term_leaps),
    TIMED("future", KIND("future", SLU_AGENT_FUTURE), "online", from_the_future),
    TIMED("expired", EXPIRED, "online", expired),
    TIMED("lives-too-long", EXPIRED, "online", lives_too_long),
    ROW("older-root", OLD, "online", older_root),
    ROW("older-registry", OLD, "online", older_registry),
};

void fire_head(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    g_auto(Forging) f = {0};
    forge_begin(&f, w, attack, a);
    g_autofree char *list = forge_map(w, f.lines);
    f.h = hand_head(w, a, list);
    bool is_first = f.h->version == 1; /* nothing is older than no head at all */
    if (is_first && (attack->edit == same_version || attack->edit == older_term)) {
        return;
    }
    attack->edit(&f);
    g_autoptr(GBytes) text = sl_head_format(f.h, NULL);
    if (text == NULL) {
        return;
    }
    g_autofree char *digest = sl_sha256_hex_bytes(text);
    forge_never(w, a, attack, digest);
    hand_send_head(w, a, f.h, forge_key(w, attack->signers));
    shot->entry = g_strdup("refused/head");
}

/* ---- roots ---- */

/* The newest root of the ledger, read again: a copy to change. */
static void root_begin(Forging *f, World *w, const Attack *attack, Agent *a)
{
    *f = (Forging){.w = w, .a = a, .attack = attack};
    g_autoptr(GBytes) text = sl_root_format(w->root, NULL);
    f->root = sl_root_parse(text, NULL);
    f->root->version = w->root->version + 1;
    f->root->expires_us -= 3 * SL_DAY_US; /* no honest root has this line */
}

static void mallorys(Forging *f)
{
    SlRootKey *key = g_ptr_array_index(f->root->root_keys, 0);
    sl_public_key_free(key->key);
    key->key = forge_public(f->w, "mallory");
}

/* Over more versions than people make while it is on its way: then it would be the next one. */
static void skips(Forging *f)
{
    f->root->version += 8;
}

static void last_root(Forging *f)
{
    f->root->version = INT64_MAX;
}

static void same_root_version(Forging *f)
{
    g_autoptr(GBytes) now = sl_root_format(f->w->root, NULL);
    g_autofree char *text = g_strndup(g_bytes_get_data(now, NULL), g_bytes_get_size(now));
    f->root->version--;
    f->vain = !forge_is_known(f->w, f->a, "root.text", text);
}

#define STEP KIND("root-step", SLU_AGENT_ROOT_STEP)

static void root_replay(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    (void)attack;
    if (w->root->version > 1) {
        hand_steps(w, a, w->root_text, NULL);
        shot->entry = g_strdup("refused/root");
    }
}

static const Attack ROOTS[] = {
    ROW("by-online", STEP, "online", none),
    ROW("old-threshold-only", STEP, "alice", mallorys),
    ROW("new-threshold-only", STEP, "mallory", mallorys),
    ROW("left-out", STEP, "alice", skips),
    ROW("other-bytes", STEP, "alice", same_root_version),
    ROW("last", STEP, "alice", last_root),
    {.name = "older", KIND("replay", SLU_AGENT_REPLAY), .act = root_replay},
};

void fire_root(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    g_auto(Forging) f = {0};
    root_begin(&f, w, attack, a);
    attack->edit(&f);
    g_autoptr(GBytes) text = sl_root_format(f.root, NULL);
    if (text == NULL || f.vain) {
        return;
    }
    /* One key of this attack alone marks the text in a slot. */
    g_autofree char *digest = forge_statement(&f, SL_STATEMENT_ROOT, text);
    g_autofree char *marks = sl_format_time(f.root->expires_us);
    g_autofree char *line = g_strdup_printf("expires: %s", marks);
    forge_never(w, a, attack, line);
    hand_steps(w, a, g_hash_table_lookup(w->forged_statements, digest), NULL);
    shot->entry = g_strdup("refused/root");
}

/* ---- registries ---- */

static SlSigned *registry_of(World *w, const Agent *a, bool oldest)
{
    for (guint i = 0; i < w->ledger->len; i++) {
        const json_t *event = w->ledger->pdata[oldest ? i : w->ledger->len - 1 - i];
        const json_t *registry = sl_json_at(event, "registry");
        g_autoptr(SlSigned) s =
            g_strcmp0(sl_json_str(event, "type"), "Registry") == 0 && registry != NULL
                ? sl_signed_from_json(registry, NULL)
                : NULL;
        g_autoptr(SlRegistry) r = s != NULL ? sl_registry_parse(s->text, NULL) : NULL;
        if (r != NULL && strcmp(r->env, a->env) == 0) {
            return g_steal_pointer(&s);
        }
    }
    return NULL;
}

static void next_registry(Forging *f)
{
    f->r->version++;
}

/* Signed by people as the true one is. */
static void same_registry_version(Forging *f)
{
    g_autoptr(SlSigned) now = registry_of(f->w, f->a, false);
    g_autofree char *text =
        g_strndup(g_bytes_get_data(now->text, NULL), g_bytes_get_size(now->text));
    f->vain = !forge_is_known(f->w, f->a, "registry.text", text);
}

static void devs_registry(Forging *f)
{
    put_text(&f->r->env, "dev");
    f->r->version += 9;
}

static void fleets_registry(Forging *f)
{
    g_free(f->r->fleet);
    f->r->fleet = g_strnfill(64, '0');
}

static void leaps_registry(Forging *f)
{
    f->r->version = UINT64_C(1) << 50;
}

static void registry_replay(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    (void)attack;
    g_autoptr(SlSigned) first = registry_of(w, a, true), now = registry_of(w, a, false);
    if (first != NULL && !g_bytes_equal(first->text, now->text)) {
        hand_steps(w, a, NULL, first);
        shot->entry = g_strdup("refused/registry");
    }
}

static const Attack REGISTRIES[] = {
    ROW("of-dev", KIND("other-environment", SLU_AGENT_OTHER_ENV), "online", devs_registry),
    ROW("by-online", KIND("unapproved", SLU_AGENT_REGISTRY), "online", next_registry),
    ROW("by-a-stranger", KIND("unsigned", SLU_AGENT_SIGNER), "mallory", next_registry),
    ROW("fleet", KIND("other-fleet", SLU_AGENT_OTHER_FLEET), "alice", fleets_registry),
    ROW("other-bytes", KIND("seq-reused", SLU_AGENT_SEQ_BYTES), "alice", same_registry_version),
    ROW("leap", KIND("jump", SLU_AGENT_JUMP), "alice", leaps_registry),
    {.name = "older", KIND("replay", SLU_AGENT_REPLAY), .act = registry_replay},
};

/* A registry of one cluster, the victim's own, under a key of the thief's. */
void fire_registry(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    g_auto(Forging) f = {.w = w, .a = a, .attack = attack};
    g_autoptr(SlSigned) now = registry_of(w, a, false);
    f.r = now != NULL ? sl_registry_parse(now->text, NULL) : NULL;
    if (f.r == NULL) {
        return;
    }
    g_autofree char *values = g_strdup_printf("name=%s stolen=yes", a->cluster);
    g_free(f.r->clusters);
    f.r->clusters = forge_map_of(w, a->cluster, values);
    attack->edit(&f);
    g_autoptr(GBytes) text = sl_registry_format(f.r, NULL);
    if (text == NULL || f.vain) {
        return;
    }
    g_autofree char *digest = forge_statement(&f, SL_STATEMENT_REGISTRY, text);
    forge_never(w, a, attack, f.r->clusters);
    hand_steps(w, a, NULL, g_hash_table_lookup(w->forged_statements, digest));
    shot->entry = g_strdup("refused/registry");
}

const AttackTable ATTACKS_HEADS = {"head", HEADS, G_N_ELEMENTS(HEADS), fire_head};
const AttackTable ATTACKS_ROOTS = {"root", ROOTS, G_N_ELEMENTS(ROOTS), fire_root};
const AttackTable ATTACKS_REGISTRIES = {"registry", REGISTRIES, G_N_ELEMENTS(REGISTRIES),
                                        fire_registry};
