/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store.c - the file: its name, its rights, who may open it, older and newer schemas, damage, copies.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "store.h"

static const task_spec one_task[] = { { "blender", 50, { 0 }, 0 } };

static int only_init(void **state)
{
    fixture *f = malloc(sizeof(*f));
    if (f == NULL)
        return -1;
    fixture_init(f);
    *state = f;
    return 0;
}

/* Runs SQL on a file that nobody has open. */
static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t read_int(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return value;
}

static void name_of_the_file_follows_the_setting(void **state)
{
    static const struct {
        const char *reference, *ours;
    } cases[] = {
        { "flamenco-manager.sqlite", "flamenco-manager-c.sqlite" },
        { "farm", "farm-c" },
        { "a.b/farm", "a.b/farm-c" },
        { "a.b/farm.v2.db", "a.b/farm.v2-c.db" },
        { "/srv/.farm", "/srv/.farm-c" },
        { ".farm", ".farm-c" },
        { "farm.", "farm-c." },
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        char *ours = fl_path_ours(&f->fake.host, flamenco_text(cases[i].reference));
        assert_string_equal(ours, cases[i].ours);
        f->fake.host.free(f->fake.host.h, ours);
    }
}

static void settings_that_cannot_be_are_refused(void **state)
{
    static const char *const cases[] = { "file:farm.sqlite?mode=ro", "", "  " };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        fake_host_set(&f->fake, "database", cases[i]);
        assert_int_equal(fixture_start(f), FLAMENCO_E_INVALID);
    }
    fake_host_set(&f->fake, "database", f->database);
    fake_host_set(&f->fake, "checkpoint_pages", "500");
    fake_host_set(&f->fake, "quiet_pages", "400");
    assert_int_equal(fixture_start(f), FLAMENCO_E_INVALID);
    assert_non_null(strstr(f->err.text, "quiet_pages"));
}

static void path_overrides_database_and_parents_are_made(void **state)
{
    fixture *f = *state;
    char path[TEMP_DIR_MAX];
    struct stat st;
    temp_path(path, "%s/a/b/store.db", f->dir);
    fake_host_set(&f->fake, "database", "file:somewhere");
    fake_host_set(&f->fake, "path", path);
    assert_int_equal(fixture_start(f), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fixture_stop(f);
}

static void second_manager_is_told_who_holds_the_store(void **state)
{
    fixture *f = *state;
    fixture other;
    char holder[64];
    assert_int_equal(fixture_start(f), 0);
    fixture_init(&other);
    fake_host_set(&other.fake, "database", f->database);
    assert_int_equal(fixture_start(&other), FLAMENCO_E_BUSY);
    (void)snprintf(holder, sizeof(holder), "in use by process %ld on host", (long)getpid());
    assert_non_null(strstr(other.err.text, holder));
    fixture_stop(f);
    assert_int_equal(fixture_start(&other), 0);
    assert_int_equal(fixture_start(f), FLAMENCO_E_BUSY);
    fixture_stop(&other);
    fixture_fini(&other);
    assert_int_equal(read_int(f->path, "SELECT value FROM state WHERE name='epoch'"), 2);
}

static void newer_schema_is_refused_and_left_alone(void **state)
{
    fixture *f = *state;
    assert_int_equal(fixture_start(f), 0);
    fixture_stop(f);
    run_sql(f->path, "PRAGMA user_version=1000");
    assert_int_equal(fixture_start(f), FLAMENCO_E_CONFLICT);
    assert_non_null(strstr(f->err.text, "newer version"));
    assert_int_equal(read_int(f->path, "PRAGMA user_version"), 1000);
    assert_int_equal(read_int(f->path, "SELECT value FROM state WHERE name='epoch'"), 1);
}

static void database_of_another_program_is_refused_and_left_alone(void **state)
{
    fixture *f = *state;
    run_sql(f->path, "CREATE TABLE jobs(id INTEGER)");
    assert_int_equal(fixture_start(f), FLAMENCO_E_CONFLICT);
    assert_non_null(strstr(f->err.text, "another program"));
    assert_int_equal(read_int(f->path, "SELECT count(*) FROM sqlite_schema"), 1);
    assert_int_equal(read_int(f->path, "PRAGMA application_id"), 0);
    temp_file_write(f->path,
                    "this is no database at all, however long it may be; it goes on and on, for 100 bytes or so.");
    assert_int_equal(fixture_start(f), FLAMENCO_E_CORRUPT);
}

static const char reference_schema[] =
    "CREATE TABLE jobs(id INTEGER PRIMARY KEY, created_at datetime, uuid text, name text, status text, settings jsonb);"
    "CREATE TABLE tasks(id INTEGER PRIMARY KEY, uuid text, job_id integer, name text, status text, commands jsonb,"
    " worker_id integer);"
    "CREATE TABLE workers(id INTEGER PRIMARY KEY, uuid text, secret text, name text, supported_task_types text);"
    "CREATE TABLE task_dependencies(task_id integer, dependency_id integer);"
    "CREATE TABLE task_failures(task_id integer, worker_id integer);"
    "CREATE TABLE job_blocks(id INTEGER PRIMARY KEY, job_id integer, worker_id integer, task_type text);"
    "CREATE TABLE worker_tags(id INTEGER PRIMARY KEY, uuid text, name text, description text);"
    "CREATE TABLE worker_tag_membership(worker_tag_id integer, worker_id integer);"
    "CREATE TABLE sleep_schedules(id INTEGER PRIMARY KEY, worker_id integer, is_active numeric, days_of_week text,"
    " start_time text, end_time text, next_check text);"
    "CREATE TABLE last_rendereds(id INTEGER PRIMARY KEY, job_id integer);"
    "CREATE TABLE goose_db_version(id INTEGER PRIMARY KEY, version_id integer, is_applied integer);"
    "INSERT INTO goose_db_version(version_id,is_applied) VALUES(0,1),(8,1);"
    "INSERT INTO workers VALUES(1,'00000000-0000-4000-8000-000000000001','x','w','blender'),"
    " (2,'00000000-0000-4000-8000-000000000001',NULL,x'ff',NULL);"
    "INSERT INTO worker_tags VALUES(1,NULL,'t',''),(2,NULL,'t','');"
    "INSERT INTO worker_tag_membership VALUES(1,1),(2,1),(1,2);"
    "INSERT INTO sleep_schedules VALUES(1,1,1,'mo','09:00','10:00','');"
    "INSERT INTO jobs VALUES(1,'2026-03-27 14:05:09 +0000 "
    "UTC','00000000-0000-4000-8000-000000000002','j','queued',x'7b7d'),"
    " (2,NULL,'00000000-0000-4000-8000-000000000002','k','queued','{}');"
    "INSERT INTO tasks VALUES(1,'00000000-0000-4000-8000-000000000003',1,'a','completed',"
    " '[{\"name\":\"x\",\"parameters\":{}}]',1),(2,'00000000-0000-4000-8000-000000000003',1,'b','queued','[]',2);"
    "INSERT INTO task_dependencies VALUES(2,1);"
    "INSERT INTO task_failures VALUES(2,1);"
    "INSERT INTO job_blocks VALUES(1,1,1,'blender');"
    "INSERT INTO last_rendereds VALUES(1,1);";

static void reference_database_is_imported_and_left_alone(void **state)
{
    fixture *f = *state;
    run_sql(f->database, reference_schema);
    struct stat before, after;
    assert_int_equal(stat(f->database, &before), 0);
    assert_int_equal(fixture_start(f), 0);
    fixture_begin(f);
    flamenco_job job = fixture_read_job(f, 1);
    EXPECT_TEXT(job.name, "j");
    assert_int_equal(job.n_tasks, 2);
    fixture_commit(f);
    assert_int_equal(fixture_check(f), 0);
    fixture_stop(f);
    assert_int_equal(stat(f->database, &after), 0);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_int_equal(after.st_size, before.st_size);
    /* Once ours exists, nothing is said. */
    uint64_t lines = f->fake.log_lines[FLAMENCO_LOG_INFO];
    assert_int_equal(fixture_start(f), 0);
    assert_int_equal(f->fake.log_lines[FLAMENCO_LOG_INFO], lines + 1);
    fixture_stop(f);
}

static void import_without_memory_leaves_nothing_behind(void **state)
{
    fixture *f = *state;
    run_sql(f->database, reference_schema);
    int32_t rc = FLAMENCO_E_NOMEM;
    for (int64_t allowed = 8; rc != FLAMENCO_OK; ++allowed) {
        f->fake.allocations_left = allowed;
        rc = fixture_start(f);
        f->fake.allocations_left = -1;
        if (rc != FLAMENCO_OK && rc != FLAMENCO_E_NOMEM && rc != FLAMENCO_E_UNAVAILABLE)
            fail_msg("%lld allocations: %d %s", (long long)allowed, (int)rc, f->err.text);
        char made[TEMP_DIR_MAX + 16];
        (void)snprintf(made, sizeof(made), "%s.import", f->path);
        assert_int_equal(access(made, F_OK), -1);
        assert_true(allowed < 2000);
        if (f->self == NULL)
            continue;
        /* It was started; at most the session after it had no memory. What was imported is whole. */
        assert_true(allowed > 20);
        fixture_crash(f);
        break;
    }
    assert_int_equal(read_int(f->path, "SELECT count(*) FROM task"), 2);
    assert_int_equal(read_int(f->path, "SELECT count(*) FROM failure"), 1);
}

static void rights_of_an_open_file_are_narrowed(void **state)
{
    fixture *f = *state;
    struct stat st;
    assert_int_equal(fixture_start(f), 0);
    fixture_stop(f);
    assert_int_equal(chmod(f->path, 0644), 0);
    assert_int_equal(fixture_start(f), 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fixture_stop(f);
}

static void upgrade_copies_the_file_first(void **state)
{
    static const char *const second[] = { "CREATE TABLE extra(id INTEGER PRIMARY KEY) STRICT;", NULL };
    static const char *const broken[] = { "CREATE TABLE more(id INTEGER PRIMARY KEY) STRICT; SELECT nonsense;", NULL };
    fixture *f = *state;
    uint32_t fresh = 9;
    char copy[TEMP_DIR_MAX];
    struct stat st;
    assert_int_equal(fixture_start(f), 0);
    fixture_begin(f);
    fixture_job(f, 50, 0, one_task, 1);
    fixture_commit(f);
    fl_store *store = f->self;
    const fl_migration *own = fl_schema_migrations();
    const fl_migration next[] = { own[0], own[1], own[2], { 4, second }, { 0, NULL } };
    const fl_migration wrong[] = { own[0], own[1], own[2], { 4, second }, { 5, broken }, { 0, NULL } };
    assert_int_equal(own[3].version, 0); /* a new schema needs new numbers here */
    assert_int_equal(fl_schema_upgrade(store, f->writer->db, next, &fresh, &f->err), 0);
    assert_int_equal(fresh, 0);
    assert_int_equal(read_int(f->path, "PRAGMA user_version"), 4);
    temp_path(copy, "%s.schema-3", f->path);
    assert_int_equal(read_int(copy, "PRAGMA user_version"), 3);
    assert_int_equal(read_int(copy, "SELECT count(*) FROM job"), 1);
    assert_int_equal(stat(copy, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* A migration that fails changes nothing, and its copy does not stand in the way of the next attempt. */
    for (int i = 0; i < 2; ++i) {
        assert_int_not_equal(fl_schema_upgrade(store, f->writer->db, wrong, &fresh, &f->err), 0);
        assert_int_equal(read_int(f->path, "PRAGMA user_version"), 4);
        assert_int_equal(read_int(f->path, "SELECT count(*) FROM sqlite_schema WHERE name='more'"), 0);
    }
    temp_path(copy, "%s.schema-4.2", f->path);
    assert_true(temp_exists(copy));
    assert_int_equal(fl_schema_upgrade(store, f->writer->db, next, &fresh, &f->err), 0);
    fixture_stop(f);
}

static void files_of_the_first_schema_are_upgraded(void **state)
{
    fixture *f = *state;
    assert_int_equal(fixture_start(f), 0);
    fixture_begin(f);
    fixture_job(f, 50, 0, one_task, 1);
    fixture_commit(f);
    fixture_stop(f);
    run_sql(f->path, "DROP INDEX job_updated; DROP INDEX job_status; DROP INDEX job_prio; DROP INDEX job_name;"
                     "DROP INDEX runq_share; ALTER TABLE runq DROP COLUMN share; ALTER TABLE job_hot DROP COLUMN share;"
                     "PRAGMA user_version=1;");
    assert_int_equal(fixture_start(f), 0);
    assert_int_equal(
        read_int(f->path,
                 "SELECT count(*) FROM sqlite_schema WHERE name IN ('job_updated','job_status','job_prio','job_name')"),
        4);
    assert_int_equal(read_int(f->path, "SELECT count(*) FROM runq WHERE share=0"), 1);
    fixture_begin(f);
    assert_int_equal(fixture_check(f), 0);
    fixture_stop(f);
}

static void unclean_stop_leads_to_a_check(void **state)
{
    fixture *f = *state;
    assert_int_equal(fixture_start(f), 0);
    fixture_begin(f);
    fixture_job(f, 50, 0, one_task, 1);
    fixture_commit(f);
    fixture_stop(f);
    uint64_t lines = f->fake.log_lines[FLAMENCO_LOG_INFO];
    assert_int_equal(fixture_start(f), 0);
    assert_int_equal(f->fake.log_lines[FLAMENCO_LOG_INFO], lines + 1);
    fixture_crash(f);
    assert_int_equal(fixture_start(f), 0);
    assert_int_equal(f->fake.log_lines[FLAMENCO_LOG_INFO], lines + 4);
    fixture_stop(f);
}

static void damage_is_found(void **state)
{
    static const struct {
        const char *sql, *text;
    } cases[] = {
        { "UPDATE job_hot SET n0=n0+1", "counters" },
        { "UPDATE job_hot SET steps_done=1", "steps" },
        { "UPDATE task SET open_deps=1 WHERE id=1", "open dependencies" },
        { "DELETE FROM runq", "group is missing" },
        { "UPDATE runq SET ntp=0", "missing or wrong" },
        { "UPDATE job_hot SET share=1", "missing or wrong" },
        { "INSERT INTO runq(tag,type,njp,ntp,job) VALUES(0,9,0,0,1)", "too many" },
        { "UPDATE job_hot SET status=2; UPDATE job_count SET n=(status=2)", "groups too many" },
        { "UPDATE job_count SET n=7 WHERE status=3", "pause-requested" },
        { "DELETE FROM task WHERE id=1", "missing" },
        { "DELETE FROM job_hot; UPDATE job_count SET n=0", "no state" },
        { "PRAGMA foreign_keys=OFF; INSERT INTO worker_tag(worker,tag) VALUES(8,9)", "foreign_key" },
        { "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET rootpage=(SELECT rootpage FROM sqlite_schema WHERE"
          " name='dep') WHERE name='runq'",
          "" },
    };
    fixture *f = *state;
    const task_spec tasks[] = { { "blender", 50, { 0 }, 0 }, { "ffmpeg", 50, { 1 }, 0 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        assert_int_equal(fixture_start(f), 0);
        fixture_begin(f);
        fixture_job(f, 50, 0, tasks, 2);
        fixture_commit(f);
        assert_int_equal(fixture_check(f), 0);
        fixture_stop(f);
        run_sql(f->path, cases[i].sql);
        /* In the background: */
        if (i + 1 < sizeof(cases) / sizeof(cases[0])) {
            assert_int_equal(fixture_start(f), 0);
            assert_int_equal(fixture_check(f), FLAMENCO_E_CORRUPT);
            if (strstr(f->err.text, cases[i].text) == NULL)
                fail_msg("after %s: %s", cases[i].sql, f->err.text);
            fixture_crash(f);
        } else {
            run_sql(f->path, "UPDATE state SET value=0 WHERE name='clean'");
        }
        /* At the start after a crash: */
        assert_int_equal(fixture_start(f), FLAMENCO_E_CORRUPT);
        assert_int_equal(unlink(f->path), 0);
    }
}

static void backup_is_a_whole_database(void **state)
{
    fixture *f = *state;
    flamenco_session *reader = NULL;
    fake_cx *cx = fake_cx_create(&f->fake);
    char path[2][TEMP_DIR_MAX];
    assert_int_equal(fixture_start(f), 0);
    fixture_begin(f);
    for (int i = 0; i < 200; ++i)
        fixture_job(f, 50, 0, one_task, 1);
    fixture_commit(f);
    assert_int_equal(f->db->open(f->self, FLAMENCO_SESSION_READER, &reader, &f->err), 0);
    flamenco_session *sessions[] = { reader, f->writer };
    for (int i = 0; i < 2; ++i) {
        temp_path(path[i], "%s/copy-%d.sqlite", f->dir, i);
        assert_int_equal(f->db->backup(f->self, sessions[i], flamenco_text(path[i]), &cx->cx, &f->err), 0);
        assert_int_equal(read_int(path[i], "SELECT count(*) FROM task"), 200);
        assert_int_equal(read_int(path[i], "PRAGMA application_id"), FL_APPLICATION_ID);
        struct stat st;
        assert_int_equal(stat(path[i], &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(f->db->backup(f->self, sessions[i], flamenco_text(path[i]), &cx->cx, &f->err),
                         FLAMENCO_E_EXISTS);
    }
    char nowhere[TEMP_DIR_MAX];
    temp_path(nowhere, "%s/no/such/dir.sqlite", f->dir);
    assert_int_equal(f->db->backup(f->self, reader, flamenco_text(nowhere), &cx->cx, &f->err), FLAMENCO_E_UNAVAILABLE);
    /* A cancelled one leaves nothing behind. */
    temp_path(nowhere, "%s/cancelled.sqlite", f->dir);
    cx->cancelled = 1;
    assert_int_equal(f->db->backup(f->self, reader, flamenco_text(nowhere), &cx->cx, &f->err), FLAMENCO_E_CANCELLED);
    assert_false(temp_exists(nowhere));
    f->db->close(f->self, reader);
    fake_cx_destroy(cx);
    fixture_stop(f);
    /* It is one that the plugin itself works on. */
    fake_host_set(&f->fake, "path", path[0]);
    assert_int_equal(fixture_start(f), 0);
    assert_int_equal(fixture_check(f), 0);
    fixture_stop(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, only_init, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(name_of_the_file_follows_the_setting),
        TEST(settings_that_cannot_be_are_refused),
        TEST(path_overrides_database_and_parents_are_made),
        TEST(second_manager_is_told_who_holds_the_store),
        TEST(newer_schema_is_refused_and_left_alone),
        TEST(database_of_another_program_is_refused_and_left_alone),
        TEST(reference_database_is_imported_and_left_alone),
        TEST(import_without_memory_leaves_nothing_behind),
        TEST(rights_of_an_open_file_are_narrowed),
        TEST(upgrade_copies_the_file_first),
        TEST(files_of_the_first_schema_are_upgraded),
        TEST(unclean_stop_leads_to_a_check),
        TEST(damage_is_found),
        TEST(backup_is_a_whole_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
