/* test_health_expr.c - expressions of health rules: what each says of one object, what is refused and where, and that none takes long. */
#include "core/health/expr.h"
#include <string.h>

static const char object_text[] =
    "{\"kind\":\"Thing\",\"metadata\":{\"name\":\"a\",\"generation\":3,\"labels\":{\"app.io/tier\":\"gold\"}},"
    "\"spec\":{\"replicas\":2,\"paused\":false,\"nothing\":null},"
    "\"status\":{\"phase\":\"Running\",\"ready\":2,\"ratio\":0.5,\"list\":[1,2.0,\"x\",null,[1],{\"a\":1}],"
    "\"same\":[1,2,\"x\",null,[1.0],{\"a\":1}],\"word\":\"äöü\","
    "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"},{\"type\":\"Synced\",\"status\":\"False\"},{\"type\":\"Bare\"}]}}";

typedef struct {
    const char *text;
    SlExprAnswer answer;
    const char *why; /* part of the reason */
} Row;

#define T SL_EXPR_TRUE
#define F SL_EXPR_FALSE
#define M SL_EXPR_MISSING
#define B SL_EXPR_BROKEN

static const Row rows[] = {
    /* literals, comparing */
    {"true", T, NULL}, {"false", F, NULL}, {"!false", T, NULL}, {"!!true", T, NULL},
    {"1 == 1", T, NULL}, {"1 == 1.0", T, NULL}, {"0x1F == 31", T, NULL}, {"-5 < -4.5", T, NULL}, {"1.5e3 >= 1500", T, NULL},
    {".5 == status.ratio", T, NULL}, {"9007199254740993 != 9007199254740992", T, NULL}, {"2 > 3", F, NULL}, {"2 <= 2", T, NULL},
    {"'a' < 'b'", T, NULL}, {"'a' >= 'b'", F, NULL}, {"\"a\" != 'a'", F, NULL}, {"'1' == 1", F, NULL}, {"null == spec.nothing", T, NULL},
    {"true == false", F, NULL}, {"'\\u00e4\\t\\x41\\'\\\\\\U0001F600' == 'ä\\tA\\'\\\\😀'", T, NULL}, {"[1, 2] == [1, 2.0]", T, NULL}, {"[] == [1]", F, NULL},
    {"[1, 2] == [1, 3]", F, NULL}, {"status.list == status.same", T, NULL}, {"metadata.labels == spec", F, NULL},
    {"metadata.labels == metadata.labels", T, NULL}, {"status.conditions[0] == status.conditions[1]", F, NULL}, {"spec == status.conditions[2]", F, NULL},
    {"status.conditions[2] == status.list[5]", F, NULL},
    {"true < false", B, "true and false have no order"}, {"1 < 'a'", B, "column 3: an integer and a text have no order"},
    /* fields, elements */
    {"status.phase == 'Running'", T, NULL}, {"metadata.labels['app.io/tier'] == 'gold'", T, NULL}, {"status.conditions[1].type == 'Synced'", T, NULL},
    {"status . ready == spec . replicas // note\n && true", T, NULL}, {"spec.paused", F, NULL},
    {"status.none == 1", M, "column 7: `none` is not there"}, {"stauts.phase == 'a'", M, "column 1: `stauts` is not there"},
    {"status.conditions[7].type == 'a'", M, "`7` is not there"}, {"status.conditions[-1] == 1", M, NULL}, {"metadata.labels['b'] == 'a'", M, NULL},
    {"spec.nothing.more == 1", M, NULL}, {"!status.none", M, NULL}, {"status.none != 1", M, NULL},
    {"status.phase.x == 1", B, "a text has no `x`"}, {"status.list['a'] == 1", B, "a list has no `a`"}, {"status.list[true] == 1", B, "an index is a text or an integer"},
    {"metadata[1] == 1", B, NULL}, {"status.phase", B, "must be true or false, but is a text"}, {"!status.ready", B, "an integer"},
    {"has(status.phase)", T, NULL}, {"has(status.none)", F, NULL}, {"has(status.none.more)", M, NULL}, {"has(status.phase.x)", B, NULL}, {"has(spec.nothing)", T, NULL},
    {"!has(status.none) && true", T, NULL},
    /* && || hide the other side */
    {"status.none == 1 || true", T, NULL}, {"true || status.none == 1", T, NULL}, {"status.none == 1 && false", F, NULL}, {"false && 1 < 'a'", F, NULL},
    {"status.none == 1 && true", M, NULL}, {"true && status.none == 1", M, NULL}, {"status.none == 1 || 1 < 'a'", M, NULL}, {"1 < 'a' || status.none == 1", B, NULL},
    {"false || false", F, NULL}, {"true && true", T, NULL}, {"false || true && false", F, NULL}, {"(true || false) && false", F, NULL},
    {"1 && true", B, NULL},
    {"true ? 1 == 1 : status.none", T, NULL}, {"spec.paused ? true : false", F, NULL}, {"status.none ? true : true", M, NULL}, {"false ? true : false ? false : true", T, NULL},
    /* in, size, texts */
    {"status.phase in ['Running', 'Done']", T, NULL}, {"3 in [1, 2]", F, NULL}, {"'app.io/tier' in metadata.labels", T, NULL}, {"1 in metadata.labels", F, NULL},
    {"1 in 'a'", B, "`in` looks into a list or an object, not a text"}, {"status.none in [1]", M, NULL}, {"1 in status.none", M, NULL}, {"[status.none] == [1]", M, NULL},
    {"size(status.conditions) == 3", T, NULL}, {"status.word.size() == 3", T, NULL}, {"size(spec) == 3", T, NULL}, {"size(1) == 1", B, "an integer has no size"},
    {"size(status.none) == 1", M, NULL},
    {"status.phase.startsWith('Run')", T, NULL}, {"status.phase.endsWith('Run')", F, NULL}, {"status.phase.contains('unn')", T, NULL},
    {"status.phase.contains(1)", B, "takes texts, not a text and an integer"}, {"status.none.contains('a')", M, NULL}, {"'a'.contains(status.none)", M, NULL},
    /* macros */
    {"status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')", T, NULL}, {"status.conditions.exists(c, c.type == 'Gone')", F, NULL},
    {"status.conditions.exists(c, c.status == 'Other')", M, "`status` is not there"}, {"status.conditions.exists(c, c.status == 'False')", T, NULL},
    {"status.conditions.all(c, has(c.type))", T, NULL}, {"status.conditions.all(c, c.status == 'True')", F, NULL}, {"status.conditions.all(c, c.status in ['True', 'False'])", M, NULL},
    {"status.conditions.exists_one(c, c.type == 'Ready')", T, NULL}, {"status.conditions.exists_one(c, has(c.type))", F, NULL}, {"status.conditions.exists_one(c, c.status == 'True')", M, NULL},
    {"status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True')", T, NULL}, {"status.conditions.filter(e, e.type == 'Gone').all(e, e.status == 'True')", T, NULL},
    {"size(status.conditions.filter(c, has(c.status))) == 2", T, NULL}, {"metadata.labels.exists(k, k.startsWith('app.io/'))", T, NULL},
    {"status.none.exists(c, true)", M, NULL}, {"status.phase.exists(c, true)", B, "is for a list or an object, not a text"}, {"[1].exists(x, x)", B, NULL},
    {"[1, 2].all(x, [3, 4].exists(y, y > x) && x < 3)", T, NULL}, {"[[1]].exists(x, x.exists(x, x == 1))", T, NULL}, {"[1].exists(status, status == 1) && has(status.phase)", T, NULL},
    /* optional values */
    {"status.?conditions.orValue([]).exists(c, c.type == 'Ready')", T, NULL}, {"status.?none.orValue([]).exists(c, true)", F, NULL},
    {"status.?none.more.orValue(1) == 1", T, NULL}, {"status.?phase.hasValue()", T, NULL}, {"status.?none.hasValue()", F, NULL}, {"status.?list[?9].hasValue()", F, NULL},
    {"status.list[?0].orValue(7) == 1", T, NULL}, {"status.?phase == 'Running'", B, "needs .orValue"}, {"status.phase.orValue('a') == 'a'", B, "are for optional fields"},
    {"status.none.orValue(1) == 1", M, NULL}, {"has(status.?none.more)", F, NULL},
};

static void test_answers(void)
{
    g_autoptr(json_t) object = sl_json_parse(object_text, strlen(object_text), NULL, "object", NULL);
    g_assert_nonnull(object);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *why = NULL;
        g_autoptr(SlExpr) expr = sl_expr_parse(rows[i].text, &error);
        if (expr == NULL) {
            g_error("%s: %s", rows[i].text, error->message);
        }
        SlExprAnswer answer = sl_expr_eval(expr, object, &why);
        if (answer != rows[i].answer || (rows[i].why != NULL && strstr(why, rows[i].why) == NULL)) {
            g_error("%s: expected %d (%s), got %d: %s", rows[i].text, (int)rows[i].answer, rows[i].why ? rows[i].why : "-", (int)answer, why ? why : "-");
        }
        g_assert_true((why != NULL) == (answer == M || answer == B));
    }
}

static void refuse(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlExpr) expr = sl_expr_parse(text, &error);
    if (expr != NULL || error->code != SLU_HEALTH_EXPRESSION || strstr(error->message, message) == NULL) {
        g_error("%s: expected `%s`, got: %s", text, message, error != NULL ? error->message : "no error");
    }
}

static void test_refused(void)
{
    static const char *const table[][2] = {
        {"", "column 1: expected a value, but the expression ends here"}, {"a ==", "column 5: expected a value, but"}, {"a = 1", "column 3: expected an operator or the end"},
        {"a + 1", "column 3: expected an operator or the end (there is no arithmetic)"}, {"-a", "- is only read before a number"}, {"&& a", "column 1: expected a value such as"},
        {"(a", "expected )"}, {"a[1", "expected ]"}, {"a[", "expected a value"}, {"[1 2]", "expected , or ] in the list"}, {"[1,", "expected a value"}, {"a.", "expected the name of a field"},
        {"a.'b'", "write keys with other characters as ['key']"}, {"'abc", "this text has no end: ' is missing"}, {"\"a\nb\"", "no end: \" is missing"}, {"'\\q'", "column 2: this escape is not known"},
        {"'\\u12'", "this escape is not known"}, {"'\\u0000'", "this escape is not known"}, {"'\\ud800'", "this escape is not known"}, {"12ab", "`12ab` is not an integer of 64 bits"}, {"5u", "uint is not supported"},
        {"99999999999999999999", "is not an integer of 64 bits"}, {"1e999", "is not a number that can be read"}, {"1.2.3", "is not a number"}, {"if", "`if` is a reserved word of CEL"}, {"foo(a)", "there is no function `foo`"},
        {"a.foo(1)", "there is no method `foo`"}, {"a.matches('x')", "matches() is left out"}, {"has(a)", "has() takes a field"}, {"has(a.b", "expected ) after the field of has()"}, {"has(", "expected a value"},
        {"size(a", "expected ) after the value of size()"}, {"size(", "expected a value"}, {"a.size(1)", "expected ) after size("}, {"a.contains()", "expected a value"}, {"a.contains('b'", "expected ) after contains("},
        {"a.exists(1, true)", "expected a variable"}, {"a.exists(in, true)", "expected a variable"}, {"a.exists(c true)", "expected , after the variable"}, {"a.exists(c, )", "expected a value"}, {"a.exists(c, true", "expected )"},
        {"a ? b", "expected : after the value behind ?"}, {"a ? : b", "expected a value"}, {"a ? b :", "expected a value"}, {"true false", "expected an operator or the end"}, {"a || ", "expected a value"}, {"a in", "expected a value"},
        {"'a\x01'", "text without control characters"}, {"!", "expected a value"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        refuse(table[i][0], table[i][1]);
    }
    g_autofree char *spaces = g_strnfill(SL_EXPR_TEXT_MAX + 1, ' '), *nots = g_strnfill(100, '!'), *brackets = g_strnfill(100, '(');
    refuse(spaces, "at most 4096 bytes");
    refuse(nots, "nested deeper than 32");
    refuse(brackets, "nested deeper than 32");
    static const char *const ends[] = {"1", "a", "'b'"};
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        GString *text = g_string_new("true");
        while (text->len < 3000) {
            g_string_append_printf(text, "||%s", ends[i]);
        }
        g_autofree char *many = g_string_free(text, FALSE);
        refuse(many, "an expression has at most 512 parts");
    }
    sl_expr_free(NULL);
}

/* Whatever is nested or compared, the steps end it. */
static void test_steps_are_bounded(void)
{
    static const char *const table[] = {
        "a.all(x, a.all(y, a.all(z, x == z || true)))",
        "a.exists(x, a.filter(y, a == a) == [])",
        "a.exists(x, a == a && false) || true",
        "a.all(x, a.exists(y, 'b' in a))",
        "a.all(x, text.contains('c') || true)",
        "a.all(x, size(text) > 1)",
        "a.all(x, text == text)",
        "a.all(x, text <= text)",
        "a.all(x, text in o || true)",
        "a.exists(x, o[text] == 1)",
        "a.all(x, !o[?text].hasValue())",
        "a.all(x, long.all(k, true))",
        "a.all(x, long == long)",
        "a.all(x, a.exists_one(y, y == x))",
        "o.all(x, o.all(y, o.all(z, o == o)))",
    };
    g_autoptr(json_t) object = json_object();
    json_t *list = json_array(), *map = json_object();
    for (int i = 0; i < 2000; i++) {
        g_autofree char *key = g_strdup_printf("k%d", i);
        json_array_append_new(list, json_integer(i));
        json_object_set_new(map, key, json_integer(i));
    }
    g_autofree char *text = g_strnfill(100000, 'a');
    json_object_set_new(object, "a", list);
    json_object_set_new(object, "o", map);
    json_object_set_new(object, "text", json_string(text));
    json_t *keyed = json_object();
    json_object_set_new(keyed, text, json_true());
    json_object_set_new(object, "long", keyed);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(SlExpr) expr = sl_expr_parse(table[i], NULL);
        g_autofree char *why = NULL;
        g_assert_nonnull(expr);
        if (sl_expr_eval(expr, object, &why) != SL_EXPR_BROKEN || strstr(why, "takes more than 100000 steps") == NULL) {
            g_error("%s: %s", table[i], why != NULL ? why : "has an answer");
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/health/expr/answers", test_answers);
    g_test_add_func("/health/expr/refused", test_refused);
    g_test_add_func("/health/expr/steps", test_steps_are_bounded);
    return g_test_run();
}
