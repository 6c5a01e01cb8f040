/* SPDX-License-Identifier: Apache-2.0
 *
 * secret.c - has a setting that nobody may see: no fault.
 */
#include "parts.h"

static const flamenco_setting password = { .struct_size = (uint32_t)sizeof(flamenco_setting),
                                           .type = FLAMENCO_SETTING_TEXT,
                                           .key = "password",
                                           .doc = "Not to be seen.",
                                           .flags = FLAMENCO_SETTING_SECRET };
static const flamenco_setting *const settings[] = { &password, NULL };
static const flamenco_plugin plugin = { GOOD_PLUGIN, .settings = settings };
EXPORT(plugin)
