/* spec.c - reads what to run: NUL-terminated `key=value` records that the agent wrote. An unknown
 * key is a mistake of ours: die. */
#include "exec.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add(char ***list, size_t *count, char *value)
{
    char **grown = realloc(*list, (*count + 2) * sizeof **list);
    if (!grown)
        exec_die(1, "out of memory");
    grown[(*count)++] = value;
    grown[*count] = NULL;
    *list = grown;
}

static void number(const char *key, const char *value, uint64_t max, uint64_t *ret)
{
    if (!exec_parse_uint(value, max, ret))
        exec_die(2, "spec: %s=%s is not a number up to %llu", key, value, (unsigned long long)max);
}

static bool take_number(ExecSpec *spec, const char *key, const char *value)
{
    uint64_t signal_number = 0;
    struct {
        const char *key;
        uint64_t max;
        uint64_t *field;
    } rows[] = {
        {"limit-us", UINT64_C(400000000000000), &spec->limit_us},
        {"grace-us", UINT64_C(86400000000), &spec->grace_us},
        {"log-bytes", UINT64_C(1) << 40, &spec->log_bytes},
        {"log-count", 60, &spec->log_count},
        {"memory-bytes", UINT64_C(1) << 50, &spec->memory_bytes},
        {"cpu-milli", 100000000, &spec->cpu_milli},
        {"owner-pid", 1 << 30, &spec->owner_pid},
        {"open-files", 1 << 20, &spec->open_files},
        {"core-bytes", UINT64_C(1) << 40, &spec->core_bytes},
        {"stop-signal", 64, &signal_number},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].key, key) != 0)
            continue;
        number(key, value, rows[i].max, rows[i].field);
        if (signal_number)
            spec->stop_signal = (int)signal_number;
        return true;
    }
    return false;
}

static void take(ExecSpec *spec, const char *key, char *value)
{
    if (take_number(spec, key, value))
        return;
    if (strcmp(key, "cwd") == 0) {
        spec->cwd = value;
    } else if (strcmp(key, "arg") == 0) {
        add(&spec->argv, &spec->arg_count, value);
    } else if (strcmp(key, "cgroup") == 0) {
        spec->cgroup = value;
    } else if (strcmp(key, "process") == 0) {
        if (spec->process_count == EXEC_PROCESSES_MAX)
            exec_die(2, "spec: more than %d processes", EXEC_PROCESSES_MAX);
        spec->process_count++;
    } else if (strcmp(key, "env") == 0 && strchr(value, '=')) {
        if (spec->process_count == 0)
            add(&spec->env, &spec->env_count, value);
        else
            add(&spec->process[spec->process_count - 1].env,
                &spec->process[spec->process_count - 1].env_count, value);
    } else {
        exec_die(2, "spec: unknown record `%s`", key);
    }
}

void exec_spec_read(int dirfd, ExecSpec *ret_spec)
{
    ExecSpec spec = {
        .stop_signal = SIGTERM, .grace_us = 10000000, .log_bytes = 8 << 20, .log_count = 4};
    size_t len = 0;
    spec.buffer = exec_read_file(dirfd, "spec", EXEC_SPEC_BYTES_MAX, &len);
    if (!spec.buffer)
        exec_die(2, "spec: missing, or larger than %d bytes", EXEC_SPEC_BYTES_MAX);
    for (char *record = spec.buffer; record < spec.buffer + len; record += strlen(record) + 1) {
        char *key = record, *equals = strchr(record, '=');
        size_t skip = strlen(record);
        if (!equals || (size_t)(record - spec.buffer) + skip >= len)
            exec_die(2, "spec: a record without `=` or its end");
        *equals = '\0';
        take(&spec, key, equals + 1);
        *equals = '=';
    }
    if (spec.arg_count == 0 || !spec.cwd)
        exec_die(2, "spec: needs arg= and cwd=");
    if (spec.process_count == 0)
        spec.process_count = 1;
    if (spec.log_bytes < 4096 || spec.log_count < 1)
        exec_die(2, "spec: log-bytes is at least 4096 and log-count at least 1");
    *ret_spec = spec;
}

char **exec_spec_environment(const ExecSpec *spec, size_t process)
{
    const ExecProcess *own = &spec->process[process];
    char **all = calloc(spec->env_count + own->env_count + 1, sizeof *all);
    if (!all)
        exec_die(1, "out of memory");
    for (size_t i = 0; i < spec->env_count; i++)
        all[i] = spec->env[i];
    for (size_t i = 0; i < own->env_count; i++)
        all[spec->env_count + i] = own->env[i];
    return all;
}
