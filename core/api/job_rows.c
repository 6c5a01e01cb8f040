/* SPDX-License-Identifier: Apache-2.0
 *
 * job_rows.c - see job_rows.h.
 */
#include "core/api/job_rows.h"

struct fl_job_row {
    flamenco_uuid uuid;
    flamenco_str name, type;
    const char *commands; /* behind the bytes that they share with the task before */
    uint64_t shared, len;
    int32_t priority;
    uint32_t open_deps;
    int64_t steps_total;
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

/* Keeps what the commands do not share with those of the task before. */
static int32_t add_commands(fl_job_rows *rows, fl_job_row *row, flamenco_str commands)
{
    size_t shared = 0;
    size_t len = (size_t)commands.len;
    if (rows->n % FL_JOB_ROWS_BLOCK != 0) {
        const fl_job_row *before = row - 1;
        size_t last = (size_t)(before->shared + before->len);
        shared = count_shared(rows->last, commands.ptr, last < len ? last : len);
    }
    /* With one task there is none to compare with. */
    if (rows->most > 1 && !make_room(rows->arena, &rows->last, &rows->last_cap, len, shared))
        return FLAMENCO_E_NOMEM;
    flamenco_str rest = { commands.ptr + shared, commands.len - shared };
    if (rows->most > 1 && rest.len > 0)
        memcpy(rows->last + shared, rest.ptr, (size_t)rest.len);
    row->commands = fl_arena_copy(rows->arena, rest).ptr;
    row->shared = shared;
    row->len = rest.len;
    return row->commands != NULL ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
}

int32_t fl_job_rows_add(fl_job_rows *rows, const flamenco_compiled_task *task, const flamenco_uuid *uuid)
{
    fl_job_row *row = &rows->rows[rows->n];
    row->uuid = *uuid;
    row->priority = task->priority;
    row->open_deps = (uint32_t)task->n_deps;
    row->steps_total = task->steps_total;
    row->name = fl_arena_copy(rows->arena, task->name);
    /* Most tasks of a job have one type: its text is kept once. */
    row->type = rows->n > 0 && flamenco_str_equal(row[-1].type, task->type) ? row[-1].type
                                                                            : fl_arena_copy(rows->arena, task->type);
    if (row->name.ptr == NULL || row->type.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    int32_t rc = add_commands(rows, row, task->commands);
    if (rc == FLAMENCO_OK)
        rows->n++;
    return rc;
}

static int make_out(fl_job_rows *rows, uint64_t first, uint64_t n)
{
    size_t size = 0;
    for (uint64_t i = first; i < first + n; ++i)
        size += (size_t)(rows->rows[i].shared + rows->rows[i].len);
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
        memcpy(to, before, (size_t)row->shared);
        memcpy(to + row->shared, row->commands, (size_t)row->len);
        rows->out[i] = (flamenco_new_task){ .struct_size = (uint32_t)sizeof(rows->out[i]),
                                            .status = FLAMENCO_TASK_QUEUED,
                                            .uuid = row->uuid,
                                            .priority = row->priority,
                                            .open_deps = row->open_deps,
                                            .created_us = now_us,
                                            .updated_us = now_us,
                                            .touched_us = FLAMENCO_TIME_NONE,
                                            .steps_total = row->steps_total,
                                            .name = row->name,
                                            .type = row->type,
                                            .commands = { to, row->shared + row->len } };
        before = to;
        to += row->shared + row->len;
    }
    return rows->out;
}
