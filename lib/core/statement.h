/* statement.h - the one text encoding of everything that is signed. Pure.
 *
 *     format: 1
 *     kind: promotion
 *     fleet: 5f1c...
 *     ...
 * Strict `key: value` lines: fixed key order per kind (statements.def), lists as repeated keys, LF
 * at the end of every line, UTF-8 without control characters, no empty value, no unknown key, at
 * most SL_STATEMENT_MAX bytes (root: SL_ROOT_MAX). Signatures are SSHSIG under the namespace
 * "<kind>@sluice.v1". Signed bytes are kept as received: verify first, parse after, never write
 * them again. */
#pragma once
#include "base/json.h"
#include "core/sshsig.h"

#define SL_STATEMENT_FORMAT 1
#define SL_STATEMENT_SIGS_MAX 16

typedef enum {
    SL_STATEMENT_ROOT,
    SL_STATEMENT_REGISTRY,
    SL_STATEMENT_PROMOTION,
    SL_STATEMENT_ORDER,
    SL_STATEMENT_HEAD,
    SL_STATEMENT_REPORT,
    SL_STATEMENT_SEAL,
    SL_STATEMENT_ENROL, /* an agent's request to join: signed by the key it asks to register */
    SL_N_STATEMENTS
} SlStatementKind;

const char *sl_statement_kind_name(SlStatementKind kind); /* "promotion" */
const char *sl_statement_namespace(SlStatementKind kind); /* "promotion@sluice.v1", static */
size_t sl_statement_size_max(SlStatementKind kind);

/* One parsed text: fields in order. Getters borrow. */
typedef struct SlStatement SlStatement;

/* Errors: STATEMENT_FORMAT ("line 7: unknown key `seqq`"), STATEMENT_VERSION, LIMIT. (transfer
 * full) */
SL_MUST_USE SlStatement *sl_statement_parse(SlStatementKind kind, const void *text, size_t len,
                                            GError **error);
void sl_statement_free(SlStatement *statement);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlStatement, sl_statement_free)
/* Value of a key that the kind has once; NULL if it is optional and absent. */
const char *sl_statement_get(const SlStatement *statement, const char *key);
/* Values of a repeated key, in order; NULL-terminated, never NULL. Borrowed. */
const char *const *sl_statement_list(const SlStatement *statement, const char *key);
/* Typed getters; the parse checked the types already (statements.def), so these do not fail. */
uint64_t sl_statement_uint(const SlStatement *statement, const char *key, uint64_t otherwise);
int64_t sl_statement_time(const SlStatement *statement, const char *key, int64_t otherwise);
bool sl_statement_flag(const SlStatement *statement, const char *key); /* "yes" */

/* Writer: add keys in the kind's order, then finish. finish parses what was written, so that
 * nothing leaves that we would refuse: Errors as parse. */
typedef struct SlStatementWriter SlStatementWriter;
SlStatementWriter *sl_statement_writer_new(SlStatementKind kind); /* writes format: and kind: */
/* NULL value: leaves it out */
void sl_statement_add(SlStatementWriter *writer, const char *key, const char *value);
void sl_statement_add_uint(SlStatementWriter *writer, const char *key, uint64_t value);
void sl_statement_add_time(SlStatementWriter *writer, const char *key, int64_t utc_us);
/* false: leaves it out */
void sl_statement_add_flag(SlStatementWriter *writer, const char *key, bool value);
SL_MUST_USE GBytes *sl_statement_finish(SlStatementWriter *writer /* consumed */, GError **error);

/* Exact text and its signatures, as received, as the ledger keeps them and as the wire carries
 * them. Ref-counted by nobody: copy is cheap (GBytes are shared). */
typedef struct {
    GBytes *text;
    GPtrArray *sigs; /* of char *armour, at most SL_STATEMENT_SIGS_MAX */
} SlSigned;

SlSigned *sl_signed_new(GBytes *text /* ref taken */);
SlSigned *sl_signed_copy(const SlSigned *s);
void sl_signed_free(SlSigned *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlSigned, sl_signed_free)
void sl_signed_add(SlSigned *s, const char *armour);
/* SHA-256 of the text: the statement's digest. (transfer full) */
char *sl_signed_digest(const SlSigned *s);
json_t *sl_signed_to_json(const SlSigned *s); /* {"text": "...", "sigs": ["..."]} (transfer full) */
SL_MUST_USE SlSigned *sl_signed_from_json(const json_t *json, GError **error);
/* Signs the text with an ed25519 secret under the kind's namespace and adds the armour. */
void sl_signed_sign(SlSigned *s, SlStatementKind kind, const uint8_t secret[64]);
/* Keys (of SlPublicKey*, distinct by line) whose signatures over the text verify. Signatures that
 * do not verify are skipped, and the last reason goes to @ret_why (nullable, transfer full). Never
 * NULL. */
GPtrArray *sl_signed_signers(const SlSigned *s, SlStatementKind kind, char **ret_why);
/* Did @key sign it? One signature is computed at most, the first that names the key: for statements
 * that come all the time and of which everybody knows whose they must be. */
bool sl_signed_by(const SlSigned *s, SlStatementKind kind, const SlPublicKey *key);
