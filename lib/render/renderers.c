/* renderers.c - the table of renderers, made from renderers.def. */
#include "render/yaml.h"
#include "sluice/renderer.h"

#define SL_RENDERER(name) extern const SlRendererOps sl_renderer_##name;
#include "render/renderers/renderers.def"
#undef SL_RENDERER

static const SlRendererOps *const table[] = {
#define SL_RENDERER(name) &sl_renderer_##name,
#include "render/renderers/renderers.def"
#undef SL_RENDERER
    NULL,
};

const SlRendererOps *const *sl_renderers(void)
{
    return table;
}

const SlRendererOps *sl_renderer_find(const SlRenderPart *part)
{
    for (const SlRendererOps *const *row = table; *row; row++)
        if ((*row)->detect(part))
            return *row;
    return NULL;
}

void sl_render_object_free(SlRenderObject *object)
{
    if (!object)
        return;
    json_decref(object->json);
    g_free(object->file);
    if (object->lines && object->lines_free)
        object->lines_free(object->lines);
    g_free(object);
}

int sl_render_object_line(const SlRenderObject *object, const char *path)
{
    if (!object->lines)
        return object->line;
    int line = 0, column = 0;
    sl_yaml_position(object->lines, path, &line, &column);
    return line > 0 ? line : object->line;
}
