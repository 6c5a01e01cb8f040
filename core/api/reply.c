/* SPDX-License-Identifier: Apache-2.0
 *
 * reply.c - the answer to a request while it is made (reply.h).
 */
#include "core/api/reply.h"

#include <unistd.h>

#define ERROR_TEXT_MAX 4096

static const char json_type[] = "application/json";
static const char text_type[] = "text/plain; charset=UTF-8";

static void drop_file(fl_reply *reply)
{
    if (reply->has_file)
        close(reply->fd);
    reply->has_file = 0;
}

void fl_reply_fini(fl_reply *reply)
{
    drop_file(reply);
    fl_buf_fini(&reply->body);
    fl_buf_fini(&reply->header_text);
    memset(reply, 0, sizeof(*reply));
}

/* A buffer that could not grow gets another chance, as its owner was told of the failure. */
static void empty_buf(fl_buf *buf)
{
    buf->len = 0;
    buf->failed = 0;
}

void fl_reply_reset(fl_reply *reply)
{
    reply->status = 0;
    reply->n_headers = 0;
    reply->content_type = NULL;
    drop_file(reply);
    empty_buf(&reply->body);
    empty_buf(&reply->header_text);
}

static int32_t result(const fl_reply *reply)
{
    return reply->body.failed || reply->header_text.failed ? FLAMENCO_E_NOMEM : FLAMENCO_OK;
}

/* Puts status and type in place; what an earlier answer of the same run wrote is dropped. */
static void begin(fl_reply *reply, int32_t status, const char *content_type)
{
    reply->status = status;
    reply->content_type = content_type;
    reply->body.len = 0;
    drop_file(reply);
}

fl_json *fl_reply_json_begin(fl_reply *reply, int32_t status)
{
    begin(reply, status, json_type);
    reply->json = fl_json_begin(&reply->body);
    return &reply->json;
}

int32_t fl_reply_json_end(fl_reply *reply)
{
    fl_buf_add_char(&reply->body, '\n');
    return result(reply);
}

int32_t fl_reply_json_raw(fl_reply *reply, int32_t status, flamenco_str json)
{
    begin(reply, status, json_type);
    fl_buf_add_str(&reply->body, json);
    if (json.len == 0 || json.ptr[json.len - 1] != '\n')
        fl_buf_add_char(&reply->body, '\n');
    return result(reply);
}

/* A text that was cut may end in part of a character, which would become U+FFFD. */
static void drop_last_character(char *text, size_t len)
{
    while (len > 0 && ((unsigned char)text[len - 1] & 0xC0u) == 0x80u)
        --len;
    text[len > 0 ? len - 1 : 0] = '\0';
}

int32_t fl_reply_error_va(fl_reply *reply, int32_t status, const char *fmt, va_list args)
{
    char text[ERROR_TEXT_MAX];
    int n = vsnprintf(text, sizeof(text), fmt, args);
    if (n < 0)
        text[0] = '\0';
    else if ((size_t)n >= sizeof(text))
        drop_last_character(text, sizeof(text) - 1);
    fl_json *w = fl_reply_json_begin(reply, status);
    fl_json_object_begin(w);
    fl_json_key(w, "code");
    fl_json_int(w, status);
    fl_json_key(w, "message");
    fl_json_text(w, text);
    fl_json_object_end(w);
    return fl_reply_json_end(reply);
}

int32_t fl_reply_error(fl_reply *reply, int32_t status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int32_t rc = fl_reply_error_va(reply, status, fmt, args);
    va_end(args);
    return rc;
}

int32_t fl_reply_failure(fl_reply *reply, int32_t code, const char *text)
{
    static const struct {
        int32_t code, status;
        const char *text;
    } answers[] = {
        { FLAMENCO_E_NOT_FOUND, 404, "not found" },
        { FLAMENCO_E_INVALID, 400, "the request is not valid" },
        { FLAMENCO_E_EXISTS, 409, "it exists already" },
        { FLAMENCO_E_CONFLICT, 409, "not possible in the present state" },
        { FLAMENCO_E_UNSUPPORTED, 501, "this Manager cannot do that" },
        { FLAMENCO_E_BUSY, 503, "the Manager is busy, try again" },
        { FLAMENCO_E_UNAVAILABLE, 503, "the Manager's storage cannot be reached, try again" },
        { FLAMENCO_E_CANCELLED, 503, "the Manager is stopping, try again" },
        { FLAMENCO_E_DEADLINE, 503, "it took too long, try again" },
        { FLAMENCO_E_FULL, 503, "no room is left, try again later" },
    };
    int32_t status = 500;
    const char *usual = "internal error";
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); ++i) {
        if (answers[i].code == code) {
            status = answers[i].status;
            usual = answers[i].text;
        }
    }
    fl_reply_reset(reply); /* also clears a failed allocation */
    if (status == 503)
        fl_reply_header_add(reply, "retry-after", flamenco_text("1"));
    return fl_reply_error(reply, status, "%s", text != NULL && text[0] != '\0' ? text : usual);
}

int32_t fl_reply_text(fl_reply *reply, int32_t status, flamenco_str text)
{
    begin(reply, status, text_type);
    fl_buf_add_str(&reply->body, text);
    return result(reply);
}

int32_t fl_reply_file(fl_reply *reply, int32_t status, const char *content_type, int32_t fd, uint64_t offset,
                      uint64_t length)
{
    begin(reply, status, content_type);
    reply->has_file = 1;
    reply->fd = fd;
    reply->offset = offset;
    reply->length = length;
    return result(reply);
}

int32_t fl_reply_empty(fl_reply *reply, int32_t status)
{
    begin(reply, status, NULL);
    return result(reply);
}

void fl_reply_header_add(fl_reply *reply, const char *name, flamenco_str value)
{
    if (reply->n_headers == FL_REPLY_HEADERS_MAX ||
        (value.len != 0 &&
         (memchr(value.ptr, '\n', (size_t)value.len) != NULL || memchr(value.ptr, '\r', (size_t)value.len) != NULL))) {
        reply->header_text.failed = 1;
        return;
    }
    fl_reply_header *header = &reply->headers[reply->n_headers++];
    header->name = name;
    header->at = reply->header_text.len;
    header->len = (size_t)value.len;
    fl_buf_add_str(&reply->header_text, value);
}

flamenco_str fl_reply_header_value(const fl_reply *reply, uint32_t n)
{
    const fl_reply_header *header = &reply->headers[n];
    if (header->len == 0)
        return (flamenco_str){ "", 0 };
    return (flamenco_str){ reply->header_text.data + header->at, header->len };
}
