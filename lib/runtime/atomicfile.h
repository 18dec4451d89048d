/* atomicfile.h - files that are whole or not there: temp + fsync + rename + fsync of the folder. */
#pragma once
#include "sluice/error.h"

/* Errors: IO with the path and what the system said. */
SL_MUST_USE bool sl_file_write_atomic(const char *path, const void *bytes, size_t len,
                                      unsigned mode, GError **error);
/* As write_atomic, but not synced: whole after a crash of this process, perhaps cut or gone after
 * a loss of power. Only for what is verified when it is read and can be had again:
 * content-addressed caches, files for people. */
SL_MUST_USE bool sl_file_write_cache(const char *path, const void *bytes, size_t len, unsigned mode,
                                     GError **error);
/* As write_atomic, but never over something that is there already. Errors: CONFLICT. */
SL_MUST_USE bool sl_file_create(const char *path, const void *bytes, size_t len, unsigned mode,
                                GError **error);
/* Regular file, at most @max bytes, no symlink followed at the end. NOT_FOUND if absent. (transfer
 * full) */
SL_MUST_USE GBytes *sl_file_read(const char *path, size_t max, GError **error);
/* As read, but links are followed: what Kubernetes mounts is one, and changes by being another. */
SL_MUST_USE GBytes *sl_file_read_mounted(const char *path, size_t max, GError **error);
/* As read, but a secret: refuses group or world rights and another owner. Errors: KEY_RIGHTS. */
SL_MUST_USE GBytes *sl_file_read_secret(const char *path, size_t max, GError **error);
SL_MUST_USE bool sl_dir_make(const char *path, unsigned mode, GError **error); /* with parents */
SL_MUST_USE bool sl_dir_remove_tree(const char *path, GError **error); /* never follows links */
/* Exclusive lock on path/lock for the life of the process. Errors: CONFLICT if another process has
 * it. */
SL_MUST_USE bool sl_dir_lock(const char *path, int *ret_fd, GError **error);
