/* SPDX-License-Identifier: Apache-2.0
 *
 * notes.c - what the import mended or left out, counted, and told once at its end.
 */
#include "import.h"

static const char *const texts[FL_NOTES] = {
    [FL_NOTE_UUID] = "rows had no UUID, or one that another row has; they got a new one",
    [FL_NOTE_TIME] = "times could not be read; they are empty now",
    [FL_NOTE_TEXT] = "texts were not UTF-8; what could not be read is marked by U+FFFD",
    [FL_NOTE_NUMBER] = "numbers were out of range; they are the nearest possible one now",
    [FL_NOTE_JOB_STATUS] = "jobs had an unknown status; they are paused now",
    [FL_NOTE_JOB_JSON] = "settings or metadata of jobs could not be read; they are empty, or texts, now",
    [FL_NOTE_JOB_TAG] = "jobs had a worker tag that does not exist; they have none now",
    [FL_NOTE_TASK_STATUS] = "tasks had an unknown status; they are canceled now",
    [FL_NOTE_TASK_COMMANDS] = "tasks had commands that could not be read; those that were to be run are failed now",
    [FL_NOTE_TASK_WORKER] = "tasks had a worker that does not exist; they have none now",
    [FL_NOTE_TASK_ORPHAN] = "tasks had a job that does not exist; they were left out",
    [FL_NOTE_DEPENDENCY] = "dependencies were on no other task of the same job; they were left out",
    [FL_NOTE_WORKER_STATUS] =
        "workers had an unknown status, or were asked for one; they are offline, or not asked, now",
    [FL_NOTE_TAG_NAME] = "worker tags had no name, or that of another one; they got another name",
    [FL_NOTE_SLEEP] = "sleep schedules could not be read; they are switched off now",
    [FL_NOTE_ORPHAN] =
        "entries of tags, schedules, blocklists and failure lists named what does not exist; they were left out",
};

void fl_note_add_many(fl_import *im, fl_note note, const char *table, int64_t first_id, uint64_t n)
{
    fl_noted *noted = &im->notes[note];
    if (noted->n == 0) {
        noted->table = table;
        noted->id = first_id;
    }
    noted->n += n;
}

void fl_note_add(fl_import *im, fl_note note, const char *table, int64_t id)
{
    fl_note_add_many(im, note, table, id, 1);
}

void fl_notes_log(const fl_import *im)
{
    for (size_t i = 0; i < FL_NOTES; ++i) {
        const fl_noted *noted = &im->notes[i];
        if (noted->n == 0)
            continue;
        im->host->log(im->host->h, FLAMENCO_LOG_WARN, "import: %llu %s (the first: id %lld in table %s)",
                      (unsigned long long)noted->n, texts[i], (long long)noted->id, noted->table);
    }
}
