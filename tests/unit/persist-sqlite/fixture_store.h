/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture_store.h - the part of the fixture that knows the back end: fixture_sqlite.c, and fixture_postgres.c of
 * ../persist-postgres, whose tests are mostly those of this folder compiled once more.
 */
#ifndef FL_PERSIST_FIXTURE_STORE_H
#define FL_PERSIST_FIXTURE_STORE_H

#include "fixture.h"

/* Settles where the store is, and the settings that say so. f->dir exists. */
void fixture_store_init(fixture *f);
/* Removes what is not in f->dir. */
void fixture_store_fini(fixture *f);
/* Begins another epoch, as a manager that has taken over does. The writer is outside a transaction. */
void fixture_take_over(fixture *f);
/* Counts a table's rows behind the plugin's back, as the writer sees them. */
int64_t fixture_count_rows(fixture *f, const char *table);
/* Tries to change something on a reader's connection. Returns 1 when the store itself refuses. */
int fixture_reader_is_read_only(fixture *f, flamenco_session *reader);

#endif
