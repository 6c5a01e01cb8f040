/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_packed.c - compressed WebSocket messages: a line of extensions that a client offers, then the message that it sends; and
 * the same message, packed here, must be unpacked to what it was.
 */
#include "core/http/deflate.h"
#include "fuzz.h"

#define AT_MOST 65536u

static void unpack(flamenco_str packed)
{
    fl_buf text = { .data = NULL };
    int32_t rc = fl_deflate_unpack(packed, AT_MOST, &text);
    FUZZ_MUST(rc == FLAMENCO_OK || rc == FLAMENCO_E_INVALID || rc == FLAMENCO_E_FULL || rc == FLAMENCO_E_NOMEM);
    FUZZ_MUST(rc != FLAMENCO_OK || text.len <= AT_MOST);
    fl_buf_fini(&text);
}

/* What stands behind the head of the only frame. */
static flamenco_str frame_text(flamenco_str frame)
{
    unsigned char second = (unsigned char)frame.ptr[1];
    uint64_t head = second < 126 ? 2 : second == 126 ? 4 : FL_WS_HEAD_MAX;
    FUZZ_MUST((second & 0x80) == 0 && frame.len >= head);
    return (flamenco_str){ frame.ptr + head, frame.len - head };
}

static void pack(flamenco_str text)
{
    fl_deflate d;
    fl_buf again = { .data = NULL };
    flamenco_buf *message = fl_shared_create(text.len);
    if (message == NULL || fl_deflate_init(&d) != FLAMENCO_OK)
        abort();
    if (text.len > 0)
        memcpy(fl_shared_data(message), text.ptr, text.len);
    flamenco_buf *frames = fl_deflate_frames(&d, FL_HTTP_WS_TEXT, &message, 1);
    FUZZ_MUST(frames != NULL);
    flamenco_str frame = fl_shared_str(frames);
    if ((unsigned char)frame.ptr[0] & 0x40) {
        FUZZ_MUST(fl_deflate_unpack(frame_text(frame), text.len, &again) == FLAMENCO_OK);
        FUZZ_MUST(again.len == text.len && (text.len == 0 || memcmp(again.data, text.ptr, text.len) == 0));
    }
    fl_buf_fini(&again);
    fl_shared_unref(frames);
    fl_shared_unref(message);
    fl_deflate_fini(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    flamenco_str offers = fuzz_line(&data, &size);
    const char *answer = fl_deflate_answer(offers);
    FUZZ_MUST(answer == NULL || strncmp(answer, "permessage-deflate; client_no_context_takeover", 46) == 0);
    unpack(fuzz_rest(data, size));
    pack(fuzz_rest(data, size));
    return 0;
}
