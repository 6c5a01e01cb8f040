/* SPDX-License-Identifier: Apache-2.0
 * A Worker's way upstream: task updates go out one at a time and in order; those that get no answer are queued and
 * sent again later, as the official Worker does. */
#ifndef FARM_SIM_UPDATES_H
#define FARM_SIM_UPDATES_H

#include "farm.h"

typedef enum fl_update_result {
    FL_UPDATE_OK, /* 204, or queued: the Worker goes on */
    FL_UPDATE_REASSIGNED, /* 409 */
    FL_UPDATE_REFUSED, /* any other answer: the update is lost */
} fl_update_result;

typedef void (*fl_on_update_result)(struct fl_worker *w, fl_update_result result);

typedef struct fl_update {
    struct fl_update *next;
    char task_id[37], job_id[37];
    fl_update_kind kind;
    int64_t sent_us;
    size_t len;
    char body[]; /* JSON */
} fl_update;

typedef struct fl_updates {
    fl_update *head, *tail; /* not yet answered, oldest first */
    fl_update *under_way; /* sent directly; not in the list */
    fl_on_update_result on_result;
    fl_timer timer; /* the next flush */
    bool flushing;
    fl_loop_on_timer on_flushed; /* one-shot: what waits for the flush under way */
    void *on_flushed_ctx;
} fl_updates;

void fl_updates_init(struct fl_worker *w);
/* Sends body, or queues it when others wait already. on_result may run before this returns. */
void fl_updates_send(struct fl_worker *w, fl_update_kind kind, const char *body, size_t len,
                     fl_on_update_result on_result);
/* Sends what is queued; done runs when the queue is empty or the manager does not answer, perhaps at once. */
void fl_updates_flush(struct fl_worker *w, fl_loop_on_timer done, void *ctx);
/* Stops sending. The queue stays, as the Worker's database does when its process dies. */
void fl_updates_stop(struct fl_worker *w);
/* Forgets the queue, too. */
void fl_updates_fini(struct fl_worker *w);

#endif
