/* protect.h - what every program of ours that holds a key or a secret does first. */
#pragma once

/* The process leaves no core from now on, neither as a file nor through a pipe (PR_SET_DUMPABLE: RLIMIT_CORE does
 * not stop a piped core_pattern), and other processes of its user can't read its memory. Programs that it executes
 * are dumpable again. Call it first in main(). */
void sl_process_protect(void);
