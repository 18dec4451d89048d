/* test_rootedit.c - the next root: made here, signed here, handed on while signatures are missing; a file from others is checked first. */
#include "cli/rootedit.h"
#include "link/keys.h"
#include "rig.h"

typedef struct {
    Rig *r;
    uint8_t alice[64], online[64];
    SlRoot *root;
} Fixture;

static void load(Fixture *f, const char *name, uint8_t secret[64])
{
    g_autofree char *path = rig_path(f->r, name);
    g_autoptr(GError) error = NULL;
    g_assert_true(sl_signing_key_load(path, true, name, secret, &error));
    g_assert_no_error(error);
}

/* A fleet whose root version 1 alice signed; @threshold of root keys asked for from now on. */
static Fixture fixture(SlProfile profile)
{
    Fixture f = {.r = rig_new()};
    load(&f, "alice", f.alice);
    load(&f, "online", f.online);
    static const char *const envs[] = {"dev", "prod", NULL};
    g_autoptr(SlPublicKey) alice = sl_public_key_from_ed25519(f.alice + 32);
    g_autoptr(SlPublicKey) online = sl_public_key_from_ed25519(f.online + 32);
    SlRootNew how = {.fleet = "5f1c000000000000000000000000000000000000000000000000000000000000", .profile = profile, .person = "alice",
                     .email = "alice@x.test", .person_key = alice, .online_key = online, .envs = envs, .now_us = sl_cli_now_us()};
    g_autoptr(GError) error = NULL;
    f.root = sl_root_new(&how, &error);
    g_assert_no_error(error);
    g_autoptr(GBytes) text = sl_root_format(f.root, &error);
    g_autoptr(SlSigned) s = sl_signed_new(text);
    sl_signed_sign(s, SL_STATEMENT_ROOT, f.alice);
    g_autoptr(json_t) roots = json_pack("{s:[o]}", "roots", sl_signed_to_json(s));
    g_autofree char *answer = sl_json_canonical(roots, NULL), *key = rig_path(f.r, "alice");
    rig_says(f.r, "GET /v1/roots", answer);
    rig_says(f.r, "POST /v1/actions/root", "{\"ok\":true,\"version\":2}");
    SlContext context = {.name = (char[]){"f"}, .socket = f.r->socket, .person = (char[]){"alice"}, .key = key};
    g_assert_true(sl_context_save(&context, NULL));
    return f;
}

static void done(Fixture *f)
{
    sl_root_free(f->root);
    rig_free(f->r);
}

/* The root that was posted, accepted as the step after the first. */
static SlRoot *posted(const Fixture *f)
{
    g_assert_cmpuint(f->r->posted->len, ==, 1);
    const char *body = g_ptr_array_index(f->r->posted, 0);
    g_assert_true(g_str_has_prefix(body, "/v1/actions/root "));
    g_autoptr(json_t) json = sl_json_parse(strchr(body, '{'), strlen(strchr(body, '{')), NULL, "body", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(SlSigned) s = sl_signed_from_json(json_object_get(json, "args"), &error);
    g_assert_no_error(error);
    SlRoot *next = sl_root_accept_next(f->root, s, &error);
    g_assert_no_error(error);
    return next;
}

static void test_add_person(void)
{
    Fixture f = fixture(SL_PROFILE_SOLO);
    uint8_t bob[64];
    load(&f, "bob", bob);
    assert_code(f.r, RUN(f.r, "root", "add-person", "bob", "bob@x.test", "bob.pub", "--like", "alice", "--yes"), 0);
    assert_has(f.r->err, "  + person: bob bob@x.test");
    assert_has(f.r->out, "root version 2 is in force");
    g_autoptr(SlRoot) next = posted(&f);
    g_assert_cmpuint(next->version, ==, 2);
    const SlPerson *person = sl_root_person(next, "bob");
    g_assert_true(person != NULL && sl_root_person_can_sign(next, person));
    for (guint i = 0; i < next->roles->len; i++) {
        const SlRole *role = g_ptr_array_index(next->roles, i);
        const char *const *people = (const char *const *)role->people;
        g_assert_true(g_strv_contains(people, "alice") == g_strv_contains(people, "bob"));
    }
    done(&f);
}

static void test_refusals(void)
{
    Fixture f = fixture(SL_PROFILE_SOLO);
    rig_put(f.r, "junk.pub", "no key\n");
    assert_code(f.r, RUN(f.r, "root", "add-person", "Bob", "bob@x.test", "junk.pub", "--yes"), SL_EXIT_USAGE);
    assert_code(f.r, RUN(f.r, "root", "add-person", "bob", "nomail", "junk.pub", "--yes"), SL_EXIT_USAGE);
    assert_code(f.r, RUN(f.r, "root", "add-person", "bob", "b@x", "junk.pub", "--yes"), 3);
    assert_has(f.r->err, "junk.pub");
    assert_code(f.r, RUN(f.r, "root", "add-person", "bob", "b@x", "online.pub", "--like", "eve", "--yes"), 4);
    /* The online key may belong to nobody: the core's own rules are asked before anybody signs. */
    int code = RUN(f.r, "root", "add-person", "bob", "b@x", "online.pub", "--yes");
    g_assert_true(code != 0 && f.r->posted->len == 0);
    assert_code(f.r, RUN(f.r, "root", "rotate", "junk.pub", "alice.pub", "--yes"), 3);
    assert_code(f.r, RUN(f.r, "root", "show", "7"), 4);
    assert_code(f.r, RUN(f.r, "key", "list"), 0);
    assert_has(f.r->out, "yours root");
    assert_has(f.r->out, "(coordinator)");
    assert_code(f.r, RUN(f.r, "key", "list", "-o", "json"), 0);
    g_autoptr(json_t) keys = sl_json_parse(f.r->out, strlen(f.r->out), NULL, "out", NULL);
    g_assert_cmpuint(json_array_size(keys), ==, 2);
    g_assert_true(sl_json_bool(json_array_get(keys, 0), "yours", false));
    done(&f);
}

static void test_rotate(void)
{
    Fixture f = fixture(SL_PROFILE_SOLO);
    uint8_t fresh[64];
    load(&f, "fresh", fresh);
    assert_code(f.r, RUN(f.r, "root", "rotate", "online.pub", "fresh.pub", "--revoke", "--yes"), 0);
    g_autoptr(SlRoot) next = posted(&f);
    g_autoptr(SlPublicKey) now = sl_public_key_from_ed25519(fresh + 32);
    g_autoptr(SlPublicKey) old = sl_public_key_from_ed25519(f.online + 32);
    g_assert_true(sl_root_is_online_key(next, now) && !sl_root_is_online_key(next, old) && sl_root_is_revoked(next, old));
    done(&f);
}

/* @root as a file from another person, signed by @secret or by nobody. */
static void put_file(const Fixture *f, const char *name, SlRoot *root, const uint8_t *secret)
{
    g_autoptr(GBytes) text = sl_root_format(root, NULL);
    g_autoptr(SlSigned) s = sl_signed_new(text);
    if (secret != NULL) {
        sl_signed_sign(s, SL_STATEMENT_ROOT, secret);
    }
    g_autoptr(json_t) json = sl_signed_to_json(s);
    g_autofree char *content = sl_json_canonical(json, NULL);
    rig_put(f->r, name, content);
}

static void test_sign_file(void)
{
    Fixture f = fixture(SL_PROFILE_SOLO);
    f.root->version = 3;
    put_file(&f, "jump.json", f.root, NULL);
    f.root->version = 2;
    put_file(&f, "good.json", f.root, NULL);
    g_free(f.root->fleet);
    f.root->fleet = g_strdup("6f1c000000000000000000000000000000000000000000000000000000000000");
    put_file(&f, "foreign.json", f.root, NULL);
    rig_put(f.r, "hostile.json", "{\"text\":\"format: 1\\nkind: root\\u001b[2J\\n\",\"sigs\":[]}");
    assert_code(f.r, RUN(f.r, "root", "sign", "jump.json", "--yes"), 6);
    assert_has(f.r->err, "root version 3, and 1 is in force");
    assert_code(f.r, RUN(f.r, "root", "sign", "foreign.json", "--yes"), 6);
    assert_has(f.r->err, "of fleet 6f1c");
    assert_code(f.r, RUN(f.r, "root", "sign", "hostile.json", "--yes"), 3);
    g_assert_null(strchr(f.r->err, '\033'));
    g_assert_cmpuint(f.r->posted->len, ==, 0); /* nothing was signed */
    assert_code(f.r, RUN(f.r, "root", "sign", "good.json"), SL_EXIT_NO); /* no terminal, no --yes */
    assert_code(f.r, RUN(f.r, "root", "sign", "good.json", "--yes"), 0);
    g_assert_cmpuint(f.r->posted->len, ==, 1);
    done(&f);
}

/* Two of two must sign: the first one's file goes to the second. */
static void test_two_signers(void)
{
    Fixture f = fixture(SL_PROFILE_SOLO);
    uint8_t bob[64];
    load(&f, "bob", bob);
    SlPerson *person = g_new0(SlPerson, 1);
    *person = (SlPerson){.name = g_strdup("bob"), .emails = g_strsplit("bob@x.test", " ", -1), .keys = g_ptr_array_new_with_free_func((GDestroyNotify)sl_public_key_free)};
    g_ptr_array_add(person->keys, sl_public_key_from_ed25519(bob + 32));
    g_ptr_array_add(f.root->people, person);
    SlRootKey *pair = g_new0(SlRootKey, 1);
    *pair = (SlRootKey){.person = g_strdup("bob"), .key = sl_public_key_from_ed25519(bob + 32)};
    g_ptr_array_add(f.root->root_keys, pair);
    f.root->root_threshold = 2;
    f.root->version = 2;
    put_file(&f, "root-2.json", f.root, NULL);
    assert_code(f.r, RUN(f.r, "root", "sign", "root-2.json", "--yes"), SL_EXIT_WAITING);
    assert_has(f.r->out, "not enough signatures yet");
    g_assert_cmpuint(f.r->posted->len, ==, 0);
    assert_code(f.r, RUN(f.r, "key", "use", "bob"), 0);
    assert_code(f.r, RUN(f.r, "root", "sign", "root-2.json", "--yes"), 0);
    assert_has(f.r->out, "root version 2 is in force");
    g_assert_cmpuint(f.r->posted->len, ==, 1);
    done(&f);
}

/* A change that needs a second signature, and then another one: the first is not lost. */
static void test_second_change(void)
{
    Fixture f = fixture(SL_PROFILE_SOLO);
    uint8_t fresh[64];
    load(&f, "fresh", fresh);
    rig_put(f.r, "root-2.json", "the first");
    assert_code(f.r, RUN(f.r, "root", "rotate", "alice.pub", "fresh.pub", "--yes"), 5);
    assert_has(f.r->err, "root-2.json: is there already and is not overwritten");
    assert_code(f.r, RUN(f.r, "root", "rotate", "alice.pub", "fresh.pub", "--out", "other.json", "--yes"), SL_EXIT_WAITING);
    done(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rootedit/add-person", test_add_person);
    g_test_add_func("/rootedit/refusals", test_refusals);
    g_test_add_func("/rootedit/rotate", test_rotate);
    g_test_add_func("/rootedit/sign-file", test_sign_file);
    g_test_add_func("/rootedit/two-signers", test_two_signers);
    g_test_add_func("/rootedit/second-change", test_second_change);
    return g_test_run();
}
