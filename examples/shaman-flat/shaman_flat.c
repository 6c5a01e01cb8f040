/* SPDX-License-Identifier: Apache-2.0
 *
 * shaman_flat.c - the least that a Shaman needs: each file is one file, STORAGE/files/SHA256-SIZE, checkouts are directories of
 * relative links below STORAGE/jobs, and garbage stays for ever. Shows how the storage of the artists' files is replaced by
 * one line of manager.yaml. Who may write to the storage is trusted: links that others plant there are followed.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flamenco/shaman.h"

#define SHA_LEN 64
#define NAME_TRIES 10

typedef struct flat {
    const flamenco_host *host;
    const flamenco_config *config;
    char root[PATH_MAX / 2]; /* empty: switched off */
} flat;

struct flamenco_shaman_upload {
    int64_t size, received;
    EVP_MD_CTX *md;
    int fd; /* -1: no file can have this name */
    char sha[SHA_LEN + 1];
    char temporary[PATH_MAX], final[PATH_MAX];
};

static int32_t fail_errno(flamenco_error *err, const char *path)
{
    return flamenco_fail(err, errno == ENOSPC || errno == EDQUOT ? FLAMENCO_E_FULL : FLAMENCO_E_IO, "%s: %s", path,
                         strerror(errno));
}

/* ---- Files ---------------------------------------------------------------------------------------------------------- */

/* Writes the path of a file to out, which holds PATH_MAX bytes. Returns 0 when no file can have this name. */
static int file_path(const flat *s, flamenco_str sha, int64_t size, char *out)
{
    if (sha.len != SHA_LEN || size < 0)
        return 0;
    for (int i = 0; i < SHA_LEN; ++i)
        if (strchr("0123456789abcdef", sha.ptr[i]) == NULL || sha.ptr[i] == '\0')
            return 0;
    snprintf(out, PATH_MAX, "%s/files/%.64s-%lld", s->root, sha.ptr, (long long)size);
    return 1;
}

static int is_stored(const flat *s, flamenco_str sha, int64_t size)
{
    char path[PATH_MAX];
    return file_path(s, sha, size, path) && access(path, F_OK) == 0;
}

static uint32_t is_active(void *self)
{
    return ((const flat *)self)->root[0] != '\0';
}

static int32_t requirements(void *self, flamenco_cx *cx, flamenco_shaman_file *files, uint64_t stride, uint64_t n,
                            flamenco_error *err)
{
    (void)cx;
    (void)err;
    for (uint64_t i = 0; i < n; ++i) {
        flamenco_shaman_file *file = (flamenco_shaman_file *)(void *)((char *)files + i * stride);
        file->status = is_stored(self, file->sha, file->size_bytes) ? FLAMENCO_SHAMAN_STORED : FLAMENCO_SHAMAN_UNKNOWN;
    }
    return FLAMENCO_OK;
}

static int32_t file_status(void *self, flamenco_cx *cx, flamenco_str sha, int64_t size_bytes, uint32_t *out,
                           flamenco_error *err)
{
    (void)cx;
    (void)err;
    *out = is_stored(self, sha, size_bytes) ? FLAMENCO_SHAMAN_STORED : FLAMENCO_SHAMAN_UNKNOWN;
    return FLAMENCO_OK;
}

static void free_upload(flat *s, flamenco_shaman_upload *u)
{
    if (u->fd >= 0) {
        close(u->fd);
        unlink(u->temporary); /* gone already when it was stored */
    }
    EVP_MD_CTX_free(u->md);
    s->host->free(s->host->h, u);
}

static int32_t upload_begin(void *self, flamenco_cx *cx, flamenco_str sha, int64_t size_bytes,
                            flamenco_str original_name, flamenco_shaman_upload **out, flamenco_error *err)
{
    flat *s = self;
    (void)cx;
    (void)original_name;
    if (is_stored(s, sha, size_bytes))
        return flamenco_fail(err, FLAMENCO_E_EXISTS, "the file is stored already");
    flamenco_shaman_upload *u = s->host->alloc(s->host->h, sizeof(*u));
    if (u == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(u, 0, sizeof(*u));
    u->size = size_bytes;
    u->fd = -1;
    u->md = EVP_MD_CTX_new();
    int32_t rc = FLAMENCO_OK;
    if (u->md == NULL || EVP_DigestInit_ex(u->md, EVP_sha256(), NULL) != 1) {
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    } else if (file_path(s, sha, size_bytes, u->final)) {
        memcpy(u->sha, sha.ptr, SHA_LEN);
        snprintf(u->temporary, sizeof(u->temporary), "%s/files/.upload-XXXXXX", s->root);
        u->fd = mkostemp(u->temporary, O_CLOEXEC);
        if (u->fd < 0 || fchmod(u->fd, 0644) != 0)
            rc = fail_errno(err, u->temporary);
    }
    if (rc != FLAMENCO_OK)
        free_upload(s, u);
    else
        *out = u;
    return rc;
}

static int32_t upload_write(void *self, flamenco_shaman_upload *u, const void *data, uint64_t len, flamenco_error *err)
{
    const char *at = data;
    (void)self;
    if (u->size < 0 || len > (uint64_t)(u->size - u->received))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "more than %lld bytes", (long long)u->size);
    u->received += (int64_t)len;
    EVP_DigestUpdate(u->md, data, (size_t)len);
    while (u->fd >= 0 && len > 0) {
        ssize_t n = write(u->fd, at, (size_t)len);
        if (n < 0 && errno != EINTR)
            return fail_errno(err, u->temporary);
        if (n > 0) {
            at += n;
            len -= (uint64_t)n;
        }
    }
    return FLAMENCO_OK;
}

static int32_t sync_directory(const flat *s, flamenco_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/files", s->root);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) != 0;
    int32_t rc = failed ? fail_errno(err, path) : FLAMENCO_OK;
    if (fd >= 0)
        close(fd);
    return rc;
}

static int32_t upload_end(void *self, flamenco_shaman_upload *u, flamenco_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char sha[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned len = 0;
    int32_t rc = FLAMENCO_OK;
    if (u->received != u->size) {
        rc = flamenco_fail(err, FLAMENCO_E_INVALID, "%lld bytes were declared, %lld were received", (long long)u->size,
                           (long long)u->received);
    } else {
        EVP_DigestFinal_ex(u->md, digest, &len);
        for (unsigned i = 0; i < len; ++i)
            snprintf(sha + 2 * (size_t)i, 3, "%02x", digest[i]);
        if (u->fd < 0 || strcmp(sha, u->sha) != 0)
            rc = flamenco_fail(err, FLAMENCO_E_INVALID, "the checksum of what was received is %s", sha);
    }
    if (rc == FLAMENCO_OK && (fsync(u->fd) != 0 || rename(u->temporary, u->final) != 0))
        rc = fail_errno(err, u->final);
    if (rc == FLAMENCO_OK)
        rc = sync_directory(self, err);
    free_upload(self, u);
    return rc;
}

static void upload_abort(void *self, flamenco_shaman_upload *u)
{
    free_upload(self, u);
}

/* ---- Checkouts ------------------------------------------------------------------------------------------------------- */

/* Checks a client's path and writes it to out (PATH_MAX bytes) without "." and double slashes. *levels_out: its components. */
static int32_t clean_path(flamenco_str path, int is_checkout, char *out, int *levels_out, flamenco_error *err)
{
    const char *separators = is_checkout ? "/" : "/\\";
    size_t len = 0;
    int levels = 0;
    if (path.len == 0 || path.len >= PATH_MAX / 4 || memchr(path.ptr, '\0', (size_t)path.len) != NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "a path is empty, too long, or has a NUL in it");
    if (strchr(separators, path.ptr[0]) != NULL ||
        (!is_checkout && path.len > 2 && path.ptr[1] == ':' && strchr(separators, path.ptr[2]) != NULL))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the path \"%.*s\" is absolute", (int)path.len, path.ptr);
    for (uint64_t i = 0; is_checkout && i < path.len; ++i)
        if (strchr("?*:;{}\\", path.ptr[i]) != NULL)
            return flamenco_fail(err, FLAMENCO_E_INVALID, "the path \"%.*s\" has a forbidden character", (int)path.len,
                                 path.ptr);
    for (uint64_t at = 0; at < path.len;) {
        uint64_t end = at;
        while (end < path.len && strchr(separators, path.ptr[end]) == NULL)
            ++end;
        size_t n = (size_t)(end - at);
        if ((n == 2 && memcmp(path.ptr + at, "..", 2) == 0) || n > NAME_MAX || levels == 60)
            return flamenco_fail(err, FLAMENCO_E_INVALID, "the path \"%.40s\" has a component that is not allowed",
                                 path.ptr);
        if (n > 0 && !(n == 1 && path.ptr[at] == '.')) {
            if (levels++ > 0)
                out[len++] = '/';
            memcpy(out + len, path.ptr + at, n);
            len += n;
        }
        at = end + 1;
    }
    out[len] = '\0';
    *levels_out = levels;
    return FLAMENCO_OK;
}

/* Makes what is missing of the directories above the last component. *made_out: length of the first one made, 0 = none. */
static int make_parents(char *path, size_t from, size_t *made_out)
{
    for (size_t i = from; path[i] != '\0'; ++i) {
        if (path[i] != '/')
            continue;
        path[i] = '\0';
        int made = mkdir(path, 0777) == 0;
        int failed = !made && errno != EEXIST;
        path[i] = '/';
        if (failed)
            return -1;
        if (made && *made_out == 0)
            *made_out = i;
    }
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static int remove_tree(const char *path)
{
    return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int32_t make_link(const flat *s, const char *checkout, int levels, const flamenco_shaman_file *file,
                         flamenco_error *err)
{
    char name[PATH_MAX], path[PATH_MAX], target[PATH_MAX], there[PATH_MAX];
    size_t made = 0, len = 0;
    int below = 0;
    (void)s;
    int32_t rc = clean_path(file->path, 0, name, &below, err);
    if (rc != FLAMENCO_OK)
        return rc;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", checkout, name) >= sizeof(path))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "a path is too long");
    for (int i = 0; i < levels + below; ++i, len += 3)
        memcpy(target + len, "../", 3);
    snprintf(target + len, sizeof(target) - len, "files/%.64s-%lld", file->sha.ptr, (long long)file->size_bytes);
    if (make_parents(path, strlen(checkout) + 1, &made) != 0)
        return flamenco_fail(err, FLAMENCO_E_CONFLICT, "\"%s\" cannot be made: %s", name, strerror(errno));
    if (symlink(target, path) == 0)
        return FLAMENCO_OK;
    ssize_t n = readlink(path, there, sizeof(there) - 1);
    if (n == (ssize_t)strlen(target) && memcmp(there, target, (size_t)n) == 0)
        return FLAMENCO_OK;
    return flamenco_fail(err, FLAMENCO_E_CONFLICT, "two files want the place \"%s\"", name);
}

/* Makes the directory under the wanted name, or with a suffix, which is added to `path` and `name`. */
static int32_t make_directory(char *path, char *name, flamenco_error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t path_len = strlen(path), name_len = strlen(name);
    for (int i = 0; i < NAME_TRIES; ++i) {
        unsigned char bytes[4] = { 0 };
        char suffix[6] = "";
        if (i > 0) {
            (void)!getrandom(bytes, sizeof(bytes), 0);
            snprintf(suffix, sizeof(suffix), "-%c%c%c%c", letters[bytes[0] % 36], letters[bytes[1] % 36],
                     letters[bytes[2] % 36], letters[bytes[3] % 36]);
        }
        memcpy(path + path_len, suffix, strlen(suffix) + 1);
        memcpy(name + name_len, suffix, strlen(suffix) + 1);
        if (mkdir(path, 0777) == 0)
            return FLAMENCO_OK;
        if (errno != EEXIST)
            return fail_errno(err, path);
    }
    return flamenco_fail(err, FLAMENCO_E_EXISTS, "no unused name was found for \"%s\"", name);
}

static int32_t check_files(const flat *s, const flamenco_shaman_file *files, uint64_t stride, uint64_t n,
                           flamenco_error *err)
{
    char name[PATH_MAX];
    int levels;
    for (uint64_t i = 0; i < n; ++i) {
        const flamenco_shaman_file *file = (const void *)((const char *)files + i * stride);
        int32_t rc = clean_path(file->path, 0, name, &levels, err);
        if (rc == FLAMENCO_OK && levels == 0)
            rc = flamenco_fail(err, FLAMENCO_E_INVALID, "a path names no file");
        if (rc == FLAMENCO_OK && !is_stored(s, file->sha, file->size_bytes))
            rc = flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "the file for \"%s\" is not stored", name);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return FLAMENCO_OK;
}

/* What is returned to the client: the wanted text without what stands at its end for nothing. */
static void name_of(flamenco_str wanted, int levels, char *out)
{
    uint64_t len = wanted.len;
    while (len > 1 && (wanted.ptr[len - 1] == '/' || (wanted.ptr[len - 1] == '.' && wanted.ptr[len - 2] == '/')))
        --len;
    memcpy(out, wanted.ptr, (size_t)len);
    out[len] = '\0';
    if (levels == 0)
        memcpy(out, "unnamed", 8);
}

static int32_t checkout(void *self, flamenco_cx *cx, flamenco_str wanted_path, const flamenco_shaman_file *files,
                        uint64_t stride, uint64_t n, flamenco_str *path_out, flamenco_error *err)
{
    const flat *s = self;
    char clean[PATH_MAX], name[PATH_MAX], path[PATH_MAX];
    int levels = 0;
    size_t made = 0;
    int32_t rc = clean_path(wanted_path, 1, clean, &levels, err);
    if (rc == FLAMENCO_OK)
        rc = check_files(s, files, stride, n, err);
    if (rc != FLAMENCO_OK)
        return rc;
    name_of(wanted_path, levels, name);
    int len = snprintf(path, sizeof(path), "%s/jobs/%s", s->root, levels > 0 ? clean : "unnamed");
    if (len < 0 || (size_t)len + 8 > sizeof(path))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the path is too long");
    if (make_parents(path, strlen(s->root) + sizeof("/jobs/") - 1, &made) != 0)
        return fail_errno(err, path);
    rc = make_directory(path, name, err);
    int is_made = rc == FLAMENCO_OK;
    for (uint64_t i = 0; rc == FLAMENCO_OK && i < n; ++i)
        rc = make_link(s, path, levels > 0 ? levels : 1, (const void *)((const char *)files + i * stride), err);
    char *text = rc == FLAMENCO_OK ? cx->host->cx_alloc(cx, strlen(name) + 1) : NULL;
    if (rc == FLAMENCO_OK && text == NULL)
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    if (rc == FLAMENCO_OK && text != NULL) {
        memcpy(text, name, strlen(name) + 1);
        *path_out = flamenco_text(text);
        return rc;
    }
    if (is_made)
        remove_tree(path);
    for (size_t end = strlen(path); made > 0 && end > made; path[end] = '\0') {
        while (end > made && path[end] != '/')
            --end;
        path[end] = '\0';
        if (rmdir(path) != 0)
            break;
    }
    return rc;
}

static int32_t erase_checkout(void *self, flamenco_cx *cx, flamenco_str checkout_id, flamenco_error *err)
{
    const flat *s = self;
    char clean[PATH_MAX], path[PATH_MAX];
    int levels = 0;
    (void)cx;
    int32_t rc = clean_path(checkout_id, 1, clean, &levels, err);
    if (rc == FLAMENCO_OK && levels == 0)
        rc = flamenco_fail(err, FLAMENCO_E_INVALID, "that is no checkout");
    if (rc != FLAMENCO_OK)
        return rc;
    if ((size_t)snprintf(path, sizeof(path), "%s/jobs/%s", s->root, clean) >= sizeof(path))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the path is too long");
    return remove_tree(path) == 0 || errno == ENOENT ? FLAMENCO_OK : fail_errno(err, path);
}

/* ---- Life -------------------------------------------------------------------------------------------------------------- */

static int32_t create(const flamenco_host *host, void **self_out, flamenco_error *err)
{
    flat *s = host->alloc(host->h, sizeof(*s));
    if (s == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memset(s, 0, sizeof(*s));
    s->host = host;
    *self_out = s;
    return FLAMENCO_OK;
}

static int32_t configure(void *self, const flamenco_config *config, flamenco_error *err)
{
    (void)err;
    ((flat *)self)->config = config;
    return FLAMENCO_OK;
}

static int32_t start(void *self, flamenco_error *err)
{
    flat *s = self;
    char path[PATH_MAX];
    size_t made = 0;
    flamenco_str root = s->config->text(s->config->c, "storage");
    if (root.len == 0 || s->config->integer(s->config->c, "enabled") == 0)
        return FLAMENCO_OK;
    if (root.len >= sizeof(s->root))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "shared_storage_path is too long");
    memcpy(s->root, root.ptr, (size_t)root.len);
    s->root[root.len] = '\0';
    snprintf(path, sizeof(path), "%s/files/", s->root);
    int failed = make_parents(path, 1, &made);
    snprintf(path, sizeof(path), "%s/jobs/", s->root);
    return failed || make_parents(path, 1, &made) != 0 ? fail_errno(err, path) : FLAMENCO_OK;
}

static int32_t stop(void *self, int64_t deadline_us, flamenco_error *err)
{
    (void)self;
    (void)deadline_us;
    (void)err;
    return FLAMENCO_OK;
}

static void destroy(void *self)
{
    flat *s = self;
    if (s != NULL)
        s->host->free(s->host->h, s);
}

static const flamenco_shaman table = {
    .struct_size = (uint32_t)sizeof(flamenco_shaman),
    .is_active = is_active,
    .requirements = requirements,
    .file_status = file_status,
    .upload_begin = upload_begin,
    .upload_write = upload_write,
    .upload_end = upload_end,
    .upload_abort = upload_abort,
    .checkout = checkout,
    .erase_checkout = erase_checkout, /* collect is optional, and left out */
};
static const flamenco_provide shaman_provide = { (uint32_t)sizeof(flamenco_provide), 0, FLAMENCO_SHAMAN, &table };
static const flamenco_provide *const provides[] = { &shaman_provide, NULL };

static const flamenco_setting enabled_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_BOOL,
    .key = "enabled",
    .default_text = "true",
    .doc = "Whether artists' files are stored by their content.",
    .reference_key = "shaman.enabled",
};
static const flamenco_setting storage_setting = {
    .struct_size = (uint32_t)sizeof(flamenco_setting),
    .type = FLAMENCO_SETTING_PATH,
    .key = "storage",
    .doc = "The storage that all Workers can reach.",
    .reference_key = "shared_storage_path",
};
static const flamenco_setting *const settings[] = { &enabled_setting, &storage_setting, NULL };

static const flamenco_plugin plugin = {
    FLAMENCO_PLUGIN_INIT, .id = "shaman-flat",  .version = "1.0.0", .licence = "Apache-2.0",
    .provides = provides, .settings = settings, .create = create,   .configure = configure,
    .start = start,       .stop = stop,         .destroy = destroy,
};

const flamenco_plugin *flamenco_plugin_query(void)
{
    return &plugin;
}
