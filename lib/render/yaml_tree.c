/* yaml_tree.c - libfyaml's events into an own tree with positions and limits.
 *
 * The event parser is linear but checks neither duplicates nor depth; both are done here and in yaml.c. Nothing
 * is typed yet, aliases are kept as references: what they expand to is counted where it is expanded. */
#include "render/yaml_tree.h"
#include "render/yaml_quoted.h"
#include <libfyaml.h>
#include <string.h>

void sl_ynode_free(SlYNode *node)
{
    if (!node)
        return;
    g_free(node->text);
    g_free(node->tag);
    if (node->items)
        g_ptr_array_unref(node->items);
    json_decref(node->json);
    g_free(node);
}

typedef struct {
    const SlYamlAsk *ask;
    GBytes *text;
    GPtrArray *roots;
    GArray *counts;
    GPtrArray *stack;    /* of SlYNode*, borrowed: open collections */
    GHashTable *anchors; /* of the document: name -> SlYNode*, borrowed */
    SlYNode *root;
    size_t nodes, document_nodes;
} Builder;

static bool fail(Builder *b, const struct fy_mark *mark, int code, const char *hint, const char *what)
{
    sl_problem_add(b->ask->problems, b->ask->file, mark ? mark->line + 1 : 0, mark ? mark->column + 1 : 0, code,
                   false, hint, "%s", what);
    return false;
}

static char *token_text(struct fy_token *token, size_t *ret_len)
{
    size_t len = 0;
    const char *text = token ? fy_token_get_text(token, &len) : NULL;
    char *copy = g_malloc(len + 1);
    if (text)
        memcpy(copy, text, len);
    copy[text ? len : 0] = '\0';
    if (ret_len)
        *ret_len = text ? len : 0;
    return copy;
}

/* Of a quoted scalar by our own reading; NULL: it is not quoted. */
static char *quoted_text(const Builder *b, struct fy_token *token, size_t *ret_len)
{
    enum fy_scalar_style style = token ? fy_scalar_token_get_style(token) : FYSS_ANY;
    const struct fy_mark *start = token ? fy_token_start_mark(token) : NULL;
    const struct fy_mark *end = token ? fy_token_end_mark(token) : NULL;
    char quote = style == FYSS_SINGLE_QUOTED ? '\'' : '"';
    size_t len = 0;
    const char *data = g_bytes_get_data(b->text, &len);
    if ((style != FYSS_SINGLE_QUOTED && style != FYSS_DOUBLE_QUOTED) || !start || !end ||
        start->input_pos < 1 || end->input_pos < start->input_pos || end->input_pos >= len ||
        data[start->input_pos - 1] != quote || data[end->input_pos] != quote)
        return NULL;
    return sl_yaml_quoted(data + start->input_pos, end->input_pos - start->input_pos, quote, ret_len);
}

static bool attach(Builder *b, SlYNode *node, const struct fy_mark *mark)
{
    b->nodes++;
    b->document_nodes++;
    if (b->stack->len > 0) {
        SlYNode *parent = g_ptr_array_index(b->stack, b->stack->len - 1);
        g_ptr_array_add(parent->items, node);
    } else {
        sl_ynode_free(b->root);
        b->root = node;
    }
    if (b->nodes > SL_YAML_NODES_MAX)
        return fail(b, mark, SLU_YAML_LIMIT, "split the file", "more than 200000 values in one file");
    return true;
}

static SlYNode *node_new(SlYNodeType type, const struct fy_mark *mark)
{
    SlYNode *node = g_new0(SlYNode, 1);
    node->type = type;
    node->line = mark ? mark->line + 1 : 0;
    node->column = mark ? mark->column + 1 : 0;
    return node;
}

static void set_anchor(Builder *b, SlYNode *node, struct fy_token *anchor)
{
    if (anchor)
        g_hash_table_replace(b->anchors, token_text(anchor, NULL), node);
}

static bool open_collection(Builder *b, SlYNodeType type, const struct fy_mark *mark, struct fy_token *tag,
                            struct fy_token *anchor)
{
    if (b->stack->len >= SL_YAML_DEPTH_MAX)
        return fail(b, mark, SLU_YAML_LIMIT, NULL, "values are nested deeper than 64");
    SlYNode *node = node_new(type, mark);
    node->items = g_ptr_array_new_with_free_func((GDestroyNotify)sl_ynode_free);
    node->open = true;
    if (tag)
        node->tag = token_text(tag, NULL);
    set_anchor(b, node, anchor);
    bool fine = attach(b, node, mark);
    g_ptr_array_add(b->stack, node);
    return fine;
}

static void close_collection(Builder *b)
{
    if (b->stack->len == 0)
        return;
    SlYNode *node = g_ptr_array_index(b->stack, b->stack->len - 1);
    node->open = false;
    g_ptr_array_set_size(b->stack, (int)b->stack->len - 1);
}

static bool add_scalar(Builder *b, struct fy_event *event, const struct fy_mark *mark)
{
    SlYNode *node = node_new(SL_YNODE_SCALAR, mark);
    struct fy_token *value = event->scalar.value;
    node->text = quoted_text(b, value, &node->len);
    if (!node->text)
        node->text = token_text(value, &node->len);
    node->plain = !value || fy_scalar_token_get_style(value) == FYSS_PLAIN || fy_scalar_token_get_style(value) == FYSS_ANY;
    if (node->line == 0 && b->stack->len > 0) { /* an empty value has no mark: its key's line is near enough */
        const SlYNode *parent = g_ptr_array_index(b->stack, b->stack->len - 1);
        const SlYNode *near = parent->items->len > 0 ? g_ptr_array_index(parent->items, parent->items->len - 1) : parent;
        node->line = near->line;
        node->column = near->column;
    }
    if (event->scalar.tag)
        node->tag = token_text(event->scalar.tag, NULL);
    set_anchor(b, node, event->scalar.anchor);
    return attach(b, node, mark);
}

static bool add_alias(Builder *b, struct fy_event *event, const struct fy_mark *mark)
{
    SlYNode *node = node_new(SL_YNODE_ALIAS, mark);
    node->text = token_text(event->alias.anchor, &node->len);
    node->target = g_hash_table_lookup(b->anchors, node->text);
    g_autofree char *what = NULL;
    if (!node->target)
        what = g_strdup_printf("alias *%s has no anchor &%s before it", node->text, node->text);
    else if (node->target->open)
        what = g_strdup_printf("alias *%s stands inside its own anchor", node->text);
    if (!attach(b, node, mark))
        return false;
    return !what || fail(b, mark, SLU_YAML_ALIAS, NULL, what);
}

static bool end_document(Builder *b)
{
    if (!b->root)
        return true;
    guint count = (guint)MIN(b->document_nodes, SL_YAML_NODES_MAX);
    g_ptr_array_add(b->roots, g_steal_pointer(&b->root));
    g_array_append_val(b->counts, count);
    return true;
}

static bool take(Builder *b, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    switch (event->type) {
    case FYET_DOCUMENT_START:
        g_hash_table_remove_all(b->anchors);
        b->document_nodes = 0;
        if (b->roots->len >= SL_YAML_DOCUMENTS_MAX)
            return fail(b, mark, SLU_YAML_LIMIT, "split the file", "more than 10000 documents in one file");
        return true;
    case FYET_DOCUMENT_END: return end_document(b);
    case FYET_MAPPING_START:
        return open_collection(b, SL_YNODE_MAP, mark, event->mapping_start.tag, event->mapping_start.anchor);
    case FYET_SEQUENCE_START:
        return open_collection(b, SL_YNODE_LIST, mark, event->sequence_start.tag, event->sequence_start.anchor);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END: close_collection(b); return true;
    case FYET_SCALAR: return add_scalar(b, event, mark);
    case FYET_ALIAS: return add_alias(b, event, mark);
    default: return true;
    }
}

/* Does line @line (from 1) of the text have a tab before its first other character? */
static bool tab_indented(GBytes *text, int line)
{
    size_t len = 0;
    const char *p = g_bytes_get_data(text, &len), *end = p + len;
    for (int at = 1; at < line && p < end; at++) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        p = lf ? lf + 1 : end;
    }
    while (p < end && *p == ' ')
        p++;
    return p < end && *p == '\t';
}

static void report_syntax(Builder *b, struct fy_diag *diag)
{
    void *state = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &state);
    int line = error ? error->line : 0, column = error ? error->column : 0;
    const char *message = error && error->msg ? error->msg : "not valid YAML";
    bool tab = strstr(message, "tab ") || (line > 0 && tab_indented(b->text, line));
    if (tab)
        sl_problem_add(b->ask->problems, b->ask->file, line, column, SLU_YAML_SYNTAX, false,
                       "indent with spaces", "a tab character is used as indentation");
    else
        sl_problem_add(b->ask->problems, b->ask->file, line, column, SLU_YAML_SYNTAX, false, NULL,
                       "not valid YAML: %s", message);
}

/* A diagnostics object that only collects: the library must never print. */
static struct fy_diag *quiet_diag(void)
{
    struct fy_diag_cfg config = {.level = FYET_ERROR, .module_mask = ~0U};
    struct fy_diag *diag = fy_diag_create(&config);
    fy_diag_set_collect_errors(diag, true);
    return diag;
}

static bool run_parser(Builder *b)
{
    struct fy_diag *diag = quiet_diag();
    struct fy_parse_cfg config = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_ALLOW_DUPLICATE_KEYS | FYPCF_DISABLE_DEPTH_LIMIT |
                 FYPCF_JSON_NONE,
        .diag = diag,
    };
    struct fy_parser *parser = fy_parser_create(&config);
    size_t len = 0;
    const char *data = g_bytes_get_data(b->text, &len);
    bool fine = len == 0 || fy_parser_set_string(parser, data, len) == 0, ended = len == 0;
    while (fine && !ended) {
        struct fy_event *event = fy_parser_parse(parser);
        if (!event)
            break;
        ended = event->type == FYET_STREAM_END;
        fine = take(b, event);
        fy_parser_event_free(parser, event);
    }
    if (fine && !ended)
        report_syntax(b, diag);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return fine && ended;
}

GPtrArray *sl_yaml_tree(const SlYamlAsk *ask, GBytes *text, GArray *ret_nodes, bool *ret_cut)
{
    g_autoptr(GPtrArray) stack = g_ptr_array_new();
    g_autoptr(GHashTable) anchors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Builder b = {.ask = ask,
                 .text = text,
                 .roots = g_ptr_array_new_with_free_func((GDestroyNotify)sl_ynode_free),
                 .counts = ret_nodes,
                 .stack = stack,
                 .anchors = anchors};
    *ret_cut = !run_parser(&b);
    sl_ynode_free(b.root);
    return b.roots;
}
