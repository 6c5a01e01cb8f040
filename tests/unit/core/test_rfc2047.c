/* SPDX-License-Identifier: Apache-2.0
 *
 * test_rfc2047.c - encoded words in headers (contract: shaman 3.4).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/api/rfc2047.h"

static void vectors(void **state)
{
    static const struct {
        const char *value, *text; /* text NULL: refused */
    } cases[] = {
        { "", "" },
        { "plain.blend", "plain.blend" },
        { "=?utf-8?q?tex/h=C3=A4us=2Epng?=", "tex/häus.png" },
        { "=?utf-8?b?5pel5pysL+ODleOCoeOCpOODqy5ibGVuZA==?=", "日本/ファイル.blend" },
        { "=?utf-8?q?a?= =?utf-8?q?b?=", "ab" },
        { "=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab" },
        { "x =?UTF-8?Q?a_b?= y", "x a b y" },
        { "=?iso-8859-1?q?h=E4?=", "hä" },
        { "=?us-ascii?q?x?=", "x" },
        { "=?utf-8?b?!!!?=", "=?utf-8?b?!!!?=" },
        { "=?utf-8?q?a=4?=", "=?utf-8?q?a=4?=" },
        { "=?utf-8?x?a?=", "=?utf-8?x?a?=" },
        { "=?utf-8?q?a", "=?utf-8?q?a" },
        { "=?=?utf-8?q?a?=", "=?a" },
        { "=?utf-8?q?=FF?=", "\xEF\xBF\xBD" },
        { "=?koi8-r?q?abc?=", NULL },
    };
    fl_arena *arena = fl_arena_create(0);
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        flamenco_str out = { NULL, 0 };
        int32_t rc = fl_rfc2047_decode(arena, flamenco_text(cases[i].value), &out);
        assert_int_equal(rc, cases[i].text != NULL ? FLAMENCO_OK : FLAMENCO_E_INVALID);
        if (cases[i].text != NULL) {
            assert_int_equal(out.len, strlen(cases[i].text));
            assert_memory_equal(out.ptr, cases[i].text, strlen(cases[i].text));
        }
    }
    fl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(vectors) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
