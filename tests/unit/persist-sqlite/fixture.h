/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture.h - what the tests of persist-sqlite stand on: a host, a store in a directory of its own, and short ways to make
 * jobs, tasks and workers. Used by every test of this folder and by tests/bench/persist.c.
 */
#ifndef FL_PERSIST_FIXTURE_H
#define FL_PERSIST_FIXTURE_H

#include "fake_host.h"
#include "flamenco/persistence.h"
#include "temp_dir.h"

#define SECOND INT64_C(1000000)
#define NOW (INT64_C(1774620000) * SECOND) /* 2026-03-27 14:00 UTC */

typedef struct fixture {
    fake_host fake;
    const flamenco_plugin *plugin;
    const flamenco_persistence *db;
    void *self;
    flamenco_session *writer;
    flamenco_cx *cx; /* the writer's */
    fake_cx *own_cx; /* holds it */
    flamenco_error err;
    char dir[TEMP_DIR_MAX];
    char database[TEMP_DIR_MAX]; /* as the setting says */
    char path[TEMP_DIR_MAX]; /* the file that comes of it */
    uint64_t uuids; /* made so far */
    uint64_t batch; /* last committed */
} fixture;

/* Calls a method in the writer's transaction: DB(f, job_set_priority, key, 60) gives its result. */
#define DB(f, method, ...) (f)->db->method((f)->self, (f)->cx, __VA_ARGS__, &(f)->err)
/* The same; the test ends when it fails. */
#define OK(f, method, ...) \
    do { \
        int32_t ok_rc = DB(f, method, __VA_ARGS__); \
        if (ok_rc != FLAMENCO_OK) \
            fail_msg("%s: %d %s", #method, (int)ok_rc, (f)->err.text); \
    } while (0)

#define EXPECT_TEXT(text, expected) assert_true(flamenco_str_equal(text, flamenco_text(expected)))

/* Makes the directory and the host, starts nothing. */
void fixture_init(fixture *f);
/* Starts the plugin (create, configure, start) and opens the writer. Returns what failed, with the text in f->err. */
int32_t fixture_start(fixture *f);
/* Closes the writer and stops the plugin in order. */
void fixture_stop(fixture *f);
/* Ends the plugin as a killed process would: what is open stays as it is on disk. */
void fixture_crash(fixture *f);
/* Stops what runs and removes the directory. */
void fixture_fini(fixture *f);

/* fixture_init, fixture_start, fixture_begin; for cmocka: *state is the fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* A transaction of the writer in f->cx. */
void fixture_begin(fixture *f);
void fixture_commit(fixture *f); /* with the next batch number */
/* Commit and begin. */
void fixture_next(fixture *f);
/* Commits, frees what the arena holds, and begins: for tests that read many rows. */
void fixture_forget(fixture *f);

flamenco_uuid fixture_uuid(fixture *f);

/* One of a job's tasks: type, priority, and up to four indexes (from 1) of tasks that it depends on. */
typedef struct task_spec {
    const char *type;
    int32_t priority;
    uint32_t needs[4];
    int64_t steps;
} task_spec;

/* Stores a job with these tasks and shows it. Returns its key; asserts that everything worked. */
int64_t fixture_job(fixture *f, int32_t priority, int64_t tag, const task_spec *tasks, uint32_t n);
/* Stores an awake worker. */
int64_t fixture_worker(fixture *f, const char *name, const char *types);
int64_t fixture_tag(fixture *f, const char *name);

/* Reads a row; asserts that it exists. */
flamenco_job fixture_read_job(fixture *f, int64_t key);
flamenco_task fixture_read_task(fixture *f, int64_t job, uint32_t index);
flamenco_worker fixture_read_worker(fixture *f, int64_t key);

/* Sets one task's status. */
flamenco_job_counts fixture_set_task(fixture *f, int64_t job, uint32_t index, uint32_t status);
flamenco_job_counts fixture_set_job(fixture *f, int64_t job, uint32_t status);

/* What a scheduler that knows nothing but the contract would hand out: the held task, else the best of the best groups. Gives
 * 0 and the task, or NOT_FOUND. */
int32_t fixture_pick(fixture *f, flamenco_cx *cx, int64_t worker, flamenco_task *out);
/* The same, and assigns it. */
int32_t fixture_assign(fixture *f, int64_t worker, flamenco_task *out);

/* Runs the store's own check on a session of its own. */
int32_t fixture_check(fixture *f);

#endif
