/* SPDX-License-Identifier: Apache-2.0
 *
 * host.h - the functions behind flamenco_host: one table per plugin instance, made by the loader, and one for the core.
 */
#ifndef FL_HOST_H
#define FL_HOST_H

#include "core/flamenco.h"

/* Finds a service among an instance's needs (loader.c). */
typedef const void *(*fl_find_service)(void *owner, const char *id, void **self_out);

typedef struct fl_host {
    flamenco_host table; /* what the plugin gets; table.h points back here */
    struct flamenco *f;
    const char *name; /* of the instance, for log lines; borrowed */
    void *owner; /* the loader's instance; NULL for the core */
    fl_find_service find_service;
} fl_host;

/* Fills the table. All is borrowed. */
void fl_host_init(fl_host *host, struct flamenco *f, const char *name, void *owner, fl_find_service find_service);

/* For timers that were never due: frees the delayed step behind ctx, when it is one of host->submit. */
void fl_host_drop_timer(void (*on_timer)(void *ctx), void *ctx);

#endif
