/* gitalloc.c - libgit2's memory: where there is none left the process ends, as GLib's does. libgit2
 * 1.5.1 does not look everywhere whether it got what it asked for (git_config_snapshot crashes).
 * What a hostile object claims to need is an error as before: more than ALLOC_MAX at once. */
#include "git/gitutil.h"
#include <git2/errors.h>
#include <git2/sys/alloc.h>
#include <string.h>

#define ALLOC_MAX ((size_t)1 << 30) /* bytes; above every limit on objects and packs of ours */

static bool is_sane(size_t n, size_t size)
{
    size_t bytes = 0;
    if (g_size_checked_mul(&bytes, n, size) && bytes <= ALLOC_MAX)
        return true;
    git_error_set_oom();
    return false;
}

static void *resize(void *old, size_t n, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_sane(n, size) ? g_realloc(old, MAX(n * size, 1)) : NULL;
}

static void *resize_one(void *old, size_t size, const char *file, int line)
{
    return resize(old, 1, size, file, line);
}

static void *allocate(size_t size, const char *file, int line)
{
    return resize(NULL, 1, size, file, line);
}

static void *allocate_many(size_t n, size_t size, const char *file, int line)
{
    return resize(NULL, n, size, file, line);
}

static void *zeroed(size_t n, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_sane(n, size) ? g_malloc0(MAX(n * size, 1)) : NULL;
}

static char *copy_bytes(const char *text, size_t n, const char *file, int line)
{
    char *bytes = allocate(n < ALLOC_MAX ? n + 1 : ALLOC_MAX + 1, file, line);
    if (bytes == NULL)
        return NULL;
    memcpy(bytes, text, n);
    bytes[n] = '\0';
    return bytes;
}

static char *copy_most(const char *text, size_t n, const char *file, int line)
{
    return copy_bytes(text, strnlen(text, n), file, line);
}

static char *copy(const char *text, const char *file, int line)
{
    return copy_bytes(text, strlen(text), file, line);
}

void sl_git_use_memory(void)
{
    static git_allocator allocator = {.gmalloc = allocate,
                                      .gcalloc = zeroed,
                                      .gstrdup = copy,
                                      .gstrndup = copy_most,
                                      .gsubstrdup = copy_bytes,
                                      .grealloc = resize_one,
                                      .greallocarray = resize,
                                      .gmallocarray = allocate_many,
                                      .gfree = g_free};
    git_libgit2_opts(GIT_OPT_SET_ALLOCATOR, &allocator);
}
