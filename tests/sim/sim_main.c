/* sim_main.c - sluice-sim: the command line. */
#include "evil/evil.h"

static int usage(void)
{
    (void)fprintf(
        stderr,
        "usage: sluice-sim [--seeds N] [--from N] [--jobs N]   a range\n"
        "         --first: until one fails  --twice: the same must happen  --hash  --no-shrink  "
        "--progress\n"
        "       sluice-sim --seed N [--verbose]                                      one seed\n"
        "       sluice-sim --shrink N                                                one, made "
        "short\n"
        "       sluice-sim --day [--agents N]                           24 hours of fleet life\n"
        "       sluice-sim --list                                                    what there "
        "is\n"
        "  --story NAME    this story in every seed      --without NAME,...  faults, actors off\n"
        "       sluice-sim --attack GROUP/NAME [--seed N] [--verbose]   one attack of "
        "docs/attacks.md\n"
        "       sluice-sim --attacks                                    all of them\n"
        "  --safety SECONDS  the faults end then         --wire              every message\n");
    return 64;
}

static int list(void)
{
    (void)printf("stories:\n");
    for (size_t i = 0; i < STORIES_COUNT; i++) {
        (void)printf("  %-24s weight %u\n", STORIES[i]->name, STORIES[i]->weight);
    }
    (void)printf("actors:\n");
    for (size_t i = 0; i < ACTORS_COUNT; i++) {
        (void)printf("  %-24s in %u of 1000 seeds\n", ACTORS[i]->name, ACTORS[i]->per_mille);
    }
    (void)printf("faults:\n");
    for (size_t i = 0; i < N_FAULTS; i++) {
        (void)printf("  %-24s %s\n", FAULT_NAMES[i], FAULT_TEXTS[i]);
    }
    attacks_list();
    (void)printf("checks:\n");
    for (size_t i = 0; i < CHECKS_COUNT; i++) {
        (void)printf("  %-24s %s\n", CHECKS[i].name, CHECKS[i].promise);
    }
    return 0;
}

/* Names of faults and actors, with commas between. */
static bool parse_without(const char *text, SimOptions *options)
{
    g_auto(GStrv) names = g_strsplit(text, ",", -1);
    for (char **name = names; *name != NULL; name++) {
        bool found = false;
        for (size_t i = 0; i < N_FAULTS; i++) {
            bool is = strcmp(FAULT_NAMES[i], *name) == 0;
            options->faults_off |= (uint64_t)is << i;
            found = found || is;
        }
        for (size_t i = 0; i < ACTORS_COUNT; i++) {
            bool is = strcmp(ACTORS[i]->name, *name) == 0;
            options->actors_off |= (uint64_t)is << i;
            found = found || is;
        }
        if (!found) {
            (void)fprintf(stderr, "sluice-sim: no fault or actor is called \"%s\"; see --list\n",
                          *name);
            return false;
        }
    }
    return true;
}

static bool parse_story(const char *text, SimOptions *options)
{
    for (size_t i = 0; i < STORIES_COUNT; i++) {
        if (strcmp(STORIES[i]->name, text) == 0) {
            (void)g_strlcpy(options->story, text, sizeof(options->story));
            return true;
        }
    }
    (void)fprintf(stderr, "sluice-sim: no story is called \"%s\"; see --list\n", text);
    return false;
}

typedef struct {
    Sweep sweep;
    uint64_t seed, shrink, safety_s, agents;
    bool list, attacks, day;
} Line;

static bool parse_number(Line *line, const char *word, const char *value, bool *ret_ok)
{
    const struct {
        const char *word;
        uint64_t *number;
    } numbers[] = {{"--seeds", &line->sweep.count}, {"--from", &line->sweep.from},
                   {"--jobs", &line->sweep.jobs},   {"--seed", &line->seed},
                   {"--agents", &line->agents},     {"--shrink", &line->shrink},
                   {"--safety", &line->safety_s}};
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (strcmp(word, numbers[i].word) == 0) {
            *ret_ok = sl_parse_uint64(value, numbers[i].number);
            return true;
        }
    }
    return false;
}

static bool parse_flag(Line *line, const char *word)
{
    SimOptions *options = &line->sweep.options;
    const struct {
        const char *word;
        bool *flag, value;
    } flags[] = {
        {"--verbose", &options->verbose, true}, {"--wire", &options->wire, true},
        {"--hash", &line->sweep.hash, true},    {"--no-shrink", &line->sweep.shrink, false},
        {"--list", &line->list, true},          {"--day", &line->day, true},
        {"--attacks", &line->attacks, true},    {"--first", &line->sweep.first, true},
        {"--twice", &line->sweep.twice, true},  {"--progress", &line->sweep.progress, true}};
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        if (strcmp(word, flags[i].word) == 0) {
            *flags[i].flag = flags[i].value;
            return true;
        }
    }
    return false;
}

static bool parse(int argc, char **argv, Line *line)
{
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        bool ok = true;
        if (parse_flag(line, argv[i])) {
            continue;
        }
        if (strcmp(argv[i], "--story") == 0) {
            ok = parse_story(next, &line->sweep.options);
        } else if (strcmp(argv[i], "--attack") == 0) {
            ok = attacks_choose(next, &line->sweep.options);
            line->sweep.count = 1;
        } else if (strcmp(argv[i], "--without") == 0) {
            ok = parse_without(next, &line->sweep.options);
        } else if (!parse_number(line, argv[i], next, &ok)) {
            return false;
        }
        if (!ok) {
            return false;
        }
        i++;
    }
    if (line->safety_s != 0) {
        line->sweep.options.safety_us = (int64_t)MIN(line->safety_s, 86400) * SL_SECOND_US;
    }
    return true;
}

int main(int argc, char **argv)
{
    Line line = {.sweep = {.from = 1, .count = 100, .jobs = 1, .shrink = true}};
    if (sodium_init() < 0) {
        return 70;
    }
    if (!parse(argc, argv, &line)) {
        return usage();
    }
    if (line.attacks) {
        return attacks_run(line.seed);
    }
    if (line.list) {
        return list();
    }
    if (line.shrink != 0) {
        line.sweep.options.seed = line.shrink;
        return sweep_shrink(&line.sweep.options, argv[0]);
    }
    if (line.day) {
        (void)g_strlcpy(line.sweep.options.story, "day", sizeof(line.sweep.options.story));
        line.sweep.options.agents = (unsigned)MIN(line.agents, SIM_AGENTS_MAX);
        line.seed = MAX(line.seed, 1);
    }
    if (line.seed != 0) {
        line.sweep.from = line.seed;
        line.sweep.count = 1;
        line.sweep.shrink = false;
    }
    return sweep_run(&line.sweep, argv[0]);
}
