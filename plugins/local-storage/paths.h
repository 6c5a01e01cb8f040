/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.h - where the root of the local storage is, and opening directories below it without following links.
 */
#ifndef FL_LOCAL_STORAGE_PATHS_H
#define FL_LOCAL_STORAGE_PATHS_H

#include "flamenco/plugin.h"

#define FL_LS_PATH_MAX 4096

/* Fills err with "WHAT NAME: REASON" for errno and returns the FLAMENCO_E_* that stands for it. */
int32_t fl_ls_fail_errno(flamenco_error *err, const char *what, const char *name);

/* Finds the absolute path of the root: `setting` itself when it is absolute, else below `program_dir` when it exists there
 * or that directory can be written to, else below `working_dir`. NULL for one of them: unknown. INVALID: empty, or too long; IO: it
 * would have to be relative to an unknown directory. */
int32_t fl_ls_find_root(const char *setting, const char *program_dir, const char *working_dir, char out[FL_LS_PATH_MAX],
                        flamenco_error *err);

/* Writes the directory of the running program to out. Returns 0 when it is unknown. */
int fl_ls_program_dir(char out[FL_LS_PATH_MAX]);

/* Makes the absolute path and what is missing above it, 0755. */
int32_t fl_ls_make_dirs(const char *path, flamenco_error *err);

/* Opens `name` (one component) below dir_fd as a directory; a symbolic link is an error. make 1: makes it, 0755. Returns
 * the descriptor, or -1 with errno. */
int fl_ls_open_below(int dir_fd, const char *name, uint32_t make);

#endif
