/* SPDX-License-Identifier: Apache-2.0
 *
 * blender.h - finds Blender on this machine and tries it, for the setup assistant (api-behaviour 7.1). Called by
 * core/api/setup.c.
 */
#ifndef FL_BLENDER_H
#define FL_BLENDER_H

#include "core/base/arena.h"

/* Looks a command up in the directories of $PATH. Relative ones are passed over: what is found there depends on where the
 * manager was started. Returns 0 with the full path, NOT_FOUND or NOMEM. Blocks. [worker] */
int32_t fl_blender_look_up(fl_arena *arena, flamenco_str command, flamenco_str *path_out);

/* Turns a path that somebody gave into that of an executable: a directory into that of the `blender` in it. Returns 0; IO
 * when there is no such file, the text says why; NOMEM. Blocks. [worker] */
int32_t fl_blender_at(fl_arena *arena, flamenco_str given, flamenco_str *path_out, flamenco_error *err);

/* Runs `PATH --version` for at most 10 s, or until deadline_us, or until *go_on is 0. Returns 0 with the line that tells the
 * version, "Blender 4.2.0"; IO (it cannot be run, fails, or is not Blender), DEADLINE, CANCELLED, NOMEM; the text says why.
 * Blocks. [worker] */
int32_t fl_blender_version(fl_arena *arena, flamenco_str path, int64_t deadline_us, const uint32_t *go_on,
                           flamenco_str *version_out, flamenco_error *err);

#endif
