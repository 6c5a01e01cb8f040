/* SPDX-License-Identifier: Apache-2.0
 *
 * serve.c - see webapp.h. Directories are opened anew for each request, so that another build of the web interface can be
 * put in their place while the manager runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "webapp.h"

static const char policy[] =
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

const char *fl_serve_type(const char *name)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        { "html", "text/html; charset=utf-8" },
        { "js", "application/javascript" }, /* exactly so: browsers refuse the app otherwise */
        { "mjs", "application/javascript" },
        { "css", "text/css; charset=utf-8" },
        { "json", "application/json" },
        { "map", "application/json" },
        { "webmanifest", "application/manifest+json" },
        { "svg", "image/svg+xml" },
        { "png", "image/png" },
        { "jpg", "image/jpeg" },
        { "jpeg", "image/jpeg" },
        { "gif", "image/gif" },
        { "webp", "image/webp" },
        { "ico", "image/x-icon" },
        { "woff", "font/woff" },
        { "woff2", "font/woff2" },
        { "ttf", "font/ttf" },
        { "txt", "text/plain; charset=utf-8" },
        { "xml", "text/xml; charset=utf-8" },
        { "wasm", "application/wasm" },
        { "zip", "application/zip" },
    };
    const char *dot = strrchr(name, '.'), *slash = strrchr(name, '/');
    for (size_t i = 0; dot != NULL && (slash == NULL || dot > slash) && i < sizeof(types) / sizeof(types[0]); ++i) {
        if (strcmp(dot + 1, types[i].ending) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

/* Opens what is below the directory, also through links that stay there. O_NONBLOCK: a fifo would hang. Returns -1 with
 * errno. */
static int open_below(const char *directory, const char *name, struct stat *st)
{
    int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_BENEATH };
    int fd = (int)syscall(SYS_openat2, dir, name[0] != '\0' ? name : ".", &how, sizeof(how));
    int problem = errno;
    close(dir);
    if (fd >= 0 && fstat(fd, st) != 0) {
        problem = errno;
        close(fd);
        fd = -1;
    }
    errno = problem;
    return fd;
}

char fl_serve_kind(const char *directory, const char *name)
{
    struct stat st;
    int fd = open_below(directory, name, &st);
    if (fd < 0)
        return 0;
    close(fd);
    return S_ISREG(st.st_mode) ? 'f' : S_ISDIR(st.st_mode) ? 'd' : 0;
}

static int open_file(const char *directory, const char *name, const char *ending, struct stat *st)
{
    char path[FL_WEBAPP_NAME_MAX + 8];
    (void)snprintf(path, sizeof(path), "%s%s", name, ending);
    int fd = open_below(directory, path, st);
    if (fd >= 0 && S_ISREG(st->st_mode))
        return fd;
    if (fd >= 0) {
        close(fd);
        errno = ENOENT;
    }
    return -1;
}

typedef struct chosen {
    int fd;
    const char *coding; /* NULL = as it is */
    struct stat st;
} chosen;

/* Opens the file, or a compressed one beside it. A range is one of the file itself. */
static int choose(const char *directory, const char *name, const flamenco_http_request *request, chosen *out)
{
    static const struct {
        const char *coding, *ending;
    } codings[] = { { "br", ".br" }, { "gzip", ".gz" } };
    struct stat st;
    out->coding = NULL;
    out->fd = open_file(directory, name, "", &out->st);
    if (out->fd < 0)
        return 0;
    flamenco_str accepted = request->header(request->r, "accept-encoding");
    if (accepted.len == 0 || request->header(request->r, "range").len > 0)
        return 1;
    for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); ++i) {
        int fd =
            fl_range_accepts(accepted, codings[i].coding) ? open_file(directory, name, codings[i].ending, &st) : -1;
        if (fd < 0)
            continue;
        close(out->fd);
        *out = (chosen){ fd, codings[i].coding, st };
        break;
    }
    return 1;
}

static int32_t add_header(flamenco_http_reply *reply, const char *name, const char *value)
{
    return reply->header(reply->r, name, flamenco_text(value));
}

static int32_t add_headers(flamenco_http_reply *reply, const char *etag, const chosen *file, const fl_range *range,
                           uint32_t flags)
{
    char content_range[80];
    int32_t rc = add_header(reply, "etag", etag);
    if (rc == FLAMENCO_OK)
        rc = add_header(reply, "cache-control", "no-cache"); /* keep it, and ask whether it is still the same */
    if (rc == FLAMENCO_OK)
        rc = add_header(reply, "x-content-type-options", "nosniff");
    if (rc == FLAMENCO_OK && (flags & FL_SERVE_POLICY) != 0)
        rc = add_header(reply, "content-security-policy", policy);
    if (rc == FLAMENCO_OK && range->status != 304)
        rc = add_header(reply, "accept-ranges", "bytes");
    if (rc == FLAMENCO_OK && file->coding != NULL && range->status != 304)
        rc = add_header(reply, "content-encoding", file->coding);
    unsigned long long size = (unsigned long long)file->st.st_size, first = range->offset;
    content_range[0] = '\0';
    if (range->status == 206)
        (void)snprintf(content_range, sizeof(content_range), "bytes %llu-%llu/%llu", first,
                       first + (unsigned long long)range->length - 1, size);
    else if (range->status == 416)
        (void)snprintf(content_range, sizeof(content_range), "bytes */%llu", size);
    if (rc == FLAMENCO_OK && content_range[0] != '\0')
        rc = add_header(reply, "content-range", content_range);
    return rc;
}

int32_t fl_serve(const char *directory, const char *name, uint32_t flags, const flamenco_http_request *request,
                 flamenco_http_reply *reply, flamenco_error *err)
{
    chosen file;
    char etag[80];
    if (!choose(directory, name, request, &file)) {
        if (errno == ENOENT || errno == ENOTDIR || errno == EXDEV || errno == ELOOP || errno == ENAMETOOLONG ||
            errno == EACCES || errno == ENXIO)
            return FLAMENCO_E_NOT_FOUND;
        return flamenco_fail(err, FLAMENCO_E_IO, "cannot open %s in %s: %s", name, directory, strerror(errno));
    }
    (void)snprintf(etag, sizeof(etag), "\"%llx-%llx-%lx%s%s\"", (unsigned long long)file.st.st_size,
                   (unsigned long long)file.st.st_mtim.tv_sec, file.st.st_mtim.tv_nsec, file.coding != NULL ? "-" : "",
                   file.coding != NULL ? file.coding : "");
    fl_range range =
        fl_range_plan((uint64_t)file.st.st_size, etag, request->header(request->r, "range"),
                      request->header(request->r, "if-range"), request->header(request->r, "if-none-match"));
    int32_t rc = add_headers(reply, etag, &file, &range, flags);
    if (rc != FLAMENCO_OK || range.status == 304 || range.status == 416) {
        close(file.fd);
        if (rc == FLAMENCO_OK)
            rc = reply->bytes(reply->r, range.status, NULL, (flamenco_str){ NULL, 0 });
    } else {
        rc = reply->file(reply->r, range.status, fl_serve_type(name), file.fd, range.offset, range.length);
    }
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "the reply was not taken");
}
