/* SPDX-License-Identifier: Apache-2.0
 *
 * schema.c - the tables, and the way from an older schema to the present one. Called at start, under the lease, before any
 * session.
 *
 * The tables are cut as in persist-sqlite (design/persist-sqlite-notes.md 3): what every task update touches is small and
 * stands apart (job_hot, task), what is read when a task is handed out stands in task_cold; the tasks of a job have keys without
 * gaps from job.first_task on, so "tasks of a job" is a range of rows. Every number is a bigint, so that no parameter needs a
 * cast and no index is missed by one. Texts are compared byte by byte (COLLATE "C").
 *
 * The indexes for the orders of job lists end without the key: at a handful of rows the planner takes any index that has a column
 * for the best one, and keeps that plan when there are more.
 *
 * No B-tree holds a name: a row of an index must fit into a third of a page, and names may be as long as they like.
 *
 * Room is left in the pages of what changes often (fillfactor), so that a new version of a row stays on its page.
 */
#include <stdlib.h>

#include "store.h"

#define TEXT_C "TEXT COLLATE \"C\" NOT NULL"
#define NUMBER "BIGINT NOT NULL"

static const char *const schema_1[] = {
    "CREATE TABLE lease(id " NUMBER " PRIMARY KEY CHECK(id=1), epoch " NUMBER ", batch " NUMBER ", holder " TEXT_C ")"
    " WITH (fillfactor=20);"
    "INSERT INTO lease(id,epoch,batch,holder) VALUES(1,0,0,'');"
    "CREATE TABLE state(name " TEXT_C " PRIMARY KEY, value " NUMBER ");"
    "INSERT INTO state(name,value) VALUES('next_task',1);"
    "CREATE TABLE task_type(id " NUMBER " PRIMARY KEY, name " TEXT_C ");",

    "CREATE TABLE tag(id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, uuid UUID NOT NULL UNIQUE,"
    " name " TEXT_C ", description " TEXT_C ", EXCLUDE USING hash (name WITH =));"
    "CREATE TABLE worker(id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, uuid UUID NOT NULL UNIQUE,"
    " status " NUMBER ", requested " NUMBER ", lazy " NUMBER ", can_restart " NUMBER ", last_good " NUMBER ","
    " created BIGINT, updated BIGINT, seen BIGINT, deleted BIGINT, last_task " NUMBER ", name " TEXT_C ","
    " address " TEXT_C ", platform " TEXT_C ", software " TEXT_C ", task_types " TEXT_C ", secret " TEXT_C ")"
    " WITH (fillfactor=50);"
    "CREATE TABLE worker_type(worker " NUMBER " REFERENCES worker(id), type " NUMBER ", PRIMARY KEY(worker,type));"
    "CREATE TABLE worker_tag(worker " NUMBER " REFERENCES worker(id), tag " NUMBER " REFERENCES tag(id),"
    " PRIMARY KEY(worker,tag));"
    "CREATE INDEX worker_tag_tag ON worker_tag(tag);"
    "CREATE TABLE sleep(worker " NUMBER " PRIMARY KEY REFERENCES worker(id), active " NUMBER ", start " NUMBER ","
    " finish " NUMBER ", next_check BIGINT, days " TEXT_C ");",

    "CREATE TABLE job(id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, uuid UUID NOT NULL UNIQUE,"
    " first_task " NUMBER ", n_tasks " NUMBER ", created BIGINT, name " TEXT_C ", type " TEXT_C ", storage " TEXT_C ","
    " platform " TEXT_C ", settings " TEXT_C ", metadata " TEXT_C ");"
    "CREATE TABLE job_hot(id " NUMBER " PRIMARY KEY REFERENCES job(id), status " NUMBER ", prio " NUMBER ","
    " tag " NUMBER ", hidden " NUMBER ", delete_requested BIGINT, updated BIGINT, steps_total " NUMBER ","
    " steps_done " NUMBER ", n0 " NUMBER ", n1 " NUMBER ", n2 " NUMBER ", n3 " NUMBER ", n4 " NUMBER ", n5 " NUMBER ","
    " n6 " NUMBER ", activity " TEXT_C ") WITH (fillfactor=30);"
    "CREATE INDEX job_marked ON job_hot(delete_requested) WHERE delete_requested IS NOT NULL;"
    "CREATE INDEX job_hidden ON job_hot(hidden) WHERE hidden=1;"
    "CREATE INDEX job_updated ON job_hot(updated NULLS FIRST);"
    "CREATE INDEX job_status ON job_hot(status NULLS FIRST);"
    "CREATE INDEX job_prio ON job_hot(prio NULLS FIRST);"
    "CREATE TABLE job_count(status " NUMBER " PRIMARY KEY, n " NUMBER ") WITH (fillfactor=20);"
    "INSERT INTO job_count(status,n) SELECT g,0 FROM generate_series(0,9) g;"
    "CREATE TABLE last_rendered(id " NUMBER " PRIMARY KEY CHECK(id=1), job " NUMBER " REFERENCES job(id));",

    "CREATE TABLE task(id " NUMBER " PRIMARY KEY, uuid UUID NOT NULL UNIQUE, job " NUMBER ", type " NUMBER ","
    " prio " NUMBER ", status " NUMBER ", worker " NUMBER ", open_deps " NUMBER ", steps_total " NUMBER ","
    " steps_done " NUMBER ", created BIGINT, updated BIGINT, touched BIGINT, name " TEXT_C ", activity " TEXT_C ")"
    " WITH (fillfactor=70);"
    "CREATE INDEX task_run ON task(job,type,prio DESC,id) WHERE status<2 AND open_deps=0;"
    "CREATE INDEX task_active ON task(worker,id) WHERE status=2;"
    "CREATE INDEX task_failed ON task(worker,id) WHERE status=4;"
    "CREATE TABLE task_cold(id " NUMBER " PRIMARY KEY, commands " TEXT_C ");"
    "CREATE TABLE dep(needs " NUMBER ", task " NUMBER ", PRIMARY KEY(needs,task));",

    /* What may be handed out, in the order in which it is: one row per job and type that has a runnable task. njp and ntp
     * are the negated priorities of the job and of its best runnable task of that type. */
    "CREATE TABLE runq(tag " NUMBER ", type " NUMBER ", njp " NUMBER ", ntp " NUMBER ", job " NUMBER ","
    " PRIMARY KEY(tag,type,njp,ntp,job)) WITH (fillfactor=50);"
    "CREATE UNIQUE INDEX runq_job ON runq(job,type);"

    "CREATE TABLE blocklist(job " NUMBER " REFERENCES job(id), type " NUMBER ","
    " worker " NUMBER " REFERENCES worker(id), PRIMARY KEY(job,type,worker));"
    "CREATE TABLE failure(task " NUMBER ", worker " NUMBER " REFERENCES worker(id), PRIMARY KEY(task,worker));"
    "CREATE INDEX failure_worker ON failure(worker,task);",
    NULL,
};

/* For schedulers that divide the jobs into shares. A row of runq has its job's share. Between indexes that cost the same, as all
 * do at a handful of rows, the planner takes the youngest: so runq_job, by which a job's rows are found, stays that. */
static const char *const schema_2[] = {
    "ALTER TABLE job_hot ADD COLUMN share " NUMBER " DEFAULT 0;"
    "ALTER TABLE runq ADD COLUMN share " NUMBER " DEFAULT 0;"
    "DROP INDEX runq_job;"
    "CREATE INDEX runq_share ON runq(tag,type,share,njp,ntp,job);"
    "CREATE UNIQUE INDEX runq_job ON runq(job,type);",
    NULL,
};

static const fl_migration migrations[] = {
    { 1, schema_1 },
    { 2, schema_2 },
    { 0, NULL },
};

const fl_migration *fl_schema_migrations(void)
{
    return migrations;
}

/* Finds the version of what is there. *fresh_out: nothing is there. */
static int32_t read_version(fl_store *store, PGconn *db, int64_t *version_out, uint32_t *fresh_out, flamenco_error *err)
{
    int64_t objects = 0, ours = 0;
    *version_out = 0;
    int32_t rc = fl_connection_int(
        db, "SELECT count(*) FROM pg_class WHERE relnamespace=(SELECT oid FROM pg_namespace WHERE nspname=$1)",
        store->schema, &objects, err);
    if (rc == FLAMENCO_OK && objects > 0)
        rc = fl_connection_int(db,
                               "SELECT count(*) FROM pg_class WHERE relname='flamenco_manager_schema' AND relnamespace="
                               "(SELECT oid FROM pg_namespace WHERE nspname=$1)",
                               store->schema, &ours, err);
    if (rc == FLAMENCO_OK && objects > 0 && ours == 0)
        return flamenco_fail(err, FLAMENCO_E_CONFLICT,
                             "schema \"%s\" holds the tables of another program; it is left as it is", store->schema);
    if (rc == FLAMENCO_OK && ours > 0)
        rc = fl_connection_int(db, "SELECT coalesce(max(version),0) FROM flamenco_manager_schema", NULL, version_out,
                               err);
    *fresh_out = objects == 0;
    return rc;
}

/* A role without the right to make schemas gets one made for it. */
static int32_t make_schema(fl_store *store, PGconn *db, flamenco_error *err)
{
    int64_t there = 0;
    int32_t rc =
        fl_connection_int(db, "SELECT count(*) FROM pg_namespace WHERE nspname=$1", store->schema, &there, err);
    if (rc != FLAMENCO_OK || there > 0)
        return rc;
    char sql[256];
    (void)snprintf(sql, sizeof(sql), "CREATE SCHEMA %s", store->quoted_schema);
    return fl_connection_run(db, sql, err);
}

static int32_t run_migration(PGconn *db, const fl_migration *migration, flamenco_error *err)
{
    char mark[160];
    (void)snprintf(mark, sizeof(mark),
                   "CREATE TABLE IF NOT EXISTS flamenco_manager_schema(version BIGINT NOT NULL PRIMARY KEY);"
                   "INSERT INTO flamenco_manager_schema(version) VALUES(%d);",
                   (int)migration->version);
    int32_t rc = fl_connection_run(db, "BEGIN", err);
    for (const char *const *text = migration->sql; rc == FLAMENCO_OK && *text != NULL; ++text)
        rc = fl_connection_run(db, *text, err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_run(db, mark, err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_run(db, "COMMIT", err);
    if (rc != FLAMENCO_OK && PQtransactionStatus(db) != PQTRANS_IDLE)
        (void)fl_connection_run(db, "ROLLBACK", NULL);
    return rc;
}

int32_t fl_schema_upgrade(fl_store *store, PGconn *db, const fl_migration *list, uint32_t *fresh_out,
                          flamenco_error *err)
{
    int64_t version = 0;
    uint32_t fresh = 0;
    int32_t newest = 0;
    int32_t rc = make_schema(store, db, err);
    if (rc == FLAMENCO_OK)
        rc = read_version(store, db, &version, &fresh, err);
    for (const fl_migration *m = list; m->version != 0; ++m)
        newest = m->version;
    if (rc == FLAMENCO_OK && version > newest)
        rc = flamenco_fail(err, FLAMENCO_E_CONFLICT,
                           "schema \"%s\" was written by a newer version of this program (schema %lld, known up to %d)",
                           store->schema, (long long)version, (int)newest);
    for (const fl_migration *m = list; m->version != 0 && rc == FLAMENCO_OK; ++m) {
        if (m->version > version)
            rc = run_migration(db, m, err);
    }
    if (rc == FLAMENCO_OK)
        *fresh_out = fresh;
    return rc;
}
