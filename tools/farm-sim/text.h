/* SPDX-License-Identifier: Apache-2.0
 * A growing byte buffer, for log text and JSON bodies. Zero-initialise it; fl_text_free() at the end. */
#ifndef FARM_SIM_TEXT_H
#define FARM_SIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fl_text {
    char *ptr; /* NUL-terminated once something was added */
    size_t len, room;
    bool failed; /* memory ran out: the text is incomplete */
} fl_text;

void fl_text_add(fl_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds a JSON string with its quotes, escaped as Go's encoder does (<, > and & too). bytes must be UTF-8. */
void fl_text_add_json(fl_text *t, const char *bytes, size_t len);
void fl_text_clear(fl_text *t);
void fl_text_free(fl_text *t);

#endif
