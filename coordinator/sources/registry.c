/* registry.c - the table of sources, made from sources.def: a new source is one file and one line
 * there. */
#include "sluice/source.h"

#define SL_SOURCE(name) extern const SlSourceOps sl_source_##name;
#include "coordinator/sources/sources.def"
#undef SL_SOURCE

static const SlSourceOps *const table[] = {
#define SL_SOURCE(name) &sl_source_##name,
#include "coordinator/sources/sources.def"
#undef SL_SOURCE
    NULL,
};

const SlSourceOps *const *sl_sources(void)
{
    return table;
}

const SlSourceOps *sl_source_find(const char *url)
{
    for (size_t i = 0; url != NULL && table[i] != NULL; i++)
        if (table[i]->matches(url))
            return table[i];
    return NULL;
}
