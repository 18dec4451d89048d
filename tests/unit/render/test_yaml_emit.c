/* What the emitter writes reads back as the same canonical JSON. */
#include "help.h"

static void round_trip(const char *json)
{
    g_autoptr(json_t) tree = sl_json_parse(json, strlen(json), NULL, "test", NULL);
    g_assert_nonnull(tree);
    g_autofree char *before = sl_json_canonical(tree, NULL), *yaml = sl_yaml_emit(tree);
    g_autoptr(GPtrArray) problems = problems_new();
    g_autofree char *after = yaml_json(yaml, problems);
    assert_quiet(problems);
    g_assert_cmpstr(after, ==, before);
}

static void test_round_trips(void)
{
    round_trip("{\"a\":[1,-2,2.5,true,false,null,\"\",\"no\",\"0777\",[],{},[[1,[2]],[{\"x\":[{\"y\":1}]}]]],\"\":{\"z\":{}}}");
    round_trip("[[1,2],[],[[[\"a\"]]],{\"b\":[{\"c\":1,\"d\":2},3]}]");
    round_trip("{\"a\\nb\":\"x\\ty\\r\\n\\u0001\\u007f\\u0085\\u2028 \\\" \\\\ # : - \",\"y\":\"on\",\"<<\":\"*a\"}");
    round_trip("{\"big\":1e+21,\"small\":1e-07,\"min\":-9223372036854775808,\"f\":0.1,\"g\":12345678901234567000000.0}");
    round_trip("{\"e\":\"\xF0\x9F\x98\x80 \xC3\xA9\",\"long\":\"                                         x\"}");
    round_trip("{}");
    round_trip("[]");
}

static void test_looks(void)
{
    g_autoptr(json_t) tree = json_pack("{s:s, s:[{s:i, s:s}], s:{}}", "name", "no", "list", "b", 1, "a", "x", "none");
    g_autofree char *yaml = sl_yaml_emit(tree);
    g_assert_cmpstr(yaml, ==, "\"list\":\n  - \"a\": \"x\"\n    \"b\": 1\n\"name\": \"no\"\n\"none\": {}\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/yaml_emit/round_trips", test_round_trips);
    g_test_add_func("/yaml_emit/looks", test_looks);
    return g_test_run();
}
