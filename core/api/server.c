/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c - which handler serves which operation. What is missing here answers 501.
 */
#include "core/api/handlers.h"

const flamenco_server_interface fl_server = {
    .get_version = fl_get_version,
    .get_configuration = fl_get_configuration,
    .get_variables = fl_get_variables,
    .get_shared_storage = fl_get_shared_storage,
    .get_job_types = fl_get_job_types,
    .get_job_type = fl_get_job_type,
    .fetch_jobs = fl_fetch_jobs,
    .prepare_submit_job = fl_prepare_submit_job,
    .submit_job = fl_submit_job,
    .prepare_submit_job_check = fl_prepare_submit_job_check,
    .submit_job_check = fl_submit_job_check,
    .fetch_job = fl_fetch_job,
    .set_job_status = fl_set_job_status,
    .set_job_priority = fl_set_job_priority,
    .fetch_job_tasks = fl_fetch_job_tasks,
    .fetch_task = fl_fetch_task,
    .fetch_task_log_tail = fl_fetch_task_log_tail,
    .finish_fetch_task_log_tail = fl_finish_fetch_task_log_tail,
    .fetch_task_log_info = fl_fetch_task_log_info,
    .finish_fetch_task_log_info = fl_finish_fetch_task_log_info,
    .set_task_status = fl_set_task_status,
    .prepare_register_worker = fl_prepare_register_worker,
    .register_worker = fl_register_worker,
    .sign_on = fl_sign_on,
    .sign_off = fl_sign_off,
    .worker_state = fl_worker_state,
    .worker_state_changed = fl_worker_state_changed,
    .schedule_task = fl_schedule_task,
    .task_update = fl_task_update,
    .may_worker_run = fl_may_worker_run,
    .fetch_workers = fl_fetch_workers,
    .fetch_worker = fl_fetch_worker,
};
