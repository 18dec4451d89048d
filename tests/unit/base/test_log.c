/* test_log.c - a line can't be forged, cut is cut, and a flood is counted. */
#include "base/log.h"
#include "sluice/error.h"

#include <string.h>

typedef struct {
    GPtrArray *lines;
    int64_t now_us;
} Sink;

static void take_line(const char *line, SlLogLevel level, void *user)
{
    (void)level;
    g_ptr_array_add(((Sink *)user)->lines, g_strdup(line));
}

static int64_t now_us(void *user)
{
    return ((Sink *)user)->now_us;
}

static const char *last(const Sink *sink)
{
    return g_ptr_array_index(sink->lines, sink->lines->len - 1);
}

static void test_line(void)
{
    Sink sink = {g_ptr_array_new_with_free_func(g_free), INT64_C(1795435200000000)};
    SlLog *log = sl_log_new(SL_LOG_INFO, take_line, now_us, &sink);
    sl_log(log, SL_LOG_INFO, "agent-up", "cluster", "dev1", "note", "two words", NULL);
    g_assert_cmpstr(last(&sink), ==,
                    "time=2026-11-23T12:00:00Z level=info event=agent-up cluster=dev1 "
                    "note=\"two words\"");
    sl_log(log, SL_LOG_INFO, "e", "v", "x\" event=forged\nlevel=error \\", "n", NULL, NULL);
    g_assert_cmpstr(last(&sink), ==,
                    "time=2026-11-23T12:00:00Z level=info event=e "
                    "v=\"x\\\" event=forged\\x0alevel=error \\\\\" n=\"\"");
    sl_log(log, SL_LOG_DEBUG, "quiet", NULL);
    g_assert_cmpuint(sink.lines->len, ==, 2);
    g_autofree char *huge = g_strnfill(5000, 'a');
    sl_log(log, SL_LOG_INFO, "huge", "v", huge, NULL);
    g_assert_cmpuint(strlen(last(&sink)), <, 600);
    g_assert_true(g_str_has_suffix(last(&sink), "aaa..."));
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_LIMIT, "too much");
    sl_log_error(log, "fetch", error);
    g_assert_true(
        g_str_has_suffix(last(&sink), "level=error event=fetch code=SLU1003 message=\"too much\""));
    sl_log(NULL, SL_LOG_ERROR, "nobody", NULL);
    sl_log_free(log);
    g_ptr_array_unref(sink.lines);
}

static void test_flood(void)
{
    Sink sink = {g_ptr_array_new_with_free_func(g_free), 1000000};
    SlLog *log = sl_log_new(SL_LOG_DEBUG, take_line, now_us, &sink);
    for (int i = 0; i < 100; i++) {
        sl_log(log, SL_LOG_INFO, "flood", NULL);
    }
    sl_log(log, SL_LOG_INFO, "other", NULL);
    g_assert_cmpuint(sink.lines->len, ==, 21);
    sink.now_us += 1000000;
    sl_log(log, SL_LOG_INFO, "flood", NULL);
    g_assert_true(g_str_has_suffix(last(&sink), "event=flood suppressed=80"));
    for (int i = 0; i < 25; i++) {
        sl_log(log, SL_LOG_INFO, "flood", NULL);
    }
    sl_log_free(log);
    g_assert_true(g_str_has_suffix(last(&sink), "event=flood suppressed=6"));
    g_ptr_array_unref(sink.lines);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/line", test_line);
    g_test_add_func("/log/flood", test_flood);
    return g_test_run();
}
