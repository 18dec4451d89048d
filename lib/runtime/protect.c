/* protect.c - keeps keys out of core files and of other processes' eyes. */
#include "protect.h"
#include <sys/prctl.h>

void sl_process_protect(void)
{
#ifndef __SANITIZE_ADDRESS__ /* its leak check attaches to the process */
    prctl(PR_SET_DUMPABLE, 0);
#endif
}
