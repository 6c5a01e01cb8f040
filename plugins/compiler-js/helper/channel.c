/* SPDX-License-Identifier: Apache-2.0
 *
 * channel.c - see channel.h.
 */
#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void read_exactly(int fd, uint8_t *to, size_t n)
{
    while (n > 0) {
        ssize_t got = read(fd, to, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            _exit(0); /* the manager has closed its end: that is how it says good-bye */
        if (got < 0)
            _exit(FL_WIRE_EXIT_BROKEN);
        to += got;
        n -= (size_t)got;
    }
}

void fl_channel_read(fl_channel *channel, fl_frame *frame)
{
    uint32_t header[2];
    if (channel->watch != NULL)
        fl_watch_pause(channel->watch);
    read_exactly(channel->fd, (uint8_t *)header, sizeof(header));
    if (header[0] > FL_WIRE_PAYLOAD_MAX)
        _exit(FL_WIRE_EXIT_BROKEN);
    if (frame->cap < (size_t)header[0] + 1) {
        free(frame->data);
        frame->cap = (size_t)header[0] + 1;
        frame->data = malloc(frame->cap);
        if (frame->data == NULL)
            _exit(FL_WIRE_EXIT_MEMORY);
    }
    read_exactly(channel->fd, frame->data, header[0]);
    frame->data[header[0]] = 0;
    frame->type = header[1];
    frame->in.at = frame->data;
    frame->in.end = frame->data + header[0];
    frame->in.failed = 0;
    if (channel->watch != NULL)
        fl_watch_resume(channel->watch);
}

void fl_channel_flush(fl_channel *channel)
{
    if (channel->out.failed)
        _exit(FL_WIRE_EXIT_MEMORY);
    if (channel->watch != NULL)
        fl_watch_pause(channel->watch);
    const uint8_t *from = channel->out.data;
    size_t left = channel->out.len;
    while (left > 0) {
        ssize_t put = write(channel->fd, from, left);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            _exit(0);
        from += put;
        left -= (size_t)put;
    }
    channel->out.len = 0;
    if (channel->watch != NULL)
        fl_watch_resume(channel->watch);
}
