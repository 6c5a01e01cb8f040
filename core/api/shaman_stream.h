/* SPDX-License-Identifier: Apache-2.0
 *
 * shaman_stream.h - uploads that are stored while they arrive. The four functions are what core/http calls (http.h,
 * stream_begin and so on); the handler in shaman.c asks for the result.
 */
#ifndef FL_API_SHAMAN_STREAM_H
#define FL_API_SHAMAN_STREAM_H

#include "core/flamenco.h"
#include "core/http/http.h"

#define FL_SHAMAN_STREAM_PREFIX "POST /api/v3/shaman/files/"

void *fl_shaman_stream_begin(void *ctx, const fl_http_stream_head *head, int *enough_out); /* ctx: struct flamenco */
int fl_shaman_stream_write(void *stream, const void *data, size_t len);
void fl_shaman_stream_end(void *stream, int complete);
void fl_shaman_stream_free(void *stream);

/* What became of the upload: 0 or the service's error, with err filled. CONFLICT: nothing was tried, because of what the
 * handler finds wrong with the request itself. */
int32_t fl_shaman_stream_result(const void *stream, flamenco_error *err);

#endif
