/* SPDX-License-Identifier: Apache-2.0
 *
 * failure.c - what follows when a worker reports that it failed a task: failure list, blocklist, another try, a failed task
 * or a failed job (state-and-scheduling 8, decisions "blocklist and fail thresholds"). Called by the handler of taskUpdate.
 */
#include "state_machine.h"

/* One failure, while it is being decided. */
typedef struct failure {
    fl_sm *sm;
    flamenco_cx *cx;
    flamenco_task *task;
    const flamenco_worker *worker;
    flamenco_str activity;
    uint64_t n_task; /* workers that failed this task */
    uint64_t n_worker; /* tasks of this job and type that this worker failed */
    uint64_t n_left; /* workers that could still run the task */
} failure;

static uint64_t read_threshold(const fl_sm *sm, const char *key)
{
    int64_t value = sm->config->integer(sm->config->c, key);
    return value > 0 ? (uint64_t)value : 0;
}

static int32_t count_capable(failure *f, flamenco_error *err)
{
    return flamenco_persist_workers_capable(&f->sm->persist, f->cx, f->task->job_key, f->task->type, f->task->key,
                                            f->cx->now_us - f->sm->capable_seen_within_us, &f->n_left, err);
}

static int32_t fail_task(failure *f, flamenco_str line, uint32_t to, flamenco_error *err)
{
    int32_t rc = fl_sm_log_line(f->sm, f->cx, f->task, line, err);
    return rc == FLAMENCO_OK ? fl_sm_task_set_status(f->sm, f->cx, f->task, to, f->activity, err) : rc;
}

static int32_t fail_hard(failure *f, flamenco_error *err)
{
    flamenco_str line;
    int32_t rc = fl_sm_format(f->sm, f->cx, &line, err, "Task failed on %llu worker(s), and will not be tried again",
                              (unsigned long long)f->n_task);
    return rc == FLAMENCO_OK ? fail_task(f, line, FLAMENCO_TASK_FAILED, err) : rc;
}

static int32_t fail_softly(failure *f, uint64_t threshold, flamenco_error *err)
{
    flamenco_str line;
    int32_t rc = fl_sm_format(f->sm, f->cx, &line, err,
                              "Task failed on %llu worker(s); %llu more failure(s) will make it fail for good",
                              (unsigned long long)f->n_task, (unsigned long long)(threshold - f->n_task));
    return rc == FLAMENCO_OK ? fail_task(f, line, FLAMENCO_TASK_SOFT_FAILED, err) : rc;
}

static int32_t fail_job(failure *f, flamenco_error *err)
{
    flamenco_str line;
    flamenco_str worker;
    flamenco_str reason;
    const flamenco_str type = f->task->type;
    int32_t rc = fl_sm_worker_text(f->sm, f->cx, f->worker->name, &f->worker->uuid, &worker, err);
    if (rc == FLAMENCO_OK)
        rc = fl_sm_format(f->sm, f->cx, &line, err,
                          "Task failed on worker %.*s, and no worker is left that could run tasks of type \"%.*s\"",
                          (int)worker.len, worker.ptr, (int)type.len, type.ptr);
    if (rc == FLAMENCO_OK)
        rc = fail_task(f, line, FLAMENCO_TASK_FAILED, err);
    if (rc == FLAMENCO_OK)
        rc = fl_sm_format(f->sm, f->cx, &reason, err, "no worker is left that could run tasks of type \"%.*s\"",
                          (int)type.len, type.ptr);
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_get_key(&f->sm->persist, f->cx, f->task->job_key, &job, err);
    return rc == FLAMENCO_OK ? fl_sm_job_set_status(f->sm, f->cx, &job, FLAMENCO_JOB_FAILED, reason, NULL, err) : rc;
}

/* Blocks the worker, and gives others another try at what it failed in this job. */
static int32_t block_worker(failure *f, flamenco_error *err)
{
    int32_t rc =
        flamenco_persist_blocklist_add(&f->sm->persist, f->cx, f->task->job_key, f->worker->key, f->task->type, err);
    if (rc == FLAMENCO_OK)
        rc = count_capable(f, err);
    if (rc != FLAMENCO_OK || f->n_left == 0)
        return rc; /* the job fails; then there is no point in another try */
    flamenco_str worker;
    flamenco_str reason;
    rc = fl_sm_worker_text(f->sm, f->cx, f->worker->name, &f->worker->uuid, &worker, err);
    if (rc == FLAMENCO_OK)
        rc = fl_sm_format(f->sm, f->cx, &reason, err, "worker %.*s was blocked from tasks of type \"%.*s\" of this job",
                          (int)worker.len, worker.ptr, (int)f->task->type.len, f->task->type.ptr);
    if (rc == FLAMENCO_OK)
        rc = fl_sm_return_tasks(f->sm, f->cx, f->worker->key, FLAMENCO_TASK_FAILED, f->task->job_key, reason, err);
    return rc;
}

int32_t fl_sm_task_failed(void *self, flamenco_cx *cx, flamenco_task *task, const flamenco_worker *worker,
                          flamenco_str activity, flamenco_error *err)
{
    failure f = { .sm = self, .cx = cx, .task = task, .worker = worker, .activity = activity };
    int32_t rc = flamenco_persist_failure_add(&f.sm->persist, cx, task->key, worker->key, &f.n_task, &f.n_worker, err);
    if (rc != FLAMENCO_OK)
        return rc;
    const uint64_t block_at = read_threshold(f.sm, "blocklist_threshold");
    const uint64_t fail_at = read_threshold(f.sm, "task_fail_after_softfail_count");
    if (f.n_worker >= block_at) {
        rc = block_worker(&f, err);
        if (rc == FLAMENCO_OK && f.n_left == 0)
            rc = fail_job(&f, err);
        if (rc != FLAMENCO_OK || f.n_left == 0)
            return rc;
    }
    if (f.n_task >= fail_at)
        return fail_hard(&f, err);
    if (f.n_left == 0) {
        rc = count_capable(&f, err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return f.n_left == 0 ? fail_job(&f, err) : fail_softly(&f, fail_at, err);
}
