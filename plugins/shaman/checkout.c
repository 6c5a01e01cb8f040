/* SPDX-License-Identifier: Apache-2.0
 *
 * checkout.c - makes a checkout: a new directory below jobs with relative links to blobs. First everything is checked and the
 * blobs are marked as needed, then the directory is made; what a failed request made, and nothing else, is removed again.
 * Links are made in the order of their paths, so that each directory is made and opened once.
 */
#include "shaman.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define CANDIDATES 10
#define SUFFIX_LEN 5 /* "-x3y4" */
#define LEVELS_MAX 130 /* of a file's path; keys.c allows 64 */

/* A link to make. */
typedef struct entry {
    fl_sh_path path;
    fl_sh_key key;
} entry;

typedef struct checkout {
    shaman *s;
    fl_sh_path path;
    const char *name; /* what suffixes are put on */
    entry *entries;
    uint64_t n;
    int stored_fd; /* while blobs are looked for */
    uint32_t failed; /* atomic: a thread has failed, the others may stop */
    /* What was made. */
    int parent_fd; /* of the leaf */
    int leaf_fd;
    char leaf[NAME_MAX + 1];
    uint32_t first_made; /* number of the first parent directory that was made; path.n - 1: none */
    int raced; /* an empty directory was taken away between our looking and our using it */
} checkout;

/* ---- Check ------------------------------------------------------------------------------------------------------- */

static int32_t read_entry(checkout *c, const flamenco_shaman_file *file, flamenco_error *err)
{
    entry *e = &c->entries[c->n];
    int32_t rc = fl_sh_file_path(c->s->host, file->path, &e->path, err);
    if (rc != FLAMENCO_OK)
        return rc;
    ++c->n;
    if (!fl_sh_key_make(file->sha, file->size_bytes, &e->key))
        e->key.size = -1;
    return FLAMENCO_OK;
}

/* Marks those that are missing by their size. */
static int32_t look_for_blobs(void *ctx, uint64_t from, uint64_t to, flamenco_error *err)
{
    checkout *c = ctx;
    for (uint64_t i = from; i < to; ++i) {
        entry *e = &c->entries[i];
        int found = e->key.size < 0 ? 0 : fl_sh_blob_look(c->s, c->stored_fd, &e->key, 1);
        if (found < 0)
            return fl_sh_fail_errno(err, "cannot look for file", e->key.sha);
        if (!found)
            e->key.size = -1;
    }
    return FLAMENCO_OK;
}

/* All of them must be stored. They are needed from now on, so that no collection takes them before the links are there. */
static int32_t check_blobs(checkout *c, flamenco_error *err)
{
    uint64_t missing = 0;
    const entry *first = NULL;
    int32_t rc = fl_sh_open_place(c->s, FL_SH_STORED, &c->stored_fd, err);
    if (rc != FLAMENCO_OK)
        return rc;
    fl_sh_hold(c->s, c->stored_fd, 0);
    rc = fl_sh_in_parts(c->n, look_for_blobs, c, err);
    fl_sh_release(c->s, c->stored_fd);
    close(c->stored_fd);
    for (uint64_t i = 0; rc == FLAMENCO_OK && i < c->n; ++i)
        if (c->entries[i].key.size < 0 && missing++ == 0)
            first = &c->entries[i];
    if (rc != FLAMENCO_OK || missing == 0)
        return rc;
    return flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "%llu of %llu files are not stored, among them that for \"%s\"",
                         (unsigned long long)missing, (unsigned long long)c->n, fl_sh_last(&first->path));
}

/* ---- Directory ------------------------------------------------------------------------------------------------------ */

/* Opens the directories above the leaf and makes those that are missing. */
static int32_t open_parents(checkout *c, flamenco_error *err)
{
    const char *component = c->path.text;
    int32_t rc = fl_sh_open_place(c->s, FL_SH_JOBS, &c->parent_fd, err);
    for (uint32_t i = 0; rc == FLAMENCO_OK && i + 1 < c->path.n; ++i, component = fl_sh_next(component)) {
        if (mkdirat(c->parent_fd, component, 0777) == 0) {
            if (c->first_made > i)
                c->first_made = i;
        } else if (errno != EEXIST) {
            c->raced = errno == ENOENT;
            return fl_sh_fail_errno(err, "cannot make directory", component);
        }
        int fd = openat(c->parent_fd, component, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            c->raced = errno == ENOENT;
            return fl_sh_fail_errno(err, "cannot open directory", component);
        }
        close(c->parent_fd);
        c->parent_fd = fd;
    }
    return rc;
}

static void make_suffix(char out[SUFFIX_LEN + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char bytes[SUFFIX_LEN - 1];
    while (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        ;
    out[0] = '-';
    for (size_t i = 0; i < sizeof(bytes); ++i)
        out[i + 1] = letters[bytes[i] % (sizeof(letters) - 1)];
    out[SUFFIX_LEN] = '\0';
}

/* Makes the directory itself, under the wanted name or with a suffix. mkdir tells whether a name is free: no lock is needed. */
static int32_t make_leaf(checkout *c, char suffix[SUFFIX_LEN + 1], flamenco_error *err)
{
    const char *wanted = fl_sh_last(&c->path);
    suffix[0] = '\0';
    for (int i = 0; i < CANDIDATES; ++i) {
        if (i > 0)
            make_suffix(suffix);
        int n = snprintf(c->leaf, sizeof(c->leaf), "%s%s", wanted, suffix);
        if (n < 0 || (size_t)n >= sizeof(c->leaf))
            return flamenco_fail(err, FLAMENCO_E_INVALID, "the name \"%.40s…\" is taken, and too long for a suffix",
                                 wanted);
        if (mkdirat(c->parent_fd, c->leaf, 0777) == 0) {
            c->leaf_fd = openat(c->parent_fd, c->leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            return c->leaf_fd >= 0 ? FLAMENCO_OK : fl_sh_fail_errno(err, "cannot open", c->leaf);
        }
        if (errno != EEXIST) {
            c->raced = errno == ENOENT;
            int32_t rc = fl_sh_fail_errno(err, "cannot make", c->leaf);
            c->leaf[0] = '\0';
            return rc;
        }
    }
    c->leaf[0] = '\0';
    return flamenco_fail(err, FLAMENCO_E_EXISTS, "no unused name was found for the checkout \"%s\"", c->name);
}

/* Makes the directory. An erasing of the last checkout beside it may take its parent away meanwhile. */
static int32_t make_directory(checkout *c, char suffix[SUFFIX_LEN + 1], flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    c->first_made = c->path.n - 1;
    for (int tries = 0; tries < CANDIDATES; ++tries) {
        c->raced = 0;
        if (c->parent_fd >= 0)
            close(c->parent_fd);
        c->parent_fd = -1;
        rc = open_parents(c, err);
        if (rc == FLAMENCO_OK)
            rc = make_leaf(c, suffix, err);
        if (rc == FLAMENCO_OK || !c->raced)
            break;
    }
    return rc;
}

/* Removes what this request made. */
static void undo(checkout *c)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (c->leaf[0] != '\0' && fl_sh_erase_tree(c->parent_fd, c->leaf, &err) != FLAMENCO_OK)
        c->s->host->log(c->s->host->h, FLAMENCO_LOG_WARN, "the failed checkout %s cannot be removed: %s", c->leaf,
                        err.text);
    if (c->parent_fd >= 0)
        close(c->parent_fd);
    c->parent_fd = -1;
    if (c->first_made + 1 >= c->path.n)
        return;
    int jobs_fd = -1;
    if (fl_sh_open_place(c->s, FL_SH_JOBS, &jobs_fd, &err) != FLAMENCO_OK)
        return;
    for (uint32_t n = c->path.n - 1; n > c->first_made; --n) {
        fl_sh_path upper = { c->path.text, n, 0 };
        const char *last;
        int fd = fl_sh_open_parent(jobs_fd, &upper, &last);
        if (fd < 0)
            break;
        int gone = unlinkat(fd, last, AT_REMOVEDIR) == 0; /* not when another checkout is in it by now */
        close(fd);
        if (!gone)
            break;
    }
    close(jobs_fd);
}

/* ---- Links ------------------------------------------------------------------------------------------------------------ */

static int compare_entries(const void *a, const void *b)
{
    const fl_sh_path *p = &((const entry *)a)->path, *q = &((const entry *)b)->path;
    uint32_t n = p->len < q->len ? p->len : q->len;
    int order = memcmp(p->text, q->text, n);
    return order != 0 ? order : (p->len > q->len) - (p->len < q->len);
}

/* The directories that are open: fds[0] is the checkout's, fds[i] that of the first i components of `path`. */
typedef struct stack {
    int fds[LEVELS_MAX];
    const fl_sh_path *path;
    uint32_t depth;
} stack;

static uint32_t shared_levels(const stack *st, const fl_sh_path *path)
{
    const char *a = path->text, *b = st->path != NULL ? st->path->text : NULL;
    uint32_t levels = 0;
    for (; levels < st->depth && levels + 1 < path->n && strcmp(a, b) == 0; ++levels) {
        a = fl_sh_next(a);
        b = fl_sh_next(b);
    }
    return levels;
}

/* Opens the directory of the entry; *name_out is its last component. */
static int32_t descend(stack *st, const fl_sh_path *path, const char **name_out, flamenco_error *err)
{
    uint32_t shared = shared_levels(st, path);
    const char *component = path->text;
    while (st->depth > shared)
        close(st->fds[st->depth--]);
    st->path = path;
    for (uint32_t i = 0; i < shared; ++i)
        component = fl_sh_next(component);
    for (; st->depth + 1 < path->n; component = fl_sh_next(component)) {
        int made = mkdirat(st->fds[st->depth], component, 0777) == 0;
        if (!made && errno != EEXIST)
            return fl_sh_fail_errno(err, "cannot make directory", component);
        int fd = openat(st->fds[st->depth], component, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
            return flamenco_fail(err, FLAMENCO_E_CONFLICT, "\"%s\" is both a file and a directory", component);
        if (fd < 0)
            return fl_sh_fail_errno(err, "cannot open directory", component);
        st->fds[++st->depth] = fd;
    }
    *name_out = component;
    return FLAMENCO_OK;
}

static int32_t make_link(const checkout *c, int dir_fd, const char *name, const entry *e, flamenco_error *err)
{
    char text[PATH_MAX], there[PATH_MAX];
    size_t len = 0;
    /* Relative, so that the storage may be mounted anywhere else. */
    for (uint32_t ups = c->path.n + e->path.n; ups > 0; --ups, len += 3)
        memcpy(text + len, "../", 3);
    memcpy(text + len, FL_SH_STORED "/", sizeof(FL_SH_STORED));
    len += sizeof(FL_SH_STORED);
    fl_sh_key_dir(&e->key, text + len);
    len += FL_SH_DIR_MAX - 1;
    text[len++] = '/';
    fl_sh_key_name(&e->key, text + len);
    if (symlinkat(text, dir_fd, name) == 0)
        return FLAMENCO_OK;
    if (errno != EEXIST)
        return fl_sh_fail_errno(err, "cannot make link", name);
    ssize_t n = readlinkat(dir_fd, name, there, sizeof(there));
    if (n == (ssize_t)strlen(text) && memcmp(there, text, (size_t)n) == 0)
        return FLAMENCO_OK;
    return flamenco_fail(err, FLAMENCO_E_CONFLICT, "two files want the place \"%s\"", name);
}

/* Makes a part of the sorted links. */
static int32_t make_links(void *ctx, uint64_t from, uint64_t to, flamenco_error *err)
{
    checkout *c = ctx;
    int32_t rc = FLAMENCO_OK;
    stack st = { .path = NULL, .depth = 0 };
    st.fds[0] = c->leaf_fd;
    for (uint64_t i = from; i < to && rc == FLAMENCO_OK; ++i) {
        const char *name = "";
        if (__atomic_load_n(&c->failed, __ATOMIC_RELAXED))
            break;
        rc = descend(&st, &c->entries[i].path, &name, err);
        if (rc == FLAMENCO_OK)
            rc = make_link(c, st.fds[st.depth], name, &c->entries[i], err);
    }
    if (rc != FLAMENCO_OK)
        __atomic_store_n(&c->failed, 1, __ATOMIC_RELAXED);
    while (st.depth > 0)
        close(st.fds[st.depth--]);
    return rc;
}

/* Makes directories and links durable: where changes become so in their order, by a new time stamp on the checkout and its
 * sync, instead of a turn of the disk for each directory. */
static int32_t sync_checkout(const checkout *c, flamenco_error *err)
{
    int failed = fl_sh_is_ordered(c->leaf_fd)
                     ? futimens(c->leaf_fd, NULL) != 0 || fsync(c->leaf_fd) != 0 || fsync(c->parent_fd) != 0
                     : syncfs(c->leaf_fd) != 0;
    if (failed)
        return fl_sh_fail_errno(err, "cannot sync", c->leaf);
    return FLAMENCO_OK;
}

/* ---- All of it ---------------------------------------------------------------------------------------------------------- */

static int32_t build(checkout *c, const char *suffix, flamenco_cx *cx, flamenco_str *path_out, flamenco_error *err)
{
    int32_t rc = fl_sh_in_parts(c->n, make_links, c, err);
    if (rc == FLAMENCO_OK)
        rc = sync_checkout(c, err);
    if (rc != FLAMENCO_OK)
        return rc;
    size_t name = strlen(c->name), more = strlen(suffix);
    char *text = cx->host->cx_alloc(cx, name + more + 1);
    if (text == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    memcpy(text, c->name, name);
    memcpy(text + name, suffix, more + 1);
    *path_out = (flamenco_str){ text, name + more };
    return FLAMENCO_OK;
}

int32_t fl_sh_checkout(void *self, flamenco_cx *cx, flamenco_str wanted_path, const flamenco_shaman_file *files,
                       uint64_t stride, uint64_t n, flamenco_str *path_out, flamenco_error *err)
{
    shaman *s = self;
    checkout c = { .s = s, .parent_fd = -1, .leaf_fd = -1 };
    char suffix[SUFFIX_LEN + 1];
    int32_t rc = fl_sh_checkout_path(s->host, wanted_path, &c.path, &c.name, err);
    if (rc != FLAMENCO_OK)
        return rc;
    c.entries = s->host->alloc(s->host->h, (n + 1) * sizeof(*c.entries));
    if (c.entries == NULL) {
        s->host->free(s->host->h, c.path.text);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    }
    for (uint64_t i = 0; rc == FLAMENCO_OK && i < n; ++i)
        rc = read_entry(&c, (const void *)((const char *)files + i * stride), err);
    if (rc == FLAMENCO_OK)
        rc = check_blobs(&c, err);
    if (rc == FLAMENCO_OK) {
        if (c.n > 0)
            qsort(c.entries, c.n, sizeof(*c.entries), compare_entries);
        rc = make_directory(&c, suffix, err);
        if (rc == FLAMENCO_OK)
            rc = build(&c, suffix, cx, path_out, err);
        if (rc != FLAMENCO_OK)
            undo(&c);
    }
    if (c.leaf_fd >= 0)
        close(c.leaf_fd);
    if (c.parent_fd >= 0)
        close(c.parent_fd);
    for (uint64_t i = 0; i < c.n; ++i)
        s->host->free(s->host->h, c.entries[i].path.text);
    s->host->free(s->host->h, c.entries);
    s->host->free(s->host->h, c.path.text);
    return rc;
}
