/* git_repack.c - see git_repack.h. The order is all: list, write one pack (synced, in place), then
 * unlink what was listed. Killed anywhere, an object lies in at least one pack. A reader that had an
 * old pack open goes on with it; one that had not finds the object in the new one. */
#include "coordinator/git_repack.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <git2/sys/odb_backend.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define PACK_OBJECTS_MAX 2000000 /* a pack of this size is left alone: merging it takes minutes */
#define HEX_LEN GIT_OID_HEXSZ
#define STALE_SECONDS 3600 /* older than any pack that somebody is still writing */

typedef struct {
    char *stem; /* .../pack-<name> */
    uint32_t objects;
    uint64_t bytes;
} Pack;

typedef struct {
    char *packs_dir, *objects_dir;
    GArray *packs;    /* of Pack, small ones first */
    guint merged;     /* so many of them */
    GPtrArray *loose; /* of char*: paths */
    uint64_t loose_bytes;
    git_packbuilder *builder;
} Repack;

static void pack_clear(void *pack)
{
    g_free(((Pack *)pack)->stem);
}

static int by_objects(gconstpointer a, gconstpointer b)
{
    const Pack *left = a, *right = b;
    if (left->objects == right->objects)
        return strcmp(left->stem, right->stem);
    return left->objects < right->objects ? -1 : 1;
}

/* From the pack's header: "PACK", version, number of objects. */
static gboolean measure(const char *path, Pack *ret)
{
    uint32_t header[3];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    gboolean good = fd >= 0 && read(fd, header, sizeof header) == sizeof header &&
                    memcmp(header, "PACK", 4) == 0 && fstat(fd, &st) == 0;
    if (fd >= 0)
        close(fd);
    if (good) {
        ret->objects = ntohl(header[2]);
        ret->bytes = (uint64_t)st.st_size;
    }
    return good;
}

static char *with(const char *stem, const char *suffix)
{
    return g_strconcat(stem, suffix, NULL);
}

static gboolean has(const char *stem, const char *suffix)
{
    g_autofree char *path = with(stem, suffix);
    return access(path, F_OK) == 0;
}

static void list_packs(Repack *r)
{
    DIR *dir = opendir(r->packs_dir);
    const struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (!g_str_has_prefix(entry->d_name, "pack-") || !g_str_has_suffix(entry->d_name, ".idx"))
            continue;
        g_autofree char *name = g_strndup(entry->d_name, strlen(entry->d_name) - 4);
        g_autofree char *stem = g_build_filename(r->packs_dir, name, NULL);
        g_autofree char *path = with(stem, ".pack");
        Pack pack = {0};
        if (has(stem, ".keep") || !measure(path, &pack) || pack.objects >= PACK_OBJECTS_MAX)
            continue;
        pack.stem = g_steal_pointer(&stem);
        g_array_append_val(r->packs, pack);
    }
    if (dir != NULL)
        closedir(dir);
    g_array_sort(r->packs, by_objects);
}

static gboolean is_hex(const char *text, size_t len)
{
    return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

static void note_loose(Repack *r, char *path)
{
    struct stat st;
    r->loose_bytes += lstat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
    g_ptr_array_add(r->loose, path);
}

static void list_loose(Repack *r)
{
    for (unsigned n = 0; n < 256; n++) {
        g_autofree char *folder = g_strdup_printf("%s/%02x", r->objects_dir, n);
        DIR *dir = opendir(folder);
        const struct dirent *entry = NULL;
        while (dir != NULL && (entry = readdir(dir)) != NULL)
            if (is_hex(entry->d_name, HEX_LEN - 2))
                note_loose(r, g_build_filename(folder, entry->d_name, NULL));
        if (dir != NULL)
            closedir(dir);
    }
}

/* How many of the smallest go into one: up to the last that is smaller than twice all before it. */
static void choose(Repack *r)
{
    uint64_t below = r->loose->len;
    for (guint i = 0; i < r->packs->len; i++) {
        const Pack *pack = &g_array_index(r->packs, Pack, i);
        if (below > 0 && pack->objects < 2 * below)
            r->merged = i + 1;
        below += pack->objects;
    }
}

/* The new pack beside the old ones, and as much again for whoever writes meanwhile: libgit2 writes
 * through mappings, which on a full disk is no error but SIGBUS. */
static int check_room(const Repack *r)
{
    struct statvfs fs;
    uint64_t bytes = r->loose_bytes;
    for (guint i = 0; i < r->merged; i++)
        bytes += g_array_index(r->packs, Pack, i).bytes;
    if (statvfs(r->objects_dir, &fs) != 0 || (uint64_t)fs.f_bavail * fs.f_frsize / 2 >= bytes)
        return 0;
    git_error_set_str(GIT_ERROR_OS, "there is no room on the disk for the merged pack");
    return GIT_ERROR;
}

static int insert(const git_oid *oid, void *builder)
{
    return git_packbuilder_insert(builder, oid, NULL);
}

static int insert_pack(Repack *r, const Pack *pack)
{
    git_odb *odb = NULL;
    git_odb_backend *one = NULL;
    g_autofree char *idx = with(pack->stem, ".idx");
    int rc = git_odb_new(&odb);
    if (rc == 0)
        rc = git_odb_backend_one_pack(&one, idx);
    if (rc == 0)
        rc = git_odb_add_backend(odb, one, 1);
    if (rc == 0)
        rc = git_odb_foreach(odb, insert, r->builder);
    git_odb_free(odb);
    return rc;
}

static int insert_loose(Repack *r, const char *path)
{
    git_oid oid;
    char hex[HEX_LEN + 1];
    size_t len = strlen(path);
    memcpy(hex, path + len - (HEX_LEN + 1), 2);
    memcpy(hex + 2, path + len - (HEX_LEN - 2), HEX_LEN - 1);
    int rc = git_oid_fromstr(&oid, hex);
    return rc == 0 ? insert(&oid, r->builder) : rc;
}

static int write_merged(Repack *r, git_repository *repo)
{
    int rc = check_room(r);
    if (rc == 0)
        rc = git_packbuilder_new(&r->builder, repo);
    for (guint i = 0; rc == 0 && i < r->merged; i++)
        rc = insert_pack(r, &g_array_index(r->packs, Pack, i));
    for (guint i = 0; rc == 0 && i < r->loose->len; i++)
        rc = insert_loose(r, r->loose->pdata[i]);
    return rc == 0 ? git_packbuilder_write(r->builder, NULL, 0, NULL, NULL) : rc;
}

static unsigned remove_merged(Repack *r)
{
    /* The index first: without it nobody looks for the pack. */
    static const char *const suffixes[] = {".idx", ".rev", ".bitmap", ".pack"};
    g_autofree char *name = g_strconcat("pack-", git_packbuilder_name(r->builder), NULL);
    unsigned count = 0;
    for (guint i = 0; i < r->merged; i++) {
        const char *stem = g_array_index(r->packs, Pack, i).stem;
        if (g_str_has_suffix(stem, name)) /* it is the new one */
            continue;
        for (size_t k = 0; k < G_N_ELEMENTS(suffixes); k++) {
            g_autofree char *path = with(stem, suffixes[k]);
            unlink(path);
        }
        count++;
    }
    for (guint i = 0; i < r->loose->len; i++)
        unlink(r->loose->pdata[i]);
    return count;
}

/* What a killed writer left: parts without their name, and packs without an index. */
static void remove_stale(const Repack *r)
{
    DIR *dir = opendir(r->packs_dir);
    const struct dirent *entry = NULL;
    time_t now = time(NULL);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        g_autofree char *path = g_build_filename(r->packs_dir, entry->d_name, NULL);
        g_autofree char *stem = g_strndup(path, strlen(path) - MIN(strlen(path), 5));
        struct stat st;
        gboolean part = g_str_has_prefix(entry->d_name, "pack_git2_");
        gboolean alone = g_str_has_suffix(entry->d_name, ".pack") && !has(stem, ".idx");
        if ((part || alone) && lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
            st.st_mtime + STALE_SECONDS < now)
            unlink(path);
    }
    if (dir != NULL)
        closedir(dir);
}

int sl_repack(const char *repo_dir, SlRepacked *ret)
{
    git_repository *repo = NULL;
    Repack r = {.packs = g_array_new(FALSE, FALSE, sizeof(Pack)),
                .loose = g_ptr_array_new_with_free_func(g_free)};
    g_array_set_clear_func(r.packs, pack_clear);
    r.objects_dir = g_build_filename(repo_dir, "objects", NULL);
    r.packs_dir = g_build_filename(r.objects_dir, "pack", NULL);
    *ret = (SlRepacked){0};
    remove_stale(&r); /* whatever comes of the merge: what was left takes room */
    list_loose(&r);
    list_packs(&r);
    choose(&r);
    int rc = git_repository_open_bare(&repo, repo_dir);
    if (rc == 0 && (r.merged > 0 || r.loose->len > 0)) {
        rc = write_merged(&r, repo);
        if (rc == 0) {
            ret->objects = git_packbuilder_object_count(r.builder);
            ret->packs = remove_merged(&r);
        }
    }
    git_packbuilder_free(r.builder);
    git_repository_free(repo);
    g_array_unref(r.packs);
    g_ptr_array_unref(r.loose);
    g_free(r.objects_dir);
    g_free(r.packs_dir);
    return rc;
}
