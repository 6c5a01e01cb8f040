/* SPDX-License-Identifier: Apache-2.0
 *
 * The plugins' own receivers of events.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "core/listeners.h"

#define JOBS (UINT64_C(1) << FLAMENCO_EVENT_JOB)
#define WORKERS (UINT64_C(1) << FLAMENCO_EVENT_WORKER)

static fl_listeners *listeners;
static char heard[64]; /* a letter for each call */
static int owner_a, owner_b;

static int set_up(void **state)
{
    (void)state;
    heard[0] = '\0';
    listeners = fl_listeners_create();
    return listeners != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fl_listeners_destroy(listeners);
    return 0;
}

static void hear(void *ctx, const flamenco_event *event)
{
    (void)event;
    strcat(heard, ctx);
}

static void add(const void *owner, uint64_t kinds, char *letter)
{
    assert_int_equal(fl_listeners_add(listeners, owner, kinds, hear, letter), FLAMENCO_OK);
}

static const char *call(uint32_t kind)
{
    flamenco_event event = { .struct_size = (uint32_t)sizeof(event), .kind = kind };
    heard[0] = '\0';
    fl_listeners_call(listeners, &event);
    return heard;
}

static char a[] = "a", b[] = "b", c[] = "c";

static void receivers_get_their_kinds_in_order_of_adding(void **state)
{
    (void)state;
    add(&owner_a, JOBS | WORKERS, a);
    add(&owner_b, WORKERS, b);
    add(&owner_a, JOBS, c);
    assert_string_equal(call(FLAMENCO_EVENT_JOB), "ac");
    assert_string_equal(call(FLAMENCO_EVENT_WORKER), "ab");
    assert_string_equal(call(FLAMENCO_EVENT_TASK), "");
    assert_true(fl_listeners_kinds(listeners) == (JOBS | WORKERS));
}

static void remove_takes_all_of_one_owner(void **state)
{
    (void)state;
    add(&owner_a, JOBS, a);
    add(&owner_b, WORKERS, b);
    add(&owner_a, JOBS | WORKERS, c);
    fl_listeners_remove(listeners, &owner_a);
    assert_string_equal(call(FLAMENCO_EVENT_JOB), "");
    assert_string_equal(call(FLAMENCO_EVENT_WORKER), "b");
    assert_true(fl_listeners_kinds(listeners) == WORKERS);
    fl_listeners_remove(listeners, &owner_a); /* of one that has none */
    fl_listeners_remove(listeners, &owner_b);
    assert_true(fl_listeners_kinds(listeners) == 0);
    add(&owner_a, JOBS, a);
    assert_string_equal(call(FLAMENCO_EVENT_JOB), "a");
}

static void widened_receivers_hear_more_kinds(void **state)
{
    (void)state;
    add(&owner_a, JOBS, a);
    add(&owner_b, 0, b);
    fl_listeners_widen(listeners, &owner_a, WORKERS);
    assert_string_equal(call(FLAMENCO_EVENT_JOB), "a");
    assert_string_equal(call(FLAMENCO_EVENT_WORKER), "a");
    assert_true(fl_listeners_kinds(listeners) == (JOBS | WORKERS));
    fl_listeners_remove(listeners, &owner_a);
    assert_true(fl_listeners_kinds(listeners) == 0);
    fl_listeners_widen(listeners, &owner_a, WORKERS); /* of one that has none */
    assert_true(fl_listeners_kinds(listeners) == 0);
}

static void kinds_of_nobody_are_none(void **state)
{
    (void)state;
    assert_true(fl_listeners_kinds(listeners) == 0);
    add(&owner_a, 0, a);
    assert_true(fl_listeners_kinds(listeners) == 0);
    assert_string_equal(call(FLAMENCO_EVENT_JOB), "");
}

/* ---- Removing while one runs --------------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int running, released, ended, ended_before_removed;

static void hear_slowly(void *ctx, const flamenco_event *event)
{
    (void)ctx;
    (void)event;
    pthread_mutex_lock(&lock);
    running = 1;
    pthread_cond_broadcast(&changed);
    while (!released)
        pthread_cond_wait(&changed, &lock);
    ended = 1;
    pthread_mutex_unlock(&lock);
}

static void *call_slowly(void *arg)
{
    (void)arg;
    call(FLAMENCO_EVENT_JOB);
    return NULL;
}

static void *remove_owner(void *arg)
{
    fl_listeners_remove(listeners, arg);
    pthread_mutex_lock(&lock);
    ended_before_removed = ended;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void remove_waits_for_the_one_that_runs(void **state)
{
    (void)state;
    pthread_t caller, remover;
    assert_int_equal(fl_listeners_add(listeners, &owner_a, JOBS, hear_slowly, NULL), FLAMENCO_OK);
    assert_int_equal(pthread_create(&caller, NULL, call_slowly, NULL), 0);
    pthread_mutex_lock(&lock);
    while (!running)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    assert_int_equal(pthread_create(&remover, NULL, remove_owner, &owner_a), 0);
    pthread_mutex_lock(&lock);
    released = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    assert_int_equal(pthread_join(caller, NULL), 0);
    assert_int_equal(pthread_join(remover, NULL), 0);
    assert_true(ended_before_removed);
    assert_string_equal(call(FLAMENCO_EVENT_JOB), "");
}

#define listeners_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        listeners_test(receivers_get_their_kinds_in_order_of_adding),
        listeners_test(remove_takes_all_of_one_owner),
        listeners_test(widened_receivers_hear_more_kinds),
        listeners_test(kinds_of_nobody_are_none),
        listeners_test(remove_waits_for_the_one_that_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
