/* SPDX-License-Identifier: Apache-2.0
 *
 * variables_json.c - variables in the texts of a JSON value, without building a tree: the text is walked once, the few
 * strings that change are noted, and only then a new text is made. See variables.h.
 */
#include "core/base/str.h"
#include "core/base/utf8.h"
#include "core/config/variables_internal.h"

typedef struct edit {
    struct edit *next;
    const char *from, *to; /* of the old text: the string with its quotes */
    flamenco_str text; /* the new string, not escaped */
    uint64_t escaped_len; /* with quotes */
} edit;

typedef struct walk {
    const fl_variables *variables;
    const variable_set *set; /* expanding; NULL: replacing */
    flamenco_str platform;
    fl_arena *arena;
    budget left;
    const char *p, *end;
    edit *first, **tail;
    int32_t rc;
} walk;

/* ---- Strings ---- */

/* Reads \uXXXX at *p (behind the u), with its second half if it is a surrogate; a lone one becomes U+FFFD. */
static int read_escape(const char **p, const char *end, uint32_t *out)
{
    int32_t unit = fl_utf16_unit(*p, end);
    if (unit < 0)
        return 0;
    *p += 4;
    *out = (uint32_t)unit;
    if (unit < 0xD800 || unit > 0xDFFF)
        return 1;
    int32_t low =
        unit <= 0xDBFF && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' ? fl_utf16_unit(*p + 2, end) : -1;
    if (low >= 0xDC00 && low <= 0xDFFF) {
        *out = 0x10000 + ((*out - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
        *p += 6;
        return 1;
    }
    *out = 0xFFFD;
    return 1;
}

/* Decodes the raw inside of a JSON string into the arena. An escape is never shorter than what it stands for. */
static int32_t unescape(walk *w, flamenco_str raw, flamenco_str *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char *text = fl_arena_alloc(w->arena, (size_t)raw.len + 1), *to = text;
    const char *p = raw.ptr, *end = raw.ptr + raw.len;
    if (text == NULL)
        return FLAMENCO_E_NOMEM;
    while (p < end) {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        if (++p == end)
            return FLAMENCO_E_INVALID;
        char c = *p++;
        uint32_t code;
        if (c == 'u') {
            if (!read_escape(&p, end, &code))
                return FLAMENCO_E_INVALID;
            to = fl_utf8_put(to, code);
            continue;
        }
        const char *name = strchr(names, c);
        if (name == NULL || c == '\0')
            return FLAMENCO_E_INVALID;
        *to++ = values[name - names];
    }
    *out = (flamenco_str){ text, (uint64_t)(to - text) };
    return FLAMENCO_OK;
}

/* Escapes as api-behaviour 1.3 wants. out NULL: only measures. Returns the length, with the quotes. */
static uint64_t escape(flamenco_str text, char *out)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *s = (const unsigned char *)text.ptr;
    uint64_t n = 0;
#define PUT(c) \
    do { \
        if (out != NULL) \
            out[n] = (char)(c); \
        ++n; \
    } while (0)
    PUT('"');
    for (uint64_t i = 0; i < text.len; ++i) {
        unsigned char c = s[i];
        const char *shorts = c == '\n'   ? "n"
                             : c == '\r' ? "r"
                             : c == '\t' ? "t"
                             : c == '"'  ? "\""
                             : c == '\\' ? "\\"
                                         : NULL;
        int line_end = c == 0xE2 && i + 2 < text.len && s[i + 1] == 0x80 && (s[i + 2] == 0xA8 || s[i + 2] == 0xA9);
        if (shorts != NULL) {
            PUT('\\');
            PUT(shorts[0]);
        } else if (c < 0x20 || c == '<' || c == '>' || c == '&' || line_end) {
            uint32_t code = line_end ? 0x2000u + s[i + 2] - 0x80u : c; /* A8, A9 -> 2028, 2029 */
            i += line_end ? 2 : 0;
            PUT('\\');
            PUT('u');
            for (int shift = 12; shift >= 0; shift -= 4)
                PUT(hex[code >> shift & 15]);
        } else {
            PUT(c);
        }
    }
    PUT('"');
#undef PUT
    return n;
}

static int32_t note_edit(walk *w, const char *from, const char *to, flamenco_str text)
{
    edit *e = fl_arena_alloc(w->arena, sizeof(*e));
    if (e == NULL)
        return FLAMENCO_E_NOMEM;
    e->from = from;
    e->to = to;
    e->text = text;
    e->escaped_len = escape(text, NULL);
    if (text.len > w->left.bytes)
        return FLAMENCO_E_FULL;
    w->left.bytes -= text.len; /* all texts of one call share what it may grow */
    *w->tail = e;
    w->tail = &e->next;
    return FLAMENCO_OK;
}

/* Moves behind a string. Notes what is in it, so that most strings need no second look. */
static int skip_string(walk *w, int *has_brace, int *has_escape)
{
    *has_brace = *has_escape = 0;
    for (++w->p; w->p < w->end; ++w->p) {
        if (*w->p == '"') {
            ++w->p;
            return 1;
        }
        if (*w->p == '{')
            *has_brace = 1;
        if (*w->p == '\\') {
            *has_escape = 1;
            ++w->p;
        }
    }
    w->rc = FLAMENCO_E_INVALID;
    return 0;
}

static int change_string(walk *w)
{
    const char *from = w->p;
    int has_brace, has_escape;
    flamenco_str text, result;
    if (!skip_string(w, &has_brace, &has_escape))
        return 0;
    text = (flamenco_str){ from + 1, (uint64_t)(w->p - from - 2) };
    if (text.len == 0)
        return 1;
    /* Escapes may hide a brace or a prefix's first byte; such texts are rare enough to be decoded. */
    if (w->set != NULL && !has_brace && !has_escape && !fl_variables_may_begin(w->set, text.ptr[0]))
        return 1;
    if (has_escape)
        w->rc = unescape(w, text, &text);
    if (w->rc == FLAMENCO_OK)
        w->rc = w->set != NULL ? fl_variables_expand_in(w->set, w->arena, w->platform, &w->left, text, &result)
                               : fl_variables_replace(w->variables, w->arena, w->platform, text, &result);
    if (w->rc == FLAMENCO_OK && !flamenco_str_equal(text, result))
        w->rc = note_edit(w, from, w->p, result);
    return w->rc == FLAMENCO_OK;
}

/* ---- Structure ---- */

static char peek(walk *w)
{
    while (w->p < w->end && (*w->p == ' ' || *w->p == '\t' || *w->p == '\n' || *w->p == '\r'))
        ++w->p;
    return w->p < w->end ? *w->p : '\0';
}

static int expect(walk *w, char c)
{
    if (peek(w) != c) {
        w->rc = FLAMENCO_E_INVALID;
        return 0;
    }
    ++w->p;
    return 1;
}

/* Moves behind any value. */
static int skip_value(walk *w)
{
    uint64_t depth = 0;
    int unused, unused2;
    do {
        char c = peek(w);
        if (c == '"') {
            if (!skip_string(w, &unused, &unused2))
                return 0;
        } else if (c == '{' || c == '[') {
            ++depth;
            ++w->p;
        } else if (c == '\0' || (depth == 0 && strchr("}],:", c) != NULL)) {
            w->rc = FLAMENCO_E_INVALID;
            return 0;
        } else if (c == '}' || c == ']') {
            --depth;
            ++w->p;
        } else if (c == ',' || c == ':') {
            ++w->p;
        } else { /* a number or a word */
            while (w->p < w->end && strchr(",:]} \t\r\n", *w->p) == NULL)
                ++w->p;
        }
    } while (depth > 0);
    return 1;
}

/* Visits each member of the object or element of the list at p; visit is called at the value and moves behind it. */
static int each(walk *w, char open, int (*visit)(walk *, flamenco_str key))
{
    char close = open == '{' ? '}' : ']';
    int unused, unused2;
    if (!expect(w, open))
        return 0;
    if (peek(w) == close)
        return expect(w, close);
    for (;;) {
        flamenco_str key = { NULL, 0 };
        if (open == '{') {
            if (peek(w) != '"') {
                w->rc = FLAMENCO_E_INVALID;
                return 0;
            }
            key.ptr = w->p + 1;
            if (!skip_string(w, &unused, &unused2))
                return 0;
            key.len = (uint64_t)(w->p - key.ptr - 1);
            if (!expect(w, ':'))
                return 0;
        }
        peek(w);
        if (!visit(w, key))
            return 0;
        if (peek(w) != ',')
            return expect(w, close);
        ++w->p;
    }
}

static int visit_text(walk *w, flamenco_str key)
{
    (void)key;
    return peek(w) == '"' ? change_string(w) : skip_value(w);
}

static int visit_parameter(walk *w, flamenco_str key)
{
    return peek(w) == '[' ? each(w, '[', visit_text) : visit_text(w, key);
}

static int visit_command_member(walk *w, flamenco_str key)
{
    if (peek(w) == '{' && fl_str_is(key, "parameters"))
        return each(w, '{', visit_parameter);
    return skip_value(w);
}

static int visit_command(walk *w, flamenco_str key)
{
    (void)key;
    return peek(w) == '{' ? each(w, '{', visit_command_member) : skip_value(w);
}

static int32_t finish(walk *w, flamenco_str json, flamenco_str *out)
{
    if (w->rc == FLAMENCO_OK && peek(w) != '\0')
        w->rc = FLAMENCO_E_INVALID;
    if (w->rc != FLAMENCO_OK)
        return w->rc;
    if (w->first == NULL) {
        *out = json;
        return FLAMENCO_OK;
    }
    uint64_t len = json.len;
    for (edit *e = w->first; e != NULL; e = e->next)
        len = len - (uint64_t)(e->to - e->from) + e->escaped_len;
    char *text = fl_arena_alloc(w->arena, (size_t)len + 1), *to = text;
    const char *from = json.ptr;
    if (text == NULL)
        return FLAMENCO_E_NOMEM;
    for (edit *e = w->first; e != NULL; e = e->next) {
        memcpy(to, from, (size_t)(e->from - from));
        to += e->from - from;
        to += escape(e->text, to);
        from = e->to;
    }
    memcpy(to, from, (size_t)(json.ptr + json.len - from));
    *out = (flamenco_str){ text, len };
    return FLAMENCO_OK;
}

static void begin(walk *w, const fl_variables *variables, fl_arena *arena, flamenco_str platform, flamenco_str json)
{
    *w = (walk){ .variables = variables,
                 .platform = platform,
                 .arena = arena,
                 .p = json.ptr,
                 .end = json.ptr + json.len,
                 .left = { json.len + FL_VARIABLES_GROWTH_MAX, FL_VARIABLES_SUBSTITUTIONS_MAX } };
    w->tail = &w->first;
}

int32_t fl_variables_replace_object(const fl_variables *variables, fl_arena *arena, flamenco_str platform,
                                    flamenco_str json, flamenco_str *out)
{
    walk w;
    if (json.len == 0)
        return FLAMENCO_E_INVALID;
    begin(&w, variables, arena, platform, json);
    each(&w, '{', visit_text);
    return finish(&w, json, out);
}

int32_t fl_variables_expand_commands(const fl_variables *variables, fl_arena *arena, flamenco_str platform,
                                     flamenco_str json, flamenco_str *out)
{
    walk w;
    if (json.len == 0)
        return FLAMENCO_E_INVALID;
    begin(&w, variables, arena, platform, json);
    w.set = fl_variables_set(variables, FL_STR("workers"), platform);
    if (peek(&w) == 'n' && w.end - w.p >= 4 && memcmp(w.p, "null", 4) == 0)
        w.p += 4;
    else
        each(&w, '[', visit_command);
    return finish(&w, json, out);
}
