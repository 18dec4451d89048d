/* gpus.c - see gpus.h. No driver library: the device nodes say how many there are. */
#include "agent/engines/process/gpus.h"
#include "base/text.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

struct SlGpus {
    GPtrArray *names;   /* of char* */
    GHashTable *holder; /* name -> holder (char*) */
    GPtrArray *waiting; /* of char*, first come first */
};

static gint by_number(gconstpointer a, gconstpointer b)
{
    uint64_t x = 0, y = 0;
    (void)sl_parse_uint64(*(char *const *)a, &x);
    (void)sl_parse_uint64(*(char *const *)b, &y);
    return x < y ? -1 : x > y;
}

/* /dev/nvidia0, /dev/nvidia1, ...; not nvidiactl, nvidia-uvm and so on. */
static void detect(GPtrArray *names)
{
    DIR *dev = opendir("/dev");
    for (struct dirent *entry; dev && (entry = readdir(dev));) {
        uint64_t number;
        if (g_str_has_prefix(entry->d_name, "nvidia") &&
            sl_parse_uint64(entry->d_name + strlen("nvidia"), &number) && names->len < SL_GPUS_MAX)
            g_ptr_array_add(names, g_strdup_printf("%" G_GUINT64_FORMAT, number));
    }
    if (dev)
        closedir(dev);
    g_ptr_array_sort(names, by_number);
}

static bool is_gpu_name(const char *text)
{
    uint64_t number;
    if (sl_parse_uint64(text, &number))
        return number < 1024;
    if (!g_str_has_prefix(text, "GPU-") && !g_str_has_prefix(text, "MIG-"))
        return false;
    return strlen(text) < 96 && strspn(text, "0123456789abcdefABCDEFGPUMIG-/") == strlen(text);
}

GPtrArray *sl_gpus_list(const char *option, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    if (strcmp(option, "all") == 0)
        detect(names);
    if (strcmp(option, "all") == 0 || strcmp(option, "none") == 0)
        return g_steal_pointer(&names);
    if (*option == '\0')
        option = ","; /* an empty list is a mistake, not `none` */
    g_auto(GStrv) parts = g_strsplit(option, ",", SL_GPUS_MAX + 1);
    for (size_t i = 0; parts[i]; i++) {
        if (!is_gpu_name(parts[i]) || i >= SL_GPUS_MAX ||
            g_ptr_array_find_with_equal_func(names, parts[i], g_str_equal, NULL))
            return sl_throw_null(
                error, SLU_AGENT_CONFIG,
                "gpus: `%s` is not `all`, `none`, or a list of at most %d different "
                "indices or UUIDs like 0,1",
                option, SL_GPUS_MAX);
        g_ptr_array_add(names, g_strdup(parts[i]));
    }
    return g_steal_pointer(&names);
}

SlGpus *sl_gpus_new(GPtrArray *names)
{
    SlGpus *gpus = g_new0(SlGpus, 1);
    gpus->names = names;
    gpus->holder = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    gpus->waiting = g_ptr_array_new_with_free_func(g_free);
    return gpus;
}

void sl_gpus_free(SlGpus *gpus)
{
    if (!gpus)
        return;
    g_ptr_array_unref(gpus->names);
    g_hash_table_unref(gpus->holder);
    g_ptr_array_unref(gpus->waiting);
    g_free(gpus);
}

unsigned sl_gpus_count(const SlGpus *gpus)
{
    return gpus->names->len;
}

static bool find_waiting(const SlGpus *gpus, const char *holder, guint *ret_place)
{
    return g_ptr_array_find_with_equal_func(gpus->waiting, holder, g_str_equal, ret_place);
}

static void release_lease(SlGpus *gpus, const char *holder)
{
    GHashTableIter iter;
    void *value;
    g_hash_table_iter_init(&iter, gpus->holder);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (strcmp(value, holder) == 0)
            g_hash_table_iter_remove(&iter);
}

static unsigned count_free(const SlGpus *gpus)
{
    unsigned count = 0;
    for (guint i = 0; i < gpus->names->len; i++)
        count += !g_hash_table_contains(gpus->holder, g_ptr_array_index(gpus->names, i));
    return count;
}

static char *why_not(const SlGpus *gpus, unsigned need, guint place)
{
    GString *text = g_string_new(NULL);
    if (need > gpus->names->len) {
        g_string_printf(text, "needs %u GPUs; this agent has %u in all (option gpus)", need,
                        gpus->names->len);
        return g_string_free(text, FALSE);
    }
    g_string_printf(text, "needs %u of %u GPUs, %u free", need, gpus->names->len, count_free(gpus));
    for (guint i = 0; i < gpus->names->len; i++) {
        const char *name = g_ptr_array_index(gpus->names, i);
        const char *holder = g_hash_table_lookup(gpus->holder, name);
        if (holder)
            g_string_append_printf(text, "%s %s by run %.10s", i ? "," : ":", name, holder);
    }
    if (place > 0)
        g_string_append_printf(text, "; %u wait before it", place);
    return g_string_free(text, FALSE);
}

char *sl_gpus_take(SlGpus *gpus, const char *holder, unsigned need, char **ret_why)
{
    GString *list = g_string_new(NULL);
    guint place = gpus->waiting->len;
    release_lease(gpus, holder);
    bool waited = find_waiting(gpus, holder, &place);
    bool possible = need <= gpus->names->len; /* one that can never start holds nobody up */
    place = waited ? place : gpus->waiting->len;
    if (!possible || place > 0 || count_free(gpus) < need) {
        *ret_why = why_not(gpus, need, place);
        if (!waited && possible)
            g_ptr_array_add(gpus->waiting, g_strdup(holder));
        g_string_free(list, TRUE);
        return NULL;
    }
    for (guint i = 0; i < gpus->names->len && need > 0; i++) {
        const char *name = g_ptr_array_index(gpus->names, i);
        if (g_hash_table_contains(gpus->holder, name))
            continue;
        g_string_append_printf(list, "%s%s", list->len ? "," : "", name);
        g_hash_table_insert(gpus->holder, g_strdup(name), g_strdup(holder));
        need--;
    }
    if (waited)
        g_ptr_array_remove_index(gpus->waiting, place);
    return g_string_free(list, FALSE);
}

void sl_gpus_take_back(SlGpus *gpus, const char *holder, const char *names)
{
    g_auto(GStrv) parts = g_strsplit(names, ",", SL_GPUS_MAX);
    for (size_t i = 0; parts[i]; i++)
        g_hash_table_replace(gpus->holder, g_strdup(parts[i]), g_strdup(holder));
}

void sl_gpus_release(SlGpus *gpus, const char *holder)
{
    guint place;
    release_lease(gpus, holder);
    if (find_waiting(gpus, holder, &place))
        g_ptr_array_remove_index(gpus->waiting, place);
}

const GPtrArray *sl_gpus_waiting(const SlGpus *gpus)
{
    return gpus->waiting;
}
