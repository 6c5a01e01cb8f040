/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h - the plugin's instance and its sessions, and the connection below a session. Included by every file of the plugin.
 *
 * Locks: `lock` guards what several sessions share (spare, writer, the last error). What is marked [writer] is touched by
 * the writing thread alone; a session belongs to one thread at a time.
 */
#ifndef FL_STORE_H
#define FL_STORE_H

#include <libpq-fe.h>
#include <pthread.h>

#include "base.h"
#include "statements.h"

struct fl_store {
    const flamenco_host *host;
    const flamenco_config *config;
    char *conninfo, *schema; /* owned */
    char *quoted_schema; /* as an identifier; owned */
    int64_t lock_key; /* of the lease's advisory lock */
    int64_t epoch; /* number of the lease */
    int64_t answer_us; /* the longest wait for one answer on the writing connection */
    pthread_mutex_t lock;
    PGconn *spare; /* the writing connection, which holds the lease, while no session has it */
    flamenco_session *writer;
    int32_t last_error; /* of the last begin or commit of the writer; 0 = it worked */
    char last_text[200];
};

/* A statement that a session keeps. */
typedef struct fl_kept {
    char *text; /* in PostgreSQL's words, owned by the session; NULL = not used yet */
    uint32_t number; /* names it on the connection */
    uint8_t prepared; /* on this connection */
    uint8_t changes; /* it changes rows */
    uint8_t told; /* the caller can be to blame when it fails (EXISTS, NOT_FOUND, CONFLICT) */
} fl_kept;

#define FL_PARAMETERS 17

/* A statement in use (rows.h). */
typedef struct fl_query {
    flamenco_session *s;
    fl_kept *st;
    PGresult *res; /* NULL until it has run */
    int32_t rc;
    uint8_t sent, answered;
    int row, rows, n; /* n = parameters */
    const char *values[FL_PARAMETERS];
    int lengths[FL_PARAMETERS];
    Oid types[FL_PARAMETERS];
    int64_t numbers[FL_PARAMETERS]; /* in network order */
} fl_query;

/* A statement that was sent, and whose answer has not been read. */
typedef struct fl_sent {
    fl_kept *st;
    uint32_t prepares; /* it only makes the statement known */
    fl_query *q; /* takes the answer; NULL = nobody wants it */
} fl_sent;

/* A statement that was sent before anybody asked for its answer (foresee.c). */
typedef struct fl_foreseen {
    fl_query q; /* without a statement: the place is free */
    int64_t changes; /* fl_changes() then */
} fl_foreseen;

#define FL_FORESEEN_MOST 4u

/* More would let answers pile up. */
#define FL_SENT_MOST 256u

struct flamenco_session {
    FL_SESSION_MEMBERS
    PGconn *db; /* NULL: lost, and not made again yet */
    fl_sent sent[FL_SENT_MOST];
    uint32_t n_sent;
    uint32_t next_foreseen; /* the place that is given up when all are taken */
    fl_foreseen foreseen[FL_FORESEEN_MOST];
    uint32_t asks_for_shares; /* what the scheduler looks for work by */
    uint32_t unsure; /* a statement was sent that may be refused, and its answer is not there yet */
    uint32_t aborted; /* the server refuses everything until a savepoint is rolled back to */
    uint32_t lost; /* the connection is broken */
    uint32_t numbers; /* given to statements */
    int32_t stopped; /* why a reader's statement was ended */
    int64_t changes;
};

/* Grows with every statement that changes something. */
static inline int64_t fl_changes(const flamenco_session *s)
{
    return s->changes;
}

/* connection.c */
/* Opens a connection with all settings. */
int32_t fl_connection_open(fl_store *store, uint32_t kind, PGconn **out, flamenco_error *err);
/* Runs SQL text without parameters. Outside of pipeline mode. */
int32_t fl_connection_run(PGconn *db, const char *sql, flamenco_error *err);
/* Reads the one integer that a statement gives. parameter: a text, or NULL = none. No row gives 0. */
int32_t fl_connection_int(PGconn *db, const char *sql, const char *parameter, int64_t *out, flamenco_error *err);
/* Tells (1) whether the text is in libpq's syntax. */
int32_t fl_connection_check(const char *conninfo, flamenco_error *err);
/* The FLAMENCO_E_* of a failed result. */
int32_t fl_error_of(const PGresult *res);

/* wire.c: statements on their way. */
/* Sends a statement whose parameters are bound; its answer is read by the next fl_wire_settle(). wanted: into q, which must live
 * until then, or be forgotten. */
int32_t fl_wire_send(fl_query *q, uint32_t wanted);
/* Waits until every answer is there. Returns the first error, which every statement gets whose answer is wanted. */
int32_t fl_wire_settle(flamenco_session *s);
/* Its answer is not wanted any more. */
void fl_wire_forget(const fl_query *q);
/* Why the reader's call should end; 0 = it goes on. */
int32_t fl_wire_look(const flamenco_session *s);
/* Fills the error of a call that ends for that reason. Returns it. */
int32_t fl_wire_give_up(flamenco_session *s, int32_t why);
/* Sends what stands in the buffer, and waits for nothing. */
void fl_wire_flush(flamenco_session *s);
/* Tells (1) whether the server has not ended the connection, as far as can be seen without asking it. */
int fl_wire_lives(flamenco_session *s);
/* Notes that the connection cannot be used any more. Returns UNAVAILABLE. */
int32_t fl_wire_lost(flamenco_session *s);
/* Forgets what was prepared on a connection that is gone. */
void fl_wire_reset(flamenco_session *s);

/* foresee.c: answers that will be asked for soon. */
/* Sends a statement, bound to nothing but numbers, whose answer will probably be wanted soon: it comes along with the next one that
 * is waited for, and the same statement with the same numbers takes it, if nothing was changed in between. */
void fl_query_foresee(fl_query *q);
/* Takes over an answer that was foreseen. Tells (1) whether there is one, in q or as its error. */
int fl_foreseen_take(fl_query *q);
/* Forgets all of them. */
void fl_foreseen_forget(flamenco_session *s);

/* query.c: sends a statement whose answer is read later, by fl_query_step(), so that others can be sent with it. */
int32_t fl_query_send(fl_query *q);

/* lease.c */
/* Takes the lease on this connection, which holds it as long as it lives. BUSY names the holder. */
int32_t fl_lease_take(fl_store *store, PGconn *db, flamenco_error *err);
/* Begins the next epoch. */
int32_t fl_lease_open_epoch(fl_store *store, PGconn *db, flamenco_error *err);
/* Takes the lease again on a new connection. CONFLICT: another manager had it meanwhile. UNAVAILABLE: it is not free yet. */
int32_t fl_lease_retake(fl_store *store, PGconn *db, flamenco_error *err);

/* store.c */
int32_t fl_store_start(void *self, flamenco_error *err);
int32_t fl_store_stop(void *self, int64_t deadline_us, flamenco_error *err);

/* schema.c */
typedef struct fl_migration {
    int32_t version; /* of the schema after it */
    const char *const *sql; /* texts of several statements; NULL ends */
} fl_migration;

/* The list of migrations, ended by version 0. */
const fl_migration *fl_schema_migrations(void);
/* Brings the schema to the last version of the list. CONFLICT: not ours, or newer. *fresh_out: 1 when it was empty. */
int32_t fl_schema_upgrade(fl_store *store, PGconn *db, const fl_migration *list, uint32_t *fresh_out,
                          flamenco_error *err);

#endif
