/* SPDX-License-Identifier: Apache-2.0
 *
 * comments.c - libyaml drops comments, so they are looked for between the scalars that it tells the places of; there stand
 * only indicators, blanks and comments. Both files are read so, and matched key by key. See comments.h.
 */
#include "core/config/comments.h"

#include <yaml.h>

#include "core/base/str.h"
#include "core/config/yaml.h"

#define HEADER_LINES 6 /* that a manager puts on top */
#define NOTES_MAX 20000u
#define KEYS_MAX 100000u
#define PATH_BYTES 1024u
#define IN_A_KEY '\x1f' /* between the parts of a path */

enum { ABOVE, BEHIND, BLANK };

typedef struct key {
    struct key *next;
    size_t at; /* where it stands, in bytes */
    uint64_t path; /* hash of the keys above it and its own, without places in lists */
    uint64_t parent; /* hash of those above the list item that it is in */
    struct item *item; /* that it is in; NULL = none */
    int heads_item; /* the first key of it */
} key;

/* A map in a list: a value of a variable. */
typedef struct item {
    uint64_t id; /* hash of audience and platforms */
    uint64_t audience, platforms;
} item;

typedef struct note {
    struct note *next;
    size_t at;
    int kind;
    flamenco_str text; /* from '#' on */
    const key *owner; /* NULL: of the end of the file */
} note;

typedef struct level {
    int is_map, wants_key;
    size_t path_len; /* of the path to this level */
    item *item; /* that this level is in */
} level;

typedef struct scan {
    fl_arena *arena;
    flamenco_str text;
    key *keys, **last_key;
    note *notes, **last_note;
    size_t n_keys, n_notes;
    /* While reading. */
    size_t chars, bytes; /* the same place, counted twice */
    size_t gap; /* where the last scalar ended */
    level levels[FL_YAML_DEPTH_MAX + 1];
    size_t depth;
    char path[PATH_BYTES];
    size_t path_len, item_path_len;
    item *fresh_item; /* just begun, without a key yet */
} scan;

static uint64_t hash_more(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; ++i)
        hash = (hash ^ p[i]) * 1099511628211u;
    return hash;
}

static uint64_t hash_of(const void *data, size_t len)
{
    return hash_more(1469598103934665603u, data, len);
}

/* ---- Notes: what stands between two scalars ------------------------------------------------------------------------- */

static int32_t add_note(scan *s, int kind, size_t at, flamenco_str text)
{
    if (s->n_notes >= NOTES_MAX)
        return FLAMENCO_E_INVALID;
    note *n = fl_arena_alloc(s->arena, sizeof(*n));
    if (n == NULL)
        return FLAMENCO_E_NOMEM;
    *n = (note){ .at = at, .kind = kind, .text = text };
    *s->last_note = n;
    s->last_note = &n->next;
    ++s->n_notes;
    return FLAMENCO_OK;
}

/* Finds the line's beginning. */
static size_t line_start(flamenco_str text, size_t at)
{
    while (at > 0 && text.ptr[at - 1] != '\n')
        --at;
    return at;
}

static int is_blank(const char *from, const char *to)
{
    for (; from < to; ++from)
        if (*from != ' ' && *from != '\t' && *from != '\r')
            return 0;
    return 1;
}

/* Reads the text between two places. */
static int32_t read_gap(scan *s, size_t from, size_t to)
{
    int32_t rc = FLAMENCO_OK;
    const char *p = s->text.ptr;
    for (size_t i = from; i < to && rc == FLAMENCO_OK;) {
        size_t end = i, start = line_start(s->text, i);
        while (end < to && p[end] != '\n')
            ++end;
        size_t hash = i;
        while (hash < end && (p[hash] != '#' || (hash > start && p[hash - 1] != ' ' && p[hash - 1] != '\t')))
            ++hash;
        if (hash < end)
            rc = add_note(s, is_blank(p + start, p + hash) ? ABOVE : BEHIND, hash,
                          fl_str_trim((flamenco_str){ p + hash, end - hash }));
        else if (end < to && i == start && is_blank(p + i, p + end))
            rc = add_note(s, BLANK, i, (flamenco_str){ NULL, 0 });
        i = end + 1;
    }
    return rc;
}

/* ---- Keys ------------------------------------------------------------------------------------------------------------- */

/* libyaml counts characters. Places are asked for in ascending order. */
static size_t to_bytes(scan *s, size_t chars)
{
    while (s->chars < chars && s->bytes < s->text.len) {
        ++s->bytes;
        while (s->bytes < s->text.len && ((unsigned char)s->text.ptr[s->bytes] & 0xC0) == 0x80)
            ++s->bytes;
        ++s->chars;
    }
    return s->bytes;
}

static int32_t add_key(scan *s, size_t at, flamenco_str name)
{
    level *in = &s->levels[s->depth - 1];
    s->path_len = in->path_len;
    if (s->n_keys >= KEYS_MAX || s->path_len + name.len + 1 > sizeof(s->path))
        return FLAMENCO_E_INVALID;
    if (name.len > 0)
        memcpy(s->path + s->path_len, name.ptr, (size_t)name.len);
    s->path_len += (size_t)name.len;
    s->path[s->path_len++] = IN_A_KEY;
    key *k = fl_arena_alloc(s->arena, sizeof(*k));
    if (k == NULL)
        return FLAMENCO_E_NOMEM;
    *k = (key){ .at = at,
                .path = hash_of(s->path, s->path_len),
                .parent = hash_of(s->path, s->item_path_len),
                .item = in->item,
                .heads_item = in->item != NULL && in->item == s->fresh_item };
    s->fresh_item = NULL;
    *s->last_key = k;
    s->last_key = &k->next;
    ++s->n_keys;
    return FLAMENCO_OK;
}

/* Notes what a value of a variable is known by. */
static void take_identity(scan *s, flamenco_str value)
{
    const level *in = &s->levels[s->depth - 1];
    const level *holder = in->is_map || s->depth < 2 ? in : in - 1;
    flamenco_str rest = { s->path + holder->path_len, s->path_len - holder->path_len };
    if (holder->item == NULL)
        return;
    if (fl_str_is(rest, "audience\x1f") && value.len > 0 && !fl_str_is(value, "all"))
        holder->item->audience = hash_of(value.ptr, (size_t)value.len);
    else if (fl_str_is(rest, "platform\x1f") || fl_str_is(rest, "platforms\x1f"))
        holder->item->platforms += hash_of(value.ptr, (size_t)value.len); /* in any order */
}

static int32_t begin_level(scan *s, int is_map)
{
    if (s->depth > FL_YAML_DEPTH_MAX)
        return FLAMENCO_E_INVALID;
    const level *above = s->depth > 0 ? &s->levels[s->depth - 1] : NULL;
    item *in = above != NULL ? above->item : NULL;
    if (is_map && above != NULL && !above->is_map && in == NULL) {
        in = fl_arena_alloc(s->arena, sizeof(*in));
        if (in == NULL)
            return FLAMENCO_E_NOMEM;
        s->fresh_item = in;
        s->item_path_len = s->path_len;
    }
    s->levels[s->depth++] = (level){ .is_map = is_map, .wants_key = is_map, .path_len = s->path_len, .item = in };
    return FLAMENCO_OK;
}

/* A value is complete: the map that it is in wants a key again. */
static void end_value(scan *s)
{
    if (s->depth == 0)
        return;
    level *in = &s->levels[s->depth - 1];
    in->wants_key = in->is_map;
    if (in->is_map)
        s->path_len = in->path_len;
}

static int32_t take_scalar(scan *s, const yaml_event_t *event, flamenco_str value)
{
    size_t from = to_bytes(s, event->start_mark.index), to;
    int32_t rc = read_gap(s, s->gap, from);
    s->gap = to = to_bytes(s, event->end_mark.index);
    if (rc != FLAMENCO_OK || s->depth == 0 || to < from)
        return rc;
    level *in = &s->levels[s->depth - 1];
    if (in->wants_key) {
        in->wants_key = 0;
        return add_key(s, from, value);
    }
    take_identity(s, value);
    end_value(s);
    return FLAMENCO_OK;
}

static int32_t take_event(scan *s, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(s, event,
                           (flamenco_str){ (const char *)event->data.scalar.value, event->data.scalar.length });
    case YAML_ALIAS_EVENT:
        return take_scalar(s, event, FL_STR(""));
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        /* A map as a key: not in any file of ours. */
        if (s->depth > 0 && s->levels[s->depth - 1].wants_key)
            return FLAMENCO_E_INVALID;
        return begin_level(s, event->type == YAML_MAPPING_START_EVENT);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        if (s->depth > 0)
            s->path_len = s->levels[--s->depth].path_len;
        end_value(s);
        return FLAMENCO_OK;
    default:
        return FLAMENCO_OK;
    }
}

/* Reads a text into keys and notes. */
static int32_t read_text(scan *s, fl_arena *arena, flamenco_str text)
{
    yaml_parser_t parser;
    yaml_event_t event;
    int32_t rc = FLAMENCO_OK;
    memset(s, 0, sizeof(*s));
    s->arena = arena;
    s->text = text;
    s->last_key = &s->keys;
    s->last_note = &s->notes;
    if (!yaml_parser_initialize(&parser))
        return FLAMENCO_E_NOMEM;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, (size_t)text.len);
    for (int end = 0; !end && rc == FLAMENCO_OK;) {
        if (!yaml_parser_parse(&parser, &event)) {
            rc = parser.error == YAML_MEMORY_ERROR ? FLAMENCO_E_NOMEM : FLAMENCO_E_INVALID;
            break;
        }
        /* Later documents are nobody's. */
        end = event.type == YAML_STREAM_END_EVENT || event.type == YAML_DOCUMENT_END_EVENT;
        rc = take_event(s, &event);
        if (end && rc == FLAMENCO_OK)
            rc = read_gap(s, s->gap, to_bytes(s, event.start_mark.index));
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    for (key *k = s->keys; k != NULL; k = k->next)
        if (k->item != NULL)
            k->item->id = hash_more(k->item->audience + 1, &k->item->platforms, sizeof(k->item->platforms));
    return rc;
}

/* ---- Whose is it? ------------------------------------------------------------------------------------------------------- */

/* Tells whether a text has a time such as 2026-03-04 05:06:07 +01:00 in it. */
static int has_time(flamenco_str text)
{
    static const char form[] = "0000-00-00 00:00:00 ";
    for (uint64_t i = 0; i + sizeof(form) <= text.len; ++i) {
        size_t k = 0;
        while (k < sizeof(form) - 1 &&
               (form[k] == '0' ? text.ptr[i + k] >= '0' && text.ptr[i + k] <= '9' : text.ptr[i + k] == form[k]))
            ++k;
        if (k == sizeof(form) - 1 && (text.ptr[i + k] == '+' || text.ptr[i + k] == '-'))
            return 1;
    }
    return 0;
}

/* Passes over the lines that a manager wrote on top. */
static note *skip_header(note *first)
{
    note *n = first;
    int timed = 0;
    for (int i = 0; i < HEADER_LINES; ++i, n = n->next) {
        if (n == NULL || n->kind != ABOVE)
            return first;
        timed |= has_time(n->text);
    }
    if (!timed)
        return first;
    return n != NULL && n->kind == BLANK ? n->next : n;
}

/* Finds for each note the key that it belongs to. Returns the first note behind the block on top. */
static note *find_owners(scan *s, note *first)
{
    note *behind_top = first;
    const key *next = s->keys, *on_line = NULL;
    for (note *n = first; n != NULL; n = n->next) {
        size_t start = line_start(s->text, n->at);
        for (; next != NULL && next->at < n->at; next = next->next)
            if (next->at >= start && (on_line == NULL || on_line->at < start))
                on_line = next;
        if (n->kind == BEHIND && on_line != NULL && on_line->at >= start) {
            n->owner = on_line;
            continue;
        }
        if (n->kind == BEHIND)
            n->kind = ABOVE;
        n->owner = next;
        if (n->kind == BLANK && next == s->keys)
            behind_top = n->next;
    }
    return behind_top;
}

static int is_same(const key *a, const key *b)
{
    return a->path == b->path && (a->item != NULL) == (b->item != NULL) &&
           (a->item == NULL || a->item->id == b->item->id);
}

/* A comment above an item belongs to the item, whatever its first key is. */
static int begins_same_item(const key *a, const key *b)
{
    return a->heads_item && b->heads_item && a->parent == b->parent && a->item->id == b->item->id;
}

/* ---- Out ------------------------------------------------------------------------------------------------------------------ */

/* A comment as one line: what YAML takes for a line break becomes a blank. */
static void write_comment(fl_buf *out, flamenco_str text)
{
    for (uint64_t i = 0; i < text.len; ++i) {
        const unsigned char *p = (const unsigned char *)text.ptr + i;
        uint64_t left = text.len - i;
        if (*p == '\r' || (left > 1 && p[0] == 0xC2 && p[1] == 0x85) ||
            (left > 2 && p[0] == 0xE2 && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9))) {
            fl_buf_add_char(out, ' ');
            i += *p == '\r' ? 0 : *p == 0xC2 ? 1 : 2;
        } else {
            fl_buf_add_char(out, (char)*p);
        }
    }
}

/* Writes a block of notes, from `from` up to `to`, those of `owner` alone; at most one blank line in a row. */
static void write_block(fl_buf *out, const note *from, const note *to, const key *owner, size_t indent)
{
    for (const note *n = from; n != to; n = n->next) {
        if (n->owner != owner || n->kind == BEHIND)
            continue;
        int after_blank = out->len >= 2 && out->data[out->len - 1] == '\n' && out->data[out->len - 2] == '\n';
        if (n->kind == BLANK) {
            if (!after_blank)
                fl_buf_add_char(out, '\n');
            continue;
        }
        for (size_t i = 0; i < indent; ++i)
            fl_buf_add_char(out, ' ');
        write_comment(out, n->text);
        fl_buf_add_char(out, '\n');
    }
}

/* Writes one line of the new file with what belongs to the key that begins it. */
static void write_line(fl_buf *out, const note *notes, flamenco_str line, const key *k)
{
    size_t indent = 0;
    while (indent < line.len && line.ptr[indent] == ' ')
        ++indent;
    /* Notes are few beside keys, but a repeated key may have some at each place. */
    const key *done = NULL;
    for (const note *n = notes; k != NULL && n != NULL; n = n->next) {
        if (n->kind == BEHIND || n->owner == NULL || n->owner == done)
            continue;
        if (n->owner->heads_item ? begins_same_item(n->owner, k) : is_same(n->owner, k)) {
            done = n->owner;
            write_block(out, n, NULL, done, indent);
        }
    }
    fl_buf_add_str(out, line);
    for (const note *n = notes; k != NULL && n != NULL; n = n->next) {
        if (n->kind == BEHIND && is_same(n->owner, k)) {
            fl_buf_add_char(out, ' ');
            write_comment(out, n->text);
        }
    }
    fl_buf_add_char(out, '\n');
}

int32_t fl_comments_keep(fl_arena *arena, flamenco_str old, flamenco_str fresh, fl_buf *out)
{
    scan *from = fl_arena_alloc(arena, sizeof(*from)), *to = fl_arena_alloc(arena, sizeof(*to));
    if (from == NULL || to == NULL)
        return FLAMENCO_E_NOMEM;
    if (fl_str_starts(old, "\xEF\xBB\xBF"))
        old = (flamenco_str){ old.ptr + 3, old.len - 3 };
    if (old.len == 0)
        return FLAMENCO_E_INVALID;
    int32_t rc = read_text(from, arena, old);
    if (rc == FLAMENCO_OK)
        rc = read_text(to, arena, fresh);
    if (rc != FLAMENCO_OK)
        return rc;
    note *first = skip_header(from->notes), *notes = find_owners(from, first);
    if (first == NULL)
        return FLAMENCO_E_INVALID;
    const key *k = to->keys;
    flamenco_str rest = fresh, line;
    while (fl_str_split(&rest, '\n', &line)) {
        size_t start = (size_t)(line.ptr - fresh.ptr);
        const key *begins = NULL;
        if (rest.ptr == NULL && line.len == 0)
            break;
        for (; k != NULL && k->at < start + line.len; k = k->next)
            if (begins == NULL)
                begins = k;
        if (begins == to->keys && begins != NULL)
            write_block(out, first, notes, from->keys, 0);
        write_line(out, notes, line, begins);
    }
    write_block(out, notes, NULL, NULL, 0);
    return out->failed ? FLAMENCO_E_NOMEM : FLAMENCO_OK;
}
