/* SPDX-License-Identifier: Apache-2.0
 *
 * everything.c - serves every mandatory member, so that manager.yaml may be about the one plugin that is tested. But for the
 * clock its methods are of no use and must not be called.
 */
#include "parts.h"

#include "flamenco/job_compiler.h"
#include "flamenco/job_deleter.h"
#include "flamenco/local_storage.h"
#include "flamenco/log_storage.h"
#include "flamenco/persistence.h"
#include "flamenco/task_scheduler.h"
#include "flamenco/task_state_machine.h"

static void no_method(void)
{
}

#define TEN no_method, no_method, no_method, no_method, no_method, no_method, no_method, no_method, no_method, no_method
#define HUNDRED TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN

/* A table of any service: every slot is set. */
static const struct {
    uint32_t struct_size, reserved;
    void (*methods[200])(void);
} table = { (uint32_t)sizeof(table), 0, { HUNDRED, HUNDRED } };

static int64_t time_us(void *self)
{
    (void)self;
    return 1000000;
}

static void wait_until(void *self, int64_t until_us)
{
    (void)self;
    (void)until_us;
}

static void interrupt(void *self)
{
    (void)self;
}

static const flamenco_clock clock_table = { .struct_size = (uint32_t)sizeof(clock_table),
                                            .now_us = time_us,
                                            .monotonic_us = time_us,
                                            .wait_until = wait_until,
                                            .interrupt = interrupt };

static const flamenco_provide persistence = PROVIDE(FLAMENCO_PERSISTENCE, &table);
static const flamenco_provide scheduler = PROVIDE(FLAMENCO_TASK_SCHEDULER, &table);
static const flamenco_provide compiler = PROVIDE(FLAMENCO_JOB_COMPILER, &table);
static const flamenco_provide state_machine = PROVIDE(FLAMENCO_STATE_MACHINE, &table);
static const flamenco_provide log_storage = PROVIDE(FLAMENCO_LOG_STORAGE, &table);
static const flamenco_provide local_storage = PROVIDE(FLAMENCO_LOCAL_STORAGE, &table);
static const flamenco_provide job_deleter = PROVIDE(FLAMENCO_JOB_DELETER, &table);
static const flamenco_provide time_of_day = PROVIDE(FLAMENCO_CLOCK, &clock_table);
static const flamenco_provide *const list[] = { &persistence,   &scheduler,   &compiler,
                                                &state_machine, &log_storage, &local_storage,
                                                &job_deleter,   &time_of_day, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .provides = list };
EXPORT(plugin)
