/* gitcommit.h - a raw Git commit object, split strictly into what Sluice believes of it: tree,
 * parents, who, signature, and the exact bytes that were signed. Pure.
 *
 * What Git itself reads in two ways (a second gpgsig header, NUL, headers out of order) is refused,
 * so that author, signature and tree always come from the same reading of the same bytes. */
#pragma once
#include "core/sshsig.h"
#include <glib.h>

#define SL_GITCOMMIT_BYTES_MAX (1024 * 1024) /* message and merged tags included */
#define SL_GITCOMMIT_HEADERS_MAX (64 * 1024) /* all before the empty line */
#define SL_GITCOMMIT_PARENTS_MAX 256         /* Linux has one with 66 */
#define SL_GITCOMMIT_NAMESPACE "git"         /* under which Git lets people sign */

typedef struct {
    char *name, *email; /* valid UTF-8; e-mail as written, without < and > */
    int64_t time_us;
} SlGitPerson;

typedef enum {
    SL_GIT_UNSIGNED,
    SL_GIT_SSHSIG,
    SL_GIT_PGP,
    SL_GIT_X509,
    SL_GIT_OTHER_SIGNATURE
} SlGitSigning;

typedef struct {
    char *tree;         /* 40 hex */
    GPtrArray *parents; /* of char*, 40 hex */
    SlGitPerson author, committer;
    char *encoding; /* of names and message, or NULL = UTF-8 */
    char *message;  /* all after the empty line, made valid UTF-8 */
    SlGitSigning signing;
    char *signature; /* unfolded, LF at its end, or NULL */
    GBytes *payload; /* what was signed: the object without its gpgsig header */
} SlGitCommit;

/* Errors: COMMIT_FORMAT (names header and byte), LIMIT. (transfer full) */
SL_MUST_USE SlGitCommit *sl_gitcommit_parse(const void *bytes, size_t len, GError **error);
void sl_gitcommit_free(SlGitCommit *commit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlGitCommit, sl_gitcommit_free)

/* Who signed? Only SSHSIG under Git's namespace counts; whose key that is, is the root's business.
 * Errors: COMMIT_SIGNATURE (unsigned, PGP, X.509), SIGNATURE_*. (transfer full) */
SL_MUST_USE SlPublicKey *sl_gitcommit_signer(const SlGitCommit *commit, GError **error);
/* First line of the message. (transfer full) */
char *sl_gitcommit_subject(const SlGitCommit *commit);
