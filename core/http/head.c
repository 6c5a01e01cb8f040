/* SPDX-License-Identifier: Apache-2.0
 *
 * head.c - see head.h. Two servers that disagree on where a request ends let one client speak in another's name, so
 * what could be read in two ways is refused.
 */
#include "core/http/head.h"

#include "core/http/http.h"

#include <string.h>
#include <strings.h>

static int is_name(const char *line, size_t len, const char *name)
{
    size_t n = strlen(name);
    return len > n && line[n] == ':' && strncasecmp(line, name, n) == 0;
}

static int is_digits(const char *value, const char *end)
{
    while (value < end && (*value == ' ' || *value == '\t'))
        ++value;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        --end;
    if (value == end)
        return 0;
    for (; value < end; ++value)
        if (*value < '0' || *value > '9')
            return 0;
    return 1;
}

int fl_http_head_header(flamenco_str head, const char *name, size_t index, flamenco_str *out)
{
    const char *at = head.ptr, *end = head.ptr + head.len;
    size_t len = strlen(name);
    for (size_t lines = 0; at < end; ++lines) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        while (newline != NULL && newline + 1 < end && (newline[1] == ' ' || newline[1] == '\t'))
            newline = memchr(newline + 1, '\n', (size_t)(end - newline - 1));
        if (newline == NULL)
            return 0;
        if (lines > 0 && is_name(at, (size_t)(newline - at), name) && index-- == 0) {
            const char *from = at + len + 1, *to = newline;
            while (from < to && (*from == ' ' || *from == '\t'))
                ++from;
            while (to > from && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r'))
                --to;
            *out = (flamenco_str){ from, (uint64_t)(to - from) };
            return 1;
        }
        at = newline + 1;
    }
    return 0;
}

size_t fl_head_scan(const char *bytes, size_t len, const char **problem_out)
{
    const char *at = bytes, *end = bytes + len, *problem = NULL;
    uint32_t lengths = 0, encodings = 0, hosts = 0, lines = 0;
    int last_is_framing = 0;

    *problem_out = NULL;
    if (at < end && *at == '\r')
        ++at;
    if (at < end && *at == '\n')
        ++at;
    else
        at = bytes;
    for (;;) {
        const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (newline == NULL)
            return 0;
        const char *stop = newline > at && newline[-1] == '\r' ? newline - 1 : newline;
        size_t n = (size_t)(stop - at);
        if (n == 0) {
            at = newline + 1;
            break;
        }
        if (lines++ == 0) {
            /* the request line */
        } else if (*at == ' ' || *at == '\t') {
            if (last_is_framing)
                problem = "folded framing header";
        } else {
            int is_length = is_name(at, n, "content-length");
            int is_encoding = is_name(at, n, "transfer-encoding");
            int is_host = is_name(at, n, "host");
            lengths += (uint32_t)is_length;
            encodings += (uint32_t)is_encoding;
            hosts += (uint32_t)is_host;
            last_is_framing = is_length || is_encoding || is_host;
            if (is_length && !is_digits(at + sizeof("content-length"), stop))
                problem = "broken Content-Length";
        }
        at = newline + 1;
    }
    if (lengths > 1)
        problem = "more than one Content-Length";
    else if (encodings > 1)
        problem = "more than one Transfer-Encoding";
    else if (lengths != 0 && encodings != 0)
        problem = "both Content-Length and Transfer-Encoding";
    else if (hosts > 1)
        problem = "more than one Host";
    *problem_out = problem;
    return (size_t)(at - bytes);
}
