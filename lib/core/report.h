/* report.h - what an agent says about itself, signed by its key (kind report). Pure.
 *   fleet environment cluster boot counter clock [head] term version root registry ledger-seq ledger-hash
 *   applied applied-count [full] [more] [change]*
 * applied: root of the agent's digest map of everything said so far (entries below); `change` lines
 * are the entries that differ from the previous report (at most SL_REPORT_CHANGES_MAX), "- <key>" for
 * one that is gone. The coordinator applies the changes and compares the root; on a difference it
 * asks for the whole: a report with full, and as long as not everything that there is was said since,
 * it and those after it say more: what they have not named is unknown, not gone. Entries
 * of the applied map, `<key> <canonical JSON>`:
 *   `unit/<app>/<env>`   {"bundle","health","message","promotion","reason","seq","since","withheld":n,"latched":bool}
 *   `object/<app>/<env>/<kind>/<ns>/<name>`  {"health","message","reason","since","digest"}  (kind = group/Kind with '/' as '~')
 *   `run/<app>/<env>/<run id>`  the run record (core/run.h)
 *   `refused/<what>` {"code","kind","message","since"}     what was refused and why: unapproved, replay, ...
 *   `flag/<name>` {"message","since"}     state-lost, unlisted/<unit>, stale-head, clock, paused
 * Values are one line of canonical JSON. */
#pragma once
#include "core/statement.h"

#define SL_REPORT_CHANGES_MAX 64

typedef struct {
    char *fleet, *env, *cluster;
    char *boot;       /* 32 hex, new at each start of the agent */
    uint64_t counter; /* from 1 in each boot */
    int64_t clock_us;
    char *head; /* digest of the head in force, or NULL */
    uint64_t term, version, root, registry, ledger_seq;
    char *ledger_hash;
    char *applied;
    uint64_t applied_count;
    bool full;          /* what was said before is void: everything is said again */
    bool more;          /* ... and was not said to its end yet */
    GPtrArray *changes; /* of char* "key {json}" or "- key" */
} SlReport;

SL_MUST_USE SlReport *sl_report_parse(GBytes *text, GError **error);
SL_MUST_USE GBytes *sl_report_format(const SlReport *report, GError **error);
void sl_report_free(SlReport *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlReport, sl_report_free)
