/* call.h - one HTTP request inside api/: from its first header to its answer. Private to this
 * folder. Loop thread. */
#pragma once
#include "coordinator/api/api.h"
#include "coordinator/api/rate.h"
#include "coordinator/api/route.h"
#include <microhttpd.h>

/* patience.c: connections that take too long. */
typedef struct SlApiPatience SlApiPatience;
SlApiPatience *sl_patience_new(SlLoop *loop, int64_t request_us);
void sl_patience_free(SlApiPatience *patience); /* after the daemons */
/* For MHD_OPTION_NOTIFY_CONNECTION, with the SlApiPatience*. */
void sl_patience_notify(void *patience, struct MHD_Connection *of, void **context,
                        enum MHD_ConnectionNotificationCode what);
/* Its request is complete; its answer begins; its next request may come. */
void sl_patience_works(struct MHD_Connection *of);
void sl_patience_answers(struct MHD_Connection *of);
void sl_patience_reads(struct MHD_Connection *of);
uint64_t sl_patience_cut(const SlApiPatience *patience);

typedef struct {
    struct SlApi *api;
    struct MHD_Daemon *daemon;
    SlWatch *watch;
    SlTimer *timer;
    bool is_unix;
} SlApiPort;

struct SlApi {
    SlApiConfig config;
    SlApiPort ports[2];
    size_t n_ports;
    char *socket_path;
    GHashTable *calls; /* id -> SlApiCall*: those that wait for something */
    SlRates *rates;
    SlApiPatience *patience;
    struct MHD_Response *snapshot;      /* of the bytes with this tag, for whoever asks */
    struct MHD_Response *snapshot_same; /* for whoever has them: 304 */
    uint64_t snapshot_tag;
    uint64_t next_id, count;
    bool run_posted, stopping;
};

struct SlApiCall {
    struct SlApi *api;
    SlApiPort *port;
    struct MHD_Connection *connection;
    const SlRoute *route;
    json_t *args; /* query and path parameters; of an action: its args */
    GByteArray *body;
    bool begun, dispatched, suspended, answered, following;
    char *id, *person;
    SlScope scope;
    SlTimer *timer;
    uint64_t since; /* ledger seq that a follower has seen */
    /* answer */
    int status;
    GBytes *out;
    const char *content_type;
    struct MHD_Response *ready; /* borrowed: sent instead of out */
    bool challenge;             /* 401: WWW-Authenticate */
    unsigned retry_after;
};

/* Answers; the first one counts. */
/* 200 with @bytes, or 304 if the asker has those with @tag: one answer for everybody, copied never.
 * More bytes than SL_API_SNAPSHOT_BYTES count as as many reads. */
void sl_call_snapshot(SlApiCall *call, GBytes *bytes, uint64_t tag);
void sl_call_json(SlApiCall *call, int status, const json_t *body);
void sl_call_error(SlApiCall *call, const GError *error);
void sl_call_bytes(SlApiCall *call, int status, const char *content_type,
                   GBytes *bytes /* consumed */);
/* Waits for an answer until @limit_us; then API_TIMEOUT with @what. */
void sl_call_wait(SlApiCall *call, int64_t limit_us);

/* handlers.c: one per handler column of routes.def. */
#define SL_ROUTE(method, path, scope, handler, what, query, summary)                               \
    void sl_api_##handler(SlApiCall *call);
#include "coordinator/api/routes.def"
#undef SL_ROUTE
/* A follower looks again. */
void sl_api_follow(SlApiCall *call, bool last);
/* server.c: id of the caller by peer credentials or token; false: answered. */
bool sl_call_authorise(SlApiCall *call);
