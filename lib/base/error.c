/* error.c - the error table made from errors.def, and how errors are thrown, prefixed and shown.
 *
 * Owns the one GError domain. Must never allocate state of its own: everything here is a constant
 * table. */
#include "sluice/error.h"

#include "base/text.h"

#include <stdarg.h>

#define MESSAGE_FOR_PEOPLE_MAX 8192 /* a root's list of mistakes fits; a screen can take it */

static const SlErrorInfo table[] = {
#define SL_ERR(name, number, class, slug, advice) {number, SL_CLASS_##class, slug, advice},
#include "sluice/errors.def"
#undef SL_ERR
};

static const struct {
    const char *name;
    int http_status;
    int exit_code;
} classes[SL_N_CLASSES] = {
    [SL_CLASS_INVALID] = {"invalid", 400, 3},          [SL_CLASS_NOT_FOUND] = {"not-found", 404, 4},
    [SL_CLASS_CONFLICT] = {"conflict", 409, 5},        [SL_CLASS_DENIED] = {"denied", 403, 6},
    [SL_CLASS_UNAVAILABLE] = {"unavailable", 503, 7},  [SL_CLASS_TIMEOUT] = {"timeout", 504, 8},
    [SL_CLASS_EXHAUSTED] = {"exhausted", 429, 9},      [SL_CLASS_CORRUPT] = {"corrupt", 500, 10},
    [SL_CLASS_UNSUPPORTED] = {"unsupported", 501, 11}, [SL_CLASS_INTERNAL] = {"internal", 500, 12},
};

GQuark sl_error_quark(void)
{
    return g_quark_from_static_string("sl-error-quark");
}

const SlErrorInfo *sl_error_info(int code)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].code == code) {
            return &table[i];
        }
    }
    return &table[0]; /* INTERNAL is the first row: its number is the lowest */
}

const SlErrorInfo *sl_error_table(size_t *ret_count)
{
    *ret_count = G_N_ELEMENTS(table);
    return table;
}

SlErrorClass sl_error_class(const GError *error)
{
    if (error == NULL || error->domain != SL_ERROR) {
        return SL_CLASS_INTERNAL;
    }
    return sl_error_info(error->code)->error_class;
}

bool sl_error_is_retryable(const GError *error)
{
    SlErrorClass c = sl_error_class(error);
    return c == SL_CLASS_UNAVAILABLE || c == SL_CLASS_TIMEOUT;
}

int sl_error_http_status(SlErrorClass c)
{
    return (unsigned)c < SL_N_CLASSES ? classes[c].http_status : 500;
}

int sl_error_exit_code(SlErrorClass c)
{
    return (unsigned)c < SL_N_CLASSES ? classes[c].exit_code : 12;
}

const char *sl_error_class_name(SlErrorClass c)
{
    return (unsigned)c < SL_N_CLASSES ? classes[c].name : "internal";
}

static void throw_va(GError **error, SlErrorCode code, const char *format, va_list args)
    G_GNUC_PRINTF(3, 0);
static void throw_va(GError **error, SlErrorCode code, const char *format, va_list args)
{
    if (error != NULL) {
        *error = g_error_new_valist(SL_ERROR, (int)code, format, args);
    }
}

bool sl_throw(GError **error, SlErrorCode code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    throw_va(error, code, format, args);
    va_end(args);
    return false;
}

void *sl_throw_null(GError **error, SlErrorCode code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    throw_va(error, code, format, args);
    va_end(args);
    return NULL;
}

bool sl_prefix(GError **error, const char *format, ...)
{
    if (error == NULL || *error == NULL) {
        return false;
    }
    va_list args;
    va_start(args, format);
    g_autofree char *prefix = g_strdup_vprintf(format, args);
    va_end(args);
    char *message = g_strdup_printf("%s: %s", prefix, (*error)->message);
    g_free((*error)->message);
    (*error)->message = message;
    return false;
}

char *sl_error_format(const GError *error)
{
    if (error == NULL) {
        return g_strdup("no error");
    }
    bool ours = error->domain == SL_ERROR;
    const SlErrorInfo *info = ours ? sl_error_info(error->code) : &table[0];
    /* Lines of a message stay lines (indented, so that none can pass for one of ours); all other
     * control characters are escaped. */
    g_auto(GStrv) lines = g_strsplit(error->message != NULL ? error->message : "", "\n", -1);
    GString *out = g_string_new(NULL);
    g_string_printf(out, "SLU%d: ", info->code);
    for (size_t i = 0; lines[i] != NULL; i++) {
        g_autofree char *clean = sl_escape_for_people(lines[i], MESSAGE_FOR_PEOPLE_MAX);
        g_string_append_printf(out, "%s%s", i > 0 ? "\n    " : "", clean);
    }
    g_string_append_printf(out, "\n  %s", info->advice);
    return g_string_free(out, FALSE);
}
