/* client.h - one Kubernetes API server on the loop: requests with retries, streams for watches.
 *
 * Callbacks run on the loop thread, never from inside a call; they may cancel, send and free. */
#pragma once
#include "base/json.h"
#include "kube/config.h"
#include "runtime/loop.h"

#define SL_KUBE_REQUESTS_MAX 8   /* under way at once, a connection each */
#define SL_KUBE_WAITING_MAX 4096 /* behind them */
#define SL_KUBE_STREAMS_MAX 128  /* watches, a connection each */
#define SL_KUBE_ANSWER_MAX ((size_t)16 * 1024 * 1024)

typedef struct SlKube SlKube;
typedef struct SlKubeCall SlKubeCall;
SlKube *sl_kube_new(SlLoop *loop, SlKubeConfig *config /* transfer full */);
void sl_kube_free(SlKube *kube); /* no callback any more; its watches are freed before */
SlLoop *sl_kube_loop(const SlKube *kube);
const char *sl_kube_namespace(const SlKube *kube); /* the configured one */

typedef struct {
    const char *method, *path; /* "PATCH", "/api/v1/...?fieldManager=x" */
    const char *content_type;  /* NULL = application/json */
    const char *accept;        /* NULL = application/json */
    const char *if_none_match; /* or NULL */
    const json_t *body;        /* or NULL */
    size_t answer_max;         /* 0 = SL_KUBE_ANSWER_MAX */
    int64_t timeout_us;        /* 0 = 30 s, of each try */
} SlKubeRequest;
typedef struct {
    int status;       /* 304: the object is empty; 0 = none came */
    json_t *json;     /* the object; with an error the Status or NULL; borrowed */
    const char *etag; /* or NULL */
} SlKubeAnswer;
typedef void (*SlKubeDone)(const SlKubeAnswer *answer, const GError *error, void *user);

/* @done once, after the retries that retry.h allows. Errors: SLU_KUBE_..., LIMIT, TLS_PEER. The call
 * lives until @done was called. */
SlKubeCall *sl_kube_send(SlKube *kube, const SlKubeRequest *request, SlKubeDone done, void *user);
/* GET of a stream: the bytes of a 200 as they come, no retry (but for a token that was renewed), no
 * time-out. */
SlKubeCall *sl_kube_stream(SlKube *kube, const char *path, void (*bytes)(GBytes *bytes, void *user),
                           SlKubeDone done, void *user);
void sl_kube_cancel(SlKubeCall *call); /* no callback any more; NULL is none */
