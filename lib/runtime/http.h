/* http.h - HTTP client: one curl multi on the loop; also over a Unix socket; blocking form for the
 * CLI. */
#pragma once
#include "runtime/loop.h"

typedef struct SlHttp SlHttp;
SlHttp *sl_http_new(SlLoop *loop, unsigned connections_max);
void sl_http_free(SlHttp *http); /* no callback any more */

typedef struct {
    const char *method, *url;
    const char *unix_socket;        /* or NULL */
    const char *const *headers;     /* "Name: value", NULL-terminated, or NULL */
    GBytes *body;                   /* or NULL */
    const char *ca_file;            /* or NULL = system */
    const char *ca_pem;             /* or NULL; before ca_file */
    const char *cert_pem, *key_pem; /* client certificate, or NULL */
    bool direct;                    /* by no proxy that the environment names */
    size_t body_max;                /* 0 = 1 MiB; more is LIMIT */
    int64_t timeout_us;             /* 0 = 30 s; negative = none */
    /* If set, the body of a 200 comes here in pieces while it arrives, and body_max is what may wait
     * to be said. */
    void (*chunk)(GBytes *bytes, void *user);
} SlHttpRequest;
typedef struct {
    int status;
    GBytes *body;
    char *content_type, *retry_after, *etag;
} SlHttpResponse;
void sl_http_response_clear(SlHttpResponse *response);
/* @done once: @error for no answer (UNAVAILABLE, TIMEOUT, LIMIT, TLS_PEER); any HTTP status is an
 * answer. Redirects are not followed. The call lives until @done was called. */
typedef struct SlHttpCall SlHttpCall;
SlHttpCall *sl_http_send(SlHttp *http, const SlHttpRequest *request,
                         void (*done)(const SlHttpResponse *response, const GError *error,
                                      void *user),
                         void *user);
void sl_http_cancel(SlHttp *http, SlHttpCall *call); /* no callback any more; NULL is none */
SL_MUST_USE bool sl_http_wait(const SlHttpRequest *request, SlHttpResponse *ret_response,
                              GError **error);
