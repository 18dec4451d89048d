/* gitodb.c - see gitodb.h. Before libgit2 says that an object is not there it asks each backend to
 * refresh, and the one of packs reads their folder and compares names. A gate stands before that
 * one: the folder is read only if its time has changed, or is so young that a change could hide in
 * it. Everything else it passes on. */
#include "coordinator/store/gitodb.h"
#include "sluice/clock.h"
#include <git2/sys/mempack.h>
#include <git2/sys/repository.h>
#include <sys/stat.h>
#include <time.h>

enum { LOOSE_PRIORITY = 1, PACKS_PRIORITY, MEMORY_PRIORITY };

#define YOUNG_NS (50 * INT64_C(1000000)) /* file systems stamp by ticks of up to 10 ms */

typedef struct {
    git_odb_backend parent;
    git_odb_backend *packs; /* owned; the database knows only the gate */
    char *folder;
    int64_t seen_ns; /* time of the folder when it was read; 0 = read it */
} Gate;

static Gate *gate_of(git_odb_backend *backend)
{
    return (Gate *)(void *)backend;
}

static int gate_read(void **bytes, size_t *len, git_object_t *type, git_odb_backend *b,
                     const git_oid *oid)
{
    git_odb_backend *packs = gate_of(b)->packs;
    return packs->read(bytes, len, type, packs, oid);
}

static int gate_read_prefix(git_oid *full, void **bytes, size_t *len, git_object_t *type,
                            git_odb_backend *b, const git_oid *oid, size_t hex_len)
{
    git_odb_backend *packs = gate_of(b)->packs;
    return packs->read_prefix(full, bytes, len, type, packs, oid, hex_len);
}

static int gate_read_header(size_t *len, git_object_t *type, git_odb_backend *b, const git_oid *oid)
{
    git_odb_backend *packs = gate_of(b)->packs;
    return packs->read_header(len, type, packs, oid);
}

static int gate_exists(git_odb_backend *b, const git_oid *oid)
{
    git_odb_backend *packs = gate_of(b)->packs;
    return packs->exists(packs, oid);
}

static int gate_exists_prefix(git_oid *full, git_odb_backend *b, const git_oid *oid, size_t hex_len)
{
    git_odb_backend *packs = gate_of(b)->packs;
    return packs->exists_prefix(full, packs, oid, hex_len);
}

static int gate_foreach(git_odb_backend *b, git_odb_foreach_cb each, void *user)
{
    git_odb_backend *packs = gate_of(b)->packs;
    return packs->foreach(packs, each, user);
}

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static int64_t folder_ns(const Gate *gate)
{
    struct stat st;
    return stat(gate->folder, &st) == 0 ? ns_of(&st.st_mtim) : 0;
}

static int look(Gate *gate, int64_t at_ns)
{
    gate->seen_ns = at_ns; /* as it was before the look */
    return gate->packs->refresh(gate->packs);
}

static int gate_refresh(git_odb_backend *backend)
{
    Gate *gate = gate_of(backend);
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
    Gate *gate = gate_of(backend);
    gate->packs->free(gate->packs);
    g_free(gate->folder);
    g_free(gate);
}

/* No freshen: nothing is ever pruned by age, no file needs a new time. */
static Gate *gate_new(git_odb_backend *packs, const char *objects)
{
    Gate *gate = g_new0(Gate, 1);
    git_odb_init_backend(&gate->parent, GIT_ODB_BACKEND_VERSION);
    gate->parent.read = gate_read;
    gate->parent.read_prefix = gate_read_prefix;
    gate->parent.read_header = gate_read_header;
    gate->parent.exists = gate_exists;
    gate->parent.exists_prefix = gate_exists_prefix;
    gate->parent.foreach = gate_foreach;
    gate->parent.refresh = gate_refresh;
    gate->parent.free = gate_free;
    gate->packs = packs;
    gate->folder = g_build_filename(objects, "pack", NULL);
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
    git_odb_backend *packs = NULL, *gate = NULL, *loose = NULL, *memory = NULL;
    bool good = git_odb_new(&odb) == 0 && git_odb_backend_pack(&packs, objects) == 0;
    if (good)
        gate = &gate_new(packs, objects)->parent;
    good = good && add(odb, gate, PACKS_PRIORITY) &&
           git_odb_backend_loose(&loose, objects, -1, 1, 0, 0) == 0 &&
           add(odb, loose, LOOSE_PRIORITY) && git_mempack_new(&memory) == 0 &&
           add(odb, memory, MEMORY_PRIORITY) && git_repository_set_odb(repo, odb) == 0;
    if (!good)
        return sl_git_throw(error, SLU_IO, "opening the object database");
    *ret = (SlGitOdb){.memory = memory, .gate = gate};
    return true;
}

bool sl_git_odb_refresh(SlGitOdb *odb)
{
    Gate *gate = gate_of(odb->gate);
    return look(gate, folder_ns(gate)) == 0;
}
