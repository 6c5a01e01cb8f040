/* SPDX-License-Identifier: Apache-2.0
 *
 * outdated.c - see outdated.h. Seen from the end, the first event of a job or task is the newest. What has been seen is kept in a
 * table where a later one may push out another: then an event too many is told, and nothing is lost.
 */
#include "outdated.h"

#define PLACES 256u /* more jobs and tasks than tell of themselves within a moment on most farms */

typedef struct newest {
    uint32_t kind; /* 0: none; jobs' and tasks' are others */
    flamenco_uuid uuid;
} newest;

static newest *place_of(newest *table, const flamenco_uuid *uuid)
{
    uint32_t hash;
    memcpy(&hash, uuid->b + 4, sizeof(hash)); /* random in every UUID that the manager makes */
    return &table[(hash ^ hash >> 16) % PLACES];
}

uint32_t outdated_drop(const flamenco_host *host, flamenco_event *events, uint32_t count)
{
    newest table[PLACES] = { { 0 } };
    uint32_t dropped = 0;
    for (uint32_t i = count; i-- > 0;) {
        flamenco_event *e = &events[i];
        if (e->kind != FLAMENCO_EVENT_JOB && e->kind != FLAMENCO_EVENT_TASK)
            continue;
        const flamenco_uuid *uuid = e->kind == FLAMENCO_EVENT_JOB ? &e->job : &e->task;
        newest *place = place_of(table, uuid);
        int is_newest = place->kind != e->kind || memcmp(&place->uuid, uuid, sizeof(*uuid)) != 0;
        if (is_newest) {
            *place = (newest){ e->kind, *uuid };
        } else if ((e->flags & FLAMENCO_EVENT_FLAG_STEPS) != 0) {
            host->buf_unref(e->buf);
            e->buf = NULL;
            ++dropped;
        }
    }
    return dropped;
}
