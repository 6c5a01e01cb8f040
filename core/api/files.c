/* SPDX-License-Identifier: Apache-2.0 */
#include "core/api/files.h"

#include <unistd.h>

#include "core/base/str.h"
#include "core/http/range.h"

static const char *type_of(flamenco_str path)
{
    static const struct {
        const char *ending, *type;
    } types[] = { { ".txt", "text/plain; charset=utf-8" },
                  { ".jpg", "image/jpeg" },
                  { ".jpeg", "image/jpeg" },
                  { ".png", "image/png" },
                  { ".html", "text/html; charset=utf-8" },
                  { ".json", "application/json" } };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
        size_t len = strlen(types[i].ending);
        if (path.len >= len && memcmp(path.ptr + path.len - len, types[i].ending, len) == 0)
            return types[i].type;
    }
    /* Rotated logs (task-….txt.1) are text; anything else is left to the client. */
    flamenco_str name = path;
    for (uint64_t i = path.len; i > 0 && path.ptr[i - 1] != '/'; --i)
        name = (flamenco_str){ path.ptr + i - 1, path.len - i + 1 };
    return memmem(name.ptr, (size_t)name.len, ".txt.", 5) != NULL ? "text/plain; charset=utf-8"
                                                                  : "application/octet-stream";
}

/* Answers with an open file, whose descriptor is taken over. */
static int32_t answer_file(fl_http_request *http, flamenco_str path, int fd, const flamenco_file_info *info,
                           fl_reply *reply)
{
    fl_http_file file = { .size = info->size_bytes,
                          .mtime_s = info->modified_us / 1000000,
                          .range = fl_http_request_header_text(http, "range"),
                          .if_range = fl_http_request_header_text(http, "if-range"),
                          .if_modified_since = fl_http_request_header_text(http, "if-modified-since") };
    fl_http_file_plan plan;
    int32_t rc;
    fl_http_plan_file(&file, &plan);
    if (plan.status == 304 || plan.status == 416) {
        close(fd);
        rc = plan.status == 304
                 ? fl_reply_empty(reply, 304)
                 : fl_reply_error(reply, 416, "the file has %llu bytes", (unsigned long long)info->size_bytes);
    } else {
        rc = fl_reply_file(reply, plan.status, type_of(path), fd, plan.offset, plan.length);
        fl_reply_header_add(reply, "accept-ranges", FL_STR("bytes"));
        if (plan.last_modified[0] != '\0')
            fl_reply_header_add(reply, "last-modified", flamenco_text(plan.last_modified));
    }
    if (plan.content_range[0] != '\0')
        fl_reply_header_add(reply, "content-range", flamenco_text(plan.content_range));
    return rc;
}

/* Plugins keep what is nobody else's business in directories whose names begin with a dot. */
static int is_hidden(flamenco_str path)
{
    for (uint64_t i = 0; i < path.len; ++i)
        if (path.ptr[i] == '.' && (i == 0 || path.ptr[i - 1] == '/'))
            return 1;
    return 0;
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
    if (rc == FLAMENCO_OK && is_hidden(plain))
        rc = FLAMENCO_E_NOT_FOUND;
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
    return answer_file(http, plain, fd, &info, reply);
}
