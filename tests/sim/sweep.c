/* sweep.c - many seeds: one process a job, so that a crash is a failure of its seed only; the
 * summary that shows that each fault, actor and story did happen; shrinking of what failed. */
#include "sim.h"
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64
#define SHRINKS_MAX 3         /* failing seeds of a sweep that are made short */
#define SHRINK_TRIALS_MAX 150 /* runs that one of them may take */
#define SHRINK_SECONDS_MAX 60
#define SHOWN_LINES_MAX 80 /* of the story that is left */
#define PROGRESS_SECONDS 10

typedef struct {
    uint64_t next, step; /* the seed that it is at */
    pid_t pid;
    int fd;
} Worker;

typedef struct {
    const Sweep *sweep;
    const char *program;
    uint64_t done, failed, hash, slowest_seed;
    SimResult sum;
    uint64_t by_story[SIM_ACTORS_MAX], agents_most;
    GArray *failing; /* of uint64_t */
    time_t begun, said;
} Totals;

static uint64_t cpu_us(int who)
{
    struct rusage used;
    (void)getrusage(who, &used);
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* ---- one seed in a process of its own ---- */

static bool write_all(int fd, const void *bytes, size_t len)
{
    return write(fd, bytes, len) == (ssize_t)len; /* a result is smaller than PIPE_BUF */
}
_Static_assert(sizeof(SimResult) <= 4096, "a result goes through a pipe in one piece");

static void run_one(const SimOptions *options, SimResult *r)
{
    uint64_t before = cpu_us(RUSAGE_SELF);
    sim_run(options, r);
    r->cpu_us = cpu_us(RUSAGE_SELF) - before;
}

/* Nothing may depend on addresses, or on what the process did before. */
static void run_again(const SimOptions *options, SimResult *r)
{
    SimResult other;
    run_one(options, &other);
    if (r->ok && other.hash != r->hash) {
        r->ok = false;
        (void)g_strlcpy(r->failure, "determinism: the same seed did something else the second time",
                        sizeof(r->failure));
    }
}

static bool read_result(int fd, SimResult *r)
{
    return read(fd, r, sizeof(*r)) == (ssize_t)sizeof(*r);
}

/* What the process said before it ended, or that it ended. @out: where its stderr goes, or -1. */
static void run_apart(const SimOptions *options, int out, SimResult *r)
{
    int fds[2];
    *r = (SimResult){.seed = options->seed};
    (void)g_strlcpy(r->failure, "crash: the process ended", sizeof(r->failure));
    if (pipe(fds) != 0) {
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        SimResult mine;
        if (out >= 0) {
            (void)dup2(out, STDERR_FILENO);
        }
        (void)alarm(120); /* a loop without an end is a failure too */
        run_one(options, &mine);
        (void)write_all(fds[1], &mine, sizeof(mine));
        _exit(0);
    }
    (void)close(fds[1]);
    SimResult got;
    if (read_result(fds[0], &got)) {
        *r = got;
    }
    (void)close(fds[0]);
    (void)waitpid(pid, NULL, 0);
}

/* ---- shrinking ---- */

static size_t name_length(const char *failure)
{
    const char *colon = strchr(failure, ':');
    return colon != NULL ? (size_t)(colon - failure) : strlen(failure);
}

static bool same_failure(const char *one, const char *other)
{
    size_t n = name_length(one);
    return n == name_length(other) && strncmp(one, other, n) == 0;
}

typedef struct {
    SimOptions best;
    SimResult found;
    unsigned trials;
    time_t until;
} Shrink;

/* Keeps @options if the seed still fails in the same way. */
static bool try_it(Shrink *s, const SimOptions *options)
{
    SimResult r;
    if (s->trials >= SHRINK_TRIALS_MAX || time(NULL) > s->until) {
        return false;
    }
    s->trials++;
    run_apart(options, -1, &r);
    if (r.ok || !same_failure(r.failure, s->found.failure)) {
        return false;
    }
    s->best = *options;
    s->found = r;
    return true;
}

static bool without_one(Shrink *s)
{
    bool moved = false;
    for (size_t i = 0; i < ACTORS_COUNT; i++) {
        SimOptions o = s->best;
        o.actors_off |= UINT64_C(1) << i;
        moved = (o.actors_off != s->best.actors_off && try_it(s, &o)) || moved;
    }
    for (size_t i = 0; i < N_FAULTS; i++) {
        SimOptions o = s->best;
        o.faults_off |= UINT64_C(1) << i;
        moved = (o.faults_off != s->best.faults_off && try_it(s, &o)) || moved;
    }
    return moved;
}

static void shorter(Shrink *s)
{
    int64_t low = 0, high = s->found.safety_us;
    while (high - low > 2 * SL_SECOND_US) {
        SimOptions o = s->best;
        o.safety_us = (low + high) / 2 / SL_SECOND_US * SL_SECOND_US;
        if (o.safety_us <= low) {
            break;
        }
        if (try_it(s, &o)) {
            high = o.safety_us;
        } else {
            low = o.safety_us;
        }
    }
}

static char *command_of(const SimOptions *o, const char *program)
{
    GString *text = g_string_new(program);
    g_string_append_printf(text, " --seed %" G_GUINT64_FORMAT, o->seed);
    if (o->attack[0] != '\0') {
        g_string_append_printf(text, " --attack '%s'", o->attack);
        return g_string_free(text, FALSE);
    }
    if (o->story[0] != '\0') {
        g_string_append_printf(text, " --story %s", o->story);
    }
    const char *before = " --without ";
    for (size_t i = 0; i < N_FAULTS; i++) {
        if (((o->faults_off >> i) & 1) != 0) {
            g_string_append_printf(text, "%s%s", before, FAULT_NAMES[i]);
            before = ",";
        }
    }
    for (size_t i = 0; i < ACTORS_COUNT; i++) {
        if (((o->actors_off >> i) & 1) != 0) {
            g_string_append_printf(text, "%s%s", before, ACTORS[i]->name);
            before = ",";
        }
    }
    if (o->safety_us != 0) {
        g_string_append_printf(text, " --safety %" G_GINT64_FORMAT, o->safety_us / SL_SECOND_US);
    }
    return g_string_free(text, FALSE);
}

/* The last lines of a verbose run. */
static void show_story(const SimOptions *options)
{
    FILE *file = tmpfile();
    if (file == NULL) {
        return;
    }
    SimOptions o = *options;
    SimResult r;
    o.verbose = true;
    run_apart(&o, fileno(file), &r);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    char line[1024];
    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        g_ptr_array_add(lines, g_strdup(line));
        if (lines->len > SHOWN_LINES_MAX) {
            g_ptr_array_remove_index(lines, 0);
        }
    }
    for (guint i = 0; i < lines->len; i++) {
        (void)fprintf(stderr, "    %s", (char *)lines->pdata[i]);
    }
    (void)fclose(file);
}

int sweep_shrink(const SimOptions *options, const char *program)
{
    Shrink s = {.best = *options, .until = time(NULL) + SHRINK_SECONDS_MAX};
    run_apart(options, -1, &s.found);
    if (s.found.ok) {
        (void)fprintf(stderr, "seed %" G_GUINT64_FORMAT ": ok, nothing to shrink\n", options->seed);
        return 0;
    }
    while (without_one(&s)) {
    }
    shorter(&s);
    (void)without_one(&s);
    g_autofree char *command = command_of(&s.best, program);
    (void)fprintf(stderr, "  shrunk by %u runs: %s\n  its last events (%s --verbose):\n", s.trials,
                  s.found.failure, command);
    show_story(&s.best);
    return 1;
}

/* ---- results ---- */

static void add_result(Totals *t, const SimResult *r)
{
    t->done++;
    t->hash += r->hash * (2 * r->seed + 1); /* a sum: workers end in any order */
    t->sum.steps += r->steps;
    t->sum.messages += r->messages;
    t->sum.crashes += r->crashes;
    t->sum.cpu_us += r->cpu_us;
    t->sum.virtual_us += r->virtual_us / SL_SECOND_US;
    t->agents_most = MAX(t->agents_most, r->agents);
    t->by_story[r->story % SIM_ACTORS_MAX] += r->steps > 0 ? 1 : 0; /* of a crash it is not known */
    for (size_t i = 0; i < N_FAULTS; i++) {
        t->sum.struck[i] += r->struck[i];
    }
    for (size_t i = 0; i < SIM_ACTORS_MAX; i++) {
        t->sum.acted[i] += r->acted[i];
    }
    if (r->ok) {
        return;
    }
    t->failed++;
    SimOptions o = t->sweep->options;
    o.seed = r->seed;
    o.verbose = false;
    g_autofree char *mine = command_of(&o, t->program);
    g_autofree char *dev = command_of(&o, "./dev sim");
    (void)fprintf(stderr,
                  "seed %" G_GUINT64_FORMAT " (%s): %s\n  repeat it: %s --verbose   (or: %s)\n",
                  r->seed, r->steps > 0 ? STORIES[r->story]->name : "?", r->failure, dev, mine);
    g_array_append_val(t->failing, r->seed);
}

static void say_progress(Totals *t)
{
    time_t now = time(NULL);
    if (!t->sweep->progress || now - t->said < PROGRESS_SECONDS) {
        return;
    }
    t->said = now;
    (void)fprintf(stderr,
                  "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " seeds, %" G_GUINT64_FORMAT
                  " failed, %lld s\n",
                  t->done, t->sweep->count, t->failed, (long long)(now - t->begun));
}

static void say_summary(const Totals *t)
{
    double n = (double)MAX(t->done, 1);
    (void)fprintf(stderr, "stories:");
    for (size_t i = 0; i < STORIES_COUNT; i++) {
        (void)fprintf(stderr, " %s %" G_GUINT64_FORMAT, STORIES[i]->name, t->by_story[i]);
    }
    (void)fprintf(stderr, "\nfaults:");
    for (size_t i = 0; i < N_FAULTS; i++) {
        (void)fprintf(stderr, " %s %" G_GUINT64_FORMAT, FAULT_NAMES[i], t->sum.struck[i]);
    }
    (void)fprintf(stderr, "\nactors:");
    for (size_t i = 0; i < ACTORS_COUNT; i++) {
        (void)fprintf(stderr, " %s %" G_GUINT64_FORMAT, ACTORS[i]->name, t->sum.acted[i]);
    }
    (void)fprintf(stderr,
                  "\n%" G_GUINT64_FORMAT " seeds, %" G_GUINT64_FORMAT " failed: %" G_GUINT64_FORMAT
                  " steps, %" G_GUINT64_FORMAT " messages, %" G_GUINT64_FORMAT
                  " crashes, up to %" G_GUINT64_FORMAT
                  " agents, %.1f virtual hours; %.1f ms CPU a seed, %lld s\n",
                  t->done, t->failed, t->sum.steps, t->sum.messages, t->sum.crashes, t->agents_most,
                  (double)t->sum.virtual_us / 3600, (double)t->sum.cpu_us / n / 1000,
                  (long long)(time(NULL) - t->begun));
    if (t->sweep->hash) {
        (void)printf("hash %016" G_GINT64_MODIFIER "x\n", t->hash);
    }
}

/* ---- workers ---- */

static void start_worker(const Sweep *sweep, Worker *worker)
{
    int fds[2];
    worker->pid = -1;
    worker->fd = -1;
    if (worker->next >= sweep->from + sweep->count || pipe(fds) != 0) {
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(fds[0]);
        for (uint64_t seed = worker->next; seed < sweep->from + sweep->count;
             seed += worker->step) {
            SimOptions options = sweep->options;
            SimResult r;
            options.seed = seed;
            (void)alarm(300);
            run_one(&options, &r);
            if (sweep->twice) {
                run_again(&options, &r);
            }
            if (!write_all(fds[1], &r, sizeof(r))) {
                _exit(1);
            }
        }
        _exit(0);
    }
    (void)close(fds[1]);
    worker->pid = pid;
    worker->fd = fds[0];
}

/* A process that ended before its last seed was ended by the seed that it was at. */
static void worker_ended(Totals *t, Worker *worker)
{
    int status = 0;
    (void)close(worker->fd);
    (void)waitpid(worker->pid, &status, 0);
    worker->fd = -1;
    if (worker->next >= t->sweep->from + t->sweep->count) {
        return;
    }
    SimResult r = {.seed = worker->next};
    (void)g_snprintf(r.failure, sizeof(r.failure), "crash: the process ended (%s %d)",
                     WIFSIGNALED(status) ? "signal" : "status",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    add_result(t, &r);
    worker->next += worker->step;
    start_worker(t->sweep, worker);
}

static void run_workers(Totals *t, Worker *workers, nfds_t n)
{
    struct pollfd polled[JOBS_MAX];
    for (;;) {
        bool any = false;
        for (nfds_t i = 0; i < n; i++) {
            polled[i] = (struct pollfd){.fd = workers[i].fd, .events = POLLIN};
            any = any || workers[i].fd >= 0;
        }
        if (!any || (t->sweep->first && t->failed > 0)) {
            return;
        }
        (void)poll(polled, n, 1000);
        for (nfds_t i = 0; i < n; i++) {
            SimResult r;
            if (polled[i].revents == 0) {
                continue;
            }
            if (read_result(workers[i].fd, &r)) {
                workers[i].next = r.seed + workers[i].step;
                add_result(t, &r);
            } else {
                worker_ended(t, &workers[i]);
            }
        }
        say_progress(t);
    }
}

int sweep_run(const Sweep *sweep, const char *program)
{
    Totals t = {.sweep = sweep, .program = program, .begun = time(NULL), .said = time(NULL)};
    Worker workers[JOBS_MAX] = {0};
    uint64_t jobs = CLAMP(sweep->jobs, 1, JOBS_MAX);
    t.failing = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    for (uint64_t i = 0; i < jobs; i++) {
        workers[i] = (Worker){.next = sweep->from + i, .step = jobs};
        start_worker(sweep, &workers[i]);
    }
    run_workers(&t, workers, (nfds_t)jobs);
    for (uint64_t i = 0; i < jobs; i++) {
        if (workers[i].fd >= 0) {
            (void)kill(workers[i].pid, SIGKILL);
            (void)close(workers[i].fd);
            (void)waitpid(workers[i].pid, NULL, 0);
        }
    }
    for (guint i = 0; sweep->shrink && i < t.failing->len && i < SHRINKS_MAX; i++) {
        SimOptions options = sweep->options;
        options.seed = g_array_index(t.failing, uint64_t, i);
        (void)fprintf(stderr, "seed %" G_GUINT64_FORMAT ":\n", options.seed);
        (void)sweep_shrink(&options, program);
    }
    say_summary(&t);
    g_array_unref(t.failing);
    return t.failed == 0 ? 0 : 1;
}
