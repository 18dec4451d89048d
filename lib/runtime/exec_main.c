/* exec_main.c - sluice-exec: `sluice-exec run DIR` runs the processes of DIR/spec once,
 * `sluice-exec --front DIR` holds a server's declared port. Both go to the background and outlive
 * whoever started them; a folder is started at most once. No shell. */
#include "exec/exec.h"
#include "protect.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void usage(void)
{
    fputs("usage: sluice-exec run DIR       run what DIR/spec says, once; write DIR/pid and "
          "DIR/exit\n"
          "       sluice-exec --front DIR   forward the port of DIR/front to the back ends in "
          "DIR/backends\n"
          "       sluice-exec --version\n",
          stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    sl_process_protect();
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("sluice-exec " SLUICE_VERSION);
        return 0;
    }
    if (argc != 3 || argv[2][0] != '/')
        usage();
    if (strcmp(argv[1], "run") == 0)
        exec_run(argv[2]);
    if (strcmp(argv[1], "--front") == 0)
        exec_front(argv[2]);
    usage();
}
