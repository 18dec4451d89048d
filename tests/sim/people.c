/* people.c - people at their terminals: requests that may be lost and are asked again, views, signatures. */
#include "checks/book.h"
#include "sim.h"

#define PATIENCE_US (10 * SL_SECOND_US) /* then the same is asked again */

void ask_clear(Ask *ask)
{
    g_clear_pointer(&ask->id, g_free);
}

json_t *people_ask(World *w, Ask *ask, const char *person, const char *verb, json_t *args,
                   int64_t *ret_status)
{
    g_autoptr(json_t) owned = args;
    json_t *reply = ask->id != NULL ? g_hash_table_lookup(w->replies, ask->id) : NULL;
    if (reply != NULL) {
        *ret_status = sl_json_int(reply, "status", 0);
        ask_clear(ask);
        return sl_json_at(reply, "body");
    }
    if (ask->id == NULL || w->now - ask->at > PATIENCE_US) {
        ask_clear(ask);
        ask->id = coord_request(w, person, "operate", verb, json_incref(args));
        ask->at = w->now;
    }
    return NULL;
}

json_t *people_view(World *w, const char *what, json_t *args)
{
    g_autoptr(json_t) owned = args;
    return w->coord != NULL ? sl_coord_view(w->coord, what, args, coord_now(w), NULL) : NULL;
}

void people_acknowledged(World *w, const char *verb, uint64_t attempt)
{
    json_t *ack = json_object();
    sl_json_set_str(ack, "verb", verb);
    sl_json_set_int(ack, "attempt", (int64_t)attempt);
    g_ptr_array_add(w->acknowledged, ack);
}

char *people_sign(const World *w, const char *person, SlStatementKind kind, const char *text)
{
    g_autofree char *digest = sl_sha256_hex(text, strlen(text));
    law_signed((World *)(uintptr_t)w, digest, person_named(w, person)->key->line);
    return sl_sshsig_sign(person_named(w, person)->secret, text, strlen(text),
                          sl_statement_namespace(kind));
}
