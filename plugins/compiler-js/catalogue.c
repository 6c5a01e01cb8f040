/* SPDX-License-Identifier: Apache-2.0
 *
 * catalogue.c - see catalogue.h.
 */
#include "catalogue.h"

#include "jscheck.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that was changed less than this before it was read may change once more within the same tick of its times. */
#define SETTLE_SECONDS 2

int32_t fl_catalogue_init(fl_catalogue *catalogue, const flamenco_host *host, flamenco_error *err)
{
    memset(catalogue, 0, sizeof(*catalogue));
    catalogue->host = host;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_mutex_init(&catalogue->lock, NULL);
    if (rc == 0)
        rc = pthread_cond_init(&catalogue->changed, &attr);
    pthread_condattr_destroy(&attr);
    return rc == 0 ? FLAMENCO_OK : flamenco_fail(err, FLAMENCO_E_NOMEM, "cannot make a lock: %s", strerror(rc));
}

static void free_entry(fl_entry *entry)
{
    free(entry->file);
    fl_script_unref(entry->script);
    memset(entry, 0, sizeof(*entry));
}

void fl_catalogue_fini(fl_catalogue *catalogue)
{
    for (uint32_t i = 0; i < catalogue->count; i++) {
        fl_source *source = &catalogue->sources[i];
        for (size_t k = 0; k < source->count; k++)
            free_entry(&source->entries[k]);
        free(source->entries);
        free(source->dir);
    }
    free(catalogue->sources);
    pthread_cond_destroy(&catalogue->changed);
    pthread_mutex_destroy(&catalogue->lock);
}

int32_t fl_catalogue_add(fl_catalogue *catalogue, flamenco_str dir, int required, flamenco_error *err)
{
    fl_source *more = realloc(catalogue->sources, (catalogue->count + 1) * sizeof(*more));
    if (more == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the list of script directories");
    catalogue->sources = more;
    fl_source source = { strndup(dir.ptr, (size_t)dir.len), required, 0, NULL, 0 };
    if (source.dir == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the list of script directories");
    more[catalogue->count++] = source;
    return FLAMENCO_OK;
}

/* ---- Scripts --------------------------------------------------------------------------------------------------- */

void fl_script_ref(fl_script *script)
{
    atomic_fetch_add(&script->refs, 1);
}

void fl_script_unref(fl_script *script)
{
    if (script == NULL || atomic_fetch_sub(&script->refs, 1) != 1)
        return;
    free(script->file);
    free(script->type);
    free(script->text);
    free(script->json);
    free(script->problem);
    free(script);
}

char *fl_catalogue_type_of(const char *file)
{
    const char *dot = strrchr(file, '.');
    size_t n = dot != NULL ? (size_t)(dot - file) : strlen(file);
    char *type = strndup(file, n);
    for (size_t i = 0; type != NULL && i < n; i++) {
        if (type[i] == '_')
            type[i] = '-';
    }
    return type;
}

/* Takes over `text`. */
static fl_script *make_script(fl_catalogue *catalogue, uint32_t source, const char *file, char *text, size_t len)
{
    fl_script *script = calloc(1, sizeof(*script));
    if (script == NULL) {
        free(text);
        return NULL;
    }
    atomic_init(&script->refs, 1);
    script->id = ++catalogue->last_id;
    script->source = source;
    script->file = strdup(file);
    script->type = fl_catalogue_type_of(file);
    script->text = text;
    script->len = len;
    if (script->file == NULL || script->type == NULL) {
        fl_script_unref(script);
        return NULL;
    }
    return script;
}

/* ---- Files ----------------------------------------------------------------------------------------------------- */

/* Reads an open regular file of `size` bytes, or less when it has become shorter. NULL: errno tells. */
static char *read_all(int fd, size_t size, size_t *len_out)
{
    char *text = malloc(size + 1);
    size_t len = 0;
    while (text != NULL && len < size) {
        ssize_t n = pread(fd, text + len, size - len, (off_t)len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(text);
            return NULL;
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    if (text != NULL)
        text[len] = '\0';
    *len_out = len;
    return text;
}

static int is_settled(const struct stat *st)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time_t last = st->st_mtim.tv_sec > st->st_ctim.tv_sec ? st->st_mtim.tv_sec : st->st_ctim.tv_sec;
    return now.tv_sec - last > SETTLE_SECONDS;
}

static int is_same(const fl_entry *entry, const struct stat *st)
{
    return entry->device == (uint64_t)st->st_dev && entry->inode == (uint64_t)st->st_ino &&
           entry->size == st->st_size && entry->modified.tv_sec == st->st_mtim.tv_sec &&
           entry->modified.tv_nsec == st->st_mtim.tv_nsec && entry->changed.tv_sec == st->st_ctim.tv_sec &&
           entry->changed.tv_nsec == st->st_ctim.tv_nsec;
}

static void remember(fl_entry *entry, const struct stat *st)
{
    entry->device = (uint64_t)st->st_dev;
    entry->inode = (uint64_t)st->st_ino;
    entry->size = st->st_size;
    entry->modified = st->st_mtim;
    entry->changed = st->st_ctim;
    entry->settled = is_settled(st);
}

/* Reads the file behind an entry when it is not known to be unchanged. Returns -1 when it is no script (any more). */
static int refresh_entry(fl_catalogue *catalogue, uint32_t source, int dir, fl_entry *entry)
{
    const flamenco_host *host = catalogue->host;
    const char *path = catalogue->sources[source].dir;
    struct stat st;
    if (fstatat(dir, entry->file, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
        st.st_size < FL_CATALOGUE_FILE_MIN)
        return -1;
    if (entry->settled && is_same(entry, &st))
        return 0;
    int fd = openat(dir, entry->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (!is_same(entry, &st))
            host->log(host->h, FLAMENCO_LOG_ERROR, "cannot read script %s/%s: %s", path, entry->file, strerror(errno));
        if (fd >= 0)
            close(fd);
        fl_script_unref(entry->script);
        entry->script = NULL;
        remember(entry, &st);
        return 0;
    }
    size_t len = 0;
    char *text = NULL;
    if (st.st_size > FL_CATALOGUE_FILE_MAX)
        errno = EFBIG;
    else
        text = read_all(fd, (size_t)st.st_size, &len);
    if (text == NULL)
        host->log(host->h, FLAMENCO_LOG_ERROR, "cannot read script %s/%s: %s", path, entry->file, strerror(errno));
    close(fd);
    remember(entry, &st);
    if (text != NULL && entry->script != NULL && entry->script->len == len &&
        memcmp(entry->script->text, text, len) == 0) {
        free(text);
        return 0;
    }
    fl_script_unref(entry->script);
    entry->script = text != NULL ? make_script(catalogue, source, entry->file, text, len) : NULL;
    return 0;
}

/* ---- Directories ----------------------------------------------------------------------------------------------- */

typedef struct names {
    char **items;
    size_t count, cap;
} names;

static void free_names(names *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

static int add_name(names *list, const char *name)
{
    if (list->count == list->cap) {
        size_t cap = list->cap != 0 ? list->cap * 2 : 16;
        char **items = realloc(list->items, cap * sizeof(*items));
        if (items == NULL)
            return -1;
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count] = strdup(name);
    return list->items[list->count] != NULL ? (int)(list->count++, 0) : -1;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int is_script_name(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) && n >= 3 &&
           strcmp(entry->d_name + n - 3, ".js") == 0 && fl_jscheck_utf8(flamenco_text(entry->d_name));
}

/* Says once that a directory cannot be read, and once more when it can be again. */
static void complain(fl_catalogue *catalogue, fl_source *source, int error)
{
    const flamenco_host *host = catalogue->host;
    if (error == source->complained)
        return;
    source->complained = error;
    if (error == 0)
        host->log(host->h, FLAMENCO_LOG_INFO, "script directory %s can be read again", source->dir);
    else if (source->required || (error != ENOENT && error != ENOTDIR))
        host->log(host->h, FLAMENCO_LOG_ERROR, "cannot read script directory %s: %s", source->dir, strerror(error));
}

/* Lists the names of possible scripts, ascending. Returns the directory, or NULL when it cannot be listed. */
static DIR *list_names(fl_catalogue *catalogue, fl_source *source, names *out, int *no_memory)
{
    DIR *dir = opendir(source->dir);
    int error = dir == NULL ? errno : 0;
    while (dir != NULL && !*no_memory) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            error = errno;
            break;
        }
        if (is_script_name(entry) && add_name(out, entry->d_name) != 0)
            *no_memory = 1;
    }
    if (dir != NULL && error != 0) {
        closedir(dir);
        dir = NULL;
    }
    complain(catalogue, source, error);
    if (out->count > 0)
        qsort(out->items, out->count, sizeof(char *), compare_names);
    return dir;
}

static int has_type(const char *file, const flamenco_str *type)
{
    size_t n = strlen(file) - 3;
    if (n != type->len)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if ((file[i] == '_' ? '-' : file[i]) != type->ptr[i])
            return 0;
    }
    return 1;
}

/* Tells whether the directory has the same names in it as when they were read. */
static int has_same_names(const fl_source *source)
{
    struct stat st;
    if (source->missing)
        return stat(source->dir, &st) != 0 && errno == ENOENT;
    return source->settled && stat(source->dir, &st) == 0 && S_ISDIR(st.st_mode) &&
           source->device == (uint64_t)st.st_dev && source->inode == (uint64_t)st.st_ino &&
           source->modified.tv_sec == st.st_mtim.tv_sec && source->modified.tv_nsec == st.st_mtim.tv_nsec &&
           source->changed.tv_sec == st.st_ctim.tv_sec && source->changed.tv_nsec == st.st_ctim.tv_nsec;
}

/* Called before the names are read: what is changed meanwhile has a later time. */
static void remember_names(fl_source *source)
{
    struct stat st;
    int found = stat(source->dir, &st) == 0;
    source->missing = !found && errno == ENOENT;
    source->settled = found && is_settled(&st);
    if (!source->settled)
        return;
    source->device = (uint64_t)st.st_dev;
    source->inode = (uint64_t)st.st_ino;
    source->modified = st.st_mtim;
    source->changed = st.st_ctim;
}

/* Looks at the known files alone. Returns 0 when one of them is gone, or no script any more. */
static int refresh_known(fl_catalogue *catalogue, uint32_t index, const flamenco_str *type)
{
    fl_source *source = &catalogue->sources[index];
    for (size_t i = 0; i < source->count; i++) {
        fl_entry *entry = &source->entries[i];
        char path[PATH_MAX];
        struct stat st;
        if (type != NULL && !has_type(entry->file, type))
            continue;
        int n = snprintf(path, sizeof(path), "%s/%s", source->dir, entry->file);
        if (n < 0 || (size_t)n >= sizeof(path) || !entry->settled ||
            fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !is_same(entry, &st))
            return 0;
    }
    return 1;
}

/* Brings the entries of one directory up to date; with `type`, only those of that type are looked into. */
static int refresh_source(fl_catalogue *catalogue, uint32_t index, const flamenco_str *type)
{
    fl_source *source = &catalogue->sources[index];
    if (has_same_names(source) && refresh_known(catalogue, index, type))
        return 0;
    remember_names(source);
    names list = { NULL, 0, 0 };
    int no_memory = 0;
    DIR *dir = list_names(catalogue, source, &list, &no_memory);
    fl_entry *entries = list.count > 0 ? calloc(list.count, sizeof(*entries)) : NULL;
    no_memory |= list.count > 0 && entries == NULL;
    size_t count = 0;
    size_t old = 0;
    for (size_t i = 0; !no_memory && dir != NULL && i < list.count; i++) {
        while (old < source->count && strcmp(source->entries[old].file, list.items[i]) < 0)
            free_entry(&source->entries[old++]);
        fl_entry *entry = &entries[count];
        int known = old < source->count && strcmp(source->entries[old].file, list.items[i]) == 0;
        if (known) {
            *entry = source->entries[old++];
            memset(&source->entries[old - 1], 0, sizeof(fl_entry));
        } else {
            entry->file = list.items[i];
            list.items[i] = NULL;
        }
        if (type == NULL || has_type(entry->file, type)) {
            if (refresh_entry(catalogue, index, dirfd(dir), entry) != 0) {
                free_entry(entry);
                source->settled = 0; /* it may become one without the directory's doing */
                continue;
            }
        }
        count++;
    }
    if (!no_memory) {
        while (old < source->count)
            free_entry(&source->entries[old++]);
        free(source->entries);
        source->entries = entries;
        source->count = count;
    } else {
        free(entries);
    }
    if (no_memory || dir == NULL)
        source->settled = 0;
    if (dir != NULL)
        closedir(dir);
    free_names(&list);
    return no_memory ? -1 : 0;
}

/* ---- Finding --------------------------------------------------------------------------------------------------- */

static int add_script(fl_scripts *scripts, fl_script *script)
{
    if (scripts->count == scripts->cap) {
        size_t cap = scripts->cap != 0 ? scripts->cap * 2 : 16;
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what it holds */
        fl_script **items = realloc(scripts->items, cap * sizeof(*items));
        if (items == NULL)
            return -1;
        scripts->items = items;
        scripts->cap = cap;
    }
    fl_script_ref(script);
    scripts->items[scripts->count++] = script;
    return 0;
}

static int compare_scripts(const void *a, const void *b)
{
    const fl_script *x = *(fl_script *const *)a;
    const fl_script *y = *(fl_script *const *)b;
    int rc = strcmp(x->type, y->type);
    if (rc != 0)
        return rc;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return strcmp(y->file, x->file);
}

int32_t fl_catalogue_find(fl_catalogue *catalogue, const flamenco_str *type, fl_scripts *out, flamenco_error *err)
{
    int failed = 0;
    pthread_mutex_lock(&catalogue->lock);
    for (uint32_t i = 0; !failed && i < catalogue->count; i++) {
        failed = refresh_source(catalogue, i, type) != 0;
        const fl_source *source = &catalogue->sources[i];
        for (size_t k = 0; !failed && k < source->count; k++) {
            fl_script *script = source->entries[k].script;
            if (script != NULL && (type == NULL || has_type(script->file, type)))
                failed = add_script(out, script) != 0;
        }
    }
    pthread_mutex_unlock(&catalogue->lock);
    if (failed) {
        fl_scripts_free(out);
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for the list of scripts");
    }
    if (out->count > 0)
        qsort(out->items, out->count, sizeof(fl_script *), compare_scripts);
    return FLAMENCO_OK;
}

void fl_scripts_free(fl_scripts *scripts)
{
    for (size_t i = 0; i < scripts->count; i++)
        fl_script_unref(scripts->items[i]);
    free(scripts->items);
    memset(scripts, 0, sizeof(*scripts));
}

size_t fl_catalogue_health(fl_catalogue *catalogue, char *text, size_t size)
{
    size_t broken = 0;
    size_t at = 0;
    text[0] = '\0';
    pthread_mutex_lock(&catalogue->lock);
    for (uint32_t i = 0; i < catalogue->count; i++) {
        const fl_source *source = &catalogue->sources[i];
        for (size_t k = 0; k < source->count; k++) {
            const fl_script *script = source->entries[k].script;
            int unasked = script == NULL && source->entries[k].inode == 0; /* nobody has wanted that type yet */
            if (unasked || (script != NULL && script->state != FL_SCRIPT_BROKEN && script->state != FL_SCRIPT_SYNTAX))
                continue;
            broken++;
            int n = snprintf(text + at, size - at, "%s%s", broken > 1 ? "; " : "",
                             script != NULL ? script->problem : source->entries[k].file);
            if (n > 0)
                at = (size_t)n < size - at ? at + (size_t)n : size - 1;
        }
    }
    pthread_mutex_unlock(&catalogue->lock);
    return broken;
}
