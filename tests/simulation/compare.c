/* SPDX-License-Identifier: Apache-2.0
 *
 * compare.c - what the store, the events and the replies say, against what the model says.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>

#include "core/api/convert.h"
#include "core/base/uuid.h"
#include "core/touches.h"
#include "history.h"

static char text[500];

__attribute__((format(printf, 1, 2))) static const char *differs(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return text;
}

/* ---- Names ------------------------------------------------------------------------------------------------------------ */

typedef struct learning {
    history *h;
    flamenco_cx *cx;
    const model *m;
} learning;

static int32_t learn_task(void *ctx, const flamenco_task *row)
{
    const learning *l = ctx;
    uint32_t job = 0;
    while (job < M_JOBS && l->h->job_keys[job] != row->job_key)
        ++job;
    if (job == M_JOBS || row->index < 1 || row->index > l->h->world.shapes[job].n)
        return 0;
    uint32_t t = l->h->world.shapes[job].first + row->index - 1;
    l->h->task_uuids[t] = row->uuid;
    l->h->task_keys[t] = row->key;
    return 0;
}

static int32_t learn_job(void *ctx, const flamenco_job *row)
{
    const learning *l = ctx;
    char name[32] = "";
    memcpy(name, row->name.ptr, row->name.len < 31 ? (size_t)row->name.len : 31);
    unsigned job = M_JOBS;
    if (sscanf(name, "job-%u", &job) != 1 || job >= M_JOBS || l->h->job_keys[job] == row->key)
        return 0;
    l->h->job_uuids[job] = row->uuid;
    l->h->job_keys[job] = row->key;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_persistence_ref store = manager_store(&l->h->manager);
    flamenco_page all = { .struct_size = (uint32_t)sizeof(all), .updated_after_us = FLAMENCO_TIME_NONE };
    return flamenco_persist_tasks_list(&store, l->cx, row->key, &all, learn_task, ctx, NULL, &err);
}

static int32_t learn_worker(void *ctx, const flamenco_worker *row)
{
    const learning *l = ctx;
    char name[32] = "";
    memcpy(name, row->name.ptr, row->name.len < 31 ? (size_t)row->name.len : 31);
    unsigned worker = M_WORKERS;
    if (sscanf(name, "worker-%u", &worker) != 1 || worker >= M_WORKERS)
        return 0;
    l->h->worker_uuids[worker] = row->uuid;
    l->h->worker_keys[worker] = row->key;
    return 0;
}

static int32_t learn_tag(void *ctx, const flamenco_tag *row)
{
    const learning *l = ctx;
    unsigned tag = M_TAGS;
    char name[16] = "";
    memcpy(name, row->name.ptr, row->name.len < 15 ? (size_t)row->name.len : 15);
    if (sscanf(name, "tag-%u", &tag) == 1 && tag < M_TAGS) {
        l->h->tag_uuids[tag] = row->uuid;
        l->h->tag_keys[tag] = row->key;
    }
    return 0;
}

void learn_names(history *h, const model *m)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_persistence_ref store = manager_store(&h->manager);
    flamenco_cx *cx = manager_look(&h->manager);
    learning l = { h, cx, m };
    flamenco_page all = { .struct_size = (uint32_t)sizeof(all),
                          .updated_after_us = FLAMENCO_TIME_NONE,
                          .flags = FLAMENCO_PAGE_WITH_DELETED };
    flamenco_persist_workers_list(&store, cx, &all, learn_worker, &l, NULL, &err);
    all.flags = 0;
    memset(h->tag_keys, 0, sizeof(h->tag_keys));
    flamenco_persist_tags_list(&store, cx, learn_tag, &l, &err);
    flamenco_persist_jobs_list(&store, cx, &all, learn_job, &l, NULL, &err);
    manager_look_end(&h->manager);
}

/* ---- The store ---------------------------------------------------------------------------------------------------------- */

typedef struct looking {
    history *h;
    const model *m;
    flamenco_persistence_ref store;
    flamenco_cx *cx;
    uint32_t job;
    uint64_t rows;
    const char *wrong;
} looking;

static int32_t collect_worker(void *ctx, const flamenco_worker *row)
{
    looking *l = ctx;
    for (uint32_t i = 0; i < M_WORKERS; ++i) {
        if (l->h->worker_keys[i] == row->key)
            l->rows |= 1u << i;
    }
    return 0;
}

static int32_t look_at_task(void *ctx, const flamenco_task *row)
{
    looking *l = ctx;
    const m_job *j = &l->m->jobs[l->job];
    uint32_t t = j->first + (uint32_t)l->rows++, open = 0;
    if (l->rows > j->n) {
        l->wrong = differs("job %u has too many tasks", l->job);
        return 1;
    }
    const m_task *task = &l->m->tasks[t];
    model_is_open(l->m, &l->h->world, l->job, t, &open);
    int64_t worker = task->worker >= 0 ? l->h->worker_keys[task->worker] : 0;
    if (row->status != task->status)
        l->wrong = differs("task %u is %s, not %s", t, flamenco_task_status_text(row->status),
                           flamenco_task_status_text(task->status));
    else if (row->worker_key != worker)
        l->wrong = differs("task %u belongs to worker key %" PRId64 ", not %" PRId64 " (worker %d)", t, row->worker_key,
                           worker, task->worker);
    else if (row->steps_completed != task->done || row->steps_total != l->h->world.tasks[t].steps)
        l->wrong = differs("task %u has done %" PRId64 " of %" PRId64 " steps, not %" PRId64, t, row->steps_completed,
                           row->steps_total, task->done);
    else if (row->open_deps != open)
        l->wrong = differs("task %u waits for %u tasks, not %u", t, row->open_deps, open);
    else if (row->priority != task->priority)
        l->wrong = differs("task %u has priority %d, not %d", t, row->priority, task->priority);
    return l->wrong != NULL;
}

static void look_at_failures(looking *l)
{
    const m_job *j = &l->m->jobs[l->job];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    for (uint32_t t = j->first; t < j->first + j->n && j->n < 100 && l->wrong == NULL; ++t) {
        l->rows = 0;
        flamenco_persist_failures_list(&l->store, l->cx, l->h->task_keys[t], collect_worker, l, &err);
        if (l->rows != l->m->tasks[t].failed_by)
            l->wrong =
                differs("task %u was failed by workers %" PRIx64 ", not %x", t, l->rows, l->m->tasks[t].failed_by);
    }
}

typedef struct blocks {
    looking *l;
    uint32_t blocked[M_TYPES];
} blocks;

static int32_t collect_block(void *ctx, const flamenco_blocklist_entry *row)
{
    blocks *b = ctx;
    for (uint32_t i = 0; i < M_WORKERS; ++i) {
        for (uint32_t type = 0; type < M_TYPES; ++type) {
            if (b->l->h->worker_keys[i] == row->worker_key &&
                flamenco_str_equal(row->task_type, flamenco_text(m_type_names[type])))
                b->blocked[type] |= 1u << i;
        }
    }
    return 0;
}

static void look_at_job(looking *l)
{
    const m_job *j = &l->m->jobs[l->job];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = flamenco_persist_job_get_key(&l->store, l->cx, l->h->job_keys[l->job], &row, &err);
    if (rc == FLAMENCO_E_NOT_FOUND || rc != FLAMENCO_OK) {
        l->wrong = differs("job %u is not there: %s", l->job, err.text);
        return;
    }
    int64_t done = 0, total = 0, tag = j->tag != 0 ? l->h->tag_keys[j->tag] : 0;
    for (uint32_t t = j->first; t < j->first + j->n; ++t) {
        done += l->m->tasks[t].done;
        total += l->h->world.tasks[t].steps;
    }
    if (row.status != j->status)
        l->wrong = differs("job %u is %s, not %s", l->job, flamenco_job_status_text(row.status),
                           flamenco_job_status_text(j->status));
    else if (row.priority != j->priority || row.tag_key != tag || row.n_tasks != j->n)
        l->wrong = differs("job %u has priority %d, tag key %" PRId64 ", %" PRIu64 " tasks, not %d, %" PRId64 ", %u",
                           l->job, row.priority, row.tag_key, row.n_tasks, j->priority, tag, j->n);
    else if ((row.delete_requested_us != FLAMENCO_TIME_NONE) != (j->marked != 0))
        l->wrong = differs("job %u: the mark for deletion is wrong", l->job);
    else if (row.steps_completed != done || row.steps_total != total)
        l->wrong = differs("job %u has done %" PRId64 " of %" PRId64 " steps, not %" PRId64 " of %" PRId64, l->job,
                           row.steps_completed, row.steps_total, done, total);
    for (uint32_t s = 0; s < FLAMENCO_TASK_STATUSES && l->wrong == NULL; ++s) {
        if (row.counts[s] != model_count(l->m, j, FLAMENCO_BIT(s)))
            l->wrong = differs("job %u counts %" PRIu64 " %s tasks, not %u", l->job, row.counts[s],
                               flamenco_task_status_text(s), model_count(l->m, j, FLAMENCO_BIT(s)));
    }
    if (l->wrong != NULL)
        return;
    flamenco_page all = { .struct_size = (uint32_t)sizeof(all), .updated_after_us = FLAMENCO_TIME_NONE };
    l->rows = 0;
    rc = flamenco_persist_tasks_list(&l->store, l->cx, row.key, &all, look_at_task, l, NULL, &err);
    if (l->wrong == NULL && (rc != FLAMENCO_OK || l->rows != j->n))
        l->wrong = differs("job %u lists %" PRIu64 " tasks, not %u (%s)", l->job, l->rows, j->n, err.text);
    if (l->wrong == NULL)
        look_at_failures(l);
    blocks b = { .l = l };
    flamenco_persist_blocklist_list(&l->store, l->cx, row.key, collect_block, &b, &err);
    for (uint32_t type = 0; type < M_TYPES && l->wrong == NULL; ++type) {
        if (b.blocked[type] != j->blocked[type])
            l->wrong = differs("job %u blocks workers %x for %s, not %x", l->job, b.blocked[type], m_type_names[type],
                               j->blocked[type]);
    }
}

static uint32_t tag_bits(looking *l, uint32_t worker);

static int32_t collect_tag(void *ctx, const flamenco_tag *row)
{
    looking *l = ctx;
    for (uint32_t i = 1; i < M_TAGS; ++i) {
        if (l->h->tag_keys[i] == row->key)
            l->rows |= 1u << i;
    }
    return 0;
}

static uint32_t tag_bits(looking *l, uint32_t worker)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    l->rows = 0;
    flamenco_persist_worker_tags(&l->store, l->cx, l->h->worker_keys[worker], collect_tag, l, &err);
    return (uint32_t)l->rows;
}

static uint32_t type_bits(flamenco_str types)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < M_TYPES; ++i) {
        size_t len = strlen(m_type_names[i]);
        for (uint64_t at = 0; at + len <= types.len; ++at) {
            if (memcmp(types.ptr + at, m_type_names[i], len) == 0 && (at == 0 || types.ptr[at - 1] == ',') &&
                (at + len == types.len || types.ptr[at + len] == ','))
                bits |= 1u << i;
        }
    }
    return bits;
}

static void look_at_worker(looking *l, uint32_t i)
{
    const m_worker *w = &l->m->workers[i];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row) };
    if (flamenco_persist_worker_get_key(&l->store, l->cx, l->h->worker_keys[i], &row, &err) != FLAMENCO_OK)
        l->wrong = differs("worker %u is not there: %s", i, err.text);
    else if ((row.deleted_us != FLAMENCO_TIME_NONE) != (w->deleted != 0))
        l->wrong = differs("worker %u: the soft deletion is wrong", i);
    else if (row.status != w->status || row.requested != w->requested)
        l->wrong = differs("worker %u is '%s', requested '%s'; not '%s', '%s'", i,
                           flamenco_worker_status_text(row.status), flamenco_worker_status_text(row.requested),
                           flamenco_worker_status_text(w->status), flamenco_worker_status_text(w->requested));
    else if (w->requested != FLAMENCO_WORKER_NONE && (row.lazy != 0) != (w->lazy != 0))
        l->wrong = differs("worker %u: lazy %u, not %u", i, row.lazy, w->lazy);
    else if (w->status == FLAMENCO_WORKER_ERROR && row.last_good_status != w->last_good)
        l->wrong =
            differs("worker %u was '%s' before its error, not '%s'", i,
                    flamenco_worker_status_text(row.last_good_status), flamenco_worker_status_text(w->last_good));
    else if ((row.can_restart != 0) != (w->can_restart != 0))
        l->wrong = differs("worker %u: can restart %u, not %u", i, row.can_restart, w->can_restart);
    else if (type_bits(row.task_types) != w->types)
        l->wrong = differs("worker %u has types %x, not %x", i, type_bits(row.task_types), w->types);
    else if (tag_bits(l, i) != w->tags)
        l->wrong = differs("worker %u has tags %" PRIx64 ", not %x", i, l->rows, w->tags);
}

static int32_t count_job(void *ctx, const flamenco_job *row)
{
    (void)row;
    ++*(uint64_t *)ctx;
    return 0;
}

static const char *look_at_lists(looking *l)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    uint64_t jobs = 0, hidden = 0, expected = 0, tags = 0;
    for (uint32_t i = 0; i < l->m->n_jobs; ++i)
        expected += l->m->jobs[i].exists && !l->m->jobs[i].deleted;
    flamenco_persist_jobs_list(&l->store, l->cx, &page, count_job, &jobs, NULL, &err);
    page.flags = FLAMENCO_PAGE_HIDDEN;
    flamenco_persist_jobs_list(&l->store, l->cx, &page, count_job, &hidden, NULL, &err);
    if (jobs != expected)
        return differs("there are %" PRIu64 " jobs, not %" PRIu64, jobs, expected);
    if (hidden != 0 && !l->h->remains)
        return differs("there are %" PRIu64 " hidden jobs left", hidden);
    for (uint32_t i = 1; i < M_TAGS; ++i)
        tags |= l->h->tag_keys[i] != 0 ? 1u << i : 0;
    return tags == l->m->tags ? NULL : differs("there are tags %" PRIx64 ", not %x", tags, l->m->tags);
}

const char *compare_state(history *h, const model *m)
{
    looking l = { .h = h, .m = m, .store = manager_store(&h->manager) };
    l.cx = manager_look(&h->manager);
    l.wrong = look_at_lists(&l);
    for (uint32_t i = 0; i < m->n_workers && l.wrong == NULL; ++i)
        look_at_worker(&l, i);
    for (l.job = 0; l.job < m->n_jobs && l.wrong == NULL; ++l.job) {
        if (m->jobs[l.job].exists && !m->jobs[l.job].deleted)
            look_at_job(&l);
    }
    manager_look_end(&h->manager);
    return l.wrong;
}

/* ---- Times ---------------------------------------------------------------------------------------------------------------- */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What counts: the stored time, or a later one that is kept in memory. */
static int64_t seen_of(history *h, const flamenco_worker *row)
{
    return later(row->seen_us, fl_touches_get(h->manager.f.touches, FLAMENCO_TOUCH_WORKER_SEEN, row->key));
}

static int is_parked(const model *m, uint32_t worker)
{
    for (uint32_t i = 0; i < m->n_parked; ++i) {
        if (m->parked[i].worker == worker)
            return 1;
    }
    return 0;
}

static int has_zombie(const history *h, uint32_t worker)
{
    for (int i = 0; i < CLIENTS; ++i) {
        if (h->clients[i].used && h->clients[i].zombie && h->clients[i].op.worker == worker)
            return 1;
    }
    return 0;
}

typedef struct times {
    history *h;
    int take_all; /* 1: the model takes the times over */
    model *m;
    const char *wrong;
} times;

static int32_t time_of_worker(void *ctx, const flamenco_worker *row)
{
    times *t = ctx;
    uint32_t i = 0;
    while (i < t->m->n_workers && t->h->worker_keys[i] != row->key)
        ++i;
    if (i == t->m->n_workers)
        return 0;
    int64_t seen_us = seen_of(t->h, row);
    if (is_parked(t->m, i) || has_zombie(t->h, i))
        t->h->vague |= 1u << i;
    if (t->take_all)
        t->m->workers[i].seen_us = seen_us;
    else if (t->h->vague >> i & 1 && seen_us >= t->m->workers[i].seen_us && seen_us <= t->m->now_us)
        t->m->workers[i].seen_us = seen_us;
    else if (seen_us != t->m->workers[i].seen_us)
        t->wrong = differs("worker %u was seen at %" PRId64 ", not %" PRId64, i, seen_us, t->m->workers[i].seen_us);
    if (!is_parked(t->m, i) && !has_zombie(t->h, i))
        t->h->vague &= ~(1u << i);
    return t->wrong != NULL;
}

static int32_t time_of_task(void *ctx, const flamenco_task *row)
{
    times *t = ctx;
    uint32_t i = 0;
    while (i < t->m->n_tasks && t->h->task_keys[i] != row->key)
        ++i;
    if (i == t->m->n_tasks)
        return 0;
    int64_t touched_us = fl_task_touched(&t->h->manager.f, row);
    if (t->take_all)
        t->m->tasks[i].touched_us = touched_us;
    else if (touched_us != t->m->tasks[i].touched_us)
        t->wrong =
            differs("task %u was touched at %" PRId64 ", not %" PRId64, i, touched_us, t->m->tasks[i].touched_us);
    return t->wrong != NULL;
}

static const char *look_at_times(times *t)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_persistence_ref store = manager_store(&t->h->manager);
    flamenco_cx *cx = manager_look(&t->h->manager);
    flamenco_page page = { .struct_size = (uint32_t)sizeof(page), .updated_after_us = FLAMENCO_TIME_NONE };
    flamenco_persist_workers_list(&store, cx, &page, time_of_worker, t, NULL, &err);
    /* Only active tasks time out; but what a crash has left of any task's time counts once it is made active. */
    if (!t->take_all)
        page.status_mask = FLAMENCO_BIT(FLAMENCO_TASK_ACTIVE);
    for (uint32_t j = 0; j < t->m->n_jobs && t->wrong == NULL; ++j) {
        if (t->m->jobs[j].exists && !t->m->jobs[j].deleted)
            flamenco_persist_tasks_list(&store, cx, t->h->job_keys[j], &page, time_of_task, t, NULL, &err);
    }
    manager_look_end(&t->h->manager);
    return t->wrong;
}

const char *compare_times(history *h, model *m)
{
    times t = { .h = h, .m = m };
    return look_at_times(&t);
}

void adopt_times(history *h, model *m)
{
    times t = { .h = h, .m = m, .take_all = 1 };
    look_at_times(&t);
}

/* ---- Events ----------------------------------------------------------------------------------------------------------------- */

static uint32_t find_uuid(const flamenco_uuid *list, uint32_t n, const flamenco_uuid *uuid)
{
    for (uint32_t i = 0; i < n; ++i) {
        if (!fl_uuid_is_none(uuid) && fl_uuid_equal(&list[i], uuid))
            return i;
    }
    return M_NONE;
}

static uint32_t word(const json_t *root, const char *key, int32_t (*parse)(flamenco_str, uint32_t *))
{
    uint32_t out = M_NONE;
    const char *value = json_string_value(json_object_get(root, key));
    if (value != NULL)
        (void)parse(flamenco_text(value), &out);
    return out;
}

static m_event read_event(const history *h, const seen_event *seen, const json_t *root)
{
    m_event e = { .kind = (m_event_kind)seen->kind, .job = M_NONE, .task = M_NONE, .worker = M_NONE };
    if (e.kind == EV_JOB) {
        e.job = find_uuid(h->job_uuids, M_JOBS, &seen->job);
        e.status = word(root, "status", flamenco_job_status_parse);
        e.previous = word(root, "previous_status", flamenco_job_status_parse);
        e.flag = (json_is_true(json_object_get(root, "refresh_tasks")) ? 1u : 0u) |
                 (json_is_true(json_object_get(root, "was_deleted")) ? 2u : 0u);
    } else if (e.kind == EV_TASK) {
        e.job = find_uuid(h->job_uuids, M_JOBS, &seen->job);
        e.task = find_uuid(h->task_uuids, M_TASKS, &seen->task);
        e.status = word(root, "status", flamenco_task_status_parse);
        e.previous = word(root, "previous_status", flamenco_task_status_parse);
        if (json_object_get(root, "worker") != NULL)
            e.worker = find_uuid(h->worker_uuids, M_WORKERS, &seen->worker);
    } else {
        const json_t *change = json_object_get(root, "status_change");
        e.worker = find_uuid(h->worker_uuids, M_WORKERS, &seen->worker);
        e.status = word(root, "status", flamenco_worker_status_parse);
        e.previous = word(root, "previous_status", flamenco_worker_status_parse);
        if (change != NULL)
            e.flag = word(change, "status", flamenco_worker_status_parse) +
                     (json_is_true(json_object_get(change, "is_lazy")) ? 8u : 0u);
        e.flag += json_object_get(root, "deleted_at") != NULL ? 16u : 0u;
    }
    if (e.kind != EV_WORKER) {
        e.done = json_integer_value(json_object_get(root, "steps_completed"));
        e.total = json_integer_value(json_object_get(root, "steps_total"));
    }
    return e;
}

static void describe(const m_event *e, char *out, size_t size)
{
    static const char *const names[] = { [EV_JOB] = "job", [EV_TASK] = "task", [EV_WORKER] = "worker" };
    snprintf(out, size, "%s event, job %d task %d worker %d, status %d previous %d flag %u, steps %lld of %lld",
             e->kind <= EV_WORKER && names[e->kind] != NULL ? names[e->kind] : "unknown", (int)e->job, (int)e->task,
             (int)e->worker, (int)e->status, (int)e->previous, e->flag, (long long)e->done, (long long)e->total);
}

static int same_event(const m_event *a, const m_event *b)
{
    if (b->kind == EV_JOB && (b->flag & 2u))
        return a->kind == b->kind && a->job == b->job && (a->flag & 2u);
    return a->kind == b->kind && a->job == b->job && a->task == b->task && a->worker == b->worker &&
           a->status == b->status && a->previous == b->previous && a->flag == b->flag && a->done == b->done &&
           a->total == b->total;
}

const char *compare_events(history *h, const m_outcome *out, uint32_t events, uint32_t more)
{
    const manager *m = &h->manager;
    char had[160], should[160];
    h->counts.events += m->n_events;
    for (size_t i = 0; i < m->n_events && i < more; ++i) {
        json_t *root = json_loads(m->events[i].payload, 0, NULL);
        m_event e = read_event(h, &m->events[i], root);
        json_decref(root);
        if (same_event(&e, &out->events[i]))
            continue;
        describe(&e, had, sizeof(had));
        describe(&out->events[i], should, sizeof(should));
        return differs("event %zu is %s; it should be %s", i + 1, had, should);
    }
    if (m->n_events > more)
        return differs("%zu events came, at most %u should: %s", m->n_events, more, m->events[more].payload);
    if (m->n_events < events) {
        describe(&out->events[m->n_events], should, sizeof(should));
        return differs("%zu events came, not %u; missing is %s", m->n_events, events, should);
    }
    return NULL;
}

/* ---- Replies ------------------------------------------------------------------------------------------------------------------ */

static const char *compare_body(history *h, const m_reply *expected, const op *o, const json_t *root)
{
    if (o->kind == OP_SCHEDULE && expected->status == 200) {
        flamenco_uuid uuid = { { 0 } };
        const char *id = json_string_value(json_object_get(root, "uuid"));
        if (id != NULL)
            (void)fl_uuid_parse(flamenco_text(id), &uuid);
        uint32_t got = find_uuid(h->task_uuids, M_TASKS, &uuid);
        ++h->counts.handed_out;
        /* After a crash, a job that was stored just before has no names yet; what was handed out shows in the state. */
        if (got == M_NONE && fl_uuid_is_none(&h->task_uuids[expected->task]) && !fl_uuid_is_none(&uuid))
            return NULL;
        return got == expected->task ? NULL : differs("task %d was handed out, not %d", (int)got, (int)expected->task);
    }
    if (expected->status == 423 || o->kind == OP_SIGN_ON || (o->kind == OP_STATE && expected->status == 200)) {
        uint32_t got = word(root, "status_requested", flamenco_worker_status_parse);
        return got == expected->word ? NULL : differs("status %d was requested, not %u", (int)got, expected->word);
    }
    if (o->kind == OP_MAY_RUN) {
        uint32_t got = (json_is_true(json_object_get(root, "mayKeepRunning")) ? 1u : 0u) |
                       (json_is_true(json_object_get(root, "statusChangeRequested")) ? 2u : 0u);
        return got == expected->word ? NULL : differs("may-i-run says %u, not %u", got, expected->word);
    }
    return NULL;
}

const char *compare_reply(history *h, const m_reply *expected, const client *got)
{
    const op *o = &h->clients[expected->client].op;
    ++h->counts.requests;
    if (got->state == CLIENT_DROPPED)
        return differs("the connection was closed, there should be a reply %u", expected->status);
    if (got->status != (int32_t)expected->status)
        return differs("the reply is %d, not %u: %.*s", got->status, expected->status, (int)got->reply.len,
                       got->reply.len > 0 ? got->reply.data : "");
    if (expected->status != 200 && expected->status != 423)
        return NULL;
    json_t *root = got->reply.len > 0 ? json_loadb(got->reply.data, got->reply.len, 0, NULL) : NULL;
    const char *wrong = compare_body(h, expected, o, root);
    json_decref(root);
    return wrong;
}
