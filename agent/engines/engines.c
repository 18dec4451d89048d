/* engines.c - table of engines, made from engines.def. */
#include "sluice/engine.h"
#include <string.h>

#define SL_ENGINE(name) extern const SlEngineOps sl_engine_##name;
#include "agent/engines/engines.def"
#undef SL_ENGINE

static const SlEngineOps *const engines[] = {
#define SL_ENGINE(name) &sl_engine_##name,
#include "agent/engines/engines.def"
#undef SL_ENGINE
    NULL,
};

const SlEngineOps *const *sl_engines(void)
{
    return engines;
}

const SlEngineOps *sl_engine_find(const char *name)
{
    for (const SlEngineOps *const *engine = engines; name && *engine; engine++)
        if (strcmp((*engine)->name, name) == 0)
            return *engine;
    return NULL;
}
