/* rootedit.c - see rootedit.h. */
#include "cli/rootedit.h"
#include "base/digest.h"
#include "base/text.h"
#include "cli/act.h"
#include "runtime/atomicfile.h"
#include <string.h>

const SlCliOption sl_root_options[] = {
    {"yes", 'y', NULL, "do not ask before signing", NULL},
    {"out", 0, "FILE",
     "where the next version is kept until enough people signed (default root-N.json)", "file"},
    {0},
};

char *sl_root_create(SlCli *cli, const SlRootNew *how, GError **error)
{
    uint8_t id[32];
    sl_random_bytes(id, sizeof id);
    g_autofree char *fleet = sl_hex(id, sizeof id);
    SlRootNew whole = *how;
    whole.fleet = fleet;
    whole.now_us = sl_cli_now_us();
    g_autoptr(SlRoot) root = sl_root_new(&whole, error);
    g_autoptr(GBytes) text = root != NULL ? sl_root_format(root, error) : NULL;
    g_autofree char *armour =
        text != NULL ? sl_cli_sign(cli, text, sl_statement_namespace(SL_STATEMENT_ROOT), error)
                     : NULL;
    if (armour == NULL) {
        return NULL;
    }
    g_autoptr(SlSigned) statement = sl_signed_new(text);
    sl_signed_add(statement, armour);
    g_autoptr(json_t) json = sl_signed_to_json(statement);
    return sl_json_canonical(json, error);
}

SlRoot *sl_root_fetch(SlCli *cli, SlSigned **ret_signed, GError **error)
{
    g_autoptr(json_t) answer = sl_api_get(cli, "/v1/roots", NULL, error);
    const json_t *roots = json_object_get(answer, "roots");
    if (answer == NULL) {
        return NULL;
    }
    if (json_array_size(roots) == 0) {
        return sl_throw_null(error, SLU_COORDINATOR_ANSWER, "the coordinator has no root");
    }
    g_autoptr(SlSigned) newest =
        sl_signed_from_json(json_array_get(roots, json_array_size(roots) - 1), error);
    SlRoot *root = newest != NULL ? sl_root_parse(newest->text, error) : NULL;
    if (root != NULL && ret_signed != NULL) {
        *ret_signed = g_steal_pointer(&newest);
    }
    return root;
}

SlPublicKey *sl_cli_read_public_key(const char *word, GError **error)
{
    if (g_str_has_prefix(word, "ssh-") || g_str_has_prefix(word, "sk-ssh-")) {
        return sl_public_key_parse(word, error);
    }
    g_autoptr(GBytes) bytes = sl_file_read(word, 16 * 1024, error);
    if (bytes == NULL) {
        return NULL;
    }
    g_autofree char *line =
        g_strstrip(g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)));
    SlPublicKey *key = sl_public_key_parse(line, error);
    if (key == NULL) {
        sl_prefix(error, "%s", word);
    }
    return key;
}

/* Lines of @text that @other has not, behind @mark. */
static void show_lines(const char *mark, GBytes *text, GBytes *other)
{
    g_autofree char *own = g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
    g_autofree char *theirs = g_strndup(g_bytes_get_data(other, NULL), g_bytes_get_size(other));
    g_auto(GStrv) a = g_strsplit(own, "\n", -1);
    g_auto(GStrv) b = g_strsplit(theirs, "\n", -1);
    for (size_t i = 0; a[i] != NULL; i++) {
        if (!g_strv_contains((const char *const *)b, a[i])) {
            g_autofree char *safe = sl_escape_for_people(a[i], 2000);
            fprintf(stderr, "  %s %s\n", mark, safe);
        }
    }
}

static void show_difference(GBytes *before, GBytes *after)
{
    show_lines("-", before, after);
    show_lines("+", after, before);
}

static int submit(SlCli *cli, const SlSigned *signed_, uint64_t version)
{
    g_autofree char *done =
        g_strdup_printf("root version %" G_GUINT64_FORMAT " is in force", version);
    return sl_cli_post(cli, "root", sl_signed_to_json(signed_), done);
}

/* Is @signed_ the step after @before, signatures aside? A file from somebody else may say anything. */
static bool check_step(const SlRoot *before, const SlSigned *signed_, GError **error)
{
    g_autoptr(SlRoot) next = sl_root_parse(signed_->text, error);
    if (next == NULL) {
        return false;
    }
    if (strcmp(next->fleet, before->fleet) != 0) {
        return sl_throw(error, SLU_ROOT_STEP, "this root is of fleet %.12s, yours is %.12s",
                        next->fleet, before->fleet);
    }
    return next->version == before->version + 1 ||
           sl_throw(error, SLU_ROOT_STEP,
                    "this is root version %" G_GUINT64_FORMAT ", and %" G_GUINT64_FORMAT
                    " is in force: make it anew",
                    next->version, before->version);
}

/* The next root on its way: @path is where it waits for signatures. */
typedef struct {
    SlSigned *signed_;
    const SlRoot *before;
    GBytes *before_text;
    const char *path;
    bool is_new; /* made now: another change that waits at @path is not overwritten */
} Step;

/* Submits when both thresholds hold, else keeps the file for the next signer. */
static int submit_or_keep(SlCli *cli, const Step *step)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SlRoot) accepted = sl_root_accept_next(step->before, step->signed_, &error);
    if (accepted != NULL) {
        return submit(cli, step->signed_, accepted->version);
    }
    g_autoptr(json_t) json = sl_signed_to_json(step->signed_);
    g_autofree char *text = sl_json_canonical(json, NULL);
    g_autoptr(GError) problem = NULL;
    if (!(step->is_new ? sl_file_create(step->path, text, strlen(text), 0644, &problem)
                       : sl_file_write_atomic(step->path, text, strlen(text), 0644, &problem))) {
        return sl_cli_fail(cli, problem);
    }
    sl_say(cli,
           "%s: not enough signatures yet (%s)\nFor whoever else has to sign (when a root key "
           "changes, "
           "its new key too: `sluice key use NEW`): sluice root sign %s",
           step->path, error->message, step->path);
    return SL_EXIT_WAITING;
}

static int sign_and_go(SlCli *cli, const Step *step)
{
    g_autoptr(GError) error = NULL;
    if (!check_step(step->before, step->signed_, &error)) {
        return sl_cli_fail(cli, error);
    }
    show_difference(step->before_text, step->signed_->text);
    if (!sl_cli_confirm(cli, "sign this root?")) {
        return SL_EXIT_NO;
    }
    g_autofree char *armour =
        sl_cli_sign(cli, step->signed_->text, sl_statement_namespace(SL_STATEMENT_ROOT), &error);
    if (armour == NULL) {
        return sl_cli_fail(cli, error);
    }
    sl_signed_add(step->signed_, armour);
    return submit_or_keep(cli, step);
}

int sl_root_finish(SlCli *cli, SlRoot *root, const SlRoot *before)
{
    root->version = before->version + 1;
    root->expires_us = sl_cli_now_us() / SL_SECOND_US * SL_SECOND_US + 365 * SL_DAY_US;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) text = sl_root_format(root, &error),
                      before_text = sl_root_format(before, NULL);
    if (text == NULL) {
        return sl_cli_fail(cli, error);
    }
    g_autoptr(SlSigned) signed_ = sl_signed_new(text);
    const char *out = sl_cli_option(cli, "out");
    g_autofree char *path = out != NULL
                                ? g_strdup(out)
                                : g_strdup_printf("root-%" G_GUINT64_FORMAT ".json", root->version);
    return sign_and_go(cli, &(Step){signed_, before, before_text, path, true});
}

int sl_root_sign_file(SlCli *cli, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = sl_file_read(path, 2 * SL_ROOT_MAX, &error);
    g_autoptr(json_t) json = bytes != NULL
                                 ? sl_json_parse(g_bytes_get_data(bytes, NULL),
                                                 g_bytes_get_size(bytes), NULL, path, &error)
                                 : NULL;
    g_autoptr(SlSigned) signed_ = json != NULL ? sl_signed_from_json(json, &error) : NULL;
    g_autoptr(SlSigned) before_signed = NULL;
    g_autoptr(SlRoot) before = signed_ != NULL ? sl_root_fetch(cli, &before_signed, &error) : NULL;
    if (before == NULL) {
        return sl_cli_fail(cli, error);
    }
    return sign_and_go(cli, &(Step){signed_, before, before_signed->text, path, false});
}
