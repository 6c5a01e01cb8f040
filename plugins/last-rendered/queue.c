/* SPDX-License-Identifier: Apache-2.0
 *
 * queue.c - see queue.h. A list in the order of the jobs' first waiting images; few jobs render at the same time.
 */
#include "queue.h"

void fl_lr_queue_init(fl_lr_queue *queue, uint64_t limit)
{
    *queue = (fl_lr_queue){ .limit = limit };
    queue->last = &queue->first;
}

int32_t fl_lr_queue_put(fl_lr_queue *queue, fl_lr_image *image, fl_lr_image **replaced_out)
{
    fl_lr_image **at = &queue->first;
    while (*at != NULL && memcmp(&(*at)->job, &image->job, sizeof(image->job)) != 0)
        at = &(*at)->next;
    fl_lr_image *old = *at;
    uint64_t without = queue->cost - (old != NULL ? old->cost : 0);
    if (without > 0 && without + image->cost > queue->limit)
        return FLAMENCO_E_FULL;
    queue->cost = without + image->cost;
    image->next = old != NULL ? old->next : NULL;
    *at = image;
    if (image->next == NULL)
        queue->last = &image->next;
    if (old != NULL)
        old->next = NULL;
    *replaced_out = old;
    return FLAMENCO_OK;
}

fl_lr_image *fl_lr_queue_take(fl_lr_queue *queue)
{
    fl_lr_image *image = queue->first;
    if (image == NULL)
        return NULL;
    queue->first = image->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    queue->cost -= image->cost;
    image->next = NULL;
    return image;
}
