/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.h - numbers for /metrics: those that plugins set through host->metric, and those that the core's parts keep
 * themselves. Text exposition format of Prometheus.
 */
#ifndef FL_METRICS_H
#define FL_METRICS_H

#include "core/base/buf.h"
#include "core/flamenco.h"

typedef struct fl_metrics fl_metrics;

fl_metrics *fl_metrics_create(void); /* NULL when memory is exhausted */
void fl_metrics_destroy(fl_metrics *metrics);

/* Sets a gauge, or adds to a counter when the name ends in "_total". A name with other characters than letters, digits
 * and '_' is dropped, and one beyond the 1000th. [any] */
void fl_metrics_set(fl_metrics *metrics, const char *owner, const char *name, double value);

/* Counts a reply of an operation and the time that it took. [any] */
void fl_metrics_request(fl_metrics *metrics, int status, int64_t us);

/* Writes all of them. [any] */
void fl_metrics_write(struct flamenco *f, fl_buf *out);

#endif
