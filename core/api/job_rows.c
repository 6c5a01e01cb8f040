/* SPDX-License-Identifier: Apache-2.0
 *
 * job_rows.c - see job_rows.h.
 */
#include "core/api/job_rows.h"

struct fl_job_row {
    flamenco_uuid uuid;
    const flamenco_str *type;
    const char *texts; /* the name; the commands behind the bytes that they share with the task before */
    int64_t steps_total;
    uint32_t name_len, shared, len;
    int32_t priority;
    uint32_t open_deps;
};

/* Room for `size` bytes in *at, whose contents are kept when `keep` says how many there are. What it leaves behind stays in the
 * arena, so it doubles. */
static int make_room(fl_arena *arena, char **at, size_t *cap, size_t size, size_t keep)
{
    if (size <= *cap)
        return 1;
    size_t wanted = *cap * 2 > size ? *cap * 2 : size;
    char *room = fl_arena_alloc(arena, wanted);
    if (room == NULL)
        return 0;
    if (keep > 0)
        memcpy(room, *at, keep);
    *at = room;
    *cap = wanted;
    return 1;
}

static size_t count_shared(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    while (i + 64 <= n && memcmp(a + i, b + i, 64) == 0)
        i += 64;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

int32_t fl_job_rows_init(fl_job_rows *rows, fl_arena *arena, uint64_t most)
{
    memset(rows, 0, sizeof(*rows));
    rows->arena = arena;
    rows->most = most;
    rows->rows = fl_arena_alloc(arena, (size_t)(most + 1) * sizeof(*rows->rows));
    return rows->rows != NULL ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
}

/* How many bytes the commands share with those of the task before. */
static size_t shared_with_last(const fl_job_rows *rows, const fl_job_row *row, flamenco_str commands)
{
    if (rows->n % FL_JOB_ROWS_BLOCK == 0)
        return 0;
    size_t last = (size_t)row[-1].shared + row[-1].len;
    return count_shared(rows->last, commands.ptr, last < commands.len ? last : (size_t)commands.len);
}

/* Keeps the name, and what the commands do not share with those of the task before. */
static int32_t add_texts(fl_job_rows *rows, fl_job_row *row, flamenco_str name, flamenco_str commands)
{
    if (name.len > UINT32_MAX || commands.len > UINT32_MAX)
        return FLAMENCO_E_NOMEM; /* no store takes such texts */
    size_t shared = shared_with_last(rows, row, commands);
    size_t rest = (size_t)commands.len - shared;
    char *texts = fl_arena_alloc(rows->arena, (size_t)name.len + rest + 1);
    /* With one task there is none to compare with. */
    if (texts == NULL ||
        (rows->most > 1 && !make_room(rows->arena, &rows->last, &rows->last_cap, (size_t)commands.len, shared)))
        return FLAMENCO_E_NOMEM;
    if (name.len > 0)
        memcpy(texts, name.ptr, (size_t)name.len);
    if (rest > 0)
        memcpy(texts + name.len, commands.ptr + shared, rest);
    if (rest > 0 && rows->most > 1)
        memcpy(rows->last + shared, commands.ptr + shared, rest);
    row->texts = texts;
    row->name_len = (uint32_t)name.len;
    row->shared = (uint32_t)shared;
    row->len = (uint32_t)rest;
    return FLAMENCO_OK;
}

/* Most tasks of a job have one type: its text is kept once. */
static const flamenco_str *keep_type(fl_job_rows *rows, const fl_job_row *row, flamenco_str text)
{
    if (rows->n > 0 && flamenco_str_equal(*row[-1].type, text))
        return row[-1].type;
    flamenco_str *type = fl_arena_alloc(rows->arena, sizeof(*type));
    if (type == NULL)
        return NULL;
    *type = fl_arena_copy(rows->arena, text);
    return type->ptr != NULL ? type : NULL;
}

int32_t fl_job_rows_add(fl_job_rows *rows, const flamenco_compiled_task *task, const flamenco_uuid *uuid)
{
    fl_job_row *row = &rows->rows[rows->n];
    row->uuid = *uuid;
    row->priority = task->priority;
    row->open_deps = (uint32_t)task->n_deps;
    row->steps_total = task->steps_total;
    row->type = keep_type(rows, row, task->type);
    if (row->type == NULL)
        return FLAMENCO_E_NOMEM;
    int32_t rc = add_texts(rows, row, task->name, task->commands);
    if (rc == FLAMENCO_OK)
        rows->n++;
    return rc;
}

static int make_out(fl_job_rows *rows, uint64_t first, uint64_t n)
{
    size_t size = 0;
    for (uint64_t i = first; i < first + n; ++i)
        size += (size_t)rows->rows[i].shared + rows->rows[i].len;
    if (rows->out_cap < n) {
        rows->out = fl_arena_alloc(rows->arena, (size_t)n * sizeof(*rows->out));
        rows->out_cap = rows->out != NULL ? n : 0;
    }
    return rows->out_cap >= n && make_room(rows->arena, &rows->texts, &rows->texts_cap, size + 1, 0);
}

const flamenco_new_task *fl_job_rows_get(fl_job_rows *rows, uint64_t first, uint64_t n, int64_t now_us)
{
    if (!make_out(rows, first, n))
        return NULL;
    char *to = rows->texts;
    const char *before = to;
    for (uint64_t i = 0; i < n; ++i) {
        const fl_job_row *row = &rows->rows[first + i];
        memcpy(to, before, row->shared);
        memcpy(to + row->shared, row->texts + row->name_len, row->len);
        rows->out[i] = (flamenco_new_task){ .struct_size = (uint32_t)sizeof(rows->out[i]),
                                            .status = FLAMENCO_TASK_QUEUED,
                                            .uuid = row->uuid,
                                            .priority = row->priority,
                                            .open_deps = row->open_deps,
                                            .created_us = now_us,
                                            .updated_us = now_us,
                                            .touched_us = FLAMENCO_TIME_NONE,
                                            .steps_total = row->steps_total,
                                            .name = { row->texts, row->name_len },
                                            .type = *row->type,
                                            .commands = { to, (uint64_t)row->shared + row->len } };
        before = to;
        to += (size_t)row->shared + row->len;
    }
    return rows->out;
}
