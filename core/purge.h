/* SPDX-License-Identifier: Apache-2.0
 *
 * purge.h - removes the rows of hidden jobs in steps: remains of a submission that failed or that a crash cut short.
 */
#ifndef FL_PURGE_H
#define FL_PURGE_H

#include "core/flamenco.h"

/* Queues the purge of one hidden job. A failure is logged, and made good at the next start. [any] */
void fl_purge_submit(struct flamenco *f, int64_t job_key);

/* Queues the purge of this job if it is hidden: a submission that was given up. It is found by its UUID, since nobody knows
 * whether its last commit was kept, and a key that was not is given to the next job. [any] */
void fl_purge_submission(struct flamenco *f, const flamenco_uuid *job);

/* Queues the purge of every hidden job that is not marked for deletion. Before requests are served: later, hidden jobs may be
 * under construction. [main] */
void fl_purge_remains(struct flamenco *f);

#endif
