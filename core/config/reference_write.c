/* SPDX-License-Identifier: Apache-2.0
 *
 * reference_write.c - the settings as YAML that this manager and the reference both read (contract:
 * configuration-and-clients 1.12). Texts are written plain only where no YAML 1.1 reader can take them for something else.
 */
#include <strings.h>
#include <time.h>

#include "core/base/str.h"
#include "core/base/timefmt.h"
#include "core/base/utf8.h"
#include "core/config/reference_internal.h"

static int is_reserved_word(flamenco_str text)
{
    static const char *const words[] = { "y", "n", "yes", "no", "on", "off", "true", "false", "null" };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); ++i)
        if (text.len == strlen(words[i]) && strncasecmp(text.ptr, words[i], (size_t)text.len) == 0)
            return 1;
    return 0;
}

static int is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Tells whether a text may stand without quotes: it begins so that it cannot be a number, a date or an indicator, and holds
 * nothing that ends a plain scalar in a block or (flow) in [a, b]. */
static int may_be_plain(flamenco_str text, int flow)
{
    if (text.len == 0 || is_reserved_word(text))
        return 0;
    const char *p = text.ptr;
    int begins_well = (is_alnum(p[0]) && !(p[0] >= '0' && p[0] <= '9')) || p[0] == '/' ||
                      (text.len > 1 && ((p[0] == '.' && p[1] == '/') || (p[0] == ':' && p[1] >= '0' && p[1] <= '9')));
    if (!begins_well)
        return 0;
    for (uint64_t i = 0; i < text.len; ++i) {
        if (is_alnum(p[i]) || p[i] == '_' || p[i] == '-' || p[i] == '.')
            continue;
        if (flow)
            return 0;
        int inner = i + 1 < text.len;
        if (p[i] == ' ' && inner && p[i + 1] != ' ' && p[i + 1] != '#')
            continue;
        if (p[i] == ':' && inner && p[i + 1] != ' ')
            continue;
        if (strchr("/\\@+=%(),", p[i]) != NULL)
            continue;
        return 0;
    }
    return 1;
}

/* Tells whether single quotes do: nothing to be escaped. Non-BMP characters are escaped, as the Go writer does. */
static int may_be_single_quoted(flamenco_str text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    for (uint64_t i = 0; i < text.len;) {
        size_t n = fl_utf8_length(p + i, (size_t)(text.len - i));
        if (n == 0 || n == 4 || p[i] < 0x20 || p[i] == 0x7F)
            return 0;
        if (n == 2 && p[i] == 0xC2 && p[i + 1] < 0xA0) /* C1 controls, NEL among them */
            return 0;
        if (n == 3 && ((p[i] == 0xE2 && p[i + 1] == 0x80 && (p[i + 2] == 0xA8 || p[i + 2] == 0xA9)) || p[i] == 0xEF))
            return 0; /* U+2028, U+2029; byte-order mark and non-characters, with their harmless neighbours */
        i += n;
    }
    return 1;
}

static void write_double_quoted(fl_buf *out, flamenco_str text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    fl_buf_add_char(out, '"');
    for (uint64_t i = 0; i < text.len;) {
        size_t n = fl_utf8_length(p + i, (size_t)(text.len - i));
        if (n == 1 && p[i] >= 0x20 && p[i] != 0x7F) {
            if (p[i] == '"' || p[i] == '\\')
                fl_buf_add_char(out, '\\');
            fl_buf_add_char(out, (char)p[i]);
        } else if (n == 1 && p[i] == '\n') {
            fl_buf_add_text(out, "\\n");
        } else if (n == 1 && p[i] == '\t') {
            fl_buf_add_text(out, "\\t");
        } else if (n == 1) {
            fl_buf_printf(out, "\\x%02X", p[i]);
        } else if (n == 2) {
            fl_buf_printf(out, "\\u%04X", (p[i] & 0x1Fu) << 6 | (p[i + 1] & 0x3Fu));
        } else if (n == 3) {
            fl_buf_printf(out, "\\u%04X", (p[i] & 0x0Fu) << 12 | (p[i + 1] & 0x3Fu) << 6 | (p[i + 2] & 0x3Fu));
        } else if (n == 4) {
            fl_buf_printf(out, "\\U%08X",
                          (p[i] & 0x07u) << 18 | (p[i + 1] & 0x3Fu) << 12 | (p[i + 2] & 0x3Fu) << 6 |
                              (p[i + 3] & 0x3Fu));
        } else { /* not UTF-8: YAML cannot hold the byte */
            fl_buf_add_text(out, "\\uFFFD");
            n = 1;
        }
        i += n;
    }
    fl_buf_add_char(out, '"');
}

void fl_reference_yaml_text(fl_buf *out, flamenco_str text, int flow)
{
    if (may_be_plain(text, flow)) {
        fl_buf_add_str(out, text);
        return;
    }
    if (text.len == 0) {
        fl_buf_add_text(out, "\"\"");
        return;
    }
    if (!may_be_single_quoted(text)) {
        write_double_quoted(out, text);
        return;
    }
    fl_buf_add_char(out, '\'');
    for (uint64_t i = 0; i < text.len; ++i) {
        if (text.ptr[i] == '\'')
            fl_buf_add_char(out, '\'');
        fl_buf_add_char(out, text.ptr[i]);
    }
    fl_buf_add_char(out, '\'');
}

static void write_scalar(fl_buf *out, const fl_reference *ref, int field)
{
    char text[FL_TIME_TEXT_MAX];
    int64_t number = fl_reference_number(ref, field);
    switch (fl_reference_fields[field].type) {
    case FL_REFERENCE_INT:
        fl_buf_printf(out, "%lld", (long long)number);
        break;
    case FL_REFERENCE_BOOL:
        fl_buf_add_text(out, number != 0 ? "true" : "false");
        break;
    case FL_REFERENCE_DURATION:
        fl_buf_add(out, text, fl_duration_format(number, text));
        break;
    default:
        fl_reference_yaml_text(out, fl_reference_text(ref, field), 0);
        break;
    }
}

static void write_indent(fl_buf *out, const char *lead, int depth)
{
    fl_buf_add_text(out, lead != NULL ? lead : "");
    for (int i = 0; i < depth; ++i)
        fl_buf_add_text(out, "  ");
}

/* Writes one field, opening the groups that the last field was not in. lead: in front of every line, NULL = none; with
 * one, a comment tells what the field means. */
static void write_field(fl_buf *out, const fl_reference *ref, int field, const char *last, const char *lead)
{
    const char *key = fl_reference_fields[field].key, *rest = key;
    int depth = 0;
    for (size_t i = 0; key[i] != '\0' && key[i] == last[i]; ++i) {
        if (key[i] == '.') {
            rest = key + i + 1;
            ++depth;
        }
    }
    for (const char *dot = strchr(rest, '.'); dot != NULL; dot = strchr(rest, '.')) {
        write_indent(out, lead, depth++);
        fl_buf_add(out, rest, (size_t)(dot - rest));
        fl_buf_add_text(out, ":\n");
        rest = dot + 1;
    }
    if (lead != NULL) {
        write_indent(out, depth > 0 ? lead : "", depth);
        fl_buf_printf(out, "# %s\n", fl_reference_fields[field].doc);
    }
    write_indent(out, lead, depth);
    fl_buf_add_text(out, rest);
    fl_buf_add_text(out, ": ");
    write_scalar(out, ref, field);
    fl_buf_add_char(out, '\n');
}

static void write_value(fl_buf *out, const fl_reference_value *v)
{
    const char *lead = "    - ";
    if (v->audience.len > 0) {
        fl_buf_add_text(out, lead);
        fl_buf_add_text(out, "audience: ");
        fl_reference_yaml_text(out, v->audience, 0);
        fl_buf_add_char(out, '\n');
        lead = "      ";
    }
    if (v->platform.len > 0) {
        fl_buf_add_text(out, lead);
        fl_buf_add_text(out, "platform: ");
        fl_reference_yaml_text(out, v->platform, 0);
        fl_buf_add_char(out, '\n');
        lead = "      ";
    }
    if (v->n_platforms > 0) {
        fl_buf_add_text(out, lead);
        fl_buf_add_text(out, "platforms: [");
        for (size_t i = 0; i < v->n_platforms; ++i) {
            if (i > 0)
                fl_buf_add_text(out, ", ");
            fl_reference_yaml_text(out, v->platforms[i], 1);
        }
        fl_buf_add_text(out, "]\n");
        lead = "      ";
    }
    fl_buf_add_text(out, lead);
    fl_buf_add_text(out, "value: ");
    fl_reference_yaml_text(out, v->value, 0);
    fl_buf_add_char(out, '\n');
}

static void write_variables(fl_buf *out, const fl_reference *ref)
{
    if (ref->n_variables == 0) {
        fl_buf_add_text(out, "variables: {}\n");
        return;
    }
    fl_buf_add_text(out, "variables:\n");
    for (size_t i = 0; i < ref->n_variables; ++i) {
        const fl_reference_variable *v = &ref->variables[i];
        fl_buf_add_text(out, "  ");
        fl_reference_yaml_text(out, v->name, 1);
        fl_buf_add_text(out, ":\n");
        if (v->is_twoway)
            fl_buf_add_text(out, "    is_twoway: true\n");
        fl_buf_add_text(out, v->n_values > 0 ? "    values:\n" : "    values: []\n");
        for (size_t k = 0; k < v->n_values; ++k)
            write_value(out, &v->values[k]);
    }
}

void fl_reference_yaml(const fl_reference *ref, const char *program, int64_t now_us, fl_buf *out)
{
    char when[64] = "at an unknown time";
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm tm;
    if (localtime_r(&seconds, &tm) != NULL) {
        char zone[8] = "+0000";
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S ", &tm);
        strftime(zone, sizeof(zone), "%z", &tm);
        size_t n = strlen(when);
        snprintf(when + n, sizeof(when) - n, "%.3s:%.2s", zone, zone + 3);
    }
    fl_buf_printf(out,
                  "# Configuration of Flamenco Manager.\n"
                  "#\n"
                  "# The settings are explained in the manual; keys that the manager does not know are ignored.\n"
                  "# The web interface writes this file anew: comments are kept, unknown keys and order are not.\n"
                  "#\n"
                  "# Written %s by %s\n\n",
                  when, program);
    const char *last = "";
    for (int i = 0; i < FL_REFERENCE_FIELDS; ++i) {
        write_field(out, ref, i, last, NULL);
        last = fl_reference_fields[i].key;
    }
    write_variables(out, ref);
}

void fl_reference_yaml_commented(fl_buf *out)
{
    fl_reference ref;
    const char *last = "";
    fl_reference_defaults(&ref);
    for (int i = FL_REFERENCE_VERSION + 1; i < FL_REFERENCE_FIELDS; ++i) {
        write_field(out, &ref, i, last, "#");
        last = fl_reference_fields[i].key;
    }
    fl_buf_add_text(out, "# Variables for jobs; what stands here replaces a variable of the same name.\n");
    fl_buf variables = { 0 };
    write_variables(&variables, &ref);
    flamenco_str rest = fl_buf_str(&variables), line;
    while (!variables.failed && fl_str_split(&rest, '\n', &line))
        if (line.len > 0)
            fl_buf_printf(out, "#%.*s\n", FL_STR_ARGS(line));
    out->failed |= variables.failed;
    fl_buf_fini(&variables);
}
