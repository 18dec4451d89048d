/* try.c - sluice try: runs a job of the working tree on this machine, without coordinator, commit or seal. What it makes is dirty and
 * can't be promoted. The job belongs to `sluice-agent try`, which ends with us and takes the job's processes with it. */
#include "cli/cmd/try.h"
#include "base/auto.h"
#include "base/text.h"
#include "cli/programs.h"
#include "cli/runs.h"
#include "runtime/atomicfile.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENT_MAX (1024 * 1024)
#define LOG_LINES 20

typedef struct {
    SlCli *cli;
    FILE *events;
    bool json, terminal, line_open;
    int64_t started_us;
    char *shown; /* the last line, so that nothing is said twice */
    char *phase;
    json_t *end; /* the event */
} Show;

static volatile sig_atomic_t child_pid;

/* Ctrl-C reaches only us: the agent stops the job once, and kills it when asked again. */
static void forward(int number)
{
    int saved = errno;
    if (child_pid > 0) {
        (void)kill((pid_t)child_pid, number == SIGHUP ? SIGTERM : number);
    }
    errno = saved;
}

/* ---- the agent ---- */

static bool start_agent(const char *dir, FILE **ret_events, GError **error)
{
    g_autofree char *program = sl_program_path("sluice-agent", error);
    static const int forwarded[] = {SIGINT, SIGTERM, SIGHUP};
    char *argv[] = {program, (char *)"try", (char *)"--dir", (char *)(uintptr_t)dir, NULL};
    char *envp[] = {(char *)"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
    int pipes[2];
    if (program == NULL || pipe2(pipes, O_CLOEXEC) != 0) {
        return program == NULL ? false : sl_throw(error, SLU_IO, "pipe: %s", g_strerror(errno));
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    pid_t pid = 0;
    int problem = posix_spawn(&pid, program, &actions, &attributes, argv, envp);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(pipes[1]);
    if (problem != 0) {
        close(pipes[0]);
        return sl_throw(error, SLU_SPAWN, "%s: %s", program, g_strerror(problem));
    }
    child_pid = pid;
    for (size_t i = 0; i < G_N_ELEMENTS(forwarded); i++) {
        sigaction(forwarded[i], &(struct sigaction){.sa_handler = forward, .sa_flags = SA_RESTART},
                  NULL);
    }
    *ret_events = fdopen(pipes[0], "r");
    return true;
}

static int wait_agent(void)
{
    int status = 0;
    while (waitpid((pid_t)child_pid, &status, 0) < 0 && errno == EINTR) {
        continue;
    }
    child_pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- what it says ---- */

static void close_line(Show *show)
{
    if (show->line_open) {
        putchar('\n');
    }
    show->line_open = false;
}

/* On a terminal progress moves on one line; a new phase begins the next. Elsewhere every line stays. */
static void show_record(Show *show, const json_t *record)
{
    const char *phase = sl_json_str_or(record, "phase", "?"),
               *reason = sl_json_str_or(record, "reason", "");
    const char *message = strcmp(phase, "Failed") != 0 ? sl_json_str_or(record, "message", "")
                                                       : ""; /* that comes at the end */
    g_autofree char *progress = sl_run_progress_text(record);
    g_autofree char *state = sl_colour_state(show->cli, phase);
    g_autofree char *why =
        strcmp(reason, phase) != 0 && strcmp(reason, "Completed") != 0 && *reason != '\0'
            ? g_strdup_printf("%s%s%s  ", reason, *message != '\0' ? ": " : "", message)
            : g_strdup("");
    g_autofree char *text = g_strdup_printf("%s  %s%s", state, why, progress);
    g_strchomp(text);
    if (show->json || g_strcmp0(text, show->shown) == 0) {
        return;
    }
    bool same_phase = g_strcmp0(phase, show->phase) == 0;
    g_autofree char *safe = sl_escape_for_people(strchr(text, '\033') != NULL ? "" : text, 2000);
    double seconds = (double)(sl_cli_now_us() - show->started_us) / 1e6;
    if (show->terminal && same_phase && show->line_open) {
        fputs("\r\033[2K", stdout);
    } else {
        close_line(show);
    }
    printf("%7.1fs  %s", seconds, *safe != '\0' ? safe : text);
    show->line_open = true;
    if (!show->terminal) {
        close_line(show);
    }
    fflush(stdout);
    g_free(show->shown);
    show->shown = g_steal_pointer(&text);
    g_free(show->phase);
    show->phase = g_strdup(phase);
}

/* Lines of a program, escaped; only the last @most (0 = all). */
static void print_lines(FILE *out, const char *text, unsigned most, const char *indent)
{
    g_autofree char *copy = g_strchomp(g_strdup(text));
    g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);
    unsigned count = g_strv_length(lines);
    for (unsigned i = most > 0 && count > most ? count - most : 0; *copy != '\0' && i < count;
         i++) {
        g_autofree char *safe = sl_escape_for_people(lines[i], 4000);
        fprintf(out, "%s%s\n", indent, safe);
    }
}

static void take_event(Show *show, const char *line, size_t len)
{
    g_autoptr(json_t) event = sl_json_parse(line, len, NULL, "event of sluice-agent", NULL);
    const char *name = sl_json_str_or(event, "event", "");
    if (strcmp(name, "record") == 0) {
        show_record(show, json_object_get(event, "record"));
    } else if (strcmp(name, "log") == 0 && !show->json) {
        close_line(show);
        print_lines(stdout, sl_json_str_or(event, "text", ""), 0, "          | ");
        fflush(stdout);
    } else if (strcmp(name, "end") == 0) {
        show->end = json_incref(event);
    }
}

static void follow(Show *show)
{
    char *line = NULL;
    size_t size = 0;
    for (ssize_t n = 0; (n = getline(&line, &size, show->events)) > 0;) {
        if (n <= EVENT_MAX) {
            take_event(show, line, (size_t)n);
        }
    }
    free(line);
    close_line(show);
}

/* ---- the end ---- */

static void print_outputs(const json_t *outputs)
{
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach ((json_t *)(uintptr_t)outputs, i, each) {
        g_auto(GStrv) words =
            g_strsplit(sl_json_str_or(each, "sealed", ""), " ", 3); /* name, digest, bytes */
        bool known = g_strv_length(words) == 3;
        printf("output %s: %s%s%s%s\n", sl_json_str_or(each, "name", "?"),
               sl_json_str_or(each, "path", "?"), known ? " (" : "", known ? words[2] : "",
               known ? " bytes)" : "");
    }
}

static void print_failure(const json_t *event, const json_t *end)
{
    const char *out = sl_json_str_or(event, "stdout", ""),
               *err = sl_json_str_or(event, "stderr", "");
    g_autofree char *message = sl_escape_for_people(sl_json_str_or(end, "message", ""), 2000);
    g_autofree char *escaped = sl_escape_for_people(err, strlen(err) * 4 + 1);
    bool is_log =
        strstr(escaped, sl_json_str_or(end, "message", "")) != NULL; /* shown below, line by line */
    fprintf(stderr, "failed: %s, exit %s%s%s\n", sl_json_str_or(end, "reason", "?"),
            sl_json_str_or(end, "exit", "?"), *message != '\0' && !is_log ? ": " : "",
            is_log ? "" : message);
    if (*out != '\0') {
        fputs("the last lines of its output:\n", stderr);
        print_lines(stderr, out, LOG_LINES, "  ");
    }
    if (*err != '\0') {
        fputs("the last lines of its standard error:\n", stderr);
        print_lines(stderr, err, LOG_LINES, "  ");
    }
    fprintf(stderr, "its folder: %s\n", sl_json_str_or(event, "folder", "?"));
}

static int print_end(Show *show, const char *dir)
{
    const json_t *end = json_object_get(show->end, "end");
    bool ok = strcmp(sl_json_str_or(end, "phase", ""), "Succeeded") == 0;
    if (show->json) {
        g_autoptr(json_t) all = json_deep_copy(end);
        sl_json_set_str(all, "dir", dir);
        sl_json_set_bool(all, "dirty", true);
        json_object_set(all, "outputs", json_object_get(show->end, "outputs"));
        json_object_set(all, "stdout", json_object_get(show->end, "stdout"));
        json_object_set(all, "stderr", json_object_get(show->end, "stderr"));
        sl_print_json(show->cli, all);
    } else if (ok && !sl_cli_flag(show->cli, "rm")) {
        print_outputs(json_object_get(show->end, "outputs"));
    } else if (!ok) {
        fflush(stdout);
        print_failure(show->end, end);
    }
    return ok ? SL_EXIT_OK : SL_EXIT_NO;
}

static int run_in(SlCli *cli, const SlTryJob *job, const char *dir)
{
    g_autoptr(GError) error = NULL;
    Show show = {.cli = cli,
                 .json = sl_cli_json(cli),
                 .terminal = isatty(STDOUT_FILENO) == 1,
                 .started_us = sl_cli_now_us()};
    if (!show.json) {
        sl_say(cli, "%s/%s (%s) from the working tree: dirty, not sealed, never promotable",
               job->app, job->job, job->env);
        fflush(stdout);
    }
    if (!start_agent(dir, &show.events, &error)) {
        return sl_cli_fail(cli, error);
    }
    follow(&show);
    int code = wait_agent();
    fclose(show.events);
    if (show.end != NULL) {
        code = print_end(&show, dir);
    } else if (code <= 0) { /* otherwise it said why itself */
        fprintf(stderr, "stopped: what was left of it was killed\n");
        code = SL_EXIT_NO;
    }
    json_decref(show.end);
    g_free(show.shown);
    g_free(show.phase);
    return code;
}

static int run(SlCli *cli)
{
    SlTryJob job = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) secrets = NULL;
    int code = SL_EXIT_NO;
    if (!sl_try_render(cli, &job, &code)) {
        sl_try_clear(&job);
        return code;
    }
    g_autofree char *dir = sl_try_complete(cli, &job, &secrets, &error)
                               ? sl_try_scratch(cli, &job, secrets, &error)
                               : NULL;
    code = dir != NULL ? run_in(cli, &job, dir) : sl_cli_fail(cli, error);
    if (dir != NULL && sl_cli_flag(cli, "rm")) {
        (void)!sl_dir_remove_tree(dir, NULL);
    } else if (dir != NULL && !sl_cli_json(cli)) {
        fprintf(stderr, "kept in %s (--rm removes it at the end)\n", dir);
    }
    sl_try_clear(&job);
    return code;
}

static const SlCliOption options[] = {
    {"env", 'e', "ENV", "as this environment renders it (default: the first that has the job)",
     "env"},
    {"job", 'j', "NAME", "which TrainingJob of a manifest file with several", NULL},
    {"input", 'i', "NAME=DIR", "a folder for an input; may be repeated", "file"},
    {"secret", 's', "NAME=FILE", "a file (mode 0600) for a secret; may be repeated", "file"},
    {"gpus", 'g', "LIST", "all (default), none, or 0,1: what the job may have", NULL},
    {"model-store", 0, "DIR",
     "where inputs named by digest are (default: the fleet's, if it is on this machine)", "file"},
    {"log", 'l', NULL, "show what the program writes", NULL},
    {"dir", 'd', "DIR", "an empty folder to run in (default: a new one below ~/.cache/sluice/try)",
     "file"},
    {"rm", 0, NULL, "remove the folder at the end, outputs included", NULL},
    {"repository", 0, "DIR", "the fleet repository (default: here or above)", "file"},
    {0},
};

const SlCommand sl_cmd_try = {
    .name = "try",
    .group = "Start",
    .synopsis = "APP/JOB | MANIFEST.yaml [--input NAME=DIR]",
    .summary = "run a job of the working tree here, without a commit",
    .description = "Renders one TrainingJob from the working tree and runs it on this machine, as "
                   "the engine `process` would. No coordinator, no "
                   "commit and no seal: what it makes is dirty and can never be promoted.\n\n"
                   "Phase, progress and metrics are shown as they come; outputs stay in a scratch "
                   "folder, which is named at the end. Ctrl-C stops the "
                   "job under its own stop rules; once more kills it. The exit code is 0 if it "
                   "succeeded and 1 if it failed.",
    .options = options,
    .args_min = 1,
    .args_max = 1,
    .complete = "app",
    .run = run,
};
