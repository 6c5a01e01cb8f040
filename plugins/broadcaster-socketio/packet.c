/* SPDX-License-Identifier: Apache-2.0
 *
 * packet.c - see packet.h. Reads as the reference does, without its crash (events 2.4, 2.7).
 */
#include "packet.h"

#include <strings.h>

#include <jansson.h>

static flamenco_str rest(flamenco_str text, uint64_t skip)
{
    return (flamenco_str){ text.ptr + skip, text.len - skip };
}

static const char *find(flamenco_str text, char c)
{
    return text.len > 0 ? memchr(text.ptr, c, (size_t)text.len) : NULL;
}

static int is_integer(flamenco_str text)
{
    uint64_t at = text.len > 1 && (text.ptr[0] == '-' || text.ptr[0] == '+');
    if (text.len == 0 || text.len > 18)
        return 0;
    for (; at < text.len; ++at)
        if (text.ptr[at] < '0' || text.ptr[at] > '9')
            return 0;
    return 1;
}

/* What follows "42". */
static sio_packet read_event(flamenco_str text)
{
    static const sio_packet bad = { .kind = PACKET_BAD }, ignored = { .kind = PACKET_IGNORE };
    sio_packet out = { .kind = PACKET_EVENT };
    const char *end = text.ptr + text.len, *bracket = find(text, '[');
    if (bracket == NULL)
        return bad;
    flamenco_str id = { text.ptr, (uint64_t)(bracket - text.ptr) };
    if (is_integer(id))
        out.ack = id;
    const char *open = find((flamenco_str){ bracket, (uint64_t)(end - bracket) }, '"');
    const char *close = open != NULL ? find((flamenco_str){ open + 1, (uint64_t)(end - open - 1) }, '"') : NULL;
    if (close == NULL)
        return ignored;
    out.name = (flamenco_str){ open + 1, (uint64_t)(close - open - 1) };
    flamenco_str tail = { close + 1, (uint64_t)(end - close - 1) };
    const char *comma = find(tail, ','), *third = find(tail, '"');
    if (third != NULL && (comma == NULL || third < comma))
        return bad;
    if (comma != NULL && comma + 1 < end)
        out.payload = (flamenco_str){ comma + 1, (uint64_t)(end - comma - 2) };
    return out;
}

/* What follows "43". Nothing was asked for; but it must look like an answer. */
static sio_packet read_ack(flamenco_str text)
{
    const char *bracket = find(text, '[');
    flamenco_str id = { text.ptr, bracket != NULL ? (uint64_t)(bracket - text.ptr) : 0 };
    return (sio_packet){ .kind = text.len < 2 || !is_integer(id) ? PACKET_BAD : PACKET_IGNORE };
}

/* What follows "40": an optional namespace up to a comma, then what the client has to say for itself. */
static sio_packet read_connect(flamenco_str text)
{
    sio_packet out = { .kind = PACKET_CONNECT };
    if (text.len == 0 || text.ptr[0] != '/')
        return out;
    const char *comma = find(text, ','), *query = find(text, '?');
    out.name = (flamenco_str){ text.ptr, comma != NULL ? (uint64_t)(comma - text.ptr) : text.len };
    if (query != NULL && (comma == NULL || query < comma))
        out.name.len = (uint64_t)(query - text.ptr);
    if (out.name.len > 1)
        out.kind = PACKET_CONNECT_OTHER;
    return out;
}

static sio_packet read_message(flamenco_str text)
{
    switch (text.len > 0 ? text.ptr[0] : '\0') {
    case '0':
        return read_connect(rest(text, 1));
    case '1':
        return (sio_packet){ .kind = PACKET_DISCONNECT };
    case '2':
        return read_event(rest(text, 1));
    case '3':
        return read_ack(rest(text, 1));
    default:
        return (sio_packet){ .kind = PACKET_BAD };
    }
}

sio_packet socketio_packet_read(flamenco_str text)
{
    switch (text.len > 0 ? text.ptr[0] : '\0') {
    case '0':
        return (sio_packet){ .kind = PACKET_IGNORE };
    case '1':
        return (sio_packet){ .kind = PACKET_CLOSE };
    case '2':
        return (sio_packet){ .kind = flamenco_str_equal(text, flamenco_text("2probe")) ? PACKET_PROBE : PACKET_PING };
    case '3':
        return (sio_packet){ .kind = PACKET_PONG };
    case '4':
        return read_message(rest(text, 1));
    case '5':
        return (sio_packet){ .kind = PACKET_UPGRADE };
    default:
        return (sio_packet){ .kind = PACKET_BAD };
    }
}

/* ---- Subscriptions --------------------------------------------------------------------------------------------------- */

typedef struct fields {
    const char *op, *type, *uuid; /* NULL: not given */
} fields;

/* Keys in any letter case; the last one counts. Returns 0 when a value is no text. */
static int read_fields(json_t *object, fields *out)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        const char **to = strcasecmp(key, "op") == 0     ? &out->op
                          : strcasecmp(key, "type") == 0 ? &out->type
                          : strcasecmp(key, "uuid") == 0 ? &out->uuid
                                                         : NULL;
        if (to == NULL || json_is_null(value))
            continue;
        if (!json_is_string(value))
            return 0;
        *to = json_string_value(value);
    }
    return 1;
}

static int is_uuid(const char *text)
{
    if (strlen(text) != 36)
        return 0;
    for (size_t i = 0; i < 36; ++i) {
        char c = text[i];
        int dash = i == 8 || i == 13 || i == 18 || i == 23;
        int hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex)
            return 0;
    }
    return 1;
}

static const struct {
    const char *type, *room, *room_too;
    int needs_uuid;
} kinds[] = {
    { "allJobs", "/jobs", NULL, 0 },
    { "allWorkers", "/workers", NULL, 0 },
    { "allLastRendered", "/last-rendered", NULL, 0 },
    { "allWorkerTags", "/workertags", NULL, 0 },
    { "job", "/jobs/%s", "/jobs/%s/last-rendered", 1 },
    { "tasklog", "/tasklog/%s", NULL, 1 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Returns what is wrong, or NULL. The order of the checks is the contract's. */
static const char *check_fields(const fields *f, subscription *out)
{
    size_t kind = 0;
    if (f->uuid != NULL && !is_uuid(f->uuid))
        return "the uuid is not valid";
    while (kind < KINDS && (f->type == NULL || strcmp(f->type, kinds[kind].type) != 0))
        ++kind;
    if (kind == KINDS)
        return "unknown subscription type";
    if (kinds[kind].needs_uuid && f->uuid == NULL)
        return "this subscription type needs a uuid";
    if (f->op == NULL || (strcmp(f->op, "subscribe") != 0 && strcmp(f->op, "unsubscribe") != 0))
        return "the operation must be subscribe or unsubscribe";
    out->leave = f->op[0] == 'u';
    const char *uuid = kinds[kind].needs_uuid ? f->uuid : "";
    snprintf(out->room, sizeof(out->room), kinds[kind].room, uuid);
    if (kinds[kind].room_too != NULL)
        snprintf(out->room_too, sizeof(out->room_too), kinds[kind].room_too, uuid);
    return NULL;
}

int socketio_subscription_read(flamenco_str payload, subscription *out, const char **problem_out)
{
    fields f = { NULL, NULL, NULL };
    memset(out, 0, sizeof(*out));
    json_t *root = payload.ptr != NULL ? json_loadb(payload.ptr, (size_t)payload.len, JSON_DECODE_ANY, NULL) : NULL;
    int understood = json_is_null(root) || (json_is_object(root) && read_fields(root, &f));
    if (understood)
        *problem_out = check_fields(&f, out);
    json_decref(root);
    return understood;
}

/* ---- Polling --------------------------------------------------------------------------------------------------------- */

uint64_t socketio_utf16_length(flamenco_str text)
{
    uint64_t units = 0;
    for (uint64_t i = 0; i < text.len; ++i) {
        unsigned char c = (unsigned char)text.ptr[i];
        units += (c & 0xC0u) != 0x80u; /* a new character */
        units += c >= 0xF0u; /* which takes two */
    }
    return units;
}

/* How many bytes the first so many UTF-16 units take; more than the text has when it is too short. */
static uint64_t bytes_of_units(flamenco_str text, uint64_t units)
{
    uint64_t at = 0;
    while (units > 0 && at < text.len) {
        unsigned char c = (unsigned char)text.ptr[at];
        uint64_t bytes = c < 0x80u ? 1 : c < 0xE0u ? 2 : c < 0xF0u ? 3 : 4;
        uint64_t takes = bytes == 4 ? 2 : 1;
        if (takes > units)
            return UINT64_MAX;
        units -= takes;
        at += bytes;
    }
    return units > 0 ? UINT64_MAX : at;
}

/* The other form of revision 3, which python-engineio 3 sends: a zero byte for text, digits as bytes 0 to 9, a byte 255. */
static int next_in_binary(flamenco_str *body, flamenco_str *packet_out)
{
    uint64_t bytes = 0, at = 1;
    for (; at < body->len && at < 10 && (unsigned char)body->ptr[at] <= 9; ++at)
        bytes = bytes * 10 + (unsigned char)body->ptr[at];
    if (at == 1 || at == body->len || (unsigned char)body->ptr[at] != 0xFFu || bytes > body->len - at - 1)
        return -1;
    *packet_out = (flamenco_str){ body->ptr + at + 1, bytes };
    *body = rest(*body, at + 1 + bytes);
    return 1;
}

static int next_of_revision_3(flamenco_str *body, flamenco_str *packet_out)
{
    uint64_t units = 0, at = 0;
    if (body->ptr[0] == '\0')
        return next_in_binary(body, packet_out);
    for (; at < body->len && at < 9 && body->ptr[at] >= '0' && body->ptr[at] <= '9'; ++at)
        units = units * 10 + (uint64_t)(body->ptr[at] - '0');
    if (at == 0 || at == body->len || body->ptr[at] != ':')
        return -1;
    flamenco_str tail = rest(*body, at + 1);
    uint64_t bytes = bytes_of_units(tail, units);
    if (bytes > tail.len)
        return -1;
    *packet_out = (flamenco_str){ tail.ptr, bytes };
    *body = rest(tail, bytes);
    return 1;
}

int socketio_payload_next(uint32_t revision, flamenco_str *body, flamenco_str *packet_out)
{
    if (body->len == 0)
        return 0;
    if (revision == 3)
        return next_of_revision_3(body, packet_out);
    const char *end = find(*body, POLLING_SEPARATOR);
    packet_out->ptr = body->ptr;
    packet_out->len = end != NULL ? (uint64_t)(end - body->ptr) : body->len;
    *body = rest(*body, packet_out->len + (end != NULL ? 1 : 0));
    return 1;
}
