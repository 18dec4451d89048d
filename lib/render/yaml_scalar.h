/* yaml_scalar.h - what a plain YAML scalar means to kubectl. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    SL_SCALAR_STRING,
    SL_SCALAR_NULL,
    SL_SCALAR_BOOL,
    SL_SCALAR_INT,
    SL_SCALAR_REAL,
    SL_SCALAR_NONFINITE /* .inf and .nan: kubectl refuses them */
} SlScalarType;

typedef struct {
    SlScalarType type;
    bool boolean;
    int64_t integer;
    double real;
    const char *trap;   /* why another reader may understand something else, or NULL; static */
    const char *advice; /* what to write instead, or NULL; static */
    bool mild;          /* a surprise, but the same one everywhere: never more than a warning */
} SlScalar;

/* Reads @len bytes of plain text (no NUL inside) as kubectl 1.32 does (sigs.k8s.io/yaml). */
void sl_scalar_resolve(const char *text, size_t len, SlScalar *ret_scalar);
