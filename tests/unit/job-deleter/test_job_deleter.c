/* SPDX-License-Identifier: Apache-2.0
 *
 * test_job_deleter.c - the job deleter on the real persistence plugin, with files that only pretend to be erased
 * (state-and-scheduling 13, decisions "deletion").
 */
#include "farm.h"
#include "flamenco/calls/job_deleter.h"
#include "flamenco/calls/local_storage.h"
#include "flamenco/calls/shaman.h"

#define SECOND_US INT64_C(1000000)

/* What the two services of files were asked to do, and what they answer. */
typedef struct files {
    farm f; /* first: serve() finds the rest behind it */
    uint32_t with_shaman, shaman_active;
    int32_t erase_result, checkout_result;
    uint32_t erased, checkouts_erased;
    char last_checkout[64];
    int stop_commits; /* a write is undone, as if its commit had failed for good */
} files;

static const flamenco_uuid no_uuid;

/* ---- Services ------------------------------------------------------------------------------------------------------ */

static int32_t erase_job(void *self, flamenco_cx *cx, const flamenco_uuid *job, flamenco_error *err)
{
    files *x = self;
    assert_null(cx->txn);
    assert_memory_not_equal(job, &no_uuid, sizeof(no_uuid));
    ++x->erased;
    return x->erase_result == 0 ? 0 : flamenco_fail(err, x->erase_result, "the disk is stuck");
}

static uint32_t is_active(void *self)
{
    return ((files *)self)->shaman_active;
}

static int32_t erase_checkout(void *self, flamenco_cx *cx, flamenco_str id, flamenco_error *err)
{
    files *x = self;
    assert_null(cx->txn);
    ++x->checkouts_erased;
    (void)snprintf(x->last_checkout, sizeof(x->last_checkout), "%.*s", (int)id.len, id.ptr);
    return x->checkout_result == 0 ? 0 : flamenco_fail(err, x->checkout_result, "bad checkout");
}

static const flamenco_local_storage storage_table = { .struct_size = (uint32_t)sizeof(storage_table),
                                                      .erase_job = erase_job };
static const flamenco_shaman shaman_table = { .struct_size = (uint32_t)sizeof(shaman_table),
                                              .is_active = is_active,
                                              .erase_checkout = erase_checkout };

static void serve(farm *f)
{
    files *x = (files *)(void *)f;
    fake_host_serve(&f->host, FLAMENCO_LOCAL_STORAGE, &storage_table, x);
    if (x->with_shaman)
        fake_host_serve(&f->host, FLAMENCO_SHAMAN, &shaman_table, x);
}

static void begin(files *x, uint32_t with_shaman)
{
    memset(x, 0, sizeof(*x));
    x->with_shaman = x->shaman_active = with_shaman;
    farm_start_with(&x->f, NULL, serve);
}

/* ---- Jobs ---------------------------------------------------------------------------------------------------------- */

static void mark(files *x, uint32_t job)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_cx *cx = farm_begin(&x->f);
    assert_int_equal(flamenco_persist_job_set_delete_requested(&x->f.persist, cx, x->f.job_keys[job - 1], &err), 0);
    farm_commit(&x->f);
}

static void set_checkout(files *x, uint32_t job, const char *id)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_cx *cx = farm_begin(&x->f);
    assert_int_equal(
        flamenco_persist_job_set_storage(&x->f.persist, cx, x->f.job_keys[job - 1], flamenco_text(id), &err), 0);
    farm_commit(&x->f);
}

static int32_t on_job(void *ctx, const flamenco_job *row)
{
    *(char *)ctx = row->hidden ? 'H' : 'V';
    return 0;
}

/* 'V' visible, 'H' hidden, '-' gone; for a store of one job. */
static char state_of(files *x)
{
    char state = '-';
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    flamenco_cx *cx = farm_begin(&x->f);
    assert_int_equal(flamenco_persist_jobs_list(&x->f.persist, cx, &page, on_job, &state, NULL, &err), 0);
    page.flags = FLAMENCO_PAGE_HIDDEN;
    assert_int_equal(flamenco_persist_jobs_list(&x->f.persist, cx, &page, on_job, &state, NULL, &err), 0);
    farm_rollback(&x->f);
    x->f.host.now_us -= SECOND_US; /* that farm_begin added */
    return state;
}

static uint32_t deleted_events(files *x)
{
    uint32_t n = 0;
    for (size_t i = 0; i < x->f.host.n_records; ++i) {
        const fake_record *r = &x->f.host.records[i];
        n += r->what == FAKE_EMIT_JOB && (r->flags & FLAMENCO_JOB_EVENT_DELETED) != 0;
    }
    return n;
}

static void poke(files *x)
{
    flamenco_job_deleter_ref ref = { fake_host_table(flamenco_plugin_query(), FLAMENCO_JOB_DELETER), x->f.self };
    flamenco_job_deleter_poke(&ref);
}

/* ---- Steps --------------------------------------------------------------------------------------------------------- */

/* The first step with that delay, or without one; taken from the queue. Returns 0 when there is none. */
static int take(files *x, int64_t delay_us, flamenco_step *out)
{
    fake_host *host = &x->f.host;
    for (size_t i = 0; i < host->n_steps; ++i) {
        if (host->steps[i].delay_us != delay_us)
            continue;
        *out = host->steps[i];
        memmove(&host->steps[i], &host->steps[i + 1], (--host->n_steps - i) * sizeof(*out));
        return 1;
    }
    return 0;
}

static void run(files *x, flamenco_step *step)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int32_t rc = FLAMENCO_AGAIN;
    while (rc == FLAMENCO_AGAIN) {
        if (step->kind == FLAMENCO_STEP_WORK) {
            fake_cx *cx = fake_cx_create(&x->f.host);
            rc = step->run(&cx->cx, step->ctx, &err);
            fake_cx_destroy(cx);
            assert_int_not_equal(rc, FLAMENCO_AGAIN);
            continue;
        }
        rc = step->run(farm_begin(&x->f), step->ctx, &err);
        if (step->kind == FLAMENCO_STEP_READ || rc < 0 || x->stop_commits)
            farm_rollback(&x->f);
        else
            farm_commit(&x->f);
        if (x->stop_commits && step->kind == FLAMENCO_STEP_WRITE)
            break;
    }
    if (step->destroy != NULL)
        step->destroy(step->ctx);
}

/* Runs one step that waits for no time. Returns its name, NULL when there is none. */
static const char *run_one(files *x)
{
    flamenco_step step;
    if (!take(x, 0, &step))
        return NULL;
    run(x, &step);
    return step.name;
}

/* Runs steps until none is left that waits for no time; gives how many. */
static uint32_t run_all(files *x)
{
    uint32_t n = 0;
    while (run_one(x) != NULL)
        assert_true(++n < 1000);
    return n;
}

static void run_until(files *x, const char *name)
{
    for (const char *ran = NULL; ran == NULL || strcmp(ran, name) != 0;) {
        ran = run_one(x);
        assert_non_null(ran);
    }
}

/* ---- Tests --------------------------------------------------------------------------------------------------------- */

static void files_go_first_then_the_job_is_hidden_and_told_then_its_rows_go(void **state)
{
    (void)state;
    files x;
    begin(&x, 0);
    farm_add_job(&x.f, &(farm_job){ .tasks = "A,C,Q*40", .deps = "2-1,3-1" });
    mark(&x, 1);
    farm_forget(&x.f);
    poke(&x);
    run_until(&x, "erase a job's files");
    assert_int_equal(x.erased, 1);
    assert_int_equal(state_of(&x), 'V');
    assert_int_equal(deleted_events(&x), 0);
    run_until(&x, "hide a deleted job");
    assert_int_equal(state_of(&x), 'H');
    assert_int_equal(deleted_events(&x), 1);
    run_until(&x, "erase a job's files"); /* a late log line made them anew */
    assert_int_equal(x.erased, 2);
    run_until(&x, "purge a deleted job");
    assert_int_equal(state_of(&x), '-');
    run_all(&x);
    assert_int_equal(deleted_events(&x), 1);
    assert_true(fake_host_metric(&x.f.host, "jobs_deleted_total") == 1);
    poke(&x);
    assert_int_equal(run_all(&x), 1); /* a look, and nothing to do */
    farm_stop(&x.f);
}

static void jobs_without_a_request_are_left_alone(void **state)
{
    (void)state;
    files x;
    begin(&x, 0);
    farm_add_job(&x.f, &(farm_job){ .tasks = "C" });
    poke(&x);
    assert_int_equal(run_all(&x), 1);
    assert_int_equal(state_of(&x), 'V');
    /* Hidden without a request: it is being stored. */
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(flamenco_persist_job_hide(&x.f.persist, farm_begin(&x.f), x.f.job_keys[0], &err), 0);
    farm_commit(&x.f);
    poke(&x);
    assert_int_equal(run_all(&x), 1);
    assert_int_equal(state_of(&x), 'H');
    farm_stop(&x.f);
}

static void what_a_crash_left_hidden_is_finished_without_another_event(void **state)
{
    (void)state;
    files x;
    begin(&x, 1);
    farm_add_job(&x.f, &(farm_job){ .tasks = "C,Q" });
    set_checkout(&x, 1, "shot/1");
    mark(&x, 1);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(flamenco_persist_job_hide(&x.f.persist, farm_begin(&x.f), x.f.job_keys[0], &err), 0);
    farm_commit(&x.f);
    farm_forget(&x.f);
    poke(&x);
    run_all(&x);
    assert_int_equal(state_of(&x), '-');
    assert_int_equal(x.erased, 1);
    assert_int_equal(x.checkouts_erased, 0); /* its name may be another job's by now */
    assert_int_equal(deleted_events(&x), 0);
    farm_stop(&x.f);
}

/* The retry that waits; asserts its delay, and runs it. */
static void retry_after(files *x, int64_t seconds)
{
    flamenco_step step;
    if (seconds == 60) { /* the periodic look waits as long; it is the first */
        flamenco_step tick;
        assert_int_equal(take(x, seconds * SECOND_US, &tick), 1);
        assert_int_equal(take(x, seconds * SECOND_US, &step), 1);
        run(x, &tick);
    } else if (!take(x, seconds * SECOND_US, &step)) {
        fail_msg("nothing waits for %lld s", (long long)seconds);
    }
    run(x, &step);
}

static void failures_are_retried_with_a_delay_that_doubles_up_to_an_hour(void **state)
{
    (void)state;
    files x;
    begin(&x, 0);
    farm_add_job(&x.f, &(farm_job){ .tasks = "C" });
    mark(&x, 1);
    x.erase_result = FLAMENCO_E_IO;
    poke(&x);
    run_all(&x);
    static const int64_t delays[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600 };
    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); ++i) {
        assert_int_equal(x.erased, i + 1);
        assert_non_null(strstr(x.f.host.last_log, "the disk is stuck"));
        assert_int_equal(state_of(&x), 'V');
        poke(&x); /* looking does not try it earlier */
        run_all(&x);
        assert_int_equal(x.erased, i + 1);
        assert_true(fake_host_metric(&x.f.host, "job_deletions_failing") == 1);
        retry_after(&x, delays[i]);
        run_all(&x);
    }
    x.erase_result = 0;
    retry_after(&x, 3600);
    run_all(&x);
    assert_int_equal(state_of(&x), '-');
    assert_true(fake_host_metric(&x.f.host, "job_deletions_failing") == 0);
    farm_stop(&x.f);
}

static void a_failing_job_does_not_hold_up_the_others(void **state)
{
    (void)state;
    files x;
    begin(&x, 1);
    for (uint32_t job = 1; job <= 3; ++job) {
        farm_add_job(&x.f, &(farm_job){ .tasks = "C" });
        mark(&x, job);
    }
    set_checkout(&x, 1, "a:b");
    x.checkout_result = FLAMENCO_E_INVALID;
    poke(&x);
    run_all(&x);
    assert_int_equal(deleted_events(&x), 2);
    assert_int_equal(state_of(&x), 'V'); /* the first one */
    farm_stop(&x.f);
}

static void checkouts_go_with_the_job_when_shaman_is_active(void **state)
{
    (void)state;
    static const struct {
        uint32_t with_shaman, active;
        const char *id;
        uint32_t erased;
    } rows[] = {
        { 0, 0, "shot/1", 0 },
        { 1, 0, "shot/1", 0 },
        { 1, 1, "", 0 },
        { 1, 1, "shot/1", 1 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        files x;
        begin(&x, rows[i].with_shaman);
        x.shaman_active = rows[i].active;
        farm_add_job(&x.f, &(farm_job){ .tasks = "C" });
        set_checkout(&x, 1, rows[i].id);
        mark(&x, 1);
        flamenco_job_deleter_ref ref = { fake_host_table(flamenco_plugin_query(), FLAMENCO_JOB_DELETER), x.f.self };
        flamenco_error err = FLAMENCO_ERROR_INIT;
        uint32_t told = 7;
        flamenco_cx *cx = farm_begin(&x.f);
        flamenco_job row = farm_job_row(&x.f, 1);
        assert_int_equal(flamenco_job_deleter_would_delete(&ref, cx, &row, &told, &err), 0);
        farm_rollback(&x.f);
        assert_int_equal(told, rows[i].erased);
        poke(&x);
        run_all(&x);
        assert_int_equal(x.checkouts_erased, rows[i].erased);
        assert_int_equal(state_of(&x), '-');
        if (rows[i].erased)
            assert_string_equal(x.last_checkout, rows[i].id);
        farm_stop(&x.f);
    }
}

static void a_checkout_is_erased_once_though_the_files_fail(void **state)
{
    (void)state;
    files x;
    begin(&x, 1);
    farm_add_job(&x.f, &(farm_job){ .tasks = "C" });
    set_checkout(&x, 1, "shot/1");
    mark(&x, 1);
    x.erase_result = FLAMENCO_E_IO;
    poke(&x);
    run_all(&x);
    retry_after(&x, 1);
    run_all(&x);
    assert_int_equal(x.erased, 2);
    x.erase_result = 0;
    retry_after(&x, 2);
    run_all(&x);
    assert_int_equal(x.checkouts_erased, 1);
    assert_int_equal(state_of(&x), '-');
    farm_stop(&x.f);
}

static void a_write_that_is_not_stored_is_made_good_later(void **state)
{
    static const char *const writes[] = { "erase a job's files", "hide a deleted job" };
    (void)state;
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); ++i) {
        files x;
        begin(&x, 0);
        farm_add_job(&x.f, &(farm_job){ .tasks = "C,C" });
        mark(&x, 1);
        farm_forget(&x.f);
        poke(&x);
        run_until(&x, writes[i]); /* the next write is lost */
        x.stop_commits = 1;
        run_all(&x);
        assert_int_equal(state_of(&x), i == 0 ? 'V' : 'H');
        assert_int_equal(deleted_events(&x), i);
        x.stop_commits = 0;
        retry_after(&x, 1);
        run_all(&x);
        assert_int_equal(state_of(&x), '-');
        assert_int_equal(deleted_events(&x), 1);
        farm_stop(&x.f);
    }
}

static void rows_go_in_steps(void **state)
{
    (void)state;
    files x;
    begin(&x, 0);
    farm_add_job(&x.f, &(farm_job){ .tasks = "C*1201" });
    mark(&x, 1);
    poke(&x);
    uint64_t batch = x.f.batch;
    run_all(&x);
    assert_int_equal(x.f.batch - batch, 4); /* hide, and 1201 tasks by 500 */
    assert_int_equal(state_of(&x), '-');
    farm_stop(&x.f);
}

static void a_manager_that_stops_ends_the_chain_at_a_step(void **state)
{
    (void)state;
    files x;
    begin(&x, 0);
    for (uint32_t job = 1; job <= 3; ++job) {
        farm_add_job(&x.f, &(farm_job){ .tasks = "C" });
        mark(&x, job);
    }
    poke(&x);
    run_until(&x, "find jobs to delete");
    x.f.host.submit_result = FLAMENCO_E_CANCELLED;
    run_all(&x);
    assert_int_equal(deleted_events(&x), 0);
    assert_int_equal(state_of(&x), 'V');
    farm_stop(&x.f);
}

static void the_store_is_looked_at_each_minute(void **state)
{
    (void)state;
    files x;
    begin(&x, 0);
    farm_add_job(&x.f, &(farm_job){ .tasks = "C" });
    mark(&x, 1);
    assert_int_equal(run_all(&x), 0); /* nobody told it */
    flamenco_step tick;
    assert_int_equal(take(&x, 60 * SECOND_US, &tick), 1);
    run(&x, &tick);
    run_all(&x);
    assert_int_equal(state_of(&x), '-');
    assert_int_equal(take(&x, 60 * SECOND_US, &tick), 1);
    farm_stop(&x.f);
}

static void exhausted_memory_only_delays(void **state)
{
    (void)state;
    for (int64_t left = 0; left < 12; ++left) {
        files x;
        begin(&x, 1);
        farm_add_job(&x.f, &(farm_job){ .tasks = "C" });
        set_checkout(&x, 1, "shot/1");
        mark(&x, 1);
        x.f.host.allocations_left = left;
        poke(&x);
        run_all(&x);
        x.f.host.allocations_left = -1;
        for (int64_t s = 1; s <= 2; ++s) {
            flamenco_step step;
            if (take(&x, s * SECOND_US, &step))
                run(&x, &step);
            poke(&x);
            run_all(&x);
        }
        assert_int_equal(state_of(&x), '-');
        farm_stop(&x.f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_go_first_then_the_job_is_hidden_and_told_then_its_rows_go),
        cmocka_unit_test(jobs_without_a_request_are_left_alone),
        cmocka_unit_test(what_a_crash_left_hidden_is_finished_without_another_event),
        cmocka_unit_test(failures_are_retried_with_a_delay_that_doubles_up_to_an_hour),
        cmocka_unit_test(a_failing_job_does_not_hold_up_the_others),
        cmocka_unit_test(checkouts_go_with_the_job_when_shaman_is_active),
        cmocka_unit_test(a_checkout_is_erased_once_though_the_files_fail),
        cmocka_unit_test(a_write_that_is_not_stored_is_made_good_later),
        cmocka_unit_test(rows_go_in_steps),
        cmocka_unit_test(a_manager_that_stops_ends_the_chain_at_a_step),
        cmocka_unit_test(the_store_is_looked_at_each_minute),
        cmocka_unit_test(exhausted_memory_only_delays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
