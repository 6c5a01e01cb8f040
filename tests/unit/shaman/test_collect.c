/* SPDX-License-Identifier: Apache-2.0
 *
 * test_collect.c - garbage collection (contract: shaman 6.3; decisions).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_fixture.h"

#define OLD 800 /* hours; the limit is 744 */

typedef struct seen {
    char paths[8][600];
    size_t n;
    uint64_t bytes;
} seen;

static int32_t see(void *ctx, const flamenco_shaman_garbage *row)
{
    seen *s = ctx;
    assert_true(s->n < 8);
    assert_true(row->reason.len > 0);
    snprintf(s->paths[s->n++], sizeof(s->paths[0]), "%.*s", (int)row->path.len, row->path.ptr);
    s->bytes += row->size_bytes;
    return 0;
}

static int32_t collect(fixture *f, uint32_t dry_run, seen *s, flamenco_shaman_collected *out)
{
    memset(s, 0, sizeof(*s));
    *out = (flamenco_shaman_collected){ .struct_size = (uint32_t)sizeof(*out) };
    return f->table->collect(f->self, &f->cx->cx, dry_run, see, s, out, &f->err);
}

static void used_and_young_blobs_stay(void **state)
{
    fixture *f = *state;
    seen s;
    flamenco_shaman_collected done;
    char name[64];
    flamenco_shaman_file file = file_of("deep/er/x", SHA_A, 11);
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), 0);
    assert_int_equal(upload(f, SHA_B, 6, "blob B"), 0);
    assert_int_equal(upload(f, SHA_E, 0, ""), 0);
    assert_int_equal(check_out(f, "job", &file, 1, name, sizeof(name)), 0);
    age(f, BLOB_A, OLD);
    age(f, BLOB_B, OLD);
    age(f, BLOB_E, 700);

    assert_int_equal(collect(f, 1, &s, &done), 0);
    assert_int_equal(done.old_files, 2);
    assert_int_equal(done.links_checked, 1);
    assert_int_equal(done.used_files, 1);
    assert_int_equal(done.unused_files, 1);
    assert_int_equal(done.removed_files, 0);
    assert_int_equal(done.freed_bytes, 6);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.paths[0], BLOB_B);
    assert_true(exists(f, BLOB_B));

    assert_int_equal(collect(f, 0, &s, &done), 0);
    assert_int_equal(done.removed_files, 1);
    assert_int_equal(done.freed_bytes, 6);
    assert_false(exists(f, "file-store/stored/6e"));
    assert_true(exists(f, BLOB_A));
    assert_true(exists(f, BLOB_E));
}

static void nothing_younger_than_a_day_goes_whatever_the_setting_says(void **state)
{
    fixture *f = *state;
    seen s;
    flamenco_shaman_collected done;
    fake_host_set(&f->fake, "gc_max_age", "0s");
    restart(f);
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), 0);
    assert_int_equal(upload(f, SHA_B, 6, "blob B"), 0);
    age(f, BLOB_A, 23);
    age(f, BLOB_B, 25);
    assert_int_equal(collect(f, 0, &s, &done), 0);
    assert_int_equal(done.removed_files, 1);
    assert_true(exists(f, BLOB_A));
    assert_false(exists(f, BLOB_B));
}

static void use_is_seen_through_links_of_the_administrator(void **state)
{
    /* The storage behind a symbolic link, jobs behind one, and a link with an absolute text. */
    fixture *f = *state;
    seen s;
    flamenco_shaman_collected done;
    char real[TEMP_DIR_MAX], jobs[TEMP_DIR_MAX], path[TEMP_DIR_MAX], name[64];
    flamenco_shaman_file file = file_of("x", SHA_A, 11);
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), 0);
    assert_int_equal(upload(f, SHA_B, 6, "blob B"), 0);
    assert_int_equal(check_out(f, "job", &file, 1, name, sizeof(name)), 0);
    temp_path(path, "%s/" BLOB_B, f->root);
    make_link(f, path, "jobs/job/absolute");
    age(f, BLOB_A, OLD);
    age(f, BLOB_B, OLD);
    temp_path(real, "%s/real", f->dir);
    assert_int_equal(rename(f->root, real), 0);
    assert_int_equal(symlink(real, f->root), 0);
    temp_path(jobs, "%s/elsewhere", f->dir);
    temp_path(path, "%s/jobs", real);
    assert_int_equal(rename(path, jobs), 0);
    assert_int_equal(symlink(jobs, path), 0);
    assert_int_equal(collect(f, 0, &s, &done), 0);
    assert_int_equal(done.used_files, 2);
    assert_int_equal(done.removed_files, 0);
    assert_true(exists(f, BLOB_A) && exists(f, BLOB_B));
}

static void links_that_lead_nowhere_and_ordinary_files_are_no_use(void **state)
{
    fixture *f = *state;
    seen s;
    flamenco_shaman_collected done;
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), 0);
    age(f, BLOB_A, OLD);
    write_file(f, "jobs/job/ordinary", "hello world");
    make_link(f, "/nowhere/at/all", "jobs/job/dangling");
    assert_int_equal(collect(f, 0, &s, &done), 0);
    assert_int_equal(done.links_checked, 1);
    assert_int_equal(done.removed_files, 1);
}

static void odd_files_in_the_store_are_collected_and_links_are_not_followed(void **state)
{
    fixture *f = *state;
    seen s;
    flamenco_shaman_collected done;
    char outside[TEMP_DIR_MAX];
    temp_path(outside, "%s/outside/precious", f->dir);
    temp_file_write(outside, "x");
    write_file(f, "file-store/stored/odd.txt", "abc");
    write_file(f, "file-store/stored/zz/odd", "abcd");
    age(f, "file-store/stored/odd.txt", OLD);
    age(f, "file-store/stored/zz/odd", OLD);
    temp_path(outside, "%s/outside", f->dir);
    make_link(f, outside, "file-store/stored/planted");
    assert_int_equal(collect(f, 0, &s, &done), 0);
    assert_int_equal(done.removed_files, 2);
    assert_int_equal(done.freed_bytes, 7);
    temp_path(outside, "%s/outside/precious", f->dir);
    assert_true(temp_exists(outside));
}

static void run_that_cannot_see_everything_removes_nothing(void **state)
{
    fixture *f = *state;
    seen s;
    flamenco_shaman_collected done;
    char jobs[TEMP_DIR_MAX];
    assert_int_equal(upload(f, SHA_A, 11, "hello world"), 0);
    age(f, BLOB_A, OLD);
    temp_path(jobs, "%s/jobs", f->root);
    assert_int_equal(rmdir(jobs), 0);
    temp_file_write(jobs, "in the way");
    assert_true(collect(f, 0, &s, &done) < 0);
    assert_true(exists(f, BLOB_A));
    assert_int_equal(unlink(jobs), 0);
    f->cx->cancelled = 1;
    assert_int_equal(collect(f, 0, &s, &done), FLAMENCO_E_CANCELLED);
    assert_true(exists(f, BLOB_A));
}

static void abandoned_uploads_go_after_a_day(void **state)
{
    static const char stale[] = "file-store/uploading/6e/"
                                "d5c9ce8d3ab1625ffc79b16389cd89b53751ed7c70ad3aa6f75b5e71a99a58/6-000000001.tmp";
    static const char fresh[] = "file-store/uploading/6e/"
                                "d5c9ce8d3ab1625ffc79b16389cd89b53751ed7c70ad3aa6f75b5e71a99a58/6-000000002.tmp";
    fixture *f = *state;
    seen s;
    flamenco_shaman_collected done;
    write_file(f, stale, "blo");
    write_file(f, fresh, "bl");
    age(f, stale, 25);
    assert_int_equal(collect(f, 1, &s, &done), 0);
    assert_int_equal(done.stale_uploads, 1);
    assert_true(exists(f, stale));
    assert_int_equal(collect(f, 0, &s, &done), 0);
    assert_int_equal(done.stale_uploads, 1);
    assert_false(exists(f, stale));
    assert_true(exists(f, fresh));
}

#define MANY 200

static void make_many_old_files(const fixture *f)
{
    for (int i = 0; i < MANY; ++i) {
        char path[64];
        snprintf(path, sizeof(path), "file-store/stored/zz/%d", i);
        write_file(f, path, "x");
        age(f, path, OLD);
    }
}

static int count_many(const fixture *f)
{
    int n = 0;
    for (int i = 0; i < MANY; ++i) {
        char path[64];
        snprintf(path, sizeof(path), "file-store/stored/zz/%d", i);
        n += exists(f, path);
    }
    return n;
}

/* Ends the run in one way or another when the first file is gone. */
typedef struct breaker {
    fixture *f;
    int cancels, is_late, fails;
    int visits;
    int32_t second; /* what another run says meanwhile */
} breaker;

static int32_t break_off(void *ctx, const flamenco_shaman_garbage *row)
{
    breaker *b = ctx;
    flamenco_shaman_collected done = { .struct_size = (uint32_t)sizeof(done) };
    (void)row;
    if (b->visits++ == 0)
        b->second = b->f->table->collect(b->f->self, &b->f->cx->cx, 1, NULL, NULL, &done, &b->f->err);
    if (b->cancels)
        b->f->cx->cancelled = 1;
    if (b->is_late)
        b->f->fake.monotonic_us = b->f->cx->cx.deadline_us + 1;
    return b->fails ? FLAMENCO_E_NOMEM : FLAMENCO_OK;
}

static void run_that_is_broken_off_removes_nothing_more_and_the_next_one_goes_on(void **state)
{
    static const struct {
        breaker how;
        int32_t result;
    } rows[] = {
        { { .cancels = 1 }, FLAMENCO_E_CANCELLED },
        { { .is_late = 1 }, FLAMENCO_E_DEADLINE },
        { { .fails = 1 }, FLAMENCO_E_NOMEM },
    };
    fixture *f = *state;
    int64_t deadline_us = f->cx->cx.deadline_us;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        breaker b = rows[i].how;
        flamenco_shaman_collected done = { .struct_size = (uint32_t)sizeof(done) };
        b.f = f;
        make_many_old_files(f);
        assert_int_equal(f->table->collect(f->self, &f->cx->cx, 0, break_off, &b, &done, &f->err), rows[i].result);
        assert_int_equal(b.second, FLAMENCO_E_BUSY);
        assert_int_equal(done.old_files, MANY);
        int left = count_many(f);
        assert_true(left > 0 && left < MANY);
        f->cx->cancelled = 0;
        f->cx->cx.deadline_us = f->fake.monotonic_us + deadline_us;
        assert_int_equal(f->table->collect(f->self, &f->cx->cx, 0, NULL, NULL, &done, &f->err), 0);
        assert_int_equal(done.removed_files, left);
        assert_int_equal(count_many(f), 0);
    }
}

static void cancelled_run_removes_nothing(void **state)
{
    fixture *f = *state;
    seen s;
    flamenco_shaman_collected done;
    make_many_old_files(f);
    f->cx->cancelled = 1;
    assert_int_equal(collect(f, 0, &s, &done), FLAMENCO_E_CANCELLED);
    assert_int_equal(done.removed_files, 0);
    assert_int_equal(count_many(f), MANY);
}

static void first_run_is_planned_at_start(void **state)
{
    fixture *f = *state;
    assert_int_equal(f->fake.n_steps, 1);
    assert_int_equal(f->fake.steps[0].delay_us, 30000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(used_and_young_blobs_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_younger_than_a_day_goes_whatever_the_setting_says, setup, teardown),
        cmocka_unit_test_setup_teardown(use_is_seen_through_links_of_the_administrator, setup, teardown),
        cmocka_unit_test_setup_teardown(links_that_lead_nowhere_and_ordinary_files_are_no_use, setup, teardown),
        cmocka_unit_test_setup_teardown(odd_files_in_the_store_are_collected_and_links_are_not_followed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(run_that_cannot_see_everything_removes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(abandoned_uploads_go_after_a_day, setup, teardown),
        cmocka_unit_test_setup_teardown(run_that_is_broken_off_removes_nothing_more_and_the_next_one_goes_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(cancelled_run_removes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(first_run_is_planned_at_start, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
