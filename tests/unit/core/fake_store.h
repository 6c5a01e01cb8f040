/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_store.h - a persistence service that stores nothing but counts, and fails on command: for the tests of the executor.
 * Its data is one list of numbers, so that a test sees what was committed, and what a rollback undid.
 */
#ifndef FAKE_STORE_H
#define FAKE_STORE_H

#include "flamenco/persistence.h"

#define FAKE_VALUES 4096

typedef struct fake_store {
    int64_t committed[FAKE_VALUES]; /* in order of commit */
    size_t n_committed;
    int64_t pending[FAKE_VALUES]; /* of the open transaction */
    size_t n_pending, n_savepoint;
    uint64_t last_batch;
    uint32_t commits, begins, rollbacks, opens;
    int in_savepoint;
    /* Failures: the next n calls fail with the code. */
    uint32_t fail_begins, fail_commits;
    int32_t fail_code;
    /* 1: a failing commit stores its data all the same, as when the connection breaks on the way back. */
    uint32_t commit_in_secret;
    uint32_t quiet; /* atomic; what wants_quiet says */
    uint32_t quiet_runs; /* atomic */
    void (*on_quiet)(void *ctx); /* called in the quiet moment; NULL = not */
    void *on_quiet_ctx;
} fake_store;

extern const flamenco_persistence fake_store_table;

/* Adds a number in the running write transaction. [writer] */
void fake_store_add(fake_store *store, int64_t value);

#endif
