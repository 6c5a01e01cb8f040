/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/broadcaster.h - the service "flamenco.broadcaster/1": tells open web pages what happened. Called by the core's
 * publisher after each commit, in order, one call at a time.
 */
#ifndef FLAMENCO_BROADCASTER_H
#define FLAMENCO_BROADCASTER_H

#include "flamenco/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_BROADCASTER "flamenco.broadcaster/1"

typedef struct flamenco_broadcaster {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* Takes an event, which is borrowed; keeps it by a reference on event->buf. Must not wait for anybody. Own thread of the
     * publisher, one call at a time. */
    void (*publish)(void *self, const flamenco_event *event);
    /* Waits until what was published has been handed on, at most until deadline_us (monotonic). DEADLINE. Same thread. */
    int32_t (*flush)(void *self, int64_t deadline_us, flamenco_error *err);

    /* -- optional -- */

    /* Whether anybody may hear of an event of this kind (FLAMENCO_EVENT_*) that is published next: 1, or 0, and then it need not
     * be made. Asked before each text of a task log, which are many and large. Without this method everything is published.
     * Same thread. */
    int32_t (*wants)(void *self, uint32_t kind);
} flamenco_broadcaster;

#ifdef __cplusplus
}
#endif

#endif
