/* SPDX-License-Identifier: Apache-2.0
 * libcurl multi on the event loop; see client.h. Called by worker.c, updates.c and the modes.
 *
 * Each fl_conn has a CURLSH that shares nothing but connections, between its lanes: that gives every client a
 * connection pool of its own inside one multi handle. With one pool for all, libcurl walks a list of thousands of
 * connections for each request, and one Worker's request would go out on another one's connection. */
#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEEP_REPLY_BYTES = 64 * 1024 };
/* libcurl does not reuse connections that idled for two minutes unless told; Workers may sleep for hours. */
static const long reuse_for_seconds = 24L * 3600;

struct lane {
    fl_conn *conn;
    CURL *easy; /* made at the first request of the lane */
    bool busy;
    bool sent; /* a connection was there and the request went out on it */
    bool is_post;
    fl_op op;
    int64_t started_us;
    fl_on_reply fn;
    void *ctx;
    char *reply;
    size_t reply_len, reply_room;
    char *body;
    size_t body_len, body_read;
    fl_timer cut;
};

struct fl_conn {
    fl_client *client;
    CURLSH *share;
    struct curl_slist *json_headers, *other_headers;
    struct curl_slist *own_headers; /* of a request with another content type */
    struct lane lanes[FL_LANE_COUNT];
    fl_conn *next_dead;
};

struct fl_client {
    fl_loop *loop;
    CURLM *multi;
    fl_stats *stats;
    char *base_url;
    fl_timer timer;
    bool kick; /* libcurl wants to be called now */
    bool in_callback;
    fl_conn *dead;
};

/* ---- libcurl's callbacks ---- */

/* A connection that nobody waits on stays in the epoll set, which saves two system calls a request. If the manager
 * closes it, libcurl notices at the next use. */
static void on_idle_event(void *ctx, int fd, uint32_t events)
{
    fl_client *client = ctx;
    (void)events;
    fl_loop_unwatch(client->loop, fd);
}

static void on_socket_event(void *ctx, int fd, uint32_t events)
{
    fl_client *client = ctx;
    int what = 0, running;
    if (events & (EPOLLIN | EPOLLHUP))
        what |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        what |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        what |= CURL_CSELECT_ERR;
    curl_multi_socket_action(client->multi, fd, what, &running);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *unused)
{
    fl_client *client = ctx;
    (void)unused;
    (void)easy;
    if (what == CURL_POLL_REMOVE)
        return fl_loop_watch(client->loop, fd, EPOLLIN, on_idle_event, client) < 0 ? -1 : 0;
    uint32_t events = 0;
    if (what != CURL_POLL_OUT)
        events |= EPOLLIN;
    if (what != CURL_POLL_IN)
        events |= EPOLLOUT;
    return fl_loop_watch(client->loop, fd, events, on_socket_event, client) < 0 ? -1 : 0;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    fl_client *client = ctx;
    (void)multi;
    fl_timer_stop(client->loop, &client->timer);
    if (timeout_ms == 0)
        client->kick = true;
    else if (timeout_ms > 0 && !fl_timer_start(client->loop, &client->timer, (int64_t)timeout_ms * 1000))
        return -1;
    return 0;
}

static void on_timer(void *ctx)
{
    fl_client *client = ctx;
    client->kick = true;
}

static int on_close_socket(void *ctx, curl_socket_t fd)
{
    fl_client *client = ctx;
    fl_loop_forget(client->loop, fd);
    return close(fd);
}

/* Called when a connection is there and the request is about to go out. */
static int on_before_request(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
    struct lane *lane = ctx;
    (void)ip;
    (void)local_ip;
    (void)port;
    (void)local_port;
    lane->sent = true;
    return CURL_PREREQFUNC_OK;
}

/* When a reused connection dies before a byte of the answer came, libcurl sends the request again on a fresh one. The
 * official Worker repeats only what is harmless to repeat; a POST is a transport error for it. So the fresh
 * connection is refused here. */
static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct lane *lane = ctx;
    (void)purpose;
    if (lane->sent && lane->is_post)
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t on_reply_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
    struct lane *lane = ctx;
    size_t len = size * n;
    if (lane->reply_len + len + 1 > lane->reply_room) {
        size_t room = (lane->reply_len + len + 1) * 2;
        char *reply = realloc(lane->reply, room);
        if (!reply)
            return 0; /* libcurl turns it into a transport error */
        lane->reply = reply;
        lane->reply_room = room;
    }
    memcpy(lane->reply + lane->reply_len, bytes, len);
    lane->reply_len += len;
    lane->reply[lane->reply_len] = 0;
    return len;
}

/* Only for FL_CUT_SENDING: half of the body, then the connection breaks. */
static size_t on_half_body(char *buffer, size_t size, size_t n, void *ctx)
{
    struct lane *lane = ctx;
    size_t room = size * n, left = lane->body_len / 2 - lane->body_read;
    if (!left)
        return CURL_READFUNC_ABORT;
    if (left > room)
        left = room;
    memcpy(buffer, lane->body + lane->body_read, left);
    lane->body_read += left;
    return left;
}

/* ---- the end of a request ---- */

static void free_conn(fl_conn *conn)
{
    for (int i = 0; i < FL_LANE_COUNT; i++) {
        struct lane *lane = &conn->lanes[i];
        if (lane->easy)
            curl_easy_cleanup(lane->easy);
        free(lane->reply);
        free(lane->body);
    }
    if (conn->share)
        curl_share_cleanup(conn->share);
    curl_slist_free_all(conn->json_headers);
    curl_slist_free_all(conn->other_headers);
    curl_slist_free_all(conn->own_headers);
    free(conn);
}

static void stop_lane(struct lane *lane)
{
    fl_client *client = lane->conn->client;
    curl_multi_remove_handle(client->multi, lane->easy);
    fl_timer_stop(client->loop, &lane->cut);
    lane->busy = false;
}

static void finish(struct lane *lane, int status, bool json, const char *error)
{
    fl_client *client = lane->conn->client;
    fl_reply reply = {
        .status = status,
        .json = json,
        .error = error,
        .body = lane->reply_len ? lane->reply : "",
        .len = lane->reply_len,
        .elapsed_us = fl_now_us() - lane->started_us,
    };
    stop_lane(lane);
    fl_stats_add(client->stats, lane->op, status, reply.elapsed_us);
    /* The callback may send the next request on this lane: the reply's memory must not be the lane's then. */
    char *kept = lane->reply;
    size_t kept_room = lane->reply_room;
    lane->reply = NULL;
    lane->reply_len = lane->reply_room = 0;
    client->in_callback = true;
    lane->fn(lane->ctx, &reply);
    client->in_callback = false;
    if (!lane->reply && kept_room <= KEEP_REPLY_BYTES) {
        lane->reply = kept;
        lane->reply_room = kept_room;
    } else {
        free(kept);
    }
}

static void finish_message(const CURLMsg *msg)
{
    struct lane *lane = NULL;
    CURL *easy = msg->easy_handle;
    CURLcode code = msg->data.result;
    if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&lane) != CURLE_OK || !lane)
        return;
    long status = 0;
    char *type = NULL;
    if (code == CURLE_OK && curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status > 0) {
        bool json = curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type && strstr(type, "json");
        finish(lane, (int)status, json, NULL);
        return;
    }
    long os_errno = 0;
    if (code == CURLE_COULDNT_CONNECT)
        curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
    finish(lane, 0, false, os_errno ? strerror((int)os_errno) : curl_easy_strerror(code));
}

static void on_cut(void *ctx)
{
    finish(ctx, 0, false, "the simulator cut the connection");
}

static void run_pending(void *ctx)
{
    fl_client *client = ctx;
    do {
        int running, left;
        if (client->kick) {
            client->kick = false;
            curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        CURLMsg *msg;
        while ((msg = curl_multi_info_read(client->multi, &left)))
            if (msg->msg == CURLMSG_DONE)
                finish_message(msg);
    } while (client->kick);
    while (client->dead) {
        fl_conn *conn = client->dead;
        client->dead = conn->next_dead;
        free_conn(conn);
    }
}

/* ---- client ---- */

static char *clean_url(const char *url)
{
    char *clean = NULL;
    if (asprintf(&clean, "%s%s", strstr(url, "://") ? "" : "http://", url) < 0)
        return NULL;
    size_t len = strlen(clean);
    while (len && clean[len - 1] == '/')
        clean[--len] = 0;
    return clean;
}

fl_client *fl_client_create(fl_loop *loop, const char *base_url, fl_stats *stats)
{
    fl_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->loop = loop;
    client->stats = stats;
    fl_timer_init(&client->timer, on_timer, client);
    client->base_url = clean_url(base_url);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(client->multi = curl_multi_init()) ||
        !client->base_url) {
        fprintf(stderr, "farm-sim: cannot set up libcurl\n");
        fl_client_destroy(client);
        return NULL;
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    fl_loop_set_after(loop, run_pending, client);
    return client;
}

void fl_client_destroy(fl_client *client)
{
    if (!client)
        return;
    run_pending(client);
    fl_timer_stop(client->loop, &client->timer);
    fl_loop_set_after(client->loop, NULL, NULL);
    if (client->multi)
        curl_multi_cleanup(client->multi);
    curl_global_cleanup();
    free(client->base_url);
    free(client);
}

const char *fl_client_url(const fl_client *client)
{
    return client->base_url;
}

/* ---- connections ---- */

static char *encode_basic(const char *user, const char *password)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char prefix[] = "Authorization: Basic ";
    char *plain = NULL;
    int len = asprintf(&plain, "%s:%s", user, password);
    if (len < 0)
        return NULL;
    size_t n = (size_t)len;
    char *out = malloc(sizeof prefix + (n + 2) / 3 * 4);
    if (out) {
        char *p = stpcpy(out, prefix);
        for (size_t i = 0; i < n; i += 3) {
            uint32_t v = (uint32_t)(uint8_t)plain[i] << 16;
            if (i + 1 < n)
                v |= (uint32_t)(uint8_t)plain[i + 1] << 8;
            if (i + 2 < n)
                v |= (uint8_t)plain[i + 2];
            *p++ = digits[v >> 18];
            *p++ = digits[v >> 12 & 63];
            *p++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
            *p++ = i + 2 < n ? digits[v & 63] : '=';
        }
        *p = 0;
    }
    free(plain);
    return out;
}

/* NULL when out of memory. An empty value removes a header that libcurl would add by itself. */
static struct curl_slist *make_headers(const char *authorization, const char *content_type)
{
    char type[128];
    snprintf(type, sizeof type, "Content-Type:%s%s", *content_type ? " " : "", content_type);
    const char *const lines[] = { "Accept:", "Expect:", type, authorization };
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (!lines[i])
            continue;
        struct curl_slist *longer = curl_slist_append(list, lines[i]);
        if (!longer) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = longer;
    }
    return list;
}

int fl_conn_set_identity(fl_conn *conn, const char *user, const char *password)
{
    char *authorization = NULL;
    if (user && !(authorization = encode_basic(user, password)))
        return -ENOMEM;
    struct curl_slist *json = make_headers(authorization, "application/json");
    struct curl_slist *other = make_headers(authorization, "");
    free(authorization);
    if (!json || !other) {
        curl_slist_free_all(json);
        curl_slist_free_all(other);
        return -ENOMEM;
    }
    curl_slist_free_all(conn->json_headers);
    curl_slist_free_all(conn->other_headers);
    conn->json_headers = json;
    conn->other_headers = other;
    return 0;
}

fl_conn *fl_conn_create(fl_client *client, const char *user, const char *password)
{
    fl_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return NULL;
    conn->client = client;
    for (int i = 0; i < FL_LANE_COUNT; i++) {
        conn->lanes[i].conn = conn;
        fl_timer_init(&conn->lanes[i].cut, on_cut, &conn->lanes[i]);
    }
    conn->share = curl_share_init();
    if (!conn->share || curl_share_setopt(conn->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) != CURLSHE_OK ||
        fl_conn_set_identity(conn, user, password) < 0) {
        free_conn(conn);
        return NULL;
    }
    return conn;
}

void fl_conn_destroy(fl_conn *conn)
{
    if (!conn)
        return;
    for (int i = 0; i < FL_LANE_COUNT; i++)
        fl_conn_cancel(conn, (fl_lane_id)i);
    if (conn->client->in_callback) { /* perhaps its own: run_pending() frees it */
        conn->next_dead = conn->client->dead;
        conn->client->dead = conn;
        return;
    }
    free_conn(conn);
}

static CURL *make_easy(struct lane *lane)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    fl_client *client = lane->conn->client;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, lane);
    curl_easy_setopt(easy, CURLOPT_SHARE, lane->conn->share);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, reuse_for_seconds);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "Flamenco/3.9 (farm-sim)");
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 8192L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_reply_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, lane);
    curl_easy_setopt(easy, CURLOPT_READDATA, lane);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, lane);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, client);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, lane);
    return easy;
}

static int prepare_body(struct lane *lane, const fl_request *request)
{
    free(lane->body);
    lane->body = NULL;
    lane->body_len = lane->body_read = 0;
    if (!request->body)
        return 0;
    lane->body = malloc(request->len + 1);
    if (!lane->body)
        return -ENOMEM;
    memcpy(lane->body, request->body, request->len);
    lane->body[request->len] = 0;
    lane->body_len = request->len;
    return 0;
}

static int set_headers(struct lane *lane, const fl_request *request)
{
    fl_conn *conn = lane->conn;
    struct curl_slist *headers = request->body ? conn->json_headers : conn->other_headers;
    if (request->content_type) {
        const struct curl_slist *last = conn->other_headers;
        while (last->next)
            last = last->next;
        bool with_identity = strncmp(last->data, "Authorization", 13) == 0;
        headers = make_headers(with_identity ? last->data : NULL, request->content_type);
        if (!headers)
            return -ENOMEM;
        curl_easy_setopt(lane->easy, CURLOPT_HTTPHEADER, headers);
        curl_slist_free_all(conn->own_headers);
        conn->own_headers = headers;
        return 0;
    }
    curl_easy_setopt(lane->easy, CURLOPT_HTTPHEADER, headers);
    return 0;
}

static int prepare(struct lane *lane, const fl_request *request)
{
    char url[1024];
    int len = snprintf(url, sizeof url, "%s%s", lane->conn->client->base_url, request->path);
    if (len < 0 || (size_t)len >= sizeof url)
        return -EINVAL;
    if (prepare_body(lane, request) < 0 || set_headers(lane, request) < 0)
        return -ENOMEM;
    CURL *easy = lane->easy;
    if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK)
        return -ENOMEM;
    bool half = request->cut == FL_CUT_SENDING && lane->body_len > 1;
    lane->is_post = strcmp(request->method, "GET") != 0;
    if (lane->is_post) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)lane->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, half ? NULL : lane->body ? lane->body : "");
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, half ? on_half_body : NULL);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    bool plain = !lane->is_post || strcmp(request->method, "POST") == 0;
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, plain ? NULL : request->method);
    return 0;
}

int fl_conn_send(fl_conn *conn, const fl_request *request, fl_on_reply fn, void *ctx)
{
    struct lane *lane = &conn->lanes[request->lane];
    fl_client *client = conn->client;
    if (lane->busy)
        return -EBUSY;
    if (!lane->easy && !(lane->easy = make_easy(lane)))
        return -ENOMEM;
    int rc = prepare(lane, request);
    if (rc < 0)
        return rc;
    lane->sent = false;
    lane->op = request->op;
    lane->fn = fn;
    lane->ctx = ctx;
    lane->reply_len = 0;
    lane->started_us = fl_now_us();
    if (request->cut != FL_CUT_NONE && !fl_timer_start(client->loop, &lane->cut, request->cut_after_us))
        return -ENOMEM;
    if (curl_multi_add_handle(client->multi, lane->easy) != CURLM_OK) {
        fl_timer_stop(client->loop, &lane->cut);
        return -ENOMEM;
    }
    lane->busy = true;
    return 0;
}

bool fl_conn_busy(const fl_conn *conn, fl_lane_id lane)
{
    return conn->lanes[lane].busy;
}

void fl_conn_cancel(fl_conn *conn, fl_lane_id lane)
{
    if (conn->lanes[lane].busy)
        stop_lane(&conn->lanes[lane]);
}
