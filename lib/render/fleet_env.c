/* fleet_env.c - Environment documents: defaults, gates, and the graph of stages in topological order. */
#include "base/digest.h"
#include "base/text.h"
#include "render/fleet_build.h"
#include <string.h>

void sl_gate_doc_free(SlGateDoc *gate)
{
    if (!gate)
        return;
    g_free(gate->type);
    json_decref(gate->config);
    g_free(gate->where);
    g_free(gate);
}

void sl_environment_doc_free(SlEnvironmentDoc *env)
{
    if (!env)
        return;
    g_free(env->name);
    json_decref(env->doc);
    g_free(env->digest);
    g_strfreev(env->after.names);
    if (env->match_labels)
        g_hash_table_unref(env->match_labels);
    if (env->gates)
        g_ptr_array_unref(env->gates);
    g_free(env->on_external_change);
    g_free(env);
}

GHashTable *sl_labels_build(const json_t *clusters)
{
    GHashTable *labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(clusters, "matchLabels"), key, value)
        if (json_is_string(value))
            g_hash_table_insert(labels, g_strdup(key), g_strdup(json_string_value(value)));
    return labels;
}

bool sl_labels_match(GHashTable *match, GHashTable *labels)
{
    GHashTableIter iter;
    void *key = NULL, *value = NULL;
    if (!match)
        return true;
    g_hash_table_iter_init(&iter, match);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const char *has = labels ? g_hash_table_lookup(labels, key) : NULL;
        if (!has || !g_str_equal(has, value))
            return false;
    }
    return true;
}

GPtrArray *sl_gates_build(const json_t *gates, const char *where)
{
    GPtrArray *built = g_ptr_array_new_with_free_func((GDestroyNotify)sl_gate_doc_free);
    for (size_t i = 0; i < json_array_size(gates); i++) {
        json_t *entry = json_array_get(gates, i);
        void *member = json_object_iter(entry);
        if (!member)
            continue;
        SlGateDoc *gate = g_new0(SlGateDoc, 1);
        gate->type = g_strdup(json_object_iter_key(member));
        gate->config = json_incref(json_object_iter_value(member));
        gate->where = g_strdup(where);
        g_ptr_array_add(built, gate);
    }
    return built;
}

/* Any of the five ways to write `after` becomes {atLeast, of}; none at all is left out. */
static void normalise_after(json_t *spec)
{
    json_t *after = json_object_get(spec, "after");
    if (!after || json_object_get(after, "atLeast"))
        return;
    g_autoptr(json_t) of = NULL;
    bool any = json_object_get(after, "any") != NULL;
    if (json_is_string(after))
        of = json_pack("[O]", after);
    else if (json_is_array(after))
        of = json_incref(after);
    else
        of = json_incref(json_object_get(after, any ? "any" : "all"));
    json_int_t count = (json_int_t)json_array_size(of);
    if (count == 0)
        json_object_del(spec, "after");
    else
        json_object_set_new(spec, "after", json_pack("{s:I, s:O}", "atLeast", any ? (json_int_t)1 : count, "of", of));
}

static void fill_defaults(json_t *doc, const char *name)
{
    if (!json_object_get(doc, "spec"))
        json_object_set_new(doc, "spec", json_object());
    json_t *spec = json_object_get(doc, "spec");
    bool prod = g_str_equal(name, "prod") || g_str_equal(name, "production");
    normalise_after(spec);
    if (!json_object_get(spec, "promotion"))
        sl_json_set_str(spec, "promotion", "manual");
    if (!json_object_get(spec, "healthTimeout"))
        sl_json_set_str(spec, "healthTimeout", "10m");
    if (!json_object_get(spec, "gateTimeout"))
        sl_json_set_str(spec, "gateTimeout", "7d");
    if (!json_object_get(spec, "onExternalChange"))
        sl_json_set_str(spec, "onExternalChange", prod ? "halt" : "revert");
}

static int64_t duration(const json_t *spec, const char *key)
{
    int64_t us = 0;
    return sl_parse_duration(sl_json_str_or(spec, key, ""), &us, NULL) ? us : 0;
}

SlEnvironmentDoc *sl_environment_build(SlFleetSource *source)
{
    fill_defaults(source->json, source->name);
    const json_t *spec = json_object_get(source->json, "spec");
    const json_t *after = json_object_get(spec, "after"), *of = json_object_get(after, "of");
    SlEnvironmentDoc *env = g_new0(SlEnvironmentDoc, 1);
    env->name = g_strdup(source->name);
    env->doc = json_incref(source->json);
    env->digest = sl_json_digest(source->json);
    env->after.need = (int)sl_json_int(after, "atLeast", 0);
    env->after.names = g_new0(char *, json_array_size(of) + 1);
    for (size_t i = 0; i < json_array_size(of); i++)
        env->after.names[i] = g_strdup(json_string_value(json_array_get(of, i)));
    env->match_labels = sl_labels_build(json_object_get(spec, "clusters"));
    g_autofree char *where = g_strconcat("environment ", env->name, NULL);
    env->gates = sl_gates_build(json_object_get(spec, "gates"), where);
    env->mode = g_str_equal(sl_json_str_or(spec, "promotion", "manual"), "newest") ? SL_MODE_NEWEST : SL_MODE_MANUAL;
    env->health_timeout_us = duration(spec, "healthTimeout");
    env->gate_timeout_us = duration(spec, "gateTimeout");
    env->on_external_change = g_strdup(sl_json_str(spec, "onExternalChange"));
    return env;
}

static SlEnvironmentDoc *find(const GPtrArray *environments, const char *name, guint *ret_index)
{
    for (guint i = 0; i < environments->len; i++) {
        SlEnvironmentDoc *env = g_ptr_array_index(environments, i);
        if (!g_str_equal(env->name, name))
            continue;
        if (ret_index)
            *ret_index = i;
        return env;
    }
    return NULL;
}

static char *nearest_hint(const GPtrArray *environments, const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < environments->len; i++)
        g_ptr_array_add(names, ((SlEnvironmentDoc *)g_ptr_array_index(environments, i))->name);
    g_ptr_array_add(names, NULL);
    const char *const *known = (const char *const *)names->pdata;
    const char *near = sl_nearest(name, known);
    if (near)
        return g_strdup_printf("did you mean `%s`?", near);
    g_autofree char *all = sl_words_text(known);
    return g_strdup_printf("there are: %s", *all ? all : "none");
}

char *sl_environment_hint(const SlFleetDocs *docs, const char *name)
{
    return nearest_hint(docs->environments, name);
}

static bool check_references(const GPtrArray *environments, const GPtrArray *sources, GPtrArray *problems)
{
    bool fine = true;
    for (guint i = 0; i < environments->len; i++) {
        const SlEnvironmentDoc *env = g_ptr_array_index(environments, i);
        SlDocCheck check = sl_fleet_source_check(g_ptr_array_index(sources, i), problems);
        for (char **name = env->after.names; *name; name++) {
            g_autofree char *hint = nearest_hint(environments, *name);
            if (!find(environments, *name, NULL))
                sl_doc_error(&check, "spec.after", SLU_FLEET_REFERENCE, hint, "there is no environment `%s`", *name);
            for (char **other = name + 1; *other; other++)
                if (g_str_equal(*name, *other))
                    sl_doc_error(&check, "spec.after", SLU_FLEET_VALUE, NULL, "`%s` is named twice", *name);
        }
        fine = fine && !check.broken;
    }
    return fine;
}

static bool ready(const SlEnvironmentDoc *env, const GPtrArray *done)
{
    for (char **name = env->after.names; *name; name++)
        if (!find(done, *name, NULL))
            return false;
    return true;
}

/* Follows the first unfinished predecessor until a name comes again: that is the circle. */
static void report_circle(const GPtrArray *rest, const GPtrArray *all, const GPtrArray *sources, GPtrArray *problems)
{
    g_autoptr(GPtrArray) way = g_ptr_array_new();
    const SlEnvironmentDoc *env = g_ptr_array_index(rest, 0);
    while (env && !g_ptr_array_find(way, env, NULL)) {
        g_ptr_array_add(way, (void *)env);
        const SlEnvironmentDoc *next = NULL;
        for (char **name = env->after.names; *name && !next; name++)
            next = find(rest, *name, NULL);
        env = next;
    }
    if (!env)
        return;
    guint start = 0, index = 0;
    g_ptr_array_find(way, env, &start);
    GString *text = g_string_new(env->name);
    for (guint i = way->len; i-- > start;)
        g_string_append_printf(text, " -> %s", ((SlEnvironmentDoc *)g_ptr_array_index(way, i))->name);
    find(all, env->name, &index);
    SlDocCheck check = sl_fleet_source_check(g_ptr_array_index(sources, index), problems);
    sl_doc_error(&check, "spec.after", SLU_FLEET_CYCLE, "one of them must not wait for another", "environments form a circle: %s",
                 text->str);
    g_string_free(text, TRUE);
}

bool sl_environments_link(GPtrArray *environments, GPtrArray *sources, GPtrArray *problems)
{
    if (!check_references(environments, sources, problems))
        return false;
    g_autoptr(GPtrArray) done = g_ptr_array_new(), rest = g_ptr_array_new();
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    for (guint i = 0; i < environments->len; i++) {
        g_ptr_array_add(rest, g_ptr_array_index(environments, i));
        g_ptr_array_add(all, g_ptr_array_index(environments, i));
    }
    while (rest->len > 0) {
        guint i = 0;
        while (i < rest->len && !ready(g_ptr_array_index(rest, i), done))
            i++;
        if (i == rest->len) {
            report_circle(rest, all, sources, problems);
            return false;
        }
        g_ptr_array_add(done, g_ptr_array_remove_index(rest, i));
    }
    for (guint i = 0; i < done->len; i++)
        environments->pdata[i] = done->pdata[i];
    return true;
}

static void add_upstream(const SlFleetDocs *docs, const char *env, GHashTable *found)
{
    const SlEnvironmentDoc *doc = sl_fleet_env(docs, env);
    for (char **name = doc ? doc->after.names : NULL; name && *name; name++)
        if (g_hash_table_add(found, *name))
            add_upstream(docs, *name, found);
}

GPtrArray *sl_fleet_upstream(const SlFleetDocs *docs, const char *env)
{
    g_autoptr(GHashTable) found = g_hash_table_new(g_str_hash, g_str_equal);
    add_upstream(docs, env, found);
    GPtrArray *names = g_ptr_array_new();
    for (guint i = 0; i < docs->environments->len; i++) {
        const SlEnvironmentDoc *doc = g_ptr_array_index(docs->environments, i);
        if (g_hash_table_contains(found, doc->name))
            g_ptr_array_add(names, doc->name);
    }
    return names;
}
