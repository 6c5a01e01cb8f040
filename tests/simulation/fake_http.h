/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_http.h - requests without a network: the functions of core/http/http.h that the API layer calls, working on requests
 * that the simulation makes. Linked in place of core/http, so everything behind it (dispatch, decoding, credentials,
 * handlers, parking) is the real thing.
 */
#ifndef SIM_FAKE_HTTP_H
#define SIM_FAKE_HTTP_H

#include "core/base/buf.h"
#include "core/flamenco.h"
#include "core/http/http.h"

typedef enum client_state {
    CLIENT_WAITS,
    CLIENT_ANSWERED,
    CLIENT_DROPPED /* the connection was closed without an answer */
} client_state;

/* One request, from its client's side. */
typedef struct client {
    char method[8], path[160], authorization[160];
    fl_buf body;
    client_state state;
    int32_t status; /* ANSWERED */
    fl_buf reply;
    int held; /* parked, and its connection is watched */
    int dead; /* the client is gone, and nobody has noticed */
    struct fl_http_request *request; /* NULL when it was ended */
} client;

/* Sends it to fl_dispatch(), on this thread. */
void client_send(client *c, struct flamenco *f);
/* The connection of a waiting request closes. noticed 0: only who looks will see it. */
void client_close(client *c, struct flamenco *f, int noticed);
/* For requests that do not go through HTTP: begins to wait; ends with a status (0 = dropped). */
void client_begin(client *c);
void client_end(client *c, int32_t status);
/* Takes an ended request's memory. */
void client_fini(client *c);

/* Reads the state under the lock. */
client_state client_look(client *c);
/* Tells whether the manager still works on it: neither answered nor parked. */
int client_is_served(client *c);
/* How many requests have no answer yet, and how many of them are held. */
void client_count(size_t *waiting, size_t *held);
/* From now on answers do not arrive: the process has ended. */
void client_cut_all(int cut);

#endif
