/* SPDX-License-Identifier: Apache-2.0
 *
 * loader_impl.h - what loader.c (life of instances) and loader_check.c (files and descriptors) share.
 */
#ifndef FL_LOADER_IMPL_H
#define FL_LOADER_IMPL_H

#include "core/config/settings.h"
#include "core/host.h"
#include "core/loader.h"
#include "core/places.h"
#include "core/services.h"

/* A service that an instance provides, with its table copied to this host's size: what the plugin does not have is NULL. */
typedef struct fl_provided {
    char *id;
    const fl_service *service; /* NULL: a third party's, passed on as it is */
    void *table; /* owned when service is set */
} fl_provided;

typedef struct fl_instance {
    struct fl_loader *loader;
    const fl_plugin_entry *entry;
    char *path; /* absolute, of the file */
    void *handle;
    flamenco_plugin plugin; /* the descriptor, copied to this host's size */
    fl_provided *provided;
    size_t n_provided;
    char *services; /* ids, blank-separated */
    char *members; /* names, blank-separated */
    fl_host host;
    fl_settings *settings;
    void *self;
    int created, started;
    int visited; /* while sorting: 1 = under way, 2 = done */
    const struct fl_instance *needed_by; /* who led here, while it is under way */
    uint32_t stop_order;
} fl_instance;

/* Opens the entry's file and checks descriptor and services: fills path, handle, plugin, provided. Adds every problem.
 * Returns 0, INVALID or NOMEM. */
int32_t fl_instance_open(fl_instance *instance, const char *const *directories, size_t n_directories,
                         fl_config_problems *problems);

/* Adds an error with the entry's place in manager.yaml. */
void fl_instance_problem(const fl_instance *instance, fl_config_problems *problems, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Copies a need to this host's size. Returns 0 when it has no id. */
int fl_need_read(const flamenco_need *need, flamenco_need *out);

/* Tells whether the provider has all methods that the need asks for; else `lacking` gets what is wrong with it. */
int fl_need_is_met(const flamenco_need *need, const fl_instance *provider, char *lacking, size_t size);

/* The service's table and instance, or NULL. */
const void *fl_instance_table(const fl_instance *instance, const char *service_id);

#endif
