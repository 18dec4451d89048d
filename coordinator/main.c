/* main.c - program sluice-coordinator: arguments, signals, the service manager's READY, exit code.
 * Everything else is in the room. */
#include "coordinator/coordinator.h"
#include "coordinator/init.h"
#include "runtime/logsink.h"
#include "runtime/protect.h"
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define EXIT_CONFIG 78
#define EXIT_USAGE 64

static const char usage[] =
    "usage: sluice-coordinator run  --dir DIR [--log debug|info|warning|error]\n"
    "       sluice-coordinator init --dir DIR --fleet-name NAME --root ROOT.json\n"
    "       sluice-coordinator check --dir DIR      read configuration and ledger, start nothing\n"
    "       sluice-coordinator --version | --help\n";

typedef struct {
    const char *dir, *fleet_name, *root;
    SlLogLevel log;
} Options;

static bool parse_level(const char *name, SlLogLevel *ret)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *ret = (SlLogLevel)i;
            return true;
        }
    fprintf(stderr, "sluice-coordinator: --log is debug, info, warning or error\n");
    return false;
}

static bool parse_options(int argc, char **argv, Options *ret)
{
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 >= argc)
            return false;
        if (strcmp(argv[i], "--dir") == 0)
            ret->dir = argv[i + 1];
        else if (strcmp(argv[i], "--fleet-name") == 0)
            ret->fleet_name = argv[i + 1];
        else if (strcmp(argv[i], "--root") == 0)
            ret->root = argv[i + 1];
        else if (strcmp(argv[i], "--log") != 0 || !parse_level(argv[i + 1], &ret->log))
            return false;
    }
    return ret->dir != NULL;
}

static int fail(const GError *error)
{
    g_autofree char *text = sl_error_format(error);
    fprintf(stderr, "sluice-coordinator: %s\n", text);
    bool config = (error->code >= SLU_CONFIG_MISSING && error->code <= SLU_SELF_CHECK) ||
                  error->code == SLU_KEY_RIGHTS || error->code == SLU_LEDGER_MISSING;
    return config ? EXIT_CONFIG : sl_error_exit_code(sl_error_class(error));
}

/* READY=1 to systemd; silent when it is not there. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || strlen(path) >= sizeof address.sun_path ||
        (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd >= 0 &&
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, len) < 0)
        fprintf(stderr, "sluice-coordinator: NOTIFY_SOCKET: %s\n", g_strerror(errno));
    if (fd >= 0)
        close(fd);
}

typedef struct {
    SlLoop *loop;
    SlCoordinator *coordinator;
} Running;

static void caught(int number, void *user)
{
    Running *running = user;
    if (number == SIGHUP)
        sl_polls_poke(running->coordinator, NULL);
    else
        sl_loop_quit(running->loop, 0);
}

static int serve(const SlConfig *config, SlLog *log)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, 0};
    g_autoptr(GError) error = NULL;
    g_autoptr(SlLoop) loop = sl_loop_new();
    Running running = {.loop = loop};
    /* Before any thread: they inherit the blocked signals. */
    if (!sl_loop_signals(loop, signals, caught, &running, &error))
        return fail(error);
    g_autoptr(SlCoordinator) c = sl_coordinator_new(config, loop, log, &error);
    if (c == NULL)
        return fail(error);
    running.coordinator = c;
    if (!sl_coordinator_start(c, &error))
        return fail(error);
    g_autofree char *seq = g_strdup_printf("%" G_GUINT64_FORMAT, sl_coord_ledger_seq(c->brain));
    sl_log(log, SL_LOG_INFO, "ready", "dir", config->dir, "ledger", seq, "agents",
           config->agents_listen, "api", config->api_socket, NULL);
    notify("READY=1");
    int code = sl_loop_run(loop);
    notify("STOPPING=1");
    sl_log(log, SL_LOG_INFO, "stopping", NULL);
    return code;
}

static int run(const Options *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlConfig) config = sl_config_load(options->dir, &error);
    if (config == NULL)
        return fail(error);
    SlLog *log = NULL;
    SlLogSink *sink = sl_log_sink_new(2, options->log, &log);
    int code = serve(config, log);
    sl_log_sink_free(sink);
    return code;
}

static int check(const Options *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlConfig) config = sl_config_load(options->dir, &error);
    if (config == NULL)
        return fail(error);
    g_autoptr(SlLoop) loop = sl_loop_new();
    g_autoptr(SlCoordinator) c = sl_coordinator_new(config, loop, NULL, &error);
    if (c == NULL)
        return fail(error);
    printf("ledger %" G_GUINT64_FORMAT " %s\n", sl_coord_ledger_seq(c->brain),
           sl_coord_ledger_hash(c->brain));
    return 0;
}

static int init(const Options *options)
{
    g_autoptr(GError) error = NULL;
    if (options->fleet_name == NULL || options->root == NULL) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return sl_init_fleet(options->dir, options->fleet_name, options->root, &error) ? 0
                                                                                   : fail(error);
}

int main(int argc, char **argv)
{
    sl_process_protect();
    umask(0077);
    Options options = {.log = SL_LOG_INFO};
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("sluice-coordinator " SLUICE_VERSION);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 2 || !parse_options(argc, argv, &options)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    if (sodium_init() < 0)
        return 70;
    if (strcmp(argv[1], "run") == 0)
        return run(&options);
    if (strcmp(argv[1], "check") == 0)
        return check(&options);
    if (strcmp(argv[1], "init") == 0)
        return init(&options);
    fputs(usage, stderr);
    return EXIT_USAGE;
}
