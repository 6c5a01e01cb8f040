/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco.h - the one manager: a reference per member service, and the core's own parts. Made by lifecycle.c; handlers and
 * background work reach everything through it. Read-only once the manager serves, but for what its parts guard themselves.
 */
#ifndef FL_FLAMENCO_H
#define FL_FLAMENCO_H

#include "flamenco/calls/broadcaster.h"
#include "flamenco/calls/clock.h"
#include "flamenco/calls/discovery.h"
#include "flamenco/calls/event_forwarder.h"
#include "flamenco/calls/farm_status.h"
#include "flamenco/calls/http_routes.h"
#include "flamenco/calls/job_compiler.h"
#include "flamenco/calls/job_deleter.h"
#include "flamenco/calls/last_rendered.h"
#include "flamenco/calls/local_storage.h"
#include "flamenco/calls/log_storage.h"
#include "flamenco/calls/persistence.h"
#include "flamenco/calls/shaman.h"
#include "flamenco/calls/sleep_scheduler.h"
#include "flamenco/calls/state_machine.h"
#include "flamenco/calls/task_scheduler.h"

struct fl_budget;
struct fl_config;
struct fl_credentials;
struct fl_event_streams;
struct fl_executor;
struct fl_host;
struct fl_http;
struct fl_http_settings;
struct fl_limit_settings;
struct fl_listeners;
struct fl_loader;
struct fl_metrics;
struct fl_parked;
struct fl_probes;
struct fl_publisher;
struct fl_timers;
struct fl_touches;
struct fl_workpool;

struct flamenco {
    /* Members. An absent optional one has a NULL table; its calls give FLAMENCO_E_UNSUPPORTED. */
    flamenco_persistence_ref persist;
    flamenco_task_scheduler_ref task_scheduler;
    flamenco_job_compiler_ref job_compiler;
    flamenco_state_machine_ref state_machine;
    flamenco_log_storage_ref log_storage;
    flamenco_local_storage_ref local_storage;
    flamenco_clock_ref clock;
    flamenco_broadcaster_ref broadcaster;
    flamenco_farm_status_ref farm_status;
    flamenco_job_deleter_ref job_deleter;
    flamenco_shaman_ref shaman;
    flamenco_last_rendered_ref last_rendered;
    flamenco_sleep_scheduler_ref sleep_scheduler;
    /* Members of which there may be any number. */
    flamenco_event_forwarder_ref *forwarders;
    size_t n_forwarders;
    flamenco_discovery_ref *discoveries;
    size_t n_discoveries;
    flamenco_http_routes_ref *routes;
    size_t n_routes;

    /* The core's own parts. */
    struct fl_config *config;
    struct fl_loader *loader;
    struct fl_timers *timers;
    struct fl_workpool *workpool;
    struct fl_workpool *storage_pool; /* work on the shared storage; NULL: there is no Shaman */
    struct fl_touches *touches;
    struct fl_listeners *listeners;
    struct fl_publisher *publisher;
    struct fl_event_streams *event_streams;
    struct fl_executor *executor;
    struct fl_parked *parked;
    struct fl_credentials *credentials;
    struct fl_metrics *metrics;
    struct fl_budget *reply_budget; /* lists on their way to clients */
    struct fl_budget *compile_budget; /* compiled jobs that are not stored yet */
    struct fl_packed *packed; /* replies that were packed last */
    struct fl_host *core_host; /* the host table for work of the core itself */
    struct fl_probes *probes;
    struct fl_http *http;

    const struct fl_http_settings *http_settings; /* manager.yaml, sections `http` and `limits` */
    const struct fl_limit_settings *limits;
    const flamenco_str *origins; /* that CORS allows */
    size_t n_origins;
    char version[64]; /* of this build: the commit that it was made from */
    char reported_version[64]; /* what clients are told */
    uint32_t ready; /* atomic: 1 while requests are served */
    int wake_fd; /* an eventfd: wakes the main thread */
    uint32_t wanted; /* atomic, FL_WANT_*: what the main thread is to do */
    uint32_t stopping; /* atomic; 1: a signal asked for the end */
};

#define FL_WANT_NOTHING 0u
#define FL_WANT_FAIL 1u
#define FL_WANT_RESTART 2u

/* Asks the manager to stop itself: with exit code 1 and the reason in the log, or (restart 1) to start anew in place.
 * Returns at once; of several calls the first counts, and failure before a restart. [any] */
void fl_manager_fail(struct flamenco *f, const char *reason);
void fl_manager_restart(struct flamenco *f);

#endif
