/* SPDX-License-Identifier: Apache-2.0
 *
 * harness.h - a real server on 127.0.0.1, and raw sockets as its clients. Requests whose path begins with /now are
 * answered on the loop; all others wait in a list for the test to take them. Nothing asserts here: helpers return what
 * they found.
 */
#ifndef TEST_HTTP_HARNESS_H
#define TEST_HTTP_HARNESS_H

#include <pthread.h>

#include "core/base/str.h"
#include "core/http/http.h"

#define PATIENCE_MS 20000 /* for what must happen; only a failing test waits so long */

typedef struct harness {
    fl_http *http;
    int port;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    fl_http_request *waiting[64];
    size_t n_waiting;
    fl_http_request *gone[64];
    size_t n_gone;
    unsigned n_done, n_dropped, n_user_destroyed;
    int32_t last_status;
    uint64_t last_in, last_out;
    int alive_reports, last_alive;
    uint64_t body_limit;
    int blocked, unblock;
    /* WebSocket events, one letter each: o(pen) t(ext) b(inary) c(lose) */
    char ws_events[64];
    size_t n_ws_events;
    fl_http_ws *ws;
    uint32_t ws_code;
    char ws_text[256];
} harness;

/* Two loops, port 0, defaults otherwise. */
void harness_config(harness *h, fl_http_config *config);
/* Starts with the configuration; returns 0 or the server's error. */
int32_t harness_start(harness *h, const fl_http_config *config);
/* Stops and frees; returns what fl_http_stop says. */
int32_t harness_stop(harness *h);

/* Waits for a request and takes it; NULL after PATIENCE_MS. */
fl_http_request *harness_take(harness *h);
/* Waits until *counter, a member of h, is at least n. Returns 1, or 0 after PATIENCE_MS. */
int harness_wait(harness *h, const unsigned *counter, unsigned n);
int harness_wait_gone(harness *h, size_t n);
int harness_wait_int(harness *h, const int *counter, int n);
int harness_wait_ws(harness *h, size_t n);
void harness_report(void *ctx, fl_http_request *request, int alive);

/* Answers 200 with a text. */
void answer_text(fl_http_request *request, const char *text);
flamenco_buf *shared_text(const char *text, size_t times);

/* Adds up a counter over the loops; by its offset in fl_http_stats. */
uint64_t harness_stat(const harness *h, size_t offset);
/* Waits until the sum is `value`. */
int harness_wait_stat(const harness *h, size_t offset, uint64_t value);
int harness_wait_stat_least(const harness *h, size_t offset, uint64_t least);
#define STAT(member) offsetof(fl_http_stats, member)

/* ---- Client ---- */

typedef struct client {
    int fd;
    char data[1 << 16]; /* read, not yet used */
    size_t len;
} client;

typedef struct response {
    int status;
    char head[8192]; /* NUL-terminated, with the last line's CR LF */
    char body[1 << 16];
    size_t body_len;
} response;

int client_open(client *c, int port);
void client_close(client *c);
int client_send(client *c, const char *bytes, size_t len); /* all of it; 0, or -1 */
int client_say(client *c, const char *text);
/* Reads a response with Content-Length, or without a body when no_body. Returns 0; -1: the connection ended before. */
int client_read(client *c, response *r, int no_body);
/* Tells whether the connection ends without another byte. */
int client_is_closed(client *c);
/* Tells whether nothing can be read right now. */
int client_is_quiet(client *c);
/* Finds a header in the head, name with any letters, no colon; copies its first value. */
int response_header(const response *r, const char *name, char *out, size_t cap);

#endif
