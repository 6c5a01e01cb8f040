/* SPDX-License-Identifier: Apache-2.0
 *
 * rotate.c - see rotate.h.
 */
#include "rotate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* More digits than that are a name, not a number: it must be possible to count one further. */
#define MAX_DIGITS 18

typedef struct numbered {
    int64_t number;
    char name[NAME_MAX + 1];
} numbered;

typedef struct numbered_list {
    const flamenco_host *host;
    numbered *items;
    size_t count, room;
} numbered_list;

int64_t fl_log_number(const char *name, size_t *base_len_out)
{
    *base_len_out = strlen(name);
    const char *dot = strrchr(name, '.');
    if (dot == NULL)
        return -1;
    const char *digits = dot + 1 + (dot[1] == '-' || dot[1] == '+');
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > MAX_DIGITS || digits[n] != '\0')
        return -1;
    *base_len_out = (size_t)(dot - name);
    return (int64_t)strtoll(dot + 1, NULL, 10);
}

static int32_t fail_errno(flamenco_error *err, const char *what, const char *name)
{
    int number = errno;
    char reason[128];
    int32_t code = number == ENOSPC || number == EDQUOT ? FLAMENCO_E_FULL : FLAMENCO_E_IO;
    return flamenco_fail(err, code, "cannot %s %s: %s", what, name, strerror_r(number, reason, sizeof(reason)));
}

static int compare_descending(const void *a, const void *b)
{
    int64_t x = ((const numbered *)a)->number, y = ((const numbered *)b)->number;
    return (x < y) - (x > y);
}

static int32_t add_item(numbered_list *list, const char *name, int64_t number, flamenco_error *err)
{
    if (list->count == list->room) {
        size_t room = list->room > 0 ? list->room * 2 : 8;
        numbered *more = list->host->alloc(list->host->h, room * sizeof(*more));
        if (more == NULL)
            return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        if (list->count > 0)
            memcpy(more, list->items, list->count * sizeof(*more));
        list->host->free(list->host->h, list->items);
        list->items = more;
        list->room = room;
    }
    numbered *item = &list->items[list->count++];
    item->number = number;
    memcpy(item->name, name, strlen(name) + 1);
    return FLAMENCO_OK;
}

/* Lists the numbered files of `base` in a directory. */
static int32_t list_numbered(int dir_fd, const char *base, numbered_list *list, flamenco_error *err)
{
    size_t base_len = strlen(base);
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int32_t rc = fail_errno(err, "read the directory of", base);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    int32_t rc = FLAMENCO_OK;
    while (rc == FLAMENCO_OK) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            if (errno != 0)
                rc = fail_errno(err, "read the directory of", base);
            break;
        }
        size_t len;
        int64_t number = fl_log_number(entry->d_name, &len);
        if (number >= 1 && len == base_len && memcmp(entry->d_name, base, len) == 0)
            rc = add_item(list, entry->d_name, number, err);
    }
    closedir(dir);
    return rc;
}

static int32_t move(int dir_fd, const char *from, const char *base, int64_t number, flamenco_error *err)
{
    char to[NAME_MAX + 1];
    int n = snprintf(to, sizeof(to), "%s.%lld", base, (long long)number);
    if (n < 0 || n >= (int)sizeof(to))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "%s: the name is too long", from);
    if (renameat(dir_fd, from, dir_fd, to) != 0)
        return fail_errno(err, "rename", from);
    return FLAMENCO_OK;
}

int32_t fl_log_rotate(const flamenco_host *host, int dir_fd, const char *name, flamenco_error *err)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? FLAMENCO_OK : fail_errno(err, "look at", name);
    numbered_list list = { .host = host };
    int32_t rc = list_numbered(dir_fd, name, &list, err);
    if (rc != FLAMENCO_OK)
        goto cleanup;
    if (list.count > 1)
        qsort(list.items, list.count, sizeof(list.items[0]), compare_descending);
    for (size_t i = 0; i < list.count && rc == FLAMENCO_OK; ++i)
        rc = move(dir_fd, list.items[i].name, name, list.items[i].number + 1, err);
    if (rc == FLAMENCO_OK)
        rc = move(dir_fd, name, name, 1, err);
cleanup:
    host->free(host->h, list.items);
    return rc;
}
