/* fuzz_spec.c - what sluice-exec is told to run. It dies on a mistake: here dying jumps back, and its memory is ours to free. */
#include "fuzz.h"
#include "exec.h"
#include <glib.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

void *fuzz_realloc(void *old, size_t size);

static jmp_buf died;
static GHashTable *blocks; /* what spec.c allocated */
static const uint8_t *input;
static size_t input_size;

_Noreturn void exec_die(int code, const char *format, ...)
{
    (void)code;
    (void)format;
    longjmp(died, 1);
}

char *exec_read_file(int dirfd, const char *name, size_t max, size_t *ret_len)
{
    (void)dirfd;
    (void)name;
    if (input_size > max) {
        return NULL;
    }
    char *bytes = fuzz_realloc(NULL, input_size + 1);
    if (input_size > 0) {
        memcpy(bytes, input, input_size);
    }
    bytes[input_size] = '\0';
    *ret_len = input_size;
    return bytes;
}

void *fuzz_realloc(void *old, size_t size)
{
    g_hash_table_remove(blocks, old);
    void *block = realloc(old, size);
    g_hash_table_add(blocks, block);
    return block;
}

static void read_spec(void)
{
    ExecSpec spec;
    exec_spec_read(-1, &spec);
    for (size_t i = 0; i < spec.process_count; i++) {
        char **env = exec_spec_environment(&spec, i);
        for (char **pair = env; *pair != NULL; pair++) {
            g_assert_nonnull(strchr(*pair, '='));
        }
        free(env);
    }
    g_assert_true(spec.arg_count > 0 && spec.argv[spec.arg_count] == NULL && spec.cwd != NULL);
}

static void free_blocks(void)
{
    GHashTableIter iter;
    gpointer block = NULL;
    g_hash_table_iter_init(&iter, blocks);
    while (g_hash_table_iter_next(&iter, &block, NULL)) {
        free(block);
    }
    g_hash_table_unref(blocks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    input_size = size;
    blocks = g_hash_table_new(NULL, NULL);
    if (setjmp(died) == 0) {
        read_spec();
    }
    free_blocks();
    return 0;
}
