/* limits.c - can limits of CPU and memory be enforced here? Asked by doctor only: sluice-exec tries by itself at every start, and a
 * program without a limit still runs. */
#include "agent/engines/process/process.h"
#include "runtime/atomicfile.h"
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CGROUP_FILE_MAX (64 * 1024)

static char *read_text(const char *path)
{
    g_autoptr(GBytes) bytes = sl_file_read(path, CGROUP_FILE_MAX, NULL);
    return bytes ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) : g_strdup("");
}

/* Our own group of a controller of /proc/self/cgroup ("" = the unified one); NULL if there is none. */
static char *own_group(const char *controller)
{
    g_autofree char *text = NULL;
    (void)g_file_get_contents("/proc/self/cgroup", &text, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, ":", 3);
        if (g_strv_length(fields) != 3)
            continue;
        g_auto(GStrv) names = g_strsplit(fields[1], ",", -1);
        if (*controller ? g_strv_contains((const char *const *)names, controller) : !*fields[1])
            return g_strdup(strcmp(fields[2], "/") == 0 ? "" : fields[2]);
    }
    return NULL;
}

char *sl_limits_problem(const SlEngine *engine, const char *controller)
{
    if (!engine->use_cgroup)
        return g_strdup("not enforced: option cgroup is false");
    bool v2 = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
    g_autofree char *own = own_group(v2 ? "" : controller);
    if (!own)
        return g_strdup_printf("not enforced: this machine has no cgroup controller `%s`",
                               controller);
    if (v2 && g_str_has_suffix(own, "/agent"))
        own[strlen(own) - strlen("/agent")] = '\0';
    g_autofree char *folder = v2 ? g_strconcat("/sys/fs/cgroup", own, NULL)
                                 : g_strconcat("/sys/fs/cgroup/", controller, own, NULL);
    if (access(folder, W_OK) != 0)
        return g_strdup_printf(
            "not enforced: %s is not writable by this user; runs may use more than they ask for",
            folder);
    g_autofree char *file = g_build_filename(folder, "cgroup.subtree_control", NULL);
    g_autofree char *handed = v2 ? read_text(file) : g_strdup(controller);
    if (!strstr(handed, controller))
        return g_strdup_printf(
            "not enforced: %s does not list `%s`; start the agent in a subgroup `agent` of a group "
            "that was delegated to it",
            file, controller);
    return NULL;
}

char *sl_disk_problem(const char *folder, char **ret_state)
{
    struct statvfs fs;
    if (statvfs(folder, &fs) != 0)
        return g_strdup_printf("%s can't be looked at", folder);
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    g_autofree char *size = g_format_size_full(free_bytes, G_FORMAT_SIZE_IEC_UNITS);
    *ret_state = g_strdup_printf("%s free in %s", size, folder);
    return free_bytes < SL_DISK_LOW_BYTES || (fs.f_files > 0 && fs.f_favail == 0)
               ? g_strdup_printf("only %s; nothing new starts while its state can't be saved",
                                 *ret_state)
               : NULL;
}
