/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz.h - what every fuzz target has: one function that takes any bytes. With libFuzzer (meson option `fuzz`) it is called
 * with what the fuzzer thinks of, else replay.c calls it with the files of the corpus.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flamenco/plugin.h"

/* The fuzzer's name for it. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run as a finding when a result is not what it must be. */
#define FUZZ_MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

/* Takes what stands before the next newline off the front of the input; all of it when there is none. */
static inline flamenco_str fuzz_line(const uint8_t **data, size_t *size)
{
    const char *text = (const char *)*data;
    const char *newline = *size > 0 ? memchr(text, '\n', *size) : NULL;
    size_t len = newline != NULL ? (size_t)(newline - text) : *size;
    size_t used = newline != NULL ? len + 1 : len;
    *data += used;
    *size -= used;
    return (flamenco_str){ text, len };
}

static inline flamenco_str fuzz_rest(const uint8_t *data, size_t size)
{
    return (flamenco_str){ (const char *)data, size };
}

#endif
