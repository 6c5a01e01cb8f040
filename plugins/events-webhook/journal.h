/* SPDX-License-Identifier: Apache-2.0
 *
 * journal.h - a queue of texts that outlives the process: appended to files in a directory of its own, taken out in order. A
 * text that append has accepted is there again after kill -9; what a crash left half written is cut off. Bounded: beyond
 * that the oldest are dropped. For one thread at a time; used by target.c, whose lock guards it.
 *
 * Files: NUMBER.log, each a row of records, the number that of its first record; `position`, how far they were taken, which
 * is also the lock that keeps a second process out.
 */
#ifndef WEBHOOK_JOURNAL_H
#define WEBHOOK_JOURNAL_H

#include "flamenco/plugin.h"

#define FL_JOURNAL_RECORD_HEAD 32u /* bytes in front of each text */

typedef struct fl_journal_file {
    uint64_t first, last; /* numbers of its records; last == first - 1: it is empty */
    uint64_t size; /* of what is whole in it */
} fl_journal_file;

typedef struct fl_journal {
    int directory, position, tail; /* descriptors; -1 = closed. tail: of the last file */
    int previous; /* of the file before, while it may not be on the disk yet */
    int sealed; /* nothing more may be appended to the last file */
    int dirty; /* there is something to sync */
    fl_journal_file *files; /* oldest first */
    size_t n, cap;
    uint64_t limit, file_limit; /* bytes in all files, and when a new one is begun */
    uint64_t bytes; /* in all files */
    uint64_t taken; /* all up to this number are done with */
    uint64_t next; /* number of the next record */
    uint64_t slot; /* of `position` that is written next */
    int reader; /* descriptor of the file that is read; -1 */
    uint64_t reader_first; /* which file that is */
    uint64_t read_at, read_number; /* the record that is read next there */
} fl_journal;

/* A text taken out. The buffer grows, and is reused; free it with fl_journal_text_fini. */
typedef struct fl_journal_text {
    char *data;
    size_t len, cap;
    uint64_t number; /* ascending; a gap: what lay between was dropped */
    int64_t time_us; /* as given to append */
} fl_journal_text;

void fl_journal_text_fini(fl_journal_text *text);

/* Opens or makes the directory, whose parent exists, and looks through what is in it. *lost_out: how many bytes were no whole
 * records. Errors: BUSY (another process has it), IO, FULL, NOMEM. */
int32_t fl_journal_open(fl_journal *journal, const char *directory, uint64_t limit, uint64_t *lost_out,
                        flamenco_error *err);

/* Gives everything back. Accepts one that is zeroed, or could not be opened. */
void fl_journal_close(fl_journal *journal);

/* Keeps a text. *dropped_out: how many older ones had to go for it. Errors: FULL (no room at all, or none on the disk), IO,
 * NOMEM; the journal then is as before. */
int32_t fl_journal_append(fl_journal *journal, const char *data, size_t len, int64_t time_us, uint64_t *dropped_out,
                          flamenco_error *err);

/* Reads the oldest text that is not done with. NOT_FOUND: there is none. CORRUPT: what stands there is damaged and was passed
 * over; ask again. IO, NOMEM: nothing has changed. */
int32_t fl_journal_read(fl_journal *journal, fl_journal_text *out, flamenco_error *err);

/* Everything up to that number is done with. IO: that was not written down; after a crash it would come again. */
int32_t fl_journal_done(fl_journal *journal, uint64_t number, flamenco_error *err);

/* How many texts wait. */
uint64_t fl_journal_waiting(const fl_journal *journal);

#define FL_JOURNAL_FDS 4u

/* For outliving a power cut, too: copies of the descriptors that have something to sync since the last call, which the caller
 * syncs and closes, without a lock. Returns their number, at most FL_JOURNAL_FDS. */
size_t fl_journal_unsynced(fl_journal *journal, int *fds);

#endif
