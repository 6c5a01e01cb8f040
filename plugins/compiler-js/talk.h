/* SPDX-License-Identifier: Apache-2.0
 *
 * talk.h - one order to a helper: sends it, answers the helper's questions, checks what comes back, and guards the limits.
 * Called by compiler.c on the caller's thread.
 */
#ifndef FL_TALK_H
#define FL_TALK_H

#include "flamenco/job_compiler.h"

#include "assembly.h"
#include "catalogue.h"
#include "pool.h"

typedef struct fl_limits {
    int64_t time_us;
    uint64_t memory_bytes;
    uint64_t output_bytes;
    uint64_t tasks;
} fl_limits;

typedef struct fl_talk {
    /* Set by the caller; the rest is zero. */
    fl_pool *pool;
    fl_catalogue *catalogue;
    const fl_limits *limits;
    flamenco_cx *cx;
    fl_script *script;
    const flamenco_compile_sink *sink; /* NULL while a script is described: its lines go to the log */

    /* The outcome. */
    char *json; /* describe: the canonical JSON; owned by the caller */
    size_t json_len;
    uint32_t problem; /* INVALID: 1 + FL_WIRE_PROBLEM_*, or 0 when a limit was reached */
    uint32_t line, column;
    int killed; /* UNAVAILABLE: somebody killed the helper before it had said a word */

    /* Inner. */
    fl_helper *helper;
    uint64_t number;
    fl_wire_out out;
    size_t sent;
    uint8_t *in;
    size_t in_start, in_len, in_cap;
    uint64_t received;
    int64_t waited_us;
    uint32_t logs;
    int ended;
    fl_assembly assembly;
} fl_talk;

/* Asks for the script's job type. INVALID: it is broken; the text says why. CANCELLED, DEADLINE, FULL, UNAVAILABLE, NOMEM,
 * INTERNAL. */
int32_t fl_talk_describe(fl_talk *talk, flamenco_error *err);
/* Compiles. The request is complete: uuid and times are set. Errors as above and those of the sink. */
int32_t fl_talk_compile(fl_talk *talk, const flamenco_compile_request *request, flamenco_error *err);

/* Reports a script's problem to the sink, if there is one, and fills err: "message (script:line)". Returns INVALID. */
int32_t fl_talk_refuse(const flamenco_compile_sink *sink, flamenco_str message, flamenco_str place, uint32_t line,
                       uint32_t column, flamenco_error *err);

#endif
