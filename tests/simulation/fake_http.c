/* SPDX-License-Identifier: Apache-2.0
 *
 * A request ends where it is answered: everything that belongs to it is freed at once, so that a sanitizer sees who touches
 * it later.
 */
#include "fake_http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/api/dispatch.h"
#include "quiet.h"

struct fl_http_request {
    client *client;
    fl_arena *arena;
    void *user;
    void (*destroy)(void *user);
    char id[24];
};

static struct {
    pthread_mutex_t lock;
    size_t waiting, held;
    uint64_t next_id;
    int cut;
} http = { .lock = PTHREAD_MUTEX_INITIALIZER };

static flamenco_str empty(void)
{
    return (flamenco_str){ NULL, 0 };
}

/* ---- The client's side ------------------------------------------------------------------------------------------------ */

void client_send(client *c, struct flamenco *f)
{
    quiet_begin();
    fl_http_request *r = calloc(1, sizeof(*r));
    quiet_end();
    if (r == NULL) {
        c->state = CLIENT_DROPPED;
        return;
    }
    r->client = c;
    pthread_mutex_lock(&http.lock);
    ++http.waiting;
    snprintf(r->id, sizeof(r->id), "%llu", (unsigned long long)++http.next_id);
    c->request = r;
    c->state = CLIENT_WAITS;
    pthread_mutex_unlock(&http.lock);
    fl_dispatch(f, r);
}

void client_begin(client *c)
{
    pthread_mutex_lock(&http.lock);
    ++http.waiting;
    c->state = CLIENT_WAITS;
    pthread_mutex_unlock(&http.lock);
}

void client_end(client *c, int32_t status)
{
    pthread_mutex_lock(&http.lock);
    c->status = http.cut ? 0 : status;
    c->state = http.cut || status == 0 ? CLIENT_DROPPED : CLIENT_ANSWERED;
    --http.waiting;
    pthread_mutex_unlock(&http.lock);
}

void client_close(client *c, struct flamenco *f, int noticed)
{
    pthread_mutex_lock(&http.lock);
    c->dead = 1;
    fl_http_request *r = c->held ? c->request : NULL;
    pthread_mutex_unlock(&http.lock);
    if (noticed && r != NULL)
        fl_dispatch_gone(f, r);
}

void client_fini(client *c)
{
    fl_buf_fini(&c->body);
    fl_buf_fini(&c->reply);
}

client_state client_look(client *c)
{
    pthread_mutex_lock(&http.lock);
    client_state state = c->state;
    pthread_mutex_unlock(&http.lock);
    return state;
}

int client_is_served(client *c)
{
    pthread_mutex_lock(&http.lock);
    int served = c->state == CLIENT_WAITS && !c->held;
    pthread_mutex_unlock(&http.lock);
    return served;
}

void client_count(size_t *waiting, size_t *held)
{
    pthread_mutex_lock(&http.lock);
    *waiting = http.waiting;
    *held = http.held;
    pthread_mutex_unlock(&http.lock);
}

void client_cut_all(int cut)
{
    pthread_mutex_lock(&http.lock);
    http.cut = cut;
    pthread_mutex_unlock(&http.lock);
}

/* ---- The server's side ------------------------------------------------------------------------------------------------ */

static void end_request(fl_http_request *r, int32_t status, flamenco_buf *body)
{
    client *c = r->client;
    if (r->destroy != NULL)
        r->destroy(r->user);
    pthread_mutex_lock(&http.lock);
    quiet_begin();
    if (status != 0 && !http.cut && body != NULL)
        fl_buf_add_str(&c->reply, fl_shared_str(body));
    quiet_end();
    c->status = http.cut ? 0 : status;
    c->state = status != 0 && !http.cut ? CLIENT_ANSWERED : CLIENT_DROPPED;
    --http.waiting;
    http.held -= c->held != 0;
    c->held = 0;
    c->request = NULL;
    pthread_mutex_unlock(&http.lock);
    fl_shared_unref(body);
    fl_arena_destroy(r->arena);
    free(r);
}

void fl_http_answer(fl_http_request *request, const fl_http_reply *reply)
{
    end_request(request, reply->status, reply->body);
}

void fl_http_answer_batch(const fl_http_answer_item *items, size_t n)
{
    for (size_t i = 0; i < n; ++i)
        fl_http_answer(items[i].request, &items[i].reply);
}

void fl_http_drop(fl_http_request *request)
{
    end_request(request, 0, NULL);
}

void fl_http_hold(fl_http_request *request)
{
    pthread_mutex_lock(&http.lock);
    http.held += request->client->held == 0;
    request->client->held = 1;
    pthread_mutex_unlock(&http.lock);
}

void fl_http_recheck(fl_http_request *request, void (*report)(void *ctx, fl_http_request *request, int alive),
                     void *ctx)
{
    pthread_mutex_lock(&http.lock);
    int alive = !request->client->dead;
    pthread_mutex_unlock(&http.lock);
    report(ctx, request, alive);
}

void *fl_http_request_stream(const fl_http_request *request)
{
    (void)request;
    return NULL;
}

flamenco_str fl_http_request_id(const fl_http_request *request)
{
    return flamenco_text(request->id);
}

flamenco_str fl_http_request_method(const fl_http_request *request)
{
    return flamenco_text(request->client->method);
}

flamenco_str fl_http_request_path(const fl_http_request *request)
{
    const char *path = request->client->path, *query = strchr(path, '?');
    return (flamenco_str){ path, query != NULL ? (uint64_t)(query - path) : strlen(path) };
}

flamenco_str fl_http_request_query(const fl_http_request *request)
{
    const char *query = strchr(request->client->path, '?');
    return query != NULL ? flamenco_text(query + 1) : empty();
}

flamenco_str fl_http_request_body(const fl_http_request *request)
{
    return fl_buf_str(&request->client->body);
}

int fl_http_request_header(const fl_http_request *request, const char *name, size_t index, flamenco_str *out)
{
    const client *c = request->client;
    if (index > 0)
        return 0;
    if (strcmp(name, "authorization") == 0 && c->authorization[0] != '\0')
        *out = flamenco_text(c->authorization);
    else if (strcmp(name, "content-type") == 0 && c->body.len > 0)
        *out = flamenco_text("application/json");
    else
        return 0;
    return 1;
}

flamenco_str fl_http_request_header_text(const fl_http_request *request, const char *name)
{
    flamenco_str out = empty();
    fl_http_request_header(request, name, 0, &out);
    return out;
}

flamenco_str fl_http_request_remote(const fl_http_request *request)
{
    (void)request;
    return flamenco_text("192.0.2.1");
}

flamenco_str fl_http_request_peer(const fl_http_request *request)
{
    return fl_http_request_remote(request);
}

int fl_http_request_came_through_proxy(const fl_http_request *request)
{
    (void)request;
    return 0;
}

int fl_http_request_accepts_gzip(const fl_http_request *request)
{
    (void)request;
    return 0;
}

fl_arena *fl_http_request_arena(fl_http_request *request)
{
    if (request->arena == NULL)
        request->arena = fl_arena_create(0);
    return request->arena;
}

void fl_http_request_set_user(fl_http_request *request, void *user, void (*destroy)(void *user))
{
    request->user = user;
    request->destroy = destroy;
}

void *fl_http_request_user(const fl_http_request *request)
{
    return request->user;
}

/* ---- What only a server with a network does ------------------------------------------------------------------------------ */

flamenco_str fl_http_request_target(const fl_http_request *request)
{
    return fl_http_request_path(request);
}

flamenco_str fl_http_request_host(const fl_http_request *request)
{
    (void)request;
    return empty();
}

uint32_t fl_http_request_version(const fl_http_request *request)
{
    (void)request;
    return 0x101;
}

int fl_http_request_is_head(const fl_http_request *request)
{
    (void)request;
    return 0;
}

void fl_http_config_init(fl_http_config *config)
{
    memset(config, 0, sizeof(*config));
}

int32_t fl_http_start(const fl_http_config *config, fl_http **out, flamenco_error *err)
{
    (void)config;
    (void)out;
    return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "no network here");
}

flamenco_str fl_http_address(const fl_http *server, size_t index)
{
    (void)server;
    (void)index;
    return empty();
}

size_t fl_http_listen_fds(fl_http *server, int *fds, size_t cap)
{
    (void)server;
    (void)fds;
    (void)cap;
    return 0;
}

void fl_http_keep_connections(fl_http *server)
{
    (void)server;
}

size_t fl_http_kept(fl_http *server, const int **fds_out)
{
    (void)server;
    *fds_out = NULL;
    return 0;
}

void fl_http_drain(fl_http *server)
{
    (void)server;
}

int32_t fl_http_stop(fl_http *server, int64_t deadline_us, flamenco_error *err)
{
    (void)server;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

void fl_http_destroy(fl_http *server)
{
    (void)server;
}

size_t fl_http_loop_count(const fl_http *server)
{
    (void)server;
    return 0;
}

void fl_http_loop_stats(const fl_http *server, size_t loop, fl_http_stats *out)
{
    (void)server;
    (void)loop;
    memset(out, 0, sizeof(*out));
}

int fl_http_wants_upgrade(const fl_http_request *request)
{
    (void)request;
    return 0;
}

int32_t fl_http_upgrade(fl_http_request *request, const fl_http_ws_callbacks *callbacks, void *ctx, int may_pack,
                        fl_http_ws **out, flamenco_error *err)
{
    (void)request;
    (void)callbacks;
    (void)ctx;
    (void)may_pack;
    (void)out;
    return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "no network here");
}

int32_t fl_http_ws_send(fl_http_ws *ws, uint32_t kind, flamenco_buf *data)
{
    (void)ws;
    (void)kind;
    (void)data;
    return FLAMENCO_E_CANCELLED;
}

void fl_http_ws_frames_fini(fl_http_ws_frames *frames)
{
    (void)frames;
}

uint32_t fl_http_ws_send_frames(fl_http_ws *const *ws, uint32_t n_ws, fl_http_ws_frames *frames)
{
    (void)ws;
    (void)frames;
    return n_ws;
}

void fl_http_ws_close(fl_http_ws *ws, uint32_t code)
{
    (void)ws;
    (void)code;
}

void fl_http_ws_ref(fl_http_ws *ws)
{
    (void)ws;
}

void fl_http_ws_unref(fl_http_ws *ws)
{
    (void)ws;
}

flamenco_buf *fl_http_gzip(const flamenco_buf *plain)
{
    (void)plain;
    return NULL;
}

int fl_http_gzip_accepted(flamenco_str accept_encoding)
{
    (void)accept_encoding;
    return 0;
}

const char *fl_http_reason(int32_t status)
{
    (void)status;
    return "";
}

int32_t fl_http_feed_begin(fl_http_request *request, const fl_http_feed_config *config, fl_http_feed **out,
                           flamenco_error *err)
{
    (void)request;
    (void)config;
    (void)out;
    return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "there is no network here");
}

int32_t fl_http_feed_send(fl_http_feed *feed, flamenco_buf *data)
{
    (void)feed;
    (void)data;
    return FLAMENCO_E_CANCELLED;
}

void fl_http_feed_end(fl_http_feed *feed)
{
    (void)feed;
}

void fl_http_feed_unref(fl_http_feed *feed)
{
    (void)feed;
}
