/* SPDX-License-Identifier: Apache-2.0
 *
 * exercise.c - a little work for each service, for checks that look at what a plugin leaves behind. Whether the work is right
 * is the business of the service's own checks; here every result of the closed list will do.
 */
#include <stdlib.h>
#include <unistd.h>

#include "flamenco/broadcaster.h"
#include "flamenco/clock.h"
#include "flamenco/discovery.h"
#include "flamenco/event_forwarder.h"
#include "flamenco/farm_status.h"
#include "flamenco/http_routes.h"
#include "flamenco/job_compiler.h"
#include "flamenco/job_deleter.h"
#include "flamenco/last_rendered.h"
#include "flamenco/local_storage.h"
#include "flamenco/log_storage.h"
#include "flamenco/shaman.h"
#include "flamenco/sleep_scheduler.h"
#include "flamenco/task_scheduler.h"
#include "flamenco/task_state_machine.h"
#include "inner.h"
#include "store.h"

/* What an exercise works with. */
typedef struct gym {
    kit *k;
    kit_instance *i;
    const void *table;
    kit_cx *cx;
    flamenco_error err;
} gym;

#define DO(g, call) expect_code(g, #call, call)

static int32_t expect_code(const gym *g, const char *what, int32_t rc)
{
    EXPECT(kit_is_code(rc) || rc == FLAMENCO_AGAIN, "%s gives %d, which is no code", what, (int)rc);
    EXPECT(rc >= 0 || memchr(g->err.text, '\0', sizeof(g->err.text)) != NULL, "the error's text of %s has no end",
           what);
    return rc;
}

static const task_spec one_task[] = { { "blender", 50, { 0 }, 0 } };

/* Another exercise of this kind may have been refused memory half-way; so nothing is asserted to succeed. */
static void use_persistence(gym *g)
{
    const flamenco_persistence *db = g->table;
    void *self = g->i->self;
    flamenco_session *writer = NULL;
    flamenco_cx *cx = &g->cx->cx;
    uint64_t last = 0, counts[FLAMENCO_JOB_STATUSES];
    kit_store rows = { .k = g->k, .instance = g->i, .db = db, .self = self, .cx = cx, .err = kit_error() };
    flamenco_worker worker = new_worker(&rows, "w", "blender");
    int64_t key = 0;
    if (DO(g, db->open(self, FLAMENCO_SESSION_WRITER, &writer, &g->err)) != FLAMENCO_OK)
        return;
    if (DO(g, db->last_batch(self, writer, &last, &g->err)) == FLAMENCO_OK &&
        DO(g, db->begin(self, writer, cx, &g->err)) == FLAMENCO_OK) {
        worker.uuid = kit_uuid(1000000 + last);
        int32_t rc = DO(g, db->worker_insert(self, cx, &worker, &key, &g->err));
        if (rc == FLAMENCO_OK)
            rc = DO(g, db->jobs_count(self, cx, counts, &g->err));
        if (rc == FLAMENCO_OK)
            (void)DO(g, db->commit(self, cx, last + 1, &g->err));
        db->rollback(self, cx);
    }
    db->close(self, writer);
}

static void use_clock(gym *g)
{
    const flamenco_clock *clock = g->table;
    (void)clock->now_us(g->i->self);
    clock->interrupt(g->i->self);
    clock->wait_until(g->i->self, clock->monotonic_us(g->i->self) - 1);
}

static void use_forwarder(gym *g)
{
    const flamenco_event_forwarder *forwarder = g->table;
    for (uint64_t n = 1; n <= 3; ++n) {
        flamenco_event e = kit_event_make(g->k, n, "/jobs", "{\"id\":\"x\"}");
        forwarder->publish(g->i->self, &e);
        kit_buf_unref(e.buf);
    }
    (void)DO(g, forwarder->flush(g->i->self, g->i->host.monotonic_us(g->i) + KIT_SECOND, &g->err));
}

static void use_log_storage(gym *g)
{
    const flamenco_log_storage *logs = g->table;
    flamenco_uuid job = kit_uuid(1), task = kit_uuid(2);
    flamenco_log_info info = ROW(flamenco_log_info);
    flamenco_str tail;
    (void)DO(g, logs->append(g->i->self, &job, &task, flamenco_text("a line\n"), &g->err));
    (void)DO(g, logs->info(g->i->self, &g->cx->cx, &job, &task, &info, &g->err));
    (void)DO(g, logs->tail(g->i->self, &g->cx->cx, &job, &task, 2048, &tail, &g->err));
    (void)DO(g, logs->rotate(g->i->self, &job, &task, &g->err));
    logs->forget_job(g->i->self, &job);
}

static void use_local_storage(gym *g)
{
    const flamenco_local_storage *files = g->table;
    flamenco_uuid job = kit_uuid(1);
    char path[256];
    int32_t fd = -1;
    (void)files->root(g->i->self);
    (void)DO(g, files->job_path(g->i->self, &job, path, sizeof(path), &g->err));
    if (DO(g, files->job_dir(g->i->self, &job, 1, &fd, &g->err)) == FLAMENCO_OK)
        (void)close(fd);
    (void)DO(g, files->erase_job(g->i->self, &g->cx->cx, &job, &g->err));
}

static void use_discovery(gym *g)
{
    const flamenco_discovery *discovery = g->table;
    const flamenco_str url = flamenco_text("http://127.0.0.1:8080/");
    (void)DO(g, discovery->announce(g->i->self, &url, 1, &g->err));
    discovery->withdraw(g->i->self);
}

static void use_farm_status(gym *g)
{
    const flamenco_farm_status *farm = g->table;
    EXPECT_TRUE(farm->current(g->i->self) <= FLAMENCO_FARM_UNKNOWN);
}

static int32_t pass_job_type(void *ctx, const flamenco_job_type *type)
{
    (void)ctx;
    (void)type;
    return 0;
}

static void use_job_compiler(gym *g)
{
    const flamenco_job_compiler *compiler = g->table;
    (void)DO(g, compiler->list(g->i->self, &g->cx->cx, pass_job_type, NULL, &g->err));
}

static void use_job_deleter(gym *g)
{
    ((const flamenco_job_deleter *)g->table)->poke(g->i->self);
}

static void use_last_rendered(gym *g)
{
    const flamenco_last_rendered *images = g->table;
    flamenco_uuid job = kit_uuid(1);
    flamenco_str base;
    (void)images->suffixes(g->i->self);
    (void)DO(g, images->info(g->i->self, &g->cx->cx, &job, &base, &g->err));
}

static void use_sleep_scheduler(gym *g)
{
    (void)DO(g, ((const flamenco_sleep_scheduler *)g->table)->apply_due(g->i->self, &g->cx->cx, &g->err));
}

static void use_state_machine(gym *g)
{
    (void)DO(g, ((const flamenco_state_machine *)g->table)->repair(g->i->self, &g->cx->cx, &g->err));
}

static void use_task_scheduler(gym *g)
{
    kit_store *s = g->k->store;
    flamenco_task task = ROW(flamenco_task);
    s->cx = &g->cx->cx;
    s->uuids = 2000000 + s->batch * 1000;
    g->cx->counts = 0; /* the store's rows are not the plugin's */
    flamenco_worker worker = read_worker(s, store_worker(s, "w", "blender"));
    (void)store_job(s, 50, 0, one_task, 1);
    g->cx->counts = 1;
    (void)DO(g, ((const flamenco_task_scheduler *)g->table)->pick(g->i->self, s->cx, &worker, &task, &g->err));
}

static void use_shaman(gym *g)
{
    const flamenco_shaman *shaman = g->table;
    uint32_t status;
    (void)shaman->is_active(g->i->self);
    (void)DO(g, shaman->file_status(g->i->self, &g->cx->cx,
                                    flamenco_text("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
                                    5, &status, &g->err));
}

static void use_routes(gym *g)
{
    (void)((const flamenco_http_routes *)g->table)->routes(g->i->self);
}

static const struct {
    const char *service;
    void (*use)(gym *g);
    int in_transaction;
} uses[] = {
    { FLAMENCO_PERSISTENCE, use_persistence, 0 },
    { FLAMENCO_CLOCK, use_clock, 0 },
    { FLAMENCO_BROADCASTER, use_forwarder, 0 },
    { FLAMENCO_EVENT_FORWARDER, use_forwarder, 0 },
    { FLAMENCO_LOG_STORAGE, use_log_storage, 0 },
    { FLAMENCO_LOCAL_STORAGE, use_local_storage, 0 },
    { FLAMENCO_DISCOVERY, use_discovery, 0 },
    { FLAMENCO_FARM_STATUS, use_farm_status, 0 },
    { FLAMENCO_JOB_COMPILER, use_job_compiler, 0 },
    { FLAMENCO_JOB_DELETER, use_job_deleter, 0 },
    { FLAMENCO_LAST_RENDERED, use_last_rendered, 0 },
    { FLAMENCO_SLEEP_SCHEDULER, use_sleep_scheduler, 1 },
    { FLAMENCO_STATE_MACHINE, use_state_machine, 1 },
    { FLAMENCO_TASK_SCHEDULER, use_task_scheduler, 1 },
    { FLAMENCO_SHAMAN, use_shaman, 0 },
    { FLAMENCO_HTTP_ROUTES, use_routes, 0 },
};

/* A transaction around the work, undone when memory was refused in it. */
static void use_in_transaction(gym *g, void (*use)(gym *g))
{
    kit_store *s = g->k->store;
    uint64_t every = g->k->fail_every;
    flamenco_cx *own = s->cx;
    g->k->fail_every = 0;
    EXPECT_CODE(s->db->begin(s->self, s->writer, &g->cx->cx, &s->err), FLAMENCO_OK, &s->err);
    g->k->fail_every = every;
    use(g);
    g->k->fail_every = 0;
    s->cx = own;
    if (every == 0)
        EXPECT_CODE(s->db->commit(s->self, &g->cx->cx, ++s->batch, &s->err), FLAMENCO_OK, &s->err);
    else
        s->db->rollback(s->self, &g->cx->cx);
    g->k->fail_every = every;
}

static int wants_store(const kit_instance *i)
{
    return kit_needs(i, FLAMENCO_PERSISTENCE);
}

void kit_exercise(kit_instance *i)
{
    kit_store *s = wants_store(i) ? store_beside(i->k) : NULL;
    for (size_t n = 0; n < sizeof(uses) / sizeof(uses[0]); ++n) {
        gym g = { .k = i->k, .i = i, .table = kit_table_of(i, uses[n].service), .err = kit_error() };
        if (g.table == NULL)
            continue;
        g.cx = kit_cx_make(i);
        if (uses[n].in_transaction && s != NULL)
            use_in_transaction(&g, uses[n].use);
        else if (!uses[n].in_transaction)
            uses[n].use(&g);
        kit_cx_end(g.cx);
    }
    if (s != NULL) {
        (void)kit_run_steps(i->k);
        store_close(s);
    }
}
