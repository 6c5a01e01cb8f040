/* SPDX-License-Identifier: Apache-2.0
 *
 * packed.c - see packed.h.
 */
#include "core/api/packed.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/http/http.h"

typedef struct entry {
    flamenco_buf *plain, *small; /* both NULL: free */
    uint64_t used; /* when, as a count of uses */
} entry;

struct fl_packed {
    pthread_mutex_t lock; /* of all below; nothing is packed or compared under it */
    entry entries[FL_PACKED_ENTRIES];
    uint64_t uses;
    uint64_t bytes; /* of `plain` in all */
};

fl_packed *fl_packed_create(void)
{
    fl_packed *packed = calloc(1, sizeof(*packed));
    if (packed != NULL && pthread_mutex_init(&packed->lock, NULL) != 0) {
        free(packed);
        packed = NULL;
    }
    return packed;
}

static void forget(fl_packed *packed, entry *e)
{
    if (e->plain != NULL)
        packed->bytes -= fl_shared_str(e->plain).len;
    fl_shared_unref(e->plain);
    fl_shared_unref(e->small);
    *e = (entry){ NULL, NULL, 0 };
}

void fl_packed_destroy(fl_packed *packed)
{
    if (packed == NULL)
        return;
    for (size_t i = 0; i < FL_PACKED_ENTRIES; ++i)
        forget(packed, &packed->entries[i]);
    pthread_mutex_destroy(&packed->lock);
    free(packed);
}

static flamenco_buf *find(fl_packed *packed, const flamenco_buf *plain)
{
    entry found[FL_PACKED_ENTRIES];
    size_t n = 0;
    flamenco_buf *small = NULL;
    pthread_mutex_lock(&packed->lock);
    for (size_t i = 0; i < FL_PACKED_ENTRIES; ++i) {
        entry *e = &packed->entries[i];
        if (e->plain == NULL || fl_shared_str(e->plain).len != fl_shared_str(plain).len)
            continue;
        fl_shared_ref(e->plain);
        fl_shared_ref(e->small);
        e->used = ++packed->uses;
        found[n++] = *e;
    }
    pthread_mutex_unlock(&packed->lock);
    for (size_t i = 0; i < n; ++i) {
        if (small == NULL && flamenco_str_equal(fl_shared_str(found[i].plain), fl_shared_str(plain))) {
            small = found[i].small;
            fl_shared_ref(small);
        }
        fl_shared_unref(found[i].plain);
        fl_shared_unref(found[i].small);
    }
    return small;
}

static entry *oldest(fl_packed *packed, int taken)
{
    entry *best = NULL;
    for (size_t i = 0; i < FL_PACKED_ENTRIES; ++i) {
        entry *e = &packed->entries[i];
        if ((e->plain != NULL || !taken) && (best == NULL || e->used < best->used))
            best = e;
    }
    return best;
}

static void keep(fl_packed *packed, flamenco_buf *plain, flamenco_buf *small)
{
    uint64_t len = fl_shared_str(plain).len;
    if (len > FL_PACKED_BYTES)
        return;
    pthread_mutex_lock(&packed->lock);
    while (packed->bytes + len > FL_PACKED_BYTES)
        forget(packed, oldest(packed, 1));
    entry *e = oldest(packed, 0); /* free ones were never used */
    forget(packed, e);
    fl_shared_ref(plain);
    fl_shared_ref(small);
    *e = (entry){ plain, small, ++packed->uses };
    packed->bytes += len;
    pthread_mutex_unlock(&packed->lock);
}

flamenco_buf *fl_packed_gzip(fl_packed *packed, flamenco_buf *plain)
{
    flamenco_buf *small = packed != NULL ? find(packed, plain) : NULL;
    if (small != NULL)
        return small;
    small = fl_http_gzip(plain);
    if (small != NULL && packed != NULL)
        keep(packed, plain, small);
    return small;
}
