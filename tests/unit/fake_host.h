/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_host.h - a flamenco_host for unit tests of plugins, without a manager: it counts allocations, lets them fail, sets
 * the clock by hand, remembers what a plugin asked for, and runs its steps when told to. A test executable compiles the
 * plugin's sources, `fake_host_sources` and links dep_base.
 *
 * Typical use:
 *     fake_host fake;
 *     fake_host_init(&fake);
 *     fake_host_set(&fake, "open_files", "4");                     settings first
 *     void *self = fake_host_start(&fake, flamenco_plugin_query());  create, configure, start; asserts that all succeed
 *     fake_cx *cx = fake_cx_create(&fake);
 *     ...
 *     fake_cx_destroy(cx);
 *     fake_host_stop(&fake, flamenco_plugin_query(), self);
 *     fake_host_fini(&fake);                                       asserts that nothing leaked
 *
 * Everything that a plugin calls is thread-safe; the members below are read by the test while no plugin's thread runs.
 */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <pthread.h>

#include "core/base/arena.h"
#include "flamenco/events.h"
#include "flamenco/plugin.h"

#define FAKE_MAX 64
#define FAKE_TEXT_MAX 512

/* What an event, an effect or a task log line was. Texts are cut to FAKE_TEXT_MAX - 1 bytes. */
typedef struct fake_record {
    enum { FAKE_EMIT, FAKE_EMIT_JOB, FAKE_EMIT_TASK, FAKE_EMIT_WORKER, FAKE_TASK_LOG, FAKE_TOUCH, FAKE_WAKE } what;
    flamenco_uuid job, task, worker;
    uint32_t kind; /* EMIT: the event's; TOUCH, WAKE: its `what` */
    uint32_t status; /* EMIT_JOB, _TASK, _WORKER: the row's status */
    uint32_t previous_status; /* the same */
    uint32_t flags; /* EMIT_JOB: flags; TASK_LOG: stamp */
    int64_t key; /* TOUCH: key; WAKE: count */
    char text[FAKE_TEXT_MAX]; /* EMIT: payload; TASK_LOG: text; EMIT_TASK: the row's activity; WAKE: task type */
    char topic[128]; /* EMIT */
} fake_record;

typedef struct fake_host {
    flamenco_host host; /* what create() gets; host.h is this struct */
    pthread_mutex_t lock;

    /* -- set by the test -- */
    int64_t now_us; /* what the clock says */
    int64_t monotonic_us; /* and its monotonic side */
    int64_t allocations_left; /* alloc and cx_alloc give NULL when it reaches 0; -1 = never */
    int64_t image_memory; /* what the limit of that name is; 256 MiB */
    int32_t submit_result; /* what submit returns; other than 0: nothing is queued and destroy is called */

    /* -- read by the test -- */
    uint64_t allocations; /* not freed yet */
    uint64_t log_lines[FLAMENCO_LOG_ERROR + 1]; /* by level */
    char last_log[FAKE_TEXT_MAX];
    char failed[FAKE_TEXT_MAX]; /* what host->fail was called with; empty = never */
    uint64_t cx_alive;
    fake_record *records; /* in order, grows */
    size_t n_records, records_cap;
    flamenco_step steps[FAKE_MAX]; /* waiting, first come first */
    size_t n_steps;

    /* -- inner -- */
    struct {
        const char *id;
        const void *table;
        void *self;
    } services[FAKE_MAX];
    size_t n_services;
    struct {
        uint64_t kinds;
        flamenco_on_event on_event;
        void *ctx;
    } listeners[FAKE_MAX];
    size_t n_listeners;
    struct {
        char name[128];
        double value;
    } metrics[FAKE_MAX];
    size_t n_metrics;
    struct {
        const char *key;
        const char *text;
    } given[FAKE_MAX];
    size_t n_given;
    flamenco_config config;
    const flamenco_plugin *plugin;
    fl_arena *texts; /* given settings */
} fake_host;

void fake_host_init(fake_host *fake);
/* Frees everything; asserts that the plugin freed its allocations, and that every cx was destroyed. */
void fake_host_fini(fake_host *fake);

/* Gives a setting, as it would stand in YAML; lists: one item a line. `key` is borrowed. Replaces an earlier value: later
 * reads see the new one. */
void fake_host_set(fake_host *fake, const char *key, const char *text);
/* Forgets all given settings, before the next plugin is started. What was read stays valid. */
void fake_host_unset_all(fake_host *fake);
/* The settings of `plugin`: the given ones, else their defaults. Valid until fake_host_fini; for one plugin at a time. */
const flamenco_config *fake_host_config(fake_host *fake, const flamenco_plugin *plugin);

/* Makes a service findable. All is borrowed. */
void fake_host_serve(fake_host *fake, const char *id, const void *table, void *self);

/* create, configure, start. Asserts that all succeed. */
void *fake_host_start(fake_host *fake, const flamenco_plugin *plugin);
/* stop, destroy. */
void fake_host_stop(fake_host *fake, const flamenco_plugin *plugin, void *self);

/* The table that the plugin provides under `id`; asserts that there is one. */
const void *fake_host_table(const flamenco_plugin *plugin, const char *id);

/* Runs queued steps, each in a cx of its own, also those that they queue, until none waits. Delays are not waited for. A
 * step that returns FLAMENCO_AGAIN goes to the end; gives up by assertion after `max_runs`. Returns the first failure's
 * code, or 0. */
int32_t fake_host_run_steps(fake_host *fake, size_t max_runs);

/* Sends an event to the listeners, as the publisher would. */
void fake_host_publish(fake_host *fake, const flamenco_event *event);

/* A metric's value, 0 when it was never set. */
double fake_host_metric(fake_host *fake, const char *name);

/* Forgets the records. */
void fake_host_clear(fake_host *fake);

/* A call context, with fake->now_us, no transaction, and a deadline 1 h after fake->monotonic_us. */
typedef struct fake_cx {
    flamenco_cx cx; /* what methods get */
    fake_host *fake;
    fl_arena *arena;
    uint32_t cancelled;
} fake_cx;

fake_cx *fake_cx_create(fake_host *fake);
void fake_cx_destroy(fake_cx *cx);

#endif
