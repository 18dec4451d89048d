/* shim_alloc.c - an allocator that has nothing left, once or for ever. Only in the preloaded
 * library: glibc's own functions do the work, no state is kept but the counter. */
#include "shim.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
int __vasprintf_chk(char **ret, int flag, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static bool nothing_left(void)
{
    ShimControl *c = shim_control;
    if (c == NULL || atomic_load_explicit(&c->alloc_mode, memory_order_relaxed) == SHIM_ALLOC_NONE)
        return false;
    uint32_t n = atomic_fetch_add(&c->alloc_count, 1) + 1, at = atomic_load(&c->alloc_at);
    if (at == 0 || n < at || (n > at && atomic_load(&c->alloc_mode) == SHIM_ALLOC_ONCE))
        return false;
    atomic_fetch_add(&c->alloc_failed, 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return nothing_left() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return nothing_left() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return nothing_left() ? NULL : __libc_realloc(old, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *made = nothing_left() ? NULL : __libc_memalign(alignment, size);
    if (made == NULL)
        return ENOMEM;
    *ret = made;
    return 0;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return nothing_left() ? NULL : __libc_memalign(alignment, size);
}

/* GLib's abort prints first: where nothing is left for ever it needs memory to say that there is none,
 * and calls itself until the stack ends. Here that is the abort which it means. */
int __vasprintf_chk(char **ret, int flag, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    (void)flag;
    *ret = len >= 0 ? malloc((size_t)len + 1) : NULL;
    if (*ret != NULL)
        return vsnprintf(*ret, (size_t)len + 1, format, args);
    if (len >= 0 && atomic_load(&shim_control->alloc_mode) == SHIM_ALLOC_EVER)
        abort();
    return -1;
}
