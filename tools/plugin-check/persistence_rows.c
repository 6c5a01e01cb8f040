/* SPDX-License-Identifier: Apache-2.0
 *
 * persistence_rows.c - how rows cross the border: outputs on failure, sizes of older callers, strides, texts, keys.
 */
#include "groups.h"

#include <stdlib.h>

#include "store.h"

#define NO_KEY (INT64_C(1) << 52) /* of a row that does not exist */

static const task_spec one_task[] = { { "blender", 50, { 0 }, 0 } };

/* ---- Outputs --------------------------------------------------------------------------------------------------------- */

typedef union any_row {
    uint32_t struct_size;
    flamenco_job job;
    flamenco_task task;
    flamenco_worker worker;
    flamenco_tag tag;
    flamenco_sleep_schedule sleep;
    flamenco_job_counts counts;
    unsigned char bytes[1024];
} any_row;

static void fill(any_row *row, uint32_t size)
{
    memset(row, 0x5A, sizeof(*row));
    row->struct_size = size;
}

static void expect_untouched(const any_row *row, uint32_t size, const char *what)
{
    any_row expected;
    fill(&expected, size);
    EXPECT(memcmp(row->bytes, expected.bytes, sizeof(expected.bytes)) == 0, "%s fails, and has written to its output",
           what);
}

/* Calls a getter for something that is not there. */
#define GETS_NOTHING(type, call, what) \
    do { \
        fill(&row, (uint32_t)sizeof(type)); \
        EXPECT_RC(call, FLAMENCO_E_NOT_FOUND); \
        expect_untouched(&row, (uint32_t)sizeof(type), what); \
        EXPECT_INT(s->err.struct_size, sizeof(s->err)); \
        EXPECT(memchr(s->err.text, '\0', sizeof(s->err.text)) != NULL, "the error's text of %s has no end", what); \
        EXPECT_INT(s->err.code, FLAMENCO_E_NOT_FOUND); \
    } while (0)

static void outputs_are_untouched_on_failure(kit *k)
{
    kit_store *s = store_start(k);
    any_row row;
    flamenco_uuid nobody = kit_uuid(123456);
    int64_t worker = store_worker(s, "w", "blender"), job = store_job(s, 50, 0, one_task, 1);
    uint64_t n = 77;
    const flamenco_persistence *db = s->db;
    GETS_NOTHING(flamenco_job, db->job_get(s->self, s->cx, &nobody, &row.job, &s->err), "job_get");
    GETS_NOTHING(flamenco_job, db->job_get_key(s->self, s->cx, NO_KEY, &row.job, &s->err), "job_get_key");
    GETS_NOTHING(flamenco_job_counts, db->job_counts(s->self, s->cx, NO_KEY, &row.counts, &s->err), "job_counts");
    GETS_NOTHING(flamenco_task, db->task_get(s->self, s->cx, &nobody, &row.task, &s->err), "task_get");
    GETS_NOTHING(flamenco_task, db->task_get_key(s->self, s->cx, NO_KEY, &row.task, &s->err), "task_get_key");
    GETS_NOTHING(flamenco_task, db->task_find(s->self, s->cx, &nobody, &row.task, &s->err), "task_find");
    GETS_NOTHING(flamenco_task, db->task_held(s->self, s->cx, worker, &row.task, &s->err), "task_held");
    GETS_NOTHING(flamenco_task, db->task_shown_for_worker(s->self, s->cx, worker, &row.task, &s->err),
                 "task_shown_for_worker");
    GETS_NOTHING(flamenco_task,
                 db->task_runnable(s->self, s->cx, job, flamenco_text("ffmpeg"), worker, &row.task, &s->err),
                 "task_runnable");
    GETS_NOTHING(flamenco_worker, db->worker_get(s->self, s->cx, &nobody, &row.worker, &s->err), "worker_get");
    GETS_NOTHING(flamenco_worker, db->worker_get_key(s->self, s->cx, NO_KEY, &row.worker, &s->err), "worker_get_key");
    GETS_NOTHING(flamenco_tag, db->tag_get(s->self, s->cx, &nobody, &row.tag, &s->err), "tag_get");
    GETS_NOTHING(flamenco_tag, db->tag_get_name(s->self, s->cx, flamenco_text("no"), &row.tag, &s->err),
                 "tag_get_name");
    GETS_NOTHING(flamenco_sleep_schedule, db->sleep_get(s->self, s->cx, worker, &row.sleep, &s->err), "sleep_get");
    GETS_NOTHING(flamenco_job, db->last_rendered_get(s->self, s->cx, &row.job, &s->err), "last_rendered_get");
    GETS_NOTHING(
        flamenco_job_counts,
        db->job_set_status(s->self, s->cx, NO_KEY, FLAMENCO_JOB_PAUSED, flamenco_text(""), &row.counts, &s->err),
        "job_set_status");
    GIVES(s, FLAMENCO_E_NOT_FOUND, workers_capable, NO_KEY, flamenco_text("blender"), 0, NOW, &n);
    GIVES(s, FLAMENCO_E_NOT_FOUND, tag_delete, NO_KEY, &n);
    EXPECT_INT(n, 77);
    /* err may be NULL. */
    EXPECT_RC(db->job_get_key(s->self, s->cx, NO_KEY, &row.job, NULL), FLAMENCO_E_NOT_FOUND);
    store_commit(s);
}

static void sizes_of_older_callers_are_respected(kit *k)
{
    kit_store *s = store_start(k);
    int64_t worker = store_worker(s, "w", "blender"), job = store_job(s, 50, 0, one_task, 1);
    flamenco_task task;
    any_row row;
    EXPECT_INT(store_assign(s, worker, &task), FLAMENCO_OK);
    const struct {
        const char *what;
        uint32_t size;
    } cases[] = { { "job_get_key", (uint32_t)offsetof(flamenco_job, priority) },
                  { "task_find", (uint32_t)offsetof(flamenco_task, uuid) },
                  { "worker_get_key", (uint32_t)offsetof(flamenco_worker, can_restart) } };
    for (size_t i = 0; i < 3; ++i) {
        fill(&row, cases[i].size);
        if (i == 0)
            OK(s, job_get_key, job, &row.job);
        else if (i == 1)
            OK(s, task_find, &task.uuid, &row.task);
        else
            OK(s, worker_get_key, worker, &row.worker);
        EXPECT_INT(row.struct_size, cases[i].size);
        for (size_t b = cases[i].size; b < sizeof(row); ++b)
            EXPECT(row.bytes[b] == 0x5A, "%s writes behind the %u bytes that the caller has", cases[i].what,
                   cases[i].size);
    }
    fill(&row, (uint32_t)offsetof(flamenco_job, priority));
    OK(s, job_get_key, job, &row.job);
    EXPECT_INT(row.job.key, job);
    store_commit(s);
}

typedef struct wide_task {
    flamenco_new_task task;
    uint64_t of_a_later_version[3];
} wide_task;

static void rows_of_newer_callers_are_read(kit *k)
{
    kit_store *s = store_start(k);
    wide_task rows[3];
    flamenco_job job = new_job(s);
    int64_t key = 0;
    OK(s, job_insert_hidden, &job, 3, &key);
    for (uint32_t i = 0; i < 3; ++i) {
        memset(&rows[i], 0xEE, sizeof(rows[i]));
        rows[i].task = new_task(s);
        rows[i].task.struct_size = (uint32_t)sizeof(rows[i]);
        rows[i].task.priority = (int32_t)(10 + i);
    }
    OK(s, tasks_insert, key, 1, &rows[0].task, sizeof(rows[0]), 3);
    OK(s, job_show, key, NULL);
    for (uint32_t i = 0; i < 3; ++i)
        EXPECT_INT(read_task(s, key, i + 1).priority, 10 + i);
    store_commit(s);
}

/* ---- Texts ----------------------------------------------------------------------------------------------------------- */

static void texts_are_kept_byte_by_byte(kit *k)
{
    static const char *const texts[] = {
        "",
        "'; DROP TABLE job; --",
        "a \"quoted\" \\ text",
        "100 % {} [] :name ?1 $1 @x",
        "line\nline\r\n\ttab",
        "Grüße, 渲染农场 🎬 \xE2\x80\xA8",
        "{\"a\":{\"b\":[1,2,{\"c\":\"\\u0000 \\\\ \\\"\"}]}}",
        " blanks at both ends ",
    };
    kit_store *s = store_start(k);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
        flamenco_job in = new_job(s), out = ROW(flamenco_job);
        flamenco_new_task task = new_task(s);
        flamenco_str text = flamenco_text(texts[i]);
        int64_t key = 0;
        in.name = in.type = in.activity = in.settings = in.metadata = in.submitter_platform = text;
        task.name = task.activity = task.commands = text;
        OK(s, job_insert_hidden, &in, 1, &key);
        OK(s, tasks_insert, key, 1, &task, sizeof(task), 1);
        OK(s, job_show, key, NULL);
        OK(s, job_get_key, key, &out);
        flamenco_task back = read_task(s, key, 1);
        const flamenco_str given[] = { out.name,     out.type,      out.activity,
                                       out.settings, out.metadata,  out.submitter_platform,
                                       back.name,    back.activity, back.commands };
        for (size_t t = 0; t < sizeof(given) / sizeof(given[0]); ++t)
            EXPECT_STR(given[t], texts[i]);
    }
    store_commit(s);
}

static void long_texts_are_kept(kit *k)
{
    const size_t len = (size_t)3 << 20;
    kit_store *s = store_start(k);
    char *text = malloc(len + 1);
    EXPECT(text != NULL, "the check's memory is exhausted");
    for (size_t i = 0; i < len; ++i)
        text[i] = (char)('a' + i % 23);
    text[len] = '\0';
    flamenco_job in = new_job(s), out = ROW(flamenco_job);
    flamenco_new_task task = new_task(s);
    int64_t key = 0;
    in.settings = (flamenco_str){ text, len };
    task.commands = (flamenco_str){ text, len };
    OK(s, job_insert_hidden, &in, 1, &key);
    OK(s, tasks_insert, key, 1, &task, sizeof(task), 1);
    OK(s, job_show, key, NULL);
    store_next(s);
    OK(s, job_get_key, key, &out);
    flamenco_task back = read_task(s, key, 1);
    EXPECT(flamenco_str_equal(out.settings, in.settings) && flamenco_str_equal(back.commands, task.commands),
           "texts of %zu bytes come back with %llu and %llu bytes", len, (unsigned long long)out.settings.len,
           (unsigned long long)back.commands.len);
    store_commit(s);
}

static void numbers_are_kept(kit *k)
{
    static const struct {
        int32_t priority;
        int64_t time, steps;
    } cases[] = { { INT32_MAX, INT64_C(253402300799999999), INT64_C(1) << 40 },
                  { INT32_MIN, 0, 0 },
                  { -1, INT64_C(1774620000123457), 7 },
                  { 0, INT64_C(-62135596800000000), 1 } };
    kit_store *s = store_start(k);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        flamenco_job in = new_job(s);
        flamenco_new_task task = new_task(s);
        int64_t key = 0;
        in.priority = task.priority = cases[i].priority;
        in.created_us = task.created_us = task.touched_us = cases[i].time;
        task.steps_total = cases[i].steps;
        OK(s, job_insert_hidden, &in, 1, &key);
        OK(s, tasks_insert, key, 1, &task, sizeof(task), 1);
        OK(s, job_show, key, NULL);
        EXPECT_INT(read_job(s, key).priority, cases[i].priority);
        EXPECT_INT(read_job(s, key).created_us, cases[i].time);
        EXPECT_INT(read_job(s, key).steps_total, cases[i].steps);
        EXPECT_INT(read_task(s, key, 1).priority, cases[i].priority);
        EXPECT_INT(read_task(s, key, 1).touched_us, cases[i].time);
        EXPECT_INT(read_task(s, key, 1).steps_total, cases[i].steps);
    }
    store_commit(s);
}

/* ---- Keys and pages -------------------------------------------------------------------------------------------------- */

static void keys_ascend_and_are_not_used_again(kit *k)
{
    kit_store *s = store_start(k);
    int64_t last_job = 0, last_task = 0, last_worker = 0;
    for (int i = 0; i < 4; ++i) {
        int64_t job = store_job(s, 50, 0, one_task, 1), task = read_task(s, job, 1).key;
        int64_t worker = store_worker(s, "w", "misc");
        uint64_t left = 1;
        EXPECT_TRUE(job > last_job && task > last_task && worker > last_worker);
        last_job = job;
        last_task = task;
        last_worker = worker;
        OK(s, job_hide, job);
        while (left > 0)
            OK(s, job_purge, job, 0, &left);
        store_commit(s);
        if (i % 2 == 1) {
            store_stop(s);
            store_restart(s);
        }
        store_begin(s);
    }
    store_commit(s);
}

typedef struct paging {
    int64_t keys[600];
    size_t n;
} paging;

static int32_t on_job(void *ctx, const flamenco_job *row)
{
    paging *p = ctx;
    EXPECT(p->n < 600, "a list gives more rows than there are");
    p->keys[p->n++] = row->key;
    return 0;
}

/* All pages of one size together are the list, whatever the order. */
static void pages_add_up_to_the_list(kit *k)
{
    enum { JOBS = 57 };
    kit_store *s = store_start(k);
    for (int i = 0; i < JOBS; ++i) {
        flamenco_job row = new_job(s);
        int64_t key = 0;
        char name[16];
        snprintf(name, sizeof(name), "%c%d", 'a' + i % 3, i % 5);
        row.name = flamenco_text(name);
        row.status = (uint32_t)i % 3;
        row.priority = i % 4;
        row.updated_us = NOW + i % 7;
        OK(s, job_insert_hidden, &row, 0, &key);
        OK(s, job_show, key, NULL);
    }
    store_next(s);
    for (uint32_t order = FLAMENCO_ORDER_KEY; order <= FLAMENCO_ORDER_PRIORITY; ++order) {
        for (uint32_t descending = 0; descending < 2; ++descending) {
            paging whole = { .n = 0 }, parts = { .n = 0 };
            flamenco_page page = ALL_ROWS;
            uint64_t total = 0;
            page.order = order;
            page.descending = descending;
            OK(s, jobs_list, &page, on_job, &whole, &total);
            EXPECT_INT(whole.n, JOBS);
            EXPECT_INT(total, JOBS);
            for (page.limit = 10; page.offset < JOBS; page.offset += 10) {
                OK(s, jobs_list, &page, on_job, &parts, &total);
                EXPECT_INT(total, JOBS);
            }
            EXPECT(parts.n == JOBS && memcmp(whole.keys, parts.keys, sizeof(whole.keys[0]) * JOBS) == 0,
                   "the pages of 10 of order %u%s are not the list", order, descending ? ", descending" : "");
        }
    }
    store_commit(s);
}

// clang-format off
static const kit_check checks[] = {
    { "persistence.outputs.untouched", FLAMENCO_PERSISTENCE, outputs_are_untouched_on_failure,
      "what fails leaves its outputs alone, fills the error, and accepts err = NULL",
      "plugin.h: RESULTS" },
    { "persistence.rows.older-caller", FLAMENCO_PERSISTENCE, sizes_of_older_callers_are_respected,
      "no byte is written behind the caller's struct_size",
      "plugin.h: GROWTH; persistence.h: ROWS" },
    { "persistence.rows.newer-caller", FLAMENCO_PERSISTENCE, rows_of_newer_callers_are_read,
      "rows are as far apart as the stride says, and what is unknown in them is passed over",
      "plugin.h: GROWTH; persistence.h: tasks_insert" },
    { "persistence.rows.texts", FLAMENCO_PERSISTENCE, texts_are_kept_byte_by_byte,
      "texts come back byte by byte: quotes, backslashes, other scripts, empty ones",
      "persistence.h: ROWS" },
    { "persistence.rows.long-texts", FLAMENCO_PERSISTENCE, long_texts_are_kept,
      "texts of 3 MiB come back",
      "persistence.h: ROWS" },
    { "persistence.rows.numbers", FLAMENCO_PERSISTENCE, numbers_are_kept,
      "times in microseconds and numbers at the ends of their ranges come back",
      "persistence.h: ROWS" },
    { "persistence.rows.keys", FLAMENCO_PERSISTENCE, keys_ascend_and_are_not_used_again,
      "keys ascend and are never used again, also after a purge and a restart",
      "persistence.h: ROWS" },
    { "persistence.rows.pages", FLAMENCO_PERSISTENCE, pages_add_up_to_the_list,
      "all pages together are the list, in every order and direction",
      "persistence.h: flamenco_page" },
};
// clang-format on

const kit_group persistence_rows_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
