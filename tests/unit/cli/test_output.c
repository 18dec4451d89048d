/* test_output.c - what reaches a terminal: widths, wrapping, colours, and nothing from outside that a terminal would obey. */
#include "rig.h"

static char *print_table(SlTable *table, SlCli *cli)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    sl_table_print(table, cli, out);
    fclose(out);
    return text; /* of malloc, as GLib's here */
}

static void test_widths(void)
{
    SlCli cli = {.colour = true};
    SlTable *table = sl_table_new("NAME", "STATE", "WHY", NULL);
    g_autofree char *healthy = sl_colour_state(&cli, "Healthy"), *other = sl_colour_state(&cli, "Dreaming");
    sl_table_row(table, "grüße", healthy, "", NULL);
    sl_table_row(table, "x", other, "because", NULL);
    sl_table_row(table, "short", NULL);
    g_autofree char *text = print_table(table, &cli);
    g_assert_cmpstr(text, ==,
                    "NAME   STATE     WHY\n"
                    "grüße  \033[32mHealthy\033[0m\n"
                    "x      Dreaming  because\n"
                    "short\n");
}

static void test_hostile_cells(void)
{
    SlCli cli = {0};
    SlTable *table = sl_table_new("A", "B", NULL);
    sl_table_row(table, "\033[2J\033]0;title\007", "a\nb\rc", NULL);
    sl_table_row(table, "\033[31mred", "\033[32mgreen\033[0m\033[8mhidden\033[0m", NULL);
    sl_table_row(table, "a", "b", "a cell without a heading", NULL);
    sl_table_row(table, "\xff\xc2\x9b" "1m\xe2\x80\xae", "", NULL);
    g_autofree char *text = print_table(table, &cli);
    assert_has(text, "\\x1b[2J\\x1b]0;title\\x07");
    assert_has(text, "a\\x0ab\\x0dc");
    assert_has(text, "\033[31mred\033[0m"); /* only our colours, and never left open */
    assert_has(text, "\\x1b[8mhidden");
    g_assert_null(strstr(text, "without a heading"));
    g_auto(GStrv) parts = g_strsplit(text, "\033", -1);
    for (size_t i = 1; i < g_strv_length(parts); i++) {
        g_assert_true(g_str_has_prefix(parts[i], "[31m") || g_str_has_prefix(parts[i], "[32m") || g_str_has_prefix(parts[i], "[0m"));
    }
    g_assert_null(strpbrk(text, "\r\007\xff"));
    g_assert_null(strstr(text, "\xc2\x9b"));
    g_assert_null(strstr(text, "\xe2\x80\xae"));
}

static void test_wrapping(void)
{
    SlCli cli = {.width = 40};
    SlTable *table = sl_table_new("NAME", "WHY", NULL);
    sl_table_row(table, "digits/prod", "waits for approval of one person and then some more words", NULL);
    g_autofree char *text = print_table(table, &cli);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), >, 3);
    for (size_t i = 0; lines[i] != NULL; i++) {
        g_assert_cmpint(g_utf8_strlen(lines[i], -1), <=, 40);
        g_assert_true(i < 2 || *lines[i] == '\0' || g_str_has_prefix(lines[i], "             "));
    }
}

static void test_say(void)
{
    g_autoptr(Rig) r = rig_new();
    rig_says(r, "GET /v1/status",
             "{\"now\":\"2026-11-23T12:00:00Z\",\"fleet\":\"f\\u001b[2J\",\"profile\":\"solo\\u001b]8;;x\\u0007\",\"units\":[{\"app\":\"a\\u001b[1A\",\"env\":\"dev\","
             "\"release\":\"r\",\"releaseName\":\"r1\",\"commit\":\"abc\",\"subject\":\"typo\\u202e\",\"since\":\"2026-11-23T11:57:00Z\","
             "\"health\":\"Degraded\",\"reason\":\"Crash\",\"message\":\"x\\r\\ny\"}],\"clusters\":[],\"alarms\":[{\"cluster\":\"c\\u001b[0m\","
             "\"what\":\"refused\",\"code\":\"SLU2200\",\"message\":\"m\\nSLU9999: forged\",\"since\":\"2026-11-23T11:00:00Z\"}]}");
    assert_code(r, RUN(r, "status", "--socket", r->socket), 0);
    assert_has(r->out, "fleet f\\x1b[2J (solo\\x1b]8;;x\\x07)");
    assert_has(r->out, "a\\x1b[1A/dev");
    assert_has(r->out, "3m");
    assert_has(r->out, "m\\x0aSLU9999: forged");
    g_assert_null(strchr(r->out, '\r'));
    g_assert_null(strstr(r->out, "\xe2\x80\xae"));
    assert_code(r, RUN(r, "status", "--socket", r->socket, "-o", "json"), 0);
    g_autoptr(json_t) json = sl_json_parse(r->out, strlen(r->out), NULL, "out", NULL);
    g_assert_cmpstr(sl_json_str(json_array_get(json_object_get(json, "units"), 0), "message"), ==, "x\r\ny"); /* programs get it as it is */
}

/* What is not there is said, and so is what waits. */
static void test_nothing_silent(void)
{
    g_autoptr(Rig) r = rig_new();
    rig_says(r, "GET /v1/status", "{\"now\":\"2026-11-23T12:00:00Z\",\"fleet\":\"f\",\"units\":[],\"clusters\":[]}");
    rig_says(r, "GET /v1/clusters", "{\"clusters\":[],\"pending\":[{\"id\":\"prod1\",\"env\":\"prod\"}],"
                                    "\"tokens\":[{\"name\":\"dev1\",\"env\":\"dev\",\"expires\":\"2026-11-24T12:00:00.5Z\"}]}");
    rig_says(r, "GET /v1/runs", "{\"runs\":[{\"app\":\"a\",\"env\":\"dev\",\"job\":\"train\",\"phase\":\"Failed\",\"reason\":\"NonZeroExit\"}]}");
    rig_says(r, "GET /v1/logs", "{\"offset\":0,\"size\":6,\"length\":6,\"data\":\"hello\\n\",\"finished\":true}");
    assert_code(r, RUN(r, "status", "--socket", r->socket), 0);
    assert_code(r, RUN(r, "status", "nope", "--socket", r->socket), 4);
    assert_has(r->err, "there is no application nope");
    assert_code(r, RUN(r, "clusters", "--socket", r->socket), 0);
    assert_has(r->out, "prod1 asked to join prod and waits for a signature: sluice cluster sign prod");
    assert_has(r->out, "dev1 has a join token for dev, not used yet, good until 2026-11-24T12:00:00Z");
    assert_code(r, RUN(r, "logs", "digits/dev/serve", "--socket", r->socket), 0); /* no run of that name: the server */
    g_assert_cmpstr(r->out, ==, "hello\n");
    assert_code(r, RUN(r, "jobs", "--socket", r->socket), 0);
    assert_has(r->out, "NonZeroExit");
    g_assert_cmpint(g_mkdir(".git", 0700), ==, 0);
    assert_code(r, RUN(r, "key", "create", "bob"), 3);
    assert_has(r->err, "lies in a Git repository");
    g_assert_false(g_file_test("bob", G_FILE_TEST_EXISTS));
}

static void test_small_things(void)
{
    g_autofree char *since = sl_since("2026-11-23T12:00:00Z", "2026-11-23T12:03:00Z"), *none = sl_since(NULL, "x"),
                    *future = sl_since("2026-11-23T12:00:01Z", "2026-11-23T12:00:00Z");
    g_assert_cmpstr(since, ==, "3m");
    g_assert_cmpstr(none, ==, "-");
    g_assert_cmpstr(future, ==, "0s");
    g_assert_cmpstr(sl_short("0123456789abcdef"), ==, "0123456789");
    g_assert_cmpstr(sl_short(NULL), ==, "-");
    g_autofree char *exact = sl_when("2026-11-23T12:00:00.123456Z"), *whole = sl_when("2026-11-23T12:00:00Z"), *never = sl_when(NULL);
    g_assert_cmpstr(exact, ==, "2026-11-23T12:00:00Z");
    g_assert_cmpstr(whole, ==, "2026-11-23T12:00:00Z");
    g_assert_cmpstr(never, ==, "-");
    SlCli plain = {0};
    g_autofree char *state = sl_colour_state(&plain, "Healthy"), *odd = sl_colour_state(&plain, NULL);
    g_assert_cmpstr(state, ==, "Healthy");
    g_assert_cmpstr(odd, ==, "-");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/output/widths", test_widths);
    g_test_add_func("/output/hostile-cells", test_hostile_cells);
    g_test_add_func("/output/wrapping", test_wrapping);
    g_test_add_func("/output/say", test_say);
    g_test_add_func("/output/nothing-silent", test_nothing_silent);
    g_test_add_func("/output/small-things", test_small_things);
    return g_test_run();
}
