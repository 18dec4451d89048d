/* fleet_schema.h - shapes of fleet documents: one table checks them, suggests keys and makes the JSON Schema. Pure. */
#pragma once
#include "render/yaml.h"

typedef struct SlShape SlShape;
typedef struct SlField SlField;

typedef enum {
    SL_SHAPE_STRING,   /* not empty */
    SL_SHAPE_NAME,     /* DNS label */
    SL_SHAPE_INT,      /* min..max */
    SL_SHAPE_DURATION, /* "15m" */
    SL_SHAPE_WORD,     /* one of words */
    SL_SHAPE_PATH,     /* relative, or "." */
    SL_SHAPE_DIGEST,   /* sha256:<64 hex> */
    SL_SHAPE_LABELS,   /* map of text to text */
    SL_SHAPE_OBJECT,
    SL_SHAPE_LIST,     /* of item, min..max entries */
    SL_SHAPE_MAP,      /* name -> item */
    SL_SHAPE_CUSTOM,   /* check and schema say */
    SL_SHAPE_NOT_YET   /* known to the design, not to this version */
} SlShapeType;

/* Where a document came from and what is wrong with it. */
typedef struct {
    const char *file;
    const SlYamlDoc *yaml; /* positions, or NULL */
    const char *title;     /* "Application digits" */
    GPtrArray *problems;
    bool broken;
} SlDocCheck;

struct SlShape {
    SlShapeType type;
    const SlField *fields; /* OBJECT; ends with a NULL key */
    const SlShape *item;
    const char *const *words;
    int64_t min, max;
    void (*check)(SlDocCheck *check, const json_t *value, const char *path); /* after the shape's own checks, or CUSTOM */
    json_t *(*schema)(void);                                                 /* CUSTOM */
};

struct SlField {
    const char *key;
    const SlShape *shape;
    bool required;
    const char *help; /* one sentence: JSON Schema's description */
};

/* Adds an error at @path of the document; at a path that is not there, the nearest parent's line. */
void sl_doc_error(SlDocCheck *check, const char *path, int code, const char *hint, const char *format, ...)
    G_GNUC_PRINTF(5, 6);
void sl_shape_check(SlDocCheck *check, const SlShape *shape, const json_t *value, const char *path);
/* JSON Schema (draft 7) of @shape. (transfer full) */
json_t *sl_shape_schema(const SlShape *shape);
/* "a", "b" or "c" (transfer full) */
char *sl_words_text(const char *const *words);

/* Shape of the whole document of @kind, or NULL; names of the kinds, NULL-terminated. */
const SlShape *sl_fleet_shape(const char *kind);
const char *const *sl_fleet_kinds(void);
/* What a word of Argo CD, Flux or Kargo is called here, or NULL. @path is the parent's. Static. */
const char *sl_fleet_hint(const char *path, const char *key);
const char *sl_fleet_kind_hint(const char *api_version, const char *kind);
