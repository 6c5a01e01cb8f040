/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_ssdp.c - a datagram of SSDP, as anybody may send it. What is taken for a search must be answerable; what was cut off is
 * none.
 */
#include "fuzz.h"
#include "message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fl_ssdp_search search = { FL_SSDP_NOT_US, 0 }, again = { FL_SSDP_NOT_US, 0 };
    char out[FL_SSDP_DATAGRAM_MAX];
    fl_ssdp_kind kind = fl_ssdp_read((const char *)data, size, &search);
    FUZZ_MUST(size <= FL_SSDP_DATAGRAM_MAX || kind == FL_SSDP_GARBAGE);
    if (kind != FL_SSDP_SEARCH)
        return 0;
    FUZZ_MUST(search.mx_s >= 1 && search.mx_s <= 60);
    /* What stands behind the head makes no difference. */
    const uint8_t *end = memmem(data, size, "\n\r\n", 3), *bare = memmem(data, size, "\n\n", 2);
    FUZZ_MUST(end != NULL || bare != NULL);
    size_t head = end != NULL && (bare == NULL || end < bare) ? (size_t)(end - data) + 3 : (size_t)(bare - data) + 2;
    FUZZ_MUST(fl_ssdp_read((const char *)data, head, &again) == FL_SSDP_SEARCH);
    FUZZ_MUST(again.target == search.target && again.mx_s == search.mx_s);
    FUZZ_MUST(fl_ssdp_read((const char *)data, head - 1, &again) == FL_SSDP_GARBAGE);
    size_t len = fl_ssdp_write_answer(out, search.target, "http://10.0.0.5:8080/", (int64_t)size * 1000000007);
    FUZZ_MUST(len > 0 && fl_ssdp_read(out, len, &again) == FL_SSDP_OTHER);
    return 0;
}
