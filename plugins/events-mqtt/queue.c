/* SPDX-License-Identifier: Apache-2.0
 *
 * queue.c - see queue.h.
 */
#include "queue.h"

#include <time.h>

static int make_condition(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);
    if (rc != 0)
        return rc;
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    return rc;
}

int32_t fl_mqtt_queue_init(mqtt_queue *queue, const flamenco_host *host, size_t size, flamenco_error *err)
{
    memset(queue, 0, sizeof(*queue));
    mqtt_item *slots = host->alloc(host->h, size * sizeof(*slots));
    if (slots == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for a queue of %zu events", size);
    if (pthread_mutex_init(&queue->lock, NULL) != 0) {
        host->free(host->h, slots);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex to be had");
    }
    if (make_condition(&queue->changed) != 0) {
        (void)pthread_mutex_destroy(&queue->lock);
        host->free(host->h, slots);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no condition variable to be had");
    }
    queue->host = host;
    queue->slots = slots;
    queue->size = size;
    return FLAMENCO_OK;
}

static mqtt_item *slot_at(mqtt_queue *queue, size_t index)
{
    return &queue->slots[(queue->first + index) % queue->size];
}

static mqtt_item pop_front(mqtt_queue *queue)
{
    mqtt_item item = queue->slots[queue->first];
    queue->first = (queue->first + 1) % queue->size;
    --queue->count;
    return item;
}

void fl_mqtt_queue_fini(mqtt_queue *queue)
{
    if (queue->slots == NULL)
        return;
    while (queue->count > 0)
        queue->host->buf_unref(pop_front(queue).buf);
    (void)pthread_cond_destroy(&queue->changed);
    (void)pthread_mutex_destroy(&queue->lock);
    queue->host->free(queue->host->h, queue->slots);
    queue->slots = NULL;
}

int fl_mqtt_queue_push(mqtt_queue *queue, const flamenco_event *event)
{
    mqtt_item dropped = { NULL, { NULL, 0 }, { NULL, 0 } };
    int wake = 0;
    queue->host->buf_ref(event->buf);
    pthread_mutex_lock(&queue->lock);
    int is_full = queue->count + queue->counts.under_way >= queue->size;
    queue->counts.dropped += is_full ? 1 : 0;
    if (is_full && queue->count > 0)
        dropped = pop_front(queue);
    if (is_full && dropped.buf == NULL) { /* all under way: only the new one can go */
        dropped.buf = event->buf;
    } else {
        *slot_at(queue, queue->count) = (mqtt_item){ event->buf, event->topic, event->payload };
        ++queue->count;
        wake = queue->reader_sleeps;
        queue->reader_sleeps = 0;
    }
    pthread_mutex_unlock(&queue->lock);
    if (dropped.buf != NULL)
        queue->host->buf_unref(dropped.buf);
    return wake;
}

size_t fl_mqtt_queue_take(mqtt_queue *queue, mqtt_item *items, size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&queue->lock);
    while (n < max && queue->count > 0)
        items[n++] = pop_front(queue);
    queue->counts.under_way += n;
    pthread_mutex_unlock(&queue->lock);
    return n;
}

void fl_mqtt_queue_done(mqtt_queue *queue, mqtt_item *item, int refused)
{
    pthread_mutex_lock(&queue->lock);
    --queue->counts.under_way;
    if (refused)
        ++queue->counts.refused;
    else
        ++queue->counts.sent;
    if (queue->counts.under_way == 0 && queue->count == 0)
        pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    queue->host->buf_unref(item->buf);
    item->buf = NULL;
}

void fl_mqtt_queue_put_back(mqtt_queue *queue, const mqtt_item *items, size_t count)
{
    pthread_mutex_lock(&queue->lock);
    for (size_t i = count; i > 0; --i) {
        queue->first = (queue->first + queue->size - 1) % queue->size;
        queue->slots[queue->first] = items[i - 1];
        ++queue->count;
    }
    queue->counts.under_way -= count;
    pthread_mutex_unlock(&queue->lock);
}

int fl_mqtt_queue_sleep(mqtt_queue *queue, int wake)
{
    pthread_mutex_lock(&queue->lock);
    int sleeps = !wake || queue->count == 0;
    queue->reader_sleeps = wake && sleeps;
    pthread_mutex_unlock(&queue->lock);
    return sleeps;
}

void fl_mqtt_queue_set_hopeless(mqtt_queue *queue, int hopeless)
{
    pthread_mutex_lock(&queue->lock);
    queue->hopeless = hopeless;
    if (hopeless)
        pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

size_t fl_mqtt_queue_drain(mqtt_queue *queue, int64_t until_us)
{
    struct timespec until = { (time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000 };
    int rc = 0;
    pthread_mutex_lock(&queue->lock);
    while (queue->count + queue->counts.under_way > 0 && !queue->hopeless && rc == 0)
        rc = pthread_cond_timedwait(&queue->changed, &queue->lock, &until);
    size_t left = queue->count + queue->counts.under_way;
    pthread_mutex_unlock(&queue->lock);
    return left;
}

mqtt_counts fl_mqtt_queue_counts(mqtt_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    mqtt_counts counts = queue->counts;
    counts.waiting = queue->count + counts.under_way;
    pthread_mutex_unlock(&queue->lock);
    return counts;
}
