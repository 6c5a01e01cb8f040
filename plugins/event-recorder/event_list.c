/* SPDX-License-Identifier: Apache-2.0
 *
 * event_list.c - see event_list.h.
 */
#include "event_list.h"

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
    pthread_condattr_destroy(&attr);
    return rc;
}

int32_t fl_event_list_init(event_list *list, const flamenco_host *host, size_t size, flamenco_error *err)
{
    memset(list, 0, sizeof(*list));
    flamenco_event *slots = host->alloc(host->h, size * sizeof(*slots));
    if (slots == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    if (pthread_mutex_init(&list->lock, NULL) != 0) {
        host->free(host->h, slots);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no mutex to be had");
    }
    if (make_condition(&list->added) != 0) {
        pthread_mutex_destroy(&list->lock);
        host->free(host->h, slots);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no condition variable to be had");
    }
    list->host = host;
    list->slots = slots;
    list->size = size;
    return FLAMENCO_OK;
}

static flamenco_event *slot_at(event_list *list, size_t index)
{
    return &list->slots[(list->first + index) % list->size];
}

static void drop_oldest(event_list *list)
{
    list->host->buf_unref(list->slots[list->first].buf);
    list->first = (list->first + 1) % list->size;
    --list->count;
}

void fl_event_list_fini(event_list *list)
{
    if (list->slots == NULL)
        return;
    while (list->count > 0)
        drop_oldest(list);
    pthread_cond_destroy(&list->added);
    pthread_mutex_destroy(&list->lock);
    list->host->free(list->host->h, list->slots);
    list->slots = NULL;
}

void fl_event_list_add(event_list *list, const flamenco_event *event)
{
    list->host->buf_ref(event->buf);
    pthread_mutex_lock(&list->lock);
    if (list->count == list->size)
        drop_oldest(list);
    *slot_at(list, list->count) = *event;
    ++list->count;
    pthread_cond_broadcast(&list->added);
    pthread_mutex_unlock(&list->lock);
}

void fl_event_list_clear(event_list *list)
{
    pthread_mutex_lock(&list->lock);
    while (list->count > 0)
        drop_oldest(list);
    pthread_mutex_unlock(&list->lock);
}

void fl_event_list_close(event_list *list)
{
    pthread_mutex_lock(&list->lock);
    list->closed = 1;
    pthread_cond_broadcast(&list->added);
    pthread_mutex_unlock(&list->lock);
}

/* How many events at the end of the list have a number above `after`; numbers ascend. */
static size_t count_after(event_list *list, uint64_t after)
{
    size_t n = 0;
    while (n < list->count && slot_at(list, list->count - 1 - n)->seq > after)
        ++n;
    return n;
}

int32_t fl_event_list_read(event_list *list, uint64_t after, uint64_t newest, int64_t until_us, flamenco_event **out,
                           size_t *count_out, flamenco_error *err)
{
    struct timespec until = { (time_t)(until_us / 1000000), (long)(until_us % 1000000) * 1000 };
    int32_t rc = FLAMENCO_OK;
    flamenco_event *copy = NULL;
    size_t n;
    pthread_mutex_lock(&list->lock);
    while (count_after(list, after) == 0 && !list->closed)
        if (pthread_cond_timedwait(&list->added, &list->lock, &until) != 0)
            break;
    n = count_after(list, after);
    if (n > newest)
        n = (size_t)newest;
    if (n > 0) {
        copy = list->host->alloc(list->host->h, n * sizeof(*copy));
        if (copy == NULL)
            rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; copy != NULL && i < n; ++i) {
        copy[i] = *slot_at(list, list->count - n + i);
        list->host->buf_ref(copy[i].buf);
    }
    pthread_mutex_unlock(&list->lock);
    if (rc == FLAMENCO_OK) {
        *out = copy;
        *count_out = n;
    }
    return rc;
}

void fl_event_list_release(event_list *list, flamenco_event *events, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        list->host->buf_unref(events[i].buf);
    list->host->free(list->host->h, events);
}
