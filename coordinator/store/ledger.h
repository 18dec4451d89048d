/* ledger.h - the append-only branch sluice/ledger of the state repository: one commit per batch,
 * canonical JSON lines at yyyy/mm/dd/hh/mm/<first seq> (one file; more only of a batch that waited
 * long), and what events name by digest at maps/<2
 * hex>/<digest>. It is the only commit point: append returns when the branch has moved durably.
 * Replay checks form and order of seq; the hash chain is the brain's. */
#pragma once
#include "base/json.h"
#include "coordinator/store/gitstore.h"

#define SL_LEDGER_REF "refs/heads/sluice/ledger"
#define SL_LEDGER_BATCH_MAX                                                                        \
    (64 * 1024 * 1024) /* bytes of one file, and of an event: a turn's are at most some MiB */

typedef struct SlLedger SlLedger;
/* Opens DIR/state.git. Errors: LEDGER_MISSING, STATE_READ_ONLY, IO. */
SL_MUST_USE SlLedger *sl_ledger_open(const char *state_git, GError **error);
void sl_ledger_free(SlLedger *ledger);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlLedger, sl_ledger_free)
/* Makes the state repository with its first event. Errors: LEDGER_EXISTS, STATE_READ_ONLY,
 * LEDGER_APPEND. */
SL_MUST_USE bool sl_ledger_create(const char *state_git, const json_t *first_event, GError **error);
/* One commit of @events (of json_t*, not empty) and @blobs (digest -> GBytes*, nullable). Durable
 * on return. Errors: STORAGE_FULL (no room: nothing was appended, the same may be tried again),
 * LEDGER_APPEND (fatal for the caller: what is in memory is ahead of the disk). */
SL_MUST_USE bool sl_ledger_append(SlLedger *ledger, const GPtrArray *events, GHashTable *blobs,
                                  GError **error);
/* All events in order of seq; stops when @each fails. Errors: LEDGER_READ, those of @each. */
typedef bool (*SlLedgerEach)(const json_t *event, void *user, GError **error);
/* The line of the event that @each is called for; borrowed until it returns. */
const char *sl_ledger_line(const SlLedger *ledger, size_t *ret_len);
SL_MUST_USE bool sl_ledger_replay(SlLedger *ledger, SlLedgerEach each, void *user, GError **error);
/* Bytes of maps/<digest>, checked; NULL if absent. (transfer full) */
GBytes *sl_ledger_map(SlLedger *ledger, const char *digest);
SlGitStore *sl_ledger_store(SlLedger *ledger); /* borrowed */
