/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.c - see arena.h. A chain of blocks that double up to 1 MiB. Bytes are zeroed when they are handed out, and only
 * where they may be dirty: copies and formatted texts pay nothing, and large fresh blocks come zeroed from the kernel.
 * Under AddressSanitizer, what was not handed out is poisoned, with a red zone behind each allocation.
 */
#include "core/base/arena.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(ptr, len) ASAN_POISON_MEMORY_REGION(ptr, len)
#define UNPOISON(ptr, len) ASAN_UNPOISON_MEMORY_REGION(ptr, len)
#define RED_ZONE ((size_t)16)
#else
#define POISON(ptr, len) ((void)(ptr), (void)(len))
#define UNPOISON(ptr, len) ((void)(ptr), (void)(len))
#define RED_ZONE ((size_t)0)
#endif

#define ALIGNMENT ((size_t)16)
#define FIRST_BLOCK ((size_t)4096)
#define MAX_BLOCK ((size_t)1 << 20)
/* From here on malloc maps fresh pages, which calloc knows to be zero already. */
#define ZERO_PAGES_FROM ((size_t)128 << 10)

typedef struct block {
    struct block *next;
    size_t size, used;
    size_t dirty; /* the bytes in front of this offset may hold something else than zero */
    _Alignas(16) unsigned char bytes[];
} block;

struct fl_arena {
    block *current; /* new allocations are tried here; the rest of the chain hangs behind it */
    block *first; /* survives a reset */
    size_t next_size; /* of the block to come */
    size_t total;
};

_Static_assert(_Alignof(max_align_t) <= 16, "arena allocations are aligned to 16 bytes");

static size_t round_up(size_t size)
{
    return (size + (ALIGNMENT - 1)) & ~(ALIGNMENT - 1);
}

static block *make_block(size_t size)
{
    if (size > SIZE_MAX - sizeof(block))
        return NULL;
    block *b;
    if (size >= ZERO_PAGES_FROM) {
        b = calloc(1, sizeof(block) + size);
        if (b == NULL)
            return NULL;
        b->dirty = 0;
    } else {
        b = malloc(sizeof(block) + size);
        if (b == NULL)
            return NULL;
        b->dirty = size;
    }
    b->next = NULL;
    b->size = size;
    b->used = 0;
    POISON(b->bytes, size);
    return b;
}

static void free_block(block *b)
{
    UNPOISON(b->bytes, b->size);
    free(b);
}

fl_arena *fl_arena_create(size_t first)
{
    if (first == 0)
        first = FIRST_BLOCK;
    if (first > SIZE_MAX / 2)
        return NULL;
    fl_arena *arena = malloc(sizeof(*arena));
    if (arena == NULL)
        return NULL;
    first = round_up(first);
    arena->first = make_block(first);
    if (arena->first == NULL) {
        free(arena);
        return NULL;
    }
    arena->current = arena->first;
    arena->next_size = first < MAX_BLOCK ? first * 2 : MAX_BLOCK;
    arena->total = first;
    return arena;
}

void fl_arena_destroy(fl_arena *arena)
{
    if (arena == NULL)
        return;
    for (block *b = arena->current; b != NULL;) {
        block *next = b->next;
        free_block(b);
        b = next;
    }
    free(arena);
}

void fl_arena_reset(fl_arena *arena)
{
    for (block *b = arena->current; b != NULL;) {
        block *next = b->next;
        if (b != arena->first)
            free_block(b);
        b = next;
    }
    block *first = arena->first;
    if (first->dirty < first->used)
        first->dirty = first->used;
    first->used = 0;
    first->next = NULL;
    POISON(first->bytes, first->size);
    arena->current = first;
    arena->next_size = first->size < MAX_BLOCK ? first->size * 2 : MAX_BLOCK;
    arena->total = first->size;
}

/* Adds a block with room for `step` bytes and returns it. A request that would fill a good part of a block gets one of
 * its own, behind the current block, so that the room left in that one is not given up. */
static block *add_block(fl_arena *arena, size_t step)
{
    int own = step > arena->next_size / 4;
    block *b = make_block(own ? step : arena->next_size);
    if (b == NULL)
        return NULL;
    arena->total += b->size;
    if (own) {
        b->next = arena->current->next;
        arena->current->next = b;
        return b;
    }
    b->next = arena->current;
    arena->current = b;
    arena->next_size = arena->next_size < MAX_BLOCK / 2 ? arena->next_size * 2 : MAX_BLOCK;
    return b;
}

/* Hands out `size` bytes; the first *dirty_out of them may hold anything, the rest is zero. */
static void *take(fl_arena *arena, size_t size, size_t *dirty_out)
{
    if (arena == NULL || size > SIZE_MAX / 2)
        return NULL;
    size_t step = round_up(size > 0 ? size : 1) + RED_ZONE;
    block *b = arena->current;
    if (b->size - b->used < step) {
        b = add_block(arena, step);
        if (b == NULL)
            return NULL;
    }
    unsigned char *out = b->bytes + b->used;
    size_t dirty = b->dirty > b->used ? b->dirty - b->used : 0;
    *dirty_out = dirty < size ? dirty : size;
    UNPOISON(out, size > 0 ? size : 1);
    b->used += step;
    return out;
}

void *fl_arena_alloc(fl_arena *arena, size_t size)
{
    size_t dirty;
    void *out = take(arena, size, &dirty);
    if (out != NULL && dirty > 0)
        memset(out, 0, dirty);
    return out;
}

flamenco_str fl_arena_copy(fl_arena *arena, flamenco_str text)
{
    flamenco_str none = { NULL, 0 };
    size_t dirty;
    if (text.len >= SIZE_MAX)
        return none;
    char *out = take(arena, (size_t)text.len + 1, &dirty);
    if (out == NULL)
        return none;
    if (text.len > 0)
        memcpy(out, text.ptr, (size_t)text.len);
    out[text.len] = '\0';
    return (flamenco_str){ out, text.len };
}

flamenco_str fl_arena_printf(fl_arena *arena, const char *fmt, ...)
{
    flamenco_str none = { NULL, 0 };
    char small[256];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, args);
    va_end(args);
    if (n < 0)
        return none;
    size_t len = (size_t)n, dirty;
    if (len < sizeof(small))
        return fl_arena_copy(arena, (flamenco_str){ small, len });
    char *out = take(arena, len + 1, &dirty);
    if (out == NULL)
        return none;
    va_start(args, fmt);
    n = vsnprintf(out, len + 1, fmt, args);
    va_end(args);
    if (n < 0)
        return none;
    return (flamenco_str){ out, len };
}

size_t fl_arena_size(const fl_arena *arena)
{
    return arena->total;
}
