/* SPDX-License-Identifier: Apache-2.0
 *
 * Other programs: what they print, how they end, and how they are ended.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/str.h"
#include "core/blender.h"
#include "core/child.h"
#include "core/step.h"

#define LONG_US INT64_C(60000000)

static fl_buf output;
static int status;
static flamenco_error err;

static int set_up(void **state)
{
    (void)state;
    memset(&output, 0, sizeof(output));
    err = (flamenco_error)FLAMENCO_ERROR_INIT;
    status = -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fl_buf_fini(&output);
    return 0;
}

static int32_t run_for(const char *script, int64_t us, size_t keep, const uint32_t *go_on)
{
    const char *argv[] = { "/bin/sh", "-c", script, NULL };
    fl_child_options options = { .deadline_us = fl_monotonic_us() + us, .keep_bytes = keep, .go_on = go_on };
    int32_t rc = fl_child_run(argv, &options, &output, &status, &err);
    fl_buf_add_char(&output, '\0');
    return rc;
}

static int32_t run(const char *script)
{
    return run_for(script, LONG_US, 1000, NULL);
}

static void output_and_exit_code_are_told(void **state)
{
    static const struct {
        const char *script, *output;
        int status;
    } rows[] = {
        { "echo out; echo err >&2", "out\nerr\n", 0 },  { "exit 7", "", 7 },
        { "printf x; kill -15 $$", "x", 128 + 15 },     { "cat", "", 0 }, /* nothing to read */
        { "exec >&- 2>&-; sleep 0.05; exit 3", "", 3 }, /* says early that it will say no more */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        fl_buf_fini(&output);
        assert_int_equal(run(rows[i].script), FLAMENCO_OK);
        assert_string_equal(output.data, rows[i].output);
        assert_int_equal(status, rows[i].status);
    }
}

static void only_the_beginning_of_long_output_is_kept(void **state)
{
    (void)state;
    assert_int_equal(run_for("head -c 3000000 /dev/zero | tr '\\0' x", LONG_US, 100, NULL), FLAMENCO_OK);
    assert_int_equal(output.len, 101);
    assert_int_equal(status, 0);
}

static void program_that_is_none_cannot_be_started(void **state)
{
    static const char *const paths[] = { "/no/such/program", "/etc/passwd", "/" };
    (void)state;
    for (size_t i = 0; i < 3; ++i) {
        const char *argv[] = { paths[i], NULL };
        fl_child_options options = { .deadline_us = fl_monotonic_us() + LONG_US };
        assert_int_equal(fl_child_run(argv, &options, &output, &status, &err), FLAMENCO_E_IO);
        assert_true(err.text[0] != '\0');
    }
    assert_int_equal(status, -1);
}

/* Reads the process id that a script printed first. */
static pid_t printed_pid(void)
{
    long pid = strtol(output.data, NULL, 10);
    assert_true(pid > 1);
    return (pid_t)pid;
}

/* Killed processes are gone when their new parent has waited for them. */
static int is_gone(pid_t pid)
{
    char path[64], text[256] = "";
    for (int64_t until = fl_monotonic_us() + LONG_US; fl_monotonic_us() < until;) {
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return 1;
        ssize_t n = read(fd, text, sizeof(text) - 1);
        close(fd);
        if (n <= 0 || strstr(text, ") Z ") != NULL)
            return 1;
    }
    return 0;
}

static void deadline_ends_it_and_all_that_it_started(void **state)
{
    (void)state;
    int64_t begun = fl_monotonic_us();
    assert_int_equal(run_for("trap '' TERM INT HUP; sleep 1000 & echo $!; wait; sleep 1000", 300000, 100, NULL),
                     FLAMENCO_E_DEADLINE);
    assert_true(fl_monotonic_us() - begun >= 300000 && fl_monotonic_us() - begun < LONG_US);
    assert_true(is_gone(printed_pid()));
    assert_int_equal(status, -1);
}

static void what_holds_the_output_does_not_hold_the_run(void **state)
{
    (void)state;
    assert_int_equal(run("sleep 1000 & echo $!"), FLAMENCO_OK);
    assert_true(is_gone(printed_pid()));
}

static void run_is_broken_off_on_demand(void **state)
{
    static const uint32_t stopping = 0;
    (void)state;
    assert_int_equal(run_for("sleep 1000", LONG_US, 100, &stopping), FLAMENCO_E_CANCELLED);
}

static void nothing_of_ours_is_passed_on(void **state)
{
    (void)state;
    sigset_t set, before;
    struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
    int open_one = open("/dev/null", O_RDONLY);
    assert_true(open_one >= 0);
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, &before);
    sigaction(SIGPIPE, &ignore, &old);
    int32_t rc = run("grep SigBlk /proc/self/status; ls /proc/self/fd | wc -l; kill -13 $$");
    sigaction(SIGPIPE, &old, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(open_one);
    assert_int_equal(rc, FLAMENCO_OK);
    assert_string_equal(output.data, "SigBlk:\t0000000000000000\n4\n");
    assert_int_equal(status, 128 + 13);
}

static void blender_is_looked_up_in_absolute_directories(void **state)
{
    flamenco_str path = { NULL, 0 };
    fl_arena *arena = fl_arena_create(0);
    (void)state;
    assert_non_null(arena);
    setenv("PATH", ":.:bin:/no/such:/etc:/bin:/usr/bin", 1);
    assert_int_equal(fl_blender_look_up(arena, FL_STR("sh"), &path), FLAMENCO_OK);
    assert_string_equal(path.ptr, "/bin/sh");
    assert_int_equal(fl_blender_look_up(arena, FL_STR("passwd-of-nobody"), &path), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(fl_blender_look_up(arena, FL_STR("group"), &path), FLAMENCO_E_NOT_FOUND); /* no program */
    assert_int_equal(fl_blender_look_up(arena, (flamenco_str){ "sh\0x", 4 }, &path), FLAMENCO_E_NOT_FOUND);
    unsetenv("PATH");
    assert_int_equal(fl_blender_look_up(arena, FL_STR("sh"), &path), FLAMENCO_E_NOT_FOUND);
    assert_int_equal(fl_blender_at(arena, FL_STR("/bin/sh"), &path, &err), FLAMENCO_OK);
    assert_int_equal(fl_blender_at(arena, FL_STR("/bin"), &path, &err), FLAMENCO_E_IO);
    assert_non_null(strstr(err.text, "/bin/blender: "));
    assert_int_equal(fl_blender_version(arena, FL_STR("/bin/sh"), INT64_MAX, NULL, &path, &err), FLAMENCO_E_IO);
    fl_arena_destroy(arena);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(output_and_exit_code_are_told),
        T(only_the_beginning_of_long_output_is_kept),
        T(program_that_is_none_cannot_be_started),
        T(deadline_ends_it_and_all_that_it_started),
        T(what_holds_the_output_does_not_hold_the_run),
        T(run_is_broken_off_on_demand),
        T(nothing_of_ours_is_passed_on),
        T(blender_is_looked_up_in_absolute_directories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
