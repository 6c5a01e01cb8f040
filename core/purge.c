/* SPDX-License-Identifier: Apache-2.0 */
#include "core/purge.h"

#include <stdlib.h>

#include "core/base/log.h"
#include "core/base/uuid.h"
#include "core/executor.h"

#define ROWS_PER_STEP 500u

typedef struct purge {
    fl_step step;
    int64_t job_key; /* 0: look for hidden jobs */
    struct flamenco *f; /* of looks */
    flamenco_uuid only; /* of looks: the one that is looked for; zero = all */
} purge;

static int32_t run_purge(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    purge *p = (purge *)(void *)step;
    uint64_t left = 0;
    int32_t rc = flamenco_persist_job_purge(&cx->f->persist, &cx->pub, p->job_key, ROWS_PER_STEP, &left, err);
    if (rc == FLAMENCO_E_NOT_FOUND)
        return FLAMENCO_OK;
    return rc == FLAMENCO_OK && left > 0 ? FLAMENCO_AGAIN : rc;
}

static void purge_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    purge *p = (purge *)(void *)step;
    if (result < 0 && result != FLAMENCO_E_CANCELLED)
        fl_warn("purge", "remains of job %lld stay until the next start: %s", (long long)p->job_key, err->text);
    free(p);
}

static const fl_step_ops purge_ops = {
    .name = "purge", .kind = FLAMENCO_STEP_WRITE, .run = run_purge, .done = purge_done
};

void fl_purge_submit(struct flamenco *f, int64_t job_key)
{
    purge *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        fl_warn("purge", "no memory to purge job %lld; it stays until the next start", (long long)job_key);
        return;
    }
    p->step.ops = &purge_ops;
    p->job_key = job_key;
    fl_executor_submit(f->executor, &p->step);
}

/* A hidden job that was marked for deletion is the job deleter's, which has files of it to erase, too. */
static int32_t purge_row(void *ctx, const flamenco_job *row)
{
    purge *p = ctx;
    if (!fl_uuid_is_none(&p->only)) {
        if (fl_uuid_equal(&p->only, &row->uuid))
            p->job_key = row->key; /* purged when the look is over, since it may be repeated */
    } else if (row->delete_requested_us == FLAMENCO_TIME_NONE) {
        fl_purge_submit(p->f, row->key);
    }
    return 0;
}

static int32_t run_remains(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page),
                           .updated_after_us = FLAMENCO_TIME_NONE,
                           .flags = FLAMENCO_PAGE_HIDDEN };
    return flamenco_persist_jobs_list(&cx->f->persist, &cx->pub, &page, purge_row, step, NULL, err);
}

static void look_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    purge *p = (purge *)(void *)step;
    if (result == FLAMENCO_OK && p->job_key != 0)
        fl_purge_submit(p->f, p->job_key);
    else if (result < 0 && result != FLAMENCO_E_CANCELLED)
        fl_warn("purge", "remains of unfinished jobs stay until the next start: %s", err->text);
    free(p);
}

static const fl_step_ops remains_ops = {
    .name = "purge", .kind = FLAMENCO_STEP_READ, .run = run_remains, .done = look_done
};

static void look(struct flamenco *f, const flamenco_uuid *only)
{
    purge *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        fl_warn("purge", "no memory to look for remains of unfinished jobs");
        return;
    }
    p->step.ops = &remains_ops;
    p->f = f;
    if (only != NULL)
        p->only = *only;
    fl_executor_submit(f->executor, &p->step);
}

void fl_purge_submission(struct flamenco *f, const flamenco_uuid *job)
{
    look(f, job);
}

void fl_purge_remains(struct flamenco *f)
{
    look(f, NULL);
}
