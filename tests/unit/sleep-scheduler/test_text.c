/* SPDX-License-Identifier: Apache-2.0
 *
 * test_text.c - times and days as people write them (state-and-scheduling 11.1, 11.2; decisions "overnight sleep window").
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "schedule_text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WRONG (-2)

static void times_are_read_as_the_contract_says(void **state)
{
    static const struct {
        const char *text;
        int32_t as_start, as_end;
    } rows[] = {
        { "", -1, -1 },
        { "09:00", 540, 540 },
        { "9:5", 545, 545 },
        { "0:0", 0, 0 },
        { "23:59", 1439, 1439 },
        { "24:00", WRONG, 1440 },
        { "24:0", WRONG, 1440 },
        { "24:01", WRONG, WRONG },
        { "25:00", WRONG, WRONG },
        { "25:99", WRONG, WRONG },
        { "99:00", WRONG, WRONG },
        { "12:60", WRONG, WRONG },
        { "23:99", WRONG, WRONG },
        { "12:345", 754, 754 },
        { "12:34:56", 754, 754 },
        { " 9:30", 570, 570 },
        { "9: 30", 570, 570 },
        { "\t9:\t30", 570, 570 },
        { "12:3x", 723, 723 },
        { "+9:00", 540, 540 },
        { "09:+5", 545, 545 },
        { "-0:30", 30, 30 },
        { "-1:30", WRONG, WRONG },
        { "09:-1", WRONG, WRONG },
        { "01:-9", WRONG, WRONG },
        { "9", WRONG, WRONG },
        { "9:", WRONG, WRONG },
        { ":30", WRONG, WRONG },
        { ":", WRONG, WRONG },
        { "+:00", WRONG, WRONG },
        { "09:+", WRONG, WRONG },
        { "abc", WRONG, WRONG },
        { "12", WRONG, WRONG },
        { "12.30", WRONG, WRONG },
        { "12-30", WRONG, WRONG },
        { "123:45", WRONG, WRONG },
        { "+12:00", WRONG, WRONG },
        { "9 :30", WRONG, WRONG },
        { "\n09:00", WRONG, WRONG },
        { " ", WRONG, WRONG },
        { "\xef\xbc\x91"
          "2:00",
          WRONG, WRONG },
        { "09:00 ", 540, 540 },
        { "noon", WRONG, WRONG },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        for (int is_end = 0; is_end < 2; ++is_end) {
            int32_t got = WRONG, want = is_end ? rows[i].as_end : rows[i].as_start;
            const char *problem = fl_sleep_read_time(flamenco_text(rows[i].text), is_end, &got);
            if (got != want || (problem == NULL) != (want != WRONG))
                fail_msg("\"%s\" as %s: got %d, expected %d", rows[i].text, is_end ? "end" : "start", got, want);
        }
    }
}

static void times_are_written_with_four_digits(void **state)
{
    static const struct {
        int32_t minutes;
        const char *text;
    } rows[] = { { -1, "" },       { 0, "00:00" },    { 5, "00:05" },    { 545, "09:05" },
                 { 754, "12:34" }, { 1439, "23:59" }, { 1440, "24:00" }, { 1441, "" } };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char out[FL_SLEEP_TIME_MAX];
        fl_sleep_write_time(rows[i].minutes, out);
        assert_string_equal(out, rows[i].text);
    }
}

static void a_time_that_is_written_is_read_as_the_same(void **state)
{
    (void)state;
    for (int32_t minutes = -1; minutes <= FL_SLEEP_MINUTES_OF_DAY; ++minutes) {
        char out[FL_SLEEP_TIME_MAX];
        int32_t got = WRONG;
        fl_sleep_write_time(minutes, out);
        assert_null(fl_sleep_read_time(flamenco_text(out), 1, &got));
        assert_int_equal(got, minutes);
    }
}

static void days_are_cut_to_two_letters(void **state)
{
    static const struct {
        const char *text, *stored; /* stored NULL: refused */
        uint32_t mask;
        const char *wrong;
    } rows[] = {
        { "", "", 0x7f, "" },
        { "  \n", "", 0x7f, "" },
        { " , ,", "", 0x7f, "" },
        { "mo tu we", "mo tu we", 0x0e, "" },
        { "    mo   tu we \n", "mo tu we", 0x0e, "" },
        { "monday Tuesday wed", "mo tu we", 0x0e, "" },
        { "  Monday tuesday ", "mo tu", 0x06, "" },
        { "mo,tu,we", "mo tu we", 0x0e, "" },
        { "SU,Sa", "su sa", 0x41, "" },
        { "sunday\tmonday\vtuesday\fwednesday\rthursday\nfriday saturday", "su mo tu we th fr sa", 0x7f, "" },
        { "fr th fr FRIDAY", "fr th", 0x30, "" },
        { "mo7", "mo", 0x02, "" },
        { "m", NULL, 0, "m" },
        { "xx", NULL, 0, "xx" },
        { "mo xx tu", NULL, 0, "xx" },
        { "mo m", NULL, 0, "m" },
        { "dienstag", NULL, 0, "dienstag" },
        { "M\x8f", NULL, 0, "M\x8f" },
        { "\x4d\x2f", NULL, 0, "M/" },
        { "mo;tu", "mo", 0x02, "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        char out[FL_SLEEP_DAYS_MAX] = "untouched";
        flamenco_str wrong = { NULL, 0 };
        int read = fl_sleep_read_days(flamenco_text(rows[i].text), out, &wrong);
        assert_int_equal(read, rows[i].stored != NULL);
        assert_string_equal(out, read ? rows[i].stored : "untouched");
        assert_true(flamenco_str_equal(wrong, flamenco_text(rows[i].wrong)));
        if (read)
            assert_int_equal(fl_sleep_days_mask(flamenco_text(out)), rows[i].mask);
    }
}

/* A database of the reference may hold them. */
static void stored_words_that_are_no_days_match_nothing(void **state)
{
    (void)state;
    assert_int_equal(fl_sleep_days_mask(flamenco_text("xx")), 0);
    assert_int_equal(fl_sleep_days_mask(flamenco_text("xx mo")), 0x02);
    assert_int_equal(fl_sleep_days_mask(flamenco_text("m")), 0);
    assert_int_equal(fl_sleep_days_mask((flamenco_str){ NULL, 0 }), 0x7f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_as_the_contract_says),
        cmocka_unit_test(times_are_written_with_four_digits),
        cmocka_unit_test(a_time_that_is_written_is_read_as_the_same),
        cmocka_unit_test(days_are_cut_to_two_letters),
        cmocka_unit_test(stored_words_that_are_no_days_match_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
