/* SPDX-License-Identifier: Apache-2.0 */
#include "core/api/worker_events.h"

int32_t fl_worker_emit(fl_cx *cx, const flamenco_worker *row, uint32_t previous)
{
    flamenco_worker_event event = { .struct_size = (uint32_t)sizeof(event), .previous_status = previous, .row = row };
    return cx->pub.host->emit_worker(&cx->pub, &event);
}

int32_t fl_worker_wake(fl_cx *cx, const flamenco_uuid *worker)
{
    flamenco_wake wake = { .struct_size = (uint32_t)sizeof(wake), .what = FLAMENCO_WAKE_WORKER, .worker = *worker };
    return cx->pub.host->wake(&cx->pub, &wake);
}

int32_t fl_worker_wake_holder(fl_cx *cx, const flamenco_task *task, uint32_t previous)
{
    int made_active = task->status == FLAMENCO_TASK_ACTIVE && previous != FLAMENCO_TASK_ACTIVE;
    return made_active && task->worker_key != 0 ? fl_worker_wake(cx, &task->worker_uuid) : FLAMENCO_OK;
}

int32_t fl_worker_touch(fl_cx *cx, const flamenco_worker *row)
{
    return cx->pub.host->touch(&cx->pub, FLAMENCO_TOUCH_WORKER_SEEN, row->key);
}
