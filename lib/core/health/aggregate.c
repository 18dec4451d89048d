/* aggregate.c - many verdicts as one: the worst, and how many of each. */
#include "base/text.h"
#include "core/health/health.h"

void sl_health_total_add(SlHealthTotal *total, const SlHealthVerdict *verdict)
{
    SlHealth health = verdict->queued && verdict->health == SL_HEALTH_SUSPENDED
                          ? SL_HEALTH_PROGRESSING
                          : verdict->health;
    total->counts[health]++;
    if (!(verdict->neutral && health == SL_HEALTH_SUSPENDED) && health > total->health) {
        total->health = health;
    }
}

json_t *sl_health_total_to_json(const SlHealthTotal *total)
{
    json_t *json = json_object();
    json_t *counts = json_object();
    sl_json_set_str(json, "health", sl_health_name(total->health));
    for (int i = 0; i < SL_N_HEALTH; i++) {
        if (total->counts[i] > 0) {
            sl_json_set_int(counts, sl_health_name((SlHealth)i), total->counts[i]);
        }
    }
    json_object_set_new(json, "counts", counts);
    return json;
}
