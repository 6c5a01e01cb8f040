/* SPDX-License-Identifier: Apache-2.0 */
#include "core/first_run.h"

#include <stdlib.h>

#include "core/base/log.h"
#include "core/base/str.h"
#include "core/child.h"
#include "core/timers.h"
#include "core/workpool.h"

#define DELAY_US 1000000
#define RUN_US 10000000

struct fl_first_run {
    fl_step step;
    struct flamenco *f;
    const char *url; /* NUL-terminated */
};

/* Some openers end only with the browser, which therefore is left to run in the background. */
static int32_t run_opener(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    const fl_first_run *r = (fl_first_run *)(void *)step;
    const char *argv[] = {
        "/bin/sh", "-c", "command -v xdg-open > /dev/null && { xdg-open \"$1\" > /dev/null 2>&1 & }", "sh", r->url, NULL
    };
    fl_child_options options = {
        .deadline_us = fl_monotonic_us() + RUN_US, .keep_bytes = 256, .go_on = &cx->f->ready, .leave_remains = 1
    };
    fl_buf output = { 0 };
    int status = 0;
    int32_t rc = fl_child_run(argv, &options, &output, &status, err);
    fl_buf_fini(&output);
    if (rc == FLAMENCO_OK && status != 0)
        rc = flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "there is no xdg-open");
    return rc;
}

static void opener_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    (void)step;
    if (result != FLAMENCO_OK && result != FLAMENCO_E_CANCELLED)
        fl_info("manager", "the web browser was not opened: %s", err->text);
}

static const fl_step_ops opener_ops = {
    .name = "open browser", .kind = FLAMENCO_STEP_WORK, .run = run_opener, .done = opener_done
};

static void on_due(void *ctx)
{
    fl_first_run *r = ctx;
    fl_workpool_submit(r->f->workpool, &r->step);
}

static int has_desktop(void)
{
    const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
    return (x != NULL && *x != '\0') || (wayland != NULL && *wayland != '\0');
}

fl_first_run *fl_first_run_begin(struct flamenco *f, flamenco_str url)
{
    fl_first_run *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        fl_error("manager", "no memory to open a web browser");
        return NULL;
    }
    r->step.ops = &opener_ops;
    r->f = f;
    r->url = url.ptr;
    fl_info("manager", "first run: open %.*s in a web browser to set the manager up", FL_STR_ARGS(url));
    if (has_desktop() && fl_timers_add(f->timers, DELAY_US, on_due, r) != FLAMENCO_OK)
        fl_warn("manager", "the web browser was not opened: out of memory");
    return r;
}

void fl_first_run_destroy(fl_first_run *first_run)
{
    free(first_run);
}
