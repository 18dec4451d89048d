/* verbs.h - one function per verb of docs/api.md. Private. Each returns the body of the answer, or
 * NULL and an error; it emits its events itself, after every check. */
#pragma once
#include "coordinator/brain/brain.h"

typedef json_t *SlVerb(SlCoord *c, const SlCoordRequest *in, int *ret_status, GError **error);

SlVerb sl_verb_promote, sl_verb_rollback, sl_verb_redeploy, sl_verb_remove; /* verbs_unit.c */
SlVerb sl_verb_approve, sl_verb_reject, sl_verb_abort;                      /* verbs_attempt.c */
SlVerb sl_verb_pin, sl_verb_unpin, sl_verb_veto, sl_verb_unveto, sl_verb_adopt, sl_verb_refresh;
SlVerb sl_verb_order_draft, sl_verb_order; /* verbs_fleet.c */
SlVerb sl_verb_cluster_add, sl_verb_cluster_remove, sl_verb_registry_draft, sl_verb_registry,
    sl_verb_root;
SlVerb sl_verb_token_create, sl_verb_token_revoke;

/* Unit of args app and env; both must be named by the documents in force, or have a history. */
SL_MUST_USE bool sl_args_unit(const SlCoord *c, const json_t *args, const char **ret_app,
                              const char **ret_env, GError **error);
/* Reason: required or not, clean, at most SL_REASON_MAX bytes, one line. */
SL_MUST_USE bool sl_args_reason(const json_t *args, bool needed, const char *otherwise,
                                const char **ret_reason, GError **error);
/* Release by name (R12) or unique prefix of its id, of @app. */
SL_MUST_USE SlRelease *sl_args_release(const SlCoord *c, const char *app, const char *text,
                                       GError **error);
/* Attempt number of args.attempt. */
SL_MUST_USE SlAttempt *sl_args_attempt(const SlCoord *c, const json_t *args, const char *key,
                                       GError **error);
uint64_t sl_args_number(const json_t *args,
                        const char *key); /* integer or decimal text; 0 = none */
