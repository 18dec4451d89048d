/* answer.h - what an API server answered, as JSON or as an error whose code says the class. Pure. */
#pragma once
#include "base/json.h"

typedef struct {
    int status;               /* HTTP */
    const char *content_type; /* or NULL */
    const char *bytes;
    size_t len, max; /* more bytes than @max are LIMIT */
} SlKubeRawAnswer;
/* NULL and @error, or the object. @ret_status (transfer full, may be NULL) is the Status that came
 * with an error. 304 is no error: an empty object. Errors: KUBE_UNAUTHORIZED ... KUBE_REFUSED, LIMIT.
 */
SL_MUST_USE json_t *sl_kube_answer_parse(const SlKubeRawAnswer *raw, const char *what,
                                         json_t **ret_status, GError **error);
/* The error of a Status with this code: of an answer, or of a watch's ERROR event. Returns false. */
bool sl_kube_throw_status(GError **error, int code, const json_t *status, const char *what);

typedef struct {
    const char *field, *reason, *message; /* "" if absent; borrowed from the Status */
    char *manager;                        /* of a conflict, or NULL; owned */
} SlKubeCause;
/* Cause @n of a Status; false after the last. Clear it. */
bool sl_kube_cause(const json_t *status, size_t n, SlKubeCause *ret_cause);
void sl_kube_cause_clear(SlKubeCause *cause);
