/* SPDX-License-Identifier: Apache-2.0
 *
 * rotate.h - moves a log out of the way by numbering (contract: state-and-scheduling 15). Used by log_storage.c.
 */
#ifndef FL_LOG_ROTATE_H
#define FL_LOG_ROTATE_H

#include "flamenco/plugin.h"

/* Returns the number behind the last '.' of a file name ("log.010" has 10, "log.-4" has -4), or -1 when there is none.
 * base_len_out gets the length of what stands before that '.', or of the whole name. */
int64_t fl_log_number(const char *name, size_t *base_len_out);

/* If `name` exists in the directory: renames each name.N, N at least 1, highest first, to name.(N+1), then name to name.1.
 * Gaps stay gaps. Errors: IO, FULL, NOMEM. */
int32_t fl_log_rotate(const flamenco_host *host, int dir_fd, const char *name, flamenco_error *err);

#endif
