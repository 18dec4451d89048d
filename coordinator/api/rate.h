/* rate.h - token buckets per name: how many requests a person may make. Time is an input. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define SL_RATES_MAX 10000 /* names remembered; when full, full buckets are forgotten */

typedef struct SlRates SlRates;
SlRates *sl_rates_new(void);
void sl_rates_free(SlRates *rates);
typedef struct {
    double per_second, burst;
    double cost; /* at least 1; more than @burst is as much as that */
} SlRateAsk;
/* Takes the cost from @name's bucket. false: it holds less, @ret_wait_us until there is enough. */
bool sl_rates_take(SlRates *rates, const char *name, const SlRateAsk *ask, int64_t now_us,
                   int64_t *ret_wait_us);
