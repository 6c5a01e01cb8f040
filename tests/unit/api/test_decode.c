/* SPDX-License-Identifier: Apache-2.0
 *
 * test_decode.c - what requests are refused and what comes out of the others: the tables of api-behaviour 2.1 to 2.5
 * and shaman 3.1.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "api_routes.h"
#include "core/base/str.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define JSON_TYPE "application/json"

typedef struct header {
    const char *name, *value;
} header;

static int give_header(const void *ctx, const char *name, uint32_t nth, flamenco_str *value_out)
{
    for (const header *h = ctx; h->name != NULL; ++h) {
        if (strcmp(h->name, name) == 0 && nth-- == 0) {
            *value_out = flamenco_text(h->value);
            return 1;
        }
    }
    return 0;
}

static const flamenco_str two_params[] = { { "first", 5 }, { "12", 2 } };

static fl_api_raw request(const char *content_type, const char *body)
{
    fl_api_raw raw = { .params = two_params, .n_params = 2 };
    raw.content_type = flamenco_text(content_type);
    raw.body = flamenco_text(body);
    return raw;
}

/* Decodes and checks the outcome: message NULL = accepted, else the refusal must contain it. */
static void check_raw(uint32_t op, const fl_api_raw *raw, const char *message)
{
    fl_arena *arena = fl_arena_create(0);
    fl_api_problem problem;
    void *in = NULL;
    int32_t rc = api_decode(op, raw, arena, &in, &problem);
    if (message == NULL) {
        if (rc != 0)
            fail_msg("%s refused: %s", api_operation_get(op)->name, problem.text);
        assert_non_null(in);
        assert_int_equal(problem.status, 0);
        assert_string_equal(problem.text, "");
        api_decoded_fini(in);
    } else {
        if (rc != FLAMENCO_E_INVALID)
            fail_msg("%s accepted: %.*s", api_operation_get(op)->name, FL_STR_ARGS(raw->body));
        assert_null(in);
        assert_int_equal(problem.status, 400);
        if (strstr(problem.text, message) == NULL)
            fail_msg("\"%s\" does not contain \"%s\"", problem.text, message);
    }
    fl_arena_destroy(arena);
}

static void check(uint32_t op, const char *body, const char *message)
{
    fl_api_raw raw = request(JSON_TYPE, body);
    check_raw(op, &raw, message);
}

static void bodies_must_be_there_and_of_the_right_type(void **state)
{
    (void)state;
    static const struct {
        uint32_t op;
        const char *type, *body, *message;
    } rows[] = {
        { API_OP_SET_JOB_PRIORITY, JSON_TYPE, "", "request body: is required" },
        { API_OP_SET_JOB_PRIORITY, NULL, NULL, "request body: is required" },
        { API_OP_CHECK_SHARED_STORAGE_PATH, NULL, NULL, NULL },
        { API_OP_CHECK_BLENDER_EXE_PATH, "text/plain", "", NULL },
        { API_OP_SAVE_SETUP_ASSISTANT_CONFIG, NULL, NULL, NULL },
        { API_OP_REMOVE_JOB_BLOCKLIST, NULL, NULL, NULL },
        { API_OP_CHECK_SHARED_STORAGE_PATH, NULL, "{\"path\":\"x\"}", "header content-type: must be application/json" },
        { API_OP_SET_JOB_PRIORITY, "application/json", "{\"priority\":1}", NULL },
        { API_OP_SET_JOB_PRIORITY, "application/json; charset=utf-8", "{\"priority\":1}", NULL },
        { API_OP_SET_JOB_PRIORITY, "application/json;x", "{\"priority\":1}", NULL },
        { API_OP_SET_JOB_PRIORITY, NULL, "{\"priority\":1}", "content-type" },
        { API_OP_SET_JOB_PRIORITY, "text/plain", "{\"priority\":1}", "content-type" },
        { API_OP_SET_JOB_PRIORITY, "application/vnd.api+json", "{\"priority\":1}", "content-type" },
        { API_OP_SET_JOB_PRIORITY, "application/jsonx", "{\"priority\":1}", "content-type" },
        { API_OP_SET_JOB_PRIORITY, "application/jso", "{\"priority\":1}", "content-type" },
        { API_OP_SET_JOB_PRIORITY, "Application/JSON", "{\"priority\":1}", "content-type" },
        { API_OP_SET_JOB_PRIORITY, "application/json ;x", "{\"priority\":1}", "content-type" },
        { API_OP_SIGN_OFF, "text/plain", "anything", NULL },
        { API_OP_TASK_OUTPUT_PRODUCED, "image/jpeg", "x", NULL },
        { API_OP_TASK_OUTPUT_PRODUCED, "image/jpeg;q=1", "x", NULL },
        { API_OP_TASK_OUTPUT_PRODUCED, "image/png", "x", NULL },
        { API_OP_TASK_OUTPUT_PRODUCED, "image/openexr", "x", "must be image/jpeg or image/png" },
        { API_OP_TASK_OUTPUT_PRODUCED, NULL, "x", "content-type" },
        { API_OP_TASK_OUTPUT_PRODUCED, "image/jpeg", "", "is required" },
        { API_OP_SHAMAN_FILE_STORE, NULL, "", NULL },
        { API_OP_SHAMAN_FILE_STORE, "image/openexr", "x", NULL },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        fl_api_raw raw = request(rows[i].type, rows[i].body);
        check_raw(rows[i].op, &raw, rows[i].message);
    }
}

static void syntax_is_that_of_json(void **state)
{
    (void)state;
    static const struct {
        const char *body, *message;
    } rows[] = {
        { " ", "is not valid JSON" },
        { "{\"path\":\"/x\"", "is not valid JSON" },
        { "{\"path\":\"/x\",}", "is not valid JSON" },
        { "{'path':'/x'}", "is not valid JSON" },
        { "{\"path\":NaN}", "is not valid JSON" },
        { "/* c */{\"path\":\"/x\"}", "is not valid JSON" },
        { "{\"path\":\"a\nb\"}", "is not valid JSON" },
        { "\xEF\xBB\xBF{\"path\":\"/x\"}", "byte-order mark" },
        { "{\"path\":\"/x\"} zzz", NULL },
        { "{\"path\":\"/x\"} \xff\xfe", NULL },
        { "\r\n\t {\"path\":\"/x\"}", NULL },
        { "{\"path\":1,\"path\":\"/x\"}", NULL },
        { "{\"path\":\"/x\",\"path\":1}", "/path: must be a string, not a number" },
        { "[]", "request body: must be an object, not an array" },
        { "\"x\"", "request body: must be an object, not a string" },
        { "null", "request body: must be an object, not null" },
        { "{}", "/path: is required" },
        { "{\"Path\":\"/x\"}", "/path: is required" },
        { "{\"path\":\"/x\",\"Path\":1,\"more\":{\"deep\":[null]}}", NULL },
        { "{\"path\":null}", "/path: must be a string, not null" },
        { "{\"path\":true}", "/path: must be a string, not a boolean" },
        { "{\"path\":\"\"}", NULL },
        { "{\"path\":\"\",\"x\":1e400}", "is not valid JSON" },
        { "{\"path\":\"\",\"x\":123456789012345678901234567890}", NULL },
    };
    for (size_t i = 0; i < COUNT(rows); ++i)
        check(API_OP_CHECK_SHARED_STORAGE_PATH, rows[i].body, rows[i].message);
}

static void nesting_bombs_are_refused(void **state)
{
    (void)state;
    size_t depth = 200000;
    char *body = malloc(2 * depth + 40);
    assert_non_null(body);
    static const char *const forms[] = { "{\"path\":", "{\"path\":\"\",\"x\":" };
    for (size_t form = 0; form < COUNT(forms); ++form) {
        size_t len = strlen(forms[form]);
        memcpy(body, forms[form], len);
        memset(body + len, '[', depth);
        memset(body + len + depth, ']', depth);
        memcpy(body + len + 2 * depth, "}", 2);
        check(API_OP_CHECK_SHARED_STORAGE_PATH, body, "is not valid JSON");
    }
    free(body);
}

static void the_vectors_of_the_contract_hold(void **state)
{
    (void)state;
    static const struct {
        uint32_t op;
        const char *body, *message;
    } rows[] = {
        { API_OP_REGISTER_WORKER, "{\"name\":\"w\",\"platform\":\"linux\",\"supported_task_types\":[]}",
          "/secret: is required" },
        { API_OP_REGISTER_WORKER, "{\"name\":\"w\",\"platform\":\"linux\",\"supported_task_types\":[],\"secret\":\"\"}",
          NULL },
        { API_OP_REGISTER_WORKER,
          "{\"name\":\"w\",\"platform\":\"l\",\"supported_task_types\":[\"a\",3],\"secret\":\"\"}",
          "/supported_task_types/1: must be a string, not a number" },
        { API_OP_SIGN_ON, "{}", "/name: is required" },
        { API_OP_WORKER_STATE_CHANGED, "{\"status\":\"Awake\"}",
          "/status: must be one of \"starting\", \"awake\", \"asleep\", \"error\", \"testing\", \"offline\", "
          "\"restart\", "
          "not \"Awake\"" },
        { API_OP_WORKER_STATE_CHANGED, "{\"status\":\"\"}", "/status: must be one of" },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":101}", "/priority: must be an integer from 0 to 100, not 101" },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":-1}", "/priority: must be an integer from 0 to 100, not -1" },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":\"5\"}",
          "/priority: must be an integer from 0 to 100, not a string" },
        { API_OP_SET_JOB_PRIORITY, "{}", "/priority: is required" },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":7}", NULL },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":0}", NULL },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":100}", NULL },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":-0}", NULL },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":7.0}", "/priority: must be an integer" },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":5e1}", "/priority: must be an integer" },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":50.5}", "/priority: must be an integer" },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":9223372036854775808}",
          "/priority: must be an integer of at most 64 bits" },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":-9223372036854775809}",
          "/priority: must be an integer of at most 64 bits" },
        { API_OP_SET_JOB_PRIORITY, "{\"priority\":1e400}", "is not valid JSON" },
        { API_OP_SET_JOB_STATUS, "{\"status\":\"deleted\",\"reason\":\"\"}", "/status: must be one of" },
        { API_OP_SET_JOB_STATUS, "{\"status\":\"requeueing\",\"reason\":\"\"}", NULL },
        { API_OP_SET_JOB_STATUS, "{\"status\":\"requeueing\"}", "/reason: is required" },
        { API_OP_TASK_UPDATE, "{\"taskStatus\":null}", "/taskStatus: must be one of" },
        { API_OP_TASK_UPDATE, "{\"unknown\":1}", NULL },
        { API_OP_TASK_UPDATE, "{}", NULL },
        { API_OP_TASK_UPDATE, "{\"taskStatus\":\"soft-failed\"}", NULL },
        { API_OP_SUBMIT_JOB, "{\"name\":\"n\",\"type\":\"t\",\"submitter_platform\":\"\"}", NULL },
        { API_OP_SUBMIT_JOB, "{\"name\":\"n\",\"type\":\"t\"}", "/submitter_platform: is required" },
        { API_OP_SUBMIT_JOB, "{\"name\":\"n\",\"type\":\"t\",\"submitter_platform\":\"\",\"metadata\":{\"a/b~\":1}}",
          "/metadata/a~1b~0: must be a string, not a number" },
        { API_OP_SUBMIT_JOB, "{\"name\":\"n\",\"type\":\"t\",\"submitter_platform\":\"\",\"metadata\":null}",
          "/metadata: must be an object, not null" },
        { API_OP_SUBMIT_JOB_CHECK,
          "{\"name\":\"n\",\"type\":\"t\",\"submitter_platform\":\"\",\"settings\":{\"a\":null,\"b\":[1]}}", NULL },
        { API_OP_SUBMIT_JOB, "{\"name\":\"n\",\"type\":\"t\",\"submitter_platform\":\"\",\"priority\":-5000}", NULL },
        { API_OP_SUBMIT_JOB, "{\"name\":\"n\",\"type\":\"t\",\"submitter_platform\":\"\",\"storage\":{}}", NULL },
        { API_OP_SUBMIT_JOB,
          "{\"name\":\"n\",\"type\":\"t\",\"submitter_platform\":\"\",\"storage\":{\"shaman_checkout_id\":1}}",
          "/storage/shaman_checkout_id: must be a string" },
        { API_OP_DELETE_JOB_MASS, "{\"last_updated_max\":\"2026-05-01\"}",
          "/last_updated_max: must be a time such as" },
        { API_OP_DELETE_JOB_MASS, "{\"last_updated_max\":\"2026-05-01T10:00:00\"}",
          "/last_updated_max: must be a time with a zone" },
        { API_OP_DELETE_JOB_MASS, "{\"last_updated_max\":\"2026-05-01T10:00:60Z\"}",
          "/last_updated_max: must be a time" },
        { API_OP_DELETE_JOB_MASS, "{\"last_updated_max\":\"2026-05-01t10:00:00z\"}",
          "/last_updated_max: must be a time" },
        { API_OP_DELETE_JOB_MASS, "{\"last_updated_max\":\"2026-05-01T10:00:00.25+02:00\"}", NULL },
        { API_OP_DELETE_JOB_MASS, "{}", NULL }, /* the handler's 400 */
        { API_OP_SET_WORKER_SLEEP_SCHEDULE,
          "{\"is_active\":1,\"days_of_week\":\"\",\"start_time\":\"\",\"end_time\":\"\"}",
          "/is_active: must be true or false, not a number" },
        { API_OP_SET_WORKER_SLEEP_SCHEDULE,
          "{\"is_active\":false,\"days_of_week\":\"xx\",\"start_time\":\"noon\",\"end_time\":\"25:99\"}", NULL },
        { API_OP_REMOVE_JOB_BLOCKLIST, "[{\"worker_id\":\"w\",\"task_type\":\"t\"},{\"worker_id\":\"w\"}]",
          "/1/task_type: is required" },
        { API_OP_REMOVE_JOB_BLOCKLIST, "[]", NULL },
        { API_OP_REMOVE_JOB_BLOCKLIST, "{}", "request body: must be an array, not an object" },
        { API_OP_UPDATE_CONFIGURATION_FILE, "{\"any\":[1,{}]}", NULL },
        { API_OP_UPDATE_CONFIGURATION_FILE, "[]", "request body: must be an object, not an array" },
        { API_OP_SHAMAN_CHECKOUT_REQUIREMENTS, "{\"files\":null}", "/files: must be an array, not null" },
        { API_OP_SHAMAN_CHECKOUT_REQUIREMENTS, "{\"files\":[]}", NULL },
        { API_OP_SHAMAN_CHECKOUT_REQUIREMENTS, "{\"files\":[{\"sha\":\"\",\"size\":-1}]}",
          "/files/0/path: is required" },
        { API_OP_SHAMAN_CHECKOUT, "{\"files\":[{\"sha\":\"\",\"size\":1e1,\"path\":\"\"}],\"checkoutPath\":\"\"}",
          "/files/0/size: must be an integer" },
        { API_OP_SHAMAN_CHECKOUT, "{\"files\":[]}", "/checkoutPath: is required" },
        { API_OP_SAVE_SETUP_ASSISTANT_CONFIG,
          "{\"storageLocation\":\"/x\",\"blenderExecutable\":{\"input\":\"\",\"path\":\"\","
          "\"source\":\"default\",\"is_usable\":true,\"cause\":\"\"}}",
          NULL },
        { API_OP_SAVE_SETUP_ASSISTANT_CONFIG,
          "{\"storageLocation\":\"/x\",\"blenderExecutable\":{\"input\":\"\",\"path\":\"\","
          "\"source\":\"\",\"is_usable\":true,\"cause\":\"\"}}",
          "/blenderExecutable/source: must be one of \"file_association\"" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i)
        check(rows[i].op, rows[i].body, rows[i].message);
}

static void parameters_come_before_the_body(void **state)
{
    (void)state;
    fl_api_raw raw = request(NULL, NULL);
    raw.query = FL_STR("limit=0");
    check_raw(API_OP_FETCH_JOBS, &raw, "query parameter limit: must be an integer, at least 1, not 0");
}

static void query_parameters_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *query, *message;
    } rows[] = {
        { "", NULL },
        { "pretty", NULL },
        { "unknown=%zz&&=&limit=5", NULL },
        { "limit=5&offset=0&status=active,queued&order_by=-updated&updated_after=2026-01-02T03:04:05%2B02:00", NULL },
        { "limit=", "query parameter limit: must be an integer, at least 1, not \"\"" },
        { "limit=five", "query parameter limit: must be an integer, at least 1, not \"five\"" },
        { "limit=99999999999999999999", "query parameter limit" },
        { "limit=1&limit=2", "query parameter limit: is given more than once" },
        { "limit=%zz", "query parameter limit: has a bad percent escape" },
        { "%6cimit=0", "query parameter limit: must be" },
        { "offset=-1", "query parameter offset: must be an integer, at least 0, not -1" },
        { "status=active,Queued", "query parameter status: must be one of" },
        { "status=", "query parameter status: must be one of" },
        { "order_by=colour", "query parameter order_by: must be one of \"created\", \"-created\"" },
        { "updated_after=yesterday", "query parameter updated_after: must be a time" },
        { "updated_after=2026-01-02T03:04:05", "query parameter updated_after: must be a time with a zone" },
    };
    for (size_t i = 0; i < COUNT(rows); ++i) {
        fl_api_raw raw = request(NULL, NULL);
        raw.query = flamenco_text(rows[i].query);
        check_raw(API_OP_FETCH_JOBS, &raw, rows[i].message);
    }
    fl_arena *arena = fl_arena_create(0);
    fl_api_raw raw = request(NULL, NULL);
    fl_api_problem problem;
    api_fetch_jobs_in in;
    assert_int_equal(api_decode_fetch_jobs(&raw, arena, &in, &problem), 0);
    assert_true(!in.has_limit && !in.has_offset && !in.has_status && in.order_by == API_JOB_ORDER_NONE);
    assert_true(in.updated_after == FLAMENCO_TIME_NONE);
    raw.query = FL_STR("order_by=-name&status=failed%2Cunder-construction&updated_after=1970-01-01T00:00:01.0000019Z");
    assert_int_equal(api_decode_fetch_jobs(&raw, arena, &in, &problem), 0);
    assert_int_equal(in.order_by, API_JOB_ORDER_NAME_DESC);
    assert_true(in.has_status);
    assert_int_equal(in.status.count, 2);
    assert_int_equal(in.status.ptr[0], API_JOB_STATUS_FAILED);
    assert_int_equal(in.status.ptr[1], API_JOB_STATUS_UNDER_CONSTRUCTION);
    assert_true(in.updated_after == 1000001);
    fl_arena_destroy(arena);
}

static void shaman_parameters_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *size;
        int ok;
        int64_t value;
    } sizes[] = {
        { "11", 1, 11 },
        { "+11", 1, 11 },
        { "011", 1, 11 },
        { "-1", 1, -1 },
        { "0", 1, 0 },
        { "12x", 0, 0 },
        { "0x0b", 0, 0 },
        { "1e3", 0, 0 },
        { "11.0", 0, 0 },
        { "1_1", 0, 0 },
        { " 11", 0, 0 },
        { "", 0, 0 },
        { "11/12", 0, 0 },
        { "9223372036854775807", 1, INT64_MAX },
        { "9223372036854775808", 0, 0 },
    };
    fl_arena *arena = fl_arena_create(0);
    fl_api_problem problem;
    for (size_t i = 0; i < COUNT(sizes); ++i) {
        flamenco_str params[] = { FL_STR("f"), flamenco_text(sizes[i].size) };
        fl_api_raw raw = { .params = params, .n_params = 2 };
        api_shaman_file_store_check_in in;
        int32_t rc = api_decode_shaman_file_store_check(&raw, arena, &in, &problem);
        if (rc != (sizes[i].ok ? 0 : FLAMENCO_E_INVALID))
            fail_msg("\"%s\": %d", sizes[i].size, rc);
        if (sizes[i].ok)
            assert_true(in.filesize == sizes[i].value && fl_str_is(in.checksum, "f"));
        else
            assert_non_null(strstr(problem.text, "path parameter filesize: must be an integer"));
    }
    static const char *const true_words[] = { "1", "t", "T", "true", "True", "TRUE" };
    static const char *const false_words[] = { "0", "f", "F", "false", "False", "FALSE" };
    static const char *const wrong_words[] = { "", "yes", "on", "tRue" };
    fl_api_raw raw = request(NULL, NULL);
    raw.header = give_header;
    api_shaman_file_store_in in;
    for (size_t i = 0; i < 6; ++i) {
        header headers[] = { { "x-shaman-can-defer-upload", true_words[i] }, { NULL, NULL } };
        raw.ctx = headers;
        assert_int_equal(api_decode_shaman_file_store(&raw, arena, &in, &problem), 0);
        assert_true(in.has_shaman_can_defer_upload && in.shaman_can_defer_upload == 1);
        headers[0].value = false_words[i];
        assert_int_equal(api_decode_shaman_file_store(&raw, arena, &in, &problem), 0);
        assert_true(in.has_shaman_can_defer_upload && in.shaman_can_defer_upload == 0);
    }
    for (size_t i = 0; i < COUNT(wrong_words); ++i) {
        header headers[] = { { "x-shaman-can-defer-upload", wrong_words[i] }, { NULL, NULL } };
        raw.ctx = headers;
        check_raw(API_OP_SHAMAN_FILE_STORE, &raw, "header x-shaman-can-defer-upload: must be true or false, not");
    }
    header twice[] = { { "x-shaman-original-filename", "a" }, { "x-shaman-original-filename", "a" }, { NULL, NULL } };
    raw.ctx = twice;
    check_raw(API_OP_SHAMAN_FILE_STORE, &raw, "header x-shaman-original-filename: is given more than once");
    header names[] = { { "x-shaman-original-filename", "=?utf-8?q?a?=" }, { NULL, NULL } };
    raw.ctx = names;
    assert_int_equal(api_decode_shaman_file_store(&raw, arena, &in, &problem), 0);
    assert_true(in.has_shaman_original_filename && fl_str_is(in.shaman_original_filename, "=?utf-8?q?a?="));
    assert_true(!in.has_shaman_can_defer_upload && in.filesize == 12);
    fl_arena_destroy(arena);
}

static void values_arrive(void **state)
{
    (void)state;
    fl_arena *arena = fl_arena_create(0);
    fl_api_problem problem;
    api_submit_job_in in;
    fl_api_raw raw =
        request(JSON_TYPE, "{\"name\":\"n\",\"type\":\"t\",\"submitter_platform\":\"linux\",\"priority\":null,"
                           "\"settings\":{\"b\":1,\"a\":[null]},\"metadata\":{\"k\":\"v\"},\"type_etag\":\"e\","
                           "\"storage\":{\"shaman_checkout_id\":\"c\"},\"initial_status\":\"paused\"}");
    assert_int_equal(api_decode_submit_job(&raw, arena, &in, &problem), 0);
    assert_true(fl_str_is(in.body.name, "n") && fl_str_is(in.body.type, "t"));
    assert_true(fl_str_is(in.body.submitter_platform, "linux"));
    assert_int_equal(in.body.priority, 50);
    assert_int_equal(json_object_size(in.body.settings), 2);
    assert_string_equal(json_string_value(json_object_get(in.body.metadata, "k")), "v");
    assert_true(fl_str_is(in.body.type_etag, "e") && in.body.worker_tag.len == 0);
    assert_true(fl_str_is(in.body.storage->shaman_checkout_id, "c"));
    assert_int_equal(in.body.initial_status, API_JOB_STATUS_PAUSED);
    fl_api_decoded_fini(&in.decoded);
    fl_api_decoded_fini(&in.decoded); /* a second time is harmless */

    raw.body = FL_STR("{\"name\":\"n\",\"type\":\"t\",\"submitter_platform\":\"linux\"}");
    assert_int_equal(api_decode_submit_job(&raw, arena, &in, &problem), 0);
    assert_int_equal(in.body.priority, 50);
    assert_true(in.body.settings == NULL && in.body.metadata == NULL && in.body.storage == NULL);
    assert_int_equal(in.body.initial_status, API_JOB_STATUS_NONE);
    fl_api_decoded_fini(&in.decoded);

    api_task_update_in update;
    raw.body = FL_STR("{\"taskStatus\":\"completed\",\"log\":\"\",\"steps_completed\":3}");
    assert_int_equal(api_decode_task_update(&raw, arena, &update, &problem), 0);
    assert_true(fl_str_is(update.task_id, "first"));
    assert_int_equal(update.body.task_status, API_TASK_STATUS_COMPLETED);
    assert_true(update.body.has_log && update.body.log.len == 0 && !update.body.has_activity);
    assert_true(update.body.has_steps_completed && update.body.steps_completed == 3);
    fl_api_decoded_fini(&update.decoded);

    api_remove_job_blocklist_in blocklist;
    raw.body = FL_STR(
        "[{\"worker_id\":\"w\",\"task_type\":\"t\",\"worker_name\":\"n\"},{\"worker_id\":\"x\",\"task_type\":\"u\"}]");
    assert_int_equal(api_decode_remove_job_blocklist(&raw, arena, &blocklist, &problem), 0);
    assert_true(blocklist.has_body && blocklist.body.count == 2 && fl_str_is(blocklist.body.ptr[1].worker_id, "x"));
    fl_api_decoded_fini(&blocklist.decoded);
    raw.body = FL_STR("");
    assert_int_equal(api_decode_remove_job_blocklist(&raw, arena, &blocklist, &problem), 0);
    assert_true(!blocklist.has_body && blocklist.body.count == 0);

    api_task_output_produced_in image;
    raw.content_type = FL_STR("image/png");
    raw.body = FL_STR("\x89PNG");
    assert_int_equal(api_decode_task_output_produced(&raw, arena, &image, &problem), 0);
    assert_true(fl_str_is(image.content_type, "image/png") && image.body.len == 4 && image.decoded.root == NULL);
    fl_arena_destroy(arena);
}

static void times_are_rounded_up_to_microseconds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t time_us;
    } rows[] = {
        { "1970-01-01T00:00:01Z", 1000000 },
        { "1970-01-01T02:00:01.5+02:00", 1500000 },
        { "1970-01-01T00:00:01.0000000001Z", 1000000 }, /* nobody writes more than nanoseconds */
        { "1970-01-01T00:00:01.000000001Z", 1000001 },
        { "1970-01-01T00:00:01.000001Z", 1000001 },
    };
    fl_arena *arena = fl_arena_create(0);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char body[100];
        snprintf(body, sizeof(body), "{\"last_updated_max\":\"%s\"}", rows[i].text);
        fl_api_raw raw = request(JSON_TYPE, body);
        fl_api_problem problem;
        api_delete_job_mass_in in;
        assert_int_equal(api_decode_delete_job_mass(&raw, arena, &in, &problem), 0);
        if (in.body.last_updated_max != rows[i].time_us)
            fail_msg("%s: %lld", rows[i].text, (long long)in.body.last_updated_max);
        fl_api_decoded_fini(&in.decoded);
    }
    fl_api_raw raw = request(JSON_TYPE, "{}");
    fl_api_problem problem;
    api_delete_job_mass_in in;
    assert_int_equal(api_decode_delete_job_mass(&raw, arena, &in, &problem), 0);
    assert_true(in.body.last_updated_max == FLAMENCO_TIME_NONE);
    fl_api_decoded_fini(&in.decoded);
    fl_arena_destroy(arena);
}

static void strange_characters_are_kept_or_replaced(void **state)
{
    (void)state;
    static const struct {
        flamenco_str body, path;
    } rows[] = {
#define ROW(body, path) \
    { \
        { "{\"path\":\"" body "\"}", sizeof("{\"path\":\"" body "\"}") - 1 }, \
        { \
            path, sizeof(path) - 1 \
        } \
    }
        ROW("a\\u0000b", "a\0b"),
        ROW("a\xff"
            "b",
            "a\xEF\xBF\xBD"
            "b"),
        ROW("\\ud800", "\xEF\xBF\xBD"),
        ROW("\\udC00x", "\xEF\xBF\xBDx"),
        ROW("\\ud800\\ud800\\udc00", "\xEF\xBF\xBD\xF0\x90\x80\x80"),
        ROW("\\ud83d\\ude00", "\xF0\x9F\x98\x80"),
        ROW("\\\\ud800", "\\ud800"),
        ROW("\\\"\\ud800", "\"\xEF\xBF\xBD"),
        ROW("\xC3\xA9", "\xC3\xA9"),
        ROW("99999999999999999999", "99999999999999999999"),
    };
    fl_arena *arena = fl_arena_create(0);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        fl_api_raw raw = request(JSON_TYPE, NULL);
        raw.body = rows[i].body;
        fl_api_problem problem;
        api_check_shared_storage_path_in in;
        int32_t rc = api_decode_check_shared_storage_path(&raw, arena, &in, &problem);
        if (rc != 0)
            fail_msg("row %zu: %s", i, problem.text);
        if (!flamenco_str_equal(in.body.path, rows[i].path))
            fail_msg("row %zu: \"%.*s\"", i, FL_STR_ARGS(in.body.path));
        fl_api_decoded_fini(&in.decoded);
    }
    fl_arena_destroy(arena);
}

static void long_texts_are_fine(void **state)
{
    (void)state;
    size_t size = 10u << 20;
    char *body = malloc(size + 20);
    assert_non_null(body);
    snprintf(body, size + 20, "{\"log\":\"");
    memset(body + 8, 'x', size);
    memcpy(body + 8 + size, "\"}", 3);
    fl_arena *arena = fl_arena_create(0);
    fl_api_raw raw = request(JSON_TYPE, body);
    fl_api_problem problem;
    api_task_update_in in;
    assert_int_equal(api_decode_task_update(&raw, arena, &in, &problem), 0);
    assert_int_equal(in.body.log.len, size);
    fl_api_decoded_fini(&in.decoded);
    fl_arena_destroy(arena);
    free(body);
}

/* A wrong value, however long or strange, leaves a message of bounded length in valid UTF-8. */
static void messages_show_wrong_values_safely(void **state)
{
    (void)state;
    char body[4000] = "{\"status\":\"";
    size_t len = strlen(body);
    for (; len < 3000; len += 3)
        snprintf(body + len, 4, "\xE2\x82\xAC");
    memcpy(body + len, "\\n\\u0000\",\"reason\":\"\"}", 23);
    fl_arena *arena = fl_arena_create(0);
    fl_api_raw raw = request(JSON_TYPE, body);
    fl_api_problem problem;
    api_set_job_status_in in;
    assert_int_equal(api_decode_set_job_status(&raw, arena, &in, &problem), FLAMENCO_E_INVALID);
    assert_true(strlen(problem.text) < 400);
    assert_true(fl_str_is_utf8(flamenco_text(problem.text)));
    assert_non_null(strstr(problem.text, "…\""));
    raw.body = FL_STR("{\"status\":\"a\\u0000\\nb\",\"reason\":\"\"}");
    assert_int_equal(api_decode_set_job_status(&raw, arena, &in, &problem), FLAMENCO_E_INVALID);
    assert_non_null(strstr(problem.text, "not \"a??b\""));
    /* Parser errors show a piece of the body. */
    for (size_t cut = 0; cut < 3; ++cut) {
        len = (size_t)snprintf(body, sizeof(body), "{\"a\": %.*s", (int)cut, "xx");
        for (; len < 900; len += 3)
            snprintf(body + len, 4, "\xE2\x82\xAC");
        raw.body = flamenco_text(body);
        assert_int_equal(api_decode_set_job_status(&raw, arena, &in, &problem), FLAMENCO_E_INVALID);
        assert_true(fl_str_is_utf8(flamenco_text(problem.text)));
    }
    /* A long key in the pointer. */
    len = (size_t)snprintf(body, sizeof(body),
                           "{\"name\":\"\",\"type\":\"\",\"submitter_platform\":\"\",\"metadata\":{\"");
    memset(body + len, '~', 2000);
    memcpy(body + len + 2000, "\":1}}", 6);
    raw.body = flamenco_text(body);
    api_submit_job_in job;
    assert_int_equal(api_decode_submit_job(&raw, arena, &job, &problem), FLAMENCO_E_INVALID);
    assert_non_null(strstr(problem.text, ": must be a string, not a number"));
    fl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_must_be_there_and_of_the_right_type),
        cmocka_unit_test(syntax_is_that_of_json),
        cmocka_unit_test(nesting_bombs_are_refused),
        cmocka_unit_test(the_vectors_of_the_contract_hold),
        cmocka_unit_test(parameters_come_before_the_body),
        cmocka_unit_test(query_parameters_are_checked),
        cmocka_unit_test(shaman_parameters_are_checked),
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(times_are_rounded_up_to_microseconds),
        cmocka_unit_test(strange_characters_are_kept_or_replaced),
        cmocka_unit_test(long_texts_are_fine),
        cmocka_unit_test(messages_show_wrong_values_safely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
