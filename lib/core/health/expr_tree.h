/* expr_tree.h - the nodes of an expression: what the parser makes and the evaluation walks. */
#pragma once
#include "core/health/expr.h"

typedef enum {
    NODE_LITERAL, /* value */
    NODE_NAME,    /* text: variable or top-level field */
    NODE_FIELD,   /* kids[0] . text; optional: .? */
    NODE_INDEX,   /* kids[0] [ kids[1] ]; optional: [? ] */
    NODE_LIST,    /* kids: first of a chain of NODE_ELEMENT in kids[0] */
    NODE_ELEMENT, /* kids[0] value, kids[1] next or -1 */
    NODE_NOT,
    NODE_AND,
    NODE_OR,
    NODE_CHOICE,  /* kids[0] ? kids[1] : kids[2] */
    NODE_COMPARE, /* op */
    NODE_IN,
    NODE_HAS,  /* kids[0]: a NODE_FIELD */
    NODE_CALL, /* function; kids[0] target, kids[1] argument or -1 */
    NODE_MACRO /* macro; kids[0] list, text variable, kids[1] body */
} NodeType;

typedef enum { OP_EQUAL, OP_NOT_EQUAL, OP_LESS, OP_LESS_EQUAL, OP_MORE, OP_MORE_EQUAL } NodeOp;

typedef enum {
    CALL_SIZE,
    CALL_STARTS_WITH,
    CALL_ENDS_WITH,
    CALL_CONTAINS,
    CALL_OR_VALUE,
    CALL_HAS_VALUE
} NodeCall;

typedef enum { MACRO_EXISTS, MACRO_EXISTS_ONE, MACRO_ALL, MACRO_FILTER } NodeMacro;

typedef struct {
    NodeType type;
    int detail; /* NodeOp, NodeCall or NodeMacro */
    bool optional;
    int kids[3]; /* -1 = none */
    int column;  /* from 1, for messages */
    char *text;
    json_t *value;
} Node;

struct SlExpr {
    GArray *nodes; /* of Node */
    int root;
};

static inline const Node *sl_expr_node(const SlExpr *expr, int index)
{
    return &g_array_index(expr->nodes, Node, index);
}
