/* policy.h - may this statement's signers do this act in this unit? Agent, coordinator and CLI ask
 * the same. Pure. */
#pragma once
#include "core/root.h"

/* Among the authors of a change: everybody who signs is one of them. Nobody's e-mail has these bytes. */
#define SL_AUTHOR_EVERYONE "<everyone>"

typedef struct {
    /* app NULL for acts of a whole environment (registry, pause of an environment) */
    const char *env, *app;
    SlAct act;
    const char *requester;      /* person, or NULL */
    const char *const *authors; /* people, NULL-terminated, or NULL */
} SlPolicyAsk;

/* What an act needs: every matching role must hold. Falls back to promote for redeploy, renew,
 * resume and start-run when no role names the act; no role at all: denied. */
typedef struct {
    bool allowed;       /* a role matched */
    unsigned threshold; /* the highest of the matching roles: 0 = the online key suffices */
    GPtrArray *roles;   /* of const SlRole*, borrowed from root */
} SlPolicyNeed;
void sl_policy_need(const SlRoot *root, const SlPolicyAsk *ask, SlPolicyNeed *ret_need);
void sl_policy_need_clear(SlPolicyNeed *need);

/* Judges signatures. @ret_who: people that count (of char*, transfer full, may be NULL to not ask).
 * Errors: ROLE_MISSING, ROLE_THRESHOLD ("0 of 1 people: needs one of alice, bob"), SIGNATURE_... */
SL_MUST_USE bool sl_policy_check(const SlRoot *root, const SlPolicyAsk *ask, const SlSigned *s,
                                 SlStatementKind kind, GPtrArray **ret_who, GError **error);
/* People who could still sign (not excluded, not signed yet), for "who can act". (transfer full,
 * of char*) */
GPtrArray *sl_policy_who_can(const SlRoot *root, const SlPolicyAsk *ask,
                             const SlSigned *s /* nullable */, SlStatementKind kind);
/* Does the person's signature count for the act: is in one of the matching roles that ask for
 * people, and not excluded there? Where several roles match, different people may satisfy them;
 * whether they do is sl_policy_check's answer. */
bool sl_policy_person_may(const SlRoot *root, const SlPolicyAsk *ask, const char *person);
/* Object policy of the root: kind as "group/Kind" ("core/ConfigMap"), namespace or NULL. No policy
 * line for the environment = everything allowed but privileged kinds must be named. Errors:
 * OBJECT_POLICY. */
SL_MUST_USE bool sl_policy_check_object(const SlRoot *root, const char *env, const char *app,
                                        const char *kind, const char *namespace_,
                                        const char *const *privileged_by_promotion, GError **error);
