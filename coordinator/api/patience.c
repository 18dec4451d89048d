/* patience.c - how long one connection may take to send its request, and to take its answer. The
 * server's own limit is about silence: who sends a byte a second would keep its place for ever. Says
 * nothing to those that it ends: before the headers are complete there is nobody to answer. */
#include "coordinator/api/call.h"
#include <sys/socket.h>

#define LOOKS 4          /* in the time that a request may take */
#define ANSWER_FACTOR 10 /* bytes by digest over a thin line take longer than a request */

typedef enum { READING, WORKING, SENDING } State;

struct SlApiPatience {
    SlTimer *timer;
    int64_t request_us;
    GQueue open; /* of Connection* */
    uint64_t cut;
};

typedef struct {
    SlApiPatience *patience;
    int fd;
    bool cut;
    State state;
    int64_t since_us;
    GList *link;
} Connection;

static int64_t now_us(void)
{
    return sl_clock_real.monotonic_us(sl_clock_real.user);
}

/* What works waits for us, not we for it. */
static int64_t limit_of(const Connection *at)
{
    switch (at->state) {
    case READING:
        return at->patience->request_us;
    case SENDING:
        return at->patience->request_us * ANSWER_FACTOR;
    default:
        return INT64_MAX;
    }
}

static void look(void *user)
{
    SlApiPatience *patience = user;
    int64_t now = now_us();
    for (GList *at = patience->open.head; at != NULL; at = at->next) {
        Connection *connection = at->data;
        if (connection->cut || now - connection->since_us < limit_of(connection))
            continue;
        connection->cut = true;
        patience->cut++;
        shutdown(connection->fd, SHUT_RDWR); /* the server sees its end and closes it */
    }
    sl_timer_arm(patience->timer, patience->open.length > 0 ? patience->request_us / LOOKS : -1);
}

static void opened(SlApiPatience *patience, struct MHD_Connection *of, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(of, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL)
        return;
    Connection *connection = g_new0(Connection, 1);
    connection->patience = patience;
    connection->fd = info->connect_fd;
    connection->since_us = now_us();
    g_queue_push_tail(&patience->open, connection);
    connection->link = patience->open.tail;
    *context = connection;
    if (patience->open.length == 1)
        sl_timer_arm(patience->timer, patience->request_us / LOOKS);
}

void sl_patience_notify(void *user, struct MHD_Connection *of, void **context,
                        enum MHD_ConnectionNotificationCode what)
{
    SlApiPatience *patience = user;
    Connection *connection = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        opened(patience, of, context);
    } else if (connection != NULL) {
        g_queue_delete_link(&patience->open, connection->link);
        g_free(connection);
        *context = NULL;
    }
}

static void turn_to(struct MHD_Connection *of, State state)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(of, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    Connection *connection = info != NULL ? info->socket_context : NULL;
    if (connection == NULL || connection->state == state)
        return;
    connection->state = state;
    connection->since_us = now_us();
}

void sl_patience_works(struct MHD_Connection *of)
{
    turn_to(of, WORKING);
}

void sl_patience_answers(struct MHD_Connection *of)
{
    turn_to(of, SENDING);
}

void sl_patience_reads(struct MHD_Connection *of)
{
    turn_to(of, READING);
}

SlApiPatience *sl_patience_new(SlLoop *loop, int64_t request_us)
{
    SlApiPatience *patience = g_new0(SlApiPatience, 1);
    patience->request_us = request_us;
    patience->timer = sl_timer_new(loop, look, patience);
    return patience;
}

void sl_patience_free(SlApiPatience *patience)
{
    if (patience == NULL)
        return;
    sl_timer_free(patience->timer);
    g_queue_clear_full(&patience->open, g_free);
    g_free(patience);
}

uint64_t sl_patience_cut(const SlApiPatience *patience)
{
    return patience->cut;
}
