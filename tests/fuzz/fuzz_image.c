/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_image.c - rendered images: looked through whole, from the reader to the smallest thumbnail, within narrow limits.
 */
#include "fuzz.h"
#include "thumbnails.h"

/* How often the readers may ask whether to go on: enough for the largest image that is allowed here. */
#define CHECKS_MOST 5000

static int32_t check(void *ctx)
{
    int *left = ctx;
    return --*left > 0 ? FLAMENCO_OK : FLAMENCO_E_DEADLINE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int left = CHECKS_MOST;
    const fl_lr_limits limits = { .pixels = 1u << 18, .memory_bytes = 4u << 20, .check = check, .ctx = &left };
    flamenco_error err = FLAMENCO_ERROR_INIT, write_err = FLAMENCO_ERROR_INIT;
    uint32_t written = 0;
    int32_t rc = fl_lr_thumbnails_make(-1, fuzz_rest(data, size), &limits, &written, &write_err, &err);
    FUZZ_MUST(written == 0);
    FUZZ_MUST(rc == FLAMENCO_OK || rc == FLAMENCO_E_DEADLINE || rc == FLAMENCO_E_INVALID);
    FUZZ_MUST(rc == FLAMENCO_OK || err.text[0] != '\0');
    return 0;
}
