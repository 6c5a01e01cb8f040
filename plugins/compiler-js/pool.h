/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.h - the helper processes: starts them when calls wait, hands them out one call at a time, ends them when they have
 * nothing to do, have grown, or are in doubt. Called by compiler.c and talk.c.
 *
 * One thread lives as long as the pool and starts all processes: a child dies with the thread that started it
 * (PR_SET_PDEATHSIG), so a thread of the caller must not.
 */
#ifndef FL_POOL_H
#define FL_POOL_H

#include "flamenco/plugin.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#define FL_POOL_HELPERS_MAX 64

#define FL_SANDBOX_OFF 0u
#define FL_SANDBOX_AUTO 1u /* take what the kernel has */
#define FL_SANDBOX_REQUIRED 2u

typedef struct fl_pool_settings {
    char *helper; /* path of the executable; owned */
    uint32_t helpers;
    uint32_t queue;
    uint32_t sandbox; /* FL_SANDBOX_* */
    uint32_t jit;
    uint32_t freezes; /* 1: scripts share a frozen context where they can */
    uint32_t one_shot; /* 1: a helper ends after each script */
    int64_t idle_us;
} fl_pool_settings;

#define FL_HELPER_NONE 0u
#define FL_HELPER_WANTED 1u /* to be started */
#define FL_HELPER_STARTING 2u
#define FL_HELPER_IDLE 3u
#define FL_HELPER_BUSY 4u /* belongs to a caller */
#define FL_HELPER_RETIRED 5u /* to be ended */

/* The identity of a file, to notice its replacement. */
typedef struct fl_file_id {
    uint64_t device, inode;
    int64_t modified;
} fl_file_id;

/* A helper. Between take and give the caller alone uses it; else the pool's lock guards it. */
typedef struct fl_helper {
    uint32_t state; /* FL_HELPER_* */
    pid_t pid;
    int pidfd; /* -1: the kernel has none */
    int sock;
    int messages; /* its standard error */
    uint64_t served;
    int64_t idle_since_us; /* CLOCK_MONOTONIC, as all times here */
    int64_t weigh_us; /* when to look at its memory after a large job; 0 = not */
    int64_t checked_us; /* when its files were last looked at */
    char *library; /* path of the engine's library; may be NULL */
    fl_file_id files[2]; /* helper, library */
} fl_helper;

typedef struct fl_waiter {
    struct fl_waiter *next;
    pthread_cond_t wake;
    fl_helper *helper;
    int32_t result; /* FLAMENCO_E_* when it waits in vain */
} fl_waiter;

typedef struct fl_pool {
    const flamenco_host *host;
    fl_pool_settings settings;
    pthread_mutex_t lock;
    pthread_t thread;
    int running;
    int wake; /* eventfd */
    atomic_int stopping;
    fl_waiter *first;
    uint32_t waiting;
    fl_helper helpers[FL_POOL_HELPERS_MAX];
    flamenco_error trouble; /* the last failed start; code 0 = none */
    int sandbox_told;
} fl_pool;

/* How a helper ended. */
typedef struct fl_death {
    int code; /* exit status, or -1 */
    int signal; /* or 0 */
    char text[200]; /* the last it wrote to standard error */
} fl_death;

/* Makes the pool and its thread; no process yet. Takes over settings->helper when it succeeds. NOMEM, INTERNAL. */
int32_t fl_pool_start(fl_pool *pool, const flamenco_host *host, const fl_pool_settings *settings, flamenco_error *err);
/* Makes every take fail and every talk end. */
void fl_pool_interrupt(fl_pool *pool);
/* Ends all helpers and the thread; nobody holds a helper. Accepts a pool that was not started. */
void fl_pool_stop(fl_pool *pool);

/* Waits for a helper, first come, first served. FULL, UNAVAILABLE, CANCELLED, DEADLINE. */
int32_t fl_pool_take(fl_pool *pool, flamenco_cx *cx, fl_helper **out, flamenco_error *err);
/* Gives it back after an answer of `tasks` tasks. */
void fl_pool_give(fl_pool *pool, fl_helper *helper, uint64_t tasks);
/* Gives it back dead: kills it, waits for its end and tells how it came about (out may be NULL). */
void fl_pool_bury(fl_pool *pool, fl_helper *helper, fl_death *out);

/* Tells whether helpers can be started, as far as is known. */
int32_t fl_pool_health(fl_pool *pool, flamenco_error *err);

/* Processes that exist now. */
uint32_t fl_pool_count(fl_pool *pool);

int64_t fl_pool_now_us(void);
/* What ends a wait of cx: CANCELLED, DEADLINE, or 0. */
int32_t fl_pool_given_up(const fl_pool *pool, const flamenco_cx *cx, flamenco_error *err);

/* ---- spawn.c ---- */

/* Starts a process and waits until it is ready. UNAVAILABLE. [the pool's thread] */
int32_t fl_spawn_helper(fl_pool *pool, fl_helper *helper, flamenco_error *err);
/* Closes the socket, so that the process ends by itself; kills it after `grace_us`. Waits for the end. */
void fl_spawn_end(fl_helper *helper, int64_t grace_us, fl_death *out);
/* Tells whether the files of a running helper are still those that it was started from. */
int fl_spawn_is_current(const fl_pool *pool, const fl_helper *helper);
/* Tells whether an idle helper still lives. */
int fl_spawn_is_alive(const fl_helper *helper);
/* Its memory in bytes, without shared pages; 0 = unknown. */
uint64_t fl_spawn_private_bytes(const fl_helper *helper);

#endif
