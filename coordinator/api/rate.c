/* rate.c - see rate.h. */
#include "coordinator/api/rate.h"
#include <glib.h>

typedef struct {
    double left;
    int64_t at_us;
} Bucket;

struct SlRates {
    GHashTable *buckets;
};

SlRates *sl_rates_new(void)
{
    SlRates *rates = g_new0(SlRates, 1);
    rates->buckets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return rates;
}

void sl_rates_free(SlRates *rates)
{
    if (rates == NULL)
        return;
    g_hash_table_unref(rates->buckets);
    g_free(rates);
}

bool sl_rates_take(SlRates *rates, const char *name, const SlRateAsk *ask, int64_t now_us,
                   int64_t *ret_wait_us)
{
    Bucket *bucket = g_hash_table_lookup(rates->buckets, name);
    if (bucket == NULL) {
        if (g_hash_table_size(rates->buckets) >= SL_RATES_MAX)
            g_hash_table_remove_all(rates->buckets);
        bucket = g_new0(Bucket, 1);
        bucket->left = ask->burst;
        bucket->at_us = now_us;
        g_hash_table_insert(rates->buckets, g_strdup(name), bucket);
    }
    double passed = (double)(now_us - bucket->at_us) / 1e6;
    double cost = MIN(ask->cost, ask->burst);
    bucket->left = MIN(ask->burst, bucket->left + MAX(passed, 0) * ask->per_second);
    bucket->at_us = now_us;
    if (bucket->left < cost) {
        *ret_wait_us = (int64_t)((cost - bucket->left) / ask->per_second * 1e6);
        return false;
    }
    bucket->left -= cost;
    return true;
}
