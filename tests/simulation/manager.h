/* SPDX-License-Identifier: Apache-2.0
 *
 * manager.h - the manager in this process, without a network: core (dispatch, handlers, executor, publisher, parked requests,
 * periodic work) and the plugins persist-sqlite, state-machine and scheduler-priority from their .so files, on the disk of
 * disk.h and behind the layer of shim.h. Clock, job compiler, broadcaster and log storage are the simulation's own. It can be
 * stopped, and it can "crash": then the next start finds what the disk has kept. Called by history.c.
 */
#ifndef SIM_MANAGER_H
#define SIM_MANAGER_H

#include <limits.h>
#include <pthread.h>

#include "core/config/manager_yaml.h"
#include "core/cx.h"
#include "core/flamenco.h"
#include "core/host.h"
#include "core/periodic.h"
#include "disk.h"
#include "fake_host.h"
#include "fake_http.h"
#include "model.h"

#define MANAGER_LOGS 65536

/* An event as it was broadcast. */
typedef struct seen_event {
    uint32_t kind;
    flamenco_uuid job, task, worker;
    char *payload; /* owned */
} seen_event;

typedef struct manager {
    struct flamenco f;
    const m_world *world; /* what the compiler gives */
    char directory[PATH_MAX]; /* holds everything; made and removed by the caller */
    int64_t now_us; /* atomic: what the clock says */
    disk_cut cut; /* what a crash leaves */
    uint64_t cut_random;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    seen_event *events;
    size_t n_events, room;
    uint8_t logs[MANAGER_LOGS]; /* how often the line "log#N" was appended */
    char failure[256]; /* something that must never happen; empty = nothing */

    /* manager.c's own. */
    struct {
        void *library;
        const flamenco_plugin *plugin;
        fl_host host;
        fake_host config;
        void *self;
        int started;
    } plugins[3];
    fl_limit_settings limits;
    fl_http_settings http;
    fl_periodic *periodic;
    client repair; /* stands for the repair at start */
    struct barrier *barriers; /* not freed yet */
    const flamenco_persistence *store; /* the real table: for looking, not for failing */
    uint32_t restarts;
    uint64_t log_errors;
} manager;

/* Reads the plugins and makes everything ready for the first start. Aborts when the simulation itself is broken. */
void manager_init(manager *m, const m_world *world, const char *directory, const char *scheduler);
void manager_fini(manager *m);

/* Starts, as the lifecycle does. Returns 0; 1 when a planned crash came; -1 with m->failure. */
int manager_start(manager *m);
/* Stops in order. */
void manager_stop(manager *m);
/* Ends after a crash: throws away what is in memory, puts what the disk has kept in place. */
void manager_bury(manager *m);

/* Waits until nothing moves any more: all requests are answered or parked, all steps and effects done. Returns 0; 1 when a
 * planned crash came; -1 with m->failure when it takes too long. */
int manager_settle(manager *m);

/* A write step of the simulation's own, as a handler that the manager does not have yet would be. Answers `c`. */
void manager_write(manager *m, client *c, int32_t (*run)(fl_cx *cx, void *ctx, flamenco_error *err), void *ctx);

/* Begins and ends a look at the store, past layer and executor. The cx and the texts of rows live until the end. */
flamenco_cx *manager_look(manager *m);
void manager_look_end(manager *m);
flamenco_persistence_ref manager_store(const manager *m);

/* Asks the store to check itself. Returns 0, or -1 with m->failure. */
int manager_check(manager *m);

void manager_forget_events(manager *m);

#endif
