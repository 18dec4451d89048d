/* log.c - one line of logfmt per event, with escaping, a cut and a rate limit per event.
 *
 * Lives on the thread of its owner. Must never write a line that a value could forge: every value
 * is escaped and quoted, and goes to the sink given at the start, which does the writing. */
#include "base/log.h"

#include "base/text.h"
#include "sluice/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define VALUE_MAX 512
#define EVENTS_PER_SECOND_MAX                                                                      \
    20                      /* of one name: enough to see a pattern, too few to fill a disk   \
                                  */
#define EVENT_NAMES_MAX 512 /* names are constants of the program; bounds a mistake */

typedef struct {
    int64_t window_us;
    unsigned count;
    uint64_t suppressed;
} Rate;

struct SlLog {
    SlLogLevel least;
    SlLogWrite write;
    int64_t (*now_us)(void *user);
    void *user;
    GHashTable *rates; /* event name -> Rate* */
};

static const char *const level_names[] = {
    [SL_LOG_DEBUG] = "debug",
    [SL_LOG_INFO] = "info",
    [SL_LOG_WARNING] = "warning",
    [SL_LOG_ERROR] = "error",
};

SlLog *sl_log_new(SlLogLevel least, SlLogWrite write, int64_t (*now_us)(void *), void *user)
{
    SlLog *log = g_new0(SlLog, 1);
    log->least = least;
    log->write = write;
    log->now_us = now_us;
    log->user = user;
    log->rates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return log;
}

static GString *begin_line(SlLogLevel level, const char *event, int64_t now_us, bool stamped)
{
    GString *line = g_string_new(NULL);
    if (stamped) {
        g_autofree char *time = sl_format_time(now_us);
        g_string_append_printf(line, "time=%s ", time);
    }
    g_string_append_printf(line, "level=%s event=%s", level_names[level], event);
    return line;
}

/* Events that were held back and never followed by another one are said at the end. */
static void say_suppressed(gpointer event, gpointer value, gpointer user)
{
    SlLog *log = user;
    const Rate *rate = value;
    if (rate->suppressed == 0) {
        return;
    }
    GString *line = begin_line(SL_LOG_INFO, event, rate->window_us, log->now_us != NULL);
    g_string_append_printf(line, " suppressed=%" PRIu64, rate->suppressed);
    log->write(line->str, SL_LOG_INFO, log->user);
    g_string_free(line, TRUE);
}

void sl_log_free(SlLog *log)
{
    if (log == NULL) {
        return;
    }
    g_hash_table_foreach(log->rates, say_suppressed, log);
    g_hash_table_destroy(log->rates);
    g_free(log);
}

static void append_field(GString *line, const char *name, const char *value)
{
    g_autoptr(GString) quoted = g_string_new(NULL);
    const char *text = value != NULL ? value : "";
    for (const char *at = text; *at != '\0' && quoted->len <= VALUE_MAX; at++) {
        if (*at == '"' || *at == '\\') {
            g_string_append_c(quoted, '\\');
        }
        g_string_append_c(quoted, *at);
    }
    g_autofree char *clean = sl_escape_for_people(quoted->str, VALUE_MAX);
    bool plain = *clean != '\0' && strpbrk(clean, " =\"\\") == NULL;
    g_string_append_printf(line, plain ? " %s=%s" : " %s=\"%s\"", name, clean);
}

/* False if the line is to be held back; *ret_suppressed is what was held back before it. */
static bool within_rate(SlLog *log, const char *event, int64_t now_us, uint64_t *ret_suppressed)
{
    Rate *rate = g_hash_table_lookup(log->rates, event);
    if (rate == NULL) {
        if (g_hash_table_size(log->rates) >= EVENT_NAMES_MAX) {
            return true;
        }
        rate = g_new0(Rate, 1);
        rate->window_us = now_us;
        g_hash_table_insert(log->rates, g_strdup(event), rate);
    }
    if (now_us - rate->window_us >= SL_SECOND_US || now_us < rate->window_us) {
        *ret_suppressed = rate->suppressed;
        *rate = (Rate){.window_us = now_us};
    }
    if (rate->count >= EVENTS_PER_SECOND_MAX) {
        rate->suppressed++;
        return false;
    }
    rate->count++;
    return true;
}

void sl_log(SlLog *log, SlLogLevel level, const char *event, ...)
{
    if (log == NULL || level < log->least) {
        return;
    }
    bool stamped = log->now_us != NULL;
    int64_t now_us = stamped ? log->now_us(log->user) : 0;
    uint64_t suppressed = 0;
    if (stamped && !within_rate(log, event, now_us, &suppressed)) {
        return;
    }
    g_autoptr(GString) line = begin_line(level, event, now_us, stamped);
    va_list args;
    va_start(args, event);
    const char *name;
    while ((name = va_arg(args, const char *)) != NULL) {
        append_field(line, name, va_arg(args, const char *));
    }
    va_end(args);
    if (suppressed > 0) {
        g_string_append_printf(line, " suppressed=%" PRIu64, suppressed);
    }
    log->write(line->str, level, log->user);
}

void sl_log_error(SlLog *log, const char *event, const GError *error)
{
    g_autofree char *code =
        error != NULL && error->domain == SL_ERROR ? g_strdup_printf("SLU%d", error->code) : NULL;
    sl_log(log, SL_LOG_ERROR, event, "code", code != NULL ? code : "-", "message",
           error != NULL ? error->message : "", NULL);
}
