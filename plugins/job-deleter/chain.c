/* SPDX-License-Identifier: Apache-2.0
 *
 * chain.c - deletes jobs, one after the other, each by a chain of steps: look, erase its checkout and files, hide it and tell
 * so, erase its files again, remove its rows.
 *
 * Each stage is found out by looking at the store, never remembered: whatever a crash or a failed commit left, the next look
 * goes on from there. Files are erased twice, because a Worker's log lines may make the job's directory anew until the job is
 * hidden; the checkout once, because its name may be given to another job as soon as it is free.
 */
#include "deleter.h"

#define SECOND_US INT64_C(1000000)
#define BACK_OFF_MOST_US (3600 * SECOND_US)
#define ROWS_PER_STEP 500u

static void begin_stage(fl_jd *jd, fl_jd_stage stage);

/* ---- Looking ------------------------------------------------------------------------------------------------------- */

static flamenco_page page_of(uint32_t flags)
{
    return (flamenco_page){ .struct_size = (uint32_t)sizeof(flamenco_page),
                            .updated_after_us = FLAMENCO_TIME_NONE,
                            .flags = flags };
}

static int32_t scan_row(void *ctx, const flamenco_job *row)
{
    fl_jd *jd = ctx;
    if (row->delete_requested_us == FLAMENCO_TIME_NONE)
        return 0; /* hidden, because it is being stored */
    pthread_mutex_lock(&jd->lock);
    jd->scan_full = jd->known.queued >= FL_JD_QUEUED_MAX;
    int32_t rc = jd->scan_full ? 1 : fl_jd_known_add(jd, row->key, &row->uuid);
    pthread_mutex_unlock(&jd->lock);
    return jd->scan_full || rc < 0; /* without memory: the next look finds it */
}

static int32_t scan(fl_jd *jd, flamenco_cx *cx, flamenco_error *err)
{
    flamenco_page hidden = page_of(FLAMENCO_PAGE_HIDDEN), marked = page_of(FLAMENCO_PAGE_DELETE_REQUESTED);
    jd->scan_full = 0;
    int32_t rc = flamenco_persist_jobs_list(&jd->persist, cx, &hidden, scan_row, jd, NULL, err);
    if (rc == FLAMENCO_OK && !jd->scan_full)
        rc = flamenco_persist_jobs_list(&jd->persist, cx, &marked, scan_row, jd, NULL, err);
    return rc;
}

static void drop_checkout(fl_jd *jd)
{
    jd->host->free(jd->host->h, jd->checkout);
    jd->checkout = NULL;
}

static int32_t keep_checkout(fl_jd *jd, flamenco_str id, flamenco_error *err)
{
    drop_checkout(jd);
    if (id.len == 0)
        return FLAMENCO_OK;
    jd->checkout = jd->host->alloc(jd->host->h, id.len + 1);
    if (jd->checkout == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the name of a checkout");
    memcpy(jd->checkout, id.ptr, (size_t)id.len);
    jd->checkout[id.len] = '\0';
    return FLAMENCO_OK;
}

static int32_t find_hidden(void *ctx, const flamenco_job *row)
{
    fl_jd *jd = ctx;
    if (row->key != jd->job->key)
        return 0;
    jd->found = FL_JD_HIDDEN;
    return 1;
}

static int32_t look(fl_jd *jd, flamenco_cx *cx, flamenco_error *err)
{
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    int32_t rc = flamenco_persist_job_get_key(&jd->persist, cx, jd->job->key, &row, err);
    if (rc == FLAMENCO_OK) {
        jd->found = FL_JD_VISIBLE;
        return keep_checkout(jd, row.shaman_checkout_id, err);
    }
    if (rc != FLAMENCO_E_NOT_FOUND)
        return rc;
    flamenco_page hidden = page_of(FLAMENCO_PAGE_HIDDEN);
    jd->found = FL_JD_GONE;
    return flamenco_persist_jobs_list(&jd->persist, cx, &hidden, find_hidden, jd, NULL, err);
}

/* ---- Changing ------------------------------------------------------------------------------------------------------ */

static int32_t forget_checkout(fl_jd *jd, flamenco_cx *cx, flamenco_error *err)
{
    int32_t rc = flamenco_persist_job_set_storage(&jd->persist, cx, jd->job->key, flamenco_text(""), err);
    return rc == FLAMENCO_E_NOT_FOUND ? FLAMENCO_OK : rc;
}

static int32_t hide(fl_jd *jd, flamenco_cx *cx, flamenco_error *err)
{
    int32_t rc = flamenco_persist_job_hide(&jd->persist, cx, jd->job->key, err);
    if (rc != FLAMENCO_OK)
        return rc == FLAMENCO_E_NOT_FOUND ? FLAMENCO_OK : rc;
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row), .uuid = jd->job->uuid };
    flamenco_job_event event = { .struct_size = (uint32_t)sizeof(event),
                                 .previous_status = FLAMENCO_PREVIOUS_NONE,
                                 .flags = FLAMENCO_JOB_EVENT_DELETED,
                                 .row = &row };
    rc = jd->host->emit_job(cx, &event);
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "cannot queue an event");
}

static int32_t purge(fl_jd *jd, flamenco_cx *cx, flamenco_error *err)
{
    uint64_t left = 0;
    int32_t rc = flamenco_persist_job_purge(&jd->persist, cx, jd->job->key, ROWS_PER_STEP, &left, err);
    return rc == FLAMENCO_OK && left > 0 ? FLAMENCO_AGAIN : rc;
}

static int32_t run_stage(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    fl_jd *jd = ctx;
    int32_t rc = FLAMENCO_E_INTERNAL;
    jd->ran = 1;
    switch (jd->stage) {
    case FL_JD_SCAN:
        rc = scan(jd, cx, err);
        break;
    case FL_JD_LOOK:
        rc = look(jd, cx, err);
        break;
    case FL_JD_CHECKOUT:
        rc = flamenco_shaman_erase_checkout(&jd->shaman, cx, flamenco_text(jd->checkout), err);
        break;
    case FL_JD_FORGET:
        rc = forget_checkout(jd, cx, err);
        break;
    case FL_JD_FILES:
        rc = flamenco_local_storage_erase_job(&jd->local_storage, cx, &jd->job->uuid, err);
        break;
    case FL_JD_HIDE:
        rc = hide(jd, cx, err);
        break;
    case FL_JD_PURGE:
        rc = purge(jd, cx, err);
        break;
    }
    jd->result = rc < 0 ? rc : FLAMENCO_OK;
    if (rc < 0)
        jd->error = *err;
    /* What file work ran into is logged with the job's name; the host would log it without. */
    return jd->stage == FL_JD_CHECKOUT || jd->stage == FL_JD_FILES ? FLAMENCO_OK : rc;
}

/* ---- Failures ------------------------------------------------------------------------------------------------------ */

static int32_t run_retry(flamenco_cx *cx, void *ctx, flamenco_error *err)
{
    (void)cx;
    (void)err;
    fl_jd_job *job = ctx;
    fl_jd *jd = job->owner;
    pthread_mutex_lock(&jd->lock);
    fl_jd_known_queue(&jd->known, job);
    pthread_mutex_unlock(&jd->lock);
    fl_jd_kick(jd);
    return FLAMENCO_OK;
}

static void tell_numbers(fl_jd *jd, uint32_t waiting)
{
    jd->host->metric(jd->host->h, "job_deletions_failing", waiting);
}

/* Lets the job wait for another try. */
static void fail_job(fl_jd *jd)
{
    fl_jd_job *job = jd->job;
    uint32_t doublings = job->failures < 12 ? job->failures : 12;
    int64_t delay_us = SECOND_US << doublings;
    if (delay_us > BACK_OFF_MOST_US)
        delay_us = BACK_OFF_MOST_US;
    char id[37];
    jd->host->uuid_format(&job->uuid, id);
    pthread_mutex_lock(&jd->lock);
    job->state = FL_JD_WAITING;
    ++job->failures;
    uint32_t waiting = ++jd->known.waiting;
    pthread_mutex_unlock(&jd->lock);
    tell_numbers(jd, waiting);
    const flamenco_step step = { .struct_size = (uint32_t)sizeof(step),
                                 .kind = FLAMENCO_STEP_WORK,
                                 .name = "delete a job later",
                                 .run = run_retry,
                                 .ctx = job,
                                 .delay_us = delay_us };
    int32_t rc = jd->host->submit(jd->host->h, &step);
    if (rc == FLAMENCO_E_CANCELLED || jd->result == FLAMENCO_E_CANCELLED)
        return; /* stopping: the next start finds the job in the store */
    if (jd->ran)
        jd->host->log(jd->host->h, FLAMENCO_LOG_WARN, "job %s cannot be deleted yet, trying again in %lld s: %s", id,
                      (long long)(delay_us / SECOND_US),
                      jd->result != FLAMENCO_OK ? jd->error.text : "its new state could not be stored");
    if (rc == FLAMENCO_OK)
        return;
    pthread_mutex_lock(&jd->lock); /* no memory for a timer: the next look into the store finds it */
    --jd->known.waiting;
    fl_jd_known_drop(jd, job);
    pthread_mutex_unlock(&jd->lock);
}

static void finish_job(fl_jd *jd)
{
    char id[37];
    jd->host->uuid_format(&jd->job->uuid, id);
    int was_there = jd->looked;
    pthread_mutex_lock(&jd->lock);
    fl_jd_known_drop(jd, jd->job);
    uint32_t waiting = jd->known.waiting;
    pthread_mutex_unlock(&jd->lock);
    tell_numbers(jd, waiting);
    if (!was_there)
        return;
    jd->host->metric(jd->host->h, "jobs_deleted_total", 1);
    jd->host->log(jd->host->h, FLAMENCO_LOG_INFO, "job %s is deleted", id);
}

/* ---- Going on ------------------------------------------------------------------------------------------------------ */

static void end_job(fl_jd *jd, int failed)
{
    if (failed)
        fail_job(jd);
    else
        finish_job(jd);
    jd->job = NULL;
    drop_checkout(jd);
}

/* Ends the chain for now; go_on: with the next job, if there is one. */
static void rest(fl_jd *jd, int go_on)
{
    pthread_mutex_lock(&jd->lock);
    jd->busy = 0;
    pthread_mutex_unlock(&jd->lock);
    if (go_on)
        fl_jd_kick(jd);
}

static int has_checkout(const fl_jd *jd)
{
    return jd->checkout != NULL && jd->shaman.table != NULL && flamenco_shaman_is_active(&jd->shaman) != 0;
}

/* After a look. Returns 0 when the job's deletion has ended, well or not. */
static int go_on_from(fl_jd *jd)
{
    /* Each look must find more done than the one before it. */
    if (jd->looked && jd->found != FL_JD_GONE && jd->found == jd->found_before) {
        end_job(jd, 1);
        return 0;
    }
    if (jd->found == FL_JD_GONE) {
        end_job(jd, 0);
        return 0;
    }
    jd->looked = 1;
    jd->found_before = jd->found;
    begin_stage(jd, jd->found == FL_JD_VISIBLE && has_checkout(jd) ? FL_JD_CHECKOUT : FL_JD_FILES);
    return 1;
}

/* The host calls this once per step, when its result stands; also for one that it never ran. */
static void stage_ended(void *ctx)
{
    fl_jd *jd = ctx;
    if (jd->stage == FL_JD_SCAN) {
        pthread_mutex_lock(&jd->lock);
        jd->scan_wanted |= jd->ran && jd->result == FLAMENCO_OK && jd->scan_full;
        pthread_mutex_unlock(&jd->lock);
        rest(jd, jd->ran);
        return;
    }
    if (!jd->ran || jd->result != FLAMENCO_OK) {
        int go_on = jd->ran; /* not begun: the manager stops, or the store is in trouble */
        end_job(jd, 1);
        rest(jd, go_on);
        return;
    }
    switch (jd->stage) {
    case FL_JD_LOOK:
        if (!go_on_from(jd))
            rest(jd, 1);
        break;
    case FL_JD_CHECKOUT:
        begin_stage(jd, FL_JD_FORGET);
        break;
    case FL_JD_FORGET:
        begin_stage(jd, FL_JD_FILES);
        break;
    case FL_JD_FILES:
        begin_stage(jd, jd->found == FL_JD_VISIBLE ? FL_JD_HIDE : FL_JD_PURGE);
        break;
    default:
        begin_stage(jd, FL_JD_LOOK);
        break;
    }
}

static void begin_stage(fl_jd *jd, fl_jd_stage stage)
{
    static const struct {
        uint32_t kind;
        const char *name;
    } stages[] = {
        [FL_JD_SCAN] = { FLAMENCO_STEP_READ, "find jobs to delete" },
        [FL_JD_LOOK] = { FLAMENCO_STEP_READ, "look at a job to delete" },
        [FL_JD_CHECKOUT] = { FLAMENCO_STEP_WORK, "erase a checkout" },
        [FL_JD_FORGET] = { FLAMENCO_STEP_WRITE, "forget a checkout" },
        [FL_JD_FILES] = { FLAMENCO_STEP_WORK, "erase a job's files" },
        [FL_JD_HIDE] = { FLAMENCO_STEP_WRITE, "hide a deleted job" },
        [FL_JD_PURGE] = { FLAMENCO_STEP_WRITE, "purge a deleted job" },
    };
    const flamenco_step step = { .struct_size = (uint32_t)sizeof(step),
                                 .kind = stages[stage].kind,
                                 .name = stages[stage].name,
                                 .run = run_stage,
                                 .ctx = jd,
                                 .destroy = stage_ended };
    jd->stage = stage;
    jd->ran = 0;
    jd->result = FLAMENCO_OK;
    /* A failure ends in stage_ended(), too. Nothing of jd is ours any more behind this line. */
    (void)jd->host->submit(jd->host->h, &step);
}

void fl_jd_kick(fl_jd *jd)
{
    pthread_mutex_lock(&jd->lock);
    fl_jd_job *job = jd->busy ? NULL : fl_jd_known_take(&jd->known);
    int scans = !jd->busy && job == NULL && jd->scan_wanted;
    if (scans)
        jd->scan_wanted = 0;
    int begins = job != NULL || scans;
    if (begins) {
        jd->busy = 1;
        jd->job = job;
        jd->looked = 0;
    }
    pthread_mutex_unlock(&jd->lock);
    if (begins)
        begin_stage(jd, scans ? FL_JD_SCAN : FL_JD_LOOK);
}

void fl_jd_scan(fl_jd *jd)
{
    pthread_mutex_lock(&jd->lock);
    jd->scan_wanted = 1;
    pthread_mutex_unlock(&jd->lock);
    fl_jd_kick(jd);
}
