/* programs.h - the other programs of Sluice, which lie in this program's folder. */
#pragma once
#include "sluice/error.h"

/* "/usr/bin/sluice-agent" for "sluice-agent". Errors: PROGRAM_MISSING. (transfer full) */
SL_MUST_USE char *sl_program_path(const char *name, GError **error);
