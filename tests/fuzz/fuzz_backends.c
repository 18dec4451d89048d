/* fuzz_backends.c - the file of back ends that a front reads again and again. front.c is compiled in: reading is its own business. */
#include "fuzz.h"
#include "fuzz_folder.h"
#include "lib/runtime/exec/front.c"
#include "lib/runtime/exec/util.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Front front;
    static int dirfd = -1;
    if (dirfd < 0) {
        dirfd = open(fuzz_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    front = (Front){.dirfd = dirfd, .old_said = SIZE_MAX};
    fuzz_folder_put("backends", data, size);
    read_backends(&front);
    g_assert_cmpuint(front.backend_count, <=, BACKENDS_MAX);
    for (size_t i = 0; i < front.backend_count; i++) {
        g_assert_cmpuint(front.backend[i].sin_port, !=, 0);
    }
    return 0;
}
