/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin_ws.c - see plugin_ws.h. A connection has a queue of what came in, and one step of the work pool that is under way
 * as long as the queue is not empty.
 */
#include "core/api/plugin_ws.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "core/step.h"
#include "core/workpool.h"

/* What may wait for the plugin; a client that sends faster is dropped. */
#define WAITING_AT_MOST 1000u
#define WAITING_BYTES (UINT64_C(1) << 20)
#define AT_ONCE 512u /* connections that are sent the same */
#define CALLS_AT_ONCE 32u /* then other work of the pool has its turn */

typedef enum news_kind { NEWS_OPEN, NEWS_TEXT, NEWS_CLOSE } news_kind;

typedef struct news {
    struct news *next;
    news_kind kind;
    uint64_t len; /* of the text, which stands right behind */
} news;

static char *text_of(news *n)
{
    return (char *)(n + 1);
}

struct flamenco_ws {
    fl_step step;
    struct flamenco *f;
    fl_http_ws *http; /* one reference */
    const flamenco_ws_handler *handler;
    void *ctx;
    pthread_mutex_t lock; /* of the members below */
    news *first, **last;
    uint32_t count;
    uint64_t bytes;
    int running; /* the step is in the pool */
    int ended; /* no more news, but for the end */
    news end; /* the last news, which must not fail for lack of memory */
};

static void destroy(flamenco_ws *ws)
{
    fl_http_ws_unref(ws->http);
    pthread_mutex_destroy(&ws->lock);
    free(ws);
}

static news *take_news(flamenco_ws *ws)
{
    pthread_mutex_lock(&ws->lock);
    news *n = ws->first;
    if (n != NULL) {
        ws->first = n->next;
        if (ws->first == NULL)
            ws->last = &ws->first;
        --ws->count;
        ws->bytes -= n->len;
    }
    pthread_mutex_unlock(&ws->lock);
    return n;
}

/* Tells the plugin. Returns 0 when that was the end, and ws is gone. */
static int tell(flamenco_ws *ws, news *n)
{
    if (n->kind == NEWS_CLOSE) {
        ws->handler->on_close(ws->ctx, ws);
        return 0;
    }
    if (n->kind == NEWS_OPEN)
        ws->handler->on_open(ws->ctx, ws);
    else
        ws->handler->on_text(ws->ctx, ws, (flamenco_str){ text_of(n), n->len });
    free(n);
    return 1;
}

static int32_t run_news(fl_cx *cx, fl_step *step, flamenco_error *err)
{
    flamenco_ws *ws = (flamenco_ws *)(void *)step;
    (void)cx;
    (void)err;
    for (uint32_t i = 0; i < CALLS_AT_ONCE; ++i) {
        news *n = take_news(ws);
        if (n == NULL)
            return FLAMENCO_OK;
        if (!tell(ws, n)) {
            step->cursor[0] = 1;
            return FLAMENCO_OK;
        }
    }
    return FLAMENCO_OK;
}

static void news_done(fl_step *step, int32_t result, const flamenco_error *err)
{
    flamenco_ws *ws = (flamenco_ws *)(void *)step;
    if (result != FLAMENCO_OK) {
        /* The pool takes no work any more. The plugin still runs, and must hear of the end. */
        fl_debug("http", "WebSocket of a plugin: %s", err->text);
        for (news *n = take_news(ws); n != NULL; n = take_news(ws)) {
            if (n->kind == NEWS_CLOSE) {
                (void)tell(ws, n);
                destroy(ws);
                return;
            }
            free(n);
        }
    } else if (step->cursor[0] != 0) {
        destroy(ws);
        return;
    }
    pthread_mutex_lock(&ws->lock);
    int more = ws->first != NULL;
    ws->running = more;
    pthread_mutex_unlock(&ws->lock);
    if (more) {
        step->deadline_us = 0;
        fl_workpool_submit(ws->f->workpool, step);
    }
}

static const fl_step_ops news_ops = {
    .name = "websocket", .kind = FLAMENCO_STEP_WORK, .run = run_news, .done = news_done
};

/* Appends to what waits for the plugin. Returns 0 when there is too much of it. */
static int add_news(flamenco_ws *ws, news *n)
{
    pthread_mutex_lock(&ws->lock);
    int fits =
        !ws->ended && (n->kind != NEWS_TEXT || (ws->count < WAITING_AT_MOST && ws->bytes + n->len <= WAITING_BYTES));
    int start = fits && !ws->running;
    if (fits) {
        n->next = NULL;
        *ws->last = n;
        ws->last = &n->next;
        ++ws->count;
        ws->bytes += n->len;
        ws->running = 1;
    }
    if (n->kind == NEWS_CLOSE)
        ws->ended = 1;
    pthread_mutex_unlock(&ws->lock);
    if (start) {
        ws->step.deadline_us = 0;
        fl_workpool_submit(ws->f->workpool, &ws->step);
    }
    return fits;
}

static news *make_news(news_kind kind, flamenco_str text)
{
    news *n = malloc(sizeof(*n) + (size_t)text.len);
    if (n == NULL)
        return NULL;
    *n = (news){ .kind = kind, .len = text.len };
    if (text.len > 0)
        memcpy(text_of(n), text.ptr, (size_t)text.len);
    return n;
}

/* ---- [loop] ---------------------------------------------------------------------------------------------------------- */

static void bring(flamenco_ws *ws, fl_http_ws *http, news_kind kind, flamenco_str text)
{
    news *n = make_news(kind, text);
    if (n != NULL && add_news(ws, n))
        return;
    fl_debug("http", "WebSocket of a plugin dropped: %s", n != NULL ? "it sends too fast" : "no memory");
    free(n);
    fl_http_ws_close(http, 0);
}

static void on_open(void *ctx, fl_http_ws *http)
{
    bring(ctx, http, NEWS_OPEN, (flamenco_str){ NULL, 0 });
}

static void on_text(void *ctx, fl_http_ws *http, flamenco_str text)
{
    bring(ctx, http, NEWS_TEXT, text);
}

/* The interface has texts alone: who sends anything else is dropped (events 2.4). */
static void on_binary(void *ctx, fl_http_ws *http, flamenco_str data)
{
    (void)ctx;
    (void)data;
    fl_http_ws_close(http, 0);
}

static void on_close(void *ctx, fl_http_ws *http, uint32_t code)
{
    flamenco_ws *ws = ctx;
    (void)http;
    (void)code;
    ws->end.kind = NEWS_CLOSE;
    (void)add_news(ws, &ws->end);
}

static const fl_http_ws_callbacks callbacks = {
    .on_open = on_open, .on_text = on_text, .on_binary = on_binary, .on_close = on_close
};

/* ---- For the routes -------------------------------------------------------------------------------------------------- */

flamenco_ws *fl_plugin_ws_create(struct flamenco *f, const flamenco_ws_handler *handler, void *ctx)
{
    flamenco_ws *ws = calloc(1, sizeof(*ws));
    if (ws == NULL || pthread_mutex_init(&ws->lock, NULL) != 0) {
        free(ws);
        return NULL;
    }
    ws->step.ops = &news_ops;
    ws->f = f;
    ws->handler = handler;
    ws->ctx = ctx;
    ws->last = &ws->first;
    return ws;
}

int32_t fl_plugin_ws_begin(flamenco_ws *ws, fl_http_request *http, flamenco_error *err)
{
    int may_pack = (ws->handler->flags & FLAMENCO_WS_MAY_PACK) != 0;
    int32_t rc = fl_http_upgrade(http, &callbacks, ws, may_pack, &ws->http, err);
    if (rc != FLAMENCO_OK)
        fl_plugin_ws_abandon(ws);
    return rc;
}

void fl_plugin_ws_abandon(flamenco_ws *ws)
{
    ws->handler->on_close(ws->ctx, ws);
    destroy(ws);
}

int32_t fl_plugin_ws_send(flamenco_ws *ws, flamenco_buf *text)
{
    return fl_http_ws_send(ws->http, FL_HTTP_WS_TEXT, text);
}

uint32_t fl_plugin_ws_send_all(flamenco_ws *const *ws, uint32_t n_ws, flamenco_buf *const *texts, uint32_t n_texts)
{
    fl_http_ws *some[AT_ONCE];
    uint32_t failed = 0;
    if (n_ws == 0 || n_texts == 0)
        return 0;
    fl_http_ws_frames frames = { .kind = FL_HTTP_WS_TEXT, .n = n_texts, .messages = texts };
    if (n_texts > UINT16_MAX) { /* whoever cannot be told of something is to come back, and ask */
        for (uint32_t i = 0; i < n_ws; ++i)
            fl_http_ws_close(ws[i]->http, 0);
        return n_ws;
    }
    for (uint32_t done = 0; done < n_ws;) {
        uint32_t n = 0;
        while (n < AT_ONCE && done < n_ws)
            some[n++] = ws[done++]->http;
        failed += fl_http_ws_send_frames(some, n, &frames);
    }
    fl_http_ws_frames_fini(&frames);
    return failed;
}

void fl_plugin_ws_close(flamenco_ws *ws, uint32_t code)
{
    fl_http_ws_close(ws->http, code);
}
