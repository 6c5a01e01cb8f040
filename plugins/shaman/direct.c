/* SPDX-License-Identifier: Apache-2.0
 *
 * direct.c - writes a large file past the page cache (O_DIRECT): the disk takes the bytes from memory of the upload, so
 * that the kernel makes no pages, and their writing out needs no looking for them. A thread per file writes one piece while the
 * next one arrives. Used by uploads.c, for the first few of the large files that arrive at a time, on file systems of which
 * it is known to be cheaper: on a network each piece might be made durable by itself.
 */
#include "shaman.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Written at a time. Less costs more calls of the disk, more does not stay in a core's cache. */
#define PIECE ((size_t)1 << 20)
#define BLOCK 4096u /* addresses, offsets and lengths are multiples of it; no disk wants more */
#define AT_ONCE 6u /* files, of two pieces of memory each */

struct fl_sh_direct {
    shaman *s;
    int fd; /* O_DIRECT */
    int cached_fd; /* the upload's */
    char *memory; /* two pieces: one is filled, one is written */
    unsigned filling; /* 0 or 1 */
    size_t filled;
    uint64_t offset; /* in the file, of the piece that is filled */
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    const char *data; /* to be written; NULL: nothing */
    size_t len;
    uint64_t at;
    int ends, problem; /* problem: errno of the write that failed */
};

/* ---- The thread ------------------------------------------------------------------------------------------------------ */

/* Writes whole blocks directly; the rest of a file, and what is refused after all, through the page cache. Returns 0, or
 * errno. */
static int write_piece(const fl_sh_direct *d, const char *data, size_t len, uint64_t at)
{
    int direct = 1;
    while (len > 0) {
        int whole = direct && len >= BLOCK && at % BLOCK == 0;
        size_t want = whole ? len - len % BLOCK : len;
        ssize_t n = pwrite(whole ? d->fd : d->cached_fd, data, want, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EINVAL && whole) {
            direct = 0;
            continue;
        }
        if (n <= 0)
            return n < 0 ? errno : EIO;
        data += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static void *run_writer(void *arg)
{
    fl_sh_direct *d = arg;
    (void)pthread_setname_np(pthread_self(), "shaman-write");
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (d->data == NULL && !d->ends)
            pthread_cond_wait(&d->changed, &d->lock);
        if (d->data == NULL)
            break;
        pthread_mutex_unlock(&d->lock);
        int problem = write_piece(d, d->data, d->len, d->at);
        pthread_mutex_lock(&d->lock);
        d->data = NULL;
        d->problem = problem;
        pthread_cond_signal(&d->changed);
        if (problem != 0)
            break;
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* Waits until nothing is being written. Returns 0, or errno; with the lock held. */
static int wait_until_idle(fl_sh_direct *d)
{
    while (d->data != NULL)
        pthread_cond_wait(&d->changed, &d->lock);
    return d->problem;
}

/* Hands over what is filled, when the other piece is written. Returns 0, or errno. */
static int hand_over(fl_sh_direct *d)
{
    pthread_mutex_lock(&d->lock);
    int problem = wait_until_idle(d);
    if (problem == 0) {
        d->data = d->memory + d->filling * PIECE;
        d->len = d->filled;
        d->at = d->offset;
        pthread_cond_signal(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
    d->offset += d->filled;
    d->filling ^= 1;
    d->filled = 0;
    return problem;
}

/* ---- The upload ------------------------------------------------------------------------------------------------------ */

static int is_known(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return 0;
    return (uint32_t)fs.f_type == 0xEF53 /* ext4 */ || (uint32_t)fs.f_type == 0x58465342 /* xfs */;
}

/* Takes one of the few places. */
static int enter(shaman *s)
{
    pthread_mutex_lock(&s->lock);
    int may = s->n_direct < AT_ONCE;
    if (may)
        ++s->n_direct;
    pthread_mutex_unlock(&s->lock);
    return may;
}

static void leave(shaman *s)
{
    pthread_mutex_lock(&s->lock);
    --s->n_direct;
    pthread_mutex_unlock(&s->lock);
}

/* Maps the two pieces, aligned to their size: as one large page, where the kernel has one, they cost it less. */
static char *map_pieces(void)
{
    const size_t size = 2 * PIECE;
    char *all = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    size_t before = (size - (uintptr_t)all % size) % size;
    if (before > 0)
        munmap(all, before);
    munmap(all + before + size, size - before);
    (void)madvise(all + before, size, MADV_HUGEPAGE); /* without, it is as good, and dearer */
    return all + before;
}

static void free_direct(fl_sh_direct *d)
{
    shaman *s = d->s;
    if (d->memory != NULL)
        munmap(d->memory, 2 * PIECE);
    if (d->fd >= 0)
        close(d->fd);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    s->host->free(s->host->h, d);
    leave(s);
}

fl_sh_direct *fl_sh_direct_begin(shaman *s, int dir_fd, const char *name, int cached_fd)
{
    if (!is_known(cached_fd) || !enter(s))
        return NULL;
    fl_sh_direct *d = s->host->alloc(s->host->h, sizeof(*d));
    if (d == NULL) {
        leave(s);
        return NULL;
    }
    *d = (fl_sh_direct){ .s = s, .cached_fd = cached_fd };
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    d->fd = openat(dir_fd, name, O_WRONLY | O_DIRECT | O_NOFOLLOW | O_CLOEXEC);
    d->memory = d->fd >= 0 ? map_pieces() : NULL;
    if (d->memory != NULL && fl_sh_thread(&d->thread, run_writer, d) == FLAMENCO_OK)
        return d;
    free_direct(d);
    return NULL;
}

int fl_sh_direct_write(fl_sh_direct *d, const char *data, uint64_t len)
{
    int problem = 0;
    while (len > 0 && problem == 0) {
        size_t n = len < PIECE - d->filled ? (size_t)len : PIECE - d->filled;
        memcpy(d->memory + d->filling * PIECE + d->filled, data, n);
        d->filled += n;
        data += n;
        len -= n;
        if (d->filled == PIECE)
            problem = hand_over(d);
    }
    errno = problem;
    return problem == 0 ? 0 : -1;
}

int fl_sh_direct_flush(fl_sh_direct *d)
{
    int problem = d->filled > 0 ? hand_over(d) : 0;
    if (problem == 0) {
        pthread_mutex_lock(&d->lock);
        problem = wait_until_idle(d);
        pthread_mutex_unlock(&d->lock);
    }
    errno = problem;
    return problem == 0 ? 0 : -1;
}

void fl_sh_direct_free(fl_sh_direct *d)
{
    if (d == NULL)
        return;
    pthread_mutex_lock(&d->lock);
    d->ends = 1;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    free_direct(d);
}
