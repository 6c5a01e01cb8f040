/* SPDX-License-Identifier: Apache-2.0
 *
 * health.h - /health/live, /health/ready and /metrics.
 */
#ifndef FL_API_HEALTH_H
#define FL_API_HEALTH_H

#include "core/api/reply.h"
#include "core/flamenco.h"

/* Fill the reply. Ready asks every plugin, so it takes time. [worker] */
int32_t fl_health_live(struct flamenco *f, fl_reply *reply);
int32_t fl_health_ready(struct flamenco *f, fl_reply *reply);
int32_t fl_health_metrics(struct flamenco *f, fl_reply *reply);

#endif
