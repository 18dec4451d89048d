/* report.c - the report statement as a struct, and how many change lines fit into one. */
#include "core/report.h"
#include "base/text.h"
#include "core/fields.h"
#include <string.h>

#define FIELD(key, type, name)                                                                     \
    {                                                                                              \
        key, SL_FIELD_##type, offsetof(SlReport, name)                                             \
    }
static const SlField report_fields[] = {
    FIELD("fleet", HEX, fleet),
    FIELD("environment", NAME, env),
    FIELD("cluster", NAME, cluster),
    FIELD("boot", HEX32, boot),
    FIELD("counter", UINT, counter),
    FIELD("clock", TIME, clock_us),
    FIELD("head", HEX, head),
    FIELD("term", UINT, term),
    FIELD("version", UINT, version),
    FIELD("root", UINT, root),
    FIELD("registry", UINT, registry),
    FIELD("ledger-seq", UINT, ledger_seq),
    FIELD("ledger-hash", HEX, ledger_hash),
    FIELD("applied", HEX, applied),
    FIELD("applied-count", UINT, applied_count),
    FIELD("full", FLAG, full),
    FIELD("more", FLAG, more),
    FIELD("change", LINES, changes),
};
#undef FIELD

static bool check_report(const void *record, GError **error)
{
    const SlReport *report = record;
    if (report->changes != NULL && report->changes->len > SL_REPORT_CHANGES_MAX) {
        return sl_throw(error, SLU_LIMIT, "change: %u lines; a report holds at most %d",
                        report->changes->len, SL_REPORT_CHANGES_MAX);
    }
    for (guint i = 0; report->changes != NULL && i < report->changes->len; i++) {
        const char *change = report->changes->pdata[i];
        const char *space = strchr(change, ' ');
        bool gone = g_str_has_prefix(change, "- ");
        if (space == NULL || space == change || space[1] == '\0' ||
            (gone && strchr(change + 2, ' ') != NULL)) {
            return sl_throw(error, SLU_STATEMENT_FORMAT,
                            "change %u: must be `<key> <value>` or `- <key>`", i + 1);
        }
    }
    return true;
}

static const SlRecord report_record = {
    .kind = SL_STATEMENT_REPORT,
    .size = sizeof(SlReport),
    .env_offset = offsetof(SlReport, env),
    .count = G_N_ELEMENTS(report_fields),
    .fields = report_fields,
    .check = check_report,
};

SlReport *sl_report_parse(GBytes *text, GError **error)
{
    return sl_record_parse(&report_record, text, error);
}

GBytes *sl_report_format(const SlReport *report, GError **error)
{
    return sl_record_format(&report_record, report, error);
}

void sl_report_free(SlReport *report)
{
    sl_record_free(&report_record, report);
}
