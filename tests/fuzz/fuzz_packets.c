/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_packets.c - what web pages send: packets of Socket.IO, subscriptions, polling bodies of both revisions.
 */
#include "fuzz.h"
#include "packet.h"

static int is_within(flamenco_str part, flamenco_str text)
{
    return part.len == 0 ||
           (part.ptr >= text.ptr && part.len <= text.len && part.ptr - text.ptr <= (ptrdiff_t)(text.len - part.len));
}

static void read_subscription(flamenco_str payload)
{
    subscription sub;
    const char *problem = NULL;
    if (!socketio_subscription_read(payload, &sub, &problem) || problem != NULL)
        return;
    FUZZ_MUST(sub.room[0] == '/' && memchr(sub.room, '\0', sizeof(sub.room)) != NULL);
    FUZZ_MUST(memchr(sub.room_too, '\0', sizeof(sub.room_too)) != NULL);
}

static void read_packet(flamenco_str text)
{
    sio_packet p = socketio_packet_read(text);
    FUZZ_MUST(is_within(p.name, text) && is_within(p.payload, text) && is_within(p.ack, text));
    if (p.kind == PACKET_EVENT)
        read_subscription(p.payload);
}

static void read_body(uint32_t revision, flamenco_str text)
{
    flamenco_str body = text, packet;
    uint64_t packets = 0;
    int more;
    while ((more = socketio_payload_next(revision, &body, &packet)) == 1) {
        FUZZ_MUST(is_within(packet, text) && is_within(body, text) && ++packets <= text.len);
        FUZZ_MUST(socketio_utf16_length(packet) <= 2 * packet.len); /* reached by what is no UTF-8 */
        read_packet(packet);
    }
    FUZZ_MUST(more == 0 || more == -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    flamenco_str text = fuzz_rest(data, size);
    read_packet(text);
    read_subscription(text);
    read_body(3, text);
    read_body(4, text);
    return 0;
}
