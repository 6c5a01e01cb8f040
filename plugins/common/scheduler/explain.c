/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.c - why a job or task waits, or why a worker has no task, as reasons for people and programs. Called by the API on
 * demand, on a reading thread. It looks at open tasks and live workers only, and may take time in proportion to those.
 *
 * Codes. Jobs and tasks: job-STATUS, job-deletion-requested, task-STATUS, dependencies-open, tasks-active, and those of
 * explain_workers.c. Workers: worker-STATUS, status-requested, no-task-types, tasks-failed-by-worker, no-job, tag-mismatch,
 * worker-blocked, dependencies-open, no-task-of-type.
 */
#include "scheduler.h"

static const uint64_t waiting_mask = FLAMENCO_BIT(FLAMENCO_TASK_QUEUED) | FLAMENCO_BIT(FLAMENCO_TASK_SOFT_FAILED);
static const uint64_t schedulable_mask = FLAMENCO_BIT(FLAMENCO_JOB_QUEUED) | FLAMENCO_BIT(FLAMENCO_JOB_ACTIVE);

int32_t fl_explain_nomem(fl_explain *e)
{
    return flamenco_fail(e->err, FLAMENCO_E_NOMEM, "no memory left to explain");
}

flamenco_str fl_explain_copy(fl_explain *e, flamenco_str text)
{
    flamenco_str copy = { NULL, 0 };
    char *bytes = e->scheduler->host->cx_alloc(e->cx, text.len + 1);
    if (bytes == NULL)
        return copy;
    if (text.len > 0)
        memcpy(bytes, text.ptr, (size_t)text.len);
    copy.ptr = bytes;
    copy.len = text.len;
    return copy;
}

int32_t fl_explain_tell(fl_explain *e, const char *code, uint64_t count, const char *fmt, ...)
{
    char text[400];
    if (e->ended)
        return FLAMENCO_OK;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n < 0)
        return flamenco_fail(e->err, FLAMENCO_E_INTERNAL, "a reason cannot be written");
    const flamenco_reason reason = {
        .struct_size = (uint32_t)sizeof(reason),
        .count = count,
        .code = flamenco_text(code),
        .text = flamenco_text(text),
    };
    ++e->told;
    e->ended = e->visit(e->ctx, &reason) != 0;
    return FLAMENCO_OK;
}

int fl_explain_has_type(flamenco_str types, flamenco_str type)
{
    uint64_t from = 0;
    for (uint64_t i = 0; i <= types.len; ++i) {
        if (i < types.len && types.ptr[i] != ',')
            continue;
        const flamenco_str one = { types.len > 0 ? types.ptr + from : NULL, i - from };
        if (one.len > 0 && flamenco_str_equal(one, type))
            return 1;
        from = i + 1;
    }
    return 0;
}

/* ---- What waits, by type --------------------------------------------------------------------------------------- */

typedef struct type_count {
    flamenco_str type;
    uint64_t ready, dependent;
    struct type_count *next;
} type_count;

typedef struct tally {
    fl_explain *e;
    type_count *types;
    int32_t rc;
} tally;

static int32_t count_task(void *ctx, const flamenco_task *row)
{
    tally *t = ctx;
    type_count *entry = t->types;
    if (flamenco_cx_cancelled(t->e->cx)) {
        t->rc = flamenco_fail(t->e->err, FLAMENCO_E_CANCELLED, "nobody wants the explanation any more");
        return 1;
    }
    while (entry != NULL && !flamenco_str_equal(entry->type, row->type))
        entry = entry->next;
    if (entry == NULL) {
        entry = t->e->scheduler->host->cx_alloc(t->e->cx, sizeof(*entry));
        flamenco_str type = fl_explain_copy(t->e, row->type);
        if (entry == NULL || type.ptr == NULL) {
            t->rc = fl_explain_nomem(t->e);
            return 1;
        }
        *entry = (type_count){ .type = type, .next = t->types };
        t->types = entry;
    }
    if (row->open_deps > 0)
        ++entry->dependent;
    else
        ++entry->ready;
    return 0;
}

/* Counts the waiting tasks of a job by type. */
static int32_t count_waiting(fl_explain *e, const flamenco_job *job, type_count **out)
{
    tally t = { .e = e };
    const flamenco_page page = {
        .struct_size = (uint32_t)sizeof(page),
        .status_mask = waiting_mask,
        .updated_after_us = FLAMENCO_TIME_NONE,
    };
    int32_t rc =
        flamenco_persist_tasks_list(&e->scheduler->persist, e->cx, job->key, &page, count_task, &t, NULL, e->err);
    if (rc == FLAMENCO_OK)
        rc = t.rc;
    *out = t.types;
    return rc;
}

/* ---- Jobs and tasks -------------------------------------------------------------------------------------------- */

/* Tells what keeps the whole job from being scheduled. *stopped_out: 1 when something does. */
static int32_t explain_job_state(fl_explain *e, const flamenco_job *job, int *stopped_out)
{
    char code[40];
    const char *status = flamenco_job_status_text(job->status);
    *stopped_out = 0;
    if ((FLAMENCO_BIT(job->status) & schedulable_mask) == 0) {
        *stopped_out = 1;
        (void)snprintf(code, sizeof(code), "job-%s", status);
        return fl_explain_tell(e, code, 1, "The job is %s; only queued and active jobs are worked on", status);
    }
    if (job->delete_requested_us != FLAMENCO_TIME_NONE) {
        *stopped_out = 1;
        return fl_explain_tell(e, "job-deletion-requested", 1, "The job is about to be deleted");
    }
    return FLAMENCO_OK;
}

static int32_t explain_job(fl_explain *e, const flamenco_uuid *uuid)
{
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    int stopped = 0;
    type_count *types = NULL;
    uint64_t dependent = 0;
    int32_t rc = flamenco_persist_job_get(&e->scheduler->persist, e->cx, uuid, &job, e->err);
    if (rc == FLAMENCO_OK && job.status == FLAMENCO_JOB_COMPLETED)
        return rc; /* it waits for nothing */
    if (rc == FLAMENCO_OK)
        rc = explain_job_state(e, &job, &stopped);
    if (rc != FLAMENCO_OK || stopped)
        return rc;
    if (job.counts[FLAMENCO_TASK_ACTIVE] > 0)
        rc = fl_explain_tell(e, "tasks-active", job.counts[FLAMENCO_TASK_ACTIVE], "%llu task(s) are being worked on",
                             (unsigned long long)job.counts[FLAMENCO_TASK_ACTIVE]);
    if (rc == FLAMENCO_OK)
        rc = count_waiting(e, &job, &types);
    for (const type_count *t = types; t != NULL; t = t->next)
        dependent += t->dependent;
    if (rc == FLAMENCO_OK && dependent > 0)
        rc = fl_explain_tell(e, "dependencies-open", dependent, "%llu task(s) wait for other tasks of the job",
                             (unsigned long long)dependent);
    for (const type_count *t = types; t != NULL && rc == FLAMENCO_OK && !e->ended; t = t->next) {
        if (t->ready > 0)
            rc = fl_explain_workers(e, &job, t->type, t->ready, 0);
    }
    return rc;
}

static int32_t explain_task(fl_explain *e, const flamenco_uuid *uuid)
{
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    int stopped = 0;
    int32_t rc = flamenco_persist_task_find(&e->scheduler->persist, e->cx, uuid, &task, e->err);
    if (rc != FLAMENCO_OK || task.status == FLAMENCO_TASK_ACTIVE || task.status == FLAMENCO_TASK_COMPLETED)
        return rc;
    if ((FLAMENCO_BIT(task.status) & waiting_mask) == 0) {
        char code[40];
        const char *status = flamenco_task_status_text(task.status);
        (void)snprintf(code, sizeof(code), "task-%s", status);
        rc = fl_explain_tell(e, code, 1, "The task is %s; it has to be queued to be run again", status);
    }
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_get_key(&e->scheduler->persist, e->cx, task.job_key, &job, e->err);
    if (rc == FLAMENCO_OK)
        rc = explain_job_state(e, &job, &stopped);
    if (rc == FLAMENCO_OK && task.open_deps > 0)
        rc = fl_explain_tell(e, "dependencies-open", task.open_deps, "It waits for %u other task(s)", task.open_deps);
    if (rc != FLAMENCO_OK || stopped || task.open_deps > 0 || (FLAMENCO_BIT(task.status) & waiting_mask) == 0)
        return rc;
    return fl_explain_workers(e, &job, task.type, 1, task.key);
}

/* ---- Workers --------------------------------------------------------------------------------------------------- */

/* Jobs with waiting tasks, and why this worker takes none of them. */
typedef struct survey {
    fl_explain *e;
    const flamenco_worker *worker;
    uint64_t jobs, wrong_tag, blocked, dependent, wrong_type, ready;
    int32_t rc;
} survey;

typedef struct blocking {
    int64_t worker_key;
    flamenco_str type;
    int found;
} blocking;

static int32_t match_block(void *ctx, const flamenco_blocklist_entry *row)
{
    blocking *b = ctx;
    b->found = row->worker_key == b->worker_key && flamenco_str_equal(row->task_type, b->type);
    return b->found;
}

static int32_t survey_types(survey *s, const flamenco_job *job)
{
    type_count *types = NULL;
    int32_t rc = count_waiting(s->e, job, &types);
    for (const type_count *t = types; t != NULL && rc == FLAMENCO_OK; t = t->next) {
        blocking b = { .worker_key = s->worker->key, .type = t->type };
        if (!fl_explain_has_type(s->worker->task_types, t->type)) {
            s->wrong_type += t->ready + t->dependent;
            continue;
        }
        rc = flamenco_persist_blocklist_list(&s->e->scheduler->persist, s->e->cx, job->key, match_block, &b, s->e->err);
        if (b.found) {
            s->blocked += t->ready + t->dependent;
        } else {
            s->dependent += t->dependent;
            s->ready += t->ready;
        }
    }
    return rc;
}

static int32_t survey_job(void *ctx, const flamenco_job *row)
{
    survey *s = ctx;
    uint64_t waiting = row->counts[FLAMENCO_TASK_QUEUED] + row->counts[FLAMENCO_TASK_SOFT_FAILED];
    int fits = 0;
    if (waiting == 0 || row->delete_requested_us != FLAMENCO_TIME_NONE)
        return 0;
    ++s->jobs;
    s->rc = fl_explain_tag_fits(s->e, s->worker->key, row->tag_key, &fits);
    if (s->rc == FLAMENCO_OK && !fits)
        s->wrong_tag += waiting;
    else if (s->rc == FLAMENCO_OK)
        s->rc = survey_types(s, row);
    return s->rc != FLAMENCO_OK;
}

static int32_t tell_survey(const survey *s)
{
    const struct {
        const char *code;
        uint64_t count;
        const char *text;
    } reasons[] = {
        { "tag-mismatch", s->wrong_tag, "waiting task(s) belong to jobs for workers with another tag" },
        { "worker-blocked", s->blocked, "waiting task(s) are of types that it is blocked from in their job" },
        { "no-task-of-type", s->wrong_type, "waiting task(s) are of types that it does not support" },
        { "dependencies-open", s->dependent, "waiting task(s) wait for other tasks" },
        { "tasks-failed-by-worker", s->ready, "waiting task(s) have failed on this worker before" },
    };
    int32_t rc = FLAMENCO_OK;
    if (s->jobs == 0)
        return fl_explain_tell(s->e, "no-job", 0, "No queued or active job has a task that waits");
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]) && rc == FLAMENCO_OK; ++i) {
        if (reasons[i].count > 0)
            rc = fl_explain_tell(s->e, reasons[i].code, reasons[i].count, "%llu %s",
                                 (unsigned long long)reasons[i].count, reasons[i].text);
    }
    return rc;
}

typedef struct probe {
    fl_explain *e;
    int64_t worker_key;
    int found;
    int32_t rc;
} probe;

static int32_t probe_group(void *ctx, const flamenco_runnable_group *row)
{
    probe *p = ctx;
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    int32_t rc = flamenco_persist_task_runnable(&p->e->scheduler->persist, p->e->cx, row->job_key, row->task_type,
                                                p->worker_key, &task, p->e->err);
    p->found = rc == FLAMENCO_OK;
    p->rc = rc == FLAMENCO_E_NOT_FOUND ? FLAMENCO_OK : rc;
    return p->found || p->rc != FLAMENCO_OK;
}

/* Tells what keeps the worker itself from asking for tasks. */
static int32_t explain_worker_state(fl_explain *e, const flamenco_worker *worker, int *stopped_out)
{
    int32_t rc = FLAMENCO_OK;
    *stopped_out = 0;
    if (worker->requested != FLAMENCO_WORKER_NONE) {
        *stopped_out = 1;
        rc = fl_explain_tell(e, "status-requested", 1, "It was asked to go %s",
                             flamenco_worker_status_text(worker->requested));
    }
    if (rc == FLAMENCO_OK && worker->status != FLAMENCO_WORKER_AWAKE) {
        char code[40];
        const char *status =
            worker->status == FLAMENCO_WORKER_NONE ? "new" : flamenco_worker_status_text(worker->status);
        *stopped_out = 1;
        (void)snprintf(code, sizeof(code), "worker-%s", status);
        rc = fl_explain_tell(e, code, 1, "It is %s; only awake workers get tasks", status);
    }
    if (rc == FLAMENCO_OK && worker->task_types.len == 0) {
        *stopped_out = 1;
        rc = fl_explain_tell(e, "no-task-types", 1, "It supports no task type");
    }
    return rc;
}

static int32_t explain_worker(fl_explain *e, const flamenco_uuid *uuid)
{
    const flamenco_persistence_ref *persist = &e->scheduler->persist;
    flamenco_worker worker = { .struct_size = (uint32_t)sizeof(worker) };
    flamenco_task held = { .struct_size = (uint32_t)sizeof(held) };
    int stopped = 0;
    int32_t rc = flamenco_persist_worker_get(persist, e->cx, uuid, &worker, e->err);
    if (rc == FLAMENCO_OK)
        rc = explain_worker_state(e, &worker, &stopped);
    if (rc != FLAMENCO_OK || stopped)
        return rc;
    rc = flamenco_persist_task_held(persist, e->cx, worker.key, &held, e->err);
    if (rc != FLAMENCO_E_NOT_FOUND)
        return rc; /* it has a task, or the store fails */
    probe p = { .e = e, .worker_key = worker.key };
    rc = flamenco_persist_runnable_groups(persist, e->cx, worker.key, probe_group, &p, e->err);
    if (rc == FLAMENCO_OK)
        rc = p.rc;
    if (rc != FLAMENCO_OK || p.found)
        return rc; /* it will get that task when it asks */
    survey s = { .e = e, .worker = &worker };
    const flamenco_page page = {
        .struct_size = (uint32_t)sizeof(page),
        .status_mask = schedulable_mask,
        .updated_after_us = FLAMENCO_TIME_NONE,
    };
    rc = flamenco_persist_jobs_list(persist, e->cx, &page, survey_job, &s, NULL, e->err);
    if (rc == FLAMENCO_OK)
        rc = s.rc;
    return rc == FLAMENCO_OK ? tell_survey(&s) : rc;
}

int32_t fl_scheduler_explain(void *self, flamenco_cx *cx, uint32_t what, const flamenco_uuid *uuid,
                             flamenco_visit_reason visit, void *ctx, flamenco_error *err)
{
    fl_explain e = { .scheduler = self, .cx = cx, .visit = visit, .ctx = ctx, .err = err };
    switch (what) {
    case FLAMENCO_EXPLAIN_JOB:
        return explain_job(&e, uuid);
    case FLAMENCO_EXPLAIN_TASK:
        return explain_task(&e, uuid);
    case FLAMENCO_EXPLAIN_WORKER:
        return explain_worker(&e, uuid);
    default:
        return flamenco_fail(err, FLAMENCO_E_INVALID, "there is nothing of kind %u to explain", what);
    }
}
