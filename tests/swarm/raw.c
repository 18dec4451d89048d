#include "swarm.h"
int swarm_raw(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 1;
}
