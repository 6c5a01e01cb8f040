/* SPDX-License-Identifier: Apache-2.0 */
#include "own_ops.h"

#include "core/api/worker_events.h"
#include "core/base/str.h"

static int32_t read_worker(fl_cx *cx, const own_op *o, flamenco_worker *row, flamenco_error *err)
{
    *row = (flamenco_worker){ .struct_size = (uint32_t)sizeof(*row) };
    int32_t rc = flamenco_persist_worker_get_key(&cx->f->persist, &cx->pub, o->worker_key, row, err);
    if (rc == FLAMENCO_OK && row->deleted_us != FLAMENCO_TIME_NONE)
        rc = flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "the worker was deleted");
    return rc;
}

static int32_t wake_tasks(fl_cx *cx, uint64_t count)
{
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake), .what = FLAMENCO_WAKE_TASKS, .count = count };
    return cx->pub.host->wake(&cx->pub, &wake);
}

static int32_t request_status(fl_cx *cx, const own_op *o, flamenco_error *err)
{
    flamenco_worker row;
    int32_t rc = read_worker(cx, o, &row, err);
    if (rc != FLAMENCO_OK)
        return rc;
    if (o->op.to == FLAMENCO_WORKER_RESTART && !row.can_restart)
        return flamenco_fail(err, FLAMENCO_E_CONFLICT, "the worker cannot restart");
    row.requested = o->op.to == row.status ? FLAMENCO_WORKER_NONE : o->op.to;
    row.lazy = row.requested != FLAMENCO_WORKER_NONE && o->op.lazy;
    flamenco_worker_update update = { .struct_size = (uint32_t)sizeof(update),
                                      .set = FLAMENCO_WORKER_SET_REQUEST,
                                      .row = &row };
    rc = flamenco_persist_worker_update(&cx->f->persist, &cx->pub, row.key, &update, err);
    if (rc == FLAMENCO_OK)
        rc = fl_worker_emit(cx, &row, FLAMENCO_PREVIOUS_NONE);
    return rc == FLAMENCO_OK ? fl_worker_wake(cx, &row.uuid) : rc;
}

static int32_t delete_worker(fl_cx *cx, const own_op *o, flamenco_error *err)
{
    flamenco_worker row;
    int32_t rc = read_worker(cx, o, &row, err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_state_machine_worker_return_tasks(&cx->f->state_machine, &cx->pub, &row,
                                                        FL_STR("the worker is being deleted"), err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_worker_delete(&cx->f->persist, &cx->pub, row.key, err);
    row.deleted_us = cx->pub.now_us;
    if (rc == FLAMENCO_OK)
        rc = fl_worker_emit(cx, &row, FLAMENCO_PREVIOUS_NONE);
    return rc == FLAMENCO_OK ? fl_worker_wake(cx, &row.uuid) : rc;
}

static int32_t set_tags(fl_cx *cx, const own_op *o, flamenco_error *err)
{
    flamenco_worker row;
    int32_t rc = read_worker(cx, o, &row, err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_worker_set_tags(&cx->f->persist, &cx->pub, row.key, o->tag_keys, o->n_tag_keys, err);
    if (rc == FLAMENCO_OK)
        rc = fl_worker_emit(cx, &row, FLAMENCO_PREVIOUS_NONE);
    return rc == FLAMENCO_OK ? fl_worker_wake(cx, &row.uuid) : rc;
}

static int32_t create_tag(fl_cx *cx, const own_op *o, flamenco_error *err)
{
    char name[16];
    int64_t key;
    snprintf(name, sizeof(name), "tag-%u", o->op.to);
    flamenco_tag row = { .struct_size = (uint32_t)sizeof(row), .uuid = o->uuid, .name = flamenco_text(name) };
    return flamenco_persist_tag_insert(&cx->f->persist, &cx->pub, &row, &key, err);
}

static int32_t delete_tag(fl_cx *cx, const own_op *o, flamenco_error *err)
{
    uint64_t made = 0;
    int32_t rc = flamenco_persist_tag_delete(&cx->f->persist, &cx->pub, o->tag_key, &made, err);
    return rc == FLAMENCO_OK ? wake_tasks(cx, made) : rc;
}

static int32_t tell_job(fl_cx *cx, const own_op *o, uint32_t flags, flamenco_error *err)
{
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = flamenco_persist_job_get_key(&cx->f->persist, &cx->pub, o->job_key, &row, err);
    flamenco_job_event event = {
        .struct_size = (uint32_t)sizeof(event), .previous_status = FLAMENCO_PREVIOUS_NONE, .flags = flags, .row = &row
    };
    return rc == FLAMENCO_OK ? cx->pub.host->emit_job(&cx->pub, &event) : rc;
}

static int32_t set_job_tag(fl_cx *cx, const own_op *o, flamenco_error *err)
{
    flamenco_job_counts counts = { .struct_size = (uint32_t)sizeof(counts) };
    if (o->op.to != 0 && o->tag_key == 0)
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "no such tag");
    int32_t rc = flamenco_persist_job_set_tag(&cx->f->persist, &cx->pub, o->job_key, o->tag_key, err);
    if (rc == FLAMENCO_OK)
        rc = flamenco_persist_job_counts(&cx->f->persist, &cx->pub, o->job_key, &counts, err);
    if (rc == FLAMENCO_OK)
        rc = tell_job(cx, o, 0, err);
    if (rc != FLAMENCO_OK)
        return rc;
    return wake_tasks(cx, counts.counts[FLAMENCO_TASK_QUEUED] + counts.counts[FLAMENCO_TASK_SOFT_FAILED]);
}

static int32_t unblock(fl_cx *cx, const own_op *o, flamenco_error *err)
{
    uint64_t made = 0;
    int32_t rc = flamenco_persist_blocklist_remove(&cx->f->persist, &cx->pub, o->job_key, &o->uuid,
                                                   flamenco_text(m_type_names[o->op.to]), &made, err);
    if (rc != FLAMENCO_OK || made == 0)
        return rc;
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake), .what = FLAMENCO_WAKE_WORKER, .worker = o->uuid };
    return cx->pub.host->wake(&cx->pub, &wake);
}

static int32_t mark_job(fl_cx *cx, const own_op *o, flamenco_error *err)
{
    int32_t rc = flamenco_persist_job_set_delete_requested(&cx->f->persist, &cx->pub, o->job_key, err);
    return rc == FLAMENCO_OK ? tell_job(cx, o, 0, err) : rc;
}

/* Hides the job. Its rows are purged when that is committed. */
static int32_t delete_job(fl_cx *cx, const own_op *o, flamenco_error *err)
{
    int32_t rc = tell_job(cx, o, FLAMENCO_JOB_EVENT_DELETED, err);
    return rc == FLAMENCO_OK ? flamenco_persist_job_hide(&cx->f->persist, &cx->pub, o->job_key, err) : rc;
}

static int32_t check_job(fl_cx *cx, const own_op *o, flamenco_error *err)
{
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    return flamenco_persist_job_get_key(&cx->f->persist, &cx->pub, o->job_key, &row, err);
}

int32_t own_op_run(fl_cx *cx, void *ctx, flamenco_error *err)
{
    const own_op *o = ctx;
    int32_t rc;
    switch (o->op.kind) {
    case OP_REQUEST_STATUS:
        return request_status(cx, o, err);
    case OP_DELETE_WORKER:
        return delete_worker(cx, o, err);
    case OP_WORKER_TAGS:
        return set_tags(cx, o, err);
    case OP_TAG_CREATE:
        return create_tag(cx, o, err);
    case OP_TAG_DELETE:
        return delete_tag(cx, o, err);
    default:
        break;
    }
    rc = check_job(cx, o, err);
    if (rc != FLAMENCO_OK)
        return rc;
    switch (o->op.kind) {
    case OP_JOB_TAG:
        return set_job_tag(cx, o, err);
    case OP_UNBLOCK:
        return unblock(cx, o, err);
    case OP_JOB_MARK:
        return mark_job(cx, o, err);
    case OP_JOB_DELETE:
        return delete_job(cx, o, err);
    default:
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "no operation of the simulation's own");
    }
}
