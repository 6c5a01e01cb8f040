/* SPDX-License-Identifier: Apache-2.0
 *
 * import.h - what the parts of one run of the import share. Used by import.c, farm.c, jobs.c, tasks.c, row.c and notes.c.
 */
#ifndef FL_REFERENCE_IMPORT_H
#define FL_REFERENCE_IMPORT_H

#include "source.h"

/* What was mended or left out (notes.c has the texts). */
typedef enum fl_note {
    FL_NOTE_UUID,
    FL_NOTE_TIME,
    FL_NOTE_TEXT,
    FL_NOTE_NUMBER,
    FL_NOTE_JOB_STATUS,
    FL_NOTE_JOB_JSON,
    FL_NOTE_JOB_TAG,
    FL_NOTE_TASK_STATUS,
    FL_NOTE_TASK_COMMANDS,
    FL_NOTE_TASK_WORKER,
    FL_NOTE_TASK_ORPHAN,
    FL_NOTE_DEPENDENCY,
    FL_NOTE_WORKER_STATUS,
    FL_NOTE_TAG_NAME,
    FL_NOTE_SLEEP,
    FL_NOTE_ORPHAN,
    FL_NOTES
} fl_note;

typedef struct fl_noted {
    uint64_t n;
    const char *table; /* of the first one */
    int64_t id;
} fl_noted;

/* The store's key of a row of the reference's, in ascending order of id. */
typedef struct fl_key {
    int64_t id, key;
} fl_key;

typedef struct fl_keys {
    fl_key *rows;
    uint64_t n, room;
} fl_keys;

/* Memory for the texts of some rows, given back at once. */
typedef struct fl_block {
    struct fl_block *next;
    uint64_t used, room;
    char bytes[];
} fl_block;

typedef struct fl_import {
    const flamenco_host *host;
    const flamenco_persistence_ref *to;
    flamenco_session *writer;
    flamenco_cx *cx;
    void (*forget)(flamenco_cx *cx);
    uint64_t batch, in_batch; /* number of the last commit; rows since then */
    fl_source source;
    fl_keys workers, tags;
    fl_block *blocks;
    fl_noted notes[FL_NOTES];
    fl_reference_counts counts;
    int64_t last_rendered; /* the reference's id of that job; 0 = none */
    int64_t told_us; /* when the progress was logged */
    flamenco_error *err;
} fl_import;

/* notes.c */
void fl_note_add(fl_import *im, fl_note note, const char *table, int64_t id);
void fl_note_add_many(fl_import *im, fl_note note, const char *table, int64_t first_id, uint64_t n);
void fl_notes_log(const fl_import *im);

/* import.c: counts rows that were stored, and commits when there are many. */
int32_t fl_import_stored(fl_import *im, uint64_t rows);
int32_t fl_import_nomem(fl_import *im);

/* row.c: values of a row being read. `table` and `id` name it in notes. Texts live until fl_texts_drop(). */
typedef struct fl_row {
    fl_import *im;
    sqlite3_stmt *st;
    const char *table;
    int64_t id;
    int32_t rc; /* sticky: the first error */
} fl_row;

int64_t fl_row_int(fl_row *row, int at, int64_t none, int64_t min, int64_t max);
int fl_row_bool(fl_row *row, int at);
int fl_row_is_null(const fl_row *row, int at);
flamenco_str fl_row_text(fl_row *row, int at);
/* As it stands, borrowed until the next step; for texts that are only looked at. */
flamenco_str fl_row_bytes(fl_row *row, int at);
int64_t fl_row_time(fl_row *row, int at);
flamenco_uuid fl_row_uuid(fl_row *row, int at);
flamenco_uuid fl_row_new_uuid(fl_row *row);
flamenco_str fl_row_keep(fl_row *row, flamenco_str text);
void fl_texts_drop(fl_import *im);

int32_t fl_keys_add(fl_import *im, fl_keys *keys, int64_t id, int64_t key);
/* 0 = there is none. */
int64_t fl_keys_find(const fl_keys *keys, int64_t id);

/* farm.c: workers, tags, memberships, sleep schedules. */
int32_t fl_import_farm(fl_import *im);
/* jobs.c: jobs with all that belongs to them. */
int32_t fl_import_jobs(fl_import *im);

/* tasks.c: one job's tasks. */
typedef struct fl_job_task {
    int64_t id;
    uint32_t index; /* in the job, from 1 */
    uint32_t completed;
} fl_job_task;

typedef struct fl_job_tasks {
    fl_job_task *rows; /* in ascending order of id; owned */
    uint64_t n, room;
} fl_job_tasks;

/* The statements that are run for every job. */
typedef struct fl_task_reader {
    fl_import *im;
    sqlite3_stmt *outline, *rows, *needs, *pairs;
    fl_job_tasks tasks;
} fl_task_reader;

int32_t fl_task_reader_open(fl_task_reader *reader, fl_import *im);
void fl_task_reader_close(fl_task_reader *reader);
/* Reads which tasks the job has, so that their number is known. */
int32_t fl_tasks_outline(fl_task_reader *reader, int64_t job_id);
/* The index of one of them; 0 = there is none. */
uint32_t fl_tasks_index(const fl_task_reader *reader, int64_t task_id);
/* Stores the tasks and their dependencies in the hidden job. */
int32_t fl_tasks_import(fl_task_reader *reader, int64_t job_id, int64_t job_key);

#endif
