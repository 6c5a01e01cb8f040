/* SPDX-License-Identifier: Apache-2.0
 *
 * range.h - what part of a file a request gets (api-behaviour 9.4): one byte range, If-Modified-Since, If-Range. Pure;
 * for whoever fills a file reply.
 */
#ifndef FL_HTTP_RANGE_H
#define FL_HTTP_RANGE_H

#include "flamenco/plugin.h"

typedef struct fl_http_file {
    uint64_t size;
    int64_t mtime_s;
    flamenco_str range, if_range, if_modified_since; /* the request's headers; empty = none */
} fl_http_file;

typedef struct fl_http_file_plan {
    int32_t status; /* 200, 206, 304, 416 */
    uint64_t offset, length;
    char content_range[72]; /* for 206 and 416, else empty */
    char last_modified[32]; /* empty: a time that no date can tell */
} fl_http_file_plan;

/* Decides. A range that is not understood, or several, give the whole file. [any] */
void fl_http_plan_file(const fl_http_file *file, fl_http_file_plan *out);

#endif
