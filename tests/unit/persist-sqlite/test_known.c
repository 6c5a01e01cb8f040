/* SPDX-License-Identifier: Apache-2.0
 *
 * test_known.c - what the writer knows without reading it: whatever happens, worker_get, task_find and
 * job_get_key give what the database has.
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

static void a_worker_whose_registration_was_undone_is_gone(void **state)
{
    fixture *f = *state;
    flamenco_worker out = { .struct_size = (uint32_t)sizeof(out) };
    begin_savepoint(f);
    flamenco_uuid undone = fixture_read_worker(f, fixture_worker(f, "node", "misc")).uuid;
    EXPECT_TEXT(get(f, &undone).name, "node");
    undo_savepoint(f);
    assert_int_equal(DB(f, worker_get, &undone, &out), FLAMENCO_E_NOT_FOUND);
    flamenco_uuid other = fixture_read_worker(f, fixture_worker(f, "other", "misc")).uuid;
    EXPECT_TEXT(get(f, &other).name, "other");
    undo_all(f);
    assert_int_equal(DB(f, worker_get, &other, &out), FLAMENCO_E_NOT_FOUND);
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

/* ---- Tasks, whose row names their job and their worker ---- */

static const task_spec three[] = { { "blender", 50, { 0 }, 10 },
                                   { "ffmpeg", 60, { 1 }, 0 },
                                   { "blender", 50, { 0 }, 3 } };

/* Finds the task; the row must be the one that the database gives when everything is read (task_get). */
static flamenco_task find_task(fixture *f, const flamenco_uuid *uuid)
{
    flamenco_task found = { .struct_size = (uint32_t)sizeof(found) }, read = { .struct_size = (uint32_t)sizeof(read) };
    OK(f, task_find, uuid, &found);
    OK(f, task_get, uuid, &read);
    assert_int_equal(found.key, read.key);
    assert_int_equal(found.job_key, read.job_key);
    assert_memory_equal(&found.uuid, &read.uuid, sizeof(read.uuid));
    assert_memory_equal(&found.job_uuid, &read.job_uuid, sizeof(read.job_uuid));
    assert_memory_equal(&found.worker_uuid, &read.worker_uuid, sizeof(read.worker_uuid));
    assert_int_equal(found.index, read.index);
    assert_int_equal(found.priority, read.priority);
    assert_int_equal(found.open_deps, read.open_deps);
    assert_int_equal(found.worker_key, read.worker_key);
    assert_int_equal(found.worker_deleted, read.worker_deleted);
    assert_int_equal(found.status, read.status);
    assert_true(found.created_us == read.created_us && found.updated_us == read.updated_us &&
                found.touched_us == read.touched_us);
    assert_int_equal(found.steps_total, read.steps_total);
    assert_int_equal(found.steps_completed, read.steps_completed);
    assert_true(flamenco_str_equal(found.name, read.name));
    assert_true(flamenco_str_equal(found.type, read.type));
    assert_true(flamenco_str_equal(found.activity, read.activity));
    assert_true(flamenco_str_equal(found.worker_name, read.worker_name));
    assert_true(flamenco_str_equal(found.worker_address, read.worker_address));
    assert_int_equal(found.commands.len, 0);
    return found;
}

static void a_found_task_is_the_stored_one(void **state)
{
    fixture *f = *state;
    int64_t key, other;
    flamenco_uuid uuid = add_worker(f, &key);
    flamenco_uuid second = add_worker(f, &other);
    int64_t job = fixture_job(f, 50, 0, three, 3);
    fixture_job(f, 50, 0, three, 3);
    flamenco_uuid task[3];
    for (uint32_t i = 0; i < 3; ++i) {
        task[i] = fixture_read_task(f, job, i + 1).uuid;
        find_task(f, &task[i]);
    }
    flamenco_task assigned;
    assert_int_equal(fixture_assign(f, key, &assigned), 0);
    assert_int_equal(find_task(f, &assigned.uuid).worker_key, key); /* its worker has not been read yet */
    get(f, &uuid);
    EXPECT_TEXT(find_task(f, &assigned.uuid).worker_name, "node");
    flamenco_task_update u = { (uint32_t)sizeof(u), .set = FLAMENCO_TASK_SET_WORKER, .worker_key = other };
    OK(f, task_update, assigned.key, &u, NULL);
    get(f, &second);
    assert_int_equal(find_task(f, &assigned.uuid).worker_key, other);
    fixture_forget(f);
    find_task(f, &assigned.uuid);
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row),
                            .name = flamenco_text("renamed"),
                            .address = flamenco_text("::1"),
                            .software = flamenco_text("4"),
                            .task_types = flamenco_text("misc") };
    flamenco_worker_update w = { (uint32_t)sizeof(w), FLAMENCO_WORKER_SET_SIGN_ON, &row };
    OK(f, worker_update, other, &w);
    EXPECT_TEXT(find_task(f, &assigned.uuid).worker_name, "renamed");
    get(f, &second);
    EXPECT_TEXT(find_task(f, &assigned.uuid).worker_name, "renamed");
    OK(f, worker_delete, other);
    assert_true(find_task(f, &assigned.uuid).worker_deleted);
}

static void update_task(fixture *f, int64_t key, uint32_t set, const char *activity)
{
    flamenco_task_update u = { (uint32_t)sizeof(u), .set = set, .steps_completed = 2,
                               .activity = flamenco_text(activity) };
    f->cx->now_us += SECOND;
    OK(f, task_update, key, &u, NULL);
}

static void a_found_task_is_the_stored_one_whatever_has_changed_it(void **state)
{
    static char long_text[5000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    const char *const activities[] = { "a", "",
                                       "somewhat longer than what stood there before, and so in need of more room",
                                       long_text, "b" };
    fixture *f = *state;
    int64_t worker;
    flamenco_task t;
    add_worker(f, &worker);
    int64_t job = fixture_job(f, 50, 0, three, 3);
    assert_int_equal(fixture_assign(f, worker, &t), 0);
    assert_int_equal(find_task(f, &t.uuid).status, FLAMENCO_TASK_ACTIVE);
    for (size_t i = 0; i < sizeof(activities) / sizeof(activities[0]); ++i) {
        update_task(f, t.key, FLAMENCO_TASK_SET_ACTIVITY, activities[i]);
        EXPECT_TEXT(find_task(f, &t.uuid).activity, activities[i]);
    }
    update_task(f, t.key, FLAMENCO_TASK_SET_STEPS | FLAMENCO_TASK_SET_TOUCHED, "");
    assert_int_equal(find_task(f, &t.uuid).steps_completed, 2);
    flamenco_touch touch = { (uint32_t)sizeof(touch), FLAMENCO_TOUCH_TASK, t.key, f->cx->now_us + SECOND };
    OK(f, touches, &touch, sizeof(touch), 1);
    assert_true(find_task(f, &t.uuid).touched_us == touch.at_us);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_COMPLETED);
    find_task(f, &t.uuid);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_QUEUED);
    find_task(f, &t.uuid);
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    uint32_t cursor = 0, done = 0;
    OK(f, tasks_bulk_status, job, FLAMENCO_BIT(FLAMENCO_TASK_QUEUED) | FLAMENCO_BIT(FLAMENCO_TASK_ACTIVE),
       FLAMENCO_TASK_CANCELED, flamenco_text("no more"), 0, &cursor, &done, &counts);
    assert_int_equal(find_task(f, &t.uuid).status, FLAMENCO_TASK_CANCELED);
}

static void a_task_that_waits_again_is_found_so(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, three, 3);
    flamenco_uuid second = fixture_read_task(f, job, 2).uuid;
    fixture_set_task(f, job, 1, FLAMENCO_TASK_COMPLETED);
    assert_int_equal(find_task(f, &second).open_deps, 0);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_QUEUED);
    assert_int_equal(find_task(f, &second).open_deps, 1);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_COMPLETED);
    assert_int_equal(find_task(f, &second).open_deps, 0);
    uint32_t cursor = 0, done = 0;
    OK(f, tasks_bulk_status, job, FLAMENCO_BIT(FLAMENCO_TASK_COMPLETED), FLAMENCO_TASK_QUEUED, flamenco_text("again"),
       0, &cursor, &done, NULL);
    assert_int_equal(find_task(f, &second).open_deps, 1);
}

static void an_undone_change_of_a_task_is_not_found(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, three, 3);
    flamenco_task t = fixture_read_task(f, job, 1);
    update_task(f, t.key, FLAMENCO_TASK_SET_ACTIVITY, "kept");
    fixture_next(f); /* what was changed in a transaction is known after its commit */
    EXPECT_TEXT(find_task(f, &t.uuid).activity, "kept");
    begin_savepoint(f);
    update_task(f, t.key, FLAMENCO_TASK_SET_ACTIVITY, "undone");
    EXPECT_TEXT(find_task(f, &t.uuid).activity, "undone");
    undo_savepoint(f);
    EXPECT_TEXT(find_task(f, &t.uuid).activity, "kept");
    begin_savepoint(f);
    update_task(f, t.key, FLAMENCO_TASK_SET_ACTIVITY, "released");
    keep_savepoint(f);
    EXPECT_TEXT(find_task(f, &t.uuid).activity, "released");
    undo_all(f);
    EXPECT_TEXT(find_task(f, &t.uuid).activity, "kept");
    flamenco_touch touches[] = { { (uint32_t)sizeof(touches[0]), FLAMENCO_TOUCH_TASK, t.key, NOW + 99 * SECOND },
                                 { (uint32_t)sizeof(touches[0]), 99, t.key, NOW } };
    assert_int_equal(DB(f, touches, touches, sizeof(touches[0]), 2), FLAMENCO_E_INVALID);
    find_task(f, &t.uuid);
}

static void tasks_that_share_a_place_are_kept_apart(void **state)
{
    enum { JOBS_OF_THREE = 1100 }; /* more than there are places */
    static flamenco_uuid uuids[JOBS_OF_THREE];
    fixture *f = *state;
    for (int i = 0; i < JOBS_OF_THREE; ++i)
        uuids[i] = fixture_read_task(f, fixture_job(f, 50, 0, three, 3), 1).uuid;
    for (int i = 0; i < JOBS_OF_THREE; ++i)
        find_task(f, &uuids[i]);
    for (int i = 0; i < JOBS_OF_THREE; ++i)
        find_task(f, &uuids[i]);
}

/* What reads a task has its UUID, what changes it has its key; the places by key are a power of two. */
static void tasks_whose_keys_share_a_place_see_their_changes(void **state)
{
    fixture *f = *state;
    enum { LEAST_APART = 256, MOST_APART = 4096 }; /* more than there are places */
    flamenco_task first = { 0 };
    int64_t steps = 0;
    for (int64_t i = 0; i <= MOST_APART; ++i) {
        flamenco_task task = fixture_read_task(f, fixture_job(f, 50, 0, three, 1), 1);
        if (i == 0)
            first = task;
        if (i < LEAST_APART || (i & (i - 1)) != 0)
            continue;
        assert_int_equal(task.key - first.key, i);
        find_task(f, &first.uuid);
        find_task(f, &task.uuid);
        ++steps;
        flamenco_task_update u = { (uint32_t)sizeof(u), .set = FLAMENCO_TASK_SET_STEPS, .steps_completed = steps };
        OK(f, task_update, first.key, &u, NULL);
        assert_int_equal(find_task(f, &first.uuid).steps_completed, steps);
        OK(f, task_update, task.key, &u, NULL);
        assert_int_equal(find_task(f, &task.uuid).steps_completed, steps);
        assert_int_equal(find_task(f, &first.uuid).steps_completed, steps);
    }
    assert_int_equal(steps, 5);
}

static void tasks_of_a_hidden_job_are_not_found(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, three, 3);
    flamenco_uuid task = fixture_read_task(f, job, 2).uuid;
    fixture_next(f);
    find_task(f, &task);
    flamenco_task out = { .struct_size = (uint32_t)sizeof(out) };
    begin_savepoint(f);
    OK(f, job_hide, job);
    assert_int_equal(DB(f, task_find, &task, &out), FLAMENCO_E_NOT_FOUND);
    undo_savepoint(f);
    find_task(f, &task);
    OK(f, job_hide, job);
    assert_int_equal(DB(f, task_find, &task, &out), FLAMENCO_E_NOT_FOUND);
    undo_all(f);
    find_task(f, &task);
    OK(f, job_hide, job);
    fixture_next(f);
    assert_int_equal(DB(f, task_find, &task, &out), FLAMENCO_E_NOT_FOUND);
}

static void jobs_that_share_a_place_are_kept_apart(void **state)
{
    fixture *f = *state;
    enum { MANY = 150 }; /* more than there are places */
    flamenco_uuid tasks[MANY];
    for (int i = 0; i < MANY; ++i)
        tasks[i] = fixture_read_task(f, fixture_job(f, 50, 0, three, 3), 3).uuid;
    for (int i = 0; i < 2 * MANY; ++i)
        find_task(f, &tasks[i % MANY]);
}

/* What job_get_key gives, be it known or not, must be what job_get reads, which knows nothing. Returns it. */
static flamenco_job same_job(fixture *f, int64_t key)
{
    flamenco_job known = { .struct_size = (uint32_t)sizeof(known) }, read = { .struct_size = (uint32_t)sizeof(read) };
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    OK(f, job_get_key, key, &known);
    OK(f, job_get_key, key, &known);
    OK(f, job_get, &known.uuid, &read);
    OK(f, job_counts, key, &counts);
    assert_int_equal(known.status, read.status);
    assert_int_equal(known.priority, read.priority);
    assert_int_equal(known.tag_key, read.tag_key);
    assert_memory_equal(&known.tag_uuid, &read.tag_uuid, sizeof(read.tag_uuid));
    assert_true(known.created_us == read.created_us && known.updated_us == read.updated_us &&
                known.delete_requested_us == read.delete_requested_us);
    assert_int_equal(known.steps_total, read.steps_total);
    assert_int_equal(known.steps_completed, read.steps_completed);
    assert_int_equal(counts.steps_completed, read.steps_completed);
    assert_int_equal(counts.job_status, read.status);
    assert_int_equal(known.n_tasks, read.n_tasks);
    assert_memory_equal(known.counts, read.counts, sizeof(read.counts));
    assert_memory_equal(counts.counts, read.counts, sizeof(read.counts));
    assert_true(flamenco_str_equal(known.name, read.name) && flamenco_str_equal(known.type, read.type));
    assert_true(flamenco_str_equal(known.activity, read.activity));
    assert_true(flamenco_str_equal(known.settings, read.settings));
    assert_true(flamenco_str_equal(known.metadata, read.metadata));
    assert_true(flamenco_str_equal(known.shaman_checkout_id, read.shaman_checkout_id));
    assert_true(flamenco_str_equal(known.submitter_platform, read.submitter_platform));
    return read;
}

static void set_steps(fixture *f, int64_t job, uint32_t index, int64_t steps)
{
    flamenco_task_update u = { (uint32_t)sizeof(u), .set = FLAMENCO_TASK_SET_STEPS, .steps_completed = steps };
    OK(f, task_update, fixture_read_task(f, job, index).key, &u, NULL);
}

static void a_job_follows_its_tasks(void **state)
{
    fixture *f = *state;
    const task_spec tasks[] = { { "blender", 50, { 0 }, 10 }, { "blender", 50, { 1 }, 10 } };
    int64_t job = fixture_job(f, 50, 0, tasks, 2);
    same_job(f, job);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_ACTIVE);
    assert_int_equal(same_job(f, job).counts[FLAMENCO_TASK_ACTIVE], 1);
    fixture_next(f);
    f->cx->now_us += SECOND;
    set_steps(f, job, 1, 4);
    assert_int_equal(same_job(f, job).steps_completed, 4);
    begin_savepoint(f);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_COMPLETED);
    assert_int_equal(same_job(f, job).steps_completed, 10);
    undo_savepoint(f);
    assert_int_equal(same_job(f, job).steps_completed, 4);
    begin_savepoint(f);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_COMPLETED);
    keep_savepoint(f);
    assert_int_equal(same_job(f, job).counts[FLAMENCO_TASK_COMPLETED], 1);
    undo_all(f);
    assert_int_equal(same_job(f, job).counts[FLAMENCO_TASK_COMPLETED], 0);
    fixture_next(f);
    assert_int_equal(same_job(f, job).counts[FLAMENCO_TASK_QUEUED], 1);
    assert_int_equal(fixture_check(f), 0);
}

static void a_change_of_a_job_is_seen_at_once_and_so_is_its_end(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, three, 3), tag = fixture_tag(f, "gpu");
    fixture_next(f);
    same_job(f, job);
    OK(f, job_set_priority, job, 70);
    assert_int_equal(same_job(f, job).priority, 70);
    OK(f, job_set_tag, job, tag);
    assert_int_equal(same_job(f, job).tag_key, tag);
    OK(f, job_set_storage, job, flamenco_text("checkout"));
    EXPECT_TEXT(same_job(f, job).shaman_checkout_id, "checkout");
    fixture_set_job(f, job, FLAMENCO_JOB_ACTIVE);
    assert_int_equal(same_job(f, job).status, FLAMENCO_JOB_ACTIVE);
    uint32_t cursor = 0, done = 0;
    OK(f, tasks_bulk_status, job, FLAMENCO_BIT(FLAMENCO_TASK_QUEUED), FLAMENCO_TASK_CANCELED, flamenco_text("enough"),
       2, &cursor, &done, NULL);
    assert_int_equal(same_job(f, job).counts[FLAMENCO_TASK_CANCELED], 2);
    OK(f, tag_delete, tag, NULL);
    assert_int_equal(same_job(f, job).tag_key, 0);
    OK(f, job_set_delete_requested, job);
    assert_true(same_job(f, job).delete_requested_us != FLAMENCO_TIME_NONE);
    undo_all(f);
    assert_int_equal(same_job(f, job).priority, 50);
    OK(f, job_hide, job);
    flamenco_job out = { .struct_size = (uint32_t)sizeof(out) };
    assert_int_equal(DB(f, job_get_key, job, &out), FLAMENCO_E_NOT_FOUND);
    fixture_next(f);
    assert_int_equal(DB(f, job_get_key, job, &out), FLAMENCO_E_NOT_FOUND);
}

static void jobs_of_one_place_and_with_long_texts_are_right(void **state)
{
    fixture *f = *state;
    enum { MANY = 70 };
    int64_t jobs[MANY];
    for (int i = 0; i < MANY; ++i)
        jobs[i] = fixture_job(f, i, 0, three, 3);
    for (int i = 0; i < 2 * MANY; ++i) {
        assert_int_equal(same_job(f, jobs[i % MANY]).priority, i % MANY);
        fixture_set_task(f, jobs[i % MANY], 1, i < MANY ? FLAMENCO_TASK_ACTIVE : FLAMENCO_TASK_PAUSED);
    }
    static char text[70000];
    memset(text, 'x', sizeof(text));
    OK(f, job_set_storage, jobs[0], ((flamenco_str){ text, sizeof(text) }));
    assert_int_equal(same_job(f, jobs[0]).shaman_checkout_id.len, sizeof(text));
    assert_int_equal(fixture_check(f), 0);
}

static int has_group(fixture *f, int64_t worker)
{
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    return fixture_pick(f, f->cx, worker, &task) == FLAMENCO_OK;
}

static void work_that_comes_is_seen_where_there_was_none(void **state)
{
    fixture *f = *state;
    const task_spec misc[] = { { "misc", 50, { 0 }, 0 } };
    int64_t worker = fixture_worker(f, "node", "blender,misc"), tag = fixture_tag(f, "gpu");
    assert_false(has_group(f, worker));
    assert_false(has_group(f, worker));
    fixture_next(f);
    assert_false(has_group(f, worker));
    int64_t job = fixture_job(f, 50, 0, misc, 1);
    assert_true(has_group(f, worker));
    fixture_next(f);
    /* The last work goes away, and comes back with what is undone. */
    begin_savepoint(f);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_PAUSED);
    assert_false(has_group(f, worker));
    undo_savepoint(f);
    assert_true(has_group(f, worker));
    fixture_set_task(f, job, 1, FLAMENCO_TASK_PAUSED);
    assert_false(has_group(f, worker));
    undo_all(f);
    assert_true(has_group(f, worker));
    fixture_set_task(f, job, 1, FLAMENCO_TASK_PAUSED);
    assert_false(has_group(f, worker));
    fixture_next(f);
    assert_false(has_group(f, worker));
    begin_savepoint(f);
    fixture_set_task(f, job, 1, FLAMENCO_TASK_QUEUED);
    assert_true(has_group(f, worker));
    undo_savepoint(f);
    assert_false(has_group(f, worker));
    fixture_set_task(f, job, 1, FLAMENCO_TASK_QUEUED);
    assert_true(has_group(f, worker));
    /* Work of a tag that the worker does not have, until somebody takes the tag away. */
    OK(f, job_set_tag, job, tag);
    assert_false(has_group(f, worker));
    OK(f, job_set_tag, job, 0);
    assert_true(has_group(f, worker));
    OK(f, job_set_tag, job, tag);
    assert_false(has_group(f, worker));
    OK(f, tag_delete, tag, NULL);
    assert_true(has_group(f, worker));
    assert_int_equal(fixture_check(f), 0);
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
        TEST(a_worker_whose_registration_was_undone_is_gone),
        TEST(workers_that_share_a_place_are_kept_apart),
        TEST(a_found_task_is_the_stored_one),
        TEST(a_found_task_is_the_stored_one_whatever_has_changed_it),
        TEST(a_task_that_waits_again_is_found_so),
        TEST(an_undone_change_of_a_task_is_not_found),
        TEST(tasks_that_share_a_place_are_kept_apart),
        TEST(tasks_whose_keys_share_a_place_see_their_changes),
        TEST(tasks_of_a_hidden_job_are_not_found),
        TEST(jobs_that_share_a_place_are_kept_apart),
        TEST(a_job_follows_its_tasks),
        TEST(a_change_of_a_job_is_seen_at_once_and_so_is_its_end),
        TEST(jobs_of_one_place_and_with_long_texts_are_right),
        TEST(work_that_comes_is_seen_where_there_was_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
