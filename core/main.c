/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - flamenco-manager: reads the command line and the configuration, runs the manager until a signal ends it, and
 * starts it anew in place when that is asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/announcer.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/child.h"
#include "core/copy.h"
#include "core/garbage.h"
#include "core/lifecycle.h"
#include "core/options.h"
#include "core/places.h"
#include "core/step.h"
#include "core/version.h"

#define LISTEN_FDS_ENV "FLAMENCO_LISTEN_FDS" /* listening sockets handed over by execve, "3,4" */
#define CONNECTIONS_ENV "FLAMENCO_CONNECTIONS" /* a file in memory with the descriptors of connections, as ints */
#define FDS_MAX 16
#define STOP_AT_MOST_S 30
#define STANDBY_LOOK_NS 250000000
#define CHECK_AT_MOST_US INT64_C(30000000)

static void block_signals(sigset_t *set)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigaction(SIGPIPE, &ignore, NULL);
    /* A file beyond `ulimit -f` is a write that fails, not the end. */
    sigaction(SIGXFSZ, &ignore, NULL);
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

/* As many open files as the system lets us have: each worker keeps a connection. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        fl_warn("manager", "the limit of open files stays low: %s", strerror(errno));
}

static size_t read_listen_fds(int *fds)
{
    const char *text = getenv(LISTEN_FDS_ENV);
    size_t n = 0;
    while (text != NULL && *text != '\0' && n < FDS_MAX) {
        char *end = NULL;
        long fd = strtol(text, &end, 10);
        if (end == text || fd < 3 || fd > 1 << 20)
            break;
        fds[n++] = (int)fd;
        text = *end == ',' ? end + 1 : end;
    }
    unsetenv(LISTEN_FDS_ENV);
    return n;
}

/* Reads the list of connections that restart_in_place wrote. *out is NULL when there is none. */
static size_t read_connections(int **out)
{
    const char *text = getenv(CONNECTIONS_ENV);
    struct stat st;
    size_t n = 0;
    int file = text != NULL ? (int)strtol(text, NULL, 10) : -1;
    *out = NULL;
    if (file >= 3 && fstat(file, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        *out = malloc((size_t)st.st_size);
    if (*out != NULL) {
        ssize_t got = pread(file, *out, (size_t)st.st_size, 0);
        n = got > 0 ? (size_t)got / sizeof(**out) : 0;
    }
    if (file >= 3)
        close(file);
    unsetenv(CONNECTIONS_ENV);
    return n;
}

/* What stands between the command line and a run. */
typedef struct program {
    fl_options options;
    fl_places places;
    fl_config_problems problems;
    fl_run run;
    char **argv;
    int listen_fds[FDS_MAX];
    int *connections;
    fl_inherited inherited; /* the two above */
    char standby_why[256]; /* what a standby waits for, as it was logged last */
    int standby_signal; /* what ended its wait; 0 = nothing */
    int start_signal; /* atomic: what asked for the end while it started; 0 = nothing */
    uint32_t started; /* atomic */
} program;

/* Reads both files. What the second one lacks or has wrong does not keep the first one's plugins from being looked at, so
 * that --check-config tells everything at once. */
static int32_t load_configuration(program *p)
{
    flamenco_str cwd = flamenco_text(p->places.cwd);
    int32_t rc = fl_manager_yaml_load(p->options.config, p->places.manager_yaml, cwd, &p->problems, &p->run.yaml);
    fl_config_options options = { .yaml = rc == FLAMENCO_OK ? p->run.yaml : NULL,
                                  .cwd = cwd,
                                  .executable_dir = flamenco_text(p->places.directory),
                                  .program = "Flamenco " FL_VERSION,
                                  .force_first_run = p->options.setup_assistant };
    int32_t opened = fl_config_open(&options, &p->problems, &p->run.f.config);
    if (opened != FLAMENCO_OK && opened != FLAMENCO_E_NOMEM) {
        fl_config_problems told_already = { 0 };
        options.ignore_file = 1;
        (void)fl_config_open(&options, &told_already, &p->run.f.config);
        fl_config_problems_fini(&told_already);
    }
    return rc != FLAMENCO_OK ? rc : opened;
}

/* On a first run nothing is to touch the storage of a configuration that is about to be written anew (contract: shaman 1). What
 * only looks at the configuration sees the plugin all the same. */
static void leave_shaman_out(program *p)
{
    if (p->options.list_plugins || p->options.check_config)
        return;
    const fl_config_snapshot *current = fl_config_current(p->run.f.config);
    if (current->first_run)
        fl_manager_yaml_disable(p->run.yaml, "shaman");
    fl_config_unref(current);
}

static int32_t load_plugins(program *p)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    leave_shaman_out(p);
    fl_loader_places where = { &p->places, p->run.f.config, flamenco_text(p->places.cwd) };
    int32_t rc = fl_run_prepare(&p->run, &err);
    if (rc != FLAMENCO_OK) {
        fl_error("manager", "%s", err.text);
        return rc;
    }
    return fl_loader_load(&p->run.f, p->run.yaml, &where, &p->problems, &p->run.f.loader);
}

static void set_versions(program *p)
{
    struct flamenco *f = &p->run.f;
    snprintf(f->version, sizeof(f->version), "%s", FL_GIT);
    flamenco_str reported = p->run.yaml->reported_version;
    if (reported.len > 0)
        snprintf(f->reported_version, sizeof(f->reported_version), "%.*s", FL_STR_ARGS(reported));
    else
        snprintf(f->reported_version, sizeof(f->reported_version), "3.9");
}

static void list_plugins(const fl_loader *loader)
{
    for (size_t i = 0; i < fl_loader_count(loader); ++i) {
        fl_plugin_info info = fl_loader_info(loader, i);
        printf("%-18s %-20s %-10s %-12s %s\n  %s\n", info.member, info.name, info.version, info.licence, info.services,
               info.file);
    }
}

/* ---- One run ---------------------------------------------------------------------------------------------------------- */

/* Waits until something ends the run. Returns FL_WANT_*; NOTHING for a signal that asks for a normal end. */
static uint32_t wait_for_end(fl_run *run, const sigset_t *signals)
{
    struct flamenco *f = &run->f;
    int fd = signalfd(-1, signals, SFD_CLOEXEC);
    if (fd < 0) {
        fl_error("manager", "cannot receive signals: %s", strerror(errno));
        return FL_WANT_FAIL;
    }
    struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
                            { .fd = f->wake_fd, .events = POLLIN },
                            { .fd = fl_announcer_fd(run->announcer), .events = POLLIN } };
    uint32_t wanted = FL_WANT_NOTHING;
    for (;;) {
        if (poll(fds, 3, fl_announcer_wait_ms(run->announcer)) < 0) {
            if (errno == EINTR)
                continue;
            wanted = FL_WANT_FAIL;
            break;
        }
        fl_announcer_run(run->announcer);
        wanted = __atomic_load_n(&f->wanted, __ATOMIC_ACQUIRE);
        if (wanted != FL_WANT_NOTHING)
            break;
        struct signalfd_siginfo info;
        if (!(fds[0].revents & POLLIN) || read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
            continue;
        if (info.ssi_signo == SIGHUP) {
            fl_info("manager", "restarting: hung up");
            wanted = FL_WANT_RESTART;
            break;
        }
        if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM) {
            fl_info("manager", "stopping: %s", info.ssi_signo == SIGINT ? "interrupted" : "terminated");
            break;
        }
    }
    close(fd);
    return wanted;
}

/* While the manager starts: a signal that asks for the end is told to whoever looks, such as an import that takes minutes; a second
 * one ends the process at once. */
static void *watch_start(void *arg)
{
    program *p = arg;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    for (;;) {
        int signal = sigwaitinfo(&set, NULL);
        if (signal == SIGUSR1 && __atomic_load_n(&p->started, __ATOMIC_ACQUIRE))
            return NULL;
        if (signal != SIGINT && signal != SIGTERM)
            continue;
        if (__atomic_exchange_n(&p->start_signal, signal, __ATOMIC_ACQ_REL) != 0) {
            fl_error("manager", "leaving at once, nothing acknowledged is lost");
            _exit(1);
        }
        fl_info("manager", "stopping: %s", signal == SIGINT ? "interrupted" : "terminated");
        __atomic_store_n(&p->run.f.stopping, 1, __ATOMIC_RELEASE);
    }
}

static int32_t start_watched(program *p, flamenco_error *err)
{
    pthread_t thread;
    int watched = pthread_create(&thread, NULL, watch_start, p) == 0; /* else signals wait until it has started */
    int32_t rc = fl_run_start(&p->run, &p->inherited, err);
    __atomic_store_n(&p->started, 1, __ATOMIC_RELEASE);
    if (watched) {
        pthread_kill(thread, SIGUSR1);
        pthread_join(thread, NULL);
    }
    return rc;
}

/* What goes on beside a stop. */
typedef struct stop_watch {
    uint32_t stopped; /* atomic */
    uint32_t may_restart; /* atomic: it is to start anew, and nobody has asked it to end since */
} stop_watch;

/* While the manager stops: a second signal, or too long a time, ends the process at once. A signal that comes while it is
 * about to start anew is the first one. */
static void *watch_stop(void *arg)
{
    sigset_t set;
    stop_watch *watch = arg;
    int64_t until_us = fl_monotonic_us() + STOP_AT_MOST_S * INT64_C(1000000);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    int signal;
    for (;;) {
        int64_t left_us = until_us - fl_monotonic_us();
        struct timespec limit = { .tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000 };
        signal = left_us > 0 ? sigtimedwait(&set, NULL, &limit) : -1;
        if (__atomic_load_n(&watch->stopped, __ATOMIC_ACQUIRE))
            return NULL;
        if (left_us <= 0 || (signal > 0 && !__atomic_exchange_n(&watch->may_restart, 0, __ATOMIC_ACQ_REL)))
            break;
        if (signal > 0)
            fl_info("manager", "stopping instead of restarting");
    }
    fl_error("manager", signal < 0 ? "something hangs; leaving after 30 s, nothing acknowledged is lost"
                                   : "leaving at once, nothing acknowledged is lost");
    _exit(1);
}

/* *restarting becomes 0 when it is to end after all. */
static size_t stop_watched(fl_run *run, int *restarting, int *fds)
{
    pthread_t thread;
    stop_watch watch = { .may_restart = *restarting != 0 };
    int watched = pthread_create(&thread, NULL, watch_stop, &watch) == 0;
    size_t n = fl_run_stop(run, *restarting, fds, FDS_MAX);
    __atomic_store_n(&watch.stopped, 1, __ATOMIC_RELEASE);
    if (watched) {
        pthread_kill(thread, SIGUSR1);
        pthread_join(thread, NULL);
    }
    *restarting = (int)__atomic_load_n(&watch.may_restart, __ATOMIC_ACQUIRE);
    return n;
}

/* Leaves the connections that are to go on to the new image. Without memory for the list they end with this one. */
static void hand_connections_on(const int *fds, size_t n)
{
    char text[16];
    int file = n > 0 ? memfd_create("connections", 0) : -1;
    if (file < 0)
        return;
    if (write(file, fds, n * sizeof(*fds)) != (ssize_t)(n * sizeof(*fds))) {
        close(file);
        return;
    }
    for (size_t i = 0; i < n; ++i)
        fcntl(fds[i], F_SETFD, 0);
    snprintf(text, sizeof(text), "%d", file);
    setenv(CONNECTIONS_ENV, text, 1);
}

/* Becomes the program anew, with the same process id, listening sockets and connections. Returns only on failure. */
static void restart_in_place(program *p, const int *fds, size_t n)
{
    char text[FDS_MAX * 8] = "";
    for (size_t i = 0; i < n; ++i) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%d", i > 0 ? "," : "", fds[i]);
    }
    const int *connections = NULL;
    size_t n_connections = fl_run_kept(&p->run, &connections);
    setenv(LISTEN_FDS_ENV, text, 1);
    hand_connections_on(connections, n_connections);
    /* Signals stay blocked: one that comes now waits for the new program, instead of ending it before it can listen. */
    execv(p->places.program, p->argv);
    fl_error("manager", "cannot start %s anew: %s", p->places.program, strerror(errno));
}

/* Looks whether the program could start anew at all, by letting it check the configuration: a manager that is up must not go
 * down over a typing error. It serves meanwhile. */
static int may_restart(program *p)
{
    size_t n = 0, given = 0;
    int status = 0;
    fl_buf nothing = { 0 };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_child_options options = { .deadline_us = fl_monotonic_us() + CHECK_AT_MOST_US, .own_output = 1 };
    while (p->argv[given] != NULL)
        ++given;
    const char **argv = calloc(given + 4, sizeof(*argv));
    if (argv == NULL) {
        fl_error("manager", "not restarting: out of memory");
        return 0;
    }
    argv[n++] = p->places.program;
    argv[n++] = "--check-config";
    argv[n++] = "--quiet";
    for (size_t i = 1; i < given; ++i)
        argv[n++] = p->argv[i];
    int32_t rc = fl_child_run(argv, &options, &nothing, &status, &err);
    free(argv);
    if (rc != FLAMENCO_OK)
        fl_error("manager", "not restarting, the manager goes on as it is: cannot run %s: %s", p->places.program,
                 err.text);
    else if (status != 0)
        fl_error("manager", "not restarting, the manager goes on as it is: the configuration cannot be used");
    return rc == FLAMENCO_OK && status == 0;
}

/* Forgets that a restart was wanted. */
static void forget_restart(struct flamenco *f)
{
    uint64_t rings;
    uint32_t restart = FL_WANT_RESTART;
    (void)__atomic_compare_exchange_n(&f->wanted, &restart, FL_WANT_NOTHING, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    while (read(f->wake_fd, &rings, sizeof(rings)) < 0 && errno == EINTR)
        continue; /* otherwise it has nothing to say, or what it says is in f->wanted */
}

/* A standby: waits a moment, or for a signal. What it inherited it gives up, since another manager serves now. */
static int wait_for_lease(void *ctx, const char *why)
{
    program *p = ctx;
    struct timespec moment = { .tv_nsec = STANDBY_LOOK_NS };
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    if (strcmp(why, p->standby_why) != 0)
        fl_info("manager", "standing by: %s", why);
    snprintf(p->standby_why, sizeof(p->standby_why), "%s", why);
    for (size_t i = 0; i < p->inherited.n_listen; ++i)
        close(p->inherited.listen[i]);
    for (size_t i = 0; i < p->inherited.n_connections; ++i)
        close(p->inherited.connections[i]);
    p->inherited.n_listen = p->inherited.n_connections = 0;
    int signal = sigtimedwait(&set, NULL, &moment);
    p->standby_signal = signal > 0 ? signal : __atomic_load_n(&p->start_signal, __ATOMIC_ACQUIRE);
    return p->standby_signal > 0;
}

/* A signal has ended a standby's wait. */
static int end_standby(program *p, const int *fds)
{
    if (p->standby_signal == SIGHUP) {
        if (may_restart(p))
            restart_in_place(p, fds, 0);
        return 1;
    }
    fl_info("manager", "stopped");
    return 0;
}

static int run_manager(program *p, const sigset_t *signals)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int fds[FDS_MAX];
    int restarting = 0;
    fl_run *run = &p->run;
    if (p->options.standby) {
        run->on_busy = wait_for_lease;
        run->on_busy_ctx = p;
    }
    int32_t rc = start_watched(p, &err);
    if (rc == FLAMENCO_E_CANCELLED && p->standby_signal > 0) {
        stop_watched(run, &restarting, fds);
        return end_standby(p, fds);
    }
    if (rc == FLAMENCO_E_CANCELLED && p->start_signal != 0) {
        stop_watched(run, &restarting, fds);
        fl_info("manager", "stopped");
        return 0;
    }
    if (rc != FLAMENCO_OK) {
        fl_error("manager", "cannot start: %s", err.text);
        stop_watched(run, &restarting, fds);
        return 1;
    }
    fl_info("manager", "ready");
    uint32_t wanted = p->start_signal != 0 ? FL_WANT_NOTHING : wait_for_end(run, signals);
    while (wanted == FL_WANT_RESTART && !may_restart(p)) {
        forget_restart(&run->f);
        wanted = wait_for_end(run, signals);
    }
    restarting = wanted == FL_WANT_RESTART;
    size_t n = stop_watched(run, &restarting, fds);
    if (restarting)
        restart_in_place(p, fds, n);
    if (run->hangs) {
        fl_error("manager", "a request hangs, leaving without it");
        _exit(1);
    }
    if (restarting)
        return 1;
    fl_info("manager", "stopped");
    return wanted == FL_WANT_FAIL;
}

/* ---- Program ------------------------------------------------------------------------------------------------------------ */

static int write_config(program *p)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (fl_config_write(p->run.f.config, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, &err) == FLAMENCO_OK)
        return 0;
    fl_error("config", "%s", err.text);
    return 1;
}

static int run_program(program *p, const sigset_t *signals)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (fl_places_find(&p->places, &err) != FLAMENCO_OK) {
        fl_error("manager", "%s", err.text);
        return 1;
    }
    int32_t rc = load_configuration(p);
    if (rc == FLAMENCO_OK && p->options.write_config) {
        fl_config_problems_log(&p->problems, "config");
        return write_config(p);
    }
    if (p->options.copy_data) {
        fl_config_problems_log(&p->problems, "config");
        fl_copy_options copy = { p->options.from, p->options.to, &p->places, p->run.yaml, p->run.f.config };
        pthread_sigmask(SIG_UNBLOCK, signals, NULL); /* may be killed at any moment */
        return rc != FLAMENCO_OK ? 1 : fl_copy_data(&copy);
    }
    if (p->run.yaml != NULL && p->run.f.config != NULL) {
        set_versions(p);
        int32_t loaded = load_plugins(p);
        rc = rc != FLAMENCO_OK ? rc : loaded;
    }
    fl_config_problems_log(&p->problems, "config");
    if (p->options.list_plugins && p->run.f.loader != NULL)
        list_plugins(p->run.f.loader);
    if (rc != FLAMENCO_OK || p->problems.errors > 0)
        return 1;
    if (p->options.check_config) {
        fl_info("config", "the configuration can be used");
        return 0;
    }
    if (p->options.list_plugins)
        return 0;
    if (p->options.gc_show || p->options.gc_delete) {
        /* May be killed at any moment. */
        pthread_sigmask(SIG_UNBLOCK, signals, NULL);
        fl_garbage_collect(&p->run, p->options.gc_show);
        return 0;
    }
    return run_manager(p, signals);
}

int main(int argc, char **argv)
{
    static program p; /* large, and the only one */
    sigset_t signals;
    p.argv = argv;
    p.run.f.wake_fd = -1;
    if (fl_options_read(argc, argv, &p.options) != 0)
        return 2;
    if (p.options.help) {
        fl_options_usage(0);
        return 0;
    }
    fl_log_setup(STDOUT_FILENO, p.options.log_json ? FL_LOG_JSON : FL_LOG_TEXT, fl_options_log_level(&p.options));
    if (p.options.version) {
        printf("flamenco-manager %s (%s)\n", FL_VERSION, FL_GIT);
        return 0;
    }
    fl_info("manager", "Flamenco Manager in C %s (%s), plugin ABI %d.%d", FL_VERSION, FL_GIT, FLAMENCO_ABI_MAJOR,
            FLAMENCO_ABI_MINOR);
    block_signals(&signals);
    raise_file_limit();
    p.inherited.n_listen = read_listen_fds(p.listen_fds);
    p.inherited.n_connections = read_connections(&p.connections);
    p.inherited.listen = p.listen_fds;
    p.inherited.connections = p.connections;
    if (p.inherited.n_listen > 0)
        p.options.setup_assistant = 0; /* it was meant for the first start, and this is a restart in place */
    int code = run_program(&p, &signals);
    fl_config *config = p.run.f.config; /* outlives the plugins, which read it */
    fl_run_destroy(&p.run);
    fl_config_close(config);
    fl_manager_yaml_destroy(p.run.yaml);
    fl_config_problems_fini(&p.problems);
    free(p.connections);
    return code;
}
