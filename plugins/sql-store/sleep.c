/* SPDX-License-Identifier: Apache-2.0
 *
 * sleep.c - the sleep schedules of workers. Methods of the service; what they promise stands in flamenco/persistence.h.
 */
#include "rows.h"
#include "table.h"

static int32_t read_schedule(fl_query *q, flamenco_sleep_schedule *row)
{
    memset(row, 0, sizeof(*row));
    row->struct_size = (uint32_t)sizeof(*row);
    row->worker_key = fl_column_int(q, 0);
    row->worker_uuid = fl_column_uuid(q, 1);
    row->is_active = (uint32_t)fl_column_int(q, 2);
    row->start_minutes = (int32_t)fl_column_int(q, 3);
    row->end_minutes = (int32_t)fl_column_int(q, 4);
    row->next_check_us = fl_column_time(q, 5);
    row->days = fl_column_text(q, 6);
    return q->rc;
}

static int32_t visit_schedules(fl_query *q, flamenco_visit_sleep visit, void *ctx)
{
    int32_t rc = FLAMENCO_OK, stop = 0;
    ++q->s->visiting;
    while (stop == 0 && (rc = fl_query_step(q)) > 0) {
        flamenco_sleep_schedule row;
        rc = read_schedule(q, &row);
        if (rc != FLAMENCO_OK)
            break;
        stop = visit(ctx, &row);
    }
    --q->s->visiting;
    return fl_query_end(q, rc);
}

int32_t fl_sleep_get(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_sleep_schedule *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_sleep_schedule row;
    fl_query q = fl_query_begin(call.s, FL_SQL_SLEEP_GET);
    fl_bind_int(&q, 1, worker_key);
    rc = fl_query_step(&q);
    if (rc > 0) {
        flamenco_str *const texts[] = { &row.days, NULL };
        rc = read_schedule(&q, &row);
        if (rc == FLAMENCO_OK)
            rc = fl_texts_keep(call.s, texts);
        if (rc == FLAMENCO_OK)
            fl_row_out(out, &row, (uint32_t)sizeof(row));
    } else if (rc == 0) {
        rc = fl_fail(call.s, FLAMENCO_E_NOT_FOUND, "the worker has no sleep schedule");
    }
    return fl_leave(&call, fl_query_end(&q, rc));
}

int32_t fl_sleep_set(void *self, flamenco_cx *cx, const flamenco_sleep_schedule *row, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ONE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_sleep_schedule in;
    fl_row_in(&in, (uint32_t)sizeof(in), row);
    if (in.start_minutes < -1 || in.start_minutes > 1440 || in.end_minutes < -1 || in.end_minutes > 1440)
        return fl_leave(&call, fl_fail(call.s, FLAMENCO_E_INVALID, "minutes of a day are -1 to 1440, not %d and %d",
                                       (int)in.start_minutes, (int)in.end_minutes));
    fl_query q = fl_query_begin(call.s, FL_SQL_SLEEP_SET);
    fl_bind_int(&q, 1, in.worker_key);
    fl_bind_int(&q, 2, in.is_active != 0);
    fl_bind_int(&q, 3, in.start_minutes);
    fl_bind_int(&q, 4, in.end_minutes);
    fl_bind_time(&q, 5, in.next_check_us);
    fl_bind_text(&q, 6, in.days);
    return fl_leave(&call, fl_query_run(&q)); /* NOT_FOUND, by the foreign key: no such worker */
}

int32_t fl_sleep_set_next(void *self, flamenco_cx *cx, int64_t worker_key, int64_t next_check_us, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_WRITE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_SLEEP_SET_NEXT);
    fl_bind_int(&q, 1, worker_key);
    fl_bind_time(&q, 2, next_check_us);
    int64_t changed = 0;
    rc = fl_query_run_count(&q, &changed);
    if (rc == FLAMENCO_OK && changed == 0)
        rc = fl_fail(call.s, FLAMENCO_E_NOT_FOUND, "the worker has no sleep schedule");
    return fl_leave(&call, rc);
}

int32_t fl_sleep_due(void *self, flamenco_cx *cx, int64_t now_us, flamenco_visit_sleep visit, void *ctx,
                     flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_SLEEP_DUE);
    fl_bind_int(&q, 1, now_us);
    return fl_leave(&call, visit_schedules(&q, visit, ctx));
}

int32_t fl_sleep_list(void *self, flamenco_cx *cx, flamenco_visit_sleep visit, void *ctx, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_SLEEP_LIST);
    return fl_leave(&call, visit_schedules(&q, visit, ctx));
}
