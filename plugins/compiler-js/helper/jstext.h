/* SPDX-License-Identifier: Apache-2.0
 *
 * jstext.h - texts between UTF-8 and the engine. Used by engine.c and natives.c.
 */
#ifndef FL_JSTEXT_H
#define FL_JSTEXT_H

#include "../wire.h"

#include <JavaScriptCore/JavaScript.h>

/* Makes an engine string. The text may hold NULs; bytes that are no UTF-8 become U+FFFD. Never NULL: exits without memory. */
JSStringRef fl_jstext_make(flamenco_str text);
/* The same as a value. */
JSValueRef fl_jstext_value(JSContextRef ctx, flamenco_str text);

#define FL_JSTEXT_PLAIN 0
#define FL_JSTEXT_JSON 1 /* escapes `<`, `>`, `&`, U+2028 and U+2029 as the API does */

/* Writes the texts of n values, one behind the other, into a frame as one: length and bytes. A half of a surrogate pair is
 * written as U+FFFD. Returns 0 when a value has no text form (*exception then says why) or it does not fit (out->failed). */
int fl_jstext_put(fl_wire_out *out, JSContextRef ctx, size_t n, const JSValueRef *values, int form,
                  JSValueRef *exception);

#endif
