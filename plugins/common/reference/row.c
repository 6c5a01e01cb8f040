/* SPDX-License-Identifier: Apache-2.0
 *
 * row.c - values of a row of the reference's, mended where they have to be, and the keys of the rows that were stored.
 */
#include "import.h"

#include <stdlib.h>

#include "values.h"

#define BLOCK_BYTES (UINT64_C(1) << 18)

/* ---- Memory ---- */

/* NULL when memory is exhausted. */
static char *take(fl_import *im, uint64_t n)
{
    fl_block *block = im->blocks;
    if (block == NULL || block->room - block->used < n) {
        uint64_t room = n > BLOCK_BYTES ? n : BLOCK_BYTES;
        block = im->host->alloc(im->host->h, sizeof(*block) + room);
        if (block == NULL)
            return NULL;
        *block = (fl_block){ .next = im->blocks, .room = room };
        im->blocks = block;
    }
    char *out = block->bytes + block->used;
    block->used += n;
    return out;
}

void fl_texts_drop(fl_import *im)
{
    while (im->blocks != NULL && (im->blocks->next != NULL || im->blocks->room > BLOCK_BYTES)) {
        fl_block *next = im->blocks->next;
        im->host->free(im->host->h, im->blocks);
        im->blocks = next;
    }
    if (im->blocks != NULL)
        im->blocks->used = 0; /* one is kept for the next rows */
}

flamenco_str fl_row_keep(fl_row *row, flamenco_str text)
{
    flamenco_str out = { NULL, 0 };
    if (row->rc != FLAMENCO_OK || text.len == 0)
        return out;
    int good = fl_value_is_utf8(text);
    char *copy = take(row->im, good ? text.len : 3 * text.len);
    if (copy == NULL) {
        row->rc = fl_import_nomem(row->im);
        return out;
    }
    out.ptr = copy;
    out.len = text.len;
    if (good) {
        memcpy(copy, text.ptr, text.len);
    } else {
        fl_note_add(row->im, FL_NOTE_TEXT, row->table, row->id);
        out.len = fl_value_mend_utf8(text, copy);
    }
    return out;
}

/* ---- Columns ---- */

int fl_row_is_null(const fl_row *row, int at)
{
    return sqlite3_column_type(row->st, at) == SQLITE_NULL;
}

flamenco_str fl_row_bytes(fl_row *row, int at)
{
    flamenco_str out = { NULL, 0 };
    out.ptr = sqlite3_column_type(row->st, at) == SQLITE_BLOB ? sqlite3_column_blob(row->st, at)
                                                              : (const char *)sqlite3_column_text(row->st, at);
    out.len = out.ptr != NULL ? (uint64_t)sqlite3_column_bytes(row->st, at) : 0;
    if (out.ptr == NULL && row->rc == FLAMENCO_OK && sqlite3_errcode(row->im->source.db) == SQLITE_NOMEM)
        row->rc = fl_import_nomem(row->im);
    return out;
}

flamenco_str fl_row_text(fl_row *row, int at)
{
    return fl_row_keep(row, fl_row_bytes(row, at));
}

int64_t fl_row_int(fl_row *row, int at, int64_t none, int64_t min, int64_t max)
{
    if (fl_row_is_null(row, at))
        return none;
    int64_t value = sqlite3_column_int64(row->st, at);
    if (value >= min && value <= max)
        return value;
    fl_note_add(row->im, FL_NOTE_NUMBER, row->table, row->id);
    return value < min ? min : max;
}

int fl_row_bool(fl_row *row, int at)
{
    if (sqlite3_column_type(row->st, at) != SQLITE_TEXT)
        return sqlite3_column_double(row->st, at) != 0;
    /* Older releases wrote words at times. */
    flamenco_str text = fl_row_bytes(row, at);
    return text.len > 0 && strchr("1tTyY", text.ptr[0]) != NULL;
}

int64_t fl_row_time(fl_row *row, int at)
{
    int64_t out = FLAMENCO_TIME_NONE;
    if (!fl_value_time(fl_row_bytes(row, at), &out))
        fl_note_add(row->im, FL_NOTE_TIME, row->table, row->id);
    return out;
}

flamenco_uuid fl_row_new_uuid(fl_row *row)
{
    flamenco_uuid out = { { 0 } };
    fl_note_add(row->im, FL_NOTE_UUID, row->table, row->id);
    int32_t rc = row->im->host->uuid_make(row->im->host->h, 4, &out);
    if (rc != FLAMENCO_OK && row->rc == FLAMENCO_OK)
        row->rc = flamenco_fail(row->im->err, rc, "no UUID can be made");
    return out;
}

flamenco_uuid fl_row_uuid(fl_row *row, int at)
{
    static const flamenco_uuid none = { { 0 } };
    flamenco_uuid out = none;
    if (row->im->host->uuid_parse(fl_row_bytes(row, at), &out) != FLAMENCO_OK || memcmp(&out, &none, sizeof(out)) == 0)
        out = fl_row_new_uuid(row);
    return out;
}

/* ---- Keys ---- */

int32_t fl_keys_add(fl_import *im, fl_keys *keys, int64_t id, int64_t key)
{
    if (keys->n == keys->room) {
        uint64_t room = keys->room > 0 ? 2 * keys->room : 64;
        fl_key *rows = im->host->alloc(im->host->h, room * sizeof(*rows));
        if (rows == NULL)
            return fl_import_nomem(im);
        if (keys->n > 0)
            memcpy(rows, keys->rows, keys->n * sizeof(*rows));
        im->host->free(im->host->h, keys->rows);
        keys->rows = rows;
        keys->room = room;
    }
    keys->rows[keys->n++] = (fl_key){ id, key };
    return FLAMENCO_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const fl_key *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

int64_t fl_keys_find(const fl_keys *keys, int64_t id)
{
    const fl_key wanted = { id, 0 };
    const fl_key *found = keys->n > 0 ? bsearch(&wanted, keys->rows, keys->n, sizeof(wanted), compare_keys) : NULL;
    return found != NULL ? found->key : 0;
}
