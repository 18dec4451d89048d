/* gates.h - what the gates share. Private to lib/core/gates. */
#pragma once
#include "sluice/gate.h"

/* Fills @answer; @reason is taken. next_us is INT64_MAX. */
void sl_gate_answer(SlGateAnswer *answer, SlGateVerdict verdict, char *reason);
void sl_gate_problem(GPtrArray *problems, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Unknown keys with a hint; false if @config is no object at all. */
bool sl_gate_check_keys(const json_t *config, const char *const *keys, GPtrArray *problems);
