/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/event_forwarder.h - the service "flamenco.event_forwarder/1": passes events on to another system (MQTT, a webhook).
 * Called like a broadcaster. A forwarder has a bounded queue of its own, and counts what it drops.
 */
#ifndef FLAMENCO_EVENT_FORWARDER_H
#define FLAMENCO_EVENT_FORWARDER_H

#include "flamenco/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_EVENT_FORWARDER "flamenco.event_forwarder/1"

typedef struct flamenco_event_forwarder {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* Takes an event, which is borrowed; keeps it by a reference on event->buf. Must not wait for anybody. Own thread of the
     * publisher, one call at a time. */
    void (*publish)(void *self, const flamenco_event *event);
    /* Waits until what was published has been handed on, at most until deadline_us (monotonic). DEADLINE. Same thread. */
    int32_t (*flush)(void *self, int64_t deadline_us, flamenco_error *err);
} flamenco_event_forwarder;

#ifdef __cplusplus
}
#endif

#endif
