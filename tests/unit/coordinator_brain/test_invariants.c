/* test_invariants.c - who may sign, what a signature is good for, what never moves an attempt: the
 * rules that must hold whatever happens around them. */
#include "rig.h"

static Rig *rig_ready(bool two)
{
    Rig *rig = rig_new_with(SL_PROFILE_SOLO, two);
    rig_enrol_all(rig);
    rig_push(rig, "c1", "1", "1");
    rig_seal(rig, "dev", "train", "m1", "0.97");
    return rig;
}

static uint64_t ask_as(Rig *rig, const char *person, const char *verb, const char *env)
{
    rig_ask_as(rig, person, "operate", verb, NULL, rig_unit_args("digits", env));
    return (uint64_t)sl_json_int(rig->reply, "attempt", 0);
}

/* The next root: @from replaced by @to in the text of the one in force. */
static void root_step(Rig *rig, const char *from, const char *to)
{
    g_autoptr(json_t) view = rig_view(rig, "roots", NULL);
    const json_t *roots = json_object_get(view, "roots");
    size_t version = json_array_size(roots);
    g_autofree char *old = g_strdup_printf("\nversion: %zu\n", version);
    g_autofree char *new = g_strdup_printf("\nversion: %zu\n", version + 1);
    g_autoptr(GString) text = g_string_new(sl_json_str(json_array_get(roots, version - 1), "text"));
    g_assert_cmpuint(g_string_replace(text, old, new, 1), ==, 1);
    g_assert_cmpuint(g_string_replace(text, from, to, 1), ==, 1);
    g_autofree char *sig =
        sl_sshsig_sign(rig->alice, text->str, text->len, sl_statement_namespace(SL_STATEMENT_ROOT));
    rig_ask(rig, "root", json_pack("{s:s,s:[s]}", "text", text->str, "sigs", sig));
    if (rig->status != 200) {
        g_test_message("%s", sl_json_str_or(rig->reply, "error.message", ""));
    }
    g_assert_cmpint(rig->status, ==, 200);
}

#define TWO "role: env=prod app=* act=promote threshold=2 alice bob"

/* The commits are bob's: he may not approve them, nor may whoever asks. Nobody else is left. */
static void test_excluded(void)
{
    Rig *rig = rig_ready(true);
    root_step(rig, TWO,
              "role: env=prod app=* act=promote threshold=1 exclude=author,requester alice bob");
    uint64_t n = ask_as(rig, "alice", "promote", "prod");
    g_autofree char *author = rig_approve(rig, n, rig->bob);
    g_assert_cmpstr(author, ==, "SLU3110");
    g_autofree char *requester = rig_approve(rig, n, rig->alice);
    g_assert_cmpstr(requester, ==, "SLU3110");
    rig_assert_state(rig, n, "GATING");
    uint64_t other = ask_as(rig, "bob", "promote", "prod");
    g_autofree char *fine = rig_approve(rig, other, rig->alice);
    g_assert_null(fine);
    rig_assert_state(rig, other, "SUCCEEDED");
    rig_free(rig);
}

static json_t *signer(const char *commit, const uint8_t secret[64])
{
    g_autoptr(SlPublicKey) key = rig_key(secret);
    return json_pack("{s:s,s:s}", "commit", commit, "key", key->line);
}

static void push_signed(Rig *rig, const char *name, const char *fleet, json_t *signers)
{
    rig->signers = signers;
    rig_push_tree(rig, name, rig_tree(fleet, name, "1"), false);
    rig->signers = NULL;
    json_decref(signers);
}

/* The source's error as the status shows it; NULL if there is none. */
static char *source_error(Rig *rig)
{
    g_autoptr(json_t) status = rig_view(rig, "status", NULL);
    const json_t *source = json_array_get(json_object_get(status, "sources"), 0);
    return g_strdup(sl_json_str(source, "error"));
}

static void refused_because(Rig *rig, json_t *signers, const char *why)
{
    guint len = rig->ledger->len;
    push_signed(rig, "hostile", RIG_FLEET, signers);
    g_autofree char *error = source_error(rig);
    g_assert_cmpuint(rig->ledger->len, ==, len);
    g_assert_nonnull(strstr(error, "SLU1430"));
    g_assert_nonnull(strstr(error, why));
}

/* Where the documents demand signed commits, nothing unsigned is read, not even documents that no
 * longer demand it; the authors are who signed. */
static void test_signed_commits(void)
{
    Rig *rig = rig_ready(true);
    g_auto(GStrv) parts = g_strsplit(RIG_FLEET, "{name: demo}\n", 2);
    g_autofree char *fleet =
        g_strjoin("{name: demo}\nspec: {commits: {signed: required}}\n", parts[0], parts[1], NULL);
    rig_push_tree(rig, "demand", rig_tree(fleet, "1", "1"), false);
    refused_because(rig, json_pack("[{s:s,s:s}]", "commit", "c0ffee", "why", "it is not signed"),
                    "commit c0ffee: it is not signed");
    uint8_t stranger[64];
    rig_seed(77, stranger);
    refused_because(rig, json_pack("[o]", signer("c0ffee", stranger)), "nobody's key in the root");
    refused_because(rig, json_pack("[o,o]", signer("aa", rig->bob), signer("bb", stranger)),
                    "commit bb: ");
    guint len = rig->ledger->len;
    rig_push(rig, "not looked at", "8", "1"); /* signatures were not asked for: read again */
    g_assert_cmpuint(rig->ledger->len, ==, len);
    push_signed(rig, "good", fleet,
                json_pack("[o,o]", signer("aa", rig->alice), signer("bb", rig->alice)));
    g_autofree char *error = source_error(rig);
    g_assert_null(error);
    g_autoptr(json_t) dump = sl_coord_dump(rig->coord);
    const json_t *source = json_object_get(json_object_get(dump, "sources"), "");
    g_autofree char *text = sl_json_canonical(source, NULL);
    g_assert_nonnull(strstr(text, "\"alice\"")); /* named once, however much she signed */
    g_assert_null(strstr(strstr(text, "\"alice\"") + 1, "\"alice\""));

    uint8_t spare[64];
    rig_seed(55, spare);
    g_autoptr(SlPublicKey) key = rig_key(spare);
    g_autofree char *line = g_strdup_printf("\nkey: bob %s\nkey: bob ", key->line);
    g_autofree char *revoked = g_strdup_printf("\nrevoked: %s\nenvironment: ", key->line);
    refused_because(rig, json_pack("[o]", signer("dd", spare)), "nobody's key");
    rig->refreshed = 0;
    root_step(rig, "\nkey: bob ", line);
    g_assert_cmpuint(rig->refreshed, ==, 1); /* looked at again: the key counts now */
    push_signed(rig, "spare", fleet, json_pack("[o]", signer("dd", spare)));
    g_autofree char *fine = source_error(rig);
    g_assert_null(fine);
    root_step(rig, "\nenvironment: ", revoked);
    refused_because(rig, json_pack("[o]", signer("ee", spare)), "which the root revoked");
    rig_free(rig);
}

static void test_two_keys_one_person(void)
{
    Rig *rig = rig_ready(true);
    uint8_t spare[64];
    rig_seed(55, spare);
    g_autoptr(SlPublicKey) key = rig_key(spare);
    g_autofree char *more = g_strdup_printf("\nkey: alice %s\nkey: bob ", key->line);
    root_step(rig, "\nkey: bob ", more);
    uint64_t n = ask_as(rig, "alice", "promote", "prod");
    g_autofree char *first = rig_approve(rig, n, rig->alice);
    g_assert_null(first);
    g_autofree char *second = rig_approve(rig, n, spare);
    g_assert_cmpstr(second, ==, "SLU3110");
    rig_assert_state(rig, n, "GATING");
    rig_free(rig);
}

/* A key revoked after it signed counts no more; a root that is not the next one, or that drops this
 * coordinator, is refused; agents get each step once. */
static void test_root_steps(void)
{
    Rig *rig = rig_ready(true);
    uint64_t n = ask_as(rig, "alice", "promote", "prod");
    g_autofree char *signed_ = rig_approve(rig, n, rig->bob);
    g_assert_null(signed_);
    root_step(rig, TWO, "role: env=prod app=* act=promote threshold=2 alice bob"); /* nothing */
    guint steps = rig_agent(rig, "prod1")->steps;
    g_assert_cmpuint(rig_agent(rig, "prod1")->root, ==, 2);
    rig_tick(rig, SL_SECOND_US);
    g_assert_cmpuint(rig_agent(rig, "prod1")->steps, ==, steps);
    g_autoptr(json_t) roots = rig_view(rig, "roots", NULL);
    const char *same = sl_json_str(json_array_get(json_object_get(roots, "roots"), 1), "text");
    g_autofree char *sig =
        sl_sshsig_sign(rig->alice, same, strlen(same), sl_statement_namespace(SL_STATEMENT_ROOT));
    rig_ask(rig, "root", json_pack("{s:s,s:[s]}", "text", same, "sigs", sig));
    g_assert_cmpint(rig->status, !=, 200);
    g_autofree char *stranger =
        sl_sshsig_sign(rig->bob, same, strlen(same), sl_statement_namespace(SL_STATEMENT_ROOT));
    rig_ask(rig, "root", json_pack("{s:s,s:[s]}", "text", same, "sigs", stranger));
    g_assert_cmpint(rig->status, !=, 200);
    root_step(rig, TWO, "role: env=prod app=* act=promote threshold=1 alice");
    rig_assert_state(rig, n, "GATING"); /* bob left the role: his signature counts no more */
    g_autofree char *alice = rig_approve(rig, n, rig->alice);
    g_assert_null(alice);
    rig_assert_state(rig, n, "SUCCEEDED");
    rig_restart(rig);
    rig_free(rig);
}

/* A signature over one attempt's bytes is worth nothing for another. */
static void test_not_for_another(void)
{
    Rig *rig = rig_ready(false);
    uint64_t a = ask_as(rig, "alice", "promote", "prod");
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)a));
    const char *text = sl_json_str(view, "statement.text");
    g_autofree char *sig = sl_sshsig_sign(rig->alice, text, strlen(text),
                                          sl_statement_namespace(SL_STATEMENT_PROMOTION));
    uint64_t b = ask_as(rig, "alice", "promote", "prod"); /* the same release: another seq */
    rig_assert_state(rig, a, "SUPERSEDED");
    rig_ask(rig, "approve", json_pack("{s:I,s:s}", "attempt", (json_int_t)b, "signature", sig));
    rig_assert_refused(rig, SLU_SIGNATURE_BAD);
    rig_ask(rig, "approve", json_pack("{s:I,s:s}", "attempt", (json_int_t)a, "signature", sig));
    rig_assert_refused(rig, SLU_ATTEMPT_STATE);
    rig_assert_state(rig, b, "GATING");
    rig_free(rig);
}

/* redeploy: the same bundles under a new number, also when nothing changed. */
static void test_redeploy(void)
{
    Rig *rig = rig_ready(false);
    uint64_t n = ask_as(rig, "alice", "redeploy", "dev");
    g_autoptr(json_t) again = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    g_autoptr(json_t) first = rig_view(rig, "attempt", json_pack("{s:i}", "n", 2));
    g_assert_cmpstr(sl_json_str(again, "state"), ==, "SUCCEEDED");
    g_assert_false(sl_json_bool(again, "unchanged", true));
    g_assert_true(json_equal(json_object_get(again, "targets"), json_object_get(first, "targets")));
    g_assert_cmpint(sl_json_int(again, "seq", 0), ==, sl_json_int(first, "seq", 0) + 1);
    rig_free(rig);
}

/* Never ended by abort or a newer request once committed; abort takes only its own. */
static void test_after_commit(void)
{
    Rig *rig = rig_ready(false);
    Agent *dev = rig_agent(rig, "dev1");
    dev->mute = true;
    rig_push(rig, "c2", "1", "2");
    g_autoptr(json_t) unit = rig_unit(rig, "dev");
    uint64_t n = (uint64_t)sl_json_int(unit, "active.n", 0);
    g_autofree char *state = rig_state(rig, n);
    g_assert_cmpstr(state, ==, "PUBLISHED");
    rig_ask(rig, "abort", json_pack("{s:I}", "attempt", (json_int_t)n));
    rig_assert_refused(rig, SLU_ATTEMPT_STATE);
    rig_push(rig, "c3", "1", "3");
    rig_assert_state(rig, n, "PUBLISHED");
    g_autoptr(json_t) now = rig_unit(rig, "dev");
    uint64_t next =
        (uint64_t)sl_json_int(json_array_get(json_object_get(now, "waiting"), 0), "n", 0);
    g_assert_cmpuint(next, >, n);
    rig_ask(rig, "abort", json_pack("{s:I}", "attempt", (json_int_t)next));
    rig_assert_state(rig, next, "ABORTED");
    rig_assert_state(rig, n, "PUBLISHED");
    dev->mute = false;
    agent_send_report(rig, dev);
    rig_assert_state(rig, n, "SUCCEEDED");
    rig_free(rig);
}

/* A report about other bytes moves nothing; nor does one signed by another cluster. */
static void test_other_report(void)
{
    Rig *rig = rig_ready(false);
    Agent *dev = rig_agent(rig, "dev1"), *prod = rig_agent(rig, "prod1");
    dev->mute = true;
    rig_push(rig, "c2", "1", "2");
    g_autoptr(json_t) unit = rig_unit(rig, "dev");
    uint64_t n = (uint64_t)sl_json_int(unit, "active.n", 0);
    g_autofree char *good = g_strdup(g_hash_table_lookup(dev->applied, "unit/digits/dev"));
    static const char *const members[] = {"bundle", "promotion"};
    for (int i = 0; i < 2; i++) {
        json_t *entry = sl_json_parse(good, strlen(good), NULL, "entry", NULL);
        sl_json_set_str(entry, members[i],
                        "1111111111111111111111111111111111111111111111111111111111111111");
        agent_set(dev, "unit/digits/dev", entry);
        agent_send_report(rig, dev);
        g_autofree char *state = rig_state(rig, n);
        g_assert_cmpstr(state, ==, "PUBLISHED");
    }
    json_t *entry = sl_json_parse(good, strlen(good), NULL, "entry", NULL);
    agent_set(dev, "unit/digits/dev", entry);
    g_autoptr(SlSigned) report = agent_report(rig, dev);
    SlCoordInput in = {.type = SL_COORD_REPORT,
                       .statement = {.curve = prod->curve, .statement = report}};
    rig_step(rig, &in);
    rig_assert_state(rig, n, "PUBLISHED");
    agent_send_report(rig, dev);
    rig_assert_state(rig, n, "SUCCEEDED");
    rig_free(rig);
}

/* An agent that holds a higher number than the ledger (restored ledger, theft of the online key) gets one above it; a number
 * driven out of reach is not followed, nor one that a cluster which joins later would refuse as a leap. */
static void test_agent_ahead(void)
{
    Rig *rig = rig_ready(false);
    Agent *dev = rig_agent(rig, "dev1");
    static const char *const commits[] = {"c2", "c3", "c4"}, *const values[] = {"2", "3", "4"};
    const int64_t ahead[] = {1000, (int64_t)1 << 40, 1000 + ((int64_t)1 << 19)};
    const int64_t then[] = {1001, 1002, 1003};
    for (size_t i = 0; i < G_N_ELEMENTS(ahead); i++) {
        const char *text = g_hash_table_lookup(dev->applied, "unit/digits/dev");
        json_t *entry = sl_json_parse(text, strlen(text), NULL, "entry", NULL);
        sl_json_set_int(entry, "seq", ahead[i]);
        agent_set(dev, "unit/digits/dev", entry);
        agent_send_report(rig, dev);
        dev->mute = true;
        rig_push(rig, commits[i], "1", values[i]);
        g_autoptr(json_t) unit = rig_unit(rig, "dev");
        g_assert_cmpint(sl_json_int(unit, "active.seq", 0), ==, then[i]);
        dev->mute = false;
    }
    rig_free(rig);
}

static void test_metrics(void)
{
    static const char *const metrics[] = {"NaN", "Infinity", "0.94999", "-Infinity"};
    for (size_t i = 0; i < G_N_ELEMENTS(metrics); i++) {
        Rig *rig = rig_new();
        rig_push(rig, "c1", "1", "1");
        rig_seal(rig, "dev", "train", "m1", metrics[i]);
        g_autoptr(json_t) test = rig_unit(rig, "test");
        g_assert_true(json_is_null(json_object_get(test, "release")));
        g_autofree char *text = sl_json_canonical(test, NULL);
        g_test_message("%s", text);
        g_assert_cmpstr(sl_json_str(test, "last.state"), !=, "SUCCEEDED");
        rig_free(rig);
    }
}

/* Targets are fixed when rendered: a new cluster is not counted, a removed one does not hang it. */
static void test_targets_fixed(void)
{
    Rig *rig = rig_ready(false);
    Agent *dev = rig_agent(rig, "dev1"), *two = rig_agent_new(rig, "dev2", "dev", 40);
    g_autoptr(json_t) join = rig_join(rig, "dev2", "dev");
    rig_enrol_with(rig, two, join);
    two->root = 1;
    agent_hello(rig, "dev2");
    two->mute = true;
    rig_push(rig, "c2", "1", "2"); /* for both */
    g_autoptr(json_t) unit = rig_unit(rig, "dev");
    uint64_t n = (uint64_t)sl_json_int(unit, "active.n", 0);
    g_assert_cmpuint(json_array_size(json_object_get(unit, "targets")), ==, 2);
    Agent *three = rig_agent_new(rig, "dev3", "dev", 41);
    g_autoptr(json_t) late = rig_join(rig, "dev3", "dev");
    rig_enrol_with(rig, three, late);
    g_autoptr(json_t) view = rig_view(rig, "attempt", json_pack("{s:I}", "n", (json_int_t)n));
    g_assert_cmpuint(json_object_size(json_object_get(view, "targets")), ==, 2);
    g_assert_nonnull(strstr(sl_json_str(view, "waitingFor"), "dev2"));
    rig_ask(rig, "cluster-remove", json_pack("{s:s}", "name", "dev2"));
    agent_send_report(rig, dev);
    rig_assert_state(rig, n, "SUCCEEDED");
    rig_free(rig);
}

/* A full report in parts, each with a root that fits: nothing is believed gone before the last. */
static void test_parts(void)
{
    Rig *rig = rig_ready(false);
    Agent *dev = rig_agent(rig, "dev1");
    for (int i = 0; i < 90; i++) {
        g_autofree char *key = g_strdup_printf("flag/unlisted/x%d", i);
        agent_set(dev, key, json_pack("{s:s}", "message", "is not listed"));
    }
    g_autoptr(SlMap) map = sl_map_new();
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, dev->applied);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_ptr_array_add(all, g_strdup_printf("%s %s", (char *)key, (char *)value));
    }
    g_ptr_array_sort(all, sl_text_compare); /* the unit is in the last part */
    dev->mute = true; /* what it has here is of before the removal */
    rig_ask(rig, "remove", rig_unit_args("digits", "dev"));
    g_autoptr(json_t) removed = rig_unit(rig, "dev");
    uint64_t n = (uint64_t)sl_json_int(removed, "active.n", 0);
    g_assert_cmpuint(n, >, 0);
    g_autoptr(json_t) status = rig_view(rig, "status", NULL);
    for (guint from = 0; from < all->len; from += 40) {
        g_autoptr(GPtrArray) part = g_ptr_array_new();
        for (guint i = from; i < MIN(from + 40, all->len); i++) {
            const char *line = g_ptr_array_index(all, i), *space = strchr(line, ' ');
            g_autofree char *name = g_strndup(line, (gsize)(space - line));
            g_assert_true(sl_map_set(map, name, space + 1, NULL));
            g_ptr_array_add(part, g_ptr_array_index(all, i));
        }
        g_autofree char *root = sl_map_root(map);
        SlReport report = {.fleet = (char *)(uintptr_t)sl_json_str(status, "fleetId"),
                           .env = dev->env,
                           .cluster = dev->cluster,
                           .boot = "bbbbbbbbccccddddaaaabbbbccccdddd",
                           .counter = from / 40 + 1,
                           .clock_us = rig->now_us,
                           .term = dev->term,
                           .version = dev->version,
                           .root = 1,
                           .registry = 1,
                           .ledger_hash =
                               "0000000000000000000000000000000000000000000000000000000000000000",
                           .applied = root,
                           .applied_count = sl_map_count(map),
                           .full = from == 0,
                           .more = from + 40 < all->len,
                           .changes = part};
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) text = sl_report_format(&report, &error);
        g_assert_no_error(error);
        g_autoptr(SlSigned) s = sl_signed_new(text);
        sl_signed_sign(s, SL_STATEMENT_REPORT, dev->secret);
        SlCoordInput in = {.type = SL_COORD_REPORT,
                           .statement = {.curve = dev->curve, .statement = s}};
        rig_step(rig, &in);
        g_assert_false(dev->want_full); /* the rest is under way */
        rig_assert_state(rig, n, "PUBLISHED");
    }
    g_autoptr(json_t) view = rig_view(rig, "clusters", json_pack("{s:s}", "env", "dev"));
    const json_t *cluster = json_array_get(json_object_get(view, "clusters"), 0);
    g_assert_cmpuint(json_array_size(json_object_get(cluster, "flags")), ==, 90);
    rig_free(rig);
}

/* Whatever waits says for what, since when, until when and who can act. */
static void test_nothing_silent(void)
{
    Rig *rig = rig_ready(false);
    rig_agent(rig, "dev1")->mute = true;
    rig_agent(rig, "test1")->sick = true;
    rig_push(rig, "c2", "1", "2");
    uint64_t n = ask_as(rig, "alice", "promote", "prod");
    g_assert_cmpuint(n, >, 0);
    rig->hold_render = true;
    uint64_t last = ask_as(rig, "alice", "redeploy", "test");
    g_assert_cmpuint(last, >, n);
    guint seen = 0;
    g_autoptr(json_t) view = rig_view(rig, "history", NULL);
    size_t i;
    json_t *each;
    json_array_foreach (json_object_get(view, "attempts"), i, each) {
        if (json_is_null(json_object_get(each, "outcome"))) {
            seen++;
            g_assert_cmpstr(sl_json_str_or(each, "waitingFor", ""), !=, "");
            g_assert_nonnull(sl_json_str(each, "since"));
            g_assert_nonnull(sl_json_str(each, "until"));
            g_assert_cmpuint(json_array_size(json_object_get(each, "who")), >, 0);
        }
    }
    g_assert_cmpuint(seen, >=, 3);
    rig_free(rig);
}

static bool count_order(const char *key, const char *values, void *user)
{
    (void)values;
    *(guint *)user += g_str_has_prefix(key, "order/") ? 1 : 0;
    return true;
}

static guint orders_listed(Rig *rig, const char *cluster)
{
    g_autoptr(SlHead) head = sl_head_parse(rig_agent(rig, cluster)->head->text, NULL);
    g_autoptr(SlMap) map = sl_map_load(head->desired, rig_blob, rig, NULL);
    guint n = 0;
    sl_map_foreach(map, count_order, &n);
    return n;
}

/* An order of an older epoch is void: nobody is told of it, nobody says that it holds. */
static void test_epoch_voids_orders(void)
{
    Rig *rig = rig_ready(false);
    g_autoptr(json_t) draft =
        json_incref(rig_ask(rig, "order-draft",
                            json_pack("{s:s,s:s,s:s,s:s}", "act", "pause", "env", "dev", "expires",
                                      "9h", "reason", "x")));
    rig_ask(rig, "order", json_pack("{s:s}", "text", sl_json_str(draft, "text")));
    g_assert_cmpint(rig->status, ==, 200);
    g_autoptr(json_t) before = rig_unit(rig, "dev");
    g_assert_true(json_is_object(json_object_get(before, "paused")));
    g_assert_cmpuint(orders_listed(rig, "dev1"), ==, 1);
    root_step(rig, "environment: dev epoch=1 ", "environment: dev epoch=2 ");
    g_autoptr(json_t) after = rig_unit(rig, "dev");
    g_assert_true(json_is_null(json_object_get(after, "paused")));
    g_assert_cmpuint(orders_listed(rig, "dev1"), ==, 0);
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/invariants/excluded", test_excluded);
    g_test_add_func("/invariants/signed-commits", test_signed_commits);
    g_test_add_func("/invariants/two-keys-one-person", test_two_keys_one_person);
    g_test_add_func("/invariants/root-steps", test_root_steps);
    g_test_add_func("/invariants/not-for-another", test_not_for_another);
    g_test_add_func("/invariants/redeploy", test_redeploy);
    g_test_add_func("/invariants/after-commit", test_after_commit);
    g_test_add_func("/invariants/other-report", test_other_report);
    g_test_add_func("/invariants/agent-ahead", test_agent_ahead);
    g_test_add_func("/invariants/metrics", test_metrics);
    g_test_add_func("/invariants/targets-fixed", test_targets_fixed);
    g_test_add_func("/invariants/parts", test_parts);
    g_test_add_func("/invariants/nothing-silent", test_nothing_silent);
    g_test_add_func("/invariants/epoch-voids-orders", test_epoch_voids_orders);
    return g_test_run();
}
