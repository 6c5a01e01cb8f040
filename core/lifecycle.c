/* SPDX-License-Identifier: Apache-2.0 */
#include "core/lifecycle.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/api/credentials.h"
#include "core/api/dispatch.h"
#include "core/api/event_stream.h"
#include "core/api/events.h"
#include "core/api/shaman_stream.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/budget.h"
#include "core/executor.h"
#include "core/first_run.h"
#include "core/host.h"
#include "core/http/http.h"
#include "core/listeners.h"
#include "core/metrics.h"
#include "core/own_urls.h"
#include "core/parked.h"
#include "core/probes.h"
#include "core/publisher.h"
#include "core/purge.h"
#include "core/timers.h"
#include "core/touches.h"
#include "core/workpool.h"

#define SECOND_US INT64_C(1000000)
#define BATCH_STEPS 128u
#define BATCH_US 10000
#define URLS_MAX 32u
#define ANNOUNCE_WAIT_US 500000 /* of service between the shutdown event and its end */
#define TAKEOVER_LISTEN_US (15 * SECOND_US)
#define TAKEOVER_RETRY_US 100000
#define DEV_PORT "8081" /* the web app's development server */

void fl_manager_fail(struct flamenco *f, const char *reason)
{
    uint64_t one = 1;
    if (__atomic_exchange_n(&f->wanted, FL_WANT_FAIL, __ATOMIC_ACQ_REL) == FL_WANT_FAIL)
        return;
    fl_error("manager", "stopping: %s", reason);
    if (write(f->wake_fd, &one, sizeof(one)) < 0)
        abort(); /* an eventfd with room cannot fail; a manager that cannot stop must not go on */
}

void fl_manager_restart(struct flamenco *f)
{
    uint32_t nothing = FL_WANT_NOTHING;
    uint64_t one = 1;
    if (!__atomic_compare_exchange_n(&f->wanted, &nothing, FL_WANT_RESTART, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return;
    fl_info("manager", "restarting");
    if (write(f->wake_fd, &one, sizeof(one)) < 0)
        abort();
}

/* ---- The core's own host ---------------------------------------------------------------------------------------------- */

const flamenco_host *fl_core_host(struct flamenco *f)
{
    return &f->core_host->table;
}

int32_t fl_run_prepare(fl_run *run, flamenco_error *err)
{
    struct flamenco *f = &run->f;
    f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    run->arena = fl_arena_create(0);
    f->touches = fl_touches_create();
    f->listeners = fl_listeners_create();
    f->metrics = fl_metrics_create();
    f->event_streams = f->listeners != NULL ? fl_event_streams_create(f) : NULL;
    f->credentials = fl_credentials_create();
    f->parked = fl_parked_create(f);
    f->reply_budget = fl_budget_create((uint64_t)run->yaml->limits.reply_memory_bytes);
    f->compile_budget = fl_budget_create((uint64_t)run->yaml->limits.compile_memory_bytes);
    f->core_host = calloc(1, sizeof(*f->core_host));
    if (f->wake_fd < 0 || run->arena == NULL || f->touches == NULL || f->listeners == NULL || f->metrics == NULL ||
        f->event_streams == NULL || f->credentials == NULL || f->parked == NULL || f->core_host == NULL ||
        f->reply_budget == NULL || f->compile_budget == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the manager");
    fl_host_init(f->core_host, f, "core", f, NULL);
    f->http_settings = &run->yaml->http;
    f->limits = &run->yaml->limits;
    return FLAMENCO_OK;
}

/* ---- Steps that the start waits for ---------------------------------------------------------------------------------- */

typedef struct waited_step {
    fl_step step;
    pthread_mutex_t lock;
    pthread_cond_t done;
    int ended;
    int32_t result;
    flamenco_error err;
} waited_step;

static int32_t run_repair(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    (void)step;
    return flamenco_state_machine_repair(&cx->f->state_machine, &cx->pub, err);
}

static void repair_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    waited_step *w = (waited_step *)(void *)step;
    pthread_mutex_lock(&w->lock);
    w->ended = 1;
    w->result = result;
    w->err = *err;
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

static const fl_step_ops repair_ops = {
    .name = "repair", .kind = FLAMENCO_STEP_WRITE, .run = run_repair, .done = repair_done
};

static int32_t repair(struct flamenco *f, flamenco_error *err)
{
    waited_step w = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };
    w.step.ops = &repair_ops;
    fl_executor_submit(f->executor, &w.step);
    pthread_mutex_lock(&w.lock);
    while (!w.ended)
        pthread_cond_wait(&w.done, &w.lock);
    pthread_mutex_unlock(&w.lock);
    if (w.result != FLAMENCO_OK)
        return flamenco_fail(err, w.result, "jobs that a crash left half changed cannot be repaired: %s", w.err.text);
    return FLAMENCO_OK;
}

/* ---- Start ------------------------------------------------------------------------------------------------------------- */

static int32_t start_executor(fl_run *run, flamenco_error *err)
{
    struct flamenco *f = &run->f;
    fl_executor_config config = { .readers = (uint32_t)run->yaml->limits.readers,
                                  .batch_steps = BATCH_STEPS,
                                  .batch_us = BATCH_US,
                                  .step_deadline_us = run->yaml->limits.request_timeout_us,
                                  .read_deadline_us = run->yaml->limits.read_timeout_us };
    return fl_executor_start(f, &config, &f->executor, err);
}

static void log_done(void *ctx, const fl_http_done *done)
{
    (void)ctx;
    if (fl_log_enabled(FLAMENCO_LOG_DEBUG))
        fl_log(FLAMENCO_LOG_DEBUG, "http", "%.*s %.*s %d %lluus from %.*s", FL_STR_ARGS(done->method),
               FL_STR_ARGS(done->path), done->status, (unsigned long long)done->total_us, FL_STR_ARGS(done->peer));
}

static uint64_t largest_body(const fl_http_settings *s)
{
    int64_t largest = s->body_json_bytes;
    if (s->body_job_bytes > largest)
        largest = s->body_job_bytes;
    if (s->body_image_bytes > largest)
        largest = s->body_image_bytes;
    return (uint64_t)largest;
}

/* The limits of manager.yaml as core/http takes them. */
static void fill_http_config(fl_run *run, fl_http_config *config)
{
    const fl_http_settings *s = &run->yaml->http;
    fl_http_config_init(config);
    config->loops = (uint32_t)s->threads;
    if (s->connections > 0)
        config->max_connections = (uint32_t)s->connections;
    config->head_timeout_us = s->head_timeout_us;
    config->idle_us = s->idle_timeout_us;
    config->body_stall_us = s->body_timeout_us;
    config->body_min_rate = (uint64_t)s->body_rate_bytes;
    config->write_timeout_us = s->reply_timeout_us;
    config->max_body = largest_body(s);
    config->body_limit = fl_dispatch_body_limit;
    config->spill_bytes = (uint64_t)s->spill_above_bytes;
    config->spill_dir = s->spill_directory.len > 0 ? s->spill_directory.ptr : "/tmp";
    if (s->tls_certificate.len > 0) {
        config->tls_cert = s->tls_certificate.ptr;
        config->tls_key = s->tls_key.ptr;
    }
    config->ws_max_message = (uint64_t)s->websocket_message_bytes;
    config->ws_max_queued = (uint32_t)s->websocket_messages;
    config->ws_max_queued_bytes = (uint64_t)s->websocket_queue_bytes;
    config->ws_silence_us = s->websocket_timeout_us;
    config->on_request = fl_dispatch;
    config->on_gone = fl_dispatch_gone;
    config->on_done = log_done;
    config->ctx = &run->f;
    if (run->f.shaman.table != NULL) {
        config->stream_prefix = FL_SHAMAN_STREAM_PREFIX;
        config->stream_begin = fl_shaman_stream_begin;
        config->stream_write = fl_shaman_stream_write;
        config->stream_end = fl_shaman_stream_end;
        config->stream_free = fl_shaman_stream_free;
    }
}

/* The origins that CORS allows: the web app's development server on each of our hosts (api-behaviour 9.3). */
static int32_t make_origins(fl_run *run, const flamenco_str *urls, size_t n)
{
    flamenco_str *origins = fl_arena_alloc(run->arena, (n + 1) * sizeof(*origins));
    if (origins == NULL)
        return FLAMENCO_E_NOMEM;
    origins[0] = FL_STR("http://localhost:" DEV_PORT);
    for (size_t i = 0; i < n; ++i) {
        origins[i + 1] = fl_arena_printf(run->arena, "http://%.*s:" DEV_PORT, FL_STR_ARGS(fl_url_host(urls[i])));
        if (origins[i + 1].ptr == NULL)
            return FLAMENCO_E_NOMEM;
    }
    run->f.origins = origins;
    run->f.n_origins = n + 1;
    return FLAMENCO_OK;
}

static int32_t listen_http(fl_run *run, const fl_inherited *inherited, flamenco_error *err)
{
    struct flamenco *f = &run->f;
    fl_http_config config;
    flamenco_str urls[URLS_MAX];
    const fl_config_snapshot *current = fl_config_current(f->config);
    flamenco_str address = fl_arena_copy(run->arena, current->ref->listen);
    int first_run = current->first_run;
    fl_config_unref(current);
    if (address.ptr == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to listen");
    fill_http_config(run, &config);
    config.listen = &address.ptr;
    config.n_listen = 1;
    config.inherited = inherited->listen;
    config.n_inherited = inherited->n_listen;
    config.adopted = inherited->connections;
    config.n_adopted = inherited->n_connections;
    const char *scheme = config.tls_cert != NULL ? "https" : "http";
    /* Before the first request comes in, since every reply looks at the origins. */
    size_t n = fl_own_urls(run->arena, address, scheme, urls, URLS_MAX);
    if (make_origins(run, urls, n) != FLAMENCO_OK)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to listen");
    int32_t rc = fl_http_start(&config, &f->http, err);
    if (rc != FLAMENCO_OK)
        return rc;
    __atomic_store_n(&f->ready, 1, __ATOMIC_RELEASE); /* only now others may look at f->http */
    n = fl_own_urls(run->arena, fl_http_address(f->http, 0), scheme, urls, URLS_MAX);
    fl_info("manager", "listening on %.*s", FL_STR_ARGS(fl_http_address(f->http, 0)));
    for (size_t i = 0; i < n; ++i)
        fl_info("manager", "- %.*s", FL_STR_ARGS(urls[i]));
    if (first_run && n > 0 && inherited->n_listen == 0)
        run->first_run = fl_first_run_begin(f, urls[0]);
    for (size_t i = 0; i < f->n_discoveries; ++i) {
        flamenco_error why = FLAMENCO_ERROR_INIT;
        if (flamenco_discovery_announce(&f->discoveries[i], urls, n, &why) != FLAMENCO_OK)
            fl_warn("discovery", "the manager cannot be announced: %s", why.text);
    }
    return FLAMENCO_OK;
}

/* Sends a life-cycle event outside any transaction. */
static void announce(struct flamenco *f, const char *type)
{
    flamenco_event event;
    fl_batch *batch = fl_batch_create();
    if (batch == NULL || f->publisher == NULL || fl_event_lifecycle(type, &event) != FLAMENCO_OK) {
        fl_batch_unref(batch);
        return;
    }
    int32_t rc = fl_batch_add_event(batch, &event);
    fl_shared_unref(event.buf);
    if (rc == FLAMENCO_OK)
        fl_publisher_submit(f->publisher, batch);
    else
        fl_batch_unref(batch);
}

/* Clients are told the version of the add-on that is served, unless the admin said another one (decisions, "Kept"). */
static void take_addon_version(fl_run *run)
{
    struct flamenco *f = &run->f;
    for (size_t i = 0; i < f->n_routes && run->yaml->reported_version.len == 0; ++i) {
        flamenco_str version = flamenco_http_routes_addon_version(&f->routes[i]);
        if (version.len == 0 || version.len >= sizeof(f->reported_version))
            continue;
        snprintf(f->reported_version, sizeof(f->reported_version), "%.*s", FL_STR_ARGS(version));
        break;
    }
}

static void sleep_us(int64_t us)
{
    struct timespec ts = { .tv_sec = (time_t)(us / SECOND_US), .tv_nsec = (long)(us % SECOND_US) * 1000 };
    while (nanosleep(&ts, &ts) != 0)
        continue;
}

/* Starts the store; a standby tries until it gets it. *waited_out: it had to. */
static int32_t start_store(fl_run *run, int *waited_out, flamenco_error *err)
{
    int32_t rc;
    *waited_out = 0;
    while ((rc = fl_loader_start_member(run->f.loader, "persist", err)) != FLAMENCO_OK) {
        if (run->on_busy == NULL || (rc != FLAMENCO_E_BUSY && rc != FLAMENCO_E_UNAVAILABLE))
            return rc;
        *waited_out = 1;
        if (run->on_busy(run->on_busy_ctx, err->text) != 0)
            return flamenco_fail(err, FLAMENCO_E_CANCELLED, "the wait for the store was ended");
    }
    return FLAMENCO_OK;
}

/* The manager that a standby has followed may still be closing its sockets, when it runs on the same machine. */
static int32_t listen_after(fl_run *run, int waited, const fl_inherited *inherited, flamenco_error *err)
{
    int64_t until_us = fl_monotonic_us() + (waited ? TAKEOVER_LISTEN_US : 0);
    for (;;) {
        int32_t rc = listen_http(run, inherited, err);
        if (rc == FLAMENCO_OK || fl_monotonic_us() >= until_us)
            return rc;
        sleep_us(TAKEOVER_RETRY_US);
    }
}

int32_t fl_run_start(fl_run *run, const fl_inherited *inherited, flamenco_error *err)
{
    struct flamenco *f = &run->f;
    int waited = 0;
    int32_t rc = fl_loader_start_member(f->loader, "clock", err);
    if (rc == FLAMENCO_OK)
        rc = fl_timers_start(f, &f->timers, err);
    if (rc == FLAMENCO_OK)
        rc = fl_workpool_start(f, &f->workpool, err);
    if (rc == FLAMENCO_OK)
        rc = fl_publisher_start(f, &f->publisher, err);
    if (rc == FLAMENCO_OK)
        rc = start_store(run, &waited, err);
    if (rc == FLAMENCO_OK)
        rc = start_executor(run, err);
    if (rc == FLAMENCO_OK)
        rc = fl_loader_start(f->loader, err);
    if (rc == FLAMENCO_OK && f->shaman.table != NULL)
        rc = fl_workpool_start_storage(f, &f->storage_pool, err);
    if (rc == FLAMENCO_OK && (f->probes = fl_probes_create(f->loader)) == NULL)
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to ask plugins for their health");
    if (rc == FLAMENCO_OK)
        rc = fl_dispatch_check_routes(f, err);
    if (rc == FLAMENCO_OK)
        rc = repair(f, err);
    if (rc != FLAMENCO_OK)
        return rc;
    take_addon_version(run);
    fl_purge_remains(f);
    flamenco_job_deleter_poke(&f->job_deleter); /* what the last run left marked, or hidden and marked */
    rc = fl_periodic_start(f, &run->periodic, err);
    if (rc == FLAMENCO_OK)
        rc = listen_after(run, waited, inherited, err);
    if (rc == FLAMENCO_OK)
        announce(f, "manager-startup");
    return rc;
}

/* ---- Stop -------------------------------------------------------------------------------------------------------------- */

/* Serves a little longer, so that pages hear of the end, then ends every request. */
static size_t stop_http(fl_run *run, int restarting, int *fds, size_t cap)
{
    struct flamenco *f = &run->f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    size_t n = 0;
    __atomic_store_n(&f->ready, 0, __ATOMIC_RELEASE);
    for (size_t i = 0; i < f->n_discoveries; ++i)
        flamenco_discovery_withdraw(&f->discoveries[i]);
    announce(f, "manager-shutdown");
    fl_parked_drain(f->parked);
    fl_budget_expire(f->reply_budget, 0, 1);
    fl_budget_expire(f->compile_budget, 0, 1);
    sleep_us(ANNOUNCE_WAIT_US);
    if (restarting) {
        n = fl_http_listen_fds(f->http, fds, cap);
        fl_http_keep_connections(f->http);
    }
    fl_http_drain(f->http);
    int64_t wait_us = restarting ? SECOND_US : 20 * SECOND_US;
    if (fl_http_stop(f->http, fl_monotonic_us() + wait_us, &err) != FLAMENCO_OK) {
        fl_error("http", "%s", err.text);
        /* Their clients were cut. A large job may be compiled for seconds yet, and others wait for the restart. */
        fl_workpool_cancel(f->workpool);
        if (f->storage_pool != NULL)
            fl_workpool_cancel(f->storage_pool);
        if (fl_http_stop(f->http, fl_monotonic_us() + SECOND_US, &err) != FLAMENCO_OK && !restarting) {
            fl_error("manager", "a request hangs, leaving without it: %s", err.text);
            _exit(1);
        }
    }
    return n;
}

/* No plugin is stopped while a thread is in it. */
static void stop_probes(struct flamenco *f, int restarting)
{
    const char *hangs = fl_probes_stop(f->probes, fl_monotonic_us() + SECOND_US);
    if (hangs == NULL)
        return;
    fl_error("manager", "%s was asked for its health and hangs%s", hangs, restarting ? "" : ", leaving without it");
    if (!restarting)
        _exit(1);
}

static void drop_timer(fl_on_timer on_timer, void *ctx)
{
    fl_host_drop_timer(on_timer, ctx);
}

size_t fl_run_stop(fl_run *run, int restarting, int *fds, size_t cap)
{
    struct flamenco *f = &run->f;
    size_t n = 0;
    if (f->http != NULL)
        n = stop_http(run, restarting, fds, cap);
    if (run->periodic != NULL)
        fl_periodic_stop(run->periodic);
    if (f->timers != NULL)
        fl_timers_stop(f->timers);
    if (f->executor != NULL)
        fl_executor_stop(f->executor, fl_monotonic_us() + 5 * SECOND_US);
    if (f->publisher != NULL)
        fl_publisher_drain(f->publisher, fl_monotonic_us() + 2 * SECOND_US);
    if (f->storage_pool != NULL)
        fl_workpool_stop(f->storage_pool, fl_monotonic_us() + 2 * SECOND_US);
    if (f->workpool != NULL)
        fl_workpool_stop(f->workpool, fl_monotonic_us() + 2 * SECOND_US);
    if (f->probes != NULL)
        stop_probes(f, restarting);
    if (f->publisher != NULL)
        fl_publisher_stop(f->publisher, fl_monotonic_us() + 2 * SECOND_US);
    if (f->loader != NULL)
        fl_loader_stop(f->loader, fl_monotonic_us() + 5 * SECOND_US);
    return n;
}

size_t fl_run_kept(fl_run *run, const int **fds_out)
{
    return run->f.http != NULL ? fl_http_kept(run->f.http, fds_out) : 0;
}

void fl_run_destroy(fl_run *run)
{
    struct flamenco *f = &run->f;
    fl_http_destroy(f->http);
    fl_timers_destroy(f->timers, drop_timer);
    fl_periodic_destroy(run->periodic);
    fl_first_run_destroy(run->first_run);
    fl_executor_destroy(f->executor);
    fl_workpool_destroy(f->storage_pool);
    fl_workpool_destroy(f->workpool);
    fl_publisher_destroy(f->publisher);
    fl_probes_destroy(f->probes);
    fl_loader_destroy(f->loader);
    fl_parked_destroy(f->parked);
    fl_budget_destroy(f->reply_budget);
    fl_budget_destroy(f->compile_budget);
    fl_credentials_destroy(f->credentials);
    fl_metrics_destroy(f->metrics);
    fl_event_streams_destroy(f->event_streams);
    fl_listeners_destroy(f->listeners);
    fl_touches_destroy(f->touches);
    free(f->core_host);
    free(f->forwarders);
    free(f->discoveries);
    free(f->routes);
    fl_arena_destroy(run->arena);
    if (f->wake_fd >= 0)
        close(f->wake_fd);
    memset(f, 0, sizeof(*f));
}
