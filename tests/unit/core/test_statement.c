/* test_statement.c - every kind's table, every refusal with its line, the writer, and signed texts.
 */
#include "core/statement.h"
#include "sluice/types.h"

#include <sodium.h>
#include <string.h>

#define D "5f1c000000000000000000000000000000000000000000000000000000000000"
#define N "000102030405060708090a0b0c0d0e0f"
#define T "2026-11-23T12:00:00Z"

static const char head[] =
    "format: 1\nkind: head\nfleet: " D "\nenvironment: prod\nepoch: 1\ncluster: prod1\n"
    "nonce: " N "\nterm: 2\nversion: 4\nroot: 1\nregistry: 1\nledger-seq: 11\n"
    "ledger-hash: " D "\nissued: " T "\nexpires: " T "\ndesired: " D "\n";

static SlStatement *parse(SlStatementKind kind, const char *text, GError **error)
{
    return sl_statement_parse(kind, text, strlen(text), error);
}

static void expect_error(SlStatementKind kind, const char *text, int code, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlStatement) statement = parse(kind, text, &error);
    g_assert_null(statement);
    g_assert_error(error, SL_ERROR, code);
    if (strstr(error->message, part) == NULL) {
        g_error("\"%s\" is not in \"%s\"", part, error->message);
    }
}

static char *replaced(const char *text, const char *from, const char *to)
{
    g_auto(GStrv) parts = g_strsplit(text, from, 2);
    g_assert_cmpuint(g_strv_length(parts), ==, 2);
    return g_strjoinv(to, parts);
}

static void expect_bent(const char *from, const char *to, const char *part)
{
    g_autofree char *text = replaced(head, from, to);
    expect_error(SL_STATEMENT_HEAD, text, SLU_STATEMENT_FORMAT, part);
}

static void test_good(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlStatement) statement = parse(SL_STATEMENT_HEAD, head, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(sl_statement_get(statement, "cluster"), ==, "prod1");
    g_assert_cmpuint(sl_statement_uint(statement, "ledger-seq", 0), ==, 11);
    g_assert_cmpint(sl_statement_time(statement, "issued", 0), ==, INT64_C(1795435200000000));
    g_assert_cmpuint(strlen(head), <=, SL_HEAD_MAX);
}

static void test_refusals(void)
{
    expect_bent("kind: head", "kind: order", "line 2: kind is `order`, but must be `head`");
    expect_bent("kind: head\n", "", "line 2: must be `kind`, but is `fleet`");
    expect_bent("format: 1\n", "", "line 1: must be `format`, but is `kind`");
    expect_bent("format: 1", "format: one", "line 1: `format` must be a number");
    expect_bent("epoch: 1\n", "", "line 5: `epoch` is missing before here");
    expect_bent("desired: " D "\n", "", "line 16: `desired` is missing before here");
    expect_bent("epoch: 1\n", "epoch: 1\nepoch: 1\n", "line 6: `epoch` is given twice");
    expect_bent("nonce: " N "\n", "nonce: " N "\nepocj: 1\n",
                "line 8: unknown key `epocj`; did you mean `epoch`?");
    expect_bent("nonce: " N "\n", "nonce: " N "\nseq: 1\n", "line 8: unknown key `seq`");
    expect_bent("epoch: 1\ncluster: prod1\n", "cluster: prod1\nepoch: 1\n",
                "line 5: `epoch` is missing before here");
    expect_bent("epoch: 1", "epoch: 01", "line 5: `epoch` is \"01\", but must be a number");
    expect_bent("epoch: 1", "epoch: -1", "line 5: `epoch`");
    expect_bent("epoch: 1", "epoch: 18446744073709551616", "line 5: `epoch`");
    expect_bent("epoch: 1", "epoch:1", "line 5: \"epoch:1\" is not `key: value`");
    expect_bent("epoch: 1", "epoch: ", "line 5: `epoch` is empty");
    expect_bent("epoch: 1", "epoch:  1", "line 5: `epoch` has a space before or after its value");
    expect_bent("epoch: 1", "epoch: 1 ", "line 5: `epoch` has a space before or after its value");
    expect_bent("epoch: 1", ": 1", "line 5: \": 1\" is not `key: value`");
    expect_bent("epoch: 1", "", "line 5: \"\" is not `key: value`");
    expect_bent("epoch: 1\n", "epoch: 1\r\n", "line 5: has a control character");
    expect_bent("epoch: 1", "epoch:\t1", "line 5: has a control character");
    expect_bent("prod1", "prod\x1b", "line 6: has a control character");
    expect_bent("prod1", "prod\xff", "line 6: has a control character, or is not UTF-8");
    expect_bent("cluster: prod1", "cluster: Prod",
                "line 6: `cluster` is \"Prod\", but must be a name");
    expect_bent("nonce: 00", "nonce: 0", "line 7: `nonce`");
    expect_bent("desired: 5f", "desired: 5F", "line 16: `desired`");
    expect_bent("issued: 2026", "issued: 26", "line 14: `issued`");
    expect_error(SL_STATEMENT_HEAD, "", SLU_STATEMENT_FORMAT, "line 1");
    expect_error(SL_STATEMENT_HEAD, "\n", SLU_STATEMENT_FORMAT, "line 1");
    expect_error(SL_STATEMENT_HEAD, "format: 1\n", SLU_STATEMENT_FORMAT,
                 "line 2: `kind` is missing");
    expect_error(SL_STATEMENT_HEAD, "format: 1\nkind: head", SLU_STATEMENT_FORMAT,
                 "line 2: the last line must end with LF");
    g_autofree char *version = replaced(head, "format: 1", "format: 2");
    expect_error(SL_STATEMENT_HEAD, version, SLU_STATEMENT_VERSION, "format 2 is not known here");
    g_autofree char *after = g_strconcat(head, "cluster: prod1\n", NULL);
    expect_error(SL_STATEMENT_HEAD, after, SLU_STATEMENT_FORMAT,
                 "line 17: `cluster` is given twice");
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_statement_parse(SL_STATEMENT_HEAD, "format: 1\nkind: head\n\0\n", 23, &error));
    g_assert_error(error, SL_ERROR, SLU_STATEMENT_FORMAT);
}

static void test_size(void)
{
    for (int kind = 0; kind < SL_N_STATEMENTS; kind++) {
        size_t max = sl_statement_size_max((SlStatementKind)kind);
        g_assert_cmpuint(max, ==,
                         kind == SL_STATEMENT_ROOT   ? SL_ROOT_MAX
                         : kind == SL_STATEMENT_HEAD ? SL_HEAD_MAX
                                                     : SL_STATEMENT_MAX);
        g_autofree char *text = g_strnfill(max + 1, '\n');
        expect_error((SlStatementKind)kind, text, SLU_LIMIT, "bytes; at most");
    }
}

/* Cutting or changing any byte of a good text never crashes, and never gives a second text for the
 * same values. */
static void test_damaged(void)
{
    size_t len = strlen(head);
    for (size_t n = 0; n < len; n++) {
        g_autofree char *exact = g_memdup2(head, n);
        g_assert_null(sl_statement_parse(SL_STATEMENT_HEAD, exact, n, NULL));
    }
    g_autofree char *bent = g_strdup(head);
    for (size_t n = 0; n < len; n++) {
        for (int c = 0; c < 256; c += 5) {
            bent[n] = (char)c;
            g_autoptr(SlStatement) statement =
                sl_statement_parse(SL_STATEMENT_HEAD, bent, len, NULL);
            (void)statement;
        }
        bent[n] = head[n];
    }
}

static void add_sample(SlStatementWriter *writer, SlStatementKind kind, const char *key,
                       const char *card, const char *type)
{
    static const char *const samples[][2] = {{"HEX", D},
                                             {"HEX32", N},
                                             {"UINT", "7"},
                                             {"TIME", T},
                                             {"NAME", "a-name"},
                                             {"UNIT", "digits/prod"},
                                             {"ACT", "rollback"},
                                             {"PHASE", "Failed"},
                                             {"FLAG", "yes"},
                                             {"TEXT", "some text é"},
                                             {"LINE", "a line {\"x\": 1}"}};
    uint8_t seed[32] = {9};
    uint8_t public_[32];
    uint8_t secret[64];
    crypto_sign_seed_keypair(public_, secret, seed);
    g_autoptr(SlPublicKey) public_key = sl_public_key_from_ed25519(public_);
    const char *value = public_key->line; /* KEY */
    for (size_t i = 0; i < G_N_ELEMENTS(samples); i++) {
        value = strcmp(samples[i][0], type) == 0 ? samples[i][1] : value;
    }
    (void)kind;
    for (int i = 0; i < (strcmp(card, "MANY") == 0 ? 3 : 1); i++) {
        sl_statement_add(writer, key, value);
    }
}

/* The table's rows, written in order, are read back, whatever the kind. */
static void test_every_kind(void)
{
    for (int kind = 0; kind < SL_N_STATEMENTS; kind++) {
        SlStatementWriter *writer = sl_statement_writer_new((SlStatementKind)kind);
#define SL_KEY(k, key, card, type)                                                                 \
    if (kind == SL_STATEMENT_##k) {                                                                \
        add_sample(writer, (SlStatementKind)kind, key, #card, #type);                              \
    }
#include "core/statements.def"
#undef SL_KEY
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) text = sl_statement_finish(writer, &error);
        g_assert_no_error(error);
        size_t len = 0;
        const char *bytes = g_bytes_get_data(text, &len);
        g_autoptr(SlStatement) read = sl_statement_parse((SlStatementKind)kind, bytes, len, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(sl_statement_get(read, "fleet"), ==, D);
        g_autofree char *namespace_ =
            g_strdup_printf("%s@sluice.v1", sl_statement_kind_name((SlStatementKind)kind));
        g_assert_cmpstr(sl_statement_namespace((SlStatementKind)kind), ==, namespace_);
        if (kind == SL_STATEMENT_SEAL) {
            g_assert_cmpuint(g_strv_length((char **)sl_statement_list(read, "metric")), ==, 3);
        }
        if (kind == SL_STATEMENT_PROMOTION) {
            g_assert_true(sl_statement_flag(read, "disrupt"));
        }
    }
}

static void test_optional(void)
{
    SlStatementWriter *writer = sl_statement_writer_new(SL_STATEMENT_ORDER);
    sl_statement_add(writer, "fleet", D);
    sl_statement_add(writer, "environment", "prod");
    sl_statement_add_uint(writer, "epoch", UINT64_MAX);
    sl_statement_add(writer, "act", "pause");
    sl_statement_add(writer, "scope", "env prod");
    sl_statement_add_uint(writer, "number", 3);
    sl_statement_add_time(writer, "expires", 1);
    sl_statement_add(writer, "cluster", NULL);
    sl_statement_add(writer, "reason", "GPUs on fire");
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_statement_finish(writer, &error);
    g_assert_no_error(error);
    size_t len = 0;
    const char *bytes = g_bytes_get_data(text, &len);
    g_autoptr(SlStatement) read = sl_statement_parse(SL_STATEMENT_ORDER, bytes, len, &error);
    g_assert_null(sl_statement_get(read, "cluster"));
    g_assert_null(sl_statement_list(read, "unit-floor")[0]);
    g_assert_cmpuint(sl_statement_uint(read, "epoch", 0), ==, UINT64_MAX);
    g_assert_cmpint(sl_statement_time(read, "expires", 0), ==, 1);
}

/* A reason typed by a person can't become a line of its own, nor hide what it says. */
static void test_writer_refuses(void)
{
    static const char *const reasons[][2] = {{"x\nrequester: root", "`reason` has a line break"},
                                             {"", "`reason` is empty"},
                                             {" x", "space"},
                                             {"a\u202eb", "hide"},
                                             {"a\x1b[31m", "control"}};
    for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
        SlStatementWriter *writer = sl_statement_writer_new(SL_STATEMENT_ORDER);
        sl_statement_add(writer, "fleet", D);
        sl_statement_add(writer, "environment", "prod");
        sl_statement_add_uint(writer, "epoch", 1);
        sl_statement_add(writer, "act", "pause");
        sl_statement_add(writer, "scope", "env prod");
        sl_statement_add_uint(writer, "number", 3);
        sl_statement_add_time(writer, "expires", 1);
        sl_statement_add(writer, "reason", reasons[i][0]);
        g_autoptr(GError) error = NULL;
        g_assert_null(sl_statement_finish(writer, &error));
        g_assert_error(error, SL_ERROR, SLU_STATEMENT_FORMAT);
        g_assert_nonnull(strstr(error->message, reasons[i][1]));
    }
}

static void test_signed(void)
{
    uint8_t seed[32] = {1};
    uint8_t public_[32];
    uint8_t secret[2][64];
    crypto_sign_seed_keypair(public_, secret[0], seed);
    seed[0] = 2;
    crypto_sign_seed_keypair(public_, secret[1], seed);
    g_autoptr(GBytes) text = g_bytes_new_static(head, strlen(head));
    g_autoptr(SlSigned) s = sl_signed_new(text);
    sl_signed_sign(s, SL_STATEMENT_HEAD, secret[0]);
    sl_signed_sign(s, SL_STATEMENT_HEAD, secret[0]); /* deterministic: the same armour */
    g_assert_cmpuint(s->sigs->len, ==, 1);
    sl_signed_sign(s, SL_STATEMENT_ORDER,
                   secret[1]); /* another kind's signature is not one of this kind */
    g_autofree char *why = NULL;
    g_autoptr(GPtrArray) signers = sl_signed_signers(s, SL_STATEMENT_HEAD, &why);
    g_assert_cmpuint(signers->len, ==, 1);
    g_assert_nonnull(strstr(why, "order@sluice.v1"));

    g_autoptr(json_t) json = sl_signed_to_json(s);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) back = sl_signed_from_json(json, &error);
    g_assert_no_error(error);
    g_assert_true(g_bytes_equal(back->text, s->text));
    g_assert_cmpuint(back->sigs->len, ==, 2);
    g_autofree char *digest = sl_signed_digest(s);
    g_autoptr(SlSigned) copy = sl_signed_copy(back);
    g_autofree char *same = sl_signed_digest(copy);
    g_assert_cmpstr(digest, ==, same);

    json_array_append_new(json_object_get(json, "sigs"), json_integer(1));
    g_assert_null(sl_signed_from_json(json, &error));
    g_assert_error(error, SL_ERROR, SLU_SIGNATURE_FORMAT);
    g_clear_error(&error);
    for (int i = 0; i < 20; i++) {
        json_array_append_new(json_object_get(json, "sigs"), json_string("x"));
    }
    g_assert_null(sl_signed_from_json(json, &error));
    g_assert_error(error, SL_ERROR, SLU_LIMIT);
    g_clear_error(&error);
    g_autoptr(json_t) empty = json_object();
    g_assert_null(sl_signed_from_json(empty, &error));
    g_assert_error(error, SL_ERROR, SLU_JSON_TYPE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/statement/good", test_good);
    g_test_add_func("/statement/refusals", test_refusals);
    g_test_add_func("/statement/size", test_size);
    g_test_add_func("/statement/damaged", test_damaged);
    g_test_add_func("/statement/every-kind", test_every_kind);
    g_test_add_func("/statement/optional", test_optional);
    g_test_add_func("/statement/writer-refuses", test_writer_refuses);
    g_test_add_func("/statement/signed", test_signed);
    return g_test_run();
}
