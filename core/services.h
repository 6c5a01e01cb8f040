/* SPDX-License-Identifier: Apache-2.0
 *
 * services.h - the services that this host knows: size of the method table and which methods a plugin must have. The table
 * is made from the public headers at build time (generate-services.py).
 */
#ifndef FL_SERVICES_H
#define FL_SERVICES_H

#include <stddef.h>

typedef struct fl_service_method {
    const char *name;
    size_t offset; /* of the function pointer in the table */
    int required;
} fl_service_method;

typedef struct fl_service {
    const char *id; /* "flamenco.clock/1" */
    size_t table_size;
    const fl_service_method *methods;
    size_t n_methods;
} fl_service;

extern const fl_service fl_services[];
extern const size_t fl_services_count;

/* Finds a service by id. NULL: this host does not know it. */
const fl_service *fl_service_find(const char *id);

#endif
