/* socket.h - ZeroMQ sockets with our options, set in the order that they need. */
#pragma once
#include "link/keys.h"

#define SL_RECEIVE_MAX 16 /* messages of one peer that wait to be read */

/* One io thread; no socket of it outlives sl_context_free. */
void *sl_context_new(void);
void sl_context_free(void *context);

typedef struct {
    void *context;
    const SlCurveKeys *keys;
    const char *domain; /* SL_ZAP_DOMAIN_... */
    size_t message_max; /* bytes of one frame, enforced before authentication */
    int receive_max;    /* messages of one peer that wait to be read; 0 = as any socket */
    int receive_buffer; /* of the kernel, for one connection; 0 = what the kernel thinks fit, MiB */
} SlRouterConfig;
/* A CURVE ROUTER, not bound yet. Errors: INTERNAL. Close with sl_socket_close. */
SL_MUST_USE void *sl_socket_router(const SlRouterConfig *config, GError **error);
/* Errors: PORT_IN_USE, ENDPOINT; both name @endpoint. */
SL_MUST_USE bool sl_socket_bind(void *socket, const char *endpoint, GError **error);

typedef struct {
    void *context;
    const SlCurveKeys *keys;
    const uint8_t *server_key;
    size_t message_max;
    int reconnect_min_ms, reconnect_max_ms;
    int handshake_ms; /* 0 = as any socket */
} SlDealerConfig;
/* A CURVE DEALER, not connected yet. Errors: INTERNAL. */
SL_MUST_USE void *sl_socket_dealer(const SlDealerConfig *config, GError **error);
void sl_socket_close(void *socket); /* accepts NULL; drops what is not sent */

/* PAIR socket that gets the events @mask of @socket (under a name made for it); NULL if libzmq
 * refuses. Stop with sl_monitor_stop. */
void *sl_monitor_start(void *context, void *socket, int mask);
void sl_monitor_stop(void *monitored, void *monitor);
/* Next event without waiting. False: none. */
bool sl_monitor_next(void *monitor, int *ret_event, uint32_t *ret_value);
