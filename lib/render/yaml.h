/* yaml.h - YAML 1.1 as kubectl reads it: libfyaml's events into a bounded tree with positions. Pure.
 *
 * Limits (research 6): 8 MiB, depth 64, 200,000 nodes, 10,000 documents, aliases may expand to at most 10x (100,000 nodes).
 * Errors with file:line:column: duplicate keys, tags other than core, tabs, BOM, NUL and control characters,
 * invalid UTF-8. Plain scalars that tools read differently or surprisingly (no, on, y, 0777, 1_000, ...) are problems:
 * errors under @strict, else warnings. */
#pragma once
#include "base/json.h"

typedef struct {
    char *file;    /* as given */
    int line, column; /* from 1; 0 = unknown */
    int code;      /* SLU number */
    bool warning;
    char *message; /* what is wrong */
    char *hint;    /* what to do, or NULL */
} SlProblem;
void sl_problem_free(SlProblem *problem);
/* Adds to @problems (of SlProblem*); at most 200 are kept, then one that says so. */
void sl_problem_add(GPtrArray *problems, const char *file, int line, int column, int code, bool warning,
                    const char *hint, const char *format, ...) G_GNUC_PRINTF(8, 9);
bool sl_problems_have_errors(const GPtrArray *problems);
/* Puts all of @from behind @into; @from is empty then. */
void sl_problems_move(GPtrArray *into, GPtrArray *from);
char *sl_problem_format(const SlProblem *problem); /* "sluice.yaml:12:3: SLU1203: message (hint)" */

/* One YAML document as JSON, and where each value stands. */
typedef struct SlYamlDoc SlYamlDoc;
void sl_yaml_doc_free(SlYamlDoc *doc); /* for one that was taken out of its array */
const json_t *sl_yaml_json(const SlYamlDoc *doc); /* borrowed */
/* Has it errors of its own (duplicate keys, ambiguous scalars under strict ...)? Its JSON is then incomplete. */
bool sl_yaml_broken(const SlYamlDoc *doc);
/* Position of the value (or key) at a path like "spec.environments.dev.parts.0.paths"; the nearest known parent's
 * if there is none. */
void sl_yaml_position(const SlYamlDoc *doc, const char *path, int *ret_line, int *ret_column);

/* All documents of a file; empty documents are left out. What is wrong goes to @problems; documents after a syntax
 * error are not returned. (transfer full, of SlYamlDoc*) */
GPtrArray *sl_yaml_read(const char *file, GBytes *text, bool strict, GPtrArray *problems);

/* The same, and says whether documents may be missing (a syntax error, or bytes that cannot be read). */
GPtrArray *sl_yaml_read_cut(const char *file, GBytes *text, bool strict, GPtrArray *problems, bool *ret_cut);

/* Readable YAML of canonical JSON: block maps, every string double-quoted; reads back equal. (transfer full) */
char *sl_yaml_emit(const json_t *value);
