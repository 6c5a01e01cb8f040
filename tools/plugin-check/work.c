/* SPDX-License-Identifier: Apache-2.0
 *
 * work.c - checks of the services that do the heavy work: job compiler and Shaman.
 */
#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "flamenco/job_compiler.h"
#include "flamenco/shaman.h"
#include "groups.h"
#include "store.h"

/* ---- Job compiler ---------------------------------------------------------------------------------------------------- */

#define TYPES_MOST 32

typedef struct types {
    size_t n, most;
    char names[TYPES_MOST][128], etags[TYPES_MOST][64];
} types;

static int32_t on_type(void *ctx, const flamenco_job_type *type)
{
    types *t = ctx;
    EXPECT(t->n < TYPES_MOST, "a list goes on after it was ended, or there are too many job types for this check");
    snprintf(t->names[t->n], sizeof(t->names[0]), "%.*s", (int)type->name.len, type->name.ptr);
    snprintf(t->etags[t->n], sizeof(t->etags[0]), "%.*s", (int)type->etag.len, type->etag.ptr);
    EXPECT(type->name.len > 0 && type->json.len > 2 && type->json.ptr[0] == '{', "a job type has no name or no JSON");
    EXPECT(type->etag.len == 40 && strspn(t->etags[t->n], "0123456789abcdef") == 40, "the etag of %s is \"%s\"",
           t->names[t->n], t->etags[t->n]);
    return ++t->n == t->most;
}

typedef struct compiling {
    kit_instance *i;
    const flamenco_job_compiler *table;
    kit_cx *cx;
    flamenco_error err;
} compiling;

static compiling compiler_start(kit *k)
{
    compiling c = { .i = kit_start_subject(k), .err = kit_error() };
    c.table = kit_table_of(c.i, FLAMENCO_JOB_COMPILER);
    c.cx = kit_cx_make(c.i);
    return c;
}

static void job_types_are_listed(kit *k)
{
    compiling c = compiler_start(k);
    types all = { 0 }, again = { 0 }, one = { .most = 1 };
    EXPECT_CODE(c.table->list(c.i->self, &c.cx->cx, on_type, &all, &c.err), FLAMENCO_OK, &c.err);
    EXPECT(all.n > 0, "there is no job type");
    EXPECT_CODE(c.table->list(c.i->self, &c.cx->cx, on_type, &again, &c.err), FLAMENCO_OK, &c.err);
    EXPECT(memcmp(&all, &again, sizeof(all)) == 0, "two lists differ, though nothing changed");
    EXPECT_CODE(c.table->list(c.i->self, &c.cx->cx, on_type, &one, &c.err), FLAMENCO_OK, &c.err);
    EXPECT_INT(one.n, 1);
    for (size_t n = 0; n < all.n; ++n) {
        types got = { 0 };
        EXPECT(n == 0 || strcmp(all.names[n - 1], all.names[n]) < 0, "the list is not ascending by name");
        EXPECT_CODE(c.table->get(c.i->self, &c.cx->cx, flamenco_text(all.names[n]), on_type, &got, &c.err), FLAMENCO_OK,
                    &c.err);
        EXPECT(got.n == 1 && strcmp(got.etags[0], all.etags[n]) == 0, "get of %s gives something else than list",
               all.names[n]);
    }
    types none = { 0 };
    EXPECT_RC(c.table->get(c.i->self, &c.cx->cx, flamenco_text("no-such-type"), on_type, &none, &c.err),
              FLAMENCO_E_NOT_FOUND);
    EXPECT_INT(none.n, 0);
    kit_cx_end(c.cx);
    kit_end_all(k);
}

typedef struct sunk {
    uint64_t jobs, tasks, announced;
    int64_t steps, steps_total;
} sunk;

static int32_t on_job(void *ctx, const flamenco_compiled_job *job)
{
    sunk *s = ctx;
    EXPECT(s->jobs++ == 0 && s->tasks == 0, "the sink gets its job twice, or behind tasks");
    s->announced = job->n_tasks;
    s->steps_total = job->steps_total;
    EXPECT_TRUE(job->type.len > 0 && job->settings.len >= 2 && job->metadata.len >= 2);
    return 0;
}

static int32_t on_tasks(void *ctx, const flamenco_compiled_task *rows, uint64_t stride, uint64_t n)
{
    sunk *s = ctx;
    EXPECT(s->jobs == 1 && n > 0 && rows != NULL && stride >= sizeof(*rows), "the sink gets tasks before their job");
    s->tasks += n;
    return 0;
}

static int32_t compile(compiling *c, const char *type, const char *etag, const char *settings, sunk *out)
{
    const flamenco_compile_sink sink = {
        .struct_size = (uint32_t)sizeof(sink), .ctx = out, .job = on_job, .tasks = on_tasks
    };
    const flamenco_compile_request request = { .struct_size = (uint32_t)sizeof(request),
                                               .priority = 50,
                                               .type = flamenco_text(type),
                                               .etag = flamenco_text(etag),
                                               .name = flamenco_text("job"),
                                               .settings = flamenco_text(settings) };
    *out = (sunk){ 0 };
    return c->table->compile(c->i->self, &c->cx->cx, &request, &sink, &c->err);
}

static void jobs_are_compiled_or_refused(kit *k)
{
    compiling c = compiler_start(k);
    types all = { 0 };
    sunk got;
    EXPECT_CODE(c.table->list(c.i->self, &c.cx->cx, on_type, &all, &c.err), FLAMENCO_OK, &c.err);
    for (size_t n = 0; n < all.n; ++n) {
        /* Whether a job type wants settings is its own business. */
        int32_t rc = compile(&c, all.names[n], all.etags[n], "{}", &got);
        EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_E_INVALID, "compiling %s gives %s: %s", all.names[n],
               kit_code_name(rc), c.err.text);
        EXPECT(rc != FLAMENCO_OK || (got.jobs == 1 && got.tasks == got.announced),
               "%s: %llu tasks were announced, %llu came", all.names[n], (unsigned long long)got.announced,
               (unsigned long long)got.tasks);
        EXPECT(rc == FLAMENCO_OK || c.err.text[0] != '\0', "%s is refused without a text", all.names[n]);
        rc = compile(&c, all.names[n], "0000000000000000000000000000000000000000", "{}", &got);
        EXPECT(rc == FLAMENCO_E_CONFLICT && got.jobs == 0, "another etag gives %s", kit_code_name(rc));
    }
    EXPECT_RC(compile(&c, "no-such-type", "", "{}", &got), FLAMENCO_E_NOT_FOUND);
    kit_cx_end(c.cx);
    kit_end_all(k);
}

typedef struct compile_crowd {
    kit_instance *i;
    const flamenco_job_compiler *table;
    types all;
} compile_crowd;

static void compile_in_a_crowd(void *ctx, uint32_t index)
{
    compile_crowd *crowd = ctx;
    compiling c = { .i = crowd->i, .table = crowd->table, .cx = kit_cx_make(crowd->i), .err = kit_error() };
    sunk got;
    for (size_t n = 0; n < 4; ++n) {
        const char *type = crowd->all.names[(index + n) % crowd->all.n];
        int32_t rc = compile(&c, type, "", "{}", &got);
        EXPECT(rc == FLAMENCO_OK || rc == FLAMENCO_E_INVALID || rc == FLAMENCO_E_FULL, "compiling %s gives %s: %s",
               type, kit_code_name(rc), c.err.text);
    }
    kit_cx_end(c.cx);
}

static void threads_compile_side_by_side(kit *k)
{
    compiling c = compiler_start(k);
    compile_crowd crowd = { .i = c.i, .table = c.table };
    EXPECT_CODE(c.table->list(c.i->self, &c.cx->cx, on_type, &crowd.all, &c.err), FLAMENCO_OK, &c.err);
    EXPECT(crowd.all.n > 0, "there is no job type");
    kit_threads(4, compile_in_a_crowd, &crowd);
    kit_cx_end(c.cx);
    kit_end_all(k);
}

static void cancelled_work_is_given_up(kit *k)
{
    compiling c = compiler_start(k);
    types all = { 0 };
    sunk got;
    EXPECT_CODE(c.table->list(c.i->self, &c.cx->cx, on_type, &all, &c.err), FLAMENCO_OK, &c.err);
    EXPECT(all.n > 0, "there is no job type");
    c.cx->cancelled = 1;
    int32_t rc = compile(&c, all.names[0], "", "{}", &got);
    EXPECT(rc == FLAMENCO_E_CANCELLED, "compiling for a cx that is cancelled gives %s", kit_code_name(rc));
    c.cx->cancelled = 0;
    c.cx->cx.deadline_us = 1;
    rc = compile(&c, all.names[0], "", "{}", &got);
    EXPECT(rc == FLAMENCO_E_DEADLINE, "compiling past the deadline gives %s", kit_code_name(rc));
    kit_cx_end(c.cx);
    kit_end_all(k);
}

/* ---- Shaman ---------------------------------------------------------------------------------------------------------- */

/* The checksums of the texts, as sha256sum gives them. */
#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define WORLD "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7"

typedef struct pool {
    kit_instance *i;
    const flamenco_shaman *table;
    kit_cx *cx;
    flamenco_error err;
} pool;

static pool shaman_start(kit *k)
{
    pool p = { .i = kit_start_subject(k), .err = kit_error() };
    p.table = kit_table_of(p.i, FLAMENCO_SHAMAN);
    p.cx = kit_cx_make(p.i);
    if (!p.table->is_active(p.i->self))
        kit_skip("it is switched off by its settings");
    return p;
}

static uint32_t status_of(pool *p, const char *sha, int64_t size)
{
    uint32_t status = 77;
    EXPECT_CODE(p->table->file_status(p->i->self, &p->cx->cx, flamenco_text(sha), size, &status, &p->err), FLAMENCO_OK,
                &p->err);
    EXPECT_TRUE(status <= FLAMENCO_SHAMAN_STORED);
    return status;
}

static int32_t upload(pool *p, const char *sha, int64_t size, const char *content)
{
    flamenco_shaman_upload *u = NULL;
    int32_t rc =
        p->table->upload_begin(p->i->self, &p->cx->cx, flamenco_text(sha), size, flamenco_text("a.blend"), &u, &p->err);
    for (const char *c = content; rc == FLAMENCO_OK && *c != '\0'; ++c) {
        rc = p->table->upload_write(p->i->self, u, c, 1, &p->err);
        if (rc != FLAMENCO_OK)
            p->table->upload_abort(p->i->self, u);
    }
    return rc == FLAMENCO_OK ? p->table->upload_end(p->i->self, u, &p->err) : rc;
}

static void uploads_are_stored(kit *k)
{
    pool p = shaman_start(k);
    flamenco_shaman_upload *u = NULL;
    EXPECT_INT(status_of(&p, HELLO, 5), FLAMENCO_SHAMAN_UNKNOWN);
    EXPECT_CODE(p.table->upload_begin(p.i->self, &p.cx->cx, flamenco_text(HELLO), 5, flamenco_text("x"), &u, &p.err),
                FLAMENCO_OK, &p.err);
    EXPECT_INT(status_of(&p, HELLO, 5), FLAMENCO_SHAMAN_UPLOADING);
    p.table->upload_abort(p.i->self, u);
    EXPECT_INT(status_of(&p, HELLO, 5), FLAMENCO_SHAMAN_UNKNOWN);
    EXPECT_CODE(upload(&p, HELLO, 5, "hello"), FLAMENCO_OK, &p.err);
    EXPECT_INT(status_of(&p, HELLO, 5), FLAMENCO_SHAMAN_STORED);
    EXPECT_RC(upload(&p, HELLO, 5, "hello"), FLAMENCO_E_EXISTS);
    kit_end_all(k);
    kit_start_subject(k);
    EXPECT_INT(status_of(&p, HELLO, 5), FLAMENCO_SHAMAN_STORED);
}

static void wrong_uploads_are_refused(kit *k)
{
    pool p = shaman_start(k);
    EXPECT_RC(upload(&p, HELLO, 5, "hallo"), FLAMENCO_E_INVALID);
    EXPECT(p.err.text[0] != '\0', "a wrong checksum is refused without a text");
    EXPECT_RC(upload(&p, HELLO, 5, "hell"), FLAMENCO_E_INVALID);
    EXPECT_RC(upload(&p, HELLO, 5, "hello!"), FLAMENCO_E_INVALID);
    EXPECT_INT(status_of(&p, HELLO, 5), FLAMENCO_SHAMAN_UNKNOWN);
    EXPECT_CODE(upload(&p, HELLO, 5, "hello"), FLAMENCO_OK, &p.err);
}

static int32_t checkout(pool *p, const char *path, const char *name, const char *sha, flamenco_str *out)
{
    const flamenco_shaman_file file = {
        .struct_size = (uint32_t)sizeof(file), .size_bytes = 5, .sha = flamenco_text(sha), .path = flamenco_text(name)
    };
    return p->table->checkout(p->i->self, &p->cx->cx, flamenco_text(path), &file, sizeof(file), 1, out, &p->err);
}

static void checkouts_are_made_and_erased(kit *k)
{
    pool p = shaman_start(k);
    flamenco_str first = { "x", 77 }, second, third;
    EXPECT_CODE(upload(&p, HELLO, 5, "hello"), FLAMENCO_OK, &p.err);
    EXPECT_RC(checkout(&p, "job", "a.blend", WORLD, &first), FLAMENCO_E_NOT_FOUND);
    EXPECT(first.len == 77, "what fails writes to its output");
    static const char *const wrong[] = { "../up", "/etc/x", "a/../../b", "" };
    for (size_t n = 0; n < sizeof(wrong) / sizeof(wrong[0]); ++n) {
        int32_t rc = n < 3 ? checkout(&p, wrong[n], "a.blend", HELLO, &first) : FLAMENCO_E_INVALID;
        EXPECT(rc == FLAMENCO_E_INVALID, "a checkout as \"%s\" gives %s", wrong[n], kit_code_name(rc));
        rc = n < 3 ? checkout(&p, "job", wrong[n], HELLO, &first) : FLAMENCO_E_INVALID;
        EXPECT(rc == FLAMENCO_E_INVALID, "a file as \"%s\" in a checkout gives %s", wrong[n], kit_code_name(rc));
    }
    EXPECT_CODE(checkout(&p, "job", "sub/a.blend", HELLO, &first), FLAMENCO_OK, &p.err);
    EXPECT_CODE(checkout(&p, "job", "sub/a.blend", HELLO, &second), FLAMENCO_OK, &p.err);
    EXPECT(!flamenco_str_equal(first, second), "two checkouts have one name");
    EXPECT_CODE(p.table->erase_checkout(p.i->self, &p.cx->cx, first, &p.err), FLAMENCO_OK, &p.err);
    EXPECT_CODE(p.table->erase_checkout(p.i->self, &p.cx->cx, first, &p.err), FLAMENCO_OK, &p.err);
    EXPECT_RC(p.table->erase_checkout(p.i->self, &p.cx->cx, flamenco_text("../../x"), &p.err), FLAMENCO_E_INVALID);
    EXPECT_CODE(checkout(&p, "job", "a.blend", HELLO, &third), FLAMENCO_OK, &p.err);
    EXPECT_INT(status_of(&p, HELLO, 5), FLAMENCO_SHAMAN_STORED);
}

static void requirements_tell_what_is_missing(kit *k)
{
    pool p = shaman_start(k);
    flamenco_shaman_file files[2] = { { .struct_size = (uint32_t)sizeof(files[0]), .size_bytes = 5 },
                                      { .struct_size = (uint32_t)sizeof(files[0]), .size_bytes = 5 } };
    files[0].sha = flamenco_text(HELLO);
    files[1].sha = flamenco_text(WORLD);
    EXPECT_CODE(upload(&p, HELLO, 5, "hello"), FLAMENCO_OK, &p.err);
    EXPECT_CODE(p.table->requirements(p.i->self, &p.cx->cx, files, sizeof(files[0]), 2, &p.err), FLAMENCO_OK, &p.err);
    EXPECT_INT(files[0].status, FLAMENCO_SHAMAN_STORED);
    EXPECT_INT(files[1].status, FLAMENCO_SHAMAN_UNKNOWN);
}

static int32_t pass_garbage(void *ctx, const flamenco_shaman_garbage *row)
{
    EXPECT_TRUE(row->path.len > 0);
    ++*(int *)ctx;
    return 0;
}

static void young_files_are_no_garbage(kit *k)
{
    pool p = shaman_start(k);
    flamenco_shaman_collected out = ROW(flamenco_shaman_collected);
    int n = 0;
    if (p.table->collect == NULL)
        kit_skip("it has no collect");
    EXPECT_CODE(upload(&p, HELLO, 5, "hello"), FLAMENCO_OK, &p.err);
    for (uint32_t dry = 2; dry-- > 0;)
        EXPECT_CODE(p.table->collect(p.i->self, &p.cx->cx, dry, pass_garbage, &n, &out, &p.err), FLAMENCO_OK, &p.err);
    EXPECT_INT(n, 0);
    EXPECT_INT(out.removed_files, 0);
    EXPECT_INT(status_of(&p, HELLO, 5), FLAMENCO_SHAMAN_STORED);
}

// clang-format off
static const kit_check checks[] = {
    { "job_compiler.types", FLAMENCO_JOB_COMPILER, job_types_are_listed,
      "job types are listed by name, with etags, and can be had one by one", "job_compiler.h: list, get" },
    { "job_compiler.compile", FLAMENCO_JOB_COMPILER, jobs_are_compiled_or_refused,
      "each type is compiled into a sink or refused with a text; CONFLICT for another etag, NOT_FOUND for another type",
      "job_compiler.h: compile" },
    { "job_compiler.threads", FLAMENCO_JOB_COMPILER, threads_compile_side_by_side,
      "several threads compile side by side", "job_compiler.h: compile" },
    { "job_compiler.give-up", FLAMENCO_JOB_COMPILER, cancelled_work_is_given_up,
      "a cancelled cx gives CANCELLED, a late one DEADLINE", "job_compiler.h: TIME" },
    { "shaman.upload", FLAMENCO_SHAMAN, uploads_are_stored,
      "an upload is unknown, uploading, stored, and there after a restart", "shaman.h: upload_begin" },
    { "shaman.upload-errors", FLAMENCO_SHAMAN, wrong_uploads_are_refused,
      "an upload of another size or checksum is refused and leaves nothing", "shaman.h: upload_end" },
    { "shaman.checkout", FLAMENCO_SHAMAN, checkouts_are_made_and_erased,
      "checkouts have names of their own, stay within their folder, and are erased", "shaman.h: checkout" },
    { "shaman.requirements", FLAMENCO_SHAMAN, requirements_tell_what_is_missing,
      "requirements tells of each file whether it is stored", "shaman.h: requirements" },
    { "shaman.collect", FLAMENCO_SHAMAN, young_files_are_no_garbage,
      "files that were needed lately are no garbage", "shaman.h: collect" },
};
// clang-format on

const kit_group work_checks = { checks, sizeof(checks) / sizeof(checks[0]) };
