/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.c - what the border between manager and plugin costs: an empty method of a loaded plugin, called directly, by its
 * table, and through the generated wrapper, which looks at the table's size and at the method first.
 * usage: bench-calls PLUGIN    one that provides flamenco.event_forwarder/1 with an empty publish: tests/bad-plugins/kit/sound.so
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "flamenco/calls/event_forwarder.h"

#define CALLS 20000000u
#define ROUNDS 9

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static __attribute__((noinline)) void empty(void *self, const flamenco_event *event)
{
    __asm__ volatile("" : : "r"(self), "r"(event) : "memory");
}

static void by_function(const flamenco_event_forwarder_ref *s, const flamenco_event *e)
{
    empty(s->self, e);
}

static void by_table(const flamenco_event_forwarder_ref *s, const flamenco_event *e)
{
    s->table->publish(s->self, e);
}

static void by_wrapper(const flamenco_event_forwarder_ref *s, const flamenco_event *e)
{
    flamenco_event_forwarder_publish(s, e);
}

/* The best of several rounds: whatever else runs on the machine only adds. */
#define MEASURE(call, ref, event) \
    do { \
        double best = 0; \
        for (int round = 0; round < ROUNDS; ++round) { \
            double begin = now_ns(); \
            for (uint32_t i = 0; i < CALLS; ++i) { \
                __asm__ volatile("" : : : "memory"); \
                call(ref, event); \
            } \
            double ns = (now_ns() - begin) / CALLS; \
            best = round == 0 || ns < best ? ns : best; \
        } \
        printf("%-12s %6.2f ns a call\n", #call, best); \
    } while (0)

int main(int argc, char **argv)
{
    void *handle = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    const flamenco_plugin *(*query)(void) = NULL;
    flamenco_event_forwarder_ref ref = { NULL, NULL };
    const flamenco_event event = { .struct_size = (uint32_t)sizeof(event) };
    if (handle == NULL) {
        fprintf(stderr, "usage: bench-calls PLUGIN: %s\n", argc == 2 ? dlerror() : "one plugin");
        return 2;
    }
    void *symbol = dlsym(handle, "flamenco_plugin_query");
    memcpy(&query, &symbol, sizeof(query));
    for (const flamenco_provide *const *p = query != NULL ? query()->provides : NULL; p != NULL && *p != NULL; ++p) {
        if (strcmp((*p)->id, FLAMENCO_EVENT_FORWARDER) == 0)
            ref.table = (*p)->table;
    }
    if (ref.table == NULL) {
        fprintf(stderr, "bench-calls: %s does not provide %s\n", argv[1], FLAMENCO_EVENT_FORWARDER);
        return 2;
    }
    MEASURE(by_function, &ref, &event);
    MEASURE(by_table, &ref, &event);
    MEASURE(by_wrapper, &ref, &event);
    return 0;
}
