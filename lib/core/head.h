/* head.h - "this is all you should run now", to one cluster, by the online key (kind head, <= 1
 * KiB). Pure.
 *   fleet environment epoch cluster nonce term version root registry ledger-seq ledger-hash issued expires desired
 * desired: root of the digest map with entries
 *   `unit/<app>/<env> <promotion digest>`   `run/<app>/<env>/<job>/<generation> <run id>`   `order/<digest> <act>`
 */
#pragma once
#include "core/statement.h"

typedef struct {
    char *fleet, *env, *cluster;
    uint64_t epoch;
    char *nonce; /* 32 hex: of the agent's HELLO */
    uint64_t term, version, root, registry, ledger_seq;
    char *ledger_hash;
    int64_t issued_us, expires_us;
    char *desired; /* map root */
} SlHead;

SL_MUST_USE SlHead *sl_head_parse(GBytes *text, GError **error);
SL_MUST_USE GBytes *sl_head_format(const SlHead *head, GError **error);
void sl_head_free(SlHead *head);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlHead, sl_head_free)
