/* SPDX-License-Identifier: Apache-2.0
 * Book-keeping of the soak test; see book.h. Called by soak.c. */
#include "book.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker.h"

enum { VIOLATIONS_SHOWN = 50 };
/* How long a manager may still act on a request whose connection broke. */
static const int64_t unanswered_grace_us = 5000000;

static void *must(void *memory)
{
    if (!memory) {
        fprintf(stderr, "farm-sim: out of memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}

bool fl_book_init(fl_book *book)
{
    *book = (fl_book){ .task_index = json_object(), .job_index = json_object() };
    return book->task_index && book->job_index;
}

void fl_book_fini(fl_book *book)
{
    while (book->jobs_len)
        fl_book_retire(book, book->jobs[book->jobs_len - 1]);
    free(book->jobs);
    json_decref(book->task_index);
    json_decref(book->job_index);
}

void fl_book_violation(fl_book *book, const char *fmt, ...)
{
    if (book->violations++ >= VIOLATIONS_SHOWN)
        return;
    va_list args;
    va_start(args, fmt);
    fputs("farm-sim: VIOLATION: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- look-up ---- */

static void *find(const json_t *index, const char *id)
{
    return (void *)(intptr_t)json_integer_value(json_object_get(index, id));
}

static void remember(json_t *index, const char *id, void *what)
{
    if (json_object_set_new(index, id, json_integer((json_int_t)(intptr_t)what)) < 0)
        must(NULL);
}

fl_book_job *fl_book_job_of(fl_book *book, const char *id)
{
    fl_book_job *job = find(book->job_index, id);
    if (job)
        return job;
    job = must(calloc(1, sizeof *job));
    snprintf(job->id, sizeof job->id, "%s", id);
    if (book->jobs_len == book->jobs_room) {
        book->jobs_room = book->jobs_room ? book->jobs_room * 2 : 16;
        book->jobs = must(realloc(book->jobs, book->jobs_room * sizeof(fl_book_job *)));
    }
    book->jobs[book->jobs_len++] = job;
    remember(book->job_index, id, job);
    return job;
}

fl_book_task *fl_book_find_task(const fl_book *book, const char *id)
{
    return find(book->task_index, id);
}

fl_book_task *fl_book_task_of(fl_book *book, const char *id, const char *job_id)
{
    fl_book_task *task = fl_book_find_task(book, id);
    if (task)
        return task;
    fl_book_job *job = fl_book_job_of(book, job_id);
    task = must(calloc(1, sizeof *task));
    snprintf(task->id, sizeof task->id, "%s", id);
    task->job = job;
    task->last_report = -1;
    if (job->tasks_len == job->tasks_room) {
        job->tasks_room = job->tasks_room ? job->tasks_room * 2 : 16;
        job->tasks = must(realloc(job->tasks, job->tasks_room * sizeof(fl_book_task *)));
    }
    job->tasks[job->tasks_len++] = task;
    remember(book->task_index, id, task);
    return task;
}

void fl_book_retire(fl_book *book, fl_book_job *job)
{
    for (size_t i = 0; i < job->tasks_len; i++) {
        json_object_del(book->task_index, job->tasks[i]->id);
        free(job->tasks[i]);
    }
    for (size_t i = 0; i < book->jobs_len; i++)
        if (book->jobs[i] == job)
            book->jobs[i] = book->jobs[--book->jobs_len];
    json_object_del(book->job_index, job->id);
    free(job->tasks);
    free(job);
}

/* ---- what the workers see ---- */

/* A status change is under way, or one whose connection broke may still be. */
static bool has_ops(const fl_book_task *task)
{
    int64_t now = fl_now_us();
    return task->ops || task->job->ops || task->op_end_us > now || task->job->op_end_us > now;
}

/* Its "failed" is under way: the manager may have given the task to another one before the answer is here. */
static bool is_giving_up(const fl_worker *holder)
{
    return holder->updates.under_way && holder->updates.under_way->kind == FL_UPDATE_FAILED;
}

/* It asked while the task's completion waited in its queue, and was acknowledged before the answer came. */
static bool asked_before_the_end(const fl_book_task *task, const fl_worker *w)
{
    return task->acked_to == w && w->asked_us <= task->acked_us;
}

fl_book_task *fl_book_assigned(fl_book *book, fl_worker *w, const char *task_id, const char *job_id)
{
    fl_book_task *task = fl_book_task_of(book, task_id, job_id);
    if (task->holder && task->holder != w && !task->disturbed && !has_ops(task) && !is_giving_up(task->holder))
        fl_book_violation(book, "task %s was given to %s while %s runs it", task_id, w->name, task->holder->name);
    /* With updates in its queue the worker may run again what it had ended, since the manager does not know that yet.
     * What comes out of the queue then reopens the task ("active"), or gives it to others ("failed"). */
    if (task->acked && !has_ops(task) && !w->updates.head && !asked_before_the_end(task, w))
        fl_book_violation(book, "task %s was given to %s although its completion was acknowledged", task_id, w->name);
    fl_book_put_down(task);
    task->holder = w;
    task->disturbed = has_ops(task) || w->updates.head;
    task->job->holders++;
    return task;
}

void fl_book_put_down(fl_book_task *task)
{
    if (!task->holder)
        return;
    task->holder = NULL;
    task->job->holders--;
}

void fl_book_updated(fl_book *book, const fl_worker *w, const fl_update *u, int status)
{
    fl_book_task *task = fl_book_find_task(book, u->task_id);
    fl_update_kind kind = u->kind;
    bool changes_status = kind == FL_UPDATE_ACTIVE || kind == FL_UPDATE_FAILED || kind == FL_UPDATE_COMPLETED;
    if (status == 409)
        book->reassigned++;
    if (task && changes_status && (status == 0 || status == 204)) {
        task->last_report = (int)kind;
        task->job->rerun |= kind == FL_UPDATE_ACTIVE && task->completed_once;
        task->completed_once |= kind == FL_UPDATE_COMPLETED;
    }
    /* Also without an answer these may have reached the manager, which takes any status from the task's worker. */
    if (task && (kind == FL_UPDATE_ACTIVE || kind == FL_UPDATE_FAILED) && (status == 0 || status == 204))
        task->acked = false;
    if (status != 204)
        return;
    if (kind == FL_UPDATE_FAILED)
        book->failures_acked++;
    if (kind != FL_UPDATE_COMPLETED)
        return;
    book->completions_acked++;
    if (!task)
        return;
    const fl_book_job *job = task->job;
    bool perhaps_reopened =
        job->requeue_ops || task->ops || job->requeue_end_us >= u->sent_us || task->op_end_us >= u->sent_us;
    task->acked = !perhaps_reopened;
    task->acked_to = w;
    task->acked_us = fl_now_us();
}

/* ---- disturbances ---- */

void fl_book_op_begin(fl_book_job *job, fl_book_task *task, bool requeue)
{
    job->ops++;
    job->had_ops = true;
    job->quiet_since_us = 0;
    if (task) {
        task->ops++;
        task->had_ops = true;
        task->acked = false;
        task->disturbed = true;
        return;
    }
    if (requeue) {
        job->requeue_ops++;
        job->requeues++;
    }
    for (size_t i = 0; i < job->tasks_len; i++) {
        job->tasks[i]->disturbed = true;
        if (requeue)
            job->tasks[i]->acked = false;
    }
}

void fl_book_op_end(fl_book_job *job, fl_book_task *task, bool requeue, bool answered)
{
    int64_t end = fl_now_us() + (answered ? 0 : unanswered_grace_us);
    job->ops--;
    job->quiet_since_us = 0;
    if (end > job->op_end_us)
        job->op_end_us = end;
    if (task) {
        task->ops--;
        task->op_end_us = end;
        task->disturbed = true;
        return;
    }
    if (requeue) {
        job->requeue_ops--;
        job->requeue_end_us = end;
    }
    for (size_t i = 0; i < job->tasks_len; i++)
        job->tasks[i]->disturbed = true;
}

/* ---- the end of a job ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

size_t fl_book_count_runnable(const json_t *tasks)
{
    size_t i, queued_free = 0, queued_last = 0, not_completed = 0;
    bool echo_done = false;
    json_t *task;
    json_array_foreach(tasks, i, task)
    {
        const char *name = text_of(task, "name");
        fl_task_status status = fl_task_status_of(text_of(task, "status"));
        bool waits = strcmp(name, "preview-video") == 0 || strcmp(name, "sleep") == 0;
        if (strcmp(name, "echo") == 0)
            echo_done = status == FL_TASK_COMPLETED;
        if (!waits && status != FL_TASK_COMPLETED)
            not_completed++;
        if (status == FL_TASK_QUEUED)
            *(waits ? &queued_last : &queued_free) += 1;
    }
    return queued_free + (echo_done || !not_completed ? queued_last : 0);
}

static void verify_task(fl_book *book, const fl_book_job *job, const json_t *task, const char *job_status)
{
    const char *id = text_of(task, "id"), *status = text_of(task, "status");
    fl_book_task *known = fl_book_find_task(book, id);
    book->tasks_verified++;
    if (known && known->acked) {
        book->acked_verified++;
        if (strcmp(status, "completed") != 0)
            fl_book_violation(book, "LOST: task %s (%s) of job %s is %s, but its completion was acknowledged", id,
                              text_of(task, "name"), job->id, status);
    }
    if (known)
        known->listed = true;
    /* A worker with queued updates runs a task again that it had completed. A job that ended meanwhile keeps its status
     * when that second run fails, or begins and is abandoned; so does a canceled one whose worker is late. */
    bool failed_again = known && known->completed_once && known->last_report == FL_UPDATE_FAILED;
    bool begun_again = known && known->last_report == FL_UPDATE_ACTIVE && (known->completed_once || job->had_ops);
    /* Somebody cancels a task of a completed job while another one is run again: nothing follows from that for the job. */
    bool canceled_beside = known && known->had_ops && job->rerun && strcmp(status, "canceled") == 0;
    if (strcmp(job_status, "completed") == 0 && strcmp(status, "completed") != 0 && !failed_again && !begun_again &&
        !canceled_beside)
        fl_book_violation(book, "job %s is completed, but its task %s is %s", job->id, id, status);
    if (strcmp(status, "active") == 0 && !begun_again)
        fl_book_violation(book, "job %s is %s, but its task %s is still active", job->id, job_status, id);
}

void fl_book_verify(fl_book *book, fl_book_job *job, const json_t *job_reply, const json_t *tasks)
{
    const char *status = text_of(job_reply, "status");
    json_int_t steps = 0;
    size_t i;
    json_t *task;
    book->jobs_verified++;
    if (strcmp(status, "completed") == 0)
        book->jobs_completed++;
    else if (strcmp(status, "failed") == 0)
        book->jobs_failed++;
    else
        book->jobs_canceled++;
    if (job->tasks_wanted && json_array_size(tasks) != job->tasks_wanted)
        fl_book_violation(book, "job %s has %zu tasks instead of %" PRIu32, job->id, json_array_size(tasks),
                          job->tasks_wanted);
    json_array_foreach(tasks, i, task)
    {
        steps += json_integer_value(json_object_get(task, "steps_completed"));
        verify_task(book, job, task, status);
    }
    if (steps != json_integer_value(json_object_get(job_reply, "steps_completed")))
        fl_book_violation(book, "job %s counts %" JSON_INTEGER_FORMAT " steps, its tasks %" JSON_INTEGER_FORMAT,
                          job->id, json_integer_value(json_object_get(job_reply, "steps_completed")), steps);
    for (size_t k = 0; k < job->tasks_len; k++)
        if (!job->tasks[k]->listed)
            fl_book_violation(book, "task %s was handed out, but job %s does not list it", job->tasks[k]->id, job->id);
    fl_book_retire(book, job);
}
