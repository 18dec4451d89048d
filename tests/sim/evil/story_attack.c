/* story_attack.c - attacks by name: the worked example until prod has its second promotion, then each
 * attack while the true coordinator is held back, then the worked example to its end. The refusal must
 * stand in the agent's report and in the coordinator's status, what runs must go on, and the agent must
 * be of use afterwards (`sluice-sim --attack GROUP/NAME`). */
#include "evil.h"

#define PATIENCE_US                                                                                \
    (40 * SL_MINUTE_US) /* a refusal is reported in seconds; some attacks take long */

#define CALM_US (20 * SL_SECOND_US) /* then the honest list is read again */

typedef enum { BEFORE, UNDER_ATTACK, CALM, AFTER } Phase;

typedef struct {
    Phase phase;
    GArray *attacks; /* of Named */
    guint next;
    const AttackTable *table;
    const Attack *attack;
    Agent *victim;
    Shot shot;
    int64_t fired;
    char *before;
} Scene;

static void *scene_new(void)
{
    return g_new0(Scene, 1);
}

static void scene_free(void *data)
{
    Scene *s = data;
    g_free(s->shot.entry);
    g_free(s->before);
    g_clear_pointer(&s->attacks, g_array_unref);
    g_free(s);
}

static Scene *scene_of(World *w)
{
    return world_keep(w, "scene", scene_new, scene_free);
}

/* Two clusters in prod: so its registry has two versions. */
static void shape(World *w)
{
    w->profile = SL_PROFILE_SOLO;
    for (guint i = 0; i < w->envs->len; i++) {
        Env *env = g_ptr_array_index(w->envs, i);
        env->clusters = strcmp(env->name, "prod") == 0 ? 2 : 1;
    }
}

static void begin(World *w)
{
    Scene *s = scene_of(w);
    s->attacks = attacks_named(w->options.attack);
    story_worked_example.begin(w);
}

/* What runs there, as the agent and its cluster have it. */
static char *what_runs(World *w, const Agent *a)
{
    g_autoptr(json_t) view = sl_agent_view(a->brain, agent_now(w, a));
    g_autofree char *path = g_strdup_printf("units.%s", forge_app(w));
    const json_t *u = sl_json_at(view, path);
    GString *text = g_string_new(NULL);
    g_string_append_printf(text, "promotion %.12s bundle %.12s",
                           sl_json_str_or(u, "promotion", "-"), sl_json_str_or(u, "bundle", "-"));
    g_autoptr(GList) keys = g_hash_table_get_keys(a->objects);
    keys = g_list_sort(keys, (GCompareFunc)strcmp);
    for (GList *at = keys; at != NULL; at = at->next) {
        const EngineObject *o = g_hash_table_lookup(a->objects, at->data);
        g_string_append_printf(text, " %s %.12s", (char *)at->data, o->digest);
    }
    return g_string_free(text, FALSE);
}

static bool is_ready(World *w)
{
    const Agent *prod = agent_in(w, "prod", 0);
    if (w->coord == NULL || prod == NULL || prod->brain == NULL) {
        return false;
    }
    g_autoptr(json_t) view = sl_agent_view(prod->brain, agent_now(w, prod));
    g_autofree char *path = g_strdup_printf("units.%s", forge_app(w));
    const json_t *u = sl_json_at(view, path);
    g_autoptr(json_t) status = people_view(w, "status", json_pack("{s:s}", "env", "prod"));
    const json_t *unit = json_array_get(sl_json_at(status, "units"), 0);
    return sl_json_int(u, "seq", 0) >= 2 && sl_json_int(view, "rootVersion", 0) >= 2 &&
           strcmp(sl_json_str_or(u, "health", ""), "Healthy") == 0 &&
           !json_is_object(sl_json_at(unit, "active")) &&
           strcmp(sl_json_str_or(unit, "last.state", ""), "SUCCEEDED") == 0;
}

static void fire(World *w, Scene *s)
{
    const Named *named = &g_array_index(s->attacks, Named, s->next++);
    s->table = named->table;
    s->attack = named->attack;
    s->victim = agent_in(w, s->attack->env != NULL ? s->attack->env : "prod", 0);
    s->phase = UNDER_ATTACK;
    hand_hold(w, s->victim);
    g_free(s->before);
    s->before = what_runs(w, s->victim);
    g_clear_pointer(&s->shot.entry, g_free);
    attack_fire(w, s->table, s->attack, s->victim, &s->shot);
    s->fired = w->now;
    bool refusable = s->attack->kind != NULL || s->attack->like != NULL;
    if (refusable && s->shot.entry == NULL) {
        fail(w, "attack %s could not be made", s->attack->name);
    }
}

static bool is_reported(World *w, const Scene *s)
{
    g_autoptr(json_t) view = sl_agent_view(s->victim->brain, agent_now(w, s->victim));
    const json_t *e = json_object_get(sl_json_at(view, "applied"), s->shot.entry);
    g_autofree char *code = g_strdup_printf("SLU%04d", s->attack->code);
    bool kind =
        s->attack->kind == NULL || (g_strcmp0(sl_json_str(e, "kind"), s->attack->kind) == 0 &&
                                    g_strcmp0(sl_json_str(e, "code"), code) == 0);
    bool like = s->attack->like == NULL ||
                strstr(sl_json_str_or(e, "message", ""), s->attack->like) != NULL;
    return e != NULL && kind && like;
}

static bool is_shown(World *w, const Scene *s)
{
    g_autoptr(json_t) status = people_view(w, "status", NULL);
    g_autofree char *code = g_strdup_printf("SLU%d", s->attack->code);
    size_t i;
    json_t *alarm;
    json_array_foreach (sl_json_at(status, "alarms"), i, alarm) {
        if (g_strcmp0(sl_json_str(alarm, "cluster"), s->victim->cluster) == 0 &&
            g_strcmp0(sl_json_str(alarm, "what"), s->shot.entry) == 0 &&
            (s->attack->kind == NULL || g_strcmp0(sl_json_str(alarm, "code"), code) == 0)) {
            return true;
        }
    }
    return false;
}

/* An attack that must be refused moved nothing. */
static bool stays(World *w, const Scene *s)
{
    g_autofree char *now = what_runs(w, s->victim);
    bool must_stay = s->attack->kind != NULL || s->attack->like != NULL;
    if (must_stay && strcmp(now, s->before) != 0) {
        fail(w, "attack %s: it ran %s, now %s", s->attack->name, s->before, now);
        return false;
    }
    return true;
}

static void under_attack(World *w, Scene *s)
{
    bool said = s->shot.entry == NULL || (is_reported(w, s) && is_shown(w, s));
    if (said && (s->attack->over == NULL || s->attack->over(w, s->victim))) {
        (void)stays(w, s);
        g_autoptr(GHashTable) good = hand_lines(w, s->victim);
        hand_list(w, s->victim, good);
        s->phase = CALM;
        s->fired = w->now;
        say(w, "== attack %s: as it must be ==", s->attack->name);
    } else if (w->now - s->fired > PATIENCE_US) {
        g_autoptr(json_t) view = sl_agent_view(s->victim->brain, agent_now(w, s->victim));
        g_autofree char *entries = sl_json_canonical(sl_json_at(view, "applied"), NULL);
        fail(w, "attack %s: waited in vain for %s %s (reported %d); it says %.600s",
             s->attack->name, s->attack->kind != NULL ? s->attack->kind : "-",
             s->shot.entry != NULL ? s->shot.entry : "its end",
             s->shot.entry != NULL && is_reported(w, s), entries);
    }
}

static void step(World *w)
{
    Scene *s = scene_of(w);
    if (s->phase == BEFORE && is_ready(w)) {
        fire(w, s);
    } else if (s->phase == UNDER_ATTACK) {
        under_attack(w, s);
    } else if (s->phase == CALM && w->now - s->fired < CALM_US) {
        return;
    } else if (s->phase == CALM && !stays(w, s)) {
        return;
    } else if (s->phase == CALM && s->next < s->attacks->len) {
        fire(w, s);
    } else if (s->phase == CALM) {
        hand_hold(w, NULL);
        s->phase = AFTER;
    } else {
        story_worked_example.step(w);
    }
}

static bool over(const World *w)
{
    return story_worked_example.over(w);
}

static const char *stands(const World *w)
{
    return story_worked_example.stands(w);
}

static void end(World *w)
{
    if (scene_of(w)->phase != AFTER) {
        fail(w, "attack %s was never made", w->options.attack);
    }
}

const Story story_attack = {.name = "attack",
                            .shape = shape,
                            .begin = begin,
                            .step = step,
                            .over = over,
                            .stands = stands,
                            .end = end};
