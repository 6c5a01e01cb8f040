/* SPDX-License-Identifier: Apache-2.0
 *
 * log_archive.c - a plugin for Flamenco Manager: keeps the logs of a job in one compressed file, "logs.flz" in the job's
 * directory, instead of one file per task. docs/plugins.md of the manager explains it step by step.
 *
 * THE FILE is a sequence of frames, each a head and a piece of one task's log, compressed by itself. So the end of a log is
 * read without the rest, and a crash can damage the last frame alone, which is cut off when the file is opened again. Numbers
 * are in the byte order of the machine.
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
#define MAGIC 0x315A4C46u /* "FLZ1" */
#define KIND_TEXT 1u
#define KIND_ROTATED 2u /* no text: what stands before belongs to an older log of the task */
#define NONE UINT32_MAX

typedef struct frame_head {
    uint32_t magic, kind;
    uint8_t task[16];
    uint32_t packed, plain; /* bytes behind the head, and what comes out of them */
    uint32_t crc; /* of the packed bytes */
    uint32_t reserved;
} frame_head;

/* What is remembered of a frame, and of a task: where its last frame is. */
typedef struct frame {
    uint64_t offset; /* of the packed bytes */
    uint32_t packed, plain, crc;
    uint32_t before; /* the task's frame before this one, or NONE */
} frame;

typedef struct task_log {
    flamenco_uuid task;
    uint64_t size; /* bytes of text since the last rotation */
    uint32_t last; /* frame */
    uint32_t used;
} task_log;

/* An open archive: that of one job. */
typedef struct archive {
    flamenco_uuid job;
    int32_t fd; /* -1: this place is free */
    uint64_t end, last_use;
    frame *frames;
    uint32_t n_frames, frames_room;
    task_log *tasks; /* a hash table; its size is 0 or a power of two */
    uint32_t n_tasks, tasks_room;
} archive;

typedef struct log_archive {
    const flamenco_host *host;
    const flamenco_config *config;
    flamenco_local_storage_ref storage;
    pthread_mutex_t lock; /* guards everything below */
    archive *open; /* `n_open` places */
    uint64_t n_open, uses;
} log_archive;

/* ---- Memory: all of it is the host's ---------------------------------------------------------------------------------- */

static void *grow(log_archive *l, void *old, uint64_t old_bytes, uint64_t bytes)
{
    void *more = l->host->alloc(l->host->h, bytes);
    if (more == NULL)
        return NULL;
    memset(more, 0, bytes);
    if (old_bytes > 0)
        memcpy(more, old, old_bytes);
    l->host->free(l->host->h, old);
    return more;
}

/* ---- The index of an archive ------------------------------------------------------------------------------------------ */

static task_log *find_task(const archive *a, const flamenco_uuid *task)
{
    uint64_t hash;
    memcpy(&hash, task->b + 8, sizeof(hash)); /* the random half of a UUID */
    for (uint64_t i = hash; a->tasks_room > 0; ++i) {
        task_log *t = &a->tasks[i & (a->tasks_room - 1)];
        if (!t->used || memcmp(&t->task, task, sizeof(*task)) == 0)
            return t;
    }
    return NULL;
}

static int32_t grow_tasks(log_archive *l, archive *a)
{
    archive bigger = { .tasks_room = a->tasks_room > 0 ? a->tasks_room * 2 : 16 };
    bigger.tasks = grow(l, NULL, 0, bigger.tasks_room * sizeof(task_log));
    if (bigger.tasks == NULL)
        return FLAMENCO_E_NOMEM;
    for (uint32_t i = 0; i < a->tasks_room; ++i) {
        if (a->tasks[i].used)
            *find_task(&bigger, &a->tasks[i].task) = a->tasks[i];
    }
    l->host->free(l->host->h, a->tasks);
    a->tasks = bigger.tasks;
    a->tasks_room = bigger.tasks_room;
    return FLAMENCO_OK;
}

/* Makes room for one more frame and task, so that remembering them cannot fail. */
static int32_t make_room(log_archive *l, archive *a)
{
    if (a->n_frames == a->frames_room) {
        uint32_t room = a->frames_room > 0 ? a->frames_room * 2 : 64;
        frame *more = grow(l, a->frames, a->n_frames * sizeof(frame), room * sizeof(frame));
        if (more == NULL)
            return FLAMENCO_E_NOMEM;
        a->frames = more;
        a->frames_room = room;
    }
    return a->n_tasks * 2 >= a->tasks_room ? grow_tasks(l, a) : FLAMENCO_OK;
}

static void remember(archive *a, const frame_head *head)
{
    task_log *t = find_task(a, (const flamenco_uuid *)head->task);
    if (!t->used) {
        *t = (task_log){ .last = NONE, .used = 1 };
        memcpy(&t->task, head->task, sizeof(t->task));
        ++a->n_tasks;
    }
    if (head->kind == KIND_ROTATED) {
        t->last = NONE;
        t->size = 0;
    } else {
        a->frames[a->n_frames] = (frame){ a->end + sizeof(*head), head->packed, head->plain, head->crc, t->last };
        t->last = a->n_frames++;
        t->size += head->plain;
    }
    a->end += sizeof(*head) + head->packed;
}

/* ---- Opening and closing ---------------------------------------------------------------------------------------------- */

static void close_archive(log_archive *l, archive *a)
{
    if (a->fd >= 0)
        (void)close(a->fd);
    l->host->free(l->host->h, a->frames);
    l->host->free(l->host->h, a->tasks);
    *a = (archive){ .fd = -1 };
}

static int32_t read_at(int32_t fd, void *to, uint64_t len, uint64_t offset)
{
    ssize_t n = pread(fd, to, len, (off_t)offset);
    return n == (ssize_t)len ? FLAMENCO_OK : n < 0 ? FLAMENCO_E_IO : FLAMENCO_E_CORRUPT; /* it ends too early */
}

/* Reads every head. What a crash left at the end is no frame, and is cut off. */
static int32_t read_index(log_archive *l, archive *a, flamenco_error *err)
{
    struct stat st;
    frame_head head;
    if (fstat(a->fd, &st) != 0)
        return flamenco_fail(err, FLAMENCO_E_IO, "cannot look at %s: %s", FILE_NAME, strerror(errno));
    uint64_t size = (uint64_t)st.st_size;
    while (a->end + sizeof(head) <= size) {
        int32_t rc = read_at(a->fd, &head, sizeof(head), a->end);
        if (rc == FLAMENCO_OK)
            rc = make_room(l, a);
        if (rc != FLAMENCO_OK)
            return flamenco_fail(err, rc, "cannot read %s", FILE_NAME);
        if (head.magic != MAGIC || a->end + sizeof(head) + head.packed > size)
            break;
        remember(a, &head);
    }
    if (a->end < size && ftruncate(a->fd, (off_t)a->end) != 0)
        return flamenco_fail(err, FLAMENCO_E_IO, "cannot repair %s: %s", FILE_NAME, strerror(errno));
    return FLAMENCO_OK;
}

static int32_t open_archive(log_archive *l, const flamenco_uuid *job, uint32_t make, archive *a, flamenco_error *err)
{
    int32_t dir = -1;
    int32_t rc = flamenco_local_storage_job_dir(&l->storage, job, make, &dir, err);
    if (rc != FLAMENCO_OK)
        return rc;
    *a = (archive){ .job = *job };
    a->fd = openat(dir, FILE_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0644);
    int why = errno;
    (void)close(dir);
    if (a->fd < 0)
        rc = why == ENOENT ? flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "the job has no logs")
                           : flamenco_fail(err, FLAMENCO_E_IO, "cannot open %s: %s", FILE_NAME, strerror(why));
    else
        rc = read_index(l, a, err);
    if (rc != FLAMENCO_OK)
        close_archive(l, a);
    return rc;
}

/* Finds the archive of a job among the open ones, or opens it in the place that was not used for longest. Under the lock. */
static int32_t get_archive(log_archive *l, const flamenco_uuid *job, uint32_t make, archive **out, flamenco_error *err)
{
    archive *oldest = &l->open[0];
    for (uint64_t i = 0; i < l->n_open; ++i) {
        archive *a = &l->open[i];
        struct stat st;
        if (a->fd >= 0 && memcmp(&a->job, job, sizeof(*job)) == 0) {
            if (fstat(a->fd, &st) == 0 && st.st_nlink > 0) {
                a->last_use = ++l->uses;
                *out = a;
                return FLAMENCO_OK;
            }
            close_archive(l, a); /* the job was erased meanwhile */
        }
        if (a->last_use < oldest->last_use)
            oldest = a;
    }
    close_archive(l, oldest);
    int32_t rc = open_archive(l, job, make, oldest, err);
    oldest->last_use = rc == FLAMENCO_OK ? ++l->uses : 0;
    *out = oldest;
    return rc;
}

/* ---- Writing ---------------------------------------------------------------------------------------------------------- */

/* All of a frame or nothing. */
static int32_t write_frame(archive *a, const frame_head *head, void *packed, flamenco_error *err)
{
    struct iovec parts[] = { { (void *)(uintptr_t)head, sizeof(*head) }, { packed, head->packed } };
    errno = ENOSPC; /* what a short write means */
    if (pwritev(a->fd, parts, 2, (off_t)a->end) != (ssize_t)(sizeof(*head) + head->packed)) {
        int why = errno;
        (void)!ftruncate(a->fd, (off_t)a->end); /* if not, the next frame is written over it */
        return flamenco_fail(err, why == ENOSPC || why == EDQUOT || why == EFBIG ? FLAMENCO_E_FULL : FLAMENCO_E_IO,
                             "cannot write %s: %s", FILE_NAME, strerror(why));
    }
    remember(a, head);
    return FLAMENCO_OK;
}

static int32_t add_frame(log_archive *l, const flamenco_uuid *job, const frame_head *head, void *packed,
                         flamenco_error *err)
{
    archive *a;
    pthread_mutex_lock(&l->lock);
    int32_t rc = get_archive(l, job, 1, &a, err);
    if (rc == FLAMENCO_OK) {
        rc = make_room(l, a);
        rc = rc == FLAMENCO_OK ? write_frame(a, head, packed, err) : flamenco_fail(err, rc, "out of memory");
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

static int32_t append(void *self, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_str text,
                      flamenco_error *err)
{
    log_archive *l = self;
    frame_head head = { .magic = MAGIC, .kind = KIND_TEXT };
    if (text.len == 0)
        return FLAMENCO_OK;
    if (text.len > UINT32_MAX / 2)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "a text of more than 2 GiB");
    /* Compressing is the work; it is done before the lock is taken. One piece of memory: the text with its newline, then
     * what becomes of it. */
    uint64_t plain = text.len + (text.ptr[text.len - 1] != '\n'), room = compressBound(plain);
    unsigned char *memory = l->host->alloc(l->host->h, plain + room), *packed = memory + plain;
    if (memory == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memcpy(memory, text.ptr, text.len);
    memory[plain - 1] = '\n';
    int32_t rc = FLAMENCO_OK;
    uLongf len = room;
    if (compress2(packed, &len, memory, plain, 6) != Z_OK) {
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    } else {
        memcpy(head.task, task->b, sizeof(head.task));
        head.plain = (uint32_t)plain;
        head.packed = (uint32_t)len;
        head.crc = (uint32_t)crc32(0, packed, (unsigned)len);
        rc = add_frame(l, job, &head, packed, err);
    }
    l->host->free(l->host->h, memory);
    return rc;
}

static int32_t rotate(void *self, const flamenco_uuid *job, const flamenco_uuid *task, flamenco_error *err)
{
    frame_head head = { .magic = MAGIC, .kind = KIND_ROTATED };
    memcpy(head.task, task->b, sizeof(head.task));
    return add_frame(self, job, &head, NULL, err);
}

/* ---- Reading ---------------------------------------------------------------------------------------------------------- */

static int32_t find_log(log_archive *l, const flamenco_uuid *job, const flamenco_uuid *task, archive **a_out,
                        const task_log **out, flamenco_error *err)
{
    int32_t rc = get_archive(l, job, 0, a_out, err);
    if (rc != FLAMENCO_OK)
        return rc;
    *out = find_task(*a_out, task);
    return *out != NULL && (*out)->used && (*out)->size > 0
               ? FLAMENCO_OK
               : flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "the task has no log");
}

static int32_t info(void *self, flamenco_cx *cx, const flamenco_uuid *job, const flamenco_uuid *task,
                    flamenco_log_info *out, flamenco_error *err)
{
    log_archive *l = self;
    archive *a;
    const task_log *t;
    (void)cx;
    pthread_mutex_lock(&l->lock);
    int32_t rc = find_log(l, job, task, &a, &t, err);
    if (rc == FLAMENCO_OK) {
        /* An older caller has a shorter struct: only what fits is written. */
        flamenco_log_info found = { .struct_size = out->struct_size, .size_bytes = t->size };
        memcpy(out, &found, out->struct_size < sizeof(found) ? out->struct_size : sizeof(found));
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

static int32_t unpack(log_archive *l, const archive *a, const frame *f, char *to, flamenco_error *err)
{
    uLongf len = f->plain;
    unsigned char *packed = l->host->alloc(l->host->h, f->packed);
    if (packed == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    int32_t rc = read_at(a->fd, packed, f->packed, f->offset);
    if (rc == FLAMENCO_OK && crc32(0, packed, f->packed) != f->crc)
        rc = FLAMENCO_E_CORRUPT;
    int status = rc == FLAMENCO_OK ? uncompress((unsigned char *)to, &len, packed, f->packed) : Z_OK;
    if (status != Z_OK || (rc == FLAMENCO_OK && len != f->plain))
        rc = status == Z_MEM_ERROR ? FLAMENCO_E_NOMEM : FLAMENCO_E_CORRUPT;
    l->host->free(l->host->h, packed);
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "cannot read %s", FILE_NAME);
}

/* The last `most` bytes of a text, from the beginning of a line where there is one. */
static flamenco_str cut(flamenco_str text, uint64_t most)
{
    if (text.len <= most)
        return text;
    flamenco_str end = { text.ptr + (text.len - most), most };
    const char *newline = end.ptr[-1] == '\n' ? end.ptr - 1 : memchr(end.ptr, '\n', end.len);
    if (newline != NULL && newline + 1 < end.ptr + end.len)
        end = (flamenco_str){ newline + 1, (uint64_t)(end.ptr + end.len - (newline + 1)) };
    return end;
}

static int32_t tail(void *self, flamenco_cx *cx, const flamenco_uuid *job, const flamenco_uuid *task,
                    uint64_t max_bytes, flamenco_str *out, flamenco_error *err)
{
    log_archive *l = self;
    archive *a;
    const task_log *t;
    pthread_mutex_lock(&l->lock);
    int32_t rc = find_log(l, job, task, &a, &t, err);
    if (rc == FLAMENCO_OK) {
        uint64_t size = 0;
        for (uint32_t f = t->last; f != NONE && size <= max_bytes; f = a->frames[f].before)
            size += a->frames[f].plain;
        char *text = l->host->cx_alloc(cx, size); /* lives as long as the request */
        uint64_t left = size;
        if (text == NULL)
            rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        for (uint32_t f = t->last; rc == FLAMENCO_OK && left > 0; f = a->frames[f].before) {
            left -= a->frames[f].plain;
            rc = unpack(l, a, &a->frames[f], text + left, err);
        }
        if (text != NULL && rc == FLAMENCO_OK)
            *out = cut((flamenco_str){ text, size }, max_bytes);
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

static void forget_job(void *self, const flamenco_uuid *job)
{
    log_archive *l = self;
    pthread_mutex_lock(&l->lock);
    for (uint64_t i = 0; i < l->n_open; ++i) {
        if (l->open[i].fd >= 0 && memcmp(&l->open[i].job, job, sizeof(*job)) == 0)
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

/* ---- The phases ------------------------------------------------------------------------------------------------------- */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    log_archive *l = host->alloc(host->h, sizeof(*l));
    if (l == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(l, 0, sizeof(*l));
    l->host = host;
    pthread_mutex_init(&l->lock, NULL); /* cannot fail on Linux */
    *self_out = l;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    (void)err; /* the host has checked types and limits, and there is nothing else to check */
    ((log_archive *)self)->config = config;
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    log_archive *l = self;
    uint64_t n = (uint64_t)l->config->integer(l->config->c, "open_jobs");
    l->storage.table = l->host->service(l->host->h, FLAMENCO_LOCAL_STORAGE, &l->storage.self);
    if (l->storage.table == NULL)
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "%s is missing", FLAMENCO_LOCAL_STORAGE);
    l->open = l->host->alloc(l->host->h, n * sizeof(archive));
    if (l->open == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    l->n_open = n;
    for (uint64_t i = 0; i < n; ++i)
        l->open[i] = (archive){ .fd = -1 };
    return FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    log_archive *l = self;
    (void)deadline_us;
    (void)err;
    for (uint64_t i = 0; i < l->n_open; ++i)
        close_archive(l, &l->open[i]);
    l->host->free(l->host->h, l->open);
    l->open = NULL;
    l->n_open = 0;
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

/* ---- The descriptor --------------------------------------------------------------------------------------------------- */

static const flamenco_provide log_storage_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_LOG_STORAGE,
                                                      &table };
static const flamenco_provide *const provides[] = { &log_storage_provide, NULL };

/* The manager starts local storage first, and stops it last. */
static const flamenco_need storage_need = { .struct_size = (uint32_t)sizeof(flamenco_need),
                                            .id = FLAMENCO_LOCAL_STORAGE };
static const flamenco_need *const needs[] = { &storage_need, NULL };

static const flamenco_setting open_jobs_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_INT,
    .key = "open_jobs",
    .default_text = "64",
    .min = 1,
    .max = 4096,
    .doc = "How many jobs' archives are kept open.",
};
static const flamenco_setting *const settings[] = { &open_jobs_setting, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT,   .id = "log-archive", .version = "1.0.0",   .licence = "Apache-2.0",
    .provides = provides,   .needs = needs,      .settings = settings, .create = create,
    .configure = configure, .start = start,      .stop = stop,         .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
