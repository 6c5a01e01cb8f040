/* SPDX-License-Identifier: Apache-2.0
 *
 * yaml.c - libyaml's events into our own tree. See yaml.h.
 */
#include "core/config/yaml.h"

#include <stdlib.h>
#include <yaml.h>

#include "core/base/str.h"
#include "core/config/file.h"

struct fl_yaml_doc {
    fl_arena *arena;
    const char *file;
    const fl_yaml_node *root;
};

typedef struct anchor {
    struct anchor *next;
    flamenco_str name;
    const fl_yaml_node *node;
} anchor;

typedef struct reader {
    yaml_parser_t parser;
    fl_yaml_doc *doc;
    fl_config_problems *problems;
    uint32_t flags;
    uint32_t nodes, anchors;
    anchor *first_anchor; /* newest first */
    int32_t rc;
} reader;

/* Children are gathered in a chain first: their number is known only at the end. */
typedef struct cell {
    struct cell *next;
    fl_yaml_pair pair; /* lists use .value */
} cell;

__attribute__((format(printf, 3, 4))) static void *fail_at(reader *r, uint32_t line, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fl_config_problem_add(r->problems, FLAMENCO_LOG_ERROR, r->doc->file, line, "%s", text);
    r->rc = FLAMENCO_E_INVALID;
    return NULL;
}

static void *fail_memory(reader *r)
{
    fl_config_problem_add(r->problems, FLAMENCO_LOG_ERROR, r->doc->file, 0, "out of memory");
    r->rc = FLAMENCO_E_NOMEM;
    return NULL;
}

/* Reports libyaml's own complaint. Errors of its reader (bad UTF-8) carry an offset instead of a line. */
static void fail_parser(reader *r, flamenco_str text)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        fail_memory(r);
        return;
    }
    uint32_t line = (uint32_t)p->problem_mark.line + 1;
    if (p->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < p->problem_offset && i < text.len; ++i)
            line += text.ptr[i] == '\n';
    }
    const char *problem = p->problem != NULL ? p->problem : "this is not YAML";
    if (p->context != NULL)
        fail_at(r, line, "%s %s", problem, p->context);
    else
        fail_at(r, line, "%s", problem);
}

static int next_event(reader *r, yaml_event_t *event, flamenco_str text)
{
    if (yaml_parser_parse(&r->parser, event))
        return 1;
    fail_parser(r, text);
    return 0;
}

static fl_yaml_node *new_node(reader *r, uint8_t kind, yaml_mark_t mark)
{
    if (++r->nodes > FL_YAML_NODES_MAX)
        return fail_at(r, (uint32_t)mark.line + 1, "more than %u values", FL_YAML_NODES_MAX);
    fl_yaml_node *node = fl_arena_alloc(r->doc->arena, sizeof(*node));
    if (node == NULL)
        return fail_memory(r);
    node->kind = kind;
    node->weight = 1;
    node->line = (uint32_t)mark.line + 1;
    node->column = (uint32_t)mark.column + 1;
    return node;
}

static const fl_yaml_node *find_anchor(reader *r, const char *name, yaml_mark_t mark, uint32_t depth)
{
    uint32_t line = (uint32_t)mark.line + 1;
    if ((r->flags & FL_YAML_STRICT) != 0)
        return fail_at(r, line, "aliases (*%.64s) are not allowed here", name);
    for (anchor *a = r->first_anchor; a != NULL; a = a->next) {
        if (!fl_str_is(a->name, name))
            continue;
        if (depth + a->node->height > FL_YAML_DEPTH_MAX)
            return fail_at(r, line, "nested deeper than %u levels", FL_YAML_DEPTH_MAX);
        r->nodes += a->node->weight;
        if (r->nodes > FL_YAML_NODES_MAX)
            return fail_at(r, line, "aliases make more than %u values", FL_YAML_NODES_MAX);
        return a->node;
    }
    /* A node is known by its anchor only once it is complete, so one that contains itself ends here, too. */
    return fail_at(r, line, "alias *%.64s: no such anchor, or it contains itself", name);
}

static int keep_anchor(reader *r, const yaml_char_t *name, const fl_yaml_node *node)
{
    if (name == NULL)
        return 1;
    if (++r->anchors > FL_YAML_ANCHORS_MAX) {
        fail_at(r, node->line, "more than %u anchors", FL_YAML_ANCHORS_MAX);
        return 0;
    }
    anchor *a = fl_arena_alloc(r->doc->arena, sizeof(*a));
    if (a != NULL)
        a->name = fl_arena_copy(r->doc->arena, flamenco_text((const char *)name));
    if (a == NULL || a->name.ptr == NULL) {
        fail_memory(r);
        return 0;
    }
    a->node = node;
    a->next = r->first_anchor;
    r->first_anchor = a;
    return 1;
}

/* Decides whether a scalar is read as plain. Returns 0 for a tag that means nothing here. */
static int scalar_style(const yaml_event_t *event, uint8_t *plain_out)
{
    static const char core[] = "tag:yaml.org,2002:";
    const char *tag = (const char *)event->data.scalar.tag;
    *plain_out = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (tag == NULL || tag[0] == '\0')
        return 1;
    if (strcmp(tag, "!") == 0) {
        *plain_out = 0;
        return 1;
    }
    if (strncmp(tag, core, sizeof(core) - 1) != 0)
        return 0;
    tag += sizeof(core) - 1;
    if (strcmp(tag, "str") == 0) {
        *plain_out = 0;
        return 1;
    }
    *plain_out = 1;
    return strcmp(tag, "int") == 0 || strcmp(tag, "bool") == 0 || strcmp(tag, "null") == 0 || strcmp(tag, "float") == 0;
}

static const fl_yaml_node *make_scalar(reader *r, const yaml_event_t *event)
{
    fl_yaml_node *node = new_node(r, FL_YAML_SCALAR, event->start_mark);
    if (node == NULL)
        return NULL;
    if (!scalar_style(event, &node->plain))
        return fail_at(r, node->line, "the tag %.64s is not known here", (const char *)event->data.scalar.tag);
    node->text = fl_arena_copy(r->doc->arena,
                               (flamenco_str){ (const char *)event->data.scalar.value, event->data.scalar.length });
    if (node->text.ptr == NULL)
        return fail_memory(r);
    return keep_anchor(r, event->data.scalar.anchor, node) ? node : NULL;
}

static int is_merge_key(const fl_yaml_node *key)
{
    return key->plain && fl_str_is(key->text, "<<");
}

typedef struct sort_pair {
    fl_yaml_pair pair;
    size_t index;
} sort_pair;

static int compare_keys(const void *a, const void *b)
{
    const sort_pair *x = a, *y = b;
    flamenco_str s = x->pair.key->text, t = y->pair.key->text;
    size_t n = (size_t)(s.len < t.len ? s.len : t.len);
    int order = n > 0 ? memcmp(s.ptr, t.ptr, n) : 0;
    if (order != 0)
        return order;
    if (s.len != t.len)
        return s.len < t.len ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int compare_index(const void *a, const void *b)
{
    const sort_pair *x = a, *y = b;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Leaves one pair per key, the last one; reports the others when strict. Sorted, so that a large map stays cheap. */
static size_t drop_repeated(reader *r, sort_pair *pairs, size_t n)
{
    size_t kept = 0;
    qsort(pairs, n, sizeof(*pairs), compare_keys);
    for (size_t i = 0; i < n; ++i) {
        int more = i + 1 < n && flamenco_str_equal(pairs[i].pair.key->text, pairs[i + 1].pair.key->text);
        if (!more)
            pairs[kept++] = pairs[i];
        else if ((r->flags & FL_YAML_STRICT) != 0)
            fail_at(r, pairs[i + 1].pair.key->line, "the key \"%.64s\" stands here again, first in line %u",
                    pairs[i].pair.key->text.ptr, pairs[i].pair.key->line);
    }
    qsort(pairs, kept, sizeof(*pairs), compare_index);
    return kept;
}

/* Counts the pairs that a merge key brings; -1 when its value is not a map or a list of maps. */
static ptrdiff_t count_merged(const fl_yaml_node *value)
{
    if (value->kind == FL_YAML_MAP)
        return (ptrdiff_t)value->count;
    if (value->kind != FL_YAML_LIST)
        return -1;
    ptrdiff_t n = 0;
    for (size_t i = 0; i < value->count; ++i) {
        if (value->items[i]->kind != FL_YAML_MAP)
            return -1;
        n += (ptrdiff_t)value->items[i]->count;
    }
    return n;
}

static size_t add_merged(const fl_yaml_node *value, sort_pair *pairs, size_t n)
{
    if (value->kind == FL_YAML_LIST) {
        for (size_t i = value->count; i-- > 0;) /* the earlier map wins, and the later pair */
            n = add_merged(value->items[i], pairs, n);
        return n;
    }
    for (size_t i = 0; i < value->count; ++i, ++n)
        pairs[n] = (sort_pair){ value->pairs[i], n };
    return n;
}

/* Turns the chain into the map's array: merged pairs first, so that the map's own win; then unique. */
static int finish_map(reader *r, fl_yaml_node *node, const cell *first)
{
    size_t room = 0;
    for (const cell *c = first; c != NULL; c = c->next) {
        if (!is_merge_key(c->pair.key)) {
            ++room;
            continue;
        }
        ptrdiff_t n = count_merged(c->pair.value);
        if ((r->flags & FL_YAML_STRICT) != 0 || n < 0) {
            fail_at(r, c->pair.key->line,
                    n < 0 ? "map merge (<<) wants a map or a list of maps" : "merge keys (<<) are not allowed here");
            return 0;
        }
        room += (size_t)n;
    }
    if (room == 0)
        return 1;
    sort_pair *pairs = malloc(room * sizeof(*pairs));
    fl_yaml_pair *kept = fl_arena_alloc(r->doc->arena, room * sizeof(*kept));
    if (pairs == NULL || kept == NULL) {
        free(pairs);
        fail_memory(r);
        return 0;
    }
    size_t n = 0;
    for (const cell *c = first; c != NULL; c = c->next)
        if (is_merge_key(c->pair.key))
            n = add_merged(c->pair.value, pairs, n);
    for (const cell *c = first; c != NULL; c = c->next) {
        if (!is_merge_key(c->pair.key)) {
            pairs[n] = (sort_pair){ c->pair, n };
            ++n;
        }
    }
    node->count = drop_repeated(r, pairs, n);
    for (size_t i = 0; i < node->count; ++i)
        kept[i] = pairs[i].pair;
    node->pairs = kept;
    free(pairs);
    return 1;
}

static int finish_list(reader *r, fl_yaml_node *node, const cell *first, size_t n_cells)
{
    if (n_cells == 0)
        return 1;
    const fl_yaml_node **items = fl_arena_alloc(r->doc->arena, n_cells * sizeof(const fl_yaml_node *));
    if (items == NULL) {
        fail_memory(r);
        return 0;
    }
    for (const cell *c = first; c != NULL; c = c->next)
        items[node->count++] = c->pair.value;
    node->items = items;
    return 1;
}

static const fl_yaml_node *read_node(reader *r, const yaml_event_t *event, flamenco_str text, uint32_t depth);

/* Reads the node that the next event begins. *end_out is set instead when that event ends the collection. */
static const fl_yaml_node *read_next(reader *r, flamenco_str text, uint32_t depth, int *end_out)
{
    yaml_event_t event;
    const fl_yaml_node *node = NULL;
    *end_out = 0;
    if (!next_event(r, &event, text))
        return NULL;
    if (event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT)
        *end_out = 1;
    else
        node = read_node(r, &event, text, depth);
    yaml_event_delete(&event);
    return node;
}

static void add_child(fl_yaml_node *node, const fl_yaml_node *child)
{
    node->weight += child->weight; /* bounded: the sum never passes FL_YAML_NODES_MAX */
    if (child->height + 1 > node->height)
        node->height = (uint16_t)(child->height + 1);
}

static const fl_yaml_node *read_collection(reader *r, uint8_t kind, const yaml_event_t *event, flamenco_str text,
                                           uint32_t depth)
{
    cell *first = NULL, **tail = &first;
    size_t n = 0;
    int end = 0;
    fl_yaml_node *node = new_node(r, kind, event->start_mark);
    if (node == NULL)
        return NULL;
    for (;;) {
        const fl_yaml_node *child = read_next(r, text, depth + 1, &end);
        if (end)
            break;
        cell *c = child != NULL ? fl_arena_alloc(r->doc->arena, sizeof(*c)) : NULL;
        if (c == NULL)
            return child != NULL ? fail_memory(r) : NULL;
        add_child(node, child);
        if (kind == FL_YAML_MAP) {
            if (child->kind != FL_YAML_SCALAR)
                return fail_at(r, child->line, "a key must be a text, not %s", fl_yaml_kind_name(child));
            c->pair.key = child;
            child = read_next(r, text, depth + 1, &end);
            if (child == NULL)
                return NULL;
            add_child(node, child);
        }
        c->pair.value = child;
        *tail = c;
        tail = &c->next;
        ++n;
    }
    int ok = kind == FL_YAML_MAP ? finish_map(r, node, first) : finish_list(r, node, first, n);
    return ok ? node : NULL;
}

static const fl_yaml_node *read_node(reader *r, const yaml_event_t *event, flamenco_str text, uint32_t depth)
{
    const fl_yaml_node *node = NULL;
    if (depth > FL_YAML_DEPTH_MAX)
        return fail_at(r, (uint32_t)event->start_mark.line + 1, "nested deeper than %u levels", FL_YAML_DEPTH_MAX);
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return make_scalar(r, event);
    case YAML_ALIAS_EVENT:
        return find_anchor(r, (const char *)event->data.alias.anchor, event->start_mark, depth);
    case YAML_MAPPING_START_EVENT:
        node = read_collection(r, FL_YAML_MAP, event, text, depth);
        return node != NULL && keep_anchor(r, event->data.mapping_start.anchor, node) ? node : NULL;
    case YAML_SEQUENCE_START_EVENT:
        node = read_collection(r, FL_YAML_LIST, event, text, depth);
        return node != NULL && keep_anchor(r, event->data.sequence_start.anchor, node) ? node : NULL;
    default:
        return fail_at(r, (uint32_t)event->start_mark.line + 1, "this is not YAML");
    }
}

/* Reads the stream up to the end of its first document; when strict, makes sure that nothing follows. */
static void read_stream(reader *r, flamenco_str text)
{
    yaml_event_t event;
    int done = 0, documents = 0;
    while (!done && r->rc == FLAMENCO_OK) {
        if (!next_event(r, &event, text))
            return;
        switch (event.type) {
        case YAML_STREAM_START_EVENT:
            break;
        case YAML_DOCUMENT_START_EVENT:
            if (++documents > 1)
                fail_at(r, (uint32_t)event.start_mark.line + 1, "a second document is not allowed here");
            break;
        case YAML_DOCUMENT_END_EVENT:
            done = (r->flags & FL_YAML_STRICT) == 0;
            break;
        case YAML_STREAM_END_EVENT:
            done = 1;
            break;
        default:
            r->doc->root = read_node(r, &event, text, 1);
            break;
        }
        yaml_event_delete(&event);
    }
}

int32_t fl_yaml_parse(flamenco_str text, const char *file, uint32_t flags, fl_config_problems *problems,
                      fl_yaml_doc **out)
{
    reader r = { .problems = problems, .flags = flags };
    if (text.len > FL_CONFIG_FILE_MAX) {
        fl_config_problem_add(problems, FLAMENCO_LOG_ERROR, file, 0, "larger than 1 MiB");
        return FLAMENCO_E_INVALID;
    }
    r.doc = calloc(1, sizeof(*r.doc));
    if (r.doc == NULL)
        return FLAMENCO_E_NOMEM;
    r.doc->arena = fl_arena_create(0);
    if (r.doc->arena == NULL) {
        free(r.doc);
        return FLAMENCO_E_NOMEM;
    }
    r.doc->file = file;
    r.doc->file = fl_arena_copy(r.doc->arena, flamenco_text(file)).ptr;
    if (r.doc->file == NULL || !yaml_parser_initialize(&r.parser)) {
        fl_yaml_doc_destroy(r.doc);
        return FLAMENCO_E_NOMEM;
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.len > 0 ? text.ptr : ""), (size_t)text.len);
    read_stream(&r, text);
    yaml_parser_delete(&r.parser);
    if (r.rc != FLAMENCO_OK) {
        fl_yaml_doc_destroy(r.doc);
        return r.rc;
    }
    /* An empty document reads as one empty plain scalar. */
    if (r.doc->root != NULL && fl_yaml_is_null(r.doc->root))
        r.doc->root = NULL;
    *out = r.doc;
    return FLAMENCO_OK;
}

void fl_yaml_doc_destroy(fl_yaml_doc *doc)
{
    if (doc == NULL)
        return;
    fl_arena_destroy(doc->arena);
    free(doc);
}

const fl_yaml_node *fl_yaml_root(const fl_yaml_doc *doc)
{
    return doc->root;
}

const char *fl_yaml_file(const fl_yaml_doc *doc)
{
    return doc->file;
}

const fl_yaml_node *fl_yaml_get(const fl_yaml_node *node, const char *key)
{
    if (node == NULL || node->kind != FL_YAML_MAP)
        return NULL;
    for (size_t i = 0; i < node->count; ++i)
        if (fl_str_is(node->pairs[i].key->text, key))
            return node->pairs[i].value;
    return NULL;
}

const char *fl_yaml_kind_name(const fl_yaml_node *node)
{
    if (node->kind == FL_YAML_MAP)
        return "a map";
    return node->kind == FL_YAML_LIST ? "a list" : "a text";
}

/* ---- YAML 1.1 types ---- */

static int is_one_of(flamenco_str text, const char *const *words)
{
    for (; *words != NULL; ++words)
        if (fl_str_is(text, *words))
            return 1;
    return 0;
}

int fl_yaml_is_null(const fl_yaml_node *node)
{
    static const char *const words[] = { "", "~", "null", "Null", "NULL", NULL };
    return node == NULL || (node->kind == FL_YAML_SCALAR && node->plain && is_one_of(node->text, words));
}

int fl_yaml_bool(const fl_yaml_node *node, int *out)
{
    static const char *const yes[] = { "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE", NULL };
    static const char *const no[] = {
        "n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE", NULL
    };
    if (node == NULL || node->kind != FL_YAML_SCALAR || !node->plain)
        return 0;
    if (is_one_of(node->text, yes))
        *out = 1;
    else if (is_one_of(node->text, no))
        *out = 0;
    else
        return 0;
    return 1;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

int fl_yaml_int(const fl_yaml_node *node, int64_t *out)
{
    if (node == NULL || node->kind != FL_YAML_SCALAR || !node->plain)
        return 0;
    const char *p = node->text.ptr, *end = p + node->text.len;
    int negative = 0, base = 10, digits = 0;
    uint64_t value = 0;
    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    if (end - p > 2 && p[0] == '0' && strchr("xXoObB", p[1]) != NULL) {
        base = (p[1] | 32) == 'x' ? 16 : (p[1] | 32) == 'o' ? 8 : 2;
        p += 2;
    } else if (end - p > 1 && p[0] == '0') {
        base = 8;
    } else if (p < end && *p == '_') {
        return 0;
    }
    for (; p < end; ++p) {
        if (*p == '_')
            continue;
        int d = digit_value(*p);
        if (d >= base || value > (UINT64_MAX - (uint64_t)d) / (uint64_t)base)
            return 0;
        value = value * (uint64_t)base + (uint64_t)d;
        ++digits;
    }
    if (digits == 0 || value > (uint64_t)INT64_MAX + (negative ? 1u : 0u))
        return 0;
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return 1;
}

int fl_yaml_real(const fl_yaml_node *node, double *out)
{
    if (node == NULL || node->kind != FL_YAML_SCALAR || !node->plain || node->text.len == 0 || node->text.len > 63)
        return 0;
    /* strtod alone would also take "inf", "nan", hexadecimal and leading blanks. */
    if (strspn(node->text.ptr, "0123456789+-.eE") != node->text.len || strpbrk(node->text.ptr, "0123456789") == NULL)
        return 0;
    char *end = NULL;
    double value = strtod(node->text.ptr, &end);
    if (end != node->text.ptr + node->text.len || value - value != 0.0)
        return 0;
    *out = value;
    return 1;
}
