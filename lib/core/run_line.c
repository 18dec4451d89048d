/* run_line.c - parser of progress lines: hostile input, so that everything odd is "no progress
 * line", never an error.
 *
 *   {"sluice":1,"ev":"progress","step":1200,"total":50000,"metrics":{"loss":2.31}}     after any
 * log prefix
 *   ::sluice step=1200/50000 loss=2.31          ::sluice final accuracy=0.97           after any
 * log prefix */
#include "core/run_line.h"
#include "base/digest.h"
#include "base/text.h"
#include <math.h>
#include <string.h>

#define STEP_MAX (INT64_C(1) << 53) /* beyond it doubles, and so most writers, lose count */
#define NUMBER_MAX 1e15
#define BARE_MARK "::sluice "
#define JSON_MARK "{\"sluice\""

static const char *const ev_names[SL_N_EVS] = {
    [SL_EV_START] = "start",           [SL_EV_PROGRESS] = "progress",   [SL_EV_EVAL] = "eval",
    [SL_EV_CHECKPOINT] = "checkpoint", [SL_EV_HEARTBEAT] = "heartbeat", [SL_EV_PHASE] = "phase",
    [SL_EV_ERROR] = "error",           [SL_EV_FINAL] = "final",
};

static const char *const non_finite[] = {"NaN", "Infinity", "-Infinity"};

void sl_progress_event_free(SlProgressEvent *event)
{
    if (event == NULL) {
        return;
    }
    json_decref(event->metrics);
    g_free(event->uri);
    g_free(event->sha256);
    g_free(event->name);
    g_free(event->error_class);
    g_free(event->message);
    g_free(event);
}

static SlProgressEvent *new_event(void)
{
    SlProgressEvent *event = g_new0(SlProgressEvent, 1);
    event->t = event->epoch = event->epochs = event->rate = event->eta = (double)NAN;
    event->step = event->total = event->rank = -1;
    event->ok = -1;
    event->metrics = json_object();
    return event;
}

static bool find_ev(const char *name, SlEv *ret_ev)
{
    for (int i = 0; name != NULL && i < SL_N_EVS; i++) {
        if (strcmp(ev_names[i], name) == 0) {
            *ret_ev = (SlEv)i;
            return true;
        }
    }
    return false;
}

static bool is_metric_name(const char *name)
{
    size_t len = strnlen(name, SL_PROGRESS_NAME_MAX + 1);
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isalnum(name[i]) && strchr("_./@-", name[i]) == NULL) {
            return false;
        }
    }
    return len > 0 && len <= SL_PROGRESS_NAME_MAX;
}

static bool is_non_finite_word(const char *word)
{
    for (size_t i = 0; word != NULL && i < G_N_ELEMENTS(non_finite); i++) {
        if (strcmp(word, non_finite[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool sl_progress_is_metric(const char *name, const json_t *value)
{
    if (!is_metric_name(name)) {
        return false;
    }
    return (json_is_number(value) && isfinite(json_number_value(value))) ||
           is_non_finite_word(json_string_value(value));
}

static void take_metric(SlProgressEvent *event, const char *name, json_t *value)
{
    if (sl_progress_is_metric(name, value) &&
        json_object_size(event->metrics) < SL_PROGRESS_METRICS_MAX) {
        json_t *kept =
            json_is_string(value) ? json_incref(value) : json_real(json_number_value(value));
        json_object_set_new(event->metrics, name, kept);
    }
}

/* A count: an integer, or a real that is one. -1 if it is none. */
static int64_t count_of(const json_t *value)
{
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        return number >= 0 && number <= STEP_MAX ? (int64_t)number : -1;
    }
    double real = json_is_real(value) ? json_real_value(value) : -1;
    return real >= 0 && real <= (double)STEP_MAX && floor(real) == real ? (int64_t)real : -1;
}

/* A number from 0 to @max, else NaN. */
static double amount_of(const json_t *value)
{
    double number = json_is_number(value) ? json_number_value(value) : (double)NAN;
    return number >= 0 && number <= NUMBER_MAX ? number : (double)NAN;
}

static char *text_of(const json_t *value)
{
    const char *text = json_string_value(value);
    return text != NULL ? sl_escape_for_people(text, SL_PROGRESS_TEXT_MAX) : NULL;
}

static char *digest_of(const json_t *value)
{
    const char *text = json_string_value(value);
    if (text != NULL && g_str_has_prefix(text, "sha256:")) {
        text += strlen("sha256:");
    }
    return sl_is_hex_digest(text) ? g_strdup(text) : NULL;
}

static SlProgressEvent *event_of_json(const json_t *json)
{
    g_autoptr(SlProgressEvent) event = new_event();
    if (json_integer_value(json_object_get(json, "sluice")) != 1 ||
        !find_ev(sl_json_str(json, "ev"), &event->ev)) {
        return NULL;
    }
    event->t = amount_of(json_object_get(json, "t"));
    event->step = count_of(json_object_get(json, "step"));
    event->total = count_of(json_object_get(json, "total"));
    event->rank = count_of(json_object_get(json, "rank"));
    event->epoch = amount_of(json_object_get(json, "epoch"));
    event->epochs = amount_of(json_object_get(json, "epochs"));
    event->rate = amount_of(json_object_get(json, "rate"));
    event->eta = amount_of(json_object_get(json, "eta"));
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(json, "metrics"), key, value)
    {
        take_metric(event, key, value);
    }
    const json_t *artifact = json_object_get(json, "artifact");
    bool final = event->ev == SL_EV_FINAL;
    event->uri = text_of(json_object_get(final ? artifact : json, "uri"));
    event->sha256 = digest_of(json_object_get(final ? artifact : json, "sha256"));
    event->name = text_of(json_object_get(json, "name"));
    event->error_class = text_of(json_object_get(json, "class"));
    event->message = text_of(json_object_get(json, "msg"));
    const json_t *ok = json_object_get(json, "ok");
    event->ok = json_is_boolean(ok) ? json_is_true(ok) : -1;
    return g_steal_pointer(&event);
}

/* Python's json.dumps writes NaN and Infinity as bare words; put them in quotes so that one
 * diverged metric does not hide the whole line. */
static char *quote_bare_words(const char *text, size_t len)
{
    GString *quoted = g_string_sized_new(len + 16);
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        if (in_string && text[i] == '\\' && i + 1 < len) {
            g_string_append_c(quoted, text[i++]);
        } else if (text[i] == '"') {
            in_string = !in_string;
        } else if (!in_string && strchr("NI-", text[i]) != NULL && text[i] != '\0') {
            size_t word = 0;
            while (word < G_N_ELEMENTS(non_finite) &&
                   (len - i < strlen(non_finite[word]) ||
                    strncmp(text + i, non_finite[word], strlen(non_finite[word])) != 0)) {
                word++;
            }
            if (word < G_N_ELEMENTS(non_finite)) {
                g_string_append_printf(quoted, "\"%s\"", non_finite[word]);
                i += strlen(non_finite[word]) - 1;
                continue;
            }
        }
        g_string_append_c(quoted, text[i]);
    }
    return g_string_free(quoted, FALSE);
}

static SlProgressEvent *parse_json(const char *text, size_t len)
{
    static const SlJsonLimits limits = {
        .bytes_max = 2 * SL_PROGRESS_LINE_MAX, .depth_max = 6, .nodes_max = 1024};
    g_autofree char *quoted = quote_bare_words(text, len);
    g_autoptr(json_t) json = sl_json_parse(quoted, strlen(quoted), &limits, "progress line", NULL);
    return json_is_object(json) ? event_of_json(json) : NULL;
}

static bool parse_double(const char *text, double *ret_value)
{
    if (text[0] == '\0' || strlen(text) > 40 || strspn(text, "0123456789+-.eE") != strlen(text)) {
        return false;
    }
    char *end = NULL;
    *ret_value = g_ascii_strtod(text, &end);
    return *end == '\0' && isfinite(*ret_value);
}

/* "1200/50000" or "1200"; what does not fit leaves the members alone. */
static void take_step(SlProgressEvent *event, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 3);
    int64_t step = 0;
    int64_t total = 0;
    guint count = g_strv_length(parts);
    if (count == 0 || count > 2 || !sl_parse_int64(parts[0], &step) || step < 0 ||
        step > STEP_MAX) {
        return;
    }
    event->step = step;
    if (count == 2 && sl_parse_int64(parts[1], &total) && total >= 0 && total <= STEP_MAX) {
        event->total = total;
    }
}

static void take_epoch(SlProgressEvent *event, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 3);
    double value = 0;
    if (parts[0] != NULL && parse_double(parts[0], &value) && value >= 0 && value <= NUMBER_MAX) {
        event->epoch = value;
        if (parts[1] != NULL && parse_double(parts[1], &value) && value >= 0 &&
            value <= NUMBER_MAX) {
            event->epochs = value;
        }
    }
}

static void take_pair(SlProgressEvent *event, const char *key, const char *text)
{
    double value = 0;
    bool number = parse_double(text, &value);
    if (strcmp(key, "step") == 0) {
        take_step(event, text);
    } else if (strcmp(key, "epoch") == 0) {
        take_epoch(event, text);
    } else if (strcmp(key, "total") == 0) {
        int64_t total = 0;
        event->total = sl_parse_int64(text, &total) && total >= 0 && total <= STEP_MAX ? total : -1;
    } else if (strcmp(key, "rank") == 0) {
        event->rank = number && value >= 0 && value < 1e9 ? (int64_t)value : -1;
    } else if (strcmp(key, "rate") == 0 || strcmp(key, "eta") == 0 || strcmp(key, "epochs") == 0) {
        double *at = key[0] == 'r' ? &event->rate : key[1] == 't' ? &event->eta : &event->epochs;
        *at = number && value >= 0 && value <= NUMBER_MAX ? value : (double)NAN;
    } else if (number || is_non_finite_word(text)) {
        g_autoptr(json_t) json = number ? json_real(value) : json_string(text);
        take_metric(event, key, json);
    }
}

/* `[event] key=number...`; one word that is neither makes it an ordinary line. */
static SlProgressEvent *parse_bare(const char *text, size_t len)
{
    g_autofree char *copy = g_strndup(text, len);
    g_auto(GStrv) words = g_strsplit(g_strstrip(copy), " ", 2 * SL_PROGRESS_METRICS_MAX);
    g_autoptr(SlProgressEvent) event = new_event();
    event->ev = SL_EV_PROGRESS;
    bool any = false;
    for (size_t i = 0; words[i] != NULL; i++) {
        char *equals = strchr(words[i], '=');
        if (words[i][0] == '\0') {
            continue;
        }
        if (equals == NULL) {
            if (any || !find_ev(words[i], &event->ev)) {
                return NULL;
            }
        } else {
            *equals = '\0';
            take_pair(event, words[i], equals + 1);
        }
        any = true;
    }
    return any ? g_steal_pointer(&event) : NULL;
}

SlProgressEvent *sl_progress_event_parse(const char *line, size_t len)
{
    if (len > 0 && line[len - 1] == '\n') {
        len--;
    }
    if (len > 0 && line[len - 1] == '\r') {
        len--;
    }
    if (len == 0 || len >= SL_PROGRESS_LINE_MAX || memchr(line, '\0', len) != NULL ||
        !sl_is_clean_utf8(line, len, false)) {
        return NULL;
    }
    const char *json = line[0] == '{' ? line : memmem(line, len, JSON_MARK, strlen(JSON_MARK));
    if (json != NULL) {
        return parse_json(json, len - (size_t)(json - line));
    }
    const char *bare = memmem(line, len, BARE_MARK, strlen(BARE_MARK));
    if (bare == NULL) {
        return NULL;
    }
    bare += strlen(BARE_MARK);
    return parse_bare(bare, len - (size_t)(bare - line));
}
