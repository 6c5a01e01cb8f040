/* SPDX-License-Identifier: Apache-2.0
 *
 * files.c - threads that read file replies, 64 KiB at a time, because a read may block on a slow disk or share. A reply
 * has at most one piece under way; the next one is read when h2o has written it.
 */
#include "core/http/internal.h"

#include <errno.h>
#include <unistd.h>

#define PIECE ((size_t)64 << 10)

static ssize_t read_piece(fl_http_request *request)
{
    uint64_t left = request->reply.length - request->sent;
    size_t want = left < PIECE ? (size_t)left : PIECE;
    ssize_t got;
    if (request->piece == NULL && (request->piece = malloc(PIECE)) == NULL)
        return -ENOMEM;
    do
        got = pread(request->reply.fd, request->piece, want, (off_t)(request->reply.offset + request->sent));
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static void *read_files(void *arg)
{
    fl_http *http = arg;
    struct fl_files *files = &http->files;
    (void)pthread_setname_np(pthread_self(), "http-files");
    pthread_mutex_lock(&files->lock);
    for (;;) {
        fl_http_request *request = files->first;
        if (request == NULL) {
            if (files->stop)
                break;
            pthread_cond_wait(&files->changed, &files->lock);
            continue;
        }
        files->first = request->next_file;
        pthread_mutex_unlock(&files->lock);
        request->piece_len = read_piece(request);
        fl_loop_post_one(request->loop, &request->msg);
        pthread_mutex_lock(&files->lock);
    }
    pthread_mutex_unlock(&files->lock);
    return NULL;
}

void fl_files_read(fl_http_request *request)
{
    struct fl_files *files = &request->loop->http->files;
    request->next_file = NULL;
    pthread_mutex_lock(&files->lock);
    if (files->first == NULL)
        files->first = request;
    else
        files->last->next_file = request;
    files->last = request;
    pthread_cond_signal(&files->changed);
    pthread_mutex_unlock(&files->lock);
}

int32_t fl_files_start(fl_http *http)
{
    struct fl_files *files = &http->files;
    size_t n = http->config.file_threads > 0 ? http->config.file_threads : 1;
    files->threads = calloc(n, sizeof(files->threads[0]));
    if (files->threads == NULL)
        return FLAMENCO_E_NOMEM;
    if (pthread_mutex_init(&files->lock, NULL) != 0)
        return FLAMENCO_E_NOMEM;
    if (pthread_cond_init(&files->changed, NULL) != 0) {
        pthread_mutex_destroy(&files->lock);
        return FLAMENCO_E_NOMEM;
    }
    files->ready = 1;
    for (; files->n_threads < n; ++files->n_threads)
        if (pthread_create(&files->threads[files->n_threads], NULL, read_files, http) != 0)
            return FLAMENCO_E_NOMEM;
    return FLAMENCO_OK;
}

void fl_files_stop(fl_http *http)
{
    struct fl_files *files = &http->files;
    if (files->ready) {
        pthread_mutex_lock(&files->lock);
        files->stop = 1;
        pthread_cond_broadcast(&files->changed);
        pthread_mutex_unlock(&files->lock);
        for (size_t i = 0; i < files->n_threads; ++i)
            pthread_join(files->threads[i], NULL);
        pthread_cond_destroy(&files->changed);
        pthread_mutex_destroy(&files->lock);
    }
    free(files->threads);
    *files = (struct fl_files){ .threads = NULL };
}
