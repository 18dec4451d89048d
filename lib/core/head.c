/* head.c - the head statement as a struct. The agent's checks of it are in agent/brain. */
#include "core/head.h"
#include "core/fields.h"

#define FIELD(key, type, name)                                                                     \
    {                                                                                              \
        key, SL_FIELD_##type, offsetof(SlHead, name)                                               \
    }
static const SlField head_fields[] = {
    FIELD("fleet", HEX, fleet),
    FIELD("environment", NAME, env),
    FIELD("epoch", UINT, epoch),
    FIELD("cluster", NAME, cluster),
    FIELD("nonce", HEX32, nonce),
    FIELD("term", UINT, term),
    FIELD("version", UINT, version),
    FIELD("root", UINT, root),
    FIELD("registry", UINT, registry),
    FIELD("ledger-seq", UINT, ledger_seq),
    FIELD("ledger-hash", HEX, ledger_hash),
    FIELD("issued", TIME, issued_us),
    FIELD("expires", TIME, expires_us),
    FIELD("desired", HEX, desired),
};
#undef FIELD

static bool check_head(const void *record, GError **error)
{
    const SlHead *head = record;
    if (head->expires_us <= head->issued_us) {
        return sl_throw(error, SLU_STATEMENT_FORMAT, "expires: must be later than issued");
    }
    return true;
}

static const SlRecord head_record = {
    .kind = SL_STATEMENT_HEAD,
    .size = sizeof(SlHead),
    .env_offset = offsetof(SlHead, env),
    .count = G_N_ELEMENTS(head_fields),
    .fields = head_fields,
    .check = check_head,
};

SlHead *sl_head_parse(GBytes *text, GError **error)
{
    return sl_record_parse(&head_record, text, error);
}

GBytes *sl_head_format(const SlHead *head, GError **error)
{
    return sl_record_format(&head_record, head, error);
}

void sl_head_free(SlHead *head)
{
    sl_record_free(&head_record, head);
}
