/* SPDX-License-Identifier: Apache-2.0
 *
 * blender.c - see blender.h.
 */
#include "core/blender.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/str.h"
#include "core/child.h"
#include "core/step.h"

#define RUN_US INT64_C(10000000)
#define OUTPUT_MAX 65536u
#define VERSION_MAX 200u /* bytes of the line that are kept */
/* A path in a message, short enough that the reason behind it is not cut off. */
#define PATH_ARGS(path) (int)((path).len > 120 ? 120 : (path).len), (path).ptr

/* Tells whether there is a file that we may run. Returns 0 or an errno. */
static int try_executable(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return errno;
    if (S_ISDIR(st.st_mode))
        return EISDIR;
    return S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? 0 : EACCES;
}

static int has_nul(flamenco_str text)
{
    return text.len > 0 && memchr(text.ptr, '\0', (size_t)text.len) != NULL;
}

int32_t fl_blender_look_up(fl_arena *arena, flamenco_str command, flamenco_str *path_out)
{
    const char *list = getenv("PATH");
    flamenco_str rest = flamenco_text(list != NULL ? list : ""), directory;
    if (has_nul(command))
        return FLAMENCO_E_NOT_FOUND;
    while (fl_str_split(&rest, ':', &directory)) {
        if (directory.len == 0 || directory.ptr[0] != '/')
            continue;
        flamenco_str path = fl_arena_printf(arena, "%.*s/%.*s", FL_STR_ARGS(directory), FL_STR_ARGS(command));
        if (path.ptr == NULL)
            return FLAMENCO_E_NOMEM;
        if (try_executable(path.ptr) == 0) {
            *path_out = path;
            return FLAMENCO_OK;
        }
    }
    return FLAMENCO_E_NOT_FOUND;
}

int32_t fl_blender_at(fl_arena *arena, flamenco_str given, flamenco_str *path_out, flamenco_error *err)
{
    flamenco_str path = fl_arena_copy(arena, given);
    if (path.ptr == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    if (has_nul(given))
        return flamenco_fail(err, FLAMENCO_E_IO, "a path cannot contain a NUL character");
    int problem = try_executable(path.ptr);
    if (problem == EISDIR) {
        const char *between = path.ptr[path.len - 1] == '/' ? "" : "/";
        path = fl_arena_printf(arena, "%.*s%sblender", FL_STR_ARGS(given), between);
        if (path.ptr == NULL)
            return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        problem = try_executable(path.ptr);
    }
    if (problem != 0)
        return flamenco_fail(err, FLAMENCO_E_IO, "%.*s: %s", PATH_ARGS(path),
                             problem == EACCES ? "not an executable file" : strerror(problem));
    *path_out = path;
    return FLAMENCO_OK;
}

/* Finds the line that tells the version. Returns 0 when there is none. */
static int find_version(fl_arena *arena, flamenco_str output, flamenco_str *out)
{
    flamenco_str line;
    if (output.ptr == NULL)
        return 0;
    while (fl_str_split(&output, '\n', &line)) {
        if (!fl_str_starts(line, "Blender "))
            continue;
        line = fl_str_trim(line);
        if (line.len > VERSION_MAX)
            line.len = VERSION_MAX;
        *out = fl_str_to_utf8(arena, line);
        return 1;
    }
    return 0;
}

int32_t fl_blender_version(fl_arena *arena, flamenco_str path, int64_t deadline_us, const uint32_t *go_on,
                           flamenco_str *version_out, flamenco_error *err)
{
    const char *argv[] = { path.ptr, "--version", NULL };
    fl_child_options options = { .deadline_us = fl_monotonic_us() + RUN_US, .keep_bytes = OUTPUT_MAX, .go_on = go_on };
    flamenco_error why = FLAMENCO_ERROR_INIT;
    flamenco_str version = { NULL, 0 };
    fl_buf output = { 0 };
    int status = 0;
    if (options.deadline_us > deadline_us)
        options.deadline_us = deadline_us;
    int32_t rc = fl_child_run(argv, &options, &output, &status, &why);
    if (rc == FLAMENCO_E_DEADLINE)
        flamenco_fail(err, rc, "%.*s --version does not end in time", PATH_ARGS(path));
    else if (rc != FLAMENCO_OK)
        flamenco_fail(err, rc, "%.*s cannot be run: %s", PATH_ARGS(path), why.text);
    else if (status != 0)
        rc = flamenco_fail(err, FLAMENCO_E_IO, "%.*s --version fails with exit code %d", PATH_ARGS(path), status);
    else if (!find_version(arena, fl_buf_str(&output), &version))
        rc = flamenco_fail(err, FLAMENCO_E_IO, "%.*s does not tell a version of Blender: it is another program",
                           PATH_ARGS(path));
    else if (version.ptr == NULL)
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    else
        *version_out = version;
    fl_buf_fini(&output);
    return rc;
}
