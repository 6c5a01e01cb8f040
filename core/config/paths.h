/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.h - paths of other platforms as text (contract: configuration-and-clients 2.5). Nothing here looks at a disk.
 * Platforms are named as Go names them: "linux", "windows", "darwin". Results live in the arena or in the argument; a NULL
 * ptr with len > 0 never comes back: where memory is exhausted, ptr is NULL and len is 0, and the function says so.
 * All functions: [any].
 */
#ifndef FL_CONFIG_PATHS_H
#define FL_CONFIG_PATHS_H

#include "core/base/arena.h"

/* The platform that this manager runs on, "linux" in most cases. */
const char *fl_path_own_platform(void);

static inline int fl_path_is_separator(char c)
{
    return c == '/' || c == '\\';
}

/* Rewrites all separators for the platform; drops empty components but the leading ones. Returns 0 or NOMEM. */
int32_t fl_path_to_platform(fl_arena *arena, flamenco_str path, flamenco_str platform, flamenco_str *out);

/* Cuts trailing separators; keeps the first one when there is nothing else. No allocation. */
flamenco_str fl_path_trim_trailing(flamenco_str path);

/* Puts a backslash behind a leading "X:" that has none. Returns 0 or NOMEM. */
int32_t fl_path_drive_absolute(fl_arena *arena, flamenco_str path, flamenco_str *out);

/* Begins with two backslashes. */
int fl_path_is_unc(flamenco_str path);
/* "/", "D:", "D:/" or "D:\". */
int fl_path_is_root(flamenco_str path);

/* Every backslash becomes a slash. Returns 0 or NOMEM. */
int32_t fl_path_to_slash(fl_arena *arena, flamenco_str path, flamenco_str *out);
/* Every separator becomes that of the platform we run on. Returns 0 or NOMEM. */
int32_t fl_path_to_native(fl_arena *arena, flamenco_str path, flamenco_str *out);

/* Joins the parts that are not empty by slashes, cleans the result and turns backslashes. Returns 0 or NOMEM. */
int32_t fl_path_join(fl_arena *arena, const flamenco_str *parts, size_t n, flamenco_str *out);

/* The last component, what is before it, and the last component without its last extension. Return 0 or NOMEM. */
int32_t fl_path_base(fl_arena *arena, flamenco_str path, flamenco_str *out);
int32_t fl_path_dir(fl_arena *arena, flamenco_str path, flamenco_str *out);
int32_t fl_path_stem(fl_arena *arena, flamenco_str path, flamenco_str *out);

/* Removes ".", ".." and repeated slashes by text alone; only '/' separates. Empty becomes ".". Returns 0 or NOMEM. */
int32_t fl_path_clean(fl_arena *arena, flamenco_str path, flamenco_str *out);
/* Cleans the path, put behind `cwd` (absolute) when it is relative. Returns 0 or NOMEM. */
int32_t fl_path_absolute(fl_arena *arena, flamenco_str cwd, flamenco_str path, flamenco_str *out);

#endif
