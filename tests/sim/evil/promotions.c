/* promotions.c - forged promotions: of units that nobody has (a row is a unit of its own, so that the
 * true one goes on beside it), of the true unit, and bytes that never come right. */
#include "evil.h"

#define NEVER_NUMBER (UINT64_C(1) << 40) /* beyond any jump */

static void point_at(Forging *f, const char *bundle)
{
    g_autofree char *targets = forge_map_of(f->w, f->a->cluster, bundle);
    put_text(&f->p->targets, targets);
}

static void listing(Forging *f, const char *text)
{
    g_autofree char *bundle = forge_blob(f->w, text);
    point_at(f, bundle);
}

static void buckets(Forging *f, const char *const *texts, size_t count)
{
    g_autofree char *targets = forge_buckets(f->w, texts, count);
    put_text(&f->p->targets, targets);
}

/* ---- who signed ---- */

static void is_remove(Forging *f)
{
    f->p->act = SL_ACT_REMOVE;
    listing(f, "");
}

static void borrowed(Forging *f)
{
    g_autofree char *good = forge_good(f->w, f->a);
    const SlSigned *s = g_hash_table_lookup(f->w->statements, good);
    f->sigs = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < s->sigs->len; i++) {
        g_ptr_array_add(f->sigs, g_strdup(s->sigs->pdata[i]));
    }
}

/* A signature of alice's under another kind's namespace. */
static void other_kind(Forging *f)
{
    g_autoptr(GBytes) text = sl_promotion_format(f->p, NULL);
    f->sigs = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(f->sigs, sl_sshsig_sign(forge_key(f->w, "alice"), g_bytes_get_data(text, NULL),
                                            g_bytes_get_size(text),
                                            sl_statement_namespace(SL_STATEMENT_ORDER)));
}

static void by_requester(Forging *f)
{
    is_remove(f);
    put_text(&f->p->requester, "alice");
}

static void by_author(Forging *f)
{
    const char *authors[] = {"alice@x.test", NULL};
    is_remove(f);
    put_text(&f->p->requester, "bob");
    g_strfreev(f->p->authors);
    f->p->authors = g_strdupv((char **)(uintptr_t)authors);
}

static void is_rollback(Forging *f)
{
    f->p->act = SL_ACT_ROLLBACK;
}

static void is_redeploy(Forging *f)
{
    f->p->act = SL_ACT_REDEPLOY;
}

static void is_glass(Forging *f)
{
    f->p->act = SL_ACT_BREAK_GLASS;
}

static void bad_act(Forging *f)
{
    g_autoptr(GBytes) text = sl_promotion_format(f->p, NULL);
    g_autofree char *old = g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
    g_auto(GStrv) parts = g_strsplit(old, "\nact: promote\n", 2);
    f->text = g_strjoinv("\nact: registry\n", parts);
}

/* ---- for whom, when ---- */

static void other_fleet(Forging *f)
{
    g_autofree char *zero = g_strnfill(64, '0');
    put_text(&f->p->fleet, zero);
}

static void is_dev(Forging *f)
{
    put_text(&f->p->env, "dev");
}

static void other_unit(Forging *f)
{
    put_text(&f->p->app, "another");
}

static void other_epoch(Forging *f)
{
    f->p->epoch += 8; /* more than people raise it meanwhile */
}

static void untargeted(Forging *f)
{
    g_autofree char *bundle = forge_bundle(f->w, f->a);
    g_autofree char *targets = forge_map_of(f->w, "prod99", bundle);
    put_text(&f->p->targets, targets);
}

static void auto_other(Forging *f)
{
    const Agent *dev = agent_in(f->w, "dev", 0);
    g_autofree char *theirs = dev != NULL ? forge_good(f->w, dev) : NULL;
    const SlSigned *s = theirs != NULL ? g_hash_table_lookup(f->w->statements, theirs) : NULL;
    f->vain = s == NULL; /* nothing runs there, or its agent is down: nothing is wrong with it */
    if (s != NULL) {
        g_hash_table_replace(f->w->forged_statements, g_strdup(theirs), sl_signed_copy(s));
        put_text(&f->p->auto_rollback_to, theirs);
    }
}

static void leap(Forging *f)
{
    f->p->seq = NEVER_NUMBER;
}

static void last_number(Forging *f)
{
    f->p->seq = INT64_MAX;
}

static void late(Forging *f)
{
    f->p->activate_until_us = f->w->now - SL_MINUTE_US / 2;
}

/* ---- bytes ---- */

static void no_map(Forging *f)
{
    g_autofree char *targets = forge_blob(f->w, "not a map\n");
    put_text(&f->p->targets, targets);
}

static void two_lines(Forging *f, const char *first, const char *second)
{
    g_autofree char *evil = forge_bundle(f->w, f->a);
    g_autofree char *text = g_strdup_printf("%s %s\n%s %s\n", first, evil, second, evil);
    const char *const texts[] = {text};
    buckets(f, texts, 1);
}

static void unsorted(Forging *f)
{
    two_lines(f, "prod99", f->a->cluster);
}

static void duplicate(Forging *f)
{
    two_lines(f, f->a->cluster, f->a->cluster);
}

/* Two buckets for one entry, and it lies in both. */
static void misplaced(Forging *f)
{
    g_autofree char *evil = forge_bundle(f->w, f->a);
    g_autoptr(GString) all = g_string_new(NULL);
    for (int i = 0; i < 8; i++) { /* some belong into either half */
        g_string_append_printf(all, "%s%c %s\n", f->a->cluster, 'a' + i, evil);
    }
    g_autofree char *text = g_strdup_printf("%s %s\n%s", f->a->cluster, evil, all->str);
    const char *const texts[] = {text, text};
    buckets(f, texts, 2);
}

static void no_digest(Forging *f)
{
    point_at(f, "yes");
}

static void list_order(Forging *f)
{
    g_autofree char *list = forge_list_text(f->w, f->a);
    g_autofree char *more = g_strdup_printf("withheld zz/Z - z item -\n%s", list);
    listing(f, more);
}

static void edit_list(Forging *f, const char *was, const char *is)
{
    g_autofree char *list = forge_list_text(f->w, f->a);
    g_auto(GStrv) parts = g_strsplit(list, was, 2);
    g_autofree char *text = g_strjoinv(is, parts);
    f->vain = g_strv_length(parts) < 2;
    listing(f, text);
}

static void list_name(Forging *f)
{
    edit_list(f, " - serve ", " - other ");
}

static void list_size(Forging *f)
{
    g_autofree char *digest = forge_server(f->w, f->a);
    GBytes *object = forge_find(f->w, digest);
    g_autofree char *was = g_strdup_printf(" %zu %s", g_bytes_get_size(object), digest),
                    *is = g_strdup_printf(" %zu %s", g_bytes_get_size(object) + 1, digest);
    edit_list(f, was, is);
}

static void one_object(Forging *f, const char *kind, const char *name, const char *object)
{
    g_autofree char *digest = forge_blob(f->w, object);
    g_autofree char *text =
        g_strdup_printf("object %s - %s %zu %s\n", kind, name, strlen(object), digest);
    listing(f, text);
}

static void no_run_key(Forging *f)
{
    one_object(f, "gitops.sluice/TrainingJob", "mine",
               "{\"apiVersion\":\"gitops.sluice/v1alpha1\",\"kind\":\"TrainingJob\",\"metadata\":{"
               "\"name\":\"mine\"},\"spec\":{\"command\":[\"/bin/true\"]}}");
}

static void privileged(Forging *f)
{
    one_object(f, "core/Namespace", "mine",
               "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"mine\"}}");
}

#define UNAPPROVED KIND("unapproved", SLU_AGENT_UNAPPROVED)
#define UNSIGNED KIND("unsigned", SLU_AGENT_SIGNER)
#define HEALTHY KIND("never-healthy", SLU_AGENT_NEVER_HEALTHY)
#define BYTES KIND("wrong-bytes", SLU_AGENT_WRONG_BYTES)
#define BAD_MAP KIND("wrong-bytes", SLU_MAP_INVALID)

static const Attack PROMOTIONS[] = {
    ROW("online-only", UNAPPROVED, "online", NULL),
    ROW("nobody", UNSIGNED, "", NULL),
    ROW("stranger", UNSIGNED, "mallory", NULL),
    ROW("borrowed", UNSIGNED, "", borrowed),
    ROW("other-kind", UNSIGNED, "", other_kind),
    ROW("two-one", UNAPPROVED, "alice", is_remove),
    ROW("two-twice", UNAPPROVED, "alice,alice", is_remove),
    ROW("two-keys", UNAPPROVED, "alice,alice-2", is_remove),
    ROW("two-revoked", UNAPPROVED, "alice,bob-revoked", is_remove),
    ROW("two-online", UNAPPROVED, "alice,online", is_remove),
    ROW("strict-requester", UNAPPROVED, "alice", by_requester),
    ROW("strict-author", UNAPPROVED, "alice", by_author),
    ROW("roll", UNAPPROVED, "online", is_rollback),
    ROW("redeploy", UNAPPROVED, "online", is_redeploy),
    ROW("glass", UNAPPROVED, "online", is_glass),
    ROW("no-role", UNAPPROVED, "alice", is_glass),
    ROW("no-act", KIND("malformed", SLU_STATEMENT_FORMAT), "alice", bad_act),
    ROW("fleet", KIND("other-fleet", SLU_AGENT_OTHER_FLEET), "alice", other_fleet),
    ROW("env", KIND("other-environment", SLU_AGENT_OTHER_ENV), "online", is_dev),
    ROW("unit", KIND("other-unit", SLU_AGENT_OTHER_UNIT), "alice", other_unit),
    ROW("epoch", KIND("epoch", SLU_AGENT_EPOCH), "alice", other_epoch),
    ROW("untargeted", KIND("not-target", SLU_AGENT_NOT_TARGET), "alice", untargeted),
    ROW("back", HEALTHY, "alice", is_rollback),
    ROW("auto-other", KIND("never-healthy", SLU_AGENT_OTHER_UNIT), "alice", auto_other),
    ROW("leap", KIND("jump", SLU_AGENT_JUMP), "alice", leap),
    ROW("last", KIND("jump", SLU_AGENT_JUMP), "alice", last_number),
    TIMED("late", KIND("window", SLU_AGENT_WINDOW), "alice", late),
    ROW("no-map", BAD_MAP, "alice", no_map),
    ROW("unsorted", BAD_MAP, "alice", unsorted),
    ROW("duplicate", BAD_MAP, "alice", duplicate),
    ROW("misplaced", BAD_MAP, "alice", misplaced),
    ROW("no-digest", BYTES, "alice", no_digest),
    ROW("list-order", BYTES, "alice", list_order),
    ROW("list-name", BYTES, "alice", list_name),
    ROW("list-size", BYTES, "alice", list_size),
    ROW("no-run-key", KIND("object-policy", SLU_AGENT_OBJECT_POLICY), "alice", no_run_key),
    ROW("privileged", KIND("object-policy", SLU_AGENT_OBJECT_POLICY), "alice", privileged),
};

static void list_it(Forging *f, const char *digest)
{
    g_hash_table_replace(f->lines, g_strdup_printf("unit/%s/%s", f->unit, f->a->env),
                         g_strdup(digest));
    hand_list(f->w, f->a, f->lines);
}

static char *forge_it(Forging *f)
{
    if (f->attack->edit != NULL) {
        f->attack->edit(f);
    }
    g_autoptr(GBytes) text = sl_promotion_format(f->p, NULL);
    return text != NULL && !f->vain ? forge_statement(f, SL_STATEMENT_PROMOTION, text) : NULL;
}

void fire_promotion(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    g_auto(Forging) f = {0};
    forge_begin(&f, w, attack, a);
    g_autofree char *digest = f.p != NULL ? forge_it(&f) : NULL;
    if (digest == NULL) {
        return;
    }
    forge_never(w, a, attack, digest);
    list_it(&f, digest);
    shot->entry = attack->kind != NULL ? g_strdup_printf("refused/unit/%s/%s", f.unit, a->env)
                                       : g_strdup_printf("flag/waits/%s/%s", f.unit, a->env);
}

/* ---- of the true unit ---- */

static void same_seq(Forging *f)
{
    g_autoptr(SlPromotion) now = forge_promotion_in_force(f->w, f->a);
    f->p->seq = now->seq;
}

static void known_seq(Forging *f)
{
    g_autofree char *good = forge_good(f->w, f->a);
    same_seq(f);
    f->vain = !forge_is_known(f->w, f->a, "promotion", good);
}

static void next_seq(Forging *f)
{
    same_seq(f);
    f->p->seq++;
}

static void seq_leaps(Forging *f)
{
    same_seq(f);
    f->p->seq += NEVER_NUMBER;
}

static void dev_names_prod(Forging *f)
{
    next_seq(f);
    is_dev(f);
}

static void back_to_new(Forging *f)
{
    next_seq(f);
    is_rollback(f);
}

static void old_glass(Forging *f)
{
    g_autoptr(SlPromotion) now = forge_promotion_in_force(f->w, f->a);
    g_autofree char *list = forge_list_text(f->w, f->a);
    same_seq(f);
    f->p->seq--;
    is_glass(f);
    listing(f, list);
}

/* A promotion of people that leaves everything out, without a word about pruning. */
static void takes_all(Forging *f)
{
    next_seq(f);
    f->p->allow_prune = false;
    listing(f, "");
}

static void removes_to_something(Forging *f)
{
    next_seq(f);
    f->p->act = SL_ACT_REMOVE;
}

static void expired_next(Forging *f)
{
    next_seq(f);
    late(f);
}

/* Before the one in force: what alice did sign once. */
static void older(Forging *f)
{
    g_autoptr(SlPromotion) now = forge_promotion_in_force(f->w, f->a);
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, f->w->statements);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_autoptr(SlPromotion) p = sl_promotion_parse(((SlSigned *)value)->text, NULL);
        bool before = p != NULL && strcmp(p->env, now->env) == 0 && strcmp(p->app, now->app) == 0 &&
                      p->seq < now->seq;
        if (before && (f->as == NULL || strcmp(key, f->as) < 0)) {
            put_text(&f->as, key);
        }
    }
}

static const Attack OWN[] = {
    ROW("other-bytes-same-seq", KIND("seq-reused", SLU_AGENT_SEQ_BYTES), "alice", known_seq),
    ROW("older-seq", KIND("replay", SLU_AGENT_REPLAY), NULL, older),
    ROW("next-seq-online", UNAPPROVED, "online", next_seq),
    ROW("dev-names-prod", KIND("other-environment", SLU_AGENT_OTHER_ENV), "online", dev_names_prod),
    ROW("seq-leap", KIND("jump", SLU_AGENT_JUMP), "alice", seq_leaps),
    ROW("back-to-new", HEALTHY, "alice", back_to_new),
    ROW("old-glass", KIND("replay", SLU_AGENT_REPLAY), "alice", old_glass),
    ROW("takes-all", KIND("prune-share", SLU_AGENT_PRUNE_SHARE), "alice", takes_all),
    ROW("removes-to-something", BYTES, "alice", removes_to_something),
    TIMED("expired-next", KIND("window", SLU_AGENT_WINDOW), "alice", expired_next),
};

void fire_own(World *w, const Attack *attack, Agent *a, Shot *shot)
{
    g_auto(Forging) f = {0};
    forge_begin(&f, w, attack, a);
    if (f.p == NULL) {
        return;
    }
    (void)g_strlcpy(f.unit, forge_app(w), sizeof(f.unit));
    put_text(&f.p->app, f.unit);
    g_autofree char *forged = attack->edit != older ? forge_it(&f) : NULL;
    if (forged != NULL) {
        forge_never(w, a, attack, forged);
    } else {
        older(&f);
    }
    const char *digest = forged != NULL ? forged : f.as;
    if (digest != NULL) {
        list_it(&f, digest);
        shot->entry = g_strdup_printf("refused/unit/%s/%s", f.unit, a->env);
    }
}

/* ---- bytes that never come right: it waits, and says for what ---- */

static void future(Forging *f)
{
    f->p->not_before_us = f->w->now + 2 * SL_HOUR_US;
    f->p->activate_until_us = f->w->now + 3 * SL_HOUR_US;
}

static void no_statement(Forging *f)
{
    f->hidden = true;
}

static void other_statement(Forging *f)
{
    f->as = sl_sha256_hex(f->attack->name, strlen(f->attack->name));
}

static void other_bucket(Forging *f)
{
    g_autofree char *evil = forge_bundle(f->w, f->a);
    g_autofree char *honest = g_strdup_printf("%s %s\n", f->a->cluster, f->p->policy);
    g_autofree char *wrong = g_strdup_printf("%s %s\n", f->a->cluster, evil);
    const char *const texts[] = {honest};
    buckets(f, texts, 1);
    g_autofree char *digest = sl_sha256_hex(honest, strlen(honest));
    forge_blob_as(f->w, digest, wrong);
}

static void other_list(Forging *f)
{
    g_autofree char *digest = sl_sha256_hex(f->unit, strlen(f->unit));
    g_autofree char *list = forge_list_text(f->w, f->a);
    forge_blob_as(f->w, digest, list);
    point_at(f, digest);
}

static void other_object(Forging *f)
{
    g_autofree char *evil = forge_bundle(f->w, f->a);
    GBytes *bytes = g_hash_table_lookup(f->w->forged_blobs, evil);
    g_autofree char *list = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_autofree char *nowhere = sl_sha256_hex(f->unit, strlen(f->unit));
    char *digest = strstr(list, "object gitops.sluice/ModelServer ");
    digest = digest != NULL ? strchr(digest, '\n') : NULL;
    f->vain = digest == NULL;
    if (digest != NULL) {
        memcpy(digest - 64, nowhere, 64);
        forge_blob_as(f->w, nowhere, "{}");
        listing(f, list);
    }
}

static const Attack WAITING[] = {
    {.name = "future", .signers = "alice", .edit = future, .like = "not before", .timed = true},
    WAITS("no-statement", "alice", no_statement, "fetches the statement"),
    WAITS("wrong-statement", "alice", other_statement, "fetches the statement"),
    WAITS("wrong-bucket", "alice", other_bucket, "fetches what its checks need"),
    WAITS("wrong-list", "alice", other_list, "fetches the bundle's list"),
    WAITS("wrong-object", "alice", other_object, "more blobs"),
};

const AttackTable ATTACKS_PROMOTIONS = {"promotion", PROMOTIONS, G_N_ELEMENTS(PROMOTIONS),
                                        fire_promotion};
const AttackTable ATTACKS_OWN = {"unit", OWN, G_N_ELEMENTS(OWN), fire_own};
const AttackTable ATTACKS_WAITING = {"bytes", WAITING, G_N_ELEMENTS(WAITING), fire_promotion};
