/* SPDX-License-Identifier: Apache-2.0 */
#include "core/api/files.h"

#include <time.h>
#include <unistd.h>

#include "core/base/str.h"
#include "core/http/cors.h"

static const char *type_of(flamenco_str path)
{
    static const struct {
        const char *ending, *type;
    } types[] = { { ".txt", "text/plain; charset=utf-8" }, { ".jpg", "image/jpeg" },
                  { ".jpeg", "image/jpeg" },               { ".png", "image/png" },
                  { ".html", "text/html; charset=utf-8" }, { ".json", "application/json" } };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
        size_t len = strlen(types[i].ending);
        if (path.len >= len && memcmp(path.ptr + path.len - len, types[i].ending, len) == 0)
            return types[i].type;
    }
    /* Rotated logs (task-….txt.1) are text; anything else is left to the client. */
    flamenco_str name = path;
    for (uint64_t i = path.len; i > 0 && path.ptr[i - 1] != '/'; --i)
        name = (flamenco_str){ path.ptr + i - 1, path.len - i + 1 };
    return memmem(name.ptr, (size_t)name.len, ".txt.", 5) != NULL ? "text/plain; charset=utf-8" :
                                                                    "application/octet-stream";
}

static size_t http_date(int64_t time_us, char *out, size_t size)
{
    struct tm tm;
    time_t seconds = (time_t)(time_us / 1000000);
    if (gmtime_r(&seconds, &tm) == NULL)
        return 0;
    return strftime(out, size, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

/* Reads a single range, "bytes=a-b", "bytes=a-" or "bytes=-n". Returns 0 when there is none that we serve; -1 when it lies
 * outside the file. */
static int read_range(flamenco_str text, uint64_t size, uint64_t *offset, uint64_t *length)
{
    int64_t first = 0, last = 0;
    if (!fl_str_starts(text, "bytes="))
        return 0;
    flamenco_str rest = { text.ptr + 6, text.len - 6 }, from;
    if (memchr(rest.ptr, ',', (size_t)rest.len) != NULL || memchr(rest.ptr, '-', (size_t)rest.len) == NULL ||
        !fl_str_split(&rest, '-', &from))
        return 0;
    flamenco_str to = rest;
    if (from.len == 0) {
        if (fl_str_int(to, &last) != FLAMENCO_OK || last < 0)
            return 0;
        if (last == 0 || size == 0)
            return -1;
        *length = (uint64_t)last < size ? (uint64_t)last : size;
        *offset = size - *length;
        return 1;
    }
    if (fl_str_int(from, &first) != FLAMENCO_OK || first < 0)
        return 0;
    if (to.len > 0 && (fl_str_int(to, &last) != FLAMENCO_OK || last < first))
        return 0;
    if ((uint64_t)first >= size)
        return -1;
    uint64_t end = to.len > 0 && (uint64_t)last < size - 1 ? (uint64_t)last + 1 : size;
    *offset = (uint64_t)first;
    *length = end - *offset;
    return 1;
}

/* Sends an open file, whose descriptor is taken over. */
static int32_t send_file(fl_cx *cx, fl_http_request *http, flamenco_str path, int fd, const flamenco_file_info *info,
                         fl_reply *reply)
{
    char date[64], range[96];
    fl_http_header headers[4 + FL_CORS_MAX_HEADERS];
    fl_http_reply out = { .status = 200, .flags = FL_HTTP_FILE, .headers = headers, .fd = fd, .length = info->size_bytes };
    out.n_headers = fl_cors_headers(fl_http_request_header_text(http, "origin"), cx->f->origins, cx->f->n_origins, 0, headers);
    out.content_type = flamenco_text(type_of(path));
    headers[out.n_headers++] = (fl_http_header){ FL_STR("accept-ranges"), FL_STR("bytes") };
    if (http_date(info->modified_us, date, sizeof(date)) > 0) {
        headers[out.n_headers++] = (fl_http_header){ FL_STR("last-modified"), flamenco_text(date) };
        if (flamenco_str_equal(fl_http_request_header_text(http, "if-modified-since"), flamenco_text(date))) {
            close(fd);
            return fl_reply_empty(reply, 304);
        }
    }
    int ranged = read_range(fl_http_request_header_text(http, "range"), info->size_bytes, &out.offset, &out.length);
    if (ranged < 0) {
        close(fd);
        snprintf(range, sizeof(range), "bytes */%llu", (unsigned long long)info->size_bytes);
        int32_t rc = fl_reply_error(reply, 416, "the file has %llu bytes", (unsigned long long)info->size_bytes);
        fl_reply_header_add(reply, "content-range", flamenco_text(range));
        return rc;
    }
    if (ranged > 0) {
        out.status = 206;
        snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)out.offset,
                 (unsigned long long)(out.offset + out.length - 1), (unsigned long long)info->size_bytes);
        headers[out.n_headers++] = (fl_http_header){ FL_STR("content-range"), flamenco_text(range) };
    }
    fl_http_answer(http, &out);
    return 1;
}

int32_t fl_files_serve(fl_cx *cx, fl_http_request *http, flamenco_str path, fl_reply *reply)
{
    flamenco_str plain = { NULL, 0 };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_file_info info = { .struct_size = (uint32_t)sizeof(info) };
    int32_t fd = -1;
    fl_reply_reset(reply);
    while (path.len > 0 && path.ptr[0] == '/')
        path = (flamenco_str){ path.ptr + 1, path.len - 1 };
    int32_t rc = fl_str_percent_decode(cx->arena, path, 0, &plain);
    if (rc == FLAMENCO_OK && plain.len > 0 && plain.ptr[plain.len - 1] == '/') {
        plain = fl_arena_printf(cx->arena, "%.*sindex.html", FL_STR_ARGS(plain));
        rc = plain.ptr != NULL ? rc : FLAMENCO_E_NOMEM;
    }
    if (rc == FLAMENCO_OK && plain.len > 0)
        rc = flamenco_local_storage_open_file(&cx->f->local_storage, plain, &fd, &info, &err);
    if (plain.len == 0 || rc == FLAMENCO_E_NOT_FOUND || rc == FLAMENCO_E_INVALID)
        return fl_reply_error(reply, 404, "there is no such file");
    if (rc != FLAMENCO_OK)
        return fl_reply_failure(reply, rc, err.text);
    if (info.kind == FLAMENCO_FILE_DIRECTORY) {
        close(fd);
        flamenco_str location = fl_arena_printf(cx->arena, "%.*s/", FL_STR_ARGS(fl_http_request_path(http)));
        rc = fl_reply_empty(reply, 301);
        fl_reply_header_add(reply, "location", location);
        return rc;
    }
    return send_file(cx, http, plain, fd, &info, reply);
}
