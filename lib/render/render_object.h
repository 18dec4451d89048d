/* render_object.h - checks on one object, and on objects beside each other. Pure. */
#pragma once
#include "render/yaml.h"
#include "sluice/renderer.h"

/* "group/Kind namespace name", a key for hash tables. (transfer full) */
char *sl_object_identity(const json_t *object);
/* apiVersion, kind, name, no List, no plain Secret, nothing that only a cluster writes. False after adding errors. */
bool sl_object_check(const SlRenderObject *object, GPtrArray *problems);
/* RENDER_DUPLICATE for every identity that is there twice. */
void sl_objects_check_unique(const GPtrArray *objects, GPtrArray *problems);
