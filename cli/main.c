/* main.c - sluice, the command line of people and scripts. */
#include "cli/private.h"
#include "runtime/protect.h"
#include <locale.h>
#include <signal.h>

int main(int argc, char **argv)
{
    sl_process_protect();
    setlocale(LC_CTYPE, "C.UTF-8");
    /* A reader that went away (`sluice events | head`) ends us quietly; a socket that did is an error of its call. */
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    int code = SL_EXIT_OK;
    SlCli *cli = sl_cli_parse(argc - 1, argv + 1, &code);
    if (cli != NULL) {
        code = cli->command->run(cli);
        sl_cli_free(cli);
    }
    return fflush(stdout) == 0 ? code : SL_EXIT_NO;
}
