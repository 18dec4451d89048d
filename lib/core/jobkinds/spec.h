/* spec.h - strict reading of a portable kind's spec by one table of fields. Private to
 * lib/core/jobkinds.
 *
 * Each field has a type, limits and a default; checking, defaults and hints are the same code for
 * every kind. */
#pragma once
#include "sluice/jobkind.h"
#include <stddef.h>

typedef enum {
    SL_SPEC_TEXT,     /* string without control characters, 1..4096 bytes */
    SL_SPEC_ANY_TEXT, /* the same, may be empty or have line ends */
    SL_SPEC_NAME,     /* DNS label */
    SL_SPEC_PATH,     /* relative path */
    SL_SPEC_URL_PATH, /* starts with / */
    SL_SPEC_INT,      /* least..most */
    SL_SPEC_BOOL,
    SL_SPEC_DURATION, /* 90s 15m 24h 7d */
    SL_SPEC_WORD,     /* one of words */
    SL_SPEC_MEMORY,   /* 512Mi, 16Gi or bytes */
    SL_SPEC_CPU,      /* 2, 0.5, "500m" */
    SL_SPEC_MODEL,    /* model://<item>, model://sha256:<digest>, or <item> */
    SL_SPEC_DIGEST,   /* 64 hex digits */
    SL_SPEC_TEXTS,    /* list of strings (may be empty strings) */
    SL_SPEC_OBJECT,   /* fields */
    SL_SPEC_OBJECTS,  /* list of objects with fields; `name`, if there is one, is unique */
    SL_SPEC_FREE,     /* any object: passed on to an engine */
    SL_SPEC_FILES,    /* {from: PATH}, or after the render [{path, mode, sha256}] */
} SlSpecType;

typedef struct SlSpecField SlSpecField;
struct SlSpecField {
    const char *key;
    SlSpecType type;
    bool required;
    int64_t least, most;       /* INT; number of elements of lists */
    const char *const *words;  /* WORD */
    const SlSpecField *fields; /* OBJECT, OBJECTS; ends with a NULL key */
    const char *otherwise;     /* default as JSON text, or NULL = stays away */
    void (*check)(const json_t *value, const char *where, GPtrArray *problems); /* or NULL */
};

void sl_spec_problem(GPtrArray *problems, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Checks apiVersion, kind, metadata and spec of @object; @hints: pairs of a foreign key and what to
 * write, NULL-terminated. */
void sl_spec_validate(const json_t *object, const char *kind, const SlSpecField *fields,
                      const char *const *hints, GPtrArray *problems);
/* Fills what is absent, in spec and in every object that is there. Skips what is of a wrong type.
 */
void sl_spec_defaults(json_t *object, const SlSpecField *fields);

/* Item named by a model reference, or NULL (fixed digest, or no reference). Borrowed from
 * @reference. */
const char *sl_spec_item(const char *reference);
/* Adds the item if it is one and not there yet. */
void sl_spec_add_item(GPtrArray *items, const json_t *reference);

/* Fields that both kinds have. */
extern const SlSpecField sl_spec_env_fields[], sl_spec_resource_fields[];
extern const char *const sl_spec_hints[];
void sl_spec_check_env(const json_t *env, const char *where, GPtrArray *problems);
/* command, or on Kubernetes an image that brings its own. */
void sl_spec_check_program(const json_t *spec, GPtrArray *problems);
