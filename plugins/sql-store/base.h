/* SPDX-License-Identifier: Apache-2.0
 *
 * base.h - what the sessions of every back end have in common, and how a method of the service begins and ends. Included by the
 * store.h of each back end, which completes `struct flamenco_session`, `fl_kept` and `fl_query`.
 */
#ifndef FL_BASE_H
#define FL_BASE_H

#include "flamenco/persistence.h"

typedef struct fl_store fl_store; /* the plugin's instance; has `host` */

/* The part of a task that its changes work with. */
typedef struct fl_task_state {
    int64_t key, job, type, priority, worker, open_deps, steps_total, steps_done;
    uint32_t status;
} fl_task_state;

struct flamenco_txn {
    struct flamenco_session *session;
};

/* Names of task types by their number. Numbers are given out without gaps and a committed name never changes. */
typedef struct fl_types {
    flamenco_str *names; /* names[id - 1], owned */
    uint64_t n, room;
    uint64_t committed; /* of n; what lies above is this transaction's own */
} fl_types;

/* What the writer knows (known.c), by kind. */
typedef struct fl_known fl_known;
typedef struct fl_known_tasks fl_known_tasks; /* known_tasks.c */
#define FL_KNOWN_WORKERS 0u
#define FL_KNOWN_JOBS 1u /* what lasts of them */
#define FL_KNOWN_JOB_STATES 2u /* what changes with their tasks, and whole rows */
#define FL_KNOWN_RUNQ 3u /* what it has no row of */
#define FL_KNOWN_TASKS 4u
#define FL_KNOWN_KINDS 5u

/* The executor's savepoint. */
#define FL_SAVEPOINT_PROMISED 0u /* the database hears of it with the first change in it */
#define FL_SAVEPOINT_SET 1u
#define FL_SAVEPOINT_LEFT_OUT 2u /* it will not hear of it: persist-sqlite's savepoint_unlikely() */

/* What the shared methods use of a session. Begins `struct flamenco_session`. */
// clang-format off
#define FL_SESSION_MEMBERS                                                                                             \
    fl_store *store;                                                                                                   \
    uint32_t kind; /* FLAMENCO_SESSION_* */                                                                            \
    uint32_t open; /* a transaction runs */                                                                            \
    struct flamenco_txn txn;                                                                                           \
    uint32_t in_savepoint; /* the executor's */                                                                        \
    uint32_t savepoint; /* FL_SAVEPOINT_*, of the open one */                                                          \
    int32_t failed; /* why only rollback is allowed; 0 = nothing */                                                    \
    uint32_t visiting; /* lists that are being given out */                                                            \
    uint32_t interrupted; /* atomic: interrupt() was called */                                                         \
    flamenco_cx *cx; /* of the running method */                                                                       \
    flamenco_error *err;                                                                                               \
    fl_types types;                                                                                                    \
    /* The writer's last task that was read or changed (key 0 = none), and fl_changes() then: most tasks are changed right */ \
    /* after, and need not be read again. */                                                                           \
    fl_task_state last_task;                                                                                           \
    int64_t last_changes;                                                                                              \
    fl_known *known; /* NULL = nothing yet */                                                                          \
    fl_known_tasks *known_tasks;                                                                                       \
    uint64_t known_generation[FL_KNOWN_KINDS]; /* what was kept in another one is no longer true */                    \
    uint32_t known_changed[FL_KNOWN_KINDS]; /* in this transaction */                                                  \
    fl_kept statements[FL_SQL_COUNT];                                                                                  \
    fl_kept lists[FL_LISTS];                                                                                           \
    fl_kept updates[FL_UPDATES];
// clang-format on

/* The back end's session.c and upkeep: the service's methods of the same names (table.h has the rest). */
int32_t fl_open(void *self, uint32_t kind, flamenco_session **out, flamenco_error *err);
void fl_close(void *self, flamenco_session *session);
void fl_interrupt(void *self, flamenco_session *session);
int32_t fl_begin(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err);
int32_t fl_savepoint(void *self, flamenco_cx *cx, flamenco_error *err);
int32_t fl_release(void *self, flamenco_cx *cx, flamenco_error *err);
int32_t fl_rollback_to(void *self, flamenco_cx *cx, flamenco_error *err);
int32_t fl_commit(void *self, flamenco_cx *cx, uint64_t batch_no, flamenco_error *err);
void fl_rollback(void *self, flamenco_cx *cx);
int32_t fl_last_batch(void *self, flamenco_session *session, uint64_t *out, flamenco_error *err);

uint32_t fl_wants_quiet(void *self);
int32_t fl_maintain(void *self, flamenco_session *session, uint32_t phase, flamenco_error *err);

/* How a method uses its transaction. */
#define FL_READ 0u
#define FL_WRITE 1u /* changes rows; a failure half-way makes the whole transaction fail */
#define FL_ATOMIC \
    2u /* changes rows and undoes them when it fails: for methods of several steps that are not called often */
#define FL_ONE 3u /* changes something by one statement, which the store may refuse (EXISTS, NOT_FOUND) */

/* A running method. */
typedef struct fl_call {
    flamenco_session *s;
    flamenco_cx *cx; /* of the method around it, when a visitor called this one */
    flamenco_error *err;
    int64_t changes; /* of the connection when it began */
    uint32_t how;
} fl_call;

/* The session whose transaction cx is in; NULL = none. */
flamenco_session *fl_session_of(const flamenco_cx *cx);
/* Tells whether a method may begin now. Returns 0 with *out filled, or why not, as fl_enter does. */
int32_t fl_may_enter(const flamenco_cx *cx, uint32_t how, flamenco_session **out, flamenco_error *err);
/* Begins a method that begins or ends the executor's savepoint, which must be open or not. */
int32_t fl_enter_savepoint(fl_call *call, flamenco_cx *cx, uint32_t must_be_open, flamenco_error *err);
/* Begins the executor's savepoint; savepoint: FL_SAVEPOINT_PROMISED or _LEFT_OUT. */
int32_t fl_begin_savepoint(flamenco_cx *cx, uint32_t savepoint, flamenco_error *err);
/* Of the back end: stores the batch's number and commits; ends the transaction, undoing what was not committed. */
int32_t fl_store_batch(flamenco_session *s, uint64_t batch_no);
void fl_end_transaction(flamenco_session *s, flamenco_cx *cx);
/* Of the back end: notes how the writer's last begin or commit ended, for health(). text may be NULL. */
void fl_store_note(fl_store *store, int32_t rc, const char *text);

/* Begins a method: finds the session of cx and checks that it may work now. Returns 0 or a negative error, after which the
 * method returns it at once. INVALID: no transaction, a change on a reader, or a change from within a visitor. */
int32_t fl_enter(fl_call *call, flamenco_cx *cx, uint32_t how, flamenco_error *err);
/* Ends a method. Keeps "has changed nothing" true for a failure rc. Returns the method's result. */
int32_t fl_leave(fl_call *call, int32_t rc);

/* Tells whether only a rollback is allowed after this error. */
uint32_t fl_is_fatal(int32_t code);
/* Fills the running method's error; marks the transaction as failed where only a rollback is allowed. Returns code. */
__attribute__((format(printf, 3, 4))) int32_t fl_fail(flamenco_session *s, int32_t code, const char *fmt, ...);

#endif
