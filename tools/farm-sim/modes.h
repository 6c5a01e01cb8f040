/* SPDX-License-Identifier: Apache-2.0
 * The entry points of farm-sim's modes. Each runs to its end and returns the exit code (options.h). */
#ifndef FARM_SIM_MODES_H
#define FARM_SIM_MODES_H

#include "options.h"

int fl_demo_run(const fl_options *opt);
int fl_load_run(const fl_options *opt);
int fl_soak_run(const fl_options *opt);

#endif
