/* gitodb.c - see gitodb.h. Before libgit2 says that an object is not there it asks each backend to
 * refresh, and the one of packs reads their folder and compares names. A gate stands before that:
 * the folder is read only if its time has changed, or is so young that a change could hide in it. */
#include "coordinator/store/gitodb.h"
#include "sluice/clock.h"
#include <git2/sys/mempack.h>
#include <git2/sys/repository.h>
#include <sys/stat.h>
#include <time.h>

enum { LOOSE_PRIORITY = 1, PACKS_PRIORITY, GATE_PRIORITY, MEMORY_PRIORITY };

#define YOUNG_NS (50 * INT64_C(1000000)) /* file systems stamp by ticks of up to 10 ms */

typedef struct {
    git_odb_backend parent;
    git_odb_backend *packs;
    int (*refresh)(git_odb_backend *packs);
    char *folder;
    int64_t seen_ns; /* time of the folder when it was read; 0 = read it */
} Gate;

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static int64_t folder_ns(const Gate *gate)
{
    struct stat st;
    return stat(gate->folder, &st) == 0 ? ns_of(&st.st_mtim) : 0;
}

static int look(Gate *gate, int64_t now_ns)
{
    gate->seen_ns = now_ns; /* as it was before the look */
    return gate->refresh(gate->packs);
}

static int gate_refresh(git_odb_backend *backend)
{
    Gate *gate = (Gate *)(void *)backend;
    struct timespec now;
    int64_t at_ns = folder_ns(gate);
    if (at_ns != 0 && at_ns == gate->seen_ns)
        return 0;
    int rc = look(gate, at_ns);
    clock_gettime(CLOCK_REALTIME, &now);
    if (ns_of(&now) - at_ns < YOUNG_NS)
        gate->seen_ns = 0;
    return rc;
}

static void gate_free(git_odb_backend *backend)
{
    g_free(((Gate *)(void *)backend)->folder);
    g_free(backend);
}

static Gate *gate_new(git_odb_backend *packs, const char *objects)
{
    Gate *gate = g_new0(Gate, 1);
    git_odb_init_backend(&gate->parent, GIT_ODB_BACKEND_VERSION);
    gate->parent.refresh = gate_refresh;
    gate->parent.free = gate_free;
    gate->packs = packs;
    gate->refresh = packs->refresh;
    gate->folder = g_build_filename(objects, "pack", NULL);
    packs->refresh = NULL;
    packs->freshen = NULL; /* nothing is ever pruned by age: no file needs a new time */
    return gate;
}

static bool add(git_odb *odb, git_odb_backend *backend, int priority)
{
    if (git_odb_add_backend(odb, backend, priority) == 0)
        return true;
    backend->free(backend);
    return false;
}

bool sl_git_odb_use(SlGitOdb *ret, git_repository *repo, const char *objects, GError **error)
{
    g_autoptr(git_odb) odb = NULL;
    git_odb_backend *packs = NULL, *loose = NULL, *memory = NULL;
    bool good = git_odb_new(&odb) == 0 && git_odb_backend_pack(&packs, objects) == 0 &&
                add(odb, packs, PACKS_PRIORITY) &&
                git_odb_backend_loose(&loose, objects, -1, 1, 0, 0) == 0 &&
                add(odb, loose, LOOSE_PRIORITY) && git_mempack_new(&memory) == 0 &&
                add(odb, memory, MEMORY_PRIORITY);
    Gate *gate = good ? gate_new(packs, objects) : NULL;
    if (gate == NULL || !add(odb, &gate->parent, GATE_PRIORITY) ||
        git_repository_set_odb(repo, odb) < 0)
        return sl_git_throw(error, SLU_IO, "opening the object database");
    *ret = (SlGitOdb){.memory = memory, .gate = &gate->parent};
    return true;
}

bool sl_git_odb_refresh(SlGitOdb *odb)
{
    Gate *gate = (Gate *)(void *)odb->gate;
    return look(gate, folder_ns(gate)) == 0;
}
