/* main.c - sluice-agent: join, run, status, doctor. Reads the command line, owns the process
 * (rights, signals, readiness); all else is in shell.c. */
#include "agent/shell.h"
#include "base/auto.h"
#include "base/text.h"
#include "runtime/protect.h"
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: sluice-agent join --dir DIR [options]         enrol this machine; reads the token of "
    "`sluice cluster add`\n"
    "                                                     from standard input\n"
    "       sluice-agent run --dir DIR                    run the agent\n"
    "       sluice-agent status --dir DIR [--json]        what it runs, as last written\n"
    "       sluice-agent doctor --dir DIR                 check folder, keys, programs, model "
    "store\n"
    "       sluice-agent try --dir DIR                    one job of a scratch folder, for `sluice "
    "try`\n"
    "       sluice-agent --version\n\n"
    "options of join:\n"
    "  --engine NAME           process (default) or another engine of this agent\n"
    "  --model-store DIR       folder with models and outputs, shared with other clusters\n"
    "  --coordinator ENDPOINT  tcp://HOST:PORT for agents, if not the one that the coordinator "
    "names\n"
    "  --label KEY=VALUE       repeated; the token's labels win\n"
    "  --option KEY=VALUE      repeated; option of the engine: listen=ADDRESS, ports=20000-29999, "
    "cgroup=true|false, gpus=all|none|0,1\n"
    "  --exec PATH             the sluice-exec program, if not beside sluice-agent\n"
    "  --wait                  wait until a person signed the registry (else `run` does)\n"
    "  --timeout DURATION      how long to wait for an answer (default 10m)\n";

typedef struct {
    const char *command, *dir;
    SlJoinAsk join;
    GString *labels;
    bool as_json;
} Args;

static int complain(const GError *error)
{
    g_autofree char *text = sl_error_format(error);
    fprintf(stderr, "sluice-agent: %s\n", text);
    return sl_error_exit_code(sl_error_class(error));
}

static bool take_pair(Args *args, const char *option, const char *value, GError **error)
{
    const char *equals = strchr(value, '=');
    if (!equals || equals == value)
        return sl_throw(error, SLU_INVALID, "%s %s: must be KEY=VALUE", option, value);
    g_autofree char *key = g_strndup(value, (size_t)(equals - value));
    if (strcmp(option, "--label") == 0) {
        g_string_append_printf(args->labels, "%s%s", args->labels->len ? "," : "", value);
    } else if (strcmp(key, "modelStore") == 0) {
        args->join.model_store = equals + 1;
    } else if (strcmp(equals + 1, "true") == 0 || strcmp(equals + 1, "false") == 0) {
        sl_json_set_bool(args->join.options, key, equals[1] == 't');
    } else {
        sl_json_set_str(args->join.options, key, equals + 1);
    }
    return true;
}

static bool take_option(Args *args, const char *option, const char *value, GError **error)
{
    const struct {
        const char *name;
        const char **field;
    } rows[] = {{"--dir", &args->dir},
                {"--engine", &args->join.engine},
                {"--model-store", &args->join.model_store},
                {"--coordinator", &args->join.coordinator},
                {"--exec", &args->join.exec}};
    if (!value)
        return sl_throw(error, SLU_INVALID, "%s needs a value", option);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (strcmp(rows[i].name, option) == 0) {
            *rows[i].field = value;
            return true;
        }
    }
    if (strcmp(option, "--timeout") == 0)
        return sl_parse_duration(value, &args->join.timeout_us, error);
    if (strcmp(option, "--label") == 0 || strcmp(option, "--option") == 0)
        return take_pair(args, option, value, error);
    return sl_throw(error, SLU_INVALID, "unknown option %s", option);
}

static bool parse(Args *args, int argc, char **argv, GError **error)
{
    args->command = argc > 1 ? argv[1] : "";
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            args->as_json = true;
        } else if (strcmp(argv[i], "--wait") == 0) {
            args->join.wait = true;
        } else if (g_str_has_prefix(argv[i], "--")) {
            if (!take_option(args, argv[i], i + 1 < argc ? argv[i + 1] : NULL, error))
                return false;
            i++;
        } else if (g_str_has_prefix(argv[i], "slj1.")) {
            return sl_throw(error, SLU_INVALID,
                            "a join token is a secret: give it on standard input, not as an "
                            "argument that everybody on this machine can read");
        } else {
            return sl_throw(error, SLU_INVALID, "unexpected argument `%s`", argv[i]);
        }
    }
    return args->dir || sl_throw(error, SLU_INVALID, "name the agent's folder with --dir DIR");
}

/* ---- join ---- */

static void say(const char *line)
{
    puts(line);
    fflush(stdout);
}

static char *absolute(const char *path)
{
    return path ? g_canonicalize_filename(path, NULL) : NULL;
}

static int command_join(Args *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlLoop) loop = sl_loop_new();
    g_autofree char *store = absolute(args->join.model_store), *exec = absolute(args->join.exec);
    g_autofree char *token = sl_join_token_read(STDIN_FILENO, &error);
    if (!token)
        return complain(error);
    args->join.token = token;
    args->join.dir = args->dir;
    args->join.labels = args->labels->len ? args->labels->str : NULL;
    args->join.model_store = store;
    args->join.exec = exec;
    bool pending = false;
    if (!sl_join(&args->join, loop, say, &pending, &error))
        return complain(error);
    g_autofree char *line = g_strdup_printf(
        "%s; start it with: sluice-agent run --dir %s",
        pending ? "asked: it goes on by itself once that is done" : "joined", args->dir);
    say(line);
    if (!store)
        say("without --model-store this agent can neither train nor serve models; it is "
            "`modelStore` "
            "in agent.json");
    return 0;
}

/* ---- run ---- */

/* Tells the service manager that we are ready (sd_notify without its library). */
static void notify_ready(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (*path == '@')
        address.sun_path[0] = '\0';
    sl_autofd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd >= 0)
        (void)!sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address, len);
}

static void caught(int signal_number, void *user)
{
    (void)signal_number;
    sl_loop_quit(user, 0);
}

static SlLogLevel level_of(const char *text)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    for (size_t i = 0; text && i < G_N_ELEMENTS(names); i++)
        if (strcmp(names[i], text) == 0)
            return (SlLogLevel)i;
    return SL_LOG_INFO;
}

static int command_run(const Args *args)
{
    static const int signals[] = {SIGTERM, SIGINT, 0};
    g_autoptr(GError) error = NULL;
    SlLog *log = NULL;
    g_autoptr(SlLoop) loop = sl_loop_new();
    if (!sl_loop_signals(loop, signals, caught, loop, &error))
        return complain(error);
    if (!sl_join_resume(args->dir, loop, say, &error))
        return error ? complain(error) : 0;
    SlAgentConf *conf = sl_agent_conf_load(args->dir, &error);
    if (!conf)
        return complain(error);
    SlLogSink *sink = sl_log_sink_new(2, level_of(conf->log_level), &log);
    SlShell *shell = sl_shell_open(conf, loop, log, &error);
    if (!shell) {
        sl_log_sink_free(sink);
        return complain(error);
    }
    sl_log(log, SL_LOG_INFO, "agent-start", "cluster", shell->conf->cluster, "environment",
           shell->conf->env, "version", SLUICE_VERSION, NULL);
    sl_shell_start(shell);
    notify_ready();
    int code = sl_loop_run(loop);
    sl_log(log, SL_LOG_INFO, "agent-stop", NULL);
    sl_shell_close(shell);
    sl_log_sink_free(sink);
    return code;
}

int main(int argc, char **argv)
{
    sl_process_protect();
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) options = json_object();
    g_autoptr(GString) labels = g_string_new(NULL);
    Args args = {
        .labels = labels,
        .join = {.engine = "process", .options = options, .timeout_us = 10 * SL_MINUTE_US}};
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0)) {
        puts("sluice-agent " SLUICE_VERSION);
        return 0;
    }
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(usage_text, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    umask(0077);
    if (sodium_init() < 0)
        return 1;
    if (!parse(&args, argc, argv, &error))
        return complain(error);
    if (strcmp(args.command, "join") == 0)
        return command_join(&args);
    if (strcmp(args.command, "run") == 0)
        return command_run(&args);
    if (strcmp(args.command, "status") == 0)
        return sl_command_status(args.dir, args.as_json);
    if (strcmp(args.command, "try") == 0)
        return sl_command_try(args.dir);
    if (strcmp(args.command, "doctor") == 0)
        return sl_command_doctor(args.dir);
    fprintf(stderr, "sluice-agent: unknown command `%s`\n%s", args.command, usage_text);
    return 2;
}
