/* help.c - help, man pages and shell completion, all from the command table: what is not in the table is not documented. */
#include "cli/private.h"
#include <string.h>

static const char *const groups[] = {"Start", "Look",   "Promote", "Steer",
                                     "Runs",  "Set up", "Other",   NULL};

static const char exit_codes[] =
    "0 done; 1 the answer is no (an attempt failed, problems or differences were found); 2 wrong "
    "usage; "
    "3 invalid, 4 not found, 5 conflict, 6 denied, 7 unavailable, 8 timeout, 9 exhausted, 10 "
    "corrupt, 11 unsupported, 12 internal; "
    "promote --wait also 20 rejected, 21 superseded or aborted, 22 expired, 23 still waiting.";

void sl_help_overview(FILE *out)
{
    fputs("sluice moves AI systems from a Git commit to every cluster, with a signature at every "
          "step.\n\n"
          "usage: sluice COMMAND [ARGUMENTS] [OPTIONS]\n",
          out);
    for (size_t g = 0; groups[g] != NULL; g++) {
        fprintf(out, "\n%s\n", groups[g]);
        for (const SlCommand *const *c = sl_commands(); *c != NULL; c++) {
            if (strcmp((*c)->group, groups[g]) == 0) {
                fprintf(out, "  %-16s %s\n", (*c)->name, (*c)->summary);
            }
        }
    }
    fprintf(out,
            "\n`sluice COMMAND --help` says more; `-o json` is for programs.\nExit codes: %s\n",
            exit_codes);
}

static void print_options(const SlCliOption *options, FILE *out)
{
    for (const SlCliOption *o = options; o != NULL && o->name != NULL; o++) {
        g_autofree char *letter =
            o->letter != 0 ? g_strdup_printf("-%c, ", o->letter) : g_strdup("    ");
        g_autofree char *left = g_strdup_printf(
            "%s--%s%s%s", letter, o->name, o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");
        fprintf(out, "  %-26s %s\n", left, o->help);
    }
}

void sl_help_command(const SlCommand *command, FILE *out)
{
    fprintf(out, "sluice %s - %s\n\nusage: sluice %s %s\n", command->name, command->summary,
            command->name, command->synopsis);
    if (command->description != NULL) {
        fprintf(out, "\n%s\n", command->description);
    }
    if (command->options != NULL && command->options[0].name != NULL) {
        fputs("\nOptions\n", out);
        print_options(command->options, out);
    }
    fputs("\nOptions of every command\n", out);
    print_options(sl_common_options, out);
}

/* Text for roff: backslashes and hyphens escaped, a leading dot or quote kept from being a request. */
static void roff_text(GString *out, const char *text)
{
    bool start = true;
    for (const char *c = text; *c != '\0'; c++) {
        if (start && (*c == '.' || *c == '\'')) {
            g_string_append(out, "\\&");
        }
        if (*c == '\\') {
            g_string_append(out, "\\e");
        } else if (*c == '-') {
            g_string_append(out, "\\-");
        } else {
            g_string_append_c(out, *c);
        }
        start = *c == '\n';
    }
    g_string_append_c(out, '\n');
}

static void roff_options(GString *out, const SlCliOption *options)
{
    for (const SlCliOption *o = options; o != NULL && o->name != NULL; o++) {
        g_string_append(out, ".TP\n.B ");
        g_autofree char *letter =
            o->letter != 0 ? g_strdup_printf("-%c, ", o->letter) : g_strdup("");
        g_autofree char *word =
            g_strdup_printf("%s--%s %s", letter, o->name, o->arg != NULL ? o->arg : "");
        roff_text(out, word);
        roff_text(out, o->help);
    }
}

static char *man_overview(void)
{
    GString *out =
        g_string_new(".TH SLUICE 1 \"\" \"Sluice " SLUICE_VERSION
                     "\"\n.SH NAME\nsluice \\- multi-cluster GitOps for AI\n"
                     ".SH SYNOPSIS\n.B sluice\nCOMMAND [ARGUMENTS] [OPTIONS]\n.SH COMMANDS\n");
    for (const SlCommand *const *c = sl_commands(); *c != NULL; c++) {
        g_string_append(out, ".TP\n.B sluice ");
        g_autofree char *word = g_strdup_printf("%s %s", (*c)->name, (*c)->synopsis);
        roff_text(out, word);
        roff_text(out, (*c)->summary);
    }
    g_string_append(out, ".SH OPTIONS OF EVERY COMMAND\n");
    roff_options(out, sl_common_options);
    g_string_append(out, ".SH EXIT STATUS\n");
    roff_text(out, exit_codes);
    g_string_append(
        out,
        ".SH ENVIRONMENT\n.TP\n.B SLUICE_FLEET\nName of the fleet to talk to.\n.TP\n.B "
        "NO_COLOR\nNo colours.\n"
        ".TP\n.B SSH_AUTH_SOCK\nThe ssh\\-agent that signs.\n"
        ".SH FILES\n.TP\n.I ~/.config/sluice/config.json\nThe fleets that this person talks to.\n");
    return g_string_free(out, FALSE);
}

char *sl_help_man(const SlCommand *command)
{
    if (command == NULL) {
        return man_overview();
    }
    g_auto(GStrv) words = g_strsplit_set(command->name, " -", -1);
    g_autofree char *page = g_strjoinv("\\-", words);
    g_autofree char *upper = g_ascii_strup(page, -1);
    GString *out = g_string_new(NULL);
    g_string_printf(
        out, ".TH SLUICE\\-%s 1 \"\" \"Sluice " SLUICE_VERSION "\"\n.SH NAME\nsluice\\-%s \\- ",
        upper, page);
    roff_text(out, command->summary);
    g_string_append_printf(out, ".SH SYNOPSIS\n.B sluice %s\n", command->name);
    roff_text(out, command->synopsis);
    if (command->description != NULL) {
        g_string_append(out, ".SH DESCRIPTION\n");
        g_auto(GStrv) paragraphs = g_strsplit(command->description, "\n\n", -1);
        for (size_t i = 0; paragraphs[i] != NULL; i++) {
            g_string_append(out, i > 0 ? ".PP\n" : "");
            roff_text(out, paragraphs[i]);
        }
    }
    g_string_append(out, ".SH OPTIONS\n");
    roff_options(out, command->options);
    roff_options(out, sl_common_options);
    g_string_append(out, ".SH EXIT STATUS\n");
    roff_text(out, exit_codes);
    g_string_append(out, ".SH SEE ALSO\n.BR sluice (1)\n");
    return g_string_free(out, FALSE);
}

/* Words that complete the command line so far come from `sluice __complete KIND` (apps, environments ...) and the table. */
static char *completion_words(void)
{
    GString *out = g_string_new(NULL);
    for (const SlCommand *const *c = sl_commands(); *c != NULL; c++) {
        g_autoptr(GString) options = g_string_new(NULL);
        for (const SlCliOption *o = (*c)->options; o != NULL && o->name != NULL; o++) {
            g_string_append_printf(options, " --%s%s%s", o->name, o->complete != NULL ? "=" : "",
                                   o->complete != NULL ? o->complete : "");
        }
        for (const SlCliOption *o = sl_common_options; o->name != NULL; o++) {
            g_string_append_printf(options, " --%s%s%s", o->name, o->complete != NULL ? "=" : "",
                                   o->complete != NULL ? o->complete : "");
        }
        g_string_append_printf(out, "%s|%s|%s\n", (*c)->name,
                               (*c)->complete != NULL ? (*c)->complete : "", options->str + 1);
    }
    return g_string_free(out, FALSE);
}

static const char bash_template[] =
    "# bash completion for sluice; made by `sluice completion bash`\n"
    "_sluice_table='@TABLE@'\n"
    "_sluice() {\n"
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} line name args options "
    "best='' kind='' o\n"
    "  local typed=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\"\n"
    "  while IFS='|' read -r name args options; do\n"
    "    [[ \"$typed \" == \"$name \"* && ${#name} -gt ${#best} ]] && best=$name "
    "line=\"$args|$options\"\n"
    "  done <<<\"$_sluice_table\"\n"
    "  if [[ -z $best ]]; then\n"
    "    local words=''\n"
    "    while IFS='|' read -r name args options; do\n"
    "      [[ -z $typed ]] && words+=\" ${name%% *}\"\n"
    "      [[ -n $typed && $name == \"$typed \"* ]] && words+=\" ${name#\"$typed \"}\"\n"
    "    done <<<\"$_sluice_table\"\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return\n"
    "  fi\n"
    "  for o in ${line#*|}; do [[ ${o%%=*} == \"$prev\" && $o == *=* ]] && kind=${o#*=}; done\n"
    "  if [[ -z $kind && $cur == -* ]]; then\n"
    "    COMPREPLY=($(compgen -W \"$(for o in ${line#*|}; do echo \"${o%%=*}\"; done)\" -- "
    "\"$cur\")); return\n"
    "  fi\n"
    "  [[ -z $kind ]] && kind=${line%%|*}\n"
    "  if [[ $kind == file ]]; then COMPREPLY=($(compgen -f -- \"$cur\"))\n"
    "  elif [[ -n $kind ]]; then COMPREPLY=($(compgen -W \"$(sluice completion words \"$kind\" "
    "2>/dev/null)\" -- \"$cur\")); fi\n"
    "}\n"
    "complete -F _sluice sluice\n";

static const char zsh_template[] =
    "#compdef sluice\n# zsh completion for sluice; made by `sluice completion zsh`\n"
    "autoload -U +X bashcompinit && bashcompinit\n";

char *sl_help_completion(const char *shell)
{
    g_autofree char *table = completion_words();
    g_auto(GStrv) parts = g_strsplit(bash_template, "@TABLE@", 2);
    g_autofree char *bash = g_strjoinv(table, parts);
    if (strcmp(shell, "bash") == 0) {
        return g_steal_pointer(&bash);
    }
    return strcmp(shell, "zsh") == 0 ? g_strconcat(zsh_template, bash, NULL) : NULL;
}
