/* rootedit.h - changing the root of trust: the next version is made here, signed here, and submitted when enough have signed. */
#pragma once
#include "cli/cli.h"
#include "core/root.h"

/* The newest root of the fleet: parsed (transfer full), and as signed statement if @ret_signed. */
SL_MUST_USE SlRoot *sl_root_fetch(SlCli *cli, SlSigned **ret_signed, GError **error);
/* Raises version and expiry of @root (changed by the caller already), shows the text's changes, signs; submits it if the thresholds
 * of both versions hold, else writes root-N.json for the others. Exit code. */
int sl_root_finish(SlCli *cli, SlRoot *root, const SlRoot *before);
/* Signs (adds to) and, if enough, submits a root-N.json. */
int sl_root_sign_file(SlCli *cli, const char *path);
extern const SlCliOption sl_root_options[]; /* --yes, --out */
/* Public key from a .pub file, or from the text itself. */
SL_MUST_USE SlPublicKey *sl_cli_read_public_key(const char *word, GError **error);

/* Version 1 of a new fleet's root (fleet id and time are filled in here), signed with our key: {"text","sigs"} as
 * JSON for `sluice-coordinator init --root`. (transfer full) */
SL_MUST_USE char *sl_root_create(SlCli *cli, const SlRootNew *how, GError **error);
