/* SPDX-License-Identifier: Apache-2.0
 *
 * packet.h - the texts of Engine.IO and Socket.IO (events 2.4 to 2.8): what a client's packet says, and how packets are
 * joined into the bodies of HTTP polling. Pure functions, used by session.c and polling.c.
 */
#ifndef SOCKETIO_PACKET_H
#define SOCKETIO_PACKET_H

#include "flamenco/plugin.h"

typedef enum packet_kind {
    PACKET_IGNORE,
    PACKET_BAD, /* the connection is to be dropped */
    PACKET_PING,
    PACKET_PROBE, /* "2probe" */
    PACKET_PONG,
    PACKET_CLOSE, /* of Engine.IO */
    PACKET_UPGRADE,
    PACKET_CONNECT, /* of Socket.IO, to the only namespace that there is */
    PACKET_CONNECT_OTHER, /* to another one: `name` */
    PACKET_DISCONNECT,
    PACKET_EVENT /* name, payload, ack */
} packet_kind;

typedef struct sio_packet {
    packet_kind kind;
    flamenco_str name; /* of an event, taken literally, or of a namespace */
    flamenco_str payload; /* of an event; ptr NULL: none */
    flamenco_str ack; /* the id to answer with; empty: none is wanted */
} sio_packet;

/* Reads one packet. Texts are borrowed from `text`. */
sio_packet socketio_packet_read(flamenco_str text);

typedef struct subscription {
    int leave;
    int is_job; /* the job's last-rendered room, too */
    char room[64];
    char room_too[64]; /* empty: none */
} subscription;

/* Reads the payload of a "/subscription". Returns 0 when it is not of that form, which is passed over in silence; else 1,
 * with *problem_out NULL, or a sentence for the client when it cannot be served. */
int socketio_subscription_read(flamenco_str payload, subscription *out, const char **problem_out);

#define POLLING_SEPARATOR '\x1e' /* between the packets of Engine.IO 4 */

/* The length of UTF-8 text in UTF-16 units, as Engine.IO 3 counts. */
uint64_t socketio_utf16_length(flamenco_str text);

/* Takes the next packet off a polling body. Returns 1; 0 at the end; -1 when the body is malformed. */
int socketio_payload_next(uint32_t revision, flamenco_str *body, flamenco_str *packet_out);

#endif
