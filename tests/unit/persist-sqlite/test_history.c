/* SPDX-License-Identifier: Apache-2.0
 *
 * test_history.c - thousands of random changes, each done to the store and to a small model in memory that counts everything
 * anew. After each, what the store tells (counters, what became runnable, who gets which task) must be what the model says;
 * now and then every row is compared and the store checks itself.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "fixture.h"

#define JOBS 14
#define TASKS 10
#define WORKERS 5
#define TYPES 4
#define TAGS 3 /* 0 = none */

typedef struct model_task {
    uint32_t status, type, needs; /* needs: bits of tasks */
    int32_t priority;
    int64_t total, done, key;
    int worker; /* -1 = none */
    uint32_t failed_by; /* bits of workers */
    flamenco_uuid uuid;
} model_task;

typedef struct model_job {
    int alive, marked, tag;
    uint32_t status, n;
    int32_t priority;
    int64_t key;
    uint32_t blocked[TYPES]; /* bits of workers */
    model_task tasks[TASKS];
} model_job;

typedef struct model {
    model_job jobs[JOBS];
    uint32_t worker_types[WORKERS], worker_tags[WORKERS];
    int64_t tags[TAGS];
} model;

typedef struct run {
    fixture *f;
    model now;
    int64_t workers[WORKERS];
    uint64_t random;
} run;

static const char *const type_names[TYPES] = { "blender", "ffmpeg", "misc", "file-management" };

static uint32_t roll(run *r, uint32_t below)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return (uint32_t)(r->random >> 11) % below;
}

/* ---- What the model says ---- */

static int job_runs(const model_job *j)
{
    return j->alive && !j->marked && j->status <= FLAMENCO_JOB_ACTIVE;
}

static int is_runnable(const model_job *j, uint32_t t)
{
    const model_task *task = &j->tasks[t];
    if (!job_runs(j) || task->status > FLAMENCO_TASK_SOFT_FAILED)
        return 0;
    for (uint32_t d = 0; d < j->n; ++d) {
        if ((task->needs >> d & 1) && j->tasks[d].status != FLAMENCO_TASK_COMPLETED)
            return 0;
    }
    return 1;
}

static int may_run(const model *m, const model_job *j, uint32_t t, int worker)
{
    const model_task *task = &j->tasks[t];
    return is_runnable(j, t) && (m->worker_types[worker] >> task->type & 1) && !(task->failed_by >> worker & 1) &&
           !(j->blocked[task->type] >> worker & 1) && (j->tag == 0 || (m->worker_tags[worker] >> j->tag & 1));
}

static int64_t expected_pick(const model *m, int worker)
{
    int64_t held = 0;
    const model_job *best_job = NULL;
    const model_task *best = NULL;
    for (int i = 0; i < JOBS; ++i) {
        const model_job *j = &m->jobs[i];
        for (uint32_t t = 0; t < j->n && job_runs(j); ++t) {
            const model_task *task = &j->tasks[t];
            if (task->status == FLAMENCO_TASK_ACTIVE && task->worker == worker && (held == 0 || task->key < held))
                held = task->key;
            if (!may_run(m, j, t, worker))
                continue;
            if (best == NULL || j->priority > best_job->priority ||
                (j->priority == best_job->priority &&
                 (task->priority > best->priority || (task->priority == best->priority && task->key < best->key)))) {
                best = task;
                best_job = j;
            }
        }
    }
    return held != 0 ? held : best != NULL ? best->key : 0;
}

/* Compares a job's counters with a recount, and what became runnable with the difference to `before`. */
static void expect_counts(const model_job *before, const model_job *after, const flamenco_job_counts *told)
{
    uint64_t counts[FLAMENCO_TASK_STATUSES] = { 0 }, made = 0;
    int64_t total = 0, done = 0;
    uint32_t types = 0;
    for (uint32_t t = 0; t < after->n; ++t) {
        ++counts[after->tasks[t].status];
        total += after->tasks[t].total;
        done += after->tasks[t].done;
        if (is_runnable(after, t) && (before == NULL || !is_runnable(before, t))) {
            ++made;
            types |= 1u << after->tasks[t].type;
        }
    }
    assert_memory_equal(told->counts, counts, sizeof(counts));
    assert_int_equal(told->n_tasks, after->n);
    assert_int_equal(told->job_status, after->status);
    assert_int_equal(told->steps_total, total);
    assert_int_equal(told->steps_completed, done);
    assert_int_equal(told->made_runnable, made);
    const char *type = "";
    for (uint32_t i = 0; i < TYPES; ++i) {
        if (types == 1u << i)
            type = type_names[i];
    }
    assert_true(flamenco_str_equal(told->runnable_type, flamenco_text(type)));
}

/* ---- Changes ---- */

static model_job *any_job(run *r)
{
    for (uint32_t i = 0; i < 3 * JOBS; ++i) {
        model_job *j = &r->now.jobs[roll(r, JOBS)];
        if (j->alive)
            return j;
    }
    return NULL;
}

static void add_job(run *r)
{
    model_job *j = NULL;
    for (int i = 0; i < JOBS && j == NULL; ++i) {
        if (!r->now.jobs[i].alive)
            j = &r->now.jobs[i];
    }
    if (j == NULL)
        return;
    *j = (model_job){ .alive = 1, .n = 1 + roll(r, TASKS), .priority = (int32_t)(40 + roll(r, 3) * 10) };
    j->tag = (int)roll(r, TAGS);
    if (r->now.tags[j->tag] == 0)
        j->tag = 0;
    /* A random order without cycles, so that a task may come before what it depends on. */
    uint32_t order[TASKS] = { 0 };
    task_spec specs[TASKS];
    memset(specs, 0, sizeof(specs));
    for (uint32_t i = 0; i < j->n; ++i) {
        uint32_t at = roll(r, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (uint32_t i = 0; i < j->n; ++i) {
        model_task *task = &j->tasks[order[i]];
        task_spec *spec = &specs[order[i]];
        *task = (model_task){
            .type = roll(r, TYPES), .priority = (int32_t)(50 + roll(r, 3)), .total = 1 + roll(r, 9), .worker = -1
        };
        for (uint32_t d = 0, used = 0; d < i && used < 4; ++d) {
            if (roll(r, 4) == 0) {
                task->needs |= 1u << order[d];
                spec->needs[used++] = order[d] + 1;
            }
        }
        spec->type = type_names[task->type];
        spec->priority = task->priority;
        spec->steps = task->total;
    }
    j->key = fixture_job(r->f, j->priority, r->now.tags[j->tag], specs, j->n);
    for (uint32_t t = 0; t < j->n; ++t) {
        flamenco_task row = fixture_read_task(r->f, j->key, t + 1);
        j->tasks[t].key = row.key;
        j->tasks[t].uuid = row.uuid;
    }
}

static void set_status(model_task *task, uint32_t status)
{
    if (task->status != status && status == FLAMENCO_TASK_COMPLETED)
        task->done = task->total;
    if (task->status != status && status == FLAMENCO_TASK_QUEUED)
        task->done = 0;
    task->status = status;
}

static void update_task(run *r)
{
    model_job *j = any_job(r);
    if (j == NULL)
        return;
    model_job before = *j;
    model_task *task = &j->tasks[roll(r, j->n)];
    flamenco_task_update update = { .struct_size = (uint32_t)sizeof(update), .activity = flamenco_text("busy") };
    flamenco_job_counts told = { .struct_size = (uint32_t)sizeof(told) };
    update.set = roll(r, 32);
    update.status = roll(r, 3) == 0 ? FLAMENCO_TASK_COMPLETED : roll(r, FLAMENCO_TASK_STATUSES);
    update.steps_completed = (int64_t)roll(r, (uint32_t)task->total + 1);
    int worker = (int)roll(r, WORKERS + 1) - 1;
    update.worker_key = worker < 0 ? 0 : r->workers[worker];
    if (update.set & FLAMENCO_TASK_SET_STATUS)
        set_status(task, update.status);
    if (update.set & FLAMENCO_TASK_SET_STEPS)
        task->done = update.steps_completed;
    if (update.set & FLAMENCO_TASK_SET_WORKER)
        task->worker = worker;
    assert_int_equal(r->f->db->task_update(r->f->self, r->f->cx, task->key, &update, &told, &r->f->err), 0);
    expect_counts(&before, j, &told);
}

static void update_job(run *r)
{
    model_job *j = any_job(r);
    if (j == NULL)
        return;
    model_job before = *j;
    j->status = roll(r, 2) == 0 ? roll(r, 2) : roll(r, FLAMENCO_JOB_STATUSES);
    flamenco_job_counts told = fixture_set_job(r->f, j->key, j->status);
    expect_counts(&before, j, &told);
}

static void move_many(run *r)
{
    model_job *j = any_job(r);
    if (j == NULL)
        return;
    uint64_t mask = roll(r, 128), limit = 1 + roll(r, TASKS);
    uint32_t to = roll(r, FLAMENCO_TASK_STATUSES), cursor = 0, done = 0;
    while (!done) {
        model_job before = *j;
        uint32_t from = cursor;
        flamenco_job_counts told = { .struct_size = (uint32_t)sizeof(told) };
        assert_int_equal(r->f->db->tasks_bulk_status(r->f->self, r->f->cx, j->key, mask, to, flamenco_text("bulk"),
                                                     limit, &cursor, &done, &told, &r->f->err),
                         0);
        for (uint32_t t = from; t < j->n && t < from + limit; ++t) {
            if (mask >> j->tasks[t].status & 1)
                set_status(&j->tasks[t], to);
        }
        expect_counts(&before, j, &told);
        assert_int_equal(done, from + limit >= j->n);
    }
}

static void ask_for_task(run *r)
{
    int worker = (int)roll(r, WORKERS);
    int64_t expected = expected_pick(&r->now, worker);
    flamenco_task task;
    int32_t rc = fixture_assign(r->f, r->workers[worker], &task);
    assert_int_equal(rc, expected == 0 ? FLAMENCO_E_NOT_FOUND : FLAMENCO_OK);
    if (expected == 0)
        return;
    assert_int_equal(task.key, expected);
    for (int i = 0; i < JOBS; ++i) {
        for (uint32_t t = 0; t < r->now.jobs[i].n; ++t) {
            model_task *mine = &r->now.jobs[i].tasks[t];
            if (r->now.jobs[i].alive && mine->key == task.key) {
                set_status(mine, FLAMENCO_TASK_ACTIVE);
                mine->worker = worker;
            }
        }
    }
}

static void change_job_column(run *r)
{
    model_job *j = any_job(r);
    if (j == NULL)
        return;
    fixture *f = r->f;
    switch (roll(r, 4)) {
    case 0:
        j->priority = (int32_t)(40 + roll(r, 3) * 10);
        assert_int_equal(f->db->job_set_priority(f->self, f->cx, j->key, j->priority, &f->err), 0);
        break;
    case 1:
        j->tag = (int)roll(r, TAGS);
        j->tag = r->now.tags[j->tag] != 0 ? j->tag : 0;
        assert_int_equal(f->db->job_set_tag(f->self, f->cx, j->key, r->now.tags[j->tag], &f->err), 0);
        break;
    case 2:
        if (roll(r, 4) == 0) {
            j->marked = 1;
            assert_int_equal(f->db->job_set_delete_requested(f->self, f->cx, j->key, &f->err), 0);
        }
        break;
    default:
        if (j->marked) {
            uint64_t left = 1;
            assert_int_equal(f->db->job_hide(f->self, f->cx, j->key, &f->err), 0);
            while (left > 0)
                assert_int_equal(f->db->job_purge(f->self, f->cx, j->key, 1 + roll(r, 5), &left, &f->err), 0);
            memset(j, 0, sizeof(*j));
        }
        break;
    }
}

static void change_lists(run *r)
{
    model_job *j = any_job(r);
    if (j == NULL)
        return;
    fixture *f = r->f;
    int worker = (int)roll(r, WORKERS);
    uint32_t type = roll(r, TYPES);
    model_task *task = &j->tasks[roll(r, j->n)];
    switch (roll(r, 5)) {
    case 0:
        j->blocked[type] |= 1u << worker;
        assert_int_equal(
            f->db->blocklist_add(f->self, f->cx, j->key, r->workers[worker], flamenco_text(type_names[type]), &f->err),
            0);
        break;
    case 1: {
        uint64_t told = 0, made = 0;
        flamenco_uuid uuid = fixture_read_worker(f, r->workers[worker]).uuid;
        model before = r->now;
        const model_job *was = &before.jobs[j - r->now.jobs];
        j->blocked[type] &= ~(1u << worker);
        for (uint32_t t = 0; t < j->n; ++t)
            made += may_run(&r->now, j, t, worker) && !may_run(&before, was, t, worker);
        assert_int_equal(
            f->db->blocklist_remove(f->self, f->cx, j->key, &uuid, flamenco_text(type_names[type]), &told, &f->err), 0);
        assert_int_equal(told, made);
        break;
    }
    case 2: {
        uint64_t n_task = 0, n_worker = 0, of_task = 0, of_worker = 0;
        task->failed_by |= 1u << worker;
        for (int w = 0; w < WORKERS; ++w)
            of_task += task->failed_by >> w & 1;
        for (uint32_t t = 0; t < j->n; ++t)
            of_worker += j->tasks[t].type == task->type && (j->tasks[t].failed_by >> worker & 1);
        assert_int_equal(f->db->failure_add(f->self, f->cx, task->key, r->workers[worker], &n_task, &n_worker, &f->err),
                         0);
        assert_int_equal(n_task, of_task);
        assert_int_equal(n_worker, of_worker);
        break;
    }
    case 3:
        task->failed_by = 0;
        assert_int_equal(f->db->failures_clear_task(f->self, f->cx, task->key, &f->err), 0);
        break;
    default:
        for (uint32_t t = 0; t < j->n; ++t)
            j->tasks[t].failed_by = 0;
        memset(j->blocked, 0, sizeof(j->blocked));
        assert_int_equal(f->db->failures_clear_job(f->self, f->cx, j->key, &f->err), 0);
        assert_int_equal(f->db->blocklist_clear(f->self, f->cx, j->key, &f->err), 0);
        break;
    }
}

static void set_worker_tags(run *r, int worker, uint32_t tags)
{
    int64_t keys[TAGS];
    uint64_t n = 0;
    r->now.worker_tags[worker] = 0;
    for (int t = 1; t < TAGS; ++t) {
        if ((tags >> t & 1) && r->now.tags[t] != 0) {
            keys[n++] = r->now.tags[t];
            r->now.worker_tags[worker] |= 1u << t;
        }
    }
    assert_int_equal(r->f->db->worker_set_tags(r->f->self, r->f->cx, r->workers[worker], keys, n, &r->f->err), 0);
}

static void change_farm(run *r)
{
    fixture *f = r->f;
    int worker = (int)roll(r, WORKERS), tag = 1 + (int)roll(r, TAGS - 1);
    if (roll(r, 3) != 0) {
        set_worker_tags(r, worker, roll(r, 1u << TAGS));
    } else if (r->now.tags[tag] == 0) {
        char name[24];
        (void)snprintf(name, sizeof(name), "tag %llu", (unsigned long long)f->uuids);
        r->now.tags[tag] = fixture_tag(f, name);
    } else {
        uint64_t told = 0, made = 0;
        for (int i = 0; i < JOBS; ++i) {
            model_job *j = &r->now.jobs[i];
            for (uint32_t t = 0; t < j->n && j->tag == tag; ++t)
                made += (uint64_t)is_runnable(j, t);
            j->tag = j->tag == tag ? 0 : j->tag;
        }
        for (int w = 0; w < WORKERS; ++w)
            r->now.worker_tags[w] &= ~(1u << tag);
        assert_int_equal(f->db->tag_delete(f->self, f->cx, r->now.tags[tag], &told, &f->err), 0);
        assert_int_equal(told, made);
        r->now.tags[tag] = 0;
    }
}

static void change(run *r)
{
    uint32_t what = roll(r, 100);
    if (what < 8)
        add_job(r);
    else if (what < 40)
        update_task(r);
    else if (what < 50)
        update_job(r);
    else if (what < 58)
        move_many(r);
    else if (what < 80)
        ask_for_task(r);
    else if (what < 88)
        change_job_column(r);
    else if (what < 96)
        change_lists(r);
    else
        change_farm(r);
}

/* ---- Comparing ---- */

/* What the writer finds of a task, known or not, is what is stored. Twice as often the same few tasks. */
static void look_at_task(run *r)
{
    fixture *f = r->f;
    const model_job *j = any_job(r);
    if (j == NULL)
        return;
    const model_task *task = &j->tasks[roll(r, 2) == 0 ? 0 : roll(r, j->n)];
    flamenco_task found = { .struct_size = (uint32_t)sizeof(found) }, read = { .struct_size = (uint32_t)sizeof(read) };
    assert_int_equal(f->db->task_find(f->self, f->cx, &task->uuid, &found, &f->err), 0);
    assert_int_equal(f->db->task_get_key(f->self, f->cx, task->key, &read, &f->err), 0);
    assert_int_equal(found.key, task->key);
    assert_int_equal(found.status, task->status);
    assert_int_equal(found.steps_completed, task->done);
    assert_int_equal(found.status, read.status);
    assert_int_equal(found.open_deps, read.open_deps);
    assert_int_equal(found.worker_key, read.worker_key);
    assert_true(found.updated_us == read.updated_us && found.touched_us == read.touched_us);
    assert_true(flamenco_str_equal(found.name, read.name));
    assert_true(flamenco_str_equal(found.activity, read.activity));
}

static void compare_all(run *r)
{
    fixture *f = r->f;
    uint64_t by_status[FLAMENCO_JOB_STATUSES] = { 0 }, told[FLAMENCO_JOB_STATUSES];
    for (int i = 0; i < JOBS; ++i) {
        const model_job *j = &r->now.jobs[i];
        if (!j->alive)
            continue;
        ++by_status[j->status];
        flamenco_job row = fixture_read_job(f, j->key);
        assert_int_equal(row.status, j->status);
        assert_int_equal(row.priority, j->priority);
        assert_int_equal(row.tag_key, r->now.tags[j->tag]);
        for (uint32_t t = 0; t < j->n; ++t) {
            flamenco_task task = fixture_read_task(f, j->key, t + 1);
            uint32_t open = 0;
            for (uint32_t d = 0; d < j->n; ++d)
                open += (j->tasks[t].needs >> d & 1) && j->tasks[d].status != FLAMENCO_TASK_COMPLETED;
            assert_int_equal(task.key, j->tasks[t].key);
            assert_int_equal(task.status, j->tasks[t].status);
            assert_int_equal(task.open_deps, open);
            assert_int_equal(task.steps_completed, j->tasks[t].done);
            assert_int_equal(task.worker_key, j->tasks[t].worker < 0 ? 0 : r->workers[j->tasks[t].worker]);
        }
    }
    assert_int_equal(f->db->jobs_count(f->self, f->cx, told, &f->err), 0);
    assert_memory_equal(told, by_status, sizeof(told));
    fixture_forget(f);
    if (fixture_check(f) != FLAMENCO_OK)
        fail_msg("the store found itself damaged: %s", f->err.text);
}

static void run_history(fixture *f, uint64_t seed, int changes)
{
    run r = { .f = f, .random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1 };
    for (int w = 0; w < WORKERS; ++w) {
        char types[64] = "";
        for (uint32_t t = 0; t < TYPES; ++t) {
            if (w == 0 || roll(&r, 3) != 0) {
                r.now.worker_types[w] |= 1u << t;
                (void)snprintf(types + strlen(types), sizeof(types) - strlen(types), "%s%s",
                               types[0] != '\0' ? "," : "", type_names[t]);
            }
        }
        char name[8];
        (void)snprintf(name, sizeof(name), "w%d", w);
        r.workers[w] = fixture_worker(f, name, types);
    }
    for (int i = 0; i < changes; ++i) {
        /* Some requests fail at their end, and nothing of them may stay. */
        if (roll(&r, 8) == 0) {
            model before = r.now;
            assert_int_equal(f->db->savepoint(f->self, f->cx, &f->err), 0);
            for (uint32_t n = roll(&r, 4); n > 0; --n)
                change(&r);
            assert_int_equal(f->db->rollback_to(f->self, f->cx, &f->err), 0);
            r.now = before;
        } else {
            change(&r);
        }
        look_at_task(&r);
        if (i % 50 == 49)
            fixture_next(f);
        if (i % 500 == 499)
            compare_all(&r);
    }
    compare_all(&r);
}

static void random_history_keeps_every_count_and_pick_right(void **state)
{
    const char *seed = getenv("FL_SEED");
    uint64_t first = seed != NULL ? strtoull(seed, NULL, 10) : 1, last = seed != NULL ? first : 4;
    (void)state;
    for (uint64_t i = first; i <= last; ++i) {
        fixture *f = NULL;
        assert_int_equal(fixture_setup((void **)&f), 0);
        run_history(f, i, 2500);
        fixture_teardown((void **)&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(random_history_keeps_every_count_and_pick_right) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
