/* fleet_build.h - from checked documents to the structs of fleet.h, within this room. Pure. */
#pragma once
#include "render/fleet.h"
#include "render/fleet_schema.h"

/* One document as it was read. */
typedef struct {
    char *file;
    SlYamlDoc *yaml; /* or NULL */
    json_t *json;    /* own copy; defaults are filled into it */
    char *kind, *name, *title;
    bool broken;
} SlFleetSource;
void sl_fleet_source_free(SlFleetSource *source);
SlDocCheck sl_fleet_source_check(const SlFleetSource *source, GPtrArray *problems);

void sl_environment_doc_free(SlEnvironmentDoc *env);
void sl_application_doc_free(SlApplicationDoc *app);
void sl_gate_doc_free(SlGateDoc *gate);
/* From a document that passed its shape. (transfer full) */
SlEnvironmentDoc *sl_environment_build(SlFleetSource *source);
SlApplicationDoc *sl_application_build(SlFleetSource *source);
GHashTable *sl_labels_build(const json_t *clusters); /* of {"matchLabels": {...}} or NULL */
GPtrArray *sl_gates_build(const json_t *gates, const char *where);
/* References and circles; then @environments is in topological order. False after adding errors. */
bool sl_environments_link(GPtrArray *environments, GPtrArray *sources, GPtrArray *problems);
/* Environments, repositories and items that the application names. Sets the document broken after an error. */
void sl_application_link(SlFleetSource *source, SlApplicationDoc *app, const SlFleetDocs *docs, GPtrArray *problems);
/* Origins of items, by looking at the files. @tree NULL: origins must be in the document. */
void sl_items_resolve(SlFleetSource *source, SlApplicationDoc *app, const SlFleetDocs *docs, const SlTree *tree,
                      GPtrArray *problems);
/* Is @env's name a gate's `in` that exists? Adds errors at @path. */
void sl_gates_link(SlDocCheck *check, const GPtrArray *gates, const char *path, const SlFleetDocs *docs);
/* Names of the Applications in a file that is no valid YAML, by its lines alone (of char*); NULL if it may hold anything else. */
GPtrArray *sl_torn_applications(GBytes *text);
/* "did you mean `x`?" or the list of known environments. (transfer full) */
char *sl_environment_hint(const SlFleetDocs *docs, const char *name);
