/* SPDX-License-Identifier: Apache-2.0
 *
 * lonely.c - a second instance does not start while the first one runs, for a variable that both share.
 */
#include "../parts.h"

static uint32_t running;

static int32_t start_alone(void *self, flamenco_error *err)
{
    if (running)
        return flamenco_fail(err, FLAMENCO_E_CONFLICT, "there is one already");
    running = 1;
    return start(self, err);
}

static int32_t stop_alone(void *self, int64_t deadline_us, flamenco_error *err)
{
    running = 0;
    return stop(self, deadline_us, err);
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .start = start_alone, .stop = stop_alone };
EXPORT(plugin)
