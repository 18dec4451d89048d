/* doorman.c - see doorman.h.
 *
 * Owns the ROUTER's monitor and one record per open connection; touches no message. A record is made
 * by ACCEPTED and ended by DISCONNECTED, which libzmq says before it closes the descriptor. Between
 * the two the number may not be used again; should it be (we are late), the other end's address is
 * not the one that was noted, and nothing is cut.
 *
 * Bytes of messages that have not ended: what the kernel received since the last whole message, less
 * what is still in its buffer. Looked at when memory grew, and every SCAN_US; of strangers each time
 * that bytes came, since a late look is what they can fill memory with. */
#include "link/doorman.h"

#include "link/peer.h"
#include "link/socket.h"
#include "runtime/loop.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#define TURN_MS 40
#define TURN_GROWING_MS 5 /* memory grew within GROWING_US */
#define GROWING_US SL_SECOND_US
#define STRANGERS_GAP_MS 1 /* between looks at what strangers sent; less would only cost a core */
#define STRANGERS_AT_ONCE 64
#define SWEEP_US SL_SECOND_US
#define SCAN_US (10 * SL_SECOND_US)
#define GROWN_PAGES 1024 /* 4 MiB more than at the last look: look now */
#define TRIM_PAGES 4096  /* 16 MiB more than after the last trim, */
#define TRIM_PART 4      /* and a quarter: give back what is free */
#define TRIM_GAP_US (5 * SL_SECOND_US)
#define OVER_SHARE_MAX 50 /* within a minute; who goes on is cut */
#define EVENTS (ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED)

typedef struct {
    int fd;
    bool cut, open_known;
    struct sockaddr_storage peer;
    int64_t came_us, heard_us; /* heard_us 0: nothing yet */
    uint64_t base;             /* bytes received when the last message had ended */
    char user[65];
    SlBucket share; /* tokens are messages */
    SlStrikes over; /* messages above it */
    GList *mute;    /* its place among those that said nothing, NULL = it spoke */
} Door;

struct SlDoorman {
    SlDoorLimits limits;
    void *router, *monitor;
    int stop[2];  /* pipe */
    int arrivals; /* epoll of strangers' descriptors, -1 = limits.strangers is not set */
    pthread_t thread;
    pthread_mutex_t lock; /* everything below */
    GHashTable *doors;    /* descriptor -> Door* */
    GQueue mute;          /* of Door*, oldest first */
    SlDoorCounts counts;
    double paces; /* tokens */
    int64_t paced_us, swept_us, scanned_us, grown_us, trimmed_us;
    long scanned_pages, trimmed_pages;
};

static int64_t now_us(void)
{
    return sl_clock_real.monotonic_us(sl_clock_real.user);
}

/* ---- cutting ---- */

/* Still the connection that was noted? */
static bool is_same(const Door *door)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    return getpeername(door->fd, (struct sockaddr *)&peer, &len) == 0 &&
           memcmp(&peer, &door->peer, sizeof peer) == 0;
}

static bool cut(Door *door, uint64_t *count)
{
    if (door->cut || !is_same(door)) {
        return false;
    }
    door->cut = true; /* its record ends with DISCONNECTED */
    (*count)++;
    return shutdown(door->fd, SHUT_RDWR) == 0;
}

static void forget_mute(SlDoorman *d, Door *door)
{
    if (door->mute != NULL) {
        g_queue_delete_link(&d->mute, door->mute);
        door->mute = NULL;
    }
}

/* ---- events of libzmq ---- */

static bool take_pace(SlDoorman *d, int64_t now)
{
    double more = (double)(now - d->paced_us) / 1e6 * d->limits.accepts_per_second;
    d->paces = MIN(d->paces + more, (double)d->limits.accepts_burst);
    d->paced_us = now;
    if (d->paces < 1) {
        return false;
    }
    d->paces -= 1;
    return true;
}

static void cut_oldest_mute(SlDoorman *d, Door *newest)
{
    for (GList *at = d->mute.head; at != NULL; at = at->next) {
        if (cut(at->data, &d->counts.crowd)) {
            forget_mute(d, at->data);
            return;
        }
    }
    cut(newest, &d->counts.crowd);
}

static Door *make_door(SlDoorman *d, int fd, int64_t now)
{
    Door *old = g_hash_table_lookup(d->doors, GINT_TO_POINTER(fd));
    if (old != NULL) {
        forget_mute(d, old);
    }
    Door *door = g_new0(Door, 1);
    socklen_t len = sizeof door->peer;
    door->fd = fd;
    door->came_us = now;
    door->share = (SlBucket){.rate = d->limits.share_rate,
                             .burst = d->limits.share_burst,
                             .tokens = d->limits.share_burst,
                             .filled_us = now};
    if (getpeername(fd, (struct sockaddr *)&door->peer, &len) != 0) {
        memset(&door->peer, 0xff, sizeof door->peer); /* gone already: never the same again */
    }
    g_queue_push_tail(&d->mute, door);
    door->mute = d->mute.tail;
    g_hash_table_replace(d->doors, GINT_TO_POINTER(fd), door);
    return door;
}

/* Edge-triggered: an event for each arrival, none for what waits. Ends with the connection. */
static void watch_arrivals(SlDoorman *d, const Door *door)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = door->fd};
    if (d->arrivals >= 0 && is_same(door)) {
        epoll_ctl(d->arrivals, EPOLL_CTL_ADD, door->fd, &event); /* or it is watched already */
    }
}

/* We may be so late that it has spoken already: then its record is there. */
static void on_accepted(SlDoorman *d, int fd)
{
    int64_t now = now_us();
    Door *door = g_hash_table_lookup(d->doors, GINT_TO_POINTER(fd));
    if (door == NULL || !is_same(door)) {
        door = make_door(d, fd, now);
    }
    d->counts.accepted++;
    watch_arrivals(d, door);
    if (!take_pace(d, now)) {
        cut(door, &d->counts.pace);
    } else if (g_hash_table_size(d->doors) > d->limits.connections_max) {
        cut_oldest_mute(d, door);
    }
}

static void on_disconnected(SlDoorman *d, int fd)
{
    Door *door = g_hash_table_lookup(d->doors, GINT_TO_POINTER(fd));
    if (door != NULL) {
        forget_mute(d, door);
        g_hash_table_remove(d->doors, GINT_TO_POINTER(fd));
    }
}

static void read_events(SlDoorman *d)
{
    int event;
    uint32_t value;
    while (sl_monitor_next(d->monitor, &event, &value)) {
        pthread_mutex_lock(&d->lock);
        if (event == ZMQ_EVENT_ACCEPTED) {
            on_accepted(d, (int)value);
        } else if (event == ZMQ_EVENT_DISCONNECTED) {
            on_disconnected(d, (int)value);
        }
        pthread_mutex_unlock(&d->lock);
    }
}

/* ---- time ---- */

static void sweep(SlDoorman *d, int64_t now)
{
    GHashTableIter iter;
    gpointer value;
    while (d->mute.head != NULL) {
        Door *door = d->mute.head->data;
        if (now - door->came_us <= d->limits.mute_us) {
            break;
        }
        cut(door, &d->counts.mute);
        forget_mute(d, door);
    }
    g_hash_table_iter_init(&iter, d->doors);
    while (d->limits.idle_us > 0 && g_hash_table_iter_next(&iter, NULL, &value)) {
        Door *door = value;
        if (door->heard_us > 0 && now - door->heard_us > d->limits.idle_us) {
            cut(door, &d->counts.mute);
        }
    }
}

/* Bytes that libzmq took from this connection, ever. */
static bool bytes_taken(int fd, uint64_t *ret)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    int waiting = 0;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received ||
        ioctl(fd, FIONREAD, &waiting) != 0) {
        return false;
    }
    uint64_t received = info.tcpi_bytes_received, left = (uint64_t)MAX(waiting, 0);
    *ret = received - MIN(received, left);
    return true;
}

static void look(SlDoorman *d, Door *door)
{
    uint64_t taken = 0;
    if (door->cut || !bytes_taken(door->fd, &taken)) {
        return;
    }
    if (!door->open_known) {
        door->base = door->heard_us > 0 ? taken : 0;
        door->open_known = true;
    }
    if (taken > door->base && taken - door->base > d->limits.open_max) {
        cut(door, &d->counts.endless);
    }
}

static void scan(SlDoorman *d)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, d->doors);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        look(d, value);
    }
}

static void look_at_arrivals(SlDoorman *d)
{
    struct epoll_event events[STRANGERS_AT_ONCE];
    int count = epoll_wait(d->arrivals, events, STRANGERS_AT_ONCE, 0);
    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < count; i++) {
        Door *door = g_hash_table_lookup(d->doors, GINT_TO_POINTER(events[i].data.fd));
        if (door != NULL) {
            look(d, door);
        }
    }
    pthread_mutex_unlock(&d->lock);
}

/* Resident pages of this process; 0 = unknown. */
static long resident_pages(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    const char *space = strchr(text, ' ');
    return space != NULL ? (long)g_ascii_strtoll(space + 1, NULL, 10) : 0;
}

/* What a burst left behind goes back to the system; libzmq and malloc would keep it. */
static void trim(SlDoorman *d, long pages, int64_t now)
{
    if (d->trimmed_pages == 0 || pages < d->trimmed_pages) {
        d->trimmed_pages = pages;
    }
    long more = MAX(TRIM_PAGES, d->trimmed_pages / TRIM_PART);
    if (pages > d->trimmed_pages + more && now - d->trimmed_us > TRIM_GAP_US) {
        malloc_trim(0);
        d->trimmed_us = now;
        d->trimmed_pages = resident_pages();
    }
}

static void turn(SlDoorman *d)
{
    int64_t now = now_us();
    long pages = resident_pages();
    pthread_mutex_lock(&d->lock);
    if (now - d->swept_us > SWEEP_US) {
        d->swept_us = now;
        sweep(d, now);
    }
    bool grown = pages > d->scanned_pages + GROWN_PAGES;
    if (grown || now - d->scanned_us > SCAN_US) {
        d->grown_us = grown ? now : d->grown_us;
        d->scanned_us = now;
        d->scanned_pages = pages;
        scan(d);
    }
    d->scanned_pages = MIN(d->scanned_pages, pages);
    pthread_mutex_unlock(&d->lock);
    trim(d, pages, now);
}

static void *run(void *user)
{
    SlDoorman *d = user;
    zmq_pollitem_t items[] = {{d->monitor, 0, ZMQ_POLLIN, 0},
                              {NULL, d->stop[0], ZMQ_POLLIN, 0},
                              {NULL, d->arrivals, ZMQ_POLLIN, 0}};
    int64_t turned = 0;
    for (;;) {
        bool rests = (items[2].revents & ZMQ_POLLIN) != 0; /* looked at them just now */
        int turn_ms = now_us() - d->grown_us < GROWING_US ? TURN_GROWING_MS : TURN_MS;
        items[2].revents = 0;
        if (zmq_poll(items, d->arrivals >= 0 && !rests ? 3 : 2,
                     rests ? STRANGERS_GAP_MS : turn_ms) < 0 &&
            zmq_errno() != EINTR) {
            g_error("doorman: %s", zmq_strerror(zmq_errno()));
        }
        if (items[1].revents & ZMQ_POLLIN) {
            return NULL;
        }
        read_events(d);
        if (items[2].revents & ZMQ_POLLIN) {
            look_at_arrivals(d);
        }
        if (now_us() - turned >= turn_ms * 1000) {
            turn(d);
            turned = now_us();
        }
    }
}

/* ---- for others ---- */

static bool charge(SlDoorman *d, Door *door, int64_t now)
{
    if (d->limits.share_rate == 0 || sl_bucket_take(&door->share, 1, now)) {
        return true;
    }
    if (sl_strikes_add(&door->over, OVER_SHARE_MAX, now)) {
        cut(door, &d->counts.flood);
    }
    return false;
}

bool sl_doorman_heard(SlDoorman *d, int fd, const char *user)
{
    bool within = true;
    pthread_mutex_lock(&d->lock);
    Door *door = g_hash_table_lookup(d->doors, GINT_TO_POINTER(fd));
    if (door == NULL && fd >= 0) {
        door = make_door(d, fd, now_us());
    }
    if (door != NULL) {
        forget_mute(d, door);
        door->heard_us = now_us();
        door->open_known = false;
        g_strlcpy(door->user, user, sizeof door->user);
        within = charge(d, door, door->heard_us);
    }
    pthread_mutex_unlock(&d->lock);
    return within;
}

static unsigned each_of(SlDoorman *d, const char *user, bool and_cut)
{
    unsigned count = 0;
    GHashTableIter iter;
    gpointer value;
    pthread_mutex_lock(&d->lock);
    g_hash_table_iter_init(&iter, d->doors);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Door *door = value;
        if (!door->cut && strcmp(door->user, user) == 0) {
            count += !and_cut || cut(door, &d->counts.asked);
        }
    }
    pthread_mutex_unlock(&d->lock);
    return count;
}

unsigned sl_doorman_cut(SlDoorman *d, const char *user)
{
    return each_of(d, user, true);
}

unsigned sl_doorman_count(SlDoorman *d, const char *user)
{
    return each_of(d, user, false);
}

SlDoorCounts sl_doorman_counts(SlDoorman *d)
{
    pthread_mutex_lock(&d->lock);
    SlDoorCounts counts = d->counts;
    counts.connections = g_hash_table_size(d->doors);
    pthread_mutex_unlock(&d->lock);
    return counts;
}

/* The thread inherits blocked signals: they belong to the loop. */
static bool start_thread(SlDoorman *d)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = pthread_create(&d->thread, NULL, run, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0;
}

static void free_parts(SlDoorman *d)
{
    sl_monitor_stop(d->router, d->monitor);
    if (d->arrivals >= 0) {
        close(d->arrivals);
    }
    g_queue_clear(&d->mute);
    g_hash_table_unref(d->doors);
    pthread_mutex_destroy(&d->lock);
    g_free(d);
}

SlDoorman *sl_doorman_new(void *context, void *router, const SlDoorLimits *limits, GError **error)
{
    SlDoorman *d = g_new0(SlDoorman, 1);
    d->limits = *limits;
    d->router = router;
    d->paces = (double)limits->accepts_burst;
    d->paced_us = d->scanned_us = now_us();
    d->grown_us = -GROWING_US;
    d->arrivals = limits->strangers ? epoll_create1(EPOLL_CLOEXEC) : -1;
    d->doors = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    pthread_mutex_init(&d->lock, NULL);
    d->monitor = sl_monitor_start(context, router, EVENTS);
    if (d->monitor != NULL && (d->arrivals >= 0 || !limits->strangers) &&
        pipe2(d->stop, O_CLOEXEC) == 0) {
        if (start_thread(d)) {
            return d;
        }
        close(d->stop[0]);
        close(d->stop[1]);
    }
    free_parts(d);
    return sl_throw_null(error, SLU_INTERNAL, "the watch over connections can't start: %s",
                         zmq_strerror(zmq_errno()));
}

void sl_doorman_free(SlDoorman *d)
{
    if (d == NULL) {
        return;
    }
    while (write(d->stop[1], "", 1) < 0 && errno == EINTR) {
    }
    pthread_join(d->thread, NULL);
    close(d->stop[0]);
    close(d->stop[1]);
    free_parts(d);
}
