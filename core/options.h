/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h - the command line (configuration-and-clients 1.1), with the reference's grammar: -name, --name, -name=value.
 */
#ifndef FL_OPTIONS_H
#define FL_OPTIONS_H

#include <stdint.h>

typedef struct fl_options {
    const char *config; /* manager.yaml; NULL = look for it */
    int version, help, quiet, debug, trace, write_config, check_config, list_plugins, setup_assistant;
    int gc_show, gc_delete;
    int log_json;
} fl_options;

/* Reads the arguments. Returns 0; -1 after writing what is wrong and the usage to stderr. */
int fl_options_read(int argc, char **argv, fl_options *out);

/* Writes the usage. to_stderr: else to stdout. */
void fl_options_usage(int to_stderr);

/* The least level of log lines: FLAMENCO_LOG_*. -trace wins over -debug, that over -quiet. */
uint32_t fl_options_log_level(const fl_options *options);

#endif
