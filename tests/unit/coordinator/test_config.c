/* coordinator.json: every mistake at once, nothing guessed. */
#include "coordinator/config.h"
#include "runtime/atomicfile.h"
#include "sluice/clock.h"
#include <string.h>

static SlConfig *load(const char *text, GError **error)
{
    g_autofree char *dir = g_dir_make_tmp("sluice-config-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "coordinator.json", NULL);
    g_assert_true(text == NULL || g_file_set_contents(path, text, -1, NULL));
    SlConfig *config = sl_config_load(dir, error);
    g_assert_true(sl_dir_remove_tree(dir, NULL));
    return config;
}

static void test_defaults(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlConfig) config =
        load("{\"repository\":\"/srv/fleet\",\"person\":\"alice\",\"agents\":{\"listen\":\"tcp://"
             "127.0.0.1:7400\"},"
             "\"enrol\":{\"listen\":\"tcp://"
             "127.0.0.1:7401\"},\"stateRemote\":null,\"api\":{\"listen\":null}}",
             &error);
    g_assert_no_error(error);
    g_assert_cmpstr(config->branch, ==, "main");
    g_assert_cmpint(config->poll_us, ==, 30 * SL_SECOND_US);
    g_assert_cmpstr(config->agents_advertise, ==, "tcp://127.0.0.1:7400");
    g_assert_cmpstr(config->enrol_advertise, ==, "tcp://127.0.0.1:7401");
    g_assert_true(g_str_has_suffix(config->api_socket, "/api.sock"));
    g_assert_null(config->api_listen);
    g_assert_true(g_str_has_suffix(config->git_path, "/sluice-git"));
}

static void test_all_mistakes_at_once(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(load("{\"repositry\":\"/x\",\"branch\":\"a..b\",\"person\":\"Alice "
                       "B\",\"poll\":\"fast\",\"agents\":{\"listen\":\"127.0.0.1:1\",\"port\":3},"
                       "\"api\":{\"listen\":\"localhost\",\"socket\":\"rel\"},\"enrol\":7,"
                       "\"stateRemote\":{\"url\":\"/r\",\"required\":\"yes\"}}",
                       &error));
    g_assert_error(error, SL_ERROR, SLU_CONFIG_INVALID);
    static const char *const wanted[] = {"repositry: unknown key; did you mean `repository`?",
                                         "repository: is missing",
                                         "a..b",
                                         "person: `Alice B`",
                                         "poll:",
                                         "agents.listen: `127.0.0.1:1` is not tcp://HOST:PORT",
                                         "agents.port: unknown key",
                                         "api.listen: `localhost` is not HOST:PORT",
                                         "api.socket: must be an absolute path",
                                         "enrol: must be an object",
                                         "stateRemote.required: must be true or false"};
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++)
        if (strstr(error->message, wanted[i]) == NULL)
            g_error("`%s` is not in:\n%s", wanted[i], error->message);
}

static void test_bad_files(void)
{
    static const char *const bad[] = {"", "{", "[]", "{\"person\":\"a\",\"person\":\"b\"}",
                                      "{\"repository\":\"file:///x\"}"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(load(bad[i], &error));
        g_assert_error(error, SL_ERROR, SLU_CONFIG_INVALID);
        g_assert_nonnull(strstr(error->message, "coordinator.json"));
    }
    g_autoptr(GError) missing = NULL;
    g_assert_null(load(NULL, &missing));
    g_assert_error(missing, SL_ERROR, SLU_CONFIG_MISSING);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/defaults", test_defaults);
    g_test_add_func("/config/all-mistakes", test_all_mistakes_at_once);
    g_test_add_func("/config/bad-files", test_bad_files);
    return g_test_run();
}
