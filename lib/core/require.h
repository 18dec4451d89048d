/* require.h - the small expressions of gates: `final.accuracy >= 0.95`, `final.acc >= baseline.acc - 0.005`. Pure.
 *
 *   or := and ("OR" and)* ; and := not ("AND" not)* ; not := "NOT"? cmp ; cmp := sum op sum | "(" or ")"
 *   op := < <= > >= == != ; sum := term (("+"|"-") term)* ; term := number | duration | name | word
 * `phase == Succeeded` compares words; == and != on numbers are refused. Three-valued: a name that is missing or non-finite
 * makes the comparison UNKNOWN, which never passes. At most 512 bytes, 64 nodes. */
#pragma once
#include "sluice/error.h"

typedef enum { SL_REQUIRE_FAIL, SL_REQUIRE_PASS, SL_REQUIRE_UNKNOWN } SlRequireVerdict;
typedef struct SlRequire SlRequire;

SL_MUST_USE SlRequire *sl_require_parse(const char *text, GError **error); /* Errors: REQUIRE_SYNTAX with column */
void sl_require_free(SlRequire *require);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlRequire, sl_require_free)
bool sl_require_uses_baseline(const SlRequire *require);
/* @number: false if the name is unknown; may give a non-finite value. @word: for `phase`; NULL if none.
 * @ret_explain: "0.62 < 0.95: final.accuracy >= 0.95 does not hold" (transfer full). */
SlRequireVerdict sl_require_eval(const SlRequire *require, bool (*number)(const char *name, double *ret, void *user),
                                 const char *(*word)(const char *name, void *user), void *user, char **ret_explain);
