/* SPDX-License-Identifier: Apache-2.0
 *
 * bad-default.c - declares a setting whose default is out of its range.
 */
#include "parts.h"

static const flamenco_setting setting = { .struct_size = (uint32_t)sizeof(setting),
                                          .type = FLAMENCO_SETTING_INT,
                                          .key = "size",
                                          .default_text = "50",
                                          .min = 1,
                                          .max = 10 };
static const flamenco_setting *const settings[] = { &setting, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .settings = settings };
EXPORT(plugin)
