/* SPDX-License-Identifier: Apache-2.0
 *
 * history.h - one seeded history: random operations on the manager and on the model, failures and crashes in between, and
 * the comparison of the two after each. history.c plays, compare.c compares, choose.c picks what to do. Called by main.c.
 */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include "manager.h"
#include "model.h"
#include "shim.h"

#define CLIENTS 128
#define LAST_LINES 60
#define GROUP_MAX 6

/* What a failure plan does to one operation. */
typedef struct trouble {
    enum { TROUBLE_NONE, TROUBLE_SHIM, TROUBLE_WRITE, TROUBLE_SYNC, TROUBLE_OUTAGE } what;
    shim_plan shim;
    uint32_t n, times; /* of a disk failure */
    int code;
    int nomem; /* the operation may fail */
} trouble;

typedef struct play_options {
    uint64_t seed;
    uint32_t operations; /* 0 = as the seed has it */
    int power; /* crashes are power losses */
    uint32_t crashes; /* per hundred operations; 0 = as the seed has it */
    int verbose;
    const char *scheduler; /* the plugin; NULL = scheduler-priority */
    int keep; /* main.c's: the directory of a history that fails */
} play_options;

typedef struct play_counts {
    uint64_t operations, requests, commits, failures, crashes, power_losses, restarts, events, handed_out, timed_out;
    uint64_t checks;
} play_counts;

typedef struct history {
    play_options options;
    uint64_t random;
    m_world world;
    manager manager;
    model now;
    play_counts counts;
    uint32_t next_log;
    int runs; /* the manager */
    int outages; /* the store may be away for longer than a request waits */
    int remains; /* rows of a job that is gone may be left: its purge may have found the store away */
    uint32_t
        vague; /* bits of workers that were seen later than the model knows, since a parked request was tried again */
    uint32_t known; /* bits of workers whose secret the manager has checked since it started */

    /* Names of things in the store. Zero = not known yet. */
    flamenco_uuid job_uuids[M_JOBS], worker_uuids[M_WORKERS], tag_uuids[M_TAGS], task_uuids[M_TASKS];
    int64_t job_keys[M_JOBS], worker_keys[M_WORKERS], tag_keys[M_TAGS], task_keys[M_TASKS];

    struct {
        client c;
        op op;
        int used;
        int zombie; /* its client is gone, which nobody has noticed */
    } clients[CLIENTS];

    char lines[LAST_LINES][200]; /* the last operations, a ring */
    uint64_t n_lines;
    char wrong[600]; /* what did not come out as it should; empty = nothing */
} history;

/* Plays the history of options->seed. Returns 0, or -1 with a description on stderr. directory: empty, its own. */
int history_play(const play_options *options, const char *directory, play_counts *add_to);

/* choose.c */
uint32_t roll(history *h, uint32_t below);
void choose_world(history *h);
/* Picks one operation that makes sense now; alone: it must not share a batch with others. */
void choose_op(history *h, const model *m, op *out, int *alone);
void choose_trouble(history *h, trouble *out);
const char *describe_trouble(const trouble *t);
void describe_op(const history *h, const op *o, char *out, size_t size);

/* requests.c: sends the operation from h->clients[o->client]. */
void send_op(history *h, const op *o);

/* compare.c: NULL when all is as it should be, else what is not. Texts are static until the next call. */
const char *compare_state(history *h, const model *m);
const char *compare_times(history *h, model *m);
/* events: how many of the outcome's must have come; more: up to how many may. */
const char *compare_events(history *h, const m_outcome *out, uint32_t events, uint32_t more);
const char *compare_reply(history *h, const m_reply *expected, const client *got);
/* Learns keys and UUIDs of what is new. */
void learn_names(history *h, const model *m);
/* Takes over the times that the store has, since the model cannot know them. */
void adopt_times(history *h, model *m);

void say(history *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
