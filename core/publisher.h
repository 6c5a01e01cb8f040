/* SPDX-License-Identifier: Apache-2.0
 *
 * publisher.h - works off what a commit leaves to be done, per batch and in commit order: touches, log appends, events,
 * wake-ups, replies (architecture 1). Fed by the writer, and by host.c for effects outside a transaction.
 */
#ifndef FL_PUBLISHER_H
#define FL_PUBLISHER_H

#include "core/batch.h"
#include "core/flamenco.h"

typedef struct fl_publisher fl_publisher;

/* Starts the publisher's thread. */
int32_t fl_publisher_start(struct flamenco *f, fl_publisher **out, flamenco_error *err);

/* Queues a batch, whose reference is taken over. Waits while 4 batches are queued already, which holds back the writer.
 * After the stop its steps end, and its effects are dropped. [any] */
void fl_publisher_submit(fl_publisher *publisher, fl_batch *batch);

/* Waits until what is queued is worked off and its log texts are written, at most until the deadline: before the work pool
 * stops, which writes them. */
void fl_publisher_drain(fl_publisher *publisher, int64_t deadline_us);

/* Works off what is queued, flushes broadcaster and forwarders until the deadline, joins the thread. */
void fl_publisher_stop(fl_publisher *publisher, int64_t deadline_us);
void fl_publisher_destroy(fl_publisher *publisher); /* accepts NULL */

/* Tells whether anybody wants events of that kind, to spare the making of their payload. Settled when all plugins have
 * started. [any] */
int fl_publisher_wants(const struct flamenco *f, uint32_t kind);

/* Log appends that failed or were not waited for, since the start. [any] */
uint64_t fl_publisher_failed_logs(fl_publisher *publisher);

#endif
