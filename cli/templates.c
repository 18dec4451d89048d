/* templates.c - see templates.h. Words from the command line are always written double-quoted. */
#include "cli/templates.h"
#include <stdbool.h>

static void quoted(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            g_string_append_c(out, '\\');
        }
        if ((unsigned char)*c < 0x20) {
            g_string_append_printf(out, "\\x%02x", (unsigned)*c);
        } else {
            g_string_append_c(out, *c);
        }
    }
    g_string_append_c(out, '"');
}

static int port_of(const SlNewApp *app)
{
    return (int)g_ascii_strtoll(app->port, NULL, 10); /* checked by `new` */
}

static void command(GString *out, char **argv)
{
    g_string_append(out, "  command: [");
    for (size_t i = 0; argv[i] != NULL; i++) {
        g_string_append(out, i > 0 ? ", " : "");
        quoted(out, argv[i]);
    }
    g_string_append(out, "]\n");
}

char *sl_template_fleet(const char *name, const char *const *envs)
{
    GString *out = g_string_new(NULL);
    g_string_append_printf(
        out,
        "# The fleet: its environments, and below them its applications (`sluice new NAME` adds "
        "one).\n"
        "# `sluice validate` checks this file; docs/fleet-documents.md explains every field.\n"
        "apiVersion: gitops.sluice/v1alpha1\nkind: Fleet\nmetadata:\n  name: %s\n",
        name);
    for (size_t i = 0; envs[i] != NULL; i++) {
        bool last = envs[i + 1] == NULL && i > 0;
        g_string_append_printf(out,
                               "---\napiVersion: gitops.sluice/v1alpha1\nkind: "
                               "Environment\nmetadata:\n  name: %s\nspec:\n",
                               envs[i]);
        if (i > 0) {
            g_string_append_printf(out, "  after: [%s]              # only what succeeded there\n",
                                   envs[i - 1]);
        }
        g_string_append(
            out, last ? "  promotion: manual          # a person asks with `sluice promote`\n"
                      : "  promotion: newest          # what is pushed (and passed the gates) goes "
                        "here by itself\n");
    }
    return g_string_free(out, FALSE);
}

char *sl_template_application(const SlNewApp *app)
{
    GString *out = g_string_new(NULL);
    g_string_append_printf(out,
                           "---\napiVersion: gitops.sluice/v1alpha1\nkind: "
                           "Application\nmetadata:\n  name: %s\nspec:\n  source:\n    path: %s\n",
                           app->app, app->app);
    bool model = app->train != NULL && app->output != NULL;
    if (model) {
        g_string_append_printf(out,
                               "  items:\n    # what the job `train` writes as its output `%s`; "
                               "servers get those very bytes\n"
                               "    - {name: %s, kind: model, from: {job: train, output: %s}}\n",
                               app->output, app->output, app->output);
    }
    g_string_append(out, "  environments:\n");
    for (size_t i = 0; app->envs[i] != NULL; i++) {
        bool trains = app->train != NULL && (i == 0 || app->serve == NULL);
        if (app->serve == NULL && i > 0) {
            break; /* a job without a server belongs to the first environment only */
        }
        g_string_append_printf(out, "    %s:\n      parts:\n", app->envs[i]);
        if (trains) {
            g_string_append(out, "        - paths: [train]\n");
        }
        if (app->serve != NULL) {
            g_string_append(out, "        - paths: [serve]\n");
        }
        if (app->serve != NULL && i > 0) {
            g_string_append_printf(
                out,
                "          patches:\n            - patch: |\n                apiVersion: "
                "gitops.sluice/v1alpha1\n                kind: ModelServer\n"
                "                metadata: {name: serve}\n                spec: {port: %d}\n",
                port_of(app) + (int)i);
        }
        if (model && i == 1) {
            g_string_append_printf(out,
                                   "      # let in only what is good enough, for example:\n"
                                   "      # gates:\n      #   - run: {job: train, in: %s, require: "
                                   "[\"final.accuracy >= 0.9\"], noBaseline: pass}\n",
                                   app->envs[0]);
        }
    }
    return g_string_free(out, FALSE);
}

char *sl_template_train(const SlNewApp *app)
{
    GString *out = g_string_new(
        "apiVersion: gitops.sluice/v1alpha1\nkind: TrainingJob\nmetadata:\n  name: train\nspec:\n");
    command(out, app->train);
    g_string_append(out, app->train_files ? "  files: {from: train/code}   # this folder travels "
                                            "in the signed bundle; a change here trains anew\n"
                                          : "  # files: {from: train/code}   # a folder of yours "
                                            "that travels in the signed bundle\n");
    if (app->output != NULL) {
        g_autofree char *upper = g_ascii_strup(app->output, -1);
        g_string_append_printf(out,
                               "  outputs:\n    # the program writes it into the folder "
                               "$SLUICE_OUTPUT_%s\n    - {name: %s, path: %s}\n",
                               g_strdelimit(upper, "-", '_'), app->output, app->output);
    }
    g_string_append(out, "  timeLimit: 24h\n");
    return g_string_free(out, FALSE);
}

char *sl_template_serve(const SlNewApp *app)
{
    GString *out = g_string_new(
        "apiVersion: gitops.sluice/v1alpha1\nkind: ModelServer\nmetadata:\n  name: serve\nspec:\n");
    command(out, app->serve);
    g_string_append(out, app->serve_files ? "  files: {from: serve/code}\n"
                                          : "  # files: {from: serve/code}   # a folder of yours "
                                            "that travels in the signed bundle\n");
    if (app->train != NULL && app->output != NULL) {
        g_string_append_printf(
            out, "  model: model://%s           # its verified folder is $SLUICE_MODEL\n",
            app->output);
    }
    g_string_append_printf(
        out, "  port: %s                  # clients connect here; the program listens on $PORT\n",
        app->port);
    if (app->probe != NULL) {
        g_string_append(out, "  probe:\n    httpGet: {path: ");
        quoted(out, app->probe);
        g_string_append(out, "}\n");
    }
    return g_string_free(out, FALSE);
}
