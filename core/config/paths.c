/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.c - paths of other platforms as text. See paths.h. Used by the variables, and wherever a path came from a client.
 */
#include "core/config/paths.h"

#include "core/base/str.h"

const char *fl_path_own_platform(void)
{
#if defined(__APPLE__)
    return "darwin";
#elif defined(__FreeBSD__)
    return "freebsd";
#else
    return "linux";
#endif
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int has_drive(flamenco_str path)
{
    return path.len >= 2 && is_letter(path.ptr[0]) && path.ptr[1] == ':';
}

int32_t fl_path_to_platform(fl_arena *arena, flamenco_str path, flamenco_str platform, flamenco_str *out)
{
    int windows = fl_str_is(platform, "windows");
    char separator = windows ? '\\' : '/';
    char *text = fl_arena_alloc(arena, (size_t)path.len + 2);
    if (text == NULL)
        return FLAMENCO_E_NOMEM;
    size_t n = 0;
    uint64_t i = 0;
    while (i < path.len && fl_path_is_separator(path.ptr[i])) {
        text[n++] = separator;
        ++i;
    }
    if (i == path.len) /* nothing but separators: an empty list of components */
        n = 0;
    size_t lead = n;
    while (i < path.len) {
        if (n > lead)
            text[n++] = separator;
        while (i < path.len && !fl_path_is_separator(path.ptr[i]))
            text[n++] = path.ptr[i++];
        while (i < path.len && fl_path_is_separator(path.ptr[i]))
            ++i;
    }
    text[n] = '\0';
    flamenco_str result = { text, n };
    if (windows)
        return fl_path_drive_absolute(arena, result, out);
    *out = result;
    return FLAMENCO_OK;
}

flamenco_str fl_path_trim_trailing(flamenco_str path)
{
    while (path.len > 1 && fl_path_is_separator(path.ptr[path.len - 1]))
        --path.len;
    return path;
}

int32_t fl_path_drive_absolute(fl_arena *arena, flamenco_str path, flamenco_str *out)
{
    if (!has_drive(path) || (path.len > 2 && path.ptr[2] == '\\')) {
        *out = path;
        return FLAMENCO_OK;
    }
    char *text = fl_arena_alloc(arena, (size_t)path.len + 2);
    if (text == NULL)
        return FLAMENCO_E_NOMEM;
    memcpy(text, path.ptr, 2);
    text[2] = '\\';
    memcpy(text + 3, path.ptr + 2, (size_t)path.len - 2);
    *out = (flamenco_str){ text, path.len + 1 };
    return FLAMENCO_OK;
}

int fl_path_is_unc(flamenco_str path)
{
    return path.len >= 2 && path.ptr[0] == '\\' && path.ptr[1] == '\\';
}

int fl_path_is_root(flamenco_str path)
{
    if (fl_str_is(path, "/"))
        return 1;
    return has_drive(path) && (path.len == 2 || (path.len == 3 && fl_path_is_separator(path.ptr[2])));
}

static int32_t replace_separators(fl_arena *arena, flamenco_str path, char separator, flamenco_str *out)
{
    flamenco_str copy = fl_arena_copy(arena, path);
    if (copy.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    char *text = (char *)(uintptr_t)copy.ptr;
    for (uint64_t i = 0; i < copy.len; ++i)
        if (fl_path_is_separator(text[i]))
            text[i] = separator;
    *out = copy;
    return FLAMENCO_OK;
}

int32_t fl_path_to_slash(fl_arena *arena, flamenco_str path, flamenco_str *out)
{
    return replace_separators(arena, path, '/', out);
}

int32_t fl_path_to_native(fl_arena *arena, flamenco_str path, flamenco_str *out)
{
    return replace_separators(arena, path, strcmp(fl_path_own_platform(), "windows") == 0 ? '\\' : '/', out);
}

int32_t fl_path_clean(fl_arena *arena, flamenco_str path, flamenco_str *out)
{
    char *text = fl_arena_alloc(arena, (size_t)path.len + 2);
    if (text == NULL)
        return FLAMENCO_E_NOMEM;
    int rooted = path.len > 0 && path.ptr[0] == '/';
    size_t n = 0, floor = 0; /* floor: what ".." must not remove */
    uint64_t i = 0;
    if (rooted)
        text[n++] = '/';
    floor = n;
    while (i < path.len) {
        uint64_t from = i;
        while (i < path.len && path.ptr[i] != '/')
            ++i;
        size_t len = (size_t)(i - from);
        ++i;
        if (len == 0 || (len == 1 && path.ptr[from] == '.'))
            continue;
        if (len == 2 && path.ptr[from] == '.' && path.ptr[from + 1] == '.') {
            if (n > floor) {
                while (n > floor && text[n - 1] != '/')
                    --n;
                if (n > floor)
                    --n;
                continue;
            }
            if (rooted)
                continue;
        }
        if (n > (rooted ? 1u : 0u))
            text[n++] = '/';
        memcpy(text + n, path.ptr + from, len);
        n += len;
        if (!rooted && len == 2 && path.ptr[from] == '.' && path.ptr[from + 1] == '.')
            floor = n;
    }
    if (n == 0)
        text[n++] = '.';
    text[n] = '\0';
    *out = (flamenco_str){ text, n };
    return FLAMENCO_OK;
}

int32_t fl_path_absolute(fl_arena *arena, flamenco_str cwd, flamenco_str path, flamenco_str *out)
{
    if (path.len > 0 && path.ptr[0] == '/')
        return fl_path_clean(arena, path, out);
    flamenco_str whole = fl_arena_printf(arena, "%.*s/%.*s", FL_STR_ARGS(cwd), FL_STR_ARGS(path));
    if (whole.ptr == NULL)
        return FLAMENCO_E_NOMEM;
    return fl_path_clean(arena, whole, out);
}

int32_t fl_path_join(fl_arena *arena, const flamenco_str *parts, size_t n, flamenco_str *out)
{
    flamenco_str joined = { NULL, 0 };
    for (size_t i = 0; i < n; ++i) {
        if (parts[i].len == 0)
            continue;
        joined = joined.len == 0 ? parts[i]
                                 : fl_arena_printf(arena, "%.*s/%.*s", FL_STR_ARGS(joined), FL_STR_ARGS(parts[i]));
        if (joined.ptr == NULL)
            return FLAMENCO_E_NOMEM;
    }
    if (joined.len == 0) {
        *out = joined;
        return FLAMENCO_OK;
    }
    int32_t rc = fl_path_clean(arena, joined, &joined);
    return rc == FLAMENCO_OK ? fl_path_to_slash(arena, joined, out) : rc;
}

int32_t fl_path_base(fl_arena *arena, flamenco_str path, flamenco_str *out)
{
    flamenco_str s;
    if (path.len == 0) {
        *out = FL_STR(".");
        return FLAMENCO_OK;
    }
    int32_t rc = fl_path_to_slash(arena, path, &s);
    if (rc != FLAMENCO_OK)
        return rc;
    s = fl_path_trim_trailing(s);
    if (!fl_str_is(s, "/")) {
        uint64_t from = s.len;
        while (from > 0 && s.ptr[from - 1] != '/')
            --from;
        s.ptr += from;
        s.len -= from;
    }
    *out = s;
    return FLAMENCO_OK;
}

int32_t fl_path_dir(fl_arena *arena, flamenco_str path, flamenco_str *out)
{
    flamenco_str s;
    int32_t rc = fl_path_to_slash(arena, path, &s);
    if (rc != FLAMENCO_OK)
        return rc;
    while (s.len > 0 && s.ptr[s.len - 1] != '/')
        --s.len;
    /* Cleaning makes one slash of the two that begin a network path: put the other one back. */
    int unc = s.len > 2 && s.ptr[0] == '/' && s.ptr[1] == '/' && s.ptr[2] != '/';
    rc = fl_path_clean(arena, s, &s);
    if (rc == FLAMENCO_OK && unc) {
        s = fl_arena_printf(arena, "/%.*s", FL_STR_ARGS(s));
        if (s.ptr == NULL)
            rc = FLAMENCO_E_NOMEM;
    }
    if (rc == FLAMENCO_OK)
        *out = s;
    return rc;
}

int32_t fl_path_stem(fl_arena *arena, flamenco_str path, flamenco_str *out)
{
    flamenco_str base;
    int32_t rc = fl_path_base(arena, path, &base);
    if (rc != FLAMENCO_OK)
        return rc;
    for (uint64_t i = base.len; i-- > 0;) {
        if (base.ptr[i] == '.') {
            base.len = i;
            break;
        }
    }
    *out = base;
    return FLAMENCO_OK;
}
