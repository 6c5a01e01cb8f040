/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.h - the frames that the plugin and its helper process exchange over a socket pair. Used on both sides.
 *
 * A frame is a header of two uint32 (payload length, type) and the payload, in the byte order of the machine: both ends are
 * one build on one machine. Texts are a uint32 length and bytes. The reader of a payload never reads behind its end and
 * remembers any attempt, so a decoder reads all members first and asks once.
 */
#ifndef FL_WIRE_H
#define FL_WIRE_H

#include "flamenco/plugin.h"

#define FL_WIRE_VERSION 2u
#define FL_WIRE_HEADER 8u
#define FL_WIRE_PAYLOAD_MAX (64u << 20)
#define FL_WIRE_FD 3 /* the helper's end */

/* Plugin to helper. */
#define FL_WIRE_INIT \
    1u /* u32 version, u32 sandbox, u32 jit, u32 frozen context, str × 3: platform, working directory, what
                               formatTimestampLocal gives for no time */
#define FL_WIRE_DESCRIBE 2u /* fl_wire_order, str type name */
#define FL_WIRE_COMPILE \
    3u /* fl_wire_order, i64 created_us, i32 priority, str × 8: uuid, tag, name, type, settings,
                               metadata, checkout */
#define FL_WIRE_SCRIPT 4u /* str text: the answer to NEED_SCRIPT */
#define FL_WIRE_MODULE \
    5u /* u32 found, str key, str place, str text (not found: the reason): the answer to NEED_MODULE */

/* Helper to plugin. */
#define FL_WIRE_HELLO 16u /* u32 version, u32 seccomp errno, u32 landlock errno, str path of the engine's library */
#define FL_WIRE_NEED_SCRIPT 17u /* u64 id */
#define FL_WIRE_NEED_MODULE 18u /* str key of the requiring file, str name */
#define FL_WIRE_LOG 19u /* u32 level, str text */
#define FL_WIRE_TYPE 20u /* str canonical JSON */
#define FL_WIRE_JOB \
    21u /* str uuid, i32 priority, str × 6: name, type, settings, metadata, tag, checkout; u64 tasks,
                                   u64 dependencies, i64 steps */
#define FL_WIRE_TASK 22u /* str uuid, i32 priority, i64 steps, str name, type, commands, u32 n, u32 × n */
#define FL_WIRE_PROBLEM 23u /* u32 kind, u32 line, u32 column, str script, str message */
#define FL_WIRE_END 24u /* u64 number of the request: always the last frame of an answer */

#define FL_WIRE_SANDBOX_OFF 0u
#define FL_WIRE_SANDBOX_ON 1u

#define FL_WIRE_PROBLEM_SCRIPT 0u /* the script threw */
#define FL_WIRE_PROBLEM_SYNTAX 1u /* it could not be parsed */

/* How the helper ends itself when a limit is reached while a script cannot be interrupted. */
#define FL_WIRE_EXIT_MEMORY 70
#define FL_WIRE_EXIT_TIME 71
#define FL_WIRE_EXIT_BROKEN 72 /* the plugin sent what it must not send */
#define FL_WIRE_EXIT_SANDBOX 73 /* the sandbox is required and cannot be made */

/* Bytes that grow. `failed` is sticky: memory was exhausted, or a frame grew beyond FL_WIRE_PAYLOAD_MAX. */
typedef struct fl_wire_out {
    uint8_t *data;
    size_t len, cap;
    size_t frame; /* where the open frame's header is */
    int failed;
} fl_wire_out;

void fl_wire_free(fl_wire_out *out);
/* Makes room for `more` bytes. Returns where they go, or NULL. fl_wire_out.len is left to the caller. */
uint8_t *fl_wire_room(fl_wire_out *out, size_t more);
void fl_wire_begin(fl_wire_out *out, uint32_t type);
void fl_wire_end(fl_wire_out *out);
/* Takes back what begin and the following calls have written. */
void fl_wire_drop(fl_wire_out *out);
void fl_wire_u32(fl_wire_out *out, uint32_t v);
void fl_wire_u64(fl_wire_out *out, uint64_t v);
void fl_wire_bytes(fl_wire_out *out, const void *bytes, size_t n);
void fl_wire_str(fl_wire_out *out, flamenco_str s);

/* What is left of a payload. `failed` is sticky: it was too short. */
typedef struct fl_wire_in {
    const uint8_t *at, *end;
    int failed;
} fl_wire_in;

uint32_t fl_wire_get_u32(fl_wire_in *in);
uint64_t fl_wire_get_u64(fl_wire_in *in);
/* Borrowed from the payload; empty when it is too short. */
flamenco_str fl_wire_get_str(fl_wire_in *in);
/* The next n bytes, not aligned; NULL when it is too short. */
const uint8_t *fl_wire_get_bytes(fl_wire_in *in, size_t n);
/* Tells whether everything was read and nothing was missing. */
int fl_wire_done(const fl_wire_in *in);

/* What DESCRIBE and COMPILE begin with. */
typedef struct fl_wire_order {
    uint64_t number;
    uint64_t script; /* its id: another text has another one */
    int64_t time_limit_us;
    uint64_t memory_limit; /* bytes above the level at the start */
    flamenco_str key; /* what `require` in this script resolves from */
    flamenco_str file; /* for error texts */
} fl_wire_order;

void fl_wire_put_order(fl_wire_out *out, const fl_wire_order *order);
void fl_wire_get_order(fl_wire_in *in, fl_wire_order *order);

#endif
