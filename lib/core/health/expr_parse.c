/* expr_parse.c - text of an expression to nodes; everything doubtful is refused here, with its column. */
#include "base/text.h"
#include "core/health/expr_tree.h"
#include <errno.h>
#include <math.h>
#include <string.h>

typedef struct {
    SlExpr *expr;
    const char *text, *at;
    int depth;
    GError **error;
} Parser;

static int parse_expr(Parser *p);

static int column_of(const Parser *p, const char *at)
{
    return (int)(at - p->text) + 1;
}

static int refuse(Parser *p, const char *at, const char *format, ...) G_GNUC_PRINTF(3, 4);
static int refuse(Parser *p, const char *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    sl_throw(p->error, SLU_HEALTH_EXPRESSION, "column %d: %s", column_of(p, at), what);
    return -1;
}

static int add_node(Parser *p, const char *at, Node node)
{
    node.column = column_of(p, at);
    if (p->expr->nodes->len >= SL_EXPR_NODES_MAX) {
        g_free(node.text);
        json_decref(node.value);
        return refuse(p, at, "too long: an expression has at most %d parts", SL_EXPR_NODES_MAX);
    }
    g_array_append_val(p->expr->nodes, node);
    return (int)p->expr->nodes->len - 1;
}

static int add(Parser *p, const char *at, NodeType type, int detail, int first, int second)
{
    return first < 0
               ? -1
               : add_node(p, at,
                          (Node){.type = type, .detail = detail, .kids = {first, second, -1}});
}

/* ---- words ---- */

/* White space and // comments. */
static void skip(Parser *p)
{
    while (*p->at != '\0') {
        if (strchr(" \t\r\n\f", *p->at) != NULL) {
            p->at++;
        } else if (strncmp(p->at, "//", 2) == 0) {
            p->at += strcspn(p->at, "\n");
        } else {
            return;
        }
    }
}

static bool take(Parser *p, const char *token)
{
    skip(p);
    if (!g_str_has_prefix(p->at, token)) {
        return false;
    }
    p->at += strlen(token);
    return true;
}

static bool is_word_char(char c)
{
    return g_ascii_isalnum(c) || c == '_';
}

static char *take_word(Parser *p)
{
    skip(p);
    const char *start = p->at;
    if (!g_ascii_isalpha(*start) && *start != '_') {
        return NULL;
    }
    while (is_word_char(*p->at)) {
        p->at++;
    }
    return g_strndup(start, (size_t)(p->at - start));
}

static bool is_reserved(const char *word)
{
    static const char *const words[] = {
        "as", "break", "const", "continue", "else",      "for",    "function", "if",   "import",
        "in", "let",   "loop",  "package",  "namespace", "return", "var",      "void", "while"};
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- literals ---- */

static int add_value(Parser *p, const char *at, json_t *value)
{
    return add_node(p, at, (Node){.type = NODE_LITERAL, .value = value, .kids = {-1, -1, -1}});
}

static int parse_number(Parser *p, bool negative)
{
    const char *start = p->at;
    bool hex = start[0] == '0' && (start[1] == 'x' || start[1] == 'X');
    bool real = false;
    p->at += hex ? 2 : 0;
    for (; is_word_char(*p->at) || (!hex && *p->at == '.' && g_ascii_isdigit(p->at[1])) ||
           (!hex && strchr("+-", *p->at) != NULL && *p->at != '\0' &&
            strchr("eE", p->at[-1]) != NULL);
         p->at++) {
        real = real || (!hex && strchr(".eE", *p->at) != NULL);
    }
    g_autofree char *digits = g_strndup(start, (size_t)(p->at - start));
    g_autofree char *text = g_strconcat(negative ? "-" : "", digits, NULL);
    char *end = NULL;
    errno = 0;
    if (real) {
        double number = g_ascii_strtod(text, &end);
        return *end == '\0' && isfinite(number)
                   ? add_value(p, start, json_real(number))
                   : refuse(p, start, "`%s` is not a number that can be read", text);
    }
    int64_t number = g_ascii_strtoll(text, &end, hex ? 16 : 10);
    return errno == 0 && *end == '\0'
               ? add_value(p, start, json_integer(number))
               : refuse(p, start, "`%s` is not an integer of 64 bits (uint is not supported)",
                        text);
}

static bool add_code_point(GString *out, const char *digits, int count)
{
    gunichar code = 0;
    for (int i = 0; i < count; i++) {
        int digit = g_ascii_xdigit_value(digits[i]);
        if (digit < 0) {
            return false;
        }
        code = code * 16 + (gunichar)digit;
    }
    if (code == 0 || !g_unichar_validate(code)) {
        return false;
    }
    g_string_append_unichar(out, code);
    return true;
}

/* One escape; p->at is behind the backslash. */
static bool take_escape(Parser *p, GString *out)
{
    static const char from[] = "\\'\"`?abfnrtv";
    static const char to[] = "\\'\"`?\a\b\f\n\r\t\v";
    const char *plain = *p->at != '\0' ? strchr(from, *p->at) : NULL;
    int hex = *p->at == 'x' || *p->at == 'X' ? 2 : *p->at == 'u' ? 4 : *p->at == 'U' ? 8 : 0;
    if (plain != NULL) {
        g_string_append_c(out, to[plain - from]);
        p->at++;
        return true;
    }
    if (hex == 0 || !add_code_point(out, p->at + 1, hex)) {
        return false;
    }
    p->at += 1 + hex;
    return true;
}

static int parse_text(Parser *p)
{
    const char *start = p->at;
    char quote = *p->at++;
    g_autoptr(GString) out = g_string_new(NULL);
    while (*p->at != quote) {
        if (*p->at == '\0' || *p->at == '\n') {
            return refuse(p, start, "this text has no end: %c is missing", quote);
        }
        if (*p->at != '\\') {
            g_string_append_c(out, *p->at++);
            continue;
        }
        p->at++;
        if (!take_escape(p, out)) {
            return refuse(p, p->at - 1, "this escape is not known; \\\\ stands for a backslash");
        }
    }
    p->at++;
    return add_value(p, start, json_stringn(out->str, out->len));
}

/* ---- members ---- */

static int parse_list(Parser *p, const char *at)
{
    int first = -1;
    int last = -1;
    while (!take(p, "]")) {
        const char *here = p->at;
        if (first >= 0 && !take(p, ",")) {
            return refuse(p, p->at, "expected , or ] in the list");
        }
        int item = parse_expr(p);
        int element = item < 0 ? -1 : add(p, here, NODE_ELEMENT, 0, item, -1);
        if (element < 0) {
            return -1;
        }
        if (last >= 0) {
            g_array_index(p->expr->nodes, Node, last).kids[1] = element;
        }
        first = first < 0 ? element : first;
        last = element;
    }
    return add_node(p, at, (Node){.type = NODE_LIST, .kids = {first, -1, -1}});
}

static int parse_has(Parser *p, const char *at)
{
    int inner = parse_expr(p);
    if (inner < 0) {
        return -1;
    }
    if (sl_expr_node(p->expr, inner)->type != NODE_FIELD) {
        return refuse(p, at, "has() takes a field: has(status.phase)");
    }
    return take(p, ")") ? add(p, at, NODE_HAS, 0, inner, -1)
                        : refuse(p, p->at, "expected ) after the field of has()");
}

static int parse_size(Parser *p, const char *at)
{
    int inner = parse_expr(p);
    if (inner < 0) {
        return -1;
    }
    return take(p, ")") ? add(p, at, NODE_CALL, CALL_SIZE, inner, -1)
                        : refuse(p, p->at, "expected ) after the value of size()");
}

static int parse_named(Parser *p)
{
    const char *at = p->at;
    g_autofree char *word = take_word(p);
    if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
        return add_value(p, at, json_boolean(*word == 't'));
    }
    if (strcmp(word, "null") == 0) {
        return add_value(p, at, json_null());
    }
    if (is_reserved(word)) {
        return refuse(p, at, "`%s` is a reserved word of CEL", word);
    }
    if (!take(p, "(")) {
        return add_node(
            p, at, (Node){.type = NODE_NAME, .text = g_steal_pointer(&word), .kids = {-1, -1, -1}});
    }
    if (strcmp(word, "has") == 0) {
        return parse_has(p, at);
    }
    return strcmp(word, "size") == 0
               ? parse_size(p, at)
               : refuse(p, at,
                        "there is no function `%s`; there are has and size, and methods of values",
                        word);
}

static int parse_primary(Parser *p)
{
    skip(p);
    const char *at = p->at;
    if (g_ascii_isdigit(*at) || (*at == '.' && g_ascii_isdigit(at[1]))) {
        return parse_number(p, false);
    }
    if (*at == '"' || *at == '\'') {
        return parse_text(p);
    }
    if (g_ascii_isalpha(*at) || *at == '_') {
        return parse_named(p);
    }
    if (take(p, "[")) {
        return parse_list(p, at);
    }
    if (take(p, "(")) {
        int inner = parse_expr(p);
        return inner < 0 || take(p, ")") ? inner : refuse(p, p->at, "expected )");
    }
    return *at == '\0' ? refuse(p, at, "expected a value, but the expression ends here")
                       : refuse(p, at, "expected a value such as status.phase, 'text' or 3");
}

static int parse_macro(Parser *p, const char *at, NodeMacro macro, int target)
{
    skip(p);
    const char *here = p->at;
    g_autofree char *variable = take_word(p);
    if (variable == NULL || is_reserved(variable)) {
        return refuse(p, here, "expected a variable: list.exists(c, c.type == 'Ready')");
    }
    if (!take(p, ",")) {
        return refuse(p, p->at, "expected , after the variable");
    }
    int body = parse_expr(p);
    if (body < 0) {
        return -1;
    }
    if (!take(p, ")")) {
        return refuse(p, p->at, "expected )");
    }
    return add_node(p, at,
                    (Node){.type = NODE_MACRO,
                           .detail = (int)macro,
                           .text = g_steal_pointer(&variable),
                           .kids = {target, body, -1}});
}

static int parse_call(Parser *p, const char *at, const char *name, int target)
{
    static const struct {
        const char *name;
        bool macro, argument;
        int detail;
    } table[] = {
        {"exists", true, true, MACRO_EXISTS},
        {"exists_one", true, true, MACRO_EXISTS_ONE},
        {"all", true, true, MACRO_ALL},
        {"filter", true, true, MACRO_FILTER},
        {"size", false, false, CALL_SIZE},
        {"startsWith", false, true, CALL_STARTS_WITH},
        {"endsWith", false, true, CALL_ENDS_WITH},
        {"contains", false, true, CALL_CONTAINS},
        {"orValue", false, true, CALL_OR_VALUE},
        {"hasValue", false, false, CALL_HAS_VALUE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (strcmp(table[i].name, name) != 0) {
            continue;
        }
        if (table[i].macro) {
            return parse_macro(p, at, (NodeMacro)table[i].detail, target);
        }
        int argument = table[i].argument ? parse_expr(p) : -1;
        if (table[i].argument && argument < 0) {
            return -1;
        }
        return take(p, ")") ? add(p, at, NODE_CALL, table[i].detail, target, argument)
                            : refuse(p, p->at, "expected ) after %s(", name);
    }
    if (strcmp(name, "matches") == 0) {
        return refuse(p, at,
                      "matches() is left out, since its cost has no bound; use startsWith, "
                      "endsWith or contains");
    }
    return refuse(
        p, at,
        "there is no method `%s`; there are exists, exists_one, all, filter, size, startsWith, "
        "endsWith, contains, orValue, hasValue",
        name);
}

static int parse_selector(Parser *p, int target)
{
    const char *at = p->at;
    bool optional = take(p, ".?");
    if (!optional) {
        take(p, ".");
    }
    g_autofree char *name = take_word(p);
    if (name == NULL) {
        return refuse(p, p->at,
                      "expected the name of a field; write keys with other characters as ['key']");
    }
    if (!optional && take(p, "(")) {
        return parse_call(p, at, name, target);
    }
    return add_node(p, at,
                    (Node){.type = NODE_FIELD,
                           .optional = optional,
                           .text = g_steal_pointer(&name),
                           .kids = {target, -1, -1}});
}

static int parse_member(Parser *p)
{
    int node = parse_primary(p);
    while (node >= 0) {
        skip(p);
        const char *at = p->at;
        if (*at == '.') {
            node = parse_selector(p, node);
        } else if (*at == '[') {
            bool optional = take(p, "[?");
            if (!optional) {
                take(p, "[");
            }
            int index = parse_expr(p);
            if (index >= 0 && !take(p, "]")) {
                return refuse(p, p->at, "expected ]");
            }
            node = index < 0 ? -1
                             : add_node(p, at,
                                        (Node){.type = NODE_INDEX,
                                               .optional = optional,
                                               .kids = {node, index, -1}});
        } else {
            return node;
        }
    }
    return node;
}

/* ---- operators ---- */

static int parse_unary(Parser *p)
{
    skip(p);
    const char *at = p->at;
    if (*at == '-') {
        p->at++;
        skip(p);
        return g_ascii_isdigit(*p->at)
                   ? parse_number(p, true)
                   : refuse(p, at, "- is only read before a number: there is no arithmetic");
    }
    if (*at != '!' || at[1] == '=') {
        return parse_member(p);
    }
    if (++p->depth > SL_EXPR_DEPTH_MAX) {
        return refuse(p, at, "nested deeper than %d", SL_EXPR_DEPTH_MAX);
    }
    p->at++;
    int inner = parse_unary(p);
    p->depth--;
    return add(p, at, NODE_NOT, 0, inner, -1);
}

static bool take_in(Parser *p)
{
    skip(p);
    if (strncmp(p->at, "in", 2) != 0 || is_word_char(p->at[2])) {
        return false;
    }
    p->at += 2;
    return true;
}

static bool take_op(Parser *p, NodeOp *ret_op)
{
    static const struct {
        const char *text;
        NodeOp op;
    } ops[] = {{"==", OP_EQUAL},      {"!=", OP_NOT_EQUAL}, {"<=", OP_LESS_EQUAL},
               {">=", OP_MORE_EQUAL}, {"<", OP_LESS},       {">", OP_MORE}};
    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        if (take(p, ops[i].text)) {
            *ret_op = ops[i].op;
            return true;
        }
    }
    return false;
}

static int parse_relation(Parser *p)
{
    int left = parse_unary(p);
    while (left >= 0) {
        NodeOp op = OP_EQUAL;
        skip(p);
        const char *at = p->at;
        bool in = take_in(p);
        if (!in && !take_op(p, &op)) {
            return left;
        }
        int right = parse_unary(p);
        left = right < 0 ? -1 : add(p, at, in ? NODE_IN : NODE_COMPARE, (int)op, left, right);
    }
    return left;
}

static int parse_chain(Parser *p, const char *token, NodeType type, int (*part)(Parser *))
{
    int left = part(p);
    while (left >= 0) {
        skip(p);
        const char *at = p->at;
        if (!take(p, token)) {
            return left;
        }
        int right = part(p);
        left = right < 0 ? -1 : add(p, at, type, 0, left, right);
    }
    return left;
}

static int parse_and(Parser *p)
{
    return parse_chain(p, "&&", NODE_AND, parse_relation);
}

static int parse_or(Parser *p)
{
    return parse_chain(p, "||", NODE_OR, parse_and);
}

static int parse_choice(Parser *p)
{
    int test = parse_or(p);
    skip(p);
    const char *at = p->at;
    if (test < 0 || !take(p, "?")) {
        return test;
    }
    int yes = parse_or(p);
    if (yes >= 0 && !take(p, ":")) {
        return refuse(p, p->at, "expected : after the value behind ?");
    }
    int no = yes < 0 ? -1 : parse_expr(p);
    return no < 0 ? -1 : add_node(p, at, (Node){.type = NODE_CHOICE, .kids = {test, yes, no}});
}

static int parse_expr(Parser *p)
{
    if (++p->depth > SL_EXPR_DEPTH_MAX) {
        return refuse(p, p->at, "nested deeper than %d", SL_EXPR_DEPTH_MAX);
    }
    int node = parse_choice(p);
    p->depth--;
    return node;
}

static void clear_node(void *data)
{
    Node *node = data;
    g_free(node->text);
    json_decref(node->value);
}

SlExpr *sl_expr_parse(const char *text, GError **error)
{
    if (strlen(text) > SL_EXPR_TEXT_MAX || !sl_is_clean_utf8(text, strlen(text), true)) {
        return sl_throw_null(error, SLU_HEALTH_EXPRESSION,
                             "an expression is text without control characters, at most %d bytes",
                             SL_EXPR_TEXT_MAX);
    }
    g_autoptr(SlExpr) expr = g_new0(SlExpr, 1);
    expr->nodes = g_array_new(FALSE, TRUE, sizeof(Node));
    g_array_set_clear_func(expr->nodes, clear_node);
    Parser p = {.expr = expr, .text = text, .at = text, .error = error};
    expr->root = parse_expr(&p);
    if (expr->root < 0) {
        return NULL;
    }
    skip(&p);
    if (*p.at != '\0') {
        refuse(&p, p.at, "expected an operator or the end (there is no arithmetic)");
        return NULL;
    }
    return g_steal_pointer(&expr);
}

void sl_expr_free(SlExpr *expr)
{
    if (expr == NULL) {
        return;
    }
    g_array_unref(expr->nodes);
    g_free(expr);
}
