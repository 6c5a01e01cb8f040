/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_ranges.c - frame ranges: the first byte is the size of the chunks, the rest the text. The chunks of a range are a range
 * with the same frames.
 */
#include "fuzz.h"
#include "ranges.h"

/* Chunks of more text than this are not written: it is time that would not be spent on other ranges. */
#define FRAMES_MOST 20000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fl_ranges ranges = { 0 }, again = { 0 };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    if (size == 0)
        return 0;
    flamenco_str text = fuzz_rest(data + 1, size - 1);
    flamenco_str trimmed = fl_ranges_trim(text);
    FUZZ_MUST(trimmed.len <= text.len);
    if (fl_ranges_parse(text, &ranges, &err) == FLAMENCO_OK) {
        uint64_t n = fl_ranges_count(&ranges);
        FUZZ_MUST(n <= FL_RANGES_FRAMES_MAX);
        for (size_t i = 0; i < ranges.count; ++i) {
            FUZZ_MUST(ranges.items[i].first <= ranges.items[i].last);
            FUZZ_MUST(i == 0 || ranges.items[i - 1].last + 1 < ranges.items[i].first);
        }
        char *chunks = NULL;
        size_t len = 0;
        if (n > 0 && n < FRAMES_MOST &&
            fl_ranges_chunks(&ranges, (uint64_t)data[0] + 1, &chunks, &len, &err) == FLAMENCO_OK) {
            for (size_t i = 0; i < len; ++i)
                chunks[i] = chunks[i] == '\n' ? ',' : chunks[i];
            FUZZ_MUST(fl_ranges_parse((flamenco_str){ chunks, len }, &again, &err) == FLAMENCO_OK);
            FUZZ_MUST(fl_ranges_count(&again) == n && again.count == ranges.count);
        }
        free(chunks);
    } else {
        FUZZ_MUST(err.code == FLAMENCO_E_INVALID && err.text[0] != '\0');
    }
    fl_ranges_free(&ranges);
    fl_ranges_free(&again);
    return 0;
}
