/* SPDX-License-Identifier: Apache-2.0 */
#include "core/api/page.h"

#include "core/api/convert.h"

flamenco_page fl_page_all(void)
{
    return (flamenco_page){ .struct_size = (uint32_t)sizeof(flamenco_page), .updated_after_us = FLAMENCO_TIME_NONE };
}

/* The orders of the document come in pairs: ascending, descending. */
static void set_order(flamenco_page *page, uint32_t order_by, const uint32_t *orders)
{
    if (order_by == 0)
        return;
    page->order = orders[(order_by - 1) / 2];
    page->descending = (order_by - 1) % 2;
}

static flamenco_page make_page(uint8_t has_limit, int64_t limit, uint8_t has_offset, int64_t offset,
                               int64_t updated_after)
{
    flamenco_page page = fl_page_all();
    if (has_limit)
        page.limit = (uint64_t)limit;
    if (has_offset)
        page.offset = (uint64_t)offset;
    page.updated_after_us = updated_after;
    return page;
}

flamenco_page fl_page_jobs(const api_fetch_jobs_in *in)
{
    static const uint32_t orders[] = { FLAMENCO_ORDER_KEY, FLAMENCO_ORDER_UPDATED, FLAMENCO_ORDER_NAME,
                                       FLAMENCO_ORDER_STATUS, FLAMENCO_ORDER_PRIORITY };
    flamenco_page page = make_page(in->has_limit, in->limit, in->has_offset, in->offset, in->updated_after);
    set_order(&page, in->order_by, orders);
    for (uint64_t i = 0; in->has_status && i < in->status.count; ++i)
        page.status_mask |= FLAMENCO_BIT(fl_from_api_job_status(in->status.ptr[i]));
    return page;
}

flamenco_page fl_page_tasks(const api_fetch_job_tasks_in *in)
{
    static const uint32_t orders[] = { FLAMENCO_ORDER_KEY, FLAMENCO_ORDER_UPDATED, FLAMENCO_ORDER_NAME,
                                       FLAMENCO_ORDER_STATUS, FLAMENCO_ORDER_PRIORITY };
    flamenco_page page = make_page(in->has_limit, in->limit, in->has_offset, in->offset, in->updated_after);
    set_order(&page, in->order_by, orders);
    for (uint64_t i = 0; in->has_status && i < in->status.count; ++i)
        page.status_mask |= FLAMENCO_BIT(fl_from_api_task_status(in->status.ptr[i]));
    return page;
}

flamenco_page fl_page_workers(const api_fetch_workers_in *in)
{
    static const uint32_t orders[] = { FLAMENCO_ORDER_KEY, FLAMENCO_ORDER_UPDATED, FLAMENCO_ORDER_NAME,
                                       FLAMENCO_ORDER_STATUS };
    flamenco_page page = make_page(in->has_limit, in->limit, in->has_offset, in->offset, in->updated_after);
    set_order(&page, in->order_by, orders);
    for (uint64_t i = 0; in->has_status && i < in->status.count; ++i)
        page.status_mask |= FLAMENCO_BIT(fl_from_api_worker_status(in->status.ptr[i]));
    return page;
}

int fl_page_is_partial(const flamenco_page *page)
{
    return page->limit != 0 || page->offset != 0 || page->status_mask != 0 ||
           page->updated_after_us != FLAMENCO_TIME_NONE;
}

void fl_page_add_total(fl_call *call, uint64_t total)
{
    flamenco_str text = fl_arena_printf(call->arena, "%llu", (unsigned long long)total);
    fl_reply_header_add(&call->reply, "x-total-count", text);
}
