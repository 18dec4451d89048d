/* look.c - what an object in the cluster says: is it still as we wrote it, and is it well?
 *
 * Fields that others own (an autoscaler's replicas, injected containers) are none of ours: drift is
 * that we lost a field, not that the object differs. Who lost one says Missing, and the agent applies
 * it again, unless the application is paused. */
#include "agent/engines/kubernetes/kubernetes.h"
#include "base/text.h"
#include "kube/fields.h"

#include <string.h>

void sl_kube_say(Thing *thing, SlHealth health, const char *reason, const char *message)
{
    const SlEngineEvents *out = &thing->engine->events;
    SlEngineRef ref = sl_thing_ref(thing);
    if (thing->said_reason != NULL && thing->said == health &&
        strcmp(thing->said_reason, reason) == 0 && g_strcmp0(thing->said_message, message) == 0) {
        return;
    }
    g_autofree char *before_reason = thing->said_reason, *before_message = thing->said_message;
    thing->said = health;
    thing->said_reason = g_strdup(reason);
    thing->said_message = g_strdup(message);
    out->observed(out->user, &ref, health, reason, message);
}

void sl_kube_missing(Thing *thing, const char *message)
{
    g_clear_pointer(&thing->uid, g_free);
    g_clear_pointer(&thing->digest, g_free);
    g_clear_pointer(&thing->object, json_decref);
    g_clear_pointer(&thing->said_reason, g_free);
    sl_timer_arm(thing->timer, -1);
    sl_kube_say(thing, SL_HEALTH_MISSING, "Missing", message);
}

/* ---- drift ---- */

static char *fields_digest(const json_t *object)
{
    const json_t *fields = sl_kube_fields(object, SL_KUBE_MANAGER);
    return fields != NULL ? sl_json_digest(fields) : g_strdup("");
}

void sl_kube_written(Thing *thing, const json_t *object)
{
    g_free(thing->uid);
    g_free(thing->fields);
    thing->uid = g_strdup(sl_json_str_or(object, "metadata.uid", ""));
    thing->fields = fields_digest(object);
    thing->revision = 0;
    (void)sl_parse_uint64(sl_json_str_or(object, "metadata.resourceVersion", ""), &thing->revision);
}

/* The path of a field that is not ours any more, or NULL: of the object, or our mark. (transfer full) */
static char *lost_field(Thing *thing, const json_t *object)
{
    if (sl_thing_owner(thing, object) != KUBE_OURS) {
        return g_strdup(".metadata.annotations." SL_KUBE_MARK);
    }
    g_autofree char *now = fields_digest(object);
    if (g_strcmp0(now, thing->fields) == 0) {
        return NULL;
    }
    GBytes *bytes =
        thing->digest != NULL ? thing->engine->blob(thing->digest, thing->engine->blob_user) : NULL;
    if (bytes == NULL) {
        return NULL;
    }
    SlJsonLimits limits = {.bytes_max = g_bytes_get_size(bytes) + 1};
    g_autoptr(json_t) wanted = sl_json_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                                             &limits, "object", NULL);
    char *lost = wanted != NULL
                     ? sl_kube_fields_lost(sl_kube_fields(object, SL_KUBE_MANAGER), wanted)
                     : NULL;
    if (lost == NULL) {
        g_free(thing->fields);
        thing->fields = g_steal_pointer(&now);
    }
    return lost;
}

/* A correction begins; false: too many of them lately. */
static bool may_correct(Thing *thing, int64_t now_us)
{
    bool fight =
        thing->corrections == SL_KUBE_FIGHT && now_us < thing->corrected_us[0] + SL_KUBE_FIGHT_US;
    if (fight) {
        sl_timer_arm(thing->timer, thing->corrected_us[0] + SL_KUBE_FIGHT_US - now_us);
        return false;
    }
    if (thing->corrections == SL_KUBE_FIGHT) {
        memmove(thing->corrected_us, thing->corrected_us + 1,
                sizeof(thing->corrected_us) - sizeof(thing->corrected_us[0]));
        thing->corrections--;
    }
    thing->corrected_us[thing->corrections++] = now_us;
    return true;
}

static void keep(Thing *thing, const json_t *object)
{
    json_t *kept = json_incref((json_t *)(uintptr_t)object);
    json_decref(thing->object);
    thing->object = kept;
}

static void drift(Thing *thing, const json_t *object, const char *field)
{
    const SlClock *clock = thing->engine->clock;
    const char *other = sl_kube_fields_other(object, SL_KUBE_MANAGER);
    g_autofree char *who = sl_escape_for_people(other[0] != '\0' ? other : "somebody", 64);
    if (!may_correct(thing, clock->monotonic_us(clock->user))) {
        g_autofree char *message =
            g_strdup_printf("%s was corrected %d times in a minute, and %s sets it again: take the "
                            "field out of Git, or stop the other",
                            field, SL_KUBE_FIGHT, who);
        keep(thing, object);
        sl_kube_say(thing, SL_HEALTH_DEGRADED, "Fight", message);
        return;
    }
    thing->drifted = true;
    g_autofree char *message = g_strdup_printf("%s was changed by %s", field, who);
    g_clear_pointer(&thing->said_reason, g_free);
    sl_kube_say(thing, SL_HEALTH_MISSING, "Drifted", message);
}

/* ---- health ---- */

static void judge(Thing *thing, const json_t *object)
{
    const SlClock *clock = thing->engine->clock;
    int64_t now_us = clock->utc_us(clock->user);
    SlHealthContext context = {.now_us = now_us, .sight = SL_SIGHT_SEEN};
    SlHealthVerdict verdict;
    sl_health_judge(object, &context, &thing->health, &verdict);
    if (verdict.next_us != SL_HEALTH_NO_DEADLINE) {
        keep(thing, object);
        sl_timer_arm(thing->timer, MAX(verdict.next_us - now_us, 1000));
    } else {
        g_clear_pointer(&thing->object, json_decref);
        sl_timer_arm(thing->timer, -1);
    }
    sl_kube_say(thing, verdict.health, verdict.reason, verdict.message);
}

void sl_kube_look(Thing *thing, const json_t *object)
{
    const KubeOp *op = g_queue_peek_head(&thing->ops);
    if (op != NULL && op->type == KUBE_REMOVE) {
        return;
    }
    const char *uid = sl_json_str_or(object, "metadata.uid", "");
    if (g_strcmp0(thing->uid, uid) != 0 && sl_thing_owner(thing, object) != KUBE_OURS) {
        if (thing->uid != NULL) {
            sl_kube_missing(thing, "another object has its name");
        }
        return;
    }
    g_free(thing->uid);
    thing->uid = g_strdup(uid);
    g_autofree char *lost = lost_field(thing, object);
    if (lost != NULL && !thing->drifted) {
        drift(thing, object, lost);
    } else if (lost == NULL) {
        thing->drifted = false;
        judge(thing, object);
    }
}

void sl_kube_watched(Thing *thing, const json_t *object)
{
    uint64_t revision = 0;
    const char *text = sl_json_str_or(object, "metadata.resourceVersion", "");
    if (sl_parse_uint64(text, &revision) && revision < thing->revision) {
        return;
    }
    if (!g_queue_is_empty(&thing->ops)) { /* its answer may be older or newer than this */
        json_t *ahead = json_incref((json_t *)(uintptr_t)object);
        json_decref(thing->ahead);
        thing->ahead = ahead;
    } else if (thing->digest != NULL) {
        sl_kube_look(thing, object);
    }
}

void sl_kube_look_ahead(Thing *thing)
{
    g_autoptr(json_t) ahead = g_steal_pointer(&thing->ahead);
    if (ahead != NULL) {
        sl_kube_watched(thing, ahead);
    }
}

void sl_kube_look_again(Thing *thing)
{
    g_autoptr(json_t) object = g_steal_pointer(&thing->object);
    if (object != NULL) {
        sl_kube_look(thing, object);
    }
}
