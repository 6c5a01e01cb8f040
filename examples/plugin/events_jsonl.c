/* SPDX-License-Identifier: Apache-2.0
 *
 * events_jsonl.c - a plugin for Flamenco Manager: appends each event as one line of JSON to a file.
 *
 * It is the template for plugins out of the manager's tree. Read it from the end: flamenco_plugin_query() returns the
 * descriptor, the descriptor names the service that is provided, the settings, and the functions of the phases.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include <flamenco/event_forwarder.h>

#define QUEUE_SIZE 1024u /* events that may wait for the disk; beyond that they are dropped and counted */

static const char *const kind_names[] = { "lifecycle", "farm_status",   "job",    "task",
                                          "task_log",  "last_rendered", "worker", "worker_tag" };
#define KINDS (sizeof(kind_names) / sizeof(kind_names[0]))

/* One instance. Two of them may run side by side, so there are no globals that change. */
typedef struct forwarder {
    const flamenco_host *host;
    flamenco_str path; /* belongs to the configuration, which outlives us */
    uint64_t kinds; /* bit n: write events of kind n */
    FILE *file; /* used by the thread alone once that runs */
    pthread_t thread;
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t changed;
    flamenco_event queue[QUEUE_SIZE]; /* a ring; each holds a reference on its buf */
    uint32_t first, count;
    uint32_t stopping, writing, broken;
} forwarder;

/* ---- Writing: our own thread --------------------------------------------------------------------------------- */

/* As a JSON text. Events' topics and names hold no control characters, but a quote would break the line. */
static void write_text(FILE *out, flamenco_str text)
{
    fputc('"', out);
    for (uint64_t i = 0; i < text.len; ++i) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            fputc('\\', out);
        fputc(text.ptr[i], out);
    }
    fputc('"', out);
}

static void write_event(FILE *out, const flamenco_event *event)
{
    fprintf(out, "{\"seq\":%" PRIu64 ",\"kind\":\"%s\",\"topic\":", event->seq,
            event->kind < KINDS ? kind_names[event->kind] : "other");
    write_text(out, event->topic);
    fputs(",\"payload\":", out);
    /* The payload is JSON already. A line break can only stand between its tokens, where a blank does as well. */
    for (uint64_t i = 0; i < event->payload.len; ++i)
        fputc(event->payload.ptr[i] == '\n' ? ' ' : event->payload.ptr[i], out);
    fputs("}\n", out);
}

static void *write_events(void *arg)
{
    forwarder *f = arg;
    pthread_mutex_lock(&f->lock);
    for (;;) {
        while (f->count == 0 && !f->stopping)
            pthread_cond_wait(&f->changed, &f->lock);
        if (f->count == 0)
            break; /* stopping, and all is written */
        flamenco_event event = f->queue[f->first];
        f->first = (f->first + 1) % QUEUE_SIZE;
        f->count--;
        f->writing = 1;
        int last = f->count == 0;
        pthread_mutex_unlock(&f->lock);

        write_event(f->file, &event);
        /* Many events in a row become one write; somebody who watches the file sees them as soon as it is quiet. */
        int failed = (last && fflush(f->file) != 0) || ferror(f->file);
        int why = errno;
        f->host->buf_unref(event.buf);

        pthread_mutex_lock(&f->lock);
        f->writing = 0;
        if (failed && !f->broken) /* once, not for each event of a full disk */
            f->host->log(f->host->h, FLAMENCO_LOG_ERROR, "cannot write to %.*s: %s", (int)f->path.len, f->path.ptr,
                         strerror(why));
        f->broken = (uint32_t)failed;
        clearerr(f->file);
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* ---- The service ------------------------------------------------------------------------------------------------- */

/* The manager's publisher calls this for each event, in order, and must not be kept waiting: so it only takes a note. */
static void publish(void *self, const flamenco_event *event)
{
    forwarder *f = self;
    int dropped = 0;
    if (event->kind < 64 && (f->kinds >> event->kind & 1) == 0)
        return;
    pthread_mutex_lock(&f->lock);
    if (f->count < QUEUE_SIZE) {
        /* The texts of the event live in event->buf; with a reference on it they stay when this call is over. */
        f->host->buf_ref(event->buf);
        f->queue[(f->first + f->count++) % QUEUE_SIZE] = *event;
        pthread_cond_broadcast(&f->changed);
    } else {
        dropped = 1;
    }
    pthread_mutex_unlock(&f->lock);
    if (dropped)
        f->host->metric(f->host->h, "events_jsonl_dropped_total", 1);
}

/* The manager stops, and wants to know that everything has arrived. */
static int32_t flush(void *self, int64_t deadline_us, flamenco_error *err)
{
    forwarder *f = self;
    struct timespec until = { .tv_sec = (time_t)(deadline_us / 1000000),
                              .tv_nsec = (long)(deadline_us % 1000000) * 1000 };
    int rc = 0;
    pthread_mutex_lock(&f->lock);
    while ((f->count > 0 || f->writing) && rc == 0)
        rc = pthread_cond_timedwait(&f->changed, &f->lock, &until);
    uint32_t left = f->count + f->writing;
    pthread_mutex_unlock(&f->lock);
    return left == 0 ? FLAMENCO_OK
                     : flamenco_fail(err, FLAMENCO_E_DEADLINE, "%" PRIu32 " events are not written yet", left);
}

static const flamenco_event_forwarder table = {
    .struct_size = (uint32_t)sizeof(flamenco_event_forwarder),
    .publish = publish,
    .flush = flush,
};

/* ---- The phases ---------------------------------------------------------------------------------------------------- */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    pthread_condattr_t attributes;
    forwarder *f = host->alloc(host->h, sizeof(*f));
    if (f == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(f, 0, sizeof(*f));
    f->host = host;
    /* Deadlines are monotonic, so the condition must be. These calls cannot fail on Linux. */
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *self_out = f;
    return FLAMENCO_OK;
}

/* Only looks at the settings: --check-config comes this far, and must leave nothing behind. */
static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    forwarder *f = self;
    f->path = config->text(config->c, "path");
    for (uint64_t i = 0; i < config->count(config->c, "kinds"); ++i) {
        flamenco_str name = config->item(config->c, "kinds", i);
        size_t kind = 0;
        while (kind < KINDS && !flamenco_str_equal(name, flamenco_text(kind_names[kind])))
            ++kind;
        if (kind == KINDS) {
            flamenco_str place = config->place(config->c, "kinds");
            return flamenco_fail(err, FLAMENCO_E_INVALID, "%.*s: there are no events of kind \"%.*s\"", (int)place.len,
                                 place.ptr, (int)name.len, name.ptr);
        }
        f->kinds |= UINT64_C(1) << kind;
    }
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    forwarder *f = self;
    sigset_t all, before;
    char *path = f->host->alloc(f->host->h, f->path.len + 1);
    if (path == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memcpy(path, f->path.ptr, f->path.len);
    path[f->path.len] = '\0';
    f->file = fopen(path, "ae");
    int why = errno;
    f->host->free(f->host->h, path);
    if (f->file == NULL)
        return flamenco_fail(err, FLAMENCO_E_IO, "cannot open %.*s: %s", (int)f->path.len, f->path.ptr, strerror(why));
    /* Signals are the manager's business: a plugin's threads block them all. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&f->thread, NULL, write_events, f);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        fclose(f->file);
        f->file = NULL;
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot start a thread: %s", strerror(rc));
    }
    f->host->log(f->host->h, FLAMENCO_LOG_INFO, "events are appended to %.*s", (int)f->path.len, f->path.ptr);
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    forwarder *f = self;
    (void)deadline_us; /* flush() has been called; at most a few lines are left */
    pthread_mutex_lock(&f->lock);
    f->stopping = 1;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    int failed = fclose(f->file) != 0;
    f->file = NULL;
    return failed ? flamenco_fail(err, FLAMENCO_E_IO, "the last events were not written: %s", strerror(errno))
                  : FLAMENCO_OK;
}

static void destroy(void *self)
{
    forwarder *f = self;
    if (f == NULL)
        return;
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    f->host->free(f->host->h, f);
}

static int32_t health(void *self, flamenco_error *err)
{
    forwarder *f = self;
    pthread_mutex_lock(&f->lock);
    uint32_t broken = f->broken;
    pthread_mutex_unlock(&f->lock);
    return broken ? flamenco_fail(err, FLAMENCO_E_IO, "%.*s cannot be written", (int)f->path.len, f->path.ptr)
                  : FLAMENCO_OK;
}

/* ---- The descriptor ------------------------------------------------------------------------------------------------- */

static const flamenco_provide forwarder_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_EVENT_FORWARDER,
                                                    &table };
static const flamenco_provide *const provides[] = { &forwarder_provide, NULL };

/* The manager checks them, fills in defaults, and refuses keys that are not declared. */
static const flamenco_setting path_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_PATH,
    .key = "path",
    .doc = "The file that events are appended to.",
    .flags = FLAMENCO_SETTING_REQUIRED,
};
static const flamenco_setting kinds_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_TEXT_LIST,
    .key = "kinds",
    .default_text = "lifecycle farm_status job task worker worker_tag last_rendered",
    .doc = "Kinds of events to write; task_log is the one that is left out.",
};
static const flamenco_setting *const settings[] = { &path_setting, &kinds_setting, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "events-jsonl", .version = "1.0.0", .licence = "Apache-2.0",
    .provides = provides, .settings = settings, .create = create,   .configure = configure,
    .start = start,       .stop = stop,         .destroy = destroy, .health = health,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
