/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.c - see watch.h.
 */
#include "watch.h"

#include "../wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS 5000000
/* Ticks without work before the thread sleeps for good: until then the next job costs no wake-up. */
#define IDLE_TICKS 200

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static uint64_t private_pages(const fl_watch *watch)
{
    char text[128];
    ssize_t n = watch->statm >= 0 ? pread(watch->statm, text, sizeof(text) - 1, 0) : -1;
    if (n <= 0)
        return 0;
    text[n] = '\0';
    /* size resident shared … */
    uint64_t fields[3] = { 0, 0, 0 };
    const char *p = text;
    for (int i = 0; i < 3; i++) {
        while (*p == ' ')
            p++;
        while (*p >= '0' && *p <= '9')
            fields[i] = fields[i] * 10 + (uint64_t)(*p++ - '0');
    }
    return fields[1] > fields[2] ? fields[1] - fields[2] : 0;
}

static void sleep_until_wanted(fl_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    atomic_store(&watch->asleep, 1);
    while (atomic_load(&watch->deadline_ns) == 0)
        pthread_cond_wait(&watch->wake, &watch->lock);
    atomic_store(&watch->asleep, 0);
    pthread_mutex_unlock(&watch->lock);
}

static void *watch_main(void *ctx)
{
    fl_watch *watch = ctx;
    unsigned idle = 0;
    for (;;) {
        struct timespec pause = { 0, PERIOD_NS };
        nanosleep(&pause, NULL);
        int64_t deadline = atomic_load(&watch->deadline_ns);
        if (deadline == 0) {
            if (++idle >= IDLE_TICKS)
                sleep_until_wanted(watch);
            continue;
        }
        idle = 0;
        if (now_ns() >= deadline)
            _exit(FL_WIRE_EXIT_TIME);
        if (private_pages(watch) > atomic_load(&watch->limit_pages))
            _exit(FL_WIRE_EXIT_MEMORY);
    }
    return NULL;
}

int fl_watch_start(fl_watch *watch)
{
    long page = sysconf(_SC_PAGESIZE);
    watch->page_bytes = page > 0 ? (uint64_t)page : 4096;
    watch->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    pthread_mutex_init(&watch->lock, NULL);
    pthread_cond_init(&watch->wake, NULL);
    atomic_init(&watch->asleep, 0);
    atomic_init(&watch->deadline_ns, 0);
    atomic_init(&watch->limit_pages, UINT64_MAX);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, watch_main, watch);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        pthread_detach(thread);
    return rc;
}

static void set_deadline(fl_watch *watch, int64_t deadline)
{
    atomic_store(&watch->deadline_ns, deadline);
    if (atomic_load(&watch->asleep)) {
        pthread_mutex_lock(&watch->lock);
        pthread_cond_signal(&watch->wake);
        pthread_mutex_unlock(&watch->lock);
    }
}

void fl_watch_begin(fl_watch *watch, int64_t time_us, uint64_t memory)
{
    atomic_store(&watch->limit_pages, private_pages(watch) + memory / watch->page_bytes);
    set_deadline(watch, now_ns() + time_us * 1000);
}

void fl_watch_end(fl_watch *watch)
{
    atomic_store(&watch->deadline_ns, 0);
}

void fl_watch_pause(fl_watch *watch)
{
    int64_t deadline = atomic_load(&watch->deadline_ns);
    watch->left_ns = deadline != 0 ? deadline - now_ns() : 0;
    /* Never 0, which is "nothing runs"; memory stays watched. */
    if (deadline != 0)
        atomic_store(&watch->deadline_ns, INT64_MAX);
}

void fl_watch_resume(fl_watch *watch)
{
    if (atomic_load(&watch->deadline_ns) == INT64_MAX)
        set_deadline(watch, now_ns() + watch->left_ns);
}

uint64_t fl_watch_private_bytes(const fl_watch *watch)
{
    return private_pages(watch) * watch->page_bytes;
}
