/* text_number.c - integers, durations and times as text. Strict, so that a value has one text. */
#include "base/text.h"
#include "sluice/clock.h"

#include <inttypes.h>
#include <string.h>

#define DURATION_MAX_US                                                                            \
    (3650 * SL_DAY_US) /* 10 years: beyond any lifetime that a document may ask for */

bool sl_parse_uint64(const char *text, uint64_t *ret_value)
{
    if (text == NULL || *text == '\0' || (text[0] == '0' && text[1] != '\0')) {
        return false;
    }
    uint64_t value = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)) {
            return false;
        }
    }
    *ret_value = value;
    return true;
}

bool sl_parse_int64(const char *text, int64_t *ret_value)
{
    bool negative = text != NULL && text[0] == '-';
    uint64_t value = 0;
    if (!sl_parse_uint64(negative ? text + 1 : text, &value)) {
        return false;
    }
    if (negative && (value == 0 || value > (uint64_t)INT64_MAX + 1)) {
        return false;
    }
    if (!negative && value > INT64_MAX) {
        return false;
    }
    *ret_value = negative ? -(int64_t)(value - 1) - 1 : (int64_t)value;
    return true;
}

static int64_t unit_us(char unit)
{
    switch (unit) {
    case 's':
        return SL_SECOND_US;
    case 'm':
        return SL_MINUTE_US;
    case 'h':
        return SL_HOUR_US;
    case 'd':
        return SL_DAY_US;
    default:
        return 0;
    }
}

bool sl_parse_duration(const char *text, int64_t *ret_us, GError **error)
{
    size_t len = text != NULL ? strnlen(text, 32) : 0;
    int64_t unit = len > 1 ? unit_us(text[len - 1]) : 0;
    g_autofree char *digits = len > 1 ? g_strndup(text, len - 1) : NULL;
    int64_t value = 0;
    int64_t us = 0;
    if (unit == 0 || !sl_parse_int64(digits, &value) || value <= 0 ||
        __builtin_mul_overflow(value, unit, &us) || us > DURATION_MAX_US) {
        g_autofree char *shown = sl_escape_for_people(text, 40);
        return sl_throw(error, SLU_INVALID,
                        "\"%s\" is not a duration; write 90s, 15m, 24h or 7d (at most 10 years)",
                        shown);
    }
    *ret_us = us;
    return true;
}

char *sl_format_duration(int64_t us)
{
    const char *sign = us < 0 ? "-" : "";
    uint64_t seconds =
        (us < 0 ? (uint64_t)0 - (uint64_t)us : (uint64_t)us) / (uint64_t)SL_SECOND_US;
    uint64_t minutes = seconds / 60;
    uint64_t hours = minutes / 60;
    uint64_t days = hours / 24;
    if (days > 0) {
        return hours % 24 > 0 && days < 10
                   ? g_strdup_printf("%s%" PRIu64 "d%" PRIu64 "h", sign, days, hours % 24)
                   : g_strdup_printf("%s%" PRIu64 "d", sign, days);
    }
    if (hours > 0) {
        return minutes % 60 > 0
                   ? g_strdup_printf("%s%" PRIu64 "h%" PRIu64 "m", sign, hours, minutes % 60)
                   : g_strdup_printf("%s%" PRIu64 "h", sign, hours);
    }
    if (minutes > 0) {
        return seconds % 60 > 0
                   ? g_strdup_printf("%s%" PRIu64 "m%" PRIu64 "s", sign, minutes, seconds % 60)
                   : g_strdup_printf("%s%" PRIu64 "m", sign, minutes);
    }
    return g_strdup_printf("%s%" PRIu64 "s", seconds > 0 ? sign : "", seconds);
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years are counted from
 * March, so that the leap day is a year's last; 146097 days make 400 years, 719468 lie between
 * 0000-03-01 and 1970. */
static int64_t days_of_date(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2 ? 1 : 0;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of_days(int64_t days, int64_t ret_date[3])
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    ret_date[2] = day_of_year - (153 * month + 2) / 5 + 1;
    ret_date[1] = month < 10 ? month + 3 : month - 9;
    ret_date[0] = year_of_era + era * 400 + (ret_date[1] <= 2 ? 1 : 0);
}

char *sl_format_time(int64_t utc_us)
{
    int64_t day_seconds = 24 * 60 * 60;
    int64_t fraction = ((utc_us % SL_SECOND_US) + SL_SECOND_US) % SL_SECOND_US;
    int64_t seconds = utc_us / SL_SECOND_US - (utc_us % SL_SECOND_US < 0 ? 1 : 0);
    int64_t of_day = ((seconds % day_seconds) + day_seconds) % day_seconds;
    int64_t date[3];
    date_of_days((seconds - of_day) / day_seconds, date);
    if (date[0] > 9999) { /* the last that four digits can say */
        return g_strdup("9999-12-31T23:59:59Z");
    }
    if (date[0] < 0) {
        return g_strdup("0000-01-01T00:00:00Z");
    }
    GString *out = g_string_new(NULL);
    g_string_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d", (int)date[0], (int)date[1], (int)date[2],
                    (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60));
    if (fraction != 0) {
        g_string_append_printf(out, ".%06d", (int)fraction);
    }
    g_string_append_c(out, 'Z');
    return g_string_free(out, FALSE);
}

static bool fixed_number(const char *text, size_t digits, int64_t most, int64_t *ret_value)
{
    int64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (text[i] - '0');
    }
    *ret_value = value;
    return value <= most;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

bool sl_parse_time(const char *text, int64_t *ret_utc_us)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    size_t len = text != NULL ? strnlen(text, 32) : 0;
    if (len < sizeof shape || text[len - 1] != 'Z') {
        return false;
    }
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        if (shape[i] != 'd' && text[i] != shape[i]) {
            return false;
        }
    }
    int64_t year, month, day, hour, minute, second;
    int64_t fraction = 0;
    if (!fixed_number(text, 4, 9999, &year) || !fixed_number(text + 5, 2, 12, &month) ||
        !fixed_number(text + 8, 2, 31, &day) || !fixed_number(text + 11, 2, 23, &hour) ||
        !fixed_number(text + 14, 2, 59, &minute) || !fixed_number(text + 17, 2, 59, &second) ||
        month < 1 || day < 1 || day > days_in_month(year, month)) {
        return false;
    }
    size_t digits = len - sizeof shape; /* what is between the seconds and Z, with its point */
    if (digits > 0) {
        if (text[19] != '.' || digits < 2 || digits > 7 ||
            !fixed_number(text + 20, digits - 1, 999999, &fraction)) {
            return false;
        }
        for (size_t i = digits - 1; i < 6; i++) {
            fraction *= 10;
        }
    }
    int64_t seconds = days_of_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    *ret_utc_us = seconds * SL_SECOND_US + fraction;
    return true;
}
