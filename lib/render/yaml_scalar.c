/* yaml_scalar.c - one resolver of plain scalars, measured against kubectl 1.32 (tests: `kubectl label --local`).
 *
 * kubectl reads YAML 1.1 by go-yaml 2 with additions, turns it into JSON and reads numbers from that again; so
 * 1.0 is the integer 1, and an integer beyond int64 loses digits. Scalars that other readers (YAML 1.1's own
 * rules, YAML 1.2's core schema) understand differently are marked: they have to be written so that all agree. */
#include "render/yaml_scalar.h"
#include <glib.h>
#include <math.h>
#include <string.h>

#define NUMBER_MAX 512 /* longer text is no number that anyone means */

static const char TRAP_BOOL[] = "is a boolean for kubectl and text for others";
static const char ADVICE_BOOL[] = "write true or false, or put it in quotes";
static const char TRAP_NUMBER[] = "is read as different numbers, or as text, by different tools";
static const char ADVICE_NUMBER[] = "write a plain decimal number, or put it in quotes";
static const char TRAP_TEXT[] = "is text for kubectl, but a date or a number for others";
static const char ADVICE_TEXT[] = "put it in quotes";
static const char TRAP_BIG[] = "does not fit into 64 bits and loses digits";
static const char TRAP_ZERO[] = "is a number, so its last zero is lost";
static const char ADVICE_ZERO[] = "put it in quotes if it is a version";

static bool in_list(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static bool resolve_word(const char *text, SlScalar *ret)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const yeses[] = {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", NULL};
    static const char *const noes[] = {"n", "N", "no", "No", "NO", "off", "Off", "OFF", NULL};
    static const char *const others[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf", "+.INF", "-.inf",
                                         "-.Inf", "-.INF", ".nan",  ".NaN",  ".NAN",  NULL};
    bool yes = in_list(text, yeses), no = in_list(text, noes);
    if (in_list(text, nulls)) {
        ret->type = SL_SCALAR_NULL;
    } else if (in_list(text, trues) || in_list(text, falses) || yes || no) {
        ret->type = SL_SCALAR_BOOL;
        ret->boolean = yes || in_list(text, trues);
        ret->trap = yes || no ? TRAP_BOOL : NULL;
        ret->advice = yes || no ? ADVICE_BOOL : NULL;
    } else if (in_list(text, others)) {
        ret->type = SL_SCALAR_NONFINITE;
    } else {
        return false;
    }
    return true;
}

/* Digits of @base, whole text, at least one; false if it is none or does not fit into 64 bits unsigned. */
static bool parse_digits(const char *text, unsigned base, uint64_t *ret)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        int digit = g_ascii_xdigit_value(*text);
        if (digit < 0 || (unsigned)digit >= base)
            return false;
        if (value > (UINT64_MAX - (unsigned)digit) / base)
            return false;
        value = value * base + (unsigned)digit;
    }
    *ret = value;
    return true;
}

static void set_real(double value, SlScalar *ret)
{
    /* Via JSON text, as kubectl: what looks like an integer there is one. */
    if (value == floor(value) && fabs(value) < 9223372036854775808.0) {
        ret->type = SL_SCALAR_INT;
        ret->integer = (int64_t)value;
        return;
    }
    ret->type = SL_SCALAR_REAL;
    ret->real = value;
}

static void set_unsigned(uint64_t value, bool negative, SlScalar *ret)
{
    if (value <= INT64_MAX || (negative && value == (uint64_t)INT64_MAX + 1)) {
        ret->type = SL_SCALAR_INT;
        ret->integer = negative ? (int64_t)(0 - value) : (int64_t)value;
        return;
    }
    ret->trap = TRAP_BIG;
    ret->advice = ADVICE_TEXT;
    set_real(negative ? -(double)value : (double)value, ret);
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? over @text without underscores */
static bool looks_real(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    size_t whole = strspn(p, "0123456789");
    p += whole;
    size_t fraction = 0;
    if (*p == '.') {
        fraction = strspn(++p, "0123456789");
        p += fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        size_t digits = strspn(p, "0123456789");
        if (digits == 0)
            return false;
        p += digits;
    }
    return *p == '\0';
}

static bool resolve_int(const char *plain, SlScalar *ret)
{
    bool sign = *plain == '-' || *plain == '+', negative = *plain == '-';
    const char *body = plain + sign;
    unsigned base = 10;
    const char *digits = body;
    bool trap = false;
    if (body[0] == '0' && body[1] != '\0') {
        trap = true;
        switch (body[1]) {
        case 'x': trap = sign; base = 16; digits = body + 2; break;
        case 'X': base = 16; digits = body + 2; break;
        case 'b': case 'B': base = 2; digits = body + 2; break;
        case 'o': case 'O': base = 8; digits = body + 2; break;
        default: base = 8; digits = body + 1; break;
        }
    }
    uint64_t value = 0;
    if (!parse_digits(digits, base, &value))
        return false;
    set_unsigned(value, negative, ret);
    if (trap && !ret->trap) {
        ret->trap = TRAP_NUMBER;
        ret->advice = ADVICE_NUMBER;
    }
    return true;
}

static void mark_real(const char *text, SlScalar *ret)
{
    const char *body = text + (*text == '-' || *text == '+');
    const char *exponent = strpbrk(body, "eE"), *dot = strchr(body, '.');
    bool zero_first = body[0] == '0' && g_ascii_isdigit(body[1]);
    bool yaml11 = !exponent || (dot && dot < exponent && (exponent[1] == '-' || exponent[1] == '+'));
    if (zero_first || !yaml11) {
        ret->trap = TRAP_NUMBER;
        ret->advice = exponent && !zero_first ? "write it like 1.0e-3 (a dot, and a sign after the e), or in quotes"
                                              : ADVICE_NUMBER;
    } else if (!exponent && !dot) {
        ret->trap = TRAP_BIG;
        ret->advice = ADVICE_TEXT;
    } else if (dot && !exponent && strlen(dot) > 2 && body[strlen(body) - 1] == '0') {
        ret->trap = TRAP_ZERO;
        ret->advice = ADVICE_ZERO;
        ret->mild = true;
    }
}

/* Behind a leading dot Go's parser takes an underscore between two digits only. */
static bool separates_digits(const char *text)
{
    for (const char *p = strchr(text, '_'); p; p = strchr(p + 1, '_'))
        if (p == text || !g_ascii_isdigit(p[-1]) || !g_ascii_isdigit(p[1]))
            return false;
    return true;
}

static bool resolve_number(const char *text, SlScalar *ret)
{
    const char *body = text + (*text == '-' || *text == '+');
    if (!g_ascii_isdigit(*body) && *body != '.')
        return false;
    g_autofree char *plain = g_malloc(strlen(text) + 1);
    size_t out = 0;
    for (const char *p = text; *p; p++)
        if (*p != '_')
            plain[out++] = *p;
    plain[out] = '\0';
    bool under = out != strlen(text);
    if (*text == '.' && !separates_digits(text))
        return false;
    bool taken = resolve_int(plain, ret);
    if (!taken && looks_real(plain)) {
        double value = g_ascii_strtod(plain, NULL);
        if (isinf(value)) { /* beyond a double: Go's parser refuses it, so it stays text */
            ret->trap = TRAP_TEXT;
            ret->advice = ADVICE_TEXT;
            return true;
        }
        set_real(value, ret);
        mark_real(plain, ret);
        taken = true;
    }
    if (taken && under) {
        ret->trap = TRAP_NUMBER;
        ret->advice = ADVICE_NUMBER;
        ret->mild = false;
    }
    return taken;
}

/* 190:20:30 is base 60 in YAML 1.1; 22:22 too. */
static bool is_sexagesimal(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    if (!g_ascii_isdigit(*p) || *p == '0')
        return false;
    p += strspn(p, "0123456789_");
    int groups = 0;
    while (*p == ':') {
        p++;
        size_t digits = strspn(p, "0123456789");
        if (digits == 0 || digits > 2 || (digits == 2 && *p > '5'))
            return false;
        p += digits;
        groups++;
    }
    return groups > 0 && (*p == '\0' || *p == '.');
}

static bool is_date(const char *text)
{
    static const char pattern[] = "dddd-dd-dd";
    size_t i = 0;
    for (; pattern[i]; i++)
        if (pattern[i] == 'd' ? !g_ascii_isdigit(text[i]) : text[i] != pattern[i])
            return false;
    return text[i] == '\0' || text[i] == 'T' || text[i] == 't' || text[i] == ' ';
}

void sl_scalar_resolve(const char *text, size_t len, SlScalar *ret_scalar)
{
    *ret_scalar = (SlScalar){.type = SL_SCALAR_STRING};
    if (len > NUMBER_MAX)
        return;
    g_autofree char *copy = g_strndup(text, len);
    if (resolve_word(copy, ret_scalar) || resolve_number(copy, ret_scalar))
        return;
    if (is_sexagesimal(copy) || is_date(copy)) {
        ret_scalar->trap = TRAP_TEXT;
        ret_scalar->advice = ADVICE_TEXT;
    }
}
