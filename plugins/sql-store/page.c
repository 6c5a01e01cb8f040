/* SPDX-License-Identifier: Apache-2.0
 *
 * page.c - reads what part of a list is wanted. Used by the lists of jobs, tasks and workers.
 */
#include "rows.h"

int32_t fl_page_read(flamenco_session *s, const flamenco_page *page, uint32_t statuses, uint32_t last_order,
                     uint32_t flags, fl_page *out)
{
    flamenco_page row;
    fl_row_in(&row, (uint32_t)sizeof(row), page);
    if (row.order > last_order || (row.flags & ~flags) != 0)
        return fl_fail(s, FLAMENCO_E_INVALID, "this list has no order %u or flags %u", row.order, row.flags);
    uint64_t every = FLAMENCO_BIT(statuses) - 1;
    out->order = row.order;
    out->descending = row.descending != 0;
    out->flags = row.flags;
    out->mask = (int64_t)(row.status_mask == 0 ? every : row.status_mask & every);
    out->updated_after_us = row.updated_after_us;
    out->after_key = row.after_key;
    out->limit = row.limit == 0 || row.limit > INT64_MAX ? -1 : (int64_t)row.limit;
    out->offset = row.offset > INT64_MAX ? INT64_MAX : (int64_t)row.offset;
    return FLAMENCO_OK;
}
