/* SPDX-License-Identifier: Apache-2.0
 *
 * persistence_life.c - what a store must survive: restarts, being killed in the middle of a commit, a second manager, many
 * threads, and a lack of memory.
 */
#include "groups.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store.h"

static const task_spec three_tasks[] = { { "blender", 50, { 0 }, 3 },
                                         { "ffmpeg", 60, { 1 }, 4 },
                                         { "misc", 50, { 0 }, 5 } };

static int32_t pass_job(void *ctx, const flamenco_job *row)
{
    (void)ctx;
    (void)row;
    return 0;
}

/* ---- Restart --------------------------------------------------------------------------------------------------------- */

static void restart_keeps_everything(kit *k)
{
    kit_store *s = store_start(k);
    uint64_t last = 0;
    int64_t worker = store_worker(s, "w", "blender,misc"), tag = store_tag(s, "t");
    int64_t job = store_job(s, 50, tag, three_tasks, 3);
    flamenco_task task;
    OK(s, worker_set_tags, worker, &tag, 1);
    EXPECT_INT(store_assign(s, worker, &task), FLAMENCO_OK);
    OK(s, failure_add, task.key, worker, NULL, NULL);
    OK(s, blocklist_add, job, worker, flamenco_text("ffmpeg"));
    OK(s, last_rendered_set, job);
    store_next(s);
    char *before = store_dump(s, s->cx);
    for (int i = 0; i < 3; ++i) {
        if (i > 0) /* with an open transaction, which is lost */
            OK(s, job_set_priority, job, 99);
        store_stop(s);
        store_restart(s);
        EXPECT_CODE(s->db->last_batch(s->self, s->writer, &last, &s->err), FLAMENCO_OK, &s->err);
        EXPECT_INT(last, s->batch);
        store_begin(s);
        char *after = store_dump(s, s->cx);
        EXPECT(strcmp(before, after) == 0, "after a restart there is\n%.600s\nthough there was\n%.600s", after, before);
        free(after);
    }
    expect_task(s, worker, job, task.index); /* still held */
    free(before);
    store_commit(s);
    store_check(s);
}

/* ---- Another process ------------------------------------------------------------------------------------------------- */

typedef struct other {
    pid_t pid;
    int from;
} other;

/* Starts a process that runs fn, which tells by writing to the pipe. This process must have no plugin running. */
static other start_other(kit *k, void (*fn)(kit *k, int to))
{
    int fds[2];
    other o = { 0 };
    EXPECT(pipe(fds) == 0, "the check cannot make a pipe");
    o.pid = fork();
    EXPECT(o.pid >= 0, "the check cannot start a process");
    if (o.pid == 0) {
        close(fds[0]);
        fn(k, fds[1]);
        _exit(0);
    }
    close(fds[1]);
    o.from = fds[0];
    return o;
}

/* Waits for `n` words of the other process; gives the last one. Its failures are reported by itself. */
static uint64_t hear(other *o, int n)
{
    uint64_t word = 0;
    for (int i = 0; i < n; ++i) {
        ssize_t len = read(o->from, &word, sizeof(word));
        EXPECT(len == (ssize_t)sizeof(word), "the other process ended");
    }
    return word;
}

/* Kills it, and gives the last word that it had said. */
static uint64_t kill_other(other *o, uint64_t word)
{
    uint64_t next;
    int status;
    EXPECT(kill(o->pid, SIGKILL) == 0 && waitpid(o->pid, &status, 0) == o->pid, "the check cannot kill its process");
    EXPECT(WIFSIGNALED(status), "the other process ended by itself");
    while (read(o->from, &next, sizeof(next)) == (ssize_t)sizeof(next))
        word = next;
    close(o->from);
    return word;
}

static kit_store *start_patiently(kit *k)
{
    kit_store *s = calloc(1, sizeof(*s));
    EXPECT(s != NULL, "the check's memory is exhausted");
    s->k = k;
    s->instance = kit_subject(k);
    s->err = kit_error();
    s->db = kit_table_of(s->instance, FLAMENCO_PERSISTENCE);
    kit_start_needs(s->instance);
    store_restart(s);
    return s;
}

static void say(int to, uint64_t word)
{
    if (write(to, &word, sizeof(word)) != (ssize_t)sizeof(word))
        _exit(0); /* the check is over */
}

/* Commits job after job, each with a task of every job before it changed, and tells when each is durable. */
static void commit_for_ever(kit *k, int to)
{
    kit_store *s = start_patiently(k);
    EXPECT_CODE(s->db->last_batch(s->self, s->writer, &s->batch, &s->err), FLAMENCO_OK, &s->err);
    s->uuids = s->batch * 1000;
    for (int64_t first = 0;;) {
        store_begin(s);
        int64_t job = store_job(s, 50, 0, three_tasks, 3);
        OK0(s, savepoint);
        store_job(s, 50, 0, three_tasks, 3);
        OK0(s, rollback_to);
        if (first != 0)
            set_task(s, first, 1, s->batch % 2 == 0 ? FLAMENCO_TASK_COMPLETED : FLAMENCO_TASK_QUEUED);
        first = first != 0 ? first : job;
        store_commit(s);
        store_forget(s);
        say(to, s->batch);
    }
}

static void killed_in_mid_commit_keeps_what_was_acknowledged(kit *k)
{
    uint64_t before = 0;
    for (int round = 0; round < 6; ++round) {
        other o = start_other(k, commit_for_ever);
        uint64_t told = hear(&o, 3 + round * 5);
        (void)usleep((useconds_t)(round * 1500));
        told = kill_other(&o, told);
        kit_store *s = start_patiently(k);
        uint64_t last = 0, counts[FLAMENCO_JOB_STATUSES];
        EXPECT_CODE(s->db->last_batch(s->self, s->writer, &last, &s->err), FLAMENCO_OK, &s->err);
        EXPECT(last >= told, "batch %llu was committed, and after the kill the last batch is %llu",
               (unsigned long long)told, (unsigned long long)last);
        EXPECT(last <= told + 1 && last > before, "after the kill the last batch is %llu; %llu were told",
               (unsigned long long)last, (unsigned long long)told);
        store_begin(s);
        OK(s, jobs_count, counts);
        EXPECT(counts[FLAMENCO_JOB_QUEUED] == last, "%llu batches of one job each are stored, and %llu jobs",
               (unsigned long long)last, (unsigned long long)counts[FLAMENCO_JOB_QUEUED]);
        flamenco_page page = ALL_ROWS;
        uint64_t hidden = 9;
        page.flags = FLAMENCO_PAGE_HIDDEN;
        page.limit = 1;
        OK(s, jobs_list, &page, pass_job, NULL, &hidden);
        EXPECT(hidden == 0, "%llu hidden jobs are left, though each was shown in its own transaction",
               (unsigned long long)hidden);
        s->batch = last;
        free(store_dump(s, s->cx)); /* everything can be read */
        s->db->rollback(s->self, s->cx);
        store_check(s);
        store_stop(s);
        before = last;
    }
}

static void hold_the_store(kit *k, int to)
{
    kit_store *s = start_patiently(k);
    store_begin(s);
    store_job(s, 50, 0, three_tasks, 3);
    store_commit(s);
    say(to, 1);
    for (;;)
        (void)pause();
}

static void store_has_one_manager(kit *k)
{
    other o = start_other(k, hold_the_store);
    (void)hear(&o, 1);
    kit_instance *i = kit_subject(k);
    flamenco_error err = kit_error();
    kit_start_needs(i);
    int32_t rc = kit_try_start(i, &err);
    EXPECT(rc == FLAMENCO_E_BUSY, "a second start on a store that is in use gives %s: %s", kit_code_name(rc), err.text);
    EXPECT(err.text[0] != '\0', "BUSY comes without a text that names the holder");
    EXPECT_INT(i->live, 0);
    (void)kill_other(&o, 1);
    kit_store *s = start_patiently(k);
    store_begin(s);
    uint64_t counts[FLAMENCO_JOB_STATUSES];
    OK(s, jobs_count, counts);
    EXPECT_INT(counts[FLAMENCO_JOB_QUEUED], 1);
    store_commit(s);
    store_stop(s);
    store_restart(s); /* one that was stopped is free at once, or within the patience of store_restart */
    store_stop(s);
}

/* ---- Threads --------------------------------------------------------------------------------------------------------- */

typedef struct crowd {
    kit_store *s;
    int64_t a, b, worker;
    uint32_t done;
    uint64_t reads;
} crowd;

typedef struct tally {
    uint64_t counts[FLAMENCO_TASK_STATUSES];
} tally;

static int32_t tally_task(void *ctx, const flamenco_task *row)
{
    EXPECT_TRUE(row->status < FLAMENCO_TASK_STATUSES);
    ++((tally *)ctx)->counts[row->status];
    return 0;
}

static void read_along(crowd *c)
{
    kit_store *s = c->s;
    while (!__atomic_load_n(&c->done, __ATOMIC_ACQUIRE)) {
        kit_reader r = reader_open(s);
        flamenco_job a = ROW(flamenco_job), b = ROW(flamenco_job);
        flamenco_page page = ALL_ROWS;
        flamenco_task task;
        tally seen = { { 0 } };
        reader_begin(&r);
        EXPECT_CODE(s->db->job_get_key(s->self, r.cx, c->a, &a, &r.err), FLAMENCO_OK, &r.err);
        (void)sched_yield();
        EXPECT_CODE(s->db->job_get_key(s->self, r.cx, c->b, &b, &r.err), FLAMENCO_OK, &r.err);
        EXPECT(a.priority == b.priority, "two jobs that are changed in one transaction are seen with %d and %d",
               a.priority, b.priority);
        EXPECT_CODE(s->db->tasks_list(s->self, r.cx, c->a, &page, tally_task, &seen, NULL, &r.err), FLAMENCO_OK,
                    &r.err);
        EXPECT(memcmp(seen.counts, a.counts, sizeof(seen.counts)) == 0,
               "a job's counts and its tasks do not agree within one snapshot");
        int32_t rc =
            store_pick(&(kit_store){ .self = s->self, .db = s->db, .err = kit_error() }, r.cx, c->worker, &task);
        EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_E_NOT_FOUND, "picking in a snapshot gives %s", kit_code_name(rc));
        reader_end(&r);
        reader_close(&r);
        __atomic_add_fetch(&c->reads, 1, __ATOMIC_RELAXED);
    }
}

static void write_along(crowd *c)
{
    static const uint32_t statuses[] = { FLAMENCO_TASK_ACTIVE, FLAMENCO_TASK_COMPLETED, FLAMENCO_TASK_QUEUED,
                                         FLAMENCO_TASK_FAILED, FLAMENCO_TASK_QUEUED };
    kit_store *s = c->s;
    for (int i = 0; i < 150; ++i) {
        store_begin(s);
        OK(s, job_set_priority, c->a, 100 + i);
        set_task(s, c->a, 1 + (uint32_t)i % 3, statuses[i % 5]);
        OK0(s, savepoint);
        set_task(s, c->a, 1 + (uint32_t)(i + 1) % 3, statuses[(i + 2) % 5]);
        if (i % 2 == 0)
            OK0(s, rollback_to);
        else
            OK0(s, release);
        OK(s, job_set_priority, c->b, 100 + i);
        store_commit(s);
        store_forget(s);
    }
    __atomic_store_n(&c->done, 1, __ATOMIC_RELEASE);
}

static void one_of_a_crowd(void *ctx, uint32_t index)
{
    if (index == 0)
        write_along(ctx);
    else
        read_along(ctx);
}

static void readers_and_the_writer_run_side_by_side(kit *k)
{
    kit_store *s = store_start(k);
    crowd c = { .s = s, .worker = store_worker(s, "w", "blender,ffmpeg,misc") };
    c.a = store_job(s, 99, 0, three_tasks, 3);
    c.b = store_job(s, 99, 0, three_tasks, 3);
    store_commit(s);
    store_forget(s);
    kit_threads(5, one_of_a_crowd, &c);
    EXPECT(c.reads > 0, "no reader came to its turn");
    store_check(s);
    store_stop(s);
}

typedef struct interrupted {
    kit_store *s;
    kit_reader r;
    uint32_t done;
} interrupted;

static void interrupt_or_read(void *ctx, uint32_t index)
{
    interrupted *i = ctx;
    const flamenco_persistence *db = i->s->db;
    flamenco_page page = ALL_ROWS;
    if (index == 0) {
        while (!__atomic_load_n(&i->done, __ATOMIC_ACQUIRE))
            db->interrupt(i->s->self, i->r.session);
        return;
    }
    for (int n = 0; n < 100; ++n) {
        int32_t rc = db->begin(i->s->self, i->r.session, i->r.cx, &i->r.err);
        EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_E_CANCELLED, "begin gives %s while it is interrupted",
               kit_code_name(rc));
        if (rc == FLAMENCO_OK)
            rc = db->jobs_list(i->s->self, i->r.cx, &page, pass_job, NULL, NULL, &i->r.err);
        EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_E_CANCELLED, "a list gives %s while it is interrupted",
               kit_code_name(rc));
        db->rollback(i->s->self, i->r.cx);
    }
    __atomic_store_n(&i->done, 1, __ATOMIC_RELEASE);
}

static void interrupt_comes_from_any_thread(kit *k)
{
    kit_store *s = store_start(k);
    for (int n = 0; n < 20; ++n)
        store_job(s, 50, 0, three_tasks, 3);
    store_commit(s);
    interrupted i = { .s = s, .r = reader_open(s) };
    kit_threads(2, interrupt_or_read, &i);
    flamenco_page page = ALL_ROWS;
    reader_begin(&i.r);
    int32_t rc = s->db->jobs_list(s->self, i.r.cx, &page, pass_job, NULL, NULL, &i.r.err);
    EXPECT(rc == FLAMENCO_OK, "after the interrupts a list gives %s: %s", kit_code_name(rc), i.r.err.text);
    reader_close(&i.r);
    store_stop(s);
}

/* ---- Memory ---------------------------------------------------------------------------------------------------------- */

typedef struct scarce {
    int64_t job, worker, tag, task;
    flamenco_uuid worker_uuid;
} scarce;

static int32_t by_number(kit_store *s, const scarce *c, int number)
{
    flamenco_job job = new_job(s);
    flamenco_new_task tasks[2] = { new_task(s), new_task(s) };
    flamenco_worker worker = new_worker(s, "new", "new-type,blender");
    flamenco_worker_update sign_on = { (uint32_t)sizeof(sign_on), FLAMENCO_WORKER_SET_SIGN_ON, &worker };
    flamenco_task_update done = { .struct_size = (uint32_t)sizeof(done),
                                  .set = FLAMENCO_TASK_SET_STATUS | FLAMENCO_TASK_SET_ACTIVITY,
                                  .status = FLAMENCO_TASK_COMPLETED,
                                  .activity = flamenco_text("done") };
    flamenco_tag tag = { .struct_size = (uint32_t)sizeof(tag), .uuid = store_uuid(s), .name = flamenco_text("new") };
    flamenco_job_counts counts = ROW(flamenco_job_counts);
    flamenco_task task = ROW(flamenco_task);
    flamenco_job row = ROW(flamenco_job);
    flamenco_page page = ALL_ROWS;
    int64_t key = 0;
    uint64_t n = 0;
    uint32_t cursor = 0, end = 0;
    int32_t rc;
    switch (number) {
    case 0:
        rc = DB(s, job_insert_hidden, &job, 2, &key);
        if (rc == FLAMENCO_OK)
            rc = DB(s, tasks_insert, key, 1, tasks, sizeof(tasks[0]), 2);
        if (rc == FLAMENCO_OK)
            rc = DB(s, job_show, key, &counts);
        return rc;
    case 1:
        return DB(s, worker_insert, &worker, &key);
    case 2:
        return DB(s, worker_update, c->worker, &sign_on);
    case 3:
        return DB(s, task_update, c->task, &done, &counts);
    case 4:
        return DB(s, tag_insert, &tag, &key);
    case 5:
        return DB(s, worker_set_tags, c->worker, &c->tag, 1);
    case 6:
        return DB(s, tasks_bulk_status, c->job, 127, FLAMENCO_TASK_CANCELED, flamenco_text("no"), 0, &cursor, &end,
                  &counts);
    case 7:
        return DB(s, job_set_status, c->job, FLAMENCO_JOB_PAUSED, flamenco_text("wait"), &counts);
    case 8:
        return DB(s, blocklist_add, c->job, c->worker, flamenco_text("blender"));
    case 9:
        return DB(s, failure_add, c->task, c->worker, &n, &n);
    case 10:
        return DB(s, tag_delete, c->tag, &n);
    case 11:
        return DB(s, job_hide, c->job);
    case 12:
        return DB(s, task_get_key, c->task, &task);
    case 13:
        return DB(s, job_get_key, c->job, &row);
    case 14:
        return DB(s, jobs_list, &page, pass_job, NULL, &n);
    case 15:
        return DB(s, job_set_storage, c->job, flamenco_text("a/b"));
    case 16:
        return DB(s, workers_capable, c->job, flamenco_text("blender"), c->task, NOW, &n);
    default:
        return FLAMENCO_E_NOT_FOUND;
    }
}

static void methods_survive_a_lack_of_memory(kit *k)
{
    kit_store *s = store_start(k);
    scarce c = { .worker = store_worker(s, "w", "blender"), .tag = store_tag(s, "t") };
    c.job = store_job(s, 50, 0, three_tasks, 3);
    c.task = read_task(s, c.job, 1).key;
    store_next(s);
    for (int number = 0; number <= 16; ++number) {
        for (uint64_t n = 1; n < 200; ++n) {
            OK0(s, savepoint);
            uint64_t uuids = s->uuids;
            char *before = store_dump(s, s->cx);
            k->allocations = k->failed_allocations = 0;
            k->fail_at = n;
            int32_t rc = by_number(s, &c, number);
            k->fail_at = 0;
            EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_E_NOMEM || rc == FLAMENCO_E_UNAVAILABLE,
                   "call %d gives %s when allocation %llu fails: %s", number, kit_code_name(rc), (unsigned long long)n,
                   s->err.text);
            if (rc == FLAMENCO_E_NOMEM && number != 0) { /* 0 is a chain of calls */
                char *after = store_dump(s, s->cx);
                EXPECT(strcmp(before, after) == 0,
                       "call %d gives NOMEM when allocation %llu fails, and has changed "
                       "something",
                       number, (unsigned long long)n);
                free(after);
            }
            free(before);
            uint64_t failed = k->failed_allocations;
            s->uuids = uuids;
            if (rc == FLAMENCO_E_UNAVAILABLE) {
                s->db->rollback(s->self, s->cx);
                store_begin(s);
            } else {
                OK0(s, rollback_to);
            }
            if (failed == 0)
                break;
        }
        store_commit(s);
        store_forget(s);
        store_begin(s);
    }
    store_commit(s);
    store_check(s);
    store_stop(s);
    EXPECT_INT(s->instance->live, 0);
}

/* ---- Optional methods ------------------------------------------------------------------------------------------------ */

static void backup_is_made_once(kit *k)
{
    kit_store *s = store_start(k);
    store_job(s, 50, 0, three_tasks, 3);
    store_commit(s);
    if (s->db->backup == NULL)
        kit_skip("it has no backup");
    char path[4096];
    snprintf(path, sizeof(path), "%s/copy", k->dir);
    kit_reader r = reader_open(s);
    int32_t rc = s->db->backup(s->self, r.session, flamenco_text(path), r.cx, &r.err);
    if (rc == FLAMENCO_E_UNSUPPORTED)
        kit_skip("its backup is UNSUPPORTED: %s", r.err.text);
    EXPECT_CODE(rc, FLAMENCO_OK, &r.err);
    EXPECT_CODE(s->db->backup(s->self, r.session, flamenco_text(path), r.cx, &r.err), FLAMENCO_E_EXISTS, &r.err);
    reader_close(&r);
    store_stop(s);
}

static void own_check_finds_nothing(kit *k)
{
    kit_store *s = store_start(k);
    if (s->db->check == NULL)
        kit_skip("it has no check");
    for (int i = 0; i < 5; ++i) {
        int64_t job = store_job(s, 50, 0, three_tasks, 3);
        set_task(s, job, 1, (uint32_t)i % FLAMENCO_TASK_STATUSES);
    }
    store_commit(s);
    store_check(s);
    store_stop(s);
}

// clang-format off
static const kit_check checks[] = {
    { "persistence.restart", FLAMENCO_PERSISTENCE, restart_keeps_everything,
      "after stop, destroy, create and start on the same configuration everything committed is there, and nothing else",
      "persistence.h: commit" },
    { "persistence.kill", FLAMENCO_PERSISTENCE, killed_in_mid_commit_keeps_what_was_acknowledged,
      "after kill -9 in the middle of commits each batch is there whole or not at all, and every acknowledged one is there",
      "persistence.h: commit" },
    { "persistence.lease", FLAMENCO_PERSISTENCE, store_has_one_manager,
      "start gives BUSY while another process has the store, and works once that was killed",
      "architecture.md: one active manager per store" },
    { "persistence.threads", FLAMENCO_PERSISTENCE, readers_and_the_writer_run_side_by_side,
      "readers on four threads see consistent states while the writer commits",
      "plugin.h: THREAD TAGS" },
    { "persistence.interrupt.any-thread", FLAMENCO_PERSISTENCE, interrupt_comes_from_any_thread,
      "interrupt from another thread at any moment gives CANCELLED or nothing",
      "persistence.h: interrupt" },
    { "persistence.memory", FLAMENCO_PERSISTENCE, methods_survive_a_lack_of_memory,
      "whichever allocation fails, the method gives NOMEM and has changed nothing, and nothing leaks",
      "persistence.h: FAILURES" },
    { "persistence.backup", FLAMENCO_PERSISTENCE, backup_is_made_once,
      "backup makes a copy, and gives EXISTS when it is there",
      "persistence.h: backup" },
    { "persistence.check", FLAMENCO_PERSISTENCE, own_check_finds_nothing,
      "the store's own check finds nothing wrong in a store without faults",
      "persistence.h: check" },
};
// clang-format on

const kit_group persistence_life_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
