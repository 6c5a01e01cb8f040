/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.h - a plugin instance's settings: its declarations checked against what manager.yaml says, defaults filled in, and
 * the flamenco_config through which the plugin reads them (flamenco/plugin.h). Made by the plugin loader, before create().
 */
#ifndef FL_CONFIG_SETTINGS_H
#define FL_CONFIG_SETTINGS_H

#include "core/config/current.h"

typedef struct fl_settings fl_settings;

/* Checks the settings that `entry` gives to `plugin` and adds all problems, defects of the declarations included. `config` is
 * for settings with a reference key. cwd (absolute) is copied; plugin, entry and config are borrowed until
 * fl_settings_destroy. Returns 0; INVALID when errors were added; NOMEM. [main] */
int32_t fl_settings_create(const flamenco_plugin *plugin, const fl_plugin_entry *entry, fl_config *config,
                           flamenco_str cwd, fl_config_problems *problems, fl_settings **out);
void fl_settings_destroy(fl_settings *settings); /* accepts NULL; after the plugin's destroy() */

/* What the plugin gets. Valid until fl_settings_destroy. [any] */
const flamenco_config *fl_settings_config(const fl_settings *settings);

/* Writes an array with one object per setting, for /api/v3/plugins: key, type, value, default, unit, limits, choices, doc,
 * given, place, reference_key. Secrets are shown as "***" when they are set. Errors are sticky in `out`. [any] */
void fl_settings_json(const fl_settings *settings, fl_buf *out);

/* One plugin of the shipped manager.yaml. */
typedef struct fl_render_plugin {
    const fl_member *member;
    const char *file; /* "persist-sqlite" */
    const flamenco_plugin *descriptor; /* NULL: its settings are not known, none are listed */
} fl_render_plugin;

/* Writes manager.yaml as shipped: every plugin, every setting at its default, commented. Members without a plugin in the
 * list are named in comments. Errors are sticky in `out`. [any] */
void fl_manager_yaml_render(const fl_render_plugin *plugins, size_t n, fl_buf *out);

#endif
