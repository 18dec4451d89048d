/* fetcher.c - bytes by digest from the coordinator: parts of at most 512 KiB, kept on disk so that
 * a broken-off fetch goes on, checked at the end. How many are open and when to ask again is the
 * brain's business. */
#include "agent/shell.h"
#include "base/digest.h"
#include "link/convert.h"
#include <string.h>

#define PART_TIMEOUT_US (20 * SL_SECOND_US)
#define STATEMENT_BYTES_MAX (SL_ROOT_MAX + SL_STATEMENT_SIGS_MAX * SL_SSHSIG_ARMOUR_MAX + 1024)

typedef struct {
    SlFetcher *fetcher;
    char *digest;
    bool is_statement;
    GByteArray *bytes; /* of a statement */
    GBytes *whole;     /* of a blob that came in one part */
    SlTimer *timer;
} Fetch;

struct SlFetcher {
    SlShell *shell;
    GHashTable *open; /* digest -> Fetch* */
};

static void fetch_free(void *data)
{
    Fetch *fetch = data;
    sl_timer_free(fetch->timer);
    g_byte_array_unref(fetch->bytes);
    g_clear_pointer(&fetch->whole, g_bytes_unref);
    g_free(fetch->digest);
    g_free(fetch);
}

SlFetcher *sl_fetcher_new(SlShell *shell)
{
    SlFetcher *fetcher = g_new0(SlFetcher, 1);
    fetcher->shell = shell;
    fetcher->open = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, fetch_free);
    return fetcher;
}

void sl_fetcher_free(SlFetcher *fetcher)
{
    if (!fetcher)
        return;
    g_hash_table_unref(fetcher->open);
    g_free(fetcher);
}

void sl_fetcher_drop(SlFetcher *fetcher)
{
    g_hash_table_remove_all(fetcher->open);
}

static void say(SlShell *shell, SlAgentInputType type, const char *digest,
                const SlSigned *statement, const GError *error)
{
    SlAgentInput input = {.type = type, .digest = digest, .statement = statement, .error = error};
    sl_shell_step(shell, &input);
}

/* Ends a fetch without its bytes. */
static void fail(Fetch *fetch, const GError *error)
{
    SlShell *shell = fetch->fetcher->shell;
    g_autofree char *digest = g_strdup(fetch->digest);
    g_hash_table_remove(fetch->fetcher->open, digest);
    say(shell, SL_AGENT_MISSING, digest, NULL, error);
}

static void ask_part(Fetch *fetch)
{
    SlShell *shell = fetch->fetcher->shell;
    uint8_t raw[32];
    Sluice__Wire__Fetch message = SLUICE__WIRE__FETCH__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    if (!sl_unhex(fetch->digest, raw, sizeof raw))
        return;
    message.digest = (ProtobufCBinaryData){sizeof raw, raw};
    message.kind = fetch->is_statement ? SLUICE__WIRE__FETCH__KIND__STATEMENT
                                       : SLUICE__WIRE__FETCH__KIND__BLOB;
    message.offset = fetch->is_statement ? fetch->bytes->len
                                         : sl_blobs_partial_size(shell->blobs, fetch->digest);
    message.max = SL_FETCH_MAX;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_FETCH;
    envelope.fetch = &message;
    if (shell->client)
        (void)sl_client_send(shell->client, &envelope); /* lost: the timer ends it */
    sl_timer_arm(fetch->timer, PART_TIMEOUT_US);
}

static void timed_out(void *data)
{
    Fetch *fetch = data;
    g_autoptr(GError) error = NULL;
    sl_throw(&error, SLU_TIMEOUT, "%.12s: the coordinator sent nothing for 20 s", fetch->digest);
    fail(fetch, error);
}

void sl_fetcher_ask(SlFetcher *fetcher, const char *digest, bool is_statement)
{
    if (!sl_is_hex_digest(digest) || g_hash_table_contains(fetcher->open, digest))
        return;
    Fetch *fetch = g_new0(Fetch, 1);
    fetch->fetcher = fetcher;
    fetch->digest = g_strdup(digest);
    fetch->is_statement = is_statement;
    fetch->bytes = g_byte_array_new();
    fetch->timer = sl_timer_new(fetcher->shell->loop, timed_out, fetch);
    g_hash_table_insert(fetcher->open, fetch->digest, fetch);
    ask_part(fetch);
}

static SlSigned *unpack_statement(const Fetch *fetch, GError **error)
{
    Sluice__Wire__Signed *message =
        sluice__wire__signed__unpack(NULL, fetch->bytes->len, fetch->bytes->data);
    g_autoptr(SlSigned) s =
        message ? sl_wire_to_signed(message, error)
                : sl_throw_null(error, SLU_WIRE_FORMAT, "a statement that can't be unpacked");
    if (message)
        sluice__wire__signed__free_unpacked(message, NULL);
    g_autofree char *digest = s ? sl_signed_digest(s) : NULL;
    if (!s || strcmp(digest, fetch->digest) == 0)
        return g_steal_pointer(&s);
    return sl_throw_null(error, SLU_CORRUPT, "asked for statement %.12s, got %.12s", fetch->digest,
                         digest);
}

static bool store_blob(const Fetch *fetch, GError **error)
{
    SlBlobs *blobs = fetch->fetcher->shell->blobs;
    return fetch->whole != NULL ? sl_blobs_put(blobs, fetch->digest, fetch->whole, error)
                                : sl_blobs_partial_finish(blobs, fetch->digest, error);
}

static void finish(Fetch *fetch)
{
    SlShell *shell = fetch->fetcher->shell;
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) statement = fetch->is_statement ? unpack_statement(fetch, &error) : NULL;
    bool ok = fetch->is_statement ? statement != NULL : store_blob(fetch, &error);
    if (!ok) {
        sl_log_error(shell->log, "fetch", error);
        fail(fetch, error);
        return;
    }
    g_autofree char *digest = g_strdup(fetch->digest);
    g_hash_table_remove(fetch->fetcher->open, digest);
    say(shell, statement ? SL_AGENT_STATEMENT : SL_AGENT_BLOB, digest, statement, NULL);
}

static bool add_part(Fetch *fetch, const Sluice__Wire__Chunk *chunk, GError **error)
{
    if (!fetch->is_statement && chunk->offset == 0 && chunk->data.len == chunk->total) {
        fetch->whole = g_bytes_new(chunk->data.data, chunk->data.len);
        return true;
    }
    if (!fetch->is_statement)
        return sl_blobs_partial_add(fetch->fetcher->shell->blobs, fetch->digest, chunk->offset,
                                    chunk->data.data, chunk->data.len, error);
    if (chunk->offset != fetch->bytes->len)
        return sl_throw(error, SLU_CONFLICT,
                        "statement %.12s: a part does not follow what is there", fetch->digest);
    g_byte_array_append(fetch->bytes, chunk->data.data, (guint)chunk->data.len);
    return true;
}

void sl_fetcher_chunk(SlFetcher *fetcher, const Sluice__Wire__Chunk *chunk)
{
    g_autoptr(GError) error = NULL;
    if (chunk->digest.len != 32)
        return;
    g_autofree char *digest = sl_hex(chunk->digest.data, chunk->digest.len);
    Fetch *fetch = g_hash_table_lookup(fetcher->open, digest);
    if (!fetch)
        return; /* late: dropped meanwhile */
    uint64_t limit = fetch->is_statement ? STATEMENT_BYTES_MAX : SL_BLOB_BYTES_MAX;
    uint64_t have = fetch->is_statement ? fetch->bytes->len
                                        : sl_blobs_partial_size(fetcher->shell->blobs, digest);
    if (chunk->missing)
        sl_throw(&error, SLU_NOT_FOUND, "%.12s: the coordinator does not have it", digest);
    else if (chunk->total > limit)
        sl_throw(&error, SLU_LIMIT,
                 "%.12s: %" G_GUINT64_FORMAT " bytes are more than %" G_GUINT64_FORMAT, digest,
                 chunk->total, limit);
    else if (chunk->offset < have && chunk->offset + chunk->data.len <= have)
        return; /* a repeated part */
    else if (add_part(fetch, chunk, &error))
        have = chunk->offset + chunk->data.len;
    if (error) {
        fail(fetch, error);
    } else if (have >= chunk->total) {
        finish(fetch);
    } else if (chunk->data.len == 0) {
        sl_throw(&error, SLU_WIRE_FORMAT, "%.12s: an empty part before the end", digest);
        fail(fetch, error);
    } else {
        ask_part(fetch);
    }
}
