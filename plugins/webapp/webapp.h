/* SPDX-License-Identifier: Apache-2.0
 *
 * webapp.h - what the parts of the plugin share: the instance, files of a directory as answers, and the places of what comes
 * with the plugin.
 */
#ifndef FL_WEBAPP_H
#define FL_WEBAPP_H

#include "flamenco/http_routes.h"

#define FL_WEBAPP_NAME_MAX 1024u /* bytes of a path below a directory */
#define FL_WEBAPP_VERSION_MAX 64u

typedef struct fl_webapp {
    const flamenco_host *host;
    char *app; /* the directory of the web interface, absolute */
    int app_is_ours; /* it is the one that comes with the plugin */
    char *docs; /* our page of the API documentation */
    char *swagger; /* Swagger UI's files */
    char *addon; /* the add-on's zip; NULL = not set */
    char version[FL_WEBAPP_VERSION_MAX]; /* of the add-on; empty = none */
} fl_webapp;

/* ---- pages.c ---- */

const flamenco_http_route *const *fl_webapp_routes(void *self);
int32_t fl_webapp_handle(void *self, flamenco_cx *cx, const flamenco_http_request *request, flamenco_http_reply *reply,
                         flamenco_error *err);

/* ---- serve.c: a file as an answer, with ETag, one byte range, and its compressed neighbours NAME.br and NAME.gz ---- */

#define FL_SERVE_POLICY 1u /* with a Content-Security-Policy that allows nothing from elsewhere */

/* Answers with the file `name` below `directory`. NOT_FOUND: there is no such file, it is hidden, or it would leave the
 * directory; nothing was answered then. */
int32_t fl_serve(const char *directory, const char *name, uint32_t flags, const flamenco_http_request *request,
                 flamenco_http_reply *reply, flamenco_error *err);
/* 'f' file, 'd' directory, 0 neither; the same rules. */
char fl_serve_kind(const char *directory, const char *name);
/* The type of a file by its name's ending. */
const char *fl_serve_type(const char *name);

/* ---- range.c: headers of conditional requests; pure ---- */

typedef struct fl_range {
    uint32_t status; /* 200, 206, 304, 416 */
    uint64_t offset, length;
} fl_range;

/* Decides what part of a file of that size a request gets. Empty texts: the header is missing. A range that is not
 * understood, or several, give the whole file. */
fl_range fl_range_plan(uint64_t size, const char *etag, flamenco_str range, flamenco_str if_range,
                       flamenco_str if_none_match);
/* Tells whether an Accept-Encoding value allows a coding. */
int fl_range_accepts(flamenco_str accept_encoding, const char *coding);

/* ---- name.c; pure ---- */

/* Decodes the path of a URL below a prefix to a name below a directory, at most FL_WEBAPP_NAME_MAX bytes with its NUL.
 * Returns 0 for what cannot be one: a bad escape, NUL, a component that is empty or begins with a dot, too long. */
int fl_name_decode(flamenco_str path, char *out);

/* ---- addon.c ---- */

/* Reads the version of the add-on from its zip: `__version__` in flamenco/manager/__init__.py. NOT_FOUND: no such file;
 * INVALID: it is no zip of the add-on. out: FL_WEBAPP_VERSION_MAX bytes. */
int32_t fl_addon_version(const char *path, char *out, flamenco_error *err);

/* ---- places.c ---- */

/* Where something that comes with the plugin is: beside its file, else where it is installed. From malloc; NULL: no
 * memory. */
char *fl_place_find(const char *name);

#endif
