/* sim_main.c - sluice-sim: runs seeds. A failing seed prints what was found and the command that
 * repeats it. */
#include "sim.h"
#include <sys/wait.h>
#include <unistd.h>

static void commit_free(Commit *c)
{
    g_free(c->id);
    g_free(c->subject);
    sl_tree_memory_free(c->tree);
    g_free(c);
}

static void env_commit_free(EnvCommit *c)
{
    g_free(c->parent);
    g_hash_table_unref(c->target_of);
    g_free(c);
}

static void event_free(Event *e)
{
    message_unref(e->message);
    g_free(e->a);
    g_free(e->b);
    g_free(e->c);
    if (e->data_free != NULL) {
        e->data_free(e->data);
    }
    g_free(e);
}

static GHashTable *blob_table(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
}

static World *world_new(uint64_t seed, bool verbose)
{
    World *w = g_new0(World, 1);
    w->seed = seed;
    w->verbose = verbose;
    w->wire = verbose && g_strcmp0(getenv("SLUICE_SIM_WIRE"), "1") == 0;
    w->rng.state = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    w->now = SIM_T0;
    w->events = g_sequence_new((GDestroyNotify)event_free);
    w->ledger = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    w->ledger_blobs = blob_table();
    w->cache = blob_table();
    w->branch_blobs = blob_table();
    w->forged_blobs = blob_table();
    w->tips = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    w->env_commits =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)env_commit_free);
    w->replies =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)json_decref);
    w->commits = g_ptr_array_new_with_free_func((GDestroyNotify)commit_free);
    w->models = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    w->run_starts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    w->statements =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)sl_signed_free);
    w->forged_statements =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)sl_signed_free);
    w->acknowledged = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
    return w;
}

static void agent_clear(Agent *a)
{
    sl_agent_free(a->brain);
    sl_public_key_free(a->key);
    g_clear_pointer(&a->slots[0], g_bytes_unref);
    g_clear_pointer(&a->slots[1], g_bytes_unref);
    GHashTable *tables[] = {a->blobs, a->objects, a->runs, a->max_seq, a->sealed};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_clear_pointer(&tables[i], g_hash_table_unref);
    }
    g_free(a->nonce);
}

static void world_free(World *w)
{
    sl_coord_free(w->coord);
    for (int i = 0; i < SIM_AGENTS; i++) {
        agent_clear(&w->agents[i]);
    }
    g_sequence_free(w->events);
    GHashTable *tables[] = {w->ledger_blobs, w->cache,       w->branch_blobs,     w->forged_blobs,
                            w->tips,         w->env_commits, w->replies,          w->models,
                            w->run_starts,   w->statements,  w->forged_statements};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_hash_table_unref(tables[i]);
    }
    g_ptr_array_unref(w->ledger);
    g_ptr_array_unref(w->commits);
    g_ptr_array_unref(w->acknowledged);
    sl_public_key_free(w->alice_key);
    sl_public_key_free(w->online_key);
    sl_root_free(w->root);
    sl_signed_free(w->root_text);
    g_free(w->root_digest);
    g_free(w->request);
    g_free(w->remembered);
    g_free(w->failure);
    g_free(w);
}

static void people(World *w, Event *e)
{
    (void)e;
    coord_poll(w);
    story_step(w);
    (void)world_after(w, 3 * SL_SECOND_US, people, -1);
}

/* Events in order until @until, the end of the story, or a failure. */
static void turn(World *w, int64_t until)
{
    while (w->failure == NULL && !story_over(w)) {
        GSequenceIter *first = g_sequence_get_begin_iter(w->events);
        Event *e = g_sequence_iter_is_end(first) ? NULL : g_sequence_get(first);
        if (e == NULL || e->at > until) {
            return;
        }
        w->now = MAX(w->now, e->at);
        void (*fire)(World *, Event *) = e->fire;
        Event copy = *e;
        *e = (Event){0};
        g_sequence_remove(first);
        Event *taken = g_memdup2(&copy, sizeof(copy));
        fire(w, taken);
        event_free(taken);
    }
}

static bool run_seed(uint64_t seed, bool verbose, const char *program)
{
    World *w = world_new(seed, verbose);
    story_setup(w);
    if (w->failure == NULL) {
        (void)world_after(w, SL_SECOND_US, people, -1);
        faults_begin(w);
        int64_t safety_end = w->now + SIM_SAFETY_US;
        turn(w, safety_end);
        faults_end(w);
        turn(w, w->now + SIM_LIVENESS_US);
    }
    if (w->failure == NULL && !story_over(w)) {
        fail(w, "converge: the story stands at `%s`", story_name(w));
    }
    if (w->failure == NULL) {
        check_end(w);
    }
    bool ok = w->failure == NULL;
    if (!ok || verbose) {
        (void)fprintf(
            stderr,
            "seed %" G_GUINT64_FORMAT ": %s (%" G_GUINT64_FORMAT " steps, %" G_GUINT64_FORMAT
            " messages, %" G_GUINT64_FORMAT " crashes, %u forgeries)\n",
            seed, ok ? "ok" : w->failure, w->steps, w->messages, w->crashes, w->forgeries);
    }
    if (!ok) {
        (void)fprintf(stderr,
                      "  repeat it: ./dev sim --seed %" G_GUINT64_FORMAT
                      "   (or: %s --seed %" G_GUINT64_FORMAT " --verbose)\n",
                      seed, program, seed);
    }
    world_free(w);
    return ok;
}

static int run_range(uint64_t from, uint64_t count, uint64_t step, bool verbose,
                     const char *program)
{
    int failed = 0;
    for (uint64_t i = 0; i < count; i += step) {
        failed += run_seed(from + i, verbose, program) ? 0 : 1;
    }
    return failed;
}

/* Seeds are independent: one process per job, so that a crash of one is a failure of its seeds
 * only. */
static int run_jobs(uint64_t from, uint64_t count, uint64_t jobs, bool verbose, const char *program)
{
    int failed = 0;
    for (uint64_t j = 0; j < jobs; j++) {
        pid_t pid = fork();
        if (pid == 0) {
            int n = run_range(from + j, count > j ? count - j : 0, jobs, verbose, program);
            _exit(n > 255 ? 255 : n);
        }
    }
    for (uint64_t j = 0; j < jobs; j++) {
        int status = 0;
        (void)wait(&status);
        failed += WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    return failed;
}

static int usage(void)
{
    (void)fprintf(stderr,
                  "usage: sluice-sim [--seeds N] [--from N] [--jobs N] [--seed N] [--verbose]\n");
    return 64;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 100, from = 1, jobs = 1, one = 0;
    bool verbose = false;
    if (sodium_init() < 0) {
        return 70;
    }
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        uint64_t *number = strcmp(argv[i], "--seeds") == 0  ? &seeds
                           : strcmp(argv[i], "--from") == 0 ? &from
                           : strcmp(argv[i], "--jobs") == 0 ? &jobs
                           : strcmp(argv[i], "--seed") == 0 ? &one
                                                            : NULL;
        if (number != NULL && sl_parse_uint64(next, number)) {
            i++;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
        } else {
            return usage();
        }
    }
    if (one != 0) {
        return run_seed(one, verbose, argv[0]) ? 0 : 1;
    }
    int failed = jobs <= 1 ? run_range(from, seeds, 1, verbose, argv[0])
                           : run_jobs(from, seeds, MIN(jobs, 64), verbose, argv[0]);
    (void)fprintf(stderr, "%" G_GUINT64_FORMAT " seeds, %d failed\n", seeds, failed);
    return failed == 0 ? 0 : 1;
}
