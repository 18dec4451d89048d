/* test_sshsig.c - both ways with the real ssh-keygen, a security key's vector, and every refusal of
 * the checklist (ADR 0011). */
#include "base/digest.h"
#include "core/sshsig.h"
#include "core/sshwire.h"

#include <glib/gstdio.h>
#include <sodium.h>
#include <string.h>

#define NS "promotion@sluice.v1"
#define GOLDEN SLUICE_SOURCE_DIR "/tests/unit/core/golden/"

static const char message[] = "format: 1\nkind: promotion\n";
#define MESSAGE_LEN (sizeof message - 1)

static void make_key(uint8_t first, uint8_t secret[64])
{
    uint8_t seed[32] = {first};
    uint8_t public_[32];
    crypto_sign_seed_keypair(public_, secret, seed);
}

static char *scratch(void)
{
    GError *error = NULL;
    char *dir = g_dir_make_tmp("sluice-sshsig-XXXXXX", &error);
    g_assert_no_error(error);
    return dir;
}

static void remove_dir(const char *dir)
{
    g_autoptr(GDir) open = g_dir_open(dir, 0, NULL);
    for (const char *name = g_dir_read_name(open); name != NULL; name = g_dir_read_name(open)) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_unlink(path);
    }
    g_rmdir(dir);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static char *read_file(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* Runs a shell line in @dir: the words are the test's own. Its exit status. */
static int run_in(const char *dir, const char *line, char **ret_out)
{
    const char *argv[] = {"/bin/sh", "-c", line, NULL};
    int status = -1;
    g_autoptr(GError) error = NULL;
    g_autofree char *err = NULL;
    g_autofree char *out = NULL;
    g_assert_true(g_spawn_sync(dir, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err,
                               &status, &error));
    g_assert_no_error(error);
    g_test_message("%s: %d: %s%s", line, status, out, err);
    if (ret_out != NULL) {
        *ret_out = g_steal_pointer(&out);
    }
    return status;
}

/* Our private key file is read by ssh-keygen; what it signs we verify, and it signs the same bytes
 * as we. */
static void test_with_ssh_keygen(void)
{
    g_autofree char *dir = scratch();
    uint8_t secret[64];
    make_key(1, secret);
    g_autoptr(SlPublicKey) public_ = sl_public_key_from_ed25519(secret + 32);
    g_autofree char *file = sl_private_key_format(secret, "alice@x.test", 0x01020304);
    write_file(dir, "key", file);
    write_file(dir, "text", message);
    g_autofree char *derived = NULL;
    g_assert_cmpint(run_in(dir, "ssh-keygen -y -f key", &derived), ==, 0);
    g_autofree char *expected = g_strdup_printf("%s alice@x.test\n", public_->line);
    g_assert_cmpstr(derived, ==, expected);
    g_autofree char *shown = NULL;
    g_assert_cmpint(run_in(dir, "ssh-keygen -y -f key >key.pub; ssh-keygen -l -f key.pub", &shown),
                    ==, 0);
    g_autofree char *fingerprint = sl_public_key_fingerprint(public_);
    g_assert_nonnull(strstr(shown, fingerprint));

    g_assert_cmpint(run_in(dir, "ssh-keygen -q -Y sign -f key -n " NS " <text >theirs", NULL), ==,
                    0);
    g_autofree char *theirs = read_file(dir, "theirs");
    g_autofree char *ours = sl_sshsig_sign(secret, message, MESSAGE_LEN, NS);
    g_assert_cmpstr(ours, ==, theirs);
    g_autoptr(SlPublicKey) signer = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_sshsig_verify(theirs, message, MESSAGE_LEN, NS, &signer, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(signer->line, ==, public_->line);

    write_file(dir, "sig", ours);
    g_autofree char *allowed = g_strdup_printf("alice %s\n", public_->line);
    write_file(dir, "allowed", allowed);
    g_assert_cmpint(
        run_in(dir, "ssh-keygen -Y verify -f allowed -I alice -n " NS " -s sig <text", NULL), ==,
        0);
    g_assert_cmpint(
        run_in(dir, "ssh-keygen -Y verify -f allowed -I alice -n head@sluice.v1 -s sig <text",
               NULL),
        !=, 0);
    remove_dir(dir);
}

static void test_hash_sha256(void)
{
    g_autofree char *dir = scratch();
    uint8_t secret[64];
    make_key(2, secret);
    g_autofree char *file = sl_private_key_format(secret, "", 7);
    write_file(dir, "key", file);
    write_file(dir, "text", message);
    g_assert_cmpint(
        run_in(dir, "ssh-keygen -q -Y sign -O hashalg=sha256 -f key -n " NS " <text >sig", NULL),
        ==, 0);
    g_autofree char *armour = read_file(dir, "sig");
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_sshsig_verify(armour, message, MESSAGE_LEN, NS, NULL, &error));
    g_assert_no_error(error);
    remove_dir(dir);
}

static void test_their_private_key(void)
{
    g_autofree char *dir = scratch();
    g_assert_cmpint(run_in(dir, "ssh-keygen -q -t ed25519 -N '' -C 'a comment' -f key", NULL), ==,
                    0);
    g_autofree char *file = read_file(dir, "key");
    g_autofree char *line = read_file(dir, "key.pub");
    uint8_t secret[64] = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_private_key_parse(file, strlen(file), secret, &error));
    g_autoptr(SlPublicKey) of_secret = sl_public_key_from_ed25519(secret + 32);
    g_autoptr(SlPublicKey) of_line = sl_public_key_parse(line, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(of_secret->line, ==, of_line->line);

    g_assert_cmpint(run_in(dir, "ssh-keygen -q -p -N secret -f key", NULL), ==, 0);
    g_autofree char *locked = read_file(dir, "key");
    g_assert_false(sl_private_key_parse(locked, strlen(locked), secret, &error));
    g_assert_error(error, SL_ERROR, SLU_KEY_FORMAT);
    g_assert_nonnull(strstr(error->message, "use ssh-agent"));
    g_clear_error(&error);
    file[strlen(file) / 2] ^= 1; /* one digit of base64 */
    g_assert_false(sl_private_key_parse(file, strlen(file), secret, &error));
    g_assert_error(error, SL_ERROR, SLU_KEY_FORMAT);
    g_clear_error(&error);
    g_assert_false(sl_private_key_parse("", 0, secret, &error));
    g_assert_error(error, SL_ERROR, SLU_KEY_FORMAT);
    remove_dir(dir);
}

/* What a test bends before it is armoured. The defaults make a good signature. */
typedef struct {
    uint32_t version;
    const char *namespace_, *reserved, *hash, *type;
    bool sk, malleate, long_signature, trailing_inner, trailing_outer, no_counter;
    uint8_t flags;
    const char *application;
    const uint8_t *point; /* instead of the key's */
} Bend;

/* Cases bend fields of GOOD: the later value is meant. */
#pragma GCC diagnostic ignored "-Woverride-init"
#define GOOD                                                                                       \
    .version = 1, .namespace_ = NS, .reserved = "", .hash = "sha512", .flags = 1,                  \
    .application = "ssh:"

/* S + L: the same signature for a verifier that does not look. */
static void add_order(uint8_t s[32])
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    unsigned carry = 0;
    for (int i = 0; i < 32; i++) {
        carry += (unsigned)s[i] + order[i];
        s[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static GByteArray *signature_of(const uint8_t secret[64], const Bend *bend,
                                GByteArray *signed_bytes)
{
    uint8_t raw[65] = {0};
    g_autoptr(GByteArray) sk = g_byte_array_new();
    uint8_t digest[32];
    const uint8_t flags_counter[5] = {bend->flags, 0, 0, 0, 42};
    if (bend->sk) {
        sl_sha256_raw(bend->application, strlen(bend->application), digest);
        g_byte_array_append(sk, digest, 32);
        g_byte_array_append(sk, flags_counter, 5);
        sl_sha256_raw(signed_bytes->data, signed_bytes->len, digest);
        g_byte_array_append(sk, digest, 32);
    }
    const GByteArray *what = bend->sk ? sk : signed_bytes;
    crypto_sign_detached(raw, NULL, what->data, what->len, secret);
    if (bend->malleate) {
        add_order(raw + 32);
    }
    GByteArray *out = g_byte_array_new();
    const char *own_type = bend->sk ? SL_SSH_SK_ED25519 : SL_SSH_ED25519;
    sl_ssh_put_text(out, bend->type != NULL ? bend->type : own_type);
    sl_ssh_put_string(out, raw, bend->long_signature ? 65 : 64);
    if (bend->sk && !bend->no_counter) {
        g_byte_array_append(out, flags_counter, 5);
    }
    if (bend->trailing_inner) {
        g_byte_array_append(out, (const uint8_t *)"x", 1);
    }
    return out;
}

static GByteArray *blob_of(const Bend *bend)
{
    uint8_t secret[64];
    make_key(3, secret);
    uint8_t digest[64];
    crypto_hash_sha512(digest, (const uint8_t *)message, MESSAGE_LEN);
    g_autoptr(GByteArray) signed_bytes = g_byte_array_new();
    g_byte_array_append(signed_bytes, (const uint8_t *)"SSHSIG", 6);
    sl_ssh_put_text(signed_bytes, bend->namespace_);
    sl_ssh_put_text(signed_bytes, bend->reserved);
    sl_ssh_put_text(signed_bytes, bend->hash);
    sl_ssh_put_string(signed_bytes, digest, 64);
    g_autoptr(GByteArray) signature = signature_of(secret, bend, signed_bytes);
    g_autoptr(GByteArray) key = g_byte_array_new();
    sl_ssh_put_text(key, bend->sk ? SL_SSH_SK_ED25519 : SL_SSH_ED25519);
    sl_ssh_put_string(key, bend->point != NULL ? bend->point : secret + 32, 32);
    if (bend->sk) {
        sl_ssh_put_text(key, bend->application);
    }
    GByteArray *blob = g_byte_array_new();
    g_byte_array_append(blob, (const uint8_t *)"SSHSIG", 6);
    sl_ssh_put_u32(blob, bend->version);
    sl_ssh_put_string(blob, key->data, key->len);
    sl_ssh_put_text(blob, bend->namespace_);
    sl_ssh_put_text(blob, bend->reserved);
    sl_ssh_put_text(blob, bend->hash);
    sl_ssh_put_string(blob, signature->data, signature->len);
    if (bend->trailing_outer) {
        g_byte_array_append(blob, (const uint8_t *)"x", 1);
    }
    return blob;
}

static void expect(const char *armour, int code, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlPublicKey) key = NULL;
    bool good = sl_sshsig_verify(armour, message, MESSAGE_LEN, NS, &key, &error);
    if (code == 0) {
        g_assert_no_error(error);
        g_assert_true(good);
        return;
    }
    g_assert_false(good);
    g_assert_null(key);
    g_assert_error(error, SL_ERROR, code);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, part));
}

/* By one key that is known already: the same answers, and nothing computed for any other. */
static void test_by(void)
{
    uint8_t public_[32], secret[64], other_secret[64];
    crypto_sign_keypair(public_, secret);
    crypto_sign_keypair(public_, other_secret);
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(secret + 32);
    g_autofree char *good = sl_sshsig_sign(secret, message, MESSAGE_LEN, NS);
    g_autofree char *other = sl_sshsig_sign(other_secret, message, MESSAGE_LEN, NS);
    g_autofree char *elsewhere = sl_sshsig_sign(secret, message, MESSAGE_LEN, "head@sluice.v1");
    g_autofree char *shorter = sl_sshsig_sign(secret, message, MESSAGE_LEN - 1, NS);
    g_assert_cmpint(sl_sshsig_verify_by(good, message, MESSAGE_LEN, NS, key), ==, SL_SSHSIG_GOOD);
    g_assert_cmpint(sl_sshsig_verify_by(shorter, message, MESSAGE_LEN, NS, key), ==, SL_SSHSIG_BAD);
    g_assert_cmpint(sl_sshsig_verify_by(other, message, MESSAGE_LEN, NS, key), ==, SL_SSHSIG_OTHER);
    g_assert_cmpint(sl_sshsig_verify_by(elsewhere, message, MESSAGE_LEN, NS, key), ==,
                    SL_SSHSIG_OTHER);
    g_assert_cmpint(sl_sshsig_verify_by("x", message, MESSAGE_LEN, NS, key), ==, SL_SSHSIG_OTHER);
    g_assert_cmpint(sl_sshsig_verify_by(NULL, message, MESSAGE_LEN, NS, key), ==, SL_SSHSIG_OTHER);
}

static void test_refusals(void)
{
    static const uint8_t small_order[32] = {1}; /* the neutral element */
    static const uint8_t not_canonical[32] = {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                              0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                              0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                              0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
    const struct {
        Bend bend;
        int code;
        const char *part;
    } cases[] = {
        {{GOOD}, 0, ""},
        {{GOOD, .version = 2}, SLU_SIGNATURE_FORMAT, "version 2"},
        {{GOOD, .version = 0}, SLU_SIGNATURE_FORMAT, "version 0"},
        {{GOOD, .reserved = "x"}, SLU_SIGNATURE_FORMAT, "reserved"},
        {{GOOD, .namespace_ = "head@sluice.v1"}, SLU_SIGNATURE_NAMESPACE, "head@sluice.v1"},
        {{GOOD, .namespace_ = ""}, SLU_SIGNATURE_NAMESPACE, NS},
        {{GOOD, .hash = "sha1"}, SLU_SIGNATURE_FORMAT, "sha512 nor sha256"},
        {{GOOD, .hash = "sha256"}, SLU_SIGNATURE_BAD, "does not fit"},
        {{GOOD, .malleate = true}, SLU_SIGNATURE_BAD, "does not fit"},
        {{GOOD, .long_signature = true}, SLU_SIGNATURE_FORMAT, "64 bytes"},
        {{GOOD, .trailing_inner = true}, SLU_SIGNATURE_FORMAT, "bytes after"},
        {{GOOD, .trailing_outer = true}, SLU_SIGNATURE_FORMAT, "bytes after"},
        {{GOOD, .type = "sk-ssh-ed25519@openssh.com"}, SLU_SIGNATURE_FORMAT, "the key's type"},
        {{GOOD, .type = "ssh-rsa"}, SLU_SIGNATURE_FORMAT, "the key's type"},
        {{GOOD, .point = small_order}, SLU_KEY_FORMAT, "ed25519 point"},
        {{GOOD, .point = not_canonical}, SLU_KEY_FORMAT, "ed25519 point"},
        {{GOOD, .sk = true}, 0, ""},
        {{GOOD, .sk = true, .flags = 5}, 0, ""},
        {{GOOD, .sk = true, .flags = 4}, SLU_SIGNATURE_BAD, "user-present"},
        {{GOOD, .sk = true, .no_counter = true}, SLU_SIGNATURE_FORMAT, "counter"},
        {{GOOD, .sk = true, .trailing_inner = true}, SLU_SIGNATURE_FORMAT, "bytes after"},
        {{GOOD, .sk = true, .type = "ssh-ed25519"}, SLU_SIGNATURE_FORMAT, "the key's type"},
        {{GOOD, .sk = true, .malleate = true}, SLU_SIGNATURE_BAD, "does not fit"},
        {{GOOD, .sk = true, .application = ""}, SLU_KEY_FORMAT, "application"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("case %zu", i);
        g_autoptr(GByteArray) blob = blob_of(&cases[i].bend);
        g_autofree char *armour = sl_ssh_armour("SSH SIGNATURE", blob->data, blob->len);
        expect(armour, cases[i].code, cases[i].part);
    }
}

/* Every truncation and every flipped bit of a good blob is refused, and none reads past its end. */
static void test_damaged(void)
{
    for (int sk = 0; sk < 2; sk++) {
        const Bend bend = {GOOD, .sk = sk == 1};
        g_autoptr(GByteArray) blob = blob_of(&bend);
        for (guint len = 0; len < blob->len; len++) {
            uint8_t *exact = g_memdup2(blob->data, len);
            g_autofree char *armour = sl_ssh_armour("SSH SIGNATURE", exact, len);
            g_free(exact);
            g_assert_false(sl_sshsig_verify(armour, message, MESSAGE_LEN, NS, NULL, NULL));
        }
        for (guint bit = 0; bit < 8 * blob->len; bit++) {
            blob->data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            g_autofree char *armour = sl_ssh_armour("SSH SIGNATURE", blob->data, blob->len);
            g_autoptr(GError) error = NULL;
            g_assert_false(sl_sshsig_verify(armour, message, MESSAGE_LEN, NS, NULL, &error));
            g_assert_nonnull(error);
            blob->data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
    }
}

static char *replaced(const char *text, const char *from, const char *to)
{
    g_auto(GStrv) parts = g_strsplit(text, from, 2);
    g_assert_cmpuint(g_strv_length(parts), ==, 2);
    return g_strjoinv(to, parts);
}

static void test_armour(void)
{
    const Bend bend = {GOOD, .sk = true}; /* of a length that needs padding */
    g_autoptr(GByteArray) blob = blob_of(&bend);
    g_autofree char *armour = sl_ssh_armour("SSH SIGNATURE", blob->data, blob->len);
    g_autofree char *no_lf = g_strndup(armour, strlen(armour) - 1);
    expect(no_lf, 0, "");
    g_autofree char *crlf = replaced(armour, "\n", "\r\n");
    g_autofree char *space = replaced(armour, "\n", " \n");
    g_autofree char *two_lf = g_strconcat(armour, "\n", NULL);
    g_autofree char *before = g_strconcat("x", armour, NULL);
    g_autofree char *label = replaced(armour, "BEGIN SSH", "BEGIN PGP");
    const char *body = strchr(armour, '\n') + 1;
    g_autofree char *rewrapped =
        g_strdup_printf("-----BEGIN SSH SIGNATURE-----\n%.10s\n%s", body, body + 10);
    g_autofree char *one_bit = g_strdup(armour);
    char *padding = strstr(one_bit, "=\n-----END");
    g_assert_nonnull(padding);
    padding[padding[-1] == '=' ? -2 : -1]++; /* spare bits that a lax decoder drops */
    const char *bad[] = {"", crlf, space, two_lf, before, label, rewrapped, one_bit, NULL};
    for (size_t i = 0; bad[i] != NULL; i++) {
        g_test_message("armour %zu", i);
        expect(bad[i], SLU_SIGNATURE_FORMAT, "canonical");
    }
    expect(NULL, SLU_SIGNATURE_FORMAT, "canonical");
    g_autofree char *big = g_strnfill(5000, 'A');
    expect(big, SLU_SIGNATURE_FORMAT, "4096");
}

static void test_other_text(void)
{
    uint8_t secret[64];
    make_key(4, secret);
    g_autofree char *armour = sl_sshsig_sign(secret, "other", 5, NS);
    expect(armour, SLU_SIGNATURE_BAD, "does not fit");
}

/* As ssh-agent answers: the blob is wrapped, and what is not the key's is refused. */
static void test_wrap(void)
{
    uint8_t secret[64];
    make_key(5, secret);
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(secret + 32);
    g_autoptr(GBytes) preamble = sl_sshsig_preamble(message, MESSAGE_LEN, NS);
    size_t len = 0;
    const uint8_t *bytes = g_bytes_get_data(preamble, &len);
    uint8_t raw[64];
    crypto_sign_detached(raw, NULL, bytes, len, secret);
    g_autoptr(GByteArray) blob = g_byte_array_new();
    sl_ssh_put_text(blob, "ssh-ed25519");
    sl_ssh_put_string(blob, raw, 64);
    g_autoptr(GError) error = NULL;
    g_autofree char *wrapped = sl_sshsig_wrap(key, blob->data, blob->len, NS, &error);
    g_assert_no_error(error);
    g_autofree char *signed_ = sl_sshsig_sign(secret, message, MESSAGE_LEN, NS);
    g_assert_cmpstr(wrapped, ==, signed_);
    g_assert_null(sl_sshsig_wrap(key, blob->data, blob->len - 1, NS, &error));
    g_assert_error(error, SL_ERROR, SLU_SIGNATURE_FORMAT);
}

static void test_public_key_lines(void)
{
    uint8_t secret[64];
    make_key(6, secret);
    g_autoptr(SlPublicKey) key = sl_public_key_from_ed25519(secret + 32);
    g_autofree char *with_comment = g_strdup_printf("%s a comment here\n", key->line);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlPublicKey) parsed = sl_public_key_parse(with_comment, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(parsed->line, ==, key->line);
    g_autoptr(SlPublicKey) copy = sl_public_key_copy(parsed);
    g_assert_cmpstr(copy->line, ==, key->line);
    g_autofree char *wrong_type =
        g_strdup_printf("sk-ssh-ed25519@openssh.com %s", strchr(key->line, ' ') + 1);
    const char *bad[] = {"",
                         "ssh-ed25519",
                         "ssh-ed25519 ",
                         "ssh-ed25519 AAAA",
                         "ssh-rsa AAAAB3NzaC1yc2E=",
                         wrong_type,
                         "ssh-ed25519  x",
                         NULL};
    for (size_t i = 0; bad[i] != NULL; i++) {
        g_clear_error(&error);
        g_assert_null(sl_public_key_parse(bad[i], &error));
        g_assert_error(error, SL_ERROR, SLU_KEY_FORMAT);
    }
    g_clear_error(&error);
    g_assert_null(sl_public_key_parse(NULL, &error));
    g_assert_error(error, SL_ERROR, SLU_KEY_FORMAT);
}

/* Files made once by ssh-keygen (OpenSSH 9.2): what we accept today we accept for ever. */
static void test_golden(void)
{
    g_autofree char *text = read_file(GOLDEN, "sshsig.txt");
    g_autofree char *armour = read_file(GOLDEN, "sshsig.sig");
    g_autofree char *line = read_file(GOLDEN, "sshsig.pub");
    g_autoptr(GError) error = NULL;
    g_autoptr(SlPublicKey) expected = sl_public_key_parse(line, &error);
    g_autoptr(SlPublicKey) key = NULL;
    g_assert_true(sl_sshsig_verify(armour, text, strlen(text), NS, &key, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(key->line, ==, expected->line);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sshsig/with-ssh-keygen", test_with_ssh_keygen);
    g_test_add_func("/sshsig/hash-sha256", test_hash_sha256);
    g_test_add_func("/sshsig/their-private-key", test_their_private_key);
    g_test_add_func("/sshsig/refusals", test_refusals);
    g_test_add_func("/sshsig/damaged", test_damaged);
    g_test_add_func("/sshsig/armour", test_armour);
    g_test_add_func("/sshsig/other-text", test_other_text);
    g_test_add_func("/sshsig/wrap", test_wrap);
    g_test_add_func("/sshsig/public-key-lines", test_public_key_lines);
    g_test_add_func("/sshsig/by", test_by);
    g_test_add_func("/sshsig/golden", test_golden);
    return g_test_run();
}
