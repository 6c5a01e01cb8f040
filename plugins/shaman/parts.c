/* SPDX-License-Identifier: Apache-2.0
 *
 * parts.c - does something for many files on several threads: each look at a file waits for the kernel, or for the network.
 */
#include "shaman.h"

#include <unistd.h>

#define PER_THREAD 2000u
#define THREADS_MAX 4u

typedef struct part {
    fl_sh_part run;
    void *ctx;
    uint64_t from, to;
    int32_t result;
    flamenco_error err;
    pthread_t thread;
} part;

static void *run_part(void *arg)
{
    part *p = arg;
    p->result = p->run(p->ctx, p->from, p->to, &p->err);
    return NULL;
}

static uint32_t count_threads(uint64_t n)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t threads = 1;
    while (threads < THREADS_MAX && threads < cores && n / PER_THREAD >= threads)
        ++threads;
    return threads;
}

int32_t fl_sh_in_parts(uint64_t n, fl_sh_part run, void *ctx, flamenco_error *err)
{
    part parts[THREADS_MAX] = { 0 };
    uint32_t count = count_threads(n), started = 1;
    int32_t rc = FLAMENCO_OK;
    for (uint32_t i = 0; i < count; ++i)
        parts[i] = (part){
            .run = run, .ctx = ctx, .from = n * i / count, .to = n * (i + 1) / count, .err = FLAMENCO_ERROR_INIT
        };
    for (; started < count; ++started)
        if (pthread_create(&parts[started].thread, NULL, run_part, &parts[started]) != 0)
            break;
    run_part(&parts[0]);
    for (uint32_t i = started; i < count; ++i) /* that there was no thread for */
        run_part(&parts[i]);
    for (uint32_t i = 1; i < started; ++i)
        pthread_join(parts[i].thread, NULL);
    for (uint32_t i = 0; rc == FLAMENCO_OK && i < count; ++i)
        if (parts[i].result != FLAMENCO_OK)
            rc = flamenco_fail(err, parts[i].result, "%s", parts[i].err.text);
    return rc;
}
