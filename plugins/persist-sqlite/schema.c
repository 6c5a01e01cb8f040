/* SPDX-License-Identifier: Apache-2.0
 *
 * schema.c - the tables, and the way from an older schema to the present one. Called at start, before any session.
 *
 * Why the tables are cut like this, with figures: design/persist-sqlite-notes.md 3. In short: what every task update touches
 * is small and stands apart (job_hot, task), what is read when a task is handed out stands in task_cold; the tasks of a job
 * have keys without gaps from job.first_task on, so "tasks of a job" is a range of rows and needs no index.
 */
#include <stdlib.h>

#include "store.h"

static const char *const schema_1[] = {
    "CREATE TABLE state(name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO state(name,value) VALUES('batch',0),('epoch',0),('clean',1),('resets',0),('next_task',1);"

    "CREATE TABLE task_type(id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX task_type_name ON task_type(name);",

    "CREATE TABLE tag(id INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB NOT NULL, name TEXT NOT NULL,"
    " description TEXT NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX tag_uuid ON tag(uuid);"
    "CREATE UNIQUE INDEX tag_name ON tag(name);"

    "CREATE TABLE worker(id INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB NOT NULL, status INTEGER NOT NULL,"
    " requested INTEGER NOT NULL, lazy INTEGER NOT NULL, can_restart INTEGER NOT NULL, last_good INTEGER NOT NULL,"
    " created INTEGER, updated INTEGER, seen INTEGER, deleted INTEGER, last_task INTEGER NOT NULL, name TEXT NOT NULL,"
    " address TEXT NOT NULL, platform TEXT NOT NULL, software TEXT NOT NULL, task_types TEXT NOT NULL,"
    " secret TEXT NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX worker_uuid ON worker(uuid);"
    "CREATE TABLE worker_type(worker INTEGER NOT NULL REFERENCES worker(id), type INTEGER NOT NULL,"
    " PRIMARY KEY(worker,type)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE worker_tag(worker INTEGER NOT NULL REFERENCES worker(id), tag INTEGER NOT NULL REFERENCES tag(id),"
    " PRIMARY KEY(worker,tag)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX worker_tag_tag ON worker_tag(tag);"
    "CREATE TABLE sleep(worker INTEGER PRIMARY KEY REFERENCES worker(id), active INTEGER NOT NULL, start INTEGER NOT "
    "NULL,"
    " finish INTEGER NOT NULL, next_check INTEGER, days TEXT NOT NULL) STRICT;",

    "CREATE TABLE job(id INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB NOT NULL, first_task INTEGER NOT NULL,"
    " n_tasks INTEGER NOT NULL, created INTEGER, name TEXT NOT NULL, type TEXT NOT NULL, storage TEXT NOT NULL,"
    " platform TEXT NOT NULL, settings TEXT NOT NULL, metadata TEXT NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX job_uuid ON job(uuid);"
    "CREATE TABLE job_hot(id INTEGER PRIMARY KEY REFERENCES job(id), status INTEGER NOT NULL, prio INTEGER NOT NULL,"
    " tag INTEGER NOT NULL, hidden INTEGER NOT NULL, delete_requested INTEGER, updated INTEGER,"
    " steps_total INTEGER NOT NULL, steps_done INTEGER NOT NULL, n0 INTEGER NOT NULL, n1 INTEGER NOT NULL,"
    " n2 INTEGER NOT NULL, n3 INTEGER NOT NULL, n4 INTEGER NOT NULL, n5 INTEGER NOT NULL, n6 INTEGER NOT NULL,"
    " activity TEXT NOT NULL) STRICT;"
    "CREATE INDEX job_marked ON job_hot(delete_requested) WHERE delete_requested IS NOT NULL;"
    "CREATE INDEX job_hidden ON job_hot(hidden) WHERE hidden=1;"
    "CREATE TABLE job_count(status INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;"
    "INSERT INTO job_count(status,n) VALUES(0,0),(1,0),(2,0),(3,0),(4,0),(5,0),(6,0),(7,0),(8,0),(9,0);"
    "CREATE TABLE last_rendered(id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES job(id)) STRICT;",

    "CREATE TABLE task(id INTEGER PRIMARY KEY, uuid BLOB NOT NULL, job INTEGER NOT NULL, type INTEGER NOT NULL,"
    " prio INTEGER NOT NULL, status INTEGER NOT NULL, worker INTEGER NOT NULL, open_deps INTEGER NOT NULL,"
    " steps_total INTEGER NOT NULL, steps_done INTEGER NOT NULL, created INTEGER, updated INTEGER, touched INTEGER,"
    " name TEXT NOT NULL, activity TEXT NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX task_uuid ON task(uuid);"
    "CREATE INDEX task_run ON task(job,type,prio DESC) WHERE status<2 AND open_deps=0;"
    /* One index per status: a partial index over several is passed over in silence by `status=2`. */
    "CREATE INDEX task_active ON task(worker) WHERE status=2;"
    "CREATE INDEX task_failed ON task(worker) WHERE status=4;"
    "CREATE TABLE task_cold(id INTEGER PRIMARY KEY, commands TEXT NOT NULL) STRICT;"
    "CREATE TABLE dep(needs INTEGER NOT NULL, task INTEGER NOT NULL, PRIMARY KEY(needs,task)) STRICT, WITHOUT ROWID;",

    /* What may be handed out, in the order in which it is: one row per job and type that has a runnable task. njp and ntp
     * are the negated priorities of the job and of its best runnable task of that type. */
    "CREATE TABLE runq(tag INTEGER NOT NULL, type INTEGER NOT NULL, njp INTEGER NOT NULL, ntp INTEGER NOT NULL,"
    " job INTEGER NOT NULL, PRIMARY KEY(tag,type,njp,ntp,job)) STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX runq_job ON runq(job,type);"

    "CREATE TABLE blocklist(job INTEGER NOT NULL REFERENCES job(id), type INTEGER NOT NULL,"
    " worker INTEGER NOT NULL REFERENCES worker(id), PRIMARY KEY(job,type,worker)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE failure(task INTEGER NOT NULL, worker INTEGER NOT NULL REFERENCES worker(id), PRIMARY "
    "KEY(task,worker))"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX failure_worker ON failure(worker,task);",
    NULL,
};

/* For lists of jobs in another order, or of a part of them (lists.c). */
static const char *const schema_2[] = {
    "CREATE INDEX job_updated ON job_hot(updated);"
    "CREATE INDEX job_status ON job_hot(status);"
    "CREATE INDEX job_prio ON job_hot(prio);"
    "CREATE INDEX job_name ON job(name);",
    NULL,
};

/* For schedulers that divide the jobs into shares. A row of runq has its job's share. */
static const char *const schema_3[] = {
    "ALTER TABLE job_hot ADD COLUMN share INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE runq ADD COLUMN share INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX runq_share ON runq(tag,type,share,njp,ntp,job);",
    NULL,
};

static const fl_migration migrations[] = {
    { 1, schema_1 },
    { 2, schema_2 },
    { 3, schema_3 },
    { 0, NULL },
};

const fl_migration *fl_schema_migrations(void)
{
    return migrations;
}

/* Copies the file before an upgrade, under a name that is free. */
static int32_t copy_before(fl_store *store, sqlite3 *db, int64_t version, flamenco_error *err)
{
    for (int n = 1; n < 1000; ++n) {
        char *path = NULL;
        if (asprintf(&path, "%s.schema-%lld%s%.0d", store->path, (long long)version, n > 1 ? "." : "", n > 1 ? n : 0) <
            0)
            return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        int32_t rc = fl_backup_copy(store, db, path, NULL, err);
        if (rc == FLAMENCO_OK)
            store->host->log(store->host->h, FLAMENCO_LOG_INFO, "copied the database to %s before its upgrade", path);
        free(path);
        if (rc != FLAMENCO_E_EXISTS)
            return rc;
    }
    return flamenco_fail(err, FLAMENCO_E_EXISTS, "no free name for a copy of %s", store->path);
}

static int32_t run_texts(sqlite3 *db, const char *const *texts, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    for (; *texts != NULL && rc == FLAMENCO_OK; ++texts)
        rc = fl_connection_run(db, *texts, err);
    return rc;
}

static int32_t run_migration(sqlite3 *db, const fl_migration *migration, flamenco_error *err)
{
    char marks[96];
    (void)snprintf(marks, sizeof(marks), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;", FL_APPLICATION_ID,
                   (int)migration->version);
    int32_t rc = fl_connection_run(db, "BEGIN IMMEDIATE;", err);
    if (rc == FLAMENCO_OK)
        rc = run_texts(db, migration->sql, err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_run(db, marks, err);
    if (rc != FLAMENCO_OK && !sqlite3_get_autocommit(db))
        (void)fl_connection_run(db, "ROLLBACK;", NULL);
    return rc;
}

int32_t fl_schema_upgrade(fl_store *store, sqlite3 *db, const fl_migration *list, uint32_t *fresh_out,
                          flamenco_error *err)
{
    int64_t id = 0, version = 0, objects = 0;
    int32_t rc = fl_connection_int(db, "PRAGMA application_id", &id, err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_int(db, "PRAGMA user_version", &version, err);
    if (rc == FLAMENCO_OK)
        rc = fl_connection_int(db, "SELECT count(*) FROM sqlite_schema", &objects, err);
    if (rc != FLAMENCO_OK)
        return rc;
    uint32_t fresh = objects == 0 && (id == 0 || id == FL_APPLICATION_ID);
    if (fresh)
        version = 0;
    else if (id != FL_APPLICATION_ID)
        return flamenco_fail(err, FLAMENCO_E_CONFLICT, "%s is a database of another program; it is left as it is",
                             store->path);
    int32_t newest = 0;
    for (const fl_migration *m = list; m->version != 0; ++m)
        newest = m->version;
    if (version > newest)
        return flamenco_fail(err, FLAMENCO_E_CONFLICT,
                             "%s was written by a newer version of this program (schema %lld, known up to %d)",
                             store->path, (long long)version, (int)newest);
    if (!fresh && version < newest) {
        rc = copy_before(store, db, version, err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    for (const fl_migration *m = list; m->version != 0 && rc == FLAMENCO_OK; ++m) {
        if (m->version > version)
            rc = run_migration(db, m, err);
    }
    if (rc == FLAMENCO_OK)
        *fresh_out = fresh;
    return rc;
}
