/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture_postgres.c - the fixture of ../persist-sqlite on PostgreSQL: every test has a schema of its own, on the server that
 * tests/postgres/with-postgres has started.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "fixture_postgres.h"

const char *fixture_conninfo(void)
{
    const char *conninfo = getenv("FLAMENCO_TEST_CONNINFO");
    if (conninfo == NULL)
        fail_msg("FLAMENCO_TEST_CONNINFO is not set: run this by tests/postgres/with-postgres");
    return conninfo;
}

PGconn *fixture_connect(const fixture *f)
{
    char sql[TEMP_DIR_MAX + 64];
    PGconn *db = PQconnectdb(fixture_conninfo());
    if (PQstatus(db) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(db));
    (void)snprintf(sql, sizeof(sql), "SET client_min_messages=error; SET search_path TO \"%s\"", f->path);
    PQclear(PQexec(db, sql));
    return db;
}

void fixture_sql(const fixture *f, const char *sql)
{
    PGconn *db = fixture_connect(f);
    PGresult *res = PQexec(db, sql);
    if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(db));
    PQclear(res);
    PQfinish(db);
}

int64_t fixture_sql_int(const fixture *f, const char *sql)
{
    PGconn *db = fixture_connect(f);
    PGresult *res = PQexec(db, sql);
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1)
        fail_msg("%s: %s", sql, PQerrorMessage(db));
    int64_t value = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    PQfinish(db);
    return value;
}

void fixture_store_init(fixture *f)
{
    static int number;
    (void)snprintf(f->path, sizeof(f->path), "test_%ld_%d", (long)getpid(), ++number);
    (void)snprintf(f->database, sizeof(f->database), "%s", fixture_conninfo());
    fake_host_set(&f->fake, "conninfo", f->database);
    fake_host_set(&f->fake, "schema", f->path);
}

void fixture_store_fini(fixture *f)
{
    char sql[TEMP_DIR_MAX + 64];
    (void)snprintf(sql, sizeof(sql), "DROP SCHEMA IF EXISTS \"%s\" CASCADE", f->path);
    fixture_sql(f, sql);
}

void fixture_take_over(fixture *f)
{
    fixture_sql(f, "UPDATE lease SET epoch=epoch+1");
}

int64_t fixture_count_rows(fixture *f, const char *table)
{
    char sql[128];
    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    flamenco_session *s = f->writer;
    fl_query q = { .s = s };
    /* On the writer's own connection: what it has not committed counts, too. */
    assert_int_equal(fl_wire_settle(s), 0);
    assert_true(PQsendQueryParams(s->db, sql, 0, NULL, NULL, NULL, NULL, 0));
    s->sent[s->n_sent++] = (fl_sent){ &s->statements[0], 0, &q };
    assert_int_equal(fl_wire_settle(s), 0);
    int64_t n = strtoll(PQgetvalue(q.res, 0, 0), NULL, 10);
    PQclear(q.res);
    return n;
}

int fixture_reader_is_read_only(fixture *f, flamenco_session *reader)
{
    (void)f;
    assert_true(PQsendQueryParams(reader->db, "DELETE FROM job", 0, NULL, NULL, NULL, NULL, 0));
    reader->sent[reader->n_sent++] = (fl_sent){ &reader->statements[0], 0, NULL };
    return fl_wire_settle(reader) == FLAMENCO_E_UNAVAILABLE;
}
