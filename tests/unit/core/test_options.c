/* SPDX-License-Identifier: Apache-2.0
 *
 * The grammar of the command line (configuration-and-clients 1.1).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/options.h"
#include "flamenco/plugin.h"

#define ARGS_MAX 8

static fl_options options;

/* Reads the arguments, NULL ends. What would be written to stderr is thrown away. */
static int read_args(const char *const *args)
{
    char *argv[ARGS_MAX + 2] = { NULL };
    static char texts[ARGS_MAX + 1][64];
    int argc = 0;
    snprintf(texts[0], sizeof(texts[0]), "flamenco-manager");
    argv[argc++] = texts[0];
    for (; *args != NULL; ++args) {
        snprintf(texts[argc], sizeof(texts[0]), "%s", *args);
        argv[argc] = texts[argc];
        ++argc;
    }
    fflush(stderr);
    int kept = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
    assert_true(kept >= 0 && null >= 0 && dup2(null, STDERR_FILENO) >= 0);
    int rc = fl_options_read(argc, argv, &options);
    fflush(stderr);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    close(null);
    return rc;
}

#define READ(...) read_args((const char *const[]){ __VA_ARGS__, NULL })

static void nothing_given_is_everything_off(void **state)
{
    (void)state;
    static const fl_options off;
    memset(&options, 0x55, sizeof(options));
    assert_int_equal(READ(NULL), 0);
    assert_memory_equal(&options, &off, sizeof(off));
    assert_int_equal(fl_options_log_level(&options), FLAMENCO_LOG_INFO);
}

static void flags_take_one_dash_or_two(void **state)
{
    (void)state;
    assert_int_equal(READ("-quiet", "--debug", "-trace", "--write-config"), 0);
    assert_true(options.quiet && options.debug && options.trace && options.write_config);
    assert_false(options.version || options.help || options.check_config);
    assert_int_equal(READ("-version", "-check-config", "--list-plugins", "-setup-assistant"), 0);
    assert_true(options.version && options.check_config && options.list_plugins && options.setup_assistant);
}

static void help_has_a_short_name(void **state)
{
    (void)state;
    assert_int_equal(READ("-h"), 0);
    assert_true(options.help);
    assert_int_equal(READ("--help"), 0);
    assert_true(options.help);
}

static void booleans_are_written_in_many_ways(void **state)
{
    (void)state;
    static const struct {
        const char *argument;
        int rc, value;
    } rows[] = {
        { "-quiet=true", 0, 1 },   { "-quiet=TRUE", 0, 1 },   { "-quiet=True", 0, 1 },   { "-quiet=1", 0, 1 },
        { "-quiet=t", 0, 1 },      { "-quiet=T", 0, 1 },      { "--quiet=false", 0, 0 }, { "-quiet=FALSE", 0, 0 },
        { "-quiet=False", 0, 0 },  { "-quiet=0", 0, 0 },      { "-quiet=f", 0, 0 },      { "-quiet=F", 0, 0 },
        { "-quiet=", -1, 0 },      { "-quiet=yes", -1, 0 },   { "-quiet=2", -1, 0 },     { "-quiet=tRUE", -1, 0 },
        { "-quiet= true", -1, 0 }, { "-quiet=true ", -1, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        assert_int_equal(READ(rows[i].argument), rows[i].rc);
        assert_int_equal(options.quiet, rows[i].value);
    }
    assert_int_equal(READ("-quiet", "-quiet=false"), 0); /* the last one counts */
    assert_false(options.quiet);
}

static void flag_does_not_take_the_next_argument(void **state)
{
    (void)state;
    assert_int_equal(READ("-quiet", "false", "-debug"), 0);
    assert_true(options.quiet);
    assert_false(options.debug); /* "false" is left over, and ends the reading */
}

static void reading_stops_at_the_first_that_is_no_flag(void **state)
{
    (void)state;
    static const char *const stops[] = { "word", "--", "-", "" };
    for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); ++i) {
        assert_int_equal(READ("-quiet", stops[i], "-debug", "-nonsense"), 0);
        assert_true(options.quiet);
        assert_false(options.debug);
    }
}

static void texts_are_given_behind_a_blank_or_an_equals_sign(void **state)
{
    (void)state;
    assert_int_equal(READ("-config", "a.yaml", "-quiet"), 0);
    assert_string_equal(options.config, "a.yaml");
    assert_true(options.quiet);
    assert_int_equal(READ("--config=b=c.yaml"), 0);
    assert_string_equal(options.config, "b=c.yaml");
    assert_int_equal(READ("-config", "-quiet"), 0); /* as it is, like the reference's grammar */
    assert_string_equal(options.config, "-quiet");
    assert_false(options.quiet);
    assert_int_equal(READ("-config"), -1);
    assert_int_equal(READ("-config="), -1);
    assert_int_equal(READ("-config", ""), -1);
}

static void log_format_is_one_of_two(void **state)
{
    (void)state;
    assert_int_equal(READ("-log-format=json"), 0);
    assert_true(options.log_json);
    assert_int_equal(READ("-log-format", "text"), 0);
    assert_false(options.log_json);
    assert_int_equal(READ("-log-format", "xml"), -1);
    assert_int_equal(READ("-log-format"), -1);
}

static void unknown_flags_are_refused(void **state)
{
    (void)state;
    assert_int_equal(READ("-nonsense"), -1);
    assert_int_equal(READ("--nonsense=1"), -1);
    assert_int_equal(READ("-quie"), -1);
    assert_int_equal(READ("-quiets"), -1);
    assert_int_equal(READ("-Quiet"), -1);
    assert_int_equal(READ("---quiet"), -1);
    assert_int_equal(READ("-=1"), -1);
    assert_int_equal(READ("-quiet", "-nonsense"), -1);
}

static void most_talkative_level_wins(void **state)
{
    (void)state;
    assert_int_equal(READ("-quiet"), 0);
    assert_int_equal(fl_options_log_level(&options), FLAMENCO_LOG_WARN);
    assert_int_equal(READ("-debug", "-quiet"), 0);
    assert_int_equal(fl_options_log_level(&options), FLAMENCO_LOG_DEBUG);
    assert_int_equal(READ("-quiet", "-trace", "-debug"), 0);
    assert_int_equal(fl_options_log_level(&options), FLAMENCO_LOG_TRACE);
}

static void usage_names_every_option(void **state)
{
    (void)state;
    char text[4096];
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    fl_options_usage(1);
    fflush(stderr);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    rewind(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    fclose(file);
    static const char *const names[] = { "--config FILE",
                                         "--check-config",
                                         "--list-plugins",
                                         "--write-config",
                                         "--setup-assistant",
                                         "--log-format text|json",
                                         "--quiet",
                                         "--debug",
                                         "--trace",
                                         "--version",
                                         "--help" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i)
        assert_non_null(strstr(text, names[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_given_is_everything_off),
        cmocka_unit_test(flags_take_one_dash_or_two),
        cmocka_unit_test(help_has_a_short_name),
        cmocka_unit_test(booleans_are_written_in_many_ways),
        cmocka_unit_test(flag_does_not_take_the_next_argument),
        cmocka_unit_test(reading_stops_at_the_first_that_is_no_flag),
        cmocka_unit_test(texts_are_given_behind_a_blank_or_an_equals_sign),
        cmocka_unit_test(log_format_is_one_of_two),
        cmocka_unit_test(unknown_flags_are_refused),
        cmocka_unit_test(most_talkative_level_wins),
        cmocka_unit_test(usage_names_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
