/* logsink.h - where a daemon's log lines go: standard error, with journald's level prefix when it
 * listens there. */
#pragma once
#include "base/log.h"

typedef struct SlLogSink SlLogSink;
/* A log of level @least and above on descriptor @fd (2), stamped with the real clock unless the
 * journal stamps. A reader that does not read costs lines ("dropped=N" says how many), never the
 * loop's time. @ret_log: use it, free it with sl_log_sink_free. */
SlLogSink *sl_log_sink_new(int fd, SlLogLevel least, SlLog **ret_log);
void sl_log_sink_free(SlLogSink *sink); /* and its log */
