/* SPDX-License-Identifier: Apache-2.0
 *
 * session.h - the hub: all connected clients, the rooms that they are in, and how packets get to each of them, by WebSocket
 * or by polling. Called by routes.c and polling.c for what clients send, by plugin.c for what happens in the farm.
 *
 * LOCK. One for everything: nothing done under it waits for anybody, neither a client nor a disk. The host's ws_send and
 * later_bytes never call back.
 *
 * EVENTS wait in a list with a lock of its own (news.h), so that the publisher, behind whom replies wait, does not tell hundreds
 * of clients. A thread does, and whoever answers a client first tells what happened before.
 */
#ifndef SOCKETIO_SESSION_H
#define SOCKETIO_SESSION_H

#include <pthread.h>

#include "flamenco/http_routes.h"
#include "news.h"
#include "packet.h"
#include "rooms.h"

#define SID_LENGTH 20u
#define SID_BUCKETS 4096u
#define QUEUED_AT_MOST 500u /* packets that wait for a polling client, as for a WebSocket */
#define QUEUED_BYTES (UINT64_C(4) << 20)
#define SILENCE_US INT64_C(60000000) /* after which a polling client is gone; WebSockets are the host's business */
#define PING_AFTER_US INT64_C(19000000) /* of Engine.IO 4; looked at every 5 s, so at most 25 s apart */
#define TICK_US INT64_C(5000000)

typedef struct hub hub;

/* Which WebSockets get compressed events, if their client offers it. The reference compresses none (events 2.2), so the official
 * web app's generation, Engine.IO 3, is left out unless an admin wants it. */
typedef enum compression {
    COMPRESSION_ENGINE4,
    COMPRESSION_ALL,
    COMPRESSION_OFF,
} compression;

typedef struct session {
    hub *hub;
    struct session *prev, *next, *of_bucket;
    uint32_t refs; /* atomic: the hub's, one for each WebSocket, and those of who works with it */
    uint32_t revision; /* of Engine.IO: 3 or 4 */
    char sid[SID_LENGTH + 1];
    int registered, connected, closed; /* connected: to the namespace */
    int ending; /* closed when its next request has been answered */
    int32_t (*ws_send)(flamenco_ws *, flamenco_buf *);
    uint32_t (*ws_send_all)(flamenco_ws *const *, uint32_t, flamenco_buf *const *, uint32_t);
    void (*ws_close)(flamenco_ws *, uint32_t);
    void (*later_bytes)(flamenco_http_later *, uint32_t, const char *, flamenco_str);
    flamenco_ws *ws; /* where packets go; NULL: polling */
    flamenco_ws *probe; /* a WebSocket that is to take over */
    int probed; /* it has been tried: the client lets its last request end, and sends no other */
    flamenco_http_later *poll; /* a request that waits for packets */
    flamenco_buf **queue; /* packets that wait for a request */
    uint32_t queued, queue_cap;
    uint64_t queued_bytes;
    int64_t heard_us, pinged_us;
    stays stays;
} session;

struct hub {
    const flamenco_host *host;
    int ready; /* hub_init came as far as the lock */
    pthread_mutex_t lock;
    session *first;
    session *by_sid[SID_BUCKETS];
    rooms rooms;
    news news;
    uint64_t count; /* of sessions; changed with the lock held, read without it, too */
    uint64_t delivered, outdated, slow; /* since they were last told to the metrics */
    int64_t steps_us; /* how long step counts wait at most while many come; 0: each is told */
    uint64_t clients_at_most;
    uint32_t rooms_at_most;
    compression compression;
    flamenco_ws **listeners; /* those who are told of something just now */
    uint32_t listeners_cap;
    int stopping; /* the manager says good-bye: nobody new is let in */
    flamenco_buf *pong, *ping, *connect, *close, *noop, *probe; /* packets that never change */
};

int32_t hub_init(hub *h, const flamenco_host *host, flamenco_error *err);
void hub_fini(hub *h);

/* Whether any page may want to hear of an event of this kind. [any] */
int hub_wants(const hub *h, uint32_t kind);
/* Has an event delivered to everybody in its room, soon. */
void hub_publish(hub *h, const flamenco_event *event);

/* Delivers what was published so far. */
void hub_deliver(hub *h);

/* Sends pings that are due, ends who is silent, tells the metrics. */
void hub_tick(hub *h);

/* Makes a session that nobody else sees yet, with one reference. NULL when memory is exhausted. */
session *session_create(hub *h, uint32_t revision, const flamenco_http_reply *reply);
void session_unref(session *s); /* accepts NULL */

/* Finds a session and takes a reference. NULL: there is none, or it is closed. */
session *session_find(hub *h, flamenco_str sid);

/* Lets it in: other threads see it from now on, and the opening packets are sent. `ws` NULL: polling. FULL, NOMEM,
 * CANCELLED (stopping). */
int32_t session_open(session *s, flamenco_ws *ws);

/* What a client sent, in order; from a WebSocket, or ws NULL: by polling. */
void session_receive(session *s, flamenco_ws *ws, flamenco_str text);

/* Ends it: it leaves its rooms, and its WebSocket is dropped. */
void session_close(session *s);

/* A WebSocket of it came (to take over from polling) or went. */
int32_t session_add_probe(session *s, flamenco_ws *ws);
void session_ws_gone(session *s, flamenco_ws *ws);

/* With the lock held: the packets that wait, as a body of polling, which the caller frees; NULL when memory is exhausted. */
char *session_take_body(session *s, uint64_t *len_out);

#endif
