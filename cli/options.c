/* options.c - finds the command in the table and parses its words into an SlCli. One parser for every command:
 * options may stand anywhere, "--" ends them, "--name=value" and "--name value" are the same. */
#include "base/text.h"
#include "cli/private.h"
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

const SlCliOption sl_common_options[] = {
    {"format", 'o', "FORMAT", "table (for people) or json (for programs)", NULL},
    {"fleet", 0, "NAME", "which fleet of ~/.config/sluice/config.json (or $SLUICE_FLEET)", NULL},
    {"socket", 0, "PATH", "Unix socket of the coordinator", "file"},
    {"url", 0, "URL", "http address of the coordinator, with --token-file", NULL},
    {"token-file", 0, "FILE", "file with the API token", "file"},
    {"no-color", 0, NULL, "no colours (NO_COLOR does the same)", NULL},
    {"help", 'h', NULL, "this text", NULL},
    {0},
};

#define SL_CMD(name) extern const SlCommand sl_cmd_##name;
#include "cli/cmd/cmds.def"
#undef SL_CMD

static const SlCommand *const commands[] = {
#define SL_CMD(name) &sl_cmd_##name,
#include "cli/cmd/cmds.def"
#undef SL_CMD
    NULL,
};

const SlCommand *const *sl_commands(void)
{
    return commands;
}

/* The command whose words start @argv; the longest wins ("cluster add" before "cluster"). */
static const SlCommand *find_command(int argc, char **argv, int *ret_words)
{
    const SlCommand *found = NULL;
    *ret_words = 0;
    for (size_t i = 0; commands[i] != NULL; i++) {
        g_auto(GStrv) words = g_strsplit(commands[i]->name, " ", -1);
        int n = (int)g_strv_length(words), same = 0;
        while (same < n && same < argc && strcmp(words[same], argv[same]) == 0) {
            same++;
        }
        if (same == n && n > *ret_words) {
            found = commands[i];
            *ret_words = n;
        }
    }
    return found;
}

/* "cluster add" is in the group "cluster". */
static bool in_group(const SlCommand *command, const char *word)
{
    return g_str_has_prefix(command->name, word) && command->name[strlen(word)] == ' ';
}

static int unknown_command(int argc, char **argv)
{
    if (argv[0][0] == '-') {
        g_autofree char *option = sl_escape_for_people(argv[0], 64);
        fprintf(stderr,
                "sluice: there is no option `%s` that may stand before the command; `sluice "
                "COMMAND --help` lists a command's own\n",
                option);
        return SL_EXIT_USAGE;
    }
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    bool is_group = false;
    for (size_t i = 0; commands[i] != NULL; i++) {
        g_ptr_array_add(names, (char *)(uintptr_t)commands[i]->name);
        is_group = is_group || in_group(commands[i], argv[0]);
    }
    g_ptr_array_add(names, NULL);
    if (is_group) {
        bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
        FILE *out = help ? stdout : stderr;
        fprintf(out, "sluice: `%s` %s\n", argv[0], help ? "is one of" : "needs one more word:");
        for (size_t i = 0; commands[i] != NULL; i++) {
            if (in_group(commands[i], argv[0])) {
                fprintf(out, "  sluice %s %s\n", commands[i]->name, commands[i]->synopsis);
            }
        }
        return help ? SL_EXIT_OK : SL_EXIT_USAGE;
    }
    g_autofree char *word = sl_escape_for_people(argc > 0 ? argv[0] : "", 64);
    const char *near = sl_nearest(word, (const char *const *)names->pdata);
    fprintf(stderr, "sluice: there is no command `%s`%s%s%s; `sluice help` lists them\n", word,
            near != NULL ? " (did you mean `" : "", near != NULL ? near : "",
            near != NULL ? "`?)" : "");
    return SL_EXIT_USAGE;
}

static const SlCliOption *find_in(const SlCliOption *options, const char *name, size_t len,
                                  char letter)
{
    for (const SlCliOption *o = options; o != NULL && o->name != NULL; o++) {
        bool same = letter != 0 ? o->letter == letter
                                : strlen(o->name) == len && strncmp(o->name, name, len) == 0;
        if (same) {
            return o;
        }
    }
    return NULL;
}

static const SlCliOption *find_option(const SlCommand *command, const char *name, size_t len,
                                      char letter)
{
    const SlCliOption *found = find_in(command->options, name, len, letter);
    return found != NULL ? found : find_in(sl_common_options, name, len, letter);
}

/* How many words before the command are options that every command has, with their values. */
static int leading_options(int argc, char **argv)
{
    int used = 0;
    while (used < argc && argv[used][0] == '-' && argv[used][1] != '\0') {
        const char *word = argv[used];
        bool is_long = word[1] == '-';
        size_t len = is_long ? strcspn(word + 2, "=") : 0;
        const SlCliOption *option =
            find_in(sl_common_options, word + 2, len, is_long ? 0 : word[1]);
        if (option == NULL) {
            break;
        }
        bool has_value = is_long ? word[2 + len] == '=' : word[2] != '\0';
        used += option->arg != NULL && !has_value ? 2 : 1;
    }
    return MIN(used, argc);
}

static void add_option(SlCli *cli, const SlCliOption *option, const char *value)
{
    GPtrArray *values = g_hash_table_lookup(cli->options, option->name);
    if (values == NULL) {
        values = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(values, NULL);
        g_hash_table_insert(cli->options, g_strdup(option->name), values);
    }
    g_ptr_array_insert(values, (int)values->len - 1, g_strdup(value != NULL ? value : "yes"));
}

/* Takes one option word (and its value); returns how many words were used, 0 = wrong usage. */
static int take_option(SlCli *cli, int argc, char **argv)
{
    const char *word = argv[0];
    bool is_long = word[1] == '-';
    const char *equal = is_long ? strchr(word, '=') : NULL;
    size_t len = equal != NULL ? (size_t)(equal - word - 2) : strlen(word) - (is_long ? 2 : 1);
    const SlCliOption *option = find_option(cli->command, word + 2, len, is_long ? 0 : word[1]);
    if (option == NULL || (!is_long && len > 1 && option->arg == NULL)) {
        g_autofree char *shown = sl_escape_for_people(word, 64);
        sl_cli_usage(cli, "there is no option `%s`", shown);
        return 0;
    }
    if (option->arg == NULL) {
        if (equal != NULL) {
            sl_cli_usage(cli, "--%s takes no value", option->name);
            return 0;
        }
        add_option(cli, option, NULL);
        return 1;
    }
    const char *value = equal != NULL ? equal + 1 : !is_long && len > 1 ? word + 2 : NULL;
    if (value == NULL && argc < 2) {
        sl_cli_usage(cli, "--%s needs %s", option->name, option->arg);
        return 0;
    }
    add_option(cli, option, value != NULL ? value : argv[1]);
    return value != NULL ? 1 : 2;
}

/* Everything may go into JSON, a query or a terminal: text only. */
static bool is_text(SlCli *cli, const char *word)
{
    if (g_utf8_validate(word, -1, NULL)) {
        return true;
    }
    g_autofree char *shown = sl_escape_for_people(word, 64);
    sl_cli_usage(cli, "`%s` is not UTF-8", shown);
    return false;
}

static bool take_words(SlCli *cli, int argc, char **argv)
{
    bool only_args = false;
    for (int i = 0; i < argc; i++) {
        if (!is_text(cli, argv[i])) {
            return false;
        }
    }
    for (int i = 0; i < argc;) {
        if (!only_args && strcmp(argv[i], "--") == 0) {
            only_args = true;
            i++;
        } else if (only_args || argv[i][0] != '-' || argv[i][1] == '\0') {
            g_ptr_array_insert(cli->args, (int)cli->args->len - 1, g_strdup(argv[i++]));
        } else {
            int used = take_option(cli, argc - i, argv + i);
            if (used == 0) {
                return false;
            }
            i += used;
        }
    }
    return true;
}

static bool finish(SlCli *cli)
{
    const char *format = sl_cli_option(cli, "format");
    if (format != NULL && strcmp(format, "json") != 0 && strcmp(format, "table") != 0) {
        sl_cli_usage(cli, "--format is `table` or `json`");
        return false;
    }
    cli->json = format != NULL && strcmp(format, "json") == 0;
    const char *no_color = getenv("NO_COLOR");
    cli->colour = isatty(STDOUT_FILENO) && !(no_color != NULL && *no_color != '\0') &&
                  !sl_cli_flag(cli, "no-color");
    struct winsize size;
    cli->width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
    int n = sl_cli_arg_count(cli);
    if (n < cli->command->args_min || n > cli->command->args_max) {
        sl_cli_usage(cli, n < cli->command->args_min ? "an argument is missing"
                                                     : "there are too many arguments");
        return false;
    }
    return true;
}

SlCli *sl_cli_parse(int argc, char **argv, int *ret_code)
{
    *ret_code = SL_EXIT_OK;
    int lead = leading_options(argc, argv);
    if (argc == lead || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        sl_help_overview(stdout);
        return NULL;
    }
    bool version = strcmp(argv[lead], "--version") == 0;
    char *version_word[] = {(char[]){"version"}, NULL};
    int words = 0;
    const SlCommand *command = version ? find_command(1, version_word, &words)
                                       : find_command(argc - lead, argv + lead, &words);
    if (command == NULL) {
        *ret_code = unknown_command(argc - lead, argv + lead);
        return NULL;
    }
    SlCli *cli = g_new0(SlCli, 1);
    cli->command = command;
    cli->args = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(cli->args, NULL);
    cli->options =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    *ret_code = SL_EXIT_USAGE;
    words += lead;
    bool parsed = take_words(cli, lead, argv) && take_words(cli, argc - words, argv + words);
    if (parsed && sl_cli_flag(cli, "help")) {
        *ret_code = SL_EXIT_OK;
        sl_help_command(command, stdout);
        parsed = false;
    }
    if (!parsed || !finish(cli)) {
        sl_cli_free(cli);
        return NULL;
    }
    return cli;
}

void sl_cli_free(SlCli *cli)
{
    if (cli == NULL) {
        return;
    }
    g_ptr_array_unref(cli->args);
    g_hash_table_unref(cli->options);
    sl_context_free(cli->context);
    g_free(cli);
}

const char *sl_cli_arg(const SlCli *cli, int n)
{
    return n < sl_cli_arg_count(cli) ? g_ptr_array_index(cli->args, n) : NULL;
}

int sl_cli_arg_count(const SlCli *cli)
{
    return (int)cli->args->len - 1;
}

const char *const *sl_cli_args(const SlCli *cli)
{
    return (const char *const *)cli->args->pdata;
}

const char *const *sl_cli_option_all(const SlCli *cli, const char *name)
{
    static const char *const none[] = {NULL};
    GPtrArray *values = g_hash_table_lookup(cli->options, name);
    return values != NULL ? (const char *const *)values->pdata : none;
}

const char *sl_cli_option(const SlCli *cli, const char *name)
{
    GPtrArray *values = g_hash_table_lookup(cli->options, name);
    return values != NULL ? g_ptr_array_index(values, values->len - 2) : NULL;
}

bool sl_cli_flag(const SlCli *cli, const char *name)
{
    return g_hash_table_contains(cli->options, name);
}

bool sl_cli_json(const SlCli *cli)
{
    return cli->json;
}

bool sl_cli_colour(const SlCli *cli)
{
    return cli->colour;
}

int sl_cli_usage(SlCli *cli, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    g_autofree char *message = g_strdup_vprintf(format, list);
    va_end(list);
    fprintf(stderr, "sluice %s: %s\nusage: sluice %s %s\n(`sluice %s --help` says more)\n",
            cli->command->name, message, cli->command->name, cli->command->synopsis,
            cli->command->name);
    return SL_EXIT_USAGE;
}

int sl_cli_fail(SlCli *cli, const GError *error)
{
    if (cli->json) {
        const SlErrorInfo *info = sl_error_info(error->code);
        g_autofree char *code = g_strdup_printf("SLU%d", info->code);
        g_autoptr(json_t) body = json_pack("{s:{s:s,s:s,s:s,s:s}}", "error", "code", code, "class",
                                           sl_error_class_name(info->error_class), "message",
                                           error->message, "advice", info->advice);
        if (body != NULL) {
            sl_print_json(cli, body);
        }
    }
    g_autofree char *text = sl_error_format(error);
    fprintf(stderr, "%s\n", text);
    return sl_error_exit_code(sl_error_class(error));
}
