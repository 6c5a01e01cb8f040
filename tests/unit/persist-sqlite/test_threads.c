/* SPDX-License-Identifier: Apache-2.0
 *
 * test_threads.c - readers on threads of their own while the writer commits: each sees whole commits only. Meant for the
 * thread sanitizer as much as for its assertions.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>

#include "fixture.h"

#define READERS 3
#define BATCHES 300
#define TASKS 6

typedef struct reader {
    pthread_t thread;
    fixture *f;
    int64_t job;
    const uint32_t *stop;
    uint64_t reads;
    const char *wrong; /* what was not as it should be; NULL = nothing */
} reader;

typedef struct sum {
    uint64_t counts[FLAMENCO_TASK_STATUSES];
    int64_t done;
} sum;

static int32_t on_task(void *ctx, const flamenco_task *row)
{
    sum *s = ctx;
    ++s->counts[row->status];
    s->done += row->steps_completed;
    return 0;
}

static const char *read_once(reader *r, flamenco_session *session, flamenco_cx *cx, flamenco_error *err)
{
    const flamenco_persistence *db = r->f->db;
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    sum s = { .done = 0 };
    if (db->begin(r->f->self, session, cx, err) != FLAMENCO_OK)
        return "begin";
    const char *wrong = NULL;
    if (db->job_get_key(r->f->self, cx, r->job, &job, err) != FLAMENCO_OK)
        wrong = "job_get_key";
    else if (db->tasks_list(r->f->self, cx, r->job, &page, on_task, &s, NULL, err) != FLAMENCO_OK)
        wrong = "tasks_list";
    else if (memcmp(s.counts, job.counts, sizeof(s.counts)) != 0 || s.done != job.steps_completed)
        wrong = "a snapshot with half a commit";
    db->rollback(r->f->self, cx);
    return wrong;
}

static void *run_reader(void *ctx)
{
    reader *r = ctx;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_session *session = NULL;
    if (r->f->db->open(r->f->self, FLAMENCO_SESSION_READER, &session, &err) != FLAMENCO_OK) {
        r->wrong = "open";
        return NULL;
    }
    while (r->wrong == NULL && (r->reads == 0 || !__atomic_load_n(r->stop, __ATOMIC_ACQUIRE))) {
        fake_cx *cx = fake_cx_create(&r->f->fake);
        r->wrong = read_once(r, session, &cx->cx, &err);
        fake_cx_destroy(cx);
        ++r->reads;
    }
    r->f->db->close(r->f->self, session);
    return NULL;
}

static void readers_see_whole_commits_only(void **state)
{
    fixture *f = *state;
    task_spec spec[TASKS];
    for (size_t i = 0; i < TASKS; ++i)
        spec[i] = (task_spec){ "blender", 50, { 0 }, 10 };
    reader readers[READERS];
    uint32_t stop = 0;
    int64_t job = fixture_job(f, 50, 0, spec, TASKS);
    fixture_next(f);
    for (size_t i = 0; i < READERS; ++i) {
        readers[i] = (reader){ .f = f, .job = job, .stop = &stop };
        assert_int_equal(pthread_create(&readers[i].thread, NULL, run_reader, &readers[i]), 0);
    }
    for (uint32_t batch = 0; batch < BATCHES; ++batch) {
        for (uint32_t i = 1; i <= TASKS; ++i)
            fixture_set_task(f, job, i, (batch + i) % FLAMENCO_TASK_STATUSES);
        if (batch % 20 == 0) {
            char type[24];
            (void)snprintf(type, sizeof(type), "type-%u", batch);
            const task_spec more[] = { { type, 50, { 0 }, 1 } };
            fixture_job(f, 50, 0, more, 1);
        }
        fixture_forget(f);
        assert_int_equal(f->plugin->health(f->self, &f->err), 0);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (size_t i = 0; i < READERS; ++i) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        if (readers[i].wrong != NULL)
            fail_msg("reader %zu, read %llu: %s", i, (unsigned long long)readers[i].reads, readers[i].wrong);
    }
    assert_int_equal(fixture_check(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(readers_see_whole_commits_only, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
