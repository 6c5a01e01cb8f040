/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c - see session.h.
 */
#include "session.h"

#include "outdated.h"

#include <stdlib.h>
#include <sys/random.h>

#define OPEN_3 "0{\"sid\":\"%s\",\"upgrades\":[%s],\"pingInterval\":30000,\"pingTimeout\":60000}"
#define OPEN_4 "0{\"sid\":\"%s\",\"upgrades\":[%s],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":65536}"

static const char sid_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void make_sid(char *out)
{
    unsigned char random[SID_LENGTH];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        abort(); /* cannot be: so few bytes are always given whole, and a session that can be guessed must not be */
    for (size_t i = 0; i < SID_LENGTH; ++i)
        out[i] = sid_letters[random[i] & 63u];
    out[SID_LENGTH] = '\0';
}

static uint32_t bucket_of(flamenco_str sid)
{
    uint32_t hash = 2166136261u;
    for (uint64_t i = 0; i < sid.len; ++i)
        hash = (hash ^ (unsigned char)sid.ptr[i]) * 16777619u;
    return hash % SID_BUCKETS;
}

static flamenco_buf *make(hub *h, const char *text)
{
    return h->host->buf_make(flamenco_text(text));
}

static void tell_all(void *ctx)
{
    hub_deliver(ctx);
}

int32_t hub_init(hub *h, const flamenco_host *host, flamenco_error *err)
{
    uint32_t seed = 0;
    h->host = host;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed) || pthread_mutex_init(&h->lock, NULL) != 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no random bytes or no mutex to be had");
    h->ready = 1;
    h->ping = make(h, "2");
    h->pong = make(h, "3");
    h->probe = make(h, "3probe");
    h->connect = make(h, "40");
    h->close = make(h, "1");
    h->noop = make(h, "6");
    if (h->ping == NULL || h->pong == NULL || h->probe == NULL || h->connect == NULL || h->close == NULL ||
        h->noop == NULL || news_init(&h->news, host, h->steps_us, tell_all, h, err) != FLAMENCO_OK ||
        rooms_init(&h->rooms, seed) != FLAMENCO_OK)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    return FLAMENCO_OK;
}

static void unref_packets(hub *h)
{
    flamenco_buf *const packets[] = { h->ping, h->pong, h->probe, h->connect, h->close, h->noop };
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); ++i)
        h->host->buf_unref(packets[i]);
}

void hub_fini(hub *h)
{
    if (!h->ready)
        return;
    news_stop(&h->news);
    while (h->first != NULL)
        session_close(h->first);
    news_fini(&h->news);
    rooms_fini(&h->rooms);
    unref_packets(h);
    free(h->listeners);
    pthread_mutex_destroy(&h->lock);
}

/* ---- Sessions -------------------------------------------------------------------------------------------------------- */

session *session_create(hub *h, uint32_t revision, const flamenco_http_reply *reply)
{
    session *s = h->host->alloc(h->host->h, sizeof(*s));
    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof(*s));
    s->hub = h;
    s->refs = 1;
    s->revision = revision;
    make_sid(s->sid);
    s->ws_send = reply->ws_send;
    s->ws_send_all = reply->ws_send_all;
    s->ws_close = reply->ws_close;
    s->later_bytes = reply->later_bytes;
    return s;
}

static session *session_ref(session *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void session_unref(session *s)
{
    if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    const flamenco_host *host = s->hub->host;
    for (uint32_t i = 0; i < s->queued; ++i)
        host->buf_unref(s->queue[i]);
    free(s->queue);
    host->free(host->h, s);
}

session *session_find(hub *h, flamenco_str sid)
{
    if (sid.len != SID_LENGTH)
        return NULL;
    pthread_mutex_lock(&h->lock);
    session *s = h->by_sid[bucket_of(sid)];
    while (s != NULL && !flamenco_str_equal((flamenco_str){ s->sid, SID_LENGTH }, sid))
        s = s->of_bucket;
    if (s != NULL)
        session_ref(s);
    pthread_mutex_unlock(&h->lock);
    return s;
}

static void close_locked(session *s);
static void deliver_locked(hub *h);

/* ---- Sending, with the lock held ---------------------------------------------------------------------------------------- */

static void answer_poll(session *s)
{
    uint64_t len = 0;
    flamenco_http_later *poll = s->poll;
    char *body = session_take_body(s, &len);
    s->poll = NULL;
    if (body == NULL)
        s->later_bytes(poll, 503, NULL, (flamenco_str){ NULL, 0 });
    else
        s->later_bytes(poll, 200, "text/plain; charset=UTF-8", (flamenco_str){ body, len });
    free(body);
    if (s->ending)
        close_locked(s);
}

char *session_take_body(session *s, uint64_t *len_out)
{
    const flamenco_host *host = s->hub->host;
    size_t len = 0;
    char *body = malloc((size_t)s->queued_bytes + 16u * (s->queued + 1u));
    for (uint32_t i = 0; i < s->queued; ++i) {
        flamenco_str text = host->buf_bytes(s->queue[i]);
        if (body != NULL && s->revision == 3)
            len += (size_t)sprintf(body + len, "%llu:", (unsigned long long)socketio_utf16_length(text));
        else if (body != NULL && i > 0)
            body[len++] = POLLING_SEPARATOR;
        if (body != NULL)
            memcpy(body + len, text.ptr, (size_t)text.len);
        len += (size_t)text.len;
        host->buf_unref(s->queue[i]);
    }
    s->queued = 0;
    s->queued_bytes = 0;
    *len_out = len;
    return body;
}

/* Keeps a packet for the next poll. Returns 0 when too much waits, or memory is exhausted. */
static int keep_packet(session *s, flamenco_buf *packet)
{
    uint64_t len = s->hub->host->buf_bytes(packet).len;
    if (s->queued >= QUEUED_AT_MOST || (s->queued > 0 && s->queued_bytes + len > QUEUED_BYTES))
        return 0;
    if (s->queued == s->queue_cap) {
        uint32_t cap = s->queue_cap > 0 ? s->queue_cap * 2 : 4;
        flamenco_buf **grown = realloc(s->queue, cap * sizeof(flamenco_buf *));
        if (grown == NULL)
            return 0;
        s->queue = grown;
        s->queue_cap = cap;
    }
    s->hub->host->buf_ref(packet);
    s->queue[s->queued++] = packet;
    s->queued_bytes += len;
    return 1;
}

/* Sends one packet, whose reference stays the caller's. s may be closed by this. */
static void send_packet(session *s, flamenco_buf *packet)
{
    if (s->closed)
        return;
    if (s->ws != NULL) {
        if (s->ws_send(s->ws, packet) == FLAMENCO_E_FULL)
            ++s->hub->slow; /* the host closes it, and tells */
    } else if (!keep_packet(s, packet)) {
        ++s->hub->slow;
        close_locked(s);
    } else if (s->poll != NULL) {
        answer_poll(s);
    }
}

static void send_text(session *s, const char *text)
{
    hub *h = s->hub;
    flamenco_buf *packet = make(h, text);
    if (packet == NULL) {
        close_locked(s);
        return;
    }
    send_packet(s, packet);
    h->host->buf_unref(packet);
}

/* Takes it out of everything; the memory goes with the last reference. */
static void close_locked(session *s)
{
    hub *h = s->hub;
    if (s->closed)
        return;
    /* A client that polls is told; one with a WebSocket sees it closed. Never "41", after which it would not come back. */
    s->closed = 1;
    if (s->poll != NULL) {
        (void)keep_packet(s, h->close);
        answer_poll(s);
    }
    if (s->ws != NULL)
        s->ws_close(s->ws, 0);
    if (s->probe != NULL)
        s->ws_close(s->probe, 0);
    rooms_leave_all(&h->rooms, &s->stays);
    if (!s->registered)
        return;
    session **at = &h->by_sid[bucket_of((flamenco_str){ s->sid, SID_LENGTH })];
    while (*at != s)
        at = &(*at)->of_bucket;
    *at = s->of_bucket;
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        h->first = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    __atomic_store_n(&h->count, h->count - 1, __ATOMIC_RELAXED);
    s->registered = 0;
    session_unref(s);
}

void session_close(session *s)
{
    hub *h = s->hub;
    session_ref(s);
    pthread_mutex_lock(&h->lock);
    close_locked(s);
    pthread_mutex_unlock(&h->lock);
    session_unref(s);
}

/* ---- Coming and going ---------------------------------------------------------------------------------------------------- */

static int32_t join(session *s, const char *room)
{
    return rooms_join(&s->hub->rooms, s, &s->stays, room, s->hub->rooms_at_most);
}

/* The client is in the namespace: from now on it gets events. */
static void enter(session *s)
{
    if (s->connected || s->closed)
        return;
    s->connected = 1;
    if (join(s, "/lifecycle") != FLAMENCO_OK || join(s, "/status") != FLAMENCO_OK)
        close_locked(s);
}

static void enroll(session *s)
{
    hub *h = s->hub;
    session **bucket = &h->by_sid[bucket_of((flamenco_str){ s->sid, SID_LENGTH })];
    session_ref(s);
    s->of_bucket = *bucket;
    *bucket = s;
    s->next = h->first;
    if (h->first != NULL)
        h->first->prev = s;
    h->first = s;
    __atomic_store_n(&h->count, h->count + 1, __ATOMIC_RELAXED);
    s->registered = 1;
}

static int32_t open_locked(session *s, flamenco_ws *ws)
{
    hub *h = s->hub;
    char text[200];
    deliver_locked(h); /* it hears of what happens from now on */
    if (h->stopping)
        return FLAMENCO_E_CANCELLED;
    if (h->count >= h->clients_at_most)
        return FLAMENCO_E_FULL;
    enroll(s);
    s->ws = ws;
    s->heard_us = s->pinged_us = h->host->monotonic_us(h->host->h);
    snprintf(text, sizeof(text), s->revision == 3 ? OPEN_3 : OPEN_4, s->sid, ws != NULL ? "" : "\"websocket\"");
    send_text(s, text);
    if (s->revision == 3) {
        send_packet(s, h->connect);
        enter(s);
    }
    return s->closed ? FLAMENCO_E_NOMEM : FLAMENCO_OK;
}

int32_t session_open(session *s, flamenco_ws *ws)
{
    hub *h = s->hub;
    pthread_mutex_lock(&h->lock);
    int32_t rc = open_locked(s, ws);
    double count = (double)h->count;
    pthread_mutex_unlock(&h->lock);
    h->host->metric(h->host->h, "clients", count);
    return rc;
}

int32_t session_add_probe(session *s, flamenco_ws *ws)
{
    pthread_mutex_lock(&s->hub->lock);
    int free_place = !s->closed && s->ws == NULL && s->probe == NULL;
    if (free_place)
        s->probe = ws;
    pthread_mutex_unlock(&s->hub->lock);
    return free_place ? FLAMENCO_OK : FLAMENCO_E_CONFLICT;
}

void session_ws_gone(session *s, flamenco_ws *ws)
{
    hub *h = s->hub;
    pthread_mutex_lock(&h->lock);
    if (s->probe == ws) {
        s->probe = NULL; /* it goes on by polling */
        s->probed = 0;
    } else if (s->ws == ws) {
        s->ws = NULL;
        close_locked(s);
    }
    double count = (double)h->count;
    pthread_mutex_unlock(&h->lock);
    h->host->metric(h->host->h, "clients", count);
}

/* The WebSocket takes over from polling. */
static void take_over(session *s)
{
    s->ws = s->probe;
    s->probe = NULL;
    s->probed = 0;
    if (s->poll != NULL) {
        /* Nothing can wait while there is a request: it would have been answered. */
        (void)keep_packet(s, s->hub->noop);
        answer_poll(s);
    }
    for (uint32_t i = 0; i < s->queued; ++i) {
        send_packet(s, s->queue[i]);
        s->hub->host->buf_unref(s->queue[i]);
    }
    s->queued = 0;
    s->queued_bytes = 0;
}

/* ---- What clients say ------------------------------------------------------------------------------------------------------ */

static void acknowledge(session *s, flamenco_str id, const char *text)
{
    char packet[160];
    if (id.len == 0)
        return;
    snprintf(packet, sizeof(packet), "43%.*s[\"%s\"]", (int)id.len, id.ptr, text);
    send_text(s, packet);
}

static const char *subscribe(session *s, const subscription *sub)
{
    hub *h = s->hub;
    if (sub->leave) {
        rooms_leave(&h->rooms, &s->stays, sub->room);
        if (sub->room_too[0] != '\0')
            rooms_leave(&h->rooms, &s->stays, sub->room_too);
        return "ok";
    }
    int32_t rc = join(s, sub->room);
    if (rc == FLAMENCO_OK && sub->room_too[0] != '\0')
        rc = join(s, sub->room_too);
    return rc == FLAMENCO_OK ? "ok" : rc == FLAMENCO_E_FULL ? "too many subscriptions" : "the manager is out of memory";
}

static void receive_event(session *s, const sio_packet *p)
{
    subscription sub;
    const char *problem = NULL;
    if (!flamenco_str_equal(p->name, flamenco_text("/subscription")) ||
        !socketio_subscription_read(p->payload, &sub, &problem))
        return;
    pthread_mutex_lock(&s->hub->lock);
    deliver_locked(s->hub);
    if (s->connected && !s->closed)
        acknowledge(s, p->ack, problem != NULL ? problem : subscribe(s, &sub));
    pthread_mutex_unlock(&s->hub->lock);
}

/* Engine.IO 4: the client asks for a namespace, and is told its name there. */
static void connect_4(session *s)
{
    char sid[SID_LENGTH + 1], text[64];
    make_sid(sid);
    snprintf(text, sizeof(text), "40{\"sid\":\"%s\"}", sid);
    send_text(s, text);
    enter(s);
}

static void refuse_namespace(session *s, flamenco_str name)
{
    char text[160];
    for (uint64_t i = 0; i < name.len; ++i)
        if ((unsigned char)name.ptr[i] < 0x20u || name.ptr[i] == '"' || name.ptr[i] == '\\')
            return;
    if (name.len > 80)
        return;
    snprintf(text, sizeof(text), "44%.*s,{\"message\":\"Invalid namespace\"}", (int)name.len, name.ptr);
    send_text(s, text);
}

/* With the lock held: everything but events. */
static void receive_control(session *s, flamenco_ws *ws, const sio_packet *p)
{
    int is_probe = ws != NULL && ws == s->probe;
    switch (p->kind) {
    case PACKET_PROBE:
    case PACKET_PING:
        if (is_probe && p->kind == PACKET_PROBE) {
            (void)s->ws_send(ws, s->hub->probe);
            s->probed = 1;
            if (s->poll != NULL)
                send_packet(s, s->hub->noop); /* the client waits for its request to end */
        } else if (s->revision == 3) {
            send_packet(s, s->hub->pong);
        }
        return;
    case PACKET_UPGRADE:
        if (is_probe)
            take_over(s);
        else
            close_locked(s);
        return;
    case PACKET_CONNECT:
        if (s->revision == 4)
            connect_4(s);
        return;
    case PACKET_CONNECT_OTHER:
        if (s->revision == 4)
            refuse_namespace(s, p->name);
        return;
    case PACKET_CLOSE:
        if (s->revision == 4 || s->ws == NULL)
            close_locked(s);
        return;
    case PACKET_DISCONNECT:
    case PACKET_BAD:
        close_locked(s);
        return;
    default:
        return;
    }
}

void session_receive(session *s, flamenco_ws *ws, flamenco_str text)
{
    sio_packet p = socketio_packet_read(text);
    int64_t now_us = s->hub->host->monotonic_us(s->hub->host->h);
    pthread_mutex_lock(&s->hub->lock);
    s->heard_us = now_us;
    if (p.kind != PACKET_PING && p.kind != PACKET_PONG)
        deliver_locked(s->hub); /* what happened before this is told before it is answered */
    int ours = !s->closed && (ws == s->ws || ws == s->probe);
    if (ours && p.kind != PACKET_EVENT)
        receive_control(s, ws, &p);
    pthread_mutex_unlock(&s->hub->lock);
    if (ours && p.kind == PACKET_EVENT)
        receive_event(s, &p);
}

/* ---- What happens in the farm ---------------------------------------------------------------------------------------------- */

/* 42["/jobs",{…}] */
static flamenco_buf *encode(hub *h, const flamenco_event *event)
{
    size_t len = 0, room = (size_t)(event->name.len + event->payload.len) + 16;
    char *text = malloc(room);
    if (text == NULL)
        return NULL;
    len = (size_t)snprintf(text, room, "42[\"%.*s\",", (int)event->name.len, event->name.ptr);
    memcpy(text + len, event->payload.ptr, (size_t)event->payload.len);
    len += (size_t)event->payload.len;
    text[len++] = ']';
    flamenco_buf *packet = h->host->buf_make((flamenco_str){ text, len });
    free(text);
    return packet;
}

static int is_shutdown(const flamenco_event *event)
{
    static const char word[] = "\"manager-shutdown\"";
    return event->kind == FLAMENCO_EVENT_LIFECYCLE &&
           memmem(event->payload.ptr, (size_t)event->payload.len, word, sizeof(word) - 1) != NULL;
}

/* Polling clients would ask again and again; those with a WebSocket see it closed when the host stops serving. */
static void say_good_bye(hub *h)
{
    h->stopping = 1;
    for (session *s = h->first, *next; s != NULL; s = next) {
        next = s->next;
        if (s->ws != NULL)
            continue;
        if (!keep_packet(s, h->close)) {
            close_locked(s);
            continue;
        }
        s->ending = 1; /* with its next request, which takes what waits */
        if (s->poll != NULL)
            answer_poll(s);
    }
}

#define TOGETHER 64u

/* Makes place for so many listeners. Returns 0 when memory is exhausted. */
static int seat(hub *h, uint32_t count)
{
    if (count <= h->listeners_cap)
        return 1;
    flamenco_ws **grown = realloc(h->listeners, (size_t)count * 2 * sizeof(flamenco_ws *));
    if (grown == NULL)
        return 0;
    h->listeners = grown;
    h->listeners_cap = count * 2;
    return 1;
}

/* Gives packets to all members of a room. */
static void send_to_room(hub *h, sio_room *r, flamenco_buf *const *packets, uint32_t n)
{
    const session *any = NULL;
    uint32_t listening = 0;
    int seated = seat(h, r->count);
    /* From the end: one that is closed by this leaves, and the last member moves into its place. The room goes with its last
     * member, behind which it is not looked at any more. */
    for (uint32_t i = r->count; i-- > 0;) {
        session *s = r->members[i].session;
        if (seated && s->ws != NULL) {
            h->listeners[listening++] = s->ws;
            any = s;
            continue;
        }
        session_ref(s);
        for (uint32_t k = 0; k < n; ++k)
            send_packet(s, packets[k]);
        session_unref(s);
    }
    if (listening > 0)
        h->slow += any->ws_send_all(h->listeners, listening, packets, n);
}

/* Tells the members of the room that n events are for. */
static void tell_room(hub *h, const flamenco_event *const *events, uint32_t n)
{
    flamenco_buf *packets[TOGETHER];
    sio_room *r = rooms_find(&h->rooms, events[0]->topic);
    uint32_t made = 0;
    if (r == NULL)
        return;
    while (made < n && (packets[made] = encode(h, events[made])) != NULL)
        ++made;
    if (made < n)
        h->host->log(h->host->h, FLAMENCO_LOG_ERROR, "no memory for an event");
    h->delivered += (uint64_t)r->count * made;
    send_to_room(h, r, packets, made);
    for (uint32_t k = 0; k < made; ++k)
        h->host->buf_unref(packets[k]);
}

/* Those for one room go together when none between them is for another that has members, so that each of these gets all in
 * order. */
static void tell(hub *h, const flamenco_event *events, uint32_t count)
{
    const flamenco_event *together[TOGETHER];
    uint32_t n = 0;
    for (const flamenco_event *e = events; e < events + count; ++e) {
        if (e->buf == NULL)
            continue; /* out of date */
        int same = n > 0 && flamenco_str_equal(e->topic, together[0]->topic), last = is_shutdown(e);
        if (!same && !last && rooms_find(&h->rooms, e->topic) == NULL)
            continue;
        if (n == TOGETHER || (n > 0 && !same)) {
            tell_room(h, together, n);
            n = 0;
        }
        together[n++] = e;
        if (last) {
            tell_room(h, together, n);
            n = 0;
            say_good_bye(h);
        }
    }
    if (n > 0)
        tell_room(h, together, n);
}

static void deliver_locked(hub *h)
{
    uint32_t count;
    int rush;
    flamenco_event *events = news_take(&h->news, &count, &rush);
    if (rush && h->steps_us > 0)
        h->outdated += outdated_drop(h->host, events, count);
    tell(h, events, count);
    news_give_back(&h->news, events, count);
}

void hub_deliver(hub *h)
{
    pthread_mutex_lock(&h->lock);
    deliver_locked(h);
    pthread_mutex_unlock(&h->lock);
}

int hub_wants(const hub *h, uint32_t kind)
{
    if (kind == FLAMENCO_EVENT_TASK_LOG)
        return rooms_have_task_logs(&h->rooms);
    return __atomic_load_n(&h->count, __ATOMIC_RELAXED) != 0;
}

void hub_publish(hub *h, const flamenco_event *event)
{
    /* Who asks for it from now on does not hear of what was before. The manager's farewell is for all, wherever they are. */
    if (event->kind != FLAMENCO_EVENT_LIFECYCLE && !rooms_may_hear(&h->rooms, event->topic))
        return;
    if (news_add(&h->news, event))
        return;
    pthread_mutex_lock(&h->lock);
    deliver_locked(h);
    tell(h, event, 1);
    pthread_mutex_unlock(&h->lock);
}

/* With the lock held. */
static void look_after(session *s, int64_t now_us)
{
    if (s->ws == NULL && now_us - s->heard_us >= SILENCE_US) {
        close_locked(s);
    } else if (s->revision == 4 && now_us - s->pinged_us >= PING_AFTER_US) {
        s->pinged_us = now_us;
        send_packet(s, s->hub->ping);
    }
}

void hub_tick(hub *h)
{
    int64_t now_us = h->host->monotonic_us(h->host->h);
    pthread_mutex_lock(&h->lock);
    for (session *s = h->first, *next; s != NULL; s = next) {
        next = s->next;
        look_after(s, now_us);
    }
    double count = (double)h->count, delivered = (double)h->delivered, slow = (double)h->slow;
    double outdated = (double)h->outdated;
    h->delivered = h->outdated = h->slow = 0;
    pthread_mutex_unlock(&h->lock);
    h->host->metric(h->host->h, "clients", count);
    h->host->metric(h->host->h, "events_delivered_total", delivered);
    h->host->metric(h->host->h, "events_outdated_total", outdated);
    h->host->metric(h->host->h, "slow_clients_total", slow);
}
