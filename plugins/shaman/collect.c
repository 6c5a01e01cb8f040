/* SPDX-License-Identifier: Apache-2.0
 *
 * collect.c - garbage collection. Candidates are the blobs that nobody needed for long; those that a checkout refers to are
 * taken off the list, by device and inode of what its links lead to, and by the blob that their text names. What is left is
 * looked at once more and removed, a few at a time, with everybody kept out who might come to need one. Whatever goes wrong
 * before ends the run with nothing removed.
 */
#include "shaman.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LEVELS_MAX 256
#define AT_ONCE 64u /* removed with the others kept out */
#define PATH_MAX_SHOWN 512

/* An old file below `stored`. */
typedef struct candidate {
    uint64_t device, inode, size;
    struct timespec modified;
    char *path; /* below `stored` */
    int used;
} candidate;

typedef struct run {
    shaman *s;
    flamenco_cx *cx;
    flamenco_shaman_collected count;
    struct timespec threshold; /* what was needed before that is old */
    candidate *list;
    size_t n, cap;
    uint32_t *by_inode, *by_name; /* hash tables of numbers in the list, from 1 */
    size_t n_slots; /* a power of two */
    uint32_t dry_run;
    flamenco_visit_garbage visit;
    void *visit_ctx;
} run;

static int32_t check_end(const run *r, flamenco_error *err)
{
    const flamenco_host *host = r->s->host;
    if (fl_sh_is_stopping(r->s) || (r->cx != NULL && flamenco_cx_cancelled(r->cx)))
        return flamenco_fail(err, FLAMENCO_E_CANCELLED, "the collection was ended early");
    if (r->cx != NULL && host->monotonic_us(host->h) > r->cx->deadline_us)
        return flamenco_fail(err, FLAMENCO_E_DEADLINE, "the collection took too long");
    return FLAMENCO_OK;
}

/* ---- Walking --------------------------------------------------------------------------------------------------------- */

/* Called for all but directories. path: below the place where the walk began. */
typedef int32_t (*on_file)(run *r, int dir_fd, const char *name, const char *path, flamenco_error *err);

static int32_t walk(run *r, int fd, char *path, size_t len, int levels_left, on_file call, flamenco_error *err);

static int is_directory(int dir_fd, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    return S_ISDIR(st.st_mode);
}

static int32_t walk_entry(run *r, int dir_fd, const struct dirent *entry, char *path, size_t len, int levels_left,
                          on_file call, flamenco_error *err)
{
    int32_t rc = check_end(r, err);
    int n = snprintf(path + len, PATH_MAX - len, "%s%s", len > 0 ? "/" : "", entry->d_name);
    if (rc != FLAMENCO_OK)
        return rc;
    if (n < 0 || (size_t)n >= PATH_MAX - len)
        return flamenco_fail(err, FLAMENCO_E_IO, "a path in the storage is too long");
    int directory = is_directory(dir_fd, entry);
    /* What was there a moment ago and is gone refers to nothing, and needs no removing. */
    if (directory < 0)
        return errno == ENOENT ? FLAMENCO_OK : fl_sh_fail_errno(err, "cannot look at", path);
    if (!directory)
        return call(r, dir_fd, entry->d_name, path, err);
    if (levels_left == 0)
        return flamenco_fail(err, FLAMENCO_E_IO, "the storage has more than %d levels", LEVELS_MAX);
    int fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? FLAMENCO_OK : fl_sh_fail_errno(err, "cannot open", path);
    return walk(r, fd, path, len + (size_t)n, levels_left - 1, call, err);
}

/* Visits everything below the directory, whose descriptor it closes. path holds PATH_MAX bytes, `len` of them are used. */
static int32_t walk(run *r, int fd, char *path, size_t len, int levels_left, on_file call, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    }
    while (rc == FLAMENCO_OK) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            path[len] = '\0';
            if (errno != 0 && errno != ENOENT)
                rc = fl_sh_fail_errno(err, "cannot read", path);
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = walk_entry(r, fd, entry, path, len, levels_left, call, err);
    }
    closedir(dir);
    return rc;
}

static int32_t walk_place(run *r, const char *place, on_file call, flamenco_error *err)
{
    char path[PATH_MAX] = "";
    int fd = -1;
    int32_t rc = fl_sh_open_place(r->s, place, &fd, err);
    return rc == FLAMENCO_OK ? walk(r, fd, path, 0, LEVELS_MAX, call, err) : rc;
}

/* ---- Candidates -------------------------------------------------------------------------------------------------------- */

static int is_before(struct timespec a, struct timespec b)
{
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static int32_t grow(run *r)
{
    const flamenco_host *host = r->s->host;
    size_t cap = r->cap > 0 ? 2 * r->cap : 256;
    candidate *list = cap < UINT32_MAX ? host->alloc(host->h, cap * sizeof(*list)) : NULL;
    if (list == NULL)
        return FLAMENCO_E_NOMEM;
    if (r->n > 0)
        memcpy(list, r->list, r->n * sizeof(*list));
    host->free(host->h, r->list);
    r->list = list;
    r->cap = cap;
    return FLAMENCO_OK;
}

static int32_t add_old(run *r, int dir_fd, const char *name, const char *path, flamenco_error *err)
{
    const flamenco_host *host = r->s->host;
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? FLAMENCO_OK : fl_sh_fail_errno(err, "cannot look at", path);
    if (!is_before(st.st_mtim, r->threshold))
        return FLAMENCO_OK;
    if (r->n == r->cap && grow(r) != FLAMENCO_OK)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    char *copy = host->alloc(host->h, strlen(path) + 1);
    if (copy == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memcpy(copy, path, strlen(path) + 1);
    r->list[r->n++] = (candidate){ .device = (uint64_t)st.st_dev,
                                   .inode = (uint64_t)st.st_ino,
                                   .size = (uint64_t)st.st_size,
                                   .modified = st.st_mtim,
                                   .path = copy };
    ++r->count.old_files;
    return FLAMENCO_OK;
}

static uint64_t hash_inode(uint64_t device, uint64_t inode)
{
    uint64_t h = (inode ^ device << 32) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 32;
}

static uint64_t hash_text(const char *text)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (; *text != '\0'; ++text)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001B3);
    return h ^ h >> 32;
}

static void add_slot(uint32_t *table, size_t n_slots, uint64_t hash, uint32_t number)
{
    size_t at = (size_t)hash & (n_slots - 1);
    while (table[at] != 0)
        at = (at + 1) & (n_slots - 1);
    table[at] = number;
}

static int32_t index_candidates(run *r, flamenco_error *err)
{
    const flamenco_host *host = r->s->host;
    for (r->n_slots = 64; r->n_slots < 2 * r->n; r->n_slots *= 2)
        ;
    r->by_inode = host->alloc(host->h, r->n_slots * sizeof(uint32_t));
    r->by_name = host->alloc(host->h, r->n_slots * sizeof(uint32_t));
    if (r->by_inode == NULL || r->by_name == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(r->by_inode, 0, r->n_slots * sizeof(uint32_t));
    memset(r->by_name, 0, r->n_slots * sizeof(uint32_t));
    for (size_t i = 0; i < r->n; ++i) {
        add_slot(r->by_inode, r->n_slots, hash_inode(r->list[i].device, r->list[i].inode), (uint32_t)i + 1);
        add_slot(r->by_name, r->n_slots, hash_text(r->list[i].path), (uint32_t)i + 1);
    }
    return FLAMENCO_OK;
}

/* ---- What checkouts refer to ------------------------------------------------------------------------------------------- */

static void mark_used(run *r, candidate *found)
{
    if (!found->used)
        ++r->count.used_files;
    found->used = 1;
}

static void mark_inode(run *r, uint64_t device, uint64_t inode)
{
    for (size_t at = (size_t)hash_inode(device, inode) & (r->n_slots - 1); r->by_inode[at] != 0;
         at = (at + 1) & (r->n_slots - 1)) {
        candidate *c = &r->list[r->by_inode[at] - 1];
        if (c->device == device && c->inode == inode)
            mark_used(r, c);
    }
}

static void mark_path(run *r, const char *path)
{
    for (size_t at = (size_t)hash_text(path) & (r->n_slots - 1); r->by_name[at] != 0;
         at = (at + 1) & (r->n_slots - 1)) {
        candidate *c = &r->list[r->by_name[at] - 1];
        if (strcmp(c->path, path) == 0)
            mark_used(r, c);
    }
}

/* Marks what a link leads to, and what it says, which counts also while it leads nowhere. */
static int32_t mark_link(run *r, int dir_fd, const char *name, const char *path, flamenco_error *err)
{
    char text[PATH_MAX];
    struct stat st;
    ssize_t n = readlinkat(dir_fd, name, text, sizeof(text));
    if (n < 0 && (errno == EINVAL || errno == ENOENT)) /* an ordinary file, or gone */
        return FLAMENCO_OK;
    if (n < 0)
        return fl_sh_fail_errno(err, "cannot read the link", path);
    ++r->count.links_checked;
    fl_sh_key key;
    if (fl_sh_key_of_path(text, (size_t)n, &key)) {
        char blob[FL_SH_DIR_MAX + FL_SH_NAME_MAX];
        fl_sh_key_dir(&key, blob);
        blob[FL_SH_DIR_MAX - 1] = '/';
        fl_sh_key_name(&key, blob + FL_SH_DIR_MAX);
        mark_path(r, blob);
    }
    if (fstatat(dir_fd, name, &st, 0) == 0)
        mark_inode(r, (uint64_t)st.st_dev, (uint64_t)st.st_ino);
    return FLAMENCO_OK;
}

/* ---- Removing ------------------------------------------------------------------------------------------------------------ */

static int64_t us_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int32_t show(const run *r, const char *place, const char *path, uint64_t size, struct timespec modified,
                    const char *reason)
{
    char shown[PATH_MAX_SHOWN];
    if (r->visit == NULL)
        return FLAMENCO_OK;
    snprintf(shown, sizeof(shown), "%s/%s", place, path);
    flamenco_shaman_garbage row = { .struct_size = (uint32_t)sizeof(row),
                                    .size_bytes = size,
                                    .modified_us = us_of(modified),
                                    .path = flamenco_text(shown),
                                    .reason = flamenco_text(reason) };
    return r->visit(r->visit_ctx, &row);
}

/* Removes the file unless somebody needed it meanwhile. */
static int32_t remove_one(run *r, int stored_fd, const candidate *c, int *gone_out, flamenco_error *err)
{
    char dir[PATH_MAX];
    struct stat st;
    const char *slash = strrchr(c->path, '/');
    const char *name = slash != NULL ? slash + 1 : c->path;
    *gone_out = 0;
    snprintf(dir, sizeof(dir), "%.*s", slash != NULL ? (int)(slash - c->path) : 1, slash != NULL ? c->path : ".");
    int dir_fd = fl_sh_open_below(stored_fd, dir, O_PATH | O_DIRECTORY);
    if (dir_fd < 0)
        return errno == ENOENT ? FLAMENCO_OK : fl_sh_fail_errno(err, "cannot open", dir);
    int failed = fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0;
    if (!failed && !is_before(c->modified, st.st_mtim)) {
        failed = unlinkat(dir_fd, name, 0) != 0;
        *gone_out = !failed;
    }
    int32_t rc = failed && errno != ENOENT ? fl_sh_fail_errno(err, "cannot remove", c->path) : FLAMENCO_OK;
    close(dir_fd);
    if (*gone_out && strlen(dir) == FL_SH_DIR_MAX - 1)
        fl_sh_drop_key_dir(r->s, stored_fd, dir, 1);
    return rc;
}

/* Removes the files from..to that are not used; a failure is logged, and the others go all the same. A report does without the
 * second look: of a million files, it takes as long as all the rest. */
static int32_t remove_some(run *r, int stored_fd, size_t from, size_t to)
{
    const flamenco_host *host = r->s->host;
    uint8_t gone[AT_ONCE] = { 0 };
    int32_t rc = FLAMENCO_OK;
    if (!r->dry_run)
        fl_sh_hold(r->s, stored_fd, 1);
    for (size_t i = from; i < to; ++i) {
        flamenco_error why = FLAMENCO_ERROR_INIT;
        int went = (int)r->dry_run;
        if (r->list[i].used)
            continue;
        if (!r->dry_run && remove_one(r, stored_fd, &r->list[i], &went, &why) != FLAMENCO_OK)
            host->log(host->h, FLAMENCO_LOG_WARN, "%s", why.text);
        gone[i - from] = (uint8_t)went;
    }
    if (!r->dry_run)
        fl_sh_release(r->s, stored_fd);
    for (size_t i = from; rc == FLAMENCO_OK && i < to; ++i) {
        if (!gone[i - from])
            continue;
        r->count.freed_bytes += r->list[i].size;
        r->count.removed_files += r->dry_run ? 0 : 1;
        rc = show(r, FL_SH_STORED, r->list[i].path, r->list[i].size, r->list[i].modified,
                  "not needed for long, and no checkout refers to it");
    }
    return rc;
}

static int32_t remove_unused(run *r, flamenco_error *err)
{
    int stored_fd = -1;
    int32_t rc = fl_sh_open_place(r->s, FL_SH_STORED, &stored_fd, err);
    if (rc != FLAMENCO_OK)
        return rc;
    for (size_t from = 0; rc == FLAMENCO_OK && from < r->n; from += AT_ONCE) {
        rc = check_end(r, err);
        if (rc == FLAMENCO_OK)
            rc = remove_some(r, stored_fd, from, from + AT_ONCE < r->n ? from + AT_ONCE : r->n);
    }
    close(stored_fd);
    return rc;
}

/* ---- Abandoned uploads --------------------------------------------------------------------------------------------------- */

/* A live upload holds a lock on its file, also one of another process. */
static int is_written_to(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return 0;
    int held = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

static int32_t drop_if_stale(run *r, int dir_fd, const char *name, const char *path, flamenco_error *err)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? FLAMENCO_OK : fl_sh_fail_errno(err, "cannot look at", path);
    if (!is_before(st.st_mtim, r->threshold) || (S_ISREG(st.st_mode) && is_written_to(dir_fd, name)))
        return FLAMENCO_OK;
    if (!r->dry_run && unlinkat(dir_fd, name, 0) != 0)
        return errno == ENOENT ? FLAMENCO_OK : fl_sh_fail_errno(err, "cannot remove", path);
    ++r->count.stale_uploads;
    r->count.freed_bytes += (uint64_t)st.st_size;
    return show(r, FL_SH_UPLOADING, path, (uint64_t)st.st_size, st.st_mtim, "an upload that was never finished");
}

/* Removes directories that were left empty: those of uploads that still begin are made again by them. */
static void drop_empty_dirs(int uploading_fd)
{
    int fd = fcntl(uploading_fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    rewinddir(dir);
    for (const struct dirent *outer = readdir(dir); outer != NULL; outer = readdir(dir)) {
        int outer_fd = strlen(outer->d_name) == 2 && strcmp(outer->d_name, "..") != 0
                           ? openat(fd, outer->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                           : -1;
        DIR *inner_dir = outer_fd >= 0 ? fdopendir(outer_fd) : NULL;
        if (inner_dir == NULL) {
            if (outer_fd >= 0)
                close(outer_fd);
            continue;
        }
        for (const struct dirent *inner = readdir(inner_dir); inner != NULL; inner = readdir(inner_dir))
            if (strcmp(inner->d_name, ".") != 0 && strcmp(inner->d_name, "..") != 0)
                (void)unlinkat(outer_fd, inner->d_name, AT_REMOVEDIR);
        closedir(inner_dir);
        (void)unlinkat(fd, outer->d_name, AT_REMOVEDIR);
    }
    closedir(dir);
}

/* The time so long ago; 0: later than any file's. */
static struct timespec before(int64_t age_us)
{
    struct timespec now = { 0 };
    if (age_us == 0)
        return (struct timespec){ .tv_sec = (time_t)1 << 40 };
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t at = us_of(now) - age_us;
    int64_t s = at >= 0 ? at / 1000000 : 0;
    return (struct timespec){ .tv_sec = (time_t)s, .tv_nsec = (long)(at >= 0 ? at % 1000000 : 0) * 1000 };
}

int32_t fl_sh_drop_stale(shaman *s, flamenco_cx *cx, int64_t min_age_us, uint32_t dry_run, flamenco_visit_garbage visit,
                         void *ctx, flamenco_shaman_collected *out, flamenco_error *err)
{
    run r = { .s = s, .cx = cx, .dry_run = dry_run, .visit = visit, .visit_ctx = ctx, .threshold = before(min_age_us) };
    int uploading_fd = -1;
    int32_t rc = walk_place(&r, FL_SH_UPLOADING, drop_if_stale, err);
    out->stale_uploads += r.count.stale_uploads;
    out->freed_bytes += r.count.freed_bytes;
    flamenco_error ignored = FLAMENCO_ERROR_INIT;
    if (!dry_run && fl_sh_open_place(s, FL_SH_UPLOADING, &uploading_fd, &ignored) == FLAMENCO_OK) {
        drop_empty_dirs(uploading_fd);
        close(uploading_fd);
    }
    return rc;
}

/* ---- A run ----------------------------------------------------------------------------------------------------------------- */

static int32_t run_all(run *r, flamenco_error *err)
{
    int32_t rc = walk_place(r, FL_SH_STORED, add_old, err);
    if (rc == FLAMENCO_OK && r->n > 0)
        rc = index_candidates(r, err);
    if (rc == FLAMENCO_OK && r->n > 0)
        rc = walk_place(r, FL_SH_JOBS, mark_link, err);
    if (rc != FLAMENCO_OK)
        return rc;
    r->count.unused_files = r->count.old_files - r->count.used_files;
    rc = remove_unused(r, err);
    if (rc == FLAMENCO_OK)
        rc = fl_sh_drop_stale(r->s, r->cx, FL_SH_DAY_US, r->dry_run, r->visit, r->visit_ctx, &r->count, err);
    return rc;
}

static int enter(shaman *s)
{
    pthread_mutex_lock(&s->lock);
    int busy = s->collecting;
    s->collecting = 1;
    pthread_mutex_unlock(&s->lock);
    return !busy;
}

int32_t fl_sh_collect(void *self, flamenco_cx *cx, uint32_t dry_run, flamenco_visit_garbage visit, void *ctx,
                      flamenco_shaman_collected *out, flamenco_error *err)
{
    shaman *s = self;
    const flamenco_host *host = s->host;
    run r = { .s = s, .cx = cx, .dry_run = dry_run, .visit = visit, .visit_ctx = ctx };
    if (!enter(s))
        return flamenco_fail(err, FLAMENCO_E_BUSY, "another collection of garbage is under way");
    r.threshold = before(s->max_age_us > FL_SH_DAY_US ? s->max_age_us : FL_SH_DAY_US);
    int32_t rc = run_all(&r, err);
    r.count.struct_size = out->struct_size < sizeof(r.count) ? out->struct_size : (uint32_t)sizeof(r.count);
    memcpy(out, &r.count, r.count.struct_size);
    for (size_t i = 0; i < r.n; ++i)
        host->free(host->h, r.list[i].path);
    host->free(host->h, r.list);
    host->free(host->h, r.by_inode);
    host->free(host->h, r.by_name);
    pthread_mutex_lock(&s->lock);
    s->collecting = 0;
    pthread_mutex_unlock(&s->lock);
    return rc;
}
