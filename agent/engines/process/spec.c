/* spec.c - writes the spec file of sluice-exec: NUL-terminated `key=value` records, no shell and no
 * quoting anywhere. */
#include "agent/engines/process/process.h"
#include "base/text.h"
#include <signal.h>
#include <string.h>

#define ARGS_MAX 1024

struct SlSpec {
    GByteArray *bytes;
};

SlSpec *sl_spec_new(const char *cwd)
{
    SlSpec *spec = g_new0(SlSpec, 1);
    spec->bytes = g_byte_array_new();
    sl_spec_add(spec, "cwd", cwd);
    return spec;
}

void sl_spec_free(SlSpec *spec)
{
    if (!spec)
        return;
    g_byte_array_unref(spec->bytes);
    g_free(spec);
}

void sl_spec_add(SlSpec *spec, const char *key, const char *value)
{
    g_byte_array_append(spec->bytes, (const guint8 *)key, (guint)strlen(key));
    g_byte_array_append(spec->bytes, (const guint8 *)"=", 1);
    g_byte_array_append(spec->bytes, (const guint8 *)value, (guint)strlen(value) + 1);
}

void sl_spec_add_uint(SlSpec *spec, const char *key, uint64_t value)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);
    sl_spec_add(spec, key, text);
}

void sl_spec_add_env(SlSpec *spec, const char *name, const char *value)
{
    g_autofree char *pair = g_strconcat(name, "=", value, NULL);
    sl_spec_add(spec, "env", pair);
}

static bool add_list(SlSpec *spec, const json_t *list, const char *where, size_t *count,
                     GError **error)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)list, i, item)
    {
        const char *text = json_string_value(item);
        if (!text || ++*count > ARGS_MAX)
            return sl_throw(error, SLU_OBJECT_SPEC, "spec.%s.%zu: must be text, at most %d in all",
                            where, i, ARGS_MAX);
        sl_spec_add(spec, "arg", text);
    }
    return true;
}

static int signal_number(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } rows[] = {{"TERM", SIGTERM}, {"INT", SIGINT},   {"QUIT", SIGQUIT},
                {"HUP", SIGHUP},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2}};
    const char *bare = g_str_has_prefix(name, "SIG") ? name + 3 : name;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strcmp(rows[i].name, bare) == 0)
            return rows[i].number;
    return 0;
}

static bool add_stop(SlSpec *spec, const json_t *job_spec, GError **error)
{
    const char *name = sl_json_str_or(job_spec, "stop.signal", "TERM");
    const char *grace = sl_json_str(job_spec, "stop.grace");
    int64_t grace_us = 30 * SL_SECOND_US;
    int number = signal_number(name);
    if (number == 0)
        return sl_throw(error, SLU_OBJECT_SPEC,
                        "spec.stop.signal: `%s` is none of TERM, INT, QUIT, HUP, USR1, USR2", name);
    if (!grace)
        grace = sl_json_str(job_spec, "grace");
    if (grace && !sl_parse_duration(grace, &grace_us, error))
        return sl_prefix(error, "spec.stop.grace");
    sl_spec_add_uint(spec, "stop-signal", (uint64_t)number);
    sl_spec_add_uint(spec, "grace-us", (uint64_t)grace_us);
    return true;
}

/* "512Mi", "2Gi", "1000000": bytes; 0 if it is none of ours. */
static uint64_t memory_bytes(const char *text)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } rows[] = {{"Ki", UINT64_C(1) << 10},
                {"Mi", UINT64_C(1) << 20},
                {"Gi", UINT64_C(1) << 30},
                {"Ti", UINT64_C(1) << 40},
                {"", 1}};
    for (size_t i = 0; text && i < G_N_ELEMENTS(rows); i++) {
        uint64_t value;
        if (!g_str_has_suffix(text, rows[i].suffix))
            continue;
        g_autofree char *digits = g_strndup(text, strlen(text) - strlen(rows[i].suffix));
        if (sl_parse_uint64(digits, &value) && value < (UINT64_C(1) << 50) / rows[i].factor)
            return value * rows[i].factor;
    }
    return 0;
}

/* 2, 0.5, "2", "500m": thousandths of a CPU; 0 if it is none of ours. */
static uint64_t cpu_milli(const json_t *value)
{
    const char *text = json_string_value(value);
    char *end = NULL;
    double cpus = json_is_number(value) ? json_number_value(value)
                  : text                ? g_ascii_strtod(text, &end)
                                        : 0;
    if (end && strcmp(end, "m") == 0)
        cpus /= 1000;
    else if (end && *end)
        return 0;
    return cpus >= 0.001 && cpus <= 100000 ? (uint64_t)(cpus * 1000 + 0.5) : 0;
}

bool sl_spec_add_program(SlSpec *spec, const json_t *job_spec, GError **error)
{
    size_t count = 0;
    const json_t *command = sl_json_at(job_spec, "command"), *args = sl_json_at(job_spec, "args");
    if (!json_is_array(command) || json_array_size(command) == 0)
        return sl_throw(error, SLU_OBJECT_SPEC,
                        "spec.command: the engine `process` runs a program: name it");
    if (!add_list(spec, command, "command", &count, error) ||
        !add_list(spec, args, "args", &count, error))
        return false;
    const char *memory = sl_json_str(job_spec, "resourcesPerNode.memory");
    if (!memory)
        memory = sl_json_str(job_spec, "resources.memory");
    if (memory_bytes(memory))
        sl_spec_add_uint(spec, "memory-bytes", memory_bytes(memory));
    const json_t *cpu = sl_json_at(job_spec, "resourcesPerNode.cpu");
    uint64_t milli = cpu_milli(cpu ? cpu : sl_json_at(job_spec, "resources.cpu"));
    if (milli)
        sl_spec_add_uint(spec, "cpu-milli", milli);
    return add_stop(spec, job_spec, error);
}

GBytes *sl_spec_finish(SlSpec *spec)
{
    GByteArray *bytes = g_steal_pointer(&spec->bytes);
    g_free(spec);
    return g_byte_array_free_to_bytes(bytes);
}
