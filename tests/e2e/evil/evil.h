/* evil.h - a coordinator in the hands of a thief, for tests: the true endpoint and CURVE key, anything else as told.
 * It must never decide what is an attack: tests/e2e/test_attacks.py does, line by line. */
#pragma once
#include "base/json.h"
#include "core/statement.h"
#include "link/server.h"

typedef struct {
    SlLoop *loop;
    SlServer *server;
    SlCurveKeys keys;
    char *blob_dir;         /* of the stolen coordinator: served where nothing else is kept */
    GHashTable *blobs;      /* digest asked for -> GBytes*, right or wrong */
    GHashTable *statements; /* digest asked for -> SlSigned* */
    GHashTable *hidden;     /* set of digests: "not here" */
    GHashTable *greeted;    /* set of CURVE keys: said HELLO, its first report is still to come */
    GString *in;            /* of stdin, not yet a whole line */
    SlWatch *watch;
} Evil;

/* One line of JSON on stdout. @event is consumed. */
void evil_say(json_t *event);

/* link.c: what agents say becomes lines; what they fetch is answered. */
SL_MUST_USE bool evil_bind(Evil *evil, const char *endpoint, const GPtrArray *agents, GError **error);
bool evil_send_head(Evil *evil, const char *to, const SlSigned *head);
bool evil_send_steps(Evil *evil, const char *to, const GPtrArray *roots, const GPtrArray *registries);
bool evil_send_reset(Evil *evil, const char *to);
