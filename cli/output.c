/* output.c - tables, colours and JSON for the terminal. Everything from outside is escaped here, once: whatever reaches a person's
 * terminal goes through clean(), which lets only our own four colour sequences and line ends pass. */
#include "base/text.h"
#include "cli/private.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct SlTable {
    size_t columns;
    GPtrArray *rows; /* of char **, the first is the headings */
};

#define CELL_MAX 400
#define LINE_MAX_BYTES (64 * 1024) /* of one line: a log line, a line of JSON */

void sl_print_json(SlCli *cli, const json_t *value)
{
    (void)cli;
    char *dumped = json_dumps(value, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    puts(dumped != NULL ? dumped : "null");
    free(dumped);
}

static const char *const colours[] = {"\033[31m", "\033[32m", "\033[33m", "\033[0m"};
#define COLOUR_END (G_N_ELEMENTS(colours) - 1)

/* Length of one of our colour sequences at @text, 0 if there is none. @ret_open: it starts a colour. */
static size_t colour_at(const char *text, bool *ret_open)
{
    for (size_t i = 0; i < G_N_ELEMENTS(colours); i++) {
        if (g_str_has_prefix(text, colours[i])) {
            *ret_open = i != COLOUR_END;
            return strlen(colours[i]);
        }
    }
    return 0;
}

/* @text with every control character as \xNN but colours (closed at the end if they are not) and, if @lines, line ends. At most @max bytes
 * of each piece between colours. (transfer full) */
static char *clean(const char *text, bool lines, size_t max)
{
    GString *out = g_string_new(NULL);
    bool open = false;
    while (*text != '\0') {
        size_t skip = colour_at(text, &open);
        if (skip == 0 && lines && *text == '\n') {
            skip = 1;
        }
        if (skip > 0) {
            g_string_append_len(out, text, (gssize)skip);
            text += skip;
            continue;
        }
        size_t len = 1 + strcspn(text + 1, lines ? "\033\n" : "\033");
        g_autofree char *piece = g_strndup(text, len);
        g_autofree char *safe = sl_escape_for_people(piece, max);
        g_string_append(out, safe);
        text += len;
    }
    return g_string_free(g_string_append(out, open ? colours[COLOUR_END] : ""), FALSE);
}

static char **take_cells(const char *first, va_list list, size_t columns)
{
    GPtrArray *cells = g_ptr_array_new_with_free_func(g_free);
    for (const char *cell = first; cell != NULL; cell = va_arg(list, const char *)) {
        g_ptr_array_add(cells, clean(cell, false, CELL_MAX));
    }
    while (cells->len < columns) {
        g_ptr_array_add(cells, g_strdup(""));
    }
    while (columns > 0 && cells->len > columns) {
        g_ptr_array_remove_index(
            cells, cells->len - 1); /* a cell without a heading: widths know nothing of it */
    }
    g_ptr_array_add(cells, NULL);
    return (char **)g_ptr_array_free(cells, FALSE);
}

SlTable *sl_table_new(const char *first_heading, ...)
{
    SlTable *table = g_new0(SlTable, 1);
    table->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    va_list list;
    va_start(list, first_heading);
    char **cells = take_cells(first_heading, list, 0);
    va_end(list);
    table->columns = g_strv_length(cells);
    g_ptr_array_add(table->rows, cells);
    return table;
}

void sl_table_row(SlTable *table, const char *first_cell, ...)
{
    va_list list;
    va_start(list, first_cell);
    g_ptr_array_add(table->rows, take_cells(first_cell, list, table->columns));
    va_end(list);
}

/* Columns on the screen: characters, without colour sequences. */
static size_t shown_width(const char *text)
{
    size_t width = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\033') {
            while (*c != '\0' && *c != 'm') {
                c++;
            }
            if (*c == '\0') {
                break;
            }
        } else if (((unsigned char)*c & 0xc0) != 0x80) {
            width++;
        }
    }
    return width;
}

/* Prints the last cell, continued below itself where the terminal is too narrow for it. */
static void print_last(const char *cell, size_t indent, int width, FILE *out)
{
    size_t room = width > 0 && (size_t)width > indent + 20 ? (size_t)width - indent : SIZE_MAX;
    if (shown_width(cell) <= room) {
        fprintf(out, "%s\n", cell);
        return;
    }
    g_auto(GStrv) words = g_strsplit(cell, " ", -1);
    size_t at = 0;
    for (size_t i = 0; words[i] != NULL; i++) {
        size_t len = shown_width(words[i]);
        if (at > 0 && at + 1 + len > room) {
            fprintf(out, "\n%*s", (int)indent, "");
            at = 0;
        }
        fprintf(out, "%s%s", at > 0 ? " " : "", words[i]);
        at += len + (at > 0 ? 1 : 0);
    }
    fputc('\n', out);
}

static void print_row(char **cells, const size_t *widths, size_t columns, int width, FILE *out)
{
    size_t indent = 0;
    size_t used = columns; /* an empty end of the row needs no blanks */
    while (used > 1 && *cells[used - 1] == '\0') {
        used--;
    }
    if (used < columns) {
        columns = used;
    }
    for (size_t i = 0; i + 1 < columns; i++) {
        fprintf(out, "%s%*s", cells[i], (int)(widths[i] - shown_width(cells[i]) + 2), "");
        indent += widths[i] + 2;
    }
    print_last(cells[columns - 1], indent, width, out);
}

void sl_table_print(SlTable *table, SlCli *cli, FILE *out)
{
    g_autofree size_t *widths = g_new0(size_t, table->columns);
    for (unsigned r = 0; r < table->rows->len; r++) {
        char **cells = g_ptr_array_index(table->rows, r);
        for (size_t i = 0; i < table->columns; i++) {
            widths[i] = MAX(widths[i], shown_width(cells[i]));
        }
    }
    for (unsigned r = 0; r < table->rows->len; r++) {
        print_row(g_ptr_array_index(table->rows, r), widths, table->columns, cli->width, out);
    }
    g_ptr_array_unref(table->rows);
    g_free(table);
}

static const char *colour_of(const char *state)
{
    static const struct {
        size_t colour;
        const char *words;
    } table[] = {
        {1, " Healthy Succeeded SUCCEEDED open connected ok Running yes "},
        {0, " Degraded Failed FAILED ERRORED REJECTED shut stale refused error no EXPIRED "},
        {2, " Progressing Missing Unknown Pending Queued Admitted GATING REQUESTED QUEUED "
            "RENDERING COMMITTING "
            "COMMITTED PUBLISHED APPLYING VERIFYING wait warning Suspended paused pinned "},
    };
    g_autofree char *word = g_strdup_printf(" %s ", state);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (strstr(table[i].words, word) != NULL) {
            return colours[table[i].colour];
        }
    }
    return NULL;
}

char *sl_colour_state(SlCli *cli, const char *state)
{
    g_autofree char *safe = sl_escape_for_people(state != NULL ? state : "-", 64);
    const char *colour = cli->colour ? colour_of(safe) : NULL;
    return colour != NULL ? g_strconcat(colour, safe, colours[COLOUR_END], NULL)
                          : g_steal_pointer(&safe);
}

void sl_say(SlCli *cli, const char *format, ...)
{
    (void)cli;
    va_list list;
    va_start(list, format);
    g_autofree char *text = g_strdup_vprintf(format, list);
    va_end(list);
    g_autofree char *safe = clean(text, true, LINE_MAX_BYTES);
    puts(safe);
}

void sl_print_exact(const char *text)
{
    if (isatty(STDOUT_FILENO)) {
        g_autofree char *safe = clean(text, true, LINE_MAX_BYTES);
        fputs(safe, stdout);
    } else {
        fputs(text, stdout);
    }
}

char *sl_when(const char *time_text)
{
    g_autofree char *safe = sl_escape_for_people(time_text != NULL ? time_text : "-", 64);
    char *dot = strchr(safe, '.');
    if (dot != NULL && dot[strspn(dot, ".0123456789")] == 'Z') {
        memcpy(dot, "Z", 2);
    }
    return g_steal_pointer(&safe);
}

char *sl_since(const char *time_text, const char *now_text)
{
    int64_t then = 0, now = 0;
    if (time_text == NULL || now_text == NULL || !sl_parse_time(time_text, &then) ||
        !sl_parse_time(now_text, &now)) {
        return g_strdup("-");
    }
    return now > then ? sl_format_duration(now - then) : g_strdup("0s");
}

const char *sl_short(const char *digest)
{
    static char ring[8][12];
    static unsigned next;
    char *buffer = ring[next++ % G_N_ELEMENTS(ring)];
    g_strlcpy(buffer, digest != NULL ? digest : "-", 11);
    return buffer;
}

int64_t sl_cli_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SL_SECOND_US + now.tv_nsec / 1000;
}

int sl_cli_watch(SlCli *cli, int (*show)(SlCli *cli, void *user), void *user)
{
    if (!sl_cli_flag(cli, "watch")) {
        return show(cli, user);
    }
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigaddset(&interrupt, SIGTERM);
    sigprocmask(SIG_BLOCK, &interrupt, NULL);
    int code = SL_EXIT_OK;
    do {
        if (isatty(STDOUT_FILENO) && !cli->json) {
            fputs("\033[H\033[2J", stdout);
        }
        code = show(cli, user);
        fflush(stdout);
    } while (sigtimedwait(&interrupt, NULL, &(struct timespec){.tv_sec = 1}) < 0);
    return code;
}
