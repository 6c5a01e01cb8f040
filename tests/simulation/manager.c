/* SPDX-License-Identifier: Apache-2.0 */
#include "manager.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/api/credentials.h"
#include "core/base/log.h"
#include "core/config/current.h"
#include "core/executor.h"
#include "core/listeners.h"
#include "core/metrics.h"
#include "core/budget.h"
#include "core/parked.h"
#include "core/publisher.h"
#include "core/purge.h"
#include "core/timers.h"
#include "core/touches.h"
#include "core/workpool.h"
#include "fake_http.h"
#include "quiet.h"
#include "shim.h"

#define PERSIST 0
#define STATE 1
#define SCHEDULER 2
#define HANGS_AFTER_S 20

static manager *the_manager; /* for the callback of the layer, which has no context */

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

/* ---- Services of the simulation's own --------------------------------------------------------------------------------- */

static int64_t clock_now(void *self)
{
    return __atomic_load_n(&((manager *)self)->now_us, __ATOMIC_ACQUIRE);
}

static const flamenco_clock clock_table = { .struct_size = (uint32_t)sizeof(flamenco_clock),
                                            .now_us = clock_now,
                                            .monotonic_us = clock_now };

static void publish(void *self, const flamenco_event *event)
{
    manager *m = self;
    if (shim_crashed() || event->kind == FLAMENCO_EVENT_TASK_LOG)
        return;
    quiet_begin();
    pthread_mutex_lock(&m->lock);
    if (m->n_events == m->room) {
        m->room = m->room * 2 + 64;
        m->events = realloc(m->events, m->room * sizeof(*m->events));
        MUST(m->events != NULL);
    }
    seen_event *e = &m->events[m->n_events++];
    *e = (seen_event){ event->kind, event->job, event->task, event->worker,
                       strndup(event->payload.ptr, (size_t)event->payload.len) };
    MUST(e->payload != NULL);
    pthread_mutex_unlock(&m->lock);
    quiet_end();
}

static int32_t flush(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

static const flamenco_broadcaster broadcaster_table = { .struct_size = (uint32_t)sizeof(flamenco_broadcaster),
                                                        .publish = publish,
                                                        .flush = flush };

static int32_t append_log(void *self, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_str text,
                          flamenco_error *err)
{
    manager *m = self;
    (void)job;
    (void)task;
    (void)err;
    if (text.len < 5 || memcmp(text.ptr, "log#", 4) != 0)
        return FLAMENCO_OK;
    char number[16] = "";
    memcpy(number, text.ptr + 4, text.len - 4 < 15 ? (size_t)text.len - 4 : 15);
    unsigned long n = strtoul(number, NULL, 10);
    pthread_mutex_lock(&m->lock);
    if (n < MANAGER_LOGS)
        ++m->logs[n];
    pthread_mutex_unlock(&m->lock);
    return FLAMENCO_OK;
}

static const flamenco_log_storage log_table = { .struct_size = (uint32_t)sizeof(flamenco_log_storage),
                                                .append = append_log };

static int32_t give_tasks(const m_world *world, const m_shape *shape, const flamenco_compile_sink *sink)
{
    int32_t rc = FLAMENCO_OK;
    for (uint32_t i = 0; rc == FLAMENCO_OK && i < shape->n; ++i) {
        const m_shape_task *t = &world->tasks[shape->first + i];
        char name[32];
        snprintf(name, sizeof(name), "task-%u", i);
        flamenco_compiled_task row = { .struct_size = (uint32_t)sizeof(row),
                                       .priority = t->priority,
                                       .name = flamenco_text(name),
                                       .type = flamenco_text(m_type_names[t->type]),
                                       .commands = flamenco_text("[]"),
                                       .steps_total = t->steps,
                                       .deps = &world->deps[t->first_dep],
                                       .n_deps = t->n_deps };
        rc = sink->tasks(sink->ctx, &row, sizeof(row), 1);
    }
    return rc;
}

/* The job's settings name its shape: {"shape": 7}. */
static int32_t compile(void *self, flamenco_cx *cx, const flamenco_compile_request *request,
                       const flamenco_compile_sink *sink, flamenco_error *err)
{
    manager *m = self;
    const char *at = memchr(request->settings.ptr, ':', (size_t)request->settings.len);
    unsigned long number = at != NULL ? strtoul(at + 1, NULL, 10) : M_JOBS;
    if (number >= M_JOBS)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "no such shape");
    const m_shape *shape = &m->world->shapes[number];
    flamenco_compiled_job head = { .struct_size = (uint32_t)sizeof(head),
                                   .priority = request->priority,
                                   .name = request->name,
                                   .type = request->type,
                                   .settings = request->settings,
                                   .metadata = request->metadata,
                                   .worker_tag = request->worker_tag,
                                   .n_tasks = shape->n,
                                   .n_deps = shape->n_deps };
    int32_t rc = cx->host->uuid_make(cx->host->h, 4, &head.uuid);
    if (rc == FLAMENCO_OK)
        rc = sink->job(sink->ctx, &head);
    return rc == FLAMENCO_OK ? give_tasks(m->world, shape, sink) : rc;
}

static const flamenco_job_compiler compiler_table = { .struct_size = (uint32_t)sizeof(flamenco_job_compiler),
                                                      .compile = compile };

/* ---- Plugins ------------------------------------------------------------------------------------------------------------ */

static const void *find_service(void *owner, const char *id, void **self_out)
{
    manager *m = owner;
    if (strcmp(id, FLAMENCO_PERSISTENCE) != 0)
        return NULL;
    *self_out = m->plugins[PERSIST].self;
    return m->f.persist.table;
}

static void load_plugin(manager *m, int i, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/plugins/%s/%s.so", SIM_BUILD_ROOT, name, name);
    m->plugins[i].library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (m->plugins[i].library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        abort();
    }
    const flamenco_plugin *(*query)(void) = NULL;
    void *symbol = dlsym(m->plugins[i].library, "flamenco_plugin_query");
    memcpy(&query, &symbol, sizeof(query));
    MUST(query != NULL);
    m->plugins[i].plugin = query();
    fake_host_init(&m->plugins[i].config);
}

static void set_number(manager *m, int plugin, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    fake_host_set(&m->plugins[plugin].config, key, text);
}

static int32_t start_plugin(manager *m, int i, flamenco_error *err)
{
    const flamenco_plugin *plugin = m->plugins[i].plugin;
    fl_host_init(&m->plugins[i].host, &m->f, plugin->id, m, find_service);
    quiet_begin();
    const flamenco_config *config = fake_host_config(&m->plugins[i].config, plugin);
    quiet_end();
    int32_t rc = plugin->create(&m->plugins[i].host.table, &m->plugins[i].self, err);
    if (rc == FLAMENCO_OK)
        rc = plugin->configure(m->plugins[i].self, config, err);
    if (rc == FLAMENCO_OK)
        rc = plugin->start(m->plugins[i].self, err);
    m->plugins[i].started = rc == FLAMENCO_OK;
    return rc;
}

static void stop_plugin(manager *m, int i)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    const flamenco_plugin *plugin = m->plugins[i].plugin;
    if (m->plugins[i].started && plugin->stop(m->plugins[i].self, fl_monotonic_us() + 5000000, &err) != FLAMENCO_OK &&
        !shim_crashed())
        snprintf(m->failure, sizeof(m->failure), "%s does not stop: %s", plugin->id, err.text);
    m->plugins[i].started = 0;
    plugin->destroy(m->plugins[i].self);
    m->plugins[i].self = NULL;
}

static void write_config(const manager *m)
{
    char path[PATH_MAX + 32];
    const m_settings *s = &m->world->settings;
    snprintf(path, sizeof(path), "%s/flamenco-manager.yaml", m->directory);
    FILE *f = fopen(path, "w");
    MUST(f != NULL);
    fprintf(f, "_meta: {version: 3}\nshared_storage_path: %s\ntask_timeout: %llds\nworker_timeout: %llds\n",
            m->directory, (long long)(s->task_timeout_us / 1000000), (long long)(s->worker_timeout_us / 1000000));
    MUST(fclose(f) == 0);
}

static void on_crash(void)
{
    disk_snapshot(the_manager->cut, the_manager->cut_random);
    client_cut_all(1);
    pthread_mutex_lock(&the_manager->lock); /* so that who looks whether it has come does not sleep over it */
    pthread_cond_broadcast(&the_manager->changed);
    pthread_mutex_unlock(&the_manager->lock);
}

void manager_init(manager *m, const m_world *world, const char *directory, const char *scheduler)
{
    char path[PATH_MAX + 16];
    memset(m, 0, sizeof(*m));
    m->world = world;
    m->now_us = INT64_C(1700000000000000);
    snprintf(m->directory, sizeof(m->directory), "%s", directory);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    load_plugin(m, PERSIST, "persist-sqlite");
    load_plugin(m, STATE, "state-machine");
    load_plugin(m, SCHEDULER, scheduler != NULL ? scheduler : "scheduler-priority");
    snprintf(path, sizeof(path), "%s/farm.sqlite", directory);
    fake_host_set(&m->plugins[PERSIST].config, "path", path);
    set_number(m, PERSIST, "checkpoint_pages", 100); /* the log begins anew often */
    set_number(m, PERSIST, "quiet_pages", 200);
    set_number(m, STATE, "blocklist_threshold", world->settings.block_at);
    set_number(m, STATE, "task_fail_after_softfail_count", world->settings.fail_at);
    set_number(m, STATE, "bulk_step", world->settings.bulk_step);
    set_number(m, STATE, "single_step_limit", world->settings.single_limit);
    m->limits.request_timeout_us = 25000000;
    m->limits.hold_empty_poll_us = m->limits.hold_empty_poll_proxy_us = world->settings.hold_us;
    m->http.body_json_bytes = m->http.body_job_bytes = 1 << 24;
    write_config(m);
    the_manager = m;
    shim_on_crash = on_crash;
    disk_reset();
}

void manager_fini(manager *m)
{
    manager_forget_events(m);
    free(m->events);
    for (int i = 0; i < 3; ++i)
        fake_host_fini(&m->plugins[i].config);
    /* Libraries stay mapped, as in the manager. */
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    the_manager = NULL;
}

void manager_forget_events(manager *m)
{
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n_events; ++i)
        free(m->events[i].payload);
    m->n_events = 0;
    pthread_mutex_unlock(&m->lock);
}

/* ---- Steps of the simulation ---------------------------------------------------------------------------------------------- */

typedef struct barrier {
    fl_step step;
    manager *m;
    struct barrier *next;
    int ended;
} barrier;

static int32_t run_barrier(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    (void)cx;
    (void)step;
    (void)err;
    return FLAMENCO_OK;
}

static void barrier_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    barrier *b = (barrier *)(void *)step;
    (void)result;
    (void)err;
    pthread_mutex_lock(&b->m->lock);
    b->ended = 1;
    pthread_cond_broadcast(&b->m->changed);
    pthread_mutex_unlock(&b->m->lock);
}

static const fl_step_ops write_barrier = {
    .name = "barrier", .kind = FLAMENCO_STEP_WRITE, .run = run_barrier, .done = barrier_done
};
static const fl_step_ops read_barrier = {
    .name = "barrier", .kind = FLAMENCO_STEP_READ, .run = run_barrier, .done = barrier_done
};

/* Waits until all steps queued before have ended. Returns 0, 1 after a crash, -1 when it takes too long. After a crash the
 * executor may still hold the barrier, so it is freed when the manager has ended. */
static int pass_barrier(manager *m, const fl_step_ops *ops)
{
    struct timespec until;
    quiet_begin();
    barrier *b = calloc(1, sizeof(*b));
    quiet_end();
    MUST(b != NULL);
    b->m = m;
    b->step.ops = ops;
    b->step.alone = 1;
    b->step.request_id = flamenco_text(SHIM_UNCOUNTED);
    b->step.deadline_us = INT64_MAX; /* it outlasts every failure */
    b->next = m->barriers;
    m->barriers = b;
    fl_executor_submit(m->f.executor, &b->step);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HANGS_AFTER_S;
    pthread_mutex_lock(&m->lock);
    int late = 0;
    while (!b->ended && !shim_crashed() && !late)
        late = pthread_cond_timedwait(&m->changed, &m->lock, &until) != 0;
    int ended = b->ended;
    pthread_mutex_unlock(&m->lock);
    if (shim_crashed())
        return 1;
    if (ended) {
        m->barriers = b->next;
        free(b);
        return 0;
    }
    snprintf(m->failure, sizeof(m->failure), "the executor hangs");
    return -1;
}

/* Tells whether nothing but the two barriers has run since *before, which it brings up to date. */
static int is_quiet(manager *m, fl_executor_stats *before)
{
    fl_executor_stats stats;
    size_t waiting, held;
    fl_executor_read_stats(m->f.executor, &stats);
    client_count(&waiting, &held);
    int quiet = stats.write_steps == before->write_steps + 1 && stats.read_steps == before->read_steps + 1 &&
                stats.waiting_writes == 0 && stats.waiting_reads == 0 && waiting == held &&
                held == fl_parked_count(m->f.parked) && !fl_touches_pending(m->f.touches);
    *before = stats;
    return quiet;
}

/* Twice, since what one thread hands to another is in no queue for a moment: a round later it is in one, or done. */
int manager_settle(manager *m)
{
    fl_executor_stats before = { 0 };
    int quiet = 0;
    for (int tries = 0; tries < 100000; ++tries) {
        int rc = pass_barrier(m, &read_barrier);
        if (rc == 0)
            rc = pass_barrier(m, &write_barrier);
        if (rc != 0)
            return rc;
        quiet = is_quiet(m, &before) ? quiet + 1 : 0;
        if (quiet == 2)
            return m->failure[0] != '\0' ? -1 : 0;
    }
    snprintf(m->failure, sizeof(m->failure), "steps follow each other without end");
    return -1;
}

typedef struct own_write {
    fl_step step;
    client *client;
    manager *m;
    int32_t (*run)(fl_cx *cx, void *ctx, flamenco_error *err);
    void *ctx;
} own_write;

static int32_t run_own_write(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    own_write *w = (own_write *)(void *)step;
    return w->run(cx, w->ctx, err);
}

static int32_t status_of(int32_t result)
{
    switch (result) {
    case FLAMENCO_OK:
        return 204;
    case FLAMENCO_E_NOT_FOUND:
        return 404;
    case FLAMENCO_E_EXISTS:
        return 409;
    case FLAMENCO_E_CONFLICT:
        return 412;
    default:
        return fl_error_is_passing(result) || result == FLAMENCO_E_CANCELLED ? 503 : 500;
    }
}

static void own_write_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    own_write *w = (own_write *)(void *)step;
    (void)err;
    client_end(w->client, status_of(result));
    free(w->ctx);
    free(w);
}

static const fl_step_ops own_write_ops = {
    .name = "simulation", .kind = FLAMENCO_STEP_WRITE, .run = run_own_write, .done = own_write_done
};

void manager_write(manager *m, client *c, int32_t (*run)(fl_cx *cx, void *ctx, flamenco_error *err), void *ctx)
{
    quiet_begin();
    own_write *w = calloc(1, sizeof(*w));
    quiet_end();
    MUST(w != NULL);
    *w = (own_write){ .client = c, .m = m, .run = run, .ctx = ctx };
    w->step.ops = &own_write_ops;
    client_begin(c);
    fl_executor_submit(m->f.executor, &w->step);
}

/* ---- Start and stop --------------------------------------------------------------------------------------------------------- */

static int32_t run_repair(fl_cx *cx, void *ctx, flamenco_error *err)
{
    (void)ctx;
    return flamenco_state_machine_repair(&cx->f->state_machine, &cx->pub, err);
}

static void open_config(manager *m)
{
    fl_config_problems problems = { 0 };
    fl_config_options options = { .cwd = flamenco_text(m->directory),
                                  .executable_dir = flamenco_text(m->directory),
                                  .program = "simulation" };
    MUST(fl_config_open(&options, &problems, &m->f.config) == FLAMENCO_OK);
    fl_config_problems_fini(&problems);
}

static void make_parts(manager *m)
{
    struct flamenco *f = &m->f;
    memset(f, 0, sizeof(*f));
    f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->touches = fl_touches_create();
    f->listeners = fl_listeners_create();
    f->metrics = fl_metrics_create();
    f->credentials = fl_credentials_create();
    f->parked = fl_parked_create(f);
    f->reply_budget = fl_budget_create(UINT64_C(1) << 30);
    f->compile_budget = fl_budget_create(UINT64_C(1) << 30);
    f->core_host = calloc(1, sizeof(*f->core_host));
    MUST(f->wake_fd >= 0 && f->touches && f->listeners && f->metrics && f->credentials && f->parked && f->core_host &&
         f->reply_budget && f->compile_budget);
    fl_host_init(f->core_host, f, "core", f, NULL);
    f->http_settings = &m->http;
    f->limits = &m->limits;
    f->clock = (flamenco_clock_ref){ &clock_table, m };
    f->broadcaster = (flamenco_broadcaster_ref){ &broadcaster_table, m };
    f->log_storage = (flamenco_log_storage_ref){ &log_table, m };
    f->job_compiler = (flamenco_job_compiler_ref){ &compiler_table, m };
    open_config(m);
}

static const void *provided(const flamenco_plugin *plugin)
{
    return plugin->provides[0]->table;
}

static int32_t start_parts(manager *m, flamenco_error *err)
{
    struct flamenco *f = &m->f;
    fl_executor_config config = { .readers = 1,
                                  .batch_steps = 128,
                                  .batch_us = 1000000, /* what is queued together is committed together */
                                  .step_deadline_us = m->limits.request_timeout_us,
                                  .read_deadline_us = 10000000,
                                  .touch_us = 1 };
    int32_t rc = fl_timers_start(f, &f->timers, err);
    if (rc == FLAMENCO_OK)
        rc = fl_workpool_start(f, &f->workpool, err);
    if (rc == FLAMENCO_OK)
        rc = fl_publisher_start(f, &f->publisher, err);
    if (rc == FLAMENCO_OK)
        rc = start_plugin(m, PERSIST, err);
    if (rc != FLAMENCO_OK)
        return rc;
    m->store = provided(m->plugins[PERSIST].plugin);
    f->persist = (flamenco_persistence_ref){ shim_wrap(m->store), m->plugins[PERSIST].self };
    rc = fl_executor_start(f, &config, &f->executor, err);
    if (rc == FLAMENCO_OK)
        rc = start_plugin(m, STATE, err);
    if (rc == FLAMENCO_OK)
        rc = start_plugin(m, SCHEDULER, err);
    f->state_machine = (flamenco_state_machine_ref){ provided(m->plugins[STATE].plugin), m->plugins[STATE].self };
    f->task_scheduler =
        (flamenco_task_scheduler_ref){ provided(m->plugins[SCHEDULER].plugin), m->plugins[SCHEDULER].self };
    return rc;
}

int manager_start(manager *m)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    quiet_begin();
    make_parts(m);
    quiet_end();
    client_cut_all(0);
    int32_t rc = start_parts(m, &err);
    if (rc != FLAMENCO_OK && shim_crashed())
        return 1;
    if (rc != FLAMENCO_OK) {
        snprintf(m->failure, sizeof(m->failure), "it does not start: %s", err.text);
        return -1;
    }
    manager_write(m, &m->repair, run_repair, NULL);
    int settled = manager_settle(m);
    if (settled == 0 && m->repair.status != 204) {
        snprintf(m->failure, sizeof(m->failure), "the repair failed");
        settled = -1;
    }
    if (settled != 0)
        return settled;
    fl_purge_remains(&m->f);
    if (fl_periodic_start(&m->f, &m->periodic, &err) != FLAMENCO_OK) {
        snprintf(m->failure, sizeof(m->failure), "periodic work does not start: %s", err.text);
        return -1;
    }
    ++m->restarts;
    return manager_settle(m);
}

/* For looking: open from the first look to the end of the manager. */
static struct {
    fl_cx cx;
    flamenco_session *session;
} look;

static void drop_timer(fl_on_timer on_timer, void *ctx)
{
    fl_host_drop_timer(on_timer, ctx);
}

static void end_all(manager *m, int64_t deadline_us)
{
    struct flamenco *f = &m->f;
    if (look.session != NULL)
        m->store->close(m->plugins[PERSIST].self, look.session);
    look.session = NULL;
    if (m->periodic != NULL)
        fl_periodic_stop(m->periodic);
    fl_parked_drain(f->parked);
    fl_budget_expire(f->reply_budget, 0, 1);
    fl_budget_expire(f->compile_budget, 0, 1);
    if (f->timers != NULL)
        fl_timers_stop(f->timers);
    if (f->executor != NULL)
        fl_executor_stop(f->executor, deadline_us);
    if (f->workpool != NULL)
        fl_workpool_stop(f->workpool, deadline_us);
    if (f->publisher != NULL)
        fl_publisher_stop(f->publisher, deadline_us);
    for (int i = 2; i >= 0; --i) {
        if (m->plugins[i].self != NULL)
            stop_plugin(m, i);
    }
    fl_timers_destroy(f->timers, drop_timer);
    fl_periodic_destroy(m->periodic);
    m->periodic = NULL;
    fl_executor_destroy(f->executor);
    while (m->barriers != NULL) {
        barrier *b = m->barriers;
        m->barriers = b->next;
        free(b);
    }
    fl_workpool_destroy(f->workpool);
    fl_publisher_destroy(f->publisher);
    fl_parked_destroy(f->parked);
    fl_credentials_destroy(f->credentials);
    fl_metrics_destroy(f->metrics);
    fl_listeners_destroy(f->listeners);
    fl_touches_destroy(f->touches);
    fl_budget_destroy(f->reply_budget);
    fl_budget_destroy(f->compile_budget);
    fl_config_close(f->config);
    free(f->core_host);
    if (f->wanted != FL_WANT_NOTHING && !shim_crashed())
        snprintf(m->failure, sizeof(m->failure), "the manager wanted to stop itself");
    close(f->wake_fd);
    memset(f, 0, sizeof(*f));
    size_t waiting, held;
    client_count(&waiting, &held);
    if (waiting != 0)
        snprintf(m->failure, sizeof(m->failure), "%zu requests were never ended", waiting);
}

void manager_stop(manager *m)
{
    end_all(m, fl_monotonic_us() + 5000000);
}

void manager_bury(manager *m)
{
    end_all(m, 0);
    MUST(disk_restore() == 0);
    shim_reset();
}

/* ---- Looking ------------------------------------------------------------------------------------------------------------------ */

flamenco_persistence_ref manager_store(const manager *m)
{
    return (flamenco_persistence_ref){ m->store, m->plugins[PERSIST].self };
}

flamenco_cx *manager_look(manager *m)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_persistence_ref store = manager_store(m);
    if (look.session == NULL)
        MUST(flamenco_persist_open(&store, FLAMENCO_SESSION_READER, &look.session, &err) == FLAMENCO_OK);
    look.cx = (fl_cx){ .pub = { .struct_size = (uint32_t)sizeof(flamenco_cx), .read_only = 1 }, .f = &m->f };
    look.cx.pub.host = fl_core_host(&m->f);
    look.cx.pub.now_us = clock_now(m);
    look.cx.pub.deadline_us = INT64_MAX;
    look.cx.arena = fl_arena_create(0);
    MUST(look.cx.arena != NULL);
    MUST(flamenco_persist_begin(&store, look.session, &look.cx.pub, &err) == FLAMENCO_OK);
    return &look.cx.pub;
}

void manager_look_end(manager *m)
{
    flamenco_persistence_ref store = manager_store(m);
    flamenco_persist_rollback(&store, &look.cx.pub);
    fl_arena_destroy(look.cx.arena);
}

int manager_check(manager *m)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_persistence_ref store = manager_store(m);
    flamenco_session *session = NULL;
    fl_cx cx = { .pub = { .struct_size = (uint32_t)sizeof(flamenco_cx), .read_only = 1 }, .f = &m->f };
    cx.pub.host = fl_core_host(&m->f);
    cx.pub.deadline_us = INT64_MAX;
    cx.arena = fl_arena_create(0);
    MUST(cx.arena != NULL && flamenco_persist_open(&store, FLAMENCO_SESSION_READER, &session, &err) == FLAMENCO_OK);
    int32_t rc = flamenco_persist_check(&store, session, &cx.pub, &err);
    flamenco_persist_close(&store, session);
    fl_arena_destroy(cx.arena);
    if (rc == FLAMENCO_OK)
        return 0;
    snprintf(m->failure, sizeof(m->failure), "the store's check: %.200s", err.text);
    return -1;
}
