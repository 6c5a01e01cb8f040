/* SPDX-License-Identifier: Apache-2.0
 *
 * events.h - makes the events of the API (contract: events 1.2, 1.3): topic, name and JSON payload in one shared buffer.
 * Called by host.c for the typed emit functions, by the publisher for log lines, by lifecycle.c and worker_tags.c.
 */
#ifndef FL_API_EVENTS_H
#define FL_API_EVENTS_H

#include "flamenco/events.h"

/* Each fills *out, whose buf has one reference for the caller; seq stays 0. Return 0 or NOMEM. */
int32_t fl_event_job(const flamenco_job_event *event, flamenco_event *out);
int32_t fl_event_task(const flamenco_task_event *event, flamenco_event *out);
int32_t fl_event_worker(const flamenco_worker_event *event, flamenco_event *out);
int32_t fl_event_worker_tag(const flamenco_tag *row, int deleted, flamenco_event *out);
int32_t fl_event_task_log(const flamenco_uuid *job, const flamenco_uuid *task, flamenco_str text, flamenco_event *out);
/* type: "manager-startup" or "manager-shutdown". */
int32_t fl_event_lifecycle(const char *type, flamenco_event *out);

#endif
