/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h - memory that is freed all at once. One arena per request or step; whoever makes it destroys it.
 * Not thread-safe: an arena belongs to one call chain at a time.
 */
#ifndef FL_ARENA_H
#define FL_ARENA_H

#include "flamenco/plugin.h"

typedef struct fl_arena fl_arena;

/* Makes an arena whose first block holds `first` bytes (0 = 4 KiB). Returns NULL when memory is exhausted. */
fl_arena *fl_arena_create(size_t first);

/* Frees the arena and everything in it. Accepts NULL. */
void fl_arena_destroy(fl_arena *arena);

/* Forgets all allocations but keeps the first block, for reuse by the next request. */
void fl_arena_reset(fl_arena *arena);

/* Allocates `size` zeroed bytes, aligned for any type. Returns NULL when memory is exhausted. For this function and the next
 * two, `arena` may be NULL: one that could not be made, so memory is exhausted. */
void *fl_arena_alloc(fl_arena *arena, size_t size) __attribute__((malloc, alloc_size(2)));

/* Copies text into the arena, with a NUL behind it that is not counted. ptr is NULL when memory is exhausted. */
flamenco_str fl_arena_copy(fl_arena *arena, flamenco_str text);

/* Formats into the arena. The result is NUL-terminated; ptr is NULL when memory is exhausted. */
flamenco_str fl_arena_printf(fl_arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Bytes that the arena holds, used or not. */
size_t fl_arena_size(const fl_arena *arena);

#endif
