/* SPDX-License-Identifier: Apache-2.0
 *
 * vectors.h - one change of a task or job, and what it must lead to. For the tests of the state machine.
 */
#ifndef VECTORS_H
#define VECTORS_H

#include "farm.h"
#include "flamenco/calls/state_machine.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline flamenco_state_machine_ref machine_of(const farm *f)
{
    flamenco_state_machine_ref ref = { fake_host_table(flamenco_plugin_query(), FLAMENCO_STATE_MACHINE), f->self };
    return ref;
}

/* Fails the test with the call's error. */
static inline void expect_ok(int32_t rc, const flamenco_error *err, const char *what)
{
    if (rc != FLAMENCO_OK)
        fail_msg("%s: %d %s", what, rc, err->text);
}

/* Where memory ends within a method of persistence that has changed rows already, the whole transaction is lost. */
static inline void expect_no_memory(int32_t rc)
{
    assert_true(rc == FLAMENCO_E_NOMEM || rc == FLAMENCO_E_UNAVAILABLE);
}

static inline void expect_text(const char *what, const char *which, const char *got, const char *wanted)
{
    if (strcmp(got, wanted) != 0)
        fail_msg("%s: %s is '%s', not '%s'", what, which, got, wanted);
}

/* Compares story, tasks and job status of job 1. */
static inline void expect_farm(farm *f, const char *what, const char *story, const char *tasks, const char *job)
{
    char letters[256];
    expect_text(what, "the story", farm_story(f), story);
    expect_text(what, "the list of tasks", farm_tasks(f, 1, letters), tasks);
    expect_text(what, "the job's status", farm_job_status(f, 1), job);
}

/* Changes a task of job 1 in a transaction of its own. */
static inline void set_task(farm *f, uint32_t index, char to, const char *activity)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_state_machine_ref machine = machine_of(f);
    flamenco_cx *cx = farm_begin(f);
    flamenco_task task = farm_task_row(f, 1, index);
    flamenco_str text = { activity, activity != NULL ? strlen(activity) : 0 };
    expect_ok(flamenco_state_machine_task_set_status(&machine, cx, &task, farm_task_status(to), text, &err), &err,
              "task_set_status");
    flamenco_task stored = farm_task_row(f, 1, index);
    assert_int_equal(task.status, stored.status);
    assert_int_equal(task.steps_completed, stored.steps_completed);
    assert_int_equal(task.updated_us, stored.updated_us);
    assert_true(flamenco_str_equal(task.activity, stored.activity));
    farm_commit(f);
}

/* Changes job 1 in a transaction of its own. Returns what was put into pending_out. */
static inline uint32_t set_job(farm *f, uint32_t to, const char *reason)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_state_machine_ref machine = machine_of(f);
    uint32_t pending = 77;
    flamenco_cx *cx = farm_begin(f);
    flamenco_job job = farm_job_row(f, 1);
    expect_ok(flamenco_state_machine_job_set_status(&machine, cx, &job, to, flamenco_text(reason), &pending, &err),
              &err, "job_set_status");
    flamenco_job stored = farm_job_row(f, 1);
    assert_int_equal(job.status, stored.status);
    assert_memory_equal(job.counts, stored.counts, sizeof(job.counts));
    assert_true(flamenco_str_equal(job.activity, stored.activity));
    farm_commit(f);
    return pending;
}

/* A text of a row, as a C string that is valid until the next call. */
static inline const char *text_of(flamenco_str text)
{
    static char copy[512];
    size_t len = text.len < sizeof(copy) ? (size_t)text.len : sizeof(copy) - 1;
    if (len > 0)
        memcpy(copy, text.ptr, len);
    copy[len] = '\0';
    return copy;
}

#endif
