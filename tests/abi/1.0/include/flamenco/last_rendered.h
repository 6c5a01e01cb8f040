/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/last_rendered.h - the service "flamenco.last_rendered/1": thumbnails of what was rendered last (contract:
 * state-and-scheduling 14, decisions "last-rendered queue"). Takes images from taskOutputProduced and works them off in the
 * background.
 */
#ifndef FLAMENCO_LAST_RENDERED_H
#define FLAMENCO_LAST_RENDERED_H

#include "flamenco/persistence.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLAMENCO_LAST_RENDERED "flamenco.last_rendered/1"

typedef struct flamenco_last_rendered {
    uint32_t struct_size;
    uint32_t reserved;

    /* -- required -- */

    /* Queues an image; replaces a waiting one of the same job. `image` is taken over, also on failure. mime_type: as sent.
     * FULL: too much waits. UNSUPPORTED: a type that it cannot read. [worker] */
    int32_t (*submit)(void *self, flamenco_cx *cx, const flamenco_job *job, flamenco_str mime_type, flamenco_buf *image,
                      flamenco_error *err);
    /* The path below /job-files of a job's thumbnails, in the arena of cx. NOT_FOUND: there are none. [worker] */
    int32_t (*info)(void *self, flamenco_cx *cx, const flamenco_uuid *job, flamenco_str *base_out, flamenco_error *err);
    /* The file names of the sizes, large to small, ended by an empty text; static. [any] */
    const flamenco_str *(*suffixes)(void *self);
} flamenco_last_rendered;

#ifdef __cplusplus
}
#endif

#endif
