/* seal.c - the seal statement as a struct. A seal says what an agent saw; what it is worth, a gate
 * decides. */
#include "core/seal.h"
#include "base/digest.h"
#include "base/text.h"
#include "core/fields.h"
#include <errno.h>
#include <math.h>
#include <string.h>

#define FIELD(key, type, name)                                                                     \
    {                                                                                              \
        key, SL_FIELD_##type, offsetof(SlSeal, name)                                               \
    }
static const SlField seal_fields[] = {
    FIELD("fleet", HEX, fleet),
    FIELD("environment", NAME, env),
    FIELD("cluster", NAME, cluster),
    FIELD("unit", UNIT, app),
    FIELD("job", NAME, job),
    FIELD("run-id", HEX, run_id),
    FIELD("run-key", HEX, run_key),
    FIELD("generation", UINT, generation),
    FIELD("promotion", HEX, promotion),
    FIELD("bundle", HEX, bundle),
    FIELD("release", HEX, release),
    FIELD("phase", PHASE, phase),
    FIELD("reason", TEXT, reason),
    FIELD("exit", TEXT, exit),
    FIELD("attempts", UINT, attempts),
    FIELD("started", TIME, started_us),
    FIELD("finished", TIME, finished_us),
    FIELD("input", LINES, inputs),
    FIELD("output", LINES, outputs),
    FIELD("metric", LINES, metrics),
    FIELD("message", TEXT, message),
};
#undef FIELD

/* Metrics of one record (64) and outputs or inputs of one job (32): both limits are those of run.h
 * and the job kind. */
#define SEAL_METRICS_MAX 64
#define SEAL_ARTIFACTS_MAX 32
#define METRIC_NAME_MAX 128

static bool parse_number(const char *text, double *ret_value)
{
    if (strcmp(text, "NaN") == 0 || strcmp(text, "Infinity") == 0 ||
        strcmp(text, "-Infinity") == 0) {
        *ret_value = text[0] == 'N'   ? (double)NAN
                     : text[0] == 'I' ? (double)INFINITY
                                      : -(double)INFINITY;
        return true;
    }
    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text)) {
        return false;
    }
    char *end = NULL;
    double value = g_ascii_strtod(text, &end);
    if (*end != '\0' || !isfinite(value)) {
        return false;
    }
    *ret_value = value;
    return true;
}

/* "<name> sha256:<hex>" and, for outputs, " <bytes>". */
static bool is_artifact(const char *line, bool with_bytes)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 4);
    uint64_t bytes = 0;
    return g_strv_length(words) == (with_bytes ? 3 : 2) && sl_is_name(words[0]) &&
           g_str_has_prefix(words[1], "sha256:") && sl_is_hex_digest(words[1] + 7) &&
           (!with_bytes || sl_parse_uint64(words[2], &bytes));
}

static bool is_metric(const char *line)
{
    const char *space = strchr(line, ' ');
    double value = 0;
    return space != NULL && space > line && space - line <= METRIC_NAME_MAX &&
           parse_number(space + 1, &value);
}

/* Every line well-formed, every name once: a reader never has to choose between two values. */
static bool check_lines(const char *key, const GPtrArray *lines, guint max, GError **error)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (lines != NULL && lines->len > max) {
        return sl_throw(error, SLU_LIMIT, "%s: %u lines; a seal holds at most %u", key, lines->len,
                        max);
    }
    for (guint i = 0; lines != NULL && i < lines->len; i++) {
        const char *line = lines->pdata[i];
        bool good = key[0] == 'm' ? is_metric(line) : is_artifact(line, key[0] == 'o');
        if (!good) {
            return sl_throw(error, SLU_STATEMENT_FORMAT, "%s: `%s` is malformed", key, line);
        }
        size_t len = (size_t)(strchr(line, ' ') - line);
        if (!g_hash_table_add(names, g_strndup(line, len))) {
            return sl_throw(error, SLU_STATEMENT_FORMAT, "%s: `%.*s` is there twice", key, (int)len,
                            line);
        }
    }
    return true;
}

static bool check_seal(const void *record, GError **error)
{
    const SlSeal *seal = record;
    if (seal->phase != SL_RUN_SUCCEEDED && seal->phase != SL_RUN_FAILED) {
        return sl_throw(error, SLU_STATEMENT_FORMAT,
                        "phase: a seal is final: Succeeded or Failed, not `%s`",
                        sl_run_phase_name(seal->phase));
    }
    if (seal->finished_us < seal->started_us) {
        return sl_throw(error, SLU_STATEMENT_FORMAT, "finished: is before started");
    }
    return check_lines("input", seal->inputs, SEAL_ARTIFACTS_MAX, error) &&
           check_lines("output", seal->outputs, SEAL_ARTIFACTS_MAX, error) &&
           check_lines("metric", seal->metrics, SEAL_METRICS_MAX, error);
}

static const SlRecord seal_record = {
    .kind = SL_STATEMENT_SEAL,
    .size = sizeof(SlSeal),
    .env_offset = offsetof(SlSeal, env),
    .count = G_N_ELEMENTS(seal_fields),
    .fields = seal_fields,
    .check = check_seal,
};

SlSeal *sl_seal_parse(GBytes *text, GError **error)
{
    return sl_record_parse(&seal_record, text, error);
}

GBytes *sl_seal_format(const SlSeal *seal, GError **error)
{
    return sl_record_format(&seal_record, seal, error);
}

void sl_seal_free(SlSeal *seal)
{
    sl_record_free(&seal_record, seal);
}

static const char *find_line(const GPtrArray *lines, const char *name)
{
    size_t len = strlen(name);
    for (guint i = 0; lines != NULL && i < lines->len; i++) {
        const char *line = lines->pdata[i];
        if (strncmp(line, name, len) == 0 && line[len] == ' ') {
            return line + len + 1;
        }
    }
    return NULL;
}

char *sl_seal_output(const SlSeal *seal, const char *name)
{
    const char *value = find_line(seal->outputs, name);
    return value != NULL ? g_strndup(value + strlen("sha256:"), SL_HEX_DIGEST_LEN) : NULL;
}

bool sl_seal_metric(const SlSeal *seal, const char *name, double *ret_value)
{
    const char *value = find_line(seal->metrics, name);
    return value != NULL && parse_number(value, ret_value);
}

static json_t *artifacts_json(const GPtrArray *lines, bool with_bytes)
{
    json_t *json = json_object();
    for (guint i = 0; lines != NULL && i < lines->len; i++) {
        g_auto(GStrv) words = g_strsplit(lines->pdata[i], " ", 4);
        json_t *artifact = json_object();
        uint64_t bytes = 0;
        sl_json_set_str(artifact, "digest", words[1] + strlen("sha256:"));
        if (with_bytes && sl_parse_uint64(words[2], &bytes)) {
            json_object_set_new(artifact, "bytes", json_integer((json_int_t)bytes));
        }
        json_object_set_new(json, words[0], artifact);
    }
    return json;
}

static json_t *metrics_json(const GPtrArray *lines)
{
    json_t *json = json_object();
    for (guint i = 0; lines != NULL && i < lines->len; i++) {
        const char *space = strchr(lines->pdata[i], ' ');
        g_autofree char *name =
            g_strndup(lines->pdata[i], (size_t)(space - (char *)lines->pdata[i]));
        double value = 0;
        bool finite = parse_number(space + 1, &value) && isfinite(value);
        json_object_set_new(json, name, finite ? json_real(value) : json_string(space + 1));
    }
    return json;
}

json_t *sl_seal_to_json(const SlSeal *seal, const char *digest)
{
    json_t *json = json_object();
    const struct {
        const char *key, *value;
    } texts[] = {
        {"digest", digest},         {"environment", seal->env},
        {"cluster", seal->cluster}, {"app", seal->app},
        {"job", seal->job},         {"run-id", seal->run_id},
        {"run-key", seal->run_key}, {"promotion", seal->promotion},
        {"bundle", seal->bundle},   {"release", seal->release},
        {"reason", seal->reason},   {"exit", seal->exit},
        {"message", seal->message}, {"phase", sl_run_phase_name(seal->phase)},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (texts[i].value != NULL) {
            sl_json_set_str(json, texts[i].key, texts[i].value);
        }
    }
    g_autofree char *started = sl_format_time(seal->started_us);
    g_autofree char *finished = sl_format_time(seal->finished_us);
    sl_json_set_str(json, "started", started);
    sl_json_set_str(json, "finished", finished);
    json_object_set_new(json, "generation", json_integer((json_int_t)seal->generation));
    json_object_set_new(json, "attempts", json_integer((json_int_t)seal->attempts));
    json_object_set_new(json, "inputs", artifacts_json(seal->inputs, false));
    json_object_set_new(json, "outputs", artifacts_json(seal->outputs, true));
    json_object_set_new(json, "metrics", metrics_json(seal->metrics));
    return json;
}
