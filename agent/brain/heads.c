/* heads.c - taking heads: the newest that passes every check is in force. A head that is ahead of
 * our root or registry waits, and we say hello again so that the steps are sent. */
#include "agent/brain/state.h"

#define HELLO_AGAIN_US (5 * SL_SECOND_US)
#define HELLO_UNKNOWN_US (30 * SL_SECOND_US) /* as often as others report */

void sl_head_state_clear(SlHeadState *h)
{
    g_free(h->digest);
    g_free(h->desired);
    g_free(h->ledger_hash);
    *h = (SlHeadState){0};
}

static void drop_pending(SlAgent *a)
{
    g_clear_pointer(&a->pending_head, sl_signed_free);
    g_clear_pointer(&a->pending, sl_head_free);
}

static void enter_head(SlAgent *a, const SlSigned *s, const SlHead *h)
{
    if (a->head.ledger_hash != NULL && h->ledger_seq == a->head.ledger_seq &&
        strcmp(h->ledger_hash, a->head.ledger_hash) != 0) {
        sl_agent_log(a, true, "ledger-fork",
                     "ledger seq %" G_GUINT64_FORMAT " had hash %.12s, now %.12s", h->ledger_seq,
                     a->head.ledger_hash, h->ledger_hash);
    }
    bool new_list = g_strcmp0(a->head.desired, h->desired) != 0;
    int64_t expires_us = sl_head_expires(a, h);
    sl_agent_refused_head_over(a);
    a->session_heard = true;
    sl_head_state_clear(&a->head);
    a->head = (SlHeadState){
        .epoch = h->epoch,
        .term = h->term,
        .version = h->version,
        .root = h->root,
        .registry = h->registry,
        .ledger_seq = h->ledger_seq,
        .ledger_hash = g_strdup(h->ledger_hash),
        .digest = sl_signed_digest(s),
        .desired = g_strdup(h->desired),
        .issued_us = h->issued_us,
        .expires_us = expires_us,
    };
    a->trusted_us = MAX(a->trusted_us, h->issued_us);
    sl_agent_dirty(a);
    a->report_now = a->report_now || new_list;
    a->stir_all = true;
    if (!new_list) {
        sl_agent_units_recheck(a);
    }
}

static bool is_head_in_force(const SlAgent *a, const SlSigned *s)
{
    g_autofree char *digest = sl_signed_digest(s);
    return g_strcmp0(a->head.digest, digest) == 0;
}

static bool is_above_pending(const SlAgent *a, const SlHead *h)
{
    return a->pending == NULL || h->term > a->pending->term ||
           (h->term == a->pending->term && h->version > a->pending->version);
}

/* A head for another session: an old one was played again, or our hello was lost or overtaken.
 * Saying it again heals the second and costs little in the first case. A head below the one in
 * force: the same, or a thief was above the coordinator, which then learns it from our hello. */
static void answer_refused(SlAgent *a)
{
    const SlRefusal *r = g_hash_table_lookup(a->refusals, "head");
    bool heals = r != NULL && (r->code == SLU_AGENT_NONCE || r->code == SLU_AGENT_REPLAY);
    if (heals && a->elapsed_us - a->hello_us >= HELLO_AGAIN_US) {
        sl_agent_hello(a);
    }
}

void sl_agent_take_head(SlAgent *a, const SlSigned *s)
{
    if (a->root == NULL || is_head_in_force(a, s)) {
        if (a->root == NULL) {
            sl_agent_hello(a);
        }
        return;
    }
    SlHead *parsed = NULL;
    SlCheck check = sl_check_head(a, s, &parsed);
    g_autoptr(SlHead) head = parsed;
    if (check == SL_CHECK_OK) {
        enter_head(a, s, head);
        drop_pending(a);
    } else if (check == SL_CHECK_WAIT && is_above_pending(a, head)) {
        drop_pending(a);
        a->pending_head = sl_signed_copy(s);
        a->pending = g_steal_pointer(&head);
    } else if (check == SL_CHECK_REFUSED) {
        answer_refused(a);
    }
}

/* Without a root nothing is reported, and only a report would show the coordinator that our hello
 * was lost. */
static void ask_for_root(SlAgent *a)
{
    if (a->root != NULL || !a->connected || a->nonce == NULL) {
        return;
    }
    if (a->elapsed_us - a->hello_us >= HELLO_UNKNOWN_US) {
        sl_agent_hello(a);
    }
    sl_agent_wake(a, a->hello_us + HELLO_UNKNOWN_US);
}

void sl_agent_heads_settle(SlAgent *a)
{
    ask_for_root(a);
    if (a->pending_head == NULL) {
        return;
    }
    SlHead *parsed = NULL;
    SlCheck check = sl_check_head(a, a->pending_head, &parsed);
    g_autoptr(SlHead) head = parsed;
    if (check == SL_CHECK_OK) {
        enter_head(a, a->pending_head, head);
    }
    if (check != SL_CHECK_WAIT) {
        drop_pending(a);
        return;
    }
    /* Without a connection there is nobody to ask; the next one begins with a hello. */
    bool behind =
        a->connected && (head->root > a->root->version || head->registry > a->registry_version);
    if (behind && a->elapsed_us - a->hello_us >= HELLO_AGAIN_US) {
        sl_agent_hello(a);
    }
    if (behind) {
        sl_agent_wake(a, a->hello_us + HELLO_AGAIN_US);
    }
}
