/* SPDX-License-Identifier: Apache-2.0
 *
 * test_log.c - the forms of a log line, what may not get into it, its limits, and whole lines from several threads.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/base/timefmt.h"

/* A file that is gone when the test ends. */
static int make_file(void)
{
    char name[] = "/tmp/flamenco-test-log-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(unlink(name), 0);
    return fd;
}

/* Reads what was logged so far and empties the file. */
static size_t take(int fd, char *out, size_t size)
{
    ssize_t n = pread(fd, out, size - 1, 0);
    assert_true(n >= 0);
    out[n] = '\0';
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return (size_t)n;
}

static void text_lines_have_time_level_subsystem_and_request(void **state)
{
    (void)state;
    char line[10000];
    int fd = make_file();
    fl_log_setup(fd, FL_LOG_TEXT, FLAMENCO_LOG_INFO);
    fl_info("http", "listening on %s", ":8080");
    assert_int_equal(take(fd, line, sizeof(line)), 20 + strlen(" INF http: listening on :8080\n"));
    int64_t us;
    flamenco_str when = { line, 20 };
    assert_int_equal(fl_time_parse(when, &us, NULL), 0);
    assert_true(llabs((long long)time(NULL) - us / 1000000) < 60);
    assert_string_equal(line + 20, " INF http: listening on :8080\n");

    fl_log_set_request(FL_STR("r-17"));
    fl_error("executor", "broken");
    take(fd, line, sizeof(line));
    assert_string_equal(line + 20, " ERR executor: broken  req=r-17\n");
    fl_log_set_request((flamenco_str){ NULL, 0 });
    fl_warn("x", "careful");
    take(fd, line, sizeof(line));
    assert_string_equal(line + 20, " WRN x: careful\n");
    close(fd);
}

static void levels_below_the_least_are_not_written(void **state)
{
    (void)state;
    char line[10000];
    int fd = make_file();
    fl_log_setup(fd, FL_LOG_TEXT, FLAMENCO_LOG_WARN);
    assert_false(fl_log_enabled(FLAMENCO_LOG_INFO));
    assert_true(fl_log_enabled(FLAMENCO_LOG_WARN));
    fl_info("a", "no");
    fl_debug("a", "no");
    assert_int_equal(take(fd, line, sizeof(line)), 0);
    fl_log_setup(fd, FL_LOG_TEXT, FLAMENCO_LOG_TRACE);
    fl_debug("a", "yes");
    fl_log(FLAMENCO_LOG_TRACE, "a", "too");
    take(fd, line, sizeof(line));
    assert_non_null(strstr(line, " DBG a: yes\n"));
    assert_non_null(strstr(line, " TRC a: too\n"));
    close(fd);
}

static void control_characters_and_bad_utf8_cannot_forge_lines(void **state)
{
    (void)state;
    char line[10000];
    int fd = make_file();
    fl_log_setup(fd, FL_LOG_TEXT, FLAMENCO_LOG_INFO);
    fl_info("a", "one\ntwo\r\t\033[31m\x7f \xC2\x9B \xC3\xB6 \xFF C:\\dir");
    take(fd, line, sizeof(line));
    assert_string_equal(line + 20, " INF a: one\\ntwo\\r\\t\\u001b[31m\\u007f \\u009b \xC3\xB6 \xEF\xBF\xBD C:\\dir\n");
    close(fd);
}

static void json_lines_are_valid_json(void **state)
{
    (void)state;
    char line[10000];
    int fd = make_file();
    fl_log_setup(fd, FL_LOG_JSON, FLAMENCO_LOG_INFO);
    fl_log_set_request(FL_STR("r\"1"));
    fl_info("ht\"tp", "say \"hi\"\n\x01 \\ \xFF");
    fl_log_set_request((flamenco_str){ NULL, 0 });
    size_t len = take(fd, line, sizeof(line));
    assert_int_equal(line[len - 1], '\n');
    assert_int_equal(fl_json_check((flamenco_str){ line, len }, NULL), 0);
    assert_int_equal(strncmp(line, "{\"time\":\"", 9), 0);
    assert_non_null(strstr(line, "Z\",\"level\":\"info\",\"subsystem\":\"ht\\\"tp\",\"request\":\"r\\\"1\",\"message\":"
                                 "\"say \\\"hi\\\"\\n\\u0001 \\\\ \xEF\xBF\xBD\"}\n"));
    fl_warn("b", "x");
    take(fd, line, sizeof(line));
    assert_null(strstr(line, "\"request\""));
    close(fd);
}

static void long_messages_are_cut_and_marked(void **state)
{
    (void)state;
    static const char *const units[] = { "x", "\xC3\xB6", "\x01", "\"" };
    char *text = malloc(100001), line[10000];
    assert_non_null(text);
    int fd = make_file();
    for (size_t u = 0; u < 4; ++u) {
        size_t n = strlen(units[u]);
        for (size_t i = 0; i + n <= 100000; i += n)
            memcpy(text + i, units[u], n);
        text[100000] = '\0';
        for (int format = FL_LOG_TEXT; format <= FL_LOG_JSON; ++format) {
            fl_log_setup(fd, format, FLAMENCO_LOG_INFO);
            /* The longest names there can be: they are cut, too, and cost the end of the line nothing. */
            fl_log_set_request((flamenco_str){ text, 100000 });
            fl_info(u == 3 ? text : "a", "%s", text);
            size_t len = take(fd, line, sizeof(line));
            assert_true(len > 3500 && len <= 8192);
            assert_int_equal(line[len - 1], '\n');
            assert_ptr_equal(strchr(line, '\n'), line + len - 1);
            assert_non_null(strstr(line, "\xE2\x80\xA6"));
            assert_true(fl_str_is_utf8((flamenco_str){ line, len }));
            if (format == FL_LOG_JSON)
                assert_int_equal(fl_json_check((flamenco_str){ line, len }, NULL), 0);
            else
                assert_non_null(strstr(line, "  req="));
        }
    }
    fl_log_set_request((flamenco_str){ NULL, 0 });
    free(text);
    close(fd);
}

static void *log_many(void *arg)
{
    char request[8];
    snprintf(request, sizeof(request), "r%d", *(const int *)arg);
    fl_log_set_request(flamenco_text(request));
    for (int i = 0; i < 500; ++i)
        fl_info("thread", "%d %0100d", *(const int *)arg, i);
    fl_log_set_request((flamenco_str){ NULL, 0 });
    return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
    (void)state;
    enum { threads = 4 };
    pthread_t ids[threads];
    int numbers[threads];
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    fl_log_setup(fd[1], FL_LOG_TEXT, FLAMENCO_LOG_INFO);
    for (int i = 0; i < threads; ++i) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&ids[i], NULL, log_many, &numbers[i]), 0);
    }
    FILE *in = fdopen(fd[0], "r");
    assert_non_null(in);
    char line[1000];
    int next[threads] = { 0 };
    for (int i = 0; i < threads * 500; ++i) {
        int thread, number, request;
        assert_non_null(fgets(line, sizeof(line), in));
        assert_int_equal(sscanf(line + 20, " INF thread: %d %d  req=r%d\n", &thread, &number, &request), 3);
        assert_int_equal(thread, request);
        assert_int_equal(number, next[thread]++);
    }
    for (int i = 0; i < threads; ++i)
        assert_int_equal(pthread_join(ids[i], NULL), 0);
    fclose(in);
    close(fd[1]);
}

static void a_broken_descriptor_is_survived_and_errno_kept(void **state)
{
    (void)state;
    fl_log_setup(-1, FL_LOG_TEXT, FLAMENCO_LOG_INFO);
    errno = 42;
    fl_error("a", "lost");
    assert_int_equal(errno, 42);
}

static int use_utc(void **state)
{
    (void)state;
    if (setenv("TZ", "UTC0", 1) != 0)
        return -1;
    tzset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines_have_time_level_subsystem_and_request),
        cmocka_unit_test(levels_below_the_least_are_not_written),
        cmocka_unit_test(control_characters_and_bad_utf8_cannot_forge_lines),
        cmocka_unit_test(json_lines_are_valid_json),
        cmocka_unit_test(long_messages_are_cut_and_marked),
        cmocka_unit_test(lines_of_several_threads_do_not_mix),
        cmocka_unit_test(a_broken_descriptor_is_survived_and_errno_kept),
    };
    return cmocka_run_group_tests(tests, use_utc, NULL);
}
