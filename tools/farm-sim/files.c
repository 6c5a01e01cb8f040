/* SPDX-License-Identifier: Apache-2.0
 * Reads a packed job's files; see files.h. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 << 10 };

static int read_one(const char *path, fl_files *files)
{
    static const uint64_t basis = UINT64_C(0xCBF29CE484222325), prime = UINT64_C(0x100000001B3);
    unsigned char buffer[BUFFER_BYTES];
    uint64_t hash = basis;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            hash = (hash ^ buffer[i]) * prime;
        files->bytes += (uint64_t)n;
    }
    int number = errno;
    close(fd);
    errno = number;
    files->count++;
    files->sum += hash;
    return n < 0 ? -1 : 0;
}

/* Returns 0, or -1 with errno and the entry that is to blame. */
static int read_tree(FTS *tree, fl_files *files, FTSENT **entry)
{
    while ((errno = 0, *entry = fts_read(tree))) {
        switch ((*entry)->fts_info) {
        case FTS_D:
        case FTS_DP:
            break;
        case FTS_F:
            if (read_one((*entry)->fts_path, files) < 0)
                return -1;
            break;
        case FTS_SLNONE:
            errno = ENOENT;
            return -1;
        default:
            errno = (*entry)->fts_errno ? (*entry)->fts_errno : EINVAL;
            return -1;
        }
    }
    return errno ? -1 : 0;
}

int fl_files_read(const char *blendfile, fl_files *out, char *problem, size_t problem_size)
{
    FTSENT *entry = NULL;
    FTS *tree = NULL;
    int rc = -1;
    char *folder = strdup(blendfile), *slash = folder ? strrchr(folder, '/') : NULL;
    memset(out, 0, sizeof *out);
    if (!slash) {
        errno = folder ? EINVAL : ENOMEM;
        goto cleanup;
    }
    *(slash == folder ? slash + 1 : slash) = 0;
    if (access(blendfile, R_OK) < 0)
        goto cleanup;
    char *const roots[] = { folder, NULL };
    tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    if (tree)
        rc = read_tree(tree, out, &entry);
cleanup:
    if (rc < 0)
        snprintf(problem, problem_size, "cannot read %s: %s", entry ? entry->fts_path : blendfile, strerror(errno));
    if (tree)
        fts_close(tree);
    free(folder);
    return rc;
}
