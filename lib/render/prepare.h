/* prepare.h - one object of an application made ready for a bundle: defaults, files, items, run key, canonical text. Pure. */
#pragma once
#include "render/render.h"
#include "sluice/jobkind.h"
#include "sluice/renderer.h"

typedef struct {
    const SlApplicationDoc *app;
    const SlTree *tree;
    const GPtrArray *items; /* of SlItemValue* */
    GHashTable *blobs;      /* digest -> GBytes*: object texts and files are added */
    GPtrArray *problems;
    GHashTable *folders;    /* `files: {from}` -> json array, made once */
    const char *native;     /* image of sluice-carry: portable objects are made ready for Kubernetes too; NULL = they are not */
} SlPrepare;

typedef struct {
    json_t *json;
    char *kind, *namespace_, *name;
    char *file;            /* where it was written, for messages */
    int line;
    char *text, *digest;   /* canonical JSON; NULL when it waits */
    char *item, *item_key; /* what it waits for: item, and the run key that fills it; or NULL */
    char *run_key;         /* of a run that does not wait */
    const SlJobKindOps *ops; /* of a portable kind, or NULL */
    GPtrArray *blobs;      /* of char*: file blobs that it needs */
    GPtrArray *native;     /* of SlPrepared*: what stands for it where the engine is kubernetes; NULL = itself */
} SlPrepared;
void sl_prepared_free(SlPrepared *prepared);

/* NULL after adding problems. (transfer full) */
SlPrepared *sl_prepare_object(SlPrepare *prepare, const SlRenderObject *object);
/* Every object of a part (of SlPrepared*); NULL after adding problems. */
GPtrArray *sl_prepare_part(SlPrepare *prepare, const SlPart *part, const char *env);

/* `spec.files: {from}` of @object becomes the list of its files, whose blobs are added. False after adding problems. */
bool sl_prepare_files(SlPrepare *prepare, json_t *object, const SlRenderObject *source, GPtrArray *blobs);
/* Pins items in place; the first one that is pending goes to @prepared->item. False after adding problems. */
bool sl_prepare_items(SlPrepare *prepare, SlPrepared *prepared, const SlRenderObject *source);
/* Text, digest and blob of what is in @prepared->json; withheld: checked only. False after adding problems. */
bool sl_prepare_text(SlPrepare *prepare, SlPrepared *prepared, const SlRenderObject *source);
/* @prepared->native of a portable object that is ready. False after adding problems. */
bool sl_prepare_native(SlPrepare *prepare, SlPrepared *prepared, const SlRenderObject *source);
/* SlOffer.needs. (transfer full) */
json_t *sl_offer_needs(const SlApplicationDoc *app, const SlTree *tree);
/* Is @path (relative to the application) inside what any part of any environment declares? */
bool sl_app_declares(const SlApplicationDoc *app, const char *path);
