/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_texts.c - the small readers of texts, and the writers that belong to them: UUID, time, duration, bytes, integers,
 * percent and base64, UTF-8, JSON. What is written must be read back to the same.
 */
#include "core/base/json.h"
#include "core/base/str.h"
#include "core/base/timefmt.h"
#include "core/base/uuid.h"
#include "core/config/setting_value.h"
#include "fuzz.h"

static void read_uuid(flamenco_str text)
{
    flamenco_uuid uuid, again;
    char out[37];
    if (fl_uuid_parse(text, &uuid) != FLAMENCO_OK)
        return;
    fl_uuid_format(&uuid, out);
    FUZZ_MUST(fl_uuid_parse(flamenco_text(out), &again) == FLAMENCO_OK && fl_uuid_equal(&uuid, &again));
    FUZZ_MUST(fl_str_equal_nocase(text, flamenco_text(out)));
}

static void read_times(flamenco_str text)
{
    char out[FL_TIME_TEXT_MAX];
    int64_t us, us_again, ns, ns_again;
    int32_t below;
    if (fl_time_parse(text, &us, &below) == FLAMENCO_OK) {
        FUZZ_MUST(below >= 0 && below < 1000);
        size_t n = fl_time_format_utc(us, out);
        FUZZ_MUST(n < sizeof(out));
        FUZZ_MUST(fl_time_parse((flamenco_str){ out, n }, &us_again, &below) == FLAMENCO_OK && us_again == us);
    }
    if (fl_duration_parse(text, &ns) == FLAMENCO_OK) {
        size_t n = fl_duration_format(ns, out);
        FUZZ_MUST(n < sizeof(out));
        FUZZ_MUST(fl_duration_parse((flamenco_str){ out, n }, &ns_again) == FLAMENCO_OK && ns_again == ns);
    }
}

static void read_numbers(flamenco_str text)
{
    char out[32];
    int64_t value, again;
    if (fl_setting_parse_bytes(text, &value) == FLAMENCO_OK) {
        fl_setting_format_bytes(value, out);
        FUZZ_MUST(fl_setting_parse_bytes(flamenco_text(out), &again) == FLAMENCO_OK && again == value);
    }
    if (fl_str_int(text, &value) == FLAMENCO_OK) {
        snprintf(out, sizeof(out), "%lld", (long long)value);
        FUZZ_MUST(fl_str_int(flamenco_text(out), &again) == FLAMENCO_OK && again == value);
    }
}

static void read_encodings(flamenco_str text, fl_arena *arena)
{
    flamenco_str out = { NULL, 0 };
    if (fl_str_percent_decode(arena, text, 1, &out) == FLAMENCO_OK)
        FUZZ_MUST(out.len <= text.len && (out.len == 0 || memchr(out.ptr, '\0', (size_t)out.len) == NULL));
    if (fl_str_base64_decode(arena, text, &out) == FLAMENCO_OK)
        FUZZ_MUST(out.len <= text.len);
    out = fl_str_to_utf8(arena, text);
    FUZZ_MUST(out.ptr != NULL && fl_str_is_utf8(out));
    FUZZ_MUST(!fl_str_is_utf8(text) || flamenco_str_equal(text, out));
}

static void read_json(flamenco_str text)
{
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_buf out = { 0 };
    fl_json w = fl_json_begin(&out);
    fl_json_array_begin(&w);
    fl_json_str(&w, text);
    fl_json_array_end(&w);
    FUZZ_MUST(!out.failed && fl_json_check(fl_buf_str(&out), &err) == FLAMENCO_OK);
    fl_buf_fini(&out);
    if (fl_json_check(text, &err) != FLAMENCO_OK)
        return;
    fl_json_indent(text, &out);
    FUZZ_MUST(!out.failed && fl_json_check(fl_buf_str(&out), &err) == FLAMENCO_OK);
    fl_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fl_arena *arena = fl_arena_create(0);
    FUZZ_MUST(arena != NULL);
    flamenco_str text = fuzz_rest(data, size);
    read_uuid(text);
    read_times(text);
    read_numbers(text);
    read_encodings(text, arena);
    read_json(text);
    fl_arena_destroy(arena);
    return 0;
}
