/* SPDX-License-Identifier: Apache-2.0
 *
 * convert.h - rows of persistence as objects of the API, and status words both ways. Used by the handlers and by events.c.
 * UUID texts are made in the call's arena, or written into the caller's buffer; other texts are borrowed from the row.
 */
#ifndef FL_API_CONVERT_H
#define FL_API_CONVERT_H

#include "core/api/call.h"

api_job_status fl_to_api_job_status(uint32_t status);
api_task_status fl_to_api_task_status(uint32_t status);
api_worker_status fl_to_api_worker_status(uint32_t status);
uint32_t fl_from_api_job_status(api_job_status status);
uint32_t fl_from_api_task_status(api_task_status status);
uint32_t fl_from_api_worker_status(api_worker_status status); /* NONE for none */

/* Texts that an object borrows; valid as long as this struct. */
typedef struct fl_uuid_texts {
    char first[37], second[37], third[37];
} fl_uuid_texts;

/* Each fills the object from the row; `texts` holds its UUIDs. */
void fl_to_api_job(const flamenco_job *row, fl_uuid_texts *texts, api_job_storage_info *storage, api_job *out);
void fl_to_api_task_summary(struct flamenco *f, const flamenco_task *row, fl_uuid_texts *texts, api_task_summary *out);
void fl_to_api_worker_summary(struct flamenco *f, const flamenco_worker *row, fl_uuid_texts *texts,
                              api_worker_status_change_request *change, api_worker_summary *out);

/* The worker's last-seen time, with what is kept in memory laid over the row. */
int64_t fl_worker_seen(struct flamenco *f, const flamenco_worker *row);
int64_t fl_task_touched(struct flamenco *f, const flamenco_task *row);

/* Splits a worker's joined task types. A text array in the arena; empty when memory is exhausted. */
api_text_array fl_task_types(fl_arena *arena, flamenco_str joined);

#endif
