/* SPDX-License-Identifier: Apache-2.0
 *
 * wrong-default.c - the default of a setting lies outside its limits.
 */

#include "../parts.h"

static const flamenco_setting setting = { .struct_size = (uint32_t)sizeof(setting),
                                          .type = FLAMENCO_SETTING_DURATION,
                                          .key = "patience",
                                          .default_text = "2h",
                                          .min = 1000000,
                                          .max = INT64_C(3600000000),
                                          .doc = "How long it waits." };
static const flamenco_setting *const settings[] = { &setting, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .settings = settings };
EXPORT(plugin)
