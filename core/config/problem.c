/* SPDX-License-Identifier: Apache-2.0
 *
 * problem.c - the list of problems found in configuration files. See problem.h.
 */
#include "core/config/problem.h"

#include <stdlib.h>

#include "core/base/log.h"

void fl_config_problems_fini(fl_config_problems *problems)
{
    for (size_t i = 0; i < problems->count; ++i) {
        free((void *)(uintptr_t)problems->items[i].file);
        free((void *)(uintptr_t)problems->items[i].text);
    }
    free(problems->items);
    memset(problems, 0, sizeof(*problems));
}

static int make_room(fl_config_problems *problems)
{
    if (problems->count < problems->cap)
        return 1;
    if (problems->count >= FL_CONFIG_PROBLEMS_MAX)
        return 0;
    size_t cap = problems->cap == 0 ? 8 : problems->cap * 2;
    fl_config_problem *items = realloc(problems->items, cap * sizeof(*items));
    if (items == NULL)
        return 0;
    problems->items = items;
    problems->cap = cap;
    return 1;
}

void fl_config_problem_add(fl_config_problems *problems, uint32_t level, const char *file, uint32_t line,
                           const char *fmt, ...)
{
    if (problems == NULL)
        return;
    if (level >= FLAMENCO_LOG_ERROR)
        ++problems->errors;
    else
        ++problems->warnings;
    if (!make_room(problems))
        return;
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    char *name = strdup(file != NULL ? file : "");
    if (name == NULL) {
        free(text);
        return;
    }
    problems->items[problems->count++] = (fl_config_problem){ level, line, name, text };
}

const char *fl_config_problem_text(const fl_config_problem *problem, char *out, size_t size)
{
    if (problem->file[0] == '\0')
        snprintf(out, size, "%s", problem->text);
    else if (problem->line == 0)
        snprintf(out, size, "%s: %s", problem->file, problem->text);
    else
        snprintf(out, size, "%s:%u: %s", problem->file, problem->line, problem->text);
    return out;
}

int32_t fl_config_problems_fail(const fl_config_problems *problems, int32_t code, flamenco_error *err)
{
    char text[1024];
    for (size_t i = 0; i < problems->count; ++i) {
        if (problems->items[i].level < FLAMENCO_LOG_ERROR)
            continue;
        fl_config_problem_text(&problems->items[i], text, sizeof(text));
        if (problems->errors > 1)
            return flamenco_fail(err, code, "%s (and %zu more)", text, problems->errors - 1);
        return flamenco_fail(err, code, "%s", text);
    }
    return flamenco_fail(err, code, "the configuration cannot be used");
}

void fl_config_problems_log(const fl_config_problems *problems, const char *subsystem)
{
    char text[1024];
    for (size_t i = 0; i < problems->count; ++i)
        fl_log(problems->items[i].level, subsystem, "%s",
               fl_config_problem_text(&problems->items[i], text, sizeof(text)));
    size_t all = problems->errors + problems->warnings;
    if (all > problems->count)
        fl_warn(subsystem, "%zu more problems of the configuration are not shown", all - problems->count);
}
