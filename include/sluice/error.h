/* error.h - the one error domain. Each error has a stable number (SLU1203) listed in errors.def.
 *
 * A fallible function returns bool or a pointer, takes GError **error last and is marked
 * SL_MUST_USE. Callers decide on the *class* (retry? HTTP status? exit code?), people read the
 * message: "<where>: <what is wrong>; <what to do>". "No" is not an error: three-way answers are
 * enums. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_MUST_USE __attribute__((warn_unused_result))

typedef enum {
    SL_CLASS_INVALID,     /* the input is wrong; repeating will not help */
    SL_CLASS_NOT_FOUND,   /* what was named does not exist */
    SL_CLASS_CONFLICT,    /* it exists already, or changed meanwhile */
    SL_CLASS_DENIED,      /* a signature, role, token or policy says no */
    SL_CLASS_UNAVAILABLE, /* another part is away; try again later */
    SL_CLASS_TIMEOUT,     /* it took longer than its limit; try again */
    SL_CLASS_EXHAUSTED,   /* a named limit was reached */
    SL_CLASS_CORRUPT,     /* bytes on disk or wire are not what their digest or frame says */
    SL_CLASS_UNSUPPORTED, /* a newer format, or a feature that is not there */
    SL_CLASS_INTERNAL,    /* our own mistake, or the operating system refused us */
    SL_N_CLASSES
} SlErrorClass;

/* SLU_<NAME> = number. GError.code is this number; the domain is SL_ERROR. */
typedef enum {
#define SL_ERR(name, number, class, slug, advice) SLU_##name = number,
#include "sluice/errors.def"
#undef SL_ERR
} SlErrorCode;

typedef struct {
    int code;
    SlErrorClass error_class;
    const char *slug;   /* "yaml-duplicate-key": the page in docs/errors.md */
    const char *advice; /* one sentence: what to do */
} SlErrorInfo;

#define SL_ERROR (sl_error_quark())
GQuark sl_error_quark(void);

/* Table row of @code, or the row of INTERNAL for a code that is not ours. Never NULL, static. */
const SlErrorInfo *sl_error_info(int code);
/* All rows, in number order; @ret_count is set. Static. */
const SlErrorInfo *sl_error_table(size_t *ret_count);

SlErrorClass sl_error_class(const GError *error);
bool sl_error_is_retryable(const GError *error); /* UNAVAILABLE or TIMEOUT */
int sl_error_http_status(SlErrorClass c);        /* 400, 404, 409, 403, 503, 504, 429, 500, 501 */
int sl_error_exit_code(SlErrorClass c);          /* documented in sluice(1) */
const char *sl_error_class_name(SlErrorClass c); /* "invalid" */

/* Sets @error (if not NULL) and returns false, so that a failure is one line:
 * return sl_throw(error, SLU_TOKEN_USED, "join token %s was used already", id); */
bool sl_throw(GError **error, SlErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The same for functions that return a pointer: always NULL. */
void *sl_throw_null(GError **error, SlErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Puts "prefix: " before the message of a set error; for room borders only. Returns false. */
bool sl_prefix(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* "SLU1203: message\n  advice" for people, control characters escaped. (transfer full) */
char *sl_error_format(const GError *error);
