/* SPDX-License-Identifier: Apache-2.0
 *
 * known_tasks.c - tasks that the writing session has read or handed out, as they are now: a Worker that has a task reports on it,
 * and asks about it, six times. Used by tasks.c and by the methods that change tasks; the rest of what the writer knows, and the
 * rules of it, stand in known.c.
 *
 * Only tasks without open dependencies are kept. So the completion of another task changes none of them. Every task that is kept is
 * found by its UUID and by its key: what reads it has the one, what changes it has the other.
 */
#include "rows.h"

/* A power of two; each place holds one task at most. A task needs about 250 bytes. */
#define TASK_PLACES 1024u
/* Of both texts together; one with longer ones is read each time. */
#define TEXT_MOST 2048u

/* No generation has this number. */
#define NEVER UINT64_MAX

typedef struct known_task {
    uint64_t generation; /* of its kind when it was kept */
    flamenco_uuid uuid;
    fl_task_state state;
    int64_t created_us, updated_us, touched_us;
    uint32_t name_len, activity_len;
    uint32_t room; /* for the texts, which stand one behind the other */
    char texts[];
} known_task;

struct fl_known_tasks {
    known_task *tasks[TASK_PLACES]; /* by UUID; NULL = none */
    uint16_t by_key[TASK_PLACES]; /* by key: the place in `tasks` where that task was last put */
};

static uint32_t place_of(const flamenco_uuid *uuid)
{
    return fl_known_hash(uuid) % TASK_PLACES;
}

/* Notes where the task of that key stands. Another one that has the same place by its key would miss its changes, so it goes. */
static void note_key(fl_known_tasks *known, int64_t key, uint32_t at)
{
    uint16_t *place = &known->by_key[(uint64_t)key % TASK_PLACES];
    known_task *other = known->tasks[*place];
    if (*place != at && other != NULL && ((uint64_t)other->state.key - (uint64_t)key) % TASK_PLACES == 0)
        other->generation = NEVER;
    *place = (uint16_t)at;
}

static known_task *find_key(flamenco_session *s, int64_t key)
{
    fl_known_tasks *known = s->known_tasks;
    known_task *found = known != NULL ? known->tasks[known->by_key[(uint64_t)key % TASK_PLACES]] : NULL;
    return found != NULL && found->state.key == key && found->generation == s->known_generation[FL_KNOWN_TASKS] ? found
                                                                                                                : NULL;
}

int32_t fl_known_task_get(flamenco_session *s, const flamenco_uuid *uuid, flamenco_task *row)
{
    const known_task *found = s->known_tasks != NULL ? s->known_tasks->tasks[place_of(uuid)] : NULL;
    if (found == NULL || found->generation != s->known_generation[FL_KNOWN_TASKS] ||
        memcmp(&found->uuid, uuid, sizeof(*uuid)) != 0)
        return 0;
    const fl_task_state *state = &found->state;
    row->struct_size = (uint32_t)sizeof(*row);
    row->key = state->key;
    row->job_key = state->job;
    row->priority = (int32_t)state->priority;
    row->open_deps = 0;
    row->worker_key = state->worker;
    row->status = state->status;
    row->created_us = found->created_us;
    row->updated_us = found->updated_us;
    row->touched_us = found->touched_us;
    row->steps_total = state->steps_total;
    row->steps_completed = state->steps_done;
    row->name = (flamenco_str){ found->texts, found->name_len };
    row->activity = (flamenco_str){ found->texts + found->name_len, found->activity_len };
    int32_t rc = fl_type_name(s, state->type, &row->type);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_task_state_keep(s, state);
    return 1;
}

/* Puts the texts of a task into its entry, which is made or made larger where needed; NULL: it is done without. */
static known_task *put_texts(flamenco_session *s, known_task **place, flamenco_str name, flamenco_str activity)
{
    const flamenco_host *host = s->store->host;
    uint64_t len = name.len + activity.len;
    known_task *to = *place;
    if (len > TEXT_MOST)
        return NULL;
    if (to == NULL || to->room < len) {
        uint32_t room = (uint32_t)len + 64;
        to = host->alloc(host->h, sizeof(*to) + room);
        if (to == NULL)
            return NULL;
        memset(to, 0, sizeof(*to));
        if (*place != NULL)
            memcpy(to, *place, sizeof(*to));
        to->room = room;
    }
    /* The name may stand in the entry that is replaced, or in this very one. */
    if (name.len > 0)
        memmove(to->texts, name.ptr, (size_t)name.len);
    if (activity.len > 0)
        memcpy(to->texts + name.len, activity.ptr, (size_t)activity.len);
    to->name_len = (uint32_t)name.len;
    to->activity_len = (uint32_t)activity.len;
    if (to != *place)
        host->free(host->h, *place);
    *place = to;
    return to;
}

void fl_known_task_keep(flamenco_session *s, const flamenco_task *row)
{
    const flamenco_host *host = s->store->host;
    /* Its state was noted when it was read. */
    if (s->kind != FLAMENCO_SESSION_WRITER || row->open_deps != 0 || s->last_task.key != row->key)
        return;
    if (s->known_tasks == NULL) {
        s->known_tasks = host->alloc(host->h, sizeof(*s->known_tasks));
        if (s->known_tasks == NULL)
            return;
        memset(s->known_tasks, 0, sizeof(*s->known_tasks));
    }
    uint32_t at = place_of(&row->uuid);
    known_task *kept = put_texts(s, &s->known_tasks->tasks[at], row->name, row->activity);
    if (kept == NULL) {
        fl_known_task_drop(s, row->key);
        return;
    }
    kept->generation = s->known_generation[FL_KNOWN_TASKS];
    kept->uuid = row->uuid;
    kept->state = s->last_task;
    kept->created_us = row->created_us;
    kept->updated_us = row->updated_us;
    kept->touched_us = row->touched_us;
    note_key(s->known_tasks, row->key, at);
}

void fl_known_task_change(flamenco_session *s, const fl_task_state *now, uint32_t set, flamenco_str activity)
{
    known_task *kept = find_key(s, now->key);
    s->known_changed[FL_KNOWN_TASKS] = 1;
    if (kept == NULL)
        return;
    if (set & FLAMENCO_TASK_SET_ACTIVITY) {
        known_task **place = &s->known_tasks->tasks[place_of(&kept->uuid)];
        kept = put_texts(s, place, (flamenco_str){ kept->texts, kept->name_len }, activity);
        if (kept == NULL) {
            fl_known_task_drop(s, now->key);
            return;
        }
    }
    kept->state = *now;
    kept->updated_us = s->cx->now_us;
    if (set & FLAMENCO_TASK_SET_TOUCHED)
        kept->touched_us = s->cx->now_us;
}

void fl_known_task_drop(flamenco_session *s, int64_t key)
{
    known_task *kept = find_key(s, key);
    if (kept != NULL)
        kept->generation = NEVER;
}

void fl_known_tasks_fini(flamenco_session *s)
{
    const flamenco_host *host = s->store->host;
    for (size_t i = 0; s->known_tasks != NULL && i < TASK_PLACES; ++i)
        host->free(host->h, s->known_tasks->tasks[i]);
    host->free(host->h, s->known_tasks);
    s->known_tasks = NULL;
}
