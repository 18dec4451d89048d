/* review.c - what a person sees before signing; see review.h. The statement itself is parsed here, from the exact bytes that will be
 * signed: what the coordinator says around it is shown, but does not decide. */
#include "cli/review.h"
#include "base/text.h"
#include "cli/act.h"
#include "cli/local.h"
#include "core/promotion.h"
#include "core/registry.h"
#include "git/tree.h"
#include <string.h>

static void print_field(const char *name, const char *text)
{
    if (text != NULL && *text != '\0') {
        g_autofree char *safe = sl_escape_for_people(text, 400);
        fprintf(stderr, "  %-10s %s\n", name, safe);
    }
}

static void print_changes(const json_t *changes)
{
    size_t i = 0;
    json_t *each = NULL;
    fprintf(stderr, "changes\n");
    if (json_array_size(changes) == 0) {
        fprintf(stderr, "  none: the same objects as now\n");
    }
    json_array_foreach (changes, i, each) {
        g_autofree char *name = sl_escape_for_people(sl_json_str_or(each, "name", "?"), 80);
        g_autofree char *kind = sl_escape_for_people(sl_json_str_or(each, "kind", "?"), 80);
        g_autofree char *change = sl_escape_for_people(sl_json_str_or(each, "change", "?"), 40);
        fprintf(stderr, "  %-8s %s %s\n", change, kind, name);
    }
}

static void print_evidence(const json_t *attempt)
{
    size_t i = 0;
    json_t *each = NULL;
    json_array_foreach (json_object_get(attempt, "gates"), i, each) {
        g_autofree char *text = g_strdup_printf("%s %s: %s", sl_json_str_or(each, "type", "?"),
                                                sl_json_str_or(each, "verdict", "?"),
                                                sl_json_str_or(each, "reason", ""));
        print_field("gate", text);
    }
    json_array_foreach (json_object_get(attempt, "evidence"), i, each) {
        g_autofree char *text = json_is_string(each) ? g_strdup(json_string_value(each))
                                                     : sl_json_canonical(each, NULL);
        print_field("evidence", text);
    }
}

static void print_statement(const json_t *attempt, const SlPromotion *p)
{
    g_autofree char *seq =
        g_strdup_printf("%" G_GUINT64_FORMAT " (epoch %" G_GUINT64_FORMAT ")", p->seq, p->epoch);
    g_autofree char *targets =
        g_strdup_printf("%" G_GUINT64_FORMAT " cluster%s, %s", p->target_count,
                        p->target_count == 1 ? "" : "s", p->targets);
    g_autofree char *authors = g_strjoinv(", ", p->authors);
    g_autofree char *exact = sl_format_time(p->activate_until_us);
    g_autofree char *until = sl_when(exact);
    fprintf(stderr, "%s %s to %s\n", sl_act_name(p->act), p->app, p->env);
    print_field("release", p->release);
    print_field("commit", sl_json_str(attempt, "commit"));
    print_field("subject", sl_json_str(attempt, "subject"));
    print_field("asked by", p->requester != NULL ? p->requester : "the coordinator");
    print_field("reason", p->reason);
    print_field("authors", authors);
    print_field("seq", seq);
    print_field("targets", targets);
    print_field("good until", until);
    print_field("careful", p->allow_prune ? "more than 30 % of the objects may be removed" : NULL);
    print_field("careful", p->disrupt ? "what runs may be interrupted" : NULL);
    print_field("careful", p->force_fields ? "fields of other managers are taken over" : NULL);
    for (char **kind = p->privileged; kind != NULL && *kind != NULL; kind++) {
        print_field("privileged", *kind);
    }
}

static GPtrArray *items_of(const json_t *release)
{
    GPtrArray *items = g_ptr_array_new_with_free_func((GDestroyNotify)sl_item_value_free);
    const char *name = NULL;
    json_t *each = NULL;
    json_object_foreach (json_object_get(release, "items"), name, each) {
        SlItemValue *item = g_new0(SlItemValue, 1);
        item->name = g_strdup(name);
        item->digest = g_strdup(sl_json_str(each, "digest"));
        item->run_key = g_strdup(sl_json_str(each, "runKey"));
        g_ptr_array_add(items, item);
    }
    return items;
}

/* Renders the release from @tree; the root of its targets. NULL and problems printed. */
static char *targets_again(SlCli *cli, const SlPromotion *p, SlTree *tree, const json_t *release,
                           GError **error)
{
    SlLocal local = {.tree = tree,
                     .problems = g_ptr_array_new_with_free_func((GDestroyNotify)sl_problem_free)};
    local.docs = sl_fleet_read(tree, local.problems);
    const SlApplicationDoc *app = local.docs != NULL ? sl_fleet_app(local.docs, p->app) : NULL;
    char *targets = NULL;
    if (app != NULL && sl_app_env(app, p->env) != NULL) {
        g_autoptr(GPtrArray) items = items_of(release);
        g_autoptr(GPtrArray) clusters = sl_local_clusters(cli, &local, app, p->env);
        SlRenderAsk ask = {.docs = local.docs,
                           .app = app,
                           .env = p->env,
                           .tree = tree,
                           .items = items,
                           .clusters = clusters};
        g_autoptr(SlRendered) rendered = sl_render_unit(&ask, local.problems);
        targets = rendered != NULL ? g_strdup(rendered->targets) : NULL;
    }
    if (targets == NULL) {
        sl_print_problems(cli, local.problems);
        (void)sl_throw(error, SLU_REVIEW_DIFFERS, "the release does not render from your clone");
    }
    local.tree = NULL; /* the caller's */
    sl_local_clear(&local);
    return targets;
}

static const char *clone_of(SlCli *cli)
{
    const char *given = sl_cli_option(cli, "repository");
    const SlContext *context = sl_cli_context(cli, NULL);
    return given != NULL ? given : context != NULL ? context->repository : NULL;
}

/* The commit from the person's own clone, rendered here, must give the very targets that are to be signed. */
static bool render_again(SlCli *cli, const json_t *attempt, const SlPromotion *p, GError **error)
{
    const char *clone = clone_of(cli), *commit = sl_json_str(attempt, "commit");
    if (sl_cli_flag(cli, "no-verify") || clone == NULL ||
        (p->act != SL_ACT_PROMOTE && p->act != SL_ACT_REDEPLOY)) {
        bool earlier =
            p->act == SL_ACT_ROLLBACK || p->act == SL_ACT_REMOVE || p->act == SL_ACT_BREAK_GLASS;
        fprintf(stderr, "%s\n",
                earlier ? "not rendered: it names what ran before, or nothing"
                        : "NOT rendered again from a clone of yours (--repository DIR)");
        return true;
    }
    g_autofree char *path = g_strconcat("/v1/releases/", p->release, NULL);
    g_autoptr(json_t) release = sl_api_get(cli, path, NULL, error);
    SlTree *tree =
        release != NULL ? sl_git_tree_open(clone, commit != NULL ? commit : "", error) : NULL;
    if (tree == NULL) {
        return sl_prefix(error, "rendering again from %s (fetch first, or --no-verify)", clone);
    }
    g_autofree char *targets = targets_again(cli, p, tree, release, error);
    sl_git_tree_free(tree);
    if (targets == NULL) {
        return false;
    }
    if (strcmp(targets, p->targets) != 0) {
        return sl_throw(error, SLU_REVIEW_DIFFERS,
                        "commit %.10s of %s renders to %s, but the statement names %s", commit,
                        clone, targets, p->targets);
    }
    fprintf(stderr, "rendered again from %s at %.10s: equal, byte for byte\n", clone, commit);
    return true;
}

/* The statement must be about what the attempt claims to be. */
static bool check_statement(const json_t *attempt, const SlPromotion *p, GError **error)
{
    bool same = g_strcmp0(p->app, sl_json_str(attempt, "app")) == 0 &&
                g_strcmp0(p->env, sl_json_str(attempt, "env")) == 0 &&
                g_strcmp0(p->release, sl_json_str(attempt, "release")) == 0;
    return same ||
           sl_throw(error, SLU_REVIEW_DIFFERS,
                    "the statement is about %s/%s and release %.10s, not what the attempt says",
                    p->app, p->env, p->release);
}

int sl_review(SlCli *cli, const json_t *attempt)
{
    g_autoptr(GError) error = NULL;
    const char *text = sl_json_str(attempt, "statement.text");
    if (text == NULL) {
        (void)sl_throw(&error, SLU_CONFLICT,
                       "attempt %" G_GINT64_FORMAT " has nothing to sign: it is %s",
                       sl_json_int(attempt, "n", 0), sl_json_str_or(attempt, "state", "?"));
        return sl_cli_fail(cli, error);
    }
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    g_autoptr(SlPromotion) promotion = sl_promotion_parse(bytes, &error);
    if (promotion == NULL || !check_statement(attempt, promotion, &error)) {
        return sl_cli_fail(cli, error);
    }
    print_statement(attempt, promotion);
    print_changes(json_object_get(attempt, "changes"));
    print_evidence(attempt);
    size_t i = 0;
    json_t *signer = NULL;
    json_array_foreach (json_object_get(attempt, "registrySigners"), i, signer) {
        print_field("clusters", json_string_value(signer));
    }
    if (!render_again(cli, attempt, promotion, &error)) {
        return sl_cli_fail(cli, error);
    }
    return sl_cli_confirm(cli, "sign this promotion?") ? SL_EXIT_OK : SL_EXIT_NO;
}
