/* SPDX-License-Identifier: Apache-2.0
 *
 * source.h - the reference's database file as the import reads it: opening without a trace, its version, its columns. Used by
 * the files of this folder.
 */
#ifndef FL_REFERENCE_SOURCE_H
#define FL_REFERENCE_SOURCE_H

#include <sqlite3.h>
#include <sys/stat.h>

#include "reference.h"

/* A file's state, to notice that it was changed. */
typedef struct fl_source_state {
    uint32_t exists;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
} fl_source_state;

#define FL_SOURCE_FILES 3 /* the database, its log, its journal */

typedef struct fl_source {
    const flamenco_host *host;
    sqlite3 *db;
    const char *path, *scratch; /* borrowed */
    uint32_t copied; /* `scratch` is being read */
    uint32_t empty; /* 1: there is no table in it */
    int64_t version; /* of the schema; 0 = release 3.3 or older */
    fl_source_state before[FL_SOURCE_FILES];
} fl_source;

/* Opens and checks it. Close it also after a failure. CONFLICT, BUSY, CORRUPT, UNAVAILABLE, FULL, IO, NOMEM. */
int32_t fl_source_open(fl_source *source, const flamenco_host *host, const char *path, const char *scratch,
                       flamenco_error *err);
/* Tells whether the file is still what it was when it was opened. CONFLICT, BUSY. */
int32_t fl_source_unchanged(const fl_source *source, flamenco_error *err);
void fl_source_close(fl_source *source);

/* Fills err from the database's last error. Returns the code. */
int32_t fl_source_fail(const fl_source *source, flamenco_error *err);
/* Runs SQL text without results. */
int32_t fl_source_run(const fl_source *source, const char *sql, flamenco_error *err);
/* Tell whether there is such a table, and such a column in it: 1, 0, or a negative error. */
int32_t fl_source_has_table(const fl_source *source, const char *table, flamenco_error *err);
int32_t fl_source_has_column(const fl_source *source, const char *table, const char *column, flamenco_error *err);
/* Prepares "SELECT columns FROM from": NULL stands for each column that `table`, called t in `from`, does not have, as older
 * releases lacked some. The list ends with NULL. */
int32_t fl_source_select(const fl_source *source, const char *table, const char *const *columns, const char *from,
                         sqlite3_stmt **out, flamenco_error *err);
/* Steps: 1 = a row, 0 = the end, or a negative error. */
int32_t fl_source_step(const fl_source *source, sqlite3_stmt *st, flamenco_error *err);

#endif
