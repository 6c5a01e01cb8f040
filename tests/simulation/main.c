/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - plays seeded histories: see usage(). Prints what was done, and of the first history that fails its seed and its
 * last operations.
 *
 * A seed always plays the same history: its number decides about the world, the operations, the failures and where the
 * process or the power ends, and no time passes but by the clocks that the history sets. So a history that failed is
 * played again, with what the manager says, by
 *     build-test/tests/simulation/simulation --verbose --seed NUMBER
 * and --power and --crashes as they were; the failure names all of them.
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/base/log.h"
#include "history.h"
#include "temp_dir.h"

static void usage(void)
{
    fprintf(stderr,
            "usage: simulation [--seed N] [--count N] [--operations N] [--power] [--crashes PERCENT] [--verbose] "
            "[--keep] [--scheduler PLUGIN]\n"
            "  --seed N       the first seed (1); --count N: how many seeds from there on (1)\n"
            "  --operations N how many operations each, instead of the seed's own number\n"
            "  --power        every crash is a power loss\n"
            "  --crashes N    how many of hundred operations crash (3)\n"
            "  --scheduler P  another plugin instead of scheduler-priority; one that decides alike for jobs without "
            "metadata\n"
            "  --verbose      tells each operation, and shows the manager's log\n"
            "  --keep         leaves the database of a history that fails, and says where\n");
}

static int read_number(const char *text, uint64_t *out)
{
    char *end;
    unsigned long long n = text != NULL ? strtoull(text, &end, 10) : 0;
    if (text == NULL || *text == '\0' || *end != '\0')
        return -1;
    *out = n;
    return 0;
}

static int read_options(int argc, char **argv, play_options *options, uint64_t *count)
{
    uint64_t n = 0;
    for (int i = 1; i < argc; ++i) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--power") == 0) {
            options->power = 1;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            options->verbose = 1;
        } else if (strcmp(argv[i], "--keep") == 0) {
            options->keep = 1;
        } else if (strcmp(argv[i], "--scheduler") == 0 && value != NULL) {
            options->scheduler = value;
            ++i;
        } else if (read_number(value, &n) != 0) {
            return -1;
        } else if (strcmp(argv[i], "--seed") == 0) {
            options->seed = n;
            ++i;
        } else if (strcmp(argv[i], "--count") == 0) {
            *count = n;
            ++i;
        } else if (strcmp(argv[i], "--operations") == 0) {
            options->operations = (uint32_t)n;
            ++i;
        } else if (strcmp(argv[i], "--crashes") == 0) {
            options->crashes = (uint32_t)n;
            ++i;
        } else {
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    play_options options = { .seed = 1 };
    play_counts counts = { 0 };
    uint64_t count = 1, played = 0;
    int failed = 0;
    if (read_options(argc, argv, &options, &count) != 0) {
        usage();
        return 2;
    }
    fl_log_setup(options.verbose ? STDERR_FILENO : -1, FL_LOG_TEXT,
                 options.verbose ? FLAMENCO_LOG_DEBUG : FLAMENCO_LOG_ERROR);
    if (disk_register() != 0) {
        fprintf(stderr, "the disk cannot be registered\n");
        return 2;
    }
    for (; played < count && !failed; ++played, ++options.seed) {
        char directory[TEMP_DIR_MAX];
        temp_dir_make(directory);
        failed = history_play(&options, directory, &counts) != 0;
        if (failed && options.keep)
            fprintf(stderr, "the database is in %s\n", directory);
        else
            temp_dir_remove(directory);
    }
    printf(
        "%s: %llu histories, %llu operations, %llu replies, %llu events, %llu tasks handed out, %llu failures of the "
        "store, %llu crashes (%llu power losses), %llu restarts, %llu checks\n",
        failed ? "FAILED" : "ok", (unsigned long long)played, (unsigned long long)counts.operations,
        (unsigned long long)counts.requests, (unsigned long long)counts.events, (unsigned long long)counts.handed_out,
        (unsigned long long)counts.failures, (unsigned long long)counts.crashes,
        (unsigned long long)counts.power_losses, (unsigned long long)counts.restarts,
        (unsigned long long)counts.checks);
    return failed;
}
