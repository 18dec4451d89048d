/* require.h - the small expressions of gates: `final.accuracy >= 0.95`, `final.acc >= baseline.acc
 * - 0.005`. Pure.
 *
 *   or := and ("OR" and)* ; and := not ("AND" not)* ; not := "NOT"? cmp ; cmp := sum op sum | "(" or ")"
 *   op := < <= > >= == != ; sum := term (("+"|"-") term)* ; term := number | duration | name | word
 * `phase == Succeeded` compares words; == and != on numbers are refused. Three-valued: a name that
 * is missing or non-finite makes the comparison UNKNOWN, which never passes. Durations (90s, 15m,
 * 24h, 7d) are numbers of seconds. A name starts with a letter and goes on with letters, digits
 * and _ . / @ -: write spaces around + and -. At most 512 bytes, 64 nodes. */
#pragma once
#include "sluice/error.h"

typedef enum { SL_REQUIRE_FAIL, SL_REQUIRE_PASS, SL_REQUIRE_UNKNOWN } SlRequireVerdict;
typedef struct SlRequire SlRequire;

/* Errors: REQUIRE_SYNTAX with column */
SL_MUST_USE SlRequire *sl_require_parse(const char *text, GError **error);
void sl_require_free(SlRequire *require);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlRequire, sl_require_free)
bool sl_require_uses_baseline(const SlRequire *require);
bool sl_require_uses_age(const SlRequire *require); /* its answer changes as time goes by */
/* @number: false if the name is unknown; may give a non-finite value. @word: for `phase`; NULL if
 * none. @ret_explain: "0.62 < 0.95: final.accuracy >= 0.95 does not hold" (transfer full). */
SlRequireVerdict sl_require_eval(const SlRequire *require,
                                 bool (*number)(const char *name, double *ret, void *user),
                                 const char *(*word)(const char *name, void *user), void *user,
                                 char **ret_explain);
