/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_store.h"

#include <string.h>

static int some_txn;

static int32_t open_session(void *self, uint32_t kind, flamenco_session **out, flamenco_error *err)
{
    (void)err;
    fake_store *store = self;
    if (kind == FLAMENCO_SESSION_WRITER)
        ++store->opens;
    *out = (flamenco_session *)(void *)&some_txn;
    return FLAMENCO_OK;
}

static void close_session(void *self, flamenco_session *session)
{
    (void)self;
    (void)session;
}

static void interrupt(void *self, flamenco_session *session)
{
    (void)self;
    (void)session;
}

static int32_t begin(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err)
{
    (void)session;
    fake_store *store = self;
    cx->txn = (struct flamenco_txn *)(void *)&some_txn;
    if (cx->read_only)
        return FLAMENCO_OK;
    ++store->begins;
    if (store->fail_begins > 0) {
        --store->fail_begins;
        cx->txn = NULL;
        return flamenco_fail(err, store->fail_code, "begin fails on command");
    }
    store->n_pending = 0;
    return FLAMENCO_OK;
}

static int32_t savepoint(void *self, flamenco_cx *cx, flamenco_error *err)
{
    (void)cx;
    (void)err;
    fake_store *store = self;
    store->n_savepoint = store->n_pending;
    store->in_savepoint = 1;
    return FLAMENCO_OK;
}

static int32_t savepoint_unlikely(void *self, flamenco_cx *cx, flamenco_error *err)
{
    fake_store *store = self;
    (void)savepoint(self, cx, err);
    store->in_savepoint = 2;
    return FLAMENCO_OK;
}

static int32_t release(void *self, flamenco_cx *cx, flamenco_error *err)
{
    (void)cx;
    (void)err;
    ((fake_store *)self)->in_savepoint = 0;
    return FLAMENCO_OK;
}

static int32_t rollback_to(void *self, flamenco_cx *cx, flamenco_error *err)
{
    fake_store *store = self;
    if (store->in_savepoint == 2 && store->n_pending != store->n_savepoint)
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "an unlikely savepoint");
    store->n_pending = store->n_savepoint;
    return release(self, cx, err);
}

static int32_t commit(void *self, flamenco_cx *cx, uint64_t batch_no, flamenco_error *err)
{
    fake_store *store = self;
    uint32_t left = __atomic_load_n(&store->fail_commits, __ATOMIC_SEQ_CST);
    int fails = left > 0;
    if (fails) /* when a test has changed the number meanwhile, its word counts */
        (void)__atomic_compare_exchange_n(&store->fail_commits, &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    cx->txn = NULL;
    if (!fails || store->commit_in_secret) {
        memcpy(store->committed + store->n_committed, store->pending, store->n_pending * sizeof(store->pending[0]));
        store->n_committed += store->n_pending;
        store->last_batch = batch_no;
        ++store->commits;
    }
    store->n_pending = 0;
    return fails ? flamenco_fail(err, store->fail_code, "commit fails on command") : FLAMENCO_OK;
}

static void rollback(void *self, flamenco_cx *cx)
{
    fake_store *store = self;
    if (!cx->read_only) {
        ++store->rollbacks;
        store->n_pending = 0;
    }
    cx->txn = NULL;
}

static int32_t last_batch(void *self, flamenco_session *session, uint64_t *out, flamenco_error *err)
{
    (void)session;
    (void)err;
    *out = ((fake_store *)self)->last_batch;
    return FLAMENCO_OK;
}

static uint32_t wants_quiet(void *self)
{
    return __atomic_load_n(&((fake_store *)self)->quiet, __ATOMIC_ACQUIRE);
}

static int32_t maintain(void *self, flamenco_session *session, uint32_t phase, flamenco_error *err)
{
    (void)session;
    (void)err;
    fake_store *store = self;
    if (phase == FLAMENCO_MAINTAIN_QUIET) {
        __atomic_add_fetch(&store->quiet_runs, 1, __ATOMIC_RELEASE);
        __atomic_store_n(&store->quiet, 0, __ATOMIC_RELEASE);
        if (store->on_quiet != NULL)
            store->on_quiet(store->on_quiet_ctx);
    }
    return FLAMENCO_OK;
}

static int32_t touches(void *self, flamenco_cx *cx, const flamenco_touch *rows, uint64_t stride, uint64_t n,
                       flamenco_error *err)
{
    (void)cx;
    (void)err;
    (void)stride;
    for (uint64_t i = 0; i < n; ++i)
        fake_store_add(self, -rows[i].key);
    return FLAMENCO_OK;
}

void fake_store_add(fake_store *store, int64_t value)
{
    if (store->n_pending < FAKE_VALUES)
        store->pending[store->n_pending++] = value;
}

const flamenco_persistence fake_store_table = {
    .struct_size = (uint32_t)sizeof(flamenco_persistence),
    .open = open_session,
    .close = close_session,
    .interrupt = interrupt,
    .begin = begin,
    .savepoint = savepoint,
    .savepoint_unlikely = savepoint_unlikely,
    .release = release,
    .rollback_to = rollback_to,
    .commit = commit,
    .rollback = rollback,
    .last_batch = last_batch,
    .wants_quiet = wants_quiet,
    .maintain = maintain,
    .touches = touches,
};
