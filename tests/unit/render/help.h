/* help.h - small helpers of this room's tests. */
#pragma once
#include "render/fleet.h"
#include "render/render.h"
#include "render/tree.h"
#include "render/yaml.h"
#include <string.h>

static inline GPtrArray *problems_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
}
static inline char *problems_text(const GPtrArray *problems)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < problems->len; i++) {
        g_autofree char *line = sl_problem_format(g_ptr_array_index(problems, i));
        g_string_append_printf(text, "%s\n", line);
    }
    return g_string_free(text, FALSE);
}
/* The problems must hold @part. */
#define assert_said(problems, part)                                                                          \
    do {                                                                                                     \
        g_autofree char *said_ = problems_text(problems);                                                    \
        if (!strstr(said_, part))                                                                            \
            g_error("%s:%d: not said: %s\n--- but:\n%s", __FILE__, __LINE__, part, said_);                   \
    } while (0)
#define assert_quiet(problems)                                                                               \
    do {                                                                                                     \
        g_autofree char *said_ = problems_text(problems);                                                    \
        if (*said_)                                                                                          \
            g_error("%s:%d: unexpected:\n%s", __FILE__, __LINE__, said_);                                    \
    } while (0)
static inline GPtrArray *read_yaml(const char *text, GPtrArray *problems)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    return sl_yaml_read("f.yaml", bytes, true, problems);
}
static inline char *yaml_json(const char *text, GPtrArray *problems)
{
    g_autoptr(GPtrArray) docs = read_yaml(text, problems);
    return docs->len > 0 ? sl_json_canonical(sl_yaml_json(g_ptr_array_index(docs, 0)), NULL) : g_strdup("");
}
G_GNUC_UNUSED static void put(SlTree *tree, const char *path, const char *content)
{
    sl_tree_memory_put(tree, path, content, SL_TREE_FILE);
}
