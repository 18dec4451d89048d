/* diff.c - sluice diff: what differs between two releases, or between what two environments run; object by object, line by line. */
#include "base/text.h"
#include "cli/act.h"
#include "render/yaml.h"
#include <string.h>

#define LINES_MAX 2000 /* a longer object is shown as "changed" only */

/* Lines of the object as YAML; empty for none. */
static char **lines_of(SlCli *cli, const char *digest)
{
    if (digest == NULL) {
        return g_new0(char *, 1);
    }
    g_autofree char *path = g_strconcat("/v1/blobs/", digest, NULL);
    g_autoptr(GBytes) bytes = sl_api_get_bytes(cli, path, NULL, NULL);
    size_t len = 0;
    const char *text = bytes != NULL ? g_bytes_get_data(bytes, &len) : NULL;
    g_autoptr(json_t) object = text != NULL ? sl_json_parse(text, len, NULL, "object", NULL) : NULL;
    g_autofree char *yaml =
        object != NULL ? sl_yaml_emit(object) : g_strdup("(bytes are not there any more)\n");
    g_strchomp(yaml);
    return g_strsplit(yaml, "\n", LINES_MAX);
}

static void print_line(SlCli *cli, char mark, const char *line)
{
    g_autofree char *safe = sl_escape_for_people(line, 400);
    const char *colour = !sl_cli_colour(cli) || mark == ' ' ? ""
                         : mark == '+'                      ? "\033[32m"
                                                            : "\033[31m";
    printf("    %s%c %s%s\n", colour, mark, safe, *colour != '\0' ? "\033[0m" : "");
}

/* Longest common subsequence over lines: small objects, so the plain table will do. */
static void print_line_diff(SlCli *cli, char **a, char **b)
{
    size_t n = g_strv_length(a), m = g_strv_length(b);
    g_autofree uint16_t *best = g_new0(uint16_t, (n + 1) * (m + 1));
    for (size_t i = n; i-- > 0;) {
        for (size_t k = m; k-- > 0;) {
            uint16_t down = best[(i + 1) * (m + 1) + k], right = best[i * (m + 1) + k + 1];
            best[i * (m + 1) + k] = strcmp(a[i], b[k]) == 0
                                        ? (uint16_t)(best[(i + 1) * (m + 1) + k + 1] + 1)
                                        : MAX(down, right);
        }
    }
    for (size_t i = 0, k = 0; i < n || k < m;) {
        if (i < n && k < m && strcmp(a[i], b[k]) == 0) {
            i++;
            k++;
        } else if (k < m && (i == n || best[i * (m + 1) + k + 1] >= best[(i + 1) * (m + 1) + k])) {
            print_line(cli, '+', b[k++]);
        } else {
            print_line(cli, '-', a[i++]);
        }
    }
}

static int print_diff(SlCli *cli, const json_t *answer)
{
    json_t *objects = json_object_get(answer, "objects"), *each = NULL;
    size_t i = 0;
    json_array_foreach (objects, i, each) {
        g_autofree char *name = sl_escape_for_people(sl_json_str_or(each, "name", "?"), 100);
        sl_say(cli, "%s %s %s", sl_json_str_or(each, "change", "?"),
               sl_json_str_or(each, "kind", "?"), name);
        g_auto(GStrv) before = lines_of(cli, sl_json_str(each, "from"));
        g_auto(GStrv) after = lines_of(cli, sl_json_str(each, "to"));
        print_line_diff(cli, before, after);
    }
    if (json_array_size(objects) == 0) {
        sl_say(cli, "no difference");
    }
    return json_array_size(objects) == 0 ? SL_EXIT_OK : SL_EXIT_NO;
}

static int run(SlCli *cli)
{
    const char *app = NULL, *env = NULL;
    if (!sl_cli_unit(cli, &app, &env)) {
        return SL_EXIT_USAGE;
    }
    if (sl_cli_option(cli, "with") == NULL && sl_cli_option(cli, "from") == NULL) {
        return sl_cli_usage(
            cli,
            "say what to compare with: --with ENV or RELEASE, or --from RELEASE [--to-release RELEASE]");
    }
    g_autoptr(GError) error = NULL;
    const char *query[] = {"app",  app,
                           "env",  env,
                           "from", sl_cli_option(cli, "from"),
                           "to",   sl_cli_option(cli, "to-release"),
                           "with", sl_cli_option(cli, "with"),
                           NULL};
    g_autoptr(json_t) answer = sl_api_get(cli, "/v1/diff", query, &error);
    if (answer == NULL) {
        return sl_cli_fail(cli, error);
    }
    if (sl_cli_json(cli)) {
        sl_print_json(cli, answer);
        return json_array_size(json_object_get(answer, "objects")) == 0 ? SL_EXIT_OK : SL_EXIT_NO;
    }
    return print_diff(cli, answer);
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "the environment, where the argument is only the application", "env"},
    {"with", 0, "ENV|RELEASE",
     "compare what the unit runs with another environment, or with a release", "env"},
    {"from", 0, "RELEASE", "compare this release in the unit", "release"},
    {"to-release", 0, "RELEASE", "... with this one (default: the current one)", "release"},
    {0},
};

const SlCommand sl_cmd_diff = {
    .name = "diff",
    .group = "Look",
    .synopsis = "APP/ENV --with ENV|RELEASE",
    .summary = "what differs between releases or environments",
    .description = "Exit code 0: no difference, 1: there are some.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
