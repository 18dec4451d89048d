/* test_authors.c - who is an author of a release: whoever came since the application's release
 * before, nobody else, and nobody forgotten. */
#include "coordinator/brain/brain.h"
#include "rig.h"

static void push_by(Rig *rig, const char *name, const char *fleet, const char *serve,
                    const char *author)
{
    rig->authors = json_pack("[s]", author);
    rig_push_tree(rig, name, rig_tree(fleet, "1", serve), false);
    g_clear_pointer(&rig->authors, json_decref);
}

static json_t *last_minted(Rig *rig)
{
    for (guint i = rig->ledger->len; i > 0; i--) {
        json_t *event = g_ptr_array_index(rig->ledger, i - 1);
        if (strcmp(sl_json_str(event, "type"), "ReleaseMinted") == 0) {
            return event;
        }
    }
    g_assert_not_reached();
}

static void assert_authors(Rig *rig, const char *subject, const char *wanted)
{
    const json_t *event = last_minted(rig);
    g_assert_cmpstr(sl_json_str(event, "subject"), ==, subject);
    g_auto(GStrv) authors = sl_json_strv_at(event, "authors");
    g_autofree char *text = g_strjoinv(" ", authors);
    g_assert_cmpstr(text, ==, wanted);
}

static void test_since_the_last_release(void)
{
    Rig *rig = rig_new();
    push_by(rig, "c1", RIG_FLEET, "1", "alice@x.test");
    assert_authors(rig, "c1", "alice@x.test");
    push_by(rig, "c2", RIG_FLEET, "2", "bob@x.test");
    assert_authors(rig, "c2", "bob@x.test");
    push_by(rig, "elsewhere", RIG_FLEET "\n", "2", "carol@x.test"); /* changes no application */
    rig_restart(rig);
    push_by(rig, "c3", RIG_FLEET, "3", "dave@x.test");
    assert_authors(rig, "c3", "dave@x.test");
    rig_free(rig);
}

/* While the documents, the application's own or its folder are broken, who comes is remembered. */
static void test_broken_meanwhile(void)
{
    static const char *const broken[] = {
        "kind: [\n",                                          /* all documents */
        RIG_FLEET "  oops: 1\n",                              /* hers */
        RIG_API "kind: Fleet\nmetadata: {name: demo}\n---\n", /* is gone */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        Rig *rig = rig_new();
        push_by(rig, "c1", RIG_FLEET, "1", "alice@x.test");
        push_by(rig, "c2", broken[i], "2", "bob@x.test");
        push_by(rig, "c3", broken[i], "3", "carol@x.test");
        assert_authors(rig, "c1", "alice@x.test");
        rig_restart(rig);
        push_by(rig, "c4", RIG_FLEET, "3", "dave@x.test");
        assert_authors(rig, "c4", "bob@x.test carol@x.test dave@x.test");
        push_by(rig, "c5", RIG_FLEET, "4", "erin@x.test");
        assert_authors(rig, "c5", "erin@x.test");
        rig_free(rig);
    }
}

/* A folder that no release had may have been filled by anybody, at any time. */
static void test_new_folder(void)
{
    Rig *rig = rig_new();
    push_by(rig, "c1", RIG_FLEET, "1", "alice@x.test");
    push_by(rig, "c2", RIG_FLEET, "2", "bob@x.test");
    g_auto(GStrv) parts = g_strsplit(RIG_FLEET, "[train]", 2);
    g_autofree char *fleet = g_strjoin("[train, more]", parts[0], parts[1], NULL);
    SlTree *tree = rig_tree(fleet, "1", "2");
    sl_tree_memory_put(
        tree, "digits/more/map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {a: \"1\"}\n",
        SL_TREE_FILE);
    rig->authors = json_pack("[s]", "carol@x.test");
    rig_push_tree(rig, "c3", tree, false);
    g_clear_pointer(&rig->authors, json_decref);
    assert_authors(rig, "c3", "alice@x.test bob@x.test carol@x.test");
    rig_free(rig);
}

/* The list has an end; who fell off it may be anybody, so nobody may approve what they may have
 * changed. What was released meanwhile is nobody else's. */
static void test_forgotten(void)
{
    Rig *rig = rig_new();
    rig->check = false; /* 6,000 authors after each step */
    push_by(rig, "c1", RIG_FLEET, "1", "alice@x.test");
    for (guint n = 0; n < 6; n++) {
        g_autofree char *name = g_strdup_printf("b%u", n);
        rig->authors = json_array();
        for (guint i = 0; i < 1000; i++) {
            g_autofree char *email = g_strdup_printf("%u@x.test", n * 1000 + i);
            json_array_append_new(rig->authors, json_string(email));
        }
        rig_push_tree(rig, name, rig_tree(n < 5 ? "kind: [\n" : RIG_FLEET, "1", "2"), false);
        g_clear_pointer(&rig->authors, json_decref);
    }
    g_auto(GStrv) authors = sl_json_strv_at(last_minted(rig), "authors");
    g_assert_cmpuint(g_strv_length(authors), ==, 4096 + 1);
    g_assert_true(g_strv_contains((const char *const *)authors, SL_AUTHOR_EVERYONE));
    g_assert_true(g_strv_contains((const char *const *)authors, "5999@x.test"));
    rig_assert_same(rig);
    push_by(rig, "c2", RIG_FLEET, "3", "bob@x.test");
    assert_authors(rig, "c2", "bob@x.test");
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/authors/since-the-last-release", test_since_the_last_release);
    g_test_add_func("/authors/broken-meanwhile", test_broken_meanwhile);
    g_test_add_func("/authors/new-folder", test_new_folder);
    g_test_add_func("/authors/forgotten", test_forgotten);
    return g_test_run();
}
