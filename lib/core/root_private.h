/* root_private.h - what the root_*.c files share with each other, and with nobody else. */
#pragma once
#include "core/root.h"

/* Adds one line to @problems for each rule that the root breaks as a whole. */
void sl_root_check(const SlRoot *root, GString *problems);
/* One line "  <format>" in @problems. */
void sl_root_problem(GString *problems, const char *format, ...) G_GNUC_PRINTF(2, 3);
const char *sl_profile_name(SlProfile profile); /* "solo" */
