/* SPDX-License-Identifier: Apache-2.0
 *
 * import.c - one run of the import: opens the reference's database and stores part after part, in transactions of some
 * thousand rows.
 */
#include "import.h"

/* Rows in one transaction: enough that the commit does not count, few enough that the store's log stays short. */
#define ROWS_PER_COMMIT 5000

int32_t fl_import_nomem(fl_import *im)
{
    return flamenco_fail(im->err, FLAMENCO_E_NOMEM, "no memory for the import of %s", im->source.path);
}

static int32_t commit(fl_import *im)
{
    int32_t rc = flamenco_persist_commit(im->to, im->cx, ++im->batch, im->err);
    im->in_batch = 0;
    im->forget(im->cx);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_maintain(im->to, im->writer, FLAMENCO_MAINTAIN_COMMITTED, im->err);
    if (rc == FLAMENCO_OK && flamenco_persist_wants_quiet(im->to) != 0)
        rc = flamenco_persist_maintain(im->to, im->writer, FLAMENCO_MAINTAIN_QUIET, im->err);
    return rc;
}

int32_t fl_import_stored(fl_import *im, uint64_t rows)
{
    im->in_batch += rows;
    if (flamenco_cx_cancelled(im->cx))
        return flamenco_fail(im->err, FLAMENCO_E_CANCELLED, "the import was given up");
    if (im->in_batch < ROWS_PER_COMMIT)
        return FLAMENCO_OK;
    int32_t rc = commit(im);
    return rc == FLAMENCO_OK ? flamenco_persist_begin(im->to, im->writer, im->cx, im->err) : rc;
}

static int32_t import_all(fl_import *im)
{
    int32_t rc = flamenco_persist_last_batch(im->to, im->writer, &im->batch, im->err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_begin(im->to, im->writer, im->cx, im->err);
    if (rc == FLAMENCO_OK)
        rc = fl_import_farm(im);
    if (rc == FLAMENCO_OK)
        rc = fl_import_jobs(im);
    if (rc == FLAMENCO_OK)
        rc = commit(im);
    else if (im->cx->txn != NULL)
        flamenco_persist_rollback(im->to, im->cx);
    return rc;
}

int32_t fl_reference_import(const flamenco_host *host, const char *path, const char *scratch,
                            const fl_reference_target *target, fl_reference_counts *out, flamenco_error *err)
{
    fl_import im = { .host = host,
                     .to = &target->store,
                     .writer = target->writer,
                     .cx = target->cx,
                     .forget = target->forget,
                     .err = err };
    im.told_us = host->monotonic_us(host->h);
    int32_t rc = fl_source_open(&im.source, host, path, scratch, err);
    if (rc == FLAMENCO_OK && !im.source.empty) {
        char version[48] = "of release 3.3 or older";
        if (im.source.version > 0)
            (void)snprintf(version, sizeof(version), "version %lld", (long long)im.source.version);
        host->log(host->h, FLAMENCO_LOG_INFO, "import: reading %s, a database of Flamenco, %s", path, version);
        rc = import_all(&im);
        if (rc == FLAMENCO_OK)
            rc = fl_source_unchanged(&im.source, err);
    }
    fl_source_close(&im.source);
    if (rc == FLAMENCO_OK) {
        fl_notes_log(&im);
        *out = im.counts;
    }
    while (im.blocks != NULL) {
        fl_block *next = im.blocks->next;
        host->free(host->h, im.blocks);
        im.blocks = next;
    }
    host->free(host->h, im.workers.rows);
    host->free(host->h, im.tags.rows);
    return rc;
}
