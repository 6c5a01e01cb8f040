/* SPDX-License-Identifier: Apache-2.0
 *
 * event_stream.c - see event_stream.h. One lock orders everything: an event is kept and sent under it, and a client is
 * entered under it together with its replay, so that it gets each event once, in order. Nothing under it waits.
 *
 * Ids are EPOCH-NUMBER: numbers begin anew with every start of the manager, which the epoch tells apart.
 */
#include "core/api/event_stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/api/handlers.h"
#include "core/api/send.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/http/cors.h"
#include "core/listeners.h"

#define KEPT 1000u
#define KEPT_BYTES (UINT64_C(4) << 20)
#define KEEP_ALIVE_US INT64_C(15000000)
#define TOPICS_MAX 1000u
/* Texts of task logs, which are many, are made and kept from the first client on: before, nobody can ask for them. */
#define LATE_KINDS (UINT64_C(1) << FLAMENCO_EVENT_TASK_LOG)

typedef struct listener {
    struct listener *prev, *next;
    fl_event_streams *streams;
    fl_http_feed *http;
    int entered; /* in the list */
    int gone; /* closed before it was entered */
    size_t n_topics; /* 0: all */
    flamenco_str *topics;
} listener;

struct fl_event_streams {
    struct flamenco *f;
    pthread_mutex_t lock;
    listener *first_listener;
    flamenco_event kept[KEPT]; /* a ring; each with a reference to its buf */
    size_t first, count;
    uint64_t bytes;
    uint64_t newest; /* number of the last event */
    char epoch[9];
    flamenco_buf *hello, *keep_alive;
};

/* ---- What is kept ---------------------------------------------------------------------------------------------------- */

static flamenco_event *kept_at(fl_event_streams *streams, size_t index)
{
    return &streams->kept[(streams->first + index) % KEPT];
}

static void drop_oldest(fl_event_streams *streams)
{
    flamenco_event *oldest = &streams->kept[streams->first];
    streams->bytes -= oldest->payload.len;
    fl_shared_unref(oldest->buf);
    streams->first = (streams->first + 1) % KEPT;
    --streams->count;
}

static void keep(fl_event_streams *streams, const flamenco_event *event)
{
    while (streams->count > 0 && (streams->count == KEPT || streams->bytes + event->payload.len > KEPT_BYTES))
        drop_oldest(streams);
    streams->newest = event->seq;
    if (event->payload.len > KEPT_BYTES)
        return; /* an enormous log chunk: who missed it is told so */
    fl_shared_ref(event->buf);
    *kept_at(streams, streams->count) = *event;
    ++streams->count;
    streams->bytes += event->payload.len;
}

static int wants(const listener *l, flamenco_str topic)
{
    for (size_t i = 0; i < l->n_topics; ++i) {
        flamenco_str wanted = l->topics[i];
        int is_prefix = wanted.len > 0 && wanted.ptr[wanted.len - 1] == '*';
        if (is_prefix ? topic.len >= wanted.len - 1 && memcmp(topic.ptr, wanted.ptr, (size_t)wanted.len - 1) == 0
                      : flamenco_str_equal(topic, wanted))
            return 1;
    }
    return l->n_topics == 0;
}

static void write_event(const fl_event_streams *streams, const flamenco_event *event, fl_buf *out)
{
    fl_buf_printf(out, "id: %s-%llu\nevent: %.*s\ntopic: %.*s\ndata: ", streams->epoch, (unsigned long long)event->seq,
                  FL_STR_ARGS(event->name), FL_STR_ARGS(event->topic));
    fl_buf_add_str(out, event->payload);
    fl_buf_add_text(out, "\n\n");
}

/* ---- Telling --------------------------------------------------------------------------------------------------------- */

static void send_all(fl_event_streams *streams, const flamenco_event *event)
{
    flamenco_buf *text = NULL;
    for (listener *l = streams->first_listener; l != NULL; l = l->next) {
        if (!wants(l, event->topic))
            continue;
        if (text == NULL) {
            fl_buf out = { 0 };
            write_event(streams, event, &out);
            text = fl_shared_take(&out);
        }
        if (text == NULL) {
            fl_error("events", "no memory for an event");
            return;
        }
        (void)fl_http_feed_send(l->http, text); /* who is too slow is cut off, and on_close comes */
    }
    fl_shared_unref(text);
}

static void on_event(void *ctx, const flamenco_event *event)
{
    fl_event_streams *streams = ctx;
    pthread_mutex_lock(&streams->lock);
    keep(streams, event);
    send_all(streams, event);
    pthread_mutex_unlock(&streams->lock);
}

fl_event_streams *fl_event_streams_create(struct flamenco *f)
{
    static const char hello[] = ": events of Flamenco Manager\n\n", quiet[] = ":\n\n";
    fl_buf first = { 0 }, idle = { 0 };
    uint32_t random;
    fl_event_streams *streams = calloc(1, sizeof(*streams));
    if (streams == NULL || getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random) ||
        pthread_mutex_init(&streams->lock, NULL) != 0) {
        free(streams);
        return NULL;
    }
    streams->f = f;
    snprintf(streams->epoch, sizeof(streams->epoch), "%08x", random);
    fl_buf_add_text(&first, hello);
    fl_buf_add_text(&idle, quiet);
    streams->hello = fl_shared_take(&first);
    streams->keep_alive = fl_shared_take(&idle);
    if (streams->hello == NULL || streams->keep_alive == NULL ||
        fl_listeners_add(f->listeners, streams, ~LATE_KINDS, on_event, streams) != FLAMENCO_OK) {
        fl_event_streams_destroy(streams);
        return NULL;
    }
    return streams;
}

void fl_event_streams_destroy(fl_event_streams *streams)
{
    if (streams == NULL)
        return;
    while (streams->count > 0)
        drop_oldest(streams);
    fl_shared_unref(streams->hello);
    fl_shared_unref(streams->keep_alive);
    pthread_mutex_destroy(&streams->lock);
    free(streams);
}

/* ---- Clients --------------------------------------------------------------------------------------------------------- */

static void free_listener(listener *l)
{
    fl_http_feed_unref(l->http);
    free(l);
}

/* [loop] */
static void on_close(void *ctx, fl_http_feed *http)
{
    listener *l = ctx;
    fl_event_streams *streams = l->streams;
    (void)http;
    pthread_mutex_lock(&streams->lock);
    int entered = l->entered;
    l->gone = 1;
    if (entered) {
        if (l->prev != NULL)
            l->prev->next = l->next;
        else
            streams->first_listener = l->next;
        if (l->next != NULL)
            l->next->prev = l->prev;
    }
    pthread_mutex_unlock(&streams->lock);
    if (entered)
        free_listener(l);
}

/* The texts are copied behind the struct, since they outlive the request. NULL when memory is exhausted. */
static listener *make_listener(fl_event_streams *streams, flamenco_str topics)
{
    flamenco_str rest = topics, one;
    size_t n = 0;
    while (n < TOPICS_MAX && fl_str_split(&rest, ',', &one))
        ++n;
    n += n < TOPICS_MAX && rest.len > 0;
    listener *l = calloc(1, sizeof(*l) + n * sizeof(flamenco_str) + (size_t)topics.len);
    if (l == NULL)
        return NULL;
    l->streams = streams;
    l->topics = (flamenco_str *)(void *)(l + 1);
    char *text = (char *)(l->topics + n);
    if (topics.len > 0)
        memcpy(text, topics.ptr, (size_t)topics.len);
    const char *at = text, *end = text + topics.len;
    while (at < end && l->n_topics < n) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma != NULL ? comma : end;
        flamenco_str topic = fl_str_trim((flamenco_str){ at, (uint64_t)(stop - at) });
        if (topic.len > 0)
            l->topics[l->n_topics++] = topic;
        at = stop + 1;
    }
    return l;
}

/* The number in an id of this run. Returns 0 when it is none. */
static int read_id(const fl_event_streams *streams, flamenco_str id, uint64_t *number_out)
{
    size_t epoch = sizeof(streams->epoch) - 1;
    uint64_t number = 0;
    if (id.len < epoch + 2 || id.len > epoch + 20 || memcmp(id.ptr, streams->epoch, epoch) != 0 || id.ptr[epoch] != '-')
        return 0;
    for (uint64_t i = epoch + 1; i < id.len; ++i) {
        if (id.ptr[i] < '0' || id.ptr[i] > '9')
            return 0;
        number = number * 10 + (uint64_t)(id.ptr[i] - '0');
    }
    *number_out = number;
    return number <= streams->newest;
}

/* With the lock held: what came behind `last_id`, and whether more did. */
static void write_missed(fl_event_streams *streams, const listener *l, flamenco_str last_id, fl_buf *out)
{
    uint64_t after = 0;
    int known = read_id(streams, last_id, &after);
    size_t from = streams->count;
    while (known && from > 0 && kept_at(streams, from - 1)->seq > after)
        --from;
    /* Numbers have no gaps: all that came behind it must be here. */
    if (!known || streams->newest - after != streams->count - from)
        fl_buf_add_text(out, "event: /missed\ntopic: /missed\ndata: {}\n\n");
    for (; from < streams->count; ++from)
        if (wants(l, kept_at(streams, from)->topic))
            write_event(streams, kept_at(streams, from), out);
}

/* Sends what was missed, and from now on what happens. */
static void enter(listener *l, flamenco_str last_id)
{
    fl_event_streams *streams = l->streams;
    fl_buf out = { 0 };
    fl_listeners_widen(streams->f->listeners, streams, LATE_KINDS);
    pthread_mutex_lock(&streams->lock);
    (void)fl_http_feed_send(l->http, streams->hello);
    if (last_id.len > 0)
        write_missed(streams, l, last_id, &out);
    if (out.len > 0 || out.failed) {
        flamenco_buf *missed = fl_shared_take(&out);
        if (missed == NULL || fl_http_feed_send(l->http, missed) != FLAMENCO_OK)
            fl_http_feed_end(l->http); /* it comes back and asks again */
        fl_shared_unref(missed);
    }
    int gone = l->gone;
    if (!gone) {
        l->entered = 1;
        l->next = streams->first_listener;
        if (l->next != NULL)
            l->next->prev = l;
        streams->first_listener = l;
    }
    pthread_mutex_unlock(&streams->lock);
    if (gone)
        free_listener(l);
}

/* The handler has returned; the call goes with the request. */
static void take_call(fl_call *call)
{
    struct flamenco *f = call->f;
    const api_stream_events_in *in = call->in;
    fl_http_header headers[FL_CORS_MAX_HEADERS + 1];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    char last_id[64];
    flamenco_str id = in->has_last_event_id ? in->last_event_id : (flamenco_str){ NULL, 0 };
    listener *l = make_listener(f->event_streams, in->has_topics ? in->topics : (flamenco_str){ NULL, 0 });
    if (l == NULL) {
        fl_http_drop(call->http);
        return;
    }
    if (id.len > sizeof(last_id))
        id.len = sizeof(last_id);
    if (id.len > 0)
        memcpy(last_id, id.ptr, (size_t)id.len);
    size_t n = fl_send_cors(f, call->http, headers);
    headers[n++] = (fl_http_header){ FL_STR("cache-control"), FL_STR("no-store") };
    fl_shared_ref(f->event_streams->keep_alive);
    fl_http_feed_config config = { .status = 200,
                                   .content_type = FL_STR("text/event-stream"),
                                   .headers = headers,
                                   .n_headers = n,
                                   .idle = f->event_streams->keep_alive,
                                   .idle_us = KEEP_ALIVE_US,
                                   .on_close = on_close,
                                   .ctx = l };
    if (fl_http_feed_begin(call->http, &config, &l->http, &err) != FLAMENCO_OK) {
        fl_error("events", "%s", err.text);
        fl_shared_unref(config.idle);
        free(l);
        fl_http_drop(call->http);
        return;
    }
    enter(l, (flamenco_str){ last_id, id.len });
}

/* Each one begins with a slash. */
static int are_topics(flamenco_str topics)
{
    int at_start = 1;
    for (uint64_t i = 0; i < topics.len; ++i) {
        char c = topics.ptr[i];
        if (at_start && c != ' ' && c != '/')
            return 0;
        at_start = c == ',' || (at_start && c == ' ');
    }
    return !at_start;
}

int32_t fl_stream_events(fl_call *call, const api_stream_events_in *in)
{
    if (in->has_topics && !are_topics(in->topics))
        return fl_call_refuse(call, 400, "topics: texts like /jobs,/workers are wanted, separated by commas");
    call->take = take_call;
    return FLAMENCO_OK;
}
