/* api.h - the HTTP/JSON API (docs/api.md): libmicrohttpd driven by the daemon's loop, on a Unix
 * socket (peer credentials) and a TCP port (bearer tokens). It knows routes, scopes, limits and
 * shapes; what an answer says comes from SlApiOps. Loop thread only. */
#pragma once
#include "base/json.h"
#include "runtime/loop.h"

#define SL_API_BODY_MAX (1024 * 1024)
#define SL_API_CONNECTIONS_MAX 1000
#define SL_API_RATE_PER_SECOND                                                                     \
    20 /* per person, for what changes something; reads may be 50 times as many */
#define SL_API_RATE_BURST 40
#define SL_API_READ_FACTOR 50
#define SL_API_SNAPSHOT_BYTES                                                                      \
    (64 * 1024) /* of the whole status: so much is free, more is a read each */
#define SL_API_REPLY_US (60 * SL_SECOND_US) /* an action answers by then */
#define SL_API_FOLLOW_US (25 * SL_SECOND_US)
#define SL_API_FOLLOWERS_MAX 250 /* who wait for the next event; a quarter of the connections */
#define SL_API_FOLLOWERS_EACH 50 /* of one person */
#define SL_API_REQUEST_US (60 * SL_SECOND_US) /* from its first byte to its last */
#define SL_API_QUERY_MAX 32

typedef struct SlApi SlApi;
typedef struct SlApiCall SlApiCall; /* one request; valid until answered, then gone */

typedef struct {
    const char *person, *scope, *verb, *idempotency_key; /* key or NULL */
    const json_t *args;
    const char *id; /* give it to sl_api_reply */
} SlApiAction;

typedef struct {
    /* Answer of a view of the brain. Errors: NOT_FOUND, INVALID. (transfer full) */
    json_t *(*view)(void *user, const char *what, const json_t *args, GError **error);
    /* The whole fleet view as it was rendered last; borrowed until the loop turns. The tag changes
     * with the bytes. NULL: there is none, ask `view`. */
    GBytes *(*status)(void *user, uint64_t *ret_tag);
    /* Fleet view as of an earlier time, folded from the ledger (slow). @done may be called later,
     * once. */
    void (*view_at)(void *user, int64_t at_us, const json_t *args,
                    void (*done)(json_t *answer, const GError *error, void *call), void *call);
    /* Person and scope of a bearer token. Errors: DENIED class. */
    bool (*token)(void *user, const char *token, const char **ret_person, const char **ret_scope,
                  GError **error);
    /* May actions be carried out now? Errors: STORAGE_FULL, STATE_REMOTE_AWAY. */
    bool (*writable)(void *user, GError **error);
    /* Starts an action; the answer comes by sl_api_reply. */
    void (*action)(void *user, const SlApiAction *action);
    /* Bytes by digest for @person; @bytes borrowed, NULL without @error: there are none. @done may
     * be called at once or later, once. */
    void (*blob)(void *user, const char *person, const char *digest,
                 void (*done)(GBytes *bytes, const GError *error, void *call), void *call);
    json_t *(*statement)(void *user, const char *digest); /* {text, sigs}, NULL */
    json_t *(*run_history)(void *user, const char *run);  /* array */
    void (*log)(void *user, const json_t *args,
                void (*done)(json_t *answer, const GError *error, void *call), void *call);
    uint64_t (*ledger_seq)(void *user);
    char *(*metrics)(void *user);
    bool (*ready)(void *user);
} SlApiOps;

typedef struct {
    SlLoop *loop;
    const char *socket_path;  /* Unix socket, mode 0600 */
    const char *listen;       /* "127.0.0.1:7480" or NULL */
    int64_t request_us;       /* how long one request may take to come, an answer ten times; 0 = the default */
    const char *owner_person; /* whom the socket's own user and root act as */
    const SlApiOps *ops;
    void *user;
} SlApiConfig;

/* Errors: CONFIG_ADDRESS. */
SL_MUST_USE SlApi *sl_api_new(const SlApiConfig *config, GError **error);
void sl_api_free(SlApi *api);
/* Answer of the action with this id; false if nobody waits any more. */
bool sl_api_reply(SlApi *api, const char *id, int status, const json_t *body);
/* The ledger grew: wakes those who follow events. */
void sl_api_events_grew(SlApi *api);
uint64_t sl_api_count(const SlApi *api); /* requests so far */
uint64_t sl_api_slow(const SlApi *api);  /* connections that were cut because they took too long */
