/* SPDX-License-Identifier: Apache-2.0
 *
 * rows.h - running the prepared statements: binding, stepping, reading columns, and handing rows over the border. Used by
 * every file that implements methods of the service. Each back end has its own query.c behind the first part of this header,
 * and its own store.h and statements.h (README.md of this folder).
 */
#ifndef FL_ROWS_H
#define FL_ROWS_H

#include "store.h"

/* A statement in use (`fl_query`, store.h). Errors are sticky: after one, binding does nothing and stepping returns it.
 *
 * Takes the session's statement, prepared at its first use. Every query is ended by fl_query_end(). */
fl_query fl_query_begin(flamenco_session *s, fl_sql id);
/* The same for a statement whose text is put together from fixed pieces; `slot` keeps it. */
fl_query fl_query_begin_text(flamenco_session *s, fl_kept *slot, const char *sql);
/* Tells whether the slot keeps a statement already, so that its text need not be made. */
int fl_query_is_kept(const fl_kept *slot);
/* Runs a statement without parameters and rows. */
int32_t fl_run_statement(flamenco_session *s, fl_sql id);
void fl_bind_int(fl_query *q, int at, int64_t value);
void fl_bind_time(fl_query *q, int at, int64_t time_us); /* FLAMENCO_TIME_NONE = NULL */
void fl_bind_text(fl_query *q, int at, flamenco_str text);
void fl_bind_uuid(fl_query *q, int at, const flamenco_uuid *uuid);
/* Returns 1 for a row, 0 at the end, or a negative error. */
int32_t fl_query_step(fl_query *q);
/* Resets the statement. Returns rc when it is an error, else the query's own error or 0. */
int32_t fl_query_end(fl_query *q, int32_t rc);
/* Steps to the end and resets. Returns 0 or a negative error. A back end may send a change without waiting for its answer: an
 * error is then told by a later call, at the latest by fl_leave() of the method where the caller can be to blame for it. */
int32_t fl_query_run(fl_query *q);
/* The same, and tells how many rows it changed. */
int32_t fl_query_run_count(fl_query *q, int64_t *changed_out);
/* The same for a statement that gives one integer: *out is it, or `none` without a row. */
int32_t fl_query_int(fl_query *q, int64_t none, int64_t *out);

int64_t fl_column_int(const fl_query *q, int at);
int64_t fl_column_time(const fl_query *q, int at);
flamenco_str fl_column_text(fl_query *q, int at); /* valid until the next step; without memory q->rc is set */
flamenco_uuid fl_column_uuid(const fl_query *q, int at); /* none for NULL */

/* Copies a row out to its struct, as much as the caller's struct_size has room for. */
void fl_row_out(void *out, const void *row, uint32_t size);
/* Copies a caller's struct in; members that it does not have are zero. */
void fl_row_in(void *row, uint32_t size, const void *from);
/* Replaces each text by a copy in the arena of the running method's cx. The list ends with NULL. NOMEM. */
int32_t fl_texts_keep(flamenco_session *s, flamenco_str *const *texts);

/* ---- Rows of the service; each reads the columns of the matching FL_*_COLUMNS and returns q->rc ---- */

int32_t fl_job_read(fl_query *q, flamenco_job *row);
int32_t fl_task_read(fl_query *q, flamenco_task *row, uint32_t with_commands);
int32_t fl_worker_read(fl_query *q, flamenco_worker *row);
/* The columns of FL_TASK_OWN_COLUMNS; the rest of the row is left as it is. */
int32_t fl_task_read_alone(fl_query *q, flamenco_task *row);

/* Steps once and gives the row out with its texts kept. NOT_FOUND when there is none, with `what` in the text. Ends q. */
int32_t fl_job_out(fl_query *q, flamenco_job *out);
int32_t fl_task_out(fl_query *q, flamenco_task *out, uint32_t with_commands, const char *what);
int32_t fl_worker_out(fl_query *q, flamenco_worker *out);
/* Gives out the row that q stands at, its texts kept. Does not end q. */
int32_t fl_task_give(fl_query *q, flamenco_task *out, uint32_t with_commands);
/* Gives every row to the visitor. Ends q. */
int32_t fl_jobs_visit(fl_query *q, flamenco_visit_job visit, void *ctx);
int32_t fl_tasks_visit(fl_query *q, flamenco_visit_task visit, void *ctx);
int32_t fl_workers_visit(fl_query *q, flamenco_visit_worker visit, void *ctx);

/* ---- What the writer knows without reading it (known.c); readers know nothing ---- */

/* What never changes of a job as long as it is visible. */
typedef struct fl_known_job {
    flamenco_uuid uuid;
    int64_t first_task;
} fl_known_job;

/* Gives out a worker's row that was kept and is still true; NOT_FOUND: it has to be read. NOMEM. */
int32_t fl_known_worker(flamenco_session *s, const flamenco_uuid *uuid, flamenco_worker *out);
/* The same row, valid until the next method keeps one; NULL. */
const flamenco_worker *fl_known_worker_key(const flamenco_session *s, int64_t key);
/* Keeps the row of a worker that was read just now and is not deleted. */
void fl_known_worker_keep(flamenco_session *s, const flamenco_worker *row);
/* Reads a job unless it is known. Returns 1, 0 when there is no such job or it is hidden, or a negative error. */
int32_t fl_known_job_get(flamenco_session *s, int64_t key, fl_known_job *out);
/* Spreads UUIDs over places: by bytes that differ in those of one moment, too. */
static inline uint32_t fl_known_hash(const flamenco_uuid *uuid)
{
    uint32_t a, b;
    memcpy(&a, uuid->b + 4, sizeof(a));
    memcpy(&b, uuid->b + 12, sizeof(b));
    return a ^ b;
}

/* Gives a task that is known, but for what its job and its worker have to say, and notes its state. Returns 1, 0: it has to be
 * read, or a negative error. Its texts are valid until something is changed. */
int32_t fl_known_task_get(flamenco_session *s, const flamenco_uuid *uuid, flamenco_task *row);
/* Keeps a task that was read just now. */
void fl_known_task_keep(flamenco_session *s, const flamenco_task *row);
/* It was changed: `set` of FLAMENCO_TASK_SET_*, `now` its state; or by other means, and has to be read. */
void fl_known_task_change(flamenco_session *s, const fl_task_state *now, uint32_t set, flamenco_str activity);
void fl_known_task_drop(flamenco_session *s, int64_t key);
/* The whole row of a job, with texts of its own. NOT_FOUND: it is not known. */
int32_t fl_known_job_row(flamenco_session *s, int64_t key, flamenco_job *out);
int fl_known_has_job_row(const flamenco_session *s, int64_t key);
/* Keeps the row of a visible job that was read just now. */
void fl_known_job_row_keep(flamenco_session *s, const flamenco_job *row);
/* Tells whether runq is known to have no row of this tag and type; keeps that it has none now; a row comes. */
int fl_known_empty(flamenco_session *s, int64_t tag, int64_t type);
void fl_known_empty_keep(flamenco_session *s, int64_t tag, int64_t type);
void fl_known_empty_forget(flamenco_session *s, int64_t tag, int64_t type);
/* Called before every statement that changes one of FL_WORKER_COLUMNS, what a job shows or hides, one of FL_JOB_COLUMNS otherwise
 * than fl_job_state_change(), or tasks of which there may be many, or that gives rows of runq another tag. */
void fl_known_changed(flamenco_session *s, uint32_t kind);
/* A transaction begins, has been committed; a transaction or savepoint ends, kept or undone. */
void fl_known_begin(flamenco_session *s);
void fl_known_committed(flamenco_session *s);
void fl_known_end(flamenco_session *s);
void fl_known_tasks_fini(flamenco_session *s);
void fl_known_fini(flamenco_session *s);

/* What part of a list is wanted, in the terms of SQL. */
typedef struct fl_page {
    uint32_t order, descending, flags;
    int64_t mask; /* of statuses, never 0 unless none matches */
    int64_t updated_after_us;
    int64_t after_key;
    int64_t limit; /* -1 = all */
    int64_t offset;
} fl_page;

/* Reads it (page.c). INVALID: an order above last_order, or flags outside `flags`. */
int32_t fl_page_read(flamenco_session *s, const flamenco_page *page, uint32_t statuses, uint32_t last_order,
                     uint32_t flags, fl_page *out);

/* ---- Task types: texts outside, small numbers inside (types.c) ---- */

/* The number of a type. Returns 1 when it exists, 0 when not and `create` is 0, or a negative error. */
int32_t fl_type_number(flamenco_session *s, flamenco_str name, uint32_t create, int64_t *out);
/* The name of a number, valid until the session ends its transaction. CORRUPT for an unknown one. */
int32_t fl_type_name(flamenco_session *s, int64_t type, flamenco_str *out);
/* Forget what a rollback took back: new names, the last task read and what is known; keep the names that a commit made lasting;
 * free all. */
void fl_rows_rollback(flamenco_session *s);
void fl_types_commit(flamenco_session *s);
void fl_types_fini(flamenco_session *s);

/* ---- What a job lets run (runq.c) ---- */

/* The part of a job that its changes work with: job_hot without the texts. */
typedef struct fl_job_state {
    int64_t key;
    uint32_t status;
    int32_t priority;
    int64_t tag;
    uint32_t hidden, marked;
    int64_t steps_total, steps_done;
    int64_t n[FLAMENCO_TASK_STATUSES];
} fl_job_state;

/* A change of the counters. */
typedef struct fl_job_delta {
    int64_t n[FLAMENCO_TASK_STATUSES];
    int64_t steps_total, steps_done;
    int64_t updated_us; /* FLAMENCO_TIME_NONE = leave alone */
} fl_job_delta;

/* Tasks that a change made runnable. */
typedef struct fl_made {
    uint64_t n;
    int64_t type; /* theirs; 0 = none yet, -1 = several */
} fl_made;

static inline void fl_made_add(fl_made *made, uint64_t n, int64_t type)
{
    if (n == 0)
        return;
    made->type = made->n == 0 || made->type == type ? type : -1;
    made->n += n;
}

static inline int fl_job_schedulable(const fl_job_state *job)
{
    return job->status <= FLAMENCO_JOB_ACTIVE && !job->hidden && !job->marked;
}

/* Tells whether a task with these values is one that its job hands out. */
static inline int fl_task_is_open(uint32_t status, int64_t open_deps)
{
    return status <= FLAMENCO_TASK_SOFT_FAILED && open_deps == 0;
}

/* The state of a job that is known (known.c). Returns 1 when it is. */
int fl_known_state(flamenco_session *s, int64_t key, fl_job_state *out);
void fl_known_state_keep(flamenco_session *s, const fl_job_state *row);
/* The store's counters of a job were changed so. */
void fl_known_state_add(flamenco_session *s, int64_t key, const fl_job_delta *delta);

/* Reads it. Returns 1, 0 when there is no such job, or a negative error. */
int32_t fl_job_state_get(flamenco_session *s, int64_t key, fl_job_state *out);
/* The same, but NOT_FOUND for a missing or hidden job. */
int32_t fl_job_state_visible(flamenco_session *s, int64_t key, fl_job_state *out);
/* Applies a change of counters and reads the result. */
int32_t fl_job_state_add(flamenco_session *s, int64_t key, const fl_job_delta *delta, fl_job_state *out);
/* The same without reading it. */
int32_t fl_job_state_change(flamenco_session *s, int64_t key, const fl_job_delta *delta);
/* The pieces of it: names the statement, binds it, reads FL_JOB_STATE_COLUMNS. */
fl_sql fl_job_delta_statement(const fl_job_delta *delta);
void fl_job_delta_bind(fl_query *q, int64_t key, const fl_job_delta *delta);
void fl_job_state_read(const fl_query *q, fl_job_state *out);
/* Gives out the counters. made may be NULL, out too. */
int32_t fl_job_state_out(flamenco_session *s, const fl_job_state *job, const fl_made *made, flamenco_job_counts *out);

/* A count of runnable tasks stops here: nobody has more workers to wake. */
#define FL_RUNNABLE_MOST 10000

/* Writes the runq row of one job and type, whose best runnable task has that priority. The job is schedulable. */
int32_t fl_runq_put(flamenco_session *s, const fl_job_state *job, int64_t type, int64_t priority);
/* Makes all rows of a job match, also those of a job that is not schedulable: none. */
int32_t fl_runq_rebuild(flamenco_session *s, const fl_job_state *job);
/* Counts the runnable tasks of a schedulable job, up to FL_RUNNABLE_MOST, and their type. */
int32_t fl_runq_count(flamenco_session *s, int64_t job, fl_made *made);
/* One visible job more or less of a status. */
int32_t fl_job_count_add(flamenco_session *s, uint32_t status, int64_t n);

/* Reads it. NOT_FOUND. */
int32_t fl_task_state_get(flamenco_session *s, int64_t key, fl_task_state *out);
/* Keeps what was read or written just now: most tasks are changed right after they were read, and some twice. */
void fl_task_state_keep(flamenco_session *s, const fl_task_state *row);

/* ---- ripple.c, or what a back end has in its place ---- */

/* A task has changed its status, and its row says so: changes the job's counters by `delta`, what is runnable, and the tasks that
 * wait for it. Gives out the job's state afterwards, and what became runnable. */
int32_t fl_ripple(flamenco_session *s, const fl_task_state *was, const fl_task_state *now, const fl_job_delta *delta,
                  fl_job_state *job, fl_made *made);

/* Moves open_deps of the tasks that wait for `needs` by `delta` (1 or -1), and what is runnable with them. */
int32_t fl_deps_move(flamenco_session *s, const fl_job_state *job, int64_t needs, int64_t delta, fl_made *made);

/* First task key and one behind the last of a job, hidden or not. Returns 1, 0 when there is no such job, or an error. */
int32_t fl_job_range(flamenco_session *s, int64_t job, int64_t *first_out, int64_t *end_out);

/* ---- Is everything as a recount says? (recount.c) CORRUPT with the first finding ---- */

/* Checks all of it, in transactions of its own: the session has none. */
int32_t fl_recount_all(fl_store *store, flamenco_session *session, flamenco_cx *cx, flamenco_error *err);

#endif
