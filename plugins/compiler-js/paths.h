/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.h - where the helper, the built-in scripts and the program's own scripts are. Called by compiler.c.
 */
#ifndef FL_PATHS_H
#define FL_PATHS_H

/* The helper executable: beside the plugin (build tree), else at its installed place relative to the plugin, else at the
 * configured one. malloc'ed; NULL without memory. */
char *fl_paths_helper(void);
/* The directory of the built-in scripts, found in the same way. */
char *fl_paths_builtin(void);
/* `scripts` beside the running program's file. */
char *fl_paths_beside_program(void);

#endif
