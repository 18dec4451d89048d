/* orders.c - forged orders and lists. Orders that people signed for something else, that the online
 * key signed, that are old; lists that leave out, that can't be read, that name what is not theirs. */
#include "evil.h"

#define NEVER_NUMBER (UINT64_C(1) << 40)

static void scope(Forging *f, SlAct act, char *text)
{
    f->o->act = act;
    g_free(f->o->scope);
    f->o->scope = text;
}

static char *unit_scope(const Forging *f)
{
    return g_strdup_printf("unit %s/%s", forge_app(f->w), f->a->env);
}

static char *digits(char c)
{
    return g_strnfill(64, c);
}

static void pause_unit(Forging *f)
{
    scope(f, SL_ACT_PAUSE, unit_scope(f));
}

static void pause_env(Forging *f)
{
    scope(f, SL_ACT_PAUSE, g_strdup_printf("env %s", f->a->env));
}

static void resume(Forging *f)
{
    scope(f, SL_ACT_RESUME, unit_scope(f));
    f->o->number = 2;
}

static void renew(Forging *f)
{
    g_autofree char *good = forge_good(f->w, f->a);
    scope(f, SL_ACT_RENEW, g_strdup_printf("promotion %s", good));
}

static void start_run(Forging *f)
{
    g_autofree char *key = digits('5');
    scope(f, SL_ACT_START_RUN,
          g_strdup_printf("run-key %s/%s train %s 1", forge_app(f->w), f->a->env, key));
}

static void stop_run(Forging *f)
{
    g_autofree char *id = digits('6');
    scope(f, SL_ACT_STOP_RUN, g_strdup_printf("run %s/%s %s", forge_app(f->w), f->a->env, id));
}

static void other_fleet(Forging *f)
{
    pause_env(f);
    g_free(f->o->fleet);
    f->o->fleet = digits('0');
}

static void dev_order(Forging *f)
{
    scope(f, SL_ACT_PAUSE, g_strdup("env dev"));
    put_text(&f->o->env, "dev");
}

static void other_epoch(Forging *f)
{
    pause_env(f);
    f->o->epoch += 8; /* more than people raise it meanwhile */
}

static void leaps(Forging *f)
{
    pause_env(f);
    f->o->number = NEVER_NUMBER;
}

static void over(Forging *f)
{
    pause_env(f);
    f->o->expires_us = f->w->now - SL_MINUTE_US / 2;
}

static void lost(Forging *f, const char *cluster)
{
    scope(f, SL_ACT_RESUME, unit_scope(f));
    f->o->number = 3;
    put_text(&f->o->cluster, cluster);
    g_free(f->o->nonce);
    f->o->nonce = g_strnfill(32, '0');
}

static void lost_other(Forging *f)
{
    lost(f, "prod99");
}

static void lost_old(Forging *f)
{
    lost(f, f->a->cluster);
}

#define UNAPPROVED KIND("unapproved", SLU_AGENT_UNAPPROVED)

static const Attack ORDERS[] = {
    ROW("pause", UNAPPROVED, "online", pause_unit),
    ROW("pause-env", UNAPPROVED, "online", pause_env),
    ROW("resume", UNAPPROVED, "online", resume),
    ROW("renew", UNAPPROVED, "online", renew),
    ROW("start-run", UNAPPROVED, "online", start_run),
    ROW("stop-run", UNAPPROVED, "online", stop_run),
    ROW("stranger", KIND("unsigned", SLU_AGENT_SIGNER), "mallory", pause_env),
    ROW("fleet", KIND("other-fleet", SLU_AGENT_OTHER_FLEET), "alice", other_fleet),
    ROW("env", KIND("other-environment", SLU_AGENT_OTHER_ENV), "online", dev_order),
    ROW("epoch", KIND("epoch", SLU_AGENT_EPOCH), "alice", other_epoch),
    ROW("leap", KIND("jump", SLU_AGENT_JUMP), "alice", leaps),
    TIMED("over", KIND("expired", SLU_AGENT_EXPIRED), "alice", over),
    ROW("lost-other", KIND("other-cluster", SLU_AGENT_OTHER_CLUSTER), "alice", lost_other),
    ROW("lost-old", KIND("old-session", SLU_AGENT_NONCE), "alice", lost_old),
};

void fire_order(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    g_auto(Forging) f = {0};
    forge_begin(&f, w, attack, a);
    attack->edit(&f);
    g_autoptr(GBytes) text = sl_order_format(f.o, NULL);
    if (text == NULL) {
        return; /* too early: nothing runs yet */
    }
    g_autofree char *digest = forge_statement(&f, SL_STATEMENT_ORDER, text);
    forge_never(w, a, attack, digest);
    g_hash_table_replace(f.lines, g_strdup_printf("order/%s", digest), g_strdup("pause"));
    hand_list(w, a, f.lines);
    shot->entry = g_strdup_printf("refused/order/%.16s", digest);
}

/* ---- lists ---- */

static char *own_unit(const Forging *f)
{
    return g_strdup_printf("unit/%s/%s", forge_app(f->w), f->a->env);
}

static char *good_line(const Forging *f)
{
    g_autofree char *unit = own_unit(f), *good = forge_good(f->w, f->a);
    return g_strdup_printf("%s %s\n", unit, good);
}

static void one_bucket(Forging *f, char *text)
{
    const char *const texts[] = {text};
    f->as = forge_buckets(f->w, texts, 1);
    g_free(text);
}

static void list_unsorted(Forging *f)
{
    g_autofree char *good = good_line(f), *other = digits('7');
    one_bucket(f, g_strdup_printf("unit/zz/%s %s\n%s", f->a->env, other, good));
}

static void list_twice(Forging *f)
{
    g_autofree char *good = good_line(f), *unit = own_unit(f), *other = digits('7');
    one_bucket(f, g_strdup_printf("%s%s %s\n", good, unit, other));
}

static void list_wrong_bucket(Forging *f)
{
    g_autofree char *good = good_line(f);
    const char *const texts[] = {good, good};
    f->as = forge_buckets(f->w, texts, 2);
}

/* Every entry where it belongs, but split finer than the rule says. */
static void list_too_many(Forging *f)
{
    g_autofree char *good = good_line(f), *unit = own_unit(f);
    uint8_t hash[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256(hash, (const uint8_t *)unit, strlen(unit));
    const char *const texts[] = {(hash[0] & 0x80) == 0 ? good : "",
                                 (hash[0] & 0x80) == 0 ? "" : good};
    f->as = forge_buckets(f->w, texts, 2);
}

static void list_no_map(Forging *f)
{
    g_autofree char *good = good_line(f);
    f->as = forge_blob(f->w, good);
}

static void add_line(Forging *f, char *key)
{
    g_hash_table_replace(f->lines, key, digits('7'));
}

static void list_dev_unit(Forging *f)
{
    add_line(f, g_strdup_printf("unit/%s/dev", forge_app(f->w)));
}

static void list_dev_run(Forging *f)
{
    add_line(f, g_strdup_printf("run/%s/dev/train/0", forge_app(f->w)));
}

static void list_run(Forging *f)
{
    add_line(f, g_strdup_printf("run/%s/%s/train/0", forge_app(f->w), f->a->env));
}

static void list_empty(Forging *f)
{
    g_hash_table_remove_all(f->lines);
}

static void list_another_only(Forging *f)
{
    list_empty(f);
    add_line(f, g_strdup_printf("unit/other/%s", f->a->env));
}

#define BAD_MAP KIND("wrong-bytes", SLU_MAP_INVALID)
#define NOT_OURS KIND("other-environment", SLU_AGENT_OTHER_ENV)

static const Attack LISTS[] = {
    ROW("unsorted", BAD_MAP, NULL, list_unsorted),
    ROW("twice", BAD_MAP, NULL, list_twice),
    ROW("wrong-bucket", BAD_MAP, NULL, list_wrong_bucket),
    ROW("too-many-buckets", BAD_MAP, NULL, list_too_many),
    ROW("no-map", BAD_MAP, NULL, list_no_map),
    ROW("unit-of-dev", NOT_OURS, NULL, list_dev_unit),
    ROW("run-of-dev", NOT_OURS, NULL, list_dev_run),
    ROW("run-of-no-job", KIND("run-not-in-bundle", SLU_AGENT_RUN), NULL, list_run),
    WAITS("empty", NULL, list_empty, "kept as it is"),
    WAITS("left-out", NULL, list_another_only, "kept as it is"),
};

/* What the line's refusal is called: the line that was added, or the list. */
static char *entry_of(const Forging *f)
{
    if (f->attack->kind == NULL) {
        return g_strdup_printf("flag/unlisted/%s/%s", forge_app(f->w), f->a->env);
    }
    if (f->as != NULL) {
        return g_strdup("refused/desired");
    }
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, f->lines);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (((char *)value)[0] == '7' && ((char *)value)[1] == '7') {
            return g_strdup_printf("refused/%s", (char *)key);
        }
    }
    return NULL;
}

void fire_list(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    g_auto(Forging) f = {0};
    forge_begin(&f, w, attack, a);
    if (f.p == NULL) {
        return;
    }
    attack->edit(&f);
    shot->entry = entry_of(&f);
    if (f.as != NULL) {
        g_autoptr(SlHead) h = hand_head(w, a, f.as);
        hand_send_head(w, a, h, w->online);
    } else {
        hand_list(w, a, f.lines);
    }
}

const AttackTable ATTACKS_ORDERS = {"order", ORDERS, G_N_ELEMENTS(ORDERS), fire_order};
const AttackTable ATTACKS_LISTS = {"list", LISTS, G_N_ELEMENTS(LISTS), fire_list};
