/* token_list.c - sluice token list: which API tokens exist. Their secrets are known to nobody here. */
#include "base/text.h"
#include "cli/list.h"

static void print_each(SlCli *cli, SlTable *table, const json_t *each, const char *now)
{
    int64_t expires_us = 0, now_us = 0;
    bool over = sl_parse_time(sl_json_str_or(each, "expires", ""), &expires_us) &&
                sl_parse_time(now, &now_us) && expires_us <= now_us;
    g_autofree char *made = sl_when(sl_json_str(each, "made"));
    g_autofree char *expires = sl_when(sl_json_str(each, "expires"));
    (void)cli;
    sl_table_row(table, sl_json_str_or(each, "id", "?"), sl_json_str_or(each, "person", "?"),
                 sl_json_str_or(each, "scope", "?"), made, expires, over ? "expired" : "", NULL);
}

static SlTable *headings(void)
{
    return sl_table_new("ID", "PERSON", "SCOPE", "MADE", "EXPIRES", "", NULL);
}

static int run(SlCli *cli)
{
    static const SlCliList list = {
        .path = "/v1/tokens",
        .member = "tokens",
        .table = headings,
        .row = print_each,
    };
    return sl_cli_list(cli, &list);
}

const SlCommand sl_cmd_token_list = {
    .name = "token list",
    .group = "Set up",
    .synopsis = "",
    .summary = "the API tokens, without their secrets",
    .run = run,
};
