/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture_postgres.h - what the tests of persist-postgres alone need besides fixture.h. Here `path` of the fixture is the
 * schema and `database` the conninfo.
 */
#ifndef FL_FIXTURE_POSTGRES_H
#define FL_FIXTURE_POSTGRES_H

#include "fixture_store.h"
#include "store.h"

const char *fixture_conninfo(void);
/* A connection of the test's own, in the fixture's schema. */
PGconn *fixture_connect(const fixture *f);
void fixture_sql(const fixture *f, const char *sql);
int64_t fixture_sql_int(const fixture *f, const char *sql);

#endif
