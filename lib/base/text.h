/* text.h - checks and small helpers for text from outside, times for people, table of enum names.
 * Pure. */
#pragma once
#include "sluice/error.h"
#include "sluice/types.h"

/* DNS label (RFC 1123): [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most SL_NAME_MAX. */
bool sl_is_name(const char *text);
/* Valid UTF-8 without NUL or control characters other than TAB, LF and (if @allow_cr) CR. */
bool sl_is_clean_utf8(const char *bytes, size_t len, bool allow_cr);
/* One line that shows what it holds: no control character, no bidirectional override, no line
 * separator. */
bool sl_is_plain_line(const char *text, size_t len);
/* Copy with control characters, invalid UTF-8 and terminal escapes as \xNN; at most @max bytes,
 * then "...". For anything from outside that reaches a log or a terminal. (transfer full) */
char *sl_escape_for_people(const char *text, size_t max);
/* Is this name ".git" to Git, or to a file system that folds case, drops trailing dots and spaces or
 * what follows a colon (NTFS, with its short form git~1), or ignores invisible characters (HFS+)? */
bool sl_is_dotgit(const char *name);
/* Relative path with '/' only: no empty, ".", ".." part or one that sl_is_dotgit, no control
 * character, at most 1024 bytes and 64 parts. Errors: INVALID. */
SL_MUST_USE bool sl_check_relative_path(const char *path, GError **error);
/* Shell glob with * and ? only, over the whole text; '*' also matches '/'. */
bool sl_glob_match(const char *pattern, const char *text);

/* Decimal, no sign unless negative, no leading zero, whole text; false if not or out of range. */
bool sl_parse_int64(const char *text, int64_t *ret_value);
bool sl_parse_uint64(const char *text, uint64_t *ret_value);
/* "90s", "15m", "24h", "7d" -> microseconds; > 0 and at most 10 years. Errors: INVALID. */
SL_MUST_USE bool sl_parse_duration(const char *text, int64_t *ret_us, GError **error);
char *sl_format_duration(int64_t us); /* "3m", "2h10m", "5d" for people */
/* RFC 3339 UTC: "2026-11-23T12:00:00Z" or with ".123456"; at most microseconds. */
char *sl_format_time(int64_t utc_us);
bool sl_parse_time(const char *text, int64_t *ret_utc_us);
/* ("SLUICE_INPUT_", "train-set") -> "SLUICE_INPUT_TRAIN_SET": what is no letter or digit is '_'. */
char *sl_env_name(const char *prefix, const char *name);
/* For g_ptr_array_sort of char*: by bytes. */
int sl_text_compare(gconstpointer a, gconstpointer b);
/* Keys of a table of char* keys, by bytes; they stay the table's. (transfer container) */
GPtrArray *sl_sorted_keys(GHashTable *table);
/* Levenshtein-nearest of @candidates (NULL-terminated) within distance 3, or NULL: for "did you
 * mean". */
const char *sl_nearest(const char *word, const char *const *candidates);

const char *sl_health_name(SlHealth health); /* "Healthy" */
bool sl_health_parse(const char *text, SlHealth *ret_health);
const char *sl_act_name(SlAct act); /* "break-glass" */
bool sl_act_parse(const char *text, SlAct *ret_act);
const char *sl_run_phase_name(SlRunPhase phase); /* "Running" */
bool sl_run_phase_parse(const char *text, SlRunPhase *ret_phase);
