/* SPDX-License-Identifier: Apache-2.0 */
#include "core/metrics.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/executor.h"
#include "core/http/http.h"
#include "core/parked.h"
#include "core/publisher.h"
#include "core/workpool.h"

#define NAMES_AT_MOST 1000u
#define STATUS_CLASSES 6u

typedef struct metric {
    struct metric *next;
    char *owner;
    char *name;
    double value;
} metric;

struct fl_metrics {
    pthread_mutex_t lock;
    metric *first, **last;
    uint32_t count;
    uint64_t replies[STATUS_CLASSES]; /* atomic, by hundreds of the status; 0 = no answer */
    uint64_t reply_us; /* atomic, in all */
};

fl_metrics *fl_metrics_create(void)
{
    fl_metrics *metrics = calloc(1, sizeof(*metrics));
    if (metrics == NULL)
        return NULL;
    metrics->last = &metrics->first;
    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

static void drop_metric(metric *m)
{
    free(m->owner);
    free(m->name);
    free(m);
}

void fl_metrics_destroy(fl_metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (metric *m = metrics->first; m != NULL;) {
        metric *next = m->next;
        drop_metric(m);
        m = next;
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

static int is_name(const char *name)
{
    if (*name == '\0' || isdigit((unsigned char)*name))
        return 0;
    for (; *name != '\0'; ++name) {
        if (!isalnum((unsigned char)*name) && *name != '_')
            return 0;
    }
    return 1;
}

static int is_counter(const char *name)
{
    size_t len = strlen(name);
    return len > 6 && strcmp(name + len - 6, "_total") == 0;
}

static metric *find_or_add(fl_metrics *metrics, const char *owner, const char *name)
{
    for (metric *m = metrics->first; m != NULL; m = m->next) {
        if (strcmp(m->name, name) == 0 && strcmp(m->owner, owner) == 0)
            return m;
    }
    if (metrics->count >= NAMES_AT_MOST || !is_name(name))
        return NULL;
    metric *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return NULL;
    m->owner = strdup(owner);
    m->name = strdup(name);
    if (m->owner == NULL || m->name == NULL) {
        drop_metric(m);
        return NULL;
    }
    *metrics->last = m;
    metrics->last = &m->next;
    ++metrics->count;
    return m;
}

void fl_metrics_set(fl_metrics *metrics, const char *owner, const char *name, double value)
{
    pthread_mutex_lock(&metrics->lock);
    metric *m = find_or_add(metrics, owner, name);
    if (m != NULL)
        m->value = is_counter(name) ? m->value + value : value;
    pthread_mutex_unlock(&metrics->lock);
}

void fl_metrics_request(fl_metrics *metrics, int status, int64_t us)
{
    uint32_t class = status < 100 || status > 599 ? 0 : (uint32_t)status / 100;
    __atomic_add_fetch(&metrics->replies[class], 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&metrics->reply_us, (uint64_t)us, __ATOMIC_RELAXED);
}

static void add_counter(fl_buf *out, const char *name, const char *help, uint64_t value)
{
    fl_buf_printf(out, "# HELP flamenco_%s %s\n# TYPE flamenco_%s counter\nflamenco_%s %llu\n", name, help, name, name,
                  (unsigned long long)value);
}

static void add_gauge(fl_buf *out, const char *name, const char *help, uint64_t value)
{
    fl_buf_printf(out, "# HELP flamenco_%s %s\n# TYPE flamenco_%s gauge\nflamenco_%s %llu\n", name, help, name, name,
                  (unsigned long long)value);
}

static void write_executor(struct flamenco *f, fl_buf *out)
{
    fl_executor_stats stats;
    fl_executor_read_stats(f->executor, &stats);
    add_counter(out, "commits_total", "Durable commits.", stats.batches);
    add_counter(out, "failed_commits_total", "Batches that were rolled back.", stats.failed_batches);
    add_counter(out, "write_steps_total", "Write steps that were committed.", stats.write_steps);
    add_counter(out, "read_steps_total", "Read steps.", stats.read_steps);
    add_counter(out, "commit_microseconds_total", "Time spent in commits.", stats.commit_us);
    add_gauge(out, "waiting_write_steps", "Write steps in the queue.", stats.waiting_writes);
    add_gauge(out, "waiting_read_steps", "Read steps in the queue.", stats.waiting_reads);
    add_gauge(out, "waiting_work_steps", "Steps that wait for the work pool.", fl_workpool_waiting(f->workpool));
    add_gauge(out, "parked_requests", "Requests that wait for a task or for news.", fl_parked_count(f->parked));
    add_counter(out, "failed_log_appends_total", "Task log texts that were not written.",
                fl_publisher_failed_logs(f->publisher));
}

static void write_http(struct flamenco *f, fl_buf *out)
{
    fl_http_stats sum = { 0 };
    if (!__atomic_load_n(&f->ready, __ATOMIC_ACQUIRE))
        return; /* the server is not there yet, or no longer */
    for (size_t i = 0; i < fl_http_loop_count(f->http); ++i) {
        fl_http_stats one;
        fl_http_loop_stats(f->http, i, &one);
        sum.connections += one.connections;
        sum.websockets += one.websockets;
        sum.pending += one.pending;
        sum.requests += one.requests;
        sum.refused += one.refused;
        sum.cut += one.cut;
        sum.bytes_in += one.bytes_in;
        sum.bytes_out += one.bytes_out;
    }
    add_gauge(out, "http_connections", "Open connections.", sum.connections);
    add_gauge(out, "http_websockets", "Open WebSockets.", sum.websockets);
    add_gauge(out, "http_pending_requests", "Requests that are not answered yet.", sum.pending);
    add_counter(out, "http_requests_total", "Requests.", sum.requests);
    add_counter(out, "http_refused_total", "Malformed requests.", sum.refused);
    add_counter(out, "http_cut_total", "Connections cut by a limit.", sum.cut);
    add_counter(out, "http_received_bytes_total", "Bytes received.", sum.bytes_in);
    add_counter(out, "http_sent_bytes_total", "Bytes sent.", sum.bytes_out);
}

static void write_replies(const fl_metrics *metrics, fl_buf *out)
{
    fl_buf_add_text(out, "# HELP flamenco_api_replies_total Replies by class of status; none: dropped connections.\n"
                         "# TYPE flamenco_api_replies_total counter\n");
    for (uint32_t class = 0; class < STATUS_CLASSES; ++class) {
        uint64_t n = __atomic_load_n(&metrics->replies[class], __ATOMIC_RELAXED);
        char name[8] = "none";
        if (class > 0)
            snprintf(name, sizeof(name), "%uxx", class);
        fl_buf_printf(out, "flamenco_api_replies_total{status=\"%s\"} %llu\n", name, (unsigned long long)n);
    }
    add_counter(out, "api_microseconds_total", "Time from request to answer, parked requests included.",
                __atomic_load_n(&metrics->reply_us, __ATOMIC_RELAXED));
}

/* A label's value: the name of an instance is whatever the admin wrote. */
static void add_label(fl_buf *out, const char *text)
{
    for (; *text != '\0'; ++text) {
        if (*text == '\n')
            fl_buf_add_text(out, "\\n");
        else if (*text == '"' || *text == '\\')
            fl_buf_printf(out, "\\%c", *text);
        else
            fl_buf_add_char(out, *text);
    }
}

static void write_plugins(fl_metrics *metrics, fl_buf *out)
{
    pthread_mutex_lock(&metrics->lock);
    for (const metric *m = metrics->first; m != NULL; m = m->next) {
        int announced = 0;
        for (const metric *before = metrics->first; before != m && !announced; before = before->next)
            announced = strcmp(before->name, m->name) == 0;
        if (announced)
            continue; /* written with the first of that name */
        fl_buf_printf(out, "# TYPE flamenco_%s %s\n", m->name, is_counter(m->name) ? "counter" : "gauge");
        for (const metric *same = m; same != NULL; same = same->next) {
            if (strcmp(same->name, m->name) != 0)
                continue;
            fl_buf_printf(out, "flamenco_%s{plugin=\"", same->name);
            add_label(out, same->owner);
            fl_buf_printf(out, "\"} %.17g\n", same->value);
        }
    }
    pthread_mutex_unlock(&metrics->lock);
}

void fl_metrics_write(struct flamenco *f, fl_buf *out)
{
    write_executor(f, out);
    write_http(f, out);
    write_replies(f->metrics, out);
    write_plugins(f->metrics, out);
}
