/* watchline.c - splits a watch's bytes into lines, and a line into its event. Never holds more than
 * one unfinished line beside what was fed last. Pure. */
#include "kube/watchline.h"

#include <string.h>

#define DEPTH_MAX 128 /* the schema of a CustomResourceDefinition is deep */
#define NODES_MAX 2000000

struct SlKubeLines {
    GByteArray *bytes;
    size_t start, looked; /* where the next line starts; up to where there is no LF */
    size_t line_max;
    bool too_long;
};

SlKubeLines *sl_kube_lines_new(size_t line_max)
{
    SlKubeLines *lines = g_new0(SlKubeLines, 1);
    lines->bytes = g_byte_array_new();
    lines->line_max = line_max > 0 ? line_max : SL_KUBE_LINE_MAX;
    return lines;
}

void sl_kube_lines_free(SlKubeLines *lines)
{
    if (lines != NULL) {
        g_byte_array_unref(lines->bytes);
        g_free(lines);
    }
}

void sl_kube_lines_feed(SlKubeLines *lines, const void *bytes, size_t len)
{
    if (lines->too_long || len == 0) {
        return;
    }
    if (lines->start > 0) {
        g_byte_array_remove_range(lines->bytes, 0, (guint)lines->start);
        lines->looked -= lines->start;
        lines->start = 0;
    }
    g_byte_array_append(lines->bytes, bytes, (guint)len);
}

static SlKubeLine no_line(SlKubeLines *lines)
{
    lines->looked = lines->bytes->len;
    lines->too_long = lines->looked - lines->start > lines->line_max;
    return lines->too_long ? SL_KUBE_LINE_TOO_LONG : SL_KUBE_LINE_NONE;
}

SlKubeLine sl_kube_lines_next(SlKubeLines *lines, const char **ret_line, size_t *ret_len)
{
    while (!lines->too_long) {
        const char *data = (const char *)lines->bytes->data;
        size_t left = lines->bytes->len - lines->looked;
        const char *lf = left > 0 ? memchr(data + lines->looked, '\n', left) : NULL;
        if (lf == NULL) {
            return no_line(lines);
        }
        size_t start = lines->start, len = (size_t)(lf - data) - start;
        lines->too_long = len > lines->line_max;
        lines->start = lines->looked = start + len + 1;
        if (!lines->too_long && len > 0) {
            *ret_line = data + start;
            *ret_len = len;
            return SL_KUBE_LINE_READY;
        }
    }
    return SL_KUBE_LINE_TOO_LONG;
}

SlJsonLimits sl_kube_json_limits(size_t bytes_max)
{
    return (SlJsonLimits){.bytes_max = bytes_max, .depth_max = DEPTH_MAX, .nodes_max = NODES_MAX};
}

static const struct {
    const char *name;
    SlKubeEventType type;
} types[] = {
    {"ADDED", SL_KUBE_EVENT_SEEN},   {"MODIFIED", SL_KUBE_EVENT_SEEN},
    {"DELETED", SL_KUBE_EVENT_GONE}, {"BOOKMARK", SL_KUBE_EVENT_BOOKMARK},
    {"ERROR", SL_KUBE_EVENT_ERROR},
};

static bool parse_type(const char *name, SlKubeEventType *ret_type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (g_strcmp0(name, types[i].name) == 0) {
            *ret_type = types[i].type;
            return true;
        }
    }
    return false;
}

static bool has_identity(SlKubeEventType type, const json_t *object)
{
    bool at = sl_json_str(object, "metadata.resourceVersion") != NULL;
    return type == SL_KUBE_EVENT_ERROR || (type == SL_KUBE_EVENT_BOOKMARK && at) ||
           (at && sl_json_str(object, "metadata.uid") != NULL &&
            sl_json_str(object, "metadata.name") != NULL);
}

bool sl_kube_event_parse(const char *line, size_t len, SlKubeEvent *ret_event, GError **error)
{
    SlJsonLimits limits = sl_kube_json_limits(SL_KUBE_LINE_MAX);
    g_autoptr(GError) problem = NULL;
    g_autoptr(json_t) tree = sl_json_parse(line, len, &limits, "watch", &problem);
    if (tree == NULL) {
        return sl_throw(error, problem->code == SLU_LIMIT ? SLU_LIMIT : SLU_KUBE_ANSWER, "%s",
                        problem->message);
    }
    SlKubeEventType type;
    json_t *object = json_object_get(tree, "object");
    if (!parse_type(sl_json_str(tree, "type"), &type) || !json_is_object(object) ||
        !has_identity(type, object)) {
        return sl_throw(error, SLU_KUBE_ANSWER,
                        "watch: a line is no event with an object that has its name, uid and "
                        "resourceVersion");
    }
    *ret_event = (SlKubeEvent){.type = type, .object = json_incref(object)};
    return true;
}
