/* SPDX-License-Identifier: Apache-2.0
 *
 * json_read.h - the fast way into a JSON tree: reads what programs write, and leaves all else to the library's parser. Used
 * by json_in.c.
 *
 * Why there are two: the library's lexer takes every byte through several functions, some 100 instructions each, and a task
 * update is mostly log text: 29 % of all instructions of a task of 7 requests, where this needs less than 3 %.
 */
#ifndef FL_API_JSON_READ_H
#define FL_API_JSON_READ_H

#include <jansson.h>

#include "core/base/arena.h"

/* Reads a body whose first value is an object. Returns a tree that equals the one of the parser, to be given to
 * json_decref; NULL: wrong or unusual (among that: reals, integers of 19 digits, surrogates, bytes that are not UTF-8, deep
 * nesting), or no memory; the parser tells which. Nothing of the tree is borrowed from the body or the arena. */
json_t *fl_json_read(flamenco_str body, fl_arena *arena);

#endif
