/* refuse.c - what was refused and why: kept while it stands (heads: a while longer), said once in
 * the log, reported and shown. A refusal never changes what runs. */
#include "agent/brain/state.h"

void sl_refusal_free(SlRefusal *r)
{
    if (r == NULL) {
        return;
    }
    g_free(r->what);
    g_free(r->kind);
    g_free(r->message);
    g_free(r->promotion);
    g_free(r);
}

static void report(SlAgent *a, const SlRefusal *r)
{
    json_t *o = json_object();
    g_autofree char *code = g_strdup_printf("SLU%04d", r->code);
    g_autofree char *since = sl_format_time(r->since_us);
    sl_json_set_str(o, "code", code);
    sl_json_set_str(o, "kind", r->kind);
    sl_json_set_str(o, "message", r->message);
    sl_json_set_str(o, "promotion", r->promotion);
    sl_json_set_str(o, "since", since);
    g_autofree char *key = g_strdup_printf("refused/%s", r->what);
    sl_agent_entry(a, key, o, true);
}

static bool passes_by(const char *what)
{
    return strcmp(what, "head") == 0 || strcmp(what, "root") == 0 || strcmp(what, "registry") == 0;
}

void sl_agent_refuse(SlAgent *a, const char *what, const char *kind, const GError *error)
{
    sl_agent_refuse_promotion(a, what, kind, NULL, error);
}

void sl_agent_refuse_promotion(SlAgent *a, const char *what, const char *kind,
                               const char *promotion, const GError *error)
{
    SlRefusal *r = g_hash_table_lookup(a->refusals, what);
    int64_t until = passes_by(what) ? a->elapsed_us + SL_AGENT_REFUSAL_SHOWN_US : INT64_MAX;
    g_autofree char *message = sl_escape_for_people(error->message, 400);
    if (r != NULL && r->code == error->code && strcmp(r->message, message) == 0 &&
        g_strcmp0(r->promotion, promotion) == 0) {
        r->until_us = until;
        return;
    }
    if (r == NULL) {
        if (g_hash_table_size(a->refusals) >= SL_AGENT_REFUSED_MAX && !passes_by(what)) {
            return;
        }
        r = g_new0(SlRefusal, 1);
        r->what = g_strdup(what);
        g_hash_table_insert(a->refusals, r->what, r);
    }
    g_free(r->kind);
    g_free(r->message);
    g_free(r->promotion);
    r->promotion = g_strdup(promotion);
    r->kind = g_strdup(kind);
    r->message = g_steal_pointer(&message);
    r->code = error->code;
    r->since_us = a->now_us;
    r->until_us = until;
    sl_agent_log(a, true, "refused", "%s: %s: SLU%04d %s", what, kind, r->code, r->message);
    report(a, r);
}

void sl_agent_unrefuse(SlAgent *a, const char *what)
{
    if (g_hash_table_remove(a->refusals, what)) {
        g_autofree char *key = g_strdup_printf("refused/%s", what);
        sl_agent_entry(a, key, NULL, true);
    }
}

/* A head was accepted: what an earlier one was refused for by its times was a clock's fault, here or
 * there, and is over; and so is a head of the session before, when this is the first of the new one.
 * Long enough to be seen, not as long as an attack. */
void sl_agent_refused_head_over(SlAgent *a)
{
    SlRefusal *r = g_hash_table_lookup(a->refusals, "head");
    if (r == NULL) {
        return;
    }
    bool time = r->code == SLU_AGENT_EXPIRED || r->code == SLU_AGENT_FUTURE ||
                r->code == SLU_AGENT_ROOT_EXPIRED;
    if (time || (r->code == SLU_AGENT_NONCE && !a->session_heard)) {
        r->until_us = MIN(r->until_us, a->elapsed_us + SL_AGENT_OVER_SHOWN_US);
    }
}

void sl_agent_refuse_settle(SlAgent *a)
{
    static const char *const PASSING[] = {"head", "root", "registry"};
    for (size_t i = 0; i < G_N_ELEMENTS(PASSING); i++) {
        const SlRefusal *r = g_hash_table_lookup(a->refusals, PASSING[i]);
        if (r == NULL) {
            continue;
        }
        if (a->elapsed_us >= r->until_us) {
            sl_agent_unrefuse(a, PASSING[i]);
        } else {
            sl_agent_wake(a, r->until_us);
        }
    }
}
