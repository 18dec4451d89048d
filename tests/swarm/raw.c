/* raw.c - one hostile peer that speaks ZMTP 3.1 and CURVE by hand, because libzmq will not do what it
 * does. It goes on for SECONDS or until SIGTERM, comes back when it is cut off, and prints one JSON
 * line at the beginning (empty) and one at the end: how often it connected, got through the
 * handshake, bytes sent, heads.
 *
 * WHAT: silent (connects and says nothing), half (greeting and HELLO, then nothing), knock (whole
 * handshakes with a new unknown key each), endless (a registered or unknown key; parts of a message
 * that never ends), begun (a few such parts, then nothing), pings (ZMTP commands without end),
 * garbage (messages that are none), hellos, fetches, asks (fetches within its share), unread (asks
 * and reads nothing), joins (requests with a token of its own making), slow (means no harm, but sends
 * and reads 1 KiB/s: HELLO and its head; how many heads). INDEX: whose key of swarm SEED; 999999: a
 * new one. */
#include "swarm.h"

#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "proto/wire.h"
#include "runtime/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOBODY 999999
#define PART_BYTES 3500 /* fits the enrolment port's 4 KiB as well */
#define BEGUN_PARTS 60  /* 205 KiB: far above what may be open at the enrolment port */
#define WAIT_MS 3000
#define FRAME_MAX 1024
#define MESSAGE_MAX (64 * 1024)
#define ASKS_RATE 1000   /* a second; half of what is its share */
#define SLOW_RATE 1024   /* bytes a second, each way */
#define SLOW_HEADS 1     /* then it has shown it */
#define SLOW_STEP 64     /* bytes at a time */
#define SLOW_BUFFER 2048 /* of the kernel: what it does not take waits at the other end */

typedef struct {
    const char *what;
    struct sockaddr_in address;
    uint8_t server[32];
    SwarmKeys keys;
    bool fresh, slow;
    int64_t end_us;
    /* of the connection */
    int fd;
    uint8_t mine[32], my_secret[32], theirs[32];
    uint64_t nonce;
    uint64_t connects, handshakes, bytes, heads;
} Raw;

static int64_t now_us(void)
{
    return sl_clock_real.monotonic_us(sl_clock_real.user);
}

static volatile sig_atomic_t told_to_end;

static void on_term(int number)
{
    (void)number;
    told_to_end = 1;
}

static bool goes_on(const Raw *r)
{
    return !told_to_end && now_us() < r->end_us;
}

/* How much of @len may go now. */
static size_t pace(const Raw *r, size_t len)
{
    if (!r->slow) {
        return len;
    }
    poll(NULL, 0, 1000 * SLOW_STEP / SLOW_RATE);
    return MIN(len, SLOW_STEP);
}

static bool put(Raw *r, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        ssize_t n = send(r->fd, at, pace(r, len), MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && goes_on(r)) {
            continue; /* the other end is slow: SO_SNDTIMEO passed */
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        len -= (size_t)n;
        r->bytes += (uint64_t)n;
    }
    return true;
}

static bool get(Raw *r, void *bytes, size_t len)
{
    uint8_t *at = bytes;
    while (len > 0) {
        struct pollfd fd = {r->fd, POLLIN, 0};
        ssize_t n = poll(&fd, 1, WAIT_MS) == 1 ? recv(r->fd, at, pace(r, len), 0) : 0;
        if (n <= 0) {
            return false;
        }
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static bool put_frame(Raw *r, uint8_t flags, const void *body, size_t len)
{
    uint8_t head[9] = {flags};
    size_t head_len = 2;
    if (len > 255) {
        head[0] |= 2;
        head_len = 9;
        for (int i = 0; i < 8; i++) {
            head[1 + i] = (uint8_t)(len >> (56 - 8 * i));
        }
    } else {
        head[1] = (uint8_t)len;
    }
    return put(r, head, head_len) && put(r, body, len);
}

/* Length of the body, 0 on an end or anything unexpected. */
static size_t get_frame(Raw *r, uint8_t *body)
{
    uint8_t head[2];
    if (!get(r, head, 2) || (head[0] & 2) != 0 || !get(r, body, head[1])) {
        return 0;
    }
    return head[1];
}

static void nonce_of(uint8_t nonce[24], const char *prefix, uint64_t number)
{
    memcpy(nonce, prefix, 16);
    for (int i = 0; i < 8; i++) {
        nonce[16 + i] = (uint8_t)(number >> (56 - 8 * i));
    }
}

static bool say_hello(Raw *r)
{
    static const uint8_t zeros[64];
    uint8_t hello[200] = "\5HELLO\1", nonce[24];
    crypto_box_keypair(r->mine, r->my_secret);
    r->nonce = 1;
    nonce_of(nonce, "CurveZMQHELLO---", r->nonce);
    memcpy(hello + 80, r->mine, 32);
    memcpy(hello + 112, nonce + 16, 8);
    return crypto_box_easy(hello + 120, zeros, 64, nonce, r->server, r->my_secret) == 0 &&
           put_frame(r, 4, hello, sizeof hello);
}

static bool take_welcome(Raw *r, uint8_t cookie[96])
{
    uint8_t frame[FRAME_MAX], nonce[24], plain[128];
    if (get_frame(r, frame) != 168 || memcmp(frame, "\7WELCOME", 8) != 0) {
        return false;
    }
    memcpy(nonce, "WELCOME-", 8);
    memcpy(nonce + 8, frame + 8, 16);
    if (crypto_box_open_easy(plain, frame + 24, 144, nonce, r->server, r->my_secret) != 0) {
        return false;
    }
    memcpy(r->theirs, plain, 32);
    memcpy(cookie, plain + 32, 96);
    return true;
}

static bool say_initiate(Raw *r, const uint8_t cookie[96])
{
    static const char metadata[] = "\13Socket-Type\0\0\0\6DEALER";
    uint8_t plain[128 + sizeof metadata], vouch[64], nonce[24], frame[FRAME_MAX];
    size_t len = 128 + sizeof metadata - 1;
    memcpy(plain, r->keys.curve.public_, 32);
    memcpy(nonce, "VOUCH---", 8);
    randombytes_buf(nonce + 8, 16);
    memcpy(plain + 32, nonce + 8, 16);
    memcpy(vouch, r->mine, 32);
    memcpy(vouch + 32, r->server, 32);
    if (crypto_box_easy(plain + 48, vouch, 64, nonce, r->theirs, r->keys.curve.secret) != 0) {
        return false;
    }
    memcpy(plain + 128, metadata, sizeof metadata - 1);
    nonce_of(nonce, "CurveZMQINITIATE", ++r->nonce);
    memcpy(frame, "\10INITIATE", 9);
    memcpy(frame + 9, cookie, 96);
    memcpy(frame + 105, nonce + 16, 8);
    return crypto_box_easy(frame + 113, plain, len, nonce, r->theirs, r->my_secret) == 0 &&
           put_frame(r, 4, frame, 113 + len + 16);
}

static bool greet(Raw *r)
{
    uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'C', 'U', 'R', 'V', 'E'};
    uint8_t theirs[64];
    return put(r, greeting, sizeof greeting) && get(r, theirs, sizeof theirs);
}

static bool handshake(Raw *r)
{
    uint8_t cookie[96], frame[FRAME_MAX];
    if (!greet(r) || !say_hello(r) || !take_welcome(r, cookie) || !say_initiate(r, cookie) ||
        get_frame(r, frame) == 0 || memcmp(frame, "\5READY", 6) != 0) {
        return false;
    }
    r->handshakes++;
    return true;
}

/* One CURVE message: @flags 1 = more parts follow, 4 = a command. */
static bool put_message(Raw *r, uint8_t flags, const void *body, size_t len)
{
    g_autofree uint8_t *plain = g_malloc(len + 1), *frame = g_malloc(len + 33);
    uint8_t nonce[24];
    plain[0] = flags;
    memcpy(plain + 1, body, len);
    nonce_of(nonce, "CurveZMQMESSAGEC", ++r->nonce);
    memcpy(frame, "\7MESSAGE", 8);
    memcpy(frame + 8, nonce + 16, 8);
    return crypto_box_easy(frame + 16, plain, len + 1, nonce, r->theirs, r->my_secret) == 0 &&
           put_frame(r, 0, frame, len + 33);
}

static bool put_envelope(Raw *r, const Sluice__Wire__Envelope *envelope)
{
    g_autoptr(GBytes) bytes = sl_wire_pack(envelope);
    size_t len;
    const void *data = g_bytes_get_data(bytes, &len);
    return put_message(r, 0, data, len);
}

static bool put_hello(Raw *r)
{
    uint8_t nonce[16];
    Sluice__Wire__Hello hello = SLUICE__WIRE__HELLO__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    randombytes_buf(nonce, sizeof nonce);
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.format_max = SL_STATEMENT_FORMAT;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    return put_envelope(r, &envelope);
}

static bool put_fetch(Raw *r)
{
    uint8_t digest[32];
    Sluice__Wire__Fetch ask = SLUICE__WIRE__FETCH__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    randombytes_buf(digest, sizeof digest);
    ask.digest = (ProtobufCBinaryData){sizeof digest, digest};
    ask.max = SL_FETCH_MAX;
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_FETCH;
    envelope.fetch = &ask;
    return put_envelope(r, &envelope);
}

/* A request that nobody can tell from an agent's before its token is looked up. */
static bool put_join(Raw *r)
{
    uint8_t text[400], token[16], proof[32];
    Sluice__Wire__Signed request = SLUICE__WIRE__SIGNED__INIT;
    Sluice__Wire__Enrol enrol = SLUICE__WIRE__ENROL__INIT;
    Sluice__Wire__Envelope envelope = SLUICE__WIRE__ENVELOPE__INIT;
    randombytes_buf(text, sizeof text);
    randombytes_buf(token, sizeof token);
    randombytes_buf(proof, sizeof proof);
    request.text = (ProtobufCBinaryData){sizeof text, text};
    enrol.request = &request;
    enrol.token_id = (ProtobufCBinaryData){sizeof token, token};
    enrol.proof = (ProtobufCBinaryData){sizeof proof, proof};
    envelope.body_case = SLUICE__WIRE__ENVELOPE__BODY_ENROL;
    envelope.enrol = &enrol;
    return put_envelope(r, &envelope);
}

/* One message that came; false: the connection ended. */
static bool take_message(Raw *r)
{
    static uint8_t body[MESSAGE_MAX], plain[MESSAGE_MAX];
    uint8_t flags, size[8], nonce[24];
    size_t len = 0, size_len;
    if (!get(r, &flags, 1) || !get(r, size, size_len = (flags & 2) != 0 ? 8 : 1)) {
        return false;
    }
    for (size_t i = 0; i < size_len; i++) {
        len = len << 8 | size[i];
    }
    if (len > sizeof body || len < 33 || !get(r, body, len)) {
        return false;
    }
    memcpy(nonce, "CurveZMQMESSAGES", 16);
    memcpy(nonce + 16, body + 8, 8);
    if (crypto_box_open_easy(plain, body + 16, len - 16, nonce, r->theirs, r->my_secret) != 0) {
        return false;
    }
    Sluice__Wire__Envelope *envelope =
        sl_wire_unpack(plain + 1, len - 33, SL_DIRECTION_DOWN, SL_ROLE_AGENT, NULL);
    r->heads += envelope != NULL && envelope->body_case == SLUICE__WIRE__ENVELOPE__BODY_HEAD;
    sl_wire_free(envelope);
    return true;
}

/* What comes back is thrown away, or it would be "unread". */
static void drain(Raw *r)
{
    uint8_t away[65536];
    while (recv(r->fd, away, sizeof away, MSG_DONTWAIT) > 0) {
    }
}

static bool attack_once(Raw *r)
{
    static uint8_t part[PART_BYTES];
    if (strcmp(r->what, "endless") == 0 || strcmp(r->what, "begun") == 0) {
        return put_message(r, 1, part, sizeof part);
    }
    if (strcmp(r->what, "pings") == 0) {
        return put_message(r, 4, "\4PING\0\0 context", 15);
    }
    if (strcmp(r->what, "garbage") == 0) {
        return put_message(r, 0, part, 64);
    }
    if (strcmp(r->what, "hellos") == 0 || strcmp(r->what, "unread") == 0) {
        return put_hello(r);
    }
    if (strcmp(r->what, "asks") == 0) {
        poll(NULL, 0, 1000 / ASKS_RATE);
    }
    if (strcmp(r->what, "joins") == 0) {
        return put_join(r);
    }
    if (r->slow) {
        return put_hello(r) && take_message(r) && r->heads < SLOW_HEADS;
    }
    return put_fetch(r);
}

/* Until the other end has had enough, or the time is over. */
static void hold(Raw *r)
{
    struct pollfd fd = {r->fd, POLLIN, 0};
    uint8_t away[4096];
    while (goes_on(r)) {
        if (poll(&fd, 1, 100) == 1 && recv(r->fd, away, sizeof away, 0) <= 0) {
            return;
        }
    }
}

static void begin(Raw *r)
{
    bool going = handshake(r);
    for (int i = 0; going && i < BEGUN_PARTS; i++) {
        going = attack_once(r);
    }
    if (going) {
        hold(r);
    }
}

static void attack(Raw *r)
{
    if (strcmp(r->what, "silent") == 0) {
        hold(r);
    } else if (strcmp(r->what, "half") == 0) {
        if (greet(r) && say_hello(r)) {
            hold(r);
        }
    } else if (strcmp(r->what, "begun") == 0) {
        begin(r);
    } else if (handshake(r) && strcmp(r->what, "knock") != 0) {
        while (goes_on(r) && attack_once(r)) {
            if (strcmp(r->what, "unread") != 0 && !r->slow) {
                drain(r);
            }
        }
    }
}

static bool open_socket(Raw *r)
{
    struct timeval limit = {.tv_usec = 100000};
    struct linger none = {1, 0}; /* no TIME_WAIT: ports would run out before the other end does */
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int small = SLOW_BUFFER;
    if (r->slow) {
        setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    }
    if (r->fd < 0 || connect(r->fd, (struct sockaddr *)&r->address, sizeof r->address) != 0) {
        return false;
    }
    int one = 1;
    setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(r->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    r->connects++;
    return true;
}

static bool parse(Raw *r, char **argv)
{
    unsigned index = swarm_number(argv[6], "INDEX"), seconds = swarm_number(argv[7], "SECONDS");
    const char *colon = strrchr(argv[2], ':');
    uint64_t port = 0;
    if (colon == NULL || !sl_parse_uint64(colon + 1, &port) || port > 65535 ||
        !sl_unhex(argv[3], r->server, sizeof r->server)) {
        return false;
    }
    r->what = argv[4];
    r->slow = strcmp(r->what, "slow") == 0;
    r->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    r->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    r->fresh = index == NOBODY;
    r->end_us = now_us() + (int64_t)seconds * SL_SECOND_US;
    swarm_keys(argv[5], index, &r->keys);
    return seconds > 0;
}

int swarm_raw(int argc, char **argv)
{
    Raw r = {.fd = -1};
    struct sigaction action = {.sa_handler = on_term};
    (void)argc;
    if (!parse(&r, argv) || sigaction(SIGTERM, &action, NULL) != 0) {
        return 64;
    }
    (void)puts("{}"); /* from now on SIGTERM has an answer */
    (void)fflush(stdout);
    while (goes_on(&r)) {
        if (r.fresh) {
            crypto_box_keypair(r.keys.curve.public_, r.keys.curve.secret);
        }
        if (open_socket(&r)) {
            attack(&r);
        }
        if (r.fd >= 0) {
            close(r.fd);
        }
        if (r.heads >= SLOW_HEADS) {
            break;
        }
    }
    printf("{\"connects\":%llu,\"handshakes\":%llu,\"bytes\":%llu,\"heads\":%llu}\n",
           (unsigned long long)r.connects, (unsigned long long)r.handshakes,
           (unsigned long long)r.bytes, (unsigned long long)r.heads);
    return 0;
}
