/* test_watchline.c - bytes of a watch to lines and events, in every cut. */
#include "kube/watchline.h"

#include <string.h>

static void expect_line(SlKubeLines *lines, const char *text)
{
    const char *line = NULL;
    size_t len = 0;
    g_assert_cmpint(sl_kube_lines_next(lines, &line, &len), ==, SL_KUBE_LINE_READY);
    g_autofree char *got = g_strndup(line, len);
    g_assert_cmpstr(got, ==, text);
}

static void expect(SlKubeLines *lines, SlKubeLine what)
{
    const char *line = NULL;
    size_t len = 0;
    g_assert_cmpint(sl_kube_lines_next(lines, &line, &len), ==, what);
}

static void test_cuts(void)
{
    static const char stream[] = "{\"a\":1}\n\n{\"b\":22}\nrest";
    for (size_t cut = 0; cut < sizeof stream; cut++) {
        g_autoptr(SlKubeLines) lines = sl_kube_lines_new(0);
        g_autoptr(GPtrArray) got = g_ptr_array_new_with_free_func(g_free);
        const char *line = NULL;
        size_t len = 0;
        sl_kube_lines_feed(lines, stream, cut);
        while (sl_kube_lines_next(lines, &line, &len) == SL_KUBE_LINE_READY) {
            g_ptr_array_add(got, g_strndup(line, len));
        }
        sl_kube_lines_feed(lines, stream + cut, sizeof stream - 1 - cut);
        while (sl_kube_lines_next(lines, &line, &len) == SL_KUBE_LINE_READY) {
            g_ptr_array_add(got, g_strndup(line, len));
        }
        g_assert_cmpuint(got->len, ==, 2);
        g_assert_cmpstr(g_ptr_array_index(got, 0), ==, "{\"a\":1}");
        g_assert_cmpstr(g_ptr_array_index(got, 1), ==, "{\"b\":22}");
    }
}

static void test_too_long(void)
{
    g_autoptr(SlKubeLines) lines = sl_kube_lines_new(4);
    sl_kube_lines_feed(lines, "abcd\nefgh", 9);
    expect_line(lines, "abcd");
    expect(lines, SL_KUBE_LINE_NONE);
    sl_kube_lines_feed(lines, "i", 1);
    expect(lines, SL_KUBE_LINE_TOO_LONG);
    sl_kube_lines_feed(lines, "\nab\n", 4);
    expect(lines, SL_KUBE_LINE_TOO_LONG); /* for good */
    g_autoptr(SlKubeLines) whole = sl_kube_lines_new(4);
    sl_kube_lines_feed(whole, "abcde\n", 6);
    expect(whole, SL_KUBE_LINE_TOO_LONG);
}

static void test_events(void)
{
    static const struct {
        const char *line;
        SlKubeEventType type;
    } good[] = {
        {"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\","
         "\"resourceVersion\":\"1\"}}}",
         SL_KUBE_EVENT_SEEN},
        {"{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\","
         "\"resourceVersion\":\"1\"}}}",
         SL_KUBE_EVENT_SEEN},
        {"{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\","
         "\"resourceVersion\":\"1\"}}}",
         SL_KUBE_EVENT_GONE},
        {"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}",
         SL_KUBE_EVENT_BOOKMARK},
        {"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}", SL_KUBE_EVENT_ERROR},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        SlKubeEvent event = {0};
        g_autoptr(GError) error = NULL;
        g_assert_true(sl_kube_event_parse(good[i].line, strlen(good[i].line), &event, &error));
        g_assert_cmpint(event.type, ==, good[i].type);
        json_decref(event.object);
    }
    static const char *const bad[] = {
        "",
        "[]",
        "{\"type\":\"ADDED\"}",
        "{\"type\":\"ADDED\",\"object\":{}}",
        "{\"type\":\"OTHER\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}",
        "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":1}}}",
        "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}}"
        "}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        SlKubeEvent event = {0};
        g_autoptr(GError) error = NULL;
        g_assert_false(sl_kube_event_parse(bad[i], strlen(bad[i]), &event, &error));
        g_assert_error(error, SL_ERROR, SLU_KUBE_ANSWER);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/watchline/cuts", test_cuts);
    g_test_add_func("/watchline/too-long", test_too_long);
    g_test_add_func("/watchline/events", test_events);
    return g_test_run();
}
