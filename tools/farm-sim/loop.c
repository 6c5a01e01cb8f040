/* SPDX-License-Identifier: Apache-2.0
 * Event loop of farm-sim; see loop.h. Called by every other file here. */
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_PER_WAIT = 512 };

struct watched {
    fl_loop_on_fd fn; /* NULL = not in the epoll set */
    void *ctx;
    uint32_t events;
};

struct fl_loop {
    int epoll_fd, timer_fd, signal_fd;
    bool quit;
    int64_t armed_for_us; /* what timer_fd is set to; INT64_MAX = nothing */
    struct watched *fds;
    size_t fds_len;
    fl_timer **heap; /* heap[1] is the earliest */
    size_t heap_len, heap_room;
    fl_loop_on_timer after;
    void *after_ctx;
    fl_loop_on_signal on_signal;
    void *signal_ctx;
};

int64_t fl_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- timers: a binary heap whose members know their place, so that stopping one is cheap ---- */

static void put(fl_loop *loop, size_t place, fl_timer *timer)
{
    loop->heap[place] = timer;
    timer->place = place;
}

static void sift_up(fl_loop *loop, size_t place)
{
    fl_timer *timer = loop->heap[place];
    while (place > 1 && loop->heap[place / 2]->due_us > timer->due_us) {
        put(loop, place, loop->heap[place / 2]);
        place /= 2;
    }
    put(loop, place, timer);
}

static void sift_down(fl_loop *loop, size_t place)
{
    fl_timer *timer = loop->heap[place];
    for (;;) {
        size_t child = place * 2;
        if (child > loop->heap_len)
            break;
        if (child < loop->heap_len && loop->heap[child + 1]->due_us < loop->heap[child]->due_us)
            child++;
        if (loop->heap[child]->due_us >= timer->due_us)
            break;
        put(loop, place, loop->heap[child]);
        place = child;
    }
    put(loop, place, timer);
}

void fl_timer_init(fl_timer *timer, fl_loop_on_timer fn, void *ctx)
{
    *timer = (fl_timer){ .fn = fn, .ctx = ctx };
}

bool fl_timer_start(fl_loop *loop, fl_timer *timer, int64_t delay_us)
{
    fl_timer_stop(loop, timer);
    if (loop->heap_len + 1 >= loop->heap_room) {
        size_t room = loop->heap_room ? loop->heap_room * 2 : 256;
        fl_timer **heap = realloc(loop->heap, room * sizeof(fl_timer *));
        if (!heap)
            return false;
        loop->heap = heap;
        loop->heap_room = room;
    }
    timer->due_us = fl_now_us() + (delay_us > 0 ? delay_us : 0);
    loop->heap[++loop->heap_len] = timer;
    timer->place = loop->heap_len;
    sift_up(loop, loop->heap_len);
    return true;
}

void fl_timer_stop(fl_loop *loop, fl_timer *timer)
{
    size_t place = timer->place;
    if (!place)
        return;
    timer->place = 0;
    fl_timer *last = loop->heap[loop->heap_len--];
    if (last == timer)
        return;
    put(loop, place, last);
    sift_up(loop, place);
    sift_down(loop, last->place);
}

bool fl_timer_restart(fl_loop *loop, fl_timer *timer, fl_loop_on_timer fn, void *ctx, int64_t delay_us)
{
    fl_timer_stop(loop, timer);
    fl_timer_init(timer, fn, ctx);
    return fl_timer_start(loop, timer, delay_us);
}

static void run_due_timers(fl_loop *loop)
{
    int64_t now = fl_now_us();
    while (loop->heap_len && loop->heap[1]->due_us <= now && !loop->quit) {
        fl_timer *timer = loop->heap[1];
        fl_timer_stop(loop, timer);
        timer->fn(timer->ctx);
    }
}

/* Only an earlier due time costs a system call: a late timerfd is re-armed when it fires. */
static int arm_timer_fd(fl_loop *loop)
{
    if (!loop->heap_len || loop->heap[1]->due_us >= loop->armed_for_us)
        return 0;
    int64_t due = loop->heap[1]->due_us;
    struct itimerspec when = { .it_value = { .tv_sec = due / 1000000, .tv_nsec = (due % 1000000) * 1000 } };
    if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        return -errno;
    loop->armed_for_us = due;
    return 0;
}

static void on_timer_fd(void *ctx, int fd, uint32_t events)
{
    fl_loop *loop = ctx;
    (void)events;
    uint64_t times;
    ssize_t n = read(fd, &times, sizeof times); /* non-blocking: nothing to read is fine, too */
    (void)n;
    loop->armed_for_us = INT64_MAX;
}

static void on_signal_fd(void *ctx, int fd, uint32_t events)
{
    fl_loop *loop = ctx;
    (void)events;
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) == (ssize_t)sizeof info && loop->on_signal)
        loop->on_signal(loop->signal_ctx, (int)info.ssi_signo);
}

/* ---- descriptors ---- */

int fl_loop_watch(fl_loop *loop, int fd, uint32_t epoll_events, fl_loop_on_fd fn, void *ctx)
{
    if (fd < 0)
        return -EBADF;
    if ((size_t)fd >= loop->fds_len) {
        size_t len = loop->fds_len ? loop->fds_len : 64;
        while (len <= (size_t)fd)
            len *= 2;
        struct watched *fds = realloc(loop->fds, len * sizeof *fds);
        if (!fds)
            return -ENOMEM;
        memset(fds + loop->fds_len, 0, (len - loop->fds_len) * sizeof *fds);
        loop->fds = fds;
        loop->fds_len = len;
    }
    struct watched *w = &loop->fds[fd];
    if (!w->fn || w->events != epoll_events) {
        struct epoll_event ev = { .events = epoll_events, .data = { .fd = fd } };
        int op = w->fn ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        if (epoll_ctl(loop->epoll_fd, op, fd, &ev) < 0)
            return -errno;
    }
    *w = (struct watched){ .fn = fn, .ctx = ctx, .events = epoll_events };
    return 0;
}

void fl_loop_unwatch(fl_loop *loop, int fd)
{
    if (fd < 0 || (size_t)fd >= loop->fds_len || !loop->fds[fd].fn)
        return;
    /* Fails only for a descriptor that is closed already, which is what we want. */
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    loop->fds[fd] = (struct watched){ 0 };
}

void fl_loop_forget(fl_loop *loop, int fd)
{
    if (fd >= 0 && (size_t)fd < loop->fds_len)
        loop->fds[fd] = (struct watched){ 0 };
}

void fl_loop_set_after(fl_loop *loop, fl_loop_on_timer fn, void *ctx)
{
    loop->after = fn;
    loop->after_ctx = ctx;
}

/* ---- life ---- */

static int open_signal_fd(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    if (sigaction(SIGPIPE, &ignore, NULL) < 0)
        return -1;
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

fl_loop *fl_loop_create(fl_loop_on_signal on_signal, void *ctx)
{
    fl_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return NULL;
    loop->armed_for_us = INT64_MAX;
    loop->on_signal = on_signal;
    loop->signal_ctx = ctx;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    loop->signal_fd = open_signal_fd();
    if (loop->epoll_fd < 0 || loop->timer_fd < 0 || loop->signal_fd < 0 ||
        fl_loop_watch(loop, loop->timer_fd, EPOLLIN, on_timer_fd, loop) < 0 ||
        fl_loop_watch(loop, loop->signal_fd, EPOLLIN, on_signal_fd, loop) < 0) {
        perror("farm-sim: cannot set up the event loop");
        fl_loop_destroy(loop);
        return NULL;
    }
    return loop;
}

void fl_loop_destroy(fl_loop *loop)
{
    if (!loop)
        return;
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    if (loop->timer_fd >= 0)
        close(loop->timer_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop->fds);
    free(loop->heap);
    free(loop);
}

int fl_loop_run(fl_loop *loop)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    loop->quit = false;
    while (!loop->quit) {
        if (loop->after)
            loop->after(loop->after_ctx);
        if (loop->quit)
            break;
        int rc = arm_timer_fd(loop);
        if (rc < 0)
            return rc;
        int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, -1);
        if (n < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            /* An earlier handler of this batch may have closed it. */
            struct watched w = loop->fds[fd];
            if (w.fn)
                w.fn(w.ctx, fd, events[i].events);
        }
        run_due_timers(loop);
    }
    return 0;
}

void fl_loop_quit(fl_loop *loop)
{
    loop->quit = true;
}
