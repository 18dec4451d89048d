/* law.c - may they? Judged from the root's lines and from who really signed, by counting here:
 * neither the policy nor the signatures are looked at with the product's code. */
#include "book.h"

/* Who signed a text: digest -> key lines, one a line. Written where people sign. */
void law_signed(World *w, const char *digest, const char *key_line)
{
    GHashTable *signed_by = world_keep_table(w, "signed");
    const char *was = g_hash_table_lookup(signed_by, digest);
    g_hash_table_replace(signed_by, g_strdup(digest),
                         g_strdup_printf("%s%s\n", was != NULL ? was : "", key_line));
}

static bool is_listed(const GPtrArray *keys, const char *line)
{
    for (guint i = 0; i < keys->len; i++) {
        if (strcmp(((const SlPublicKey *)keys->pdata[i])->line, line) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_signed(World *w, const SlRoot *root, const SlPerson *person, const char *digest)
{
    const char *lines = g_hash_table_lookup(world_keep_table(w, "signed"), digest);
    g_auto(GStrv) keys = g_strsplit(lines != NULL ? lines : "", "\n", -1);
    for (char **key = keys; *key != NULL; key++) {
        if (**key != '\0' && is_listed(person->keys, *key) && !is_listed(root->revoked, *key)) {
            return true;
        }
    }
    return false;
}

static bool is_named(const char *who, const SlPerson *person)
{
    return who != NULL && (strcmp(who, person->name) == 0 ||
                           g_strv_contains((const char *const *)person->emails, who));
}

static bool is_excluded(const SlRole *role, const LawCase *what, const SlPerson *person)
{
    bool author = false;
    for (char **one = what->authors; one != NULL && *one != NULL; one++) {
        author = author || is_named(*one, person);
    }
    return (role->exclude_requester && is_named(what->requester, person)) ||
           (role->exclude_author && author);
}

static unsigned count(World *w, const SlRoot *root, const SlRole *role, const LawCase *what,
                      const char *digest)
{
    unsigned n = 0;
    for (guint i = 0; i < root->people->len; i++) {
        const SlPerson *person = root->people->pdata[i];
        n += g_strv_contains((const char *const *)role->people, person->name) &&
                     !is_excluded(role, what, person) && has_signed(w, root, person, digest)
                 ? 1
                 : 0;
    }
    return n;
}

static bool concerns(const SlRole *role, const LawCase *what, SlAct act)
{
    return role->act == act && g_pattern_match_simple(role->env, what->env) &&
           (what->app == NULL || g_pattern_match_simple(role->app, what->app));
}

static bool any_role(const SlRoot *root, const LawCase *what, SlAct act)
{
    for (guint i = 0; i < root->roles->len; i++) {
        const SlRole *role = root->roles->pdata[i];
        if (concerns(role, what, act) && (what->app != NULL || strcmp(role->app, "*") == 0)) {
            return true;
        }
    }
    return false;
}

char *law_against(World *w, const SlRoot *root, const LawCase *what, const char *digest)
{
    static const SlAct fall_back[] = {SL_ACT_REDEPLOY, SL_ACT_RENEW, SL_ACT_RESUME,
                                      SL_ACT_START_RUN};
    SlAct act = what->act;
    for (size_t i = 0; i < G_N_ELEMENTS(fall_back); i++) {
        act = act == fall_back[i] && !any_role(root, what, act) ? SL_ACT_PROMOTE : act;
    }
    if (!any_role(root, what, act)) {
        return g_strdup_printf("root %" G_GUINT64_FORMAT " has no role for %s in %s", root->version,
                               sl_act_name(what->act), what->env);
    }
    for (guint i = 0; i < root->roles->len; i++) {
        const SlRole *role = root->roles->pdata[i];
        unsigned n =
            concerns(role, what, act) ? count(w, root, role, what, digest) : role->threshold;
        if (n < role->threshold) {
            return g_strdup_printf("%u of %u people signed %s %.12s (root %" G_GUINT64_FORMAT ")",
                                   n, role->threshold, sl_act_name(what->act), digest,
                                   root->version);
        }
    }
    return NULL;
}
