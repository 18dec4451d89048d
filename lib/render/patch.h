/* patch.h - kustomize-shaped patches: strategic merge by default, RFC 6902 when the patch is a list. Pure. */
#pragma once
#include "render/yaml.h"
#include "sluice/renderer.h"

#define SL_PATCH_OPERATIONS_MAX 1000 /* operations of one RFC 6902 patch */

/* Merges @patch into @object in place: maps by key, null deletes, lists of built-in and portable kinds by their merge keys,
 * other lists replaced, $patch: delete | replace | merge. @ret_delete: the whole object is to go.
 * Errors: RENDER_PATCH. */
SL_MUST_USE bool sl_patch_strategic(json_t *object, const json_t *patch, bool *ret_delete, GError **error);
/* RFC 6902 in place; all or nothing. Errors: RENDER_PATCH. */
SL_MUST_USE bool sl_patch_6902(json_t *object, const json_t *operations, GError **error);
/* All patches of a part on its objects (of SlRenderObject*). What is wrong goes to @problems. */
void sl_patches_apply(const SlRenderPart *part, GPtrArray *objects, GPtrArray *problems);
