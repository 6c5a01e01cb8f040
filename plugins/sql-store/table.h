/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h - the methods of "flamenco.persistence/1", one declaration per member of flamenco_persistence. What each promises
 * stands there. Those of sessions are declared in store.h.
 */
#ifndef FL_TABLE_H
#define FL_TABLE_H

#include "store.h"

extern const flamenco_persistence fl_persistence_table;

#ifdef FL_HAS_SAVEPOINT_UNLIKELY
int32_t fl_savepoint_unlikely(void *self, flamenco_cx *cx, flamenco_error *err);
#endif

int32_t fl_job_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_job *out, flamenco_error *err);
int32_t fl_job_get_key(void *self, flamenco_cx *cx, int64_t key, flamenco_job *out, flamenco_error *err);
int32_t fl_jobs_list(void *self, flamenco_cx *cx, const flamenco_page *page, flamenco_visit_job visit, void *ctx,
                     uint64_t *total_out, flamenco_error *err);
int32_t fl_jobs_count(void *self, flamenco_cx *cx, uint64_t counts_out[FLAMENCO_JOB_STATUSES], flamenco_error *err);
int32_t fl_job_counts(void *self, flamenco_cx *cx, int64_t key, flamenco_job_counts *out, flamenco_error *err);
int32_t fl_job_set_status(void *self, flamenco_cx *cx, int64_t key, uint32_t status, flamenco_str activity,
                          flamenco_job_counts *counts_out, flamenco_error *err);
int32_t fl_job_set_priority(void *self, flamenco_cx *cx, int64_t key, int32_t priority, flamenco_error *err);
int32_t fl_job_set_tag(void *self, flamenco_cx *cx, int64_t key, int64_t tag_key, flamenco_error *err);
int32_t fl_job_set_storage(void *self, flamenco_cx *cx, int64_t key, flamenco_str shaman_checkout_id,
                           flamenco_error *err);
int32_t fl_job_set_delete_requested(void *self, flamenco_cx *cx, int64_t key, flamenco_error *err);
int32_t fl_jobs_set_delete_requested(void *self, flamenco_cx *cx, int64_t updated_max_us, uint64_t *changed_out,
                                     flamenco_error *err);
int32_t fl_job_insert_hidden(void *self, flamenco_cx *cx, const flamenco_job *job, uint64_t n_tasks, int64_t *key_out,
                             flamenco_error *err);
int32_t fl_tasks_insert(void *self, flamenco_cx *cx, int64_t job_key, uint32_t first_index,
                        const flamenco_new_task *rows, uint64_t stride, uint64_t n, flamenco_error *err);
int32_t fl_deps_insert(void *self, flamenco_cx *cx, int64_t job_key, const flamenco_dep *pairs, uint64_t n,
                       flamenco_error *err);
int32_t fl_job_show(void *self, flamenco_cx *cx, int64_t key, flamenco_job_counts *counts_out, flamenco_error *err);
int32_t fl_job_hide(void *self, flamenco_cx *cx, int64_t key, flamenco_error *err);
int32_t fl_job_purge(void *self, flamenco_cx *cx, int64_t key, uint64_t limit, uint64_t *left_out, flamenco_error *err);
int32_t fl_task_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_task *out, flamenco_error *err);
int32_t fl_task_get_key(void *self, flamenco_cx *cx, int64_t key, flamenco_task *out, flamenco_error *err);
int32_t fl_task_find(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_task *out, flamenco_error *err);
int32_t fl_tasks_list(void *self, flamenco_cx *cx, int64_t job_key, const flamenco_page *page,
                      flamenco_visit_task visit, void *ctx, uint64_t *total_out, flamenco_error *err);
int32_t fl_tasks_of_worker(void *self, flamenco_cx *cx, int64_t worker_key, uint64_t status_mask, int64_t job_key,
                           flamenco_visit_task visit, void *ctx, flamenco_error *err);
int32_t fl_task_shown_for_worker(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_task *out,
                                 flamenco_error *err);
int32_t fl_tasks_timed_out(void *self, flamenco_cx *cx, int64_t touched_max_us, flamenco_visit_task visit, void *ctx,
                           flamenco_error *err);
int32_t fl_task_needs(void *self, flamenco_cx *cx, int64_t task_key, flamenco_visit_task visit, void *ctx,
                      flamenco_error *err);
int32_t fl_deps_list(void *self, flamenco_cx *cx, int64_t job_key, flamenco_visit_dep visit, void *ctx,
                     flamenco_error *err);
int32_t fl_task_update(void *self, flamenco_cx *cx, int64_t key, const flamenco_task_update *update,
                       flamenco_job_counts *counts_out, flamenco_error *err);
int32_t fl_tasks_bulk_status(void *self, flamenco_cx *cx, int64_t job_key, uint64_t from_mask, uint32_t to,
                             flamenco_str activity, uint64_t limit, uint32_t *cursor, uint32_t *done_out,
                             flamenco_job_counts *counts_out, flamenco_error *err);
int32_t fl_task_held(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_task *out, flamenco_error *err);
int32_t fl_job_set_share(void *self, flamenco_cx *cx, int64_t key, int64_t share, flamenco_error *err);
int32_t fl_runnable_shares(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_visit_share visit, void *ctx,
                           flamenco_error *err);
int32_t fl_runnable_groups_of_share(void *self, flamenco_cx *cx, int64_t worker_key, int64_t share,
                                    flamenco_visit_group visit, void *ctx, flamenco_error *err);
int32_t fl_runnable_groups(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_visit_group visit, void *ctx,
                           flamenco_error *err);
int32_t fl_task_runnable(void *self, flamenco_cx *cx, int64_t job_key, flamenco_str task_type, int64_t worker_key,
                         flamenco_task *out, flamenco_error *err);
int32_t fl_worker_insert(void *self, flamenco_cx *cx, const flamenco_worker *row, int64_t *key_out,
                         flamenco_error *err);
int32_t fl_worker_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_worker *out,
                      flamenco_error *err);
int32_t fl_worker_get_key(void *self, flamenco_cx *cx, int64_t key, flamenco_worker *out, flamenco_error *err);
int32_t fl_workers_list(void *self, flamenco_cx *cx, const flamenco_page *page, flamenco_visit_worker visit, void *ctx,
                        uint64_t *total_out, flamenco_error *err);
int32_t fl_workers_count(void *self, flamenco_cx *cx, uint64_t counts_out[FLAMENCO_WORKER_STATUSES],
                         flamenco_error *err);
int32_t fl_worker_update(void *self, flamenco_cx *cx, int64_t key, const flamenco_worker_update *update,
                         flamenco_error *err);
int32_t fl_worker_delete(void *self, flamenco_cx *cx, int64_t key, flamenco_error *err);
int32_t fl_workers_timed_out(void *self, flamenco_cx *cx, int64_t seen_max_us, flamenco_visit_worker visit, void *ctx,
                             flamenco_error *err);
int32_t fl_workers_capable(void *self, flamenco_cx *cx, int64_t job_key, flamenco_str task_type, int64_t task_key,
                           int64_t seen_since_us, uint64_t *out, flamenco_error *err);
int32_t fl_touches(void *self, flamenco_cx *cx, const flamenco_touch *rows, uint64_t stride, uint64_t n,
                   flamenco_error *err);
int32_t fl_tag_insert(void *self, flamenco_cx *cx, const flamenco_tag *row, int64_t *key_out, flamenco_error *err);
int32_t fl_tag_get(void *self, flamenco_cx *cx, const flamenco_uuid *uuid, flamenco_tag *out, flamenco_error *err);
int32_t fl_tag_get_name(void *self, flamenco_cx *cx, flamenco_str name, flamenco_tag *out, flamenco_error *err);
int32_t fl_tags_list(void *self, flamenco_cx *cx, flamenco_visit_tag visit, void *ctx, flamenco_error *err);
int32_t fl_tag_update(void *self, flamenco_cx *cx, const flamenco_tag *row, flamenco_error *err);
int32_t fl_tag_delete(void *self, flamenco_cx *cx, int64_t key, uint64_t *made_runnable_out, flamenco_error *err);
int32_t fl_worker_tags(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_visit_tag visit, void *ctx,
                       flamenco_error *err);
int32_t fl_worker_set_tags(void *self, flamenco_cx *cx, int64_t worker_key, const int64_t *tag_keys, uint64_t n,
                           flamenco_error *err);
int32_t fl_sleep_get(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_sleep_schedule *out,
                     flamenco_error *err);
int32_t fl_sleep_set(void *self, flamenco_cx *cx, const flamenco_sleep_schedule *row, flamenco_error *err);
int32_t fl_sleep_set_next(void *self, flamenco_cx *cx, int64_t worker_key, int64_t next_check_us, flamenco_error *err);
int32_t fl_sleep_due(void *self, flamenco_cx *cx, int64_t now_us, flamenco_visit_sleep visit, void *ctx,
                     flamenco_error *err);
int32_t fl_sleep_list(void *self, flamenco_cx *cx, flamenco_visit_sleep visit, void *ctx, flamenco_error *err);
int32_t fl_blocklist_add(void *self, flamenco_cx *cx, int64_t job_key, int64_t worker_key, flamenco_str task_type,
                         flamenco_error *err);
int32_t fl_blocklist_remove(void *self, flamenco_cx *cx, int64_t job_key, const flamenco_uuid *worker,
                            flamenco_str task_type, uint64_t *made_runnable_out, flamenco_error *err);
int32_t fl_blocklist_clear(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err);
int32_t fl_blocklist_list(void *self, flamenco_cx *cx, int64_t job_key, flamenco_visit_blocklist visit, void *ctx,
                          flamenco_error *err);
int32_t fl_failure_add(void *self, flamenco_cx *cx, int64_t task_key, int64_t worker_key, uint64_t *n_task_out,
                       uint64_t *n_worker_out, flamenco_error *err);
int32_t fl_failures_list(void *self, flamenco_cx *cx, int64_t task_key, flamenco_visit_worker visit, void *ctx,
                         flamenco_error *err);
int32_t fl_failures_clear_task(void *self, flamenco_cx *cx, int64_t task_key, flamenco_error *err);
int32_t fl_failures_clear_job(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err);
int32_t fl_last_rendered_set(void *self, flamenco_cx *cx, int64_t job_key, flamenco_error *err);
int32_t fl_last_rendered_get(void *self, flamenco_cx *cx, flamenco_job *out, flamenco_error *err);
int32_t fl_failures_of_job(void *self, flamenco_cx *cx, int64_t job_key, flamenco_visit_failure visit, void *ctx,
                           flamenco_error *err);
int32_t fl_worker_last_task(void *self, flamenco_cx *cx, int64_t worker_key, int64_t *task_key_out,
                            flamenco_error *err);
int32_t fl_worker_set_last_task(void *self, flamenco_cx *cx, int64_t worker_key, int64_t task_key, flamenco_error *err);
int32_t fl_check(void *self, flamenco_session *session, flamenco_cx *cx, flamenco_error *err);
int32_t fl_backup(void *self, flamenco_session *session, flamenco_str path, flamenco_cx *cx, flamenco_error *err);

#endif
