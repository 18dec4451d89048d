/* orders.c - pause, resume, renew, start-run and stop-run. An order that passed its checks leaves a
 * floor for its scope that never goes down within an epoch, so that none counts twice. A pause
 * holds until its expiry or a resume with a higher number, listed or not. */
#include "agent/brain/state.h"

void sl_agent_order_free(SlAgentOrder *o)
{
    if (o == NULL) {
        return;
    }
    g_free(o->digest);
    sl_signed_free(o->statement);
    sl_order_free(o->order);
    g_free(o);
}

static bool was_taken(const SlAgent *a, const char *digest)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->floors);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (strcmp(((const SlFloor *)value)->digest, digest) == 0) {
            return true;
        }
    }
    return false;
}

/* The coordinator's next number has to be above it, also after its ledger was restored. */
static void say_floor(SlAgent *a, const char *scope, const SlFloor *floor)
{
    g_autofree char *key = g_strdup_printf("floor/%s", scope);
    g_strdelimit(key, " ", '/');
    json_t *o = floor != NULL ? json_object() : NULL;
    if (o != NULL) {
        sl_json_set_int(o, "number", (int64_t)floor->number);
    }
    sl_agent_entry(a, key, o, false);
}

void sl_agent_floors_say(SlAgent *a)
{
    GHashTableIter iter;
    gpointer scope, floor;
    g_hash_table_iter_init(&iter, a->floors);
    while (g_hash_table_iter_next(&iter, &scope, &floor)) {
        say_floor(a, scope, floor);
    }
}

void sl_agent_floors_forget(SlAgent *a)
{
    GHashTableIter iter;
    gpointer scope, value;
    g_hash_table_iter_init(&iter, a->floors);
    while (g_hash_table_iter_next(&iter, &scope, &value)) {
        SlFloor *floor = value;
        say_floor(a, scope, NULL);
        g_free(floor->digest);
        g_free(floor);
        g_hash_table_iter_remove(&iter);
    }
}

static void set_floor(SlAgent *a, const SlAgentOrder *o)
{
    SlFloor *floor = g_hash_table_lookup(a->floors, o->order->scope);
    if (floor == NULL) {
        floor = g_new0(SlFloor, 1);
        g_hash_table_insert(a->floors, g_strdup(o->order->scope), floor);
    }
    floor->number = o->order->number;
    g_free(floor->digest);
    floor->digest = g_strdup(o->digest);
    say_floor(a, o->order->scope, floor);
}

/* A later order of the same scope ends the earlier one. */
static void end_earlier(SlAgent *a, const SlAgentOrder *by)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->orders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        SlAgentOrder *o = value;
        if (o != by && o->in_force && strcmp(o->order->scope, by->order->scope) == 0) {
            o->in_force = false;
        }
    }
}

static void take_floor(SlAgent *a, const char *text, bool whole_env)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 4);
    char *slash = strchr(words[0], '/');
    if (slash == NULL || words[1] == NULL || words[2] == NULL) {
        return; /* the parser refused such a line already */
    }
    *slash = '\0';
    SlUnit *u = sl_agent_unit(a, words[0]);
    uint64_t seq = 0;
    if (u == NULL || !sl_parse_uint64(words[1], &seq)) {
        return;
    }
    u->epoch = sl_root_env(a->root, a->env)->epoch;
    u->seq = seq;
    g_free(u->floor);
    u->floor = g_strdup(words[2]);
    u->resumed = u->resumed || !whole_env;
}

/* People say from where an agent that lost its state goes on: floors first, then it may start. */
static void end_loss(SlAgent *a, const SlOrder *order)
{
    g_autofree char *app = sl_order_app(order);
    for (size_t i = 0; order->unit_floors != NULL && order->unit_floors[i] != NULL; i++) {
        take_floor(a, order->unit_floors[i], app == NULL);
    }
    if (app == NULL) {
        g_clear_pointer(&a->lost_nonce, g_free);
        a->lost_us = 0;
    } else {
        SlUnit *u = sl_agent_unit(a, app);
        if (u != NULL) {
            u->resumed = true;
        }
    }
    sl_agent_log(a, false, "resumed", "a resume order ends the loss of state of %s",
                 app != NULL ? app : "this agent");
}

static void enter_order(SlAgent *a, SlAgentOrder *o)
{
    set_floor(a, o);
    end_earlier(a, o);
    o->in_force = o->order->act != SL_ACT_RESUME;
    o->taken = true;
    if (o->order->act == SL_ACT_RESUME && o->order->nonce != NULL) {
        end_loss(a, o->order);
    }
    sl_agent_log(a, false, "order", "%s of %s is in force: %s", sl_act_name(o->order->act),
                 o->order->scope, o->order->reason);
    sl_agent_dirty(a);
    sl_agent_units_recheck(a);
    a->report_now = true;
}

/* A pause and the resume that ended it come in one list to whoever was away, their bytes in any order:
 * the earlier is no replay then, it only has nothing to say any more. */
static bool ended_by_companion(const SlAgent *a, const SlAgentOrder *o)
{
    const SlFloor *floor =
        o->order != NULL ? g_hash_table_lookup(a->floors, o->order->scope) : NULL;
    const SlAgentOrder *later =
        floor != NULL ? g_hash_table_lookup(a->orders, floor->digest) : NULL;
    return later != NULL && later->listed && later->came == o->came &&
           o->order->number < floor->number;
}

static void check_order(SlAgent *a, SlAgentOrder *o)
{
    if (was_taken(a, o->digest)) {
        o->taken = true;
        return;
    }
    if (o->refused && a->elapsed_us < o->retry_us) {
        sl_agent_wake(a, o->retry_us);
        return;
    }
    if (o->statement == NULL) {
        g_autofree char *waiter = g_strdup_printf("order %s", o->digest);
        const SlSigned *s = sl_agent_statement(a, o->digest, waiter);
        if (s == NULL) {
            return;
        }
        o->statement = sl_signed_copy(s);
    }
    if (o->order == NULL) {
        o->order = sl_order_parse(o->statement->text, NULL); /* the checks say what is wrong */
    }
    if (ended_by_companion(a, o)) {
        o->taken = true;
        return;
    }
    SlCheck check = sl_check_order(a, o);
    o->refused = check == SL_CHECK_REFUSED;
    if (check == SL_CHECK_OK) {
        g_autofree char *what = g_strdup_printf("order/%.16s", o->digest);
        sl_agent_unrefuse(a, what);
        enter_order(a, o);
    } else {
        g_clear_pointer(&o->statement, sl_signed_free); /* it may come with more signatures */
        g_clear_pointer(&o->order, sl_order_free);
        g_hash_table_remove(a->statements, o->digest);
        o->retry_us = a->elapsed_us + SL_AGENT_RETRY_REFUSED_US;
        sl_agent_wake(a, o->retry_us);
    }
}

/* An order that is over is forgotten for good, its floor lets it in no second time: so only at a time
 * that a head in force vouches for. A clock that once jumped ahead must not end a pause that holds
 * again after it was corrected. */
static void check_in_force(SlAgent *a, SlAgentOrder *o)
{
    bool over = sl_agent_trusted(a) >= o->order->expires_us;
    if (over != o->over) {
        o->over = over;
        sl_agent_units_recheck(a);
    }
    if (!over) {
        sl_agent_wake_at(a, o->order->expires_us);
    } else if (sl_agent_head_fresh(a)) {
        o->in_force = false;
        sl_agent_lazy(a);
    }
}

static void pause_flags(SlAgent *a)
{
    g_autofree char *text = NULL;
    int64_t until = 0;
    if (sl_agent_paused(a, NULL, &until)) {
        g_autofree char *when = sl_format_time(until);
        text = g_strdup_printf("the environment is paused until %s or a resume order", when);
    }
    sl_agent_flag(a, "paused", text, a->now_us);
    g_autofree char *lost = NULL;
    if (a->lost_nonce != NULL) {
        g_autofree char *when = sl_format_time(a->lost_us);
        lost = g_strdup_printf(
            "both state slots were lost at %s; a resume order must bind cluster %s and nonce %s",
            when, a->cluster, a->lost_nonce[0] != '\0' ? a->lost_nonce : "-");
    }
    bool said = a->lost_nonce != NULL && a->lost_nonce[0] != '\0';
    sl_agent_flag_nonce(a, "state-lost", lost, a->lost_us, said ? a->lost_nonce : NULL);
}

static void stop_asking(SlAgent *a, const SlAgentOrder *o)
{
    g_autofree char *waiter = g_strdup_printf("order %s", o->digest);
    sl_agent_fetch_drop(a, waiter);
}

static void forget_unlisted(SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->orders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlAgentOrder *o = value;
        if (!o->in_force && !o->listed) {
            stop_asking(a, o);
            g_hash_table_iter_remove(&iter);
        }
    }
}

/* Refused or over before one that is only not listed (yet), then the oldest. */
static bool goes_before(const SlAgentOrder *o, const SlAgentOrder *other)
{
    bool done = o->refused || o->taken, other_done = other->refused || other->taken;
    if (done != other_done) {
        return done;
    }
    return o->came != other->came ? o->came < other->came : strcmp(o->digest, other->digest) < 0;
}

/* What is in force stays, and what was not looked at yet: only that can be a valid order. */
bool sl_agent_orders_room(SlAgent *a)
{
    if (g_hash_table_size(a->orders) < SL_AGENT_ORDERS_MAX) {
        return true;
    }
    const SlAgentOrder *first = NULL;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->orders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlAgentOrder *o = value;
        bool gives_way = !o->in_force && (o->refused || o->taken || !o->listed);
        if (gives_way && (first == NULL || goes_before(o, first))) {
            first = o;
        }
    }
    if (first != NULL) {
        stop_asking(a, first);
        g_hash_table_remove(a->orders, first->digest);
    }
    return first != NULL;
}

void sl_agent_orders_settle(SlAgent *a)
{
    if (a->root == NULL) {
        return;
    }
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->orders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_ptr_array_add(all, value);
    }
    for (guint i = 0; i < all->len; i++) {
        SlAgentOrder *o = all->pdata[i];
        if (o->in_force) {
            check_in_force(a, o);
        } else if (o->listed && !o->taken) {
            check_order(a, o);
        }
    }
    forget_unlisted(a);
    pause_flags(a);
}

/* ---- questions ---- */

static bool holds(const SlAgent *a, const SlAgentOrder *o, SlAct act)
{
    return o->in_force && o->order->act == act && sl_agent_trusted(a) < o->order->expires_us;
}

/* What an order lets begin needs its signatures still: a root that came since may have revoked them,
 * or ask for more. What it ended or holds up stays so, whoever signed that. */
static bool still_signed(const SlAgent *a, const SlAgentOrder *o, const char *app)
{
    SlPolicyAsk ask = {
        .env = a->env, .app = app, .act = o->order->act, .requester = o->order->requester};
    return sl_policy_check(a->root, &ask, o->statement, SL_STATEMENT_ORDER, NULL, NULL);
}

/* Is one in force for @scope? With @app its signatures must suffice still, for that application. */
static bool is_ordered(const SlAgent *a, SlAct act, const char *scope, const char *app)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->orders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlAgentOrder *o = value;
        if (holds(a, o, act) && strcmp(o->order->scope, scope) == 0 &&
            (app == NULL || still_signed(a, o, app))) {
            return true;
        }
    }
    return false;
}

bool sl_agent_start_ordered(const SlAgent *a, const char *app, const char *scope)
{
    return is_ordered(a, SL_ACT_START_RUN, scope, app);
}

bool sl_agent_stop_ordered(const SlAgent *a, const char *scope)
{
    return is_ordered(a, SL_ACT_STOP_RUN, scope, NULL);
}

bool sl_agent_orders_wait(const SlAgent *a)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->orders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlAgentOrder *o = value;
        if (o->listed && o->statement == NULL && !o->in_force && !o->refused && !o->taken) {
            return true;
        }
    }
    return false;
}

bool sl_agent_paused(const SlAgent *a, const char *app, int64_t *ret_until_us)
{
    g_autofree char *env = g_strdup_printf("env %s", a->env);
    g_autofree char *unit = app != NULL ? g_strdup_printf("unit %s/%s", app, a->env) : NULL;
    bool paused = false;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, a->orders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlAgentOrder *o = value;
        if (holds(a, o, SL_ACT_PAUSE) &&
            (strcmp(o->order->scope, env) == 0 || g_strcmp0(o->order->scope, unit) == 0)) {
            *ret_until_us =
                paused ? MAX(*ret_until_us, o->order->expires_us) : o->order->expires_us;
            paused = true;
        }
    }
    return paused;
}

/* The order's own check knew no application: its role is judged again with that of the promotion.
 */
bool sl_agent_renewed(const SlAgent *a, const char *promotion, const char *app)
{
    g_autofree char *scope = g_strdup_printf("promotion %s", promotion);
    return is_ordered(a, SL_ACT_RENEW, scope, app);
}

bool sl_agent_is_lost(const SlAgent *a, const char *app)
{
    if (a->lost_nonce == NULL || a->root == NULL) {
        return a->root == NULL;
    }
    const SlUnit *u = g_hash_table_lookup(a->units, app);
    SlPolicyAsk ask = {.env = a->env, .app = app, .act = SL_ACT_PROMOTE};
    SlPolicyNeed need = {0};
    sl_policy_need(a->root, &ask, &need);
    bool guarded = !need.allowed || need.threshold > 0;
    sl_policy_need_clear(&need);
    return guarded && !(u != NULL && u->resumed);
}
