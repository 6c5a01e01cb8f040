/* SPDX-License-Identifier: Apache-2.0
 *
 * garbage.c - see garbage.h.
 */
#include "core/garbage.h"

#include "core/api/shaman.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/host.h"
#include "core/timers.h"
#include "core/workpool.h"

static int32_t show(void *ctx, const flamenco_shaman_garbage *row)
{
    const int *dry_run = ctx;
    fl_info("shaman", "%s %.*s, %llu bytes: %.*s", *dry_run ? "would delete" : "deleted", FL_STR_ARGS(row->path),
            (unsigned long long)row->size_bytes, FL_STR_ARGS(row->reason));
    return FLAMENCO_OK;
}

static void collect(struct flamenco *f, int dry_run)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_shaman_collected done = { .struct_size = (uint32_t)sizeof(done) };
    uint32_t cancelled = 0;
    fl_cx cx = { .pub = { .struct_size = (uint32_t)sizeof(cx.pub) }, .f = f, .arena = fl_arena_create(0) };
    if (cx.arena == NULL) {
        fl_error("shaman", "no memory to collect garbage");
        return;
    }
    cx.pub.host = fl_core_host(f);
    cx.pub.now_us = flamenco_clock_now_us(&f->clock);
    cx.pub.deadline_us = INT64_MAX;
    cx.pub.cancelled = &cancelled;
    if (flamenco_shaman_collect(&f->shaman, &cx.pub, (uint32_t)dry_run, show, &dry_run, &done, &err) != FLAMENCO_OK)
        fl_error("shaman", "collection of garbage: %s", err.text);
    fl_info("shaman",
            "%llu old files, %llu links checked, %llu still used, %llu unused, %llu deleted, %llu abandoned "
            "uploads, %llu bytes %s",
            (unsigned long long)done.old_files, (unsigned long long)done.links_checked,
            (unsigned long long)done.used_files, (unsigned long long)done.unused_files,
            (unsigned long long)done.removed_files, (unsigned long long)done.stale_uploads,
            (unsigned long long)done.freed_bytes, dry_run ? "would be freed" : "freed");
    if (dry_run && done.unused_files + done.stale_uploads == 0)
        fl_info("shaman", "nothing would be deleted");
    fl_arena_destroy(cx.arena);
}

void fl_garbage_collect(fl_run *run, int dry_run)
{
    struct flamenco *f = &run->f;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int32_t rc = fl_loader_start_member(f->loader, "clock", &err);
    if (rc == FLAMENCO_OK)
        rc = fl_timers_start(f, &f->timers, &err);
    if (rc == FLAMENCO_OK)
        rc = fl_workpool_start(f, &f->workpool, &err);
    if (rc == FLAMENCO_OK)
        rc = fl_loader_start_member(f->loader, "shaman", &err);
    if (rc == FLAMENCO_OK && fl_shaman_is_active(f))
        collect(f, dry_run);
    else if (rc == FLAMENCO_OK || rc == FLAMENCO_E_NOT_FOUND)
        fl_info("shaman", "Shaman is not active, there is nothing to do");
    else
        fl_error("shaman", "cannot start: %s", err.text);
    fl_run_stop(run, 0, NULL, 0);
}
