/* SPDX-License-Identifier: Apache-2.0
 * What was measured: a latency histogram, and per operation its count, answers by status and transport errors. */
#ifndef FARM_SIM_STATS_H
#define FARM_SIM_STATS_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* Log-linear: values below 128 µs exactly, above with an error under 1.6 %, up to 2^40 µs (12 days). */
enum { FL_HISTOGRAM_SUB = 64, FL_HISTOGRAM_BUCKETS = 35 * FL_HISTOGRAM_SUB };

typedef struct fl_histogram {
    uint64_t count;
    int64_t max_us, sum_us;
    uint32_t buckets[FL_HISTOGRAM_BUCKETS];
} fl_histogram;

void fl_histogram_add(fl_histogram *h, int64_t value_us);
/* The smallest recorded value (to the bucket's precision) that `fraction` of the values do not exceed; 0 if empty. */
int64_t fl_histogram_at(const fl_histogram *h, double fraction);

typedef enum fl_op {
    FL_OP_REGISTER,
    FL_OP_SIGN_ON,
    FL_OP_STATE_CHANGED,
    FL_OP_STATE,
    FL_OP_ASK,
    FL_OP_ACTIVE,
    FL_OP_LOG,
    FL_OP_MAY_I_RUN,
    FL_OP_STEPS,
    FL_OP_COMPLETED,
    FL_OP_FAILED,
    FL_OP_OUTPUT,
    FL_OP_SIGN_OFF,
    FL_OP_SUBMIT,
    FL_OP_FETCH_JOB,
    FL_OP_FETCH_TASKS,
    FL_OP_SET_STATUS,
    FL_OP_OTHER,
    FL_OP_COUNT
} fl_op;

const char *fl_op_name(fl_op op);

typedef struct fl_stats {
    struct fl_op_stats {
        uint64_t requests; /* answered ones, by any status */
        uint64_t transport_errors;
        uint64_t by_status[600];
        fl_histogram latency; /* of answered ones */
    } op[FL_OP_COUNT];
} fl_stats;

/* http_status 0 = transport error, which has no latency. */
void fl_stats_add(fl_stats *s, fl_op op, int http_status, int64_t latency_us);
void fl_stats_reset(fl_stats *s);
/* Answered requests of all operations. */
uint64_t fl_stats_requests(const fl_stats *s);
/* Answers that the operation does not give in normal work: 4xx (409 and 423 excepted) and 5xx; plus transport errors. */
uint64_t fl_stats_errors(const fl_stats *s);

void fl_stats_print(const fl_stats *s, FILE *out);
/* New reference: {"ask": {"count": …, "p50_us": …, "statuses": {"200": …}}, …}; NULL when memory ran out. */
json_t *fl_stats_json(const fl_stats *s);
json_t *fl_histogram_json(const fl_histogram *h);

#endif
