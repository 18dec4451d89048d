/* policy.c - may these signatures do this act here? Agent, coordinator and CLI get the same answer
 * from the same root.
 *
 * Roles fail closed: no role, no act; several roles, each must hold. Must never count a person
 * twice, a revoked key, or the online key for a person. */
#include "core/policy.h"

#include "base/text.h"

#include <string.h>

static bool falls_back(SlAct act)
{
    return act == SL_ACT_REDEPLOY || act == SL_ACT_RENEW || act == SL_ACT_RESUME ||
           act == SL_ACT_START_RUN;
}

/* Adds the roles for @act; true if they settle the question. An act of a whole environment (no
 * application) concerns every application's role, and is settled only by a role for all
 * applications. */
static bool add_roles(const SlRoot *root, const SlPolicyAsk *ask, SlAct act, GPtrArray *roles)
{
    bool settled = false;
    for (guint i = 0; i < root->roles->len; i++) {
        const SlRole *role = g_ptr_array_index(root->roles, i);
        if (role->act != act || !sl_glob_match(role->env, ask->env) ||
            (ask->app != NULL && !sl_glob_match(role->app, ask->app))) {
            continue;
        }
        g_ptr_array_add(roles, (gpointer)role);
        settled = settled || ask->app != NULL || strcmp(role->app, "*") == 0;
    }
    return settled;
}

void sl_policy_need(const SlRoot *root, const SlPolicyAsk *ask, SlPolicyNeed *ret_need)
{
    SlPolicyNeed need = {.roles = g_ptr_array_new()};
    /* An environment that the root does not have has no epoch and no roles, whatever a glob says.
     */
    if (sl_root_env(root, ask->env) != NULL) {
        need.allowed = add_roles(root, ask, ask->act, need.roles);
        if (!need.allowed && falls_back(ask->act)) {
            need.allowed = add_roles(root, ask, SL_ACT_PROMOTE, need.roles);
        }
    }
    for (guint i = 0; i < need.roles->len; i++) {
        const SlRole *role = g_ptr_array_index(need.roles, i);
        need.threshold = MAX(need.threshold, role->threshold);
    }
    *ret_need = need;
}

void sl_policy_need_clear(SlPolicyNeed *need)
{
    g_clear_pointer(&need->roles, g_ptr_array_unref);
}

static bool is_author(const SlRoot *root, const SlPolicyAsk *ask, const SlPerson *person)
{
    for (size_t i = 0; ask->authors != NULL && ask->authors[i] != NULL; i++) {
        if (strcmp(ask->authors[i], SL_AUTHOR_EVERYONE) == 0 ||
            strcmp(ask->authors[i], person->name) == 0 ||
            sl_root_person_of_email(root, ask->authors[i]) == person) {
            return true;
        }
    }
    return false;
}

static bool is_excluded(const SlRoot *root, const SlPolicyAsk *ask, const SlRole *role,
                        const SlPerson *person)
{
    bool requester =
        ask->requester != NULL && (strcmp(ask->requester, person->name) == 0 ||
                                   sl_root_person_of_email(root, ask->requester) == person);
    return (role->exclude_requester && requester) ||
           (role->exclude_author && is_author(root, ask, person));
}

static bool is_in_role(const SlRole *role, const SlPerson *person)
{
    return g_strv_contains((const char *const *)role->people, person->name);
}

/* Who signed: distinct people of keys in force, and whether an online key is among them. */
typedef struct {
    GPtrArray *people; /* of const SlPerson*, borrowed from root */
    bool online;
    guint valid; /* signatures that verify, whosoever */
    char *why;   /* last reason of one that does not */
} Signers;

static void signers_clear(Signers *signers)
{
    g_clear_pointer(&signers->people, g_ptr_array_unref);
    g_clear_pointer(&signers->why, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Signers, signers_clear)

static void find_signers(const SlRoot *root, const SlSigned *s, SlStatementKind kind,
                         Signers *ret_signers)
{
    g_autoptr(GPtrArray) keys = sl_signed_signers(s, kind, &ret_signers->why);
    ret_signers->people = g_ptr_array_new();
    ret_signers->valid = keys->len;
    for (guint i = 0; i < keys->len; i++) {
        const SlPublicKey *key = g_ptr_array_index(keys, i);
        const SlPerson *person = sl_root_person_of_key(root, key);
        ret_signers->online = ret_signers->online || sl_root_is_online_key(root, key);
        if (person != NULL && !g_ptr_array_find(ret_signers->people, person, NULL)) {
            g_ptr_array_add(ret_signers->people, (gpointer)person);
        }
    }
}

typedef struct {
    unsigned count;
    const SlPerson *excluded; /* one who signed and does not count, or NULL */
} RoleCount;

static RoleCount count_role(const SlRoot *root, const SlPolicyAsk *ask, const SlRole *role,
                            const Signers *signers, GPtrArray *who)
{
    RoleCount result = {0, NULL};
    for (guint i = 0; i < signers->people->len; i++) {
        const SlPerson *person = g_ptr_array_index(signers->people, i);
        if (!is_in_role(role, person)) {
            continue;
        }
        if (is_excluded(root, ask, role, person)) {
            result.excluded = person;
            continue;
        }
        result.count++;
        if (!g_ptr_array_find_with_equal_func(who, person->name, g_str_equal, NULL)) {
            g_ptr_array_add(who, g_strdup(person->name));
        }
    }
    return result;
}

/* People whose signature would still count for @role. */
static void add_who_can(const SlRoot *root, const SlPolicyAsk *ask, const SlRole *role,
                        const Signers *signers, GPtrArray *who)
{
    for (size_t i = 0; role->people[i] != NULL; i++) {
        const SlPerson *person = sl_root_person(root, role->people[i]);
        if (person != NULL && sl_root_person_can_sign(root, person) &&
            !g_ptr_array_find(signers->people, person, NULL) &&
            !is_excluded(root, ask, role, person) &&
            !g_ptr_array_find_with_equal_func(who, person->name, g_str_equal, NULL)) {
            g_ptr_array_add(who, g_strdup(person->name));
        }
    }
}

static char *names_of(const GPtrArray *who)
{
    GString *names = g_string_new(who->len == 0 ? "nobody is left who may sign" : "needs one of ");
    for (guint i = 0; i < who->len; i++) {
        g_string_append_printf(names, "%s%s", i > 0 ? ", " : "",
                               (const char *)g_ptr_array_index(who, i));
    }
    return g_string_free(names, FALSE);
}

static char *place_of(const SlPolicyAsk *ask)
{
    return ask->app != NULL
               ? g_strdup_printf("%s of %s/%s", sl_act_name(ask->act), ask->app, ask->env)
               : g_strdup_printf("%s of environment %s", sl_act_name(ask->act), ask->env);
}

static bool throw_threshold(const SlRoot *root, const SlPolicyAsk *ask, const SlRole *role,
                            RoleCount found, const Signers *signers, GError **error)
{
    g_autofree char *place = place_of(ask);
    if (signers->valid == 0 && signers->why != NULL) {
        return sl_throw(error, SLU_SIGNATURE_BAD, "%s: no signature holds; %s", place,
                        signers->why);
    }
    g_autoptr(GPtrArray) who = g_ptr_array_new_with_free_func(g_free);
    add_who_can(root, ask, role, signers, who);
    g_autofree char *wanted = names_of(who);
    if (found.excluded != NULL && found.count + 1 >= role->threshold) {
        return sl_throw(error, SLU_ROLE_EXCLUDED,
                        "%s: %u of %u people: %s is author or requester of the change and does not "
                        "count; %s",
                        place, found.count, role->threshold, found.excluded->name, wanted);
    }
    return sl_throw(error, SLU_ROLE_THRESHOLD, "%s: %u of %u people: %s%s", place, found.count,
                    role->threshold, wanted,
                    signers->online && signers->people->len == 0
                        ? " (the coordinator's online key alone signed it)"
                        : "");
}

static bool check_need(const SlRoot *root, const SlPolicyAsk *ask, const SlPolicyNeed *need,
                       const Signers *signers, GPtrArray *who, GError **error)
{
    guint people_in_all = 0;
    for (guint i = 0; i < need->roles->len; i++) {
        const SlRole *role = g_ptr_array_index(need->roles, i);
        RoleCount found = count_role(root, ask, role, signers, who);
        if (found.count < role->threshold) {
            return throw_threshold(root, ask, role, found, signers, error);
        }
        people_in_all += found.count > 0 ? 1 : 0;
    }
    if (need->threshold > 0 || signers->online || people_in_all == need->roles->len) {
        return true;
    }
    g_autofree char *place = place_of(ask);
    if (signers->valid == 0 && signers->why != NULL) {
        return sl_throw(error, SLU_SIGNATURE_BAD, "%s: no signature holds; %s", place,
                        signers->why);
    }
    return sl_throw(error, SLU_ROLE_THRESHOLD,
                    "%s: signed by neither an online key nor anyone in the role", place);
}

bool sl_policy_check(const SlRoot *root, const SlPolicyAsk *ask, const SlSigned *s,
                     SlStatementKind kind, GPtrArray **ret_who, GError **error)
{
    SlPolicyNeed need;
    sl_policy_need(root, ask, &need);
    g_autoptr(GPtrArray) who = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *place = place_of(ask);
    bool good = false;
    if (!need.allowed) {
        sl_throw(error, SLU_ROLE_MISSING, "%s: the root has no role for it", place);
    } else {
        g_auto(Signers) signers = {0};
        find_signers(root, s, kind, &signers);
        good = check_need(root, ask, &need, &signers, who, error);
    }
    sl_policy_need_clear(&need);
    if (good && ret_who != NULL) {
        *ret_who = g_steal_pointer(&who);
    }
    return good;
}

GPtrArray *sl_policy_who_can(const SlRoot *root, const SlPolicyAsk *ask, const SlSigned *s,
                             SlStatementKind kind)
{
    GPtrArray *who = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) counted = g_ptr_array_new_with_free_func(g_free);
    g_auto(Signers) signers = {0};
    if (s != NULL) {
        find_signers(root, s, kind, &signers);
    } else {
        signers.people = g_ptr_array_new();
    }
    SlPolicyNeed need;
    sl_policy_need(root, ask, &need);
    for (guint i = 0; need.allowed && i < need.roles->len; i++) {
        const SlRole *role = g_ptr_array_index(need.roles, i);
        if (count_role(root, ask, role, &signers, counted).count < role->threshold) {
            add_who_can(root, ask, role, &signers, who);
        }
    }
    sl_policy_need_clear(&need);
    return who;
}

bool sl_policy_person_may(const SlRoot *root, const SlPolicyAsk *ask, const char *person)
{
    const SlPerson *found = sl_root_person(root, person);
    SlPolicyNeed need;
    sl_policy_need(root, ask, &need);
    bool can_sign = found != NULL && need.allowed && sl_root_person_can_sign(root, found);
    bool counts = false;
    for (guint i = 0; can_sign && i < need.roles->len; i++) {
        const SlRole *role = g_ptr_array_index(need.roles, i);
        /* Beside a role that wants people, one that wants none asks nothing of this person. */
        bool asks = role->threshold > 0 || need.threshold == 0;
        counts = counts ||
                 (asks && is_in_role(role, found) && !is_excluded(root, ask, role, found));
    }
    sl_policy_need_clear(&need);
    return counts;
}
