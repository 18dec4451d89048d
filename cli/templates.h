/* templates.h - the commented documents that `init` and `new` write. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* sluice.yaml with Fleet and Environments in order; the last is promoted by hand. (transfer full) */
char *sl_template_fleet(const char *name, const char *const *envs);

typedef struct {
    const char *app;
    char **train, **serve;         /* argument vectors, NULL if there is none */
    bool train_files, serve_files; /* the command names files that were copied */
    const char *output;            /* name of the model output, or NULL */
    const char *port;
    const char *const *envs; /* in order; the first trains */
    const char *probe;       /* http path, or NULL = the port answers */
} SlNewApp;
char *sl_template_application(const SlNewApp *app); /* the Application document */
char *sl_template_train(const SlNewApp *app);
char *sl_template_serve(const SlNewApp *app);
