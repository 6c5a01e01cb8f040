/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule.c - what a worker may run: the task that it holds, the groups that have work for it, the best task of one. Methods
 * of the service, called by the task scheduler at every request for a task (contract: state-and-scheduling 6).
 */
#include "rows.h"
#include "table.h"

#ifdef FL_FAR_STORE

/* Who is asked for the task that a worker holds, is asked for a new one next, mostly: the answers come along. */
static void foresee_search(flamenco_session *s, int64_t worker)
{
    static const fl_sql by_groups[] = { FL_SQL_RUNQ_HEADS, FL_SQL_RUN_BEST }, by_shares[] = { FL_SQL_RUNQ_SHARES };
    const fl_sql *list = s->asks_for_shares ? by_shares : by_groups;
    size_t n = s->asks_for_shares ? sizeof(by_shares) / sizeof(by_shares[0]) : sizeof(by_groups) / sizeof(by_groups[0]);
    for (size_t i = 0; i < n && s->kind == FLAMENCO_SESSION_WRITER; ++i) {
        fl_query q = fl_query_begin(s, list[i]);
        fl_bind_int(&q, 1, worker);
        fl_query_foresee(&q);
    }
}

/* Gives out the best task of all groups, if that is one of this group and has been foreseen. Returns 1, 0 or an error. */
static int32_t give_best(flamenco_session *s, int64_t job, int64_t type, int64_t worker, flamenco_task *out)
{
    fl_query q = fl_query_begin(s, FL_SQL_RUN_BEST);
    fl_bind_int(&q, 1, worker);
    if (!fl_foreseen_take(&q))
        return 0;
    int32_t rc = fl_query_step(&q);
    if (rc > 0)
        rc = fl_column_int(&q, FL_TASK_JOB_COLUMN) == job && fl_column_int(&q, FL_TASK_TYPE_COLUMN) == type;
    int32_t given = rc > 0 ? fl_task_give(&q, out, 1) : FLAMENCO_OK;
    given = fl_query_end(&q, rc < 0 ? rc : given);
    return given < 0 ? given : rc;
}

#endif

int32_t fl_task_held(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_task *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
#ifdef FL_FAR_STORE
    foresee_search(call.s, worker_key);
#endif
    fl_query q = fl_query_begin(call.s, FL_SQL_TASK_HELD);
    fl_bind_int(&q, 1, worker_key);
    return fl_leave(&call, fl_task_out(&q, out, 1, "the worker holds no task"));
}

int32_t fl_task_runnable(void *self, flamenco_cx *cx, int64_t job_key, flamenco_str task_type, int64_t worker_key,
                         flamenco_task *out, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int64_t type = 0;
    rc = fl_type_number(call.s, task_type, 0, &type);
    if (rc < 0)
        return fl_leave(&call, rc);
#ifdef FL_FAR_STORE
    rc = give_best(call.s, job_key, type, worker_key, out);
    if (rc != 0)
        return fl_leave(&call, rc > 0 ? FLAMENCO_OK : rc);
#endif
    fl_query q = fl_query_begin(call.s, FL_SQL_TASK_RUNNABLE);
    fl_bind_int(&q, 1, job_key);
    fl_bind_int(&q, 2, type);
    fl_bind_int(&q, 3, worker_key);
    return fl_leave(&call, fl_task_out(&q, out, 1, "the group has no task for this worker"));
}

/* ---- Groups ---- */

/* The place reached in the list of one (tag, type). */
typedef struct probe {
    int64_t tag, type;
    int64_t njp, ntp, job; /* of the row that comes next */
    int64_t head; /* key of its best task; 0 = not looked up */
    uint32_t live; /* 0: the list is at its end */
    uint32_t ends; /* what comes behind it in its list is another probe, or nothing */
} probe;

/* Enough for a worker with 15 types and 3 tags. */
#define PROBES_AT_HAND 64

typedef struct search {
    flamenco_session *s;
    int64_t worker;
    const int64_t *share; /* NULL = any */
    probe *probes;
    uint64_t n;
    probe at_hand[PROBES_AT_HAND];
} search;

/* Moves to the first row behind the present place. No statement stays open between two rows: the visitor calls methods. */
static int32_t advance(search *look, probe *p)
{
    p->live = 0;
    if (p->ends)
        return FLAMENCO_OK;
    fl_query q = fl_query_begin(look->s, look->share != NULL ? FL_SQL_RUNQ_SHARE_NEXT : FL_SQL_RUNQ_NEXT);
    if (look->share != NULL)
        fl_bind_int(&q, 7, *look->share);
    fl_bind_int(&q, 1, p->tag);
    fl_bind_int(&q, 2, p->type);
    fl_bind_int(&q, 3, p->njp);
    fl_bind_int(&q, 4, p->ntp);
    fl_bind_int(&q, 5, p->job);
    fl_bind_int(&q, 6, look->worker);
    int32_t rc = fl_query_step(&q);
    p->live = rc > 0;
    p->head = 0;
    if (rc > 0) {
        p->njp = fl_column_int(&q, 0);
        p->ntp = fl_column_int(&q, 1);
        p->job = fl_column_int(&q, 2);
    }
    return fl_query_end(&q, rc);
}

static int32_t look_up_head(search *look, probe *p)
{
    if (p->head != 0)
        return FLAMENCO_OK;
    fl_query q = fl_query_begin(look->s, FL_SQL_RUN_HEAD);
    fl_bind_int(&q, 1, p->job);
    fl_bind_int(&q, 2, p->type);
    int32_t rc = fl_query_step(&q);
    p->head = rc > 0 ? fl_column_int(&q, 1) : INT64_MAX;
    return fl_query_end(&q, rc);
}

/* Tells whether a comes before b. Two groups of one job with the same priority: the one whose best task was made first. */
static int32_t is_before(search *look, probe *a, probe *b, uint32_t *out)
{
    if (a->njp != b->njp) {
        *out = a->njp < b->njp;
    } else if (a->ntp != b->ntp) {
        *out = a->ntp < b->ntp;
    } else if (a->job != b->job) {
        *out = a->job < b->job;
    } else {
        int32_t rc = look_up_head(look, a);
        if (rc == FLAMENCO_OK)
            rc = look_up_head(look, b);
        *out = a->head < b->head;
        return rc;
    }
    return FLAMENCO_OK;
}

/* Finds the best of the probes; NULL when all lists are at their end. */
static int32_t find_best(search *look, probe **best_out)
{
    probe *best = NULL;
    for (uint64_t i = 0; i < look->n; ++i) {
        probe *p = &look->probes[i];
        if (!p->live)
            continue;
        uint32_t before = best == NULL;
        if (best != NULL) {
            int32_t rc = is_before(look, p, best, &before);
            if (rc != FLAMENCO_OK)
                return rc;
        }
        if (before)
            best = p;
    }
    *best_out = best;
    return FLAMENCO_OK;
}

#ifdef FL_FAR_STORE

/* Makes room for one probe more. */
static int32_t grow_probes(search *look)
{
    const flamenco_host *host = look->s->store->host;
    if (look->n < PROBES_AT_HAND || (look->n & (look->n - 1)) != 0)
        return FLAMENCO_OK;
    probe *more = host->alloc(host->h, look->n * 2 * sizeof(*more));
    if (more == NULL)
        return fl_fail(look->s, FLAMENCO_E_NOMEM, "out of memory");
    memcpy(more, look->probes, look->n * sizeof(*more));
    if (look->probes != look->at_hand)
        host->free(host->h, look->probes);
    look->probes = more;
    return FLAMENCO_OK;
}

/* Makes a probe for each of the first rows of every list, by one statement. Behind the last of so many there may be more. */
static int32_t place_probes(search *look)
{
    int32_t rc;
    uint64_t of_list = 0;
    fl_query q = fl_query_begin(look->s, look->share != NULL ? FL_SQL_RUNQ_SHARE_HEADS : FL_SQL_RUNQ_HEADS);
    fl_bind_int(&q, 1, look->worker);
    if (look->share != NULL)
        fl_bind_int(&q, 2, *look->share);
    while ((rc = fl_query_step(&q)) > 0) {
        rc = grow_probes(look);
        if (rc != FLAMENCO_OK)
            break;
        probe *before = look->n > 0 ? &look->probes[look->n - 1] : NULL, *p = &look->probes[look->n++];
        *p = (probe){ .tag = fl_column_int(&q, 0),
                      .type = fl_column_int(&q, 1),
                      .njp = fl_column_int(&q, 2),
                      .ntp = fl_column_int(&q, 3),
                      .job = fl_column_int(&q, 4),
                      .live = 1 };
        int same = before != NULL && before->tag == p->tag && before->type == p->type;
        if (same)
            before->ends = 1;
        of_list = same ? of_list + 1 : 1;
        p->ends = of_list < FL_HEADS;
    }
    return fl_query_end(&q, rc);
}

/* One statement, too. */
static int32_t give_shares(search *look, flamenco_visit_share visit, void *ctx)
{
    int32_t rc;
    fl_query q = fl_query_begin(look->s, FL_SQL_RUNQ_SHARES);
    fl_bind_int(&q, 1, look->worker);
    while ((rc = fl_query_step(&q)) > 0) {
        ++look->s->visiting;
        int32_t stop = visit(ctx, fl_column_int(&q, 0));
        --look->s->visiting;
        if (stop != 0)
            break;
    }
    return fl_query_end(&q, rc);
}

#else

/* Reads the worker's types and tags into `out`, types first, no more than `room`; counts them all. */
static int32_t read_abilities(search *look, int64_t *out, uint64_t room, uint64_t *n_types, uint64_t *n_tags)
{
    int32_t rc;
    *n_types = *n_tags = 0;
    fl_query q = fl_query_begin(look->s, FL_SQL_WORKER_ABILITIES);
    fl_bind_int(&q, 1, look->worker);
    while ((rc = fl_query_step(&q)) > 0) {
        uint64_t at = *n_types + *n_tags;
        if (at < room)
            out[at] = fl_column_int(&q, 1);
        ++*(fl_column_int(&q, 0) == 0 ? n_types : n_tags);
    }
    return fl_query_end(&q, rc);
}

/* Makes one probe per type and tag, "no tag" among them, and places each before its first row. */
static int32_t make_probes(search *look)
{
    const flamenco_host *host = look->s->store->host;
    int64_t at_hand[PROBES_AT_HAND], *abilities = at_hand;
    uint64_t n_types = 0, n_tags = 0;
    int32_t rc = read_abilities(look, abilities, PROBES_AT_HAND, &n_types, &n_tags);
    if (rc == FLAMENCO_OK && n_types + n_tags > PROBES_AT_HAND) {
        uint64_t n = n_types + n_tags;
        abilities = host->alloc(host->h, n * sizeof(*abilities));
        if (abilities == NULL)
            return fl_fail(look->s, FLAMENCO_E_NOMEM, "out of memory");
        rc = read_abilities(look, abilities, n, &n_types, &n_tags);
    }
    if (rc != FLAMENCO_OK)
        goto cleanup;
    uint64_t n = n_types * (n_tags + 1);
    if (n > PROBES_AT_HAND) {
        look->probes = host->alloc(host->h, n * sizeof(*look->probes));
        if (look->probes == NULL) {
            look->probes = look->at_hand;
            rc = fl_fail(look->s, FLAMENCO_E_NOMEM, "out of memory");
            goto cleanup;
        }
    }
    for (uint64_t tag = 0; tag <= n_tags; ++tag) {
        for (uint64_t type = 0; type < n_types; ++type) {
            look->probes[look->n++] = (probe){ .tag = tag == 0 ? 0 : abilities[n_types + tag - 1],
                                               .type = abilities[type],
                                               .njp = INT64_MIN,
                                               .ntp = INT64_MIN,
                                               .job = INT64_MIN };
        }
    }
cleanup:
    if (abilities != at_hand)
        host->free(host->h, abilities);
    return rc;
}

/* Places a probe at its first row. Where there is none for anybody, the writer need not look again until one comes. */
static int32_t place_probe(search *look, probe *p)
{
    flamenco_session *s = look->s;
    if (fl_known_empty(s, p->tag, p->type))
        return FLAMENCO_OK;
    int32_t rc = advance(look, p);
    if (rc != FLAMENCO_OK || p->live || s->kind != FLAMENCO_SESSION_WRITER)
        return rc;
    fl_query q = fl_query_begin(s, FL_SQL_RUNQ_ANY);
    fl_bind_int(&q, 1, p->tag);
    fl_bind_int(&q, 2, p->type);
    int64_t any = 0;
    rc = fl_query_int(&q, 0, &any);
    if (rc == FLAMENCO_OK && any == 0)
        fl_known_empty_keep(s, p->tag, p->type);
    return rc;
}

static int32_t place_probes(search *look)
{
    int32_t rc = make_probes(look);
    for (uint64_t i = 0; i < look->n && rc == FLAMENCO_OK; ++i)
        rc = place_probe(look, &look->probes[i]);
    return rc;
}

/* Moves to the first share behind `from` that has a group of this tag and type, and one that the worker is not blocked from. */
static int32_t next_share(search *look, probe *p, int64_t from)
{
    for (int64_t share = from;;) {
        fl_query q = fl_query_begin(look->s, FL_SQL_RUNQ_NEXT_SHARE);
        fl_bind_int(&q, 1, p->tag);
        fl_bind_int(&q, 2, p->type);
        fl_bind_int(&q, 3, share);
        int32_t rc = fl_query_step(&q);
        p->live = rc > 0;
        if (rc > 0)
            share = fl_column_int(&q, 0);
        rc = fl_query_end(&q, rc);
        if (rc != FLAMENCO_OK || !p->live)
            return rc;
        probe open = { .tag = p->tag, .type = p->type, .njp = INT64_MIN, .ntp = INT64_MIN, .job = INT64_MIN };
        look->share = &share;
        rc = advance(look, &open);
        look->share = NULL;
        if (rc != FLAMENCO_OK || open.live) {
            p->job = share; /* the place of a share in this list */
            return rc;
        }
    }
}

static int32_t give_shares(search *look, flamenco_visit_share visit, void *ctx)
{
    int64_t share = INT64_MIN;
    int32_t rc = make_probes(look), stop = 0;
    for (uint64_t i = 0; i < look->n && rc == FLAMENCO_OK; ++i)
        rc = next_share(look, &look->probes[i], share);
    while (rc == FLAMENCO_OK && stop == 0) {
        const probe *least = NULL;
        for (uint64_t i = 0; i < look->n; ++i) {
            if (look->probes[i].live && (least == NULL || look->probes[i].job < least->job))
                least = &look->probes[i];
        }
        if (least == NULL)
            break;
        share = least->job;
        ++look->s->visiting;
        stop = visit(ctx, share);
        --look->s->visiting;
        for (uint64_t i = 0; i < look->n && rc == FLAMENCO_OK && stop == 0; ++i) {
            if (look->probes[i].live && look->probes[i].job == share)
                rc = next_share(look, &look->probes[i], share);
        }
    }
    return rc;
}

#endif

static int32_t give_groups(search *look, flamenco_visit_group visit, void *ctx)
{
    int32_t rc = place_probes(look);
    while (rc == FLAMENCO_OK) {
        probe *best = NULL;
        rc = find_best(look, &best);
        if (rc != FLAMENCO_OK || best == NULL)
            break;
        flamenco_runnable_group row = { .struct_size = (uint32_t)sizeof(row),
                                        .job_priority = (int32_t)-best->njp,
                                        .task_priority = (int32_t)-best->ntp,
                                        .job_key = best->job };
        rc = fl_type_name(look->s, best->type, &row.task_type);
        if (rc != FLAMENCO_OK)
            break;
        ++look->s->visiting;
        int32_t stop = visit(ctx, &row);
        --look->s->visiting;
        if (stop != 0)
            break;
        rc = advance(look, best);
    }
    return rc;
}

static void begin_search(search *look, flamenco_session *s, int64_t worker_key, const int64_t *share)
{
    look->s = s;
    look->worker = worker_key;
    look->share = share;
    look->probes = look->at_hand;
    look->n = 0;
}

static void end_search(search *look)
{
    if (look->probes != look->at_hand)
        look->s->store->host->free(look->s->store->host->h, look->probes);
}

static int32_t list_groups(flamenco_cx *cx, int64_t worker_key, const int64_t *share, flamenco_visit_group visit,
                           void *ctx, flamenco_error *err)
{
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    search look;
    begin_search(&look, call.s, worker_key, share);
#ifdef FL_FAR_STORE
    if (share == NULL)
        call.s->asks_for_shares = 0;
#endif
    rc = give_groups(&look, visit, ctx);
    end_search(&look);
    return fl_leave(&call, rc);
}

int32_t fl_runnable_groups(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_visit_group visit, void *ctx,
                           flamenco_error *err)
{
    (void)self;
    return list_groups(cx, worker_key, NULL, visit, ctx, err);
}

/* ---- Shares ---- */

int32_t fl_job_set_share(void *self, flamenco_cx *cx, int64_t key, int64_t share, flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_ATOMIC, err);
    if (rc != FLAMENCO_OK)
        return rc;
    static const fl_sql texts[] = { FL_SQL_JOB_SET_SHARE, FL_SQL_RUNQ_SET_SHARE };
    fl_job_state job = { 0 };
    rc = fl_job_state_visible(call.s, key, &job);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && rc == FLAMENCO_OK; ++i) {
        fl_query q = fl_query_begin(call.s, texts[i]);
        fl_bind_int(&q, 1, key);
        fl_bind_int(&q, 2, share);
        rc = fl_query_run(&q);
    }
    return fl_leave(&call, rc);
}

int32_t fl_runnable_shares(void *self, flamenco_cx *cx, int64_t worker_key, flamenco_visit_share visit, void *ctx,
                           flamenco_error *err)
{
    (void)self;
    fl_call call;
    int32_t rc = fl_enter(&call, cx, FL_READ, err);
    if (rc != FLAMENCO_OK)
        return rc;
    search look;
    begin_search(&look, call.s, worker_key, NULL);
#ifdef FL_FAR_STORE
    call.s->asks_for_shares = 1;
#endif
    rc = give_shares(&look, visit, ctx);
    end_search(&look);
    return fl_leave(&call, rc);
}

int32_t fl_runnable_groups_of_share(void *self, flamenco_cx *cx, int64_t worker_key, int64_t share,
                                    flamenco_visit_group visit, void *ctx, flamenco_error *err)
{
    (void)self;
    return list_groups(cx, worker_key, &share, visit, ctx, err);
}
