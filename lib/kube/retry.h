/* retry.h - which requests to an API server are made again, and when. Pure: the clock and the dice
 * are the caller's. */
#pragma once
#include "base/json.h"

#define SL_KUBE_RETRY_AFTER_MAX_US                                                                 \
    (INT64_C(300) * 1000000) /* a server may ask for more: not waited */

/* May this request reach the server twice? GET and HEAD, PUT, server-side apply and merge patches; a
 * DELETE only with a precondition (uid or resourceVersion), or the second would take the next object
 * of that name. */
bool sl_kube_is_repeatable(const char *method, const char *content_type, const json_t *body);

typedef struct {
    int code; /* SLU_KUBE_..., what went wrong */
    bool repeatable;
    unsigned tries;          /* made so far, at least 1 */
    const char *retry_after; /* header, or NULL */
    uint32_t dice;           /* random */
} SlKubeRetry;
/* Microseconds until the next try, or -1: what went wrong stays. */
int64_t sl_kube_retry_us(const SlKubeRetry *what);
/* For what is tried for ever: half to the whole of 0.5 s, 1 s, 2 s ... at most 60 s. */
int64_t sl_kube_backoff_us(unsigned tries, uint32_t dice);
