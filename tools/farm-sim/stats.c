/* SPDX-License-Identifier: Apache-2.0
 * Histogram and per-operation counters; see stats.h. Filled by client.c, printed by load.c and soak.c. */
#include "stats.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/* Values below 2*SUB have a bucket each; above, every doubling has SUB buckets. */
static size_t bucket_of(int64_t value)
{
    uint64_t v = value < 0 ? 0 : (uint64_t)value;
    if (v < (uint64_t)2 * FL_HISTOGRAM_SUB)
        return (size_t)v;
    unsigned shift = 63U - (unsigned)__builtin_clzll(v) - 6U; /* so that v >> shift is in SUB .. 2*SUB-1 */
    size_t bucket = (size_t)shift * FL_HISTOGRAM_SUB + (size_t)(v >> shift);
    return bucket < FL_HISTOGRAM_BUCKETS ? bucket : FL_HISTOGRAM_BUCKETS - 1;
}

static int64_t top_of(size_t bucket)
{
    if (bucket < (size_t)2 * FL_HISTOGRAM_SUB)
        return (int64_t)bucket;
    size_t shift = bucket / FL_HISTOGRAM_SUB - 1;
    uint64_t mantissa = bucket - shift * FL_HISTOGRAM_SUB;
    return (int64_t)(((mantissa + 1) << shift) - 1);
}

void fl_histogram_add(fl_histogram *h, int64_t value_us)
{
    h->buckets[bucket_of(value_us)]++;
    h->count++;
    h->sum_us += value_us;
    if (value_us > h->max_us)
        h->max_us = value_us;
}

int64_t fl_histogram_at(const fl_histogram *h, double fraction)
{
    if (!h->count)
        return 0;
    uint64_t rank = (uint64_t)(fraction * (double)h->count);
    if ((double)rank < fraction * (double)h->count)
        rank++;
    if (rank < 1)
        rank = 1;
    uint64_t seen = 0;
    for (size_t i = 0; i < FL_HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= rank)
            return top_of(i) < h->max_us ? top_of(i) : h->max_us;
    }
    return h->max_us;
}

const char *fl_op_name(fl_op op)
{
    static const char *const names[FL_OP_COUNT] = {
        [FL_OP_REGISTER] = "register",
        [FL_OP_SIGN_ON] = "sign_on",
        [FL_OP_STATE_CHANGED] = "state_changed",
        [FL_OP_STATE] = "state",
        [FL_OP_ASK] = "ask",
        [FL_OP_ACTIVE] = "active",
        [FL_OP_LOG] = "log",
        [FL_OP_MAY_I_RUN] = "may_i_run",
        [FL_OP_STEPS] = "steps",
        [FL_OP_COMPLETED] = "completed",
        [FL_OP_FAILED] = "failed",
        [FL_OP_OUTPUT] = "output",
        [FL_OP_SIGN_OFF] = "sign_off",
        [FL_OP_SUBMIT] = "submit",
        [FL_OP_FETCH_JOB] = "fetch_job",
        [FL_OP_FETCH_TASKS] = "tasks",
        [FL_OP_SET_STATUS] = "set_status",
        [FL_OP_OTHER] = "other",
    };
    return names[op];
}

void fl_stats_add(fl_stats *s, fl_op op, int http_status, int64_t latency_us)
{
    struct fl_op_stats *o = &s->op[op];
    if (http_status <= 0 || http_status >= 600) {
        o->transport_errors++;
        return;
    }
    o->requests++;
    o->by_status[http_status]++;
    fl_histogram_add(&o->latency, latency_us);
}

void fl_stats_reset(fl_stats *s)
{
    memset(s, 0, sizeof *s);
}

uint64_t fl_stats_requests(const fl_stats *s)
{
    uint64_t sum = 0;
    for (int op = 0; op < FL_OP_COUNT; op++)
        sum += s->op[op].requests;
    return sum;
}

static bool is_error(int status)
{
    return status >= 400 && status != 409 && status != 423;
}

uint64_t fl_stats_errors(const fl_stats *s)
{
    uint64_t sum = 0;
    for (int op = 0; op < FL_OP_COUNT; op++) {
        sum += s->op[op].transport_errors;
        for (int status = 400; status < 600; status++)
            if (is_error(status))
                sum += s->op[op].by_status[status];
    }
    return sum;
}

static void print_statuses(const struct fl_op_stats *o, FILE *out)
{
    for (int status = 100; status < 600; status++)
        if (o->by_status[status])
            fprintf(out, "  %d×%" PRIu64, status, o->by_status[status]);
    if (o->transport_errors)
        fprintf(out, "  no answer×%" PRIu64, o->transport_errors);
}

void fl_stats_print(const fl_stats *s, FILE *out)
{
    fprintf(out, "%-14s %10s %9s %9s %9s %9s  answers\n", "latency in ms", "requests", "p50", "p90", "p99", "max");
    for (int op = 0; op < FL_OP_COUNT; op++) {
        const struct fl_op_stats *o = &s->op[op];
        if (!o->requests && !o->transport_errors)
            continue;
        fprintf(out, "%-14s %10" PRIu64 " %9.3f %9.3f %9.3f %9.3f", fl_op_name((fl_op)op), o->requests,
                (double)fl_histogram_at(&o->latency, 0.50) / 1e3, (double)fl_histogram_at(&o->latency, 0.90) / 1e3,
                (double)fl_histogram_at(&o->latency, 0.99) / 1e3, (double)o->latency.max_us / 1e3);
        print_statuses(o, out);
        fputc('\n', out);
    }
}

json_t *fl_histogram_json(const fl_histogram *h)
{
    int64_t mean = h->count ? h->sum_us / (int64_t)h->count : 0;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)h->count, "mean_us", (json_int_t)mean,
                     "p50_us", (json_int_t)fl_histogram_at(h, 0.50), "p90_us", (json_int_t)fl_histogram_at(h, 0.90),
                     "p99_us", (json_int_t)fl_histogram_at(h, 0.99), "max_us", (json_int_t)h->max_us);
}

json_t *fl_stats_json(const fl_stats *s)
{
    json_t *all = json_object();
    for (int op = 0; op < FL_OP_COUNT; op++) {
        const struct fl_op_stats *o = &s->op[op];
        if (!o->requests && !o->transport_errors)
            continue;
        json_t *entry = fl_histogram_json(&o->latency);
        json_t *statuses = json_object();
        for (int status = 100; status < 600; status++) {
            char key[8];
            snprintf(key, sizeof key, "%d", status);
            if (o->by_status[status])
                json_object_set_new(statuses, key, json_integer((json_int_t)o->by_status[status]));
        }
        json_object_set_new(entry, "statuses", statuses);
        json_object_set_new(entry, "transport_errors", json_integer((json_int_t)o->transport_errors));
        json_object_set_new(all, fl_op_name((fl_op)op), entry);
    }
    return all;
}
