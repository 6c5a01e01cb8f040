/* SPDX-License-Identifier: Apache-2.0
 *
 * shaman.c - the operations of the shared storage by content (contract: shaman 3). Each is work: the service looks at files.
 * Uploads of some size come by shaman_stream.c, and are stored when they get here.
 */
#include "core/api/shaman.h"

#include "core/api/handlers.h"
#include "core/api/rfc2047.h"
#include "core/api/shaman_stream.h"
#include "core/base/log.h"
#include "core/base/str.h"

#define SHOWN_GARBAGE_MAX 10000u

int fl_shaman_is_active(const struct flamenco *f)
{
    return f->shaman.table != NULL && flamenco_shaman_is_active(&f->shaman);
}

/* Answers 503 when Shaman is not active. */
static int is_refused(fl_call *call)
{
    if (fl_shaman_is_active(call->f))
        return 0;
    fl_reply_error(&call->reply, 503, "Shaman is not active");
    return 1;
}

/* Answers for a service that failed: the add-on knows 424 and 409, storage trouble is 500 with its reason. */
static int32_t answer_failure(fl_call *call, int32_t rc)
{
    const char *text = call->err->text[0] != '\0' ? call->err->text : "the shared storage fails";
    int32_t status = 500;
    if (rc == FLAMENCO_E_INVALID)
        status = 400;
    else if (rc == FLAMENCO_E_NOT_FOUND)
        status = 424;
    else if (rc == FLAMENCO_E_EXISTS)
        status = 409;
    else if (rc == FLAMENCO_E_UNSUPPORTED)
        status = 501;
    else if (rc == FLAMENCO_E_CANCELLED || rc == FLAMENCO_E_DEADLINE || rc == FLAMENCO_E_BUSY)
        status = 503;
    if (status == 500)
        fl_warn("shaman", "%s: %s", call->op->name, text);
    return fl_reply_error(&call->reply, status, "%s", text);
}

/* ---- Lists of files ----------------------------------------------------------------------------------------------- */

/* Checks what the reference stumbles over. Returns 0 after answering. */
static int check_files(fl_call *call, const api_shaman_file_spec_array *files)
{
    for (size_t i = 0; i < files->count; ++i) {
        if (files->ptr[i].sha.len >= 2)
            continue;
        fl_reply_error(&call->reply, 400, "/files/%zu/sha: \"%.*s\" is no checksum: 64 hexadecimal digits are needed",
                       i, FL_STR_ARGS(files->ptr[i].sha));
        return 0;
    }
    return 1;
}

static flamenco_shaman_file *to_files(fl_call *call, const api_shaman_file_spec_array *specs)
{
    flamenco_shaman_file *files = fl_arena_alloc(call->arena, (specs->count + 1) * sizeof(*files));
    for (size_t i = 0; files != NULL && i < specs->count; ++i)
        files[i] = (flamenco_shaman_file){ .struct_size = (uint32_t)sizeof(files[i]),
                                           .size_bytes = specs->ptr[i].size,
                                           .sha = specs->ptr[i].sha,
                                           .path = specs->ptr[i].path };
    return files;
}

static uint64_t hash_file(const flamenco_shaman_file *file)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325) ^ (uint64_t)file->size_bytes;
    for (uint64_t i = 0; i < file->sha.len; ++i)
        h = (h ^ (unsigned char)file->sha.ptr[i]) * UINT64_C(0x100000001B3);
    return h ^ h >> 32;
}

/* Keeps the first entry of each file. Returns their number; 0 with *failed_out: no memory. */
static size_t drop_repeated(fl_call *call, flamenco_shaman_file *files, size_t n, int *failed_out)
{
    size_t slots = 16, kept = 0;
    while (slots < 2 * n)
        slots *= 2;
    uint32_t *table = n < UINT32_MAX / 4 ? fl_arena_alloc(call->arena, slots * sizeof(*table)) : NULL;
    *failed_out = table == NULL;
    for (size_t i = 0; table != NULL && i < n; ++i) {
        size_t at = (size_t)hash_file(&files[i]) & (slots - 1);
        while (table[at] != 0 && (files[table[at] - 1].size_bytes != files[i].size_bytes ||
                                  !flamenco_str_equal(files[table[at] - 1].sha, files[i].sha)))
            at = (at + 1) & (slots - 1);
        if (table[at] != 0)
            continue;
        files[kept] = files[i];
        table[at] = (uint32_t)++kept;
    }
    return kept;
}

int32_t fl_shaman_checkout_requirements(fl_call *call, const api_shaman_checkout_requirements_in *in)
{
    int failed = 0;
    if (is_refused(call) || !check_files(call, &in->body.files))
        return FLAMENCO_OK;
    flamenco_shaman_file *files = to_files(call, &in->body.files);
    if (files == NULL)
        return FLAMENCO_E_NOMEM;
    size_t n = drop_repeated(call, files, in->body.files.count, &failed);
    if (failed)
        return FLAMENCO_E_NOMEM;
    int32_t rc = flamenco_shaman_requirements(&call->f->shaman, &call->cx->pub, files, sizeof(files[0]), n, call->err);
    if (rc != FLAMENCO_OK)
        return answer_failure(call, rc);
    api_shaman_file_spec_with_status *rows = fl_arena_alloc(call->arena, (n + 1) * sizeof(*rows));
    if (rows == NULL)
        return FLAMENCO_E_NOMEM;
    size_t missing = 0;
    for (size_t i = 0; i < n; ++i) {
        if (files[i].status == FLAMENCO_SHAMAN_STORED)
            continue;
        rows[missing++] = (api_shaman_file_spec_with_status){
            .sha = files[i].sha,
            .size = files[i].size_bytes,
            .path = files[i].path,
            .status = files[i].status == FLAMENCO_SHAMAN_UPLOADING ? API_SHAMAN_FILE_STATUS_UPLOADING
                                                                   : API_SHAMAN_FILE_STATUS_UNKNOWN,
        };
    }
    api_shaman_requirements_response out = { { rows, missing } };
    return api_shaman_checkout_requirements_200(&call->reply, &out);
}

int32_t fl_shaman_checkout(fl_call *call, const api_shaman_checkout_in *in)
{
    api_shaman_checkout_result out = { { NULL, 0 } };
    if (is_refused(call) || !check_files(call, &in->body.files))
        return FLAMENCO_OK;
    flamenco_shaman_file *files = to_files(call, &in->body.files);
    if (files == NULL)
        return FLAMENCO_E_NOMEM;
    int32_t rc = flamenco_shaman_checkout(&call->f->shaman, &call->cx->pub, in->body.checkout_path, files,
                                          sizeof(files[0]), in->body.files.count, &out.checkout_path, call->err);
    if (rc != FLAMENCO_OK)
        return answer_failure(call, rc);
    fl_info("shaman", "checkout \"%.*s\" with %zu files", FL_STR_ARGS(out.checkout_path), in->body.files.count);
    return api_shaman_checkout_200(&call->reply, &out);
}

/* ---- One file ------------------------------------------------------------------------------------------------------- */

static int is_short(fl_call *call, flamenco_str checksum)
{
    if (checksum.len >= 2)
        return 0;
    fl_reply_error(&call->reply, 400, "\"%.*s\" is no checksum: 64 hexadecimal digits are needed",
                   FL_STR_ARGS(checksum));
    return 1;
}

int32_t fl_shaman_file_store_check(fl_call *call, const api_shaman_file_store_check_in *in)
{
    static const api_shaman_file_status statuses[] = {
        [FLAMENCO_SHAMAN_UNKNOWN] = API_SHAMAN_FILE_STATUS_UNKNOWN,
        [FLAMENCO_SHAMAN_UPLOADING] = API_SHAMAN_FILE_STATUS_UPLOADING,
        [FLAMENCO_SHAMAN_STORED] = API_SHAMAN_FILE_STATUS_STORED,
    };
    uint32_t status = FLAMENCO_SHAMAN_UNKNOWN;
    if (is_refused(call) || is_short(call, in->checksum))
        return FLAMENCO_OK;
    int32_t rc =
        flamenco_shaman_file_status(&call->f->shaman, &call->cx->pub, in->checksum, in->filesize, &status, call->err);
    if (rc != FLAMENCO_OK)
        return answer_failure(call, rc);
    if (status >= sizeof(statuses) / sizeof(statuses[0]))
        status = FLAMENCO_SHAMAN_UNKNOWN;
    api_shaman_single_file_status out = { statuses[status] };
    return api_shaman_file_store_check_200(&call->reply, &out);
}

/* Stores a body that is in memory. Returns what the service says. */
static int32_t store_body(fl_call *call, const api_shaman_file_store_in *in, flamenco_str name)
{
    struct flamenco *f = call->f;
    flamenco_shaman_upload *upload = NULL;
    flamenco_str body = fl_http_request_body(call->http);
    int32_t rc =
        flamenco_shaman_upload_begin(&f->shaman, &call->cx->pub, in->checksum, in->filesize, name, &upload, call->err);
    if (rc != FLAMENCO_OK)
        return rc;
    if (body.len > 0)
        rc = flamenco_shaman_upload_write(&f->shaman, upload, body.ptr, body.len, call->err);
    if (rc == FLAMENCO_OK)
        return flamenco_shaman_upload_end(&f->shaman, upload, call->err);
    flamenco_shaman_upload_abort(&f->shaman, upload);
    return rc;
}

int32_t fl_shaman_file_store(fl_call *call, const api_shaman_file_store_in *in)
{
    flamenco_str name = { NULL, 0 };
    if (is_refused(call))
        return FLAMENCO_OK;
    int32_t rc = fl_rfc2047_decode(call->arena, in->shaman_original_filename, &name);
    if (rc == FLAMENCO_E_INVALID)
        return fl_reply_error(&call->reply, 400,
                              "X-Shaman-Original-Filename has an unknown charset; utf-8, iso-8859-1 and "
                              "us-ascii are understood");
    if (rc != FLAMENCO_OK || is_short(call, in->checksum))
        return rc;
    const void *stream = fl_http_request_stream(call->http);
    rc = stream != NULL ? fl_shaman_stream_result(stream, call->err) : store_body(call, in, name);
    switch (rc) {
    case FLAMENCO_OK:
        return fl_reply_empty(&call->reply, 200);
    case FLAMENCO_E_EXISTS:
        return fl_reply_text(&call->reply, 208, FL_STR(""));
    case FLAMENCO_E_INVALID:
        return fl_reply_error(&call->reply, 417, "%s", call->err->text);
    default:
        return answer_failure(call, rc);
    }
}

/* ---- Garbage ---------------------------------------------------------------------------------------------------------- */

typedef struct garbage_list {
    fl_arena *arena;
    api_shaman_garbage_file *rows;
    size_t n, cap;
} garbage_list;

static int32_t keep_garbage(void *ctx, const flamenco_shaman_garbage *row)
{
    garbage_list *list = ctx;
    if (list->n == SHOWN_GARBAGE_MAX)
        return FLAMENCO_OK;
    if (list->n == list->cap) {
        size_t cap = list->cap > 0 ? 2 * list->cap : 64;
        api_shaman_garbage_file *rows = fl_arena_alloc(list->arena, cap * sizeof(*rows));
        if (rows == NULL)
            return FLAMENCO_E_NOMEM;
        if (list->n > 0)
            memcpy(rows, list->rows, list->n * sizeof(*rows));
        list->rows = rows;
        list->cap = cap;
    }
    api_shaman_garbage_file *file = &list->rows[list->n++];
    *file = (api_shaman_garbage_file){ .path = fl_arena_copy(list->arena, row->path),
                                       .size = (int64_t)row->size_bytes,
                                       .modified = row->modified_us,
                                       .reason = fl_arena_copy(list->arena, row->reason) };
    return file->path.ptr != NULL && file->reason.ptr != NULL ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
}

int32_t fl_shaman_garbage(fl_call *call, const api_shaman_garbage_in *in)
{
    garbage_list list = { .arena = call->arena };
    flamenco_shaman_collected done = { .struct_size = (uint32_t)sizeof(done) };
    (void)in;
    if (is_refused(call))
        return FLAMENCO_OK;
    int32_t rc = flamenco_shaman_collect(&call->f->shaman, &call->cx->pub, 1, keep_garbage, &list, &done, call->err);
    if (rc != FLAMENCO_OK)
        return answer_failure(call, rc);
    api_shaman_garbage_report out = { .files = { list.rows, list.n },
                                      .old_files = (int64_t)done.old_files,
                                      .links_checked = (int64_t)done.links_checked,
                                      .used_files = (int64_t)done.used_files,
                                      .unused_files = (int64_t)done.unused_files,
                                      .stale_uploads = (int64_t)done.stale_uploads,
                                      .freed_bytes = (int64_t)done.freed_bytes };
    return api_shaman_garbage_200(&call->reply, &out);
}
