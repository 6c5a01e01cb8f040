/* SPDX-License-Identifier: Apache-2.0
 *
 * test_shares.c - jobs in shares: which shares have work for a worker, and their groups (persistence.h, "shares").
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture.h"

static const task_spec two_types[] = { { "blender", 50, { 0 }, 0 }, { "ffmpeg", 60, { 0 }, 0 } };
static const task_spec one_task[] = { { "blender", 50, { 0 }, 0 } };

typedef struct story {
    char text[512];
    uint32_t stop_after, n;
} story;

static int32_t tell_share(void *ctx, int64_t share)
{
    story *s = ctx;
    size_t len = strlen(s->text);
    (void)snprintf(s->text + len, sizeof(s->text) - len, "%s%lld", len > 0 ? " " : "", (long long)share);
    return ++s->n == s->stop_after;
}

static int32_t tell_group(void *ctx, const flamenco_runnable_group *group)
{
    story *s = ctx;
    size_t len = strlen(s->text);
    (void)snprintf(s->text + len, sizeof(s->text) - len, "%sjob%lld/%.*s", len > 0 ? " " : "",
                   (long long)group->job_key, (int)group->task_type.len, group->task_type.ptr);
    return ++s->n == s->stop_after;
}

static void expect_shares(fixture *f, int64_t worker, const char *wanted)
{
    story s = { .n = 0 };
    OK(f, runnable_shares, worker, tell_share, &s);
    assert_string_equal(s.text, wanted);
}

static void expect_groups(fixture *f, int64_t worker, int64_t share, const char *wanted)
{
    story s = { .n = 0 };
    OK(f, runnable_groups_of_share, worker, share, tell_group, &s);
    assert_string_equal(s.text, wanted);
}

static void jobs_begin_without_a_share_and_move(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "blender,ffmpeg");
    int64_t a = fixture_job(f, 50, 0, two_types, 2), b = fixture_job(f, 70, 0, one_task, 1);
    expect_shares(f, worker, "0");
    expect_groups(f, worker, 0, "job2/blender job1/ffmpeg job1/blender");
    int64_t updated = fixture_read_job(f, a).updated_us;
    f->cx->now_us += SECOND;
    OK(f, job_set_share, a, INT64_MAX);
    expect_shares(f, worker, "0 9223372036854775807");
    OK(f, job_set_share, b, -5);
    expect_shares(f, worker, "-5 9223372036854775807");
    expect_groups(f, worker, INT64_MAX, "job1/ffmpeg job1/blender");
    expect_groups(f, worker, -5, "job2/blender");
    expect_groups(f, worker, 0, "");
    assert_int_equal(fixture_read_job(f, a).updated_us, updated);
    /* All groups come in their order whatever the shares are. */
    story all = { .n = 0 };
    OK(f, runnable_groups, worker, tell_group, &all);
    assert_string_equal(all.text, "job2/blender job1/ffmpeg job1/blender");
    assert_int_equal(fixture_check(f), FLAMENCO_OK);
}

static void a_share_outlives_every_change_of_the_job(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "blender,ffmpeg");
    int64_t job = fixture_job(f, 50, 0, two_types, 2);
    OK(f, job_set_share, job, 7);
    (void)fixture_set_job(f, job, FLAMENCO_JOB_PAUSED);
    expect_shares(f, worker, "");
    (void)fixture_set_job(f, job, FLAMENCO_JOB_QUEUED);
    expect_groups(f, worker, 7, "job1/ffmpeg job1/blender");
    (void)fixture_set_task(f, job, 2, FLAMENCO_TASK_ACTIVE);
    expect_groups(f, worker, 7, "job1/blender");
    (void)fixture_set_task(f, job, 2, FLAMENCO_TASK_QUEUED);
    OK(f, job_set_priority, job, 90);
    expect_groups(f, worker, 7, "job1/ffmpeg job1/blender");
    int64_t tag = fixture_tag(f, "t");
    OK(f, job_set_tag, job, tag);
    expect_shares(f, worker, "");
    OK(f, worker_set_tags, worker, &tag, 1);
    expect_shares(f, worker, "7");
    OK(f, tag_delete, tag, NULL);
    expect_groups(f, worker, 7, "job1/ffmpeg job1/blender");
    fixture_next(f);
    assert_int_equal(fixture_check(f), FLAMENCO_OK);
}

static void a_share_counts_only_where_the_worker_may_work(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "blender"), other = fixture_worker(f, "v", "ffmpeg,blender");
    int64_t tag = fixture_tag(f, "t");
    int64_t blocked = fixture_job(f, 50, 0, two_types, 2), open = fixture_job(f, 50, 0, one_task, 1);
    int64_t tagged = fixture_job(f, 50, tag, one_task, 1);
    OK(f, job_set_share, blocked, 1);
    OK(f, job_set_share, open, 2);
    OK(f, job_set_share, tagged, 3);
    expect_shares(f, worker, "1 2");
    OK(f, blocklist_add, blocked, worker, flamenco_text("blender"));
    expect_shares(f, worker, "2");
    expect_groups(f, worker, 1, "");
    expect_shares(f, other, "1 2");
    OK(f, worker_set_tags, worker, &tag, 1);
    expect_shares(f, worker, "2 3");
    /* A visitor ends the list. */
    story s = { .stop_after = 1 };
    OK(f, runnable_shares, other, tell_share, &s);
    assert_string_equal(s.text, "1");
}

static void what_does_not_exist_is_told(void **state)
{
    fixture *f = *state;
    assert_int_equal(DB(f, job_set_share, 4711, 1), FLAMENCO_E_NOT_FOUND);
    expect_shares(f, 4711, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(jobs_begin_without_a_share_and_move),
        TEST(a_share_outlives_every_change_of_the_job),
        TEST(a_share_counts_only_where_the_worker_may_work),
        TEST(what_does_not_exist_is_told),
    };
    return cmocka_run_group_tests_name("persist-shares", tests, NULL, NULL);
}
