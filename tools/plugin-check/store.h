/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h - a running persistence plugin, and short ways to make jobs, tasks and workers in it. Used by the checks of
 * persistence, and by those of services that work on it. Whatever fails here fails the check.
 */
#ifndef KIT_STORE_H
#define KIT_STORE_H

#include "flamenco/persistence.h"
#include "kit.h"

#define NOW KIT_NOW
#define SECOND KIT_SECOND
#define LATER (NOW + 5 * SECOND)

typedef struct kit_store {
    kit *k;
    kit_instance *instance;
    const flamenco_persistence *db;
    void *self;
    flamenco_session *writer;
    kit_cx *own_cx; /* holds cx */
    flamenco_cx *cx; /* the writer's */
    flamenco_error err;
    uint64_t uuids; /* made so far */
    uint64_t batch; /* last committed */
} kit_store;

/* Calls a method in the writer's transaction: DB(s, job_set_priority, key, 60) gives its result. */
#define DB(s, method, ...) (s)->db->method((s)->self, (s)->cx, __VA_ARGS__, &(s)->err)
/* The same; the check ends when it fails, or when it does not give that code. */
#define OK(s, method, ...) \
    kit_expect_rc(__FILE__, __LINE__, #method, DB(s, method, __VA_ARGS__), FLAMENCO_OK, &(s)->err)
#define GIVES(s, code, method, ...) \
    kit_expect_rc(__FILE__, __LINE__, #method, DB(s, method, __VA_ARGS__), code, &(s)->err)
/* The same for methods without arguments of their own. */
#define OK0(s, method) \
    kit_expect_rc(__FILE__, __LINE__, #method, (s)->db->method((s)->self, (s)->cx, &(s)->err), FLAMENCO_OK, &(s)->err)
#define GIVES0(s, code, method) \
    kit_expect_rc(__FILE__, __LINE__, #method, (s)->db->method((s)->self, (s)->cx, &(s)->err), code, &(s)->err)

/* A row to be filled. */
#define ROW(type) ((type){ .struct_size = (uint32_t)sizeof(type) })
#define ALL_ROWS \
    ((flamenco_page){ .struct_size = (uint32_t)sizeof(flamenco_page), .updated_after_us = FLAMENCO_TIME_NONE })

/* The plugin under test is the store: starts it, opens the writer and begins a transaction. */
kit_store *store_start(kit *k);
/* A store for the plugin under test to work on. The transaction is not begun. */
kit_store *store_beside(kit *k);
/* Around a plugin that runs: opens the writer. */
kit_store *store_over(kit_instance *instance);
/* Closes the writer and forgets the store; the plugin runs on. */
void store_close(kit_store *s);
/* Closes the writer, stops the plugin; the store stands as it is. */
void store_stop(kit_store *s);
/* Starts it once more on the same configuration, and opens the writer. A start that gives BUSY is tried again for 10 s: the
 * owner before was killed. */
void store_restart(kit_store *s);

void store_begin(kit_store *s);
void store_commit(kit_store *s); /* with the next batch number; maintain follows */
void store_next(kit_store *s); /* commit and begin */
/* Frees what the arena holds, for checks that read many rows. Outside a transaction. */
void store_forget(kit_store *s);

flamenco_uuid store_uuid(kit_store *s);

/* One of a job's tasks: type, priority, up to four indexes (from 1) of tasks that it depends on, steps (0: 1). */
typedef struct task_spec {
    const char *type;
    int32_t priority;
    uint32_t needs[4];
    int64_t steps;
} task_spec;

/* Rows as a submission or registration makes them, not stored yet. */
flamenco_job new_job(kit_store *s);
flamenco_new_task new_task(kit_store *s);
flamenco_worker new_worker(kit_store *s, const char *name, const char *types);

/* Stores a job with these tasks and shows it. Returns its key. */
int64_t store_job(kit_store *s, int32_t priority, int64_t tag, const task_spec *tasks, uint32_t n);
int64_t store_worker(kit_store *s, const char *name, const char *types); /* awake */
int64_t store_tag(kit_store *s, const char *name);

flamenco_job read_job(kit_store *s, int64_t key);
flamenco_task read_task(kit_store *s, int64_t job, uint32_t index);
flamenco_worker read_worker(kit_store *s, int64_t key);

flamenco_job_counts set_task(kit_store *s, int64_t job, uint32_t index, uint32_t status);
flamenco_job_counts set_job(kit_store *s, int64_t job, uint32_t status);

/* What a scheduler that knows nothing but the contract would hand out: the held task, else the best of the best groups. Gives
 * 0 and the task, or NOT_FOUND. */
int32_t store_pick(kit_store *s, flamenco_cx *cx, int64_t worker, flamenco_task *out);
/* The same, and assigns it. */
int32_t store_assign(kit_store *s, int64_t worker, flamenco_task *out);
void expect_task(kit_store *s, int64_t worker, int64_t job, uint32_t index); /* of store_assign */
void expect_nothing(kit_store *s, int64_t worker);

/* Has the store check itself, where it can. Outside a transaction. */
void store_check(kit_store *s);

/* A reader with a transaction. */
typedef struct kit_reader {
    kit_store *s;
    flamenco_session *session;
    kit_cx *own_cx;
    flamenco_cx *cx;
    flamenco_error err;
} kit_reader;

kit_reader reader_open(kit_store *s); /* no transaction yet */
void reader_begin(kit_reader *r);
void reader_end(kit_reader *r); /* of the transaction */
void reader_close(kit_reader *r);

/* Everything that the transaction of cx sees, as one text: equal texts, equal states. malloc'ed. */
char *store_dump(kit_store *s, flamenco_cx *cx);

#endif
