/* SPDX-License-Identifier: Apache-2.0
 *
 * file.h - reads a configuration file whole, and replaces one so that a crash leaves the old or the new, never half.
 */
#ifndef FL_CONFIG_FILE_H
#define FL_CONFIG_FILE_H

#include "core/base/buf.h"

#define FL_CONFIG_FILE_MAX ((size_t)1024 * 1024)

/* Appends the file's contents to `out`. Only plain files of at most FL_CONFIG_FILE_MAX bytes are read.
 * Errors: NOT_FOUND (no such file), IO, INVALID (a directory, a pipe, too large), NOMEM. Blocks. [any] */
int32_t fl_config_file_read(const char *path, fl_buf *out, flamenco_error *err);

#define FL_CONFIG_FILE_BACKUP 1u /* keep the replaced file as PATH.bak */
#define FL_CONFIG_FILE_KEEP_MODE 2u /* keep the permissions of the replaced file; else 0600 */

/* Replaces the file by `text`: written to PATH~, synced, renamed, directory synced. A symbolic link stays, its target is
 * replaced. Where the rename is impossible (a file mounted into a container), it is written in place.
 * Errors: IO, FULL, NOMEM; the old file is then still there. Blocks; one call at a time per path. [any] */
int32_t fl_config_file_replace(const char *path, flamenco_str text, uint32_t flags, flamenco_error *err);

#endif
