/* new.c - sluice new: from own scripts to an application in the fleet repository. Writes new files only. */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/foldertree.h"
#include "cli/templates.h"
#include "render/fleet.h"
#include "runtime/atomicfile.h"
#include <string.h>

#define SCRIPT_MAX (16u * 1024 * 1024)
#define FLEET_FILE_MAX (8u * 1024 * 1024)

static bool parse_command(const char *text, char ***ret_argv, GError **error)
{
    g_autoptr(GError) problem = NULL;
    if (text != NULL &&
        !g_shell_parse_argv(text, NULL, ret_argv, &problem)) { /* quotes only: no shell runs */
        return sl_throw(error, SLU_INVALID, "`%s`: %s", text, problem->message);
    }
    return true;
}

static bool is_script(const char *word)
{
    return sl_check_relative_path(word, NULL) && g_file_test(word, G_FILE_TEST_IS_REGULAR);
}

/* Does the command name files of this folder? */
static bool has_scripts(char **argv)
{
    for (size_t i = 0; argv != NULL && argv[i] != NULL; i++) {
        if (is_script(argv[i])) {
            return true;
        }
    }
    return false;
}

/* Copies the files of this folder that the command names ("train.py") to @to. */
static bool copy_scripts(char **argv, const char *to, GError **error)
{
    for (size_t i = 0; argv[i] != NULL; i++) {
        if (!is_script(argv[i])) {
            continue;
        }
        g_autofree char *target = g_build_filename(to, argv[i], NULL);
        g_autofree char *folder = g_path_get_dirname(target);
        g_autoptr(GBytes) content = sl_file_read(argv[i], SCRIPT_MAX, error);
        unsigned mode = g_file_test(argv[i], G_FILE_TEST_IS_EXECUTABLE) ? 0755 : 0644;
        if (content == NULL || !sl_dir_make(folder, 0755, error) ||
            !sl_file_write_atomic(target, g_bytes_get_data(content, NULL),
                                  g_bytes_get_size(content), mode, error)) {
            return false;
        }
    }
    return true;
}

static bool write_part(const char *app_dir, const char *part, char *text, char **argv,
                       GError **error)
{
    g_autofree char *owned = text;
    g_autofree char *name = g_strconcat(part, ".yaml", NULL);
    g_autofree char *file = g_build_filename(app_dir, part, name, NULL);
    g_autofree char *folder = g_path_get_dirname(file);
    g_autofree char *code = g_build_filename(app_dir, part, "code", NULL);
    return sl_dir_make(folder, 0755, error) && copy_scripts(argv, code, error) &&
           sl_file_write_atomic(file, owned, strlen(owned), 0644, error);
}

/* Environments of the fleet's documents in order; the default three if there is no fleet file yet. (transfer full) */
static char **environments_of(const char *folder, unsigned *ret_apps, GError **error)
{
    *ret_apps = 0;
    g_autofree char *file = g_build_filename(folder, "sluice.yaml", NULL);
    if (!g_file_test(file, G_FILE_TEST_EXISTS)) {
        return g_strsplit("dev test prod", " ", -1);
    }
    SlTree *tree = sl_folder_tree_new(folder, error);
    if (tree == NULL) {
        return NULL;
    }
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free);
    g_autoptr(SlFleetDocs) docs = sl_fleet_read(tree, problems);
    sl_folder_tree_free(tree);
    if (docs == NULL) {
        g_autofree char *first = problems->len > 0
                                     ? sl_problem_format(g_ptr_array_index(problems, 0))
                                     : g_strdup("broken");
        return sl_throw_null(error, SLU_INVALID, "%s", first);
    }
    GPtrArray *names = g_ptr_array_new();
    for (unsigned i = 0; i < docs->environments->len; i++) {
        const SlEnvironmentDoc *env = g_ptr_array_index(docs->environments, i);
        g_ptr_array_add(names, g_strdup(env->name));
    }
    g_ptr_array_add(names, NULL);
    *ret_apps = docs->applications->len;
    return (char **)g_ptr_array_free(names, FALSE);
}

static bool append_document(const char *folder, const SlNewApp *app, GError **error)
{
    g_autofree char *file = g_build_filename(folder, "sluice.yaml", NULL);
    g_autofree char *document = sl_template_application(app);
    g_autofree char *before = NULL;
    if (g_file_test(file, G_FILE_TEST_EXISTS)) {
        g_autoptr(GBytes) bytes = sl_file_read(file, FLEET_FILE_MAX, error);
        if (bytes == NULL) {
            return false;
        }
        before = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    } else {
        g_autofree char *name = g_path_get_basename(folder);
        before = sl_template_fleet(sl_is_name(name) ? name : "fleet", app->envs);
    }
    const char *gap = g_str_has_suffix(before, "\n") ? "" : "\n";
    g_autofree char *all = g_strconcat(before, gap, document, NULL);
    return sl_file_write_atomic(file, all, strlen(all), 0644, error);
}

static bool write_all(const char *folder, const SlNewApp *app, GError **error)
{
    g_autofree char *app_dir = g_build_filename(folder, app->app, NULL);
    if (g_file_test(app_dir, G_FILE_TEST_EXISTS)) {
        return sl_throw(error, SLU_EXISTS, "%s is there already", app_dir);
    }
    return (app->train == NULL ||
            write_part(app_dir, "train", sl_template_train(app), app->train, error)) &&
           (app->serve == NULL ||
            write_part(app_dir, "serve", sl_template_serve(app), app->serve, error)) &&
           append_document(folder, app, error);
}

static char *fleet_folder(void)
{
    char *found = sl_find_fleet_folder(".", NULL);
    return found != NULL ? found : g_canonicalize_filename(".", NULL);
}

/* Words that look like a script and are none: the command would fail on the cluster only. */
static void warn_of_missing(char *const *command)
{
    static const char *const endings[] = {".py", ".sh", ".json", ".yaml"};
    for (size_t i = 0; command != NULL && command[i] != NULL; i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(endings); k++) {
            if (*command[i] != '/' && g_str_has_suffix(command[i], endings[k]) &&
                !g_file_test(command[i], G_FILE_TEST_EXISTS)) {
                g_autofree char *safe = sl_escape_for_people(command[i], 200);
                fprintf(stderr, "warning: %s is not here, so it was not copied\n", safe);
            }
        }
    }
}

static int run(SlCli *cli)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) train = NULL;
    g_auto(GStrv) serve = NULL;
    if (!parse_command(sl_cli_option(cli, "train"), &train, &error) ||
        !parse_command(sl_cli_option(cli, "serve"), &serve, &error)) {
        return sl_cli_fail(cli, error);
    }
    const char *probe = sl_cli_option(cli, "probe");
    if (probe != NULL && (*probe != '/' || strpbrk(probe, " \t\r\n\"'#") != NULL)) {
        return sl_cli_usage(cli, "--probe is a path that starts with /, without spaces and quotes");
    }
    const char *given = sl_cli_option(cli, "port"), *output = sl_cli_option(cli, "output");
    int64_t number = 0;
    bool port_fits =
        given == NULL || (sl_parse_int64(given, &number) && number >= 1 && number <= 65000);
    if (!sl_is_name(sl_cli_arg(cli, 0)) || (train == NULL && serve == NULL) || !port_fits ||
        (output != NULL && !sl_is_name(output))) {
        return sl_cli_usage(cli, "give a name (lower-case letters, digits, '-'), --train or "
                                 "--serve, and --port 1..65000");
    }
    g_autofree char *folder = fleet_folder();
    unsigned apps = 0;
    g_auto(GStrv) envs = environments_of(folder, &apps, &error);
    if (envs == NULL) {
        return sl_cli_fail(cli, error);
    }
    /* Two applications on one machine must not ask for one port. */
    g_autofree char *port =
        given != NULL ? g_strdup(given) : g_strdup_printf("%u", 8500 + 10 * MIN(apps, 1000));
    SlNewApp app = {.app = sl_cli_arg(cli, 0),
                    .train = train,
                    .serve = serve,
                    .train_files = has_scripts(train),
                    .serve_files = has_scripts(serve),
                    .output = output,
                    .port = port,
                    .envs = (const char *const *)envs,
                    .probe = probe};
    if (!write_all(folder, &app, &error)) {
        return sl_cli_fail(cli, error);
    }
    sl_say(cli, "Application %s is in %s/sluice.yaml, its files are in %s/%s/.", app.app, folder,
           folder, app.app);
    warn_of_missing(train);
    warn_of_missing(serve);
    g_autofree char *try = train != NULL ? g_strdup_printf(" sluice try %s/train;", app.app) : NULL;
    sl_say(cli, "Next: sluice validate;%s git add -A; git commit; then %s runs it by itself.",
           try != NULL ? try : "", envs[0]);
    return SL_EXIT_OK;
}

static const SlCliOption options[] = {
    {"train", 0, "COMMAND",
     "the training command, for example 'python3 train.py'; files it names are copied", NULL},
    {"serve", 0, "COMMAND", "the command of the server", NULL},
    {"output", 0, "NAME", "what training writes and the server reads, for example model", NULL},
    {"port", 0, "PORT", "of the first environment; the next ones count up (default 8500, then 8510 for the second application, ...)", NULL},
    {"probe", 0, "PATH", "http path that answers 200 when the server is ready", NULL},
    {0},
};

const SlCommand sl_cmd_new = {
    .name = "new",
    .group = "Start",
    .synopsis = "APP [--train COMMAND] [--serve COMMAND] [--output NAME]",
    .summary = "a new application from your own scripts",
    .description = "Run it in your fleet repository (or in a folder that shall become one). Writes "
                   "APP/ with the job and the server, copies the scripts that the commands name, "
                   "and adds the Application to sluice.yaml.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
