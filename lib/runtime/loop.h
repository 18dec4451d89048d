/* loop.h - the one loop of a daemon: timers, descriptors, signals, posted calls. Fences
 * GMainContext. */
#pragma once
#include "sluice/clock.h"
#include "sluice/error.h"

typedef struct SlLoop SlLoop;
SlLoop *sl_loop_new(void);
void sl_loop_free(SlLoop *loop);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlLoop, sl_loop_free)
int sl_loop_run(SlLoop *loop); /* until sl_loop_quit; returns its code */
void sl_loop_quit(SlLoop *loop, int code);
/* One turn, for tests and the CLI: waits at most @timeout_us (-1 = until something happens). True
 * if something ran. */
bool sl_loop_turn(SlLoop *loop, int64_t timeout_us);
GMainContext *sl_loop_context(SlLoop *loop); /* lib/link only */

/* Handles are freed by cancel or by their own end; cancel accepts NULL and nulls nothing. Callbacks
 * may cancel their own handle. */
typedef struct SlTimer SlTimer;
/* Fires once after @after_us (monotonic); the handle lives until cancelled or re-armed. */
SlTimer *sl_timer_new(SlLoop *loop, void (*fired)(void *user), void *user);
void sl_timer_arm(SlTimer *timer, int64_t after_us); /* again = moved; negative = off */
void sl_timer_free(SlTimer *timer);

typedef struct SlWatch SlWatch;
enum { SL_READABLE = 1, SL_WRITABLE = 2, SL_HANGUP = 4 };
SlWatch *sl_watch_new(SlLoop *loop, int fd, unsigned events,
                      void (*ready)(int fd, unsigned events, void *user), void *user);
void sl_watch_set(SlWatch *watch, unsigned events);
void sl_watch_free(SlWatch *watch); /* does not close fd */

void sl_loop_post(SlLoop *loop, void (*call)(void *user), void *user); /* next turn, same thread */
/* SIGTERM, SIGINT, SIGHUP by signalfd; blocks them. */
SL_MUST_USE bool sl_loop_signals(SlLoop *loop, const int *signals,
                                 void (*caught)(int signal, void *user), void *user,
                                 GError **error);

extern const SlClock sl_clock_real;
void sl_random_bytes(void *bytes, size_t len); /* getrandom; aborts if it can't */
