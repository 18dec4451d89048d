/* group.c - the cgroup of a run where it is writable (memory limit, oom count), and signals to
 * everything below us. */
#include "exec.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCENDANTS_MAX 4096 /* more are found in the next round */
#define CPU_PERIOD_US 100000

static bool write_text(const char *folder, const char *file, const char *text)
{
    char path[EXEC_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return ok;
}

/* "cpu,cpuacct" names "cpu"; the unified hierarchy names none. */
static bool names_controller(const char *names, const char *controller)
{
    size_t wanted = strlen(controller);
    if (wanted == 0)
        return names[0] == '\0';
    for (const char *name = names; *name;) {
        size_t len = strcspn(name, ",");
        if (len == wanted && strncmp(name, controller, len) == 0)
            return true;
        name += len + (name[len] == ',');
    }
    return false;
}

/* Our own cgroup of a controller ("memory", or "" for v2) out of /proc/self/cgroup. */
static bool own_cgroup(const char *controller, char *ret_path, size_t size)
{
    char line[1024];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (names_controller(names + 1, controller)) {
            snprintf(ret_path, size, "%s", path);
            found = true;
        }
    }
    if (file)
        fclose(file);
    return found;
}

static bool make_in(char *folder, size_t size, const char *mount, const char *own, const char *leaf)
{
    int len =
        snprintf(folder, size, "%s%s/sluice-%s", mount, strcmp(own, "/") == 0 ? "" : own, leaf);
    if (len > 0 && (size_t)len < size && (mkdir(folder, 0755) == 0 || errno == EEXIST))
        return true;
    folder[0] = '\0';
    return false;
}

/* The unified hierarchy: limits work where the controllers are handed down to us; a group that has
 * processes of its own may not hand any down, so that an agent in a subgroup `agent` of what was
 * delegated to it gets its parent's. */
static void make_v2(ExecGroup *group, const char *leaf, const char *memory, const char *cpu)
{
    char own[EXEC_PATH_MAX / 2], base[EXEC_PATH_MAX];
    if (!own_cgroup("", own, sizeof own))
        return;
    size_t len = strlen(own);
    if (len > 6 && strcmp(own + len - 6, "/agent") == 0)
        own[len - 6] = '\0';
    snprintf(base, sizeof base, "/sys/fs/cgroup%s", strcmp(own, "/") == 0 ? "" : own);
    (void)write_text(base, "cgroup.subtree_control", "+memory");
    (void)write_text(base, "cgroup.subtree_control", "+cpu");
    if (!make_in(group->memory, sizeof group->memory, "/sys/fs/cgroup", own[0] ? own : "/", leaf))
        return;
    if (memory[0])
        (void)write_text(group->memory, "memory.max", memory);
    if (cpu[0])
        (void)write_text(group->memory, "cpu.max", cpu);
}

static void make_v1_cpu(ExecGroup *group, const char *leaf, uint64_t cpu_milli)
{
    static const char *const mounts[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
    char own[EXEC_PATH_MAX / 2], quota[32];
    snprintf(quota, sizeof quota, "%llu", (unsigned long long)(cpu_milli * (CPU_PERIOD_US / 1000)));
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0] && !group->cpu[0]; i++)
        if (own_cgroup("cpu", own, sizeof own) &&
            make_in(group->cpu, sizeof group->cpu, mounts[i], own, leaf))
            (void)write_text(group->cpu, "cpu.cfs_quota_us", quota);
}

void exec_group_make(ExecGroup *group, const char *leaf, uint64_t memory_bytes, uint64_t cpu_milli)
{
    char own[EXEC_PATH_MAX / 2], memory[32] = "", cpu[64] = "";
    group->memory[0] = group->cpu[0] = '\0';
    group->v2 = false;
    if (!leaf || strchr(leaf, '/'))
        return;
    if (memory_bytes)
        snprintf(memory, sizeof memory, "%llu", (unsigned long long)memory_bytes);
    if (cpu_milli)
        snprintf(cpu, sizeof cpu, "%llu %d",
                 (unsigned long long)(cpu_milli * (CPU_PERIOD_US / 1000)), CPU_PERIOD_US);
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0) {
        group->v2 = true;
        make_v2(group, leaf, memory, cpu);
        return;
    }
    if (own_cgroup("memory", own, sizeof own) &&
        make_in(group->memory, sizeof group->memory, "/sys/fs/cgroup/memory", own, leaf) &&
        memory[0])
        (void)write_text(group->memory, "memory.limit_in_bytes", memory);
    if (cpu_milli)
        make_v1_cpu(group, leaf, cpu_milli);
}

void exec_group_enter(const ExecGroup *group, pid_t pid)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", (long)pid);
    if (group->memory[0])
        (void)write_text(group->memory, "cgroup.procs", text);
    if (group->cpu[0])
        (void)write_text(group->cpu, "cgroup.procs", text);
}

bool exec_group_oom(const ExecGroup *group)
{
    char path[EXEC_PATH_MAX + 64], line[128];
    if (!group->memory[0])
        return false;
    snprintf(path, sizeof path, "%s/%s", group->memory,
             group->v2 ? "memory.events" : "memory.oom_control");
    FILE *file = fopen(path, "re");
    bool oom = false;
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "oom_kill ", 9) == 0 && strtoull(line + 9, NULL, 10) > 0)
            oom = true;
    if (file)
        fclose(file);
    return oom;
}

void exec_group_remove(const ExecGroup *group)
{
    if (group->memory[0])
        rmdir(group->memory);
    if (group->cpu[0])
        rmdir(group->cpu);
}

typedef struct {
    pid_t pid, parent;
} Row;

static size_t read_processes(Row *rows, size_t max)
{
    size_t count = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && count < max && (entry = readdir(proc));) {
        char path[300], text[512];
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
            close(fd);
        if (n <= 0)
            continue;
        text[n] = '\0';
        char *end = strrchr(text, ')');
        if (!end || end[1] == '\0' || end[2] == 'Z' || end[3] == '\0')
            continue;
        rows[count++] =
            (Row){(pid_t)strtol(entry->d_name, NULL, 10), (pid_t)strtol(end + 4, NULL, 10)};
    }
    if (proc)
        closedir(proc);
    return count;
}

unsigned exec_signal_descendants(int signal)
{
    Row *rows = calloc(DESCENDANTS_MAX * 4, sizeof *rows);
    size_t count = rows ? read_processes(rows, DESCENDANTS_MAX * 4) : 0, found = 1;
    pid_t *tree = calloc(DESCENDANTS_MAX, sizeof *tree);
    if (!tree || !rows) {
        free(rows);
        free(tree);
        return 0;
    }
    tree[0] = getpid();
    for (size_t next = 0; next < found; next++)
        for (size_t i = 0; i < count && found < DESCENDANTS_MAX; i++)
            if (rows[i].parent == tree[next])
                tree[found++] = rows[i].pid;
    unsigned signalled = 0;
    for (size_t i = 1; i < found; i++)
        if (kill(tree[i], signal) == 0)
            signalled++;
    free(rows);
    free(tree);
    return signalled;
}
