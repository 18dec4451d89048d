/* root_new.c - root version 1 of a profile: who may do what by default. One table per profile,
 * nothing else decides. */
#include "core/root_private.h"

#include "base/text.h"
#include "sluice/clock.h"

#include <string.h>

#define ROOT_LIFETIME_US (365 * SL_DAY_US)
#define ACTIVATION_WINDOW_US (7 * SL_DAY_US)
#define HEAD_LIFETIME_OPEN_US SL_DAY_US /* dev and test: nights without a coordinator */
#define HEAD_LIFETIME_GUARDED_US (15 * SL_MINUTE_US) /* how long a thief can hide a newer head */

typedef enum { LEVEL_DEV, LEVEL_TEST, LEVEL_GUARDED, N_LEVELS } Level;

typedef struct {
    unsigned thresholds[N_LEVELS];
    bool exclude_author, exclude_requester;
} Profile;

static const Profile profiles[SL_N_PROFILES] = {
    [SL_PROFILE_SOLO] = {{0, 0, 1}, false, false},
    [SL_PROFILE_TEAM] = {{0, 1, 2}, false, true},
    [SL_PROFILE_REGULATED] = {{0, 1, 2}, true, true},
};

/* redeploy falls back to promote, and so do the orders renew, resume and start-run where promote excludes nobody. `alone`: one
 * person acts at once, also on what he asked for himself: the first kind makes a running system safer and waits for nobody;
 * an order is asked for and signed in one act, so excluding its requester would leave nobody. */
static const struct {
    SlAct act;
    bool alone;
    bool fallback; /* written only where promote's role would exclude the signer */
} acts[] = {
    {SL_ACT_PROMOTE, false, false}, {SL_ACT_ROLLBACK, false, false},
    {SL_ACT_REMOVE, false, false},  {SL_ACT_BREAK_GLASS, true, false},
    {SL_ACT_RENEW, true, true},     {SL_ACT_PAUSE, true, false},
    {SL_ACT_RESUME, true, true},    {SL_ACT_START_RUN, true, true},
    {SL_ACT_STOP_RUN, true, false}, {SL_ACT_REGISTRY, false, false},
};

static Level level_of(const char *env)
{
    if (strcmp(env, "dev") == 0) {
        return LEVEL_DEV;
    }
    return strcmp(env, "test") == 0 ? LEVEL_TEST : LEVEL_GUARDED;
}

/* Only one person is known yet, so 2 is written as 1. With the requester excluded, 2 needs three people: a fleet that has them raises
 * it in a root of its own. */
static void add_roles(SlRoot *root, const SlRootNew *how, const char *env)
{
    const Profile *profile = &profiles[how->profile];
    unsigned threshold = MIN(profile->thresholds[level_of(env)], 1);
    bool excludes = threshold > 0 && (profile->exclude_author || profile->exclude_requester);
    for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
        if (acts[i].fallback && !excludes) {
            continue;
        }
        SlRole *role = g_new0(SlRole, 1);
        bool guarded = threshold > 0 && !acts[i].alone;
        role->env = g_strdup(env);
        role->app = g_strdup("*");
        role->act = acts[i].act;
        role->threshold = threshold;
        role->exclude_author = guarded && profile->exclude_author;
        role->exclude_requester = guarded && profile->exclude_requester;
        const char *people[] = {threshold > 0 ? how->person : NULL, NULL};
        role->people = g_strdupv((char **)people);
        g_ptr_array_add(root->roles, role);
    }
}

static void add_person(SlRoot *root, const SlRootNew *how)
{
    SlPerson *person = g_new0(SlPerson, 1);
    const char *emails[] = {how->email, NULL};
    person->name = g_strdup(how->person);
    person->emails = g_strdupv((char **)emails);
    person->keys = g_ptr_array_new_with_free_func((GDestroyNotify)sl_public_key_free);
    g_ptr_array_add(person->keys, sl_public_key_copy(how->person_key));
    g_ptr_array_add(root->people, person);

    SlRootKey *root_key = g_new0(SlRootKey, 1);
    root_key->person = g_strdup(how->person);
    root_key->key = sl_public_key_copy(how->person_key);
    g_ptr_array_add(root->root_keys, root_key);
}

SlRoot *sl_root_new(const SlRootNew *how, GError **error)
{
    if ((unsigned)how->profile >= SL_N_PROFILES) {
        return sl_throw_null(error, SLU_INVALID, "profile must be solo, team or regulated");
    }
    g_autoptr(SlRoot) root = sl_root_alloc();
    root->fleet = g_strdup(how->fleet);
    root->version = 1;
    root->profile = how->profile;
    root->root_threshold = 1;
    /* Whole seconds: people read this date. */
    root->expires_us = (how->now_us / SL_SECOND_US) * SL_SECOND_US + ROOT_LIFETIME_US;
    g_ptr_array_add(root->online_keys, sl_public_key_copy(how->online_key));
    add_person(root, how);
    for (size_t i = 0; how->envs != NULL && how->envs[i] != NULL; i++) {
        SlRootEnv *env = g_new0(SlRootEnv, 1);
        env->name = g_strdup(how->envs[i]);
        env->epoch = 1;
        env->head_lifetime_us =
            level_of(env->name) == LEVEL_GUARDED ? HEAD_LIFETIME_GUARDED_US : HEAD_LIFETIME_OPEN_US;
        env->activation_window_us = ACTIVATION_WINDOW_US;
        g_ptr_array_add(root->environments, env);
        add_roles(root, how, env->name);
    }
    g_autoptr(GBytes) text = sl_root_format(root, error); /* the loader judges it */
    return text != NULL ? g_steal_pointer(&root) : NULL;
}
