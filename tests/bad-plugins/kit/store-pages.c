/* SPDX-License-Identifier: Apache-2.0
 *
 * store-pages.c - persist-sqlite whose second page of a descending list is the first one.
 */
#include "flamenco/persistence.h"

int32_t __real_fl_jobs_list(void *self, flamenco_cx *cx, const flamenco_page *page, flamenco_visit_job visit, void *ctx,
                            uint64_t *total_out, flamenco_error *err);
int32_t __wrap_fl_jobs_list(void *self, flamenco_cx *cx, const flamenco_page *page, flamenco_visit_job visit, void *ctx,
                            uint64_t *total_out, flamenco_error *err);

int32_t __wrap_fl_jobs_list(void *self, flamenco_cx *cx, const flamenco_page *page, flamenco_visit_job visit, void *ctx,
                            uint64_t *total_out, flamenco_error *err)
{
    flamenco_page first = *page;
    if (page->descending)
        first.offset = 0;
    return __real_fl_jobs_list(self, cx, &first, visit, ctx, total_out, err);
}
