/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quiet.h"

#define FILES 16
#define SECTOR 512u

/* One change of a file that no sync has followed yet. data NULL: cut to `at` bytes. */
typedef struct change {
    struct change *next;
    uint64_t order; /* over all files */
    size_t at, len;
    unsigned char *data;
} change;

/* What is known of a file: its bytes that are safe, and what came after. */
typedef struct image {
    char path[512];
    int exists; /* safely */
    int removed; /* since then, and the directory was not synced */
    unsigned char *data;
    size_t len, cap;
    change *first, **last;
    /* Kept by disk_snapshot. */
    int kept_exists;
    unsigned char *kept;
    size_t kept_len;
} image;

typedef struct file {
    sqlite3_file base;
    image *image; /* NULL: temporary, nothing to keep */
    sqlite3_file *real;
} file;

static struct {
    pthread_mutex_t lock;
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    image images[FILES];
    uint64_t order;
    uint32_t writes_left, write_times, syncs_left, sync_times;
    int write_code, sync_code;
    int fired;
    uint64_t failures;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void must(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "disk: %s\n", what);
    abort();
}

static void enter(void)
{
    quiet_begin();
    pthread_mutex_lock(&disk.lock);
}

static void leave(void)
{
    pthread_mutex_unlock(&disk.lock);
    quiet_end();
}

/* ---- Images ---------------------------------------------------------------------------------------------------------- */

static void drop_changes(image *im)
{
    while (im->first != NULL) {
        change *c = im->first;
        im->first = c->next;
        free(c->data);
        free(c);
    }
    im->last = &im->first;
}

static void set_size(unsigned char **data, size_t *len, size_t *cap, size_t to)
{
    if (to > *cap) {
        size_t room = to + to / 2 + 4096;
        *data = realloc(*data, room);
        must(*data != NULL, "out of memory");
        *cap = room;
    }
    if (to > *len)
        memset(*data + *len, 0, to - *len);
    *len = to;
}

static void apply(unsigned char **data, size_t *len, size_t *cap, const change *c, size_t from, size_t to)
{
    if (c->data == NULL) {
        set_size(data, len, cap, c->at);
        return;
    }
    if (c->at + to > *len)
        set_size(data, len, cap, c->at + to);
    memcpy(*data + c->at + from, c->data + from, to - from);
}

static void add_change(image *im, const void *data, size_t at, size_t len)
{
    change *c = calloc(1, sizeof(*c));
    must(c != NULL, "out of memory");
    c->order = ++disk.order;
    c->at = at;
    c->len = len;
    if (data != NULL) {
        c->data = malloc(len > 0 ? len : 1);
        must(c->data != NULL, "out of memory");
        memcpy(c->data, data, len);
    }
    *im->last = c;
    im->last = &c->next;
}

static void make_safe(image *im)
{
    for (const change *c = im->first; c != NULL; c = c->next)
        apply(&im->data, &im->len, &im->cap, c, 0, c->len);
    drop_changes(im);
    im->exists = 1;
    im->removed = 0; /* the first sync of a new file syncs its directory, too */
}

/* What stands in the real file counts as safe: it was there before this disk. */
static void read_real(image *im)
{
    FILE *f = fopen(im->path, "rb");
    if (f == NULL)
        return;
    unsigned char buf[65536];
    size_t n;
    im->exists = 1;
    while ((n = fread(buf, 1, sizeof(buf), f)) > 0) {
        size_t at = im->len;
        set_size(&im->data, &im->len, &im->cap, at + n);
        memcpy(im->data + at, buf, n);
    }
    must(!ferror(f), "a file cannot be read");
    fclose(f);
}

/* The file's image, made when it is new. The lock is held. */
static image *find_image(const char *path, int make)
{
    image *spare = NULL;
    for (size_t i = 0; i < FILES; ++i) {
        image *im = &disk.images[i];
        if (im->path[0] != '\0' && strcmp(im->path, path) == 0)
            return im;
        if (im->path[0] == '\0' && spare == NULL)
            spare = im;
    }
    if (!make)
        return NULL;
    must(spare != NULL && strlen(path) < sizeof(spare->path), "too many files, or too long a path");
    memset(spare, 0, sizeof(*spare));
    memcpy(spare->path, path, strlen(path) + 1);
    spare->last = &spare->first;
    read_real(spare);
    return spare;
}

static int is_kept(const char *path, int flags)
{
    return path != NULL && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
}

/* ---- A file's methods ------------------------------------------------------------------------------------------------- */

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((file *)(void *)f)->real;
}

static int disk_close(sqlite3_file *f)
{
    sqlite3_file *real = real_of(f);
    return real->pMethods != NULL ? real->pMethods->xClose(real) : SQLITE_OK;
}

static int disk_read(sqlite3_file *f, void *out, int len, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), out, len, at);
}

/* Counts down to an armed failure. The lock is held. Returns its code, or SQLITE_OK. */
static int failure(uint32_t *left, uint32_t *times, int code)
{
    if (*times == 0)
        return SQLITE_OK;
    if (*left > 1) {
        --*left;
        return SQLITE_OK;
    }
    --*times;
    disk.fired = 1;
    ++disk.failures;
    return code;
}

static int disk_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 at)
{
    file *self = (file *)(void *)f;
    image *im = self->image;
    int code = SQLITE_OK;
    int n = len;
    if (im != NULL) {
        enter();
        code = failure(&disk.writes_left, &disk.write_times, disk.write_code);
        if (code != SQLITE_OK)
            n = len / 2;
        add_change(im, data, (size_t)at, (size_t)n);
        leave();
    }
    int rc = n > 0 ? self->real->pMethods->xWrite(self->real, data, n, at) : SQLITE_OK;
    return rc != SQLITE_OK ? rc : code;
}

static int disk_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    file *self = (file *)(void *)f;
    if (self->image != NULL) {
        enter();
        add_change(self->image, NULL, (size_t)size, 0);
        leave();
    }
    return self->real->pMethods->xTruncate(self->real, size);
}

static int disk_sync(sqlite3_file *f, int flags)
{
    file *self = (file *)(void *)f;
    (void)flags;
    if (self->image == NULL)
        return SQLITE_OK;
    enter();
    int code = failure(&disk.syncs_left, &disk.sync_times, disk.sync_code);
    if (code == SQLITE_OK)
        make_safe(self->image);
    else
        drop_changes(self->image);
    leave();
    return code;
}

static int disk_size(sqlite3_file *f, sqlite3_int64 *out)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), out);
}

static int disk_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int disk_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int disk_check_lock(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int disk_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int disk_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int disk_traits(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int disk_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}

static int disk_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return real_of(f)->pMethods->xShmLock(real_of(f), at, n, flags);
}

static void disk_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int disk_shm_unmap(sqlite3_file *f, int remove_it)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), remove_it);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* without memory mapping */
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_size,
    .xLock = disk_lock,
    .xUnlock = disk_unlock,
    .xCheckReservedLock = disk_check_lock,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector,
    .xDeviceCharacteristics = disk_traits,
    .xShmMap = disk_shm_map,
    .xShmLock = disk_shm_lock,
    .xShmBarrier = disk_shm_barrier,
    .xShmUnmap = disk_shm_unmap,
};

/* ---- The file system's methods ---------------------------------------------------------------------------------------- */

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *out_flags)
{
    (void)vfs;
    file *self = (file *)(void *)f;
    self->real = (sqlite3_file *)(void *)(self + 1);
    self->image = NULL;
    self->base.pMethods = NULL;
    if (is_kept(path, flags)) {
        enter();
        self->image = find_image(path, 1);
        leave();
    }
    int rc = disk.real->xOpen(disk.real, path, self->real, flags, out_flags);
    if (rc == SQLITE_OK)
        self->base.pMethods = &methods;
    else if (self->real->pMethods != NULL)
        self->real->pMethods->xClose(self->real);
    return rc;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    (void)vfs;
    int rc = disk.real->xDelete(disk.real, path, 0);
    enter();
    image *im = find_image(path, 0);
    if (im != NULL && rc == SQLITE_OK) {
        drop_changes(im);
        if (sync_dir || !im->exists) {
            im->exists = im->removed = 0;
            im->len = 0;
        } else {
            im->removed = 1;
        }
        /* A file of this name begins empty, whatever may come back after a power loss. */
        if (im->removed)
            add_change(im, NULL, 0, 0);
    }
    leave();
    return rc;
}

static int disk_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
    (void)vfs;
    return disk.real->xAccess(disk.real, path, flags, out);
}

static int disk_full_path(sqlite3_vfs *vfs, const char *path, int n, char *out)
{
    (void)vfs;
    return disk.real->xFullPathname(disk.real, path, n, out);
}

static int disk_randomness(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    return disk.real->xRandomness(disk.real, n, out);
}

static int disk_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return disk.real->xSleep(disk.real, us);
}

static int disk_time(sqlite3_vfs *vfs, double *out)
{
    (void)vfs;
    return disk.real->xCurrentTime(disk.real, out);
}

static int disk_last_error(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    return disk.real->xGetLastError(disk.real, n, out);
}

static int disk_time64(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
    (void)vfs;
    return disk.real->xCurrentTimeInt64(disk.real, out);
}

int disk_register(void)
{
    if (sqlite3_initialize() != SQLITE_OK)
        return -1;
    disk.real = sqlite3_vfs_find(NULL);
    if (disk.real == NULL)
        return -1;
    disk.vfs = (sqlite3_vfs){ .iVersion = 2,
                              .szOsFile = (int)sizeof(file) + disk.real->szOsFile,
                              .mxPathname = disk.real->mxPathname,
                              .zName = "sim-disk",
                              .xOpen = disk_open,
                              .xDelete = disk_delete,
                              .xAccess = disk_access,
                              .xFullPathname = disk_full_path,
                              .xRandomness = disk_randomness,
                              .xSleep = disk_sleep,
                              .xCurrentTime = disk_time,
                              .xGetLastError = disk_last_error,
                              .xCurrentTimeInt64 = disk_time64 };
    return sqlite3_vfs_register(&disk.vfs, 1) == SQLITE_OK ? 0 : -1;
}

/* ---- Failures and power loss -------------------------------------------------------------------------------------------- */

static void drop_image(image *im)
{
    if (im->path[0] == '\0')
        return;
    drop_changes(im);
    free(im->data);
    free(im->kept);
    memset(im, 0, sizeof(*im));
}

void disk_reset(void)
{
    enter();
    for (size_t i = 0; i < FILES; ++i)
        drop_image(&disk.images[i]);
    disk.write_times = disk.sync_times = 0;
    leave();
}

void disk_arm_write(uint32_t n, int code, uint32_t times)
{
    enter();
    disk.writes_left = n;
    disk.write_code = code;
    disk.write_times = times;
    disk.fired = 0;
    leave();
}

void disk_arm_sync(uint32_t n, int code, uint32_t times)
{
    enter();
    disk.syncs_left = n;
    disk.sync_code = code;
    disk.sync_times = times;
    disk.fired = 0;
    leave();
}

int disk_disarm(void)
{
    enter();
    disk.write_times = disk.sync_times = 0;
    int fired = disk.fired;
    disk.fired = 0;
    leave();
    return fired;
}

uint64_t disk_failures(void)
{
    enter();
    uint64_t failures = disk.failures;
    leave();
    return failures;
}

static uint64_t roll(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random >> 11;
}

/* Applies what of a write survives: all, none, or each sector on its own. */
static void apply_some(image *im, size_t *cap, const change *c, uint64_t *random)
{
    uint64_t fate = roll(random) % 3;
    if (c->data == NULL || fate == 0) {
        if (fate != 1)
            apply(&im->kept, &im->kept_len, cap, c, 0, c->len);
        return;
    }
    if (fate == 1)
        return;
    for (size_t from = 0; from < c->len;) {
        size_t to = from + SECTOR - (c->at + from) % SECTOR;
        if (to > c->len)
            to = c->len;
        if (roll(random) % 2 == 0)
            apply(&im->kept, &im->kept_len, cap, c, from, to);
        from = to;
    }
}

static void keep_image(image *im, disk_cut cut, uint64_t until, uint64_t *random)
{
    size_t cap = 0;
    free(im->kept);
    im->kept = NULL;
    im->kept_len = 0;
    im->kept_exists = im->exists || (cut != DISK_KEEP_SYNCED && im->first != NULL);
    set_size(&im->kept, &im->kept_len, &cap, im->len);
    if (im->len > 0)
        memcpy(im->kept, im->data, im->len);
    if (im->removed && cut != DISK_KEEP_ALL && roll(random) % 2 == 0)
        return; /* it comes back, as it was */
    if (im->removed && im->first != NULL && im->first->next == NULL) {
        im->kept_exists = 0;
        return;
    }
    for (const change *c = im->first; c != NULL; c = c->next) {
        if (cut == DISK_KEEP_ALL || (cut == DISK_KEEP_PREFIX && c->order <= until))
            apply(&im->kept, &im->kept_len, &cap, c, 0, c->len);
        else if (cut == DISK_KEEP_SOME)
            apply_some(im, &cap, c, random);
    }
}

void disk_snapshot(disk_cut cut, uint64_t random)
{
    uint64_t state = random | 1;
    enter();
    uint64_t least = disk.order;
    for (size_t i = 0; i < FILES; ++i) {
        if (disk.images[i].first != NULL && disk.images[i].first->order < least)
            least = disk.images[i].first->order;
    }
    uint64_t until = least + roll(&state) % (disk.order - least + 1);
    for (size_t i = 0; i < FILES; ++i) {
        if (disk.images[i].path[0] == '\0')
            continue;
        if (cut == DISK_KEEP_ALL) {
            /* The system has it all, whatever a sync said. */
            image fresh = { .last = NULL };
            image *im = &disk.images[i];
            memcpy(fresh.path, im->path, sizeof(fresh.path));
            read_real(&fresh);
            free(im->kept);
            im->kept = fresh.data;
            im->kept_len = fresh.len;
            im->kept_exists = fresh.exists;
        } else {
            keep_image(&disk.images[i], cut, until, &state);
        }
    }
    leave();
}

static int write_kept(const image *im)
{
    if (!im->kept_exists)
        return unlink(im->path) == 0 || access(im->path, F_OK) != 0 ? 0 : -1;
    FILE *f = fopen(im->path, "wb");
    if (f == NULL)
        return -1;
    size_t n = im->kept_len > 0 ? fwrite(im->kept, 1, im->kept_len, f) : 0;
    return fclose(f) == 0 && n == im->kept_len ? 0 : -1;
}

int disk_restore(void)
{
    int rc = 0;
    enter();
    for (size_t i = 0; i < FILES; ++i) {
        image *im = &disk.images[i];
        char shm[sizeof(im->path) + 8];
        if (im->path[0] == '\0')
            continue;
        if (write_kept(im) != 0)
            rc = -1;
        snprintf(shm, sizeof(shm), "%s-shm", im->path);
        unlink(shm);
        drop_image(im);
    }
    leave();
    return rc;
}
