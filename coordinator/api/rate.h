/* rate.h - token buckets per name: how many requests a person may make. Time is an input. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define SL_RATES_MAX 10000 /* names remembered; when full, full buckets are forgotten */

typedef struct SlRates SlRates;
SlRates *sl_rates_new(void);
void sl_rates_free(SlRates *rates);
/* Takes one of @name's bucket of @burst that fills with @per_second. false: empty, @ret_wait_us
 * until the next. */
bool sl_rates_take(SlRates *rates, const char *name, double per_second, double burst,
                   int64_t now_us, int64_t *ret_wait_us);
