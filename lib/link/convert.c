/* convert.c - between core's SlSigned and the wire's Signed message: the same bytes, never
 * re-encoded. */
#include "link/convert.h"

#include "sluice/types.h"

void sl_wire_signed(const SlSigned *s, Sluice__Wire__Signed *ret)
{
    sluice__wire__signed__init(ret);
    size_t len;
    const void *text = g_bytes_get_data(s->text, &len);
    ret->text = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)text};
    ret->n_sigs = s->sigs->len;
    ret->sigs = g_new(char *, s->sigs->len + 1);
    for (guint i = 0; i < s->sigs->len; i++) {
        ret->sigs[i] = g_ptr_array_index(s->sigs, i);
    }
}

SlSigned *sl_wire_to_signed(const Sluice__Wire__Signed *message, GError **error)
{
    if (message == NULL || message->text.len == 0) {
        return sl_throw_null(error, SLU_INVALID, "the message carries no statement");
    }
    if (message->text.len > SL_ROOT_MAX) {
        return sl_throw_null(error, SLU_LIMIT, "statement of %zu bytes: at most %d",
                             message->text.len, SL_ROOT_MAX);
    }
    if (message->n_sigs > SL_STATEMENT_SIGS_MAX) {
        return sl_throw_null(error, SLU_LIMIT, "statement with %zu signatures: at most %d",
                             message->n_sigs, SL_STATEMENT_SIGS_MAX);
    }
    g_autoptr(GBytes) text = g_bytes_new(message->text.data, message->text.len);
    g_autoptr(SlSigned) s = sl_signed_new(text);
    for (size_t i = 0; i < message->n_sigs; i++) {
        sl_signed_add(s, message->sigs[i]);
    }
    return g_steal_pointer(&s);
}
