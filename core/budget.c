/* SPDX-License-Identifier: Apache-2.0 */
#include "core/budget.h"

#include <pthread.h>
#include <stdlib.h>

struct fl_budget {
    pthread_mutex_t lock;
    uint64_t limit, used;
    fl_budget_place *first, **last;
};

fl_budget *fl_budget_create(uint64_t bytes)
{
    fl_budget *budget = calloc(1, sizeof(*budget));
    if (budget == NULL)
        return NULL;
    budget->limit = bytes;
    budget->last = &budget->first;
    pthread_mutex_init(&budget->lock, NULL);
    return budget;
}

void fl_budget_destroy(fl_budget *budget)
{
    if (budget == NULL)
        return;
    pthread_mutex_destroy(&budget->lock);
    free(budget);
}

/* Takes those out of the line for whom there is room now. One always fits into an empty budget. The lock is held. */
static fl_budget_place *take_fitting(fl_budget *budget)
{
    fl_budget_place *taken = NULL, **tail = &taken;
    while (budget->first != NULL && (budget->used == 0 || budget->used + budget->first->held <= budget->limit)) {
        fl_budget_place *place = budget->first;
        budget->first = place->next;
        if (budget->first == NULL)
            budget->last = &budget->first;
        budget->used += place->held;
        place->next = NULL;
        *tail = place;
        tail = &place->next;
    }
    return taken;
}

static void go_on(fl_budget_place *places, int granted)
{
    while (places != NULL) {
        fl_budget_place *next = places->next;
        places->next = NULL;
        places->go_on(places, granted);
        places = next;
    }
}

void fl_budget_enter(fl_budget *budget, fl_budget_place *place, uint64_t expected, int64_t deadline_us,
                     void (*then)(fl_budget_place *place, int granted))
{
    place->next = NULL;
    place->deadline_us = deadline_us;
    place->held = expected;
    place->go_on = then;
    pthread_mutex_lock(&budget->lock);
    *budget->last = place;
    budget->last = &place->next;
    fl_budget_place *taken = take_fitting(budget);
    pthread_mutex_unlock(&budget->lock);
    go_on(taken, 1);
}

void fl_budget_set(fl_budget *budget, fl_budget_place *place, uint64_t bytes)
{
    pthread_mutex_lock(&budget->lock);
    budget->used += bytes - place->held; /* wraps and comes back when it is less */
    place->held = bytes;
    fl_budget_place *taken = take_fitting(budget);
    pthread_mutex_unlock(&budget->lock);
    go_on(taken, 1);
}

void fl_budget_leave(fl_budget *budget, fl_budget_place *place)
{
    fl_budget_set(budget, place, 0);
}

void fl_budget_expire(fl_budget *budget, int64_t now_us, int all)
{
    fl_budget_place *expired = NULL, **tail = &expired;
    pthread_mutex_lock(&budget->lock);
    budget->last = &budget->first;
    while (*budget->last != NULL) {
        fl_budget_place *place = *budget->last;
        if (!all && place->deadline_us > now_us) {
            budget->last = &place->next;
            continue;
        }
        *budget->last = place->next;
        place->next = NULL;
        place->held = 0;
        *tail = place;
        tail = &place->next;
    }
    pthread_mutex_unlock(&budget->lock);
    go_on(expired, 0);
}

uint64_t fl_budget_used(fl_budget *budget)
{
    pthread_mutex_lock(&budget->lock);
    uint64_t used = budget->used;
    pthread_mutex_unlock(&budget->lock);
    return used;
}
