/* SPDX-License-Identifier: Apache-2.0
 *
 * copy-data between two files of persist-sqlite (core/copy.h): what it copies, what its comparison finds, what it refuses, and
 * what it says when it breaks off. tests/api/test_copy_data.py runs the program, tests/postgres/test_copy.py another back end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/copy.h"
#include "temp_dir.h"

#ifndef PLUGINS
#error "PLUGINS, the directory of the plugins, is set by the build"
#endif

#define TASKS 1203 /* three rounds of tasks */
#define EMPTY_FIRST "empty the target before the next try"

static char dir[TEMP_DIR_MAX], log_path[TEMP_DIR_MAX], from_path[TEMP_DIR_MAX], to_path[TEMP_DIR_MAX];
static char from_spec[2 * TEMP_DIR_MAX], to_spec[2 * TEMP_DIR_MAX];
static fl_places places;
static fl_manager_yaml *yaml;
static fl_config *config;
static fl_copy_options options;
static FILE *log_file;
static flamenco_error err;

static flamenco_uuid uuid(uint8_t kind, uint32_t number)
{
    flamenco_uuid u = { { kind, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number } };
    u.b[6] = 0x40;
    u.b[8] = 0x80;
    return u;
}

/* ---- Files -------------------------------------------------------------------------------------------------------------- */

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t ask_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return value;
}

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    size_t n;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    (void)fclose(in);
    assert_int_equal(fclose(out), 0);
}

static void remove_target(void)
{
    (void)unlink(to_path);
}

/* ---- Running ------------------------------------------------------------------------------------------------------------ */

/* What was logged since the last call. */
static const char *logged(void)
{
    static char text[16384];
    size_t n = fread(text, 1, sizeof(text) - 1, log_file);
    clearerr(log_file);
    text[n] = '\0';
    return text;
}

/* Not inline: with -fsanitize gcc takes what is checked for null for null, and warns. */
__attribute__((noinline)) static void check_says(const char *text, const char *wanted)
{
    if (strstr(text, wanted) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", text, wanted);
}

__attribute__((noinline)) static void check_silent_about(const char *text, const char *unwanted)
{
    if (strstr(text, unwanted) != NULL)
        fail_msg("\"%s\" says \"%s\"", text, unwanted);
}

/* Runs the command, which must fail and say this. Returns what it said. */
static const char *fails(const char *wanted)
{
    (void)logged();
    int code = fl_copy_data(&options);
    const char *text = logged();
    if (code != 1)
        fail_msg("%s to %s gives %d: %s", options.from, options.to, code, text);
    check_says(text, wanted);
    check_silent_about(text, "every row and counter");
    return text;
}

static void succeeds(void)
{
    (void)logged();
    int code = fl_copy_data(&options);
    const char *text = logged();
    if (code != 0)
        fail_msg("%s", text);
    check_says(text, "every row and counter of the copy is as in the source");
}

/* ---- A farm ------------------------------------------------------------------------------------------------------------- */

static void ok(int32_t rc)
{
    if (rc != FLAMENCO_OK)
        fail_msg("%d: %s", rc, err.text);
}

static int64_t add_worker(const flamenco_persistence_ref *db, flamenco_cx *cx, uint32_t number)
{
    int64_t key = 0;
    flamenco_worker row = { .struct_size = (uint32_t)sizeof(row),
                            .status = FLAMENCO_WORKER_AWAKE,
                            .requested = FLAMENCO_WORKER_NONE,
                            .last_good_status = FLAMENCO_WORKER_NONE,
                            .uuid = uuid('w', number),
                            .created_us = 1000,
                            .updated_us = 2000,
                            .seen_us = 3000,
                            .deleted_us = number == 2 ? 4000 : FLAMENCO_TIME_NONE,
                            .name = flamenco_text("anna"),
                            .address = flamenco_text("192.0.2.7"),
                            .platform = flamenco_text("linux"),
                            .software = flamenco_text("3.9"),
                            .task_types = flamenco_text("blender,misc"),
                            .secret_hash = flamenco_text("hash") };
    ok(flamenco_persist_worker_insert(db, cx, &row, &key, &err));
    return key;
}

/* A job with n tasks, all of which wait for the first one. */
static int64_t add_job(const flamenco_persistence_ref *db, flamenco_cx *cx, uint32_t number, uint32_t n, int64_t tag,
                       int64_t worker)
{
    static flamenco_new_task tasks[TASKS];
    static flamenco_dep deps[TASKS];
    int64_t key = 0;
    flamenco_job row = { .struct_size = (uint32_t)sizeof(row),
                         .status = FLAMENCO_JOB_ACTIVE,
                         .uuid = uuid('j', number),
                         .priority = 50,
                         .tag_key = tag,
                         .created_us = 1000,
                         .updated_us = 2000,
                         .delete_requested_us = FLAMENCO_TIME_NONE,
                         .n_tasks = n,
                         .name = flamenco_text("shot \"1\"\n\xC3\xA4"),
                         .type = flamenco_text("frames"),
                         .activity = flamenco_text("going on"),
                         .settings = flamenco_text("{\"frames\":\"1-9\"}"),
                         .metadata = flamenco_text("{}") };
    ok(flamenco_persist_job_insert_hidden(db, cx, &row, n, &key, &err));
    for (uint32_t i = 0; i < n; ++i) {
        tasks[i] = (flamenco_new_task){ .struct_size = (uint32_t)sizeof(tasks[i]),
                                        .status = i == 0 && worker != 0 ? FLAMENCO_TASK_ACTIVE : FLAMENCO_TASK_QUEUED,
                                        .uuid = uuid('t', number * 10000 + i),
                                        .priority = 50,
                                        .open_deps = i > 0,
                                        .worker_key = i == 0 ? worker : 0,
                                        .created_us = 1000,
                                        .updated_us = 2000,
                                        .touched_us = i == 0 ? 3000 : FLAMENCO_TIME_NONE,
                                        .steps_total = 10,
                                        .steps_completed = i == 0 ? 3 : 0,
                                        .name = flamenco_text("task"),
                                        .type = flamenco_text("misc"),
                                        .activity = flamenco_text(""),
                                        .commands = flamenco_text("[{\"name\":\"echo\",\"parameters\":{}}]") };
        deps[i] = (flamenco_dep){ .task = i + 1, .needs = 1 };
    }
    ok(flamenco_persist_tasks_insert(db, cx, key, 1, tasks, sizeof(tasks[0]), n, &err));
    if (n > 1)
        ok(flamenco_persist_deps_insert(db, cx, key, &deps[1], n - 1, &err));
    ok(flamenco_persist_job_show(db, cx, key, NULL, &err));
    return key;
}

/* Fills a store with a row of everything. */
static void fill(const char *spec)
{
    fl_copy_store *s = calloc(1, sizeof(*s));
    int64_t tag = 0, other = 0;
    assert_non_null(s);
    ok(fl_copy_open(&options, spec, s, &err));
    ok(fl_copy_begin(s, FLAMENCO_SESSION_WRITER, &err));
    const flamenco_persistence_ref *db = &s->run.f.persist;
    flamenco_cx *cx = &s->cx.pub;
    flamenco_tag row = { .struct_size = (uint32_t)sizeof(row),
                         .uuid = uuid('g', 1),
                         .name = flamenco_text("gpu"),
                         .description = flamenco_text("with a GPU") };
    ok(flamenco_persist_tag_insert(db, cx, &row, &tag, &err));
    row.uuid = uuid('g', 2);
    row.name = flamenco_text("unused");
    ok(flamenco_persist_tag_insert(db, cx, &row, &other, &err));
    int64_t worker = add_worker(db, cx, 1);
    (void)add_worker(db, cx, 2);
    ok(flamenco_persist_worker_set_tags(db, cx, worker, &tag, 1, &err));
    flamenco_sleep_schedule sleep = { .struct_size = (uint32_t)sizeof(sleep),
                                      .is_active = 1,
                                      .worker_key = worker,
                                      .start_minutes = 60,
                                      .end_minutes = 120,
                                      .next_check_us = 5000,
                                      .days = flamenco_text("mo") };
    ok(flamenco_persist_sleep_set(db, cx, &sleep, &err));
    int64_t small = add_job(db, cx, 1, 2, tag, worker);
    (void)add_job(db, cx, 2, TASKS, 0, 0);
    flamenco_uuid first = uuid('t', 10000);
    flamenco_task task = { .struct_size = (uint32_t)sizeof(task) };
    ok(flamenco_persist_task_find(db, cx, &first, &task, &err));
    ok(flamenco_persist_failure_add(db, cx, task.key, worker, NULL, NULL, &err));
    ok(flamenco_persist_blocklist_add(db, cx, small, worker, flamenco_text("misc"), &err));
    ok(flamenco_persist_worker_set_last_task(db, cx, worker, task.key, &err));
    ok(flamenco_persist_last_rendered_set(db, cx, small, &err));
    ok(fl_copy_commit(s, &err));
    fl_copy_close(s);
    free(s);
}

static int32_t verify(void)
{
    fl_copy_store *s = calloc(2, sizeof(*s));
    assert_non_null(s);
    ok(fl_copy_open(&options, from_spec, &s[0], &err));
    ok(fl_copy_open(&options, to_spec, &s[1], &err));
    ok(fl_copy_begin(&s[0], FLAMENCO_SESSION_READER, &err));
    ok(fl_copy_begin(&s[1], FLAMENCO_SESSION_READER, &err));
    int32_t rc = fl_copy_verify(&s[0], &s[1], &err);
    fl_copy_close(&s[1]);
    fl_copy_close(&s[0]);
    free(s);
    return rc;
}

static int set_up(void **state)
{
    fl_config_problems problems = { 0 };
    fl_buf text = { 0 };
    (void)state;
    temp_dir_make(dir);
    temp_path(log_path, "%s/log", dir);
    temp_path(from_path, "%s/from.sqlite", dir);
    temp_path(to_path, "%s/to.sqlite", dir);
    snprintf(from_spec, sizeof(from_spec), "persist-sqlite:%s", from_path);
    snprintf(to_spec, sizeof(to_spec), "persist-sqlite:%s", to_path);
    log_file = fopen(log_path, "w+e");
    assert_non_null(log_file);
    FILE *writer = fopen(log_path, "ae");
    assert_non_null(writer);
    fl_log_setup(dup(fileno(writer)), FL_LOG_TEXT, FLAMENCO_LOG_INFO);
    (void)fclose(writer);
    snprintf(places.cwd, sizeof(places.cwd), "%s", dir);
    static const char *const plugins[] = { "persist-sqlite", "clock-system", "log-storage" };
    fl_buf_add_text(&text, "plugin_path: [");
    for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); ++i)
        fl_buf_printf(&text, "%s\"%s/%s\"", i > 0 ? ", " : "", PLUGINS, plugins[i]);
    fl_buf_add_text(&text, "]\n");
    assert_int_equal(fl_manager_yaml_parse(fl_buf_str(&text), "manager.yaml", flamenco_text(dir), &problems, &yaml),
                     FLAMENCO_OK);
    fl_config_options with = {
        .yaml = yaml, .cwd = flamenco_text(dir), .executable_dir = flamenco_text(dir), .program = "test"
    };
    assert_int_equal(fl_config_open(&with, &problems, &config), FLAMENCO_OK);
    fl_buf_fini(&text);
    fl_config_problems_fini(&problems);
    options = (fl_copy_options){ .from = from_spec, .to = to_spec, .places = &places, .yaml = yaml, .config = config };
    err = (flamenco_error)FLAMENCO_ERROR_INIT;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fl_config_close(config);
    fl_manager_yaml_destroy(yaml);
    (void)fclose(log_file);
    fl_log_setup(STDERR_FILENO, FL_LOG_TEXT, FLAMENCO_LOG_ERROR);
    temp_dir_remove(dir);
    return 0;
}

/* ---- Copying ------------------------------------------------------------------------------------------------------------ */

static void everything_is_copied_and_counted(void **state)
{
    (void)state;
    static const char *const tables[] = { "tag", "worker",    "worker_tag", "sleep",         "job",     "task",
                                          "dep", "task_cold", "blocklist",  "last_rendered", "failure", "runq" };
    fill(from_spec);
    succeeds();
    assert_int_equal(verify(), FLAMENCO_OK);
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); ++i) {
        char sql[64];
        snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", tables[i]);
        int64_t rows = ask_sql(from_path, sql);
        if (rows == 0 || ask_sql(to_path, sql) != rows)
            fail_msg("%s has %lld rows in the source, another number in the target", tables[i], (long long)rows);
    }
    assert_int_equal(ask_sql(to_path, "SELECT sum(n) FROM job_count"), 2);
}

/* It is what a wrong name gives. */
static void empty_source_is_copied_with_a_warning(void **state)
{
    (void)state;
    assert_int_equal(fl_copy_data(&options), 0);
    check_says(logged(), "the source is empty");
    assert_int_equal(ask_sql(to_path, "SELECT count(*) FROM job"), 0);
}

static void target_with_anything_in_it_is_refused_and_left_alone(void **state)
{
    (void)state;
    static const struct {
        const char *left, *said;
    } rows[] = {
        { "job", "it has 2 jobs, 0 workers; nothing was changed" },
        { "hidden job", "it has 2 jobs, 0 workers; nothing was changed" },
        { "worker", "it has 0 jobs, 2 workers; nothing was changed" },
        { "tag", "it has 0 jobs, 0 workers and tags; nothing was changed" },
    };
    fill(to_spec);
    char full[TEMP_DIR_MAX];
    temp_path(full, "%s/full.sqlite", dir);
    copy_file(to_path, full);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        int jobs = strstr(rows[i].left, "job") != NULL;
        copy_file(full, to_path);
        run_sql(to_path, "DELETE FROM failure; DELETE FROM blocklist; DELETE FROM last_rendered; DELETE FROM sleep;"
                         "DELETE FROM worker_tag; DELETE FROM dep; UPDATE job_hot SET tag=0");
        if (!jobs)
            run_sql(to_path, "DELETE FROM runq; DELETE FROM task_cold; DELETE FROM task; DELETE FROM job_hot;"
                             "DELETE FROM job; UPDATE job_count SET n=0");
        if (strcmp(rows[i].left, "hidden job") == 0)
            run_sql(to_path, "UPDATE job_hot SET hidden=1; UPDATE job_count SET n=0");
        if (strcmp(rows[i].left, "worker") != 0)
            run_sql(to_path, "DELETE FROM worker_type; DELETE FROM worker");
        if (strcmp(rows[i].left, "tag") != 0)
            run_sql(to_path, "DELETE FROM tag");
        int64_t tasks = ask_sql(to_path, "SELECT count(*) FROM task");
        const char *said = fails(rows[i].said);
        check_says(said, "the target is not empty");
        check_silent_about(said, EMPTY_FIRST);
        assert_int_equal(ask_sql(to_path, "SELECT count(*) FROM task"), tasks);
    }
}

/* ---- Comparing ---------------------------------------------------------------------------------------------------------- */

static void comparison_finds_every_change(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *said;
    } rows[] = {
        { "UPDATE tag SET description='' WHERE name='unused'", "tags and workers: row 2" },
        { "UPDATE worker SET software='3.8' WHERE id=1", "tags and workers: row 3" },
        { "UPDATE worker SET seen=3001 WHERE id=1", "tags and workers: row 3" },
        { "UPDATE worker SET last_task=0", "tags and workers: row 3" },
        { "UPDATE worker SET deleted=4001 WHERE id=2", "tags and workers: row 4" },
        { "DELETE FROM worker_tag", "tags and workers: row 3" },
        { "UPDATE sleep SET finish=121", "tags and workers: row 3" },
        { "UPDATE job SET metadata='{ }' WHERE id=2", "job number 2: row 1" },
        { "UPDATE job_hot SET prio=51 WHERE id=1", "job number 1: row 1" },
        { "UPDATE job_hot SET tag=0 WHERE id=1", "job number 1: row 1" },
        { "UPDATE job_hot SET n1=n1+1,n0=n0-1 WHERE id=2", "job number 2: row 1" },
        { "UPDATE job_hot SET steps_done=steps_done+1 WHERE id=1", "job number 1: row 1" },
        { "DELETE FROM blocklist", "job number 1: row 2" },
        { "DELETE FROM failure", "job number 1: row 3" },
        { "DELETE FROM dep WHERE task=(SELECT max(task) FROM dep)", "job number 2: row 1203" },
        { "UPDATE task SET open_deps=0 WHERE id=(SELECT max(id) FROM task)", "the tasks of job number 2: row 203" },
        { "UPDATE task SET activity='x' WHERE id=1", "the tasks of job number 1: row 1" },
        { "UPDATE task SET worker=2 WHERE id=1", "the tasks of job number 1: row 1" },
        { "UPDATE task_cold SET commands='[]' WHERE id=2", "the tasks of job number 1: row 2" },
        { "DELETE FROM task WHERE id=(SELECT max(id) FROM task)",
          "the tasks of job number 2: row 203, of 203 and 202" },
        { "UPDATE job_count SET n=n+1 WHERE status=0", "the numbers of jobs and workers, or the last picture" },
        { "DELETE FROM last_rendered", "the numbers of jobs and workers, or the last picture" },
        { "UPDATE last_rendered SET job=2", "the numbers of jobs and workers, or the last picture" },
        { "UPDATE job_hot SET hidden=1 WHERE id=2", "the copy has 1 jobs of 2" },
    };
    char good[TEMP_DIR_MAX];
    temp_path(good, "%s/good.sqlite", dir);
    fill(from_spec);
    succeeds();
    copy_file(to_path, good);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        copy_file(good, to_path);
        run_sql(to_path, rows[i].sql);
        int32_t rc = verify();
        if (rc != FLAMENCO_E_CORRUPT || strstr(err.text, rows[i].said) == NULL)
            fail_msg("%s gives %d, \"%s\"", rows[i].sql, rc, err.text);
    }
}

/* A counter of the source that is wrong is not copied, and so it is found. */
static void wrong_counter_in_the_source_fails_the_copy(void **state)
{
    (void)state;
    fill(from_spec);
    run_sql(from_path, "UPDATE job_hot SET n0=n0+1 WHERE id=2");
    check_says(fails("the copy differs in job number 2: row 1"), EMPTY_FIRST);
}

/* ---- Trouble ------------------------------------------------------------------------------------------------------------ */

static void copy_that_breaks_off_says_that_the_target_must_be_emptied(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *mend, *said;
    } rows[] = {
        /* In the last round of the last job. */
        { "UPDATE task SET worker=99 WHERE id=(SELECT max(id) FROM task)",
          "UPDATE task SET worker=0 WHERE id=(SELECT max(id) FROM task)",
          "the source names worker 99, which it does not have" },
        { "UPDATE job_hot SET tag=99 WHERE id=2", "UPDATE job_hot SET tag=0 WHERE id=2",
          "the source names tag 99, which it does not have" },
    };
    fill(from_spec);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        run_sql(from_path, rows[i].sql);
        check_says(fails(rows[i].said), EMPTY_FIRST);
        run_sql(from_path, rows[i].mend);
        /* What is there now is no farm, and is not filled up. */
        check_silent_about(fails("the target is not empty"), EMPTY_FIRST);
        remove_target();
        succeeds();
        remove_target();
    }
}

static void damaged_source_breaks_the_copy_off(void **state)
{
    (void)state;
    fill(from_spec);
    /* The page that holds the commands of some tasks. */
    int64_t page = ask_sql(from_path, "SELECT max(pageno) FROM dbstat WHERE name='task_cold' AND pagetype='leaf'");
    int64_t size = ask_sql(from_path, "PRAGMA page_size");
    FILE *file = fopen(from_path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)((page - 1) * size), SEEK_SET), 0);
    for (int64_t i = 0; i < size; ++i)
        assert_int_equal(fputc(0xA5, file), 0xA5);
    assert_int_equal(fclose(file), 0);
    check_says(fails("malformed"), EMPTY_FIRST);
}

static void stores_that_cannot_be_opened_are_named(void **state)
{
    (void)state;
    char garbage[TEMP_DIR_MAX], spec[2 * TEMP_DIR_MAX], below[2 * TEMP_DIR_MAX];
    temp_path(garbage, "%s/garbage", dir);
    temp_file_write(garbage,
                    "This is no database, and never was one. It is long enough to be taken for the head of a file.");
    snprintf(spec, sizeof(spec), "persist-sqlite:%s", garbage);
    snprintf(below, sizeof(below), "persist-sqlite:%s/farm.sqlite", garbage);
    const struct {
        const char *from, *said;
    } rows[] = {
        { "", "a store is PLUGIN:PLACE" },
        { ":place", "a store is PLUGIN:PLACE" },
        { "persist-nothing:place", "persist-nothing" },
        { "/nowhere/persist-x.so:place", "/nowhere/persist-x.so" },
        { "log-storage:place", "flamenco.persistence/1" },
        { "persist-sqlite:{pth: x}", "pth" },
        { "persist-sqlite:{", "copy-data" },
        { spec, "garbage" },
        { below, "garbage/farm.sqlite" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        options.from = rows[i].from;
        check_silent_about(fails(rows[i].said), EMPTY_FIRST);
        assert_false(temp_exists(to_path)); /* it is opened after the source */
        options.from = from_spec;
        options.to = rows[i].from;
        check_silent_about(fails(rows[i].said), EMPTY_FIRST);
        options.to = to_spec;
    }
}

static void one_store_is_not_copied_to_itself(void **state)
{
    (void)state;
    fill(from_spec);
    options.to = from_spec;
    check_silent_about(fails("in use by process"), EMPTY_FIRST);
    assert_int_equal(ask_sql(from_path, "SELECT count(*) FROM job"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_is_copied_and_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_source_is_copied_with_a_warning, set_up, tear_down),
        cmocka_unit_test_setup_teardown(target_with_anything_in_it_is_refused_and_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(comparison_finds_every_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_counter_in_the_source_fails_the_copy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(copy_that_breaks_off_says_that_the_target_must_be_emptied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_source_breaks_the_copy_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stores_that_cannot_be_opened_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_store_is_not_copied_to_itself, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
