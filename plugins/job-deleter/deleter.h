/* SPDX-License-Identifier: Apache-2.0
 *
 * deleter.h - what the parts of the job deleter share. One job is deleted at a time, by a chain of steps of the host
 * (chain.c); the jobs that are known to be deleted stand in a table (known.c).
 */
#ifndef FL_DELETER_H
#define FL_DELETER_H

#include <pthread.h>

#include "flamenco/calls/local_storage.h"
#include "flamenco/calls/persistence.h"
#include "flamenco/calls/shaman.h"
#include "flamenco/events.h"

#define FL_JD_BUCKETS 256u
#define FL_JD_QUEUED_MAX 100u /* jobs; the store is asked again when they are done (state-and-scheduling 13) */

#define FL_JD_QUEUED 0u
#define FL_JD_RUNNING 1u
#define FL_JD_WAITING 2u /* its deletion failed; a timer queues it again */

struct fl_jd;

/* One job to be deleted. */
typedef struct fl_jd_job {
    struct fl_jd_job *next; /* in the queue */
    struct fl_jd_job *bucket_next;
    struct fl_jd *owner;
    int64_t key;
    flamenco_uuid uuid;
    uint32_t state; /* FL_JD_* */
    uint32_t failures; /* in a row */
} fl_jd_job;

/* The jobs that are known, by key, and the queue of those whose turn will come. */
typedef struct fl_jd_known {
    fl_jd_job *buckets[FL_JD_BUCKETS];
    fl_jd_job *first, **last;
    uint32_t queued, waiting;
} fl_jd_known;

/* What the chain does next. */
typedef enum fl_jd_stage {
    FL_JD_SCAN, /* [reader] find jobs */
    FL_JD_LOOK, /* [reader] how far the job's deletion has come */
    FL_JD_CHECKOUT, /* [worker] erase its Shaman checkout */
    FL_JD_FORGET, /* [writer] and note that it is gone: its name may be given to another job */
    FL_JD_FILES, /* [worker] erase its logs and images */
    FL_JD_HIDE, /* [writer] hide it and tell that it is deleted */
    FL_JD_PURGE, /* [writer] remove its rows, some at a time */
} fl_jd_stage;

typedef enum fl_jd_found { FL_JD_GONE, FL_JD_VISIBLE, FL_JD_HIDDEN } fl_jd_found;

typedef struct fl_jd {
    const flamenco_host *host;
    flamenco_persistence_ref persist;
    flamenco_local_storage_ref local_storage;
    flamenco_shaman_ref shaman; /* table NULL: there is none */
    pthread_mutex_t lock;
    /* Under lock. */
    fl_jd_known known;
    int busy; /* the chain is under way */
    int scan_wanted;
    /* The chain's own: its steps follow each other. */
    fl_jd_job *job;
    fl_jd_stage stage;
    fl_jd_found found, found_before;
    int looked; /* found_before counts */
    int ran; /* the running step was begun */
    int32_t result; /* of it */
    flamenco_error error;
    char *checkout; /* the job's checkout id, from host->alloc; NULL = none */
    int scan_full; /* there are more jobs than the queue takes */
} fl_jd;

/* ---- known.c; all under the lock ---- */

void fl_jd_known_init(fl_jd_known *known);
/* Adds a job to the table and the queue. Returns 1; 0 when it is known already; or NOMEM. */
int32_t fl_jd_known_add(fl_jd *jd, int64_t key, const flamenco_uuid *uuid);
/* Queues a job that waited. */
void fl_jd_known_queue(fl_jd_known *known, fl_jd_job *job);
/* Takes the job whose turn it is; NULL: none. */
fl_jd_job *fl_jd_known_take(fl_jd_known *known);
/* Removes a running job from the table and frees it. */
void fl_jd_known_drop(fl_jd *jd, fl_jd_job *job);
void fl_jd_known_fini(fl_jd *jd);

/* ---- chain.c ---- */

/* Lets the chain go on, unless it is under way. [any] */
void fl_jd_kick(fl_jd *jd);
/* Asks for a look into the store. [any] */
void fl_jd_scan(fl_jd *jd);

#endif
