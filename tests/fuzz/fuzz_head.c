/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_head.c - the raw head of an HTTP request. Whether a head is refused must not depend on how much has arrived behind it.
 */
#include "core/http/head.h"
#include "core/http/range.h"
#include "fuzz.h"

static void plan_file(const uint8_t *data, size_t size)
{
    fl_http_file file = { .size = size * 37, .mtime_s = (int64_t)size * 86400 };
    fl_http_file_plan plan;
    file.range = fuzz_line(&data, &size);
    file.if_range = fuzz_line(&data, &size);
    file.if_modified_since = fuzz_rest(data, size);
    fl_http_plan_file(&file, &plan);
    FUZZ_MUST(plan.status == 200 || plan.status == 206 || plan.status == 304 || plan.status == 416);
    if (plan.status == 200 || plan.status == 206)
        FUZZ_MUST(plan.offset <= file.size && plan.length <= file.size - plan.offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *problem = NULL, *again = NULL;
    size_t len = fl_head_scan((const char *)data, size, &problem);
    FUZZ_MUST(len <= size);
    if (len > 0) {
        FUZZ_MUST(fl_head_scan((const char *)data, len, &again) == len && again == problem);
        FUZZ_MUST(fl_head_scan((const char *)data, len - 1, &again) == 0);
    }
    plan_file(data, size);
    return 0;
}
