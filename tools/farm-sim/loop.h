/* SPDX-License-Identifier: Apache-2.0
 * The simulator's event loop: epoll for descriptors, one timerfd behind a heap of timers, signals through a
 * signalfd. Single-threaded: everything in farm-sim runs on the thread that calls fl_loop_run(). */
#ifndef FARM_SIM_LOOP_H
#define FARM_SIM_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fl_loop fl_loop;

typedef void (*fl_loop_on_fd)(void *ctx, int fd, uint32_t epoll_events);
typedef void (*fl_loop_on_timer)(void *ctx);
typedef void (*fl_loop_on_signal)(void *ctx, int signo);

/* Lives inside its owner; zero-initialise, then fl_timer_init(). Not copyable while armed. */
typedef struct fl_timer {
    int64_t due_us;
    size_t place; /* 1-based place in the heap; 0 = not armed */
    fl_loop_on_timer fn;
    void *ctx;
} fl_timer;

/* Monotonic clock, in microseconds. */
int64_t fl_now_us(void);

/* Returns NULL with a line on stderr when the kernel refuses a descriptor. SIGINT and SIGTERM are blocked and come
 * in through on_signal; SIGPIPE is ignored. */
fl_loop *fl_loop_create(fl_loop_on_signal on_signal, void *ctx);
void fl_loop_destroy(fl_loop *loop);

/* Watches fd level-triggered, replacing what was watched before. Returns 0 or -errno. */
int fl_loop_watch(fl_loop *loop, int fd, uint32_t epoll_events, fl_loop_on_fd fn, void *ctx);
/* Stops watching; harmless for an fd that is not watched. */
void fl_loop_unwatch(fl_loop *loop, int fd);
/* The kernel drops a closed descriptor from epoll by itself: forgets fd without a system call. */
void fl_loop_forget(fl_loop *loop, int fd);

/* Only for a timer that is not armed: the loop would keep a stale pointer to it. */
void fl_timer_init(fl_timer *timer, fl_loop_on_timer fn, void *ctx);
/* Arms or re-arms; it fires once. Returns false only when memory ran out. */
bool fl_timer_start(fl_loop *loop, fl_timer *timer, int64_t delay_us);
void fl_timer_stop(fl_loop *loop, fl_timer *timer);
/* Stops it, gives it another purpose and starts it. */
bool fl_timer_restart(fl_loop *loop, fl_timer *timer, fl_loop_on_timer fn, void *ctx, int64_t delay_us);

/* fn runs after each batch of events, before the loop sleeps again. One user: the HTTP client. */
void fl_loop_set_after(fl_loop *loop, fl_loop_on_timer fn, void *ctx);

/* Runs until fl_loop_quit(). Returns 0, or -errno when epoll fails. */
int fl_loop_run(fl_loop *loop);
void fl_loop_quit(fl_loop *loop);

#endif
