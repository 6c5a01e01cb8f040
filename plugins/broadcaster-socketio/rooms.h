/* SPDX-License-Identifier: Apache-2.0
 *
 * rooms.h - who has asked for which topic. Everything here is under the hub's lock, but for two questions of who publishes.
 */
#ifndef SOCKETIO_ROOMS_H
#define SOCKETIO_ROOMS_H

#include "flamenco/plugin.h"

struct session;
typedef struct room sio_room;

/* One of a session's rooms; slot: where it stands among the room's members. */
typedef struct stay {
    sio_room *in;
    uint32_t slot;
} stay;

/* The rooms of one session. Zero-initialise it. */
typedef struct stays {
    stay *list;
    uint32_t count, cap;
} stays;

typedef struct member {
    struct session *session;
    stays *of; /* the session's list */
    uint32_t stay; /* index in it */
} member;

struct room {
    sio_room *next; /* of its bucket */
    uint32_t hash, count, cap;
    member *members;
    char name[64];
};

#define ROOMS_HASHES 4096u

/* All rooms that anybody is in. */
typedef struct rooms {
    sio_room **buckets;
    uint32_t n_buckets, count; /* n_buckets: a power of two */
    uint32_t seed; /* names are the clients' choice */
    uint32_t task_logs; /* how many are for the log of a task; this and the next are read without the lock, too */
    uint32_t of_hash[ROOMS_HASHES]; /* how many there are by two parts of the hash of their names */
} rooms;

int32_t rooms_init(rooms *all, uint32_t seed);
void rooms_fini(rooms *all); /* they must be empty */

/* Whether anybody may be in that room: 0 is certain, 1 is nearly. [any] */
int rooms_may_hear(const rooms *all, flamenco_str name);

/* Whether anybody reads the log of any task. [any] */
int rooms_have_task_logs(const rooms *all);

/* NULL: nobody is in that room. */
sio_room *rooms_find(rooms *all, flamenco_str name);

/* Joins; being in it already is fine. `of` is the session's list, which must not move. NOMEM; FULL: the session is in `at_most` rooms. */
int32_t rooms_join(rooms *all, struct session *session, stays *of, const char *name, uint32_t at_most);
void rooms_leave(rooms *all, stays *of, const char *name);
void rooms_leave_all(rooms *all, stays *of); /* frees the list, too */

#endif
