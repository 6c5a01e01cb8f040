/* SPDX-License-Identifier: Apache-2.0
 *
 * keys.c - names that come from clients. Nothing of a client reaches the file system that did not pass here: a checksum is 64
 * hexadecimal digits or no file has it, and paths are lists of components without "..".
 */
#include "shaman.h"

#define COMPONENT_MAX 255u
#define COMPONENTS_MAX 64u /* of a checkout's path, and of a file's in it: erasing holds a descriptor per level */
#define PATH_TEXT_MAX 3500u /* a link's text must fit into PATH_MAX with "../" for each level */

/* ---- Keys ------------------------------------------------------------------------------------------------------ */

static int is_sha(const char *text, uint64_t len)
{
    if (len != FL_SH_SHA_LEN)
        return 0;
    for (uint64_t i = 0; i < len; ++i)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return 0;
    return 1;
}

int fl_sh_key_make(flamenco_str sha, int64_t size, fl_sh_key *out)
{
    if (size < 0 || !is_sha(sha.ptr, sha.len))
        return 0;
    memcpy(out->sha, sha.ptr, FL_SH_SHA_LEN);
    out->sha[FL_SH_SHA_LEN] = '\0';
    out->size = size;
    return 1;
}

void fl_sh_key_dir(const fl_sh_key *key, char out[FL_SH_DIR_MAX])
{
    out[0] = key->sha[0];
    out[1] = key->sha[1];
    out[2] = '/';
    memcpy(out + 3, key->sha + 2, FL_SH_SHA_LEN - 1);
}

void fl_sh_key_name(const fl_sh_key *key, char out[FL_SH_NAME_MAX])
{
    snprintf(out, FL_SH_NAME_MAX, "%lld.blob", (long long)key->size);
}

int fl_sh_key_of_path(const char *path, size_t len, fl_sh_key *out)
{
    static const char suffix[] = ".blob";
    size_t at = len, digits = 0;
    int64_t size = 0, scale = 1;
    if (len < sizeof(suffix) - 1 || memcmp(path + len - (sizeof(suffix) - 1), suffix, sizeof(suffix) - 1) != 0)
        return 0;
    at -= sizeof(suffix) - 1;
    for (; at > 0 && path[at - 1] >= '0' && path[at - 1] <= '9'; --at, ++digits) {
        if (digits == 18)
            return 0; /* no file is that large, and the number would not fit */
        size += (path[at - 1] - '0') * scale;
        scale *= 10;
    }
    if (digits == 0 || at < FL_SH_SHA_LEN + 3 || path[at - 1] != '/')
        return 0;
    at -= FL_SH_SHA_LEN + 2;
    if (path[at - 1] != '/' || path[at + 2] != '/')
        return 0;
    memcpy(out->sha, path + at, 2);
    memcpy(out->sha + 2, path + at + 3, FL_SH_SHA_LEN - 2);
    out->sha[FL_SH_SHA_LEN] = '\0';
    out->size = size;
    return is_sha(out->sha, FL_SH_SHA_LEN);
}

/* ---- Paths ------------------------------------------------------------------------------------------------------ */

/* Adds the component to out->text, which has room for it. */
static int32_t add_component(fl_sh_path *out, const char *ptr, size_t len, flamenco_str whole, flamenco_error *err)
{
    if (len == 0 || (len == 1 && ptr[0] == '.'))
        return FLAMENCO_OK;
    if (len == 2 && ptr[0] == '.' && ptr[1] == '.')
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the path \"%.*s\" has a component \"..\"", (int)whole.len,
                             whole.ptr);
    if (len > COMPONENT_MAX)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the path \"%.40s…\" has a component of more than %u bytes",
                             whole.ptr, COMPONENT_MAX);
    if (out->n == COMPONENTS_MAX)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the path \"%.40s…\" has more than %u levels", whole.ptr,
                             COMPONENTS_MAX);
    if (out->n > 0)
        ++out->len;
    memcpy(out->text + out->len, ptr, len);
    out->len += (uint32_t)len;
    out->text[out->len] = '\0';
    ++out->n;
    return FLAMENCO_OK;
}

static int is_separator(char c, int backslash_too)
{
    return c == '/' || (backslash_too && c == '\\');
}

static int32_t split(fl_sh_path *out, flamenco_str whole, int backslash_too, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    for (size_t at = 0; rc == FLAMENCO_OK && at < whole.len;) {
        size_t end = at;
        while (end < whole.len && !is_separator(whole.ptr[end], backslash_too))
            ++end;
        rc = add_component(out, whole.ptr + at, end - at, whole, err);
        at = end + 1;
    }
    return rc;
}

/* Refuses what is wrong with any path. what: "checkoutPath", "path". */
static int32_t check_text(flamenco_str text, const char *what, flamenco_error *err)
{
    if (text.len == 0)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the %s is empty", what);
    if (text.len > PATH_TEXT_MAX)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the %s \"%.40s…\" has more than %u bytes", what, text.ptr,
                             PATH_TEXT_MAX);
    if (memchr(text.ptr, '\0', (size_t)text.len) != NULL)
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the %s has a NUL character in it", what);
    if (text.ptr[0] == '/')
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the %s \"%.*s\" is absolute", what, (int)text.len, text.ptr);
    return FLAMENCO_OK;
}

/* Cuts separators and "." components off the end: behind them, a suffix would begin a directory in the directory. */
static uint64_t trimmed_len(flamenco_str text)
{
    uint64_t len = text.len;
    for (;;) {
        if (len > 0 && text.ptr[len - 1] == '/')
            --len;
        else if (len > 1 && text.ptr[len - 1] == '.' && text.ptr[len - 2] == '/')
            --len;
        else
            return len;
    }
}

int32_t fl_sh_checkout_path(const flamenco_host *host, flamenco_str wanted, fl_sh_path *out, const char **name_out,
                            flamenco_error *err)
{
    int32_t rc = check_text(wanted, "checkoutPath", err);
    if (rc != FLAMENCO_OK)
        return rc;
    for (uint64_t i = 0; i < wanted.len; ++i)
        if (strchr("?*:;{}\\", wanted.ptr[i]) != NULL)
            return flamenco_fail(err, FLAMENCO_E_INVALID, "the checkoutPath \"%.*s\" has a character of ? * : ; { } \\",
                                 (int)wanted.len, wanted.ptr);
    flamenco_str text = { wanted.ptr, trimmed_len(wanted) };
    memset(out, 0, sizeof(*out));
    out->text = host->alloc(host->h, 2 * wanted.len + 32);
    if (out->text == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    out->text[0] = '\0';
    rc = split(out, text, 0, err);
    if (rc == FLAMENCO_OK && out->n == 0) {
        /* The add-on sends "." for a job without a name (decisions). */
        text = flamenco_text(FL_SH_UNNAMED);
        rc = split(out, text, 0, err);
    }
    if (rc != FLAMENCO_OK) {
        host->free(host->h, out->text);
        out->text = NULL;
        return rc;
    }
    char *name = out->text + out->len + 1;
    memcpy(name, text.ptr, (size_t)text.len);
    name[text.len] = '\0';
    *name_out = name;
    return FLAMENCO_OK;
}

static int has_drive(flamenco_str text)
{
    return text.len >= 3 && text.ptr[1] == ':' && is_separator(text.ptr[2], 1) &&
           ((text.ptr[0] >= 'a' && text.ptr[0] <= 'z') || (text.ptr[0] >= 'A' && text.ptr[0] <= 'Z'));
}

int32_t fl_sh_file_path(const flamenco_host *host, flamenco_str wanted, fl_sh_path *out, flamenco_error *err)
{
    int32_t rc = check_text(wanted, "path", err);
    if (rc == FLAMENCO_OK && (wanted.ptr[0] == '\\' || has_drive(wanted)))
        rc = flamenco_fail(err, FLAMENCO_E_INVALID, "the path \"%.*s\" is absolute", (int)wanted.len, wanted.ptr);
    if (rc != FLAMENCO_OK)
        return rc;
    memset(out, 0, sizeof(*out));
    out->text = host->alloc(host->h, wanted.len + 1);
    if (out->text == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    rc = split(out, wanted, 1, err);
    if (rc == FLAMENCO_OK && out->n == 0)
        rc = flamenco_fail(err, FLAMENCO_E_INVALID, "the path \"%.*s\" names no file", (int)wanted.len, wanted.ptr);
    if (rc != FLAMENCO_OK) {
        host->free(host->h, out->text);
        out->text = NULL;
    }
    return rc;
}
