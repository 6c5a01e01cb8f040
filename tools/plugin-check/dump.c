/* SPDX-License-Identifier: Apache-2.0
 *
 * dump.c - the whole state that a transaction sees, as a text. What is not in here, a check that compares states does not see.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "store.h"

typedef struct dump {
    kit_store *s;
    flamenco_cx *cx;
    FILE *out;
    flamenco_error err;
} dump;

#define CALL(d, method, ...) \
    kit_expect_rc(__FILE__, __LINE__, #method, (d)->s->db->method((d)->s->self, (d)->cx, __VA_ARGS__, &(d)->err), \
                  FLAMENCO_OK, &(d)->err)

static void put_str(dump *d, const char *name, flamenco_str text)
{
    fprintf(d->out, " %s=\"%.*s\"", name, (int)text.len, text.len > 0 ? text.ptr : "");
}

static void put_int(dump *d, const char *name, int64_t value)
{
    fprintf(d->out, " %s=%" PRId64, name, value);
}

static void put_uuid(dump *d, const char *name, const flamenco_uuid *uuid)
{
    char text[37];
    kit_uuid_text(uuid, text);
    fprintf(d->out, " %s=%s", name, text);
}

static int32_t on_task(void *ctx, const flamenco_task *t)
{
    dump *d = ctx;
    fprintf(d->out, "  task");
    put_int(d, "key", t->key);
    put_uuid(d, "uuid", &t->uuid);
    put_int(d, "index", t->index);
    put_int(d, "status", t->status);
    put_int(d, "priority", t->priority);
    put_int(d, "open_deps", t->open_deps);
    put_int(d, "worker", t->worker_key);
    put_int(d, "created", t->created_us);
    put_int(d, "updated", t->updated_us);
    put_int(d, "touched", t->touched_us);
    put_int(d, "steps_total", t->steps_total);
    put_int(d, "steps", t->steps_completed);
    put_str(d, "name", t->name);
    put_str(d, "type", t->type);
    put_str(d, "activity", t->activity);
    fputc('\n', d->out);
    return 0;
}

static int32_t on_dep(void *ctx, const flamenco_dep *dep)
{
    fprintf(((dump *)ctx)->out, "  dep %u %u\n", dep->task, dep->needs);
    return 0;
}

static int32_t on_block(void *ctx, const flamenco_blocklist_entry *b)
{
    dump *d = ctx;
    fprintf(d->out, "  block");
    put_int(d, "worker", b->worker_key);
    put_str(d, "type", b->task_type);
    fputc('\n', d->out);
    return 0;
}

static int32_t on_job(void *ctx, const flamenco_job *j)
{
    dump *d = ctx;
    flamenco_page page = ALL_ROWS;
    fprintf(d->out, "job");
    put_int(d, "key", j->key);
    put_uuid(d, "uuid", &j->uuid);
    put_int(d, "status", j->status);
    put_int(d, "priority", j->priority);
    put_int(d, "tag", j->tag_key);
    put_int(d, "created", j->created_us);
    put_int(d, "updated", j->updated_us);
    put_int(d, "delete", j->delete_requested_us);
    put_int(d, "steps_total", j->steps_total);
    put_int(d, "steps", j->steps_completed);
    put_int(d, "n", (int64_t)j->n_tasks);
    for (size_t i = 0; i < FLAMENCO_TASK_STATUSES; ++i)
        put_int(d, "c", (int64_t)j->counts[i]);
    put_str(d, "name", j->name);
    put_str(d, "type", j->type);
    put_str(d, "activity", j->activity);
    put_str(d, "settings", j->settings);
    put_str(d, "metadata", j->metadata);
    put_str(d, "shaman", j->shaman_checkout_id);
    put_str(d, "platform", j->submitter_platform);
    fputc('\n', d->out);
    if (j->hidden) /* its tasks and all are of no interest to anybody */
        return 0;
    CALL(d, tasks_list, j->key, &page, on_task, d, NULL);
    CALL(d, deps_list, j->key, on_dep, d);
    CALL(d, blocklist_list, j->key, on_block, d);
    return 0;
}

static int32_t on_tag(void *ctx, const flamenco_tag *t)
{
    dump *d = ctx;
    fprintf(d->out, " tag");
    put_int(d, "key", t->key);
    put_uuid(d, "uuid", &t->uuid);
    put_str(d, "name", t->name);
    put_str(d, "description", t->description);
    fputc('\n', d->out);
    return 0;
}

static int32_t on_worker(void *ctx, const flamenco_worker *w)
{
    dump *d = ctx;
    fprintf(d->out, "worker");
    put_int(d, "key", w->key);
    put_uuid(d, "uuid", &w->uuid);
    put_int(d, "status", w->status);
    put_int(d, "requested", w->requested);
    put_int(d, "lazy", w->lazy);
    put_int(d, "last_good", w->last_good_status);
    put_int(d, "updated", w->updated_us);
    put_int(d, "seen", w->seen_us);
    put_int(d, "deleted", w->deleted_us);
    put_str(d, "name", w->name);
    put_str(d, "address", w->address);
    put_str(d, "types", w->task_types);
    fputc('\n', d->out);
    CALL(d, worker_tags, w->key, on_tag, d);
    return 0;
}

static int32_t on_sleep(void *ctx, const flamenco_sleep_schedule *z)
{
    dump *d = ctx;
    fprintf(d->out, "sleep");
    put_int(d, "worker", z->worker_key);
    put_int(d, "active", z->is_active);
    put_int(d, "start", z->start_minutes);
    put_int(d, "end", z->end_minutes);
    put_int(d, "next", z->next_check_us);
    put_str(d, "days", z->days);
    fputc('\n', d->out);
    return 0;
}

char *store_dump(kit_store *s, flamenco_cx *cx)
{
    char *text = NULL;
    size_t len = 0;
    dump d = { s, cx, open_memstream(&text, &len), kit_error() };
    flamenco_page page = ALL_ROWS;
    flamenco_job last = ROW(flamenco_job);
    EXPECT(d.out != NULL, "the check's memory is exhausted");
    CALL(&d, jobs_list, &page, on_job, &d, NULL);
    page.flags = FLAMENCO_PAGE_HIDDEN;
    CALL(&d, jobs_list, &page, on_job, &d, NULL);
    page.flags = FLAMENCO_PAGE_WITH_DELETED;
    CALL(&d, workers_list, &page, on_worker, &d, NULL);
    kit_expect_rc(__FILE__, __LINE__, "tags_list", s->db->tags_list(s->self, cx, on_tag, &d, &d.err), FLAMENCO_OK,
                  &d.err);
    kit_expect_rc(__FILE__, __LINE__, "sleep_list", s->db->sleep_list(s->self, cx, on_sleep, &d, &d.err), FLAMENCO_OK,
                  &d.err);
    int32_t rc = s->db->last_rendered_get(s->self, cx, &last, &d.err);
    fprintf(d.out, "last rendered %" PRId64 "\n", rc == FLAMENCO_OK ? last.key : 0);
    EXPECT(fclose(d.out) == 0 && text != NULL, "the check's memory is exhausted");
    return text;
}
