/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c - starts and stops the server: settings of h2o, listeners, threads, the phases of stopping, the counters.
 */
#include "core/http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_LOOPS 256
/* After the deadline of a stop: what a connection takes to notice that it was cut. */
#define CUT_GRACE_US 200000

void fl_http_config_init(fl_http_config *config)
{
    *config = (fl_http_config){
        .max_connections = 50000,
        .head_timeout_us = 10 * 1000000ll,
        .idle_us = 15ll * 60 * 1000000,
        .body_stall_us = 60 * 1000000ll,
        .body_min_rate = 1024,
        .write_timeout_us = 60 * 1000000ll,
        .dead_peer_us = 25 * 1000000ll,
        .max_body = 128ull << 20,
        .stream_min = 64 << 10,
        .spill_bytes = 1ull << 20,
        .file_threads = 2,
        .ws_max_message = 64 << 10,
        .ws_max_queued = 500,
        .ws_max_queued_bytes = 4ull << 20,
        .ws_silence_us = 60 * 1000000ll,
    };
}

/* ---- Start ----------------------------------------------------------------------------------------------------- */

static void set_limits(fl_http *http)
{
    struct rlimit files;
    int64_t shortest = 4000000;
    const int64_t limits[] = { http->config.head_timeout_us, http->config.idle_us, http->config.body_stall_us,
                               http->config.ws_silence_us };
    http->max_connections = http->config.max_connections;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY) {
        uint64_t room = files.rlim_cur > 1024 ? files.rlim_cur - 512 : files.rlim_cur / 2;
        if (room < http->max_connections) {
            fl_info("http", "at most %llu connections instead of %u: limit of open files", (unsigned long long)room,
                    http->max_connections);
            http->max_connections = (uint32_t)room;
        }
    }
    if (http->max_connections == 0)
        http->max_connections = 1;
    /* Limits are kept to a quarter of the shortest, a second at worst. */
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); ++i)
        if (limits[i] > 0 && limits[i] < shortest)
            shortest = limits[i];
    http->tick_us = shortest / 4 > 10000 ? shortest / 4 : 10000;
}

static int32_t set_spill(const fl_http_config *config, flamenco_error *err)
{
    h2o_buffer_mmap_settings_t *settings = &h2o_socket_buffer_mmap_settings;
    char path[sizeof(settings->fn_template)];
    int fd, n;
    if (config->spill_dir == NULL) {
        settings->threshold = SIZE_MAX;
        return FLAMENCO_OK;
    }
    n = snprintf(path, sizeof(path), "%s/.http-body-XXXXXX", config->spill_dir);
    if (n < 0 || (size_t)n >= sizeof(path))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "body directory %s: path too long", config->spill_dir);
    memcpy(settings->fn_template, path, (size_t)n + 1);
    /* h2o drops a connection without a word when it cannot spill: find out now. */
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return flamenco_fail(err, FLAMENCO_E_IO, "body directory %s: %s", config->spill_dir, strerror(errno));
    unlink(path);
    close(fd);
    settings->threshold = (size_t)config->spill_bytes;
    return FLAMENCO_OK;
}

static void set_up_h2o(fl_http *http)
{
    h2o_globalconf_t *conf = &http->globalconf;
    h2o_hostconf_t *host;
    h2o_pathconf_t *path;
    h2o_config_init(conf);
    http->globalconf_ready = 1;
    conf->server_name = h2o_iovec_init(NULL, 0);
    conf->max_request_entity_size = (size_t)http->config.max_body;
    conf->http1.upgrade_to_http2 = 0;
    /* Without HTTP/2, h2o_context_request_shutdown would leave a timer behind that dispose stumbles over. */
    conf->http2.callbacks.request_shutdown = NULL;
    host = h2o_config_register_host(conf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    path = h2o_config_register_path(host, "/", 0);
    path->error_log.emit_request_errors = 0;
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = fl_request_on_req;
}

static void set_id_prefix(fl_http *http)
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
    uint8_t bytes[4] = { 0 };
    if (getrandom(bytes, sizeof(bytes), GRND_NONBLOCK) != (ssize_t)sizeof(bytes)) {
        int64_t now = fl_http_now_us();
        memcpy(bytes, &now, sizeof(bytes));
    }
    for (size_t i = 0; i < sizeof(bytes); ++i)
        http->id_prefix[i] = letters[bytes[i] % (sizeof(letters) - 1)];
}

/* Threads start with every signal blocked: h2o's loop does not like EINTR, and signals are the main thread's. */
static int32_t start_threads(fl_http *http, flamenco_error *err)
{
    sigset_t all, before;
    int32_t result = FLAMENCO_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = fl_files_start(http);
    if (result == FLAMENCO_OK)
        result = fl_bodies_start(http);
    for (; result == FLAMENCO_OK && http->n_started < http->n_loops; ++http->n_started) {
        fl_loop *loop = &http->loops[http->n_started];
        char name[16];
        if (pthread_create(&loop->thread, NULL, fl_loop_main, loop) != 0) {
            result = FLAMENCO_E_NOMEM;
            break;
        }
        snprintf(name, sizeof(name), "http-%zu", http->n_started);
        pthread_setname_np(loop->thread, name);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != FLAMENCO_OK)
        flamenco_fail(err, result, "http: cannot start a thread");

    /* No loop serves before all of them are there; a failed start makes them end at once. */
    pthread_mutex_lock(&http->lock);
    while (http->n_ready < http->n_started)
        pthread_cond_wait(&http->changed, &http->lock);
    for (size_t i = 0; i < http->n_started; ++i)
        if (http->loops[i].failed != FLAMENCO_OK && result == FLAMENCO_OK)
            result = flamenco_fail(err, http->loops[i].failed, "http: cannot make an event loop: no descriptors left");
    if (result != FLAMENCO_OK)
        atomic_store(&http->phase, FL_PHASE_CUT);
    http->go = 1;
    pthread_cond_broadcast(&http->changed);
    pthread_mutex_unlock(&http->lock);
    return result;
}

static void join_threads(fl_http *http)
{
    for (size_t i = 0; i < http->n_started; ++i)
        pthread_join(http->loops[i].thread, NULL);
    http->n_started = 0;
    fl_files_stop(http);
    fl_bodies_stop(http);
}

static int32_t set_up_locks(fl_http *http)
{
    pthread_condattr_t attr;
    if (pthread_mutex_init(&http->lock, NULL) != 0)
        return FLAMENCO_E_NOMEM;
    if (pthread_condattr_init(&attr) == 0) {
        int failed =
            pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 || pthread_cond_init(&http->changed, &attr) != 0;
        pthread_condattr_destroy(&attr);
        if (!failed && fl_deflate_init(&http->deflate) == FLAMENCO_OK)
            return FLAMENCO_OK;
        if (!failed)
            pthread_cond_destroy(&http->changed);
    }
    pthread_mutex_destroy(&http->lock);
    return FLAMENCO_E_NOMEM;
}

static int32_t set_up_loops(fl_http *http)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = http->config.loops > 0 ? http->config.loops : cores > 0 ? (size_t)cores : 1;
    if (n > MAX_LOOPS)
        n = MAX_LOOPS;
    http->loops = calloc(n, sizeof(http->loops[0]));
    if (http->loops == NULL)
        return FLAMENCO_E_NOMEM;
    for (; http->n_loops < n; ++http->n_loops)
        if (fl_loop_init(http, &http->loops[http->n_loops], (uint32_t)http->n_loops) != FLAMENCO_OK)
            return FLAMENCO_E_NOMEM;
    return FLAMENCO_OK;
}

int32_t fl_http_start(const fl_http_config *config, fl_http **out, flamenco_error *err)
{
    fl_http *http = calloc(1, sizeof(*http));
    int32_t result = FLAMENCO_OK;
    if (http == NULL || set_up_locks(http) != FLAMENCO_OK) {
        for (size_t i = 0; i < config->n_inherited; ++i)
            close(config->inherited[i]);
        for (size_t i = 0; i < config->n_adopted; ++i)
            close(config->adopted[i]);
        free(http);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "http: no memory");
    }
    http->config = *config;
    set_limits(http);
    set_id_prefix(http);
    result = fl_listen_open(http, err);
    if (result == FLAMENCO_OK)
        result = set_spill(config, err);
    if (result == FLAMENCO_OK)
        result = fl_tls_open(config, &http->ssl, err);
    if (result == FLAMENCO_OK && set_up_loops(http) != FLAMENCO_OK)
        result = flamenco_fail(err, FLAMENCO_E_NOMEM, "http: no memory");
    if (result == FLAMENCO_OK) {
        set_up_h2o(http);
        result = start_threads(http, err);
        if (result != FLAMENCO_OK)
            join_threads(http);
    }
    /* Once there are threads, they take the connections over, whatever comes. */
    for (size_t i = 0; result != FLAMENCO_OK && !http->go && i < config->n_adopted; ++i)
        close(config->adopted[i]);
    if (result != FLAMENCO_OK) {
        fl_http_destroy(http);
        return result;
    }
    *out = http;
    return FLAMENCO_OK;
}

/* ---- Stop ------------------------------------------------------------------------------------------------------ */

static void enter_phase(fl_http *http, int phase)
{
    int before = atomic_load(&http->phase);
    while (before < phase && !atomic_compare_exchange_weak(&http->phase, &before, phase))
        ;
    if (before < phase)
        for (size_t i = 0; i < http->n_loops; ++i)
            fl_loop_wake(&http->loops[i]);
}

void fl_http_drain(fl_http *http)
{
    enter_phase(http, FL_PHASE_DRAIN);
}

void fl_http_keep_connections(fl_http *http)
{
    if (http->ssl == NULL)
        atomic_store(&http->keeps, 1);
}

size_t fl_http_kept(fl_http *http, const int **fds_out)
{
    pthread_mutex_lock(&http->lock);
    size_t n = http->n_kept;
    *fds_out = http->kept;
    pthread_mutex_unlock(&http->lock);
    return n;
}

/* Returns whether all loops have ended by then. */
static int wait_for_loops(fl_http *http, int64_t deadline_us)
{
    struct timespec until = { .tv_sec = deadline_us / 1000000, .tv_nsec = deadline_us % 1000000 * 1000 };
    int all;
    pthread_mutex_lock(&http->lock);
    while (http->n_ended < http->n_loops)
        if (pthread_cond_timedwait(&http->changed, &http->lock, &until) == ETIMEDOUT)
            break;
    all = http->n_ended == http->n_loops;
    pthread_mutex_unlock(&http->lock);
    return all;
}

int32_t fl_http_stop(fl_http *http, int64_t deadline_us, flamenco_error *err)
{
    enter_phase(http, FL_PHASE_STOP);
    if (!wait_for_loops(http, deadline_us)) {
        enter_phase(http, FL_PHASE_CUT);
        if (!wait_for_loops(http, fl_http_now_us() + CUT_GRACE_US)) {
            uint64_t pending = 0, connections = 0;
            for (size_t i = 0; i < http->n_loops; ++i) {
                pending += atomic_load(&http->loops[i].n_pending);
                connections += atomic_load(&http->loops[i].n_conns);
            }
            return flamenco_fail(err, FLAMENCO_E_DEADLINE,
                                 "http: %llu requests on %llu connections were not answered in time",
                                 (unsigned long long)pending, (unsigned long long)connections);
        }
    }
    join_threads(http);
    return FLAMENCO_OK;
}

void fl_http_destroy(fl_http *http)
{
    if (http == NULL)
        return;
    assert(http->n_started == 0);
    fl_files_stop(http);
    fl_bodies_stop(http);
    for (size_t i = 0; i < http->n_loops; ++i)
        fl_loop_fini(&http->loops[i]);
    free(http->loops);
    free(http->kept);
    if (http->globalconf_ready)
        h2o_config_dispose(&http->globalconf);
    SSL_CTX_free(http->ssl);
    fl_listen_close(http);
    fl_deflate_fini(&http->deflate);
    pthread_cond_destroy(&http->changed);
    pthread_mutex_destroy(&http->lock);
    free(http);
}

/* ---- Questions ------------------------------------------------------------------------------------------------- */

flamenco_str fl_http_address(const fl_http *http, size_t n)
{
    return flamenco_text(n < http->n_listeners ? http->listeners[n].text : NULL);
}

size_t fl_http_listen_fds(fl_http *http, int *fds, size_t cap)
{
    size_t n = http->n_listeners < cap ? http->n_listeners : cap;
    for (size_t i = 0; i < n; ++i) {
        fds[i] = http->listeners[i].fd;
        fcntl(fds[i], F_SETFD, 0);
    }
    http->listeners_taken = 1;
    return n;
}

size_t fl_http_loop_count(const fl_http *http)
{
    return http->n_loops;
}

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void fl_http_loop_stats(const fl_http *http, size_t index, fl_http_stats *out)
{
    const fl_loop *loop = &http->loops[index];
    *out = (fl_http_stats){
        .connections = read_counter(&loop->n_conns),
        .websockets = read_counter(&loop->n_ws),
        .pending = read_counter(&loop->n_pending),
        .held = read_counter(&loop->n_held),
        .accepted = read_counter(&loop->n_accepted),
        .requests = read_counter(&loop->n_requests),
        .refused = read_counter(&loop->n_refused),
        .cut = read_counter(&loop->n_cut),
        .accept_pauses = read_counter(&loop->n_pauses),
        .bytes_in = read_counter(&loop->n_in),
        .bytes_out = read_counter(&loop->n_out),
    };
}
