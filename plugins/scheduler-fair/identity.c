/* SPDX-License-Identifier: Apache-2.0
 *
 * identity.c - to which share a job belongs, and how much that weighs.
 */
#include "fair.h"
#include "scan.h"

#define LEAST_WEIGHT 1u
#define MOST_WEIGHT (1000u * FL_WEIGHT_ONE)

/* Reads "NAME=1.5". Returns 1, or 0 when it is not of that form. */
static int read_weight(flamenco_str item, flamenco_str *name, uint32_t *weight)
{
    uint64_t equals = item.len;
    while (equals > 0 && item.ptr[equals - 1] != '=')
        --equals;
    if (equals == 0 || equals == item.len)
        return 0;
    uint64_t value = 0, unit = FL_WEIGHT_ONE;
    int point = 0;
    for (uint64_t i = equals; i < item.len; ++i) {
        char c = item.ptr[i];
        if (c == '.' && !point && i > equals && i + 1 < item.len) {
            point = 1;
        } else if (c < '0' || c > '9' || unit == 1 || value > MOST_WEIGHT) {
            return 0;
        } else {
            value = value * 10 + (uint64_t)(c - '0');
            unit = point ? unit / 10 : unit;
        }
    }
    value *= unit;
    *name = (flamenco_str){ item.ptr, equals - 1 };
    *weight = (uint32_t)value;
    return value >= LEAST_WEIGHT && value <= MOST_WEIGHT;
}

int32_t fl_fair_check_settings(const flamenco_config *config, flamenco_error *err)
{
    flamenco_str place = config->place(config->c, "weights");
    for (uint64_t i = 0; i < config->count(config->c, "weights"); ++i) {
        flamenco_str item = config->item(config->c, "weights", i), name;
        uint32_t weight;
        if (!read_weight(item, &name, &weight))
            return flamenco_fail(err, FLAMENCO_E_INVALID,
                                 "%.*s: weights: \"%.*s\" is not NAME=WEIGHT with a weight from 0.001 to 1000",
                                 (int)place.len, place.ptr != NULL ? place.ptr : "", (int)item.len, item.ptr);
    }
    if (config->count(config->c, "keys") > 0)
        return FLAMENCO_OK;
    place = config->place(config->c, "keys");
    return flamenco_fail(err, FLAMENCO_E_INVALID, "%.*s: keys must name at least one key of the metadata",
                         (int)place.len, place.ptr != NULL ? place.ptr : "");
}

static uint32_t find_weight(const flamenco_config *config, flamenco_str wanted)
{
    uint32_t found = FL_WEIGHT_ONE, weight;
    flamenco_str name;
    for (uint64_t i = 0; i < config->count(config->c, "weights"); ++i) {
        if (read_weight(config->item(config->c, "weights", i), &name, &weight) && flamenco_str_equal(name, wanted))
            found = weight;
    }
    return found;
}

static uint64_t hash(uint64_t from, flamenco_str text)
{
    for (uint64_t i = 0; i < text.len; ++i)
        from = (from ^ (unsigned char)text.ptr[i]) * UINT64_C(0x100000001B3);
    return (from ^ 0xFF) * UINT64_C(0x100000001B3); /* a byte that no text has */
}

/* Finds a text in a JSON object. Returns the text between its quotes; empty when there is none. */
static flamenco_str find_text(flamenco_str object, flamenco_str wanted)
{
    flamenco_str key, value, found = { NULL, 0 };
    fl_scan inside = fl_scan_inside(object);
    while (fl_scan_member(&inside, &key, &value)) {
        if (fl_scan_kind(value) == '"' && fl_scan_means(key, wanted.ptr, wanted.len))
            found = (flamenco_str){ value.ptr + 1, value.len - 2 };
    }
    return found;
}

/* The first of the keys that the metadata has with a text counts; without any, all such jobs are one share. */
static int32_t identify(const fl_fair *fair, flamenco_cx *cx, flamenco_str metadata, fl_identity *out,
                        flamenco_error *err)
{
    const flamenco_config *config = fair->config;
    uint64_t number = UINT64_C(0xCBF29CE484222325);
    flamenco_str value = { NULL, 0 };
    int readable = fl_scan_is(metadata, '{');
    for (uint64_t i = 0; i < config->count(config->c, "keys") && value.len == 0; ++i) {
        flamenco_str key = config->item(config->c, "keys", i);
        number = hash(number, key);
        if (readable)
            value = find_text(metadata, key);
    }
    if (value.len > 0) {
        char *text = fair->base.host->cx_alloc(cx, value.len);
        if (text == NULL)
            return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to read the metadata of a job");
        value = (flamenco_str){ text, fl_scan_decode(value, text) };
    }
    number = hash(number, value) & INT64_MAX;
    out->number = number != 0 ? (int64_t)number : 1;
    out->weight = find_weight(config, value);
    return FLAMENCO_OK;
}

int32_t fl_fair_identify(const fl_fair *fair, flamenco_cx *cx, int64_t job_key, fl_identity *out,
                         int64_t *created_us_out, flamenco_error *err)
{
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    int32_t rc = flamenco_persist_job_get_key(&fair->base.persist, cx, job_key, &job, err);
    if (rc == FLAMENCO_OK)
        rc = identify(fair, cx, job.metadata, out, err);
    if (rc == FLAMENCO_OK)
        *created_us_out = job.created_us;
    return rc;
}
