/* SPDX-License-Identifier: Apache-2.0
 *
 * variables.c - lookup tables of the variables, replacing and expanding in one text. See variables.h.
 */
#include "core/config/variables_internal.h"

#include <stdlib.h>

#include "core/base/str.h"
#include "core/base/utf8.h"
#include "core/config/paths.h"

#define NEST_MAX 8

struct fl_variables {
    fl_arena *arena;
    flamenco_str platform; /* the manager's */
    /* Per audience: the set of unknown platforms first, then one per platform. */
    variable_set *sets[2];
    size_t n_sets;
};

static const char *const audiences[] = { "workers", "users" };

/* ---- Tables ---- */

static int is_for(const fl_reference_value *value, const char *audience)
{
    return value->audience.len == 0 || fl_str_is(value->audience, "all") || fl_str_is(value->audience, audience);
}

static int names_platform(const fl_reference_value *value, flamenco_str platform)
{
    if (platform.len > 0 && flamenco_str_equal(value->platform, platform))
        return 1;
    for (size_t i = 0; i < value->n_platforms; ++i)
        if (platform.len > 0 && flamenco_str_equal(value->platforms[i], platform))
            return 1;
    return 0;
}

/* The last value for the platform itself, else the last one for all platforms. */
static const fl_reference_value *pick_value(const fl_reference_variable *variable, const char *audience,
                                            flamenco_str platform)
{
    const fl_reference_value *found = NULL, *general = NULL;
    for (size_t i = 0; i < variable->n_values; ++i) {
        const fl_reference_value *v = &variable->values[i];
        if (!is_for(v, audience))
            continue;
        if (names_platform(v, platform))
            found = v;
        if (names_platform(v, FL_STR("all")))
            general = v;
    }
    return found != NULL ? found : general;
}

static int compare_variables(const void *a, const void *b)
{
    flamenco_str s = ((const fl_variable *)a)->name, t = ((const fl_variable *)b)->name;
    size_t n = (size_t)(s.len < t.len ? s.len : t.len);
    int order = n > 0 ? memcmp(s.ptr, t.ptr, n) : 0;
    return order != 0 ? order : (s.len > t.len) - (s.len < t.len);
}

static int compare_prefixes(const void *a, const void *b)
{
    const prefix *x = a, *y = b;
    if (x->value.len != y->value.len)
        return x->value.len > y->value.len ? -1 : 1;
    size_t n = (size_t)(x->name.len < y->name.len ? x->name.len : y->name.len);
    int order = n > 0 ? memcmp(x->name.ptr, y->name.ptr, n) : 0;
    return order != 0 ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

/* Names and values are made once and shared by all sets. Invalid UTF-8 (a working directory's) cannot go into JSON. */
static int copy_text(fl_variables *v, flamenco_str text, flamenco_str *out)
{
    *out = fl_str_to_utf8(v->arena, text);
    return out->ptr != NULL;
}

static int fill_set(fl_variables *v, const fl_reference *ref, flamenco_str jobs, const char *audience,
                    variable_set *set)
{
    set->list = fl_arena_alloc(v->arena, (ref->n_variables + 1) * sizeof(*set->list));
    if (set->list == NULL)
        return 0;
    set->list[set->n++] = (fl_variable){ FL_STR("jobs"), jobs, 0 };
    for (size_t i = 0; i < ref->n_variables; ++i) {
        const fl_reference_variable *from = &ref->variables[i];
        const fl_reference_value *value = pick_value(from, audience, set->platform);
        if (value == NULL || fl_str_is(from->name, "jobs"))
            continue;
        set->list[set->n++] =
            (fl_variable){ from->name, from->is_twoway ? fl_path_trim_trailing(value->value) : value->value,
                           from->is_twoway != 0 };
    }
    qsort(set->list, set->n, sizeof(*set->list), compare_variables);
    for (size_t i = 0; i < set->n; ++i)
        if (set->list[i].name.len > set->longest_name)
            set->longest_name = set->list[i].name.len;
    return 1;
}

static const fl_variable *find_variable(const variable_set *set, flamenco_str name)
{
    fl_variable wanted = { name, { NULL, 0 }, 0 };
    return bsearch(&wanted, set->list, set->n, sizeof(*set->list), compare_variables);
}

static void set_first(variable_set *set, char c)
{
    set->expand_first[(unsigned char)c >> 3] |= (uint8_t)(1u << ((unsigned char)c & 7));
}

/* Prepares what begins of texts are recognised: for replacing, and for translating from the manager's platform. */
static int fill_prefixes(fl_variables *v, variable_set *set, const variable_set *own)
{
    set->replace = fl_arena_alloc(v->arena, set->n * sizeof(prefix));
    set->expand = fl_arena_alloc(v->arena, own->n * sizeof(prefix));
    if (set->replace == NULL || set->expand == NULL)
        return 0;
    for (size_t i = 0; i < set->n; ++i) {
        const fl_variable *var = &set->list[i];
        if (!var->is_twoway || var->value.len == 0)
            continue;
        flamenco_str placeholder = fl_arena_printf(v->arena, "{%.*s}", FL_STR_ARGS(var->name));
        if (placeholder.ptr == NULL)
            return 0;
        set->replace[set->n_replace++] = (prefix){ var->value, placeholder, var->name };
    }
    for (size_t i = 0; i < own->n; ++i) {
        const fl_variable *from = &own->list[i], *to = find_variable(set, from->name);
        if (!from->is_twoway || from->value.len == 0 || to == NULL || !to->is_twoway || to->value.len == 0)
            continue;
        set->expand[set->n_expand++] = (prefix){ from->value, to->value, from->name };
        if (fl_path_is_separator(from->value.ptr[0])) {
            set_first(set, '/');
            set_first(set, '\\');
        }
        set_first(set, from->value.ptr[0]);
    }
    qsort(set->replace, set->n_replace, sizeof(prefix), compare_prefixes);
    qsort(set->expand, set->n_expand, sizeof(prefix), compare_prefixes);
    return 1;
}

static void add_platform(flamenco_str *list, size_t *n, flamenco_str platform)
{
    if (platform.len == 0 || fl_str_is(platform, "all") || *n > FL_VARIABLES_PLATFORMS_MAX)
        return;
    for (size_t i = 1; i < *n; ++i)
        if (flamenco_str_equal(list[i], platform))
            return;
    list[(*n)++] = platform;
}

/* Lists the platforms that any value names; the first place is for all others, the second for our own. */
static size_t list_platforms(const fl_reference *ref, flamenco_str own, flamenco_str *list)
{
    size_t n = 1;
    list[0] = (flamenco_str){ NULL, 0 };
    add_platform(list, &n, own);
    for (size_t i = 0; i < ref->n_variables; ++i) {
        for (size_t k = 0; k < ref->variables[i].n_values; ++k) {
            const fl_reference_value *value = &ref->variables[i].values[k];
            add_platform(list, &n, value->platform);
            for (size_t j = 0; j < value->n_platforms; ++j)
                add_platform(list, &n, value->platforms[j]);
        }
    }
    return n;
}

static int copy_reference(fl_variables *v, const fl_reference *ref, fl_reference *out)
{
    fl_reference_variable *variables = fl_arena_alloc(v->arena, (ref->n_variables + 1) * sizeof(*variables));
    if (variables == NULL)
        return 0;
    *out = (fl_reference){ .variables = variables, .n_variables = ref->n_variables };
    for (size_t i = 0; i < ref->n_variables; ++i) {
        const fl_reference_variable *from = &ref->variables[i];
        fl_reference_value *values = fl_arena_alloc(v->arena, (from->n_values + 1) * sizeof(*values));
        variables[i] = *from;
        if (values == NULL || !copy_text(v, from->name, &variables[i].name))
            return 0;
        variables[i].values = values;
        for (size_t k = 0; k < from->n_values; ++k) {
            values[k] = from->values[k]; /* audience and platforms are needed during preparation only */
            if (!copy_text(v, from->values[k].value, &values[k].value))
                return 0;
        }
    }
    return 1;
}

static int prepare(fl_variables *v, const fl_reference *ref, flamenco_str jobs_path)
{
    flamenco_str platforms[FL_VARIABLES_PLATFORMS_MAX + 1] = { { NULL, 0 } }, jobs;
    fl_reference copy;
    if (!copy_text(v, jobs_path, &jobs) || !copy_reference(v, ref, &copy))
        return 0;
    v->n_sets = list_platforms(&copy, v->platform, platforms);
    for (size_t a = 0; a < 2; ++a) {
        v->sets[a] = fl_arena_alloc(v->arena, v->n_sets * sizeof(variable_set));
        if (v->sets[a] == NULL)
            return 0;
        for (size_t i = 0; i < v->n_sets; ++i) {
            variable_set *set = &v->sets[a][i];
            if (!copy_text(v, platforms[i], &set->platform) || !fill_set(v, &copy, jobs, audiences[a], set))
                return 0;
        }
        const variable_set *own = fl_variables_set(v, flamenco_text(audiences[a]), v->platform);
        for (size_t i = 0; i < v->n_sets; ++i)
            if (!fill_prefixes(v, &v->sets[a][i], own))
                return 0;
    }
    return 1;
}

fl_variables *fl_variables_create(const fl_reference *ref, flamenco_str jobs, flamenco_str platform)
{
    fl_variables *v = calloc(1, sizeof(*v));
    if (v == NULL)
        return NULL;
    v->arena = fl_arena_create(0);
    if (v->arena == NULL || !copy_text(v, platform, &v->platform) || !prepare(v, ref, jobs)) {
        fl_variables_destroy(v);
        return NULL;
    }
    return v;
}

void fl_variables_destroy(fl_variables *variables)
{
    if (variables == NULL)
        return;
    fl_arena_destroy(variables->arena);
    free(variables);
}

const variable_set *fl_variables_set(const fl_variables *variables, flamenco_str audience, flamenco_str platform)
{
    for (size_t a = 0; a < 2; ++a) {
        if (!fl_str_is(audience, audiences[a]))
            continue;
        for (size_t i = 1; i < variables->n_sets; ++i)
            if (flamenco_str_equal(variables->sets[a][i].platform, platform))
                return &variables->sets[a][i];
        return &variables->sets[a][0];
    }
    return NULL;
}

flamenco_str fl_variables_own_platform(const fl_variables *variables, flamenco_str platform)
{
    return fl_str_is(platform, "manager") ? variables->platform : platform;
}

size_t fl_variables_list(const fl_variables *variables, flamenco_str audience, flamenco_str platform,
                         const fl_variable **out)
{
    const variable_set *set = fl_variables_set(variables, audience, platform);
    if (set == NULL)
        return 0;
    *out = set->list;
    return set->n;
}

/* ---- Prefixes ---- */

static int is_boundary(flamenco_str text, uint64_t at, flamenco_str value)
{
    char last = value.ptr[value.len - 1];
    return at == text.len || fl_path_is_separator(text.ptr[at]) || last == ':' || fl_path_is_separator(last);
}

/* Compares byte by byte, slash and backslash alike. */
static int begins_with(flamenco_str text, flamenco_str value)
{
    if (text.len < value.len)
        return 0;
    for (uint64_t i = 0; i < value.len; ++i) {
        char a = text.ptr[i], b = value.ptr[i];
        if (a != b && !(fl_path_is_separator(a) && fl_path_is_separator(b)))
            return 0;
    }
    return is_boundary(text, value.len, value);
}

static uint32_t decode_char(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    if (n == 2)
        return (u[0] & 0x1Fu) << 6 | (u[1] & 0x3Fu);
    if (n == 3)
        return (u[0] & 0x0Fu) << 12 | (u[1] & 0x3Fu) << 6 | (u[2] & 0x3Fu);
    if (n == 4)
        return (u[0] & 0x07u) << 18 | (u[1] & 0x3Fu) << 12 | (u[2] & 0x3Fu) << 6 | (u[3] & 0x3Fu);
    return u[0];
}

/* Lower case of the letters that occur in paths: Latin, Greek, Cyrillic. Independent of the locale. */
static uint32_t fold_char(uint32_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c + 32;
    if (c < 0xC0)
        return c;
    if (c <= 0xDE)
        return c == 0xD7 ? c : c + 32;
    if ((c >= 0x100 && c <= 0x12F) || (c >= 0x132 && c <= 0x137) || (c >= 0x14A && c <= 0x177))
        return c | 1;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E))
        return (c & 1) != 0 ? c + 1 : c;
    if (c == 0x178)
        return 0xFF;
    if (c >= 0x391 && c <= 0x3A9 && c != 0x3A2)
        return c + 32;
    if (c >= 0x410 && c <= 0x42F)
        return c + 32;
    if (c >= 0x400 && c <= 0x40F)
        return c + 80;
    return c;
}

/* Compares without regard to case, slash and backslash alike. Returns how many bytes of text the value covers, 0 = none. */
static uint64_t covers_nocase(flamenco_str text, flamenco_str value)
{
    uint64_t i = 0, k = 0;
    while (k < value.len) {
        size_t n = i < text.len ? fl_utf8_length((const unsigned char *)text.ptr + i, (size_t)(text.len - i)) : 0;
        size_t m = fl_utf8_length((const unsigned char *)value.ptr + k, (size_t)(value.len - k));
        if (n == 0 || m == 0)
            return 0;
        uint32_t a = fold_char(decode_char(text.ptr + i, n)), b = fold_char(decode_char(value.ptr + k, m));
        int both_separate = (a == '/' || a == '\\') && (b == '/' || b == '\\');
        if (a != b && !both_separate)
            return 0;
        i += n;
        k += m;
    }
    return is_boundary(text, i, value) ? i : 0;
}

int32_t fl_variables_replace(const fl_variables *variables, fl_arena *arena, flamenco_str platform, flamenco_str text,
                             flamenco_str *out)
{
    const variable_set *set =
        fl_variables_set(variables, FL_STR("workers"), fl_variables_own_platform(variables, platform));
    for (size_t i = 0; i < set->n_replace; ++i) {
        const prefix *p = &set->replace[i];
        uint64_t covered = covers_nocase(text, p->value);
        if (covered == 0)
            continue;
        char *result = fl_arena_alloc(arena, (size_t)(p->with.len + text.len - covered) + 1);
        if (result == NULL)
            return FLAMENCO_E_NOMEM;
        memcpy(result, p->with.ptr, (size_t)p->with.len);
        memcpy(result + p->with.len, text.ptr + covered, (size_t)(text.len - covered));
        *out = (flamenco_str){ result, p->with.len + text.len - covered };
        return FLAMENCO_OK;
    }
    *out = text;
    return FLAMENCO_OK;
}

/* ---- Expanding ---- */

typedef struct expansion {
    const variable_set *set;
    budget *left;
    char *out; /* NULL: only measure */
    uint64_t len;
    int is_path; /* a two-way placeholder was replaced */
    int32_t rc;
} expansion;

static void append(expansion *e, const char *text, uint64_t len)
{
    if (e->out != NULL && len > 0)
        memcpy(e->out + e->len, text, (size_t)len);
    e->len += len;
    if (e->len > e->left->bytes)
        e->rc = FLAMENCO_E_FULL;
}

/* Finds the placeholder that begins at text[at], a '{'. */
static const fl_variable *placeholder_at(const variable_set *set, flamenco_str text, uint64_t at)
{
    uint64_t room = text.len - at - 1;
    if (room > set->longest_name + 1)
        room = set->longest_name + 1;
    const char *name = text.ptr + at + 1, *end = room > 0 ? memchr(name, '}', (size_t)room) : NULL;
    return end != NULL ? find_variable(set, (flamenco_str){ name, (uint64_t)(end - name) }) : NULL;
}

static void substitute(expansion *e, flamenco_str text, int depth)
{
    uint64_t at = 0;
    while (at < text.len && e->rc == FLAMENCO_OK) {
        const char *brace = memchr(text.ptr + at, '{', (size_t)(text.len - at));
        uint64_t next = brace != NULL ? (uint64_t)(brace - text.ptr) : text.len;
        append(e, text.ptr + at, next - at);
        at = next;
        if (brace == NULL)
            return;
        const fl_variable *v = placeholder_at(e->set, text, at);
        if (v == NULL || depth > NEST_MAX) {
            append(e, "{", 1);
            ++at;
            continue;
        }
        if (e->left->substitutions == 0) {
            e->rc = FLAMENCO_E_FULL;
            return;
        }
        --e->left->substitutions;
        at += v->name.len + 2;
        if (v->is_twoway) {
            e->is_path = 1;
            append(e, v->value.ptr, v->value.len);
        } else {
            substitute(e, v->value, depth + 1);
        }
    }
}

/* Puts values for the placeholders: measured first, so that the arena gives just what is needed. */
static int32_t substitute_all(const variable_set *set, fl_arena *arena, budget *left, flamenco_str text,
                              flamenco_str *out, int *is_path)
{
    uint32_t substitutions = left->substitutions;
    expansion e = { .set = set, .left = left };
    substitute(&e, text, 1);
    if (e.rc != FLAMENCO_OK || left->substitutions == substitutions)
        return e.rc; /* nothing to do, or too much */
    e.out = fl_arena_alloc(arena, (size_t)e.len + 1);
    if (e.out == NULL)
        return FLAMENCO_E_NOMEM;
    left->substitutions = substitutions;
    e.len = 0;
    substitute(&e, text, 1);
    *out = (flamenco_str){ e.out, e.len };
    *is_path = e.is_path;
    return e.rc;
}

/* Translates a path of the manager's platform (2.4 step 3). */
static int32_t translate(const variable_set *set, fl_arena *arena, flamenco_str text, flamenco_str *out, int *is_path)
{
    for (size_t i = 0; i < set->n_expand; ++i) {
        const prefix *p = &set->expand[i];
        if (!begins_with(text, p->value))
            continue;
        flamenco_str rest = { text.ptr + p->value.len, text.len - p->value.len };
        /* A value that is a separator itself took that of the path with it. */
        int glue = fl_path_is_separator(p->value.ptr[p->value.len - 1]) && rest.len > 0 &&
                   !fl_path_is_separator(p->with.ptr[p->with.len - 1]);
        char *result = fl_arena_alloc(arena, (size_t)(p->with.len + rest.len) + 2);
        if (result == NULL)
            return FLAMENCO_E_NOMEM;
        memcpy(result, p->with.ptr, (size_t)p->with.len);
        if (glue)
            result[p->with.len] = '/';
        memcpy(result + p->with.len + glue, rest.ptr, (size_t)rest.len);
        *out = (flamenco_str){ result, p->with.len + (uint64_t)glue + rest.len };
        *is_path = 1;
        return FLAMENCO_OK;
    }
    return FLAMENCO_OK;
}

int32_t fl_variables_expand_in(const variable_set *set, fl_arena *arena, flamenco_str platform, budget *left,
                               flamenco_str text, flamenco_str *out)
{
    flamenco_str result = text;
    int is_path = 0;
    int32_t rc = FLAMENCO_OK;
    if (text.len > 0 && memchr(text.ptr, '{', (size_t)text.len) != NULL)
        rc = substitute_all(set, arena, left, text, &result, &is_path);
    if (rc == FLAMENCO_OK && result.len > 0 && fl_variables_may_begin(set, result.ptr[0]))
        rc = translate(set, arena, result, &result, &is_path);
    if (rc == FLAMENCO_OK && is_path) {
        flamenco_str path;
        rc = fl_path_to_platform(arena, result, platform, &path);
        /* A root alone has no components; an empty text would be no path at all. */
        if (rc == FLAMENCO_OK && path.len == 0 && result.len > 0)
            path = fl_str_is(platform, "windows") ? FL_STR("\\") : FL_STR("/");
        result = path;
    }
    if (rc == FLAMENCO_OK)
        *out = result;
    return rc;
}

int32_t fl_variables_expand(const fl_variables *variables, fl_arena *arena, flamenco_str audience,
                            flamenco_str platform, flamenco_str text, flamenco_str *out)
{
    const variable_set *set = fl_variables_set(variables, audience, platform);
    budget left = { text.len + FL_VARIABLES_GROWTH_MAX, FL_VARIABLES_SUBSTITUTIONS_MAX };
    if (set == NULL) {
        *out = text;
        return FLAMENCO_OK;
    }
    return fl_variables_expand_in(set, arena, platform, &left, text, out);
}
