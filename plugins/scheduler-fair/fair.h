/* SPDX-License-Identifier: Apache-2.0
 *
 * fair.h - what the files of the fair scheduler share.
 */
#ifndef FL_FAIR_H
#define FL_FAIR_H

#include "ledger.h"
#include "scheduler.h"

#define FL_JOB_PLACES 4096u /* a power of two */

/* A job's share, for stores that do not keep it. */
typedef struct fl_job_share {
    int64_t job, share;
} fl_job_share;

typedef struct fl_fair {
    fl_scheduler base; /* first: explain takes it for the whole */
    const flamenco_config *config;
    fl_ledger ledger;
    fl_job_share *jobs; /* FL_JOB_PLACES, or NULL when the store keeps the shares itself */
} fl_fair;

/* identity.c: the number and weight of a job's share, from its metadata. Numbers are positive, and differ with the setting
 * `keys`. NOT_FOUND: no such job. NOMEM. [writer] */
typedef struct fl_identity {
    int64_t number;
    uint32_t weight;
} fl_identity;

int32_t fl_fair_identify(const fl_fair *fair, flamenco_cx *cx, int64_t job_key, fl_identity *out,
                         int64_t *created_us_out, flamenco_error *err);
/* Checks the settings. INVALID. */
int32_t fl_fair_check_settings(const flamenco_config *config, flamenco_error *err);

/* candidates.c: one share that has work for the worker. */
typedef struct fl_candidate {
    int64_t number;
    fl_share *share;
    struct fl_candidate *next;
} fl_candidate;

/* Tells whether the store keeps shares, and finds groups by them. */
int fl_fair_store_has_shares(const fl_fair *fair);
/* Lists them. [writer] */
int32_t fl_fair_list(fl_fair *fair, flamenco_cx *cx, int64_t worker_key, fl_candidate **out, flamenco_error *err);
/* Gives the groups of one of them to the search. [writer] */
int32_t fl_fair_search(fl_fair *fair, flamenco_cx *cx, int64_t worker_key, int64_t number, fl_search *search,
                       flamenco_error *err);
/* Finds the ledger's entry of a job's share, adding it. [writer] */
int32_t fl_fair_share_of(fl_fair *fair, flamenco_cx *cx, int64_t job_key, fl_share **out, flamenco_error *err);

/* pick.c */
int32_t fl_fair_pick(void *self, flamenco_cx *cx, const flamenco_worker *worker, flamenco_task *out,
                     flamenco_error *err);

#endif
