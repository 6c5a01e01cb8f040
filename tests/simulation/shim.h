/* SPDX-License-Identifier: Apache-2.0
 *
 * shim.h - a layer around the table of the persistence service that fails on command, at a chosen call of the writing
 * thread. The wrappers are made by generate-shim.py; manager.c puts the layer in, history.c arms it.
 */
#ifndef SIM_SHIM_H
#define SIM_SHIM_H

#include "flamenco/persistence.h"
#include "shim_methods.h"

/* What an armed layer does when its time has come. */
typedef enum shim_kind {
    SHIM_NONE,
    SHIM_FAIL_BEGIN, /* the n-th begin of a batch fails */
    SHIM_FAIL_CALL, /* the n-th call of any other method fails */
    SHIM_FAIL_COMMIT, /* the n-th commit fails and is undone */
    SHIM_FAIL_AFTER_COMMIT, /* the n-th commit works and is told as failed */
    SHIM_CRASH_CALL, /* the process ends at the n-th call */
    SHIM_CRASH_BEFORE_COMMIT,
    SHIM_CRASH_AFTER_COMMIT
} shim_kind;

typedef struct shim_plan {
    shim_kind kind;
    uint32_t countdown; /* 1 = the next one */
    int32_t code; /* what a failing call returns */
    uint32_t times; /* how many calls fail, one after the other, from there on */
} shim_plan;

/* Called once, when the process "ends": keeps what a restart finds. On the thread that was to call the store. */
extern void (*shim_on_crash)(void);

/* Gives the table to use in place of `wrapped`. */
const flamenco_persistence *shim_wrap(const flamenco_persistence *wrapped);

void shim_arm(const shim_plan *plan);
/* Disarms; a crash that has happened stays. Returns 1 when the plan has come to action. */
int shim_disarm(void);
/* After a restart: everything works. */
void shim_reset(void);
int shim_crashed(void);
/* How many calls have been made to fail, in all. */
uint64_t shim_failures(void);

/* Batches whose first step has this request id are not counted: how many of them there are is a matter of timing. */
#define SHIM_UNCOUNTED "uncounted"

/* For the generated wrappers. cx may be NULL. */
int32_t shim_before(uint32_t method, const flamenco_cx *cx, flamenco_error *err);
int32_t shim_after_commit(flamenco_error *err);
extern const char *const shim_names[SHIM_METHODS];

#endif
