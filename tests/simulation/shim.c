/* SPDX-License-Identifier: Apache-2.0 */
#include "shim.h"

#include <pthread.h>

static struct {
    pthread_mutex_t lock;
    shim_plan plan;
    uint32_t fired; /* the plan has come to action */
    uint32_t uncounted; /* the running batch */
    uint32_t crashed; /* atomic */
    uint64_t failures;
} shim = { .lock = PTHREAD_MUTEX_INITIALIZER };

void (*shim_on_crash)(void);

void shim_arm(const shim_plan *plan)
{
    pthread_mutex_lock(&shim.lock);
    shim.plan = *plan;
    shim.fired = 0;
    pthread_mutex_unlock(&shim.lock);
}

int shim_disarm(void)
{
    pthread_mutex_lock(&shim.lock);
    int fired = shim.fired != 0;
    shim.fired = 0;
    shim.plan.kind = SHIM_NONE;
    pthread_mutex_unlock(&shim.lock);
    return fired;
}

void shim_reset(void)
{
    pthread_mutex_lock(&shim.lock);
    shim.plan.kind = SHIM_NONE;
    shim.fired = 0;
    __atomic_store_n(&shim.crashed, 0, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&shim.lock);
}

int shim_crashed(void)
{
    return __atomic_load_n(&shim.crashed, __ATOMIC_ACQUIRE) != 0;
}

uint64_t shim_failures(void)
{
    pthread_mutex_lock(&shim.lock);
    uint64_t failures = shim.failures;
    pthread_mutex_unlock(&shim.lock);
    return failures;
}

static int32_t gone(flamenco_error *err)
{
    return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "the process has ended");
}

static void crash(void)
{
    __atomic_store_n(&shim.crashed, 1, __ATOMIC_RELEASE);
    shim.fired = 1;
    shim.plan.kind = SHIM_NONE;
    shim_on_crash();
}

/* The lock is held. */
static int32_t fail(const char *what, flamenco_error *err)
{
    shim.fired = 1;
    ++shim.failures;
    if (shim.plan.times > 0 && --shim.plan.times == 0)
        shim.plan.kind = SHIM_NONE;
    return flamenco_fail(err, shim.plan.code, "%s fails on command", what);
}

/* Counts a matching call down. Returns 1 when it is the one, or one of those that follow. */
static int is_due(void)
{
    if (shim.plan.countdown > 0)
        --shim.plan.countdown;
    return shim.plan.countdown == 0;
}

/* Tells whether the plan looks at this call at all. The lock is held. */
static int matters(uint32_t method, const flamenco_cx *cx)
{
    if (method == SHIM_SAVEPOINT)
        shim.uncounted = flamenco_str_equal(cx->request_id, flamenco_text(SHIM_UNCOUNTED)) ? 1 : 0;
    switch (shim.plan.kind) {
    case SHIM_FAIL_BEGIN:
        return method == SHIM_BEGIN;
    case SHIM_FAIL_COMMIT:
    case SHIM_CRASH_BEFORE_COMMIT:
        return method == SHIM_COMMIT && !shim.uncounted;
    case SHIM_FAIL_CALL:
    case SHIM_CRASH_CALL:
        return method != SHIM_BEGIN && method != SHIM_MAINTAIN && !shim.uncounted;
    case SHIM_FAIL_AFTER_COMMIT: /* once a commit's fate is unknown, asking for it may fail as well */
        return (method == SHIM_OPEN || method == SHIM_LAST_BATCH) && shim.fired;
    default:
        return 0;
    }
}

int32_t shim_before(uint32_t method, const flamenco_cx *cx, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    pthread_mutex_lock(&shim.lock);
    if (shim_crashed()) {
        rc = gone(err);
    } else if (matters(method, cx) && is_due()) {
        if (shim.plan.kind == SHIM_CRASH_CALL || shim.plan.kind == SHIM_CRASH_BEFORE_COMMIT) {
            crash();
            rc = gone(err);
        } else {
            rc = fail(shim_names[method], err);
        }
    }
    pthread_mutex_unlock(&shim.lock);
    return rc;
}

int32_t shim_after_commit(flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    pthread_mutex_lock(&shim.lock);
    if (shim.uncounted) {
        rc = FLAMENCO_OK;
    } else if (shim.plan.kind == SHIM_CRASH_AFTER_COMMIT && is_due()) {
        crash();
        rc = gone(err);
    } else if (shim.plan.kind == SHIM_FAIL_AFTER_COMMIT && !shim.fired && is_due()) {
        rc = fail("commit", err);
    }
    pthread_mutex_unlock(&shim.lock);
    return rc;
}
