/* SPDX-License-Identifier: Apache-2.0
 *
 * handlers.h - the handlers that server.c puts into the flamenco_server_interface, one file per part of the API.
 */
#ifndef FL_API_HANDLERS_H
#define FL_API_HANDLERS_H

#include "core/api/call.h"

/* meta.c */
int32_t fl_get_version(fl_call *call, const api_get_version_in *in);
int32_t fl_get_configuration(fl_call *call, const api_get_configuration_in *in);
int32_t fl_get_configuration_file(fl_call *call, const api_get_configuration_file_in *in);
int32_t fl_update_configuration_file(fl_call *call, const api_update_configuration_file_in *in);
int32_t fl_get_farm_status(fl_call *call, const api_get_farm_status_in *in);
int32_t fl_get_variables(fl_call *call, const api_get_variables_in *in);
int32_t fl_get_shared_storage(fl_call *call, const api_get_shared_storage_in *in);

/* event_stream.c */
int32_t fl_stream_events(fl_call *call, const api_stream_events_in *in);

/* plugins.c */
int32_t fl_get_plugins(fl_call *call, const api_get_plugins_in *in);

/* setup.c */
int32_t fl_check_shared_storage_path(fl_call *call, const api_check_shared_storage_path_in *in);
int32_t fl_find_blender_exe_path(fl_call *call, const api_find_blender_exe_path_in *in);
int32_t fl_check_blender_exe_path(fl_call *call, const api_check_blender_exe_path_in *in);
int32_t fl_save_setup_assistant_config(fl_call *call, const api_save_setup_assistant_config_in *in);

/* job_types.c */
int32_t fl_get_job_types(fl_call *call, const api_get_job_types_in *in);
int32_t fl_get_job_type(fl_call *call, const api_get_job_type_in *in);

/* job_submit.c */
int32_t fl_prepare_submit_job(fl_call *call, const api_submit_job_in *in);
int32_t fl_submit_job(fl_call *call, const api_submit_job_in *in);
int32_t fl_prepare_submit_job_check(fl_call *call, const api_submit_job_check_in *in);
int32_t fl_submit_job_check(fl_call *call, const api_submit_job_check_in *in);

/* jobs.c */
int32_t fl_fetch_jobs(fl_call *call, const api_fetch_jobs_in *in);
int32_t fl_fetch_job(fl_call *call, const api_fetch_job_in *in);
int32_t fl_set_job_status(fl_call *call, const api_set_job_status_in *in);
int32_t fl_set_job_priority(fl_call *call, const api_set_job_priority_in *in);
int32_t fl_set_job_tag(fl_call *call, const api_set_job_tag_in *in);
int32_t fl_fetch_job_blocklist(fl_call *call, const api_fetch_job_blocklist_in *in);
int32_t fl_remove_job_blocklist(fl_call *call, const api_remove_job_blocklist_in *in);
int32_t fl_fetch_job_tasks(fl_call *call, const api_fetch_job_tasks_in *in);

/* job_delete.c */
int32_t fl_delete_job(fl_call *call, const api_delete_job_in *in);
int32_t fl_finish_delete_job(fl_call *call, const api_delete_job_in *in);
int32_t fl_delete_job_mass(fl_call *call, const api_delete_job_mass_in *in);
int32_t fl_finish_delete_job_mass(fl_call *call, const api_delete_job_mass_in *in);
int32_t fl_delete_job_what_would_it_do(fl_call *call, const api_delete_job_what_would_it_do_in *in);

/* What the handlers on one job share; jobs.c. Reads the job that a path names, or answers 400 or 404. */
int32_t fl_call_job(fl_call *call, flamenco_str job_id, flamenco_job *out);
/* Queues the event of a changed job without a previous status. */
int32_t fl_call_emit_job(fl_call *call, const flamenco_job *job);

/* tasks.c */
int32_t fl_fetch_task(fl_call *call, const api_fetch_task_in *in);
int32_t fl_set_task_status(fl_call *call, const api_set_task_status_in *in);
int32_t fl_fetch_task_log_info(fl_call *call, const api_fetch_task_log_info_in *in);
int32_t fl_finish_fetch_task_log_info(fl_call *call, const api_fetch_task_log_info_in *in);
int32_t fl_fetch_task_log_tail(fl_call *call, const api_fetch_task_log_tail_in *in);
int32_t fl_finish_fetch_task_log_tail(fl_call *call, const api_fetch_task_log_tail_in *in);

/* worker.c: what Workers call about themselves */
int32_t fl_prepare_register_worker(fl_call *call, const api_register_worker_in *in);
int32_t fl_register_worker(fl_call *call, const api_register_worker_in *in);
int32_t fl_sign_on(fl_call *call, const api_sign_on_in *in);
int32_t fl_sign_off(fl_call *call, const api_sign_off_in *in);
int32_t fl_worker_state(fl_call *call, const api_worker_state_in *in);
int32_t fl_worker_state_changed(fl_call *call, const api_worker_state_changed_in *in);

/* worker_task.c: what Workers call about tasks */
int32_t fl_schedule_task(fl_call *call, const api_schedule_task_in *in);
int32_t fl_task_update(fl_call *call, const api_task_update_in *in);
int32_t fl_may_worker_run(fl_call *call, const api_may_worker_run_in *in);

/* last_rendered.c */
int32_t fl_task_output_produced(fl_call *call, const api_task_output_produced_in *in);
int32_t fl_finish_task_output_produced(fl_call *call, const api_task_output_produced_in *in);
int32_t fl_fetch_job_last_rendered_info(fl_call *call, const api_fetch_job_last_rendered_info_in *in);
int32_t fl_fetch_global_last_rendered_info(fl_call *call, const api_fetch_global_last_rendered_info_in *in);
int32_t fl_finish_fetch_global_last_rendered_info(fl_call *call, const api_fetch_global_last_rendered_info_in *in);

/* worker_mgt.c */
int32_t fl_fetch_workers(fl_call *call, const api_fetch_workers_in *in);
int32_t fl_fetch_worker(fl_call *call, const api_fetch_worker_in *in);
int32_t fl_delete_worker(fl_call *call, const api_delete_worker_in *in);
int32_t fl_request_worker_status_change(fl_call *call, const api_request_worker_status_change_in *in);
int32_t fl_set_worker_tags(fl_call *call, const api_set_worker_tags_in *in);
int32_t fl_fetch_worker_sleep_schedule(fl_call *call, const api_fetch_worker_sleep_schedule_in *in);
int32_t fl_set_worker_sleep_schedule(fl_call *call, const api_set_worker_sleep_schedule_in *in);

/* worker_tags.c */
int32_t fl_fetch_worker_tags(fl_call *call, const api_fetch_worker_tags_in *in);
int32_t fl_create_worker_tag(fl_call *call, const api_create_worker_tag_in *in);
int32_t fl_fetch_worker_tag(fl_call *call, const api_fetch_worker_tag_in *in);
int32_t fl_update_worker_tag(fl_call *call, const api_update_worker_tag_in *in);
int32_t fl_delete_worker_tag(fl_call *call, const api_delete_worker_tag_in *in);

/* shaman.c */
int32_t fl_shaman_checkout_requirements(fl_call *call, const api_shaman_checkout_requirements_in *in);
int32_t fl_shaman_checkout(fl_call *call, const api_shaman_checkout_in *in);
int32_t fl_shaman_garbage(fl_call *call, const api_shaman_garbage_in *in);
int32_t fl_shaman_file_store_check(fl_call *call, const api_shaman_file_store_check_in *in);
int32_t fl_shaman_file_store(fl_call *call, const api_shaman_file_store_in *in);

#endif
