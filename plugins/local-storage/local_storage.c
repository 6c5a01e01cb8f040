/* SPDX-License-Identifier: Apache-2.0
 *
 * local_storage.c - the service "flamenco.local_storage/1": one directory per job below one root on the manager's disk
 * (contract: state-and-scheduling 16, api-behaviour 9.4). The root is opened anew by each call, so that it may be moved
 * away or mounted while the manager runs.
 */
#include "flamenco/local_storage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "erase.h"
#include "paths.h"

/* "job-3f1c", and 36 characters of a UUID. */
#define GROUP_LEN 8
#define UUID_LEN 36

typedef struct local_storage {
    const flamenco_host *host;
    const flamenco_config *config;
    char root[FL_LS_PATH_MAX]; /* set by start */
} local_storage;

typedef struct job_names {
    char group[GROUP_LEN + 1]; /* "job-3f1c", or "jobless" */
    char name[UUID_LEN + 1]; /* empty when there is no job */
} job_names;

static job_names names_of(const local_storage *storage, const flamenco_uuid *job)
{
    static const flamenco_uuid none;
    job_names names;
    if (memcmp(job, &none, sizeof(none)) == 0) {
        memcpy(names.group, "jobless", 8);
        names.name[0] = '\0';
        return names;
    }
    storage->host->uuid_format(job, names.name);
    memcpy(names.group, "job-", 4);
    memcpy(names.group + 4, names.name, 4);
    names.group[GROUP_LEN] = '\0';
    return names;
}

static flamenco_str root(void *self)
{
    const local_storage *storage = self;
    return flamenco_text(storage->root);
}

static int32_t job_path(void *self, const flamenco_uuid *job, char *out, uint64_t out_size, flamenco_error *err)
{
    const local_storage *storage = self;
    job_names names = names_of(storage, job);
    char path[GROUP_LEN + UUID_LEN + 2];
    int n = snprintf(path, sizeof(path), "%s%s%s", names.group, names.name[0] != '\0' ? "/" : "", names.name);
    if (n < 0 || (uint64_t)n >= out_size)
        return flamenco_fail(err, FLAMENCO_E_FULL, "a job's path needs %d bytes", n + 1);
    memcpy(out, path, (size_t)n + 1);
    return FLAMENCO_OK;
}

static int open_root(const local_storage *storage)
{
    return open(storage->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Opens a job's directory once. Returns -1 with errno; ENOENT with make 1 means that somebody removed it meanwhile. */
static int open_job(const local_storage *storage, const job_names *names, uint32_t make)
{
    int root_fd = open_root(storage);
    if (root_fd < 0)
        return -1;
    int fd = fl_ls_open_below(root_fd, names->group, make);
    int number = errno;
    close(root_fd);
    if (fd >= 0 && names->name[0] != '\0') {
        int group_fd = fd;
        fd = fl_ls_open_below(group_fd, names->name, make);
        number = errno;
        close(group_fd);
    }
    errno = number;
    return fd;
}

static int32_t job_dir(void *self, const flamenco_uuid *job, uint32_t make, int32_t *fd_out, flamenco_error *err)
{
    const local_storage *storage = self;
    job_names names = names_of(storage, job);
    int fd = open_job(storage, &names, make);
    /* erase_job() may take an empty parent away between the making of the two directories: begin again. */
    for (int tries = 0; fd < 0 && errno == ENOENT && make && tries < 10; ++tries) {
        int32_t rc = fl_ls_make_dirs(storage->root, err);
        if (rc != FLAMENCO_OK)
            return rc;
        fd = open_job(storage, &names, make);
    }
    if (fd < 0)
        return fl_ls_fail_errno(err, "cannot open the directory of job", names.name);
    *fd_out = fd;
    return FLAMENCO_OK;
}

/* Cuts the next name off *path, which shrinks. Returns 0 at the end; -1 for a name that is never served. */
static int next_name(flamenco_str *path, char out[NAME_MAX + 1])
{
    for (;;) {
        while (path->len > 0 && path->ptr[0] == '/') {
            ++path->ptr;
            --path->len;
        }
        if (path->len == 0)
            return 0;
        const char *slash = memchr(path->ptr, '/', (size_t)path->len);
        uint64_t len = slash != NULL ? (uint64_t)(slash - path->ptr) : path->len;
        if (len > NAME_MAX || memchr(path->ptr, '\0', (size_t)len) != NULL)
            return -1;
        memcpy(out, path->ptr, (size_t)len);
        out[len] = '\0';
        path->ptr += len;
        path->len -= len;
        if (strcmp(out, "..") == 0)
            return -1;
        if (strcmp(out, ".") != 0)
            return 1;
    }
}

/* Walks down from the root name by name, following no link. Returns the descriptor, or -1 with errno. */
static int open_path(const local_storage *storage, flamenco_str path)
{
    char name[NAME_MAX + 1];
    int fd = open_root(storage);
    while (fd >= 0) {
        int rc = next_name(&path, name);
        if (rc == 0)
            return fd;
        int below = -1;
        errno = ENOENT;
        /* Not blocking: opening a pipe would wait for its writer. */
        if (rc > 0)
            below = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        int number = errno;
        close(fd);
        errno = number;
        fd = below;
    }
    return -1;
}

static int32_t open_file(void *self, flamenco_str path, int32_t *fd_out, flamenco_file_info *info_out,
                         flamenco_error *err)
{
    int fd = open_path(self, path);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR || errno == ENXIO))
        errno = ENOENT;
    if (fd < 0)
        return fl_ls_fail_errno(err, "cannot open", "the file");
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int32_t rc = fl_ls_fail_errno(err, "cannot look at", "the file");
        close(fd);
        return rc;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        close(fd);
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "neither a file nor a directory");
    }
    flamenco_file_info info = {
        .struct_size = (uint32_t)sizeof(info),
        .kind = S_ISDIR(st.st_mode) ? FLAMENCO_FILE_DIRECTORY : FLAMENCO_FILE_REGULAR,
        .size_bytes = (uint64_t)st.st_size,
        .modified_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000,
    };
    if (info.struct_size > info_out->struct_size)
        info.struct_size = info_out->struct_size;
    memcpy(info_out, &info, info.struct_size);
    *fd_out = fd;
    return FLAMENCO_OK;
}

/* Refuses what must not be emptied even if the configuration says so: "/", $HOME, the root of the storage. */
static int32_t check_erasable(const local_storage *storage, int fd, flamenco_error *err)
{
    struct stat st = { 0 }, other = { 0 };
    if (fstat(fd, &st) != 0)
        return fl_ls_fail_errno(err, "cannot look at", "the job's directory");
    const char *const never[] = { "/", getenv("HOME"), storage->root };
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); ++i) {
        if (never[i] != NULL && stat(never[i], &other) == 0 && st.st_dev == other.st_dev && st.st_ino == other.st_ino)
            return flamenco_fail(err, FLAMENCO_E_INVALID, "refusing to erase %s", never[i]);
    }
    return FLAMENCO_OK;
}

/* Erases `name` below the open parent directory. */
static int32_t erase_below(const local_storage *storage, int parent_fd, const char *name, const flamenco_cx *cx,
                           flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    int fd = fl_ls_open_below(parent_fd, name, 0);
    if (fd < 0 && errno == ENOENT)
        return FLAMENCO_OK;
    if (fd < 0) {
        /* A link or a file in its place: it goes, what it points to stays. */
        if (errno != ENOTDIR && errno != ELOOP)
            return fl_ls_fail_errno(err, "cannot open the directory of job", name);
        if (unlinkat(parent_fd, name, 0) != 0 && errno != ENOENT)
            return fl_ls_fail_errno(err, "cannot remove", name);
        return FLAMENCO_OK;
    }
    rc = check_erasable(storage, fd, err);
    /* A log line that arrives late may make a file after the directory was emptied: try again, but not for ever. */
    for (int tries = 0; rc == FLAMENCO_OK; ++tries) {
        rc = fl_ls_erase_contents(fd, cx, err);
        if (rc != FLAMENCO_OK || unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            break;
        if ((errno != ENOTEMPTY && errno != EEXIST) || tries == 3)
            rc = fl_ls_fail_errno(err, "cannot remove the directory of job", name);
    }
    close(fd);
    return rc;
}

static int32_t erase_job(void *self, flamenco_cx *cx, const flamenco_uuid *job, flamenco_error *err)
{
    const local_storage *storage = self;
    job_names names = names_of(storage, job);
    if (names.name[0] == '\0')
        return flamenco_fail(err, FLAMENCO_E_INVALID, "no job given");
    int root_fd = open_root(storage);
    if (root_fd < 0)
        return errno == ENOENT ? FLAMENCO_OK : fl_ls_fail_errno(err, "cannot open", storage->root);
    int32_t rc = FLAMENCO_OK;
    int group_fd = fl_ls_open_below(root_fd, names.group, 0);
    if (group_fd >= 0) {
        rc = erase_below(storage, group_fd, names.name, cx, err);
        close(group_fd);
        /* Fails while other jobs are in it, which is as it should be. */
        if (rc == FLAMENCO_OK)
            (void)unlinkat(root_fd, names.group, AT_REMOVEDIR);
    } else if (errno != ENOENT) {
        rc = fl_ls_fail_errno(err, "cannot open", names.group);
    }
    close(root_fd);
    return rc;
}

/* ---- Life ------------------------------------------------------------------------------------------------------ */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    local_storage *storage = host->alloc(host->h, sizeof(*storage));
    if (storage == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(storage, 0, sizeof(*storage));
    storage->host = host;
    *self_out = storage;
    return FLAMENCO_OK;
}

static int32_t read_setting(const local_storage *storage, char out[FL_LS_PATH_MAX], flamenco_error *err)
{
    flamenco_str text = storage->config->text(storage->config->c, "path");
    out[0] = '\0';
    if (text.len >= FL_LS_PATH_MAX || (text.len > 0 && memchr(text.ptr, '\0', (size_t)text.len) != NULL))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "local_manager_storage_path is too long, or has a NUL in it");
    if (text.len > 0)
        memcpy(out, text.ptr, (size_t)text.len);
    out[text.len] = '\0';
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    local_storage *storage = self;
    char setting[FL_LS_PATH_MAX];
    storage->config = config;
    int32_t rc = read_setting(storage, setting, err);
    if (rc == FLAMENCO_OK && setting[0] == '\0')
        rc = flamenco_fail(err, FLAMENCO_E_INVALID, "local_manager_storage_path is empty");
    return rc;
}

static int32_t start(void *self, flamenco_error *err)
{
    local_storage *storage = self;
    char setting[FL_LS_PATH_MAX], program_dir[FL_LS_PATH_MAX], working_dir[FL_LS_PATH_MAX];
    int32_t rc = read_setting(storage, setting, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int known = fl_ls_program_dir(program_dir);
    const char *work = getcwd(working_dir, sizeof(working_dir));
    rc = fl_ls_find_root(setting, known ? program_dir : NULL, work, storage->root, err);
    if (rc != FLAMENCO_OK)
        return rc;
    storage->host->log(storage->host->h, FLAMENCO_LOG_INFO, "task logs and images are kept in %s", storage->root);
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    local_storage *storage = self;
    if (storage != NULL)
        storage->host->free(storage->host->h, storage);
}

/* Checks the root, or as long as that does not exist, the directory in which it would be made. */
static int32_t health(void *self, flamenco_error *err)
{
    const local_storage *storage = self;
    char path[FL_LS_PATH_MAX];
    memcpy(path, storage->root, strlen(storage->root) + 1);
    while (access(path, F_OK) != 0 && errno == ENOENT) {
        char *slash = strrchr(path, '/');
        slash[slash == path] = '\0';
    }
    if (access(path, W_OK | X_OK) != 0)
        return fl_ls_fail_errno(err, "cannot write to", path);
    return FLAMENCO_OK;
}

static const flamenco_local_storage table = {
    .struct_size = (uint32_t)sizeof(flamenco_local_storage),
    .root = root,
    .job_path = job_path,
    .job_dir = job_dir,
    .open_file = open_file,
    .erase_job = erase_job,
};

static const flamenco_provide storage_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_LOCAL_STORAGE,
                                                  &table };
static const flamenco_provide *const provides[] = { &storage_provide, NULL };

/* A text, not a path: paths are made relative to the working directory by the host, this one is not. */
static const flamenco_setting path_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_TEXT,
    .key = "path",
    .default_text = "./flamenco-manager-storage",
    .doc = "Directory of the manager's own files: task logs and last-rendered images.",
    .reference_key = "local_manager_storage_path",
};
static const flamenco_setting *const settings[] = { &path_setting, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "local-storage", .version = "0.1.0", .licence = "Apache-2.0",
    .provides = provides, .settings = settings,  .create = create,   .configure = configure,
    .start = start,       .stop = stop,          .destroy = destroy, .health = health,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
