/* SPDX-License-Identifier: Apache-2.0
 *
 * Parked requests beside the real executor and publisher, as in the manager: many wait for tasks that write steps make, some
 * of their clients go meanwhile. Nobody may miss a task, and each request ends exactly once.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "bench_core.h"
#include "core/parked.h"

#define LONG_US 60000000
#define WAITERS 400
#define JOBS 40
#define TASKS_PER_JOB 10

/* What the requests' clients do. */
typedef struct request {
    fl_step step;
    struct farm *farm;
    uint32_t gone; /* atomic */
    uint32_t ends; /* atomic; how often it ended */
    int32_t result;
    int got_task;
} request;

typedef struct farm {
    bench b;
    int64_t tasks; /* runnable ones; the writer's alone */
    int64_t handed_out;
    request requests[WAITERS];
    uint32_t n_ended; /* under b.lock */
} farm;

typedef struct job_step {
    fl_step step;
    farm *farm;
} job_step;

static void end_request(request *r, int32_t result)
{
    bench *b = &r->farm->b;
    __atomic_add_fetch(&r->ends, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&b->lock);
    r->result = result;
    ++r->farm->n_ended;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static int32_t run_request(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    request *r = (request *)(void *)step;
    (void)cx;
    (void)err;
    r->got_task = r->farm->tasks > 0;
    if (!r->got_task)
        return FL_STEP_PARK;
    --r->farm->tasks;
    ++r->farm->handed_out;
    return FLAMENCO_OK;
}

static void request_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    request *r = (request *)(void *)step;
    (void)err;
    if (step->park.order != 0)
        fl_parked_ended(r->farm->b.f.parked, step, result == FLAMENCO_OK);
    end_request(r, result);
}

static int hold_request(fl_step *step)
{
    return !__atomic_load_n(&((request *)(void *)step)->gone, __ATOMIC_SEQ_CST);
}

static void check_request(fl_step *step)
{
    request *r = (request *)(void *)step;
    int alive = !__atomic_load_n(&r->gone, __ATOMIC_SEQ_CST);
    fl_parked_checked(r->farm->b.f.parked, step, alive);
    if (!alive)
        end_request(r, FLAMENCO_E_CANCELLED);
}

static void expire_request(fl_step *step)
{
    end_request((request *)(void *)step, FLAMENCO_E_DEADLINE);
}

/* What the event loop does when a client closes its connection. */
static void leave(request *r)
{
    __atomic_store_n(&r->gone, 1, __ATOMIC_SEQ_CST);
    if (fl_parked_remove(r->farm->b.f.parked, &r->step))
        end_request(r, FLAMENCO_E_CANCELLED);
}

static const fl_step_ops request_ops = { .name = "request",
                                         .kind = FLAMENCO_STEP_WRITE,
                                         .run = run_request,
                                         .done = request_done,
                                         .hold = hold_request,
                                         .check = check_request,
                                         .expired = expire_request };

static int32_t run_job(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    job_step *job = (job_step *)(void *)step;
    (void)err;
    job->farm->tasks += TASKS_PER_JOB;
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake),
                           .what = FLAMENCO_WAKE_TASKS,
                           .count = TASKS_PER_JOB,
                           .task_type = flamenco_text("blender") };
    return cx->pub.host->wake(&cx->pub, &wake);
}

static void job_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    (void)step;
    (void)result;
    (void)err;
}

static const fl_step_ops job_ops = { .name = "job", .kind = FLAMENCO_STEP_WRITE, .run = run_job, .done = job_done };

static farm the_farm;

static farm *open_farm(void)
{
    farm *f = &the_farm;
    memset(f->requests, 0, sizeof(f->requests));
    f->tasks = f->handed_out = 0;
    f->n_ended = 0;
    bench_start(&f->b, LONG_US);
    for (int i = 0; i < WAITERS; ++i) {
        request *r = &f->requests[i];
        r->farm = f;
        r->step.ops = &request_ops;
        r->step.park = (fl_park){ .kind = FLAMENCO_WAKE_TASKS,
                                  .worker_key = i + 1,
                                  .task_types = flamenco_text("blender"),
                                  .hold_us = INT64_C(1000000000) };
        memcpy(r->step.park.worker.b, &i, sizeof(i));
        r->step.park.worker.b[15] = 1;
    }
    return f;
}

static void wait_for_ends(farm *f, uint32_t n)
{
    pthread_mutex_lock(&f->b.lock);
    while (f->n_ended < n)
        pthread_cond_wait(&f->b.changed, &f->b.lock);
    pthread_mutex_unlock(&f->b.lock);
}

static void each_ended_once(farm *f)
{
    for (int i = 0; i < WAITERS; ++i)
        assert_int_equal(f->requests[i].ends, 1);
    assert_int_equal(f->n_ended, WAITERS);
}

static void *submit_jobs(void *arg)
{
    static job_step jobs[JOBS];
    farm *f = arg;
    memset(jobs, 0, sizeof(jobs));
    for (int i = 0; i < JOBS; ++i) {
        jobs[i].farm = f;
        jobs[i].step.ops = &job_ops;
        fl_executor_submit(f->b.f.executor, &jobs[i].step);
    }
    return NULL;
}

static void *submit_requests(void *arg)
{
    farm *f = arg;
    for (int i = 0; i < WAITERS; ++i)
        fl_executor_submit(f->b.f.executor, &f->requests[i].step);
    return NULL;
}

static void every_task_finds_its_worker(void **state)
{
    (void)state;
    for (int round = 0; round < 20; ++round) {
        farm *f = open_farm();
        pthread_t a, b;
        assert_int_equal(pthread_create(&a, NULL, submit_requests, f), 0);
        assert_int_equal(pthread_create(&b, NULL, submit_jobs, f), 0);
        assert_int_equal(pthread_join(a, NULL), 0);
        assert_int_equal(pthread_join(b, NULL), 0);
        wait_for_ends(f, WAITERS); /* hangs when a wake-up is lost */
        bench_stop(&f->b);
        assert_int_equal(f->tasks, 0);
        assert_int_equal(f->handed_out, JOBS * TASKS_PER_JOB);
        each_ended_once(f);
    }
}

static void *leave_one_by_one(void *arg)
{
    farm *f = arg;
    for (int i = 0; i < WAITERS; i += 2)
        leave(&f->requests[i]);
    return NULL;
}

static void *tick_and_wake(void *arg)
{
    farm *f = arg;
    for (int i = 0; i < WAITERS; ++i) {
        flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake),
                               .what = FLAMENCO_WAKE_WORKER,
                               .worker = f->requests[i].step.park.worker };
        fl_parked_wake(f->b.f.parked, &wake);
        fl_parked_tick(f->b.f.parked);
    }
    return NULL;
}

/* Half of the clients go while they wait, are checked or run; the others get what there is. */
static void clients_that_go_at_any_time_end_once_and_take_no_task_with_them(void **state)
{
    (void)state;
    for (int round = 0; round < 20; ++round) {
        farm *f = open_farm();
        pthread_t threads[4];
        void *(*const mains[4])(void *) = { submit_requests, submit_jobs, leave_one_by_one, tick_and_wake };
        if (round % 2 == 0)
            submit_requests(f);
        for (int i = round % 2 == 0 ? 1 : 0; i < 4; ++i)
            assert_int_equal(pthread_create(&threads[i], NULL, mains[i], f), 0);
        for (int i = round % 2 == 0 ? 1 : 0; i < 4; ++i)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        wait_for_ends(f, WAITERS);
        bench_stop(&f->b);
        each_ended_once(f);
        int64_t served = 0;
        for (int i = 0; i < WAITERS; ++i) {
            served += f->requests[i].result == FLAMENCO_OK;
            if (i % 2 == 1)
                assert_int_equal(f->requests[i].result, FLAMENCO_OK);
        }
        assert_int_equal(served, f->handed_out);
    }
}

static void drain_ends_all_while_they_are_tried(void **state)
{
    (void)state;
    for (int round = 0; round < 20; ++round) {
        farm *f = open_farm();
        pthread_t a, b;
        submit_requests(f);
        assert_int_equal(pthread_create(&a, NULL, submit_jobs, f), 0);
        assert_int_equal(pthread_create(&b, NULL, tick_and_wake, f), 0);
        fl_parked_drain(f->b.f.parked);
        assert_int_equal(pthread_join(a, NULL), 0);
        assert_int_equal(pthread_join(b, NULL), 0);
        bench_stop(&f->b);
        each_ended_once(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_finds_its_worker),
        cmocka_unit_test(clients_that_go_at_any_time_end_once_and_take_no_task_with_them),
        cmocka_unit_test(drain_ends_all_while_they_are_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
