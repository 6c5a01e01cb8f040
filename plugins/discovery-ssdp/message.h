/* SPDX-License-Identifier: Apache-2.0
 *
 * message.h - the texts of SSDP (contract: events 4.2): reads searches, writes announcements and answers. Pure; used by
 * plugin.c, which has the sockets.
 */
#ifndef SSDP_MESSAGE_H
#define SSDP_MESSAGE_H

#include "flamenco/plugin.h"

#define FL_SSDP_DATAGRAM_MAX 2048u /* of what comes in and of what goes out */
#define FL_SSDP_UUID "aa80bc5f-d0af-46b8-8630-23bd7e80ec4d" /* of every manager; Workers look for it */
#define FL_SSDP_TYPE "urn:flamenco:manager:0"

typedef enum fl_ssdp_kind {
    FL_SSDP_GARBAGE, /* no message at all, or a search that lacks something */
    FL_SSDP_OTHER, /* other devices' announcements and answers */
    FL_SSDP_SEARCH
} fl_ssdp_kind;

/* What a search looks for. */
typedef enum fl_ssdp_target {
    FL_SSDP_NOT_US,
    FL_SSDP_SERVICE, /* the service type, also in quotes */
    FL_SSDP_ALL, /* "ssdp:all" */
    FL_SSDP_BARE, /* our UUID alone */
    FL_SSDP_DEVICE, /* "uuid:…" */
    FL_SSDP_ROOT /* "upnp:rootdevice" */
} fl_ssdp_target;

typedef struct fl_ssdp_search {
    fl_ssdp_target target;
    uint32_t mx_s; /* the time that the searcher gives us to answer: 1 to 60 */
} fl_ssdp_search;

/* Looks at a datagram, which nobody has vouched for. *out is filled for a search. */
fl_ssdp_kind fl_ssdp_read(const char *data, size_t len, fl_ssdp_search *out);

/* Both write one datagram with CRLF line ends into out[FL_SSDP_DATAGRAM_MAX], and return its length; 0 when it has no room.
 * `url` is one of the manager's own, "http://10.0.0.5:8080/". `alive` 0: good-bye; `group` is the HOST header. */
size_t fl_ssdp_write_notify(char *out, const char *group, int alive, const char *url);
size_t fl_ssdp_write_answer(char *out, fl_ssdp_target target, const char *url, int64_t now_us);

/* The description document into out; returns its length, 0 when it has no room. */
size_t fl_ssdp_write_description(char *out, size_t size, const char *version);

#endif
