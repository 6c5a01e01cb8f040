/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_request.c - requests of the API: method and path (first line), query (second), Content-Type (third), the rest is the
 * body. What the route finds is decoded; a path that leads nowhere stands for the operation with the number of its first
 * byte, so that every operation is reached whatever the path.
 */
#include "api_routes.h"
#include "core/api/json_read.h"
#include "core/base/str.h"
#include "fuzz.h"

static flamenco_str header_value;

static int give_header(const void *ctx, const char *name, uint32_t nth, flamenco_str *value_out)
{
    (void)ctx;
    (void)name;
    if (nth > 1 || header_value.len == 0)
        return 0;
    *value_out = header_value;
    return 1;
}

/* A decoded body can be written, and what is written is valid JSON. */
static void write_back(const void *in)
{
    const fl_api_decoded *decoded = in;
    fl_buf out = { 0 };
    fl_json w = fl_json_begin(&out);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_json_in_write(&w, decoded->root);
    FUZZ_MUST(!out.failed);
    FUZZ_MUST(fl_json_check(fl_buf_str(&out), &err) == FLAMENCO_OK);
    fl_buf_fini(&out);
}

/* What is said about it can be told in JSON, whatever bytes it quotes. */
static void write_problem(const char *text)
{
    fl_buf out = { 0 };
    fl_json w = fl_json_begin(&out);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_json_str(&w, flamenco_text(text));
    FUZZ_MUST(!out.failed && fl_json_check(fl_buf_str(&out), &err) == FLAMENCO_OK && fl_str_is_utf8(fl_buf_str(&out)));
    fl_buf_fini(&out);
}

/* The fast reader gives what the library's parser gives, or nothing. */
static void compare_readers(flamenco_str body, fl_arena *arena)
{
    json_error_t error;
    json_t *fast = fl_json_read(body, arena);
    if (fast == NULL)
        return;
    json_t *slow =
        json_loadb(body.ptr, (size_t)body.len, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    FUZZ_MUST(slow != NULL && json_equal(fast, slow));
    json_decref(fast);
    json_decref(slow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    api_match match = { 0 };
    fl_api_problem problem = { 0 };
    void *in = NULL;
    flamenco_str target = fuzz_line(&data, &size), method, path = target;
    flamenco_str query = fuzz_line(&data, &size);
    flamenco_str type = fuzz_line(&data, &size);
    fl_arena *arena = fl_arena_create(0);
    FUZZ_MUST(arena != NULL);
    if (!fl_str_split(&path, ' ', &method))
        method = FL_STR("POST");
    FUZZ_MUST(api_route(method, path, arena, &match) == FLAMENCO_OK);
    if (match.status != 200) {
        match.operation = target.len > 0 ? (unsigned char)target.ptr[0] % API_OP_COUNT : 0;
        match.n_params = FL_ROUTE_PARAMS_MAX;
        for (uint32_t i = 0; i < FL_ROUTE_PARAMS_MAX; ++i)
            match.params[i] = target;
    }
    header_value = query;
    fl_api_raw raw = { .query = query,
                       .params = match.params,
                       .n_params = match.n_params,
                       .content_type = type,
                       .body = fuzz_rest(data, size),
                       .header = give_header };
    int32_t rc = api_decode(match.operation, &raw, arena, &in, &problem);
    if (rc == FLAMENCO_OK && in != NULL) {
        write_back(in);
        api_decoded_fini(in);
    } else if (rc == FLAMENCO_E_INVALID) {
        FUZZ_MUST(problem.status >= 400 && problem.status < 500);
        FUZZ_MUST(memchr(problem.text, '\0', sizeof(problem.text)) != NULL);
        write_problem(problem.text);
    }
    compare_readers(raw.body, arena);
    fl_arena_destroy(arena);
    return 0;
}
