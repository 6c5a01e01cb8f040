/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture_sqlite.c - see fixture_store.h.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture_store.h"
#include "store.h"

void fixture_store_init(fixture *f)
{
    temp_path(f->database, "%s/farm.sqlite", f->dir);
    temp_path(f->path, "%s/farm-c.sqlite", f->dir);
    fake_host_set(&f->fake, "database", f->database);
    fake_host_set(&f->fake, "busy_timeout", "20ms");
}

void fixture_store_fini(fixture *f)
{
    (void)f;
}

void fixture_take_over(fixture *f)
{
    assert_int_equal(sqlite3_exec(f->writer->db, "UPDATE state SET value=value+1 WHERE name='epoch'", NULL, NULL, NULL),
                     SQLITE_OK);
}

int64_t fixture_count_rows(fixture *f, const char *table)
{
    char sql[128];
    int64_t n = -1;
    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    assert_int_equal(fl_connection_int(f->writer->db, sql, &n, &f->err), 0);
    return n;
}

int fixture_reader_is_read_only(fixture *f, flamenco_session *reader)
{
    (void)f;
    return sqlite3_exec(reader->db, "DELETE FROM job", NULL, NULL, NULL) == SQLITE_READONLY;
}
