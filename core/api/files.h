/* SPDX-License-Identifier: Apache-2.0
 *
 * files.h - serves the files of local storage under /job-files (api-behaviour 9.4).
 */
#ifndef FL_API_FILES_H
#define FL_API_FILES_H

#include "core/api/reply.h"
#include "core/cx.h"
#include "core/http/http.h"

/* Answers a request for `path` (encoded, begins with '/'). Returns 0 with the reply filled, or NOMEM.
 * [worker] */
int32_t fl_files_serve(fl_cx *cx, fl_http_request *http, flamenco_str path, fl_reply *reply);

#endif
