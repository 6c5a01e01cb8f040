/* SPDX-License-Identifier: Apache-2.0
 *
 * identity.c - to which share a job belongs, and how much that weighs.
 */
#include <jansson.h>

#include "fair.h"

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

/* The first of the keys that the metadata has with a text counts; without any, all such jobs are one share. */
static void identify(const flamenco_config *config, const json_t *metadata, fl_identity *out)
{
    uint64_t number = UINT64_C(0xCBF29CE484222325);
    flamenco_str value = { NULL, 0 };
    for (uint64_t i = 0; i < config->count(config->c, "keys") && value.len == 0; ++i) {
        flamenco_str key = config->item(config->c, "keys", i);
        const json_t *found = json_object_getn(metadata, key.ptr, (size_t)key.len);
        number = hash(number, key);
        if (json_is_string(found))
            value = (flamenco_str){ json_string_value(found), (uint64_t)json_string_length(found) };
    }
    number = hash(number, value) & INT64_MAX;
    out->number = number != 0 ? (int64_t)number : 1;
    out->weight = find_weight(config, value);
}

int32_t fl_fair_identify(const fl_fair *fair, flamenco_cx *cx, int64_t job_key, fl_identity *out,
                         int64_t *created_us_out, flamenco_error *err)
{
    json_error_t error;
    flamenco_job job = { .struct_size = (uint32_t)sizeof(job) };
    int32_t rc = flamenco_persist_job_get_key(&fair->base.persist, cx, job_key, &job, err);
    if (rc != FLAMENCO_OK)
        return rc;
    json_t *metadata = json_loadb(job.metadata.ptr != NULL ? job.metadata.ptr : "{}",
                                  job.metadata.ptr != NULL ? (size_t)job.metadata.len : 2, JSON_ALLOW_NUL, &error);
    if (metadata == NULL && json_error_code(&error) == json_error_out_of_memory)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to read the metadata of a job");
    /* What cannot be read is in the share of those that say nothing. */
    identify(fair->config, metadata, out);
    json_decref(metadata);
    *created_us_out = job.created_us;
    return FLAMENCO_OK;
}
