/* prepare_files.c - `files: {from: PATH}`: a folder of the application's tree travels in the bundle, file by file as blobs. */
#include "base/digest.h"
#include "base/text.h"
#include "render/prepare.h"
#include "render/tree_walk.h"
#include <string.h>

bool sl_app_declares(const SlApplicationDoc *app, const char *path)
{
    for (guint i = 0; i < app->environments->len; i++) {
        const SlAppEnv *env = g_ptr_array_index(app->environments, i);
        for (guint k = 0; k < env->parts->len; k++) {
            const SlPart *part = g_ptr_array_index(env->parts, k);
            for (char **declared = part->paths; *declared; declared++)
                if (sl_path_below(path, g_str_equal(*declared, ".") ? "" : *declared))
                    return true;
        }
    }
    return false;
}

static void refuse(SlPrepare *p, const SlRenderObject *source, int code, const char *hint, const char *what)
{
    sl_problem_add(p->problems, source->file, sl_render_object_line(source, "spec.files"), 0, code, false, hint, "%s %s: files: %s",
                   sl_json_str_or(source->json, "kind", ""), sl_json_str_or(source->json, "metadata.name", ""), what);
}

static bool too_much(SlPrepare *p, const SlRenderObject *source, guint count, uint64_t bytes)
{
    if (count <= SL_FILES_COUNT_MAX && bytes <= SL_FILES_BYTES_MAX)
        return false;
    g_autofree char *what = g_strdup_printf("more than %d files or %d MiB", SL_FILES_COUNT_MAX, SL_FILES_BYTES_MAX / 1024 / 1024);
    refuse(p, source, SLU_RENDER_FILES, "large files belong into an image, or into the model store as an item", what);
    return true;
}

/* [{path, mode, sha256}] of the files below @folder. */
static json_t *read_folder(SlPrepare *p, const SlRenderObject *source, const char *folder)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) files = sl_tree_files(p->tree, folder, &error);
    if (!files) {
        refuse(p, source, error->code == SLU_NOT_FOUND ? SLU_RENDER_PATH : error->code, "`from` is relative to the source's path",
               error->message);
        return NULL;
    }
    g_autoptr(json_t) list = json_array();
    uint64_t bytes = 0;
    for (guint i = 0; i < files->len; i++) {
        const SlTreeFile *file = g_ptr_array_index(files, i);
        size_t skip = g_str_equal(file->path, folder) ? 0 : strlen(folder) + (*folder != '\0');
        const char *base = strrchr(file->path, '/');
        const char *name = skip ? file->path + skip : *folder ? (base ? base + 1 : file->path) : file->path;
        if (too_much(p, source, i + 1, bytes + file->size))
            return NULL;
        g_autoptr(GBytes) content = sl_tree_read_file(p->tree, file->path, SL_FILES_BYTES_MAX, &error);
        if (!content) {
            refuse(p, source, error->code, NULL, error->message);
            return NULL;
        }
        bytes += g_bytes_get_size(content);
        if (too_much(p, source, i + 1, bytes))
            return NULL;
        char *digest = sl_sha256_hex_bytes(content);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "path", name, "mode", file->executable ? "755" : "644", "sha256", digest));
        g_hash_table_insert(p->blobs, digest, g_steal_pointer(&content));
    }
    if (json_array_size(list) == 0) {
        refuse(p, source, SLU_RENDER_FILES, NULL, "the folder is empty");
        return NULL;
    }
    return g_steal_pointer(&list);
}

bool sl_prepare_files(SlPrepare *p, json_t *object, const SlRenderObject *source, GPtrArray *blobs)
{
    json_t *spec = json_object_get(object, "spec"), *files = json_object_get(spec, "files");
    if (!files)
        return true;
    const char *from = sl_json_str(files, "from");
    g_autoptr(GError) error = NULL;
    if (!from) {
        refuse(p, source, SLU_RENDER_FILES, "write files: {from: FOLDER}", "needs `from`; the list of files is made by the render");
        return false;
    }
    const char *relative = g_str_equal(from, ".") ? "" : from;
    if (*relative && !sl_check_relative_path(relative, &error)) {
        refuse(p, source, SLU_RENDER_FILES, "relative to the source's path, without ..", error->message);
        return false;
    }
    if (!sl_app_declares(p->app, relative)) {
        g_autofree char *what = g_strdup_printf("`%s` lies outside the declared paths of application %s", from, p->app->name);
        refuse(p, source, SLU_RENDER_PATH, "add the folder to the `paths` of a part, so that a change there makes a new release", what);
        return false;
    }
    json_t *list = g_hash_table_lookup(p->folders, relative);
    if (!list) {
        g_autofree char *folder = sl_path_join(p->app->path, relative);
        list = read_folder(p, source, folder);
        if (!list)
            return false;
        g_hash_table_insert(p->folders, g_strdup(relative), list);
    }
    json_object_set_new(spec, "files", json_deep_copy(list));
    for (size_t i = 0; i < json_array_size(list); i++)
        g_ptr_array_add(blobs, g_strdup(sl_json_str(json_array_get(list, i), "sha256")));
    return true;
}
