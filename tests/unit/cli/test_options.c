/* test_options.c - the command table is sane, and the one parser does what its head comment says; exit codes. */
#include "rig.h"

static void check_options(const SlCommand *command)
{
    static const char *const kinds[] = {"app", "env", "cluster", "file", "release", NULL};
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) letters = g_hash_table_new(NULL, NULL);
    const SlCliOption *const tables[] = {command->options, sl_common_options};
    for (size_t t = 0; t < G_N_ELEMENTS(tables); t++) {
        for (const SlCliOption *o = tables[t]; o != NULL && o->name != NULL; o++) {
            g_test_message("%s --%s", command->name, o->name);
            g_assert_true(g_hash_table_add(names, (gpointer)o->name));
            g_assert_true(o->letter == 0 || g_hash_table_add(letters, GINT_TO_POINTER(o->letter)));
            g_assert_true(o->help != NULL && strlen(o->help) > 5 && !g_str_has_suffix(o->help, "."));
            g_assert_true(o->complete == NULL || (o->arg != NULL && g_strv_contains(kinds, o->complete)));
        }
    }
}

static void test_table(void)
{
    static const char *const groups[] = {"Start", "Look", "Promote", "Steer", "Runs", "Set up", "Other", NULL};
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    unsigned count = 0;
    for (const SlCommand *const *c = sl_commands(); *c != NULL; c++, count++) {
        g_test_message("%s", (*c)->name);
        g_assert_true(g_hash_table_add(seen, (gpointer)(*c)->name));
        g_assert_true(g_strv_contains(groups, (*c)->group));
        g_assert_nonnull((*c)->synopsis);
        g_assert_true(strlen((*c)->summary) > 10 && strlen((*c)->summary) < 80 && !g_str_has_suffix((*c)->summary, "."));
        g_assert_true((*c)->description == NULL || g_str_has_suffix((*c)->description, "."));
        g_assert_true((*c)->args_min >= 0 && (*c)->args_max >= (*c)->args_min && (*c)->run != NULL);
        g_assert_true((*c)->complete == NULL || (*c)->args_max > 0);
        check_options(*c);
    }
    g_assert_cmpuint(count, >, 40);
}

static void test_forms(void)
{
    g_autoptr(Rig) r = rig_new();
    static const char *const forms[][8] = {
        {"promote", "digits", "--to", "prod", "--yes", "-o", "json"},
        {"promote", "--to=prod", "-y", "-ojson", "digits"},
        {"promote", "-y", "--format=json", "--to", "prod", "--", "digits"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        int code = -1;
        SlCli *cli = rig_parse(r, forms[i], &code);
        g_assert_nonnull(cli);
        g_assert_cmpstr(sl_cli_arg(cli, 0), ==, "digits");
        g_assert_cmpstr(sl_cli_option(cli, "to"), ==, "prod");
        g_assert_true(sl_cli_flag(cli, "yes") && sl_cli_json(cli) && !sl_cli_flag(cli, "sign"));
        g_assert_cmpint(sl_cli_arg_count(cli), ==, 1);
        g_assert_null(sl_cli_arg(cli, 1));
        sl_cli_free(cli);
    }
}

static void test_repeated(void)
{
    g_autoptr(Rig) r = rig_new();
    int code = -1;
    SlCli *cli = rig_parse(r, (const char *const[]){"cluster", "add", "a", "--env", "x", "--env", "dev", "-l", "a=1", "--label=b=2", "-lc=3", NULL}, &code);
    g_assert_nonnull(cli);
    g_assert_cmpstr(sl_cli_option(cli, "env"), ==, "dev"); /* the last one counts */
    const char *const *labels = sl_cli_option_all(cli, "label");
    g_assert_cmpstr(labels[0], ==, "a=1");
    g_assert_cmpstr(labels[1], ==, "b=2");
    g_assert_cmpstr(labels[2], ==, "c=3");
    g_assert_null(labels[3]);
    g_assert_null(sl_cli_option_all(cli, "none")[0]);
    sl_cli_free(cli);
}

/* What every command has may stand before it too. */
static void test_leading(void)
{
    g_autoptr(Rig) r = rig_new();
    int code = -1;
    SlCli *cli = rig_parse(r, (const char *const[]){"--fleet", "f2", "--no-color", "-ojson", "cluster", "add", "a", "--env=dev", NULL}, &code);
    g_assert_nonnull(cli);
    g_assert_cmpstr(cli->command->name, ==, "cluster add");
    g_assert_cmpstr(sl_cli_option(cli, "fleet"), ==, "f2");
    g_assert_true(sl_cli_json(cli));
    g_assert_cmpstr(sl_cli_arg(cli, 0), ==, "a");
    g_assert_cmpstr(sl_cli_option(cli, "env"), ==, "dev");
    sl_cli_free(cli);
    assert_code(r, RUN(r, "--url=http://x", "status", "--help"), 0);
    assert_has(r->out, "sluice status");
    assert_code(r, RUN(r, "--fleet", "f2"), 0);
    assert_has(r->out, "usage: sluice COMMAND");
}

static void test_refusals(void)
{
    g_autoptr(Rig) r = rig_new();
    static const struct {
        const char *words[8];
        const char *says;
    } rows[] = {
        {{"promot"}, "did you mean `promote`?"},
        {{"cluster"}, "sluice cluster add NAME"},
        {{"cluster"}, "needs one more word"},
        {{"promote", "digits", "--too", "prod"}, "no option `--too`"},
        {{"promote", "digits", "--to"}, "--to needs ENV"},
        {{"promote", "digits", "--yes=1"}, "--yes takes no value"},
        {{"promote", "digits", "-yw"}, "no option `-yw`"},
        {{"status", "-o", "xml"}, "`table` or `json`"},
        {{"status", "a", "b"}, "too many arguments"},
        {{"why"}, "an argument is missing"},
        {{"why", "\xff\x1b"}, "`\\xff\\x1b` is not UTF-8"},
        {{"\x1b[2J"}, "no command `\\x1b[2J`"},
        {{"--flet", "x", "status"}, "no option `--flet` that may stand before the command"},
        {{"--fleet", "x", "statu"}, "did you mean `status`?"},
        {{"-o", "xml", "status"}, "`table` or `json`"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        assert_code(r, rig_run(r, rows[i].words), SL_EXIT_USAGE);
        assert_has(r->err, rows[i].says);
        g_assert_cmpstr(r->out, ==, "");
    }
    assert_code(r, RUN(r, "cluster", "--help"), 0);
    assert_has(r->out, "sluice cluster add NAME");
    g_assert_null(strstr(r->out, "sluice clusters")); /* "cluster" is a group of its own */
}

static void test_exit_codes(void)
{
    g_autoptr(Rig) r = rig_new();
    rig_says(r, "GET /v1/why", "{\"error\":{\"code\":\"SLU1008\",\"class\":\"denied\",\"message\":\"not \\u001b[2Jyou\",\"advice\":\"-\"}}");
    rig_says(r, "GET /v1/history", "<html>");
    assert_code(r, RUN(r, "version"), SL_EXIT_OK);
    assert_code(r, RUN(r, "status"), sl_error_exit_code(sl_error_info(SLU_NO_CONTEXT)->error_class));
    assert_has(r->err, "names no fleet");
    assert_code(r, RUN(r, "why", "digits/dev", "--socket", r->socket), 6);
    assert_has(r->err, "SLU1008: not \\x1b[2Jyou");
    assert_code(r, RUN(r, "why", "digits/dev", "--socket", r->socket, "-o", "json"), 6);
    assert_has(r->out, "\"code\": \"SLU1008\"");
    assert_has(r->out, "\"class\": \"denied\"");
    assert_code(r, RUN(r, "status", "--socket", r->socket), 4);
    g_assert_cmpint(RUN(r, "history", "--socket", r->socket), >=, 3);
    assert_code(r, RUN(r, "status", "--socket", "/none/such"), 7);
    assert_has(r->err, "no coordinator answers for fleet (by option); is it running?");
    assert_code(r, RUN(r, "pin", "digits/dev", "--socket", r->socket), SL_EXIT_USAGE);
    assert_has(r->err, "--reason");
    assert_code(r, RUN(r, "validate", "--repository", "/none/such"), 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/table", test_table);
    g_test_add_func("/options/forms", test_forms);
    g_test_add_func("/options/repeated", test_repeated);
    g_test_add_func("/options/leading", test_leading);
    g_test_add_func("/options/refusals", test_refusals);
    g_test_add_func("/options/exit-codes", test_exit_codes);
    return g_test_run();
}
