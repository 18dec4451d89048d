/* bundle.h - what one cluster gets of one unit: a list of objects, blobs and withheld places.
 * Pure.
 *
 * List text, lines sorted by bytes; the bundle digest is its SHA-256; the empty list is the empty
 * bundle (act remove):
 *   object <group/Kind> <namespace|-> <name> <size> <sha256>      group of core/v1 is "core"
 *   blob <sha256> <size>
 *   withheld <group/Kind> <namespace|-> <name> <item> <run key|-> */
#pragma once
#include "base/json.h"
#include "sluice/types.h"

#define SL_BUNDLE_OBJECTS_MAX 20000
#define SL_BUNDLE_LIST_MAX (8 * 1024 * 1024)

typedef struct {
    char *kind, *namespace_, *name; /* namespace "-" if none */
    uint64_t size;
    char *digest; /* canonical JSON */
} SlBundleObject;

typedef struct {
    char *digest;
    uint64_t size;
} SlBundleBlob;

typedef struct {
    char *kind, *namespace_, *name, *item;
    char *run_key; /* NULL if none */
} SlBundleWithheld;

typedef struct {
    GPtrArray *objects;  /* of SlBundleObject*, by (kind, namespace, name) */
    GPtrArray *blobs;    /* of SlBundleBlob*, by digest, each once */
    GPtrArray *withheld; /* of SlBundleWithheld* */
} SlBundle;

SlBundle *sl_bundle_new(void);
void sl_bundle_free(SlBundle *bundle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SlBundle, sl_bundle_free)
void sl_bundle_add_object(SlBundle *b, const char *kind, const char *ns, const char *name,
                          uint64_t size, const char *digest);
void sl_bundle_add_blob(SlBundle *b, const char *digest, uint64_t size); /* twice is once */
void sl_bundle_add_withheld(SlBundle *b, const char *kind, const char *ns, const char *name,
                            const char *item, const char *run_key);
GBytes *sl_bundle_format(const SlBundle *b); /* sorted list text (transfer full) */
char *sl_bundle_digest(const SlBundle *b);   /* (transfer full) */
/* Errors: BUNDLE_FORMAT (unsorted, duplicate identity, bad field), LIMIT. */
SL_MUST_USE SlBundle *sl_bundle_parse(GBytes *text, GError **error);

/* Identity of an object's JSON: "group/Kind". Errors: JSON_TYPE. (transfer full) */
SL_MUST_USE char *sl_object_kind(const json_t *object, GError **error);
const char *sl_object_name(const json_t *object);      /* metadata.name or NULL */
const char *sl_object_namespace(const json_t *object); /* metadata.namespace or "-" */
const char *sl_object_annotation(const json_t *object, const char *key); /* NULL */
/* gitops.sluice/wave, argocd.argoproj.io/sync-wave; 0 by default */
int sl_object_wave(const json_t *object);

#define SL_ANNOTATION_WAVE SL_API_GROUP "/wave"
#define SL_ANNOTATION_RUN_KEY SL_API_GROUP "/run-key"
#define SL_ANNOTATION_PRUNE SL_API_GROUP "/prune" /* "false": never pruned */
#define SL_ANNOTATION_RUN_INPUTS SL_API_GROUP "/run-inputs"
