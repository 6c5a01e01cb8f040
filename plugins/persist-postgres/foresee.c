/* SPDX-License-Identifier: Apache-2.0
 *
 * foresee.c - answers that will be asked for soon, brought along by a round trip that is made anyway. Who knows what comes next
 * (schedule.c, ripple.c) sends the statement early; who asks finds the answer, and need not know. An answer is good for one use, and
 * as long as nothing was changed.
 */
#include "rows.h"

static void drop(fl_foreseen *place)
{
    if (place->q.st == NULL)
        return;
    (void)fl_query_end(&place->q, FLAMENCO_OK);
    place->q.st = NULL;
}

static fl_foreseen *find_place(flamenco_session *s, const fl_kept *st)
{
    fl_foreseen *unused = NULL;
    for (size_t i = 0; i < FL_FORESEEN_MOST; ++i) {
        if (s->foreseen[i].q.st == st)
            return &s->foreseen[i];
        if (s->foreseen[i].q.st == NULL)
            unused = &s->foreseen[i];
    }
    return unused != NULL ? unused : &s->foreseen[s->next_foreseen++ % FL_FORESEEN_MOST];
}

void fl_query_foresee(fl_query *q)
{
    flamenco_session *s = q->s;
    fl_foreseen *place = find_place(s, q->st);
    drop(place);
    if (q->rc != FLAMENCO_OK)
        return;
    place->q = *q;
    /* A connection that is lost is told to who waits for an answer. */
    if (fl_wire_send(&place->q, 1) != FLAMENCO_OK)
        place->q.st = NULL;
    place->changes = fl_changes(s);
}

int fl_foreseen_take(fl_query *q)
{
    flamenco_session *s = q->s;
    for (size_t i = 0; i < FL_FORESEEN_MOST; ++i) {
        fl_foreseen *place = &s->foreseen[i];
        if (place->q.st != q->st || place->changes != fl_changes(s) || place->q.n != q->n ||
            memcmp(place->q.numbers, q->numbers, (size_t)q->n * sizeof(q->numbers[0])) != 0)
            continue;
        if (!place->q.answered)
            (void)fl_wire_settle(s);
        q->sent = q->answered = 1;
        q->rc = place->q.answered ? place->q.rc : FLAMENCO_E_UNAVAILABLE;
        q->res = place->q.res;
        place->q.res = NULL;
        drop(place);
        return 1;
    }
    return 0;
}

void fl_foreseen_forget(flamenco_session *s)
{
    for (size_t i = 0; i < FL_FORESEEN_MOST; ++i)
        drop(&s->foreseen[i]);
}
