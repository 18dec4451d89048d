/* signers.c - repositories whose documents demand signed commits: a revision is read only if every
 * commit of the change was signed by a key that the root in force gives to a person. A refused one
 * changes nothing: the last good commit stays, the status says why, and it is looked at again when
 * the root changes. */
#include "coordinator/brain/brain.h"
#include <string.h>

/* Why this commit does not count; NULL and its person if it does. (transfer full) */
static char *refusal(const SlCoord *c, const json_t *signer, const char **ret_person)
{
    const char *line = sl_json_str(signer, "key");
    if (line == NULL) {
        return g_strdup(sl_json_str_or(signer, "why", "it is not signed"));
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(SlPublicKey) key = sl_public_key_parse(line, &error);
    if (key == NULL) {
        return g_strdup(error->message);
    }
    const SlPerson *person = sl_root_person_of_key(c->root, key);
    if (person != NULL) {
        *ret_person = person->name;
        return NULL;
    }
    g_autofree char *print = sl_public_key_fingerprint(key);
    return g_strdup_printf("it is signed by %s, %s", print,
                           sl_root_is_revoked(c->root, key) ? "which the root revoked"
                                                            : "which is nobody's key in the root");
}

static void refuse(SlSourceState *s, const char *commit, const char *why)
{
    g_autofree char *shown = sl_escape_for_people(why, 300);
    g_free(s->error);
    s->error = g_strdup_printf("SLU%d: commit %.12s: %s; this repository demands signed commits",
                               SLU_COMMIT_SIGNATURE, commit, shown);
}

static void add_once(json_t *names, const char *name)
{
    size_t i;
    json_t *known;
    json_array_foreach (names, i, known) {
        if (strcmp(json_string_value(known), name) == 0) {
            return;
        }
    }
    json_array_append_new(names, json_string(name));
}

bool sl_brain_signers_hold(SlCoord *c, const SlCoordSource *in, json_t **ret_authors)
{
    SlSourceState *s = sl_brain_source_make(c, in->repository != NULL ? in->repository : "");
    g_clear_pointer(&s->unsigned_, g_free);
    *ret_authors = NULL;
    if (c->docs == NULL || !sl_fleet_signed_commits(c->docs, s->repository)) {
        return true;
    }
    s->unsigned_ = g_strdup(in->commit);
    if (in->signers == NULL) { /* read before the documents asked for it */
        sl_brain_refresh(c, s->repository);
        return false;
    }
    g_autoptr(json_t) authors = json_array();
    for (size_t i = 0; i < json_array_size(in->signers); i++) {
        const json_t *signer = json_array_get(in->signers, i);
        const char *person = NULL;
        g_autofree char *why = refusal(c, signer, &person);
        if (why != NULL) {
            refuse(s, sl_json_str_or(signer, "commit", in->commit), why);
            return false;
        }
        add_once(authors, person);
    }
    g_clear_pointer(&s->unsigned_, g_free);
    *ret_authors = g_steal_pointer(&authors);
    return true;
}

void sl_brain_signers_again(SlCoord *c)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->sources);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const SlSourceState *s = value;
        if (s->unsigned_ != NULL) {
            sl_brain_refresh(c, s->repository);
        }
    }
}
