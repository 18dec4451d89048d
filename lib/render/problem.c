/* problem.c - lists of mistakes with places: all of them at once, and never without end. */
#include "base/text.h"
#include "render/yaml.h"

#define PROBLEMS_MAX 200 /* one screenful too many: nobody reads further */
#define MESSAGE_MAX 1024 /* text from a file may be quoted in it */

void sl_problem_free(SlProblem *problem)
{
    if (!problem)
        return;
    g_free(problem->file);
    g_free(problem->message);
    g_free(problem->hint);
    g_free(problem);
}

static void push(GPtrArray *problems, SlProblem *problem)
{
    if (problems->len < PROBLEMS_MAX) {
        g_ptr_array_add(problems, problem);
        return;
    }
    if (problems->len == PROBLEMS_MAX) {
        SlProblem *last = g_new0(SlProblem, 1);
        last->code = problem->code;
        last->file = g_strdup(problem->file);
        last->message = g_strdup_printf("more than %d problems; the others are not shown", PROBLEMS_MAX);
        last->hint = g_strdup("correct these first");
        g_ptr_array_add(problems, last);
    }
    sl_problem_free(problem);
}

void sl_problem_add(GPtrArray *problems, const char *file, int line, int column, int code, bool warning,
                    const char *hint, const char *format, ...)
{
    SlProblem *problem = g_new0(SlProblem, 1);
    problem->file = g_strdup(file ? file : "");
    problem->line = line;
    problem->column = column;
    problem->code = code;
    problem->warning = warning;
    problem->hint = hint && *hint ? sl_escape_for_people(hint, MESSAGE_MAX) : NULL;
    va_list args;
    va_start(args, format);
    g_autofree char *message = g_strdup_vprintf(format, args);
    va_end(args);
    problem->message = sl_escape_for_people(message, MESSAGE_MAX);
    push(problems, problem);
}

void sl_problems_move(GPtrArray *into, GPtrArray *from)
{
    for (guint i = 0; i < from->len; i++)
        push(into, g_steal_pointer(&from->pdata[i]));
    g_ptr_array_set_size(from, 0);
}

bool sl_problems_have_errors(const GPtrArray *problems)
{
    for (guint i = 0; problems && i < problems->len; i++) {
        const SlProblem *problem = g_ptr_array_index(problems, i);
        if (!problem->warning)
            return true;
    }
    return false;
}

char *sl_problem_format(const SlProblem *problem)
{
    GString *text = g_string_new(NULL);
    if (problem->file && *problem->file) {
        g_autofree char *file = sl_escape_for_people(problem->file, MESSAGE_MAX);
        g_string_append(text, file);
        if (problem->line > 0)
            g_string_append_printf(text, ":%d", problem->line);
        if (problem->line > 0 && problem->column > 0)
            g_string_append_printf(text, ":%d", problem->column);
        g_string_append(text, ": ");
    }
    g_string_append_printf(text, "%sSLU%04d: %s", problem->warning ? "warning " : "", problem->code,
                           problem->message);
    if (problem->hint)
        g_string_append_printf(text, " (%s)", problem->hint);
    return g_string_free(text, FALSE);
}
