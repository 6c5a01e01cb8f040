/* SPDX-License-Identifier: Apache-2.0
 *
 * channel.h - the helper's end of the socket: blocking, frame by frame. Whatever goes wrong here means that the plugin has
 * gone or is not what it should be, so the process ends. Used by main.c and engine.c.
 */
#ifndef FL_CHANNEL_H
#define FL_CHANNEL_H

#include "../wire.h"
#include "watch.h"

/* A received frame; `data` is reused by the next read into the same one. The payload is followed by a NUL. */
typedef struct fl_frame {
    uint32_t type;
    fl_wire_in in;
    uint8_t *data;
    size_t cap;
} fl_frame;

typedef struct fl_channel {
    int fd;
    fl_watch *watch; /* its clock stands still while the plugin is waited for; may be NULL */
    fl_wire_out out; /* what waits to be sent */
} fl_channel;

/* Waits for the next frame. Does not return when the plugin has closed its end. */
void fl_channel_read(fl_channel *channel, fl_frame *frame);
/* Sends everything that waits. */
void fl_channel_flush(fl_channel *channel);

#endif
