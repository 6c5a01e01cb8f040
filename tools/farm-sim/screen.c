/* SPDX-License-Identifier: Apache-2.0
 * Progress in the terminal; see screen.h. Called by demo.c. */
#include "screen.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "worker.h"

enum { BAR_CELLS = 40, SMALL_BAR_CELLS = 10 };

void fl_screen_init(fl_screen *screen, bool quiet)
{
    const char *term = getenv("TERM");
    *screen = (fl_screen){ .quiet = quiet, .tty = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 };
}

/* Moves the cursor to where the picture began and clears from there on. */
static void wipe(fl_screen *screen)
{
    if (screen->drawn)
        printf("\033[%uA\r\033[J", screen->drawn);
    screen->drawn = 0;
}

void fl_screen_say(fl_screen *screen, const char *fmt, ...)
{
    if (screen->quiet)
        return;
    if (screen->tty)
        wipe(screen);
    va_list args;
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

static void print_bar(int64_t done, int64_t total, int cells, const char *colour)
{
    int64_t full = total > 0 ? done * cells / total : 0;
    fputs(colour, stdout);
    for (int i = 0; i < cells; i++)
        fputs(i < full ? "█" : "░", stdout);
    fputs("\033[0m", stdout);
}

static const char *colour_of_status(const char *status)
{
    if (strcmp(status, "completed") == 0)
        return "\033[32m";
    if (strcmp(status, "failed") == 0 || strcmp(status, "canceled") == 0)
        return "\033[31m";
    return "\033[36m";
}

static const char *colour_of_phase(fl_phase phase)
{
    switch (phase) {
    case FL_PHASE_RUNNING:
        return "\033[32m";
    case FL_PHASE_FAILED:
        return "\033[31m";
    case FL_PHASE_ASLEEP:
        return "\033[34m";
    default:
        return "\033[2m";
    }
}

static void print_worker(const fl_worker *w)
{
    printf("  %-12.12s %s%-18s\033[0m", w->name, colour_of_phase(w->phase), fl_phase_name(w->phase));
    if (w->phase == FL_PHASE_RUNNING) {
        print_bar(w->run.steps, w->run.steps_total, SMALL_BAR_CELLS, "\033[32m");
        printf(" %-24.24s", w->run.name);
    } else if (w->phase == FL_PHASE_FAILED) {
        printf(" %.50s", w->problem);
    }
    putchar('\n');
}

/* Lines below the job's that fit on the terminal. */
static unsigned rows_for_workers(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 12)
        return 8;
    return size.ws_row - 6U;
}

static void draw_picture(fl_screen *screen, const fl_farm *farm, const fl_job_view *job)
{
    wipe(screen);
    double seconds = (double)(fl_now_us() - job->started_us) / 1e6;
    printf("\n\033[1m%s\033[0m  %s%s\033[0m  %.0f s%s\n", job->name, colour_of_status(job->status), job->status,
           seconds, job->unreachable ? "  \033[31mthe manager does not answer\033[0m" : "");
    print_bar(job->steps_done, job->steps_total, BAR_CELLS, colour_of_status(job->status));
    printf("  %" PRId64 "/%" PRId64 " steps  %u/%u tasks\n", job->steps_done, job->steps_total,
           job->by_status[FL_TASK_COMPLETED], job->tasks);
    unsigned rows = rows_for_workers(), shown = farm->workers_len < rows ? farm->workers_len : rows;
    for (unsigned i = 0; i < shown; i++)
        print_worker(farm->workers[i]);
    screen->drawn = 3 + shown;
    if (shown < farm->workers_len) {
        printf("  … and %u more workers\n", farm->workers_len - shown);
        screen->drawn++;
    }
    fflush(stdout);
}

static void draw_line(fl_screen *screen, const fl_job_view *job)
{
    char line[sizeof screen->last];
    snprintf(line, sizeof line, "job %s: %" PRId64 "/%" PRId64 " steps, %u/%u tasks completed, %u active%s",
             job->status, job->steps_done, job->steps_total, job->by_status[FL_TASK_COMPLETED], job->tasks,
             job->by_status[FL_TASK_ACTIVE], job->unreachable ? " (the manager does not answer)" : "");
    if (strcmp(line, screen->last) == 0)
        return;
    memcpy(screen->last, line, sizeof line);
    printf("%6.1f s  %s\n", (double)(fl_now_us() - job->started_us) / 1e6, line);
    fflush(stdout);
}

void fl_screen_draw(fl_screen *screen, const fl_farm *farm, const fl_job_view *job)
{
    if (screen->quiet)
        return;
    if (screen->tty)
        draw_picture(screen, farm, job);
    else
        draw_line(screen, job);
}
