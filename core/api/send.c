/* SPDX-License-Identifier: Apache-2.0 */
#include "core/api/send.h"

#include "core/api/request.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/config/manager_yaml.h"
#include "core/http/cors.h"

#define GZIP_ABOVE 4096u /* below that a reply goes out in two or three packets, packed or not */

static int is_json(const fl_reply *reply)
{
    return reply->content_type != NULL && strcmp(reply->content_type, "application/json") == 0;
}

static int wants_pretty(fl_http_request *http, fl_arena *arena)
{
    flamenco_str query = fl_http_request_query(http), value;
    return query.len > 0 && fl_api_query(arena, query, "pretty", 0, &value) == 1;
}

static void indent(fl_reply *reply)
{
    fl_buf plain = reply->body;
    reply->body = (fl_buf){ 0 };
    if (plain.len > 0 && plain.data[plain.len - 1] == '\n')
        --plain.len;
    fl_json_indent(fl_buf_str(&plain), &reply->body);
    fl_buf_add_char(&reply->body, '\n');
    fl_buf_fini(&plain);
}

/* The body as shared bytes, compressed when that is wanted and worth it. */
static flamenco_buf *take_body(fl_http_request *http, fl_reply *reply, int may_compress, uint32_t *flags)
{
    flamenco_buf *body = fl_shared_take(&reply->body);
    if (body == NULL || !may_compress || fl_shared_str(body).len <= GZIP_ABOVE || !fl_http_request_accepts_gzip(http))
        return body;
    flamenco_buf *small = fl_http_gzip(body);
    if (small == NULL)
        return body;
    fl_shared_unref(body);
    *flags |= FL_HTTP_GZIPPED;
    return small;
}

size_t fl_send_cors(struct flamenco *f, fl_http_request *http, fl_http_header *headers)
{
    return fl_cors_headers(fl_http_request_header_text(http, "origin"), f->origins, f->n_origins,
                           fl_str_is(fl_http_request_method(http), "OPTIONS"), headers);
}

void fl_send(struct flamenco *f, fl_http_request *http, fl_reply *reply, int may_compress)
{
    fl_http_header headers[FL_REPLY_HEADERS_MAX + FL_CORS_MAX_HEADERS];
    fl_http_reply out = { .status = reply->status, .headers = headers, .fd = -1 };
    fl_arena *arena = fl_http_request_arena(http);
    if (arena == NULL || reply->body.failed) {
        fl_error("api", "no memory for a reply");
        fl_reply_fini(reply);
        fl_http_drop(http);
        return;
    }
    out.n_headers = fl_send_cors(f, http, headers);
    for (uint32_t i = 0; i < reply->n_headers; ++i)
        headers[out.n_headers++] =
            (fl_http_header){ flamenco_text(reply->headers[i].name), fl_reply_header_value(reply, i) };
    if (reply->has_file) {
        /* Taken over by the HTTP layer, whatever comes of it. */
        reply->has_file = 0;
        out.flags = FL_HTTP_FILE;
        out.fd = reply->fd;
        out.offset = reply->offset;
        out.length = reply->length;
    } else if (is_json(reply) && wants_pretty(http, arena)) {
        indent(reply);
    }
    if (reply->body.len > 0) {
        out.body = take_body(http, reply, may_compress && f->http_settings->gzip, &out.flags);
        if (out.body == NULL) {
            fl_reply_fini(reply);
            fl_http_drop(http);
            return;
        }
    }
    if (reply->content_type != NULL)
        out.content_type = flamenco_text(reply->content_type);
    fl_http_answer(http, &out);
}
