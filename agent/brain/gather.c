/* gather.c - brings a bundle here: its list, then every object and blob, then reads the objects
 * once. The list, the objects and the maps are hashed again here; file blobs were checked by the
 * shell when it stored them. Nothing is read before all of it is here. */
#include "agent/brain/state.h"

#define ASK_AT_ONCE 64 /* missing digests asked for at a time: the fetch queue stays small */
#define MODEL_PREFIX "model://sha256:"

static void goal_free(SlGoal *g)
{
    if (g == NULL) {
        return;
    }
    g_free(g->key);
    g_free(g->kind);
    g_free(g->namespace_);
    g_free(g->name);
    g_free(g->digest);
    g_free(g->run_key);
    g_clear_pointer(&g->inputs, g_ptr_array_unref);
    g_free(g);
}

char *sl_object_key(const char *kind, const char *namespace_, const char *name)
{
    return g_strdup_printf("%s %s %s", kind, namespace_, name);
}

SlGather *sl_gather_new(const char *bundle)
{
    SlGather *g = g_new0(SlGather, 1);
    g->digest = g_strdup(bundle);
    return g;
}

void sl_gather_free(SlGather *g)
{
    if (g == NULL) {
        return;
    }
    g_free(g->digest);
    sl_bundle_free(g->bundle);
    g_clear_pointer(&g->missing, g_hash_table_unref);
    g_clear_pointer(&g->by_key, g_hash_table_unref);
    g_clear_pointer(&g->goals, g_ptr_array_unref);
    g_clear_pointer(&g->withheld, g_hash_table_unref);
    g_clear_pointer(&g->models, g_ptr_array_unref);
    g_free(g);
}

bool sl_gather_ready(const SlGather *g)
{
    return g != NULL && g->goals != NULL;
}

void sl_gather_arrived(SlGather *g, const char *digest)
{
    if (g->missing != NULL) {
        g_hash_table_remove(g->missing, digest);
    }
}

/* ---- the list ---- */

static SlCheck read_list(SlAgent *a, SlGather *g, const char *waiter, GError **error)
{
    g_autoptr(GBytes) nothing = g_bytes_new_static("", 0);
    g_autofree char *empty = sl_sha256_hex("", 0);
    GError *why = NULL;
    GBytes *text =
        strcmp(g->digest, empty) == 0 ? nothing : sl_agent_checked_blob(a, g->digest, waiter, &why);
    if (text == NULL && why == NULL) {
        return SL_CHECK_WAIT;
    }
    if (text == NULL) {
        g_propagate_error(error, why);
        return SL_CHECK_REFUSED;
    }
    g->bundle = sl_bundle_parse(text, error);
    if (g->bundle == NULL) {
        return SL_CHECK_REFUSED;
    }
    g->missing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < g->bundle->objects->len; i++) {
        const SlBundleObject *o = g->bundle->objects->pdata[i];
        if (a->blob(o->digest, a->user) == NULL) {
            g_hash_table_add(g->missing, g_strdup(o->digest));
        }
    }
    for (guint i = 0; i < g->bundle->blobs->len; i++) {
        const SlBundleBlob *b = g->bundle->blobs->pdata[i];
        if (a->blob(b->digest, a->user) == NULL) {
            g_hash_table_add(g->missing, g_strdup(b->digest));
        }
    }
    return SL_CHECK_OK;
}

static bool ask_missing(SlAgent *a, SlGather *g, const char *waiter)
{
    GHashTableIter iter;
    gpointer key;
    unsigned asked = 0;
    g_hash_table_iter_init(&iter, g->missing);
    while (asked < ASK_AT_ONCE && g_hash_table_iter_next(&iter, &key, NULL)) {
        if (sl_agent_blob(a, key, waiter) != NULL) {
            g_hash_table_iter_remove(&iter);
        } else {
            asked++;
        }
    }
    return g_hash_table_size(g->missing) == 0;
}

/* ---- objects ---- */

static void find_models(const json_t *value, GPtrArray *models)
{
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        if (g_str_has_prefix(text, MODEL_PREFIX) && sl_is_hex_digest(text + strlen(MODEL_PREFIX))) {
            g_ptr_array_add(models, g_strdup(text + strlen(MODEL_PREFIX)));
        }
        return;
    }
    size_t i;
    json_t *item;
    const char *key;
    json_array_foreach(value, i, item)
    {
        find_models(item, models);
    }
    json_object_foreach((json_t *)value, key, item)
    {
        find_models(item, models);
    }
}

static void add_input(GPtrArray *inputs, const char *name, const char *value)
{
    if (name == NULL || value == NULL) {
        return;
    }
    const char *at = strstr(value, "sha256:");
    if (at != NULL && sl_is_hex_digest(at + strlen("sha256:"))) {
        g_ptr_array_add(inputs, g_strdup_printf("%s %s", name, at));
    }
}

/* Inputs of a job by digest, for its seal: the annotation, and spec.inputs whose values name one.
 */
static GPtrArray *job_inputs(const json_t *object)
{
    GPtrArray *inputs = g_ptr_array_new_with_free_func(g_free);
    const char *text = sl_object_annotation(object, SL_ANNOTATION_RUN_INPUTS);
    g_autoptr(json_t) listed =
        text != NULL ? sl_json_parse(text, strlen(text), NULL, "run inputs", NULL) : NULL;
    const char *key;
    json_t *item;
    json_object_foreach(listed, key, item)
    {
        add_input(inputs, key, json_string_value(item));
    }
    size_t i;
    json_array_foreach(sl_json_at(object, "spec.inputs"), i, item)
    {
        const char *from = sl_json_str(item, "from");
        add_input(inputs, sl_json_str(item, "name"),
                  from != NULL ? from : sl_json_str(item, "model"));
    }
    json_object_foreach(sl_json_at(object, "spec.inputs"), key, item)
    {
        add_input(inputs, key, json_string_value(item));
    }
    return inputs;
}

static bool never_prune(const json_t *object)
{
    const char *ours = sl_object_annotation(object, SL_ANNOTATION_PRUNE);
    const char *argo = sl_object_annotation(object, "argocd.argoproj.io/sync-options");
    const char *flux = sl_object_annotation(object, "kustomize.toolkit.fluxcd.io/prune");
    return (ours != NULL && strcmp(ours, "false") == 0) ||
           (argo != NULL && strstr(argo, "Prune=false") != NULL) ||
           (flux != NULL && strcmp(flux, "disabled") == 0);
}

static bool is_what_the_list_says(const json_t *object, const SlBundleObject *o, GError **error)
{
    g_autofree char *kind = sl_object_kind(object, error);
    if (kind == NULL) {
        return false;
    }
    const char *name = sl_object_name(object);
    const char *ns = sl_object_namespace(object);
    if (strcmp(kind, o->kind) != 0 || name == NULL || strcmp(name, o->name) != 0 ||
        strcmp(ns, o->namespace_) != 0) {
        return sl_throw(error, SLU_AGENT_WRONG_BYTES,
                        "bundle: the list says %s %s/%s, the object is %s %s/%s", o->kind,
                        o->namespace_, o->name, kind, ns, name != NULL ? name : "");
    }
    return true;
}

static SlGoal *read_object(SlAgent *a, SlGather *g, const SlBundleObject *o, GError **error)
{
    static const SlJsonLimits limits = {.bytes_max = SL_OBJECT_MAX};
    g_autoptr(GBytes) bytes = a->blob(o->digest, a->user);
    if (bytes == NULL) {
        return sl_throw_null(error, SLU_AGENT_WRONG_BYTES, "blob %.12s is gone again", o->digest);
    }
    g_bytes_ref(bytes);
    g_autofree char *digest = sl_sha256_hex_bytes(bytes);
    if (strcmp(digest, o->digest) != 0 || g_bytes_get_size(bytes) != o->size) {
        return sl_throw_null(error, SLU_AGENT_WRONG_BYTES,
                             "object %s %s: its bytes are not what the bundle's list says", o->kind,
                             o->name);
    }
    size_t len = 0;
    const char *text = g_bytes_get_data(bytes, &len);
    g_autoptr(json_t) object = sl_json_parse(text, len, &limits, "object", error);
    if (object == NULL || !is_what_the_list_says(object, o, error)) {
        return NULL;
    }
    SlGoal *goal = g_new0(SlGoal, 1);
    goal->kind = g_strdup(o->kind);
    goal->namespace_ = g_strdup(o->namespace_);
    goal->name = g_strdup(o->name);
    goal->digest = g_strdup(o->digest);
    goal->key = sl_object_key(o->kind, o->namespace_, o->name);
    goal->wave = sl_object_wave(object);
    goal->keep = never_prune(object);
    goal->is_run = strcmp(o->kind, SL_KIND_TRAINING_JOB) == 0;
    if (goal->is_run) {
        goal->run_key = g_strdup(sl_object_annotation(object, SL_ANNOTATION_RUN_KEY));
        goal->start_auto = strcmp(sl_json_str_or(object, "spec.start", "auto"), "auto") == 0;
        goal->inputs = job_inputs(object);
    }
    find_models(object, g->models);
    return goal;
}

static gint by_wave(gconstpointer left, gconstpointer right)
{
    const SlGoal *l = *(SlGoal *const *)left, *r = *(SlGoal *const *)right;
    return l->wave != r->wave ? (l->wave < r->wave ? -1 : 1) : strcmp(l->key, r->key);
}

static SlCheck read_objects(SlAgent *a, SlGather *g, GError **error)
{
    g_clear_pointer(&g->models, g_ptr_array_unref);
    g->models = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) goals = g_ptr_array_new_with_free_func((GDestroyNotify)goal_free);
    for (guint i = 0; i < g->bundle->objects->len; i++) {
        SlGoal *goal = read_object(a, g, g->bundle->objects->pdata[i], error);
        if (goal == NULL) {
            return SL_CHECK_REFUSED;
        }
        g_ptr_array_add(goals, goal);
    }
    g_ptr_array_sort(goals, by_wave);
    g->by_key = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < goals->len; i++) {
        SlGoal *goal = goals->pdata[i];
        g_hash_table_insert(g->by_key, goal->key, goal);
    }
    g->withheld = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < g->bundle->withheld->len; i++) {
        const SlBundleWithheld *w = g->bundle->withheld->pdata[i];
        g_hash_table_add(g->withheld, sl_object_key(w->kind, w->namespace_, w->name));
    }
    g->goals = g_steal_pointer(&goals);
    return SL_CHECK_OK;
}

SlCheck sl_gather_advance(SlAgent *a, SlGather *g, const char *waiter, GError **error)
{
    if (g->goals != NULL) {
        return SL_CHECK_OK;
    }
    if (g->bundle == NULL) {
        SlCheck check = read_list(a, g, waiter, error);
        if (check != SL_CHECK_OK) {
            return check;
        }
    }
    if (!ask_missing(a, g, waiter)) {
        return SL_CHECK_WAIT;
    }
    return read_objects(a, g, error);
}
