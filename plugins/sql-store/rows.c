/* SPDX-License-Identifier: Apache-2.0
 *
 * rows.c - the way of values between the columns of the store and the structs of the service. Used by every file that
 * implements methods.
 */
#include "rows.h"

void fl_row_out(void *out, const void *row, uint32_t size)
{
    uint32_t room;
    memcpy(&room, out, sizeof(room));
    memcpy(out, row, room < size ? room : size);
    memcpy(out, &room, sizeof(room));
}

void fl_row_in(void *row, uint32_t size, const void *from)
{
    uint32_t given;
    memcpy(&given, from, sizeof(given));
    memset(row, 0, size);
    memcpy(row, from, given < size ? given : size);
    memcpy(row, &size, sizeof(size));
}

int32_t fl_texts_keep(flamenco_session *s, flamenco_str *const *texts)
{
    uint64_t total = 0;
    for (size_t i = 0; texts[i] != NULL; ++i)
        total += texts[i]->len + 1;
    char *at = s->store->host->cx_alloc(s->cx, total);
    if (at == NULL)
        return fl_fail(s, FLAMENCO_E_NOMEM, "out of memory");
    for (size_t i = 0; texts[i] != NULL; ++i) {
        if (texts[i]->len > 0)
            memcpy(at, texts[i]->ptr, (size_t)texts[i]->len);
        texts[i]->ptr = at;
        at += texts[i]->len + 1;
    }
    return FLAMENCO_OK;
}

/* ---- Rows of the service ---- */

int32_t fl_job_read(fl_query *q, flamenco_job *row)
{
    int at = 0;
    row->struct_size = (uint32_t)sizeof(*row);
    row->key = fl_column_int(q, at++);
    row->uuid = fl_column_uuid(q, at++);
    row->status = (uint32_t)fl_column_int(q, at++);
    row->priority = (int32_t)fl_column_int(q, at++);
    row->hidden = (uint32_t)fl_column_int(q, at++);
    row->tag_key = fl_column_int(q, at++);
    row->tag_uuid = fl_column_uuid(q, at++);
    row->created_us = fl_column_time(q, at++);
    row->updated_us = fl_column_time(q, at++);
    row->delete_requested_us = fl_column_time(q, at++);
    row->steps_total = fl_column_int(q, at++);
    row->steps_completed = fl_column_int(q, at++);
    row->n_tasks = (uint64_t)fl_column_int(q, at++);
    for (size_t i = 0; i < FLAMENCO_TASK_STATUSES; ++i)
        row->counts[i] = (uint64_t)fl_column_int(q, at++);
    row->name = fl_column_text(q, at++);
    row->type = fl_column_text(q, at++);
    row->activity = fl_column_text(q, at++);
    row->settings = fl_column_text(q, at++);
    row->metadata = fl_column_text(q, at++);
    row->shaman_checkout_id = fl_column_text(q, at++);
    row->submitter_platform = fl_column_text(q, at);
    return q->rc;
}

static void note_task(flamenco_session *s, const flamenco_task *row, int64_t type)
{
    const fl_task_state state = { row->key,         row->job_key,         type,
                                  row->priority,    row->worker_key,      row->open_deps,
                                  row->steps_total, row->steps_completed, row->status };
    fl_task_state_keep(s, &state);
}

int32_t fl_task_read_alone(fl_query *q, flamenco_task *row)
{
    int at = 0;
    row->struct_size = (uint32_t)sizeof(*row);
    row->key = fl_column_int(q, at++);
    row->job_key = fl_column_int(q, at++);
    row->priority = (int32_t)fl_column_int(q, at++);
    row->open_deps = (uint32_t)fl_column_int(q, at++);
    row->worker_key = fl_column_int(q, at++);
    row->status = (uint32_t)fl_column_int(q, at++);
    row->created_us = fl_column_time(q, at++);
    row->updated_us = fl_column_time(q, at++);
    row->touched_us = fl_column_time(q, at++);
    row->steps_total = fl_column_int(q, at++);
    row->steps_completed = fl_column_int(q, at++);
    row->name = fl_column_text(q, at++);
    int64_t type = fl_column_int(q, at++);
    int32_t named = fl_type_name(q->s, type, &row->type);
    if (named != FLAMENCO_OK)
        q->rc = named;
    row->activity = fl_column_text(q, at);
    note_task(q->s, row, type);
    return q->rc;
}

int32_t fl_task_read(fl_query *q, flamenco_task *row, uint32_t with_commands)
{
    int at = FL_TASK_OWN_COLUMNS_COUNT;
    (void)fl_task_read_alone(q, row); /* q->rc keeps an error */
    row->uuid = fl_column_uuid(q, at++);
    row->job_uuid = fl_column_uuid(q, at++);
    row->index = (uint32_t)fl_column_int(q, at++);
    row->worker_uuid = fl_column_uuid(q, at++);
    row->worker_deleted = fl_column_time(q, at++) != FLAMENCO_TIME_NONE;
    row->worker_name = row->worker_deleted ? flamenco_text("") : fl_column_text(q, at);
    ++at;
    row->worker_address = row->worker_deleted ? flamenco_text("") : fl_column_text(q, at);
    ++at;
    row->commands = with_commands ? fl_column_text(q, at) : flamenco_text("");
    return q->rc;
}

int32_t fl_worker_read(fl_query *q, flamenco_worker *row)
{
    int at = 0;
    row->struct_size = (uint32_t)sizeof(*row);
    row->key = fl_column_int(q, at++);
    row->uuid = fl_column_uuid(q, at++);
    row->status = (uint32_t)fl_column_int(q, at++);
    row->requested = (uint32_t)fl_column_int(q, at++);
    row->lazy = (uint32_t)fl_column_int(q, at++);
    row->can_restart = (uint32_t)fl_column_int(q, at++);
    row->last_good_status = (uint32_t)fl_column_int(q, at++);
    row->created_us = fl_column_time(q, at++);
    row->updated_us = fl_column_time(q, at++);
    row->seen_us = fl_column_time(q, at++);
    row->deleted_us = fl_column_time(q, at++);
    row->name = fl_column_text(q, at++);
    row->address = fl_column_text(q, at++);
    row->platform = fl_column_text(q, at++);
    row->software = fl_column_text(q, at++);
    row->task_types = fl_column_text(q, at++);
    row->secret_hash = fl_column_text(q, at);
    return q->rc;
}

int32_t fl_job_out(fl_query *q, flamenco_job *out)
{
    flamenco_job row = { 0 };
    int32_t rc = fl_query_step(q);
    if (rc > 0) {
        flamenco_str *const texts[] = { &row.name,
                                        &row.type,
                                        &row.activity,
                                        &row.settings,
                                        &row.metadata,
                                        &row.shaman_checkout_id,
                                        &row.submitter_platform,
                                        NULL };
        rc = fl_job_read(q, &row);
        if (rc == FLAMENCO_OK)
            rc = fl_texts_keep(q->s, texts);
        if (rc == FLAMENCO_OK)
            fl_row_out(out, &row, (uint32_t)sizeof(row));
    } else if (rc == 0) {
        rc = fl_fail(q->s, FLAMENCO_E_NOT_FOUND, "no such job");
    }
    return fl_query_end(q, rc);
}

int32_t fl_task_give(fl_query *q, flamenco_task *out, uint32_t with_commands)
{
    flamenco_task row = { 0 };
    flamenco_str *const texts[] = { &row.name,           &row.type,     &row.activity, &row.worker_name,
                                    &row.worker_address, &row.commands, NULL };
    int32_t rc = fl_task_read(q, &row, with_commands);
    if (rc == FLAMENCO_OK)
        rc = fl_texts_keep(q->s, texts);
    if (rc == FLAMENCO_OK) {
        fl_known_task_keep(q->s, &row);
        fl_row_out(out, &row, (uint32_t)sizeof(row));
    }
    return rc;
}

int32_t fl_task_out(fl_query *q, flamenco_task *out, uint32_t with_commands, const char *what)
{
    int32_t rc = fl_query_step(q);
    if (rc > 0)
        rc = fl_task_give(q, out, with_commands);
    else if (rc == 0)
        rc = fl_fail(q->s, FLAMENCO_E_NOT_FOUND, "%s", what);
    return fl_query_end(q, rc);
}

int32_t fl_worker_out(fl_query *q, flamenco_worker *out)
{
    flamenco_worker row = { 0 };
    int32_t rc = fl_query_step(q);
    if (rc > 0) {
        flamenco_str *const texts[] = { &row.name,       &row.address,     &row.platform, &row.software,
                                        &row.task_types, &row.secret_hash, NULL };
        rc = fl_worker_read(q, &row);
        if (rc == FLAMENCO_OK)
            rc = fl_texts_keep(q->s, texts);
        if (rc == FLAMENCO_OK)
            fl_row_out(out, &row, (uint32_t)sizeof(row));
    } else if (rc == 0) {
        rc = fl_fail(q->s, FLAMENCO_E_NOT_FOUND, "no such worker");
    }
    return fl_query_end(q, rc);
}

int32_t fl_jobs_visit(fl_query *q, flamenco_visit_job visit, void *ctx)
{
    int32_t rc = FLAMENCO_OK, stop = 0;
    ++q->s->visiting;
    while (stop == 0 && (rc = fl_query_step(q)) > 0) {
        flamenco_job row = { 0 };
        rc = fl_job_read(q, &row);
        if (rc != FLAMENCO_OK)
            break;
        stop = visit(ctx, &row);
    }
    --q->s->visiting;
    return fl_query_end(q, rc);
}

int32_t fl_tasks_visit(fl_query *q, flamenco_visit_task visit, void *ctx)
{
    int32_t rc = FLAMENCO_OK, stop = 0;
    ++q->s->visiting;
    while (stop == 0 && (rc = fl_query_step(q)) > 0) {
        flamenco_task row = { 0 };
        rc = fl_task_read(q, &row, 0);
        if (rc != FLAMENCO_OK)
            break;
        stop = visit(ctx, &row);
    }
    --q->s->visiting;
    return fl_query_end(q, rc);
}

int32_t fl_workers_visit(fl_query *q, flamenco_visit_worker visit, void *ctx)
{
    int32_t rc = FLAMENCO_OK, stop = 0;
    ++q->s->visiting;
    while (stop == 0 && (rc = fl_query_step(q)) > 0) {
        flamenco_worker row = { 0 };
        rc = fl_worker_read(q, &row);
        if (rc != FLAMENCO_OK)
            break;
        stop = visit(ctx, &row);
    }
    --q->s->visiting;
    return fl_query_end(q, rc);
}
