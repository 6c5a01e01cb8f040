/* SPDX-License-Identifier: Apache-2.0
 *
 * keeps-thread.c - a thread of its own goes on after stop.
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "../parts.h"

static void *wait_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        (void)pause();
    return NULL;
}

static int32_t start_thread(void *self, flamenco_error *err)
{
    pthread_t thread;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread, NULL, wait_for_ever, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no thread");
    (void)pthread_detach(thread);
    return start(self, err);
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .start = start_thread };
EXPORT(plugin)
