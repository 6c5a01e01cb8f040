/* SPDX-License-Identifier: Apache-2.0
 *
 * reference.h - reads a database of the reference manager and stores what is in it through "flamenco.persistence/1", so that
 * any back end can be filled from one (contract: configuration-and-clients part 6; decisions: the database file). Linked into
 * back ends that offer it; persist-sqlite does at its first start.
 */
#ifndef FL_REFERENCE_H
#define FL_REFERENCE_H

#include "flamenco/calls/persistence.h"

/* The newest schema that is known: that of release 3.8 and 3.9. */
#define FL_REFERENCE_VERSION 8

/* What was imported. */
typedef struct fl_reference_counts {
    uint64_t jobs, tasks, workers, tags;
} fl_reference_counts;

/* The store to be filled: an empty one, its writing session, and a call chain without a transaction. */
typedef struct fl_reference_target {
    flamenco_persistence_ref store;
    flamenco_session *writer;
    flamenco_cx *cx;
    void (*forget)(flamenco_cx *cx); /* gives back what lies in the arena of cx; called now and then */
} fl_reference_target;

/* Reads the database `path`, which is never written to, nor are files left beside it, and stores everything in the target, in
 * many transactions. `scratch` names a file that may be made for the time of the call. What cannot be kept as it is, is mended
 * or left out, and logged with its number.
 * After a failure the store holds a part, which the caller throws away. Errors: CONFLICT: the file is no database of the
 * reference, or a newer one, or was changed meanwhile. CANCELLED. BUSY: another program has it open. CORRUPT. Else those of the store.
 * An empty database gives 0 with all counts 0. [main], [worker] */
int32_t fl_reference_import(const flamenco_host *host, const char *path, const char *scratch,
                            const fl_reference_target *target, fl_reference_counts *out, flamenco_error *err);

#endif
