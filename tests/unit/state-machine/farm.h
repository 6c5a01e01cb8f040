/* SPDX-License-Identifier: Apache-2.0
 *
 * farm.h - a farm for tests of plugins that change state: the real persistence plugin on a temporary database, the plugin
 * under test (the one compiled into the test), and a host that remembers effects. Called by the tests of the state machine
 * and of the scheduler.
 *
 * Statuses of tasks are letters: A active, C completed, F failed, P paused, Q queued, S soft-failed, X canceled. A job's
 * tasks are written "A,C,Q" or, when there are many, "F*9,A,Q*90".
 *
 * The story of what was broadcast is one text: "task2 A>C; job queued>active+": a job event with a plus asks for a refetch
 * of the tasks; a task or job event without previous status has no '>'. Jobs but the first are "job2", their tasks
 * "job2.task1".
 */
#ifndef FARM_H
#define FARM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fake_host.h"
#include "flamenco/calls/persistence.h"
#include "temp_dir.h"

#ifndef FARM_MAX_JOBS
#define FARM_MAX_JOBS 16
#endif

/* What farm_add_job makes. Zeroed: a queued job of priority 50 with tasks of type "blender" and priority 50. */
typedef struct farm_job {
    const char *tasks;
    uint32_t status;
    int32_t priority; /* 0 = 50 */
    int64_t tag_key;
    const char *types; /* of the tasks, one each, separated by commas; the last one is for all that follow */
    const char *priorities; /* the same */
    const char *deps; /* "2-1,3-1": task 2 depends on task 1 */
    const char *activity;
    const char *metadata; /* NULL = "{}" */
} farm_job;

typedef struct farm {
    fake_host store_host, host; /* of persistence, and of the plugin under test */
    void *library;
    const flamenco_plugin *store_plugin;
    void *store, *self; /* the instances */
    flamenco_persistence_ref persist;
    flamenco_session *writer;
    char directory[TEMP_DIR_MAX];
    fake_cx *cx; /* of the open transaction, else NULL */
    size_t records_before; /* when the open transaction began */
    uint64_t batch;
    uint32_t n_jobs, n_workers;
    int64_t job_keys[FARM_MAX_JOBS];
} farm;

/* Starts everything. settings: pairs "key", "value" of the plugin under test, ended by NULL; may be NULL. */
void farm_start(farm *f, const char *const *settings);
/* The same; serve() makes more services findable (fake_host_serve on f->host) before the plugin under test is made. */
void farm_start_with(farm *f, const char *const *settings, void (*serve)(farm *f));
void farm_stop(farm *f);

/* A transaction as the executor makes it, with one savepoint. Rolling back forgets the effects. */
flamenco_cx *farm_begin(farm *f);
void farm_commit(farm *f);
void farm_rollback(farm *f);

/* Runs the queued steps, each in a transaction of its own, until none waits. A failure of one ends the test. Returns how
 * many were run. */
size_t farm_run_steps(farm *f);
/* Runs the first queued step once, and rolls it back; it stays the first. */
void farm_spoil_step(farm *f);

/* Stores rows in a transaction of their own. Return the key. Jobs and workers are numbered from 1. */
int64_t farm_add_job(farm *f, const farm_job *job);
int64_t farm_add_worker(farm *f, const char *task_types, uint32_t status);
int64_t farm_add_tag(farm *f, const char *name);
void farm_tag_worker(farm *f, uint32_t worker, int64_t tag_key);

/* Row by its number; texts are valid until the transaction ends. Within a transaction only. */
flamenco_job farm_job_row(farm *f, uint32_t job);
flamenco_task farm_task_row(farm *f, uint32_t job, uint32_t index);
flamenco_worker farm_worker_row(farm *f, uint32_t worker);

/* Change one task past the plugin under test. Within a transaction. */
void farm_set_task(farm *f, uint32_t job, uint32_t index, char status, uint32_t worker);

/* The statuses of a job's tasks now, as "A,C,Q", more than two equal ones in a row as "Q*3". Own transaction when none is
 * open. out: at least 256 bytes. */
const char *farm_tasks(farm *f, uint32_t job, char *out);
/* The status of a job as text. */
const char *farm_job_status(farm *f, uint32_t job);

/* The story since farm_forget. Valid until the next call. */
const char *farm_story(farm *f);
/* The log lines since then, separated by newlines. */
const char *farm_log(farm *f);
/* The wake-ups since then: "3 blender; 1 *"; "worker" for that of one. */
const char *farm_wakes(farm *f);
void farm_forget(farm *f);

uint32_t farm_task_status(char letter);

#endif
