/* SPDX-License-Identifier: Apache-2.0
 *
 * known.c - see deleter.h. A job stays in the table while its deletion waits for another try, so that a look into the store
 * does not take it for a new one.
 */
#include "deleter.h"

static fl_jd_job **bucket_of(fl_jd_known *known, int64_t key)
{
    uint64_t mixed = (uint64_t)key * UINT64_C(0x9e3779b97f4a7c15);
    return &known->buckets[(mixed >> 32) % FL_JD_BUCKETS];
}

void fl_jd_known_init(fl_jd_known *known)
{
    memset(known, 0, sizeof(*known));
    known->last = &known->first;
}

static void push(fl_jd_known *known, fl_jd_job *job)
{
    job->state = FL_JD_QUEUED;
    job->next = NULL;
    *known->last = job;
    known->last = &job->next;
    ++known->queued;
}

int32_t fl_jd_known_add(fl_jd *jd, int64_t key, const flamenco_uuid *uuid)
{
    fl_jd_job **bucket = bucket_of(&jd->known, key);
    for (const fl_jd_job *job = *bucket; job != NULL; job = job->bucket_next) {
        if (job->key == key)
            return 0;
    }
    fl_jd_job *job = jd->host->alloc(jd->host->h, sizeof(*job));
    if (job == NULL)
        return FLAMENCO_E_NOMEM;
    *job = (fl_jd_job){ .bucket_next = *bucket, .owner = jd, .key = key, .uuid = *uuid };
    *bucket = job;
    push(&jd->known, job);
    return 1;
}

void fl_jd_known_queue(fl_jd_known *known, fl_jd_job *job)
{
    --known->waiting;
    push(known, job);
}

fl_jd_job *fl_jd_known_take(fl_jd_known *known)
{
    fl_jd_job *job = known->first;
    if (job == NULL)
        return NULL;
    known->first = job->next;
    if (known->first == NULL)
        known->last = &known->first;
    --known->queued;
    job->state = FL_JD_RUNNING;
    return job;
}

void fl_jd_known_drop(fl_jd *jd, fl_jd_job *job)
{
    for (fl_jd_job **at = bucket_of(&jd->known, job->key); *at != NULL; at = &(*at)->bucket_next) {
        if (*at == job) {
            *at = job->bucket_next;
            break;
        }
    }
    jd->host->free(jd->host->h, job);
}

void fl_jd_known_fini(fl_jd *jd)
{
    for (size_t i = 0; i < FL_JD_BUCKETS; ++i) {
        for (fl_jd_job *job = jd->known.buckets[i]; job != NULL;) {
            fl_jd_job *next = job->bucket_next;
            jd->host->free(jd->host->h, job);
            job = next;
        }
    }
    fl_jd_known_init(&jd->known);
}
