/* test_context.c - which fleet a command talks to: the file, the variable, the options; saved 0600 and never half. */
#include "rig.h"

static SlCli *parse(Rig *r, const char *const *words)
{
    int code = -1;
    SlCli *cli = rig_parse(r, words, &code);
    g_assert_nonnull(cli);
    return cli;
}

static void expect(Rig *r, const char *const *words, const char *name, const char *socket)
{
    SlCli *cli = parse(r, words);
    g_autoptr(GError) error = NULL;
    const SlContext *context = sl_cli_context(cli, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(context->name, ==, name);
    g_assert_cmpstr(context->socket, ==, socket);
    sl_cli_free(cli);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_save_and_load(void)
{
    g_autoptr(Rig) r = rig_new();
    g_autoptr(GError) error = NULL;
    SlContext one = {.name = (char[]){"one"}, .socket = (char[]){"/s1"}, .person = (char[]){"alice"}, .key = (char[]){"/k"}, .state = (char[]){"/st"}};
    SlContext two = {.name = (char[]){"two"}, .url = (char[]){"http://h:1"}, .token_file = (char[]){"/t"}};
    g_assert_true(sl_context_save(&one, &error) && sl_context_save(&two, &error));
    g_assert_no_error(error);
    g_autofree char *path = rig_path(r, "sluice/config.json"), *text = rig_read(r, "sluice/config.json");
    struct stat info;
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 0777, ==, 0600);
    assert_has(text, "\"current\": \"two\"");
    g_assert_null(strstr(text, "null"));
    expect(r, WORDS("status"), "two", NULL);
    expect(r, WORDS("status", "--fleet", "one"), "one", "/s1");
    g_setenv("SLUICE_FLEET", "one", TRUE);
    expect(r, WORDS("status"), "one", "/s1");
    expect(r, WORDS("status", "--fleet", "two"), "two", NULL);
    expect(r, WORDS("status", "--socket", "/other"), "one", "/other");
}

static void test_options_replace(void)
{
    g_autoptr(Rig) r = rig_new();
    SlContext one = {.name = (char[]){"one"}, .socket = (char[]){"/s1"}, .person = (char[]){"alice"}};
    g_assert_true(sl_context_save(&one, NULL));
    SlCli *cli = parse(r, WORDS("status", "--url", "http://x:1", "--token-file", "/t"));
    const SlContext *context = sl_cli_context(cli, NULL);
    g_assert_null(context->socket); /* another way to another coordinator: never both */
    g_assert_cmpstr(context->url, ==, "http://x:1");
    g_assert_cmpstr(context->token_file, ==, "/t");
    g_assert_cmpstr(context->person, ==, "alice");
    g_assert_true(sl_cli_context(cli, NULL) == context);
    sl_cli_free(cli);
}

static void test_refusals(void)
{
    g_autoptr(Rig) r = rig_new();
    assert_code(r, RUN(r, "status"), 3);
    assert_has(r->err, "names no fleet");
    assert_code(r, RUN(r, "status", "--fleet", "x"), 3);
    assert_has(r->err, "has no fleet `x`");
    rig_put(r, "sluice/config.json", "{\"current\":");
    assert_code(r, RUN(r, "status"), 3);
    assert_has(r->err, "config.json");
    SlContext one = {.name = (char[]){"one"}, .socket = (char[]){"/s1"}};
    g_autoptr(GError) error = NULL;
    g_assert_false(sl_context_save(&one, &error)); /* what is there is not thrown away */
    g_autofree char *text = rig_read(r, "sluice/config.json");
    g_assert_cmpstr(text, ==, "{\"current\":");
    rig_put(r, "sluice/config.json", "[1, 2]");
    assert_code(r, RUN(r, "status"), 3);
    assert_has(r->err, "must be an object");
    assert_code(r, RUN(r, "fleet", "add", "one"), SL_EXIT_USAGE);
}

static void test_fleet_add(void)
{
    g_autoptr(Rig) r = rig_new();
    assert_code(r, RUN(r, "fleet", "add", "far", "--url", "http://h:1", "--token-file", "/t", "--person", "bob"), 0);
    expect(r, WORDS("status"), "far", NULL);
    assert_code(r, RUN(r, "status"), sl_error_exit_code(SL_CLASS_NOT_FOUND)); /* the token file is not there */
    rig_put(r, "token", "secret\n");
    g_autofree char *token = rig_path(r, "token");
    g_assert_cmpint(chmod(token, 0644), ==, 0);
    assert_code(r, RUN(r, "status", "--token-file", token), sl_error_exit_code(sl_error_info(SLU_KEY_RIGHTS)->error_class));
    assert_code(r, RUN(r, "status", "--url", "http://h:1", "--fleet", "none"), sl_error_exit_code(sl_error_info(SLU_NO_TOKEN)->error_class));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/context/save-and-load", test_save_and_load);
    g_test_add_func("/context/options-replace", test_options_replace);
    g_test_add_func("/context/refusals", test_refusals);
    g_test_add_func("/context/fleet-add", test_fleet_add);
    return g_test_run();
}
