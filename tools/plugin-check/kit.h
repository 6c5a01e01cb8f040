/* SPDX-License-Identifier: Apache-2.0
 *
 * kit.h - what every check of flamenco-plugin-check stands on. A check is a function that runs in a process, a working
 * directory and a storage of its own. It ends the process at the first thing that is wrong (EXPECT and its kin), so no check
 * has to tidy up; one that returns has found nothing.
 */
#ifndef KIT_H
#define KIT_H

#include <pthread.h>

#include "flamenco/events.h"
#include "flamenco/plugin.h"

#define KIT_SECOND INT64_C(1000000)
#define KIT_NOW (INT64_C(1774620000) * KIT_SECOND) /* 2026-03-27 14:00 UTC: what the clock says at first */
#define KIT_INSTANCES 16
#define KIT_TEXT 512

typedef struct kit kit;
typedef struct kit_config kit_config;

/* One check. Names never change: reports are compared over time. */
typedef struct kit_check {
    const char *name; /* "persistence.savepoint.rollback" */
    const char *service; /* of which service; NULL: of every plugin */
    void (*run)(kit *k);
    const char *proves; /* one sentence */
    const char *reference; /* where it is promised */
} kit_check;

typedef struct kit_group {
    const kit_check *checks;
    size_t n;
} kit_group;

/* ---- Verdicts. Each ends the check's process; may be called on any thread. -------------------------------------- */

_Noreturn void kit_fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The plugin or this machine does not have what the check is about. */
_Noreturn void kit_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What the check stands on is missing, which is the business of another check: skipped when that one failed, else failed. */
_Noreturn void kit_blocked(const char *other_check, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define FAIL(...) kit_fail(__FILE__, __LINE__, __VA_ARGS__)
/* The texts behind the condition tell what is wrong when it does not hold. */
#define EXPECT(condition, ...) \
    do { \
        if (!(condition)) \
            FAIL(__VA_ARGS__); \
    } while (0)
#define EXPECT_TRUE(condition) EXPECT(condition, "it does not hold that %s", #condition)
#define EXPECT_INT(actual, expected) \
    kit_expect_int(__FILE__, __LINE__, #actual, (int64_t)(actual), #expected, (int64_t)(expected))
#define EXPECT_STR(actual, expected) kit_expect_str(__FILE__, __LINE__, #actual, actual, flamenco_text(expected))
#define EXPECT_UUID(actual, expected) \
    EXPECT(memcmp(&(actual), &(expected), sizeof(flamenco_uuid)) == 0, "%s is not %s", #actual, #expected)
/* A call that gives a result code, and the code that it must give. */
#define EXPECT_RC(call, expected) kit_expect_rc(__FILE__, __LINE__, #call, call, expected, NULL)
#define EXPECT_CODE(call, expected, err) kit_expect_rc(__FILE__, __LINE__, #call, call, expected, err)

void kit_expect_int(const char *file, int line, const char *what, int64_t actual, const char *why, int64_t expected);
void kit_expect_str(const char *file, int line, const char *what, flamenco_str actual, flamenco_str expected);
void kit_expect_rc(const char *file, int line, const char *what, int32_t actual, int32_t expected,
                   const flamenco_error *err);
/* FLAMENCO_OK or one of FLAMENCO_E_*. */
int kit_is_code(int32_t rc);
const char *kit_code_name(int32_t rc);

/* ---- Plugins ------------------------------------------------------------------------------------------------------ */

typedef enum kit_phase {
    KIT_OPENED,
    KIT_CREATE,
    KIT_CREATED,
    KIT_CONFIGURE,
    KIT_CONFIGURED,
    KIT_START,
    KIT_RUNNING,
    KIT_STOP,
    KIT_STOPPED,
    KIT_DESTROY
} kit_phase;

/* One instance of a plugin, with a host of its own. */
typedef struct kit_instance {
    kit *k;
    flamenco_host host; /* host.h is this struct */
    char path[4096];
    void *handle;
    const flamenco_plugin *found;
    flamenco_plugin plugin; /* the descriptor, copied to this host's size */
    char section[160]; /* where its settings stand in the configuration: "" or "plugins/SERVICE/" */
    const char *dir; /* what {dir} in its settings stands for */
    flamenco_config settings;
    void *self;
    kit_phase phase; /* atomic */
    uint32_t started; /* the n-th that was started */
    uint64_t live, live_bytes; /* allocations not freed; under k->lock */
    struct kit_table *tables;
} kit_instance;

/* What a plugin asked the host to do besides its own work. */
typedef struct kit_effect {
    enum { KIT_EMIT, KIT_EMIT_JOB, KIT_EMIT_TASK, KIT_EMIT_WORKER, KIT_TASK_LOG, KIT_TOUCH, KIT_WAKE } what;
    flamenco_uuid job, task, worker;
    uint32_t kind; /* EMIT: the event's; TOUCH, WAKE: `what` */
    uint32_t status, previous_status, flags;
    int64_t key; /* TOUCH: key; WAKE: count */
    char text[KIT_TEXT];
} kit_effect;

typedef struct kit_step {
    flamenco_step step;
    kit_instance *owner;
    int64_t due_us; /* by the kit's clock */
} kit_step;

struct kit {
    const struct kit_options *options;
    const kit_config *config;
    const kit_check *check;
    const char *dir; /* the working directory, empty at first */
    const char *run; /* letters, digits and '_': unlike that of any other check and run */
    kit_instance *instances[KIT_INSTANCES]; /* every plugin that was opened */
    size_t n_instances;
    uint32_t starts;

    pthread_mutex_t lock; /* guards everything below */
    int64_t now_us;
    uint64_t allocations; /* of the plugin under test, arenas too, since the count was set to 0 */
    uint64_t fail_at; /* this one fails; 0 = none */
    uint64_t fail_every; /* each n-th fails; 0 = none */
    uint64_t failed_allocations;
    char violation[KIT_TEXT]; /* the first forbidden use of the host */
    char last_log[KIT_TEXT];
    uint64_t log_lines[FLAMENCO_LOG_ERROR + 1];
    char reason[KIT_TEXT]; /* what host->fail was called with */
    kit_effect *effects;
    size_t n_effects, effects_room;
    kit_step steps[256];
    size_t n_steps;
    struct {
        uint64_t kinds;
        flamenco_on_event on_event;
        void *ctx;
    } listeners[32];
    size_t n_listeners;
    uint64_t buffers; /* shared buffers that are alive */
    struct kit_store *store; /* for steps that read or write; NULL = none */
};

/* Maps the file and looks at its descriptor; a fault there blocks the check (descriptor.*). section: see kit_instance. */
kit_instance *kit_open(kit *k, const char *path, const char *section);
/* The plugin under test, opened at the first call. */
kit_instance *kit_subject(kit *k);
/* create, configure, start, with what it needs running before it. A failure blocks the check ("lifecycle.start"). */
kit_instance *kit_start_subject(kit *k);
/* The same in single steps, giving what the plugin gives. */
int32_t kit_create(kit_instance *i, flamenco_error *err);
int32_t kit_configure(kit_instance *i, flamenco_error *err);
int32_t kit_start(kit_instance *i, flamenco_error *err);
int32_t kit_stop(kit_instance *i, flamenco_error *err);
void kit_destroy(kit_instance *i);
/* create, configure, start; 0 or the first failure, after which the instance is destroyed. */
int32_t kit_try_start(kit_instance *i, flamenco_error *err);
/* stop and destroy; a failure of stop fails the check. */
void kit_end(kit_instance *i);
/* Ends every instance, the one started last first. */
void kit_end_all(kit *k);
/* Starts the plugins that this one needs, and those they need. */
void kit_start_needs(kit_instance *i);
/* The service's table, copied to this host's size, of the instance; NULL: it does not provide it. */
const void *kit_table_of(const kit_instance *i, const char *service);
/* The running instance that provides a service. Blocks the check when there is none. */
kit_instance *kit_provider(kit *k, const char *service);
int kit_needs(const kit_instance *i, const char *service);
/* Has the instance work a little, by the services it provides: for checks that look at what it leaves behind. */
void kit_exercise(kit_instance *i);

/* ---- Calls ---------------------------------------------------------------------------------------------------------- */

typedef struct kit_cx {
    flamenco_cx cx;
    kit *k;
    uint32_t cancelled;
    uint32_t counts; /* 1: its allocations count as the plugin's */
    struct kit_block *blocks;
} kit_cx;

kit_cx *kit_cx_make(kit_instance *host);
void kit_cx_end(kit_cx *cx); /* what it holds is overwritten and freed */

flamenco_error kit_error(void);
/* Runs the steps that are due, also those that come of them; write steps in transactions of k->store. Gives how many ran. */
uint64_t kit_run_steps(kit *k);
void kit_set_now(kit *k, int64_t now_us);
/* A shared buffer with one reference. */
flamenco_buf *kit_buf_make(kit *k, flamenco_str bytes);
void kit_buf_unref(flamenco_buf *buf);
flamenco_event kit_event_make(kit *k, uint64_t seq, const char *topic,
                              const char *payload); /* .buf holds a reference */
/* Ascending and never none. */
flamenco_uuid kit_uuid(uint64_t n);
void kit_uuid_text(const flamenco_uuid *uuid, char out[37]);
size_t kit_count_effects(kit *k, int what);
void kit_forget_effects(kit *k);

/* Runs `n` threads of fn(ctx, index) at once and waits for them. */
void kit_threads(uint32_t n, void (*fn)(void *ctx, uint32_t index), void *ctx);

#endif
