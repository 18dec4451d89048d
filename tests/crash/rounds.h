/* rounds.h - a scenario on real store code, in a child process, ended at each call in each way; then
 * another child looks at what is left. Exhaustive: goes on until a round runs through. */
#pragma once
#include "sluice/error.h"
#include <stdint.h>

typedef struct {
    const char *name;
    /* Does the work in @dir (empty, there). Raises *@acked after each step that promised something.
     * False with @error: what a daemon would say before it ends. */
    bool (*live)(const char *dir, volatile uint32_t *acked, GError **error);
    /* Opens what is left, asserts that nothing up to @acked is lost, and goes on working there. */
    void (*check)(const char *dir, uint32_t acked);
} CrashScenario;

/* main() of a program with scenarios: [--scenario NAME] [--mode MODE --at N --seed S] [--every K].
 * Prints points and seconds of each; 1 if any round failed, with the command that repeats it. */
int crash_main(int argc, char **argv, const CrashScenario *scenarios);
