/* SPDX-License-Identifier: Apache-2.0
 *
 * log_archive.c - a plugin for Flamenco Manager: keeps the logs of a job in one compressed file, "logs.flz" in the job's
 * directory. docs/plugins.md of the manager explains it step by step.
 *
 * THE FILE is a sequence of frames, each a head and a piece of one task's log, compressed by itself. A frame without text
 * says that the task's log begins anew. Numbers are in the byte order of the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

#include <flamenco/calls/local_storage.h>
#include <flamenco/log_storage.h>

#define FILE_NAME "logs.flz"
#define MAGIC UINT64_C(0x325A4C462D474F4C) /* "LOG-FLZ2" */
#define OPEN_JOBS 64

typedef struct frame {
    uint64_t magic;
    uint64_t offset; /* of this head in the file */
    uint32_t packed, plain; /* bytes behind the head, and what comes out of them */
    flamenco_uuid task;
} frame;

/* The file of one job. */
typedef struct archive {
    flamenco_uuid job;
    int32_t fd; /* -1: this place is free */
    uint64_t end; /* where the next frame goes */
    uint64_t n_frames, room;
    frame *frames; /* all heads, in the order of the file */
} archive;

typedef struct log_archive {
    const flamenco_host *host;
    flamenco_local_storage_ref storage;
    int32_t level; /* how hard zlib tries */
    pthread_mutex_t lock; /* guards what follows */
    archive open[OPEN_JOBS]; /* the one used last is the first */
} log_archive;

/* What the last system call's failure means to the manager. */
static int32_t fail(flamenco_error *err, const char *what)
{
    int32_t code = errno == ENOENT ? FLAMENCO_E_NOT_FOUND : FLAMENCO_E_IO;
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        code = FLAMENCO_E_FULL;
    return flamenco_fail(err, code, "cannot %s %s: %s", what, FILE_NAME, strerror(errno));
}

static void close_archive(log_archive *l, archive *a)
{
    if (a->fd >= 0)
        (void)close(a->fd);
    l->host->free(l->host->h, a->frames);
    *a = (archive){ .fd = -1 };
}

/* Puts a frame into the index. All memory is the host's. */
static int32_t remember(log_archive *l, archive *a, const frame *f, flamenco_error *err)
{
    if (a->n_frames == a->room) {
        uint64_t room = a->room > 0 ? a->room * 2 : 64;
        frame *more = l->host->alloc(l->host->h, room * sizeof(frame));
        if (more == NULL)
            return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        if (a->n_frames > 0)
            memcpy(more, a->frames, a->n_frames * sizeof(frame));
        l->host->free(l->host->h, a->frames);
        a->frames = more;
        a->room = room;
    }
    a->frames[a->n_frames++] = *f;
    a->end = f->offset + sizeof(*f) + f->packed;
    return FLAMENCO_OK;
}

/* Reads every head. What a crash left at the end is no frame, and is cut off. */
static int32_t read_index(log_archive *l, archive *a, flamenco_error *err)
{
    frame f;
    int32_t rc = FLAMENCO_OK;
    uint64_t size = (uint64_t)lseek(a->fd, 0, SEEK_END); /* of a file, it cannot fail */
    while (rc == FLAMENCO_OK && size - a->end >= sizeof(f)) {
        if (pread(a->fd, &f, sizeof(f), (off_t)a->end) != (ssize_t)sizeof(f))
            return flamenco_fail(err, FLAMENCO_E_IO, "cannot read %s", FILE_NAME);
        if (f.magic != MAGIC || f.offset != a->end || f.packed > size - a->end - sizeof(f))
            break;
        rc = remember(l, a, &f, err);
    }
    if (rc == FLAMENCO_OK && a->end < size && ftruncate(a->fd, (off_t)a->end) != 0)
        rc = fail(err, "repair");
    return rc;
}

/* Puts a job's archive into the first place: it is open, or closes the one that was not used for longest. Under the lock. */
static int32_t get_archive(log_archive *l, const flamenco_uuid *job, uint32_t make, flamenco_error *err)
{
    struct stat st;
    uint64_t i = 0;
    int32_t dir = -1;
    while (i < OPEN_JOBS - 1 && memcmp(&l->open[i].job, job, sizeof(*job)) != 0)
        ++i;
    archive found = l->open[i], *a = &l->open[0];
    memmove(&l->open[1], &l->open[0], i * sizeof(archive));
    *a = found;
    if (memcmp(&a->job, job, sizeof(*job)) == 0 && fstat(a->fd, &st) == 0 && st.st_nlink > 0)
        return FLAMENCO_OK;
    close_archive(l, a); /* another job's, or this one was erased meanwhile */
    int32_t rc = flamenco_local_storage_job_dir(&l->storage, job, make, &dir, err);
    if (rc != FLAMENCO_OK)
        return rc;
    a->job = *job;
    a->fd = openat(dir, FILE_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0644);
    rc = a->fd >= 0 ? read_index(l, a, err) : fail(err, "open");
    (void)close(dir);
    if (rc != FLAMENCO_OK)
        close_archive(l, a);
    return rc;
}

/* Writes all of a frame or nothing. */
static int32_t add_frame(log_archive *l, const flamenco_uuid *job, frame *f, void *packed, flamenco_error *err)
{
    archive *a = &l->open[0];
    struct iovec parts[] = { { f, sizeof(*f) }, { packed, f->packed } };
    pthread_mutex_lock(&l->lock);
    int32_t rc = get_archive(l, job, 1, err);
    f->magic = MAGIC;
    f->offset = a->end;
    if (rc == FLAMENCO_OK)
        rc = remember(l, a, f, err);
    errno = ENOSPC; /* what a short write means */
    if (rc == FLAMENCO_OK && pwritev(a->fd, parts, 2, (off_t)f->offset) != (ssize_t)(sizeof(*f) + f->packed)) {
        rc = fail(err, "write");
        --a->n_frames;
        a->end = f->offset;
        (void)!ftruncate(a->fd, (off_t)a->end); /* if not, the next frame is written over it */
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

static int32_t append(void *self, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_str text,
                      flamenco_error *err)
{
    log_archive *l = self;
    if (text.len == 0)
        return FLAMENCO_OK;
    if (text.len > UINT32_MAX / 2)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "a text of more than 2 GiB");
    /* One piece of memory: the text with its newline, then what becomes of it. */
    uLongf plain = text.len + (text.ptr[text.len - 1] != '\n'), packed = compressBound(plain);
    unsigned char *memory = l->host->alloc(l->host->h, plain + packed);
    if (memory == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memcpy(memory, text.ptr, text.len);
    memory[plain - 1] = '\n';
    int status = compress2(memory + plain, &packed, memory, plain, l->level);
    frame f = { .packed = (uint32_t)packed, .plain = (uint32_t)plain, .task = *task };
    int32_t rc = status == Z_OK ? add_frame(l, job, &f, memory + plain, err)
                                : flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    l->host->free(l->host->h, memory);
    return rc;
}

static int32_t rotate(void *self, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_error *err)
{
    frame nothing = { .task = *task };
    return add_frame(self, job, &nothing, NULL, err);
}

/* Goes back through a task's frames until they hold more than `most` bytes. Leaves the archive in the first place. */
static int32_t find_log(log_archive *l, const flamenco_uuid *job, const flamenco_uuid *task, uint64_t most,
                        const frame **first_out, uint64_t *size_out, flamenco_error *err)
{
    const archive *a = &l->open[0];
    int32_t rc = get_archive(l, job, 0, err);
    if (rc != FLAMENCO_OK)
        return rc;
    *size_out = 0;
    for (uint64_t i = a->n_frames; i > 0 && *size_out <= most; --i) {
        const frame *f = &a->frames[i - 1];
        if (memcmp(&f->task, task, sizeof(*task)) != 0)
            continue;
        if (f->plain == 0)
            break;
        *size_out += f->plain;
        *first_out = f;
    }
    return *size_out > 0 ? FLAMENCO_OK : flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "the task has no log");
}

static int32_t info(void *self, flamenco_cx *cx, const flamenco_uuid *job, const flamenco_uuid *task,
                    flamenco_log_info *out, flamenco_error *err)
{
    log_archive *l = self;
    flamenco_log_info found = { .struct_size = out->struct_size };
    const frame *first;
    (void)cx;
    pthread_mutex_lock(&l->lock);
    int32_t rc = find_log(l, job, task, UINT64_MAX, &first, &found.size_bytes, err);
    pthread_mutex_unlock(&l->lock);
    if (rc == FLAMENCO_OK) /* an older caller has a shorter struct: only what fits is written */
        memcpy(out, &found, out->struct_size < sizeof(found) ? out->struct_size : sizeof(found));
    return rc;
}

static int32_t unpack(log_archive *l, flamenco_cx *cx, const frame *f, char *to, flamenco_error *err)
{
    uLongf len = f->plain;
    unsigned char *packed = l->host->cx_alloc(cx, f->packed);
    if (packed == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    if (pread(l->open[0].fd, packed, f->packed, (off_t)(f->offset + sizeof(*f))) != (ssize_t)f->packed)
        return flamenco_fail(err, FLAMENCO_E_IO, "cannot read %s", FILE_NAME);
    int status = uncompress((unsigned char *)to, &len, packed, f->packed); /* zlib's format has a checksum */
    if (status == Z_OK && len == f->plain)
        return FLAMENCO_OK;
    return flamenco_fail(err, status == Z_MEM_ERROR ? FLAMENCO_E_NOMEM : FLAMENCO_E_CORRUPT, "cannot unpack a log");
}

static int32_t tail(void *self, flamenco_cx *cx, const flamenco_uuid *job, const flamenco_uuid *task,
                    uint64_t max_bytes, flamenco_str *out, flamenco_error *err)
{
    log_archive *l = self;
    const frame *f = NULL;
    char *text = NULL;
    uint64_t size = 0, done = 0;
    pthread_mutex_lock(&l->lock);
    int32_t rc = find_log(l, job, task, max_bytes, &f, &size, err);
    if (rc == FLAMENCO_OK && (text = l->host->cx_alloc(cx, size)) == NULL) /* lives as long as the request */
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    for (; rc == FLAMENCO_OK && done < size; ++f) {
        if (memcmp(&f->task, task, sizeof(*task)) != 0)
            continue;
        rc = unpack(l, cx, f, text + done, err);
        done += f->plain;
    }
    pthread_mutex_unlock(&l->lock);
    if (rc != FLAMENCO_OK || text == NULL)
        return rc;
    const char *begin = text, *end = text + size;
    if (size > max_bytes) { /* from the beginning of a line, where there is one */
        const char *newline = memchr(end - max_bytes - 1, '\n', max_bytes);
        begin = newline != NULL ? newline + 1 : end - max_bytes;
    }
    *out = (flamenco_str){ begin, (uint64_t)(end - begin) };
    return FLAMENCO_OK;
}

static void forget_job(void *self, const flamenco_uuid *job)
{
    log_archive *l = self;
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < OPEN_JOBS; ++i) {
        if (memcmp(&l->open[i].job, job, sizeof(*job)) == 0)
            close_archive(l, &l->open[i]);
    }
    pthread_mutex_unlock(&l->lock);
}

static const flamenco_log_storage table = {
    .struct_size = (uint32_t)sizeof(flamenco_log_storage),
    .append = append,
    .info = info,
    .tail = tail,
    .forget_job = forget_job,
    .rotate = rotate,
};

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    log_archive *l = host->alloc(host->h, sizeof(*l));
    if (l == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    *l = (log_archive){ .host = host };
    pthread_mutex_init(&l->lock, NULL); /* cannot fail on Linux */
    for (int i = 0; i < OPEN_JOBS; ++i)
        l->open[i].fd = -1;
    *self_out = l;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    log_archive *l = self;
    (void)err; /* the host has checked type and limits, and there is nothing else to check */
    l->level = (int32_t)config->integer(config->c, "level");
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    log_archive *l = self;
    l->storage.table = l->host->service(l->host->h, FLAMENCO_LOCAL_STORAGE, &l->storage.self);
    return l->storage.table != NULL
               ? FLAMENCO_OK
               : flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "%s is missing", FLAMENCO_LOCAL_STORAGE);
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    log_archive *l = self;
    (void)deadline_us;
    (void)err;
    for (int i = 0; i < OPEN_JOBS; ++i)
        close_archive(l, &l->open[i]);
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    log_archive *l = self;
    if (l == NULL)
        return;
    pthread_mutex_destroy(&l->lock);
    l->host->free(l->host->h, l);
}

static const flamenco_provide log_storage = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_LOG_STORAGE, &table };
static const flamenco_provide *const provides[] = { &log_storage, NULL };

static const flamenco_need storage = { .struct_size = (uint32_t)sizeof(flamenco_need), .id = FLAMENCO_LOCAL_STORAGE };
static const flamenco_need *const needs[] = { &storage, NULL };

static const flamenco_setting level = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_INT,
    .key = "level",
    .default_text = "6",
    .min = 1,
    .max = 9,
    .doc = "How hard to compress, from 1 (fast) to 9 (small).",
};
static const flamenco_setting *const settings[] = { &level, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT,   .id = "log-archive", .version = "1.0.0",   .licence = "Apache-2.0",
    .provides = provides,   .needs = needs,      .settings = settings, .create = create,
    .configure = configure, .start = start,      .stop = stop,         .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
