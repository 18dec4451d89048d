/* root_check.c - the rules that a root must keep as a whole, so that roles fail closed (design
 * section 6).
 *
 * Works on the struct alone. Where globs make a question hard, the answer is the strict one. */
#include "core/root_private.h"

#include "base/text.h"

#include <string.h>

static void claim(GHashTable *owners, const SlPublicKey *key, const char *owner, GString *problems)
{
    const char *other = g_hash_table_lookup(owners, key->line);
    if (other != NULL && strcmp(other, owner) != 0) {
        sl_root_problem(problems, "key %s belongs to %s and to %s; a key has one owner", key->line,
                        other, owner);
    }
    g_hash_table_insert(owners, key->line, (gpointer)owner);
}

/* One key, one owner: a person, or "the coordinator (online-key)". */
static void check_owners(const SlRoot *root, GString *problems)
{
    g_autoptr(GHashTable) owners = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < root->online_keys->len; i++) {
        claim(owners, g_ptr_array_index(root->online_keys, i), "the coordinator (online-key)",
              problems);
    }
    for (guint i = 0; i < root->people->len; i++) {
        const SlPerson *person = g_ptr_array_index(root->people, i);
        for (guint j = 0; j < person->keys->len; j++) {
            claim(owners, g_ptr_array_index(person->keys, j), person->name, problems);
        }
    }
    for (guint i = 0; i < root->root_keys->len; i++) {
        const SlRootKey *root_key = g_ptr_array_index(root->root_keys, i);
        if (sl_root_person(root, root_key->person) == NULL) {
            sl_root_problem(problems, "root-key of %s: there is no such person", root_key->person);
        }
        claim(owners, root_key->key, root_key->person, problems);
    }
}

static void check_threshold(const SlRoot *root, GString *problems)
{
    g_autoptr(GHashTable) holders = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < root->root_keys->len; i++) {
        const SlRootKey *root_key = g_ptr_array_index(root->root_keys, i);
        if (!sl_root_is_revoked(root, root_key->key)) {
            g_hash_table_add(holders, root_key->person);
        }
    }
    guint count = g_hash_table_size(holders);
    if (root->root_threshold == 0 || root->root_threshold > count) {
        sl_root_problem(problems, "root-threshold is %u, but %u people hold root keys in force",
                        root->root_threshold, count);
    }
    bool online = false;
    for (guint i = 0; i < root->online_keys->len; i++) {
        online = online || sl_root_is_online_key(root, g_ptr_array_index(root->online_keys, i));
    }
    if (!online) {
        sl_root_problem(problems, "there is no online-key in force");
    }
}

static void check_role_people(const SlRoot *root, const SlRole *role, GString *problems)
{
    unsigned count = 0;
    for (size_t i = 0; role->people[i] != NULL; i++) {
        const SlPerson *person = sl_root_person(root, role->people[i]);
        if (person == NULL) {
            sl_root_problem(problems, "role env=%s app=%s act=%s: there is no person %s", role->env,
                            role->app, sl_act_name(role->act), role->people[i]);
            continue;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(role->people[j], role->people[i]) == 0) {
                sl_root_problem(problems, "role env=%s app=%s act=%s: %s is named twice", role->env,
                                role->app, sl_act_name(role->act), role->people[i]);
            }
        }
        count += sl_root_person_can_sign(root, person) ? 1 : 0;
    }
    if (role->threshold > count) {
        sl_root_problem(problems,
                        "role env=%s app=%s act=%s: threshold %u, but %u people in it can sign",
                        role->env, role->app, sl_act_name(role->act), role->threshold, count);
    }
}

static bool matches_some_environment(const SlRoot *root, const char *glob)
{
    for (guint i = 0; i < root->environments->len; i++) {
        const SlRootEnv *env = g_ptr_array_index(root->environments, i);
        if (sl_glob_match(glob, env->name)) {
            return true;
        }
    }
    return false;
}

/* Is there a text that both globs match? cell (i, j) = the rests a[i..] and b[j..] have one. */
static bool globs_meet(const char *a, const char *b)
{
    size_t n = strlen(a);
    size_t m = strlen(b);
    g_autofree bool *cells = g_new0(bool, (n + 1) * (m + 1));
    for (size_t i = n + 1; i-- > 0;) {
        for (size_t j = m + 1; j-- > 0;) {
            bool meets = i == n && j == m;
            if (i < n && a[i] == '*') {
                meets = cells[(i + 1) * (m + 1) + j] || (j < m && cells[i * (m + 1) + j + 1]);
            } else if (j < m && b[j] == '*') {
                meets = cells[i * (m + 1) + j + 1] || (i < n && cells[(i + 1) * (m + 1) + j]);
            } else if (i < n && j < m && (a[i] == b[j] || a[i] == '?' || b[j] == '?')) {
                meets = cells[(i + 1) * (m + 1) + j + 1];
            }
            cells[i * (m + 1) + j] = meets;
        }
    }
    return cells[0];
}

/* Does some role demand a person for @act wherever @free_role and @promote meet? Only an equal or
 * all-matching application glob is taken for a yes. */
static bool is_covered(const SlRoot *root, const char *env, const SlRole *free_role,
                       const SlRole *promote)
{
    for (guint i = 0; i < root->roles->len; i++) {
        const SlRole *role = g_ptr_array_index(root->roles, i);
        if (role->act == free_role->act && role->threshold > 0 && sl_glob_match(role->env, env) &&
            (strcmp(role->app, "*") == 0 || strcmp(role->app, free_role->app) == 0 ||
             strcmp(role->app, promote->app) == 0)) {
            return true;
        }
    }
    return false;
}

/* Nothing but pause and stop-run may be free where promote is not: whoever holds the online key
 * could roll back, remove or register clusters there. */
static void check_free_role(const SlRoot *root, const SlRole *role, const char *env,
                            GString *problems)
{
    for (guint i = 0; i < root->roles->len; i++) {
        const SlRole *promote = g_ptr_array_index(root->roles, i);
        if (promote->act == SL_ACT_PROMOTE && promote->threshold > 0 &&
            sl_glob_match(promote->env, env) && globs_meet(role->app, promote->app) &&
            !is_covered(root, env, role, promote)) {
            sl_root_problem(problems,
                            "role env=%s app=%s act=%s: threshold 0, but promote needs %u in "
                            "environment %s",
                            role->env, role->app, sl_act_name(role->act), promote->threshold, env);
            return;
        }
    }
}

static void check_roles(const SlRoot *root, GString *problems)
{
    for (guint i = 0; i < root->roles->len; i++) {
        const SlRole *role = g_ptr_array_index(root->roles, i);
        check_role_people(root, role, problems);
        if (!matches_some_environment(root, role->env)) {
            sl_root_problem(problems, "role env=%s app=%s act=%s: matches no environment",
                            role->env, role->app, sl_act_name(role->act));
        }
        if (role->act == SL_ACT_REGISTRY && strcmp(role->app, "*") != 0) {
            sl_root_problem(problems, "role env=%s app=%s act=registry: app must be *", role->env,
                            role->app);
        }
        bool may_be_free = role->act == SL_ACT_PROMOTE || role->act == SL_ACT_PAUSE ||
                           role->act == SL_ACT_STOP_RUN;
        for (guint j = 0; role->threshold == 0 && !may_be_free && j < root->environments->len;
             j++) {
            const SlRootEnv *env = g_ptr_array_index(root->environments, j);
            if (sl_glob_match(role->env, env->name)) {
                check_free_role(root, role, env->name, problems);
            }
        }
    }
}

static void check_environments(const SlRoot *root, GString *problems)
{
    if (root->environments->len == 0) {
        sl_root_problem(problems, "there is no environment");
    }
    for (guint i = 0; i < root->environments->len; i++) {
        const SlRootEnv *env = g_ptr_array_index(root->environments, i);
        bool has_promote = false;
        for (guint j = 0; j < root->roles->len; j++) {
            const SlRole *role = g_ptr_array_index(root->roles, j);
            has_promote =
                has_promote || (role->act == SL_ACT_PROMOTE && sl_glob_match(role->env, env->name));
        }
        if (!has_promote) {
            sl_root_problem(problems, "environment %s has no role for act promote", env->name);
        }
    }
    for (guint i = 0; i < root->policies->len; i++) {
        const SlObjectPolicy *policy = g_ptr_array_index(root->policies, i);
        if (!matches_some_environment(root, policy->env)) {
            sl_root_problem(problems, "policy env=%s app=%s: matches no environment", policy->env,
                            policy->app);
        }
    }
}

void sl_root_check(const SlRoot *root, GString *problems)
{
    check_owners(root, problems);
    check_threshold(root, problems);
    check_environments(root, problems);
    check_roles(root, problems);
}
