/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - the service "flamenco.event_forwarder/1" by webhooks: each chosen event is a POST of JSON to one or more URLs. This
 * file is the plugin's life and its thread; a URL with its journal is target.c. README.md says what receivers can rely on.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "flamenco/event_forwarder.h"
#include "flamenco/local_storage.h"
#include "target.h"
#include "text.h"

#define TARGETS_MAX 16u
#define EVENT_MAX (4u << 20) /* bytes of one event's text */
#define SECOND_US INT64_C(1000000)
#define FLUSH_AT_MOST_US SECOND_US
#define POLL_MAX_MS 60000

typedef struct webhook {
    const flamenco_host *host;
    const flamenco_config *config;
    fl_target_settings settings;
    char *authorization, *ca_file; /* NUL-terminated copies */
    fl_target *targets;
    size_t n_targets;
    CURLM *multi;
    pthread_t thread;
    int has_curl, runs;
    char *body; /* of publish: one call at a time */
    size_t body_size;
    uint32_t stopping, woken; /* atomic */
    pthread_mutex_t lock; /* for done */
    pthread_cond_t done; /* a request has ended */
} webhook;

/* ---- The thread ------------------------------------------------------------------------------------------------------- */

static void end_requests(webhook *w)
{
    int left = 0;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(w->multi, &left)) != NULL) {
        char *target = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result;
        if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &target) == CURLE_OK)
            fl_target_end((fl_target *)(void *)target, w->multi, result);
        pthread_mutex_lock(&w->lock);
        pthread_cond_broadcast(&w->done);
        pthread_mutex_unlock(&w->lock);
    }
}

static void start_requests(webhook *w)
{
    uint64_t waiting = 0, bytes = 0;
    for (size_t i = 0; i < w->n_targets; ++i) {
        uint64_t more = 0;
        fl_target_start(&w->targets[i], w->multi);
        waiting += fl_target_waiting(&w->targets[i], &more);
        bytes += more;
    }
    w->host->metric(w->host->h, "webhook_waiting", (double)waiting);
    w->host->metric(w->host->h, "webhook_journal_bytes", (double)bytes);
}

/* How long there is nothing to do but to wait for the receivers. */
static int poll_timeout(webhook *w)
{
    int64_t now_us = w->host->monotonic_us(w->host->h), next_us = INT64_MAX;
    for (size_t i = 0; i < w->n_targets; ++i) {
        int64_t due_us = fl_target_due(&w->targets[i]);
        next_us = due_us < next_us ? due_us : next_us;
    }
    if (next_us == INT64_MAX)
        return POLL_MAX_MS;
    int64_t ms = next_us > now_us ? (next_us - now_us + 999) / 1000 : 0;
    return ms < POLL_MAX_MS ? (int)ms : POLL_MAX_MS;
}

static void *run(void *arg)
{
    webhook *w = arg;
    while (!__atomic_load_n(&w->stopping, __ATOMIC_ACQUIRE)) {
        int running = 0;
        __atomic_store_n(&w->woken, 0, __ATOMIC_SEQ_CST); /* before looking: what comes later wakes again */
        start_requests(w);
        if (curl_multi_perform(w->multi, &running) == CURLM_OK)
            end_requests(w);
        for (size_t i = 0; i < w->n_targets; ++i)
            fl_target_sync(&w->targets[i], w->host->monotonic_us(w->host->h));
        if (curl_multi_poll(w->multi, NULL, 0, poll_timeout(w), NULL) != CURLM_OK)
            w->host->log(w->host->h, FLAMENCO_LOG_ERROR, "curl cannot wait for the receivers");
    }
    return NULL;
}

static void wake(webhook *w)
{
    if (!__atomic_exchange_n(&w->woken, 1, __ATOMIC_SEQ_CST))
        (void)curl_multi_wakeup(w->multi);
}

/* ---- The service ------------------------------------------------------------------------------------------------------ */

static int is_chosen(const webhook *w, flamenco_str topic)
{
    for (uint64_t i = 0; i < w->config->count(w->config->c, "topics"); ++i)
        if (fl_webhook_matches(w->config->item(w->config->c, "topics", i), topic))
            return 1;
    return 0;
}

static int make_room(webhook *w, size_t size)
{
    if (size <= w->body_size)
        return 1;
    char *more = size <= EVENT_MAX ? realloc(w->body, size) : NULL;
    if (more == NULL)
        return 0;
    w->body = more;
    w->body_size = size;
    return 1;
}

/* Writes to the journals, which is a copy to the page cache: whoever has a reply to what caused the event can rely on its
 * delivery, be the manager killed at once. Receivers are the thread's business. */
static void publish(void *self, const flamenco_event *event)
{
    webhook *w = self;
    const flamenco_host *host = w->host;
    flamenco_uuid id;
    char id_text[37];
    if (!is_chosen(w, event->topic))
        return;
    if (!make_room(w, fl_webhook_body_size(event)) || host->uuid_make(host->h, 7, &id) != FLAMENCO_OK) {
        host->log(host->h, FLAMENCO_LOG_WARN, "an event of %.*s is lost: too large, or no memory",
                  (int)event->topic.len, event->topic.ptr);
        host->metric(host->h, "webhook_dropped_total", (double)w->n_targets);
        return;
    }
    host->uuid_format(&id, id_text);
    int64_t now_us = host->now_us(host->h);
    size_t len = fl_webhook_body(w->body, event, id_text, now_us);
    for (size_t i = 0; i < w->n_targets; ++i)
        fl_target_add(&w->targets[i], w->body, len, now_us);
    wake(w);
}

static int is_busy(webhook *w)
{
    for (size_t i = 0; i < w->n_targets; ++i)
        if (fl_target_is_busy(&w->targets[i]))
            return 1;
    return 0;
}

/* Everything is in the journals already. Receivers that take events get a moment, so that they hear of the end. */
static int32_t flush(void *self, int64_t deadline_us, flamenco_error *err)
{
    webhook *w = self;
    int64_t at_most_us = w->host->monotonic_us(w->host->h) + FLUSH_AT_MOST_US;
    int rc = 0;
    (void)err;
    if (deadline_us > at_most_us)
        deadline_us = at_most_us;
    struct timespec until = { (time_t)(deadline_us / SECOND_US), (long)(deadline_us % SECOND_US) * 1000 };
    pthread_mutex_lock(&w->lock);
    while (rc == 0 && is_busy(w))
        rc = pthread_cond_timedwait(&w->done, &w->lock, &until);
    pthread_mutex_unlock(&w->lock);
    return FLAMENCO_OK;
}

/* ---- Life ------------------------------------------------------------------------------------------------------------- */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    pthread_condattr_t attributes;
    webhook *w = host->alloc(host->h, sizeof(*w));
    if (w == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(w, 0, sizeof(*w));
    w->host = host;
    /* These cannot fail on Linux. */
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->done, &attributes);
    pthread_condattr_destroy(&attributes);
    *self_out = w;
    return FLAMENCO_OK;
}

static int32_t fail_at(const flamenco_config *config, const char *key, const char *text, flamenco_error *err)
{
    flamenco_str place = config->place(config->c, key);
    return flamenco_fail(err, FLAMENCO_E_INVALID, "%.*s: %s", (int)place.len, place.ptr, text);
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    webhook *w = self;
    const void *c = config->c;
    uint64_t n = config->count(c, "urls");
    w->config = config;
    w->settings = (fl_target_settings){ .host = w->host,
                                        .secret = config->text(c, "secret"),
                                        .timeout_us = config->integer(c, "timeout"),
                                        .first_us = config->integer(c, "retry_first"),
                                        .max_us = config->integer(c, "retry_max"),
                                        .max_age_us = config->integer(c, "max_age"),
                                        .limit = (uint64_t)config->integer(c, "backlog") };
    if (n == 0 || n > TARGETS_MAX)
        return fail_at(config, "urls", "1 to 16 URLs are wanted", err);
    for (uint64_t i = 0; i < n; ++i) {
        if (!fl_webhook_is_url(config->item(c, "urls", i)))
            return fail_at(config, "urls", "each must be http://HOST… or https://HOST…, without user and password",
                           err);
        for (uint64_t k = 0; k < i; ++k)
            if (flamenco_str_equal(config->item(c, "urls", i), config->item(c, "urls", k)))
                return fail_at(config, "urls", "one stands there twice", err);
    }
    for (uint64_t i = 0; i < config->count(c, "topics"); ++i) {
        flamenco_str topic = config->item(c, "topics", i);
        if (topic.len == 0 || (topic.ptr[0] != '/' && topic.ptr[0] != '*'))
            return fail_at(config, "topics", "a topic begins with \"/\", like \"/jobs\", or with \"*\"", err);
    }
    flamenco_str authorization = config->text(c, "authorization");
    for (uint64_t i = 0; i < authorization.len; ++i)
        if ((unsigned char)authorization.ptr[i] < ' ' || authorization.len > 900)
            return fail_at(config, "authorization", "at most 900 characters, and no control characters", err);
    if (w->settings.first_us > w->settings.max_us)
        return fail_at(config, "retry_first", "is longer than retry_max", err);
    return FLAMENCO_OK;
}

static char *copy_text(const webhook *w, flamenco_str text)
{
    char *copy = w->host->alloc(w->host->h, text.len + 1);
    if (copy == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.ptr, (size_t)text.len);
    copy[text.len] = '\0';
    return copy;
}

/* Makes a directory, and those above it, which others may look into. Returns 0, or -1 with errno. */
static int make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int failed = mkdir(path, 0755) != 0 && errno != EEXIST;
        *slash = '/';
        if (failed)
            return -1;
    }
    return mkdir(path, 0700) != 0 && errno != EEXIST ? -1 : 0;
}

/* The folder of the journals, made when it is missing; NUL-terminated, to be freed. NULL with an error. */
static char *find_directory(const webhook *w, flamenco_error *err)
{
    void *storage_self = NULL;
    flamenco_str given = w->config->text(w->config->c, "directory");
    const flamenco_local_storage *storage = w->host->service(w->host->h, FLAMENCO_LOCAL_STORAGE, &storage_self);
    char *path = NULL;
    if (given.len > 0) {
        path = copy_text(w, given);
    } else if (storage != NULL) {
        flamenco_str root = storage->root(storage_self);
        size_t size = (size_t)root.len + sizeof("/.webhook");
        path = w->host->alloc(w->host->h, size);
        if (path != NULL)
            snprintf(path, size, "%.*s/.webhook", (int)root.len, root.ptr);
    }
    if (path == NULL) {
        (void)flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory, or no storage, for the journal");
        return NULL;
    }
    if (make_directories(path) != 0) {
        char reason[128];
        (void)flamenco_fail(err, FLAMENCO_E_IO, "cannot make %s: %s", path, strerror_r(errno, reason, sizeof(reason)));
        w->host->free(w->host->h, path);
        return NULL;
    }
    return path;
}

static void give_back(webhook *w)
{
    for (size_t i = 0; i < w->n_targets; ++i)
        fl_target_close(&w->targets[i], w->multi);
    w->host->free(w->host->h, w->targets);
    w->targets = NULL;
    w->n_targets = 0;
    if (w->multi != NULL)
        curl_multi_cleanup(w->multi);
    w->multi = NULL;
    if (w->has_curl)
        curl_global_cleanup();
    w->has_curl = 0;
    w->host->free(w->host->h, w->authorization);
    w->host->free(w->host->h, w->ca_file);
    w->authorization = w->ca_file = NULL;
    free(w->body);
    w->body = NULL;
    w->body_size = 0;
}

static int32_t open_targets(webhook *w, flamenco_error *err)
{
    uint64_t n = w->config->count(w->config->c, "urls");
    char *directory = find_directory(w, err);
    if (directory == NULL)
        return err != NULL && err->code != 0 ? err->code : FLAMENCO_E_IO;
    int32_t rc = FLAMENCO_OK;
    w->targets = w->host->alloc(w->host->h, n * sizeof(*w->targets));
    if (w->targets == NULL)
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    for (uint64_t i = 0; i < n && rc == FLAMENCO_OK; ++i) {
        rc = fl_target_open(&w->targets[i], &w->settings, w->config->item(w->config->c, "urls", i), directory, err);
        if (rc == FLAMENCO_OK)
            w->n_targets = (size_t)i + 1;
    }
    w->host->free(w->host->h, directory);
    return rc;
}

static int start_thread(webhook *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static int32_t start(void *self, flamenco_error *err)
{
    webhook *w = self;
    int32_t rc = FLAMENCO_OK;
    w->stopping = w->woken = 0;
    w->has_curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    w->multi = w->has_curl ? curl_multi_init() : NULL;
    w->authorization = copy_text(w, w->config->text(w->config->c, "authorization"));
    w->ca_file = copy_text(w, w->config->text(w->config->c, "ca_file"));
    if (w->multi == NULL || w->authorization == NULL || w->ca_file == NULL)
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for requests");
    w->settings.authorization = w->authorization;
    w->settings.ca_file = w->ca_file;
    if (rc == FLAMENCO_OK)
        rc = open_targets(w, err);
    if (rc == FLAMENCO_OK && start_thread(w) != 0)
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot start a thread");
    if (rc != FLAMENCO_OK) {
        give_back(w);
        return rc;
    }
    w->runs = 1;
    if (w->settings.secret.len == 0)
        w->host->log(w->host->h, FLAMENCO_LOG_WARN, "without `secret` receivers cannot tell who sends them events");
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    webhook *w = self;
    (void)deadline_us; /* requests are given up; what they carry stays in the journal */
    (void)err;
    if (!w->runs)
        return FLAMENCO_OK;
    __atomic_store_n(&w->stopping, 1, __ATOMIC_RELEASE);
    (void)curl_multi_wakeup(w->multi);
    pthread_join(w->thread, NULL);
    w->runs = 0;
    give_back(w);
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    webhook *w = self;
    if (w == NULL)
        return;
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->lock);
    w->host->free(w->host->h, w);
}

static int32_t health(void *self, flamenco_error *err)
{
    webhook *w = self;
    for (size_t i = 0; i < w->n_targets; ++i) {
        int32_t rc = fl_target_health(&w->targets[i], err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return FLAMENCO_OK;
}

static const flamenco_event_forwarder table = {
    .struct_size = (uint32_t)sizeof(flamenco_event_forwarder),
    .publish = publish,
    .flush = flush,
};
static const flamenco_provide forwarder_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_EVENT_FORWARDER,
                                                    &table };
static const flamenco_provide *const provides[] = { &forwarder_provide, NULL };

static const flamenco_need storage_need = {
    .struct_size = (uint32_t)sizeof(flamenco_need),
    .id = FLAMENCO_LOCAL_STORAGE,
    .least_table_size = (uint32_t)(offsetof(flamenco_local_storage, root) + sizeof(void *)),
};
static const flamenco_need *const needs[] = { &storage_need, NULL };

#define SETTING(...) \
    { \
        .struct_size = (uint32_t)sizeof(flamenco_setting), __VA_ARGS__ \
    }

// clang-format off
static const flamenco_setting
    urls = SETTING(.type = FLAMENCO_SETTING_TEXT_LIST, .key = "urls",
        .flags = FLAMENCO_SETTING_SECRET | FLAMENCO_SETTING_REQUIRED,
        .doc = "Where events are sent to by POST; at most 16, each has its own queue."),
    topics = SETTING(.type = FLAMENCO_SETTING_TEXT_LIST, .key = "topics",
        .default_text = "/lifecycle /status /jobs /jobs/* /last-rendered /workers /workertags",
        .doc = "Which events are sent; * stands for anything but a slash, ** for anything."),
    secret = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = "secret", .flags = FLAMENCO_SETTING_SECRET,
        .doc = "Key of the signature; empty: nothing is signed."),
    authorization = SETTING(.type = FLAMENCO_SETTING_TEXT, .key = "authorization", .flags = FLAMENCO_SETTING_SECRET,
        .doc = "Sent as header Authorization, like `Bearer TOKEN`; empty: none."),
    ca_file = SETTING(.type = FLAMENCO_SETTING_PATH, .key = "ca_file",
        .doc = "For https: PEM file with the certificates that may vouch for receivers; empty: those of the system."),
    timeout = SETTING(.type = FLAMENCO_SETTING_DURATION, .key = "timeout", .default_text = "10s",
        .min = 100000, .max = 300 * SECOND_US, .doc = "How long one request may take."),
    retry_first = SETTING(.type = FLAMENCO_SETTING_DURATION, .key = "retry_first", .default_text = "1s",
        .min = 10000, .max = 3600 * SECOND_US, .doc = "How long to wait after the first failure; doubled after each one."),
    retry_max = SETTING(.type = FLAMENCO_SETTING_DURATION, .key = "retry_max", .default_text = "5m",
        .min = 10000, .max = 86400 * SECOND_US, .doc = "How long to wait at most."),
    max_age = SETTING(.type = FLAMENCO_SETTING_DURATION, .key = "max_age", .default_text = "168h",
        .max = 8760 * 3600 * SECOND_US, .doc = "Events that could not be delivered for so long are dropped; 0s: never."),
    backlog = SETTING(.type = FLAMENCO_SETTING_BYTES, .key = "backlog", .default_text = "64MiB",
        .min = 65536, .max = INT64_C(1) << 36, .doc = "How large the queue of one URL may grow; beyond that the oldest are dropped."),
    directory = SETTING(.type = FLAMENCO_SETTING_PATH, .key = "directory",
        .doc = "Where the queues are kept, on a local disk; empty: the folder .webhook in the manager's storage.");
// clang-format on
static const flamenco_setting *const settings[] = { &urls,    &topics,  &secret,      &authorization,
                                                    &ca_file, &timeout, &retry_first, &retry_max,
                                                    &max_age, &backlog, &directory,   NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "events-webhook", .version = "0.1.0", .licence = "Apache-2.0", .provides = provides,
    .needs = needs,       .settings = settings,   .create = create,   .configure = configure,  .start = start,
    .stop = stop,         .destroy = destroy,     .health = health,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
