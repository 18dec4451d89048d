/* fields.c - reading, checking, writing and freeing of records by their table. Never looks at
 * signatures. */
#include "core/fields.h"
#include "base/digest.h"
#include "base/text.h"
#include "sluice/types.h"
#include <string.h>

static void *member(const void *record, size_t offset)
{
    return (char *)(uintptr_t)record + offset;
}

static char **text_member(const void *record, const SlField *field)
{
    return member(record, field->offset);
}

static bool is_hex32(const char *text)
{
    uint8_t bytes[16];
    return text != NULL && strlen(text) == 32 && sl_unhex(text, bytes, sizeof bytes);
}

/* "digits/prod" -> "digits", if the second part is @env. */
static char *app_of_unit(const char *unit, const char *env)
{
    const char *slash = strchr(unit, '/');
    if (slash == NULL || env == NULL || strcmp(slash + 1, env) != 0) {
        return NULL;
    }
    return g_strndup(unit, (size_t)(slash - unit));
}

static bool read_text(const SlRecord *table, const SlField *field, const char *value, void *record,
                      GError **error)
{
    if (field->type != SL_FIELD_UNIT || value == NULL) {
        *text_member(record, field) = g_strdup(value);
        return true;
    }
    const char *env = *(char **)member(record, table->env_offset);
    char *app = app_of_unit(value, env);
    if (app == NULL) {
        return sl_throw(
            error, SLU_STATEMENT_FORMAT,
            "%s: must be <application>/<environment> with the environment `%s`, is `%s`",
            field->key, env != NULL ? env : "", value);
    }
    *text_member(record, field) = app;
    return true;
}

static bool read_word(const SlField *field, const char *value, void *record, GError **error)
{
    bool known = false;
    if (value != NULL && field->type == SL_FIELD_ACT) {
        known = sl_act_parse(value, member(record, field->offset));
    } else if (value != NULL) {
        known = sl_run_phase_parse(value, member(record, field->offset));
    }
    return known || sl_throw(error, SLU_STATEMENT_FORMAT, "%s: unknown word `%s`", field->key,
                             value != NULL ? value : "");
}

static GPtrArray *lines_of(const char *const *list)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; list[i] != NULL; i++) {
        g_ptr_array_add(lines, g_strdup(list[i]));
    }
    return lines;
}

static bool read_field(const SlRecord *table, const SlField *field, const SlStatement *s,
                       void *record, GError **error)
{
    void *at = member(record, field->offset);
    switch (field->type) {
    case SL_FIELD_UINT:
        *(uint64_t *)at = sl_statement_uint(s, field->key, 0);
        return true;
    case SL_FIELD_TIME:
        *(int64_t *)at = sl_statement_time(s, field->key, 0);
        return true;
    case SL_FIELD_FLAG:
        *(bool *)at = sl_statement_flag(s, field->key);
        return true;
    case SL_FIELD_STRV:
        *(char ***)at = g_strdupv((char **)(uintptr_t)sl_statement_list(s, field->key));
        return true;
    case SL_FIELD_LINES:
        *(GPtrArray **)at = lines_of(sl_statement_list(s, field->key));
        return true;
    case SL_FIELD_ACT:
    case SL_FIELD_PHASE:
        return read_word(field, sl_statement_get(s, field->key), record, error);
    default:
        return read_text(table, field, sl_statement_get(s, field->key), record, error);
    }
}

static bool check_field(const SlField *field, const void *record, GError **error)
{
    const char *text = NULL;
    switch (field->type) {
    case SL_FIELD_NAME:
    case SL_FIELD_UNIT:
        text = *text_member(record, field);
        return (text != NULL && sl_is_name(text)) ||
               sl_throw(error, SLU_STATEMENT_FORMAT, "%s: `%s` is not a name (a-z, 0-9 and -)",
                        field->key, text != NULL ? text : "");
    case SL_FIELD_HEX:
        text = *text_member(record, field);
        return text == NULL || sl_is_hex_digest(text) ||
               sl_throw(error, SLU_STATEMENT_FORMAT, "%s: must be 64 lower-case hex digits",
                        field->key);
    case SL_FIELD_HEX32:
        text = *text_member(record, field);
        return text == NULL || is_hex32(text) ||
               sl_throw(error, SLU_STATEMENT_FORMAT, "%s: must be 32 lower-case hex digits",
                        field->key);
    default:
        return true;
    }
}

static bool check_record(const SlRecord *table, const void *record, GError **error)
{
    for (size_t i = 0; i < table->count; i++) {
        if (!check_field(&table->fields[i], record, error)) {
            return false;
        }
    }
    return table->check == NULL || table->check(record, error);
}

static void clear_field(const SlField *field, void *record)
{
    void *at = member(record, field->offset);
    switch (field->type) {
    case SL_FIELD_STRV:
        g_strfreev(*(char ***)at);
        break;
    case SL_FIELD_LINES:
        g_clear_pointer((GPtrArray **)at, g_ptr_array_unref);
        break;
    case SL_FIELD_TEXT:
    case SL_FIELD_NAME:
    case SL_FIELD_HEX:
    case SL_FIELD_HEX32:
    case SL_FIELD_UNIT:
        g_free(*(char **)at);
        break;
    default:
        break;
    }
}

void sl_record_free(const SlRecord *table, void *record)
{
    if (record == NULL) {
        return;
    }
    for (size_t i = 0; i < table->count; i++) {
        clear_field(&table->fields[i], record);
    }
    g_free(record);
}

void *sl_record_parse(const SlRecord *table, GBytes *text, GError **error)
{
    size_t len = 0;
    const char *bytes = g_bytes_get_data(text, &len);
    g_autoptr(SlStatement) s = sl_statement_parse(table->kind, bytes, len, error);
    if (s == NULL) {
        return NULL;
    }
    void *record = g_malloc0(table->size);
    for (size_t i = 0; i < table->count; i++) {
        if (!read_field(table, &table->fields[i], s, record, error)) {
            sl_record_free(table, record);
            return NULL;
        }
    }
    if (!check_record(table, record, error)) {
        sl_record_free(table, record);
        return NULL;
    }
    return record;
}

static void write_list(SlStatementWriter *writer, const SlField *field, const void *at)
{
    if (field->type == SL_FIELD_STRV) {
        char *const *list = *(char *const *const *)at;
        for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
            sl_statement_add(writer, field->key, list[i]);
        }
        return;
    }
    const GPtrArray *lines = *(GPtrArray *const *)at;
    for (guint i = 0; lines != NULL && i < lines->len; i++) {
        sl_statement_add(writer, field->key, lines->pdata[i]);
    }
}

static void write_field(const SlRecord *table, const SlField *field, const void *record,
                        SlStatementWriter *writer)
{
    const void *at = member(record, field->offset);
    switch (field->type) {
    case SL_FIELD_UINT:
        sl_statement_add_uint(writer, field->key, *(const uint64_t *)at);
        break;
    case SL_FIELD_TIME:
        sl_statement_add_time(writer, field->key, *(const int64_t *)at);
        break;
    case SL_FIELD_FLAG:
        sl_statement_add_flag(writer, field->key, *(const bool *)at);
        break;
    case SL_FIELD_ACT:
        sl_statement_add(writer, field->key, sl_act_name(*(const SlAct *)at));
        break;
    case SL_FIELD_PHASE:
        sl_statement_add(writer, field->key, sl_run_phase_name(*(const SlRunPhase *)at));
        break;
    case SL_FIELD_STRV:
    case SL_FIELD_LINES:
        write_list(writer, field, at);
        break;
    case SL_FIELD_UNIT: {
        const char *env = *(char **)member(record, table->env_offset);
        g_autofree char *unit = g_strdup_printf("%s/%s", *(char *const *)at, env);
        sl_statement_add(writer, field->key, unit);
        break;
    }
    default:
        sl_statement_add(writer, field->key, *(char *const *)at);
        break;
    }
}

GBytes *sl_record_format(const SlRecord *table, const void *record, GError **error)
{
    if (!check_record(table, record, error)) {
        return NULL;
    }
    SlStatementWriter *writer = sl_statement_writer_new(table->kind);
    for (size_t i = 0; i < table->count; i++) {
        write_field(table, &table->fields[i], record, writer);
    }
    return sl_statement_finish(writer, error);
}
