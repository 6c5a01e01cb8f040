/* SPDX-License-Identifier: Apache-2.0
 *
 * journal.c - see journal.h.
 */
#include "journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define RECORD_MAGIC 0x31524846u /* "FHR1" */
#define POSITION_MAGIC 0x31504846u /* "FHP1" */
#define POSITION_SIZE 32u
#define FILES_WANTED 16u /* so many share the limit */
#define FILE_LEAST 4096u
#define NAME_SIZE 32u

static int32_t fail_errno(flamenco_error *err, const char *what)
{
    int number = errno;
    char reason[128];
    int32_t code = number == ENOSPC || number == EDQUOT || number == EFBIG ? FLAMENCO_E_FULL : FLAMENCO_E_IO;
    return flamenco_fail(err, code, "cannot %s: %s", what, strerror_r(number, reason, sizeof(reason)));
}

/* ---- Bytes ------------------------------------------------------------------------------------------------------------ */

static void put(unsigned char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; ++i)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get(const unsigned char *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* CRC-32 as everybody has it, half a byte at a time. */
static uint32_t crc32_add(uint32_t crc, const void *data, size_t len)
{
    static const uint32_t table[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };
    const unsigned char *at = data;
    crc = ~crc;
    for (size_t i = 0; i < len; ++i) {
        crc ^= at[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

/* Record: magic, CRC of all that follows, length, 0, number, time; then the text. */
static void write_head(unsigned char *head, const char *data, size_t len, uint64_t number, int64_t time_us)
{
    put(head, RECORD_MAGIC, 4);
    put(head + 8, len, 4);
    put(head + 12, 0, 4);
    put(head + 16, number, 8);
    put(head + 24, (uint64_t)time_us, 8);
    put(head + 4, crc32_add(crc32_add(0, head + 8, FL_JOURNAL_RECORD_HEAD - 8), data, len), 4);
}

static ssize_t read_fully(int fd, void *out, size_t len, uint64_t at)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(fd, (char *)out + got, len - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

void fl_journal_text_fini(fl_journal_text *text)
{
    free(text->data);
    *text = (fl_journal_text){ .data = NULL };
}

static int grow(fl_journal_text *text, size_t len)
{
    if (len <= text->cap)
        return 1;
    char *more = realloc(text->data, len);
    if (more == NULL)
        return 0;
    text->data = more;
    text->cap = len;
    return 1;
}

/* Reads the record at an offset of a file that is `size` long. OK; NOT_FOUND: there is no whole one; IO, NOMEM. */
static int32_t read_record(int fd, uint64_t at, uint64_t size, fl_journal_text *out, flamenco_error *err)
{
    unsigned char head[FL_JOURNAL_RECORD_HEAD];
    if (size - at < sizeof(head))
        return FLAMENCO_E_NOT_FOUND;
    ssize_t got = read_fully(fd, head, sizeof(head), at);
    if (got < 0)
        return fail_errno(err, "read the journal");
    uint64_t len = get(head + 8, 4);
    if (got < (ssize_t)sizeof(head) || get(head, 4) != RECORD_MAGIC || len > size - at - sizeof(head))
        return FLAMENCO_E_NOT_FOUND;
    if (!grow(out, (size_t)len))
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    got = read_fully(fd, out->data, (size_t)len, at + sizeof(head));
    if (got < 0)
        return fail_errno(err, "read the journal");
    uint32_t crc = crc32_add(crc32_add(0, head + 8, sizeof(head) - 8), out->data, (size_t)len);
    if ((uint64_t)got < len || get(head + 4, 4) != crc)
        return FLAMENCO_E_NOT_FOUND;
    out->len = (size_t)len;
    out->number = get(head + 16, 8);
    out->time_us = (int64_t)get(head + 24, 8);
    return FLAMENCO_OK;
}

/* ---- Files ------------------------------------------------------------------------------------------------------------ */

static void file_name(char *out, uint64_t first)
{
    snprintf(out, NAME_SIZE, "%016" PRIx64 ".log", first);
}

static int add_file(fl_journal *j, uint64_t first)
{
    if (j->n == j->cap) {
        size_t cap = j->cap > 0 ? 2 * j->cap : 32;
        fl_journal_file *more = realloc(j->files, cap * sizeof(*more));
        if (more == NULL)
            return 0;
        j->files = more;
        j->cap = cap;
    }
    j->files[j->n++] = (fl_journal_file){ .first = first, .last = first - 1 };
    return 1;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void remove_oldest(fl_journal *j)
{
    char name[NAME_SIZE];
    file_name(name, j->files[0].first);
    (void)unlinkat(j->directory, name, 0); /* one that stays is looked through again at the next start */
    if (j->reader >= 0 && j->reader_first == j->files[0].first)
        close_fd(&j->reader);
    j->bytes -= j->files[0].size;
    --j->n;
    memmove(j->files, j->files + 1, j->n * sizeof(j->files[0]));
    j->dirty = 1;
}

/* Removes files that nobody needs any more; the last one stays. */
static void trim(fl_journal *j)
{
    while (j->n > 1 && j->files[0].last <= j->taken)
        remove_oldest(j);
}

/* Begins a new file for the record that comes next. */
static int32_t begin_file(fl_journal *j, flamenco_error *err)
{
    char name[NAME_SIZE];
    /* A last file that is empty, because its first record could not be written, has that name already. */
    int is_there = j->n > 0 && j->files[j->n - 1].first == j->next;
    if (!is_there && !add_file(j, j->next))
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    file_name(name, j->next);
    int fd = openat(j->directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        j->n -= is_there ? 0 : 1;
        return fail_errno(err, "make a file of the journal");
    }
    close_fd(&j->previous);
    j->previous = j->tail; /* which may not be on the disk yet */
    j->tail = fd;
    j->sealed = 0;
    trim(j);
    return FLAMENCO_OK;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------------- */

static int compare_files(const void *left, const void *right)
{
    const fl_journal_file *a = left, *b = right;
    return a->first < b->first ? -1 : a->first > b->first;
}

static int32_t list_files(fl_journal *j, flamenco_error *err)
{
    int fd = openat(j->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return fail_errno(err, "read the directory of the journal");
    }
    int32_t rc = FLAMENCO_OK;
    for (const struct dirent *e = readdir(dir); e != NULL && rc == FLAMENCO_OK; e = readdir(dir)) {
        char name[NAME_SIZE], *end = NULL;
        uint64_t first = strtoull(e->d_name, &end, 16);
        file_name(name, first);
        if (first > 0 && strcmp(name, e->d_name) == 0 && !add_file(j, first))
            rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    }
    closedir(dir);
    if (j->n > 1)
        qsort(j->files, j->n, sizeof(j->files[0]), compare_files);
    return rc;
}

/* Looks through one file, and cuts off what is not whole. */
static int32_t look_through(fl_journal *j, fl_journal_file *file, fl_journal_text *text, uint64_t *lost,
                            flamenco_error *err)
{
    char name[NAME_SIZE];
    struct stat st;
    int32_t rc = FLAMENCO_OK;
    file_name(name, file->first);
    int fd = openat(j->directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = fail_errno(err, "open a file of the journal");
        if (fd >= 0)
            close(fd);
        return rc;
    }
    uint64_t size = (uint64_t)st.st_size;
    while (rc == FLAMENCO_OK) {
        rc = read_record(fd, file->size, size, text, err);
        if (rc == FLAMENCO_OK && text->number != file->last + 1)
            rc = FLAMENCO_E_NOT_FOUND;
        if (rc == FLAMENCO_OK) {
            file->size += FL_JOURNAL_RECORD_HEAD + text->len;
            file->last = text->number;
        }
    }
    if (rc == FLAMENCO_E_NOT_FOUND) {
        rc = FLAMENCO_OK;
        *lost += size - file->size;
        if (size > file->size && ftruncate(fd, (off_t)file->size) != 0)
            rc = fail_errno(err, "cut off what a crash left of the journal");
    }
    close(fd);
    return rc;
}

/* The newer of the two slots that is whole; both damaged: nothing was taken, all comes again. */
static void read_position(fl_journal *j)
{
    uint64_t newest = 0;
    for (uint64_t slot = 0; slot < 2; ++slot) {
        unsigned char text[POSITION_SIZE];
        if (read_fully(j->position, text, sizeof(text), slot * sizeof(text)) != (ssize_t)sizeof(text) ||
            get(text, 4) != POSITION_MAGIC || get(text + 4, 4) != crc32_add(0, text + 8, sizeof(text) - 8) ||
            get(text + 8, 8) < newest)
            continue;
        newest = get(text + 8, 8);
        j->taken = get(text + 16, 8);
        j->slot = newest;
    }
}

static int32_t open_position(fl_journal *j, const char *directory, flamenco_error *err)
{
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return fail_errno(err, "make the directory of the journal");
    j->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->directory < 0)
        return fail_errno(err, "open the directory of the journal");
    j->position = openat(j->directory, "position", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (j->position < 0)
        return fail_errno(err, "open the journal's position");
    if (flock(j->position, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? flamenco_fail(err, FLAMENCO_E_BUSY, "the journal is in use: is the URL named twice?")
                   : fail_errno(err, "lock the journal");
    read_position(j);
    return FLAMENCO_OK;
}

static int32_t look_through_all(fl_journal *j, uint64_t *lost, flamenco_error *err)
{
    fl_journal_text text = { .data = NULL };
    int32_t rc = FLAMENCO_OK;
    j->next = j->taken + 1;
    for (size_t i = 0; i < j->n && rc == FLAMENCO_OK; ++i) {
        rc = look_through(j, &j->files[i], &text, lost, err);
        j->bytes += j->files[i].size;
        if (j->files[i].last + 1 > j->next)
            j->next = j->files[i].last + 1;
    }
    fl_journal_text_fini(&text);
    return rc;
}

int32_t fl_journal_open(fl_journal *j, const char *directory, uint64_t limit, uint64_t *lost_out, flamenco_error *err)
{
    uint64_t lost = 0;
    *j = (fl_journal){ .directory = -1, .position = -1, .previous = -1, .tail = -1, .reader = -1, .limit = limit };
    j->file_limit = limit / FILES_WANTED > FILE_LEAST ? limit / FILES_WANTED : FILE_LEAST;
    int32_t rc = open_position(j, directory, err);
    if (rc == FLAMENCO_OK)
        rc = list_files(j, err);
    if (rc == FLAMENCO_OK)
        rc = look_through_all(j, &lost, err);
    if (rc != FLAMENCO_OK) {
        fl_journal_close(j);
        return rc;
    }
    /* The old files stay as they are; a new one is begun with the next text. */
    j->sealed = 1;
    while (j->n > 0 && j->files[0].last <= j->taken)
        remove_oldest(j);
    *lost_out = lost;
    return FLAMENCO_OK;
}

void fl_journal_close(fl_journal *j)
{
    if (j->cap == 0 && j->limit == 0)
        return;
    close_fd(&j->reader);
    close_fd(&j->previous);
    close_fd(&j->tail);
    close_fd(&j->position);
    close_fd(&j->directory);
    free(j->files);
    memset(j, 0, sizeof(*j));
}

/* ---- Appending -------------------------------------------------------------------------------------------------------- */

/* Makes room by giving up the oldest file. Returns how many texts were lost with it. */
static uint64_t drop_oldest(fl_journal *j)
{
    const fl_journal_file *file = &j->files[0];
    uint64_t from = file->first > j->taken ? file->first : j->taken + 1;
    uint64_t lost = file->last >= from ? file->last - from + 1 : 0;
    if (j->n == 1) {
        close_fd(&j->tail);
        j->sealed = 1;
    }
    remove_oldest(j);
    return lost;
}

/* Writes a record behind the others. What a failure left of it is cut off again; else the next one begins a new file. */
static int32_t write_record(fl_journal *j, unsigned char *head, const char *data, size_t len, flamenco_error *err)
{
    fl_journal_file *file = &j->files[j->n - 1];
    size_t total = FL_JOURNAL_RECORD_HEAD + len, done = 0;
    while (done < total) {
        size_t in_head = done < FL_JOURNAL_RECORD_HEAD ? FL_JOURNAL_RECORD_HEAD - done : 0;
        size_t skip = in_head > 0 ? 0 : done - FL_JOURNAL_RECORD_HEAD;
        /* iov_base is not const, though writev() only reads. */
        struct iovec parts[2] = { { head + FL_JOURNAL_RECORD_HEAD - in_head, in_head },
                                  { (void *)(uintptr_t)(data + skip), len - skip } };
        ssize_t n = in_head > 0 ? writev(j->tail, parts, 2) : writev(j->tail, parts + 1, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int32_t rc = fail_errno(err, "write to the journal");
            if (done > 0 && ftruncate(j->tail, (off_t)file->size) != 0)
                j->sealed = 1;
            return rc;
        }
        done += (size_t)n;
    }
    file->size += total;
    j->bytes += total;
    file->last = j->next++;
    j->dirty = 1;
    return FLAMENCO_OK;
}

int32_t fl_journal_append(fl_journal *j, const char *data, size_t len, int64_t time_us, uint64_t *dropped_out,
                          flamenco_error *err)
{
    unsigned char head[FL_JOURNAL_RECORD_HEAD];
    uint64_t dropped = 0, total = FL_JOURNAL_RECORD_HEAD + (uint64_t)len;
    *dropped_out = 0;
    if (total > j->limit || len > UINT32_MAX)
        return flamenco_fail(err, FLAMENCO_E_FULL, "an event of %zu bytes is larger than the whole journal may be",
                             len);
    while (j->n > 0 && j->bytes + total > j->limit)
        dropped += drop_oldest(j);
    *dropped_out = dropped;
    if (j->n == 0 || j->sealed || j->files[j->n - 1].size + total > j->file_limit) {
        /* An empty last file is as good as a new one. */
        if (j->n == 0 || j->sealed || j->files[j->n - 1].size > 0) {
            int32_t rc = begin_file(j, err);
            if (rc != FLAMENCO_OK)
                return rc;
        }
    }
    write_head(head, data, len, j->next, time_us);
    return write_record(j, head, data, len, err);
}

/* ---- Taking out ------------------------------------------------------------------------------------------------------- */

uint64_t fl_journal_waiting(const fl_journal *j)
{
    uint64_t waiting = 0;
    for (size_t i = 0; i < j->n; ++i) {
        uint64_t from = j->files[i].first > j->taken ? j->files[i].first : j->taken + 1;
        waiting += j->files[i].last >= from ? j->files[i].last - from + 1 : 0;
    }
    return waiting;
}

/* Opens the file with the oldest text that waits. NOT_FOUND: none waits. */
static int32_t open_reader(fl_journal *j, const fl_journal_file **file_out, flamenco_error *err)
{
    size_t i = 0;
    while (i < j->n && j->files[i].last <= j->taken)
        ++i;
    if (i == j->n)
        return FLAMENCO_E_NOT_FOUND;
    *file_out = &j->files[i];
    if (j->reader >= 0 && j->reader_first == j->files[i].first)
        return FLAMENCO_OK;
    char name[NAME_SIZE];
    close_fd(&j->reader);
    file_name(name, j->files[i].first);
    j->reader = openat(j->directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (j->reader < 0 && errno != ENOENT)
        return fail_errno(err, "open a file of the journal");
    j->reader_first = j->read_number = j->files[i].first;
    j->read_at = 0;
    return FLAMENCO_OK;
}

int32_t fl_journal_read(fl_journal *j, fl_journal_text *out, flamenco_error *err)
{
    const fl_journal_file *file = NULL;
    int32_t rc = open_reader(j, &file, err);
    if (rc != FLAMENCO_OK)
        return rc;
    for (;;) {
        rc = j->reader >= 0 ? read_record(j->reader, j->read_at, file->size, out, err) : FLAMENCO_E_NOT_FOUND;
        if (rc == FLAMENCO_E_NOT_FOUND || (rc == FLAMENCO_OK && out->number != j->read_number)) {
            /* It was whole when it was written, or when we started: the disk, or somebody, has damaged it since. */
            uint64_t last = file->last;
            close_fd(&j->reader);
            (void)fl_journal_done(j, last, NULL);
            return flamenco_fail(err, FLAMENCO_E_CORRUPT,
                                 "the journal is damaged; what waited up to event %" PRIu64 " is lost", last);
        }
        if (rc != FLAMENCO_OK || j->read_number > j->taken)
            return rc;
        j->read_at += FL_JOURNAL_RECORD_HEAD + out->len;
        ++j->read_number;
    }
}

int32_t fl_journal_done(fl_journal *j, uint64_t number, flamenco_error *err)
{
    unsigned char text[POSITION_SIZE] = { 0 };
    if (number <= j->taken)
        return FLAMENCO_OK;
    j->taken = number;
    ++j->slot;
    put(text, POSITION_MAGIC, 4);
    put(text + 8, j->slot, 8);
    put(text + 16, number, 8);
    put(text + 4, crc32_add(0, text + 8, sizeof(text) - 8), 4);
    ssize_t n = pwrite(j->position, text, sizeof(text), (off_t)(j->slot % 2 * sizeof(text)));
    int32_t rc = n == (ssize_t)sizeof(text) ? FLAMENCO_OK : fail_errno(err, "write the journal's position");
    j->dirty = 1;
    trim(j);
    return rc;
}

size_t fl_journal_unsynced(fl_journal *j, int *fds)
{
    const int wanted[FL_JOURNAL_FDS] = { j->previous, j->tail, j->position, j->directory };
    size_t n = 0;
    for (size_t i = 0; j->dirty && i < FL_JOURNAL_FDS; ++i) {
        int fd = wanted[i] >= 0 ? fcntl(wanted[i], F_DUPFD_CLOEXEC, 3) : -1;
        if (fd >= 0)
            fds[n++] = fd;
    }
    j->dirty = 0;
    close_fd(&j->previous);
    return n;
}
