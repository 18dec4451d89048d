/* test_help.c - help, man page and completion of every command, from one table; the bash script is run by a real bash. */
#include "rig.h"

/* Every line of roff is a request that we use, or text that cannot be one. */
static void check_roff(const char *page)
{
    g_auto(GStrv) lines = g_strsplit(page, "\n", -1);
    static const char *const requests[] = {".TH ", ".SH ", ".TP", ".B ", ".BR ", ".I ", ".PP", NULL};
    for (size_t i = 0; lines[i] != NULL; i++) {
        bool known = *lines[i] != '.' && *lines[i] != '\'';
        for (size_t k = 0; requests[k] != NULL; k++) {
            known = known || g_str_has_prefix(lines[i], requests[k]);
        }
        if (!known) {
            g_error("line %zu of a man page is an unknown request: %s", i + 1, lines[i]);
        }
    }
}

static void test_every_command(void)
{
    g_autoptr(Rig) r = rig_new();
    for (const SlCommand *const *c = sl_commands(); *c != NULL; c++) {
        g_auto(GStrv) name = g_strsplit((*c)->name, " ", 2);
        assert_code(r, RUN(r, name[0], name[1] != NULL ? name[1] : "--help", "--help"), 0);
        assert_has(r->out, (*c)->summary);
        assert_has(r->out, "--fleet NAME");
        g_autofree char *page = sl_help_man(*c), *words = NULL;
        g_auto(GStrv) parts_of_name = g_strsplit_set((*c)->name, " -", -1);
        words = g_strjoinv("\\-", parts_of_name);
        g_autofree char *title = g_strdup_printf(".SH NAME\nsluice\\-%s \\- ", words);
        assert_has(page, title);
        for (const SlCliOption *o = (*c)->options; o != NULL && o->name != NULL; o++) {
            g_autofree char *word = g_strdup_printf("--%s", o->name);
            g_auto(GStrv) parts = g_strsplit(word, "-", -1);
            g_autofree char *escaped = g_strjoinv("\\-", parts);
            assert_has(r->out, word);
            assert_has(page, escaped);
        }
        check_roff(page);
    }
}

static void test_overview(void)
{
    g_autoptr(Rig) r = rig_new();
    assert_code(r, RUN(r, "help"), 0);
    g_autofree char *page = sl_help_man(NULL);
    check_roff(page);
    for (const SlCommand *const *c = sl_commands(); *c != NULL; c++) {
        g_autofree char *line = g_strdup_printf("  %-16s %s\n", (*c)->name, (*c)->summary);
        assert_has(r->out, line);
        g_auto(GStrv) parts = g_strsplit((*c)->name, "-", -1);
        g_autofree char *escaped = g_strjoinv("\\-", parts);
        assert_has(page, escaped);
    }
    assert_has(r->out, "3 invalid, 4 not found, 5 conflict, 6 denied, 7 unavailable, 8 timeout, 9 exhausted, 10 corrupt, 11 unsupported, 12 internal");
    assert_code(r, RUN(r, "--help"), 0);
    assert_code(r, RUN(r, "help", "promote"), 0);
    assert_has(r->out, "usage: sluice promote");
    assert_code(r, RUN(r, "help", "nothing"), SL_EXIT_USAGE);
    assert_code(r, RUN(r, "help", "--man", "cluster", "add"), 0);
    assert_has(r->out, ".TH SLUICE\\-CLUSTER\\-ADD 1");
    assert_code(r, RUN(r, "help", "--man-dir", "man"), 0);
    g_autofree char *main_page = rig_read(r, "man/sluice.1"), *sub_page = rig_read(r, "man/sluice-root-add-person.1");
    g_assert_cmpstr(main_page, ==, page);
    assert_has(sub_page, "SLUICE\\-ROOT\\-ADD\\-PERSON");
    assert_code(r, RUN(r, "--version"), 0);
    assert_has(r->out, SLUICE_VERSION);
}

/* What bash offers for the words so far; the last one is being typed. */
static char *complete(const Rig *r, const char *line)
{
    g_autofree char *words = g_strdup_printf("COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); "
                                             "sluice() { [ \"$3\" = app ] && echo digits; }; "
                                             "source ./completion; _sluice; echo \"${COMPREPLY[*]}\"", line);
    const char *argv[] = {"/bin/bash", "-c", words, NULL};
    char *out = NULL, *err = NULL;
    int status = -1;
    g_assert_true(g_spawn_sync(r->dir, (char **)(uintptr_t)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status, NULL));
    g_assert_cmpstr(err, ==, "");
    g_free(err);
    return out;
}

static void test_completion(void)
{
    g_autoptr(Rig) r = rig_new();
    g_autofree char *script = sl_help_completion("bash"), *zsh = sl_help_completion("zsh");
    g_assert_null(sl_help_completion("tcsh"));
    g_assert_true(g_str_has_prefix(zsh, "#compdef sluice\n") && g_str_has_suffix(zsh, script));
    rig_put(r, "completion", script);
    g_autofree char *commands = complete(r, "sluice pro"), *second = complete(r, "sluice cluster ''"), *options = complete(r, "sluice promote digits --t"),
                    *names = complete(r, "sluice promote ''");
    g_assert_cmpstr(commands, ==, "promote\n");
    assert_has(second, "add");
    assert_has(second, "remove");
    assert_has(options, "--to");
    assert_has(options, "--timeout");
    g_assert_cmpstr(names, ==, "digits\n");
    assert_code(r, RUN(r, "completion", "fish"), SL_EXIT_USAGE);
}

static void test_completion_words(void)
{
    g_autoptr(Rig) r = rig_new();
    rig_says(r, "GET /v1/status", "{\"units\":[{\"app\":\"digits\"},{\"app\":\"$(touch pwned)\"},{\"app\":\"digits\"},{\"app\":\"a b\"},{\"app\":3}],"
                                  "\"environments\":[{\"name\":\"dev\"}],\"clusters\":[{\"id\":\"`x`\"}]}");
    assert_code(r, RUN(r, "completion", "words", "app", "--socket", r->socket), 0);
    g_assert_cmpstr(r->out, ==, "digits\n"); /* a shell would run the others */
    assert_code(r, RUN(r, "completion", "words", "env", "--socket", r->socket), 0);
    g_assert_cmpstr(r->out, ==, "dev\n");
    assert_code(r, RUN(r, "completion", "words", "cluster", "--socket", r->socket), 0);
    g_assert_cmpstr(r->out, ==, "");
    assert_code(r, RUN(r, "completion", "words", "app", "--socket", "/none"), SL_EXIT_NO);
    g_assert_cmpstr(r->err, ==, ""); /* a TAB is not the place for errors */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/help/every-command", test_every_command);
    g_test_add_func("/help/overview", test_overview);
    g_test_add_func("/help/completion", test_completion);
    g_test_add_func("/help/completion-words", test_completion_words);
    return g_test_run();
}
