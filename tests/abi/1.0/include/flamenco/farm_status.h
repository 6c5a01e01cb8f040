/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/farm_status.h - the service "flamenco.farm_status/1": one word for what the farm does (contract:
 * state-and-scheduling 12). Computes in the background; the core asks for the last result.
 */
#ifndef FLAMENCO_FARM_STATUS_H
#define FLAMENCO_FARM_STATUS_H

#include "flamenco/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_FARM_STATUS "flamenco.farm_status/1"

#define FLAMENCO_FARM_STARTING 0u
#define FLAMENCO_FARM_ACTIVE 1u
#define FLAMENCO_FARM_IDLE 2u
#define FLAMENCO_FARM_WAITING 3u
#define FLAMENCO_FARM_ASLEEP 4u
#define FLAMENCO_FARM_INOPERATIVE 5u
#define FLAMENCO_FARM_UNKNOWN 6u

typedef struct flamenco_farm_status {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* The last computed status, FLAMENCO_FARM_*. [any] */
    uint32_t (*current)(void *self);
} flamenco_farm_status;

#ifdef __cplusplus
}
#endif

#endif
