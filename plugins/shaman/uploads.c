/* SPDX-License-Identifier: Apache-2.0
 *
 * uploads.c - receives a file: hashed while it is written to a temporary file in the storage, then synced, renamed, and the
 * directory synced. Nothing is at its final place that is not whole and durable. Small files go by nameless.c instead, large
 * ones are written by direct.c. Each upload syncs on its caller's thread; those of parallel uploads meet in one commit of the
 * file system's journal.
 */
#include "shaman.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NAME_TRIES 10000
#define BEGIN_TRIES 100
/* So much is handed to the disk while more arrives, so that the sync at the end finds little left to write. */
#define WRITE_BACK_BYTES (UINT64_C(8) << 20)
/* Larger files are not begun when there is no room for them. */
#define CHECK_ROOM_BYTES (INT64_C(1) << 20)
/* Smaller ones have no temporary name. */
#define NAMELESS_BYTES (INT64_C(1) << 20)
/* From here on they go past the page cache: a thread and its memory cost what some MiB in the cache do. */
#define DIRECT_BYTES (INT64_C(8) << 20)

struct flamenco_shaman_upload {
    shaman *s;
    struct flamenco_shaman_upload *prev, *next; /* s->uploads; with s->lock */
    fl_sh_key key;
    int can_exist; /* 0: no file has this name; its bytes are counted and hashed, and not kept */
    int64_t size_bytes; /* as declared */
    uint64_t received, written_back;
    EVP_MD_CTX *md;
    int fd;
    fl_sh_direct *direct; /* NULL: through the page cache */
    int is_nameless;
    uint32_t stored_by_other; /* atomic */
    char dir[FL_SH_DIR_MAX];
    char name[FL_SH_NAME_MAX]; /* "11-081921342.tmp" */
    char declared[FL_SH_SHA_LEN + 1]; /* as far as it fits; for texts */
};

/* ---- The list of those under way ----------------------------------------------------------------------------------- */

static int same_key(const fl_sh_key *a, const fl_sh_key *b)
{
    return a->size == b->size && memcmp(a->sha, b->sha, FL_SH_SHA_LEN) == 0;
}

int fl_sh_is_uploading(shaman *s, const fl_sh_key *key)
{
    int found = 0;
    pthread_mutex_lock(&s->lock);
    for (const flamenco_shaman_upload *u = s->uploads; u != NULL && !found; u = u->next)
        found = same_key(&u->key, key);
    pthread_mutex_unlock(&s->lock);
    return found;
}

static void enlist(flamenco_shaman_upload *u)
{
    shaman *s = u->s;
    pthread_mutex_lock(&s->lock);
    u->next = s->uploads;
    if (u->next != NULL)
        u->next->prev = u;
    s->uploads = u;
    pthread_mutex_unlock(&s->lock);
}

/* Takes it off the list. stored 1: the others of this file need not go on. */
static void delist(flamenco_shaman_upload *u, int stored)
{
    shaman *s = u->s;
    pthread_mutex_lock(&s->lock);
    if (u->prev != NULL)
        u->prev->next = u->next;
    else
        s->uploads = u->next;
    if (u->next != NULL)
        u->next->prev = u->prev;
    for (flamenco_shaman_upload *other = s->uploads; stored && other != NULL; other = other->next)
        if (same_key(&other->key, &u->key))
            __atomic_store_n(&other->stored_by_other, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&s->lock);
}

/* Tells whether another upload may have made the directory that both want, without having synced it yet. */
static int shares_directory(flamenco_shaman_upload *u)
{
    int found = 0;
    pthread_mutex_lock(&u->s->lock);
    for (const flamenco_shaman_upload *other = u->s->uploads; other != NULL && !found; other = other->next)
        found = other != u && memcmp(other->key.sha, u->key.sha, FL_SH_SHA_LEN) == 0;
    pthread_mutex_unlock(&u->s->lock);
    return found;
}

static void free_upload(flamenco_shaman_upload *u)
{
    if (u == NULL)
        return;
    EVP_MD_CTX_free(u->md);
    fl_sh_direct_free(u->direct); /* before its file is closed */
    if (u->fd >= 0)
        close(u->fd);
    u->s->host->free(u->s->host->h, u);
}

/* ---- Begin ---------------------------------------------------------------------------------------------------------- */

static uint32_t random_number(void)
{
    uint32_t number = 0;
    while (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        ;
    return number % 1000000000u;
}

/* Makes the temporary file below the open directory `uploading`. Returns 0, or -1 with errno. */
static int make_file(flamenco_shaman_upload *u, int uploading_fd)
{
    uint32_t made;
    for (int tries = 0; tries < BEGIN_TRIES; ++tries) {
        int dir_fd = fl_sh_make_key_dir(uploading_fd, u->dir, &made);
        if (dir_fd < 0)
            return -1;
        for (int names = 0; u->fd < 0 && names < NAME_TRIES; ++names) {
            snprintf(u->name, sizeof(u->name), "%lld-%09u.tmp", (long long)u->key.size, random_number());
            u->fd = openat(dir_fd, u->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
            if (u->fd < 0 && errno != EEXIST)
                break;
        }
        int number = errno;
        if (u->fd >= 0 && u->key.size >= DIRECT_BYTES && u->s->direct_io)
            u->direct = fl_sh_direct_begin(u->s, dir_fd, u->name, u->fd);
        close(dir_fd);
        if (u->fd >= 0) {
            /* Tells a clean-up, also of another process, that somebody writes here. */
            (void)flock(u->fd, LOCK_SH | LOCK_NB);
            return 0;
        }
        errno = number;
        if (number != ENOENT) /* the directory was taken away, being empty */
            return -1;
    }
    errno = EBUSY;
    return -1;
}

static int32_t check_room(const flamenco_shaman_upload *u, int uploading_fd, flamenco_error *err)
{
    struct statvfs vfs;
    if (u->key.size < CHECK_ROOM_BYTES || fstatvfs(uploading_fd, &vfs) != 0)
        return FLAMENCO_OK;
    uint64_t room = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    if ((uint64_t)u->key.size <= room)
        return FLAMENCO_OK;
    return flamenco_fail(err, FLAMENCO_E_FULL,
                         "the shared storage is full: the file has %lld bytes, there is room for %llu",
                         (long long)u->key.size, (unsigned long long)room);
}

/* Makes the temporary file, unless the file is stored already. */
static int32_t open_file(flamenco_shaman_upload *u, flamenco_error *err)
{
    shaman *s = u->s;
    int stored_fd = -1, uploading_fd = -1;
    int32_t rc = fl_sh_open_place(s, FL_SH_STORED, &stored_fd, err);
    if (rc != FLAMENCO_OK)
        return rc;
    int found = fl_sh_blob_look(s, stored_fd, &u->key, 0);
    if (found < 0)
        rc = fl_sh_fail_errno(err, "cannot look for file", u->key.sha);
    else if (found)
        rc = flamenco_fail(err, FLAMENCO_E_EXISTS, "the file is stored already");
    else if (u->key.size < NAMELESS_BYTES)
        u->fd = fl_sh_nameless_make(s, stored_fd);
    close(stored_fd);
    u->is_nameless = u->fd >= 0;
    if (rc != FLAMENCO_OK || u->is_nameless)
        return rc;
    rc = fl_sh_open_place(s, FL_SH_UPLOADING, &uploading_fd, err);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = check_room(u, uploading_fd, err);
    if (rc == FLAMENCO_OK && make_file(u, uploading_fd) != 0) {
        rc = fl_sh_fail_errno(err, "cannot make a file in", FL_SH_UPLOADING);
        fl_sh_drop_key_dir(s, uploading_fd, u->dir, 0);
    }
    close(uploading_fd);
    return rc;
}

int32_t fl_sh_upload_begin(void *self, flamenco_cx *cx, flamenco_str sha, int64_t size_bytes,
                           flamenco_str original_name, flamenco_shaman_upload **out, flamenco_error *err)
{
    shaman *s = self;
    (void)cx;
    flamenco_shaman_upload *u = s->host->alloc(s->host->h, sizeof(*u));
    if (u == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(u, 0, sizeof(*u));
    u->s = s;
    u->fd = -1;
    u->size_bytes = size_bytes;
    snprintf(u->declared, sizeof(u->declared), "%.*s", (int)(sha.len < FL_SH_SHA_LEN ? sha.len : FL_SH_SHA_LEN),
             sha.len > 0 ? sha.ptr : "");
    u->md = EVP_MD_CTX_new();
    if (u->md == NULL || EVP_DigestInit_ex2(u->md, s->sha256, NULL) != 1) {
        free_upload(u);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    }
    u->can_exist = fl_sh_key_make(sha, size_bytes, &u->key);
    if (u->can_exist) {
        fl_sh_key_dir(&u->key, u->dir);
        int32_t rc = open_file(u, err);
        if (rc != FLAMENCO_OK) {
            free_upload(u);
            return rc;
        }
        enlist(u);
    }
    s->host->log(s->host->h, FLAMENCO_LOG_DEBUG, "receiving %s, %lld bytes, \"%.*s\"", u->declared,
                 (long long)size_bytes, (int)(original_name.len < 200 ? original_name.len : 200),
                 original_name.len > 0 ? original_name.ptr : "");
    *out = u;
    return FLAMENCO_OK;
}

/* ---- Write ------------------------------------------------------------------------------------------------------------ */

static int32_t fail_write(const flamenco_shaman_upload *u, flamenco_error *err)
{
    return fl_sh_fail_errno(err, "cannot write to the shared storage:", u->name);
}

static int32_t write_all(flamenco_shaman_upload *u, const char *data, uint64_t len, flamenco_error *err)
{
    while (len > 0) {
        ssize_t n = write(u->fd, data, (size_t)len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_write(u, err);
        data += n;
        len -= (uint64_t)n;
    }
    return FLAMENCO_OK;
}

int32_t fl_sh_upload_write(void *self, flamenco_shaman_upload *u, const void *data, uint64_t len, flamenco_error *err)
{
    (void)self;
    if (__atomic_load_n(&u->stored_by_other, __ATOMIC_ACQUIRE))
        return flamenco_fail(err, FLAMENCO_E_EXISTS, "another upload has stored the file");
    if (u->size_bytes < 0 || len > (uint64_t)u->size_bytes - u->received)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the file has more than the %lld bytes that were declared",
                             (long long)u->size_bytes);
    if (len == 0)
        return FLAMENCO_OK;
    if (EVP_DigestUpdate(u->md, data, (size_t)len) != 1)
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "SHA-256 fails");
    u->received += len;
    if (!u->can_exist)
        return FLAMENCO_OK;
    if (u->direct != NULL)
        return fl_sh_direct_write(u->direct, data, len) == 0 ? FLAMENCO_OK : fail_write(u, err);
    int32_t rc = write_all(u, data, len, err);
    if (rc == FLAMENCO_OK && u->received - u->written_back >= WRITE_BACK_BYTES) {
        (void)sync_file_range(u->fd, (off_t)u->written_back, (off_t)(u->received - u->written_back),
                              SYNC_FILE_RANGE_WRITE);
        u->written_back = u->received;
    }
    return rc;
}

/* ---- End -------------------------------------------------------------------------------------------------------------- */

static int32_t check_content(flamenco_shaman_upload *u, flamenco_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char sha[FL_SH_SHA_LEN + 1];
    if (u->size_bytes < 0 || u->received != (uint64_t)u->size_bytes)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "%lld bytes were declared, %llu were received",
                             (long long)u->size_bytes, (unsigned long long)u->received);
    if (EVP_DigestFinal_ex(u->md, digest, &len) != 1 || len != FL_SH_SHA_LEN / 2)
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "SHA-256 fails");
    for (unsigned i = 0; i < len; ++i)
        snprintf(sha + 2 * (size_t)i, 3, "%02x", digest[i]);
    if (u->can_exist && memcmp(sha, u->key.sha, FL_SH_SHA_LEN) == 0)
        return FLAMENCO_OK;
    return flamenco_fail(err, FLAMENCO_E_INVALID, "the checksum %s was declared, that of the received bytes is %s",
                         u->declared, sha);
}

/* Opens a directory just for syncing it. */
static int sync_dir(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    int number = errno;
    close(fd);
    errno = number;
    return rc;
}

/* Makes the new entries durable, from the file's up to that of stored/XX. Each sync may cost a turn of the disk: what is
 * known to be durable is left out. */
static int sync_dirs(flamenco_shaman_upload *u, int stored_fd, int dir_fd, uint32_t made)
{
    shaman *s = u->s;
    const char outer[3] = { u->dir[0], u->dir[1], '\0' };
    if (fsync(dir_fd) != 0)
        return -1;
    if (fl_sh_is_ordered(dir_fd))
        return 0;
    if (((made & 1) != 0 || shares_directory(u)) && sync_dir(stored_fd, outer) != 0)
        return -1;
    unsigned bit = fl_sh_outer_number(u->dir);
    uint8_t mask = (uint8_t)(1u << bit % 8), *byte = &s->synced[bit / 8];
    pthread_mutex_lock(&s->lock);
    if ((made & 2) != 0)
        *byte &= (uint8_t)~mask;
    int known = (*byte & mask) != 0;
    pthread_mutex_unlock(&s->lock);
    if (known)
        return 0;
    if (fsync(stored_fd) != 0)
        return -1;
    pthread_mutex_lock(&s->lock);
    *byte |= mask;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* Moves the temporary file, which is synced, into place. */
static int32_t move_in(flamenco_shaman_upload *u, int uploading_fd, int stored_fd, flamenco_error *err)
{
    char from[FL_SH_NAME_MAX], to[FL_SH_NAME_MAX];
    int from_fd = fl_sh_open_below(uploading_fd, u->dir, O_PATH | O_DIRECTORY);
    int to_fd = -1, rc = -1;
    uint32_t made = 0, made_now = 0;
    memcpy(from, u->name, sizeof(from));
    fl_sh_key_name(&u->key, to);
    for (int tries = 0; from_fd >= 0 && rc != 0 && tries < BEGIN_TRIES; ++tries) {
        to_fd = fl_sh_make_key_dir(stored_fd, u->dir, &made_now);
        made |= made_now;
        if (to_fd < 0)
            break;
        rc = renameat(from_fd, from, to_fd, to);
        if (rc == 0)
            break;
        int number = errno;
        close(to_fd);
        to_fd = -1;
        errno = number;
        /* A collection of garbage took the empty directory away. When the temporary file is gone, it stays gone. */
        if (number != ENOENT || faccessat(from_fd, from, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
            break;
    }
    int32_t result = FLAMENCO_OK;
    if (rc != 0)
        result = fl_sh_fail_errno(err, "cannot move into place", u->key.sha);
    else if (sync_dirs(u, stored_fd, to_fd, made) != 0)
        result = fl_sh_fail_errno(err, "cannot sync", FL_SH_STORED);
    if (from_fd >= 0)
        close(from_fd);
    if (to_fd >= 0)
        close(to_fd);
    return result;
}

/* Removes the temporary file if it is still there, and its directories. */
static void drop_file(flamenco_shaman_upload *u)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int uploading_fd = -1;
    if (u->is_nameless)
        return;
    if (fl_sh_open_place(u->s, FL_SH_UPLOADING, &uploading_fd, &err) != FLAMENCO_OK)
        return;
    int dir_fd = fl_sh_open_below(uploading_fd, u->dir, O_PATH | O_DIRECTORY);
    if (dir_fd >= 0) {
        (void)unlinkat(dir_fd, u->name, 0);
        close(dir_fd);
        fl_sh_drop_key_dir(u->s, uploading_fd, u->dir, 0);
    }
    close(uploading_fd);
}

static int32_t store_nameless(flamenco_shaman_upload *u, flamenco_error *err)
{
    int stored_fd = -1;
    int32_t rc = fl_sh_open_place(u->s, FL_SH_STORED, &stored_fd, err);
    if (rc != FLAMENCO_OK)
        return rc;
    rc = fl_sh_nameless_place(u->fd, stored_fd, &u->key, u->dir, err);
    close(stored_fd);
    return rc;
}

static int32_t store(flamenco_shaman_upload *u, flamenco_error *err)
{
    shaman *s = u->s;
    int uploading_fd = -1, stored_fd = -1;
    if (u->direct != NULL && fl_sh_direct_flush(u->direct) != 0)
        return fail_write(u, err);
    if (fsync(u->fd) != 0)
        return fl_sh_fail_errno(err, "cannot sync", u->name);
    int32_t rc = fl_sh_open_place(s, FL_SH_UPLOADING, &uploading_fd, err);
    if (rc == FLAMENCO_OK)
        rc = fl_sh_open_place(s, FL_SH_STORED, &stored_fd, err);
    if (rc == FLAMENCO_OK)
        rc = move_in(u, uploading_fd, stored_fd, err);
    if (rc == FLAMENCO_OK)
        fl_sh_drop_key_dir(s, uploading_fd, u->dir, 0);
    if (uploading_fd >= 0)
        close(uploading_fd);
    if (stored_fd >= 0)
        close(stored_fd);
    return rc;
}

int32_t fl_sh_upload_end(void *self, flamenco_shaman_upload *u, flamenco_error *err)
{
    (void)self;
    int32_t rc = check_content(u, err);
    if (rc == FLAMENCO_OK)
        rc = u->is_nameless ? store_nameless(u, err) : store(u, err);
    if (u->can_exist) {
        if (rc != FLAMENCO_OK)
            drop_file(u);
        delist(u, rc == FLAMENCO_OK);
    }
    free_upload(u);
    return rc;
}

void fl_sh_upload_abort(void *self, flamenco_shaman_upload *u)
{
    (void)self;
    if (u->can_exist) {
        drop_file(u);
        delist(u, 0);
    }
    free_upload(u);
}
