/* SPDX-License-Identifier: Apache-2.0
 *
 * test_plugin.c - the service: which image is worked off when, what is recorded and told, and what happens to a job that is
 * deleted meanwhile. Steps run when the test says so.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <png.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "fake_host.h"
#include "flamenco/calls/last_rendered.h"
#include "flamenco/local_storage.h"
#include "pictures.h"
#include "temp_dir.h"

#define RUNS 1000
#define STEP_COUNT 64

/* ---- A store and a place for files --------------------------------------------------------------------------------------- */

typedef struct world {
    fake_host host;
    char dir[TEMP_DIR_MAX];
    flamenco_last_rendered_ref member;
    /* The store: jobs 1 to 9 exist. */
    int gone[10], marked[10]; /* deleted, about to be */
    int32_t fail_store;
    int64_t recorded[STEP_COUNT]; /* keys, in order */
    size_t n_recorded;
    int no_dir; /* the jobs' directories cannot be made */
} world;

static flamenco_uuid job_uuid(int number)
{
    flamenco_uuid uuid = { { 0x3f, 0x1c, 0x9d, 0x52 } };
    uuid.b[15] = (uint8_t)number;
    return uuid;
}

static int32_t job_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_job *out, flamenco_error *err)
{
    world *w = self;
    (void)cx;
    int number = uuid->b[15];
    if (w->fail_store != FLAMENCO_OK)
        return flamenco_fail(err, w->fail_store, "the store is away");
    if (w->gone[number])
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "no such job");
    out->key = number;
    out->uuid = *uuid;
    out->delete_requested_us = w->marked[number] ? 1 : FLAMENCO_TIME_NONE;
    return FLAMENCO_OK;
}

static int32_t last_rendered_set(void *self, flamenco_cx *cx, int64_t key, flamenco_error *err)
{
    world *w = self;
    (void)err;
    assert_false(cx->read_only);
    assert_true(w->n_recorded < STEP_COUNT);
    w->recorded[w->n_recorded++] = key;
    return FLAMENCO_OK;
}

static const flamenco_persistence store_table = { .struct_size = (uint32_t)sizeof(flamenco_persistence),
                                                  .job_get = job_get,
                                                  .last_rendered_set = last_rendered_set };

static flamenco_str root(void *self)
{
    return flamenco_text(((world *)self)->dir);
}

static int32_t job_path(void *self, const flamenco_uuid *job, char *out, uint64_t size, flamenco_error *err)
{
    (void)self;
    int n = snprintf(out, (size_t)size, "job-x/%d", job->b[15]);
    return n > 0 && (uint64_t)n < size ? FLAMENCO_OK : flamenco_fail(err, FLAMENCO_E_FULL, "too small");
}

static int32_t job_dir(void *self, const flamenco_uuid *job, uint32_t make, int32_t *fd_out, flamenco_error *err)
{
    world *w = self;
    char path[TEMP_DIR_MAX];
    temp_path(path, "%s/job-x", w->dir);
    if (make && w->no_dir)
        return flamenco_fail(err, FLAMENCO_E_IO, "cannot open the directory of job: Permission denied");
    if (make)
        (void)mkdir(path, 0755);
    temp_path(path, "%s/job-x/%d", w->dir, job->b[15]);
    if (make)
        (void)mkdir(path, 0755);
    *fd_out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd_out >= 0 ? FLAMENCO_OK : flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "no directory");
}

static int32_t open_file(void *self, flamenco_str path, int32_t *fd_out, flamenco_file_info *info, flamenco_error *err)
{
    world *w = self;
    char whole[TEMP_DIR_MAX];
    struct stat st;
    temp_path(whole, "%s/%.*s", w->dir, (int)path.len, path.ptr);
    *fd_out = open(whole, O_RDONLY | O_CLOEXEC);
    if (*fd_out < 0)
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "no file");
    assert_int_equal(fstat(*fd_out, &st), 0);
    info->kind = S_ISDIR(st.st_mode) ? FLAMENCO_FILE_DIRECTORY : FLAMENCO_FILE_REGULAR;
    return FLAMENCO_OK;
}

static const flamenco_local_storage storage_table = { .struct_size = (uint32_t)sizeof(flamenco_local_storage),
                                                      .root = root,
                                                      .job_path = job_path,
                                                      .job_dir = job_dir,
                                                      .open_file = open_file };

/* ---- The plugin ------------------------------------------------------------------------------------------------------------ */

static void begin_with(world *w, int64_t image_memory)
{
    memset(w, 0, sizeof(*w));
    temp_dir_make(w->dir);
    fake_host_init(&w->host);
    w->host.image_memory = image_memory;
    fake_host_serve(&w->host, FLAMENCO_PERSISTENCE, &store_table, w);
    fake_host_serve(&w->host, FLAMENCO_LOCAL_STORAGE, &storage_table, w);
    w->member.self = fake_host_start(&w->host, flamenco_plugin_query());
    w->member.table = fake_host_table(flamenco_plugin_query(), FLAMENCO_LAST_RENDERED);
}

static void begin(world *w)
{
    begin_with(w, INT64_C(256) << 20);
}

/* What the manager's end does: steps that did not begin are dropped, then the plugin is stopped. */
static void drop_steps(world *w)
{
    w->host.submit_result = FLAMENCO_E_CANCELLED;
    while (w->host.n_steps > 0) {
        flamenco_step step = w->host.steps[--w->host.n_steps];
        if (step.destroy != NULL)
            step.destroy(step.ctx);
    }
}

static void end(world *w)
{
    drop_steps(w);
    fake_host_stop(&w->host, flamenco_plugin_query(), w->member.self);
    fake_host_fini(&w->host);
    temp_dir_remove(w->dir);
}

static int32_t submit_bytes(world *w, int number, const char *type, flamenco_str bytes)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job), .key = number, .uuid = job_uuid(number) };
    job.delete_requested_us = w->marked[number] ? 1 : FLAMENCO_TIME_NONE;
    flamenco_buf *buf = fl_shared_create((size_t)bytes.len);
    assert_non_null(buf);
    if (bytes.len > 0)
        memcpy(fl_shared_data(buf), bytes.ptr, (size_t)bytes.len);
    fake_cx *cx = fake_cx_create(&w->host);
    int32_t rc = flamenco_last_rendered_submit(&w->member, &cx->cx, &job, flamenco_text(type), buf, &err);
    fake_cx_destroy(cx);
    return rc;
}

/* An image that can be told by its width. */
static int32_t submit(world *w, int number, uint32_t width)
{
    picture p = picture_png(width, 10, PNG_COLOR_TYPE_RGB, 8, 0);
    int32_t rc = submit_bytes(w, number, "image/png", picture_str(&p));
    picture_free(&p);
    return rc;
}

static int32_t run(world *w)
{
    return fake_host_run_steps(&w->host, RUNS);
}

/* Runs the first waiting step alone; it must be of that name. */
static void run_one(world *w, const char *name)
{
    flamenco_step later[FAKE_MAX];
    assert_true(w->host.n_steps > 0);
    assert_string_equal(w->host.steps[0].name, name);
    size_t n = w->host.n_steps - 1;
    memcpy(later, w->host.steps + 1, n * sizeof(later[0]));
    flamenco_step first = w->host.steps[0];
    w->host.n_steps = 0;
    fake_cx *cx = fake_cx_create(&w->host);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    assert_int_equal(first.run(&cx->cx, first.ctx, &err), FLAMENCO_OK);
    fake_cx_destroy(cx);
    if (first.destroy != NULL)
        first.destroy(first.ctx);
    memmove(w->host.steps + n, w->host.steps, w->host.n_steps * sizeof(later[0]));
    memcpy(w->host.steps, later, n * sizeof(later[0]));
    w->host.n_steps += n;
}

/* The width of a job's largest file; 0 = there is none. */
static uint32_t width_of(const world *w, int number)
{
    char path[TEMP_DIR_MAX];
    uint32_t width, height;
    temp_path(path, "%s/job-x/%d/last-rendered.jpg", w->dir, number);
    if (!temp_exists(path))
        return 0;
    free(picture_read_jpeg(path, &width, &height));
    return width;
}

static void an_image_is_made_small_recorded_and_told(void **state)
{
    world w;
    (void)state;
    begin(&w);
    assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
    run_one(&w, "thumbnails");
    assert_int_equal(width_of(&w, 1), 50);
    assert_int_equal(w.host.n_records, 0); /* nothing is told before it is stored */
    assert_int_equal(w.host.steps[0].kind, FLAMENCO_STEP_WRITE);
    run_one(&w, "last rendered");
    assert_int_equal(w.n_recorded, 1);
    assert_int_equal(w.recorded[0], 1);
    assert_int_equal(w.host.n_records, 2);
    assert_string_equal(w.host.records[0].topic, "/jobs/3f1c9d52-0000-0000-0000-000000000001/last-rendered");
    assert_string_equal(w.host.records[1].topic, "/last-rendered");
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(w.host.records[i].kind, FLAMENCO_EVENT_LAST_RENDERED);
        assert_string_equal(
            w.host.records[i].text,
            "{\"job_id\":\"3f1c9d52-0000-0000-0000-000000000001\",\"thumbnail\":{\"base\":\"/job-files/job-x/1\","
            "\"suffixes\":[\"last-rendered.jpg\",\"last-rendered-small.jpg\",\"last-rendered-tiny.jpg\"]}}");
    }
    assert_int_equal(w.host.n_steps, 0);
    end(&w);
}

static void the_newest_of_a_job_wins_and_jobs_come_in_turn(void **state)
{
    world w;
    (void)state;
    begin(&w);
    assert_int_equal(submit(&w, 1, 11), FLAMENCO_OK);
    assert_int_equal(submit(&w, 1, 12), FLAMENCO_OK); /* replaces it at its place */
    assert_int_equal(submit(&w, 2, 21), FLAMENCO_OK);
    assert_int_equal(submit(&w, 1, 13), FLAMENCO_OK);
    assert_int_equal(submit(&w, 3, 31), FLAMENCO_OK);
    assert_int_equal(submit(&w, 2, 22), FLAMENCO_OK);
    run_one(&w, "thumbnails"); /* job 1; its next image queues up behind 2 and 3 */
    assert_int_equal(width_of(&w, 1), 13);
    assert_int_equal(submit(&w, 1, 14), FLAMENCO_OK);
    assert_int_equal(run(&w), FLAMENCO_OK);
    assert_int_equal(w.n_recorded, 4);
    assert_int_equal(w.recorded[0], 1);
    assert_int_equal(w.recorded[1], 2);
    assert_int_equal(w.recorded[2], 3);
    assert_int_equal(w.recorded[3], 1);
    assert_int_equal(width_of(&w, 1), 14);
    assert_int_equal(width_of(&w, 2), 22);
    assert_int_equal(width_of(&w, 3), 31);
    assert_true(fake_host_metric(&w.host, "images_total") == 4.0);
    assert_true(fake_host_metric(&w.host, "images_replaced_total") == 3.0);
    end(&w);
}

static void one_step_at_a_time_decodes(void **state)
{
    world w;
    (void)state;
    begin(&w);
    for (int job = 1; job < 10; ++job) {
        assert_int_equal(submit(&w, job, 10), FLAMENCO_OK);
        assert_int_equal(w.host.n_steps, 1);
    }
    end(&w);
}

static void too_much_that_waits_is_refused(void **state)
{
    static char big[20 << 20];
    flamenco_str bytes = { big, sizeof(big) }, half = { big, sizeof(big) / 2 };
    world w;
    (void)state;
    begin_with(&w, INT64_C(32) << 20);
    assert_int_equal(submit_bytes(&w, 1, "image/png", bytes), FLAMENCO_OK);
    assert_int_equal(submit_bytes(&w, 2, "image/png", bytes), FLAMENCO_E_FULL);
    assert_int_equal(submit_bytes(&w, 1, "image/png", bytes), FLAMENCO_OK); /* in place of its own */
    assert_int_equal(submit_bytes(&w, 2, "image/png", half), FLAMENCO_OK);
    assert_int_equal(submit_bytes(&w, 2, "image/png", bytes), FLAMENCO_E_FULL);
    run_one(&w, "thumbnails");
    assert_int_equal(submit_bytes(&w, 2, "image/png", bytes), FLAMENCO_OK);
    assert_int_equal(run(&w), FLAMENCO_OK);
    assert_int_equal(w.n_recorded, 0);
    end(&w);
}

static void one_image_fits_however_large(void **state)
{
    static char big[2 << 20];
    world w;
    (void)state;
    begin_with(&w, 1 << 20);
    assert_int_equal(submit_bytes(&w, 1, "image/png", (flamenco_str){ big, sizeof(big) }), FLAMENCO_OK);
    assert_int_equal(submit_bytes(&w, 1, "image/png", (flamenco_str){ big, sizeof(big) }), FLAMENCO_OK);
    assert_int_equal(submit_bytes(&w, 2, "image/png", (flamenco_str){ big, 1 }), FLAMENCO_E_FULL);
    end(&w);
}

static void small_images_are_bounded_in_number(void **state)
{
    world w;
    (void)state;
    begin_with(&w, 5 * 4096);
    for (int job = 1; job < 5; ++job)
        assert_int_equal(submit_bytes(&w, job, "image/png", flamenco_text("x")), FLAMENCO_OK);
    assert_int_equal(submit_bytes(&w, 5, "image/png", flamenco_text("x")), FLAMENCO_E_FULL);
    end(&w);
}

static void what_cannot_be_read_is_dropped(void **state)
{
    world w;
    (void)state;
    begin(&w);
    assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
    assert_int_equal(run(&w), FLAMENCO_OK);
    assert_int_equal(submit_bytes(&w, 1, "image/jpeg", flamenco_text("no picture")), FLAMENCO_OK);
    assert_int_equal(run(&w), FLAMENCO_OK);
    assert_int_equal(w.host.log_lines[FLAMENCO_LOG_WARN], 1);
    assert_non_null(strstr(w.host.last_log, "neither a JPEG nor a PNG"));
    picture p = picture_png(10, 10, PNG_COLOR_TYPE_RGB, 8, 0);
    assert_int_equal(submit_bytes(&w, 1, "image/png;q=1", picture_str(&p)), FLAMENCO_OK);
    assert_int_equal(w.host.n_steps, 0);
    assert_int_equal(w.n_recorded, 1);
    assert_int_equal(w.host.n_records, 2);
    assert_int_equal(width_of(&w, 1), 50);
    /* What is inside counts, not what is said. */
    assert_int_equal(submit_bytes(&w, 1, "image/jpeg", picture_str(&p)), FLAMENCO_OK);
    assert_int_equal(run(&w), FLAMENCO_OK);
    assert_int_equal(width_of(&w, 1), 10);
    assert_true(fake_host_metric(&w.host, "images_dropped_total") == 2.0);
    picture_free(&p);
    end(&w);
}

static void a_job_that_is_deleted_meanwhile_leaves_no_files(void **state)
{
    (void)state;
    for (int marked = 0; marked < 2; ++marked) {
        world w;
        char path[TEMP_DIR_MAX];
        begin(&w);
        assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
        run_one(&w, "thumbnails");
        temp_path(path, "%s/job-x/1/task-1.txt", w.dir);
        if (marked)
            temp_file_write(path, "a log");
        w.marked[1] = marked;
        w.gone[1] = !marked;
        run_one(&w, "last rendered");
        run_one(&w, "late thumbnails");
        assert_int_equal(w.n_recorded, 0);
        assert_int_equal(w.host.n_records, 0);
        assert_int_equal(width_of(&w, 1), 0);
        assert_int_equal(temp_exists(path), marked); /* the deleter's business */
        temp_path(path, "%s/job-x", w.dir);
        assert_int_equal(temp_exists(path), marked);
        assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK); /* one that is marked is not worked off at all */
        assert_int_equal(w.host.n_steps, !marked);
        end(&w);
    }
}

static void a_directory_that_cannot_be_written_hides_nothing(void **state)
{
    world w;
    (void)state;
    begin(&w);
    w.no_dir = 1;
    for (int i = 0; i < 5; ++i) {
        assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
        assert_int_equal(run(&w), FLAMENCO_OK);
    }
    assert_int_equal(w.n_recorded, 5);
    assert_int_equal(w.host.n_records, 10);
    assert_int_equal(w.host.log_lines[FLAMENCO_LOG_ERROR], 1); /* one a minute */
    assert_non_null(strstr(w.host.last_log, "Permission denied"));
    w.host.monotonic_us += 60000000;
    assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
    assert_int_equal(run(&w), FLAMENCO_OK);
    assert_int_equal(w.host.log_lines[FLAMENCO_LOG_ERROR], 2);
    assert_non_null(strstr(w.host.last_log, "5 times"));
    assert_true(fake_host_metric(&w.host, "thumbnails_failed_total") == 6.0);
    end(&w);
}

static void a_store_that_is_away_means_no_event(void **state)
{
    world w;
    (void)state;
    begin(&w);
    w.fail_store = FLAMENCO_E_UNAVAILABLE;
    assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
    assert_int_equal(run(&w), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(w.host.n_records, 0);
    w.fail_store = FLAMENCO_OK;
    assert_int_equal(submit(&w, 1, 51), FLAMENCO_OK);
    assert_int_equal(run(&w), FLAMENCO_OK);
    assert_int_equal(w.host.n_records, 2);
    end(&w);
}

static void info_tells_where_the_files_are(void **state)
{
    world w;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_str base = { NULL, 0 };
    flamenco_uuid one = job_uuid(1), two = job_uuid(2);
    char path[TEMP_DIR_MAX];
    (void)state;
    begin(&w);
    fake_cx *cx = fake_cx_create(&w.host);
    assert_int_equal(flamenco_last_rendered_info(&w.member, &cx->cx, &one, &base, &err), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
    assert_int_equal(run(&w), FLAMENCO_OK);
    assert_int_equal(flamenco_last_rendered_info(&w.member, &cx->cx, &one, &base, &err), FLAMENCO_OK);
    assert_true(flamenco_str_equal(base, flamenco_text("job-x/1")));
    temp_path(path, "%s/job-x/2/last-rendered-tiny.jpg/x", w.dir);
    temp_file_write(path, "a directory of that name");
    assert_int_equal(flamenco_last_rendered_info(&w.member, &cx->cx, &two, &base, &err), FLAMENCO_E_NOT_FOUND);
    const flamenco_str *names = flamenco_last_rendered_suffixes(&w.member);
    assert_string_equal(names[2].ptr, "last-rendered-tiny.jpg");
    assert_int_equal(names[3].len, 0);
    fake_cx_destroy(cx);
    end(&w);
}

static void a_manager_that_stops_is_not_held_up(void **state)
{
    static const char payload[] = "{\"type\":\"manager-shutdown\"}";
    flamenco_event event = { .struct_size = (uint32_t)sizeof(event),
                             .kind = FLAMENCO_EVENT_LIFECYCLE,
                             .payload = flamenco_text(payload) };
    world w;
    (void)state;
    begin(&w);
    assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
    assert_int_equal(submit(&w, 2, 50), FLAMENCO_OK);
    fake_host_publish(&w.host, &event);
    assert_int_equal(run(&w), FLAMENCO_OK);
    assert_int_equal(width_of(&w, 1), 0);
    assert_int_equal(w.host.log_lines[FLAMENCO_LOG_WARN], 0);
    assert_int_equal(submit(&w, 3, 50), FLAMENCO_OK); /* taken and dropped */
    assert_int_equal(w.host.n_steps, 0);
    end(&w);
}

static void a_step_that_is_refused_frees_what_waits(void **state)
{
    world w;
    (void)state;
    begin(&w);
    w.host.submit_result = FLAMENCO_E_CANCELLED;
    uint64_t before = w.host.allocations;
    assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
    assert_int_equal(w.host.allocations, before);
    w.host.submit_result = FLAMENCO_OK;
    assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
    assert_int_equal(submit(&w, 2, 50), FLAMENCO_OK);
    w.host.submit_result = FLAMENCO_E_CANCELLED; /* in the middle */
    assert_int_equal(run(&w), FLAMENCO_E_CANCELLED);
    assert_int_equal(w.host.allocations, before);
    end(&w);
}

static void memory_that_is_exhausted_is_told(void **state)
{
    world w;
    (void)state;
    begin(&w);
    w.host.allocations_left = 0;
    assert_int_equal(submit(&w, 1, 50), FLAMENCO_E_NOMEM);
    w.host.allocations_left = 1;
    assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
    assert_int_equal(run(&w), FLAMENCO_E_NOMEM);
    w.host.allocations_left = -1;
    assert_int_equal(submit(&w, 1, 50), FLAMENCO_OK);
    assert_int_equal(run(&w), FLAMENCO_OK);
    assert_int_equal(w.n_recorded, 1);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_is_made_small_recorded_and_told),
        cmocka_unit_test(the_newest_of_a_job_wins_and_jobs_come_in_turn),
        cmocka_unit_test(one_step_at_a_time_decodes),
        cmocka_unit_test(too_much_that_waits_is_refused),
        cmocka_unit_test(one_image_fits_however_large),
        cmocka_unit_test(small_images_are_bounded_in_number),
        cmocka_unit_test(what_cannot_be_read_is_dropped),
        cmocka_unit_test(a_job_that_is_deleted_meanwhile_leaves_no_files),
        cmocka_unit_test(a_directory_that_cannot_be_written_hides_nothing),
        cmocka_unit_test(a_store_that_is_away_means_no_event),
        cmocka_unit_test(info_tells_where_the_files_are),
        cmocka_unit_test(a_manager_that_stops_is_not_held_up),
        cmocka_unit_test(a_step_that_is_refused_frees_what_waits),
        cmocka_unit_test(memory_that_is_exhausted_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
