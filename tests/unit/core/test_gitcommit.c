/* test_gitcommit.c - the strict splitter of commits: what it reads, and every way to be refused. */
#include "core/gitcommit.h"
#include "golden_file.h"
#include <sodium.h>
#include <string.h>

#define TREE "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
#define PARENT "parent 0123456789abcdef0123456789abcdef01234567\n"
#define AUTHOR "author Ada Lovelace <ada@example.org> 1700000000 +0100\n"
#define COMMITTER "committer Build <build@example.org> 1700000001 -0930\n"
#define HEAD TREE PARENT AUTHOR COMMITTER
#define PGP "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ=\n -----END PGP SIGNATURE-----\n"

static SlGitCommit *parse(const char *text, GError **error)
{
    return sl_gitcommit_parse(text, strlen(text), error);
}

static void test_reads(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlGitCommit) c =
        parse(HEAD "encoding UTF-8\nmergetag object 12\n type commit\n \n text\nHG:extra a:b\n"
                   "\nsubject line\r\nrest\xff\n",
              &error);
    g_assert_no_error(error);
    g_assert_cmpstr(c->tree, ==, "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    g_assert_cmpuint(c->parents->len, ==, 1);
    g_assert_cmpstr(c->author.name, ==, "Ada Lovelace");
    g_assert_cmpstr(c->author.email, ==, "ada@example.org");
    g_assert_cmpint(c->author.time_us, ==, INT64_C(1700000000000000));
    g_assert_cmpstr(c->committer.email, ==, "build@example.org");
    g_assert_cmpstr(c->encoding, ==, "UTF-8");
    g_autofree char *subject = sl_gitcommit_subject(c);
    g_assert_cmpstr(subject, ==, "subject line");
    g_assert_cmpint(c->signing, ==, SL_GIT_UNSIGNED);
    g_assert_null(sl_gitcommit_signer(c, &error));
    expect_error(&error, SLU_COMMIT_SIGNATURE, "not signed");
}

static void test_refused(void)
{
    static const struct {
        const char *text;
        int code;
        const char *says;
    } bad[] = {
        {"", SLU_COMMIT_FORMAT, "no empty line"},
        {"\n\n", SLU_COMMIT_FORMAT, "first header is not tree"},
        {HEAD, SLU_COMMIT_FORMAT, "no empty line"},
        {AUTHOR TREE COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "first header is not tree"},
        {TREE TREE AUTHOR COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "here must stand one author"},
        {TREE AUTHOR PARENT COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "here must stand one committer"},
        {TREE COMMITTER AUTHOR "\nx\n", SLU_COMMIT_FORMAT, "here must stand one author"},
        {TREE AUTHOR AUTHOR COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "here must stand one committer"},
        {HEAD COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "committer stands twice or too late"},
        {HEAD PARENT "\nx\n", SLU_COMMIT_FORMAT, "parent stands twice or too late"},
        {HEAD "encoding a\nencoding b\n\nx\n", SLU_COMMIT_FORMAT, "encoding stands twice"},
        {HEAD PGP PGP "\nx\n", SLU_COMMIT_FORMAT, "gpgsig stands twice"},
        {HEAD "gpgsig-sha256 x\n\nx\n", SLU_COMMIT_FORMAT, "does not belong into a SHA-1"},
        {HEAD "gpgsigx y\n\nx\n", SLU_COMMIT_FORMAT, "does not belong into a SHA-1"},
        {HEAD " continued\n\nx\n", SLU_COMMIT_FORMAT, "continuation line without a header"},
        {HEAD "nospace\n\nx\n", SLU_COMMIT_FORMAT, "no header line"},
        {HEAD "b\xc3\xa4 x\n\nx\n", SLU_COMMIT_FORMAT, "no header line"},
        {TREE AUTHOR "committer Build <b@x> 1 +0000\r\n\nx\n", SLU_COMMIT_FORMAT,
         "carriage return"},
        {"tree 4B825DC642CB6EB9A060E54BF8D69288FBEE4904\n" AUTHOR COMMITTER "\nx\n",
         SLU_COMMIT_FORMAT, "tree is not 40"},
        {TREE "parent 0123\n" AUTHOR COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "parent is not 40"},
        {TREE "author Ada <a@x> 1 +0000 <b@y> 2 +0000\n" COMMITTER "\nx\n", SLU_COMMIT_FORMAT,
         "author is not"},
        {TREE "author Ada <a@x>> 1 +0000\n" COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "author is not"},
        {TREE "author Ada <a@<x> 1 +0000\n" COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "author is not"},
        {TREE "author Ada<a@x> 1 +0000\n" COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "author is not"},
        {TREE "author Ada <a@x>\n" COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "author is not"},
        {TREE "author Ada <a@x> -1 +0000\n" COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "author is not"},
        {TREE "author Ada <a@x> 01 +0000\n" COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "author is not"},
        {TREE "author Ada <a@x> 1 +000\n" COMMITTER "\nx\n", SLU_COMMIT_FORMAT, "author is not"},
        {TREE "author Ada <a@x> 9223372036855 +0000\n" COMMITTER "\nx\n", SLU_COMMIT_FORMAT,
         "author is not"},
        {TREE "author \xe9 <a@x> 1 +0000\n" COMMITTER "\nx\n", SLU_COMMIT_FORMAT,
         "names no encoding"},
        {TREE "author Ada <\xe9@x> 1 +0000\n" COMMITTER "encoding ISO-8859-1\n\nx\n",
         SLU_COMMIT_FORMAT, "e-mail of its author"},
        {TREE "author Ada <a\xe2\x80\xae@x> 1 +0000\n" COMMITTER "\nx\n", SLU_COMMIT_FORMAT,
         "e-mail of its author"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(bad[i].text, &error));
        expect_error(&error, bad[i].code, bad[i].says);
        g_assert_null(parse(bad[i].text, NULL));
    }
    static const char nul[] = HEAD "\nshown\0hidden\n";
    g_autoptr(GError) error = NULL;
    g_assert_null(sl_gitcommit_parse(nul, sizeof nul - 1, &error));
    expect_error(&error, SLU_COMMIT_FORMAT, "NUL");
}

/* A name in an old encoding is read if the commit says so. */
static void test_encoding(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlGitCommit) c =
        parse(TREE "author Ren\xe9 <r@x> 1 +0000\n" COMMITTER "encoding ISO-8859-1\n\nx\n", &error);
    g_assert_no_error(error);
    g_assert_true(g_utf8_validate(c->author.name, -1, NULL));
    g_assert_true(g_str_has_prefix(c->author.name, "Ren"));
}

static void test_limits(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(TREE);
    for (int i = 0; i <= SL_GITCOMMIT_PARENTS_MAX; i++)
        g_string_append(text, PARENT);
    g_string_append(text, AUTHOR COMMITTER "\nx\n");
    g_assert_null(parse(text->str, &error));
    expect_error(&error, SLU_LIMIT, "more than 256 parents");
    g_string_assign(text, HEAD "note ");
    for (int i = 0; i < SL_GITCOMMIT_HEADERS_MAX; i++)
        g_string_append_c(text, 'x');
    g_string_append(text, "\n\nx\n");
    g_assert_null(parse(text->str, &error));
    expect_error(&error, SLU_LIMIT, "headers have more than");
    g_string_set_size(text, SL_GITCOMMIT_BYTES_MAX + 1);
    g_assert_null(sl_gitcommit_parse(text->str, text->len, &error));
    expect_error(&error, SLU_LIMIT, "more than 1048576");
}

/* As Git writes it: "gpgsig " and each line of the armour, folded. */
static char *with_signature(const char *headers, const char *armour, const char *message)
{
    g_auto(GStrv) lines = g_strsplit(armour, "\n", -1);
    g_autoptr(GString) text = g_string_new(headers);
    for (size_t i = 0; lines[i] != NULL && lines[i][0] != '\0'; i++)
        g_string_append_printf(text, "%s%s\n", i == 0 ? "gpgsig " : " ", lines[i]);
    g_string_append(text, message);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void test_signed(void)
{
    static const uint8_t seed[32] = {7};
    uint8_t public[32], secret[64];
    crypto_sign_seed_keypair(public, secret, seed);
    static const char payload[] = HEAD "\nsigned\n";
    g_autofree char *armour = sl_sshsig_sign(secret, payload, sizeof payload - 1, "git");
    g_autofree char *text = with_signature(HEAD, armour, "\nsigned\n");
    g_autoptr(GError) error = NULL;
    g_autoptr(SlGitCommit) c = parse(text, &error);
    g_assert_no_error(error);
    g_assert_cmpint(c->signing, ==, SL_GIT_SSHSIG);
    g_assert_cmpstr(c->signature, ==, armour);
    g_autoptr(GBytes) wanted = g_bytes_new_static(payload, sizeof payload - 1);
    g_assert_true(g_bytes_equal(c->payload, wanted));
    g_autoptr(SlPublicKey) key = sl_gitcommit_signer(c, &error);
    g_assert_no_error(error);
    g_assert_true(memcmp(key->ed25519, public, sizeof public) == 0);

    g_autofree char *changed = with_signature(HEAD, armour, "\nchanged\n");
    g_autoptr(SlGitCommit) other = parse(changed, &error);
    g_assert_null(sl_gitcommit_signer(other, &error));
    expect_error(&error, SLU_SIGNATURE_BAD, "does not fit");
    g_autofree char *file = sl_sshsig_sign(secret, payload, sizeof payload - 1, "file");
    g_autofree char *wrong = with_signature(HEAD, file, "\nsigned\n");
    g_autoptr(SlGitCommit) filed = parse(wrong, &error);
    g_assert_null(sl_gitcommit_signer(filed, &error));
    expect_error(&error, SLU_SIGNATURE_NAMESPACE, "must be under \"git\"");
}

static void test_other_signatures(void)
{
    static const struct {
        const char *header, *says;
    } others[] = {{PGP, "PGP"},
                  {"gpgsig -----BEGIN SIGNED MESSAGE-----\n x\n", "X.509"},
                  {"gpgsig hello\n", "no known kind"}};
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autofree char *text = g_strconcat(HEAD, others[i].header, "\nx\n", NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(SlGitCommit) c = parse(text, &error);
        g_assert_no_error(error);
        g_assert_null(sl_gitcommit_signer(c, &error));
        expect_error(&error, SLU_COMMIT_SIGNATURE, others[i].says);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gitcommit/reads", test_reads);
    g_test_add_func("/gitcommit/refused", test_refused);
    g_test_add_func("/gitcommit/encoding", test_encoding);
    g_test_add_func("/gitcommit/limits", test_limits);
    g_test_add_func("/gitcommit/signed", test_signed);
    g_test_add_func("/gitcommit/other-signatures", test_other_signatures);
    return g_test_run();
}
