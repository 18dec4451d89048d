/* hand.c - hands forged things to an agent as the coordinator would: in heads and steps, over the true
 * coordinator's own connection. While he holds an agent, nothing else from there reaches it. */
#include "evil.h"

typedef struct {
    bool mine;
    const Agent *held;
    unsigned lists;
} Hand;

static void *hand_new(void)
{
    return g_new0(Hand, 1);
}

static Hand *hand_of(World *w)
{
    return world_keep(w, "hand", hand_new, g_free);
}

bool hand_is_mine(World *w)
{
    return hand_of(w)->mine;
}

void hand_hold(World *w, Agent *a)
{
    hand_of(w)->held = a;
}

const Agent *hand_held(World *w)
{
    return hand_of(w)->held;
}

static void send_mine(World *w, Agent *a, Message *m)
{
    hand_of(w)->mine = true;
    net_send(w, a, TO_AGENT, m);
    hand_of(w)->mine = false;
}

GHashTable *hand_lines(World *w, const Agent *a)
{
    GHashTable *lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    char *good = forge_good(w, a);
    if (good != NULL) {
        g_hash_table_insert(lines, g_strdup_printf("unit/%s/%s", forge_app(w), a->env), good);
    }
    return lines;
}

SlHead *hand_head(World *w, const Agent *a, const char *desired)
{
    g_autoptr(json_t) view = sl_agent_view(a->brain, agent_now(w, a));
    SlHead *h = g_new0(SlHead, 1);
    h->fleet = g_strdup(w->root->fleet);
    h->env = g_strdup(a->env);
    h->cluster = g_strdup(a->cluster);
    h->epoch = sl_root_env(w->root, a->env)->epoch;
    h->nonce = g_strdup(a->nonce);
    h->term = (uint64_t)sl_json_int(view, "head.term", 1);
    h->version = (uint64_t)sl_json_int(view, "head.version", 0) + 1;
    h->root = (uint64_t)sl_json_int(view, "rootVersion", 1);
    h->registry = (uint64_t)sl_json_int(view, "registryVersion", 1);
    h->ledger_seq = w->ledger->len;
    h->ledger_hash = sl_json_digest(g_ptr_array_index(w->ledger, w->ledger->len - 1));
    h->issued_us = w->now;
    h->expires_us = w->now + 10 * SL_MINUTE_US;
    h->desired = g_strdup(desired);
    return h;
}

void hand_send_head(World *w, Agent *a, const SlHead *h, const uint8_t *key)
{
    g_autoptr(GBytes) text = sl_head_format(h, NULL);
    if (text == NULL) {
        return;
    }
    Message *m = message_new(MSG_HEAD);
    m->statement = sl_signed_new(text);
    sl_signed_sign(m->statement, SL_STATEMENT_HEAD, key);
    send_mine(w, a, m);
}

void hand_list(World *w, Agent *a, GHashTable *lines)
{
    /* A line of no known kind makes every list a new one: an agent then says at once what it took. */
    g_hash_table_replace(lines, g_strdup_printf("note/%u", ++hand_of(w)->lists), g_strdup("thief"));
    g_autofree char *desired = forge_map(w, lines);
    g_autoptr(SlHead) h = hand_head(w, a, desired);
    hand_send_head(w, a, h, w->online);
}

static GPtrArray *list_of(const SlSigned *s)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)sl_signed_free);
    if (s != NULL) {
        g_ptr_array_add(list, sl_signed_copy(s));
    }
    return list;
}

void hand_steps(World *w, Agent *a, const SlSigned *root, const SlSigned *registry)
{
    Message *m = message_new(MSG_STEPS);
    m->roots = list_of(root);
    m->registries = list_of(registry);
    send_mine(w, a, m);
}
