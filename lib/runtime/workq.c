/* workq.c - blocking work off the loop: a bounded queue, pthread workers, completions back through
 * an eventfd.
 *
 *     loop thread: push -> [waiting] -> worker: work(job) -> [finished] -> eventfd
 *                       -> loop thread: done(job)
 *
 * The mutex guards the two queues and the counts, nothing else; a job belongs to exactly one thread
 * at any time. pthread and eventfd instead of GLib's threads: ThreadSanitizer can't see through
 * those of a distribution's GLib. Workers must never touch the loop, sockets or state of the
 * daemon. */
#include "runtime/workq.h"

#include "base/auto.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

typedef struct {
    void (*work)(void *job);
    void (*done)(void *job, bool cancelled);
    void *job;
} Item;

struct SlWorkq {
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    GQueue waiting, finished; /* of Item* */
    size_t pending;           /* waiting + running + finished and not delivered */
    size_t queue_max;
    bool stopping;
    pthread_t *threads;
    unsigned thread_count;
    int event_fd;
    SlWatch *watch;
};

static void notify(int fd)
{
    uint64_t one = 1;
    ssize_t ignored = write(fd, &one, sizeof one); /* full means that it is signalled already */
    (void)ignored;
}

static void *run_worker(void *user)
{
    SlWorkq *queue = user;
    pthread_mutex_lock(&queue->mutex);
    for (;;) {
        while (!queue->stopping && queue->waiting.length == 0) {
            pthread_cond_wait(&queue->wanted, &queue->mutex);
        }
        if (queue->stopping) {
            break;
        }
        Item *item = g_queue_pop_head(&queue->waiting);
        pthread_mutex_unlock(&queue->mutex);
        item->work(item->job);
        pthread_mutex_lock(&queue->mutex);
        g_queue_push_tail(&queue->finished, item);
        notify(queue->event_fd);
    }
    pthread_mutex_unlock(&queue->mutex);
    return NULL;
}

/* Takes the finished items out under the lock and calls back without it: done() may push again. */
static void deliver(SlWorkq *queue)
{
    pthread_mutex_lock(&queue->mutex);
    GQueue finished = queue->finished;
    g_queue_init(&queue->finished);
    queue->pending -= finished.length;
    pthread_mutex_unlock(&queue->mutex);
    for (Item *item = g_queue_pop_head(&finished); item != NULL;
         item = g_queue_pop_head(&finished)) {
        item->done(item->job, false);
        g_free(item);
    }
}

static void read_event(int fd, unsigned events, void *user)
{
    (void)events;
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof count);
    (void)ignored;
    deliver(user);
}

/* Signals belong to the loop thread (signalfd): workers are born with all of them blocked. */
static void start_threads(SlWorkq *queue, unsigned threads)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    queue->threads = g_new0(pthread_t, threads);
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&queue->threads[i], NULL, run_worker, queue) != 0) {
            break;
        }
        queue->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (queue->thread_count == 0) {
        g_error("no worker thread can be started: raise the limit of processes (RLIMIT_NPROC)");
    }
}

SlWorkq *sl_workq_new(SlLoop *loop, unsigned threads, size_t queue_max)
{
    SlWorkq *queue = g_new0(SlWorkq, 1);
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->wanted, NULL);
    g_queue_init(&queue->waiting);
    g_queue_init(&queue->finished);
    queue->queue_max = queue_max;
    queue->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->event_fd < 0) {
        g_error("eventfd: %s", g_strerror(errno));
    }
    queue->watch = sl_watch_new(loop, queue->event_fd, SL_READABLE, read_event, queue);
    start_threads(queue, MAX(threads, 1));
    return queue;
}

void sl_workq_free(SlWorkq *queue)
{
    if (queue == NULL) {
        return;
    }
    pthread_mutex_lock(&queue->mutex);
    queue->stopping = true;
    pthread_cond_broadcast(&queue->wanted);
    pthread_mutex_unlock(&queue->mutex);
    for (unsigned i = 0; i < queue->thread_count; i++) {
        pthread_join(queue->threads[i], NULL);
    }
    deliver(queue);
    for (Item *item = g_queue_pop_head(&queue->waiting); item != NULL;
         item = g_queue_pop_head(&queue->waiting)) {
        item->done(item->job, true);
        g_free(item);
    }
    sl_watch_free(queue->watch);
    sl_close_fd(&queue->event_fd);
    g_free(queue->threads);
    pthread_cond_destroy(&queue->wanted);
    pthread_mutex_destroy(&queue->mutex);
    g_free(queue);
}

bool sl_workq_push(SlWorkq *queue, void (*work)(void *job), void (*done)(void *job, bool cancelled),
                   void *job, GError **error)
{
    pthread_mutex_lock(&queue->mutex);
    bool refused = queue->stopping || queue->pending >= queue->queue_max;
    if (!refused) {
        Item *item = g_new(Item, 1);
        *item = (Item){work, done, job};
        g_queue_push_tail(&queue->waiting, item);
        queue->pending++;
        pthread_cond_signal(&queue->wanted);
    }
    pthread_mutex_unlock(&queue->mutex);
    if (refused) {
        return sl_throw(error, SLU_LIMIT,
                        "work queue: %zu jobs wait or run already, which is its limit",
                        queue->queue_max);
    }
    return true;
}

size_t sl_workq_pending(const SlWorkq *queue)
{
    SlWorkq *q = (SlWorkq *)queue; /* the lock is not part of the value */
    pthread_mutex_lock(&q->mutex);
    size_t pending = q->pending;
    pthread_mutex_unlock(&q->mutex);
    return pending;
}
