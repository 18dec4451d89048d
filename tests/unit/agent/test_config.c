/* test_config.c - join token, agent.json, and what `sluice-agent` says about a folder that it can't
 * use. */
#include "agent/config.h"
#include "runtime/spawn.h"
#include "tests/unit/agent/fixture.h"
#include <unistd.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char *token_of(const char *json)
{
    char *coded = sl_base64(json, strlen(json));
    for (char *c = coded; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c;
    char *token = g_strconcat("slj1.", coded, NULL);
    g_free(coded);
    return token;
}

static void test_token(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = token_of(
        "{\"coordinator\":\"tcp://127.0.0.1:7401\",\"curve\":\"" HEX64
        "\",\"env\":\"dev\",\"fleet\":\"" HEX64
        "\",\"id\":\"0123456789abcdef0123456789abcdef\",\"name\":\"dev1\",\"root\":\"" HEX64
        "\",\"secret\":\"" HEX64 "\"}");
    g_autoptr(SlJoinToken) token = sl_join_token_parse(text, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(token->name, ==, "dev1");
    g_assert_cmpstr(token->coordinator, ==, "tcp://127.0.0.1:7401");
    g_autofree char *cut = g_strndup(text, strlen(text) - 20), *empty = token_of("{}");
    const struct {
        const char *text, *says;
    } bad[] = {{"hello", "must start with slj1."},
               {cut, "cut off"},
               {"slj1.!!!!", "wrong character"},
               {empty, "`coordinator` is missing"}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_null(sl_join_token_parse(bad[i].text, &error));
        g_assert_error(error, SL_ERROR, SLU_TOKEN_FORMAT);
        g_assert_nonnull(strstr(error->message, bad[i].says));
        g_clear_error(&error);
    }
}

static char *token_from(const char *bytes, GError **error)
{
    int ends[2];
    g_assert_cmpint(pipe(ends), ==, 0);
    g_assert_cmpint(write(ends[1], bytes, strlen(bytes)), ==, (ssize_t)strlen(bytes));
    close(ends[1]);
    char *text = sl_join_token_read(ends[0], error);
    close(ends[0]);
    return text;
}

static void test_token_is_read(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = token_from("  slj1.abc\r\nmore\n", &error),
                    *last = token_from("slj1.abc", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(line, ==, "slj1.abc");
    g_assert_cmpstr(last, ==, "slj1.abc");
    g_autofree char *endless = g_strnfill(9000, 'x'), *cut = token_from(endless, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(strlen(cut), <, 5000);
    g_autofree char *none = token_from("\n", &error);
    g_assert_null(none);
    g_assert_error(error, SL_ERROR, SLU_TOKEN_FORMAT);
    g_assert_nonnull(strstr(error->message, "on standard input"));
}

static char *conf_dir(const char *json)
{
    char *dir = g_dir_make_tmp("sluice-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "agent.json", NULL);
    fix_write(path, json);
    return dir;
}

#define CONF(more)                                                                                 \
    "{\"format\":1,\"cluster\":\"dev1\",\"environment\":\"dev\",\"fleet\":\"" HEX64                \
    "\",\"root\":\"" HEX64 "\",\"coordinator\":"                                                   \
    "\"tcp://127.0.0.1:7400\",\"curve\":\"" HEX64 "\",\"engine\":\"process\"" more "}"

static void test_conf(void)
{
    const struct {
        const char *json, *says;
    } bad[] = {
        {CONF(",\"modelstore\":\"/x\""), "unknown key `modelstore`; did you mean `modelStore`?"},
        {CONF(",\"modelStore\":\"x\""), "`x` is not an absolute path"},
        {"{\"format\":2}", "format must be 1"},
        {"{\"format\":1}", "cluster: is missing"},
        {"{", "agent.json"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *dir = conf_dir(bad[i].json);
        g_assert_null(sl_agent_conf_load(dir, &error));
        g_assert_nonnull(strstr(error->message, bad[i].says));
        (void)!sl_dir_remove_tree(dir, NULL);
    }
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = conf_dir(CONF(",\"secrets\":{\"a\":{\"file\":\"/x\"}}"));
    g_autoptr(SlAgentConf) conf = sl_agent_conf_load(dir, &error);
    g_assert_no_error(error);
    g_autoptr(json_t) options = sl_agent_conf_options(conf);
    g_assert_cmpstr(sl_json_str(options, "secrets.a.file"), ==, "/x");
    g_assert_true(sl_agent_conf_save(conf, &error));
    g_autoptr(SlAgentConf) again = sl_agent_conf_load(dir, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again->curve, ==, conf->curve);
    (void)!sl_dir_remove_tree(dir, NULL);
}

/* Runs `sluice-agent run --dir DIR`; its words on stderr. */
static char *run_agent(const char *dir, int *ret_code)
{
    SlChildEnd end = {0};
    const char *argv[] = {SLUICE_BIN_DIR "/sluice-agent", "run", "--dir", dir, NULL};
    SlSpawn how = {.argv = argv, .error_max = 4096, .timeout_us = WAIT_US};
    g_assert_true(sl_spawn_wait(&how, &end, NULL));
    size_t len = 0;
    const char *text = end.error ? g_bytes_get_data(end.error, &len) : NULL;
    char *said = g_strndup(text ? text : "", len);
    *ret_code = end.code;
    sl_child_end_clear(&end);
    return said;
}

static void test_program_says(void)
{
    int code = 0;
    g_autofree char *none = run_agent("/no/such/folder", &code);
    g_assert_cmpint(code, !=, 0);
    g_assert_nonnull(strstr(none, "run `sluice-agent join --dir /no/such/folder` first"));
    g_autofree char *dir = conf_dir(CONF("")), *keys = g_build_filename(dir, "keys/agent", NULL);
    g_autofree char *missing = run_agent(dir, &code);
    g_assert_nonnull(strstr(missing, "keys/agent"));
    fix_write(keys, "not a key");
    g_assert_cmpint(chmod(keys, 0644), ==, 0);
    g_autofree char *open = run_agent(dir, &code);
    g_assert_nonnull(strstr(open, "SLU7002"));
    g_assert_nonnull(strstr(open, "mode 0644"));
    /* Somebody holds the folder. */
    int lock = -1;
    g_autofree char *state = g_build_filename(dir, "state", NULL);
    g_assert_true(sl_dir_lock(state, &lock, NULL));
    g_autofree char *held = run_agent(dir, &code);
    g_assert_nonnull(strstr(held, "another agent runs on"));
    close(lock);
    (void)!sl_dir_remove_tree(dir, NULL);
    /* A file where the state folder should be: as a folder that can't be written. */
    g_autofree char *readonly = conf_dir(CONF("")),
                    *blocked = g_build_filename(readonly, "state", NULL);
    fix_write(blocked, "");
    g_autofree char *refused = run_agent(readonly, &code);
    g_assert_nonnull(strstr(refused, "SLU5063"));
    g_assert_nonnull(strstr(refused, "can't be written"));
    (void)!sl_dir_remove_tree(readonly, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/token", test_token);
    g_test_add_func("/config/token/read", test_token_is_read);
    g_test_add_func("/config/conf", test_conf);
    g_test_add_func("/config/program-says", test_program_says);
    return g_test_run();
}
