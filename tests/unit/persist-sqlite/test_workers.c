/* SPDX-License-Identifier: Apache-2.0
 *
 * test_workers.c - workers, tags, sleep schedules, blocklist and failures.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture.h"

#define LATER (NOW + 5 * SECOND)

static const task_spec spec[] = { { "blender", 50, { 0 }, 0 },
                                  { "blender", 50, { 0 }, 0 },
                                  { "ffmpeg", 50, { 0 }, 0 } };

static void update_worker(fixture *f, int64_t key, uint32_t set, flamenco_worker row)
{
    row.struct_size = (uint32_t)sizeof(row);
    flamenco_worker_update u = { (uint32_t)sizeof(u), set, &row };
    OK(f, worker_update, key, &u);
}

static void stored_worker_is_read_back_as_given(void **state)
{
    fixture *f = *state;
    flamenco_worker in = { .struct_size = (uint32_t)sizeof(in),
                           .status = FLAMENCO_WORKER_NONE,
                           .requested = FLAMENCO_WORKER_RESTART,
                           .lazy = 1,
                           .can_restart = 1,
                           .last_good_status = FLAMENCO_WORKER_ASLEEP,
                           .uuid = fixture_uuid(f),
                           .created_us = NOW,
                           .updated_us = FLAMENCO_TIME_NONE,
                           .seen_us = NOW + 1,
                           .deleted_us = FLAMENCO_TIME_NONE,
                           .name = flamenco_text("node 7"),
                           .address = flamenco_text("fe80::1"),
                           .platform = flamenco_text("windows"),
                           .software = flamenco_text("3.9"),
                           .task_types = flamenco_text("blender,misc"),
                           .secret_hash = flamenco_text("$2a$04$abc") };
    flamenco_worker out = { .struct_size = (uint32_t)sizeof(out) };
    int64_t key = 0;
    OK(f, worker_insert, &in, &key);
    assert_int_equal(DB(f, worker_insert, &in, &key), FLAMENCO_E_EXISTS);
    OK(f, worker_get, &in.uuid, &out);
    assert_int_equal(out.key, key);
    assert_int_equal(out.status, FLAMENCO_WORKER_NONE);
    assert_int_equal(out.requested, FLAMENCO_WORKER_RESTART);
    assert_int_equal(out.lazy, 1);
    assert_int_equal(out.can_restart, 1);
    assert_int_equal(out.last_good_status, FLAMENCO_WORKER_ASLEEP);
    assert_int_equal(out.created_us, NOW);
    assert_int_equal(out.seen_us, NOW + 1);
    assert_true(out.updated_us == FLAMENCO_TIME_NONE && out.deleted_us == FLAMENCO_TIME_NONE);
    EXPECT_TEXT(out.name, "node 7");
    EXPECT_TEXT(out.address, "fe80::1");
    EXPECT_TEXT(out.platform, "windows");
    EXPECT_TEXT(out.software, "3.9");
    EXPECT_TEXT(out.task_types, "blender,misc");
    EXPECT_TEXT(out.secret_hash, "$2a$04$abc");
    in.uuid = fixture_uuid(f);
    in.status = FLAMENCO_WORKER_STATUSES;
    assert_int_equal(DB(f, worker_insert, &in, &key), FLAMENCO_E_INVALID);
    assert_int_equal(DB(f, worker_get, &in.uuid, &out), FLAMENCO_E_NOT_FOUND);
}

static void update_changes_only_what_is_named(void **state)
{
    fixture *f = *state;
    int64_t key = fixture_worker(f, "old", "misc");
    flamenco_worker row = { .status = FLAMENCO_WORKER_ASLEEP,
                            .requested = FLAMENCO_WORKER_AWAKE,
                            .lazy = 1,
                            .can_restart = 1,
                            .last_good_status = FLAMENCO_WORKER_AWAKE,
                            .name = flamenco_text("new"),
                            .address = flamenco_text("10.0.0.1"),
                            .software = flamenco_text("4.0"),
                            .task_types = flamenco_text("blender") };
    f->cx->now_us = LATER;
    update_worker(f, key, FLAMENCO_WORKER_SET_STATUS, row);
    flamenco_worker out = fixture_read_worker(f, key);
    assert_int_equal(out.status, FLAMENCO_WORKER_ASLEEP);
    assert_int_equal(out.requested, FLAMENCO_WORKER_NONE);
    assert_int_equal(out.updated_us, LATER);
    assert_true(out.seen_us == FLAMENCO_TIME_NONE);
    EXPECT_TEXT(out.name, "old");
    update_worker(f, key, FLAMENCO_WORKER_SET_REQUEST | FLAMENCO_WORKER_SET_SEEN, row);
    out = fixture_read_worker(f, key);
    assert_int_equal(out.requested, FLAMENCO_WORKER_AWAKE);
    assert_int_equal(out.lazy, 1);
    assert_int_equal(out.seen_us, LATER);
    assert_int_equal(out.last_good_status, FLAMENCO_WORKER_NONE);
    update_worker(f, key, FLAMENCO_WORKER_SET_SIGN_ON | FLAMENCO_WORKER_SET_LAST_GOOD, row);
    out = fixture_read_worker(f, key);
    assert_int_equal(out.last_good_status, FLAMENCO_WORKER_AWAKE);
    assert_int_equal(out.can_restart, 1);
    EXPECT_TEXT(out.name, "new");
    EXPECT_TEXT(out.address, "10.0.0.1");
    EXPECT_TEXT(out.software, "4.0");
    EXPECT_TEXT(out.platform, "linux");
    EXPECT_TEXT(out.task_types, "blender");
    /* From now on it gets tasks of the new type. */
    fixture_job(f, 50, 0, spec, 3);
    flamenco_task task;
    assert_int_equal(fixture_assign(f, key, &task), 0);
    EXPECT_TEXT(task.type, "blender");
    row.struct_size = (uint32_t)sizeof(row);
    row.status = 99; /* not named below, so it does not matter */
    flamenco_worker_update u = { (uint32_t)sizeof(u), FLAMENCO_WORKER_SET_REQUEST, &row };
    OK(f, worker_update, key, &u);
    assert_int_equal(DB(f, worker_update, 99, &u), FLAMENCO_E_NOT_FOUND);
    u.set = FLAMENCO_WORKER_SET_STATUS;
    assert_int_equal(DB(f, worker_update, key, &u), FLAMENCO_E_INVALID);
    u.set = 32;
    assert_int_equal(DB(f, worker_update, key, &u), FLAMENCO_E_INVALID);
    u = (flamenco_worker_update){ (uint32_t)sizeof(u), FLAMENCO_WORKER_SET_SEEN, NULL };
    OK(f, worker_update, key, &u);
}

typedef struct keys {
    int64_t key[16];
    int n;
} keys;

static int32_t on_worker(void *ctx, const flamenco_worker *row)
{
    keys *k = ctx;
    k->key[k->n++] = row->key;
    return 0;
}

static void expect_keys(const keys *k, const int64_t *expected, int n)
{
    assert_int_equal(k->n, n);
    for (int i = 0; i < n; ++i)
        assert_int_equal(k->key[i], expected[i]);
}

static void deleted_worker_is_found_by_key_only(void **state)
{
    fixture *f = *state;
    int64_t a = fixture_worker(f, "b", "misc"), b = fixture_worker(f, "a", "misc");
    flamenco_worker row = fixture_read_worker(f, a);
    f->cx->now_us = LATER;
    OK(f, worker_delete, a);
    assert_int_equal(DB(f, worker_delete, a), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, worker_get, &row.uuid, &row), FLAMENCO_E_NOT_FOUND);
    row = fixture_read_worker(f, a);
    assert_int_equal(row.deleted_us, LATER);
    assert_true(row.updated_us == FLAMENCO_TIME_NONE);
    flamenco_touch touch = { sizeof(touch), FLAMENCO_TOUCH_WORKER_SEEN, a, LATER };
    OK(f, touches, &touch, sizeof(touch), 1);
    assert_true(fixture_read_worker(f, a).seen_us == FLAMENCO_TIME_NONE);
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    keys k = { .n = 0 };
    uint64_t total = 0, counts[FLAMENCO_WORKER_STATUSES];
    OK(f, workers_list, &page, on_worker, &k, &total);
    expect_keys(&k, (int64_t[]){ b }, 1);
    assert_int_equal(total, 1);
    k.n = 0;
    page.flags = FLAMENCO_PAGE_WITH_DELETED;
    page.order = FLAMENCO_ORDER_NAME;
    OK(f, workers_list, &page, on_worker, &k, &total);
    expect_keys(&k, (int64_t[]){ b, a }, 2);
    assert_int_equal(total, 2);
    k.n = 0;
    page.descending = 1;
    page.limit = 1;
    OK(f, workers_list, &page, on_worker, &k, &total);
    expect_keys(&k, (int64_t[]){ a }, 1);
    page.order = FLAMENCO_ORDER_PRIORITY;
    assert_int_equal(DB(f, workers_list, &page, on_worker, &k, &total), FLAMENCO_E_INVALID);
    OK(f, workers_count, counts);
    assert_int_equal(counts[FLAMENCO_WORKER_AWAKE], 1);
    assert_int_equal(counts[FLAMENCO_WORKER_OFFLINE], 0);
}

static void timed_out_workers_were_seen_and_are_not_gone(void **state)
{
    static const struct {
        uint32_t status;
        int times_out;
        int64_t seen;
    } cases[] = {
        { FLAMENCO_WORKER_AWAKE, 1, NOW },     { FLAMENCO_WORKER_STARTING, 1, NOW },
        { FLAMENCO_WORKER_ASLEEP, 1, NOW },    { FLAMENCO_WORKER_OFFLINE, 0, NOW },
        { FLAMENCO_WORKER_ERROR, 0, NOW },     { FLAMENCO_WORKER_NONE, 1, NOW - 1 },
        { FLAMENCO_WORKER_AWAKE, 0, NOW + 1 }, { FLAMENCO_WORKER_AWAKE, 0, FLAMENCO_TIME_NONE },
    };
    fixture *f = *state;
    int64_t expected[8];
    int n = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        int64_t key = fixture_worker(f, "w", "misc");
        flamenco_touch touch = { sizeof(touch), FLAMENCO_TOUCH_WORKER_SEEN, key, cases[i].seen };
        update_worker(f, key, FLAMENCO_WORKER_SET_STATUS, (flamenco_worker){ .status = cases[i].status });
        if (cases[i].seen != FLAMENCO_TIME_NONE)
            OK(f, touches, &touch, sizeof(touch), 1);
        if (cases[i].times_out)
            expected[n++] = key;
    }
    OK(f, worker_delete, fixture_worker(f, "gone", "misc"));
    keys k = { .n = 0 };
    OK(f, workers_timed_out, NOW, on_worker, &k);
    expect_keys(&k, expected, n);
}

static void touches_never_go_back(void **state)
{
    fixture *f = *state;
    int64_t key = fixture_worker(f, "w", "misc");
    flamenco_touch rows[] = { { sizeof(rows[0]), FLAMENCO_TOUCH_WORKER_SEEN, key, LATER },
                              { sizeof(rows[0]), FLAMENCO_TOUCH_WORKER_SEEN, key, NOW },
                              { sizeof(rows[0]), FLAMENCO_TOUCH_WORKER_SEEN, 99, NOW } };
    OK(f, touches, rows, sizeof(rows[0]), 3);
    assert_int_equal(fixture_read_worker(f, key).seen_us, LATER);
    assert_int_equal(fixture_read_worker(f, key).updated_us, LATER);
    rows[1].what = 9;
    rows[0].at_us = LATER + 1;
    assert_int_equal(DB(f, touches, rows, sizeof(rows[0]), 3), FLAMENCO_E_INVALID);
    assert_int_equal(fixture_read_worker(f, key).seen_us, LATER);
}

static void capable_workers_are_counted_as_the_decisions_say(void **state)
{
    fixture *f = *state;
    int64_t tag = fixture_tag(f, "t"), job = fixture_job(f, 50, 0, spec, 3), tagged = fixture_job(f, 50, tag, spec, 3);
    int64_t task = fixture_read_task(f, job, 1).key;
    int64_t w[7];
    for (size_t i = 0; i < 7; ++i)
        w[i] = fixture_worker(f, "w", i == 6 ? "misc" : "blender,misc");
    OK(f, worker_set_tags, w[0], &tag, 1);
    OK(f, worker_delete, w[1]);
    OK(f, blocklist_add, job, w[2], flamenco_text("blender"));
    OK(f, failure_add, task, w[3], NULL, NULL);
    update_worker(f, w[4], FLAMENCO_WORKER_SET_STATUS, (flamenco_worker){ .status = FLAMENCO_WORKER_OFFLINE });
    f->cx->now_us = LATER;
    update_worker(f, w[5], FLAMENCO_WORKER_SET_STATUS | FLAMENCO_WORKER_SET_SEEN,
                  (flamenco_worker){ .status = FLAMENCO_WORKER_ERROR });
    const struct {
        int64_t job, task, since;
        const char *type;
        uint64_t expected;
    } cases[] = {
        { job, 0, LATER + 1, "blender", 2 }, /* w0, w3 */
        { job, task, LATER + 1, "blender", 1 }, { job, task, LATER, "blender", 2 }, /* and w5, seen since */
        { job, 0, LATER, "ffmpeg", 0 },         { job, 0, LATER, "misc", 5 }, /* w0, w2, w3, w5, w6 */
        { tagged, 0, LATER, "blender", 1 },     { job, 0, LATER, "unheard-of", 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        uint64_t n = 99;
        OK(f, workers_capable, cases[i].job, flamenco_text(cases[i].type), cases[i].task, cases[i].since, &n);
        assert_int_equal(n, cases[i].expected);
    }
    uint64_t n;
    assert_int_equal(DB(f, workers_capable, 99, flamenco_text("misc"), 0, NOW, &n), FLAMENCO_E_NOT_FOUND);
}

/* ---- Tags ---- */

static int32_t on_tag(void *ctx, const flamenco_tag *row)
{
    keys *k = ctx;
    k->key[k->n++] = row->key;
    return 0;
}

static void tags_are_stored_renamed_and_deleted(void **state)
{
    fixture *f = *state;
    flamenco_tag in = { .struct_size = (uint32_t)sizeof(in),
                        .uuid = fixture_uuid(f),
                        .name = flamenco_text("GPU"),
                        .description = flamenco_text("fast") };
    flamenco_tag out = { .struct_size = (uint32_t)sizeof(out) };
    int64_t a = 0, b = fixture_tag(f, "CPU"), key = 0;
    OK(f, tag_insert, &in, &a);
    assert_int_equal(DB(f, tag_insert, &in, &key), FLAMENCO_E_EXISTS);
    OK(f, tag_get, &in.uuid, &out);
    assert_int_equal(out.key, a);
    EXPECT_TEXT(out.name, "GPU");
    EXPECT_TEXT(out.description, "fast");
    OK(f, tag_get_name, flamenco_text("CPU"), &out);
    assert_int_equal(out.key, b);
    assert_int_equal(DB(f, tag_get_name, flamenco_text("cpu"), &out), FLAMENCO_E_NOT_FOUND);
    in.key = a;
    in.name = flamenco_text("CPU");
    assert_int_equal(DB(f, tag_update, &in), FLAMENCO_E_EXISTS);
    in.name = flamenco_text("Cards");
    in.description = flamenco_text("");
    OK(f, tag_update, &in);
    OK(f, tag_get, &in.uuid, &out);
    EXPECT_TEXT(out.name, "Cards");
    assert_int_equal(out.description.len, 0);
    in.key = 99;
    assert_int_equal(DB(f, tag_update, &in), FLAMENCO_E_NOT_FOUND);
    keys k = { .n = 0 };
    assert_int_equal(f->db->tags_list(f->self, f->cx, on_tag, &k, &f->err), 0);
    expect_keys(&k, (int64_t[]){ b, a }, 2);
    /* The key of the last tag is not used again. */
    OK(f, tag_delete, a, NULL);
    assert_int_equal(DB(f, tag_get, &in.uuid, &out), FLAMENCO_E_NOT_FOUND);
    assert_true(fixture_tag(f, "new") > a);
}

static void tags_of_a_worker_are_replaced(void **state)
{
    fixture *f = *state;
    int64_t worker = fixture_worker(f, "w", "misc"), a = fixture_tag(f, "a"), b = fixture_tag(f, "b");
    OK(f, worker_set_tags, worker, (int64_t[]){ b, a, b }, 3);
    keys k = { .n = 0 };
    OK(f, worker_tags, worker, on_tag, &k);
    expect_keys(&k, (int64_t[]){ a, b }, 2);
    /* An unknown one: everything stays as it was. */
    assert_int_equal(DB(f, worker_set_tags, worker, ((int64_t[]){ a, 99 }), 2), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, worker_set_tags, 99, &a, 1), FLAMENCO_E_NOT_FOUND);
    k.n = 0;
    OK(f, worker_tags, worker, on_tag, &k);
    expect_keys(&k, (int64_t[]){ a, b }, 2);
    OK(f, tag_delete, a, NULL);
    k.n = 0;
    OK(f, worker_tags, worker, on_tag, &k);
    expect_keys(&k, (int64_t[]){ b }, 1);
    OK(f, worker_set_tags, worker, NULL, 0);
    k.n = 0;
    OK(f, worker_tags, worker, on_tag, &k);
    assert_int_equal(k.n, 0);
}

/* ---- Sleep schedules ---- */

static int32_t on_sleep(void *ctx, const flamenco_sleep_schedule *row)
{
    keys *k = ctx;
    k->key[k->n++] = row->worker_key;
    return 0;
}

static void sleep_schedules_are_kept_per_worker(void **state)
{
    fixture *f = *state;
    int64_t w[] = { fixture_worker(f, "a", "misc"), fixture_worker(f, "b", "misc"), fixture_worker(f, "c", "misc") };
    flamenco_sleep_schedule in = { .struct_size = (uint32_t)sizeof(in),
                                   .is_active = 1,
                                   .worker_key = w[0],
                                   .start_minutes = 22 * 60,
                                   .end_minutes = -1,
                                   .next_check_us = FLAMENCO_TIME_NONE,
                                   .days = flamenco_text("mo fr") };
    flamenco_sleep_schedule out = { .struct_size = (uint32_t)sizeof(out) };
    assert_int_equal(DB(f, sleep_get, w[0], &out), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, sleep_set_next, w[0], NOW), FLAMENCO_E_NOT_FOUND);
    OK(f, sleep_set, &in);
    OK(f, sleep_get, w[0], &out);
    flamenco_uuid uuid = fixture_read_worker(f, w[0]).uuid;
    assert_memory_equal(&out.worker_uuid, &uuid, sizeof(uuid));
    assert_int_equal(out.is_active, 1);
    assert_int_equal(out.start_minutes, 1320);
    assert_int_equal(out.end_minutes, -1);
    assert_true(out.next_check_us == FLAMENCO_TIME_NONE);
    EXPECT_TEXT(out.days, "mo fr");
    in.worker_key = w[1];
    in.is_active = 0;
    OK(f, sleep_set, &in);
    in.worker_key = w[2];
    in.is_active = 1;
    in.end_minutes = 1440;
    in.next_check_us = NOW;
    OK(f, sleep_set, &in);
    keys k = { .n = 0 };
    OK(f, sleep_due, NOW, on_sleep, &k);
    expect_keys(&k, (int64_t[]){ w[0], w[2] }, 2);
    OK(f, sleep_set_next, w[2], NOW + 1);
    k.n = 0;
    OK(f, sleep_due, NOW, on_sleep, &k);
    expect_keys(&k, (int64_t[]){ w[0] }, 1);
    k.n = 0;
    assert_int_equal(f->db->sleep_list(f->self, f->cx, on_sleep, &k, &f->err), 0);
    expect_keys(&k, w, 3);
    in.worker_key = 99;
    assert_int_equal(DB(f, sleep_set, &in), FLAMENCO_E_NOT_FOUND);
    in.worker_key = w[0];
    in.end_minutes = 1441;
    assert_int_equal(DB(f, sleep_set, &in), FLAMENCO_E_INVALID);
}

/* ---- Blocklist and failures ---- */

typedef struct blocks {
    char text[256];
} blocks;

static int32_t on_block(void *ctx, const flamenco_blocklist_entry *row)
{
    blocks *b = ctx;
    size_t len = strlen(b->text);
    (void)snprintf(b->text + len, sizeof(b->text) - len, "%.*s:%.*s ", (int)row->worker_name.len, row->worker_name.ptr,
                   (int)row->task_type.len, row->task_type.ptr);
    return 0;
}

static void blocklist_is_listed_by_worker_name(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, spec, 3), a = fixture_worker(f, "zeta", "blender"),
            b = fixture_worker(f, "Alpha", "blender");
    OK(f, blocklist_add, job, a, flamenco_text("ffmpeg"));
    OK(f, blocklist_add, job, a, flamenco_text("blender"));
    OK(f, blocklist_add, job, b, flamenco_text("new-type"));
    OK(f, blocklist_add, job, b, flamenco_text("new-type"));
    assert_int_equal(DB(f, blocklist_add, 99, b, flamenco_text("misc")), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, blocklist_add, job, 99, flamenco_text("misc")), FLAMENCO_E_NOT_FOUND);
    blocks list = { "" };
    OK(f, blocklist_list, job, on_block, &list);
    assert_string_equal(list.text, "Alpha:new-type zeta:blender zeta:ffmpeg ");
    flamenco_uuid uuid = fixture_read_worker(f, a).uuid, nobody = { { 9 } };
    uint64_t made = 99;
    OK(f, blocklist_remove, job, &uuid, flamenco_text("ffmpeg"), &made);
    assert_int_equal(made, 0); /* it does not know the type */
    OK(f, blocklist_remove, job, &nobody, flamenco_text("ffmpeg"), &made);
    OK(f, blocklist_remove, job, &uuid, flamenco_text("unheard-of"), &made);
    OK(f, blocklist_remove, job, &uuid, flamenco_text("blender"), &made);
    assert_int_equal(made, 2);
    OK(f, blocklist_remove, job, &uuid, flamenco_text("blender"), &made);
    assert_int_equal(made, 0); /* it was not there any more */
    list.text[0] = '\0';
    OK(f, blocklist_list, job, on_block, &list);
    assert_string_equal(list.text, "Alpha:new-type ");
    OK(f, blocklist_clear, job);
    list.text[0] = '\0';
    OK(f, blocklist_list, job, on_block, &list);
    assert_string_equal(list.text, "");
}

static void failures_are_counted_by_task_and_by_worker(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, spec, 3), other = fixture_job(f, 50, 0, spec, 3);
    int64_t a = fixture_worker(f, "a", "blender"), b = fixture_worker(f, "b", "blender"), t[3];
    uint64_t of_task = 0, of_worker = 0;
    for (uint32_t i = 0; i < 3; ++i)
        t[i] = fixture_read_task(f, job, i + 1).key;
    OK(f, failure_add, fixture_read_task(f, other, 1).key, a, &of_task, &of_worker);
    OK(f, failure_add, t[2], a, &of_task, &of_worker); /* ffmpeg */
    OK(f, failure_add, t[0], a, &of_task, &of_worker);
    assert_int_equal(of_task, 1);
    assert_int_equal(of_worker, 1);
    OK(f, failure_add, t[0], b, &of_task, &of_worker);
    OK(f, failure_add, t[0], b, &of_task, &of_worker);
    assert_int_equal(of_task, 2);
    assert_int_equal(of_worker, 1);
    OK(f, failure_add, t[1], a, &of_task, &of_worker);
    assert_int_equal(of_task, 1);
    assert_int_equal(of_worker, 2);
    OK(f, worker_delete, a);
    keys k = { .n = 0 };
    OK(f, failures_list, t[0], on_worker, &k);
    expect_keys(&k, (int64_t[]){ a, b }, 2);
    assert_int_equal(DB(f, failure_add, 99, a, NULL, NULL), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(DB(f, failure_add, t[0], 99, NULL, NULL), FLAMENCO_E_NOT_FOUND);
    OK(f, failures_clear_task, t[0]);
    k.n = 0;
    OK(f, failures_list, t[0], on_worker, &k);
    assert_int_equal(k.n, 0);
    OK(f, failures_list, t[1], on_worker, &k);
    assert_int_equal(k.n, 1);
    OK(f, failures_clear_job, job);
    OK(f, failures_clear_job, 99);
    OK(f, failure_add, fixture_read_task(f, other, 2).key, a, &of_task, &of_worker);
    assert_int_equal(of_worker, 2); /* the other job's are still there */
    OK(f, failure_add, t[1], a, &of_task, &of_worker);
    assert_int_equal(of_worker, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stored_worker_is_read_back_as_given),
        TEST(update_changes_only_what_is_named),
        TEST(deleted_worker_is_found_by_key_only),
        TEST(timed_out_workers_were_seen_and_are_not_gone),
        TEST(touches_never_go_back),
        TEST(capable_workers_are_counted_as_the_decisions_say),
        TEST(tags_are_stored_renamed_and_deleted),
        TEST(tags_of_a_worker_are_replaced),
        TEST(sleep_schedules_are_kept_per_worker),
        TEST(blocklist_is_listed_by_worker_name),
        TEST(failures_are_counted_by_task_and_by_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
