/* SPDX-License-Identifier: Apache-2.0
 * The command line of farm-sim. Read once by main.c, borrowed by everything else. */
#ifndef FARM_SIM_OPTIONS_H
#define FARM_SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Exit codes of every mode. */
enum {
    FL_EXIT_OK = 0,
    FL_EXIT_FAILED = 1, /* the job did not complete, or a check of the soak test failed */
    FL_EXIT_USAGE = 2,
    FL_EXIT_UNREACHABLE = 3, /* no manager at that address */
    FL_EXIT_TIMEOUT = 4,
    FL_EXIT_INTERRUPTED = 130,
};

typedef enum fl_mode { FL_MODE_DEMO, FL_MODE_LOAD, FL_MODE_SOAK } fl_mode;

typedef enum fl_scenario {
    FL_LOAD_CLOSED, /* workers without pauses */
    FL_LOAD_SUBMIT_ONLY,
    FL_LOAD_SUBMIT_TASKS,
    FL_LOAD_PARKED,
    FL_LOAD_PACED,
    FL_LOAD_GET,
} fl_scenario;

typedef struct fl_options {
    fl_mode mode;
    fl_scenario scenario;
    const char *url;
    const char *name_prefix;
    const char *task_types; /* comma-separated */
    const char *job_type;
    const char *settings; /* JSON object; NULL = the job type's sample */
    const char *frames; /* demo: frame range of the sample job */
    const char *state_file; /* NULL = none */
    const char *path; /* of --get */
    uint32_t workers, clients, tasks, chunk, jobs, requests;
    uint32_t storing; /* tasks of the job that is submitted during the closed loop; 0 = none */
    int64_t timeout_us, duration_us, settle_us, spread_us; /* 0 = none */
    int64_t frame_us; /* how long a frame renders, before scaling */
    int64_t task_us; /* a whole task instead; 0 = by its frames */
    double time_scale, fail_rate, vanish_rate, cut_rate, disturb_rate;
    uint64_t seed;
    int server_pid; /* 0 = none */
    bool json, quit_workers, verbose, can_restart, images, read_files;
} fl_options;

/* Returns -1 when the program should go on, else the exit code (help was shown, or the usage is wrong). */
int fl_options_parse(fl_options *options, int argc, char **argv);

#endif
