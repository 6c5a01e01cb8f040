/* SPDX-License-Identifier: Apache-2.0
 *
 * tags.c - tags, and who has them. Methods of the service; what they promise stands in flamenco/persistence.h.
 */
#include "rows.h"
#include "table.h"

static int32_t read_tag(fl_query *q, flamenco_tag *row)
{
    row->struct_size = (uint32_t)sizeof(*row);
    row->reserved = 0;
    row->key = fl_column_int(q, 0);
    row->uuid = fl_column_uuid(q, 1);
    row->name = fl_column_text(q, 2);
    row->description = fl_column_text(q, 3);
    return q->rc;
}

static int32_t give_tag(fl_query *q, flamenco_tag *out)
{
    flamenco_tag row;
    int32_t rc = fl_query_step(q);
    if (rc > 0) {
        flamenco_str *const texts[] = { &row.name, &row.description, NULL };
        rc = read_tag(q, &row);
        if (rc == FLAMENCO_OK)
            rc = fl_texts_keep(q->s, texts);
        if (rc == FLAMENCO_OK)
            fl_row_out(out, &row, (uint32_t)sizeof(row));
    } else if (rc == 0) {
        rc = fl_fail(q->s, FLAMENCO_E_NOT_FOUND, "no such tag");
    }
    return fl_query_end(q, rc);
}

static int32_t visit_tags(fl_query *q, flamenco_visit_tag visit, void *ctx)
{
    int32_t rc = FLAMENCO_OK, stop = 0;
    ++q->s->visiting;
    while (stop == 0 && (rc = fl_query_step(q)) > 0) {
        flamenco_tag row;
        rc = read_tag(q, &row);
        if (rc != FLAMENCO_OK)
            break;
        stop = visit(ctx, &row);
    }
    --q->s->visiting;
    return fl_query_end(q, rc);
}

int32_t fl_tag_insert(void *self, flamenco_cx *cx, const flamenco_tag *row, int64_t *key_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ONE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_tag tag;
    int64_t key = 0;
    fl_row_in(&tag, (uint32_t)sizeof(tag), row);
    fl_query q = fl_query_begin(call.s, FL_SQL_TAG_INSERT);
    fl_bind_uuid(&q, 1, &tag.uuid);
    fl_bind_text(&q, 2, tag.name);
    fl_bind_text(&q, 3, tag.description);
    rc = fl_leave(&call, fl_query_int(&q, 0, &key));
    if (rc == FLAMENCO_OK)
        *key_out = key;
    return rc;
}

int32_t fl_tag_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_tag *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_TAG_GET);
    fl_bind_uuid(&q, 1, uuid);
    return fl_leave(&call, give_tag(&q, out));
}

int32_t fl_tag_get_name(void *self, flamenco_cx *cx, flamenco_str name, flamenco_tag *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_TAG_GET_NAME);
    fl_bind_text(&q, 1, name);
    return fl_leave(&call, give_tag(&q, out));
}

int32_t fl_tags_list(void *self, flamenco_cx *cx, flamenco_visit_tag visit, void *ctx, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_TAGS_LIST);
    return fl_leave(&call, visit_tags(&q, visit, ctx));
}

int32_t fl_tag_update(void *self, flamenco_cx *cx, const flamenco_tag *row, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ONE, err);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_tag tag;
    fl_row_in(&tag, (uint32_t)sizeof(tag), row);
    fl_query q = fl_query_begin(call.s, FL_SQL_TAG_UPDATE);
    fl_bind_int(&q, 1, tag.key);
    fl_bind_text(&q, 2, tag.name);
    fl_bind_text(&q, 3, tag.description);
    int64_t changed = 0;
    rc = fl_query_run_count(&q, &changed);
    if (rc == FLAMENCO_OK && changed == 0)
        rc = fl_fail(call.s, FLAMENCO_E_NOT_FOUND, "no such tag");
    return fl_leave(&call, rc);
}

/* Counts the tasks in groups that only workers with the tag could get. */
static int32_t count_tagged(flamenco_session *s, int64_t tag, fl_made *made)
{
    fl_query groups = fl_query_begin(s, FL_SQL_TAG_RUNQ);
    fl_bind_int(&groups, 1, tag);
    while (made->n < FL_RUNNABLE_MOST && fl_query_step(&groups) > 0) {
        int64_t n = 0;
        fl_query q = fl_query_begin(s, FL_SQL_RUN_COUNT);
        fl_bind_int(&q, 1, fl_column_int(&groups, 0));
        fl_bind_int(&q, 2, fl_column_int(&groups, 1));
        fl_bind_int(&q, 3, FL_RUNNABLE_MOST - (int64_t)made->n);
        int32_t rc = fl_query_int(&q, 0, &n);
        if (rc != FLAMENCO_OK)
            return fl_query_end(&groups, rc);
        fl_made_add(made, (uint64_t)n, fl_column_int(&groups, 1));
    }
    return fl_query_end(&groups, FLAMENCO_OK);
}

static int32_t delete_tag(flamenco_session *s, int64_t key)
{
    static const fl_sql steps[] = { FL_SQL_TAG_DROP_RUNQ, FL_SQL_TAG_DROP_MEMBERS, FL_SQL_TAG_DROP_JOBS,
                                    FL_SQL_TAG_DELETE };
    int32_t rc = FLAMENCO_OK;
    int64_t changed = 0; /* by the last one */
    fl_known_changed(s, FL_KNOWN_JOB_STATES);
    fl_known_changed(s, FL_KNOWN_RUNQ);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && rc == FLAMENCO_OK; ++i) {
        fl_query q = fl_query_begin(s, steps[i]);
        fl_bind_int(&q, 1, key);
        if (steps[i] == FL_SQL_TAG_DROP_JOBS)
            fl_bind_int(&q, 2, s->cx->now_us);
        rc = fl_query_run_count(&q, &changed);
    }
    if (rc == FLAMENCO_OK && changed == 0)
        rc = fl_fail(s, FLAMENCO_E_NOT_FOUND, "no such tag");
    return rc;
}

int32_t fl_tag_delete(void *self, flamenco_cx *cx, int64_t key, uint64_t *made_runnable_out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_made made = { 0 };
    if (key == 0)
        rc = fl_fail(call.s, FLAMENCO_E_NOT_FOUND, "no such tag");
    if (rc == FLAMENCO_OK)
        rc = count_tagged(call.s, key, &made);
    if (rc == FLAMENCO_OK)
        rc = delete_tag(call.s, key);
    rc = fl_leave(&call, rc);
    if (rc == FLAMENCO_OK && made_runnable_out != NULL)
        *made_runnable_out = made.n;
    return rc;
}

int32_t fl_worker_tags(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_visit_tag visit, void *ctx,
                       flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_WORKER_TAGS);
    fl_bind_int(&q, 1, worker_key);
    return fl_leave(&call, visit_tags(&q, visit, ctx));
}

int32_t fl_worker_set_tags(void *self, flamenco_cx *cx, int64_t worker_key, const int64_t *tag_keys, uint64_t n,
                           flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_query q = fl_query_begin(call.s, FL_SQL_WORKER_TAGS_DELETE);
    fl_bind_int(&q, 1, worker_key);
    rc = fl_query_run(&q);
    for (uint64_t i = 0; i < n && rc == FLAMENCO_OK; ++i) {
        q = fl_query_begin(call.s, FL_SQL_WORKER_TAG_ADD);
        fl_bind_int(&q, 1, worker_key);
        fl_bind_int(&q, 2, tag_keys[i]);
        rc = fl_query_run(&q); /* NOT_FOUND, by the foreign keys: no such worker or tag */
    }
    return fl_leave(&call, rc);
}
