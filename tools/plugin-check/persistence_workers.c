/* SPDX-License-Identifier: Apache-2.0
 *
 * persistence_workers.c - workers, tags, sleep schedules, blocklist and failures.
 */
#include <stdlib.h>

#include "groups.h"
#include "store.h"

#define NO_KEY (INT64_C(1) << 52) /* of a row that does not exist */

static const task_spec spec[] = { { "blender", 50, { 0 }, 0 },
                                  { "blender", 50, { 0 }, 0 },
                                  { "ffmpeg", 50, { 0 }, 0 } };

static void update_worker(kit_store *s, int64_t key, uint32_t set, flamenco_worker row)
{
    row.struct_size = (uint32_t)sizeof(row);
    flamenco_worker_update u = { (uint32_t)sizeof(u), set, &row };
    OK(s, worker_update, key, &u);
}

static void stored_worker_is_read_back_as_given(kit *k)
{
    kit_store *s = store_start(k);
    flamenco_worker in = { .struct_size = (uint32_t)sizeof(in),
                           .status = FLAMENCO_WORKER_NONE,
                           .requested = FLAMENCO_WORKER_RESTART,
                           .lazy = 1,
                           .can_restart = 1,
                           .last_good_status = FLAMENCO_WORKER_ASLEEP,
                           .uuid = store_uuid(s),
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
    OK(s, worker_insert, &in, &key);
    GIVES(s, FLAMENCO_E_EXISTS, worker_insert, &in, &key);
    OK(s, worker_get, &in.uuid, &out);
    EXPECT_INT(out.key, key);
    EXPECT_INT(out.status, FLAMENCO_WORKER_NONE);
    EXPECT_INT(out.requested, FLAMENCO_WORKER_RESTART);
    EXPECT_INT(out.lazy, 1);
    EXPECT_INT(out.can_restart, 1);
    EXPECT_INT(out.last_good_status, FLAMENCO_WORKER_ASLEEP);
    EXPECT_INT(out.created_us, NOW);
    EXPECT_INT(out.seen_us, NOW + 1);
    EXPECT_TRUE(out.updated_us == FLAMENCO_TIME_NONE && out.deleted_us == FLAMENCO_TIME_NONE);
    EXPECT_STR(out.name, "node 7");
    EXPECT_STR(out.address, "fe80::1");
    EXPECT_STR(out.platform, "windows");
    EXPECT_STR(out.software, "3.9");
    EXPECT_STR(out.task_types, "blender,misc");
    EXPECT_STR(out.secret_hash, "$2a$04$abc");
    in.uuid = store_uuid(s);
    in.status = FLAMENCO_WORKER_STATUSES;
    GIVES(s, FLAMENCO_E_INVALID, worker_insert, &in, &key);
    GIVES(s, FLAMENCO_E_NOT_FOUND, worker_get, &in.uuid, &out);
}

static void update_changes_only_what_is_named(kit *k)
{
    kit_store *s = store_start(k);
    int64_t key = store_worker(s, "old", "misc");
    flamenco_worker row = { .status = FLAMENCO_WORKER_ASLEEP,
                            .requested = FLAMENCO_WORKER_AWAKE,
                            .lazy = 1,
                            .can_restart = 1,
                            .last_good_status = FLAMENCO_WORKER_AWAKE,
                            .name = flamenco_text("new"),
                            .address = flamenco_text("10.0.0.1"),
                            .software = flamenco_text("4.0"),
                            .task_types = flamenco_text("blender") };
    s->cx->now_us = LATER;
    update_worker(s, key, FLAMENCO_WORKER_SET_STATUS, row);
    flamenco_worker out = read_worker(s, key);
    EXPECT_INT(out.status, FLAMENCO_WORKER_ASLEEP);
    EXPECT_INT(out.requested, FLAMENCO_WORKER_NONE);
    EXPECT_INT(out.updated_us, LATER);
    EXPECT_TRUE(out.seen_us == FLAMENCO_TIME_NONE);
    EXPECT_STR(out.name, "old");
    update_worker(s, key, FLAMENCO_WORKER_SET_REQUEST | FLAMENCO_WORKER_SET_SEEN, row);
    out = read_worker(s, key);
    EXPECT_INT(out.requested, FLAMENCO_WORKER_AWAKE);
    EXPECT_INT(out.lazy, 1);
    EXPECT_INT(out.seen_us, LATER);
    EXPECT_INT(out.last_good_status, FLAMENCO_WORKER_NONE);
    update_worker(s, key, FLAMENCO_WORKER_SET_SIGN_ON | FLAMENCO_WORKER_SET_LAST_GOOD, row);
    out = read_worker(s, key);
    EXPECT_INT(out.last_good_status, FLAMENCO_WORKER_AWAKE);
    EXPECT_INT(out.can_restart, 1);
    EXPECT_STR(out.name, "new");
    EXPECT_STR(out.address, "10.0.0.1");
    EXPECT_STR(out.software, "4.0");
    EXPECT_STR(out.platform, "linux");
    EXPECT_STR(out.task_types, "blender");
    /* From now on it gets tasks of the new type. */
    store_job(s, 50, 0, spec, 3);
    flamenco_task task;
    EXPECT_INT(store_assign(s, key, &task), 0);
    EXPECT_STR(task.type, "blender");
    row.struct_size = (uint32_t)sizeof(row);
    row.status = 99; /* not named below, so it does not matter */
    flamenco_worker_update u = { (uint32_t)sizeof(u), FLAMENCO_WORKER_SET_REQUEST, &row };
    OK(s, worker_update, key, &u);
    GIVES(s, FLAMENCO_E_NOT_FOUND, worker_update, NO_KEY, &u);
    u.set = FLAMENCO_WORKER_SET_STATUS;
    GIVES(s, FLAMENCO_E_INVALID, worker_update, key, &u);
    u = (flamenco_worker_update){ (uint32_t)sizeof(u), FLAMENCO_WORKER_SET_SEEN, NULL };
    OK(s, worker_update, key, &u);
}

typedef struct keys {
    int64_t key[16];
    int n;
} keys;

static int32_t on_worker(void *ctx, const flamenco_worker *row)
{
    keys *found = ctx;
    found->key[found->n++] = row->key;
    return 0;
}

static int compare_keys(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Where no order is promised. */
static void sort_keys(keys *found)
{
    qsort(found->key, (size_t)found->n, sizeof(found->key[0]), compare_keys);
}

static void expect_keys(const keys *found, const int64_t *expected, int n)
{
    EXPECT_INT(found->n, n);
    for (int i = 0; i < n; ++i)
        EXPECT_INT(found->key[i], expected[i]);
}

static void deleted_worker_is_found_by_key_only(kit *k)
{
    kit_store *s = store_start(k);
    int64_t a = store_worker(s, "b", "misc"), b = store_worker(s, "a", "misc");
    flamenco_worker row = read_worker(s, a);
    s->cx->now_us = LATER;
    OK(s, worker_delete, a);
    GIVES(s, FLAMENCO_E_NOT_FOUND, worker_delete, a);
    GIVES(s, FLAMENCO_E_NOT_FOUND, worker_get, &row.uuid, &row);
    row = read_worker(s, a);
    EXPECT_INT(row.deleted_us, LATER);
    EXPECT_TRUE(row.updated_us == FLAMENCO_TIME_NONE);
    flamenco_touch touch = { sizeof(touch), FLAMENCO_TOUCH_WORKER_SEEN, a, LATER };
    OK(s, touches, &touch, sizeof(touch), 1);
    EXPECT_TRUE(read_worker(s, a).seen_us == FLAMENCO_TIME_NONE);
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    keys seen = { .n = 0 };
    uint64_t total = 0, counts[FLAMENCO_WORKER_STATUSES];
    OK(s, workers_list, &page, on_worker, &seen, &total);
    expect_keys(&seen, (int64_t[]){ b }, 1);
    EXPECT_INT(total, 1);
    seen.n = 0;
    page.flags = FLAMENCO_PAGE_WITH_DELETED;
    page.order = FLAMENCO_ORDER_NAME;
    OK(s, workers_list, &page, on_worker, &seen, &total);
    expect_keys(&seen, (int64_t[]){ b, a }, 2);
    EXPECT_INT(total, 2);
    seen.n = 0;
    page.descending = 1;
    page.limit = 1;
    OK(s, workers_list, &page, on_worker, &seen, &total);
    expect_keys(&seen, (int64_t[]){ a }, 1);
    OK(s, workers_count, counts);
    EXPECT_INT(counts[FLAMENCO_WORKER_AWAKE], 1);
    EXPECT_INT(counts[FLAMENCO_WORKER_OFFLINE], 0);
}

static void timed_out_workers_were_seen_and_are_not_gone(kit *k)
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
    kit_store *s = store_start(k);
    int64_t expected[8];
    int n = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        int64_t key = store_worker(s, "w", "misc");
        flamenco_touch touch = { sizeof(touch), FLAMENCO_TOUCH_WORKER_SEEN, key, cases[i].seen };
        update_worker(s, key, FLAMENCO_WORKER_SET_STATUS, (flamenco_worker){ .status = cases[i].status });
        if (cases[i].seen != FLAMENCO_TIME_NONE)
            OK(s, touches, &touch, sizeof(touch), 1);
        if (cases[i].times_out)
            expected[n++] = key;
    }
    OK(s, worker_delete, store_worker(s, "gone", "misc"));
    keys seen = { .n = 0 };
    OK(s, workers_timed_out, NOW, on_worker, &seen);
    sort_keys(&seen);
    expect_keys(&seen, expected, n);
}

static void touches_are_stored(kit *k)
{
    kit_store *s = store_start(k);
    int64_t key = store_worker(s, "w", "misc");
    flamenco_touch rows[] = { { sizeof(rows[0]), FLAMENCO_TOUCH_WORKER_SEEN, key, NOW },
                              { sizeof(rows[0]), FLAMENCO_TOUCH_WORKER_SEEN, key, LATER },
                              { sizeof(rows[0]), FLAMENCO_TOUCH_WORKER_SEEN, NO_KEY, NOW } };
    OK(s, touches, rows, sizeof(rows[0]), 3);
    EXPECT_INT(read_worker(s, key).seen_us, LATER);
    EXPECT_INT(read_worker(s, key).updated_us, LATER);
}

static void capable_workers_are_counted_as_the_decisions_say(kit *k)
{
    kit_store *s = store_start(k);
    int64_t tag = store_tag(s, "t"), job = store_job(s, 50, 0, spec, 3), tagged = store_job(s, 50, tag, spec, 3);
    int64_t task = read_task(s, job, 1).key;
    int64_t w[7];
    for (size_t i = 0; i < 7; ++i)
        w[i] = store_worker(s, "w", i == 6 ? "misc" : "blender,misc");
    OK(s, worker_set_tags, w[0], &tag, 1);
    OK(s, worker_delete, w[1]);
    OK(s, blocklist_add, job, w[2], flamenco_text("blender"));
    OK(s, failure_add, task, w[3], NULL, NULL);
    update_worker(s, w[4], FLAMENCO_WORKER_SET_STATUS, (flamenco_worker){ .status = FLAMENCO_WORKER_OFFLINE });
    s->cx->now_us = LATER;
    update_worker(s, w[5], FLAMENCO_WORKER_SET_STATUS | FLAMENCO_WORKER_SET_SEEN,
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
        OK(s, workers_capable, cases[i].job, flamenco_text(cases[i].type), cases[i].task, cases[i].since, &n);
        EXPECT_INT(n, cases[i].expected);
    }
    uint64_t n;
    GIVES(s, FLAMENCO_E_NOT_FOUND, workers_capable, NO_KEY, flamenco_text("misc"), 0, NOW, &n);
}

/* ---- Tags ---- */

static int32_t on_tag(void *ctx, const flamenco_tag *row)
{
    keys *found = ctx;
    found->key[found->n++] = row->key;
    return 0;
}

static void tags_are_stored_renamed_and_deleted(kit *k)
{
    kit_store *s = store_start(k);
    flamenco_tag in = { .struct_size = (uint32_t)sizeof(in),
                        .uuid = store_uuid(s),
                        .name = flamenco_text("GPU"),
                        .description = flamenco_text("fast") };
    flamenco_tag out = { .struct_size = (uint32_t)sizeof(out) };
    int64_t a = 0, b = store_tag(s, "CPU"), key = 0;
    OK(s, tag_insert, &in, &a);
    GIVES(s, FLAMENCO_E_EXISTS, tag_insert, &in, &key);
    OK(s, tag_get, &in.uuid, &out);
    EXPECT_INT(out.key, a);
    EXPECT_STR(out.name, "GPU");
    EXPECT_STR(out.description, "fast");
    OK(s, tag_get_name, flamenco_text("CPU"), &out);
    EXPECT_INT(out.key, b);
    GIVES(s, FLAMENCO_E_NOT_FOUND, tag_get_name, flamenco_text("cpu"), &out);
    in.key = a;
    in.name = flamenco_text("CPU");
    GIVES(s, FLAMENCO_E_EXISTS, tag_update, &in);
    in.name = flamenco_text("Cards");
    in.description = flamenco_text("");
    OK(s, tag_update, &in);
    OK(s, tag_get, &in.uuid, &out);
    EXPECT_STR(out.name, "Cards");
    EXPECT_INT(out.description.len, 0);
    in.key = NO_KEY;
    GIVES(s, FLAMENCO_E_NOT_FOUND, tag_update, &in);
    keys seen = { .n = 0 };
    OK(s, tags_list, on_tag, &seen);
    expect_keys(&seen, (int64_t[]){ b, a }, 2);
    /* The key of the last tag is not used again. */
    OK(s, tag_delete, a, NULL);
    GIVES(s, FLAMENCO_E_NOT_FOUND, tag_get, &in.uuid, &out);
    EXPECT_TRUE(store_tag(s, "new") > a);
}

static void tags_of_a_worker_are_replaced(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", "misc"), a = store_tag(s, "a"), b = store_tag(s, "b");
    OK(s, worker_set_tags, worker, (int64_t[]){ b, a, b }, 3);
    keys seen = { .n = 0 };
    OK(s, worker_tags, worker, on_tag, &seen);
    sort_keys(&seen);
    expect_keys(&seen, (int64_t[]){ a, b }, 2);
    /* An unknown one: everything stays as it was. */
    GIVES(s, FLAMENCO_E_NOT_FOUND, worker_set_tags, worker, ((int64_t[]){ a, NO_KEY }), 2);
    GIVES(s, FLAMENCO_E_NOT_FOUND, worker_set_tags, NO_KEY, &a, 1);
    seen.n = 0;
    OK(s, worker_tags, worker, on_tag, &seen);
    sort_keys(&seen);
    expect_keys(&seen, (int64_t[]){ a, b }, 2);
    OK(s, tag_delete, a, NULL);
    seen.n = 0;
    OK(s, worker_tags, worker, on_tag, &seen);
    sort_keys(&seen);
    expect_keys(&seen, (int64_t[]){ b }, 1);
    OK(s, worker_set_tags, worker, NULL, 0);
    seen.n = 0;
    OK(s, worker_tags, worker, on_tag, &seen);
    sort_keys(&seen);
    EXPECT_INT(seen.n, 0);
}

/* ---- Sleep schedules ---- */

static int32_t on_sleep(void *ctx, const flamenco_sleep_schedule *row)
{
    keys *k = ctx;
    k->key[k->n++] = row->worker_key;
    return 0;
}

static void sleep_schedules_are_kept_per_worker(kit *k)
{
    kit_store *s = store_start(k);
    int64_t w[] = { store_worker(s, "a", "misc"), store_worker(s, "b", "misc"), store_worker(s, "c", "misc") };
    flamenco_sleep_schedule in = { .struct_size = (uint32_t)sizeof(in),
                                   .is_active = 1,
                                   .worker_key = w[0],
                                   .start_minutes = 22 * 60,
                                   .end_minutes = -1,
                                   .next_check_us = FLAMENCO_TIME_NONE,
                                   .days = flamenco_text("mo fr") };
    flamenco_sleep_schedule out = { .struct_size = (uint32_t)sizeof(out) };
    GIVES(s, FLAMENCO_E_NOT_FOUND, sleep_get, w[0], &out);
    GIVES(s, FLAMENCO_E_NOT_FOUND, sleep_set_next, w[0], NOW);
    OK(s, sleep_set, &in);
    OK(s, sleep_get, w[0], &out);
    flamenco_uuid uuid = read_worker(s, w[0]).uuid;
    EXPECT_UUID(out.worker_uuid, uuid);
    EXPECT_INT(out.is_active, 1);
    EXPECT_INT(out.start_minutes, 1320);
    EXPECT_INT(out.end_minutes, -1);
    EXPECT_TRUE(out.next_check_us == FLAMENCO_TIME_NONE);
    EXPECT_STR(out.days, "mo fr");
    in.worker_key = w[1];
    in.is_active = 0;
    OK(s, sleep_set, &in);
    in.worker_key = w[2];
    in.is_active = 1;
    in.end_minutes = 1440;
    in.next_check_us = NOW;
    OK(s, sleep_set, &in);
    keys seen = { .n = 0 };
    OK(s, sleep_due, NOW, on_sleep, &seen);
    sort_keys(&seen);
    expect_keys(&seen, (int64_t[]){ w[0], w[2] }, 2);
    OK(s, sleep_set_next, w[2], NOW + 1);
    seen.n = 0;
    OK(s, sleep_due, NOW, on_sleep, &seen);
    sort_keys(&seen);
    expect_keys(&seen, (int64_t[]){ w[0] }, 1);
    seen.n = 0;
    OK(s, sleep_list, on_sleep, &seen);
    expect_keys(&seen, w, 3);
    in.worker_key = NO_KEY;
    GIVES(s, FLAMENCO_E_NOT_FOUND, sleep_set, &in);
    in.worker_key = w[0];
    in.end_minutes = 1441;
    GIVES(s, FLAMENCO_E_INVALID, sleep_set, &in);
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

static void blocklist_is_listed_by_worker_name(kit *k)
{
    kit_store *s = store_start(k);
    int64_t job = store_job(s, 50, 0, spec, 3), a = store_worker(s, "zeta", "blender"),
            b = store_worker(s, "Alpha", "blender");
    OK(s, blocklist_add, job, a, flamenco_text("ffmpeg"));
    OK(s, blocklist_add, job, a, flamenco_text("blender"));
    OK(s, blocklist_add, job, b, flamenco_text("new-type"));
    OK(s, blocklist_add, job, b, flamenco_text("new-type"));
    GIVES(s, FLAMENCO_E_NOT_FOUND, blocklist_add, NO_KEY, b, flamenco_text("misc"));
    GIVES(s, FLAMENCO_E_NOT_FOUND, blocklist_add, job, NO_KEY, flamenco_text("misc"));
    blocks list = { "" };
    OK(s, blocklist_list, job, on_block, &list);
    /* The order of one worker's types is not promised. */
    EXPECT_TRUE(strcmp(list.text, "Alpha:new-type zeta:blender zeta:ffmpeg ") == 0 ||
                strcmp(list.text, "Alpha:new-type zeta:ffmpeg zeta:blender ") == 0);
    flamenco_uuid uuid = read_worker(s, a).uuid, nobody = { { 9 } };
    uint64_t made = 99;
    OK(s, blocklist_remove, job, &uuid, flamenco_text("ffmpeg"), &made);
    EXPECT_INT(made, 0); /* it does not know the type */
    OK(s, blocklist_remove, job, &nobody, flamenco_text("ffmpeg"), &made);
    OK(s, blocklist_remove, job, &uuid, flamenco_text("unheard-of"), &made);
    OK(s, blocklist_remove, job, &uuid, flamenco_text("blender"), &made);
    EXPECT_INT(made, 2);
    OK(s, blocklist_remove, job, &uuid, flamenco_text("blender"), &made);
    EXPECT_INT(made, 0); /* it was not there any more */
    list.text[0] = '\0';
    OK(s, blocklist_list, job, on_block, &list);
    EXPECT_STR(flamenco_text(list.text), "Alpha:new-type ");
    OK(s, blocklist_clear, job);
    list.text[0] = '\0';
    OK(s, blocklist_list, job, on_block, &list);
    EXPECT_STR(flamenco_text(list.text), "");
}

static void failures_are_counted_by_task_and_by_worker(kit *k)
{
    kit_store *s = store_start(k);
    int64_t job = store_job(s, 50, 0, spec, 3), other = store_job(s, 50, 0, spec, 3);
    int64_t a = store_worker(s, "a", "blender"), b = store_worker(s, "b", "blender"), t[3];
    uint64_t of_task = 0, of_worker = 0;
    for (uint32_t i = 0; i < 3; ++i)
        t[i] = read_task(s, job, i + 1).key;
    OK(s, failure_add, read_task(s, other, 1).key, a, &of_task, &of_worker);
    OK(s, failure_add, t[2], a, &of_task, &of_worker); /* ffmpeg */
    OK(s, failure_add, t[0], a, &of_task, &of_worker);
    EXPECT_INT(of_task, 1);
    EXPECT_INT(of_worker, 1);
    OK(s, failure_add, t[0], b, &of_task, &of_worker);
    OK(s, failure_add, t[0], b, &of_task, &of_worker);
    EXPECT_INT(of_task, 2);
    EXPECT_INT(of_worker, 1);
    OK(s, failure_add, t[1], a, &of_task, &of_worker);
    EXPECT_INT(of_task, 1);
    EXPECT_INT(of_worker, 2);
    OK(s, worker_delete, a);
    keys seen = { .n = 0 };
    OK(s, failures_list, t[0], on_worker, &seen);
    expect_keys(&seen, (int64_t[]){ a, b }, 2);
    GIVES(s, FLAMENCO_E_NOT_FOUND, failure_add, NO_KEY, a, NULL, NULL);
    GIVES(s, FLAMENCO_E_NOT_FOUND, failure_add, t[0], NO_KEY, NULL, NULL);
    OK(s, failures_clear_task, t[0]);
    seen.n = 0;
    OK(s, failures_list, t[0], on_worker, &seen);
    EXPECT_INT(seen.n, 0);
    OK(s, failures_list, t[1], on_worker, &seen);
    EXPECT_INT(seen.n, 1);
    OK(s, failures_clear_job, job);
    OK(s, failures_clear_job, NO_KEY);
    OK(s, failure_add, read_task(s, other, 2).key, a, &of_task, &of_worker);
    EXPECT_INT(of_worker, 2); /* the other job's are still there */
    OK(s, failure_add, t[1], a, &of_task, &of_worker);
    EXPECT_INT(of_worker, 1);
}

// clang-format off
static const kit_check checks[] = {
    { "persistence.worker.stored", FLAMENCO_PERSISTENCE, stored_worker_is_read_back_as_given,
      "a worker is read back as it was stored; EXISTS and NOT_FOUND",
      "persistence.h: worker_insert" },
    { "persistence.worker.update", FLAMENCO_PERSISTENCE, update_changes_only_what_is_named,
      "worker_update changes what `set` names and nothing else",
      "persistence.h: worker_update" },
    { "persistence.worker.deleted", FLAMENCO_PERSISTENCE, deleted_worker_is_found_by_key_only,
      "a soft-deleted worker is found by key and in the list that asks for it only",
      "persistence.h: worker_delete" },
    { "persistence.workers.timed-out", FLAMENCO_PERSISTENCE, timed_out_workers_were_seen_and_are_not_gone,
      "workers time out by last-seen time, not offline, failed, deleted or never-seen ones",
      "persistence.h: workers_timed_out" },
    { "persistence.touches", FLAMENCO_PERSISTENCE, touches_are_stored,
      "kept last-seen times are stored, and rows that are gone are passed over",
      "persistence.h: touches" },
    { "persistence.workers.capable", FLAMENCO_PERSISTENCE, capable_workers_are_counted_as_the_decisions_say,
      "workers that could still run a type of task in a job are counted by type, tag, blocklist, failures and last-seen time",
      "persistence.h: workers_capable" },
    { "persistence.tags", FLAMENCO_PERSISTENCE, tags_are_stored_renamed_and_deleted,
      "tags are stored, found, renamed, deleted; names and UUIDs are unique; keys are not used again",
      "persistence.h: tag_insert" },
    { "persistence.worker.tags", FLAMENCO_PERSISTENCE, tags_of_a_worker_are_replaced,
      "a worker's tags are replaced, each once; an unknown one changes nothing",
      "persistence.h: worker_set_tags" },
    { "persistence.sleep", FLAMENCO_PERSISTENCE, sleep_schedules_are_kept_per_worker,
      "sleep schedules are kept, changed, listed and found when they are due",
      "persistence.h: sleep_set" },
    { "persistence.blocklist", FLAMENCO_PERSISTENCE, blocklist_is_listed_by_worker_name,
      "the blocklist holds an entry once, is listed by worker name, and tells what a removal makes runnable",
      "persistence.h: blocklist_add" },
    { "persistence.failures", FLAMENCO_PERSISTENCE, failures_are_counted_by_task_and_by_worker,
      "failures are counted per task, and per worker, job and type; lists and both ways of clearing",
      "persistence.h: failure_add" },
};
// clang-format on

const kit_group persistence_workers_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
