/* SPDX-License-Identifier: Apache-2.0
 *
 * path.c - where the database file is, and making it with the right directories and rights. Called by the phases of the
 * plugin.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store.h"

/* Offset of the application id in the header of a database file (SQLite file format 1.3). */
#define APPLICATION_ID_AT 68

static char *copy_text(const flamenco_host *host, const char *text, size_t len)
{
    char *copy = host->alloc(host->h, len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

static int is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static flamenco_str trim(flamenco_str text)
{
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        --text.len;
    while (text.len > 0 && is_blank(*text.ptr)) {
        ++text.ptr;
        --text.len;
    }
    return text;
}

char *fl_path_ours(const flamenco_host *host, flamenco_str reference)
{
    size_t len = (size_t)reference.len, dot = len;
    for (size_t i = len; i-- > 0 && reference.ptr[i] != '/';) {
        /* A dot at the beginning of the name makes a hidden file, not an extension. */
        if (reference.ptr[i] == '.' && i > 0 && reference.ptr[i - 1] != '/') {
            dot = i;
            break;
        }
    }
    char *out = host->alloc(host->h, len + 3);
    if (out == NULL)
        return NULL;
    memcpy(out, reference.ptr, dot);
    memcpy(out + dot, "-c", 2);
    memcpy(out + dot + 2, reference.ptr + dot, len - dot);
    out[len + 2] = '\0';
    return out;
}

int32_t fl_path_settle(fl_store *store, flamenco_error *err)
{
    const flamenco_host *host = store->host;
    const flamenco_config *config = store->config;
    flamenco_str path = config->text(config->c, "path");
    if (path.len > 0) {
        store->path = copy_text(host, path.ptr, (size_t)path.len);
        return store->path != NULL ? FLAMENCO_OK : flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    }
    flamenco_str name = trim(config->text(config->c, "database"));
    flamenco_str place = config->place(config->c, "database");
    if (name.len == 0)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "%.*s: database must not be empty", (int)place.len,
                             place.ptr != NULL ? place.ptr : "");
    if (name.len >= 5 && memcmp(name.ptr, "file:", 5) == 0)
        return flamenco_fail(
            err, FLAMENCO_E_INVALID,
            "%.*s: database is a file: URI; give persist-sqlite its own setting `path`, a plain file name",
            (int)place.len, place.ptr != NULL ? place.ptr : "");
    store->reference = copy_text(host, name.ptr, (size_t)name.len);
    store->path = fl_path_ours(host, name);
    if (store->reference == NULL || store->path == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    return FLAMENCO_OK;
}

int32_t fl_path_make_parents(const char *path, flamenco_error *err)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    int32_t rc = FLAMENCO_OK;
    for (char *slash = strchr(copy + 1, '/'); slash != NULL && rc == FLAMENCO_OK; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot make the directory %s: %s", copy, strerror(errno));
        *slash = '/';
    }
    free(copy);
    return rc;
}

int32_t fl_path_create(const char *path, flamenco_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot open %s: %s", path, strerror(errno));
    struct stat st;
    int32_t rc = FLAMENCO_OK;
    /* Names of artists and the workers' secrets are in it. */
    if (fstat(fd, &st) != 0 || ((st.st_mode & 077) != 0 && fchmod(fd, 0600) != 0))
        rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot set the rights of %s: %s", path, strerror(errno));
    close(fd);
    return rc;
}

/* Reads the application id of the database `path`. Returns 1, or 0 when it is none. */
static int read_id(const char *path, uint32_t *out)
{
    /* Looks at the first bytes only: opening it as a database could leave files beside it. */
    unsigned char head[APPLICATION_ID_AT + 4];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = pread(fd, head, sizeof(head), 0);
    close(fd);
    if (got != (ssize_t)sizeof(head) || memcmp(head, "SQLite format 3", 16) != 0)
        return 0;
    *out = ((uint32_t)head[APPLICATION_ID_AT] << 24) | ((uint32_t)head[APPLICATION_ID_AT + 1] << 16) |
           ((uint32_t)head[APPLICATION_ID_AT + 2] << 8) | head[APPLICATION_ID_AT + 3];
    return 1;
}

int fl_path_is_foreign(const char *path)
{
    uint32_t id = 0;
    return read_id(path, &id) && id != FL_APPLICATION_ID;
}

int fl_path_is_ours(const char *path)
{
    uint32_t id = 0;
    return read_id(path, &id) && id == FL_APPLICATION_ID;
}
