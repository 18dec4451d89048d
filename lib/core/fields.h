/* fields.h - typed records over statements, by one table of fields per kind. Private to lib/core.
 *
 * A record is a plain struct; its table says which key goes to which member and what the text must
 * look like. Reading, writing, checking and freeing are the same code for all kinds. The order of
 * the table is the order of the keys. Whether a key may be left out is said in statements.def, not
 * here. */
#pragma once
#include "core/statement.h"
#include <stddef.h>

typedef enum {
    SL_FIELD_TEXT,  /* char *, any statement text; NULL = left out */
    SL_FIELD_NAME,  /* char *, DNS label */
    SL_FIELD_HEX,   /* char *, 64 hex digits; NULL = left out */
    SL_FIELD_HEX32, /* char *, 32 hex digits; NULL = left out */
    SL_FIELD_UNIT, /* char * application; the text is `<application>/<environment of the record>` */
    SL_FIELD_UINT, /* uint64_t */
    SL_FIELD_TIME, /* int64_t microseconds UTC */
    SL_FIELD_FLAG, /* bool, "yes" or left out */
    SL_FIELD_ACT,  /* SlAct */
    SL_FIELD_PHASE, /* SlRunPhase */
    SL_FIELD_STRV,  /* char **, repeated key */
    SL_FIELD_LINES, /* GPtrArray * of char *, repeated key */
} SlFieldType;

typedef struct {
    const char *key;
    SlFieldType type;
    size_t offset;
} SlField;

typedef struct {
    SlStatementKind kind;
    size_t size;       /* of the struct */
    size_t env_offset; /* of its `char *env` */
    size_t count;
    const SlField *fields;
    /* What the table cannot say; NULL if nothing. Called after reading and before writing. */
    bool (*check)(const void *record, GError **error);
} SlRecord;

/* New zeroed record with its fields set. Errors: STATEMENT_FORMAT and those of sl_statement_parse.
 */
SL_MUST_USE void *sl_record_parse(const SlRecord *table, GBytes *text, GError **error);
SL_MUST_USE GBytes *sl_record_format(const SlRecord *table, const void *record, GError **error);
void sl_record_free(const SlRecord *table, void *record);
