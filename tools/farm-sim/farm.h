/* SPDX-License-Identifier: Apache-2.0
 * What all simulated Workers of a run share: loop, transport, random numbers, credentials, and the hooks by which a
 * mode (demo.c, load.c, soak.c) watches and disturbs them. */
#ifndef FARM_SIM_FARM_H
#define FARM_SIM_FARM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "loop.h"
#include "options.h"
#include "stats.h"

struct fl_worker;

typedef enum fl_outcome {
    FL_OUTCOME_COMPLETED,
    FL_OUTCOME_FAILED,
    FL_OUTCOME_DROPPED, /* the "Started" update was refused: the Worker says nothing more about the task */
    FL_OUTCOME_REASSIGNED, /* an update was answered with 409 */
    FL_OUTCOME_ABORTED, /* may-i-run said no */
    FL_OUTCOME_VANISHED, /* the worker went away with the task in hand */
} fl_outcome;

typedef enum fl_update_kind {
    FL_UPDATE_ACTIVE,
    FL_UPDATE_LOG,
    FL_UPDATE_STEPS,
    FL_UPDATE_COMPLETED,
    FL_UPDATE_FAILED,
} fl_update_kind;

struct fl_worker;
struct fl_update;

/* Every hook may be NULL. */
typedef struct fl_hooks {
    void *ctx;
    /* Something that a display shows has changed: phase, task or progress. */
    void (*on_change)(void *ctx, struct fl_worker *w);
    /* The worker is awake and would begin its task loop. True = the mode does that itself. */
    bool (*on_awake)(void *ctx, struct fl_worker *w);
    void (*on_assigned)(void *ctx, struct fl_worker *w, const char *task_id, const char *job_id);
    void (*on_task_end)(void *ctx, struct fl_worker *w, fl_outcome outcome);
    /* An update was answered, also one that had been queued; status 0 = no answer, it is queued. */
    void (*on_update)(void *ctx, const struct fl_worker *w, const struct fl_update *u, int status);
    /* Faults to inject; NULL = none. */
    bool (*task_shall_fail)(void *ctx, struct fl_worker *w);
    fl_cut (*choose_cut)(void *ctx, fl_op op, int64_t *after_us);
} fl_hooks;

typedef struct fl_farm {
    const fl_options *opt;
    fl_loop *loop;
    fl_client *client;
    fl_stats *stats;
    fl_hooks hooks;
    uint64_t random_state;
    struct fl_worker **workers;
    uint32_t workers_len;
    uint32_t next_to_start, starting; /* not all knock at the door at once */
    json_t *credentials; /* URL → worker name → {uuid, secret} */
    fl_timer save_timer;
    bool stopping;
    fl_timer quiet_timer;
    fl_loop_on_timer on_quiet;
    void *on_quiet_ctx;
} fl_farm;

/* Returns NULL with a line on stderr. stats and opt are borrowed. */
fl_farm *fl_farm_create(const fl_options *opt, fl_loop *loop, fl_stats *stats);
/* Breaks all connections; saves credentials. Accepts NULL. */
void fl_farm_destroy(fl_farm *farm);

/* Starts all workers, at most 64 registering or signing on at a time. */
void fl_farm_start(fl_farm *farm);
/* A worker has got through its start-up, or failed in it: the next one may begin. Called by worker.c. */
void fl_farm_started_one(fl_farm *farm);
/* No worker is registering or signing on for the first time any more. */
bool fl_farm_is_up(const fl_farm *farm);
/* Asks every worker to sign off; done runs when all are gone. Calling it again changes nothing. */
void fl_farm_sign_off(fl_farm *farm, fl_loop_on_timer done, void *ctx);

/* Uniform in [0, 1); the same sequence for the same --seed. */
double fl_farm_random(fl_farm *farm);
/* The Worker's pauses: seconds, scaled, ±10 %. In microseconds. */
int64_t fl_farm_pause_us(fl_farm *farm, double seconds);
/* The same without the ±10 %. */
int64_t fl_farm_scaled_us(const fl_farm *farm, double seconds);

/* Copies stored credentials of a worker of that name; false if there are none. */
bool fl_farm_find_credentials(const fl_farm *farm, const char *name, char uuid[37], char secret[65]);
/* Remembers them, and writes the file soon. Without --state they are remembered for this run. */
void fl_farm_keep_credentials(fl_farm *farm, const char *name, const char *uuid, const char *secret);

/* With --verbose: a line on stderr about that worker. */
void fl_farm_log(const fl_farm *farm, const struct fl_worker *w, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
