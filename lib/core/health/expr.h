/* expr.h - the expressions of health rules: a subset of CEL (Common Expression Language), read and evaluated within limits. Private
 * to lib/core/health and its tests.
 *
 *   expr   := or ("?" or ":" expr)?
 *   or     := and ("||" and)* ; and := rel ("&&" rel)* ; rel := unary (op unary)* ; op := == != < <= > >= in
 *   unary  := "!"* member | "-" number
 *   member := primary ("." name | ".?" name | "." name "(" args ")" | "[" expr "]" | "[?" expr "]")*
 *   primary:= literal | name | "has(" member ")" | "size(" expr ")" | "(" expr ")" | "[" expr, ... "]"
 * Literals: int, 0x int, double, text in ' or ", true, false, null. Names are top-level fields of the object or variables of a macro.
 * Macros: x.exists(v, e) x.exists_one(v, e) x.all(v, e) x.filter(v, e). Functions: size startsWith endsWith contains orValue hasValue.
 * As in CEL, a field that is missing makes what uses it an error, which && and || hide if the other side decides; an error that
 * reaches the top is SL_EXPR_MISSING, and no rule is true by it. */
#pragma once
#include "base/json.h"

#define SL_EXPR_TEXT_MAX 4096 /* bytes */
#define SL_EXPR_NODES_MAX 512
#define SL_EXPR_DEPTH_MAX 32
#define SL_EXPR_STEPS_MAX                                                                          \
    100000 /* of one evaluation: some milliseconds, however the expression and the object are made */

typedef struct SlExpr SlExpr;

typedef enum {
    SL_EXPR_FALSE,
    SL_EXPR_TRUE,
    SL_EXPR_MISSING, /* a field or element isn't there */
    SL_EXPR_BROKEN   /* types don't fit, no bool, or too many steps */
} SlExprAnswer;

/* Errors: HEALTH_EXPRESSION with column. */
SL_MUST_USE SlExpr *sl_expr_parse(const char *text, GError **error);
void sl_expr_free(SlExpr *expr);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlExpr, sl_expr_free)
/* @ret_why: what is missing or broken, with column; NULL for TRUE and FALSE. (transfer full) */
SlExprAnswer sl_expr_eval(const SlExpr *expr, const json_t *object, char **ret_why);
