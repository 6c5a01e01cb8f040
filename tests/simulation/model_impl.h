/* SPDX-License-Identifier: Apache-2.0
 *
 * model_impl.h - what model.c (operations, one after the other) and rules.c (what follows from a change) share.
 */
#ifndef SIM_MODEL_IMPL_H
#define SIM_MODEL_IMPL_H

#include "model.h"

#define BIT(status) FLAMENCO_BIT(status)
#define A BIT(FLAMENCO_TASK_ACTIVE)
#define C BIT(FLAMENCO_TASK_COMPLETED)
#define F BIT(FLAMENCO_TASK_FAILED)
#define P BIT(FLAMENCO_TASK_PAUSED)
#define Q BIT(FLAMENCO_TASK_QUEUED)
#define S BIT(FLAMENCO_TASK_SOFT_FAILED)
#define X BIT(FLAMENCO_TASK_CANCELED)
#define DAY_US INT64_C(86400000000)

/* Work that waits behind the operations: one step of a job's long change. */
typedef struct chain {
    uint32_t job;
    uint32_t by_request; /* 1: a setJobStatus goes on, and is answered at the end */
    op request;
} chain;

typedef struct run {
    model *m;
    const m_world *world;
    m_outcome *out; /* NULL: nobody listens */
    chain chains[M_JOBS];
    uint32_t n_chains;
} run;

void model_tell_job(run *r, uint32_t job, uint32_t previous, uint32_t flag);
void model_tell_task(run *r, uint32_t task, uint32_t previous);
void model_tell_worker(run *r, uint32_t worker, uint32_t previous);
m_reply *model_reply(run *r, uint32_t client, uint32_t status);
void model_keep_state(run *r);
uint32_t model_job_of(const model *m, uint32_t task);
void model_add_chain(run *r, uint32_t job, const op *request);
int model_apply_job_status(run *r, uint32_t job, uint32_t to, uint32_t refresh);
int model_advance_job(run *r, uint32_t job);
void model_set_task_status(run *r, uint32_t task, uint32_t to);
void model_return_tasks(run *r, uint32_t worker, uint32_t status, uint32_t job);
void model_fail_task(run *r, uint32_t task, uint32_t worker);

#endif
