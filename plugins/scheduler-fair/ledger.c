/* SPDX-License-Identifier: Apache-2.0
 *
 * ledger.c - whose turn it is.
 */
#include "ledger.h"

#define PRUNE_FROM 256

void fl_ledger_init(fl_ledger *ledger, const flamenco_host *host, int64_t memory_us)
{
    *ledger = (fl_ledger){ .host = host, .memory_us = memory_us, .prune_at = PRUNE_FROM };
}

void fl_ledger_fini(fl_ledger *ledger)
{
    while (ledger->shares != NULL) {
        fl_share *next = ledger->shares->next;
        ledger->host->free(ledger->host->h, ledger->shares);
        ledger->shares = next;
    }
    ledger->host->free(ledger->host->h, ledger->turns);
    ledger->turns = NULL;
}

/* ---- Shares ---- */

fl_share *fl_ledger_find(const fl_ledger *ledger, int64_t number)
{
    fl_share *share = ledger->shares;
    while (share != NULL && share->number != number)
        share = share->next;
    return share;
}

static int is_forgotten(const fl_ledger *ledger, const fl_share *share, int64_t now_us)
{
    return share->running == 0 && now_us - share->seen_us > ledger->memory_us;
}

static void prune(fl_ledger *ledger, int64_t now_us)
{
    fl_share **link = &ledger->shares;
    while (*link != NULL) {
        fl_share *share = *link;
        if (is_forgotten(ledger, share, now_us)) {
            *link = share->next;
            ledger->host->free(ledger->host->h, share);
            --ledger->n_shares;
        } else {
            link = &share->next;
        }
    }
    ledger->prune_at = 2 * ledger->n_shares > PRUNE_FROM ? 2 * ledger->n_shares : PRUNE_FROM;
}

fl_share *fl_ledger_add(fl_ledger *ledger, int64_t number, uint32_t weight, int64_t now_us)
{
    if (ledger->n_shares >= ledger->prune_at)
        prune(ledger, now_us);
    fl_share *share = ledger->host->alloc(ledger->host->h, sizeof(*share));
    if (share == NULL)
        return NULL;
    *share = (fl_share){ .number = number,
                         .weight = weight,
                         .clock_us = ledger->clock_us,
                         .expected_us = (double)FL_LEAST_COST_US,
                         .seen_us = now_us,
                         .next = ledger->shares };
    ledger->shares = share;
    ++ledger->n_shares;
    return share;
}

static double per_weight(const fl_share *share, double us)
{
    return us * FL_WEIGHT_ONE / share->weight;
}

void fl_ledger_consider(fl_ledger *ledger, fl_share *share, int64_t now_us)
{
    /* One that stayed away begins where the others are. One that was here, but got nothing for lack of workers that suit it,
     * catches up no more than the memory allows. */
    double least = is_forgotten(ledger, share, now_us)
                       ? ledger->clock_us
                       : ledger->clock_us - per_weight(share, (double)ledger->memory_us);
    if (share->clock_us < least)
        share->clock_us = least;
    share->seen_us = now_us;
}

int fl_ledger_is_before(const fl_share *a, const fl_share *b)
{
    if (a->clock_us != b->clock_us)
        return a->clock_us < b->clock_us;
    /* At the same place: the one that has fewer workers for its weight, then the one that has waited longer. */
    double running_a = per_weight(a, a->running), running_b = per_weight(b, b->running);
    if (running_a != running_b)
        return running_a < running_b;
    return a->served != b->served ? a->served < b->served : a->number < b->number;
}

/* ---- Turns ---- */

static fl_turn *find_turn(const fl_ledger *ledger, int64_t worker)
{
    uint64_t at = (uint64_t)worker * UINT64_C(0x9E3779B97F4A7C15);
    for (uint64_t i = 0; i < ledger->room; ++i) {
        fl_turn *turn = &ledger->turns[((at >> 32) + i) & (ledger->room - 1)];
        if (turn->worker == worker || turn->worker == 0)
            return turn;
    }
    return NULL;
}

int32_t fl_ledger_reserve(fl_ledger *ledger, int64_t worker)
{
    fl_turn *turn = find_turn(ledger, worker);
    if (turn != NULL && turn->worker == worker)
        return FLAMENCO_OK;
    if (2 * (ledger->n_turns + 1) > ledger->room) {
        uint64_t old_room = ledger->room, room = old_room > 0 ? 2 * old_room : 64;
        fl_turn *old = ledger->turns;
        fl_turn *turns = ledger->host->alloc(ledger->host->h, room * sizeof(*turns));
        if (turns == NULL)
            return FLAMENCO_E_NOMEM;
        memset(turns, 0, room * sizeof(*turns));
        ledger->turns = turns;
        ledger->room = room;
        for (uint64_t i = 0; i < old_room; ++i) {
            if (old[i].worker != 0)
                *find_turn(ledger, old[i].worker) = old[i];
        }
        ledger->host->free(ledger->host->h, old);
        turn = find_turn(ledger, worker);
    }
    if (turn == NULL)
        return FLAMENCO_E_NOMEM; /* cannot be: half of the places are free */
    *turn = (fl_turn){ .worker = worker };
    ++ledger->n_turns;
    return FLAMENCO_OK;
}

void fl_ledger_end(fl_ledger *ledger, int64_t worker, int64_t now_us)
{
    fl_turn *turn = find_turn(ledger, worker);
    if (turn == NULL || turn->worker != worker || turn->share == NULL)
        return;
    fl_share *share = turn->share;
    int64_t took_us = now_us - turn->since_us;
    double cost_us = (double)(took_us > FL_LEAST_COST_US ? took_us : FL_LEAST_COST_US);
    share->clock_us += per_weight(share, cost_us - turn->charged_us);
    share->expected_us += (cost_us - share->expected_us) / 4;
    share->seen_us = now_us;
    --share->running;
    turn->share = NULL;
}

void fl_ledger_begin(fl_ledger *ledger, int64_t worker, fl_share *share, int64_t now_us)
{
    fl_ledger_end(ledger, worker, now_us);
    fl_turn *turn = find_turn(ledger, worker);
    if (turn == NULL || turn->worker != worker)
        return;
    if (share->clock_us > ledger->clock_us)
        ledger->clock_us = share->clock_us;
    share->clock_us += per_weight(share, share->expected_us);
    share->served = ++ledger->served;
    share->seen_us = now_us;
    ++share->running;
    turn->share = share;
    turn->since_us = now_us;
    turn->charged_us = share->expected_us;
}

int64_t fl_ledger_look(fl_ledger *ledger)
{
    for (uint64_t i = 0; i < ledger->room && i < 16; ++i) {
        const fl_turn *turn = &ledger->turns[ledger->next_look++ & (ledger->room - 1)];
        if (turn->share != NULL)
            return turn->worker;
    }
    return 0;
}

void fl_ledger_goes_on(fl_ledger *ledger, int64_t worker, int64_t now_us)
{
    fl_turn *turn = find_turn(ledger, worker);
    if (turn == NULL || turn->worker != worker || turn->share == NULL)
        return;
    double took_us = (double)(now_us - turn->since_us);
    if (took_us <= turn->charged_us)
        return;
    turn->share->clock_us += per_weight(turn->share, took_us - turn->charged_us);
    turn->charged_us = took_us;
}
