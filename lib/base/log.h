/* log.h - structured log events of the daemons: a fixed event name and fields, never a secret or a
 * payload. Libraries return errors and do not log. One line of logfmt or JSON per event through a
 * sink. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum { SL_LOG_DEBUG, SL_LOG_INFO, SL_LOG_WARNING, SL_LOG_ERROR } SlLogLevel;

typedef struct SlLog SlLog;
typedef void (*SlLogWrite)(const char *line, SlLogLevel level, void *user); /* line without LF */

/* @now_us gives UTC for the time stamp (may be NULL: no stamp). (transfer full) */
SlLog *sl_log_new(SlLogLevel least, SlLogWrite write, int64_t (*now_us)(void *), void *user);
void sl_log_free(SlLog *log);
/* NULL-terminated pairs of field name and string value; values are escaped and cut at 512 bytes.
 * The same event more than 20 times a second is counted and said once ("suppressed=N"). @log may
 * be NULL. */
void sl_log(SlLog *log, SlLogLevel level, const char *event, ...) G_GNUC_NULL_TERMINATED;
void sl_log_error(SlLog *log, const char *event, const GError *error); /* code=SLU.. message=.. */
