/* statement.c - strict reader and writer of the one text encoding of everything that is signed.
 *
 * Works from the table statements.def alone: what a kind may contain is said there and nowhere
 * else. Must never accept two texts for one meaning, and never hand out a value whose type it has
 * not checked. */
#include "core/statement.h"

#include "base/digest.h"
#include "base/text.h"
#include "sluice/types.h"

#include <inttypes.h>
#include <string.h>

typedef enum { CARD_ONE, CARD_OPTIONAL, CARD_MANY } Cardinality;
typedef enum {
    TYPE_HEX,
    TYPE_HEX32,
    TYPE_UINT,
    TYPE_TIME,
    TYPE_NAME,
    TYPE_UNIT,
    TYPE_ACT,
    TYPE_PHASE,
    TYPE_KEY,
    TYPE_FLAG,
    TYPE_TEXT,
    TYPE_LINE,
} ValueType;

typedef struct {
    SlStatementKind kind;
    const char *key;
    Cardinality cardinality;
    ValueType type;
} Key;

static const Key keys[] = {
#define SL_KEY(kind, key, cardinality, type)                                                       \
    {SL_STATEMENT_##kind, key, CARD_##cardinality, TYPE_##type},
#include "core/statements.def"
#undef SL_KEY
};

static const struct {
    const char *name, *namespace_;
    size_t size_max;
} kinds[SL_N_STATEMENTS] = {
    [SL_STATEMENT_ROOT] = {"root", "root@sluice.v1", SL_ROOT_MAX},
    [SL_STATEMENT_REGISTRY] = {"registry", "registry@sluice.v1", SL_STATEMENT_MAX},
    [SL_STATEMENT_PROMOTION] = {"promotion", "promotion@sluice.v1", SL_STATEMENT_MAX},
    [SL_STATEMENT_ORDER] = {"order", "order@sluice.v1", SL_STATEMENT_MAX},
    [SL_STATEMENT_HEAD] = {"head", "head@sluice.v1", SL_HEAD_MAX},
    [SL_STATEMENT_REPORT] = {"report", "report@sluice.v1", SL_STATEMENT_MAX},
    [SL_STATEMENT_SEAL] = {"seal", "seal@sluice.v1", SL_STATEMENT_MAX},
    [SL_STATEMENT_ENROL] = {"enrol", "enrol@sluice.v1", SL_STATEMENT_MAX},
};

struct SlStatement {
    SlStatementKind kind;
    const Key *first; /* the kind's rows */
    size_t count;
    GPtrArray **values; /* per row, of char*, with a NULL at the end */
};

const char *sl_statement_kind_name(SlStatementKind kind)
{
    g_assert((unsigned)kind < SL_N_STATEMENTS);
    return kinds[kind].name;
}

const char *sl_statement_namespace(SlStatementKind kind)
{
    g_assert((unsigned)kind < SL_N_STATEMENTS);
    return kinds[kind].namespace_;
}

size_t sl_statement_size_max(SlStatementKind kind)
{
    g_assert((unsigned)kind < SL_N_STATEMENTS);
    return kinds[kind].size_max;
}

static SlStatement *statement_new(SlStatementKind kind)
{
    SlStatement *statement = g_new0(SlStatement, 1);
    statement->kind = kind;
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (keys[i].kind == kind) {
            statement->first = statement->count == 0 ? &keys[i] : statement->first;
            statement->count++;
        }
    }
    statement->values = g_new0(GPtrArray *, statement->count);
    for (size_t i = 0; i < statement->count; i++) {
        statement->values[i] = g_ptr_array_new_with_free_func(g_free);
    }
    return statement;
}

void sl_statement_free(SlStatement *statement)
{
    if (statement == NULL) {
        return;
    }
    for (size_t i = 0; i < statement->count; i++) {
        g_ptr_array_unref(statement->values[i]);
    }
    g_free(statement->values);
    g_free(statement);
}

static bool is_unit(const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, "/", 3);
    return g_strv_length(parts) == 2 && sl_is_name(parts[0]) && sl_is_name(parts[1]);
}

static bool is_key_line(const char *value)
{
    g_autoptr(SlPublicKey) key = sl_public_key_parse(value, NULL);
    return key != NULL && strcmp(key->line, value) == 0;
}

/* What @value should have been, or NULL if it is of the type. */
static const char *type_mistake(ValueType type, const char *value)
{
    uint64_t number;
    int64_t time;
    SlAct act;
    SlRunPhase phase;
    uint8_t half[16];
    switch (type) {
    case TYPE_HEX:
        return sl_is_hex_digest(value) ? NULL : "64 lower-case hex digits";
    case TYPE_HEX32:
        return sl_unhex(value, half, sizeof half) ? NULL : "32 lower-case hex digits";
    case TYPE_UINT:
        return sl_parse_uint64(value, &number) ? NULL : "a number from 0 to 18446744073709551615";
    case TYPE_TIME:
        return sl_parse_time(value, &time) ? NULL : "a time like 2026-11-23T12:00:00Z";
    case TYPE_NAME:
        return sl_is_name(value) ? NULL : "a name (a-z, 0-9 and -, at most 63)";
    case TYPE_UNIT:
        return is_unit(value) ? NULL : "a unit: application/environment";
    case TYPE_ACT:
        return sl_act_parse(value, &act) ? NULL : "an act: promote, rollback, ...";
    case TYPE_PHASE:
        return sl_run_phase_parse(value, &phase) ? NULL : "a phase: Succeeded, Failed, ...";
    case TYPE_KEY:
        return is_key_line(value) ? NULL : "an ed25519 key as OpenSSH writes it, without comment";
    case TYPE_FLAG:
        return strcmp(value, "yes") == 0 ? NULL : "yes (or no line at all)";
    case TYPE_TEXT:
        return sl_is_plain_line(value, strlen(value)) ? NULL
                                                      : "text without characters that hide text";
    case TYPE_LINE:
    default:
        return NULL; /* controls were refused for the whole line */
    }
}

static ptrdiff_t find_row(const SlStatement *statement, const char *key)
{
    for (size_t i = 0; i < statement->count; i++) {
        if (strcmp(statement->first[i].key, key) == 0) {
            return (ptrdiff_t)i;
        }
    }
    return -1;
}

static bool throw_unknown_key(const SlStatement *statement, size_t line, const char *key,
                              GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (size_t i = 0; i < statement->count; i++) {
        g_ptr_array_add(names, (gpointer)statement->first[i].key);
    }
    g_ptr_array_add(names, NULL);
    g_autofree char *shown = sl_escape_for_people(key, 60);
    const char *nearest = sl_nearest(key, (const char *const *)names->pdata);
    return sl_throw(error, SLU_STATEMENT_FORMAT, "line %zu: unknown key `%s`%s%s%s", line, shown,
                    nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                    nearest != NULL ? "`?" : "");
}

/* Rows from @from up to @to (excluded) must not be wanted. */
static bool check_missing(const SlStatement *statement, size_t from, size_t to, size_t line,
                          GError **error)
{
    for (size_t i = from; i < to; i++) {
        if (statement->first[i].cardinality == CARD_ONE && statement->values[i]->len == 0) {
            return sl_throw(error, SLU_STATEMENT_FORMAT, "line %zu: `%s` is missing before here",
                            line, statement->first[i].key);
        }
    }
    return true;
}

static bool take_field(SlStatement *statement, size_t *next, size_t line, const char *key,
                       const char *value, GError **error)
{
    ptrdiff_t found = find_row(statement, key);
    if (found < 0) {
        return throw_unknown_key(statement, line, key, error);
    }
    size_t row = (size_t)found;
    const Key *rule = &statement->first[row];
    if (rule->cardinality != CARD_MANY && statement->values[row]->len > 0) {
        return sl_throw(error, SLU_STATEMENT_FORMAT, "line %zu: `%s` is given twice", line, key);
    }
    if (row < *next) {
        return sl_throw(error, SLU_STATEMENT_FORMAT, "line %zu: `%s` must come before `%s`", line,
                        key, statement->first[*next].key);
    }
    if (!check_missing(statement, *next, row, line, error)) {
        return false;
    }
    const char *mistake = type_mistake(rule->type, value);
    if (mistake != NULL) {
        g_autofree char *shown = sl_escape_for_people(value, 80);
        return sl_throw(error, SLU_STATEMENT_FORMAT, "line %zu: `%s` is \"%s\", but must be %s",
                        line, key, shown, mistake);
    }
    g_ptr_array_add(statement->values[row], g_strdup(value));
    *next = row;
    return true;
}

/* Splits "key: value" in place. */
static bool split_line(char *text, size_t line, char **ret_value, GError **error)
{
    char *colon = strchr(text, ':');
    if (colon == NULL || colon == text || colon[1] != ' ') {
        g_autofree char *shown = sl_escape_for_people(text, 60);
        return sl_throw(error, SLU_STATEMENT_FORMAT, "line %zu: \"%s\" is not `key: value`", line,
                        shown);
    }
    *colon = '\0';
    char *value = colon + 2;
    size_t len = strlen(value);
    if (len == 0) {
        return sl_throw(error, SLU_STATEMENT_FORMAT, "line %zu: `%s` is empty", line, text);
    }
    if (value[0] == ' ' || value[len - 1] == ' ') {
        return sl_throw(error, SLU_STATEMENT_FORMAT,
                        "line %zu: `%s` has a space before or after its value", line, text);
    }
    *ret_value = value;
    return true;
}

static bool check_intro(SlStatementKind kind, size_t line, const char *key, const char *value,
                        GError **error)
{
    const char *wanted = line == 1 ? "format" : "kind";
    if (strcmp(key, wanted) != 0) {
        g_autofree char *shown = sl_escape_for_people(key, 60);
        return sl_throw(error, SLU_STATEMENT_FORMAT, "line %zu: must be `%s`, but is `%s`", line,
                        wanted, shown);
    }
    uint64_t format = 0;
    if (line == 1 && !sl_parse_uint64(value, &format)) {
        return sl_throw(error, SLU_STATEMENT_FORMAT, "line 1: `format` must be a number");
    }
    if (line == 1 && format != SL_STATEMENT_FORMAT) {
        return sl_throw(error, SLU_STATEMENT_VERSION,
                        "line 1: format %" PRIu64 " is not known here; this Sluice knows %d",
                        format, SL_STATEMENT_FORMAT);
    }
    if (line == 2 && strcmp(value, kinds[kind].name) != 0) {
        g_autofree char *shown = sl_escape_for_people(value, 60);
        return sl_throw(error, SLU_STATEMENT_FORMAT, "line 2: kind is `%s`, but must be `%s`",
                        shown, kinds[kind].name);
    }
    return true;
}

static size_t line_of(const char *text, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset; i++) {
        line += text[i] == '\n' ? 1 : 0;
    }
    return line;
}

/* Size, UTF-8, controls (TAB and CR too) and the LF at the end, before anything is copied. */
static bool check_bytes(SlStatementKind kind, const char *text, size_t len, GError **error)
{
    if (len > kinds[kind].size_max) {
        return sl_throw(error, SLU_LIMIT, "%s: %zu bytes; at most %zu are allowed",
                        kinds[kind].name, len, kinds[kind].size_max);
    }
    if (len == 0 || text[len - 1] != '\n') {
        return sl_throw(error, SLU_STATEMENT_FORMAT, "line %zu: the last line must end with LF",
                        line_of(text, len));
    }
    for (size_t i = 0, start = 0; i < len; i++) {
        if (text[i] != '\n') {
            continue;
        }
        if (!sl_is_clean_utf8(text + start, i - start, false) ||
            memchr(text + start, '\t', i - start) != NULL) {
            return sl_throw(error, SLU_STATEMENT_FORMAT,
                            "line %zu: has a control character, or is not UTF-8",
                            line_of(text, start));
        }
        start = i + 1;
    }
    return true;
}

SlStatement *sl_statement_parse(SlStatementKind kind, const void *text, size_t len, GError **error)
{
    g_assert((unsigned)kind < SL_N_STATEMENTS);
    if (!check_bytes(kind, text, len, error)) {
        return NULL;
    }
    g_autoptr(SlStatement) statement = statement_new(kind);
    g_autofree char *copy = g_strndup(text, len);
    size_t next = 0;
    size_t line = 0;
    for (char *at = copy; *at != '\0';) {
        char *end = strchr(at, '\n'); /* there is one: the last byte is LF */
        *end = '\0';
        char *value = NULL;
        if (!split_line(at, ++line, &value, error)) {
            return NULL;
        }
        bool good = line <= 2 ? check_intro(kind, line, at, value, error)
                              : take_field(statement, &next, line, at, value, error);
        if (!good) {
            return NULL;
        }
        at = end + 1;
    }
    if (line < 2) {
        return sl_throw_null(error, SLU_STATEMENT_FORMAT, "line 2: `kind` is missing");
    }
    if (!check_missing(statement, 0, statement->count, line + 1, error)) {
        return NULL;
    }
    for (size_t i = 0; i < statement->count; i++) {
        g_ptr_array_add(statement->values[i], NULL);
    }
    return g_steal_pointer(&statement);
}

/* The row of a key that the caller knows to be one of the kind's: asking for another is a bug of
 * ours. */
static size_t row_of(const SlStatement *statement, const char *key)
{
    ptrdiff_t row = find_row(statement, key);
    if (row < 0) {
        g_error("a %s has no key `%s`", kinds[statement->kind].name, key);
    }
    return (size_t)row;
}

const char *sl_statement_get(const SlStatement *statement, const char *key)
{
    return statement->values[row_of(statement, key)]->pdata[0];
}

const char *const *sl_statement_list(const SlStatement *statement, const char *key)
{
    return (const char *const *)statement->values[row_of(statement, key)]->pdata;
}

uint64_t sl_statement_uint(const SlStatement *statement, const char *key, uint64_t otherwise)
{
    uint64_t value = otherwise;
    return sl_parse_uint64(sl_statement_get(statement, key), &value) ? value : otherwise;
}

int64_t sl_statement_time(const SlStatement *statement, const char *key, int64_t otherwise)
{
    int64_t value = otherwise;
    return sl_parse_time(sl_statement_get(statement, key), &value) ? value : otherwise;
}

bool sl_statement_flag(const SlStatement *statement, const char *key)
{
    return sl_statement_get(statement, key) != NULL;
}

struct SlStatementWriter {
    SlStatementKind kind;
    GString *text;
    char *broken; /* first value that would have made a line of its own */
};

SlStatementWriter *sl_statement_writer_new(SlStatementKind kind)
{
    SlStatementWriter *writer = g_new0(SlStatementWriter, 1);
    writer->kind = kind;
    writer->text = g_string_new(NULL);
    g_string_printf(writer->text, "format: %d\nkind: %s\n", SL_STATEMENT_FORMAT,
                    sl_statement_kind_name(kind));
    return writer;
}

void sl_statement_add(SlStatementWriter *writer, const char *key, const char *value)
{
    if (value == NULL) {
        return;
    }
    if (writer->broken == NULL && strchr(value, '\n') != NULL) {
        writer->broken = g_strdup(key);
    }
    g_string_append_printf(writer->text, "%s: %s\n", key, value);
}

void sl_statement_add_uint(SlStatementWriter *writer, const char *key, uint64_t value)
{
    g_string_append_printf(writer->text, "%s: %" PRIu64 "\n", key, value);
}

void sl_statement_add_time(SlStatementWriter *writer, const char *key, int64_t utc_us)
{
    g_autofree char *time = sl_format_time(utc_us);
    sl_statement_add(writer, key, time);
}

void sl_statement_add_flag(SlStatementWriter *writer, const char *key, bool value)
{
    sl_statement_add(writer, key, value ? "yes" : NULL);
}

GBytes *sl_statement_finish(SlStatementWriter *writer, GError **error)
{
    SlStatementKind kind = writer->kind;
    g_autofree char *broken = writer->broken;
    g_autoptr(GBytes) text = g_string_free_to_bytes(writer->text);
    g_free(writer);
    if (broken != NULL) {
        return sl_throw_null(error, SLU_STATEMENT_FORMAT, "`%s` has a line break", broken);
    }
    size_t len = 0;
    const char *bytes = g_bytes_get_data(text, &len);
    g_autoptr(SlStatement) parsed = sl_statement_parse(kind, bytes, len, error);
    return parsed != NULL ? g_steal_pointer(&text) : NULL;
}
