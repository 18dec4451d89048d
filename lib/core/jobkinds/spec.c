/* spec.c - checks a spec against its table: every mistake at once, each with its place and what to
 * write instead. Never changes what it checks, and never stops at the first mistake. */
#include "core/jobkinds/spec.h"
#include "base/digest.h"
#include "base/text.h"
#include "sluice/types.h"
#include <string.h>

#define TEXT_BYTES_MAX 4096
#define PLACE_MAX 160

typedef struct {
    const char *const *hints;
    GPtrArray *problems;
} Check;

void sl_spec_problem(GPtrArray *problems, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_ptr_array_add(problems, g_strdup_vprintf(format, args));
    va_end(args);
}

static void check_fields(const Check *c, const json_t *object, const SlSpecField *fields,
                         const char *where);

/* "write numNodes ..." helps only where numNodes is a field. */
static bool is_fitting(const char *hint, const char *const *known)
{
    if (!g_str_has_prefix(hint, "write ")) {
        return true;
    }
    const char *word = hint + strlen("write ");
    g_autofree char *field = g_strndup(word, strcspn(word, " ,:{"));
    return g_strv_contains(known, field);
}

static const char *hint_for(const Check *c, const char *key, const char *const *known)
{
    for (size_t i = 0; c->hints != NULL && c->hints[i] != NULL; i += 2) {
        if (strcmp(c->hints[i], key) == 0 && is_fitting(c->hints[i + 1], known)) {
            return c->hints[i + 1];
        }
    }
    return sl_nearest(key, known);
}

static void unknown_key(const Check *c, const char *where, const char *key,
                        const char *const *known)
{
    g_autofree char *shown = sl_escape_for_people(key, 64);
    const char *hint = hint_for(c, key, known);
    if (hint != NULL) {
        bool is_key = g_strv_contains(known, hint);
        sl_spec_problem(c->problems, "%s.%s: unknown key; %s%s%s", where, shown,
                        is_key ? "did you mean `" : "", hint, is_key ? "`?" : "");
        return;
    }
    g_autofree char *all = g_strjoinv(", ", (char **)(uintptr_t)known);
    sl_spec_problem(c->problems, "%s.%s: unknown key; there are %s", where, shown, all);
}

/* What was written instead, for people. */
static char *shown(const json_t *value)
{
    g_autofree char *text = value != NULL ? sl_json_canonical(value, NULL) : NULL;
    return sl_escape_for_people(text != NULL ? text : "", 80);
}

static bool is_text(const json_t *value, bool empty_too)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    return text != NULL && (empty_too || len > 0) && len <= TEXT_BYTES_MAX &&
           sl_is_clean_utf8(text, len, false);
}

static bool is_memory(const json_t *value)
{
    static const char *const suffixes[] = {"Ki", "Mi", "Gi", "Ti", "k", "M", "G", "T", ""};
    const char *text = json_string_value(value);
    if (json_is_integer(value)) {
        return json_integer_value(value) > 0;
    }
    for (size_t i = 0; text != NULL && i < G_N_ELEMENTS(suffixes); i++) {
        if (g_str_has_suffix(text, suffixes[i])) {
            g_autofree char *digits = g_strndup(text, strlen(text) - strlen(suffixes[i]));
            uint64_t number = 0;
            if (sl_parse_uint64(digits, &number)) {
                return number > 0 && number < UINT64_C(1) << 50;
            }
        }
    }
    return false;
}

static bool is_cpu(const json_t *value)
{
    const char *text = json_string_value(value);
    if (json_is_number(value)) {
        return json_number_value(value) > 0 && json_number_value(value) <= 4096;
    }
    size_t len = text != NULL ? strlen(text) : 0;
    bool milli = len > 1 && len < 10 && text[len - 1] == 'm';
    g_autofree char *digits = len > 0 && len < 10 ? g_strndup(text, milli ? len - 1 : len) : NULL;
    int64_t number = 0;
    return digits != NULL && sl_parse_int64(digits, &number) && number > 0 && number <= 4096 * 1000;
}

const char *sl_spec_item(const char *reference)
{
    const char *item = reference;
    if (item != NULL && g_str_has_prefix(item, "model://")) {
        item += strlen("model://");
    }
    return item != NULL && sl_is_name(item) ? item : NULL;
}

static bool is_model(const json_t *value)
{
    const char *text = json_string_value(value);
    return text != NULL &&
           (sl_spec_item(text) != NULL || (g_str_has_prefix(text, "model://sha256:") &&
                                           sl_is_hex_digest(text + strlen("model://sha256:"))));
}

/* NULL if @value is what a plain type wants, else what it should be. */
static const char *scalar_fault(const SlSpecField *field, const json_t *value)
{
    const char *text = json_string_value(value);
    int64_t us = 0;
    switch (field->type) {
    case SL_SPEC_TEXT:
        return is_text(value, false) ? NULL : "must be text (put it in quotes)";
    case SL_SPEC_ANY_TEXT:
        return is_text(value, true) ? NULL : "must be text (put numbers and true/false in quotes)";
    case SL_SPEC_NAME:
        return text != NULL && sl_is_name(text) ? NULL
                                                : "must be a name: a-z, 0-9 and -, at most 63";
    case SL_SPEC_PATH:
        return text != NULL && sl_check_relative_path(text, NULL)
                   ? NULL
                   : "must be a relative path without `..`";
    case SL_SPEC_URL_PATH:
        return is_text(value, false) && text[0] == '/' && strpbrk(text, " \t\n") == NULL
                   ? NULL
                   : "must be a path that starts with /";
    case SL_SPEC_BOOL:
        return json_is_boolean(value) ? NULL : "must be true or false";
    case SL_SPEC_DURATION:
        return text != NULL && sl_parse_duration(text, &us, NULL)
                   ? NULL
                   : "must be a duration: 90s, 15m, 24h or 7d";
    case SL_SPEC_MEMORY:
        return is_memory(value) ? NULL : "must be a size: 512Mi, 16Gi";
    case SL_SPEC_CPU:
        return is_cpu(value) ? NULL : "must be a number of cores: 2, 0.5 or 500m";
    case SL_SPEC_MODEL:
        return is_model(value) ? NULL : "must be model://<item> or model://sha256:<digest>";
    case SL_SPEC_DIGEST:
        return sl_is_hex_digest(text) ? NULL : "must be 64 hex digits";
    case SL_SPEC_FREE:
        return json_is_object(value) ? NULL : "must be a mapping";
    default:
        return NULL;
    }
}

static void check_int(const Check *c, const SlSpecField *field, const json_t *value,
                      const char *where)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < field->least || number > field->most) {
        g_autofree char *is = shown(value);
        sl_spec_problem(c->problems,
                        "%s: must be %" G_GINT64_FORMAT "..%" G_GINT64_FORMAT ", is %s", where,
                        field->least, field->most, is);
    }
}

static void check_word(const Check *c, const SlSpecField *field, const json_t *value,
                       const char *where)
{
    const char *text = json_string_value(value);
    if (text != NULL && g_strv_contains(field->words, text)) {
        return;
    }
    g_autofree char *all = g_strjoinv(", ", (char **)(uintptr_t)field->words);
    const char *near = text != NULL ? sl_nearest(text, field->words) : NULL;
    g_autofree char *is = shown(value);
    sl_spec_problem(c->problems, "%s: must be one of %s, is %s%s%s%s", where, all, is,
                    near != NULL ? "; did you mean `" : "", near != NULL ? near : "",
                    near != NULL ? "`?" : "");
}

static bool check_length(const Check *c, const SlSpecField *field, const json_t *value,
                         const char *where)
{
    size_t count = json_array_size(value);
    if (!json_is_array(value) || count < (size_t)field->least || count > (size_t)field->most) {
        sl_spec_problem(
            c->problems, "%s: must be a list of %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT " %s",
            where, field->least, field->most, field->type == SL_SPEC_TEXTS ? "texts" : "mappings");
        return false;
    }
    return true;
}

static void check_texts(const Check *c, const SlSpecField *field, const json_t *value,
                        const char *where)
{
    size_t i = 0;
    json_t *item = NULL;
    if (!check_length(c, field, value, where)) {
        return;
    }
    json_array_foreach(value, i, item)
    {
        if (!is_text(item, true)) {
            g_autofree char *is = shown(item);
            sl_spec_problem(c->problems,
                            "%s.%zu: must be text, is %s; put numbers and true/false in quotes",
                            where, i, is);
        }
    }
}

static void check_objects(const Check *c, const SlSpecField *field, const json_t *value,
                          const char *where)
{
    size_t i = 0;
    json_t *item = NULL;
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    if (!check_length(c, field, value, where)) {
        return;
    }
    json_array_foreach(value, i, item)
    {
        g_autofree char *place = g_strdup_printf("%s.%zu", where, i);
        if (!json_is_object(item)) {
            sl_spec_problem(c->problems, "%s: must be a mapping", place);
            continue;
        }
        check_fields(c, item, field->fields, place);
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name != NULL && !g_hash_table_add(names, (void *)(uintptr_t)name)) {
            g_autofree char *safe = sl_escape_for_people(name, 64);
            sl_spec_problem(c->problems, "%s.name: `%s` is there twice", place, safe);
        }
    }
}

static const char *const file_modes[] = {"644", "755", NULL};
static const SlSpecField file_from_fields[] = {
    {.key = "from", .type = SL_SPEC_PATH, .required = true},
    {.key = NULL},
};
static const SlSpecField file_fields[] = {
    {.key = "path", .type = SL_SPEC_PATH, .required = true},
    {.key = "mode", .type = SL_SPEC_WORD, .words = file_modes, .required = true},
    {.key = "sha256", .type = SL_SPEC_DIGEST, .required = true},
    {.key = NULL},
};

static void check_files(const Check *c, const json_t *value, const char *where)
{
    static const SlSpecField rendered = {
        .type = SL_SPEC_OBJECTS, .least = 0, .most = SL_FILES_COUNT_MAX, .fields = file_fields};
    if (json_is_object(value)) {
        check_fields(c, value, file_from_fields, where);
    } else if (json_is_array(value)) {
        check_objects(c, &rendered, value, where);
    } else {
        sl_spec_problem(c->problems, "%s: must be {from: <folder>}", where);
    }
}

static void check_value(const Check *c, const SlSpecField *field, const json_t *value,
                        const char *where)
{
    switch (field->type) {
    case SL_SPEC_INT:
        check_int(c, field, value, where);
        break;
    case SL_SPEC_WORD:
        check_word(c, field, value, where);
        break;
    case SL_SPEC_TEXTS:
        check_texts(c, field, value, where);
        break;
    case SL_SPEC_OBJECTS:
        check_objects(c, field, value, where);
        break;
    case SL_SPEC_FILES:
        check_files(c, value, where);
        break;
    case SL_SPEC_OBJECT:
        if (json_is_object(value)) {
            check_fields(c, value, field->fields, where);
        } else {
            sl_spec_problem(c->problems, "%s: must be a mapping", where);
        }
        break;
    default: {
        const char *fault = scalar_fault(field, value);
        if (fault != NULL) {
            g_autofree char *is = shown(value);
            sl_spec_problem(c->problems, "%s: %s, is %s", where, fault, is);
        }
        break;
    }
    }
    if (field->check != NULL) {
        field->check(value, where, c->problems);
    }
}

static char **keys_of(const SlSpecField *fields)
{
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new();
    for (size_t i = 0; fields[i].key != NULL; i++) {
        g_strv_builder_add(keys, fields[i].key);
    }
    return g_strv_builder_end(keys);
}

static void check_fields(const Check *c, const json_t *object, const SlSpecField *fields,
                         const char *where)
{
    g_auto(GStrv) known = keys_of(fields);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!g_strv_contains((const char *const *)known, key)) {
            unknown_key(c, where, key, (const char *const *)known);
        }
    }
    for (size_t i = 0; fields[i].key != NULL; i++) {
        value = json_object_get(object, fields[i].key);
        g_autofree char *place = g_strdup_printf("%s.%s", where, fields[i].key);
        if (value != NULL) {
            check_value(c, &fields[i], value, place);
        } else if (fields[i].required) {
            sl_spec_problem(c->problems, "%s: is missing", place);
        }
    }
}

static void check_metadata(const json_t *object, GPtrArray *problems)
{
    const json_t *metadata = json_object_get(object, "metadata");
    const char *name = json_string_value(json_object_get(metadata, "name"));
    if (name == NULL || !sl_is_name(name)) {
        sl_spec_problem(problems, "metadata.name: must be a name: a-z, 0-9 and -, at most 63");
    }
    static const char *const known[] = {"name", "namespace", "labels", "annotations", NULL};
    const Check c = {.problems = problems};
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        if (!g_strv_contains(known, key)) {
            unknown_key(&c, "metadata", key, known);
        }
    }
    for (size_t i = 2; i < 4; i++) {
        const json_t *map = json_object_get(metadata, known[i]);
        if (map != NULL && !json_is_object(map)) {
            sl_spec_problem(problems, "metadata.%s: must be a mapping", known[i]);
        }
        json_object_foreach((json_t *)(uintptr_t)map, key, value)
        {
            if (!json_is_string(value)) {
                g_autofree char *safe = sl_escape_for_people(key, PLACE_MAX);
                sl_spec_problem(problems, "metadata.%s.%s: must be text (put it in quotes)",
                                known[i], safe);
            }
        }
    }
}

void sl_spec_validate(const json_t *object, const char *kind, const SlSpecField *fields,
                      const char *const *hints, GPtrArray *problems)
{
    static const char *const top[] = {"apiVersion", "kind", "metadata", "spec", NULL};
    const Check c = {.hints = hints, .problems = problems};
    const char *key = NULL;
    json_t *value = NULL;
    const char *version = json_string_value(json_object_get(object, "apiVersion"));
    if (version == NULL || strcmp(version, SL_API_VERSION) != 0) {
        sl_spec_problem(problems, "apiVersion: a %s is %s", kind, SL_API_VERSION);
    }
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!g_strv_contains(top, key)) {
            g_autofree char *safe = sl_escape_for_people(key, 64);
            const char *near = sl_nearest(key, top);
            sl_spec_problem(problems, "%s: unknown key%s%s", safe,
                            near != NULL ? "; did you mean " : "; its fields stand under spec",
                            near ? near : "");
        }
    }
    check_metadata(object, problems);
    const json_t *spec = json_object_get(object, "spec");
    if (!json_is_object(spec)) {
        sl_spec_problem(problems, "spec: is missing, or no mapping");
        return;
    }
    check_fields(&c, spec, fields, "spec");
}

static void fill(json_t *object, const SlSpecField *fields)
{
    for (size_t i = 0; fields[i].key != NULL; i++) {
        json_t *value = json_object_get(object, fields[i].key);
        if (value == NULL && fields[i].otherwise != NULL) {
            value = json_loads(fields[i].otherwise, JSON_DECODE_ANY, NULL);
            json_object_set_new(object, fields[i].key, value);
        }
        if (fields[i].type == SL_SPEC_OBJECT && json_is_object(value)) {
            fill(value, fields[i].fields);
        } else if (fields[i].type == SL_SPEC_OBJECTS && json_is_array(value)) {
            size_t n = 0;
            json_t *item = NULL;
            json_array_foreach(value, n, item)
            {
                if (json_is_object(item)) {
                    fill(item, fields[i].fields);
                }
            }
        }
    }
}

void sl_spec_defaults(json_t *object, const SlSpecField *fields)
{
    json_t *spec = json_object_get(object, "spec");
    if (json_is_object(spec)) {
        fill(spec, fields);
    }
}

void sl_spec_add_item(GPtrArray *items, const json_t *reference)
{
    const char *item = sl_spec_item(json_string_value(reference));
    if (item != NULL && !g_ptr_array_find_with_equal_func(items, item, g_str_equal, NULL)) {
        g_ptr_array_add(items, g_strdup(item));
    }
}
