/* SPDX-License-Identifier: Apache-2.0
 *
 * shaman_stream.c - see shaman_stream.h. Runs on core/http's body threads, before there is a request: whatever is wrong with
 * the head is left to the handler, which checks it again and answers.
 */
#include "core/api/shaman_stream.h"

#include <stdlib.h>

#include "api_routes.h"
#include "core/api/rfc2047.h"
#include "core/api/shaman.h"
#include "core/base/str.h"
#include "core/config/manager_yaml.h"
#include "core/host.h"
#include "core/step.h"

typedef struct upload_stream {
    struct flamenco *f;
    flamenco_shaman_upload *upload;
    int has_result;
    int32_t result;
    flamenco_error err;
} upload_stream;

static int find_header(const void *ctx, const char *name, uint32_t nth, flamenco_str *value_out)
{
    const fl_http_stream_head *head = ctx;
    return fl_http_head_header(head->head, name, nth, value_out);
}

static flamenco_str path_of(flamenco_str target)
{
    const char *mark = memchr(target.ptr, '?', (size_t)target.len);
    if (mark != NULL)
        target.len = (uint64_t)(mark - target.ptr);
    return target;
}

static void settle(upload_stream *st, int32_t result)
{
    st->has_result = 1;
    st->result = result;
}

/* Reads the head as the handler will. Returns 1 with `in` filled, or 0: the handler has something to say about it. */
static int read_head(struct flamenco *f, const fl_http_stream_head *head, fl_arena *arena,
                     const api_shaman_file_store_in **in_out)
{
    api_match match;
    fl_api_problem problem = { 0 };
    void *in = NULL;
    flamenco_str name;
    if (api_route(head->method, path_of(head->target), arena, &match) != FLAMENCO_OK || match.status != 200 ||
        match.operation != API_OP_SHAMAN_FILE_STORE)
        return 0;
    fl_api_raw raw = { .params = match.params, .n_params = match.n_params, .header = find_header, .ctx = head };
    if (api_decode(match.operation, &raw, arena, &in, &problem) != FLAMENCO_OK)
        return 0;
    *in_out = in;
    return fl_shaman_is_active(f) && (*in_out)->checksum.len >= 2 &&
           fl_rfc2047_decode(arena, (*in_out)->shaman_original_filename, &name) == FLAMENCO_OK;
}

static void begin_upload(upload_stream *st, const fl_http_stream_head *head, fl_arena *arena)
{
    struct flamenco *f = st->f;
    const api_shaman_file_store_in *in;
    uint32_t cancelled = 0;
    if (!read_head(f, head, arena, &in)) {
        settle(st, FLAMENCO_E_CONFLICT);
        return;
    }
    if (head->has_length && (in->filesize < 0 || head->length != (uint64_t)in->filesize)) {
        settle(st, flamenco_fail(&st->err, FLAMENCO_E_INVALID, "%lld bytes were declared, the body has %llu",
                                 (long long)in->filesize, (unsigned long long)head->length));
        return;
    }
    fl_cx cx = { .pub = { .struct_size = (uint32_t)sizeof(cx.pub) }, .f = f, .arena = arena };
    cx.pub.host = fl_core_host(f);
    cx.pub.now_us = flamenco_clock_now_us(&f->clock);
    cx.pub.deadline_us = fl_monotonic_us() + f->limits->request_timeout_us;
    cx.pub.cancelled = &cancelled;
    int32_t rc = flamenco_shaman_upload_begin(&f->shaman, &cx.pub, in->checksum, in->filesize,
                                              in->shaman_original_filename, &st->upload, &st->err);
    if (rc != FLAMENCO_OK)
        settle(st, rc);
}

void *fl_shaman_stream_begin(void *ctx, const fl_http_stream_head *head, int *enough_out)
{
    upload_stream *st = calloc(1, sizeof(*st));
    fl_arena *arena = fl_arena_create(0);
    if (st == NULL || arena == NULL) {
        free(st);
        fl_arena_destroy(arena);
        return NULL;
    }
    st->f = ctx;
    st->err = (flamenco_error)FLAMENCO_ERROR_INIT;
    begin_upload(st, head, arena);
    fl_arena_destroy(arena);
    *enough_out = st->has_result;
    return st;
}

int fl_shaman_stream_write(void *stream, const void *data, size_t len)
{
    upload_stream *st = stream;
    int32_t rc = flamenco_shaman_upload_write(&st->f->shaman, st->upload, data, len, &st->err);
    if (rc == FLAMENCO_OK)
        return 0;
    settle(st, rc);
    flamenco_shaman_upload_abort(&st->f->shaman, st->upload);
    st->upload = NULL;
    return 1;
}

void fl_shaman_stream_end(void *stream, int complete)
{
    upload_stream *st = stream;
    if (st->upload == NULL)
        return;
    if (complete)
        settle(st, flamenco_shaman_upload_end(&st->f->shaman, st->upload, &st->err));
    else
        flamenco_shaman_upload_abort(&st->f->shaman, st->upload);
    st->upload = NULL;
}

void fl_shaman_stream_free(void *stream)
{
    free(stream);
}

int32_t fl_shaman_stream_result(const void *stream, flamenco_error *err)
{
    const upload_stream *st = stream;
    if (!st->has_result)
        return flamenco_fail(err, FLAMENCO_E_CONFLICT, "the upload was not finished");
    if (st->result != FLAMENCO_OK)
        flamenco_fail(err, st->result, "%s", st->err.text);
    return st->result;
}
