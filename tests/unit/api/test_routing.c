/* SPDX-License-Identifier: Apache-2.0
 *
 * test_routing.c - from method and path to an operation, by the outcomes of api-behaviour 1.6 and 2.2 and shaman 3.1.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "api_routes.h"
#include "core/base/str.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

typedef struct row {
    const char *method, *path;
    int32_t status;
    uint32_t op;
    const char *params[3];
    const char *allow;
} row;

static void check(const row *rows, size_t n)
{
    fl_arena *arena = fl_arena_create(0);
    assert_non_null(arena);
    for (size_t i = 0; i < n; ++i) {
        api_match match;
        assert_int_equal(api_route(flamenco_text(rows[i].method), flamenco_text(rows[i].path), arena, &match), 0);
        if (match.status != rows[i].status)
            fail_msg("%s %s: %d, expected %d", rows[i].method, rows[i].path, match.status, rows[i].status);
        if (rows[i].allow == NULL)
            assert_null(match.allow);
        else
            assert_string_equal(match.allow, rows[i].allow);
        if (rows[i].status != 200)
            continue;
        assert_string_equal(api_operation_get(match.operation)->name, api_operation_get(rows[i].op)->name);
        uint32_t n_params = 0;
        while (n_params < 3 && rows[i].params[n_params] != NULL)
            ++n_params;
        assert_int_equal(match.n_params, n_params);
        for (uint32_t p = 0; p < n_params; ++p)
            if (!fl_str_is(match.params[p], rows[i].params[p]))
                fail_msg("%s: parameter %u is %.*s", rows[i].path, p, FL_STR_ARGS(match.params[p]));
    }
    fl_arena_destroy(arena);
}

static void known_paths_lead_to_their_operations(void **state)
{
    (void)state;
    static const row rows[] = {
        { "GET", "/api/v3/version", 200, API_OP_GET_VERSION, { 0 }, NULL },
        { "PUT", "/api/v3/configuration/file", 200, API_OP_UPDATE_CONFIGURATION_FILE, { 0 }, NULL },
        { "GET", "/api/v3/jobs", 200, API_OP_FETCH_JOBS, { 0 }, NULL },
        { "POST", "/api/v3/jobs", 200, API_OP_SUBMIT_JOB, { 0 }, NULL },
        { "GET", "/api/v3/jobs/abc", 200, API_OP_FETCH_JOB, { "abc" }, NULL },
        { "DELETE", "/api/v3/jobs/abc", 200, API_OP_DELETE_JOB, { "abc" }, NULL },
        { "DELETE", "/api/v3/jobs/abc/blocklist", 200, API_OP_REMOVE_JOB_BLOCKLIST, { "abc" }, NULL },
        { "POST", "/api/v3/worker/task", 200, API_OP_SCHEDULE_TASK, { 0 }, NULL },
        { "POST", "/api/v3/worker/task/t", 200, API_OP_TASK_UPDATE, { "t" }, NULL },
        { "GET", "/api/v3/worker/task/t/may-i-run", 200, API_OP_MAY_WORKER_RUN, { "t" }, NULL },
        { "GET", "/api/v3/worker-mgt/tag/t", 200, API_OP_FETCH_WORKER_TAG, { "t" }, NULL },
        { "GET", "/api/v3/jobs/type/a", 200, API_OP_GET_JOB_TYPE, { "a" }, NULL },
        { "POST", "/api/v3/shaman/files/" SHA "/12", 200, API_OP_SHAMAN_FILE_STORE, { SHA, "12" }, NULL },
    };
    check(rows, COUNT(rows));
}

static void literals_beat_parameters(void **state)
{
    (void)state;
    static const row rows[] = {
        { "GET", "/api/v3/jobs/types", 200, API_OP_GET_JOB_TYPES, { 0 }, NULL },
        { "GET", "/api/v3/jobs/last-rendered", 200, API_OP_FETCH_GLOBAL_LAST_RENDERED_INFO, { 0 }, NULL },
        { "DELETE", "/api/v3/jobs/mass-delete", 200, API_OP_DELETE_JOB_MASS, { 0 }, NULL },
        /* Also with another method: they are no job's id. */
        { "GET", "/api/v3/jobs/check", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/jobs/mass-delete", 404, 0, { 0 }, NULL },
        { "DELETE", "/api/v3/jobs/last-rendered", 404, 0, { 0 }, NULL },
        { "DELETE", "/api/v3/jobs/types", 404, 0, { 0 }, NULL },
        /* Where nothing follows the literal, the parameter has its turn. */
        { "GET", "/api/v3/jobs/check/tasks", 200, API_OP_FETCH_JOB_TASKS, { "check" }, NULL },
    };
    check(rows, COUNT(rows));
}

static void unknown_paths_are_not_found(void **state)
{
    (void)state;
    static const row rows[] = {
        { "GET", "/api/v3/nope", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/jobs/", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3//jobs", 404, 0, { 0 }, NULL },
        { "GET", "//api/v3/jobs", 404, 0, { 0 }, NULL },
        { "GET", "/api/v4/version", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/version/", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/Version", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3", 404, 0, { 0 }, NULL },
        { "GET", "/", 404, 0, { 0 }, NULL },
        { "GET", "", 404, 0, { 0 }, NULL },
        { "GET", "*", 404, 0, { 0 }, NULL },
        { "GET", "http://host/api/v3/version", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/jobs//tasks", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/jobs/type/a/b", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/jobs/type/", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/worker-mgt/tag/a/b", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/configuration/variables/users", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/configuration/variables/users/", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/shaman/files/" SHA "/", 404, 0, { 0 }, NULL },
    };
    check(rows, COUNT(rows));
}

static void wrong_methods_are_404_on_validated_paths_and_405_on_others(void **state)
{
    (void)state;
    static const row rows[] = {
        { "DELETE", "/api/v3/version", 404, 0, { 0 }, NULL },
        { "HEAD", "/api/v3/jobs", 404, 0, { 0 }, NULL },
        { "PATCH", "/api/v3/jobs/abc", 404, 0, { 0 }, NULL },
        { "get", "/api/v3/version", 404, 0, { 0 }, NULL },
        { "", "/api/v3/version", 404, 0, { 0 }, NULL },
        { "PUT", "/api/v3/shaman/files/x/1", 405, 0, { 0 }, "OPTIONS, GET, POST" },
        { "HEAD", "/api/v3/shaman/files/x/1", 405, 0, { 0 }, "OPTIONS, GET, POST" },
        { "POST", "/api/v3/configuration/variables/users/linux", 405, 0, { 0 }, "OPTIONS, GET" },
        { "DELETE", "/api/v3/configuration/shared-storage/users/linux/x", 405, 0, { 0 }, "OPTIONS, GET" },
    };
    check(rows, COUNT(rows));
}

static void options_tell_what_is_offered(void **state)
{
    (void)state;
    static const row rows[] = {
        { "OPTIONS", "/api/v3/version", 204, 0, { 0 }, "OPTIONS, GET" },
        { "OPTIONS", "/api/v3/worker-mgt/tag/x", 204, 0, { 0 }, "OPTIONS, DELETE, GET, PUT" },
        { "OPTIONS", "/api/v3/shaman/files/x/1", 204, 0, { 0 }, "OPTIONS, GET, POST" },
        { "OPTIONS", "/api/v3/nope", 204, 0, { 0 }, NULL },
    };
    check(rows, COUNT(rows));
}

static void the_last_parameter_of_unvalidated_paths_takes_the_rest(void **state)
{
    (void)state;
    static const row rows[] = {
        { "GET", "/api/v3/configuration/variables/users/linux", 200, API_OP_GET_VARIABLES, { "users", "linux" }, NULL },
        { "GET",
          "/api/v3/configuration/variables/martians/linux/extra",
          200,
          API_OP_GET_VARIABLES,
          { "martians", "linux/extra" },
          NULL },
        { "GET",
          "/api/v3/configuration/shared-storage/users/a%20b/c%2Fd/",
          200,
          API_OP_GET_SHARED_STORAGE,
          { "users", "a b/c/d/" },
          NULL },
        { "GET", "/api/v3/shaman/files/x/11/12", 200, API_OP_SHAMAN_FILE_STORE_CHECK, { "x", "11/12" }, NULL },
    };
    check(rows, COUNT(rows));
}

static void segments_are_decoded_once(void **state)
{
    (void)state;
    static const row rows[] = {
        { "GET", "/api/v3/jobs/type/a%2Fb", 200, API_OP_GET_JOB_TYPE, { "a/b" }, NULL },
        { "GET", "/api/v3/jobs/type/%2541", 200, API_OP_GET_JOB_TYPE, { "%41" }, NULL },
        { "GET", "/api/v3/jobs/type/a+b", 200, API_OP_GET_JOB_TYPE, { "a+b" }, NULL },
        { "GET", "/api/v3/jobs/type/%E2%82%ac", 200, API_OP_GET_JOB_TYPE, { "\xE2\x82\xAC" }, NULL },
        { "GET", "/api/v3/jobs/..", 200, API_OP_FETCH_JOB, { ".." }, NULL },
        { "GET", "/api%2Fv3/version", 404, 0, { 0 }, NULL },
        { "GET", "/api/v3/jobs/%", 400, 0, { 0 }, NULL },
        { "GET", "/api/v3/jobs/%4", 400, 0, { 0 }, NULL },
        { "GET", "/api/v3/jobs/%zz/tasks", 400, 0, { 0 }, NULL },
        { "GET", "/api/v3/jobs/a%00b", 400, 0, { 0 }, NULL },
        { "GET", "/nope/%zz", 400, 0, { 0 }, NULL },
    };
    check(rows, COUNT(rows));
    fl_arena *arena = fl_arena_create(0);
    api_match match;
    assert_int_equal(api_route(FL_STR("GET"), FL_STR("/api/v3/jobs/a\0b"), arena, &match), 0);
    assert_int_equal(match.status, 400);
    fl_arena_destroy(arena);
}

/* Every path of the document, with its parameters filled, leads to its own operation and to no other one. */
static void every_operation_is_reached(void **state)
{
    (void)state;
    fl_arena *arena = fl_arena_create(0);
    for (uint32_t op = 0; op < API_OP_COUNT; ++op) {
        const api_operation *operation = api_operation_get(op);
        assert_int_equal(operation->id, op);
        flamenco_str path = fl_arena_copy(arena, flamenco_text(operation->path));
        char *text = (char *)(uintptr_t)path.ptr;
        uint32_t params = 0;
        for (uint64_t i = 0; i < path.len; ++i) {
            params += text[i] == '{';
            if (text[i] == '{' || text[i] == '}')
                text[i] = 'x';
        }
        api_match match;
        assert_int_equal(api_route(flamenco_text(operation->method), path, arena, &match), 0);
        assert_int_equal(match.status, 200);
        assert_int_equal(match.operation, op);
        assert_int_equal(match.n_params, params);
    }
    assert_null(api_operation_get(API_OP_COUNT));
    fl_arena_destroy(arena);
}

static void attributes_are_those_of_the_document(void **state)
{
    (void)state;
    const api_operation *op = api_operation_get(API_OP_SUBMIT_JOB);
    assert_int_equal(op->klass, API_CLASS_STEPS);
    assert_int_equal(op->prepare, 1);
    assert_int_equal(op->body_limit, 134217728);
    assert_int_equal(op->auth, 0);
    assert_int_equal(op->has_body, 1);
    op = api_operation_get(API_OP_SCHEDULE_TASK);
    assert_int_equal(op->klass, API_CLASS_WRITE);
    assert_int_equal(op->auth, 1);
    assert_int_equal(op->worker, 1);
    assert_int_equal(op->has_body, 0);
    assert_int_equal(op->body_limit, 16777216);
    op = api_operation_get(API_OP_REGISTER_WORKER);
    assert_int_equal(op->auth, 0);
    assert_int_equal(op->worker, 1);
    op = api_operation_get(API_OP_TASK_OUTPUT_PRODUCED);
    assert_int_equal(op->body_limit, 26214400);
    assert_int_equal(op->finish, 1);
    op = api_operation_get(API_OP_SHAMAN_FILE_STORE);
    assert_int_equal(op->body_limit, 0);
    assert_int_equal(op->validated, 0);
    assert_int_equal(op->klass, API_CLASS_WORK);
    uint32_t auth = 0, worker = 0, unvalidated = 0;
    for (uint32_t i = 0; i < API_OP_COUNT; ++i) {
        auth += api_operation_get(i)->auth;
        worker += api_operation_get(i)->worker;
        unvalidated += !api_operation_get(i)->validated;
    }
    assert_int_equal(auth, 8);
    assert_int_equal(worker, 9);
    assert_int_equal(unvalidated, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_paths_lead_to_their_operations),
        cmocka_unit_test(literals_beat_parameters),
        cmocka_unit_test(unknown_paths_are_not_found),
        cmocka_unit_test(wrong_methods_are_404_on_validated_paths_and_405_on_others),
        cmocka_unit_test(options_tell_what_is_offered),
        cmocka_unit_test(the_last_parameter_of_unvalidated_paths_takes_the_rest),
        cmocka_unit_test(segments_are_decoded_once),
        cmocka_unit_test(every_operation_is_reached),
        cmocka_unit_test(attributes_are_those_of_the_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
