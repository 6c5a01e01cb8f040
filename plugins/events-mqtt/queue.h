/* SPDX-License-Identifier: Apache-2.0
 *
 * queue.h - the events that wait for the broker: at most so many, the oldest is dropped and counted beyond that. Filled on the
 * publisher's thread, emptied by the one of link.c; an event counts until the broker has taken it.
 */
#ifndef MQTT_QUEUE_H
#define MQTT_QUEUE_H

#include <pthread.h>

#include "flamenco/plugin.h"

/* An event, held by a reference on its buf. */
typedef struct mqtt_item {
    flamenco_buf *buf;
    flamenco_str topic, payload;
} mqtt_item;

/* Numbers since the start. */
typedef struct mqtt_counts {
    uint64_t sent; /* taken by the broker */
    uint64_t refused; /* the broker, or MQTT, did not want them */
    uint64_t dropped; /* there was no room */
    size_t waiting; /* now: all that the broker has not confirmed, those under way included */
    size_t under_way; /* now: sent, and not confirmed */
} mqtt_counts;

typedef struct mqtt_queue {
    const flamenco_host *host;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* by CLOCK_MONOTONIC */
    /* The rest is under lock. A ring of `size` slots, of which `count` are used from `first` on; those under way are not in
     * it, but room is kept for them. */
    mqtt_item *slots;
    size_t size, first, count;
    mqtt_counts counts;
    int reader_sleeps; /* the reader wants to be woken by the next event */
    int hopeless; /* there is no connection and none is being made: nobody need wait */
} mqtt_queue;

/* Makes an empty queue for at most `size` events. Errors: NOMEM. */
int32_t fl_mqtt_queue_init(mqtt_queue *queue, const flamenco_host *host, size_t size, flamenco_error *err);

/* Gives everything back. Accepts a zeroed queue. */
void fl_mqtt_queue_fini(mqtt_queue *queue);

/* Adds an event at the end. When the queue is full, the oldest one that is not under way is dropped. Returns 1 when the
 * reader must be woken. */
int fl_mqtt_queue_push(mqtt_queue *queue, const flamenco_event *event);

/* Takes up to `max` events from the front; they are under way from now on. Returns how many. */
size_t fl_mqtt_queue_take(mqtt_queue *queue, mqtt_item *items, size_t max);

/* An event that was taken has come to its end: the broker has it, or refuses it for good. Lets go of it. */
void fl_mqtt_queue_done(mqtt_queue *queue, mqtt_item *item, int refused);

/* Puts what was taken back to the front, in this order: the connection broke. */
void fl_mqtt_queue_put_back(mqtt_queue *queue, const mqtt_item *items, size_t count);

/* The reader will sleep; wants to be woken by a new event when `wake` is set. Returns 0 when there is one already. */
int fl_mqtt_queue_sleep(mqtt_queue *queue, int wake);

/* Tells those who wait in _drain whether there is hope. */
void fl_mqtt_queue_set_hopeless(mqtt_queue *queue, int hopeless);

/* Waits until the broker has everything, there is no hope, or the monotonic time until_us is reached. Returns how many events
 * are left. */
size_t fl_mqtt_queue_drain(mqtt_queue *queue, int64_t until_us);

mqtt_counts fl_mqtt_queue_counts(mqtt_queue *queue);

#endif
