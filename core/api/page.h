/* SPDX-License-Identifier: Apache-2.0
 *
 * page.h - the list parameters of the API (limit, offset, status, order_by, updated_after) as a flamenco_page, and the
 * total in a header. Used by the list handlers.
 */
#ifndef FL_API_PAGE_H
#define FL_API_PAGE_H

#include "core/api/call.h"

/* The whole list, in its usual order. */
flamenco_page fl_page_all(void);

/* Fills a page from the decoded input of fetchJobs, fetchJobTasks or fetchWorkers. */
flamenco_page fl_page_jobs(const api_fetch_jobs_in *in);
flamenco_page fl_page_tasks(const api_fetch_job_tasks_in *in);
flamenco_page fl_page_workers(const api_fetch_workers_in *in);

/* Whether the request asked for a part, so that the reply tells the total (decisions, "Ours alone"). */
int fl_page_is_partial(const flamenco_page *page);

/* Adds `X-Total-Count`. */
void fl_page_add_total(fl_call *call, uint64_t total);

#endif
