/* SPDX-License-Identifier: Apache-2.0
 *
 * test_job_rows.c - the tasks of a submission come back as they were added, whatever they share with their neighbours.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/api/job_rows.h"

#define TASKS 1203u
#define NOW 1234567

/* The commands of task i: long shared beginnings, shared ends, shorter ones, equal ones and none. */
static flamenco_str make_commands(char *to, size_t size, unsigned i)
{
    static const char head[] =
        "[{\"name\":\"blender-render\",\"parameters\":{\"args\":[\"--python-expr\",\"import bpy\"]";
    int n;
    switch (i % 7) {
    case 0:
        return flamenco_text("null");
    case 1:
    case 2:
        n = snprintf(to, size, "%s", head);
        break;
    case 3:
        return flamenco_text("");
    default:
        n = snprintf(to, size, "%s,\"frame\":%u}}]", head, i);
    }
    return (flamenco_str){ to, (uint64_t)n };
}

static void add_all(fl_job_rows *rows, fl_arena *arena, unsigned n)
{
    assert_int_equal(fl_job_rows_init(rows, arena, n), FLAMENCO_OK);
    for (unsigned i = 0; i < n; i++) {
        char text[256], name[32];
        flamenco_uuid uuid = { { (uint8_t)(i >> 8), (uint8_t)i } };
        snprintf(name, sizeof(name), "task %u", i);
        flamenco_compiled_task task = { .struct_size = (uint32_t)sizeof(task),
                                        .priority = (int32_t)i,
                                        .steps_total = i * 2,
                                        .name = flamenco_text(name),
                                        .type = flamenco_text(i < 600 ? "blender" : "misc"),
                                        .commands = make_commands(text, sizeof(text), i),
                                        .n_deps = i % 3 };
        assert_int_equal(fl_job_rows_add(rows, &task, &uuid), FLAMENCO_OK);
        memset(text, '#', sizeof(text)); /* they are copies */
        memset(name, '#', sizeof(name));
    }
    assert_int_equal(rows->n, n);
}

static void expect_rows(fl_job_rows *rows, unsigned first, unsigned n)
{
    const flamenco_new_task *got = fl_job_rows_get(rows, first, n, NOW);
    assert_non_null(got);
    for (unsigned i = first; i < first + n; i++, got++) {
        char text[256], name[32];
        flamenco_str commands = make_commands(text, sizeof(text), i);
        snprintf(name, sizeof(name), "task %u", i);
        assert_true(flamenco_str_equal(got->commands, commands));
        assert_true(flamenco_str_equal(got->name, flamenco_text(name)));
        assert_true(flamenco_str_equal(got->type, flamenco_text(i < 600 ? "blender" : "misc")));
        assert_int_equal(got->uuid.b[0] << 8 | got->uuid.b[1], i);
        assert_int_equal(got->priority, i);
        assert_int_equal(got->open_deps, i % 3);
        assert_int_equal(got->steps_total, i * 2);
        assert_int_equal(got->status, FLAMENCO_TASK_QUEUED);
        assert_int_equal(got->created_us, NOW);
        assert_int_equal(got->updated_us, NOW);
        assert_true(got->touched_us == FLAMENCO_TIME_NONE);
    }
}

static void tasks_come_back_as_they_were_added(void **state)
{
    (void)state;
    fl_arena *arena = fl_arena_create(0);
    fl_job_rows rows;
    add_all(&rows, arena, TASKS);
    /* In any order, as often as wanted: a step may run twice. */
    expect_rows(&rows, 1000, 203);
    expect_rows(&rows, 0, 500);
    expect_rows(&rows, 500, 500);
    expect_rows(&rows, 500, 1);
    expect_rows(&rows, 0, TASKS);
    expect_rows(&rows, 0, 500);
    fl_arena_destroy(arena);
}

static void small_jobs_are_fine(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 6; n++) {
        fl_arena *arena = fl_arena_create(0);
        fl_job_rows rows;
        add_all(&rows, arena, n);
        expect_rows(&rows, 0, n);
        fl_arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_come_back_as_they_were_added),
        cmocka_unit_test(small_jobs_are_fine),
    };
    return cmocka_run_group_tests_name("core-job_rows", tests, NULL, NULL);
}
