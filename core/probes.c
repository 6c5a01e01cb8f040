/* SPDX-License-Identifier: Apache-2.0
 *
 * A question is a thread that ends with its answer; they are asked by people and by monitoring, a few times a minute.
 */
#include "core/probes.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "core/step.h"

typedef struct probe {
    struct fl_probes *probes;
    size_t index;
    pthread_t thread;
    int joinable; /* thread was started and not joined yet */
    int busy; /* and has not answered yet */
    uint64_t answers; /* how many there were */
    fl_probe_result last;
} probe;

struct fl_probes {
    fl_loader *loader;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    int stopping;
    size_t n;
    probe list[];
};

fl_probes *fl_probes_create(fl_loader *loader)
{
    size_t n = fl_loader_count(loader);
    fl_probes *probes = calloc(1, sizeof(*probes) + n * sizeof(probes->list[0]));
    if (probes == NULL)
        return NULL;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&probes->answered, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&probes->lock, NULL);
    probes->loader = loader;
    probes->n = n;
    for (size_t i = 0; i < n; ++i) {
        probes->list[i].probes = probes;
        probes->list[i].index = i;
    }
    return probes;
}

static void *ask(void *arg)
{
    probe *p = arg;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    (void)pthread_setname_np(pthread_self(), "health");
    int32_t rc = fl_loader_health(p->probes->loader, p->index, &err);
    pthread_mutex_lock(&p->probes->lock);
    p->last.code = rc;
    memcpy(p->last.text, err.text, sizeof(p->last.text));
    p->last.text[sizeof(p->last.text) - 1] = '\0';
    p->busy = 0;
    ++p->answers;
    pthread_cond_broadcast(&p->probes->answered);
    pthread_mutex_unlock(&p->probes->lock);
    return NULL;
}

/* Under the lock: begins a question, unless one is under way. */
static int begin(probe *p)
{
    if (p->busy)
        return 1;
    if (p->joinable)
        pthread_join(p->thread, NULL); /* it has answered: it only has to leave */
    p->joinable = 0;
    if (p->probes->stopping || pthread_create(&p->thread, NULL, ask, p) != 0)
        return 0;
    p->joinable = p->busy = 1;
    return 1;
}

static struct timespec time_of(int64_t monotonic_us)
{
    return (struct timespec){ .tv_sec = (time_t)(monotonic_us / 1000000),
                              .tv_nsec = (long)(monotonic_us % 1000000) * 1000 };
}

/* Under the lock. Returns 0 when the time is over first. */
static int wait_for_answer(probe *p, uint64_t before, const struct timespec *until)
{
    while (p->answers == before) {
        if (pthread_cond_timedwait(&p->probes->answered, &p->probes->lock, until) != 0)
            return p->answers != before;
    }
    return 1;
}

static void say(fl_probe_result *out, int32_t code, const char *text)
{
    out->code = code;
    (void)snprintf(out->text, sizeof(out->text), "%s", text);
}

void fl_probes_ask(fl_probes *probes, int64_t limit_us, fl_probe_result *out)
{
    struct timespec until = time_of(fl_monotonic_us() + limit_us);
    uint64_t *before = calloc(probes->n > 0 ? probes->n : 1, sizeof(*before));
    pthread_mutex_lock(&probes->lock);
    for (size_t i = 0; i < probes->n; ++i) {
        say(&out[i], FLAMENCO_E_UNAVAILABLE, "it cannot be asked now");
        if (before == NULL)
            continue;
        before[i] = probes->list[i].answers;
        if (!begin(&probes->list[i]))
            before[i] = UINT64_MAX;
    }
    for (size_t i = 0; before != NULL && i < probes->n; ++i) {
        probe *p = &probes->list[i];
        if (before[i] == UINT64_MAX)
            continue;
        if (wait_for_answer(p, before[i], &until))
            out[i] = p->last;
        else
            say(&out[i], FLAMENCO_E_DEADLINE, "it does not answer");
    }
    pthread_mutex_unlock(&probes->lock);
    free(before);
}

const char *fl_probes_stop(fl_probes *probes, int64_t deadline_us)
{
    struct timespec until = time_of(deadline_us);
    const char *hangs = NULL;
    pthread_mutex_lock(&probes->lock);
    probes->stopping = 1;
    for (size_t i = 0; i < probes->n; ++i) {
        probe *p = &probes->list[i];
        while (p->busy && hangs == NULL) {
            if (pthread_cond_timedwait(&probes->answered, &probes->lock, &until) != 0 && p->busy)
                hangs = fl_loader_info(probes->loader, i).name;
        }
        if (p->joinable && !p->busy) {
            pthread_join(p->thread, NULL);
            p->joinable = 0;
        }
    }
    pthread_mutex_unlock(&probes->lock);
    return hangs;
}

void fl_probes_destroy(fl_probes *probes)
{
    if (probes == NULL)
        return;
    pthread_cond_destroy(&probes->answered);
    pthread_mutex_destroy(&probes->lock);
    free(probes);
}
