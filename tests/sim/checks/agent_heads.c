/* agent_heads.c - which heads an agent may believe, and what it may start: judged when a head comes
 * in, compared with what the agent later says that it follows. One-sided: a checker only complains
 * where no reading of the clocks allows it. */
#include "book.h"

#define SKEW_US (6 * SL_MINUTE_US) /* trusted time is at most what a clock or a head ever said */
#define SLACK_US (SL_MINUTE_US)    /* between a decision and the effect that shows it */

static bool is_online(const World *w, const SlSigned *s)
{
    g_autoptr(GPtrArray) signers = sl_signed_signers(s, SL_STATEMENT_HEAD, NULL);
    for (guint i = 0; i < signers->len; i++) {
        if (strcmp(((const SlPublicKey *)signers->pdata[i])->line, w->online_key->line) == 0) {
            return true;
        }
    }
    return false;
}

/* Could this agent believe it now? Root, registry and order are looked at where it says that it
 * did. */
static bool is_believable(World *w, const Agent *a, const SlHead *h, const SlSigned *s)
{
    return is_online(w, s) && strcmp(h->fleet, w->root->fleet) == 0 &&
           strcmp(h->env, a->env) == 0 && strcmp(h->cluster, a->cluster) == 0 &&
           g_strcmp0(h->nonce, a->nonce) == 0 && clock_now(w, &a->clock) < h->expires_us;
}

static void take_head(World *w, const Agent *a, const SlSigned *s)
{
    Yard *y = yard_of(w, a);
    g_autoptr(SlHead) h = sl_head_parse(s->text, NULL);
    if (h != NULL && is_believable(w, a, h, s)) {
        g_autofree char *digest = sl_signed_digest(s);
        g_hash_table_replace(y->heads, g_steal_pointer(&digest),
                             g_strdup_printf("%" G_GUINT64_FORMAT, h->epoch));
        y->fresh_until_us = MAX(y->fresh_until_us, h->expires_us);
    }
}

static void judge_report(World *w, Agent *a, const SlReport *r)
{
    Yard *y = yard_of(w, a);
    if (r->head == NULL) {
        return;
    }
    const char *epoch = g_hash_table_lookup(y->heads, r->head);
    if (epoch == NULL) {
        fail(w, "%s follows head %.12s, which it could not believe when it came", a->cluster,
             r->head);
        return;
    }
    uint64_t of = 0;
    (void)sl_parse_uint64(epoch, &of);
    bool back =
        of < y->epoch ||
        (of == y->epoch && (r->term < y->term || (r->term == y->term && r->version < y->version)));
    if (back) {
        fail(w,
             "%s goes back from head (%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
             ", %" G_GUINT64_FORMAT ") to (%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
             ", %" G_GUINT64_FORMAT ")",
             a->cluster, y->epoch, y->term, y->version, of, r->term, r->version);
    }
    y->epoch = of;
    y->term = r->term;
    y->version = r->version;
}

void check_heads(World *w, const Moment *m)
{
    Yard *y = yard_of(w, m->agent);
    if (m->type == AT_AGENT_INPUT) {
        y->clock_us = MAX(y->clock_us, clock_now(w, &m->agent->clock));
        if (m->agent_in->type == SL_AGENT_HEAD) {
            take_head(w, m->agent, m->agent_in->statement);
        }
    } else if (m->effect->type == SL_AGENT_DO_REPORT) {
        const SlReport *r = yard_report(w, m->agent, m->effect->statement);
        if (r == NULL) {
            fail(w, "%s sends a report that can't be read", m->agent->cluster);
        } else {
            judge_report(w, m->agent, r);
        }
    }
}

/* Nothing new starts on a head that has ended: taking up a promotion, placing a run. */
void check_fresh(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    const Yard *y = yard_of(w, m->agent);
    bool takes_up = e->type == SL_AGENT_DO_LOG && g_strcmp0(e->event, "accepted") == 0;
    if (takes_up && clock_now(w, &m->agent->clock) > y->fresh_until_us + SLACK_US) {
        fail(w, "%s takes up something new after its last head ended: %s", m->agent->cluster,
             e->message);
    }
}

/* ---- pauses ---- */

static YardPause *pause_known(const Yard *y, const char *digest)
{
    for (guint i = 0; i < y->pauses->len; i++) {
        YardPause *p = y->pauses->pdata[i];
        if (strcmp(p->digest, digest) == 0) {
            return p;
        }
    }
    return NULL;
}

/* A newer order of the same scope ends it. */
static void end_pause(Yard *y, const SlOrder *by)
{
    for (guint i = y->pauses->len; i > 0; i--) {
        const YardPause *p = y->pauses->pdata[i - 1];
        if (strcmp(p->scope, by->scope) == 0 && p->number < by->number) {
            g_ptr_array_remove_index(y->pauses, i - 1);
        }
    }
}

/* "in force": the agent says that it took an order. Which one stands in its statements. */
static void take_order(World *w, const Agent *a, const SlSigned *s)
{
    Yard *y = yard_of(w, a);
    g_autoptr(SlOrder) order = sl_order_parse(s->text, NULL);
    g_autofree char *digest = sl_signed_digest(s);
    if (order == NULL || strcmp(order->env, a->env) != 0) {
        return;
    }
    if (order->act == SL_ACT_PAUSE && pause_known(y, digest) == NULL) {
        YardPause *p = g_new0(YardPause, 1);
        p->scope = g_strdup(order->scope);
        p->digest = g_steal_pointer(&digest);
        p->epoch = order->epoch;
        p->number = order->number;
        p->expires_us = order->expires_us;
        g_ptr_array_add(y->pauses, p);
    }
}

/* A pause counts once a slot was seen to hold it; an order that came later and is in its floors ends
 * it there too. A slot whose fsync failed may be there at the next start: what it ends is over, what
 * it holds (@saved is false) need not be read again after the next crash. */
static void read_slot(World *w, Agent *a, bool saved)
{
    Yard *y = yard_of(w, a);
    const json_t *floors = y->pauses->len > 0 ? sl_json_at(yard_slot(w, a), "floors") : NULL;
    for (guint i = 0; i < y->pauses->len && floors != NULL;) {
        YardPause *p = y->pauses->pdata[i];
        const json_t *floor = json_object_get(floors, p->scope);
        const char *digest = sl_json_str(floor, "digest");
        bool newer = sl_json_int(floor, "number", 0) > (int64_t)p->number;
        const SlSigned *by =
            newer && digest != NULL ? g_hash_table_lookup(w->statements, digest) : NULL;
        g_autoptr(SlOrder) order = by != NULL ? sl_order_parse(by->text, NULL) : NULL;
        if (order != NULL && order->act != SL_ACT_PAUSE) {
            end_pause(y, order); /* this one at least */
            i = 0;
            continue;
        }
        /* A newer pause takes its place. */
        p->firm = newer ? false : p->firm || (saved && g_strcmp0(digest, p->digest) == 0);
        i++;
    }
}

static bool concerns(const YardPause *p, const Agent *a, const char *app)
{
    g_autofree char *env = g_strdup_printf("env %s", a->env);
    g_autofree char *unit = g_strdup_printf("unit %s/%s", app, a->env);
    return strcmp(p->scope, env) == 0 || strcmp(p->scope, unit) == 0;
}

/* A head that is not over vouches for a clock: one that is ahead by less than a head's life ends a
 * pause that much too early. One that is further ahead ends it only as long as it is wrong. */
static bool is_over(World *w, const Agent *a, const YardPause *p)
{
    const SlRootEnv *env = sl_root_env(book_root_newest(book_of(w)), a->env);
    if (p->epoch < env->epoch) {
        return true; /* void: the root says so */
    }
    int64_t vouched_us = env->head_lifetime_us + SKEW_US;
    bool was_ahead = MAX(yard_of(w, a)->clock_us, w->now) + SKEW_US >= p->expires_us;
    return was_ahead && MAX(agent_now(w, a), w->now) + vouched_us >= p->expires_us;
}

/* A pause once received holds until its end or an order of people with a higher number. */
void check_paused(World *w, const Moment *m)
{
    Yard *y = yard_of(w, m->agent);
    if (m->type == AT_AGENT_INPUT) {
        if (m->agent_in->type == SL_AGENT_STATEMENT) {
            take_order(w, m->agent, m->agent_in->statement);
        } else if (m->agent_in->type == SL_AGENT_SAVED && m->agent_in->error == NULL) {
            read_slot(w, m->agent, true);
        } else if (m->agent_in->type == SL_AGENT_START) {
            read_slot(w, m->agent, false);
        }
        return;
    }
    const SlAgentEffect *e = m->effect;
    bool changes = e->type == SL_AGENT_DO_APPLY || e->type == SL_AGENT_DO_REMOVE;
    for (guint i = 0; changes && i < y->pauses->len; i++) {
        const YardPause *p = y->pauses->pdata[i];
        if (p->firm && !is_over(w, m->agent, p) && concerns(p, m->agent, e->app)) {
            fail(w, "%s changes %s of %s while it is paused (%s, number %" G_GUINT64_FORMAT ")",
                 m->agent->cluster, e->name, e->app, p->scope, p->number);
        }
    }
}

/* ---- what it says ---- */

/* A report that nobody acknowledged is said again word for word: it was true when it was made. */
static bool is_said_again(World *w, const Agent *a, const SlSigned *s)
{
    Yard *y = yard_of(w, a);
    bool again = y->said != NULL && g_bytes_equal(y->said, s->text);
    if (!again) {
        g_clear_pointer(&y->said, g_bytes_unref);
        y->said = g_bytes_ref(s->text);
    }
    return again;
}

/* A unit that is said to be Healthy on a bundle stands there, Healthy, or did so a moment ago: somebody
 * may have taken it away since, but nobody wrote other bytes. */
void check_honest(World *w, const Moment *m)
{
    const SlAgentEffect *e = m->effect;
    Agent *a = m->agent;
    if (e->type != SL_AGENT_DO_REPORT || is_said_again(w, a, e->statement)) {
        return;
    }
    const SlReport *r = yard_report(w, a, e->statement);
    for (guint i = 0; r != NULL && i < r->changes->len; i++) {
        const char *line = r->changes->pdata[i];
        const char *json = g_str_has_prefix(line, "unit/") ? strchr(line, ' ') : NULL;
        g_autoptr(json_t) unit =
            json != NULL ? sl_json_parse(json, strlen(json), NULL, "unit", NULL) : NULL;
        if (unit == NULL || strcmp(sl_json_str_or(unit, "health", ""), "Healthy") != 0) {
            continue;
        }
        g_auto(GStrv) words = g_strsplit(line, "/", 3);
        const char *bundle = sl_json_str_or(unit, "bundle", "-");
        g_autofree char *key = g_strdup_printf("%s %s", words[1], bundle);
        Yard *y = yard_of(w, a);
        if (yard_is_another(w, a, bundle)) {
            fail(w, "%s says that %s is Healthy on bundle %.12s, and other bytes stand there",
                 a->cluster, words[1], bundle);
        } else if (!g_hash_table_contains(y->healthy, key) && !yard_all_healthy(w, a, bundle)) {
            fail(w, "%s says that %s is Healthy on bundle %.12s, which never stood there",
                 a->cluster, words[1], bundle);
        }
        GHashTable *claims = world_keep_table(w, "claims");
        g_hash_table_replace(
            claims,
            g_strdup_printf("%s %s %s", a->cluster, bundle, sl_json_str_or(unit, "promotion", "-")),
            g_strdup_printf("%" G_GINT64_FORMAT, w->now));
    }
}

/* ---- limits ---- */

#define FETCHES_MAX 16 /* agent/brain/state.h, by their reasons: one session's share */
#define OPS_MAX 64
#define SLOT_BYTES_MAX (64 * 1024 * 1024)

static void count_fetch(World *w, const Moment *m)
{
    Yard *y = yard_of(w, m->agent);
    const SlAgentInput *in = m->agent_in;
    switch (in->type) {
    case SL_AGENT_BLOB:
    case SL_AGENT_STATEMENT:
    case SL_AGENT_MISSING:
        g_hash_table_remove(y->fetches, in->digest);
        break;
    case SL_AGENT_START:
    case SL_AGENT_CONNECTED:
    case SL_AGENT_DISCONNECTED:
    case SL_AGENT_RESET:
        g_hash_table_remove_all(y->fetches);
        break;
    default:
        break;
    }
}

/* I8: what an agent has open, writes and says is bounded by name. */
void check_agent_limits(World *w, const Moment *m)
{
    Yard *y = yard_of(w, m->agent);
    if (m->type == AT_AGENT_INPUT) {
        count_fetch(w, m);
        return;
    }
    const SlAgentEffect *e = m->effect;
    gsize size = e->statement != NULL ? g_bytes_get_size(e->statement->text) : 0;
    gsize slot = e->type == SL_AGENT_DO_SAVE ? g_bytes_get_size(e->bytes) : 0;
    if (e->type == SL_AGENT_DO_FETCH) {
        g_hash_table_replace(y->fetches, g_strdup(e->digest),
                             g_strdup_printf("%" G_GINT64_FORMAT, w->now));
    }
    GHashTableIter iter;
    gpointer at;
    unsigned open = 0;
    g_hash_table_iter_init(&iter, y->fetches);
    while (e->type == SL_AGENT_DO_FETCH && g_hash_table_iter_next(&iter, NULL, &at)) {
        int64_t since = 0;
        bool known = sl_parse_int64(at, &since);
        open += known && w->now - since < SL_MINUTE_US ? 1 : 0; /* older ones timed out */
    }
    if (open > FETCHES_MAX || size > SL_STATEMENT_MAX || slot > SLOT_BYTES_MAX) {
        fail(w, "%s: %u fetches open, a statement of %zu bytes, a slot of %zu bytes",
             m->agent->cluster, open, size, slot);
    }
}
