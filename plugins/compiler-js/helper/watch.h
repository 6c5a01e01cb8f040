/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.h - the thread that ends the helper when a script takes too much time or memory. The engine itself can stop neither
 * a loop of promise reactions nor a regular expression, and aborts on its own when its heap is full, so the process goes.
 * Used by main.c and engine.c.
 */
#ifndef FL_WATCH_H
#define FL_WATCH_H

#include <stdatomic.h>
#include <pthread.h>
#include <stdint.h>

typedef struct fl_watch {
    int statm; /* /proc/self/statm, opened before the sandbox closes; -1: memory is not watched */
    uint64_t page_bytes;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_int asleep;
    atomic_int_fast64_t deadline_ns; /* monotonic; 0 = nothing runs */
    atomic_uint_fast64_t limit_pages;
    int64_t left_ns;
} fl_watch;

/* Starts the thread. Returns 0 or an errno. */
int fl_watch_start(fl_watch *watch);
/* Begins to watch: `time_us` from now, `memory` bytes above what is in use now. */
void fl_watch_begin(fl_watch *watch, int64_t time_us, uint64_t memory);
void fl_watch_end(fl_watch *watch);
/* Stops the clock while the helper waits for the plugin, and starts it again with the time that was left. */
void fl_watch_pause(fl_watch *watch);
void fl_watch_resume(fl_watch *watch);
/* Memory of this process alone, in bytes; 0 = unknown. */
uint64_t fl_watch_private_bytes(const fl_watch *watch);

#endif
