/* fleet_schema.c - checks a document against its table of shapes and says everything that is wrong at once. */
#include "render/fleet_schema.h"
#include "base/digest.h"
#include "base/text.h"
#include <string.h>

void sl_doc_error(SlDocCheck *check, const char *path, int code, const char *hint, const char *format, ...)
{
    int line = 0, column = 0;
    if (check->yaml)
        sl_yaml_position(check->yaml, path, &line, &column);
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    check->broken = true;
    sl_problem_add(check->problems, check->file, line, column, code, false, hint, "%s%s%s: %s", check->title,
                   *path ? ": " : "", path, what);
}

char *sl_words_text(const char *const *words)
{
    GString *text = g_string_new(NULL);
    for (size_t i = 0; words[i]; i++) {
        if (i > 0)
            g_string_append(text, words[i + 1] ? ", " : " or ");
        g_string_append(text, words[i]);
    }
    return g_string_free(text, FALSE);
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "a map";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "text";
    case JSON_INTEGER: return "a whole number";
    case JSON_REAL: return "a number";
    case JSON_NULL: return "nothing";
    default: return "true or false";
    }
}

static bool need_type(SlDocCheck *check, const json_t *value, json_type type, const char *path, const char *wanted)
{
    if (json_typeof(value) == type)
        return true;
    const char *hint = type == JSON_STRING && (json_is_number(value) || json_is_boolean(value)) ? "put it in quotes" : NULL;
    sl_doc_error(check, path, SLU_FLEET_VALUE, hint, "must be %s, not %s", wanted, type_name(value));
    return false;
}

static char *child(const char *path, const char *key)
{
    return *path ? g_strconcat(path, ".", key, NULL) : g_strdup(key);
}

static void unknown_key(SlDocCheck *check, const SlShape *shape, const char *path, const char *key)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const SlField *field = shape->fields; field->key; field++)
        g_ptr_array_add(names, (char *)field->key);
    g_ptr_array_add(names, NULL);
    const char *const *known = (const char *const *)names->pdata;
    g_autofree char *hint = NULL;
    const char *foreign = sl_fleet_hint(path, key), *near = sl_nearest(key, known);
    if (foreign)
        hint = g_strdup(foreign);
    else if (near)
        hint = g_strdup_printf("did you mean `%s`?", near);
    else {
        g_autofree char *all = sl_words_text(known);
        hint = g_strdup_printf("known here: %s", all);
    }
    g_autofree char *at = child(path, key);
    sl_doc_error(check, at, SLU_FLEET_UNKNOWN_KEY, hint, "unknown key `%.64s`", key);
}

static void check_object(SlDocCheck *check, const SlShape *shape, const json_t *value, const char *path)
{
    const char *key = NULL;
    json_t *member = NULL;
    json_object_foreach((json_t *)value, key, member) {
        const SlField *field = shape->fields;
        while (field->key && strcmp(field->key, key) != 0)
            field++;
        if (!field->key) {
            unknown_key(check, shape, path, key);
            continue;
        }
        g_autofree char *at = child(path, key);
        sl_shape_check(check, field->shape, member, at);
    }
    for (const SlField *field = shape->fields; field->key; field++) {
        if (field->required && !json_object_get(value, field->key))
            sl_doc_error(check, path, SLU_FLEET_MISSING_KEY, field->help, "`%s` is missing", field->key);
    }
}

static void check_list(SlDocCheck *check, const SlShape *shape, const json_t *value, const char *path)
{
    size_t count = json_array_size(value);
    if (count < (size_t)shape->min)
        sl_doc_error(check, path, SLU_FLEET_VALUE, NULL, "must not be empty");
    if (count > (size_t)shape->max) {
        sl_doc_error(check, path, SLU_FLEET_LIMIT, NULL, "has %zu entries; at most %d are allowed", count, (int)shape->max);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        g_autofree char *at = g_strdup_printf("%s.%zu", path, i);
        sl_shape_check(check, shape->item, json_array_get(value, i), at);
    }
}

static void check_map(SlDocCheck *check, const SlShape *shape, const json_t *value, const char *path)
{
    const char *key = NULL;
    json_t *member = NULL;
    json_object_foreach((json_t *)value, key, member) {
        g_autofree char *at = child(path, key);
        if (!sl_is_name(key))
            sl_doc_error(check, at, SLU_FLEET_VALUE, "lower-case letters, digits and -, at most 63", "`%.64s` is not a name", key);
        sl_shape_check(check, shape->item, member, at);
    }
}

static void check_labels(SlDocCheck *check, const json_t *value, const char *path)
{
    const char *key = NULL;
    json_t *member = NULL;
    json_object_foreach((json_t *)value, key, member) {
        g_autofree char *at = child(path, key);
        need_type(check, member, JSON_STRING, at, "text");
    }
}

static void check_text(SlDocCheck *check, const SlShape *shape, const json_t *value, const char *path)
{
    if (!need_type(check, value, JSON_STRING, path, "text"))
        return;
    const char *text = json_string_value(value);
    g_autoptr(GError) error = NULL;
    int64_t us = 0;
    if (!*text) {
        sl_doc_error(check, path, SLU_FLEET_VALUE, NULL, "must not be empty");
    } else if (shape->type == SL_SHAPE_NAME && !sl_is_name(text)) {
        sl_doc_error(check, path, SLU_FLEET_VALUE, "lower-case letters, digits and -, at most 63",
                     "`%.80s` is not a name", text);
    } else if (shape->type == SL_SHAPE_DURATION && !sl_parse_duration(text, &us, &error)) {
        sl_doc_error(check, path, SLU_FLEET_VALUE, "write it like 90s, 15m, 24h or 7d", "`%.40s` is not a duration", text);
    } else if (shape->type == SL_SHAPE_PATH && !g_str_equal(text, ".") && !sl_check_relative_path(text, &error)) {
        sl_doc_error(check, path, SLU_FLEET_VALUE, "relative, with / only, without .. and without / at its ends",
                     "`%.200s` is not a path of the tree", text);
    } else if (shape->type == SL_SHAPE_DIGEST && !(g_str_has_prefix(text, "sha256:") && sl_is_hex_digest(text + 7))) {
        sl_doc_error(check, path, SLU_FLEET_VALUE, "sha256: and 64 lower-case hex digits", "`%.100s` is not a digest", text);
    }
}

static void check_word(SlDocCheck *check, const SlShape *shape, const json_t *value, const char *path)
{
    if (!need_type(check, value, JSON_STRING, path, "text"))
        return;
    const char *text = json_string_value(value);
    if (g_strv_contains(shape->words, text))
        return;
    const char *near = sl_nearest(text, shape->words);
    g_autofree char *hint = near ? g_strdup_printf("did you mean `%s`?", near) : NULL;
    g_autofree char *all = sl_words_text(shape->words);
    sl_doc_error(check, path, SLU_FLEET_VALUE, hint, "`%.40s` must be %s", text, all);
}

static void check_int(SlDocCheck *check, const SlShape *shape, const json_t *value, const char *path)
{
    if (!need_type(check, value, JSON_INTEGER, path, "a whole number"))
        return;
    int64_t number = json_integer_value(value);
    if (number < shape->min || number > shape->max)
        sl_doc_error(check, path, SLU_FLEET_VALUE, NULL, "must be from %lld to %lld", (long long)shape->min, (long long)shape->max);
}

void sl_shape_check(SlDocCheck *check, const SlShape *shape, const json_t *value, const char *path)
{
    bool was_broken = check->broken;
    check->broken = false;
    switch (shape->type) {
    case SL_SHAPE_OBJECT:
        if (need_type(check, value, JSON_OBJECT, path, "a map"))
            check_object(check, shape, value, path);
        break;
    case SL_SHAPE_LIST:
        if (need_type(check, value, JSON_ARRAY, path, "a list"))
            check_list(check, shape, value, path);
        break;
    case SL_SHAPE_MAP:
        if (need_type(check, value, JSON_OBJECT, path, "a map"))
            check_map(check, shape, value, path);
        break;
    case SL_SHAPE_LABELS:
        if (need_type(check, value, JSON_OBJECT, path, "a map of labels"))
            check_labels(check, value, path);
        break;
    case SL_SHAPE_INT: check_int(check, shape, value, path); break;
    case SL_SHAPE_WORD: check_word(check, shape, value, path); break;
    case SL_SHAPE_NOT_YET:
        sl_doc_error(check, path, SLU_FLEET_NOT_YET, "leave it out", "is not supported by this version");
        break;
    case SL_SHAPE_CUSTOM: break;
    default: check_text(check, shape, value, path); break;
    }
    if (shape->check && !check->broken)
        shape->check(check, value, path);
    check->broken |= was_broken;
}

/* ---- JSON Schema ---- */

static json_t *object_schema(const SlShape *shape)
{
    json_t *schema = json_pack("{s:s, s:b}", "type", "object", "additionalProperties", 0);
    json_t *properties = json_object(), *required = json_array();
    for (const SlField *field = shape->fields; field->key; field++) {
        if (field->shape->type == SL_SHAPE_NOT_YET)
            continue;
        json_t *member = sl_shape_schema(field->shape);
        if (field->help)
            sl_json_set_str(member, "description", field->help);
        json_object_set_new(properties, field->key, member);
        if (field->required)
            json_array_append_new(required, json_string(field->key));
    }
    json_object_set_new(schema, "properties", properties);
    if (json_array_size(required) > 0)
        json_object_set(schema, "required", required);
    json_decref(required);
    return schema;
}

static json_t *pattern_schema(const char *pattern)
{
    return json_pack("{s:s, s:s}", "type", "string", "pattern", pattern);
}

json_t *sl_shape_schema(const SlShape *shape)
{
    switch (shape->type) {
    case SL_SHAPE_NAME: return json_pack("{s:s, s:s, s:i}", "type", "string", "pattern", "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength", SL_NAME_MAX);
    case SL_SHAPE_DURATION: return pattern_schema("^[1-9][0-9]*[smhd]$");
    case SL_SHAPE_DIGEST: return pattern_schema("^sha256:[0-9a-f]{64}$");
    case SL_SHAPE_INT:
        return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)shape->min, "maximum", (json_int_t)shape->max);
    case SL_SHAPE_WORD: return json_pack("{s:o}", "enum", sl_json_strv(shape->words));
    case SL_SHAPE_LABELS: return json_pack("{s:s, s:{s:s}}", "type", "object", "additionalProperties", "type", "string");
    case SL_SHAPE_OBJECT: return object_schema(shape);
    case SL_SHAPE_LIST:
        return json_pack("{s:s, s:o, s:I}", "type", "array", "items", sl_shape_schema(shape->item), "minItems", (json_int_t)shape->min);
    case SL_SHAPE_MAP: return json_pack("{s:s, s:o}", "type", "object", "additionalProperties", sl_shape_schema(shape->item));
    case SL_SHAPE_CUSTOM: return shape->schema ? shape->schema() : json_object();
    default: return json_pack("{s:s, s:i}", "type", "string", "minLength", 1);
    }
}
