/* shim.h - how a test and the shim in a program under test speak: one page of memory, a file that
 * both map. The test arms a plan ("the 17th call: loss of power"); the shim counts and acts.
 * tests/crash/fleetshim.py knows the same layout. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What happens at call number `at`. */
typedef enum {
    SHIM_COUNT,      /* nothing */
    SHIM_KILL,       /* kill -9 before the call */
    SHIM_KILL_AFTER, /* kill -9 after it: what was sent has arrived, nothing more happens here */
    SHIM_HALF,       /* kill -9 when half of a write is done */
    SHIM_LOST,       /* loss of power: only what was synced is there, names and bytes */
    SHIM_TORN,       /* loss of power: all names are there, of the bytes only what was synced */
    SHIM_MIXED,      /* loss of power: by `seed`, the last names gone, any bytes gone or cut */
    SHIM_EIO,        /* the call fails; on a socket: ECONNRESET */
    SHIM_ENOSPC,     /* what needs space fails */
    SHIM_EINTR,      /* what can be interrupted is */
    SHIM_SHORT,      /* a write takes half */
} ShimMode;

typedef enum { SHIM_ALLOC_NONE, SHIM_ALLOC_ONCE, SHIM_ALLOC_EVER } ShimAlloc;

/* 32-bit words, then texts. Written by both sides. */
typedef struct {
    _Atomic uint32_t armed; /* calls are counted while this is 1 */
    _Atomic uint32_t at;
    _Atomic uint32_t mode;
    _Atomic uint32_t seed;
    _Atomic uint32_t count; /* calls since it was armed */
    _Atomic uint32_t acted; /* the plan was carried out */
    _Atomic uint32_t alloc_at;
    _Atomic uint32_t alloc_mode;
    _Atomic uint32_t alloc_count;
    _Atomic uint32_t alloc_failed; /* allocations that got nothing */
    _Atomic uint32_t resynced;     /* fsync of what could not be synced before, which says "fine" */
    uint32_t unused[5];
    char what[64]; /* the call of number `at` */
    char path[384];
} ShimControl;

/* Only calls on files below one of @roots (':' between) and on sockets count. @grave: a folder on the
 * same file system for what a loss of power would bring back; "" = modes LOST, TORN and MIXED are
 * not used and nothing is kept. Programs that the shim is linked into call this; in others its
 * constructor does, from SHIM_CONTROL, SHIM_ROOTS, SHIM_GRAVE and SHIM_PROGRAM. */
void shim_attach(ShimControl *control, const char *roots, const char *grave);
/* Ends the process as @mode says. */
_Noreturn void shim_die(ShimMode mode);

/* ---- between the shim's own files ---- */

extern ShimControl *shim_control; /* NULL: every call goes through untouched */
bool shim_tracks(void);
/* Called with the lock of shim.c held, before (…ing) or after (…ed) a call that works. */
void shim_disk_open(const char *grave);
void shim_disk_writing(int fd, bool fresh); /* the bytes of @fd are about to change */
void shim_disk_synced(int fd, const char *path, bool folder);
void shim_disk_sync_failed(int fd);
void shim_disk_made(const char *path, bool folder);
void shim_disk_removing(const char *path, bool folder);
void shim_disk_naming(const char *from, const char *to, bool link);
void shim_disk_all_synced(void);
void shim_disk_lose(ShimMode mode, uint32_t seed);
