/* retry.c - one table: error code to whether, how often and from when a request is made again. What
 * no row names can't succeed by repetition. Pure. */
#include "kube/retry.h"

#include "base/text.h"
#include "sluice/clock.h"

#include <string.h>

#define BACKOFF_FIRST_US (SL_SECOND_US / 2)
#define BACKOFF_MAX_US (60 * SL_SECOND_US)

static const struct {
    int code;
    bool untouched; /* the server did nothing: a request that may not be repeated may, too */
    unsigned tries_max;
} rows[] = {
    {SLU_KUBE_THROTTLED, true, 6},
    {SLU_KUBE_SERVER, false, 5},
    {SLU_KUBE_UNREACHABLE, false, 5},
    {SLU_KUBE_ANSWER, false, 3},
};

bool sl_kube_is_repeatable(const char *method, const char *content_type, const json_t *body)
{
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "PUT") == 0) {
        return true;
    }
    if (strcmp(method, "PATCH") == 0) {
        return g_strcmp0(content_type, "application/apply-patch+yaml") == 0 ||
               g_strcmp0(content_type, "application/merge-patch+json") == 0;
    }
    return strcmp(method, "DELETE") == 0 &&
           (sl_json_str(body, "preconditions.uid") != NULL ||
            sl_json_str(body, "preconditions.resourceVersion") != NULL);
}

/* @share of 2^32 of @us. */
static int64_t part(int64_t us, uint32_t share)
{
    return (int64_t)((double)us * ((double)share / 4294967296.0));
}

int64_t sl_kube_backoff_us(unsigned tries, uint32_t dice)
{
    unsigned doublings = MIN(tries > 0 ? tries - 1 : 0, 16);
    int64_t whole = MIN(BACKOFF_FIRST_US << doublings, BACKOFF_MAX_US);
    return whole / 2 + part(whole / 2, dice);
}

/* What the server asked for, and up to a quarter more so that not all come back at once; the form
 * with a date is as none. */
static int64_t asked_us(const char *retry_after, uint32_t dice)
{
    uint64_t seconds = 0;
    if (retry_after == NULL || !sl_parse_uint64(retry_after, &seconds)) {
        return 0;
    }
    int64_t us = (int64_t)MIN(seconds, SL_KUBE_RETRY_AFTER_MAX_US / SL_SECOND_US) * SL_SECOND_US;
    return MIN(us + part(us / 4, dice), SL_KUBE_RETRY_AFTER_MAX_US);
}

int64_t sl_kube_retry_us(const SlKubeRetry *what)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].code == what->code) {
            bool again = (what->repeatable || rows[i].untouched) && what->tries < rows[i].tries_max;
            return !again ? -1
                          : MAX(sl_kube_backoff_us(what->tries, what->dice),
                                asked_us(what->retry_after, what->dice));
        }
    }
    return -1;
}
