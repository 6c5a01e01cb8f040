/* SPDX-License-Identifier: Apache-2.0
 *
 * head.h - judges the raw head of a request for what h2o takes silently (libh2o-notes.md 6): two lengths, length and
 * chunks, folded framing. Pure; used by request.c, and by the interposer of streamed uploads to come.
 */
#ifndef FL_HTTP_HEAD_H
#define FL_HTTP_HEAD_H

#include <stddef.h>
#include <stdint.h>

/* Reads a head as h2o's parser does: one empty line in front is skipped, lines end in LF or CR LF, the empty line ends
 * it. Returns its length, that line included, or 0 when it is not complete. *problem_out gets NULL, or a static text
 * that says why the request is to be refused with 400. */
size_t fl_head_scan(const char *bytes, size_t len, const char **problem_out);

#endif
