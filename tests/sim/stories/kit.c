/* kit.c - plots, applications, people. */
#include "kit.h"

#define LOOK_US (6 * SL_SECOND_US) /* people look this often: views cost more than all else */

/* ---- plots ---- */

static void plot_free(void *data)
{
    Plot *p = data;
    ask_clear(&p->ask);
    ask_clear(&p->second);
    g_free(p->text);
    g_free(p->about);
    g_free(p);
}

Plot *plot_begin(World *w, const PlotStep *steps, size_t count)
{
    Plot *p = g_new0(Plot, 1);
    p->steps = steps;
    p->count = (int)count;
    p->since = w->now;
    w->story_data = p;
    w->story_free = plot_free;
    return p;
}

bool plot_over(const World *w)
{
    const Plot *p = w->story_data;
    return p->step >= p->count;
}

const char *plot_stands(const World *w)
{
    const Plot *p = w->story_data;
    return plot_over(w) ? "over" : p->steps[p->step].name;
}

void plot_step(World *w)
{
    Plot *p = w->story_data;
    if (plot_over(w) || w->coord == NULL || w->now < p->slept + LOOK_US) {
        return;
    }
    int before = p->step;
    p->slept = w->now;
    if (p->steps[before].done(w, p) && p->step == before) {
        p->step = before + 1;
    }
    if (p->step != before) {
        say(w, "== %s: done ==", p->steps[before].name);
        ask_clear(&p->ask);
        ask_clear(&p->second);
        g_clear_pointer(&p->text, g_free);
        p->since = w->now;
        p->slept = 0;
    }
}

/* ---- applications ---- */

#define DOCUMENT "apiVersion: gitops.sluice/v1alpha1\nkind: "

const char KIT_ENVS[] =
    DOCUMENT "Fleet\nmetadata: {name: sim}\n---\n" DOCUMENT
             "Environment\nmetadata: {name: dev}\nspec: {promotion: newest, healthTimeout: "
             "3m}\n---\n" DOCUMENT "Environment\nmetadata: {name: test}\nspec: {after: [dev], "
             "promotion: newest, healthTimeout: 3m}\n---\n" DOCUMENT
             "Environment\nmetadata: {name: prod}\nspec: {after: [test], promotion: manual, "
             "healthTimeout: 3m}\n";

static void put_app(GString *documents, const KitApp *app)
{
    const char *gate = app->gate ? "gates: [{run: {job: train, in: dev, require: "
                                   "[\"final.accuracy >= 0.95\"], noBaseline: pass}}], "
                                 : "";
    g_string_append_printf(documents, "---\n" DOCUMENT "Application\nmetadata: {name: %s}\nspec:\n",
                           app->name);
    g_string_append_printf(documents, "  %s: {path: %s}\n", app->broken ? "sauce" : "source",
                           app->name);
    if (app->model) {
        g_string_append(documents, "  items: [{name: model, from: {job: train, output: model}}]\n");
    }
    g_string_append_printf(documents, "  environments:\n    dev: {parts: [{paths: [serve%s]}]}\n",
                           app->train != NULL ? ", train" : "");
    g_string_append_printf(documents, "    test: {%sparts: [{paths: [serve]}]}\n", gate);
    g_string_append(documents, "    prod: {parts: [{paths: [serve]}]}\n");
}

static void put_files(SlTree *tree, const KitApp *app)
{
    for (unsigned i = 0; i < app->maps; i++) {
        g_autofree char *path = g_strdup_printf("%s/serve/map%u.yaml", app->name, i);
        g_autofree char *text = g_strdup_printf(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s-%u}\ndata: {a: \"%u\"}\n",
            app->name, i, i);
        sl_tree_memory_put(tree, path, text, SL_TREE_FILE);
    }
    if (app->kept) {
        g_autofree char *path = g_strdup_printf("%s/serve/kept.yaml", app->name);
        g_autofree char *text = g_strdup_printf(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s-kept\n  annotations: "
            "{gitops.sluice/prune: \"false\"}\ndata: {a: b}\n",
            app->name);
        sl_tree_memory_put(tree, path, text, SL_TREE_FILE);
    }
    if (app->server != NULL) {
        g_autofree char *path = g_strdup_printf("%s/serve/serve.yaml", app->name);
        g_autofree char *text = g_strdup_printf(
            DOCUMENT "ModelServer\nmetadata: {name: %s}\nspec:\n  command: [/bin/serve]\n  args: "
                     "[%s]\n%s  port: 8501\n",
            app->name, app->server, app->model ? "  model: model://model\n" : "");
        sl_tree_memory_put(tree, path, text, SL_TREE_FILE);
    }
    if (app->train != NULL) {
        g_autofree char *path = g_strdup_printf("%s/train/train.yaml", app->name);
        g_autofree char *text = g_strdup_printf(
            DOCUMENT "TrainingJob\nmetadata: {name: train}\nspec:\n  command: [/bin/train]\n  "
                     "args: [%s]\n  outputs: [{name: model, path: model}]\n%s",
            app->train, app->job != NULL ? app->job : "");
        sl_tree_memory_put(tree, path, text, SL_TREE_FILE);
    }
}

void kit_push(World *w, const char *subject, const char *envs, const KitApp *apps, size_t count)
{
    SlTree *tree = sl_tree_memory_new();
    g_autoptr(GString) documents = g_string_new(envs);
    for (size_t i = 0; i < count; i++) {
        put_app(documents, &apps[i]);
        put_files(tree, &apps[i]);
    }
    sl_tree_memory_put(tree, "sluice.yaml", documents->str, SL_TREE_FILE);
    (void)source_push(w, subject, tree);
}

void kit_shape_apps(World *w, const char *const *apps)
{
    g_ptr_array_set_size(w->apps, 0);
    for (; *apps != NULL; apps++) {
        g_ptr_array_add(w->apps, g_strdup(*apps));
    }
}

/* ---- looking ---- */

json_t *kit_unit(World *w, const char *app, const char *env)
{
    g_autoptr(json_t) status =
        people_view(w, "status", json_pack("{s:s,s:s}", "app", app, "env", env));
    size_t i;
    json_t *u;
    json_array_foreach (sl_json_at(status, "units"), i, u) {
        if (strcmp(sl_json_str_or(u, "env", ""), env) == 0 &&
            strcmp(sl_json_str_or(u, "app", ""), app) == 0) {
            return json_incref(u);
        }
    }
    return NULL;
}

static bool is_idle(const json_t *unit)
{
    return unit != NULL && !json_is_object(sl_json_at(unit, "active"));
}

static bool is_healthy(const json_t *unit)
{
    return strcmp(sl_json_str_or(unit, "health", ""), "Healthy") == 0;
}

static bool is_newest(World *w, const json_t *u)
{
    return is_idle(u) && is_healthy(u) && !sl_json_bool(u, "latched", false) &&
           g_strcmp0(sl_json_str(u, "commit"), source_newest(w)->id) == 0 &&
           json_array_size(sl_json_at(u, "withheld")) == 0 &&
           strcmp(sl_json_str_or(u, "last.state", ""), "SUCCEEDED") == 0;
}

bool kit_runs_newest(World *w, const char *app, const char *env)
{
    g_autoptr(json_t) u = kit_unit(w, app, env);
    return is_newest(w, u);
}

bool kit_healthy(World *w, const char *app, const char *env)
{
    g_autoptr(json_t) u = kit_unit(w, app, env);
    return is_healthy(u);
}

void kit_one_run(World *w)
{
    if (g_hash_table_size(w->run_starts) != 1) {
        fail(w, "%u runs were started, not 1", g_hash_table_size(w->run_starts));
    }
}

bool kit_calm(World *w, Plot *p)
{
    (void)p;
    if (w->faults || w->now < w->healed_at + SIM_SETTLE_US) {
        return false;
    }
    const Book *b = book_of(w);
    for (guint i = 0; i < b->attempts->len; i++) {
        if (((const BookAttempt *)b->attempts->pdata[i])->stage != BOOK_ENDED) {
            return false;
        }
    }
    return true;
}

const BookAttempt *kit_attempt(World *w, uint64_t n)
{
    const Book *b = book_of(w);
    return n > 0 && n <= b->attempts->len ? b->attempts->pdata[n - 1] : NULL;
}

Agent *kit_agent(World *w, const char *env)
{
    return agent_in(w, env, 0);
}

bool kit_serves(World *w, const char *app, const char *env, const char *word)
{
    g_autofree char *key = g_strdup_printf("gitops.sluice/ModelServer - %s", app);
    g_autofree char *quoted = g_strdup_printf("\"%s\"", word);
    Agent *a = NULL;
    for (unsigned n = 0; (a = agent_in(w, env, n)) != NULL; n++) {
        const EngineObject *o = g_hash_table_lookup(a->objects, key);
        GBytes *bytes = o != NULL ? yard_blob(w, a, o->digest) : NULL;
        const char *text = bytes != NULL ? g_bytes_get_data(bytes, NULL) : NULL;
        if (text == NULL || g_strstr_len(text, (gssize)g_bytes_get_size(bytes), quoted) == NULL) {
            return false;
        }
    }
    return true;
}

/* ---- acting ---- */

json_t *kit_args(const char *app, const char *env)
{
    return json_pack("{s:s,s:s,s:s}", "app", app, "env", env, "reason", "story");
}

static void about(Plot *p, const char *verb, const json_t *args)
{
    g_autofree char *text = sl_json_canonical(args, NULL);
    g_autofree char *now = g_strdup_printf("%s %s", verb, text);
    if (g_strcmp0(p->about, now) != 0) {
        ask_clear(&p->ask);
        g_free(p->about);
        p->about = g_steal_pointer(&now);
    }
}

bool kit_verb(World *w, Plot *p, const char *verb, json_t *args, char **ret_refused)
{
    int64_t status = 0;
    about(p, verb, args);
    const json_t *body = people_ask(w, &p->ask, "alice", verb, args, &status);
    if (body != NULL && status >= 300) {
        say(w, "%s: %s", verb, sl_json_str_or(body, "error.message", "?"));
        if (ret_refused != NULL) {
            *ret_refused = g_strdup(sl_json_str_or(body, "error.code", "?"));
        }
    }
    return body != NULL && status < 300;
}

bool kit_ask(World *w, Plot *p, const char *verb, const char *app, const char *env, json_t *more)
{
    json_t *args = kit_args(app, env);
    int64_t status = 0;
    if (more != NULL) {
        (void)json_object_update(args, more);
        json_decref(more);
    }
    about(p, verb, args);
    const json_t *body = people_ask(w, &p->ask, "alice", verb, args, &status);
    if (body != NULL && status >= 300) {
        say(w, "%s %s/%s: %s", verb, app, env, sl_json_str_or(body, "error.message", "?"));
        return false;
    }
    if (body == NULL) {
        return false;
    }
    p->attempt = (uint64_t)sl_json_int(body, "attempt", 0);
    people_acknowledged(w, verb, p->attempt);
    return true;
}

static void sign_attempt(World *w, Plot *p, uint64_t n)
{
    g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, n);
    g_autoptr(json_t) a =
        people_view(w, "attempt", json_pack("{s:s,s:I}", "n", number, "attempt", (json_int_t)n));
    const char *text = sl_json_str(a, "statement.text");
    const char *who = json_string_value(json_array_get(sl_json_at(a, "who"), 0));
    if (text == NULL || who == NULL || person_named(w, who) == NULL ||
        strcmp(sl_json_str_or(a, "state", ""), "GATING") != 0) {
        return;
    }
    g_autofree char *sig = people_sign(w, who, SL_STATEMENT_PROMOTION, text);
    int64_t status = 0;
    if (p->signing != n) {
        ask_clear(&p->second); /* an answer about another one */
        p->signing = n;
    }
    const json_t *body =
        people_ask(w, &p->second, who, "approve",
                   json_pack("{s:I,s:s}", "attempt", (json_int_t)n, "signature", sig), &status);
    if (body != NULL && status < 300) {
        people_acknowledged(w, "approve", n);
    }
}

void kit_sign(World *w, Plot *p, const char *app, const char *env)
{
    const Book *b = book_of(w);
    for (guint i = b->attempts->len; i > 0; i--) {
        const BookAttempt *a = b->attempts->pdata[i - 1];
        if (a->stage == BOOK_WAITS && a->digest != NULL && strcmp(a->app, app) == 0 &&
            strcmp(a->env, env) == 0) {
            sign_attempt(w, p, a->n);
            return;
        }
    }
}

int kit_follow(World *w, Plot *p)
{
    const BookAttempt *a = kit_attempt(w, p->attempt);
    if (a == NULL || a->stage != BOOK_ENDED) {
        if (a != NULL && a->stage == BOOK_WAITS && a->digest != NULL) {
            sign_attempt(w, p, a->n);
        }
        return 0;
    }
    return strcmp(a->end, "Succeeded") == 0 ? 1 : -1;
}

int kit_sign_as(World *w, Plot *p, const char *who)
{
    g_autofree char *n = g_strdup_printf("%" G_GUINT64_FORMAT, p->attempt);
    g_autoptr(json_t) a = people_view(
        w, "attempt", json_pack("{s:s,s:I}", "n", n, "attempt", (json_int_t)p->attempt));
    const char *text = sl_json_str(a, "statement.text");
    if (text == NULL) {
        return 0;
    }
    size_t i;
    json_t *name;
    json_array_foreach (sl_json_at(a, "approvals.people"), i, name) {
        if (g_strcmp0(json_string_value(name), who) == 0) {
            return 1;
        }
    }
    g_autofree char *sig = people_sign(w, who, SL_STATEMENT_PROMOTION, text);
    int64_t status = 0;
    if (p->signing != p->attempt) {
        ask_clear(&p->second);
        p->signing = p->attempt;
    }
    const json_t *body = people_ask(
        w, &p->second, who, "approve",
        json_pack("{s:I,s:s}", "attempt", (json_int_t)p->attempt, "signature", sig), &status);
    return body == NULL ? 0 : status < 300 ? 1 : -1;
}

void kit_new_key(World *w, const char *who)
{
    Person *person = person_named(w, who);
    SlPerson *in_root = (SlPerson *)(uintptr_t)sl_root_person(w->root, who);
    uint8_t seed[crypto_hash_sha256_BYTES], public_key[32];
    g_ptr_array_add(w->root->revoked, sl_public_key_copy(person->key));
    (void)crypto_hash_sha256(seed, (const uint8_t *)person->key->line, strlen(person->key->line));
    sl_public_key_free(person->key);
    (void)crypto_sign_ed25519_seed_keypair(public_key, person->secret, seed);
    person->key = sl_public_key_from_ed25519(public_key);
    g_ptr_array_set_size(in_root->keys, 0);
    g_ptr_array_add(in_root->keys, sl_public_key_copy(person->key));
}

/* The ledger's word first: it costs nothing. */
static bool may_be_newest(World *w, const char *app, const char *env, bool *ret_waits)
{
    const Book *b = book_of(w);
    bool newest = false;
    for (guint i = 0; i < b->attempts->len; i++) {
        const BookAttempt *a = b->attempts->pdata[i];
        if (strcmp(a->app, app) != 0 || strcmp(a->env, env) != 0) {
            continue;
        }
        const char *commit = g_hash_table_lookup(b->releases, a->release);
        *ret_waits = *ret_waits || a->stage != BOOK_ENDED;
        newest = g_strcmp0(a->end, "Succeeded") == 0 && a->withheld == 0 &&
                 g_strcmp0(commit, source_newest(w)->id) == 0;
    }
    return newest && !*ret_waits;
}

#define PATIENCE_US (40 * SL_MINUTE_US)

int kit_comes(World *w, Plot *p, const char *server)
{
    const BookAttempt *a = kit_attempt(w, p->attempt);
    bool gave_up = a->stage == BOOK_ENDED && a->committed != 0 && w->now > p->since + PATIENCE_US;
    if (a->act == SL_ACT_REDEPLOY || gave_up) {
        (void)kit_web_redeploy(w, p);
    } else if (kit_follow(w, p) < 0 && a->committed == 0) {
        return -1;
    }
    a = kit_attempt(w, p->attempt);
    return a->stage == BOOK_ENDED && kit_serves(w, "web", "prod", server) &&
           kit_healthy(w, "web", "prod");
}

static const BookAttempt *last_attempt(World *w, const char *app, const char *env)
{
    const Book *b = book_of(w);
    for (guint i = b->attempts->len; i > 0; i--) {
        const BookAttempt *a = b->attempts->pdata[i - 1];
        if (strcmp(a->app, app) == 0 && strcmp(a->env, env) == 0) {
            return a;
        }
    }
    return NULL;
}

const char *kit_promotes(World *w, const char *app, const char *env)
{
    const BookAttempt *a = last_attempt(w, app, env);
    return a != NULL && a->unchanged && g_strcmp0(a->end, "Failed") == 0 ? "redeploy" : "promote";
}

bool kit_asks_again(World *w, const char *app, const char *env)
{
    static const char *const gave_up[] = {"Failed", "Errored", "Expired", NULL};
    const BookAttempt *a = last_attempt(w, app, env);
    return a != NULL && a->stage == BOOK_ENDED &&
           (g_strv_contains(gave_up, a->end) || a->act == SL_ACT_REDEPLOY);
}

bool kit_bring(World *w, Plot *p, const char *app, const char *env)
{
    bool waits = false;
    if (may_be_newest(w, app, env, &waits)) {
        g_autoptr(json_t) u = kit_unit(w, app, env);
        if (is_newest(w, u)) {
            return true;
        }
    }
    kit_sign(w, p, app, env);
    bool by_people = strcmp(env, "prod") == 0;
    if (!waits && (by_people || kit_asks_again(w, app, env))) {
        (void)kit_ask(w, p, kit_promotes(w, app, env), app, env, NULL);
    }
    return false;
}

bool kit_order(World *w, Plot *p, const char *person, json_t *draft)
{
    g_autoptr(json_t) owned = draft;
    int64_t status = 0;
    if (p->text != NULL) {
        g_autofree char *digest = sl_sha256_hex(p->text, strlen(p->text));
        const Book *b = book_of(w);
        for (guint i = 0; i < b->orders->len; i++) {
            if (strcmp(((const BookOrder *)b->orders->pdata[i])->digest, digest) == 0) {
                g_clear_pointer(&p->text, g_free);
                return true;
            }
        }
        g_autofree char *sig =
            person != NULL ? people_sign(w, person, SL_STATEMENT_ORDER, p->text) : NULL;
        json_t *args = json_pack("{s:s}", "text", p->text);
        sl_json_set_str(args, "signature", sig);
        const json_t *body =
            people_ask(w, &p->second, person != NULL ? person : "alice", "order", args, &status);
        if (body != NULL && status >= 300) {
            say(w, "order: %s", sl_json_str_or(body, "error.message", "?"));
            g_clear_pointer(&p->text, g_free); /* another number, or it expired: a new draft */
        }
        return false;
    }
    about(p, "order-draft", owned);
    const json_t *body = people_ask(w, &p->ask, person != NULL ? person : "alice", "order-draft",
                                    json_incref(owned), &status);
    if (body != NULL && status >= 300) {
        say(w, "order-draft: %s", sl_json_str_or(body, "error.message", "?"));
    } else if (body != NULL) {
        p->text = g_strdup(sl_json_str(body, "text"));
    }
    return false;
}

bool kit_root(World *w, Plot *p, uint64_t version)
{
    const SlRoot *in_force = book_root_newest(book_of(w));
    int64_t status = 0;
    if (in_force->version >= version) {
        return true;
    }
    w->root->version = version;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_root_format(w->root, &error);
    g_assert_no_error(error);
    g_autoptr(SlSigned) next = sl_signed_new(text);
    sl_signed_sign(next, SL_STATEMENT_ROOT, person_named(w, "alice")->secret);
    const json_t *body = people_ask(w, &p->ask, "alice", "root", sl_signed_to_json(next), &status);
    if (body != NULL && status >= 300) {
        say(w, "root: %s", sl_json_str_or(body, "error.message", "?"));
    }
    return false;
}

uint64_t kit_root_next(World *w)
{
    return book_root_newest(book_of(w))->version + 1;
}

/* ---- clusters ---- */

static void come_back(World *w, Event *e)
{
    net_connect(w, agent_at(w, e->agent));
}

void kit_away(World *w, Agent *a, int64_t us)
{
    net_disconnect(w, a);
    a->away_until = w->now + us;
    (void)world_after(w, us + 1, come_back, a->index);
}
