/* SPDX-License-Identifier: Apache-2.0
 *
 * harness.c - see harness.h.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- Server side ----------------------------------------------------------------------------------------------- */

flamenco_buf *shared_text(const char *text, size_t times)
{
    fl_buf buf = { .data = NULL };
    for (size_t i = 0; i < times; ++i)
        fl_buf_add_text(&buf, text);
    return fl_shared_take(&buf);
}

void answer_text(fl_http_request *request, const char *text)
{
    fl_http_reply reply = { .status = 200, .content_type = FL_STR("text/plain"), .body = shared_text(text, 1) };
    fl_http_answer(request, &reply);
}

static void on_request(void *ctx, fl_http_request *request)
{
    harness *h = ctx;
    if (fl_str_starts(fl_http_request_path(request), "/now")) {
        answer_text(request, "now");
        return;
    }
    pthread_mutex_lock(&h->lock);
    if (fl_str_is(fl_http_request_path(request), "/block")) {
        h->blocked = 1;
        pthread_cond_broadcast(&h->changed);
        while (!h->unblock)
            pthread_cond_wait(&h->changed, &h->lock);
    }
    h->waiting[h->n_waiting++ % 64] = request;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void on_gone(void *ctx, fl_http_request *request)
{
    harness *h = ctx;
    pthread_mutex_lock(&h->lock);
    h->gone[h->n_gone++ % 64] = request;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void on_done(void *ctx, const fl_http_done *done)
{
    harness *h = ctx;
    pthread_mutex_lock(&h->lock);
    ++h->n_done;
    h->n_dropped += done->status == 0;
    h->last_status = done->status;
    h->last_in = done->bytes_in;
    h->last_out = done->bytes_out;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static uint64_t body_limit(void *ctx, flamenco_str method, flamenco_str path)
{
    harness *h = ctx;
    (void)method;
    return fl_str_is(path, "/small") ? h->body_limit : UINT64_MAX;
}

void harness_report(void *ctx, fl_http_request *request, int alive)
{
    harness *h = ctx;
    (void)request;
    pthread_mutex_lock(&h->lock);
    ++h->alive_reports;
    h->last_alive = alive;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

void harness_config(harness *h, fl_http_config *config)
{
    static const char *const listen[] = { "127.0.0.1:0" };
    memset(h, 0, sizeof(*h));
    pthread_condattr_t attr;
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attr);
    pthread_condattr_destroy(&attr);
    fl_http_config_init(config);
    config->listen = listen;
    config->n_listen = 1;
    config->loops = 2;
    config->max_connections = 2000;
    config->on_request = on_request;
    config->on_gone = on_gone;
    config->on_done = on_done;
    config->body_limit = body_limit;
    config->ctx = h;
}

int32_t harness_start(harness *h, const fl_http_config *config)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int32_t result;
    signal(SIGPIPE, SIG_IGN);
    result = fl_http_start(config, &h->http, &err);
    if (result != FLAMENCO_OK) {
        fprintf(stderr, "# start: %s\n", err.text);
        return result;
    }
    flamenco_str address = fl_http_address(h->http, 0);
    h->port = atoi(strrchr(address.ptr, ':') + 1);
    return FLAMENCO_OK;
}

int32_t harness_stop(harness *h)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int32_t result = fl_http_stop(h->http, now_us() + 2 * 1000000, &err);
    if (result == FLAMENCO_OK) {
        fl_http_destroy(h->http);
        pthread_cond_destroy(&h->changed);
        pthread_mutex_destroy(&h->lock);
    } else {
        fprintf(stderr, "# stop: %s\n", err.text);
    }
    return result;
}

static struct timespec patience(void)
{
    int64_t until = now_us() + PATIENCE_MS * 1000ll;
    return (struct timespec){ .tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000 };
}

fl_http_request *harness_take(harness *h)
{
    struct timespec until = patience();
    fl_http_request *request = NULL;
    pthread_mutex_lock(&h->lock);
    while (h->n_waiting == 0)
        if (pthread_cond_timedwait(&h->changed, &h->lock, &until) == ETIMEDOUT)
            break;
    if (h->n_waiting > 0) {
        request = h->waiting[0];
        --h->n_waiting;
        memmove(h->waiting, h->waiting + 1, h->n_waiting * sizeof(h->waiting[0]));
    }
    pthread_mutex_unlock(&h->lock);
    return request;
}

/* Waits until a condition on h holds: reached(h, n). */
static int wait_for(harness *h, int (*reached)(const harness *, const void *, size_t), const void *what, size_t n)
{
    struct timespec until = patience();
    int ok;
    pthread_mutex_lock(&h->lock);
    while (!(ok = reached(h, what, n)))
        if (pthread_cond_timedwait(&h->changed, &h->lock, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&h->lock);
    return ok;
}

static int counter_reached(const harness *h, const void *what, size_t n)
{
    (void)h;
    return *(const unsigned *)what >= n;
}

static int size_reached(const harness *h, const void *what, size_t n)
{
    (void)h;
    return *(const size_t *)what >= n;
}

static int int_reached(const harness *h, const void *what, size_t n)
{
    (void)h;
    return (size_t) * (const int *)what >= n;
}

int harness_wait(harness *h, const unsigned *counter, unsigned n)
{
    return wait_for(h, counter_reached, counter, n);
}

int harness_wait_gone(harness *h, size_t n)
{
    return wait_for(h, size_reached, &h->n_gone, n);
}

int harness_wait_int(harness *h, const int *counter, int n)
{
    return wait_for(h, int_reached, counter, (size_t)n);
}

int harness_wait_ws(harness *h, size_t n)
{
    return wait_for(h, size_reached, &h->n_ws_events, n);
}

uint64_t harness_stat(const harness *h, size_t offset)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < fl_http_loop_count(h->http); ++i) {
        fl_http_stats stats;
        fl_http_loop_stats(h->http, i, &stats);
        sum += *(const uint64_t *)(const void *)((const char *)&stats + offset);
    }
    return sum;
}

static int wait_stat_between(const harness *h, size_t offset, uint64_t least, uint64_t most)
{
    int64_t until = now_us() + PATIENCE_MS * 1000ll;
    for (;;) {
        uint64_t value = harness_stat(h, offset);
        if (value >= least && value <= most)
            return 1;
        if (now_us() > until)
            return 0;
        poll(NULL, 0, 2); /* counters have no event to wait for */
    }
}

int harness_wait_stat(const harness *h, size_t offset, uint64_t value)
{
    return wait_stat_between(h, offset, value, value);
}

int harness_wait_stat_least(const harness *h, size_t offset, uint64_t least)
{
    return wait_stat_between(h, offset, least, UINT64_MAX);
}

/* ---- Client side ----------------------------------------------------------------------------------------------- */

int client_open(client *c, int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->len = 0;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return -1;
    return setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void client_close(client *c)
{
    close(c->fd);
    c->fd = -1;
}

int client_send(client *c, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(c->fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

int client_say(client *c, const char *text)
{
    return client_send(c, text, strlen(text));
}

/* Reads some more. Returns 1; 0 at the end; -1 when nothing came in time. */
static int read_more(client *c)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN };
    ssize_t n;
    if (c->len == sizeof(c->data) || poll(&p, 1, PATIENCE_MS) <= 0)
        return -1;
    n = recv(c->fd, c->data + c->len, sizeof(c->data) - c->len, 0);
    if (n <= 0)
        return 0;
    c->len += (size_t)n;
    return 1;
}

static void use(client *c, size_t n)
{
    c->len -= n;
    memmove(c->data, c->data + n, c->len);
}

int client_read(client *c, response *r, int no_body)
{
    char value[32], *end;
    memset(r, 0, offsetof(response, body));
    r->body_len = 0;
    while ((end = memmem(c->data, c->len, "\r\n\r\n", 4)) == NULL)
        if (read_more(c) != 1)
            return -1;
    size_t n = (size_t)(end - c->data) + 2;
    if (n >= sizeof(r->head))
        return -1;
    memcpy(r->head, c->data, n);
    use(c, n + 2);
    r->status = atoi(r->head + sizeof("HTTP/1.1"));
    if (no_body || !response_header(r, "content-length", value, sizeof(value)))
        return 0;
    size_t want = strtoul(value, NULL, 10);
    if (want > sizeof(r->body))
        return -1;
    while (c->len < want)
        if (read_more(c) != 1)
            return -1;
    memcpy(r->body, c->data, want);
    r->body_len = want;
    use(c, want);
    return 0;
}

int client_is_closed(client *c)
{
    int more = 1;
    if (c->len != 0)
        return 0;
    more = read_more(c);
    return more == 0;
}

int client_is_quiet(client *c)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN };
    return c->len == 0 && poll(&p, 1, 0) == 0;
}

int response_header(const response *r, const char *name, char *out, size_t cap)
{
    size_t len = strlen(name);
    for (const char *line = strstr(r->head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) != 0 || line[2 + len] != ':')
            continue;
        const char *value = line + 2 + len + 1;
        while (*value == ' ')
            ++value;
        size_t n = strcspn(value, "\r");
        if (n >= cap)
            n = cap - 1;
        memcpy(out, value, n);
        out[n] = '\0';
        return 1;
    }
    return 0;
}
