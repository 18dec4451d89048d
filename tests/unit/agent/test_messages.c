/* test_messages.c - fetcher.c and messages.c with a recorded link and a recorded brain: what is asked for, what goes on after a cut,
 * and what hostile bytes come to. */
#include "agent/shell.h"
#include "link/convert.h"
#include "tests/unit/agent/fixture.h"

typedef struct {
    char *dir;
    SlShell shell;
    SlAgentConf conf;
    SlClientEvents link;
    GPtrArray *inputs;  /* of char*: "type digest code" */
    GPtrArray *fetches; /* of char*: "digest offset kind" */
    int64_t return_us;  /* told by the last HEAD */
    char *log_error;    /* of the last LOG_DATA */
    char *log_text;
} Rig;

static Rig *rig;

/* In place of shell.c and link/client.c. */
void sl_shell_step(SlShell *shell, const SlAgentInput *input)
{
    (void)shell;
    g_ptr_array_add(rig->inputs, g_strdup_printf("%d %.8s %d", (int)input->type,
                                                 input->digest ? input->digest : "-",
                                                 input->error ? input->error->code : 0));
}

void sl_shell_status_soon(SlShell *shell)
{
    (void)shell;
}

bool sl_client_send(SlClient *client, const Sluice__Wire__Envelope *envelope)
{
    (void)client;
    if (envelope->body_case == SLUICE__WIRE__ENVELOPE__BODY_FETCH) {
        const Sluice__Wire__Fetch *fetch = envelope->fetch;
        g_autofree char *digest = sl_hex(fetch->digest.data, fetch->digest.len);
        g_ptr_array_add(
            rig->fetches,
            g_strdup_printf("%.8s %d %s", digest, (int)fetch->offset,
                            fetch->kind == SLUICE__WIRE__FETCH__KIND__BLOB ? "blob" : "statement"));
    } else if (envelope->body_case == SLUICE__WIRE__ENVELOPE__BODY_LOG_DATA) {
        const Sluice__Wire__LogData *data = envelope->log_data;
        g_free(rig->log_error);
        g_free(rig->log_text);
        rig->log_error = g_strdup(data->error);
        rig->log_text = g_strndup((const char *)data->data.data, data->data.len);
    }
    return true;
}

void sl_client_return(SlClient *client, int64_t spread_us)
{
    (void)client;
    rig->return_us = spread_us;
}

static void open_fetcher(void)
{
    rig->shell.blobs = sl_blobs_open(rig->dir, NULL);
    rig->shell.fetcher = sl_fetcher_new(&rig->shell);
}

static void close_fetcher(void)
{
    sl_fetcher_free(rig->shell.fetcher);
    sl_blobs_close(rig->shell.blobs);
}

static void rig_open(void)
{
    rig = g_new0(Rig, 1);
    rig->dir = g_dir_make_tmp("sluice-test-XXXXXX", NULL);
    rig->inputs = g_ptr_array_new_with_free_func(g_free);
    rig->fetches = g_ptr_array_new_with_free_func(g_free);
    rig->conf.coordinator = (char *)"tcp://127.0.0.1:1";
    rig->shell.conf = &rig->conf;
    rig->shell.loop = sl_loop_new();
    rig->shell.client = (SlClient *)rig; /* only asked whether it is there */
    rig->link = sl_shell_client_events(&rig->shell);
    open_fetcher();
}

static void rig_close(void)
{
    close_fetcher();
    sl_loop_free(rig->shell.loop);
    (void)!sl_dir_remove_tree(rig->dir, NULL);
    g_ptr_array_unref(rig->inputs);
    g_ptr_array_unref(rig->fetches);
    g_free(rig->log_error);
    g_free(rig->log_text);
    g_free(rig->shell.disconnected_why);
    g_free(rig->dir);
    g_clear_pointer(&rig, g_free);
}

static const char *last(const GPtrArray *list)
{
    return list->len ? g_ptr_array_index(list, list->len - 1) : "";
}

static void chunk(const char *digest, uint64_t offset, const char *text, uint64_t total)
{
    uint8_t raw[32];
    Sluice__Wire__Chunk message = SLUICE__WIRE__CHUNK__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    g_assert_true(sl_unhex(digest, raw, sizeof raw));
    message.digest = (ProtobufCBinaryData){sizeof raw, raw};
    message.offset = offset;
    message.total = total;
    message.missing = text == NULL;
    message.data = (ProtobufCBinaryData){text ? strlen(text) : 0, (uint8_t *)(uintptr_t)text};
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_CHUNK;
    envelope.chunk = &message;
    rig->link.received(&rig->shell, &envelope);
}

static char *expect(SlAgentInputType type, const char *digest, int code)
{
    return g_strdup_printf("%d %.8s %d", (int)type, digest, code);
}

#define EXPECT_LAST(type, digest, code)                                                            \
    do {                                                                                           \
        g_autofree char *wanted = expect(type, digest, code);                                      \
        g_assert_cmpstr(last(rig->inputs), ==, wanted);                                            \
    } while (0)

static void test_goes_on_after_a_cut(void)
{
    rig_open();
    g_autofree char *digest = sl_sha256_hex("hello world", 11);
    g_autofree char *again = g_strdup_printf("%.8s 6 blob", digest);
    sl_fetcher_ask(rig->shell.fetcher, digest, false);
    sl_fetcher_ask(rig->shell.fetcher, digest, false); /* one at a time */
    g_assert_cmpuint(rig->fetches->len, ==, 1);
    chunk(digest, 0, "hello ", 11);
    g_assert_cmpstr(last(rig->fetches), ==, again);
    rig->link.disconnected(&rig->shell,
                           "cut"); /* open fetches end without a word: the brain asks again */
    chunk(digest, 6, "world", 11); /* late: nobody waits for it */
    g_assert_cmpuint(rig->inputs->len, ==, 0);
    close_fetcher(); /* the agent was restarted too */
    open_fetcher();
    sl_fetcher_ask(rig->shell.fetcher, digest, false);
    g_assert_cmpstr(last(rig->fetches), ==, again);
    chunk(digest, 0, "hello ", 11); /* repeated: harmless */
    g_assert_cmpuint(rig->inputs->len, ==, 0);
    chunk(digest, 6, "world", 11);
    EXPECT_LAST(SL_AGENT_BLOB, digest, 0);
    g_assert_cmpuint(g_bytes_get_size(sl_blobs_get(rig->shell.blobs, digest)), ==, 11);
    rig_close();
}

static void test_wrong_bytes(void)
{
    rig_open();
    g_autofree char *digest = sl_sha256_hex("hello world", 11);
    g_autofree char *first = g_strdup_printf("%.8s 0 blob", digest);
    sl_fetcher_ask(rig->shell.fetcher, digest, false);
    chunk(digest, 0, "hello wOrld", 11);
    EXPECT_LAST(SL_AGENT_MISSING, digest, SLU_CORRUPT);
    g_assert_false(sl_blobs_has(rig->shell.blobs, digest));
    sl_fetcher_ask(rig->shell.fetcher, digest, false);
    g_assert_cmpstr(last(rig->fetches), ==, first); /* from the beginning: nothing of it was kept */
    chunk(digest, 0, "hello world", 11);
    EXPECT_LAST(SL_AGENT_BLOB, digest, 0);
    rig_close();
}

static void test_refused_parts(void)
{
    rig_open();
    g_autofree char *digest = sl_sha256_hex("x", 1);
    static const struct {
        uint64_t offset, total;
        const char *text;
        int code;
    } rows[] = {{0, 1, NULL, SLU_NOT_FOUND},
                {0, SL_BLOB_BYTES_MAX + 1, "x", SLU_LIMIT},
                {0, 10, "", SLU_WIRE_FORMAT},
                {5, 10, "x", SLU_CONFLICT}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        sl_fetcher_ask(rig->shell.fetcher, digest, false);
        chunk(digest, rows[i].offset, rows[i].text, rows[i].total);
        EXPECT_LAST(SL_AGENT_MISSING, digest, rows[i].code);
    }
    sl_fetcher_ask(rig->shell.fetcher, "../../etc/passwd", false);
    g_assert_cmpuint(rig->fetches->len, ==, G_N_ELEMENTS(rows));
    rig_close();
}

static void test_statement_must_be_the_one(void)
{
    rig_open();
    g_autofree char *digest = sl_sha256_hex("format: 1\n", 10);
    sl_fetcher_ask(rig->shell.fetcher, digest, true);
    g_assert_true(g_str_has_suffix(last(rig->fetches), "statement"));
    chunk(digest, 0, "\x01\x02\x03", 3);
    EXPECT_LAST(SL_AGENT_MISSING, digest, SLU_WIRE_FORMAT);
    rig_close();
}

static void test_reset_drops_fetches(void)
{
    rig_open();
    g_autofree char *digest = sl_sha256_hex("abc", 3);
    Sluice__Wire__Reset reset = SLUICE__WIRE__RESET__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_RESET;
    envelope.reset = &reset;
    sl_fetcher_ask(rig->shell.fetcher, digest, false);
    rig->link.received(&rig->shell, &envelope);
    EXPECT_LAST(SL_AGENT_RESET, "-", 0);
    chunk(digest, 0, "abc", 3);
    EXPECT_LAST(SL_AGENT_RESET, "-", 0);
    rig_close();
}

static void test_malformed_is_dropped(void)
{
    rig_open();
    uint8_t short_digest[5] = {0};
    Sluice__Wire__SealAck ack = SLUICE__WIRE__SEAL_ACK__INIT;
    Sluice__Wire__Signed empty = SLUICE__WIRE__SIGNED__INIT, *list[] = {&empty};
    Sluice__Wire__Steps steps = SLUICE__WIRE__STEPS__INIT;
    Sluice__Wire__Head head = SLUICE__WIRE__HEAD__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    ack.digest = (ProtobufCBinaryData){sizeof short_digest, short_digest};
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_SEAL_ACK;
    envelope.seal_ack = &ack;
    rig->link.received(&rig->shell, &envelope);
    steps.roots = list;
    steps.n_roots = 1;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_STEPS;
    envelope.steps = &steps;
    rig->link.received(&rig->shell, &envelope);
    head.head = &empty;
    head.return_ms = 7000;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_HEAD;
    envelope.head = &head;
    rig->link.received(&rig->shell, &envelope);
    g_assert_cmpuint(rig->inputs->len, ==, 0);
    g_assert_cmpint(rig->return_us, ==, 7 * SL_SECOND_US); /* of the wire, not of the statement */
    rig_close();
}

/* ---- logs ---- */

static GBytes *fake_log(SlEngine *engine, const SlEngineLogAsk *ask, SlEngineLog *ret_log,
                        GError **error)
{
    (void)engine;
    if (!ask->run_id && !ask->previous)
        return sl_throw_null(error, SLU_LOG_MISSING, "nothing of %s %s", ask->ref->kind,
                             ask->ref->name);
    g_autofree char *text =
        g_strdup_printf("%s rank %u%s max %zu", ask->run_id ? ask->run_id : ask->ref->name,
                        ask->rank, ask->previous ? " previous" : "", ask->max);
    *ret_log = (SlEngineLog){.size = strlen(text)};
    return g_bytes_new(text, strlen(text));
}

static void test_log_request(void)
{
    rig_open();
    SlEngineOps ops = {.name = "test", .log = fake_log};
    Sluice__Wire__LogRequest ask = SLUICE__WIRE__LOG_REQUEST__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    rig->shell.ops = &ops;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_LOG_REQUEST;
    envelope.log_request = &ask;
    ask.run_id = (char *)"r1";
    ask.rank = 3;
    ask.max = 4000000000U; /* bounded here, whatever is asked */
    rig->link.received(&rig->shell, &envelope);
    g_assert_cmpstr(rig->log_text, ==, "r1 rank 3 max 98304");
    g_assert_cmpstr(rig->log_error, ==, "");
    ask.run_id = (char *)"";
    ask.object = (char *)"ModelServer/serve";
    ask.rank = 0;
    rig->link.received(&rig->shell, &envelope);
    g_assert_cmpstr(rig->log_error, ==, "nothing of gitops.sluice/ModelServer serve");
    ask.previous = true;
    rig->link.received(&rig->shell, &envelope);
    g_assert_cmpstr(rig->log_text, ==, "serve rank 0 previous max 98304");
    rig_close();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fetch/goes-on-after-a-cut", test_goes_on_after_a_cut);
    g_test_add_func("/fetch/wrong-bytes", test_wrong_bytes);
    g_test_add_func("/fetch/refused-parts", test_refused_parts);
    g_test_add_func("/fetch/statement", test_statement_must_be_the_one);
    g_test_add_func("/fetch/reset", test_reset_drops_fetches);
    g_test_add_func("/messages/malformed", test_malformed_is_dropped);
    g_test_add_func("/messages/log", test_log_request);
    return g_test_run();
}
