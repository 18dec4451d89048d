/* zap.c - ZAP handler thread: in-memory look-ups only, so that a busy loop never holds up a
 * handshake.
 *
 * Owns the REP socket inproc://zeromq.zap.01 and reads one table under a read-write lock. Answers,
 * by RFC 27:
 *   200  let in; user id = the client's key as 64 hex, which libzmq attaches to every message of
 *        the connection
 *   400  not registered (yet), suspended, another mechanism than CURVE, an unknown domain or a
 *        malformed request. The connection ends at once and the peer is told; with 300 both ends
 *        would hold it until the handshake's limit. An agent knocks again by itself (client.c).
 * Its end while the sockets live would open them to everybody (libzmq accepts when no handler is
 * bound), so any error that is not our own shutdown ends the process. */
#include "link/zap.h"

#include "base/digest.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <zmq.h>

#define ENDPOINT "inproc://zeromq.zap.01"
#define CONTROL "inproc://sluice.zap.stop"
#define FRAMES_MAX                                                                                 \
    16 /* a ZAP request has 7 frames with one credential; more are read and thrown away */
#define FRAME_MAX 256

struct SlZap {
    void *socket, *stop_here, *stop_there;
    pthread_t thread;
    pthread_rwlock_t lock;
    GHashTable *allowed, *suspended; /* sets of 64 hex */
};

typedef struct {
    char text[FRAMES_MAX][FRAME_MAX]; /* NUL-terminated */
    size_t len[FRAMES_MAX];
    size_t count; /* also of frames that were not kept */
} Frames;

static void fatal(const char *what)
{
    g_error("ZAP handler: %s: %s; ending, because without it anybody would be let in", what,
            zmq_strerror(zmq_errno()));
}

static void read_frames(void *socket, Frames *frames)
{
    memset(frames, 0, sizeof *frames);
    int more = 1;
    while (more) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, socket, 0) < 0) {
            fatal("receive");
        }
        size_t len = zmq_msg_size(&message);
        if (frames->count < FRAMES_MAX && len < FRAME_MAX) {
            memcpy(frames->text[frames->count], zmq_msg_data(&message), len);
            frames->len[frames->count] = len;
        }
        frames->count++;
        more = zmq_msg_more(&message);
        zmq_msg_close(&message);
    }
}

bool sl_zap_allowed(SlZap *zap, const char *curve_hex)
{
    pthread_rwlock_rdlock(&zap->lock);
    bool found = g_hash_table_contains(zap->allowed, curve_hex);
    pthread_rwlock_unlock(&zap->lock);
    return found;
}

static bool may_enter(SlZap *zap, const char *curve_hex)
{
    pthread_rwlock_rdlock(&zap->lock);
    bool may = g_hash_table_contains(zap->allowed, curve_hex) &&
               !g_hash_table_contains(zap->suspended, curve_hex);
    pthread_rwlock_unlock(&zap->lock);
    return may;
}

void sl_zap_suspend(SlZap *zap, const char *curve_hex, bool suspended)
{
    pthread_rwlock_wrlock(&zap->lock);
    if (suspended) {
        g_hash_table_add(zap->suspended, g_strdup(curve_hex));
    } else {
        g_hash_table_remove(zap->suspended, curve_hex);
    }
    pthread_rwlock_unlock(&zap->lock);
}

/* Frames: version, request id, domain, address, identity, mechanism, credentials. */
static const char *judge(SlZap *zap, const Frames *f, char ret_user[65])
{
    ret_user[0] = '\0';
    if (f->count != 7 || strcmp(f->text[0], "1.0") != 0 || strcmp(f->text[5], "CURVE") != 0 ||
        f->len[6] != 32) {
        return "400";
    }
    g_autofree char *hex = sl_hex(f->text[6], 32);
    bool enrol = strcmp(f->text[2], SL_ZAP_DOMAIN_ENROL) == 0;
    if (!enrol && strcmp(f->text[2], SL_ZAP_DOMAIN_AGENT) != 0) {
        return "400";
    }
    if (!enrol && !may_enter(zap, hex)) {
        return "400";
    }
    g_strlcpy(ret_user, hex, 65);
    return "200";
}

static void send_frame(void *socket, const void *bytes, size_t len, int flags)
{
    if (zmq_send(socket, bytes, len, flags) < 0) {
        fatal("send");
    }
}

static void answer_one(SlZap *zap)
{
    Frames frames;
    char user[65];
    read_frames(zap->socket, &frames);
    const char *status = judge(zap, &frames, user);
    send_frame(zap->socket, "1.0", 3, ZMQ_SNDMORE);
    send_frame(zap->socket, frames.text[1], frames.len[1], ZMQ_SNDMORE);
    send_frame(zap->socket, status, 3, ZMQ_SNDMORE);
    send_frame(zap->socket, "", 0, ZMQ_SNDMORE); /* status text: says nothing to strangers */
    send_frame(zap->socket, user, strlen(user), ZMQ_SNDMORE);
    send_frame(zap->socket, "", 0, 0);
}

static void *run(void *user)
{
    SlZap *zap = user;
    zmq_pollitem_t items[] = {{zap->socket, 0, ZMQ_POLLIN, 0}, {zap->stop_there, 0, ZMQ_POLLIN, 0}};
    for (;;) {
        if (zmq_poll(items, 2, -1) < 0) {
            if (zmq_errno() == EINTR) {
                continue;
            }
            fatal("poll");
        }
        if (items[0].revents & ZMQ_POLLIN) {
            answer_one(zap);
        }
        if (items[1].revents & ZMQ_POLLIN) {
            return NULL;
        }
    }
}

static void close_socket(void *socket)
{
    if (socket != NULL) {
        zmq_close(socket);
    }
}

static void free_parts(SlZap *zap)
{
    close_socket(zap->socket);
    close_socket(zap->stop_here);
    close_socket(zap->stop_there);
    pthread_rwlock_destroy(&zap->lock);
    g_hash_table_unref(zap->allowed);
    g_hash_table_unref(zap->suspended);
    g_free(zap);
}

static bool open_sockets(SlZap *zap, void *context)
{
    int linger = 0;
    zap->socket = zmq_socket(context, ZMQ_REP);
    zap->stop_here = zmq_socket(context, ZMQ_PAIR);
    zap->stop_there = zmq_socket(context, ZMQ_PAIR);
    return zap->socket != NULL && zap->stop_here != NULL && zap->stop_there != NULL &&
           zmq_setsockopt(zap->socket, ZMQ_LINGER, &linger, sizeof linger) == 0 &&
           zmq_bind(zap->socket, ENDPOINT) == 0 && zmq_bind(zap->stop_here, CONTROL) == 0 &&
           zmq_connect(zap->stop_there, CONTROL) == 0;
}

/* The sockets were made here and belong to the new thread from now on (pthread_create is the
 * barrier). */
static bool start_thread(SlZap *zap)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = pthread_create(&zap->thread, NULL, run, zap);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0;
}

SlZap *sl_zap_new(void *context, GError **error)
{
    SlZap *zap = g_new0(SlZap, 1);
    pthread_rwlock_init(&zap->lock, NULL);
    zap->allowed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    zap->suspended = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (!open_sockets(zap, context) || !start_thread(zap)) {
        sl_throw(error, SLU_INTERNAL, "the ZAP handler can't start: %s", zmq_strerror(zmq_errno()));
        free_parts(zap);
        return NULL;
    }
    return zap;
}

void sl_zap_free(SlZap *zap)
{
    if (zap == NULL) {
        return;
    }
    zmq_send(zap->stop_here, "", 0, 0);
    pthread_join(zap->thread, NULL);
    free_parts(zap);
}

void sl_zap_allow(SlZap *zap, const GPtrArray *curve_keys)
{
    GHashTable *fresh = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < curve_keys->len; i++) {
        const char *key = g_ptr_array_index(curve_keys, i);
        if (sl_is_hex_digest(key)) {
            g_hash_table_add(fresh, g_strdup(key));
        }
    }
    pthread_rwlock_wrlock(&zap->lock);
    GHashTable *old = zap->allowed;
    zap->allowed = fresh;
    pthread_rwlock_unlock(&zap->lock);
    g_hash_table_unref(old);
}
