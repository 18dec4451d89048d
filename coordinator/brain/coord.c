/* coord.c - step: one input in, then everything is settled until nothing moves any more. Each round
 * is level-triggered: it looks at the state, not at the input, so a lost or repeated input only
 * delays. */
#include "coordinator/brain/brain.h"
#include <string.h>

#define ROUNDS_MAX                                                                                 \
    64 /* a chain request -> render -> sign -> commit -> run takes 5; more is a mistake of ours */

static void list_free(GPtrArray *list)
{
    if (list != NULL) {
        g_ptr_array_unref(list);
    }
}

void sl_coord_effect_free(SlCoordEffect *e)
{
    if (e == NULL) {
        return;
    }
    char *const texts[] = {e->id,     e->app,     e->env,     e->repository, e->commit,
                           e->old,    e->new_,    e->message, e->curve,      e->boot,
                           e->digest, e->refused, e->reason};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_free(texts[i]);
    }
    json_decref(e->body);
    if (e->items != NULL) {
        g_ptr_array_set_free_func(e->items, (GDestroyNotify)sl_item_value_free);
        g_ptr_array_unref(e->items);
    }
    list_free(e->clusters);
    list_free(e->units);
    list_free(e->roots);
    list_free(e->registries);
    sl_signed_free(e->statement);
    g_free(e);
}

SlCoordOutput *sl_coord_output_new(void)
{
    SlCoordOutput *out = g_new0(SlCoordOutput, 1);
    out->events = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    out->ledger_blobs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    out->cache_blobs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    out->effects = g_ptr_array_new_with_free_func((GDestroyNotify)sl_coord_effect_free);
    out->next_us = INT64_MAX;
    return out;
}

void sl_coord_output_free(SlCoordOutput *out)
{
    if (out == NULL) {
        return;
    }
    g_ptr_array_unref(out->events);
    g_hash_table_unref(out->ledger_blobs);
    g_hash_table_unref(out->cache_blobs);
    g_ptr_array_unref(out->effects);
    g_free(out);
}

SlCoordEffect *sl_effect(SlCoord *c, SlCoordEffectType type)
{
    SlCoordEffect *effect = g_new0(SlCoordEffect, 1);
    effect->type = type;
    g_ptr_array_add(c->out->effects, effect);
    return effect;
}

void sl_brain_refresh(SlCoord *c, const char *repository)
{
    SlCoordEffect *effect = sl_effect(c, SL_COORD_DO_REFRESH);
    effect->repository = g_strdup(repository);
}

/* From here on agents say how they are. */
static void forget_recorded(SlCoord *c)
{
    GHashTableIter units;
    gpointer value;
    g_hash_table_iter_init(&units, c->units);
    while (g_hash_table_iter_next(&units, NULL, &value)) {
        g_clear_pointer(&((SlUnit *)value)->recorded, g_hash_table_unref);
    }
}

/* Registries of threshold 0 that a stop interrupted are finished here. */
static void start(SlCoord *c)
{
    c->started = true;
    forget_recorded(c);
    g_hash_table_remove_all(c->proofs);
    sl_brain_clock_back(c); /* the ledger's times may be those of a clock that was ahead */
    sl_brain_touch(c, NULL);
    c->envs_dirty = true;
    sl_brain_lease(c, 0);
    GHashTableIter iter;
    gpointer name;
    g_autoptr(GPtrArray) envs = g_ptr_array_new();
    g_hash_table_iter_init(&iter, c->envs);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_ptr_array_add(envs, name);
    }
    for (guint i = 0; i < envs->len; i++) {
        (void)sl_brain_registry_auto(c, g_ptr_array_index(envs, i));
    }
    sl_brain_refresh(c, "");
    for (guint i = 0; c->docs != NULL && i < c->docs->repositories->len; i++) {
        const SlRepositoryDoc *repository = g_ptr_array_index(c->docs->repositories, i);
        sl_brain_refresh(c, repository->name);
    }
}

static void take(SlCoord *c, const SlCoordInput *in)
{
    switch (in->type) {
    case SL_COORD_START:
        start(c);
        break;
    case SL_COORD_REQUEST:
        sl_brain_handle_request(c, &in->request);
        break;
    case SL_COORD_SOURCE:
        sl_brain_source(c, &in->source);
        break;
    case SL_COORD_RENDERED:
        sl_brain_rendered(c, &in->rendered);
        break;
    case SL_COORD_ENV_WRITTEN:
        c->envs_dirty = true;
        sl_brain_env_written(c, &in->env_written);
        break;
    case SL_COORD_ENV_TIP:
        c->envs_dirty = true;
        sl_brain_env_tip(c, &in->env_tip);
        break;
    case SL_COORD_HELLO:
        sl_brain_hello(c, &in->hello);
        break;
    case SL_COORD_REPORT:
        sl_brain_report(c, &in->statement);
        break;
    case SL_COORD_SEAL:
        sl_brain_seal(c, &in->statement);
        break;
    case SL_COORD_ENROL:
        sl_brain_enrol(c, &in->enrol);
        break;
    case SL_COORD_TROUBLE:
        sl_brain_trouble(c, &in->trouble);
        break;
    case SL_COORD_GONE:
        sl_brain_gone(c, in->curve);
        break;
    case SL_COORD_TICK:
    case SL_COORD_N_INPUTS:
        break;
    }
}

/* Whatever moves marks what it moved; so this ends when nothing does. */
static void settle(SlCoord *c)
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        SlRound round;
        sl_round_begin(c, &round);
        sl_brain_auto(c, &round);
        sl_brain_attempts(c, &round);
        sl_brain_commits(c);
        sl_brain_runs(c, &round);
        sl_round_end(&round);
        if (!sl_brain_is_dirty(c)) {
            break;
        }
    }
}

void sl_coord_step(SlCoord *c, const SlCoordInput *input, int64_t wall_us, SlCoordOutput *out)
{
    c->out = out;
    sl_brain_clock_step(c, wall_us, input->monotonic_us);
    c->next_us = INT64_MAX;
    if (c->root != NULL && (c->started || input->type == SL_COORD_START)) {
        sl_brain_touch_time(c);
        take(c, input);
        sl_brain_clock_look(c);
        settle(c);
        sl_brain_heads(c);
        sl_brain_troubles_end(c);
    }
    out->next_us = MIN(out->next_us, MAX(c->next_us, c->now_us + 1000));
    c->out = NULL;
}

const SlFleetDocs *sl_coord_docs(const SlCoord *c)
{
    return c->docs;
}

uint64_t sl_coord_docs_version(const SlCoord *c)
{
    return c->docs_version;
}

uint64_t sl_coord_root_version(const SlCoord *c)
{
    return c->roots->len;
}

char **sl_coord_environments(const SlCoord *c)
{
    GPtrArray *names = g_ptr_array_new();
    for (guint i = 0; c->root != NULL && i < c->root->environments->len; i++) {
        const SlRootEnv *env = g_ptr_array_index(c->root->environments, i);
        g_ptr_array_add(names, g_strdup(env->name));
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

const char *sl_coord_followed(const SlCoord *c, const char *repository)
{
    const SlSourceState *s = g_hash_table_lookup(c->sources, repository != NULL ? repository : "");
    return s != NULL ? s->commit : NULL;
}

GPtrArray *sl_coord_curve_keys(const SlCoord *c)
{
    GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter envs, clusters;
    gpointer value;
    g_hash_table_iter_init(&envs, c->envs);
    while (g_hash_table_iter_next(&envs, NULL, &value)) {
        g_hash_table_iter_init(&clusters, ((SlEnv *)value)->clusters);
        while (g_hash_table_iter_next(&clusters, NULL, &value)) {
            g_ptr_array_add(keys, g_strdup(((SlCluster *)value)->curve));
        }
    }
    return keys;
}

uint64_t sl_coord_keys_version(const SlCoord *c)
{
    return c->keys_version;
}

const SlCluster *sl_coord_cluster_of_key(const SlCoord *c, const char *curve, const char **ret_env)
{
    const SlEnv *env = g_hash_table_lookup(c->curve_envs, curve);
    if (env != NULL && ret_env != NULL) {
        *ret_env = env->name;
    }
    return g_hash_table_lookup(c->curves, curve);
}

const SlSigned *sl_coord_statement(const SlCoord *c, const char *digest)
{
    return g_hash_table_lookup(c->statements, digest);
}

bool sl_coord_token_check(const SlCoord *c, const char *token, int64_t now_us,
                          const char **ret_person, const char **ret_scope, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(token, "_", 4);
    const SlToken *known = NULL;
    if (g_strv_length(parts) == 3 && strcmp(parts[0], "slc") == 0) {
        known = g_hash_table_lookup(c->tokens, parts[1]);
    }
    g_autofree char *hash = known != NULL ? sl_sha256_hex(parts[2], strlen(parts[2])) : NULL;
    if (known == NULL || strcmp(hash, known->hash) != 0 ||
        (known->expires_us != 0 && known->expires_us <= now_us)) {
        return sl_throw(error, SLU_API_TOKEN_UNKNOWN,
                        "this API token is not known, was revoked or has expired");
    }
    *ret_person = known->person;
    *ret_scope = known->scope;
    return true;
}
