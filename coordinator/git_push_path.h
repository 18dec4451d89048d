/* git_push_path.h - a push into a bare repository on this machine. Blocking; part of sluice-git. */
#pragma once
#include <git2.h>

/* Writes what @specs ("src:dst", or "+src:dst" for wherever dst was) need into the repository at
 * @path, then moves each dst by compare-and-swap from where it was looked up: what somebody else put
 * there meanwhile is never overwritten (libgit2's own push into a folder would). Returns 0,
 * GIT_ENONFASTFORWARD, or libgit2's error. */
int sl_git_push_path(git_repository *repo, const char *path, char *const *specs, size_t count);
