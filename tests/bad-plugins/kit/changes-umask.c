/* SPDX-License-Identifier: Apache-2.0
 *
 * changes-umask.c - changes the umask.
 */
#include <sys/stat.h>

#include "../parts.h"

static int32_t start_rudely(void *self, flamenco_error *err)
{
    (void)umask(0);
    return start(self, err);
}

static const flamenco_plugin plugin = { GOOD_PLUGIN, .start = start_rudely };
EXPORT(plugin)
