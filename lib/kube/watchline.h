/* watchline.h - the stream of a watch: bytes to lines to events. Pure. */
#pragma once
#include "base/json.h"

#define SL_KUBE_LINE_MAX ((size_t)4 * 1024 * 1024)

typedef struct SlKubeLines SlKubeLines;
SlKubeLines *sl_kube_lines_new(size_t line_max /* 0 = SL_KUBE_LINE_MAX */);
void sl_kube_lines_free(SlKubeLines *lines);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlKubeLines, sl_kube_lines_free)
void sl_kube_lines_feed(SlKubeLines *lines, const void *bytes, size_t len);
typedef enum { SL_KUBE_LINE_NONE, SL_KUBE_LINE_READY, SL_KUBE_LINE_TOO_LONG } SlKubeLine;
/* The next whole line that is not empty, without its LF; borrowed until the next call. TOO_LONG is
 * for good. */
SlKubeLine sl_kube_lines_next(SlKubeLines *lines, const char **ret_line, size_t *ret_len);

typedef enum {
    SL_KUBE_EVENT_SEEN, /* ADDED, MODIFIED */
    SL_KUBE_EVENT_GONE, /* DELETED */
    SL_KUBE_EVENT_BOOKMARK,
    SL_KUBE_EVENT_ERROR /* the object is a Status */
} SlKubeEventType;
typedef struct {
    SlKubeEventType type;
    json_t *object; /* owned */
} SlKubeEvent;
/* An object of SEEN and GONE has metadata.uid, name and resourceVersion; a bookmark the last.
 * Errors: KUBE_ANSWER, LIMIT. */
SL_MUST_USE bool sl_kube_event_parse(const char *line, size_t len, SlKubeEvent *ret_event,
                                     GError **error);
/* Limits of any object or list that an API server sends, @bytes_max its size. */
SlJsonLimits sl_kube_json_limits(size_t bytes_max);
