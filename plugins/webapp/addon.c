/* SPDX-License-Identifier: Apache-2.0
 *
 * addon.c - see webapp.h. Reads one text out of a zip: the end record, the directory, the entry.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "webapp.h"

#define ENTRY "flamenco/manager/__init__.py"
#define ENTRY_MAX (1u << 20) /* bytes of that file, packed or not */
#define DIRECTORY_MAX (8u << 20)
#define TAIL_MAX (65536u + 22u) /* the end record and its comment */

#define END_MARK 0x06054b50u
#define DIRECTORY_MARK 0x02014b50u
#define LOCAL_MARK 0x04034b50u

static uint32_t get16(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static uint32_t get32(const unsigned char *at)
{
    return get16(at) | get16(at + 2) << 16;
}

/* Reads `n` bytes at an offset. NULL: it cannot, errno tells why (0 = they are not all there). */
static unsigned char *read_at(int fd, uint64_t offset, size_t n)
{
    unsigned char *data = malloc(n > 0 ? n : 1);
    for (size_t got = 0; data != NULL && got < n;) {
        ssize_t part = pread(fd, data + got, n - got, (off_t)(offset + got));
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0) {
            if (part == 0)
                errno = 0;
            free(data);
            return NULL;
        }
        got += (size_t)part;
    }
    return data;
}

typedef struct entry {
    uint32_t method, packed, plain, offset;
} entry;

static int find_in_directory(const unsigned char *data, size_t n, entry *out)
{
    for (size_t at = 0; at + 46 <= n && get32(data + at) == DIRECTORY_MARK;) {
        const unsigned char *e = data + at;
        size_t name_len = get16(e + 28), len = 46 + name_len + get16(e + 30) + get16(e + 32);
        if (at + len > n)
            return 0;
        if (name_len == sizeof(ENTRY) - 1 && memcmp(e + 46, ENTRY, name_len) == 0) {
            *out = (entry){ get16(e + 10), get32(e + 20), get32(e + 24), get32(e + 42) };
            return 1;
        }
        at += len;
    }
    return 0;
}

static int find_entry(int fd, uint64_t size, entry *out)
{
    size_t tail_len = size < TAIL_MAX ? (size_t)size : TAIL_MAX;
    unsigned char *tail = tail_len >= 22 ? read_at(fd, size - tail_len, tail_len) : NULL;
    int found = 0;
    for (size_t at = tail_len; tail != NULL && at >= 22; --at) {
        const unsigned char *end = tail + at - 22;
        if (get32(end) != END_MARK)
            continue;
        uint32_t n = get32(end + 12), offset = get32(end + 16);
        unsigned char *directory = n <= DIRECTORY_MAX ? read_at(fd, offset, n) : NULL;
        found = directory != NULL && find_in_directory(directory, n, out);
        free(directory);
        break;
    }
    free(tail);
    return found;
}

/* Unpacks to a text with a NUL behind it, from malloc. */
static char *unpack(const entry *e, unsigned char *packed)
{
    char *plain = malloc((size_t)e->plain + 1);
    if (plain == NULL)
        return NULL;
    int ok = e->method == 0 && e->packed == e->plain;
    if (ok) {
        memcpy(plain, packed, e->plain);
    } else if (e->method == 8) {
        z_stream z = { .next_in = packed, .avail_in = e->packed, .next_out = (Bytef *)plain, .avail_out = e->plain };
        if (inflateInit2(&z, -15) == Z_OK) {
            ok = inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_out == 0;
            inflateEnd(&z);
        }
    }
    plain[e->plain] = '\0';
    if (!ok) {
        free(plain);
        plain = NULL;
    }
    return plain;
}

static char *read_entry(int fd, const entry *e)
{
    if (e->packed > ENTRY_MAX || e->plain > ENTRY_MAX)
        return NULL;
    unsigned char *local = read_at(fd, e->offset, 30);
    unsigned char *packed = NULL;
    char *plain = NULL;
    if (local != NULL && get32(local) == LOCAL_MARK)
        packed = read_at(fd, (uint64_t)e->offset + 30 + get16(local + 26) + get16(local + 28), e->packed);
    if (packed != NULL)
        plain = unpack(e, packed);
    free(local);
    free(packed);
    return plain;
}

/* Takes the text behind a line's `__version__ =`. */
static int find_version(const char *text, char *out)
{
    for (const char *at = text; (at = strstr(at, "__version__")) != NULL; ++at) {
        if (at != text && at[-1] != '\n')
            continue;
        const char *value = at + strlen("__version__");
        value += strspn(value, " \t");
        if (*value++ != '=')
            continue;
        value += strspn(value, " \t");
        char quote = *value++;
        size_t len = strspn(value, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+-_");
        if ((quote != '"' && quote != '\'') || len == 0 || len >= FL_WEBAPP_VERSION_MAX || value[len] != quote)
            continue;
        memcpy(out, value, len);
        out[len] = '\0';
        return 1;
    }
    return 0;
}

int32_t fl_addon_version(const char *path, char *out, flamenco_error *err)
{
    struct stat st;
    entry e;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "cannot open %s: %s", path, strerror(errno));
    char *text = NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && find_entry(fd, (uint64_t)st.st_size, &e))
        text = read_entry(fd, &e);
    close(fd);
    int found = text != NULL && find_version(text, out);
    free(text);
    return found ? FLAMENCO_OK
                 : flamenco_fail(err, FLAMENCO_E_INVALID,
                                 "%s is no zip of the Flamenco add-on: it has no __version__ in %s", path, ENTRY);
}
