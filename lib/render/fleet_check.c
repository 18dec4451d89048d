/* fleet_check.c - everything that can be known from documents and files together: for `sluice validate`. */
#include "render/prepare.h"
#include "render/render_object.h"
#include <string.h>

#define SHOWN_MAX 200 /* as problem.c: nobody reads further */

typedef struct {
    const SlApplicationDoc *app;
    const SlPart *part;
    char *file;
    int line;
} Writer;

static void writer_free(void *data)
{
    Writer *writer = data;
    g_free(writer->file);
    g_free(writer);
}

/* Could one cluster have both sets of labels? */
static bool may_meet(GHashTable *one, GHashTable *other)
{
    GHashTableIter iter;
    void *key = NULL, *value = NULL;
    g_hash_table_iter_init(&iter, one);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const char *there = g_hash_table_lookup(other, key);
        if (there && !g_str_equal(there, value))
            return false;
    }
    return true;
}

static void compare(GHashTable *seen, const SlPrepared *object, const SlApplicationDoc *app, const SlPart *part, const char *env,
                    GPtrArray *problems)
{
    if (object->ops)
        return;
    g_autofree char *identity = g_strdup_printf("%s %s %s", object->kind, object->namespace_, object->name);
    const Writer *first = g_hash_table_lookup(seen, identity);
    if (first && first->app != app && may_meet(first->part->match_labels, part->match_labels)) {
        sl_problem_add(problems, object->file, object->line, 0, SLU_RENDER_CONFLICT, false, "leave it in one of them",
                       "applications %s and %s both write %s in environment %s, first in %s:%d", first->app->name, app->name, identity,
                       env, first->file, first->line);
        return;
    }
    if (first)
        return;
    Writer *writer = g_new0(Writer, 1);
    *writer = (Writer){.app = app, .part = part, .file = g_strdup(object->file), .line = object->line};
    g_hash_table_insert(seen, g_steal_pointer(&identity), writer);
}

static void check_unit(const SlApplicationDoc *app, const SlAppEnv *env, const SlTree *tree, GHashTable *seen, GPtrArray *problems)
{
    g_autoptr(GHashTable) blobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    g_autoptr(GHashTable) folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_decref);
    SlPrepare prepare = {.app = app, .tree = tree, .blobs = blobs, .problems = problems, .folders = folders};
    for (guint i = 0; i < env->parts->len; i++) {
        const SlPart *part = g_ptr_array_index(env->parts, i);
        g_autoptr(GPtrArray) objects = sl_prepare_part(&prepare, part, env->env);
        for (guint k = 0; objects && k < objects->len; k++)
            compare(seen, g_ptr_array_index(objects, k), app, part, env->env, problems);
    }
}

static bool same_problem(const SlProblem *a, const SlProblem *b)
{
    return a->code == b->code && a->line == b->line && a->column == b->column && g_strcmp0(a->file, b->file) == 0 &&
           g_strcmp0(a->message, b->message) == 0;
}

/* The same file is read once per environment; its mistakes are said once. */
static void add_new(GPtrArray *problems, GPtrArray *found)
{
    for (guint i = 0; i < found->len && problems->len < SHOWN_MAX; i++) {
        SlProblem *problem = g_ptr_array_index(found, i);
        bool known = false;
        for (guint k = 0; k < problems->len && !known; k++)
            known = same_problem(problem, g_ptr_array_index(problems, k));
        if (!known)
            g_ptr_array_add(problems, g_steal_pointer(&found->pdata[i]));
    }
}

void sl_fleet_check_tree(const SlFleetDocs *docs, const SlTree *tree, GPtrArray *problems)
{
    for (guint i = 0; i < docs->environments->len; i++) {
        const SlEnvironmentDoc *env = g_ptr_array_index(docs->environments, i);
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, writer_free);
        for (guint k = 0; k < docs->applications->len; k++) {
            const SlApplicationDoc *app = g_ptr_array_index(docs->applications, k);
            const SlAppEnv *mine = app->broken || app->repository || app->revision ? NULL : sl_app_env(app, env->name);
            g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
            if (mine)
                check_unit(app, mine, tree, seen, found);
            add_new(problems, found);
        }
    }
}
