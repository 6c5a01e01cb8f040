/* SPDX-License-Identifier: Apache-2.0
 *
 * setup.c - the operations of the setup assistant: is this directory fit as shared storage, where is Blender and does it
 * work, save and restart (api-behaviour 7.1; configuration-and-clients 1.9). All of it is work on files and programs, in
 * the work pool, one after the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/api/handlers.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/blender.h"
#include "core/config/current.h"
#include "core/config/paths.h"

/* Those that were asked before may have taken long. Returns DEADLINE then. */
static int32_t check_deadline(const fl_call *call)
{
    if (fl_monotonic_us() < call->step.deadline_us)
        return FLAMENCO_OK;
    return flamenco_fail(call->err, FLAMENCO_E_DEADLINE, "other checks take too long");
}

/* ---- Shared storage ------------------------------------------------------------------------------------------------ */

static int is_same_directory(const struct stat *a, const char *other)
{
    struct stat b;
    return stat(other, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

/* Makes a file there, and removes it. Returns 0 or an errno. */
static int try_to_write(fl_arena *arena, flamenco_str path)
{
    static const char text[] = "Flamenco Manager tries whether it can write here. This file may be deleted.\n";
    const char *between = path.ptr[path.len - 1] == '/' ? "" : "/";
    flamenco_str name =
        fl_arena_printf(arena, "%.*s%sflamenco-writability-test-XXXXXX.txt", FL_STR_ARGS(path), between);
    if (name.ptr == NULL)
        return ENOMEM;
    char *template = (char *)(uintptr_t)name.ptr;
    int fd = mkostemps(template, 4, O_CLOEXEC);
    if (fd < 0)
        return errno;
    ssize_t written = write(fd, text, sizeof(text) - 1);
    int problem = written < 0 ? errno : written < (ssize_t)sizeof(text) - 1 ? ENOSPC : 0;
    if (close(fd) != 0 && problem == 0)
        problem = errno;
    if (unlink(template) != 0)
        fl_warn("api", "%s cannot be removed again: %s", template, strerror(errno));
    return problem;
}

static const char *obstacle_text(fl_call *call, const char *what, int reason)
{
    flamenco_str text = fl_arena_printf(call->arena, "%s: %s", what, strerror(reason));
    return text.ptr != NULL ? text.ptr : what;
}

/* Returns NULL when the directory can be used, else why not. */
static const char *find_obstacle(fl_call *call, flamenco_str path)
{
    struct stat st;
    if (path.len == 0)
        return "no path was given";
    if (fl_path_is_unc(path))
        return "network paths (\\\\host\\share) cannot be used; mount the share, and give the path where it is mounted";
    if (memchr(path.ptr, '\0', (size_t)path.len) != NULL)
        return "a path cannot contain a NUL character";
    flamenco_str copy = fl_arena_copy(call->arena, path);
    if (copy.ptr == NULL)
        return "out of memory";
    if (stat(copy.ptr, &st) != 0) {
        if (errno == ENOENT)
            return "this directory does not exist";
        return obstacle_text(call, "this directory cannot be looked at", errno);
    }
    if (!S_ISDIR(st.st_mode))
        return "this is not a directory";
    flamenco_str own = fl_config_executable_dir(call->f->config);
    if (own.len > 0 && (flamenco_str_equal(own, path) || is_same_directory(&st, own.ptr)))
        return "the directory of the manager's program cannot be the shared storage";
    int problem = try_to_write(call->arena, copy);
    if (problem != 0)
        return obstacle_text(call, "the manager cannot write a file in this directory", problem);
    return NULL;
}

int32_t fl_check_shared_storage_path(fl_call *call, const api_check_shared_storage_path_in *in)
{
    int32_t rc = check_deadline(call);
    if (rc != FLAMENCO_OK)
        return rc;
    flamenco_str path = in->has_body ? in->body.path : FL_STR("");
    const char *obstacle = find_obstacle(call, path);
    api_path_check_result out = { .path = path,
                                  .is_usable = obstacle == NULL,
                                  .cause = flamenco_text(obstacle != NULL ? obstacle : "the manager can write here") };
    return api_check_shared_storage_path_200(&call->reply, &out);
}

/* ---- Blender -------------------------------------------------------------------------------------------------------- */

static int32_t ask_version(fl_call *call, flamenco_str path, flamenco_str *version_out, flamenco_error *err)
{
    return fl_blender_version(call->arena, path, call->step.deadline_us, &call->f->ready, version_out, err);
}

int32_t fl_find_blender_exe_path(fl_call *call, const api_find_blender_exe_path_in *in)
{
    (void)in;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    api_blender_path_check_result found = { .input = FL_STR("blender"),
                                            .source = API_BLENDER_PATH_SOURCE_PATH_ENVVAR,
                                            .is_usable = 1 };
    api_blender_path_find_result out = { &found, 1 };
    int32_t rc = check_deadline(call);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = fl_blender_look_up(call->arena, found.input, &found.path);
    if (rc == FLAMENCO_E_NOT_FOUND) {
        out.count = 0;
        return api_find_blender_exe_path_200(&call->reply, &out);
    }
    if (rc == FLAMENCO_OK)
        rc = ask_version(call, found.path, &found.cause, &err);
    if (rc == FLAMENCO_OK)
        return api_find_blender_exe_path_200(&call->reply, &out);
    if (rc == FLAMENCO_E_NOMEM)
        return flamenco_fail(call->err, rc, "out of memory");
    return fl_call_refuse(call, 500, "%s", err.text);
}

/* Finds out what `result->input` means and whether it works. Returns 0 with the result whole, or NOMEM. */
static int32_t check_blender(fl_call *call, api_blender_path_check_result *result)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_str path = { NULL, 0 }, version = { NULL, 0 };
    flamenco_str wanted = result->input.len > 0 ? result->input : FL_STR("blender");
    int32_t rc;
    if (memchr(wanted.ptr, '/', (size_t)wanted.len) != NULL) {
        result->source = API_BLENDER_PATH_SOURCE_INPUT_PATH;
        rc = fl_blender_at(call->arena, wanted, &path, &err);
    } else {
        result->source = API_BLENDER_PATH_SOURCE_PATH_ENVVAR;
        rc = fl_blender_look_up(call->arena, wanted, &path);
        if (rc == FLAMENCO_E_NOT_FOUND)
            flamenco_fail(&err, rc, "\"%.*s\" is not found in any directory of the PATH variable", FL_STR_ARGS(wanted));
    }
    if (rc == FLAMENCO_OK)
        rc = ask_version(call, path, &version, &err);
    if (rc == FLAMENCO_E_NOMEM)
        return flamenco_fail(call->err, rc, "out of memory");
    result->is_usable = rc == FLAMENCO_OK;
    result->path = rc == FLAMENCO_OK ? path : FL_STR("");
    result->cause = rc == FLAMENCO_OK ? version : fl_arena_copy(call->arena, flamenco_text(err.text));
    return result->cause.ptr != NULL ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
}

int32_t fl_check_blender_exe_path(fl_call *call, const api_check_blender_exe_path_in *in)
{
    api_blender_path_check_result out = { .input = in->has_body ? in->body.path : FL_STR("") };
    int32_t rc = check_deadline(call);
    if (rc == FLAMENCO_OK)
        rc = check_blender(call, &out);
    return rc == FLAMENCO_OK ? api_check_blender_exe_path_200(&call->reply, &out) : rc;
}

/* ---- Saving --------------------------------------------------------------------------------------------------------- */

/* What the variable `blender` will be. Returns NULL with it, or what is missing. */
static const char *choose_blender(const api_blender_path_check_result *chosen, flamenco_str *out)
{
    switch (chosen->source) {
    case API_BLENDER_PATH_SOURCE_DEFAULT:
        *out = FL_STR("blender");
        return NULL;
    case API_BLENDER_PATH_SOURCE_FILE_ASSOCIATION:
        *out = FL_STR("blender");
        return chosen->path.len == 0 ? "blenderExecutable.path: must not be empty" : NULL;
    case API_BLENDER_PATH_SOURCE_INPUT_PATH:
    case API_BLENDER_PATH_SOURCE_SYSTEM_LOCATION:
    case API_BLENDER_PATH_SOURCE_PATH_ENVVAR:
        *out = chosen->source == API_BLENDER_PATH_SOURCE_PATH_ENVVAR ? chosen->input : chosen->path;
        if (chosen->path.len == 0)
            return "blenderExecutable.path: must not be empty";
        return chosen->input.len == 0 ? "blenderExecutable.input: must not be empty" : NULL;
    default:
        return "blenderExecutable.source: must be default, file_association, input_path, path_envvar or "
               "system_location";
    }
}

int32_t fl_save_setup_assistant_config(fl_call *call, const api_save_setup_assistant_config_in *in)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    flamenco_str blender = { NULL, 0 };
    const char *missing = NULL;
    if (!in->has_body)
        missing = "storageLocation and blenderExecutable are needed";
    else if (in->body.storage_location.len == 0)
        missing = "storageLocation: must not be empty";
    else if (!in->body.blender_executable.is_usable)
        missing = "blenderExecutable.is_usable: must be true; check or choose another Blender first";
    else
        missing = choose_blender(&in->body.blender_executable, &blender);
    if (missing != NULL)
        return fl_call_refuse(call, 400, "%s", missing);
    int32_t rc = fl_config_setup(call->f->config, in->body.storage_location, blender, call->cx->pub.now_us, &err);
    if (rc != FLAMENCO_OK)
        return fl_call_refuse(call, rc == FLAMENCO_E_INVALID ? 400 : 500, "%s", err.text);
    rc = api_save_setup_assistant_config_204(&call->reply);
    /* It serves for half a second yet, which the reply needs far less of. */
    fl_manager_restart(call->f);
    return rc;
}
