/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/plugin.h - the border between Flamenco Manager and its plugins.
 *
 * A plugin is one shared object that exports one function, flamenco_plugin_query(). It links to nothing of the manager:
 * everything that it may use of the host comes in by `flamenco_host`, everything that it offers goes out by the tables
 * named in `flamenco_plugin.provides`. The interfaces of the services stand in the other headers of this folder.
 *
 * THREAD TAGS. Each function below closes with a tag, one of:
 *   [main]    the thread that starts and stops the manager; one call at a time
 *   [reader]  a reading thread of the executor; calls run concurrently on one instance
 *   [writer]  the one writing thread of the executor
 *   [worker]  a thread of the work pool; calls run concurrently on one instance
 *   [any]     any thread, also the plugin's own
 * A plugin is never called on a thread that runs a network event loop, so a method may block, until cx->deadline_us.
 *
 * OWNERSHIP. An argument is borrowed for the call unless its comment says otherwise. What a method hands out is written
 * into caller-owned memory, or lives in the arena of the call's cx (host->cx_alloc) and is valid until that cx ends.
 * Nothing that one side allocated with malloc is freed by the other.
 *
 * RESULTS. 0 is success; negative is one of FLAMENCO_E_*, with a text for people in the caller's flamenco_error.
 * Outputs are untouched on failure and complete on success.
 *
 * GROWTH. Every struct that crosses starts with its size. Members are only ever appended, within one ABI major.
 *
 * ABI changelog
 *   1.0  first version
 */
#ifndef FLAMENCO_PLUGIN_H
#define FLAMENCO_PLUGIN_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_ABI_MAJOR 1
#define FLAMENCO_ABI_MINOR 0

#define FLAMENCO_EXPORT __attribute__((visibility("default")))

/* ---- Values ---------------------------------------------------------------------------------------------------- */

/* A text: UTF-8, not NUL-terminated. An empty text may have a NULL ptr. */
typedef struct flamenco_str {
    const char *ptr;
    uint64_t len;
} flamenco_str;

/* A UUID in the byte order of its text. All zero = none. */
typedef struct flamenco_uuid {
    uint8_t b[16];
} flamenco_uuid;

/* Points in time are microseconds since 1970-01-01 UTC. */
#define FLAMENCO_TIME_NONE INT64_MIN

/* Wraps a NUL-terminated text, which is borrowed. NULL gives the empty text. */
static inline flamenco_str flamenco_text(const char *text)
{
    flamenco_str s = { text, text != NULL ? (uint64_t)strlen(text) : 0 };
    return s;
}

/* Compares two texts byte by byte. Returns 1 when they are equal, else 0. */
static inline int flamenco_str_equal(flamenco_str a, flamenco_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, (size_t)a.len) == 0);
}

/* ---- Errors ---------------------------------------------------------------------------------------------------- */

#define FLAMENCO_OK 0
/* Positive: a step that wants to run again, at the end of its queue (flamenco_step.run alone may return it). */
#define FLAMENCO_AGAIN 1

#define FLAMENCO_E_NOT_FOUND (-1) /* the thing named does not exist */
#define FLAMENCO_E_EXISTS (-2) /* it exists already */
#define FLAMENCO_E_CONFLICT (-3) /* it is not in the state that the call needs */
#define FLAMENCO_E_INVALID (-4) /* an argument is wrong; the text says which, and what is allowed */
#define FLAMENCO_E_BUSY (-5) /* somebody else holds it; the call may succeed later */
#define FLAMENCO_E_UNAVAILABLE (-6) /* the back end cannot be reached; the call may succeed later */
#define FLAMENCO_E_CANCELLED (-7) /* cx->cancelled was set */
#define FLAMENCO_E_DEADLINE (-8) /* cx->deadline_us has passed */
#define FLAMENCO_E_FULL (-9) /* no room left: disk, quota, queue */
#define FLAMENCO_E_IO (-10) /* reading or writing failed */
#define FLAMENCO_E_CORRUPT (-11) /* stored data is damaged */
#define FLAMENCO_E_NOMEM (-12) /* memory is exhausted */
#define FLAMENCO_E_UNSUPPORTED (-13) /* this implementation does not do that */
#define FLAMENCO_E_INTERNAL (-14) /* a defect of the callee */

/* Why a call failed. The caller owns it and sets struct_size; the callee fills code and text (NUL-terminated). */
typedef struct flamenco_error {
    uint32_t struct_size;
    int32_t code;
    char text[248];
} flamenco_error;

#define FLAMENCO_ERROR_INIT \
    { \
        (uint32_t)sizeof(flamenco_error), 0, \
        { \
            0 \
        } \
    }

/* ---- Host ------------------------------------------------------------------------------------------------------ */

typedef struct flamenco_host flamenco_host;
struct flamenco_txn;
struct flamenco_job_event;
struct flamenco_task_event;
struct flamenco_worker_event;

/* One call chain: a request, or one step of background work. Made by the host, second argument of every service method,
 * passed on by a plugin to the services that it calls itself, so that all share one transaction, deadline and fate. */
typedef struct flamenco_cx {
    uint32_t struct_size;
    uint32_t read_only; /* 1: a snapshot, nothing may be changed */
    const flamenco_host *host;
    struct flamenco_txn *txn; /* the persistence plugin's; NULL outside a transaction */
    int64_t now_us; /* the clock, read once when the step began */
    int64_t deadline_us; /* on the system's monotonic clock (host->monotonic_us) */
    const uint32_t *cancelled; /* read it by flamenco_cx_cancelled() */
    flamenco_str request_id; /* for log lines; empty for background work */
} flamenco_cx;

/* Tells whether the work behind cx has been given up, so that a long method may end with FLAMENCO_E_CANCELLED. [any] */
static inline int flamenco_cx_cancelled(const flamenco_cx *cx)
{
    return cx->cancelled != NULL && __atomic_load_n(cx->cancelled, __ATOMIC_ACQUIRE) != 0;
}

#define FLAMENCO_LOG_TRACE 0u
#define FLAMENCO_LOG_DEBUG 1u
#define FLAMENCO_LOG_INFO 2u
#define FLAMENCO_LOG_WARN 3u
#define FLAMENCO_LOG_ERROR 4u

/* Kinds of events (contract: events 1.2). Bit n of a listener's mask stands for kind n. */
#define FLAMENCO_EVENT_LIFECYCLE 0u
#define FLAMENCO_EVENT_FARM_STATUS 1u
#define FLAMENCO_EVENT_JOB 2u
#define FLAMENCO_EVENT_TASK 3u
#define FLAMENCO_EVENT_TASK_LOG 4u
#define FLAMENCO_EVENT_LAST_RENDERED 5u
#define FLAMENCO_EVENT_WORKER 6u
#define FLAMENCO_EVENT_WORKER_TAG 7u

/* Of a job or a task: nothing but its step counts and activity changed. The next event of the same kind and job or task says all
 * that this one does. */
#define FLAMENCO_EVENT_FLAG_STEPS 1u

/* A counted, immutable run of bytes that several receivers share. */
typedef struct flamenco_buf flamenco_buf;

/* Something that happened. The payload is made once and shared by all receivers. */
typedef struct flamenco_event {
    uint32_t struct_size;
    uint32_t kind; /* FLAMENCO_EVENT_* */
    uint64_t seq; /* ascending without gaps, in order of commit; set by the host */
    flamenco_str topic; /* "/jobs/0b7c…" (events 1.2) */
    flamenco_str name; /* the Socket.IO event name, "/task" */
    flamenco_str payload; /* JSON */
    flamenco_uuid job, task, worker;
    flamenco_str status, previous_status; /* empty when the payload has none */
    flamenco_buf *buf; /* holds every text above; a receiver that keeps the event takes a reference (host->buf_ref) */
    uint32_t flags; /* FLAMENCO_EVENT_FLAG_* */
    uint32_t reserved;
} flamenco_event;

/* Receives an event after its commit, in order, on the publisher's thread; must not block. event is borrowed. [any] */
typedef void (*flamenco_on_event)(void *ctx, const flamenco_event *event);

#define FLAMENCO_STEP_READ 0u /* run is called [reader], in a snapshot of its own */
#define FLAMENCO_STEP_WRITE 1u /* run is called [writer], in a savepoint of a shared transaction; it may run twice */
#define FLAMENCO_STEP_WORK 2u /* run is called [worker], outside any transaction */

/* Work to be done later. */
typedef struct flamenco_step {
    uint32_t struct_size;
    uint32_t kind; /* FLAMENCO_STEP_* */
    const char *name; /* static, for log lines and metrics */
    /* Does the work. FLAMENCO_AGAIN queues the step once more behind everything that waits. A failure is logged. */
    int32_t (*run)(flamenco_cx *cx, void *ctx, flamenco_error *err);
    void *ctx;
    void (*destroy)(void *ctx); /* called exactly once, on any thread, also when submit fails; may be NULL */
    int64_t delay_us; /* first run no earlier than this, measured by the clock service */
    uint64_t order_key; /* WORK only: steps with one key other than 0 run one after the other, in order */
} flamenco_step;

#define FLAMENCO_TOUCH_WORKER_SEEN 1u /* worker.last_seen = cx->now_us */
#define FLAMENCO_TOUCH_TASK 2u /* task.last_touched = cx->now_us */

#define FLAMENCO_WAKE_TASKS 1u /* tasks became runnable: parked requests for a task are tried again */
#define FLAMENCO_WAKE_WORKER 2u /* a worker changed: its own parked request is tried again */

/* What may end the waiting of a parked request. */
typedef struct flamenco_wake {
    uint32_t struct_size;
    uint32_t what; /* FLAMENCO_WAKE_* */
    uint64_t count; /* TASKS: how many */
    flamenco_str task_type; /* TASKS: theirs; empty = several or unknown */
    flamenco_uuid worker; /* WORKER */
} flamenco_wake;

/* What the host does for a plugin. The pointer given to create() is valid until destroy() returns. `h` is passed back as
 * the first argument where asked for. All functions: [any]. Append-only. */
struct flamenco_host {
    uint32_t struct_size;
    uint32_t abi_minor;
    void *h;
    /* Writes a log line under the instance's name. level: FLAMENCO_LOG_*. */
    void (*log)(void *h, uint32_t level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
    void (*log_va)(void *h, uint32_t level, const char *fmt, va_list args) __attribute__((format(printf, 3, 0)));
    /* Allocates `bytes` of memory, owned by the caller until host->free. Returns NULL when memory is exhausted. */
    void *(*alloc)(void *h, uint64_t bytes);
    void (*free)(void *h, void *ptr); /* accepts NULL */
    /* Allocates zeroed memory that lives until cx ends. Returns NULL when memory is exhausted. */
    void *(*cx_alloc)(flamenco_cx *cx, uint64_t bytes);
    /* Finds the service `id`, which must be among the plugin's needs; self_out gets its instance. Valid from start to
     * the end of stop. Returns NULL when an optional need is absent. */
    const void *(*service)(void *h, const char *id, void **self_out);
    /* Queues a copy of `step`. Errors: FULL (too much waits), CANCELLED (the manager is stopping), NOMEM. */
    int32_t (*submit)(void *h, const flamenco_step *step);
    /* Effects: remembered with cx, done in order after its commit is durable, forgotten when it is rolled back. Outside a
     * transaction they are done at once. Texts are copied. */
    int32_t (*emit)(flamenco_cx *cx, const flamenco_event *event);
    /* The same for the events of the API; the host writes the payload (flamenco/events.h). */
    int32_t (*emit_job)(flamenco_cx *cx, const struct flamenco_job_event *event);
    int32_t (*emit_task)(flamenco_cx *cx, const struct flamenco_task_event *event);
    int32_t (*emit_worker)(flamenco_cx *cx, const struct flamenco_worker_event *event);
    /* Appends `text` to the task's log and sends the log event. stamp 1: a line of the manager's own, which gets the local
     * time and one blank in front (state-and-scheduling 15); 0: a worker's text, verbatim. */
    int32_t (*task_log)(flamenco_cx *cx, const flamenco_uuid *job, const flamenco_uuid *task, uint32_t stamp,
                        flamenco_str text);
    /* Notes that a worker was seen or a task touched now. Kept in memory, stored within 1 s. key = the row's key. */
    int32_t (*touch)(flamenco_cx *cx, uint32_t what, int64_t key);
    int32_t (*wake)(flamenco_cx *cx, const flamenco_wake *wake);
    /* Registers a receiver for the event kinds in the mask, until the plugin is stopped. */
    int32_t (*listen)(void *h, uint64_t event_kinds, flamenco_on_event on_event, void *ctx);
    /* Sets a gauge, or adds to a counter when `name` ends in "_total". Shown under /metrics. */
    void (*metric)(void *h, const char *name, double value);
    /* Shared bytes: an event's buf. */
    void (*buf_ref)(flamenco_buf *buf);
    void (*buf_unref)(flamenco_buf *buf);
    /* The clock service's time of day, and the system's monotonic time, by which deadlines are kept; both in µs. */
    int64_t (*now_us)(void *h);
    int64_t (*monotonic_us)(void *h);
    /* The bytes `text` as 36 characters, lower case, into out[37] with a NUL; and back: INVALID unless it is a UUID. */
    void (*uuid_format)(const flamenco_uuid *uuid, char *out);
    int32_t (*uuid_parse)(flamenco_str text, flamenco_uuid *out);
    /* A new random UUID: version 4, or 7 (ascending in time). */
    int32_t (*uuid_make)(void *h, uint32_t version, flamenco_uuid *out);
    /* Closes nothing and stops everything: logs `reason`, then the manager stops itself with exit code 1. For a back end
     * that finds its data damaged or its lease lost. */
    void (*fail)(void *h, const char *reason);
    /* The bytes of a shared buffer, valid as long as a reference is held. */
    flamenco_str (*buf_bytes)(const flamenco_buf *buf);
    /* The value of a number in manager.yaml's section `limits` ("image_memory"; bytes, µs), as it was at start; 0 when there
     * is no such key. */
    int64_t (*limit)(void *h, const char *key);
    /* Makes shared bytes of a copy of `text`, with one reference. Returns NULL when memory is exhausted. */
    flamenco_buf *(*buf_make)(flamenco_str text);
    /* Becomes 1 when the manager is told to end, also while it still starts: a start() that takes long then gives up with
     * CANCELLED. In the form of flamenco_cx.cancelled, and valid until destroy() returns. NULL: nobody will tell. */
    const uint32_t *stopping;
};

/* ---- Configuration --------------------------------------------------------------------------------------------- */

#define FLAMENCO_SETTING_TEXT 1u
#define FLAMENCO_SETTING_INT 2u
#define FLAMENCO_SETTING_REAL 3u
#define FLAMENCO_SETTING_BOOL 4u
#define FLAMENCO_SETTING_DURATION 5u /* "1m30s" (configuration-and-clients 1.7); read in µs */
#define FLAMENCO_SETTING_BYTES 6u /* "64MiB", "4096"; read in bytes */
#define FLAMENCO_SETTING_CHOICE 7u /* one of `choices` */
#define FLAMENCO_SETTING_TEXT_LIST 8u /* a list of texts; a single text counts as a list of one */
#define FLAMENCO_SETTING_PATH 9u /* a text; the host makes it absolute, relative to the working directory */
#define FLAMENCO_SETTING_PATH_LIST 10u

#define FLAMENCO_SETTING_SECRET 1u /* masked wherever settings are shown */
#define FLAMENCO_SETTING_REQUIRED 2u /* no default; must be given */

/* One setting of a plugin. The host checks type, range and unknown keys and names file and line of what is wrong. */
typedef struct flamenco_setting {
    uint32_t struct_size;
    uint32_t type; /* FLAMENCO_SETTING_* */
    const char *key;
    const char *default_text; /* as it would stand in YAML; lists: items separated by blanks; NULL = empty */
    int64_t min, max; /* INT, DURATION (µs), BYTES; both 0 = unlimited */
    const char *unit; /* for people; NULL = none */
    const char *doc; /* one sentence, for README, manager.yaml and /api/v3/plugins */
    uint32_t flags; /* FLAMENCO_SETTING_SECRET … */
    uint32_t reserved;
    const char *choices; /* CHOICE: separated by blanks */
    const char *reference_key; /* "mqtt.client.broker": the setting lives under that key of the manager's configuration,
                                  not under `settings:`; else NULL */
} flamenco_setting;

/* A plugin's settings, checked and with defaults filled in. Borrowed; it and every text that it gave stay valid until
 * destroy(). A setting with a reference_key is live: each read gives the value now in force. Asking for an undeclared key,
 * or for another type than the declared one, gives zero and logs a plugin error. All functions: [any]. */
typedef struct flamenco_config {
    uint32_t struct_size;
    uint32_t reserved;
    const void *c;
    flamenco_str (*text)(const void *c, const char *key); /* TEXT, CHOICE, PATH */
    int64_t (*integer)(const void *c, const char *key); /* INT, BOOL (0, 1), DURATION (µs), BYTES */
    double (*real)(const void *c, const char *key);
    uint64_t (*count)(const void *c, const char *key); /* lists: number of items */
    flamenco_str (*item)(const void *c, const char *key, uint64_t index);
    uint32_t (*given)(const void *c, const char *key); /* 1 when the admin wrote it, 0 when it is the default */
    flamenco_str (*place)(const void *c, const char *key); /* "manager.yaml:12", for error texts */
} flamenco_config;

/* ---- Plugin ---------------------------------------------------------------------------------------------------- */

/* A service that a plugin offers: its id with revision ("flamenco.persistence/1") and its method table, static const. */
typedef struct flamenco_provide {
    uint32_t struct_size;
    uint32_t reserved;
    const char *id;
    const void *table; /* starts with uint32_t struct_size */
} flamenco_provide;

/* A service that a plugin calls. Makes the host start it first. */
typedef struct flamenco_need {
    uint32_t struct_size;
    uint32_t optional; /* 1: the plugin works without it */
    const char *id;
    uint32_t least_table_size; /* the methods up to here must exist; 0 = as the host has it */
    uint32_t reserved;
} flamenco_need;

/* What flamenco_plugin_query() returns: static const. The lists end with NULL; a NULL list is empty.
 * Phases: query, create, configure, start, (work), stop, destroy. A failure in any phase leaves an instance that may be
 * destroyed. Methods of the tables are called between start and stop only; `self` is what create gave. */
typedef struct flamenco_plugin {
    uint32_t struct_size;
    uint16_t abi_major, abi_minor;
    const char *id; /* "persist-sqlite", or a reverse-domain name */
    const char *version; /* for people */
    const char *licence; /* an SPDX expression */
    const flamenco_provide *const *provides;
    const flamenco_need *const *needs;
    const flamenco_setting *const *settings;
    /* Makes an instance. No I/O, no threads, no calls of host but alloc, free and log. [main] */
    int32_t (*create)(const flamenco_host *host, void **self_out, flamenco_error *err);
    /* Takes the settings, which stay valid until destroy. Checks what spans several of them; no side effects. [main] */
    int32_t (*configure)(void *self, const flamenco_config *config, flamenco_error *err);
    /* Begins to work: opens files, starts threads. The services that it needs run already. BUSY: another process has what it
     * needs, and UNAVAILABLE: it cannot be reached; then nothing is left open, and a standby calls start again. [main] */
    int32_t (*start)(void *self, flamenco_error *err);
    /* Ends all work and every thread, until deadline_us (monotonic). Called once after a successful start. [main] */
    int32_t (*stop)(void *self, int64_t deadline_us, flamenco_error *err);
    /* Frees the instance. Accepts NULL. [main] */
    void (*destroy)(void *self);
    /* Tells whether the plugin can do its work now; the text of a failure is shown under /health. Optional. [worker] */
    int32_t (*health)(void *self, flamenco_error *err);
} flamenco_plugin;

#define FLAMENCO_PLUGIN_INIT \
    .struct_size = (uint32_t)sizeof(flamenco_plugin), .abi_major = FLAMENCO_ABI_MAJOR, .abi_minor = FLAMENCO_ABI_MINOR

/* The one exported symbol. Returns a static const descriptor; allocates nothing, starts nothing. [main] */
FLAMENCO_EXPORT const flamenco_plugin *flamenco_plugin_query(void);

/* ---- Small helpers --------------------------------------------------------------------------------------------- */

/* Tells whether `member` lies within the first `size` bytes of a table and is set. */
#define FLAMENCO_HAS(table, member) \
    ((table)->struct_size >= offsetof(__typeof__(*(table)), member) + sizeof((table)->member) && \
     (table)->member != NULL)

/* Fills err, which may be NULL, and returns code, so that `return flamenco_fail(err, FLAMENCO_E_INVALID, "…");` works.
 * A text that is too long is cut between two characters. [any] */
__attribute__((format(printf, 3, 4), unused)) static inline int32_t flamenco_fail(flamenco_error *err, int32_t code,
                                                                                  const char *fmt, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    if (n >= (int)sizeof(err->text)) {
        size_t end = sizeof(err->text) - 1;
        while (end > 0 && ((unsigned char)err->text[end - 1] & 0xC0u) == 0x80u)
            --end;
        if (end > 0 && (unsigned char)err->text[end - 1] >= 0xC0u)
            --end;
        err->text[end] = '\0';
    } else if (n < 0) {
        err->text[0] = '\0';
    }
    err->code = code;
    return code;
}

#ifdef __cplusplus
}
#endif

#endif
