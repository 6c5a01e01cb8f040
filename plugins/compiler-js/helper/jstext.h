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

/* Writes the value's text into a frame: length and bytes. A half of a surrogate pair is written as U+FFFD. Returns 0 when
 * the value has no text form (*exception then says why) or does not fit (out->failed). */
int fl_jstext_put(fl_wire_out *out, JSContextRef ctx, JSValueRef value, int form, JSValueRef *exception);

/* The same in pieces: begin, whose result end() wants, then bytes of any kind, then end. add() writes a value's text as one
 * of them. */
size_t fl_jstext_begin(fl_wire_out *out);
int fl_jstext_add(fl_wire_out *out, JSContextRef ctx, JSValueRef value, int form, JSValueRef *exception);
int fl_jstext_end(fl_wire_out *out, size_t begin);

#endif
