/* fuzz_http.c - what a server answers, as libcurl hands it to lib/runtime/http.c: header lines, then the body in pieces. The input is
 * header lines, an empty line, the body. The file itself is compiled in: its callbacks are nobody else's business. */
#include "fuzz.h"
#include "lib/runtime/http.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    SlHttpRequest how = {.method = "GET", .url = "http://127.0.0.1:1/", .body_max = 256};
    SlHttpCall *request = new_request(&how);
    g_assert_nonnull(request);
    while (at < end && *at != '\n') {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t len = stop != NULL ? (size_t)(stop + 1 - at) : (size_t)(end - at);
        g_autofree char *line = g_memdup2(at, len); /* exactly as long: no NUL behind it */
        g_assert_cmpuint(on_header(line, 1, len, request), ==, len);
        at += len;
    }
    for (size_t piece = 1; at < end; piece = piece * 3 + 1) {
        size_t len = MIN(piece, (size_t)(end - at));
        g_autofree char *bytes = g_memdup2(at, len);
        if (on_body(bytes, 1, len, request) != len) {
            break; /* too much: the transfer ends here */
        }
        at += len;
    }
    SlHttpResponse response = {0};
    g_autoptr(GError) error = NULL;
    bool answered = take_response(request, CURLE_OK, &response, &error);
    g_assert_true(answered == (error == NULL));
    if (answered) {
        g_assert_cmpuint(g_bytes_get_size(response.body), <=, how.body_max);
        sl_http_response_clear(&response);
    }
    free_request(request);
    return 0;
}
