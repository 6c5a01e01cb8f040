/* SPDX-License-Identifier: Apache-2.0
 * farm-sim: simulated Flamenco Workers. Reads the options and runs a mode. */
#include <stdio.h>
#include <sys/resource.h>

#include "modes.h"
#include "options.h"

/* Thousands of workers are thousands of descriptors. */
static int raise_descriptor_limit(const fl_options *opt)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)opt->workers * 2 + opt->clients + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max >= needed || limit.rlim_max == RLIM_INFINITY)
        return 0;
    if (limit.rlim_max < (rlim_t)opt->workers + opt->clients + 64) {
        fprintf(stderr, "farm-sim: %u workers need more than the %llu open files that are allowed (ulimit -Hn)\n",
                opt->workers, (unsigned long long)limit.rlim_max);
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    fl_options opt;
    int exit_code = fl_options_parse(&opt, argc, argv);
    if (exit_code >= 0)
        return exit_code;
    if (raise_descriptor_limit(&opt) < 0)
        return FL_EXIT_USAGE;
    if (opt.mode == FL_MODE_DEMO)
        return fl_demo_run(&opt);
    if (opt.mode == FL_MODE_LOAD)
        return fl_load_run(&opt);
    return fl_soak_run(&opt);
}
