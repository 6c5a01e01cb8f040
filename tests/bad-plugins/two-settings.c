/* SPDX-License-Identifier: Apache-2.0
 *
 * two-settings.c - declares two settings with one key.
 */
#include "parts.h"

static const flamenco_setting setting = {
    .struct_size = (uint32_t)sizeof(setting), .type = FLAMENCO_SETTING_INT, .key = "size", .default_text = "5"
};
static const flamenco_setting *const settings[] = { &setting, &setting, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .settings = settings };
EXPORT(plugin)
