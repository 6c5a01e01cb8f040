/* SPDX-License-Identifier: Apache-2.0
 *
 * test_reply.c - replies as they are sent: status, content type, body (api-behaviour 1.3, 1.5), and the calling of
 * handlers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "api_routes.h"
#include "api_write.h"
#include "core/base/str.h"

static void check(const fl_reply *reply, int32_t status, const char *type, const char *body)
{
    assert_int_equal(reply->status, status);
    if (type == NULL)
        assert_null(reply->content_type);
    else
        assert_string_equal(reply->content_type, type);
    if (!fl_str_is(fl_buf_str(&reply->body), body))
        fail_msg("%.*s", FL_STR_ARGS(fl_buf_str(&reply->body)));
}

static void json_replies_end_with_a_newline(void **state)
{
    (void)state;
    fl_reply reply = { 0 };
    api_farm_status_report report = { .status = API_FARM_STATUS_IDLE };
    assert_int_equal(api_get_farm_status_200(&reply, &report), 0);
    check(&reply, 200, "application/json", "{\"status\":\"idle\"}\n");
    assert_int_equal(fl_reply_json_raw(&reply, 200, FL_STR("[1]")), 0);
    check(&reply, 200, "application/json", "[1]\n");
    assert_int_equal(fl_reply_json_raw(&reply, 200, FL_STR("[1]\n")), 0);
    check(&reply, 200, "application/json", "[1]\n");
    fl_reply_fini(&reply);
}

static void lists_are_written_row_by_row(void **state)
{
    (void)state;
    fl_reply reply = { 0 };
    fl_json *w = fl_reply_json_begin(&reply, 200);
    fl_json_object_begin(w);
    fl_json_key(w, "tags");
    fl_json_array_begin(w);
    for (int i = 0; i < 2; ++i) {
        api_worker_tag tag = { .id = FL_STR("i"), .name = FL_STR("<n>"), .has_description = i == 1 };
        api_write_worker_tag(w, &tag);
    }
    fl_json_array_end(w);
    fl_json_object_end(w);
    assert_int_equal(fl_reply_json_end(&reply), 0);
    check(&reply, 200, "application/json",
          "{\"tags\":[{\"id\":\"i\",\"name\":\"\\u003cn\\u003e\"},{\"description\":\"\",\"id\":\"i\",\"name\":"
          "\"\\u003cn\\u003e\"}]}\n");
    fl_reply_fini(&reply);
}

static void errors_have_code_and_message(void **state)
{
    (void)state;
    fl_reply reply = { 0 };
    fl_reply_json_begin(&reply, 200); /* an answer that was begun is dropped */
    assert_int_equal(fl_reply_error(&reply, 404, "no job %d & \"x\"", 7), 0);
    check(&reply, 404, "application/json", "{\"code\":404,\"message\":\"no job 7 \\u0026 \\\"x\\\"\"}\n");
    assert_int_equal(api_submit_job_412(&reply, "etag %s", "old"), 0);
    check(&reply, 412, "application/json", "{\"code\":412,\"message\":\"etag old\"}\n");
    assert_int_equal(api_schedule_task_409(&reply, "not awake"), 0);
    check(&reply, 409, "application/json", "{\"code\":409,\"message\":\"not awake\"}\n");

    static char text[6001];
    for (size_t i = 0; i < 6000; i += 2)
        snprintf(text + i, 3, "\xC3\xA9");
    assert_int_equal(fl_reply_error(&reply, 400, "x%s", text), 0);
    assert_true(reply.body.len < 4200 && reply.body.len > 4000);
    assert_null(strstr(reply.body.data, "\xEF\xBF\xBD"));
    fl_reply_fini(&reply);
}

static void failures_are_mapped_to_errors(void **state)
{
    (void)state;
    static const struct {
        int32_t code, status;
    } rows[] = {
        { FLAMENCO_E_NOT_FOUND, 404 },   { FLAMENCO_E_INVALID, 400 },  { FLAMENCO_E_EXISTS, 409 },
        { FLAMENCO_E_CONFLICT, 409 },    { FLAMENCO_E_BUSY, 503 },     { FLAMENCO_E_UNAVAILABLE, 503 },
        { FLAMENCO_E_CANCELLED, 503 },   { FLAMENCO_E_DEADLINE, 503 }, { FLAMENCO_E_FULL, 503 },
        { FLAMENCO_E_UNSUPPORTED, 501 }, { FLAMENCO_E_IO, 500 },       { FLAMENCO_E_CORRUPT, 500 },
        { FLAMENCO_E_NOMEM, 500 },       { FLAMENCO_E_INTERNAL, 500 }, { -99, 500 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        fl_reply reply = { 0 };
        reply.body.failed = 1;
        assert_int_equal(fl_reply_failure(&reply, rows[i].code, i % 2 ? NULL : "why"), 0);
        assert_int_equal(reply.status, rows[i].status);
        if (i % 2 == 0)
            assert_non_null(memmem(reply.body.data, reply.body.len, "\"message\":\"why\"", 15));
        assert_int_equal(reply.n_headers, rows[i].status == 503);
        if (reply.n_headers == 1) {
            assert_string_equal(reply.headers[0].name, "retry-after");
            assert_true(fl_str_is(fl_reply_header_value(&reply, 0), "1"));
        }
        fl_reply_fini(&reply);
    }
}

static void texts_and_empty_replies(void **state)
{
    (void)state;
    fl_reply reply = { 0 };
    assert_int_equal(api_fetch_task_log_tail_200(&reply, FL_STR("a\nb\n")), 0);
    check(&reply, 200, "text/plain; charset=UTF-8", "a\nb\n");
    assert_int_equal(api_fetch_task_log_tail_204(&reply), 0);
    check(&reply, 204, NULL, "");
    assert_int_equal(fl_reply_text(&reply, 208, FL_STR("")), 0);
    check(&reply, 208, "text/plain; charset=UTF-8", "");
    fl_reply_fini(&reply);
}

static void headers_are_kept_until_the_reset(void **state)
{
    (void)state;
    fl_reply reply = { 0 };
    char value[] = "OPTIONS, GET";
    fl_reply_header_add(&reply, "allow", flamenco_text(value));
    fl_reply_header_add(&reply, "x-empty", (flamenco_str){ NULL, 0 });
    value[0] = '?';
    assert_int_equal(fl_reply_empty(&reply, 405), 0);
    assert_int_equal(reply.n_headers, 2);
    assert_true(fl_str_is(fl_reply_header_value(&reply, 0), "OPTIONS, GET"));
    assert_int_equal(fl_reply_header_value(&reply, 1).len, 0);
    fl_reply_reset(&reply);
    assert_int_equal(reply.n_headers, 0);
    assert_int_equal(reply.status, 0);
    fl_reply_header_add(&reply, "x-split", FL_STR("a\r\nset-cookie: b"));
    assert_int_equal(fl_reply_empty(&reply, 204), FLAMENCO_E_NOMEM);
    fl_reply_reset(&reply);
    for (uint32_t i = 0; i < FL_REPLY_HEADERS_MAX; ++i)
        fl_reply_header_add(&reply, "x", FL_STR("y"));
    assert_int_equal(fl_reply_empty(&reply, 204), 0);
    fl_reply_header_add(&reply, "x", FL_STR("y"));
    assert_int_equal(fl_reply_empty(&reply, 204), FLAMENCO_E_NOMEM);
    fl_reply_fini(&reply);
}

static void maps_are_written_in_the_order_given(void **state)
{
    (void)state;
    fl_reply reply = { 0 };
    api_manager_variables_entry rows[] = { { FL_STR("a\"b"), { .value = FL_STR("v"), .is_twoway = 1 } },
                                           { FL_STR("c"), { .value = FL_STR(""), .is_twoway = 0 } } };
    api_manager_variables map = { rows, 2 };
    assert_int_equal(api_get_variables_200(&reply, &map), 0);
    check(&reply, 200, "application/json",
          "{\"a\\\"b\":{\"is_twoway\":true,\"value\":\"v\"},\"c\":{\"is_twoway\":false,\"value\":\"\"}}\n");
    api_manager_variables none = { NULL, 0 };
    assert_int_equal(api_get_variables_200(&reply, &none), 0);
    check(&reply, 200, "application/json", "{}\n");
    fl_reply_fini(&reply);
}

static void jobs_look_as_in_the_contract(void **state)
{
    (void)state;
    fl_reply reply = { 0 };
    api_job job = API_JOB_INIT;
    job.created = job.updated = INT64_C(1770091506700000);
    job.id = FL_STR("0b7c2f0a-53c3-4f0e-9d1d-6d2f3f0f9a11");
    job.metadata = FL_STR("{\"project\":\"Owl\"}");
    job.name = FL_STR("shot 12");
    job.priority = 60;
    job.settings = FL_STR("{\"fps\":24,\"frames\":\"1-20\"}");
    job.status = API_JOB_STATUS_QUEUED;
    job.type = FL_STR("simple-blender-render");
    job.worker_tag = FL_STR("8a8d2d3e-86a2-4f0b-8c42-2f2f6cf0a001");
    assert_int_equal(api_fetch_job_200(&reply, &job), 0);
    check(&reply, 200, "application/json",
          "{\"activity\":\"\",\"created\":\"2026-02-03T04:05:06.7Z\",\"id\":\"0b7c2f0a-53c3-4f0e-9d1d-6d2f3f0f9a11\","
          "\"metadata\":{\"project\":\"Owl\"},\"name\":\"shot "
          "12\",\"priority\":60,\"settings\":{\"fps\":24,\"frames\":\"1-20\"},"
          "\"status\":\"queued\",\"steps_completed\":0,\"steps_total\":0,\"submitter_platform\":\"\","
          "\"type\":\"simple-blender-render\",\"updated\":\"2026-02-03T04:05:06.7Z\","
          "\"worker_tag\":\"8a8d2d3e-86a2-4f0b-8c42-2f2f6cf0a001\"}\n");
    fl_reply_fini(&reply);
}

/* The last event of a job has its id; all else is zero, and no name (events 1.3). */
static void the_event_of_a_deleted_job_has_zero_values(void **state)
{
    (void)state;
    fl_buf buf = { 0 };
    fl_json w = fl_json_begin(&buf);
    api_event_job_update event = API_EVENT_JOB_UPDATE_INIT;
    event.id = FL_STR("i");
    event.was_deleted = 1;
    api_write_event_job_update(&w, &event);
    assert_true(
        fl_str_is(fl_buf_str(&buf),
                  "{\"id\":\"i\",\"priority\":0,\"refresh_tasks\":false,\"status\":\"\",\"steps_completed\":0,"
                  "\"steps_total\":0,\"type\":\"\",\"updated\":\"0001-01-01T00:00:00Z\",\"was_deleted\":true}"));
    fl_buf_fini(&buf);
}

struct fl_call {
    int runs;
};

static int32_t sign_off(fl_call *call, const api_sign_off_in *in)
{
    assert_non_null(in);
    ++call->runs;
    return FLAMENCO_E_BUSY;
}

static int32_t compile(fl_call *call, const api_submit_job_in *in)
{
    assert_non_null(in);
    call->runs += 10;
    return FLAMENCO_OK;
}

static void handlers_are_called_by_number(void **state)
{
    (void)state;
    static const flamenco_server_interface si = { .sign_off = sign_off, .prepare_submit_job = compile };
    fl_call call = { 0 };
    api_sign_off_in in = { 0 };
    api_submit_job_in job = { 0 };
    assert_int_equal(api_prepare(&si, API_OP_SIGN_OFF, &call, &in), 0);
    assert_int_equal(api_invoke(&si, API_OP_SIGN_OFF, &call, &in), FLAMENCO_E_BUSY);
    assert_int_equal(api_finish(&si, API_OP_SIGN_OFF, &call, &in), 0);
    assert_int_equal(call.runs, 1);
    assert_int_equal(api_prepare(&si, API_OP_SUBMIT_JOB, &call, &job), 0);
    assert_int_equal(call.runs, 11);
    assert_int_equal(api_invoke(&si, API_OP_SUBMIT_JOB, &call, &job), FLAMENCO_E_UNSUPPORTED);
    assert_int_equal(api_finish(&si, API_OP_FETCH_TASK_LOG_TAIL, &call, &job), 0);
    assert_int_equal(api_prepare(&si, API_OP_REGISTER_WORKER, &call, &job), 0);
    assert_int_equal(api_invoke(&si, API_OP_COUNT, &call, &in), FLAMENCO_E_INTERNAL);
}

static void the_document_is_served(void **state)
{
    (void)state;
    flamenco_str text = api_document();
    json_error_t error;
    json_t *root = json_loadb(text.ptr, (size_t)text.len, 0, &error);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "openapi")), "3.0.3");
    json_t *server = json_array_get(json_object_get(root, "servers"), 0);
    assert_string_equal(json_string_value(json_object_get(server, "url")), "/");
    assert_int_equal(json_array_size(json_object_get(root, "servers")), 1);
    assert_int_equal(text.ptr[text.len - 1], '\n');
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_replies_end_with_a_newline),
        cmocka_unit_test(lists_are_written_row_by_row),
        cmocka_unit_test(errors_have_code_and_message),
        cmocka_unit_test(failures_are_mapped_to_errors),
        cmocka_unit_test(texts_and_empty_replies),
        cmocka_unit_test(headers_are_kept_until_the_reset),
        cmocka_unit_test(maps_are_written_in_the_order_given),
        cmocka_unit_test(jobs_look_as_in_the_contract),
        cmocka_unit_test(the_event_of_a_deleted_job_has_zero_values),
        cmocka_unit_test(handlers_are_called_by_number),
        cmocka_unit_test(the_document_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
