/* SPDX-License-Identifier: Apache-2.0
 *
 * test_known.c - the writer's kept rows of workers: whatever happens, worker_get gives what the database has.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture.h"

#define AWAKE FLAMENCO_WORKER_AWAKE
#define ASLEEP FLAMENCO_WORKER_ASLEEP

static flamenco_uuid add_worker(fixture *f, int64_t *key)
{
    *key = fixture_worker(f, "node", "blender,misc");
    fixture_next(f);
    return fixture_read_worker(f, *key).uuid;
}

static flamenco_worker get(fixture *f, const flamenco_uuid *uuid)
{
    flamenco_worker out = { .struct_size = (uint32_t)sizeof(out) };
    OK(f, worker_get, uuid, &out);
    return out;
}

static void set_status(fixture *f, int64_t key, uint32_t status)
{
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row), .status = status };
    flamenco_worker_update u = { (uint32_t)sizeof(u), FLAMENCO_WORKER_SET_STATUS, &row };
    OK(f, worker_update, key, &u);
}

static void begin_savepoint(fixture *f)
{
    assert_int_equal(f->db->savepoint(f->self, f->cx, &f->err), 0);
}

static void keep_savepoint(fixture *f)
{
    assert_int_equal(f->db->release(f->self, f->cx, &f->err), 0);
}

static void undo_savepoint(fixture *f)
{
    assert_int_equal(f->db->rollback_to(f->self, f->cx, &f->err), 0);
}

static void undo_all(fixture *f)
{
    f->db->rollback(f->self, f->cx);
    fixture_begin(f);
}

static void a_worker_read_again_is_the_same_with_texts_of_its_own(void **state)
{
    fixture *f = *state;
    int64_t key;
    flamenco_uuid uuid = add_worker(f, &key);
    flamenco_worker first = get(f, &uuid);
    EXPECT_TEXT(first.name, "node");
    fixture_forget(f); /* the texts of the first are gone */
    flamenco_worker second = get(f, &uuid), third = get(f, &uuid);
    assert_int_equal(second.key, key);
    assert_int_equal(second.status, AWAKE);
    assert_ptr_not_equal(second.name.ptr, third.name.ptr);
    EXPECT_TEXT(third.name, "node");
    EXPECT_TEXT(third.platform, "linux");
    EXPECT_TEXT(third.task_types, "blender,misc");
}

static void a_caller_with_a_shorter_struct_gets_as_much_as_it_has_room_for(void **state)
{
    fixture *f = *state;
    int64_t key;
    flamenco_uuid uuid = add_worker(f, &key);
    for (int times = 0; times < 2; ++times) {
        flamenco_worker out = { .struct_size = (uint32_t)offsetof(flamenco_worker, name), .name = { "kept", 4 } };
        OK(f, worker_get, &uuid, &out);
        assert_int_equal(out.key, key);
        assert_int_equal(out.struct_size, offsetof(flamenco_worker, name));
        EXPECT_TEXT(out.name, "kept");
    }
}

static void a_change_is_seen_at_once(void **state)
{
    fixture *f = *state;
    int64_t key;
    flamenco_uuid uuid = add_worker(f, &key);
    assert_int_equal(get(f, &uuid).status, AWAKE);
    set_status(f, key, ASLEEP);
    assert_int_equal(get(f, &uuid).status, ASLEEP);
    flamenco_touch touch = { (uint32_t)sizeof(touch), FLAMENCO_TOUCH_WORKER_SEEN, key, NOW + 7 * SECOND };
    OK(f, touches, &touch, sizeof(touch), 1);
    assert_int_equal(get(f, &uuid).seen_us, NOW + 7 * SECOND);
    assert_int_equal(get(f, &uuid).seen_us, NOW + 7 * SECOND);
    OK(f, worker_delete, key);
    flamenco_worker out = { .struct_size = (uint32_t)sizeof(out) };
    assert_int_equal(DB(f, worker_get, &uuid, &out), FLAMENCO_E_NOT_FOUND);
}

static void an_undone_savepoint_gives_the_old_row_back(void **state)
{
    fixture *f = *state;
    int64_t key;
    flamenco_uuid uuid = add_worker(f, &key);
    begin_savepoint(f);
    set_status(f, key, ASLEEP);
    assert_int_equal(get(f, &uuid).status, ASLEEP);
    undo_savepoint(f);
    assert_int_equal(get(f, &uuid).status, AWAKE);
}

static void an_undone_batch_gives_the_old_row_back_whatever_its_savepoints_did(void **state)
{
    fixture *f = *state;
    int64_t key;
    flamenco_uuid uuid = add_worker(f, &key);
    begin_savepoint(f);
    set_status(f, key, ASLEEP);
    keep_savepoint(f);
    begin_savepoint(f); /* refused; what the one before it did still counts */
    undo_savepoint(f);
    assert_int_equal(get(f, &uuid).status, ASLEEP);
    begin_savepoint(f);
    assert_int_equal(get(f, &uuid).status, ASLEEP);
    keep_savepoint(f);
    undo_all(f);
    assert_int_equal(get(f, &uuid).status, AWAKE);
    set_status(f, key, ASLEEP);
    fixture_next(f);
    assert_int_equal(get(f, &uuid).status, ASLEEP);
}

static void a_failed_method_gives_the_old_row_back(void **state)
{
    fixture *f = *state;
    int64_t key;
    flamenco_uuid uuid = add_worker(f, &key);
    flamenco_touch touches[] = { { (uint32_t)sizeof(touches[0]), FLAMENCO_TOUCH_WORKER_SEEN, key, NOW + SECOND },
                                 { (uint32_t)sizeof(touches[0]), 99, key, NOW + SECOND } };
    assert_int_equal(DB(f, touches, touches, sizeof(touches[0]), 2), FLAMENCO_E_INVALID);
    assert_true(get(f, &uuid).seen_us == FLAMENCO_TIME_NONE);
}

static void workers_that_share_a_place_are_kept_apart(void **state)
{
    fixture *f = *state;
    enum { MANY = 3000 }; /* more than there are places */
    static flamenco_uuid uuids[MANY];
    char name[16];
    for (int i = 0; i < MANY; ++i) {
        (void)snprintf(name, sizeof(name), "node %d", i);
        uuids[i] = fixture_read_worker(f, fixture_worker(f, name, "misc")).uuid;
    }
    fixture_forget(f);
    for (int i = 0; i < 2 * MANY; ++i) {
        (void)snprintf(name, sizeof(name), "node %d", i % MANY);
        EXPECT_TEXT(get(f, &uuids[i % MANY]).name, name);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_worker_read_again_is_the_same_with_texts_of_its_own),
        TEST(a_caller_with_a_shorter_struct_gets_as_much_as_it_has_room_for),
        TEST(a_change_is_seen_at_once),
        TEST(an_undone_savepoint_gives_the_old_row_back),
        TEST(an_undone_batch_gives_the_old_row_back_whatever_its_savepoints_did),
        TEST(a_failed_method_gives_the_old_row_back),
        TEST(workers_that_share_a_place_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
