/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/discovery.h - the service "flamenco.discovery/1": lets Workers find the manager (contract: events 4). The work is
 * done between start and stop of the plugin; the core tells it where the manager can be reached.
 */
#ifndef FLAMENCO_DISCOVERY_H
#define FLAMENCO_DISCOVERY_H

#include "flamenco/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_DISCOVERY "flamenco.discovery/1"

typedef struct flamenco_discovery {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* Announces these URLs from now on ("http://192.168.0.3:8080/"); called again when they change. [main] */
    int32_t (*announce)(void *self, const flamenco_str *urls, uint64_t n, flamenco_error *err);
    /* Says good-bye. [main] */
    void (*withdraw)(void *self);
} flamenco_discovery;

#ifdef __cplusplus
}
#endif

#endif
