/* require.c - parser and three-valued evaluation of gate expressions. Parses once, refuses
 * everything doubtful at parse time, and answers UNKNOWN whenever a fact is missing: an expression
 * never passes by accident. */
#include "core/require.h"
#include "base/json.h"
#include "base/text.h"
#include "sluice/clock.h"
#include <math.h>
#include <string.h>

#define TEXT_MAX 512
#define NODES_MAX 64
#define DEPTH_MAX 32
#define NAME_CHARS "_./@-"

typedef enum {
    NODE_NUMBER,
    NODE_NAME,
    NODE_PLUS,
    NODE_MINUS,
    NODE_COMPARE,
    NODE_WORD,
    NODE_AND,
    NODE_OR,
    NODE_NOT
} NodeType;
typedef enum { OP_LESS, OP_LESS_EQUAL, OP_MORE, OP_MORE_EQUAL, OP_EQUAL, OP_NOT_EQUAL, N_OPS } Op;

static const char *const op_texts[N_OPS] = {"<", "<=", ">", ">=", "==", "!="};
static const char *const opposite_texts[N_OPS] = {">=", ">", "<=", "<", "!=", "=="};

typedef struct {
    NodeType type;
    Op op;
    int left, right; /* nodes */
    double number;
    bool is_duration;
    char *name, *word;
    char *text; /* of a comparison, as written */
} Node;

struct SlRequire {
    char *text;
    GArray *nodes; /* of Node */
    int root;
};

typedef struct {
    SlRequire *require;
    const char *at;
    int depth;
    GError **error;
} Parser;

static Node *node_at(const SlRequire *require, int index)
{
    return &g_array_index(require->nodes, Node, index);
}

static int refuse(Parser *p, const char *what)
{
    g_autofree char *shown = sl_escape_for_people(p->require->text, 128);
    sl_throw(p->error, SLU_REQUIRE_SYNTAX, "`%s`: column %d: %s", shown,
             (int)(p->at - p->require->text) + 1, what);
    return -1;
}

static int add_node(Parser *p, Node node)
{
    if (p->require->nodes->len >= NODES_MAX) {
        g_free(node.name);
        g_free(node.word);
        g_free(node.text);
        return refuse(p, "too long: split it into several requirements");
    }
    g_array_append_val(p->require->nodes, node);
    return (int)p->require->nodes->len - 1;
}

static void skip_spaces(Parser *p)
{
    while (*p->at == ' ') {
        p->at++;
    }
}

static bool is_name_char(char c)
{
    return g_ascii_isalnum(c) || (c != '\0' && strchr(NAME_CHARS, c) != NULL);
}

/* A whole word AND, OR or NOT at the place; taken if it is there. */
static bool take_keyword(Parser *p, const char *keyword)
{
    skip_spaces(p);
    size_t len = strlen(keyword);
    if (strncmp(p->at, keyword, len) != 0 || is_name_char(p->at[len])) {
        return false;
    }
    p->at += len;
    return true;
}

static bool is_keyword(const char *name)
{
    return strcmp(name, "AND") == 0 || strcmp(name, "OR") == 0 || strcmp(name, "NOT") == 0;
}

static int parse_number(Parser *p)
{
    const char *start = p->at;
    if (*p->at == '-') {
        p->at++;
    }
    while (g_ascii_isdigit(*p->at) || *p->at == '.' ||
           ((*p->at == '-' || *p->at == '+') && (p->at[-1] == 'e' || p->at[-1] == 'E')) ||
           ((*p->at == 'e' || *p->at == 'E') && g_ascii_isdigit(p->at[-1]))) {
        p->at++;
    }
    bool duration = *p->at != '\0' && strchr("smhd", *p->at) != NULL;
    if (duration) {
        p->at++;
    }
    g_autofree char *text = g_strndup(start, (size_t)(p->at - start));
    Node node = {.type = NODE_NUMBER, .is_duration = duration};
    int64_t us = 0;
    char *end = NULL;
    if (duration && sl_parse_duration(text, &us, NULL)) {
        node.number = (double)us / (double)SL_SECOND_US;
    } else if (!duration) {
        node.number = g_ascii_strtod(text, &end);
    }
    if ((duration && us == 0) || (!duration && *end != '\0') || !isfinite(node.number) ||
        is_name_char(*p->at)) {
        p->at = start;
        return refuse(p, "is not a number like 0.95 or a duration like 7d");
    }
    return add_node(p, node);
}

static int parse_term(Parser *p)
{
    skip_spaces(p);
    if (g_ascii_isdigit(*p->at) || (*p->at == '-' && g_ascii_isdigit(p->at[1]))) {
        return parse_number(p);
    }
    const char *start = p->at;
    while (is_name_char(*p->at) && (p->at > start || g_ascii_isalpha(*p->at))) {
        p->at++;
    }
    g_autofree char *name = g_strndup(start, (size_t)(p->at - start));
    if (name[0] == '\0' || is_keyword(name)) {
        p->at = start;
        return refuse(p, "expected a number, a duration or a name such as final.accuracy");
    }
    return add_node(p, (Node){.type = NODE_NAME, .name = g_steal_pointer(&name)});
}

static int parse_sum(Parser *p)
{
    int left = parse_term(p);
    while (left >= 0) {
        skip_spaces(p);
        if (*p->at != '+' && *p->at != '-') {
            break;
        }
        NodeType type = *p->at++ == '+' ? NODE_PLUS : NODE_MINUS;
        int right = parse_term(p);
        left = right < 0 ? -1 : add_node(p, (Node){.type = type, .left = left, .right = right});
    }
    return left;
}

static bool take_op(Parser *p, Op *ret_op)
{
    static const Op by_length[] = {OP_LESS_EQUAL, OP_MORE_EQUAL, OP_EQUAL,
                                   OP_NOT_EQUAL,  OP_LESS,       OP_MORE};
    skip_spaces(p);
    for (size_t i = 0; i < G_N_ELEMENTS(by_length); i++) {
        const char *text = op_texts[by_length[i]];
        if (strncmp(p->at, text, strlen(text)) == 0) {
            p->at += strlen(text);
            *ret_op = by_length[i];
            return true;
        }
    }
    return false;
}

/* `phase == Succeeded`: a name without dots and a word; nothing with numbers in it. */
static int make_word_test(Parser *p, Node compare)
{
    Node *left = node_at(p->require, compare.left);
    Node *right = node_at(p->require, compare.right);
    if (left->type != NODE_NAME || right->type != NODE_NAME || strchr(left->name, '.') != NULL ||
        strchr(right->name, '.') != NULL) {
        g_free(compare.text);
        return refuse(p, "== and != compare words such as `phase == Succeeded`; "
                         "for numbers write >= or <= with a tolerance");
    }
    compare.type = NODE_WORD;
    compare.name = g_strdup(left->name);
    compare.word = g_strdup(right->name);
    return add_node(p, compare);
}

/* `age < 7` could be seconds or days: one side age, the other a bare number. */
static bool is_unitless_age(const Node *one, const Node *two)
{
    return one->type == NODE_NAME && strcmp(one->name, "age") == 0 && two->type == NODE_NUMBER &&
           !two->is_duration;
}

static int parse_compare(Parser *p)
{
    skip_spaces(p);
    const char *start = p->at;
    int left = parse_sum(p);
    Op op = OP_LESS;
    if (left < 0) {
        return -1;
    }
    if (!take_op(p, &op)) {
        return refuse(p, "expected one of < <= > >= == !=");
    }
    int right = parse_sum(p);
    if (right < 0) {
        return -1;
    }
    const Node *l = node_at(p->require, left);
    const Node *r = node_at(p->require, right);
    if (is_unitless_age(l, r) || is_unitless_age(r, l)) {
        return refuse(p, "age is compared with a duration: 12h, 7d");
    }
    Node compare = {.type = NODE_COMPARE, .op = op, .left = left, .right = right};
    compare.text = g_strstrip(g_strndup(start, (size_t)(p->at - start)));
    return op == OP_EQUAL || op == OP_NOT_EQUAL ? make_word_test(p, compare) : add_node(p, compare);
}

static int parse_or(Parser *p);

static int parse_not(Parser *p)
{
    if (take_keyword(p, "NOT")) {
        if (++p->depth > DEPTH_MAX) {
            return refuse(p, "too deeply nested");
        }
        int inner = parse_not(p);
        p->depth--;
        return inner < 0 ? -1 : add_node(p, (Node){.type = NODE_NOT, .left = inner});
    }
    if (*p->at != '(') {
        return parse_compare(p);
    }
    if (++p->depth > DEPTH_MAX) {
        return refuse(p, "too deeply nested");
    }
    p->at++;
    int inner = parse_or(p);
    skip_spaces(p);
    if (inner >= 0 && *p->at != ')') {
        return refuse(p, "expected )");
    }
    p->at += inner >= 0 ? 1 : 0;
    p->depth--;
    return inner;
}

static int parse_chain(Parser *p, const char *keyword, NodeType type, int (*part)(Parser *))
{
    int left = part(p);
    while (left >= 0 && take_keyword(p, keyword)) {
        int right = part(p);
        left = right < 0 ? -1 : add_node(p, (Node){.type = type, .left = left, .right = right});
    }
    return left;
}

static int parse_and(Parser *p)
{
    return parse_chain(p, "AND", NODE_AND, parse_not);
}

static int parse_or(Parser *p)
{
    return parse_chain(p, "OR", NODE_OR, parse_and);
}

static void clear_node(void *data)
{
    Node *node = data;
    g_free(node->name);
    g_free(node->word);
    g_free(node->text);
}

SlRequire *sl_require_parse(const char *text, GError **error)
{
    if (strlen(text) > TEXT_MAX || !sl_is_clean_utf8(text, strlen(text), false) ||
        strpbrk(text, "\t\n") != NULL) {
        return sl_throw_null(error, SLU_REQUIRE_SYNTAX,
                             "a requirement is one line of at most %d bytes", TEXT_MAX);
    }
    g_autoptr(SlRequire) require = g_new0(SlRequire, 1);
    require->text = g_strdup(text);
    require->nodes = g_array_new(FALSE, TRUE, sizeof(Node));
    g_array_set_clear_func(require->nodes, clear_node);
    Parser p = {.require = require, .at = require->text, .error = error};
    require->root = parse_or(&p);
    if (require->root < 0) {
        return NULL;
    }
    skip_spaces(&p);
    if (*p.at != '\0') {
        refuse(&p, "expected AND, OR or the end");
        return NULL;
    }
    return g_steal_pointer(&require);
}

void sl_require_free(SlRequire *require)
{
    if (require == NULL) {
        return;
    }
    g_array_unref(require->nodes);
    g_free(require->text);
    g_free(require);
}

static bool uses_name(const SlRequire *require, const char *prefix)
{
    for (guint i = 0; i < require->nodes->len; i++) {
        const Node *node = node_at(require, (int)i);
        if (node->name != NULL && g_str_has_prefix(node->name, prefix)) {
            return true;
        }
    }
    return false;
}

bool sl_require_uses_baseline(const SlRequire *require)
{
    return uses_name(require, "baseline.");
}

bool sl_require_uses_age(const SlRequire *require)
{
    return uses_name(require, "age") || uses_name(require, "baseline.age");
}

typedef struct {
    const SlRequire *require;
    bool (*number)(const char *name, double *ret, void *user);
    const char *(*word)(const char *name, void *user);
    void *user;
    GString *explain;
} Eval;

/* False if a name in it is missing or the value is not finite; *ret_why then says which. */
static bool value_of(const Eval *e, int index, double *ret_value, char **ret_why)
{
    const Node *node = node_at(e->require, index);
    double left = 0;
    double right = 0;
    switch (node->type) {
    case NODE_NUMBER:
        *ret_value = node->number;
        return true;
    case NODE_NAME:
        if (!e->number(node->name, ret_value, e->user)) {
            *ret_why = g_strdup_printf("%s is not there", node->name);
            return false;
        }
        if (!isfinite(*ret_value)) {
            *ret_why =
                g_strdup_printf("%s is %s", node->name, isnan(*ret_value) ? "NaN" : "infinite");
            return false;
        }
        return true;
    default:
        if (!value_of(e, node->left, &left, ret_why) ||
            !value_of(e, node->right, &right, ret_why)) {
            return false;
        }
        *ret_value = node->type == NODE_PLUS ? left + right : left - right;
        if (!isfinite(*ret_value)) {
            *ret_why = g_strdup("the sum is infinite");
            return false;
        }
        return true;
    }
}

static bool holds(Op op, double left, double right)
{
    switch (op) {
    case OP_LESS:
        return left < right;
    case OP_LESS_EQUAL:
        return left <= right;
    case OP_MORE:
        return left > right;
    default:
        return left >= right;
    }
}

static void say(const Eval *e, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void say(const Eval *e, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (e->explain->len > 0) {
        g_string_append(e->explain, "; ");
    }
    g_string_append_vprintf(e->explain, format, args);
    va_end(args);
}

static SlRequireVerdict eval_compare(const Eval *e, const Node *node)
{
    double left = 0;
    double right = 0;
    g_autofree char *why = NULL;
    if (!value_of(e, node->left, &left, &why) || !value_of(e, node->right, &right, &why)) {
        say(e, "%s: %s is unknown", why, node->text);
        return SL_REQUIRE_UNKNOWN;
    }
    bool good = holds(node->op, left, right);
    g_autofree char *left_text = sl_json_repr_double(left);
    g_autofree char *right_text = sl_json_repr_double(right);
    say(e, "%s %s %s: %s %s", left_text, (good ? op_texts : opposite_texts)[node->op], right_text,
        node->text, good ? "holds" : "does not hold");
    return good ? SL_REQUIRE_PASS : SL_REQUIRE_FAIL;
}

static SlRequireVerdict eval_word(const Eval *e, const Node *node)
{
    const char *word = e->word != NULL ? e->word(node->name, e->user) : NULL;
    if (word == NULL) {
        say(e, "%s is not there: %s is unknown", node->name, node->text);
        return SL_REQUIRE_UNKNOWN;
    }
    bool good = (strcmp(word, node->word) == 0) == (node->op == OP_EQUAL);
    g_autofree char *shown = sl_escape_for_people(word, 64);
    say(e, "%s is %s: %s %s", node->name, shown, node->text, good ? "holds" : "does not hold");
    return good ? SL_REQUIRE_PASS : SL_REQUIRE_FAIL;
}

static SlRequireVerdict eval_node(const Eval *e, int index)
{
    const Node *node = node_at(e->require, index);
    if (node->type == NODE_COMPARE) {
        return eval_compare(e, node);
    }
    if (node->type == NODE_WORD) {
        return eval_word(e, node);
    }
    SlRequireVerdict left = eval_node(e, node->left);
    if (node->type == NODE_NOT) {
        return left == SL_REQUIRE_UNKNOWN ? left
               : left == SL_REQUIRE_PASS  ? SL_REQUIRE_FAIL
                                          : SL_REQUIRE_PASS;
    }
    SlRequireVerdict right = eval_node(e, node->right);
    SlRequireVerdict decides = node->type == NODE_AND ? SL_REQUIRE_FAIL : SL_REQUIRE_PASS;
    if (left == decides || right == decides) {
        return decides;
    }
    return left == SL_REQUIRE_UNKNOWN ? left : right;
}

SlRequireVerdict sl_require_eval(const SlRequire *require,
                                 bool (*number)(const char *name, double *ret, void *user),
                                 const char *(*word)(const char *name, void *user), void *user,
                                 char **ret_explain)
{
    Eval e = {require, number, word, user, g_string_new(NULL)};
    SlRequireVerdict verdict = eval_node(&e, require->root);
    char *explain = g_string_free(e.explain, FALSE);
    if (ret_explain != NULL) {
        *ret_explain = explain;
    } else {
        g_free(explain);
    }
    return verdict;
}
