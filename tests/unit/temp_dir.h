/* SPDX-License-Identifier: Apache-2.0
 *
 * temp_dir.h - a directory that is made for a test and removed with everything in it. Used by tests that need real files.
 */
#ifndef TEMP_DIR_H
#define TEMP_DIR_H

#define TEMP_DIR_MAX 512

/* Makes a fresh directory below $TMPDIR or /tmp and writes its path to out. */
void temp_dir_make(char out[TEMP_DIR_MAX]);
/* Removes it; follows no links. */
void temp_dir_remove(const char *path);
/* Formats a path, e.g. temp_path(out, "%s/sub/file", dir). */
void temp_path(char out[TEMP_DIR_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Makes a file, and the directory that it stands in, with that text. */
void temp_file_write(const char *path, const char *text);
int temp_exists(const char *path);

#endif
