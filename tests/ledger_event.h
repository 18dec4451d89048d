/* ledger_event.h - an event as tests of the ledger append it: about digits/prod, at one time. */
#pragma once
#include "base/json.h"

static inline json_t *ledger_event(int64_t seq, const char *type)
{
    json_t *e = json_object();
    sl_json_set_int(e, "seq", seq);
    sl_json_set_str(e, "type", type);
    sl_json_set_str(e, "at", "2026-11-23T12:00:00Z");
    sl_json_set_str(e, "app", "digits");
    sl_json_set_str(e, "env", "prod");
    return e;
}
