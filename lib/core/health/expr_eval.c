/* expr_eval.c - an expression over an object. Each node, each element of a list and each 64 bytes of text cost a step; when they are
 * spent, the answer is BROKEN, whatever the expression would hide. */
#include "base/text.h"
#include "core/health/expr_tree.h"
#include <string.h>

#define BYTES_PER_STEP 64

typedef struct Frame {
    const char *name;
    json_t *value; /* borrowed */
    const struct Frame *up;
} Frame;

/* A value, or an optional one; json is NULL only for an optional without value. */
typedef struct {
    json_t *json; /* owned */
    bool optional;
} Value;

typedef struct {
    const SlExpr *expr;
    const json_t *object;
    const Frame *frame;
    size_t steps;
    bool spent;
    SlExprAnswer fault; /* SL_EXPR_FALSE = none */
    char *why;
} Eval;

static bool eval(Eval *e, int index, Value *ret);

static bool fault(Eval *e, const Node *node, SlExprAnswer kind, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
static bool fault(Eval *e, const Node *node, SlExprAnswer kind, const char *format, ...)
{
    va_list args;
    if (e->spent) {
        return false;
    }
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *safe = sl_escape_for_people(text, 200);
    g_free(e->why);
    e->why = g_strdup_printf("column %d: %s", node->column, safe);
    e->fault = kind;
    return false;
}

static bool spend(Eval *e, const Node *node, size_t steps)
{
    e->steps += steps;
    if (e->steps <= SL_EXPR_STEPS_MAX) {
        return true;
    }
    fault(e, node, SL_EXPR_BROKEN, "takes more than %d steps on this object", SL_EXPR_STEPS_MAX);
    e->spent = true;
    return false;
}

static bool spend_text(Eval *e, const Node *node, const json_t *text)
{
    return spend(e, node, json_string_length(text) / BYTES_PER_STEP);
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "a list", "a text", "an integer",
                                        "a number",  "true",   "false",  "null"};
    return names[json_typeof(value)];
}

static bool give(Value *ret, json_t *json)
{
    *ret = (Value){.json = json};
    return true;
}

/* A value that is no optional. */
static json_t *plain(Eval *e, int index)
{
    Value value = {0};
    if (!eval(e, index, &value)) {
        return NULL;
    }
    if (value.optional) {
        json_decref(value.json);
        fault(e, sl_expr_node(e->expr, index), SL_EXPR_BROKEN,
              "an optional value needs .orValue(...) here");
        return NULL;
    }
    return value.json;
}

static bool eval_bool(Eval *e, int index, bool *ret)
{
    g_autoptr(json_t) value = plain(e, index);
    if (value == NULL) {
        return false;
    }
    if (!json_is_boolean(value)) {
        return fault(e, sl_expr_node(e->expr, index), SL_EXPR_BROKEN,
                     "must be true or false, but is %s", type_name(value));
    }
    *ret = json_is_true(value);
    return true;
}

/* ---- names, fields, elements ---- */

static bool eval_name(Eval *e, const Node *node, Value *ret)
{
    for (const Frame *f = e->frame; f != NULL; f = f->up) {
        if (strcmp(f->name, node->text) == 0) {
            return give(ret, json_incref(f->value));
        }
    }
    json_t *found = json_object_get(e->object, node->text);
    return found != NULL ? give(ret, json_incref(found))
                         : fault(e, node, SL_EXPR_MISSING, "`%s` is not there", node->text);
}

/* The member or element that a node names; NULL if it isn't there, *ret_odd if it can't be. */
static json_t *member_of(const json_t *from, const json_t *key, bool *ret_odd)
{
    if (json_is_object(from) && json_is_string(key)) {
        return json_object_get(from, json_string_value(key));
    }
    if (json_is_array(from) && json_is_integer(key)) {
        json_int_t at = json_integer_value(key);
        return at < 0 ? NULL : json_array_get(from, (size_t)at);
    }
    *ret_odd = !json_is_null(from);
    return NULL;
}

static bool select_member(Eval *e, const Node *node, Value from, const json_t *key, Value *ret)
{
    bool odd = false;
    if (!spend_text(e, node, key)) {
        return false;
    }
    json_t *found = from.json != NULL ? member_of(from.json, key, &odd) : NULL;
    g_autofree char *shown =
        json_is_string(key) ? g_strdup(json_string_value(key))
                            : g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(key));
    if (odd) {
        return fault(e, node, SL_EXPR_BROKEN, "%s has no `%s`", type_name(from.json), shown);
    }
    if (from.optional || node->optional) {
        *ret = (Value){.json = json_incref(found), .optional = true};
        return true;
    }
    return found != NULL ? give(ret, json_incref(found))
                         : fault(e, node, SL_EXPR_MISSING, "`%s` is not there", shown);
}

static bool eval_field(Eval *e, const Node *node, Value *ret)
{
    Value from = {0};
    if (!eval(e, node->kids[0], &from)) {
        return false;
    }
    g_autoptr(json_t) held = from.json;
    g_autoptr(json_t) key = json_string(node->text);
    (void)held;
    return select_member(e, node, from, key, ret);
}

static bool eval_index(Eval *e, const Node *node, Value *ret)
{
    Value from = {0};
    if (!eval(e, node->kids[0], &from)) {
        return false;
    }
    g_autoptr(json_t) held = from.json;
    g_autoptr(json_t) key = plain(e, node->kids[1]);
    (void)held;
    if (key != NULL && !json_is_string(key) && !json_is_integer(key)) {
        return fault(e, node, SL_EXPR_BROKEN, "an index is a text or an integer, not %s",
                     type_name(key));
    }
    return key != NULL && select_member(e, node, from, key, ret);
}

static bool eval_has(Eval *e, const Node *node, Value *ret)
{
    const Node *field = sl_expr_node(e->expr, node->kids[0]);
    Value from = {0};
    bool odd = false;
    if (!eval(e, field->kids[0], &from)) {
        return false;
    }
    g_autoptr(json_t) held = from.json;
    g_autoptr(json_t) key = json_string(field->text);
    (void)held;
    const json_t *found = from.json != NULL ? member_of(from.json, key, &odd) : NULL;
    return odd ? fault(e, field, SL_EXPR_BROKEN, "%s has no `%s`", type_name(from.json),
                       field->text)
               : give(ret, json_boolean(found != NULL));
}

static bool eval_list(Eval *e, const Node *node, Value *ret)
{
    g_autoptr(json_t) list = json_array();
    for (int at = node->kids[0]; at >= 0; at = sl_expr_node(e->expr, at)->kids[1]) {
        json_t *item = plain(e, sl_expr_node(e->expr, at)->kids[0]);
        if (item == NULL) {
            return false;
        }
        json_array_append_new(list, item);
    }
    return give(ret, g_steal_pointer(&list));
}

/* ---- comparing ---- */

static int order_numbers(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a);
        json_int_t y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    double x = json_number_value(a);
    double y = json_number_value(b);
    return (x > y) - (x < y);
}

/* False only if the steps are spent. Values of different types are different. */
static bool equal(Eval *e, const Node *node, const json_t *a, const json_t *b, bool *ret)
{
    size_t i = 0;
    json_t *each = NULL;
    const char *key = NULL;
    *ret = false;
    if (!spend(e, node, 1)) {
        return false;
    }
    if (json_is_number(a) && json_is_number(b)) {
        *ret = order_numbers(a, b) == 0;
        return true;
    }
    if (json_typeof(a) != json_typeof(b)) {
        return true;
    }
    if (json_is_string(a)) {
        *ret = strcmp(json_string_value(a), json_string_value(b)) == 0;
        return spend_text(e, node, a);
    }
    *ret = true;
    if (json_is_array(a) && json_array_size(a) != json_array_size(b)) {
        *ret = false;
    } else if (json_is_array(a)) {
        json_array_foreach (a, i, each) {
            if (!equal(e, node, each, json_array_get(b, i), ret)) {
                return false;
            }
            if (!*ret) {
                return true;
            }
        }
    } else if (json_is_object(a) && json_object_size(a) != json_object_size(b)) {
        *ret = false;
    } else if (json_is_object(a)) {
        json_object_foreach ((json_t *)(uintptr_t)a, key, each) {
            if (!spend(e, node, strlen(key) / BYTES_PER_STEP)) {
                return false;
            }
            const json_t *other = json_object_get(b, key);
            *ret = other != NULL;
            if (other != NULL && !equal(e, node, each, other, ret)) {
                return false;
            }
            if (!*ret) {
                return true;
            }
        }
    }
    return true;
}

static bool eval_compare(Eval *e, const Node *node, Value *ret)
{
    g_autoptr(json_t) left = plain(e, node->kids[0]);
    g_autoptr(json_t) right = left != NULL ? plain(e, node->kids[1]) : NULL;
    int order = 0;
    bool same = false;
    if (right == NULL) {
        return false;
    }
    if (node->detail == OP_EQUAL || node->detail == OP_NOT_EQUAL) {
        return equal(e, node, left, right, &same) &&
               give(ret, json_boolean(same == (node->detail == OP_EQUAL)));
    }
    if (json_is_number(left) && json_is_number(right)) {
        order = order_numbers(left, right);
    } else if (json_is_string(left) && json_is_string(right)) {
        if (!spend_text(e, node, left)) {
            return false;
        }
        order = strcmp(json_string_value(left), json_string_value(right));
    } else {
        return fault(e, node, SL_EXPR_BROKEN, "%s and %s have no order", type_name(left),
                     type_name(right));
    }
    bool holds = node->detail == OP_LESS         ? order < 0
                 : node->detail == OP_LESS_EQUAL ? order <= 0
                 : node->detail == OP_MORE       ? order > 0
                                                 : order >= 0;
    return give(ret, json_boolean(holds));
}

static bool eval_in(Eval *e, const Node *node, Value *ret)
{
    g_autoptr(json_t) item = plain(e, node->kids[0]);
    g_autoptr(json_t) set = item != NULL ? plain(e, node->kids[1]) : NULL;
    size_t i = 0;
    json_t *each = NULL;
    bool same = false;
    if (set == NULL) {
        return false;
    }
    if (json_is_object(set)) {
        return spend_text(e, node, item) &&
               give(ret, json_boolean(json_is_string(item) &&
                                      json_object_get(set, json_string_value(item)) != NULL));
    }
    if (!json_is_array(set)) {
        return fault(e, node, SL_EXPR_BROKEN, "`in` looks into a list or an object, not %s",
                     type_name(set));
    }
    json_array_foreach (set, i, each) {
        if (!equal(e, node, item, each, &same)) {
            return false;
        }
        if (same) {
            break;
        }
    }
    return give(ret, json_boolean(same));
}

/* && and ||: the side that decides hides what is wrong with the other. */
static bool eval_logic(Eval *e, const Node *node, Value *ret)
{
    bool decides = node->type == NODE_OR;
    bool left = false;
    bool right = false;
    bool left_ok = eval_bool(e, node->kids[0], &left);
    if (left_ok && left == decides) {
        return give(ret, json_boolean(decides));
    }
    SlExprAnswer left_fault = e->fault;
    g_autofree char *left_why = g_steal_pointer(&e->why);
    e->fault = SL_EXPR_FALSE;
    bool right_ok = !e->spent && eval_bool(e, node->kids[1], &right);
    if (right_ok && right == decides) {
        return give(ret, json_boolean(decides));
    }
    if (left_ok) {
        return right_ok && give(ret, json_boolean(!decides));
    }
    if (!e->spent || left_fault == SL_EXPR_BROKEN) {
        g_free(e->why);
        e->why = g_steal_pointer(&left_why);
        e->fault = left_fault;
    }
    return false;
}

static bool eval_choice(Eval *e, const Node *node, Value *ret)
{
    bool test = false;
    return eval_bool(e, node->kids[0], &test) && eval(e, node->kids[test ? 1 : 2], ret);
}

/* ---- functions ---- */

static bool eval_size(Eval *e, const Node *node, Value *ret)
{
    g_autoptr(json_t) value = plain(e, node->kids[0]);
    if (value == NULL) {
        return false;
    }
    if (json_is_string(value)) {
        return spend_text(e, node, value) &&
               give(ret, json_integer(g_utf8_strlen(json_string_value(value), -1)));
    }
    if (!json_is_array(value) && !json_is_object(value)) {
        return fault(e, node, SL_EXPR_BROKEN, "%s has no size", type_name(value));
    }
    size_t size = json_is_array(value) ? json_array_size(value) : json_object_size(value);
    return give(ret, json_integer((json_int_t)size));
}

static bool eval_optional(Eval *e, const Node *node, Value *ret)
{
    Value target = {0};
    if (!eval(e, node->kids[0], &target)) {
        return false;
    }
    if (!target.optional) {
        json_decref(target.json);
        return fault(e, node, SL_EXPR_BROKEN,
                     "orValue and hasValue are for optional fields: status.?phase");
    }
    if (node->detail == CALL_HAS_VALUE) {
        bool has = target.json != NULL;
        json_decref(target.json);
        return give(ret, json_boolean(has));
    }
    return target.json != NULL ? give(ret, target.json) : eval(e, node->kids[1], ret);
}

static bool eval_call(Eval *e, const Node *node, Value *ret)
{
    if (node->detail == CALL_SIZE) {
        return eval_size(e, node, ret);
    }
    if (node->detail == CALL_OR_VALUE || node->detail == CALL_HAS_VALUE) {
        return eval_optional(e, node, ret);
    }
    g_autoptr(json_t) target = plain(e, node->kids[0]);
    g_autoptr(json_t) part = target != NULL ? plain(e, node->kids[1]) : NULL;
    if (part == NULL) {
        return false;
    }
    if (!json_is_string(target) || !json_is_string(part)) {
        return fault(e, node, SL_EXPR_BROKEN, "takes texts, not %s and %s", type_name(target),
                     type_name(part));
    }
    const char *text = json_string_value(target);
    const char *word = json_string_value(part);
    if (!spend_text(e, node, target) || !spend_text(e, node, part)) {
        return false;
    }
    return give(ret, json_boolean(node->detail == CALL_STARTS_WITH ? g_str_has_prefix(text, word)
                                  : node->detail == CALL_ENDS_WITH ? g_str_has_suffix(text, word)
                                                                   : strstr(text, word) != NULL));
}

/* ---- macros ---- */

/* Elements of a list, or keys of an object, as a list. */
static json_t *items_of(json_t *target, size_t *ret_steps)
{
    const char *key = NULL;
    json_t *each = NULL;
    if (json_is_array(target)) {
        *ret_steps = json_array_size(target);
        return json_incref(target);
    }
    *ret_steps = json_object_size(target);
    json_t *keys = json_is_object(target) ? json_array() : NULL;
    json_object_foreach (target, key, each) {
        json_array_append_new(keys, json_string(key));
        *ret_steps += strlen(key) / BYTES_PER_STEP;
    }
    return keys;
}

/* The body of a macro, with @item as its variable. */
static bool eval_body(Eval *e, const Node *node, json_t *item, bool *ret)
{
    Frame frame = {node->text, item, e->frame};
    e->frame = &frame;
    bool ok = eval_bool(e, node->kids[1], ret);
    e->frame = frame.up;
    return ok;
}

static bool eval_quantifier(Eval *e, const Node *node, json_t *items, Value *ret)
{
    bool decides = node->detail == MACRO_EXISTS;
    SlExprAnswer first = SL_EXPR_FALSE;
    g_autofree char *first_why = NULL;
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (items, i, each) {
        bool holds = false;
        bool ok = eval_body(e, node, each, &holds);
        if (ok && holds == decides) {
            return give(ret, json_boolean(decides));
        }
        if (e->spent) {
            return false;
        }
        if (!ok && first == SL_EXPR_FALSE) {
            first = e->fault;
            first_why = g_steal_pointer(&e->why);
        }
        e->fault = SL_EXPR_FALSE;
    }
    if (first == SL_EXPR_FALSE) {
        return give(ret, json_boolean(!decides));
    }
    g_free(e->why);
    e->fault = first;
    e->why = g_steal_pointer(&first_why);
    return false;
}

static bool eval_selecting(Eval *e, const Node *node, json_t *items, Value *ret)
{
    g_autoptr(json_t) kept = json_array();
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (items, i, each) {
        bool holds = false;
        if (!eval_body(e, node, each, &holds)) {
            return false;
        }
        if (holds) {
            json_array_append(kept, each);
        }
    }
    return node->detail == MACRO_FILTER ? give(ret, g_steal_pointer(&kept))
                                        : give(ret, json_boolean(json_array_size(kept) == 1));
}

static bool eval_macro(Eval *e, const Node *node, Value *ret)
{
    g_autoptr(json_t) target = plain(e, node->kids[0]);
    if (target == NULL) {
        return false;
    }
    size_t steps = 0;
    g_autoptr(json_t) items = items_of(target, &steps);
    if (items == NULL) {
        return fault(e, node, SL_EXPR_BROKEN, "is for a list or an object, not %s",
                     type_name(target));
    }
    if (!spend(e, node, steps)) {
        return false;
    }
    return node->detail == MACRO_EXISTS || node->detail == MACRO_ALL
               ? eval_quantifier(e, node, items, ret)
               : eval_selecting(e, node, items, ret);
}

static bool eval(Eval *e, int index, Value *ret)
{
    const Node *node = sl_expr_node(e->expr, index);
    bool inner = false;
    if (!spend(e, node, 1)) {
        return false;
    }
    switch (node->type) {
    case NODE_LITERAL:
        return give(ret, json_incref(node->value));
    case NODE_NAME:
        return eval_name(e, node, ret);
    case NODE_FIELD:
        return eval_field(e, node, ret);
    case NODE_INDEX:
        return eval_index(e, node, ret);
    case NODE_LIST:
        return eval_list(e, node, ret);
    case NODE_NOT:
        return eval_bool(e, node->kids[0], &inner) && give(ret, json_boolean(!inner));
    case NODE_AND:
    case NODE_OR:
        return eval_logic(e, node, ret);
    case NODE_CHOICE:
        return eval_choice(e, node, ret);
    case NODE_COMPARE:
        return eval_compare(e, node, ret);
    case NODE_IN:
        return eval_in(e, node, ret);
    case NODE_HAS:
        return eval_has(e, node, ret);
    case NODE_CALL:
        return eval_call(e, node, ret);
    default:
        return eval_macro(e, node, ret);
    }
}

SlExprAnswer sl_expr_eval(const SlExpr *expr, const json_t *object, char **ret_why)
{
    Eval e = {.expr = expr, .object = object, .fault = SL_EXPR_FALSE};
    bool holds = false;
    bool ok = eval_bool(&e, expr->root, &holds);
    *ret_why = NULL;
    if (ok) {
        g_free(e.why);
        return holds ? SL_EXPR_TRUE : SL_EXPR_FALSE;
    }
    *ret_why = e.why;
    return e.fault;
}
