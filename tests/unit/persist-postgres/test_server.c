/* SPDX-License-Identifier: Apache-2.0
 *
 * test_server.c - what only PostgreSQL does: the lease and who may take it, schemas that are not ours, connections that break,
 * texts that the server would refuse, and plans.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "fixture_postgres.h"

static const task_spec one_task[] = { { "blender", 50, { 0 }, 0 } };

/* A second instance of the plugin, as in another manager. */
typedef struct rival {
    fake_host fake;
    void *self;
    flamenco_error err;
} rival;

static int32_t rival_start(fixture *f, rival *r)
{
    memset(r, 0, sizeof(*r));
    r->err = (flamenco_error)FLAMENCO_ERROR_INIT;
    fake_host_init(&r->fake);
    fake_host_set(&r->fake, "conninfo", f->database);
    fake_host_set(&r->fake, "schema", f->path);
    int32_t rc = f->plugin->create(&r->fake.host, &r->self, &r->err);
    if (rc == FLAMENCO_OK)
        rc = f->plugin->configure(r->self, fake_host_config(&r->fake, f->plugin), &r->err);
    return rc == FLAMENCO_OK ? f->plugin->start(r->self, &r->err) : rc;
}

static void rival_end(fixture *f, rival *r, int stop)
{
    if (stop)
        assert_int_equal(f->plugin->stop(r->self, 0, &r->err), 0);
    f->plugin->destroy(r->self);
    fake_host_fini(&r->fake);
}

/* Ends a session's connection as pg_terminate_backend does, and waits until the server has done so. */
static void terminate(fixture *f, const flamenco_session *s)
{
    char sql[200];
    int pid = PQbackendPID(s->db);
    (void)snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 10000)::int", pid);
    assert_int_equal(fixture_sql_int(f, sql), 1);
}

static int32_t reopen(fixture *f)
{
    f->db->rollback(f->self, f->cx);
    f->db->close(f->self, f->writer);
    f->writer = NULL;
    return f->db->open(f->self, FLAMENCO_SESSION_WRITER, &f->writer, &f->err);
}

/* ---- The lease ---- */

static void second_manager_is_told_who_holds_the_store(void **state)
{
    fixture *f = *state;
    char holder[64];
    rival r;
    fixture_commit(f);
    (void)snprintf(holder, sizeof(holder), "process %ld on host", (long)getpid());
    assert_int_equal(rival_start(f, &r), FLAMENCO_E_BUSY);
    assert_non_null(strstr(r.err.text, holder));
    assert_non_null(strstr(r.err.text, f->path));
    rival_end(f, &r, 0);
    fixture_stop(f);
    assert_int_equal(rival_start(f, &r), 0);
    assert_int_equal(fixture_sql_int(f, "SELECT epoch FROM lease"), 2);
    rival_end(f, &r, 1);
    assert_int_equal(fixture_start(f), 0);
    assert_int_equal(fixture_sql_int(f, "SELECT epoch FROM lease"), 3);
    fixture_begin(f);
}

static void lease_outlives_a_session(void **state)
{
    fixture *f = *state;
    rival r;
    f->db->rollback(f->self, f->cx);
    f->db->close(f->self, f->writer);
    f->writer = NULL;
    assert_int_equal(rival_start(f, &r), FLAMENCO_E_BUSY);
    rival_end(f, &r, 0);
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_WRITER, &f->writer, &f->err), 0);
    fixture_begin(f);
    fixture_job(f, 50, 0, one_task, 1);
    fixture_commit(f);
}

static void manager_that_lost_its_lease_writes_nothing_more(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    rival r;
    fixture_next(f);
    fixture_set_job(f, job, FLAMENCO_JOB_PAUSED);
    terminate(f, f->writer);
    assert_int_equal(rival_start(f, &r), 0);
    assert_int_equal(f->db->commit(f->self, f->cx, f->batch + 1, &f->err), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(reopen(f), FLAMENCO_E_CONFLICT);
    assert_non_null(strstr(f->err.text, "another manager"));
    assert_null(f->writer);
    rival_end(f, &r, 1);
    assert_int_equal(fixture_sql_int(f, "SELECT status FROM job_hot"), FLAMENCO_JOB_QUEUED);
}

/* ---- Schemas ---- */

static void schema_of_another_program_is_left_alone(void **state)
{
    fixture *f = *state;
    char sql[TEMP_DIR_MAX * 2 + 200];
    (void)snprintf(sql, sizeof(sql), "CREATE SCHEMA \"%s\"; CREATE TABLE \"%s\".jobs(id INT)", f->path, f->path);
    fixture_sql(f, sql);
    assert_int_equal(fixture_start(f), FLAMENCO_E_CONFLICT);
    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) FROM pg_class WHERE relkind='r' AND relnamespace='%s'::regnamespace", f->path);
    assert_int_equal(fixture_sql_int(f, sql), 1);
}

static void newer_schema_is_left_alone(void **state)
{
    fixture *f = *state;
    assert_int_equal(fixture_start(f), 0);
    fixture_stop(f);
    fixture_sql(f, "INSERT INTO flamenco_manager_schema(version) VALUES(1000)");
    assert_int_equal(fixture_start(f), FLAMENCO_E_CONFLICT);
    assert_non_null(strstr(f->err.text, "newer"));
    assert_int_equal(fixture_sql_int(f, "SELECT epoch FROM lease"), 1);
}

static void empty_schema_that_is_there_is_used(void **state)
{
    fixture *f = *state;
    char sql[TEMP_DIR_MAX + 64];
    (void)snprintf(sql, sizeof(sql), "CREATE SCHEMA \"%s\"", f->path);
    fixture_sql(f, sql);
    assert_int_equal(fixture_start(f), 0);
}

static void failed_migration_leaves_the_older_schema(void **state)
{
    static const char *const good[] = { "CREATE TABLE more(id BIGINT)", NULL };
    static const char *const bad[] = { "CREATE TABLE even_more(id BIGINT)", "CREATE TABLE more(id BIGINT)", NULL };
    fixture *f = *state;
    fl_store *store = f->self;
    int32_t newest = 0;
    for (const fl_migration *m = fl_schema_migrations(); m->version != 0; ++m)
        newest = m->version;
    const fl_migration list[] = { { newest + 1, good }, { newest + 2, bad }, { 0, NULL } };
    uint32_t fresh = 9;
    PGconn *db = fixture_connect(f);
    assert_int_not_equal(fl_schema_upgrade(store, db, list, &fresh, &f->err), 0);
    PQfinish(db);
    assert_int_equal(fixture_sql_int(f, "SELECT max(version) FROM flamenco_manager_schema"), newest + 1);
    assert_int_equal(fixture_sql_int(f, "SELECT count(*) FROM pg_class WHERE relname='even_more'"), 0);
}

static void store_from_before_the_shares_is_brought_up_to_date(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    fixture_commit(f);
    fixture_stop(f);
    fixture_sql(f, "ALTER TABLE job_hot DROP COLUMN share; ALTER TABLE runq DROP COLUMN share;"
                   "DELETE FROM flamenco_manager_schema WHERE version>1");
    assert_int_equal(fixture_start(f), 0);
    fixture_begin(f);
    assert_int_equal(fixture_sql_int(f, "SELECT count(*) FROM runq WHERE share=0"), 1);
    OK(f, job_set_share, job, 3);
    fixture_commit(f);
    assert_int_equal(fixture_sql_int(f, "SELECT share FROM runq"), 3);
    assert_int_equal(fixture_check(f), 0);
}

static void wrong_settings_are_named_without_the_password(void **state)
{
    static const struct {
        const char *key, *value;
    } cases[] = { { "conninfo", "host=db password=geheim dbname" },
                  { "conninfo", "postgresql://u:geheim@[db/x" },
                  { "schema", "" },
                  { "schema", "pg_geheim" } };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        rival r;
        memset(&r, 0, sizeof(r));
        r.err = (flamenco_error)FLAMENCO_ERROR_INIT;
        fake_host_init(&r.fake);
        fake_host_set(&r.fake, cases[i].key, cases[i].value);
        assert_int_equal(f->plugin->create(&r.fake.host, &r.self, &r.err), 0);
        assert_int_equal(f->plugin->configure(r.self, fake_host_config(&r.fake, f->plugin), &r.err),
                         FLAMENCO_E_INVALID);
        assert_non_null(strstr(r.err.text, cases[i].key));
        assert_null(strstr(r.err.text, "geheim"));
        rival_end(f, &r, 0);
    }
}

static void server_that_is_not_there_is_unavailable(void **state)
{
    fixture *f = *state;
    fake_host_set(&f->fake, "conninfo", "host=/nowhere port=1 dbname=x password=geheim");
    assert_int_equal(fixture_start(f), FLAMENCO_E_UNAVAILABLE);
    assert_null(strstr(f->err.text, "geheim"));
}

/* ---- Connections that break ---- */

static void broken_connection_fails_the_batch_and_is_made_again(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    fixture_next(f);
    assert_int_equal(f->db->savepoint(f->self, f->cx, &f->err), 0);
    fixture_set_job(f, job, FLAMENCO_JOB_PAUSED);
    terminate(f, f->writer);
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    assert_int_equal(DB(f, job_get_key, job, &row), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(DB(f, job_set_priority, job, 7), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(reopen(f), 0);
    uint64_t batch = 0;
    assert_int_equal(f->db->last_batch(f->self, f->writer, &batch, &f->err), 0);
    assert_int_equal(batch, f->batch);
    fixture_begin(f);
    assert_int_equal(fixture_read_job(f, job).status, FLAMENCO_JOB_QUEUED);
    fixture_set_job(f, job, FLAMENCO_JOB_PAUSED);
    fixture_commit(f);
    assert_int_equal(fixture_check(f), 0);
}

static void connection_broken_while_idle_is_noticed_by_begin(void **state)
{
    fixture *f = *state;
    fixture_commit(f);
    terminate(f, f->writer);
    assert_int_equal(f->db->begin(f->self, f->writer, f->cx, &f->err), FLAMENCO_E_UNAVAILABLE);
    assert_null(f->cx->txn);
    assert_int_equal(f->plugin->health(f->self, &f->err), FLAMENCO_E_UNAVAILABLE);
    assert_int_equal(reopen(f), 0);
    fixture_begin(f);
    fixture_commit(f);
    assert_int_equal(f->plugin->health(f->self, &f->err), 0);
}

static void commit_on_a_broken_connection_is_in_doubt_until_asked(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    fixture_next(f);
    fixture_set_job(f, job, FLAMENCO_JOB_PAUSED);
    terminate(f, f->writer);
    assert_int_equal(f->db->commit(f->self, f->cx, f->batch + 1, &f->err), FLAMENCO_E_UNAVAILABLE);
    assert_null(f->cx->txn);
    uint64_t batch = 0;
    assert_int_equal(reopen(f), 0);
    assert_int_equal(f->db->last_batch(f->self, f->writer, &batch, &f->err), 0);
    assert_int_equal(batch, f->batch);
    fixture_begin(f);
}

static void reader_makes_its_connection_again(void **state)
{
    fixture *f = *state;
    int64_t job = fixture_job(f, 50, 0, one_task, 1);
    fixture_next(f);
    flamenco_session *reader = NULL;
    fake_cx *cx = fake_cx_create(&f->fake);
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row) };
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_READER, &reader, &f->err), 0);
    for (int idle = 0; idle < 2; ++idle) {
        assert_int_equal(f->db->begin(f->self, reader, &cx->cx, &f->err), 0);
        assert_int_equal(f->db->job_get_key(f->self, &cx->cx, job, &row, &f->err), 0);
        if (idle)
            f->db->rollback(f->self, &cx->cx);
        terminate(f, reader);
        if (!idle) {
            assert_int_equal(f->db->job_get_key(f->self, &cx->cx, job, &row, &f->err), FLAMENCO_E_UNAVAILABLE);
            f->db->rollback(f->self, &cx->cx);
        }
        assert_int_equal(f->db->begin(f->self, reader, &cx->cx, &f->err), 0);
        assert_int_equal(f->db->job_get_key(f->self, &cx->cx, job, &row, &f->err), 0);
        f->db->rollback(f->self, &cx->cx);
    }
    f->db->close(f->self, reader);
    fake_cx_destroy(cx);
}

/* ---- Methods that the server makes fail ---- */

static void refused_change_leaves_the_transaction_usable(void **state)
{
    fixture *f = *state;
    flamenco_tag tag = { .struct_size = (uint32_t)sizeof(tag), .uuid = fixture_uuid(f), .name = flamenco_text("a") };
    int64_t job = fixture_job(f, 50, 0, one_task, 1), key = 0;
    OK(f, tag_insert, &tag, &key);
    for (int in_savepoint = 0; in_savepoint < 2; ++in_savepoint) {
        if (in_savepoint)
            assert_int_equal(f->db->savepoint(f->self, f->cx, &f->err), 0);
        assert_int_equal(DB(f, tag_insert, &tag, &key), FLAMENCO_E_EXISTS);
        assert_int_equal(DB(f, blocklist_add, job, 4711, flamenco_text("blender")), FLAMENCO_E_NOT_FOUND);
        assert_int_equal(DB(f, last_rendered_set, 4711), FLAMENCO_E_NOT_FOUND);
        OK(f, job_set_priority, job, 60 + in_savepoint);
        if (in_savepoint)
            assert_int_equal(f->db->release(f->self, f->cx, &f->err), 0);
    }
    fixture_next(f);
    assert_int_equal(fixture_read_job(f, job).priority, 61);
    assert_int_equal(fixture_check(f), 0);
}

static void texts_that_the_server_refuses_come_back_as_they_were(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = { { "plain", 5 },
                  { "", 0 },
                  { "a\0b", 3 },
                  { "\0\0", 2 },
                  { "\xff\xfe", 2 },
                  { "\xed\xa0\x80", 3 },
                  { "\xf4\x8f\xbf\xbe", 4 },
                  { "\xf4\x8f\xbf\xbe"
                    "00",
                    6 },
                  { "\xe6\x97\xa5\xe6", 4 },
                  { "\xf0\x9f\x8e\xac \xc3\xa4", 7 },
                  { "\xc0\x80", 2 } };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        flamenco_str text = { cases[i].text, cases[i].len };
        int64_t job = fixture_job(f, 50, 0, one_task, 1);
        OK(f, job_set_status, job, FLAMENCO_JOB_ACTIVE, text, NULL);
        fixture_next(f);
        flamenco_str back = fixture_read_job(f, job).activity;
        assert_int_equal(back.len, text.len);
        if (text.len > 0)
            assert_memory_equal(back.ptr, text.ptr, text.len);
    }
}

/* ---- Plans ---- */

/* Explains a statement as a session would run it. */
static void explain(PGconn *db, fl_sql id, char *out, size_t room)
{
    const char *values[FL_PARAMETERS];
    char text[4096];
    size_t len = (size_t)snprintf(text, sizeof(text), "EXPLAIN EXECUTE p(");
    int parameters = 0;
    const char *sql = fl_sql_text(id);
    char prepare[8192] = "";
    for (const char *at = sql; (at = strchr(at, '?')) != NULL; ++at) {
        int n = (int)strtol(at + 1, NULL, 10);
        parameters = n > parameters ? n : parameters;
    }
    assert_true(parameters <= FL_PARAMETERS);
    int uuid = strstr(sql, "uuid=?1") != NULL;
    size_t at = (size_t)snprintf(prepare, sizeof(prepare), "PREPARE p");
    for (int i = 0; i < parameters; ++i) {
        values[i] = i == 0 && uuid ? "'00000000-0000-0000-0000-000000000000'" : "1";
        at += (size_t)snprintf(prepare + at, sizeof(prepare) - at, "%s%s", i == 0 ? "(" : ",",
                               i == 0 && uuid ? "uuid" : "bigint");
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i == 0 ? "" : ",", values[i]);
    }
    (void)snprintf(prepare + at, sizeof(prepare) - at, "%s AS %s", parameters > 0 ? ")" : "", sql);
    for (char *c = prepare; *c != '\0'; ++c)
        *c = *c == '?' ? '$' : *c;
    (void)snprintf(text + len, sizeof(text) - len, ")");
    PGresult *res = PQexec(db, prepare);
    if (PQresultStatus(res) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", prepare, PQerrorMessage(db));
    PQclear(res);
    res = PQexec(db, text);
    if (PQresultStatus(res) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(db));
    out[0] = '\0';
    for (int row = 0; row < PQntuples(res); ++row)
        (void)snprintf(out + strlen(out), room - strlen(out), "%s\n", PQgetvalue(res, row, 0));
    PQclear(res);
    PQclear(PQexec(db, "DEALLOCATE p"));
}

static int count_sorts(const char *plan)
{
    int n = 0;
    for (const char *at = plan; (at = strstr(at, "Sort Key")) != NULL; ++at)
        ++n;
    return n;
}

/* These sort the few rows that they have found in several lists. */
static int may_sort(fl_sql id)
{
    return id == FL_SQL_TASKS_TIMED_OUT || id == FL_SQL_RUNQ_SHARES || id == FL_SQL_RUNQ_HEADS ||
           id == FL_SQL_RUNQ_SHARE_HEADS || id == FL_SQL_RUN_BEST;
}

static void hot_statements_walk_an_index_and_sort_no_table(void **state)
{
    static const struct {
        fl_sql id;
        const char *index;
    } cases[] = {
        { FL_SQL_TASK_HELD, "task_active" },
        { FL_SQL_RUNQ_NEXT, "runq_pkey" },
        { FL_SQL_RUNQ_HEADS, "runq_pkey" },
        { FL_SQL_RUNQ_SHARE_NEXT, "runq_share" },
        { FL_SQL_RUNQ_SHARE_HEADS, "runq_share" },
        { FL_SQL_RUNQ_SHARES, "runq_share" },
        { FL_SQL_RUNQ_SET_SHARE, "runq_job" },
        { FL_SQL_RUNQ_SET_PRIORITY, "runq_job" },
        { FL_SQL_RUNQ_SET_TAG, "runq_job" },
        { FL_SQL_RUNQ_TYPES, "runq_job" },
        { FL_SQL_RUNQ_DELETE_JOB, "runq_job" },
        { FL_SQL_TASK_RUNNABLE, "task_run" },
        { FL_SQL_RUN_HEAD, "task_run" },
        { FL_SQL_RUN_NEXT_TYPE, "task_run" },
        { FL_SQL_RUN_COUNT, "task_run" },
        { FL_SQL_RUN_BEST, "task_run" },
        { FL_SQL_RUN_BEST, "runq_pkey" },
        { FL_SQL_RUNQ_RAISE, "runq_job" },
        { FL_SQL_RUNQ_REFRESH, "runq_job" },
        { FL_SQL_RUNQ_REFRESH, "task_run" },
        { FL_SQL_DEPS_MOVE, "dep_pkey" },
        { FL_SQL_DEPS_MOVE, "task_pkey" },
        { FL_SQL_DEPS_MOVE, "runq_job" },
        { FL_SQL_JOB_STATE_ADD, "job_hot_pkey" },
        { FL_SQL_TASK_FIND, "task_uuid_key" },
        { FL_SQL_TASK_FIND_ALONE, "task_uuid_key" },
        { FL_SQL_WORKER_GET, "worker_uuid_key" },
        { FL_SQL_JOB_STATE, "job_hot_pkey" },
        { FL_SQL_BULK_SCAN, "task_pkey" },
        { FL_SQL_TASKS_TIMED_OUT, "task_active" },
        { FL_SQL_JOBS_TOTAL_HIDDEN, "job_hidden" },
    };
    fixture *f = *state;
    char plan[8192];
    PGconn *db = NULL;
    fixture_commit(f);
    fixture_sql(f, "ANALYZE");
    assert_int_equal(fl_connection_open(f->self, FLAMENCO_SESSION_READER, &db, &f->err), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        explain(db, cases[i].id, plan, sizeof(plan));
        if (strstr(plan, cases[i].index) == NULL || strstr(plan, "Seq Scan") != NULL ||
            strstr(plan, "Hash Join") != NULL || count_sorts(plan) > may_sort(cases[i].id) ||
            (strcmp(cases[i].index, "runq_share") == 0 && strstr(plan, "runq_pkey") != NULL))
            fail_msg("%s\n%s", fl_sql_text(cases[i].id), plan);
    }
    PQfinish(db);
}

static int setup_only(void **state)
{
    fixture *f = malloc(sizeof(*f));
    if (f == NULL)
        return -1;
    fixture_init(f);
    *state = f;
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define TEST_OF_START(name) cmocka_unit_test_setup_teardown(name, setup_only, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(second_manager_is_told_who_holds_the_store),
        TEST(lease_outlives_a_session),
        TEST(manager_that_lost_its_lease_writes_nothing_more),
        TEST_OF_START(schema_of_another_program_is_left_alone),
        TEST_OF_START(newer_schema_is_left_alone),
        TEST_OF_START(empty_schema_that_is_there_is_used),
        TEST(failed_migration_leaves_the_older_schema),
        TEST(store_from_before_the_shares_is_brought_up_to_date),
        TEST_OF_START(wrong_settings_are_named_without_the_password),
        TEST_OF_START(server_that_is_not_there_is_unavailable),
        TEST(broken_connection_fails_the_batch_and_is_made_again),
        TEST(connection_broken_while_idle_is_noticed_by_begin),
        TEST(commit_on_a_broken_connection_is_in_doubt_until_asked),
        TEST(reader_makes_its_connection_again),
        TEST(refused_change_leaves_the_transaction_usable),
        TEST(texts_that_the_server_refuses_come_back_as_they_were),
        TEST(hot_statements_walk_an_index_and_sort_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
