/* test_wire.c - envelopes: what is packed is unpacked, and every cap and rule refuses with its own
 * code. */
#include "proto/wire.h"

#include <string.h>

static const uint8_t bytes32[32] = {1, 2, 3};

static ProtobufCBinaryData data(const void *bytes, size_t len)
{
    return (ProtobufCBinaryData){len, (uint8_t *)bytes};
}

static Sluice__Wire__Envelope *unpack(GBytes *packed, SlDirection direction, SlMessageRole role,
                                      GError **error)
{
    size_t len;
    const void *bytes = g_bytes_get_data(packed, &len);
    return sl_wire_unpack(bytes, len, direction, role, error);
}

/* @says: part of the message. */
static void refused_bytes(const void *bytes, size_t len, SlDirection direction, SlMessageRole role,
                          int code, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_wire_unpack(bytes, len, direction, role, &error));
    g_assert_error(error, SL_ERROR, code);
    if (strstr(error->message, says) == NULL) {
        g_error("\"%s\" does not say \"%s\"", error->message, says);
    }
}

static void refused(const Sluice__Wire__Envelope *e, SlDirection direction, SlMessageRole role,
                    int code, const char *says)
{
    g_autoptr(GBytes) packed = sl_wire_pack(e);
    size_t len;
    const void *bytes = g_bytes_get_data(packed, &len);
    refused_bytes(bytes, len, direction, role, code, says);
}

static void accepted(const Sluice__Wire__Envelope *e, SlDirection direction, SlMessageRole role)
{
    g_autoptr(GBytes) packed = sl_wire_pack(e);
    g_autoptr(GError) error = NULL;
    Sluice__Wire__Envelope *back = unpack(packed, direction, role, &error);
    g_assert_no_error(error);
    g_autoptr(GBytes) again = sl_wire_pack(back);
    g_assert_true(g_bytes_equal(packed, again));
    sl_wire_free(back);
}

static void test_table(void)
{
    g_assert_cmpstr(sl_message_info(SL_MESSAGE_HEAD)->name, ==, "head");
    g_assert_cmpint(sl_message_info(SL_MESSAGE_HEAD)->direction, ==, SL_DIRECTION_DOWN);
    g_assert_cmpint(sl_message_info(SL_MESSAGE_ENROL)->role, ==, SL_ROLE_ENROL);
    Sluice__Wire__Envelope e = SLUICE__WIRE__ENVELOPE__INIT;
    g_assert_cmpint(sl_message_type(&e), ==, SL_N_MESSAGES);
    e.body_case = SLUICE__WIRE__ENVELOPE__BODY_ENROL_REPLY;
    g_assert_cmpint(sl_message_type(&e), ==, SL_MESSAGE_ENROL_REPLY);
    sl_wire_free(NULL);
}

static Sluice__Wire__Hello hello;
static Sluice__Wire__Envelope hello_envelope(void)
{
    sluice__wire__hello__init(&hello);
    hello.nonce = data(bytes32, 16);
    hello.cluster = (char *)"dev1";
    Sluice__Wire__Envelope e = SLUICE__WIRE__ENVELOPE__INIT;
    e.body_case = SLUICE__WIRE__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    return e;
}

static void test_hello(void)
{
    Sluice__Wire__Envelope e = hello_envelope();
    accepted(&e, SL_DIRECTION_UP, SL_ROLE_AGENT);
    refused(&e, SL_DIRECTION_DOWN, SL_ROLE_AGENT, SLU_WIRE_FORMAT,
            "hello does not come from a coordinator");
    refused(&e, SL_DIRECTION_UP, SL_ROLE_ENROL, SLU_WIRE_FORMAT, "not taken on the enrolment port");
    hello.nonce.len = 15;
    refused(&e, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT,
            "nonce has 15 bytes instead of 16");
    hello.nonce.len = 16;
    hello.cluster = (char *)"dev\0331";
    refused(&e, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT, "field cluster is not clean");
    g_autofree char *big = g_strnfill(1025, 'x');
    hello.cluster = big;
    refused(&e, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_LIMIT, "at most 1024");
}

static void test_frames(void)
{
    refused_bytes("", 0, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT, "not one whole envelope");
    refused_bytes("garbage", 7, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT,
                  "not one whole envelope");
    refused_bytes("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11, SL_DIRECTION_UP,
                  SL_ROLE_AGENT, SLU_WIRE_FORMAT, "not one");
    refused_bytes("\x7a\x00", 2, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT,
                  "unknown type 15");
    refused_bytes("\x0a\x02\x0a", 3, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT,
                  "not one whole envelope"); /* cut */
    refused_bytes("\x0a\x00\x0a\x00", 4, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT,
                  "not one whole"); /* two bodies */
    refused_bytes("\x0a\x02\x0a\x07", 4, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT,
                  "does not unpack");
}

/* An unknown field inside a known message: 0xa2 0x06 = field 100, length-delimited. */
static void test_unknown_field(void)
{
    uint8_t bytes[] = {0x0a, 21, 0x0a, 16, 0, 0, 0, 0, 0,    0,    0, 0,
                       0,    0,  0,    0,  0, 0, 0, 0, 0xa2, 0x06, 0};
    refused_bytes(bytes, sizeof bytes, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT,
                  "unknown field 100");
}

static void test_size(void)
{
    Sluice__Wire__Envelope e = hello_envelope();
    char *texts[2];
    for (int i = 0; i < 2; i++) {
        texts[i] = g_strnfill(600, 'x');
    }
    hello.cluster = texts[0];
    hello.version = texts[1];
    refused(&e, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_LIMIT, "at most 1024");
    g_free(texts[0]);
    g_free(texts[1]);
}

static void test_signed(void)
{
    char *sigs[17];
    for (int i = 0; i < 17; i++) {
        sigs[i] = (char *)"-----BEGIN SSH SIGNATURE-----\n";
    }
    Sluice__Wire__Signed s = SLUICE__WIRE__SIGNED__INIT;
    Sluice__Wire__Report report = SLUICE__WIRE__REPORT__INIT;
    Sluice__Wire__Envelope e = SLUICE__WIRE__ENVELOPE__INIT;
    e.body_case = SLUICE__WIRE__ENVELOPE__BODY_REPORT;
    e.report = &report;
    refused(&e, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT, "report carries no statement");
    report.report = &s;
    refused(&e, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT, "report carries no statement");
    s.text = data("format: 1\n", 10);
    s.sigs = sigs;
    s.n_sigs = 16;
    accepted(&e, SL_DIRECTION_UP, SL_ROLE_AGENT);
    s.n_sigs = 17;
    refused(&e, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_LIMIT, "sigs has 17 entries: at most 16");
    g_autofree char *big = g_strnfill(4097, 'x');
    sigs[0] = big;
    s.n_sigs = 1;
    refused(&e, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_LIMIT, "at most 4096");
}

static void test_fetch_and_chunk(void)
{
    Sluice__Wire__Fetch fetch = SLUICE__WIRE__FETCH__INIT;
    Sluice__Wire__Envelope e = SLUICE__WIRE__ENVELOPE__INIT;
    e.body_case = SLUICE__WIRE__ENVELOPE__BODY_FETCH;
    e.fetch = &fetch;
    fetch.digest = data(bytes32, 32);
    refused(&e, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_LIMIT, "fetch of 0 bytes");
    fetch.max = SL_FETCH_MAX + 1;
    refused(&e, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_LIMIT, "fetch of");
    fetch.max = SL_FETCH_MAX;
    accepted(&e, SL_DIRECTION_UP, SL_ROLE_AGENT);
    fetch.kind = (Sluice__Wire__Fetch__Kind)7;
    refused(&e, SL_DIRECTION_UP, SL_ROLE_AGENT, SLU_WIRE_FORMAT, "unknown kind 7");

    g_autofree uint8_t *bytes = g_malloc0(SL_FETCH_MAX + 1);
    Sluice__Wire__Chunk chunk = SLUICE__WIRE__CHUNK__INIT;
    Sluice__Wire__Envelope c = SLUICE__WIRE__ENVELOPE__INIT;
    c.body_case = SLUICE__WIRE__ENVELOPE__BODY_CHUNK;
    c.chunk = &chunk;
    chunk.digest = data(bytes32, 32);
    chunk.data = data(bytes, SL_FETCH_MAX);
    chunk.total = SL_FETCH_MAX;
    accepted(&c, SL_DIRECTION_DOWN, SL_ROLE_AGENT);
    chunk.offset = 1;
    refused(&c, SL_DIRECTION_DOWN, SL_ROLE_AGENT, SLU_WIRE_FORMAT, "past its own total");
    chunk.offset = UINT64_MAX;
    refused(&c, SL_DIRECTION_DOWN, SL_ROLE_AGENT, SLU_WIRE_FORMAT, "past its own total");
    chunk.offset = 0;
    chunk.total = SL_FETCH_MAX + 1;
    chunk.data.len = SL_FETCH_MAX + 1;
    refused(&c, SL_DIRECTION_DOWN, SL_ROLE_AGENT, SLU_LIMIT, "chunk of");
}

/* 700 KiB of empty sub-messages would become 30 MiB of heap. */
static void test_heap(void)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    for (int i = 0; i < 350000; i++) {
        g_byte_array_append(body, (const uint8_t *)"\x0a\x00", 2);
    }
    g_autoptr(GByteArray) all = g_byte_array_new();
    uint8_t head[] = {0x1a, (700000 & 0x7f) | 0x80, (700000 >> 7 & 0x7f) | 0x80, 700000 >> 14};
    g_byte_array_append(all, head, sizeof head);
    g_byte_array_append(all, body->data, body->len);
    refused_bytes(all->data, all->len, SL_DIRECTION_DOWN, SL_ROLE_AGENT, SLU_LIMIT,
                  "unpacks to more than");
}

static void test_lists(void)
{
    Sluice__Wire__Signed one = SLUICE__WIRE__SIGNED__INIT;
    one.text = data("x", 1);
    Sluice__Wire__Signed *list[65];
    for (int i = 0; i < 65; i++) {
        list[i] = &one;
    }
    Sluice__Wire__Steps steps = SLUICE__WIRE__STEPS__INIT;
    Sluice__Wire__Envelope e = SLUICE__WIRE__ENVELOPE__INIT;
    e.body_case = SLUICE__WIRE__ENVELOPE__BODY_STEPS;
    e.steps = &steps;
    accepted(&e, SL_DIRECTION_DOWN, SL_ROLE_AGENT);
    steps.roots = list;
    steps.n_roots = 64;
    accepted(&e, SL_DIRECTION_DOWN, SL_ROLE_AGENT);
    steps.n_roots = 65;
    refused(&e, SL_DIRECTION_DOWN, SL_ROLE_AGENT, SLU_LIMIT, "roots has 65 entries");
    one.text.len = 0;
    steps.n_roots = 1;
    refused(&e, SL_DIRECTION_DOWN, SL_ROLE_AGENT, SLU_WIRE_FORMAT, "steps carries no statement");
}

/* Every single-byte change and every cut of a message is taken or refused, never a crash (and the
 * sanitizers see to the rest). */
static void test_mutations(void)
{
    Sluice__Wire__Envelope e = hello_envelope();
    g_autoptr(GBytes) packed = sl_wire_pack(&e);
    size_t len;
    const uint8_t *bytes = g_bytes_get_data(packed, &len);
    for (size_t i = 0; i < len; i++) {
        for (unsigned value = 0; value < 256; value++) {
            g_autofree uint8_t *copy = g_memdup2(bytes, len);
            copy[i] = (uint8_t)value;
            sl_wire_free(sl_wire_unpack(copy, len, SL_DIRECTION_UP, SL_ROLE_AGENT, NULL));
        }
        g_autofree uint8_t *cut = g_memdup2(bytes, i);
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_wire_unpack(cut != NULL ? (const void *)cut : "", i, SL_DIRECTION_UP,
                                     SL_ROLE_AGENT, &error));
        g_assert_nonnull(error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire/table", test_table);
    g_test_add_func("/wire/hello", test_hello);
    g_test_add_func("/wire/frames", test_frames);
    g_test_add_func("/wire/unknown-field", test_unknown_field);
    g_test_add_func("/wire/size", test_size);
    g_test_add_func("/wire/signed", test_signed);
    g_test_add_func("/wire/fetch-and-chunk", test_fetch_and_chunk);
    g_test_add_func("/wire/heap", test_heap);
    g_test_add_func("/wire/lists", test_lists);
    g_test_add_func("/wire/mutations", test_mutations);
    return g_test_run();
}
