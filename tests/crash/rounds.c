/* rounds.c - see rounds.h. Nothing here is asserted: a child that fails is a finding, and the next
 * round goes on. */
#include "rounds.h"
#include "runtime/atomicfile.h"
#include "shim.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define POINTS_MAX 20000 /* a scenario that never ends is a mistake of the test */
#define CHECK_FAILED 3
#define LIVE_FAILED 4

typedef struct {
    const char *name;
    ShimMode mode;
    uint32_t seed;
} Way;

static const Way ways[] = {
    {"kill", SHIM_KILL, 0},   {"half", SHIM_HALF, 0},   {"lost", SHIM_LOST, 0},
    {"torn", SHIM_TORN, 0},   {"mixed", SHIM_MIXED, 1}, {"mixed", SHIM_MIXED, 2},
    {"mixed", SHIM_MIXED, 3}, {"eio", SHIM_EIO, 0},     {"enospc", SHIM_ENOSPC, 0},
    {"eintr", SHIM_EINTR, 0}, {"short", SHIM_SHORT, 0}};

typedef struct {
    ShimControl control;
    volatile uint32_t acked;
} Page;

typedef struct {
    const char *program, *only_scenario, *only_mode;
    uint32_t only_at, only_seed, every;
    char *dir, *work, *grave;
    Page *page;
    unsigned rounds, failures;
} Rig;

static int wait_child(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        ;
    return status;
}

static void empty_work(Rig *rig)
{
    g_autoptr(GError) error = NULL;
    if (!sl_dir_remove_tree(rig->work, &error) || !sl_dir_remove_tree(rig->grave, &error) ||
        !sl_dir_make(rig->work, 0700, &error))
        g_error("%s", error->message);
}

/* In the child. Whatever it comes to, the end is a loss of power: what it promised must be there. */
_Noreturn static void live(Rig *rig, const CrashScenario *scenario, const Way *way, uint32_t at)
{
    ShimControl *control = &rig->page->control;
    g_autoptr(GError) error = NULL;
    shim_attach(control, rig->work, rig->grave);
    control->at = at;
    control->mode = way->mode;
    control->seed = way->seed * 7919 + at;
    control->armed = 1;
    bool good = scenario->live(rig->work, &rig->page->acked, &error);
    control->armed = 0;
    bool may_fail = way->mode >= SHIM_EIO && control->acted != 0;
    if (!good && (!may_fail || error == NULL || *error->message == '\0')) {
        fprintf(stderr, "the scenario failed: %s\n", error != NULL ? error->message : "no reason");
        _exit(LIVE_FAILED);
    }
    shim_die(SHIM_LOST);
}

static int check(Rig *rig, const CrashScenario *scenario)
{
    pid_t pid = fork();
    if (pid == 0) {
        scenario->check(rig->work, rig->page->acked);
        _exit(0);
    }
    return wait_child(pid);
}

static void say_failure(Rig *rig, const CrashScenario *scenario, const Way *way, uint32_t at,
                        const char *what)
{
    const ShimControl *control = &rig->page->control;
    rig->failures++;
    printf("FAILED %s: %s at %u (%s %s), %u acknowledged: %s\n  repeat: %s --scenario %s --mode %s "
           "--at %u --seed %u\n",
           scenario->name, way->name, at, control->what, control->path, rig->page->acked, what,
           rig->program, scenario->name, way->name, at, way->seed);
}

/* False: call number @at was not reached. */
static bool one_round(Rig *rig, const CrashScenario *scenario, const Way *way, uint32_t at)
{
    empty_work(rig);
    memset(rig->page, 0, sizeof *rig->page);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        live(rig, scenario, way, at);
    int status = wait_child(pid);
    bool reached = rig->page->control.acted != 0;
    rig->rounds++;
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        say_failure(rig, scenario, way, at, "the work itself failed");
    else if (rig->page->control.resynced != 0)
        say_failure(rig, scenario, way, at, "a failed sync was tried again");
    else if (check(rig, scenario) != 0)
        say_failure(rig, scenario, way, at, "what is left is not right");
    return reached;
}

static uint32_t run_way(Rig *rig, const CrashScenario *scenario, const Way *way)
{
    uint32_t at = rig->only_at > 0 ? rig->only_at : 1;
    while (one_round(rig, scenario, way, at) && rig->only_at == 0 && at < POINTS_MAX)
        at += rig->every;
    return at - 1;
}

static void run_scenario(Rig *rig, const CrashScenario *scenario)
{
    unsigned rounds = rig->rounds;
    uint32_t points = 0;
    gint64 began = g_get_monotonic_time();
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++)
        if (rig->only_mode == NULL || (strcmp(rig->only_mode, ways[i].name) == 0 &&
                                       (rig->only_seed == 0 || rig->only_seed == ways[i].seed)))
            points = MAX(points, run_way(rig, scenario, &ways[i]));
    printf("%-10s %5u points %6u rounds %6.1f s\n", scenario->name, points, rig->rounds - rounds,
           (double)(g_get_monotonic_time() - began) / 1e6);
}

static bool parse(Rig *rig, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value == NULL)
            return false;
        if (strcmp(argv[i], "--scenario") == 0)
            rig->only_scenario = value;
        else if (strcmp(argv[i], "--mode") == 0)
            rig->only_mode = value;
        else if (strcmp(argv[i], "--at") == 0)
            rig->only_at = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            rig->only_seed = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--every") == 0)
            rig->every = MAX(1, (uint32_t)strtoul(value, NULL, 10));
        else
            return false;
    }
    return true;
}

/* Memory is quicker than a disk, and a loss of power is played anyway. */
static char *scratch(void)
{
    char *dir = g_strdup("/dev/shm/sluice-crash.XXXXXX");
    if (g_mkdtemp(dir) != NULL)
        return dir;
    g_free(dir);
    return g_dir_make_tmp("sluice-crash.XXXXXX", NULL);
}

int crash_main(int argc, char **argv, const CrashScenario *scenarios)
{
    Rig rig = {.program = argv[0], .every = 1};
    if (!parse(&rig, argc, argv)) {
        fprintf(stderr, "usage: %s [--scenario NAME] [--mode MODE --at N --seed S] [--every K]\n",
                argv[0]);
        return 64;
    }
    rig.dir = scratch();
    rig.work = g_build_filename(rig.dir, "work", NULL);
    rig.grave = g_build_filename(rig.dir, "grave", NULL);
    rig.page =
        mmap(NULL, sizeof *rig.page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (const CrashScenario *s = scenarios; s->name != NULL; s++)
        if (rig.only_scenario == NULL || strcmp(rig.only_scenario, s->name) == 0)
            run_scenario(&rig, s);
    printf("%u rounds, %u failed\n", rig.rounds, rig.failures);
    (void)!sl_dir_remove_tree(rig.dir, NULL);
    g_free(rig.dir);
    g_free(rig.work);
    g_free(rig.grave);
    return rig.failures > 0 || rig.rounds == 0 ? 1 : 0;
}
