/* signed.c - a statement's exact text with its signatures, as ledger and wire carry it (part of
 * statement.h).
 *
 * The text is bytes: nothing here reads or rewrites it. */
#include "base/digest.h"
#include "core/statement.h"
#include "sluice/types.h"

#include <string.h>

SlSigned *sl_signed_new(GBytes *text)
{
    SlSigned *s = g_new0(SlSigned, 1);
    s->text = g_bytes_ref(text);
    s->sigs = g_ptr_array_new_with_free_func(g_free);
    return s;
}

SlSigned *sl_signed_copy(const SlSigned *s)
{
    SlSigned *copy = sl_signed_new(s->text);
    for (guint i = 0; i < s->sigs->len; i++) {
        g_ptr_array_add(copy->sigs, g_strdup(g_ptr_array_index(s->sigs, i)));
    }
    return copy;
}

void sl_signed_free(SlSigned *s)
{
    if (s == NULL) {
        return;
    }
    g_bytes_unref(s->text);
    g_ptr_array_unref(s->sigs);
    g_free(s);
}

void sl_signed_add(SlSigned *s, const char *armour)
{
    for (guint i = 0; i < s->sigs->len; i++) {
        if (strcmp(g_ptr_array_index(s->sigs, i), armour) == 0) {
            return; /* the same signature again proves nothing more */
        }
    }
    if (s->sigs->len < SL_STATEMENT_SIGS_MAX) {
        g_ptr_array_add(s->sigs, g_strdup(armour));
    }
}

char *sl_signed_digest(const SlSigned *s)
{
    return sl_sha256_hex_bytes(s->text);
}

json_t *sl_signed_to_json(const SlSigned *s)
{
    size_t len = 0;
    const char *text = g_bytes_get_data(s->text, &len);
    json_t *json = json_object();
    /* GBytes of nothing have no address */
    json_t *value = json_stringn(text != NULL ? text : "", len);
    json_object_set_new(json, "text", value != NULL ? value : json_null());
    json_object_set_new(json, "sigs", sl_json_from_ptr_array(s->sigs));
    return json;
}

SlSigned *sl_signed_from_json(const json_t *json, GError **error)
{
    const char *text = sl_json_need_str(json, "text", error);
    const json_t *sigs = text != NULL ? sl_json_need_array(json, "sigs", error) : NULL;
    if (text == NULL || sigs == NULL) {
        return NULL;
    }
    size_t len = json_string_length(json_object_get(json, "text"));
    if (len > SL_ROOT_MAX || json_array_size(sigs) > SL_STATEMENT_SIGS_MAX) {
        return sl_throw_null(
            error, SLU_LIMIT,
            "a signed statement has %zu bytes and %zu signatures; at most %d and %d", len,
            json_array_size(sigs), SL_ROOT_MAX, SL_STATEMENT_SIGS_MAX);
    }
    g_autoptr(GBytes) bytes = g_bytes_new(text, len);
    g_autoptr(SlSigned) s = sl_signed_new(bytes);
    for (size_t i = 0; i < json_array_size(sigs); i++) {
        const char *armour = json_string_value(json_array_get(sigs, i));
        if (armour == NULL || strlen(armour) > SL_SSHSIG_ARMOUR_MAX) {
            return sl_throw_null(error, SLU_SIGNATURE_FORMAT,
                                 "sigs.%zu: must be an armoured signature of at most %d bytes", i,
                                 SL_SSHSIG_ARMOUR_MAX);
        }
        sl_signed_add(s, armour);
    }
    return g_steal_pointer(&s);
}

void sl_signed_sign(SlSigned *s, SlStatementKind kind, const uint8_t secret[64])
{
    size_t len = 0;
    const void *text = g_bytes_get_data(s->text, &len);
    g_autofree char *armour = sl_sshsig_sign(secret, text, len, sl_statement_namespace(kind));
    sl_signed_add(s, armour);
}

GPtrArray *sl_signed_signers(const SlSigned *s, SlStatementKind kind, char **ret_why)
{
    GPtrArray *signers = g_ptr_array_new_with_free_func((GDestroyNotify)sl_public_key_free);
    g_autofree char *why = NULL;
    size_t len = 0;
    const void *text = g_bytes_get_data(s->text, &len);
    for (guint i = 0; i < s->sigs->len && i < SL_STATEMENT_SIGS_MAX; i++) {
        g_autoptr(SlPublicKey) key = NULL;
        g_autoptr(GError) error = NULL;
        if (!sl_sshsig_verify(g_ptr_array_index(s->sigs, i), text, len,
                              sl_statement_namespace(kind), &key, &error)) {
            g_free(why);
            why = g_strdup(error->message);
        } else if (!sl_public_key_listed(signers, key)) {
            g_ptr_array_add(signers, g_steal_pointer(&key));
        }
    }
    if (ret_why != NULL) {
        *ret_why = g_steal_pointer(&why);
    }
    return signers;
}

bool sl_signed_by(const SlSigned *s, SlStatementKind kind, const SlPublicKey *key)
{
    size_t len = 0;
    const void *text = g_bytes_get_data(s->text, &len);
    for (guint i = 0; i < s->sigs->len && i < SL_STATEMENT_SIGS_MAX; i++) {
        SlSshsigBy by = sl_sshsig_verify_by(g_ptr_array_index(s->sigs, i), text, len,
                                            sl_statement_namespace(kind), key);
        if (by != SL_SSHSIG_OTHER) {
            return by == SL_SSHSIG_GOOD;
        }
    }
    return false;
}
