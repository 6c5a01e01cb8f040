/* SPDX-License-Identifier: Apache-2.0
 *
 * test_webapp.c - what of the webapp plugin needs no manager: names of files, headers of conditional requests, the version
 * of the add-on. The rest is tested over HTTP (tests/api/test_webapp.py).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <zlib.h>

#include "temp_dir.h"
#include "webapp.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void names_stay_below_their_directory(void **state)
{
    static const struct {
        const char *path, *name; /* NULL = refused */
    } rows[] = {
        { "index.html", "index.html" },
        { "assets/a-b.js", "assets/a-b.js" },
        { "a%20b/%C3%A9", "a b/\xc3\xa9" },
        { "", "" },
        { "assets/", "assets/" },
        { "a..b", "a..b" },
        { "..", NULL },
        { "../x", NULL },
        { "a/../../x", NULL },
        { "%2e%2e/x", NULL },
        { "a/%2E%2E/x", NULL },
        { "..%2fx", NULL },
        { ".git/config", NULL },
        { "a/.hidden", NULL },
        { "/etc/passwd", NULL },
        { "a//b", NULL },
        { "%2fetc", NULL },
        { "a%00b", NULL },
        { "a%0", NULL },
        { "a%", NULL },
        { "a%zz", NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char name[FL_WEBAPP_NAME_MAX];
        int ok = fl_name_decode(flamenco_text(rows[i].path), name);
        if (ok != (rows[i].name != NULL) || (ok && strcmp(name, rows[i].name) != 0))
            fail_msg("%s: %s", rows[i].path, ok ? name : "refused");
    }
    char longest[FL_WEBAPP_NAME_MAX + 1], name[FL_WEBAPP_NAME_MAX];
    memset(longest, 'a', sizeof(longest));
    assert_true(fl_name_decode((flamenco_str){ longest, FL_WEBAPP_NAME_MAX - 1 }, name));
    assert_false(fl_name_decode((flamenco_str){ longest, FL_WEBAPP_NAME_MAX }, name));
}

static void ranges_are_planned(void **state)
{
    static const struct {
        uint64_t size;
        const char *range, *if_range, *if_none_match;
        fl_range wanted;
    } rows[] = {
        { 100, "", "", "", { 200, 0, 100 } },
        { 0, "", "", "", { 200, 0, 0 } },
        { 100, "bytes=0-9", "", "", { 206, 0, 10 } },
        { 100, "bytes=90-", "", "", { 206, 90, 10 } },
        { 100, "bytes=-5", "", "", { 206, 95, 5 } },
        { 100, "bytes=-500", "", "", { 206, 0, 100 } },
        { 100, "bytes=5-999999999999999999999999", "", "", { 206, 5, 95 } },
        { 100, "Bytes= 1-1 ", "", "", { 206, 1, 1 } },
        { 100, "bytes=100-", "", "", { 416, 0, 0 } },
        { 100, "bytes=-0", "", "", { 416, 0, 0 } },
        { 0, "bytes=0-", "", "", { 416, 0, 0 } },
        { 0, "bytes=-1", "", "", { 416, 0, 0 } },
        { 100, "bytes=9-5", "", "", { 200, 0, 100 } },
        { 100, "bytes=-", "", "", { 200, 0, 100 } },
        { 100, "bytes=", "", "", { 200, 0, 100 } },
        { 100, "bytes=0-1,5-6", "", "", { 200, 0, 100 } },
        { 100, "lines=0-1", "", "", { 200, 0, 100 } },
        { 100, "bytes=a-b", "", "", { 200, 0, 100 } },
        { 100, "bytes=0-9", "\"e\"", "", { 206, 0, 10 } },
        { 100, "bytes=0-9", "\"old\"", "", { 200, 0, 100 } },
        { 100, "bytes=0-9", "", "\"e\"", { 304, 0, 0 } },
        { 100, "", "", "W/\"e\"", { 304, 0, 0 } },
        { 100, "", "", "\"x\", \"e\"", { 304, 0, 0 } },
        { 100, "", "", "*", { 304, 0, 0 } },
        { 100, "", "", "\"x\"", { 200, 0, 100 } },
        { 100, "", "", "e", { 200, 0, 100 } },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        fl_range r = fl_range_plan(rows[i].size, "\"e\"", flamenco_text(rows[i].range), flamenco_text(rows[i].if_range),
                                   flamenco_text(rows[i].if_none_match));
        if (r.status != rows[i].wanted.status || r.offset != rows[i].wanted.offset || r.length != rows[i].wanted.length)
            fail_msg("row %zu, %s: %u %llu %llu", i, rows[i].range, r.status, (unsigned long long)r.offset,
                     (unsigned long long)r.length);
    }
}

static void codings_are_accepted_by_name_and_weight(void **state)
{
    static const struct {
        const char *header;
        int accepted;
    } rows[] = {
        { "", 0 },         { "gzip", 1 },
        { "GZIP", 1 },     { "br, gzip;q=0.5", 1 },
        { "gzip;q=0", 0 }, { "gzip; q=0.000", 0 },
        { "gzip;q=1", 1 }, { "x-gzip", 0 },
        { "br", 0 },       { "*", 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        if (fl_range_accepts(flamenco_text(rows[i].header), "gzip") != rows[i].accepted)
            fail_msg("%s", rows[i].header);
    }
}

/* ---- A zip --------------------------------------------------------------------------------------------------------- */

typedef struct zip {
    unsigned char data[4096];
    size_t len;
} zip;

static void put(zip *z, const void *data, size_t n)
{
    assert_true(z->len + n <= sizeof(z->data));
    if (n > 0)
        memcpy(z->data + z->len, data, n);
    z->len += n;
}

static void put_number(zip *z, uint64_t n, size_t bytes)
{
    for (size_t i = 0; i < bytes; ++i) {
        unsigned char byte = (unsigned char)(n >> (8 * i));
        put(z, &byte, 1);
    }
}

static void make_zip(zip *z, const char *name, const char *text, uint32_t method, const char *comment)
{
    unsigned char packed[1024];
    uLongf plain_len = (uLongf)strlen(text);
    uint32_t packed_len = (uint32_t)plain_len;
    memcpy(packed, text, plain_len);
    if (method == 8) {
        z_stream s = { .next_in = (Bytef *)(uintptr_t)text,
                       .avail_in = (uInt)plain_len,
                       .next_out = packed,
                       .avail_out = sizeof(packed) };
        assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
        packed_len = (uint32_t)s.total_out;
        deflateEnd(&s);
    }
    z->len = 0;
    put_number(z, 0x04034b50u, 4);
    put_number(z, 20, 4); /* version, flags */
    put_number(z, method, 2);
    put_number(z, 0, 8); /* time, checksum */
    put_number(z, packed_len, 4);
    put_number(z, (uint32_t)plain_len, 4);
    put_number(z, (uint32_t)strlen(name), 2);
    put_number(z, 0, 2);
    put(z, name, strlen(name));
    put(z, packed, packed_len);
    uint32_t directory = (uint32_t)z->len;
    put_number(z, 0x02014b50u, 4);
    put_number(z, 0, 6); /* versions, flags */
    put_number(z, method, 2);
    put_number(z, 0, 8);
    put_number(z, packed_len, 4);
    put_number(z, (uint32_t)plain_len, 4);
    put_number(z, (uint32_t)strlen(name), 2);
    put_number(z, 0, 4); /* lengths */
    put_number(z, 0, 8); /* disk, attributes */
    put_number(z, 0, 4); /* offset */
    put(z, name, strlen(name));
    uint32_t size = (uint32_t)z->len - directory;
    put_number(z, 0x06054b50u, 4);
    put_number(z, 0, 4);
    put_number(z, 0x00010001u, 4);
    put_number(z, size, 4);
    put_number(z, directory, 4);
    put_number(z, (uint32_t)strlen(comment), 2);
    put(z, comment, strlen(comment));
}

static void store(const char *path, const zip *z)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(z->data, 1, z->len, file), z->len);
    assert_int_equal(fclose(file), 0);
}

#define ENTRY "flamenco/manager/__init__.py"

static void version_of_the_addon_is_found(void **state)
{
    static const struct {
        const char *name, *text;
        uint32_t method;
        const char *comment, *version; /* version NULL = INVALID */
    } rows[] = {
        { ENTRY, "# x\n__version__ = \"3.9\"\n", 8, "", "3.9" },
        { ENTRY, "__version__='3.9-beta1'\n", 0, "made by somebody", "3.9-beta1" },
        { ENTRY, "import os\n__version__ = \t\"3.10.1\"", 8, "", "3.10.1" },
        { ENTRY, "x = __version__\n__version__ = \"3.8\"\n", 8, "", "3.8" },
        { ENTRY, "__version__ = 3.9\n", 8, "", NULL },
        { ENTRY, "__version__ = \"3.9\n", 8, "", NULL },
        { ENTRY, "__version__ = \"\"\n", 8, "", NULL },
        { ENTRY, "__version__ = \"<b>\"\n", 8, "", NULL },
        { ENTRY, "nothing", 0, "", NULL },
        { "other.py", "__version__ = \"3.9\"\n", 8, "", NULL },
        { ENTRY, "__version__ = \"3.9\"\n", 12, "", NULL },
    };
    char dir[TEMP_DIR_MAX], path[TEMP_DIR_MAX], version[FL_WEBAPP_VERSION_MAX];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    zip z;
    (void)state;
    temp_dir_make(dir);
    temp_path(path, "%s/addon.zip", dir);
    assert_int_equal(fl_addon_version(path, version, &err), FLAMENCO_E_NOT_FOUND);
    for (size_t i = 0; i < COUNT(rows); ++i) {
        make_zip(&z, rows[i].name, rows[i].text, rows[i].method, rows[i].comment);
        store(path, &z);
        int32_t rc = fl_addon_version(path, version, &err);
        assert_int_equal(rc, rows[i].version != NULL ? FLAMENCO_OK : FLAMENCO_E_INVALID);
        if (rc == FLAMENCO_OK)
            assert_string_equal(version, rows[i].version);
    }
    assert_int_equal(fl_addon_version(dir, version, &err), FLAMENCO_E_INVALID);
    temp_dir_remove(dir);
}

/* Whatever the file holds: an answer, and with the sanitizers no access outside of what was read. */
static void broken_zips_do_no_harm(void **state)
{
    char dir[TEMP_DIR_MAX], path[TEMP_DIR_MAX], version[FL_WEBAPP_VERSION_MAX];
    flamenco_error err = FLAMENCO_ERROR_INIT;
    zip whole, z;
    (void)state;
    temp_dir_make(dir);
    temp_path(path, "%s/addon.zip", dir);
    make_zip(&whole, ENTRY, "__version__ = \"3.9\"\n", 8, "");
    for (size_t n = 0; n < whole.len; ++n) {
        z = whole;
        z.len = n;
        store(path, &z);
        assert_int_equal(fl_addon_version(path, version, &err), FLAMENCO_E_INVALID);
    }
    static const unsigned char bytes[] = { 0x00, 0x7f, 0xff };
    for (size_t n = 0; n < whole.len; ++n) {
        for (size_t b = 0; b < COUNT(bytes); ++b) {
            z = whole;
            z.data[n] = bytes[b];
            store(path, &z);
            int32_t rc = fl_addon_version(path, version, &err);
            assert_true(rc == FLAMENCO_OK || rc == FLAMENCO_E_INVALID);
        }
    }
    temp_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stay_below_their_directory),
        cmocka_unit_test(ranges_are_planned),
        cmocka_unit_test(codings_are_accepted_by_name_and_weight),
        cmocka_unit_test(version_of_the_addon_is_found),
        cmocka_unit_test(broken_zips_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
