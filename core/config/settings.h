/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.h - a plugin instance's settings: its declarations checked against what manager.yaml says, defaults filled in, and
 * the flamenco_config through which the plugin reads them (flamenco/plugin.h). Made by the plugin loader, before create().
 */
#ifndef FL_CONFIG_SETTINGS_H
#define FL_CONFIG_SETTINGS_H

#include "core/base/json.h"
#include "core/config/current.h"

typedef struct fl_settings fl_settings;

/* What the settings of one instance are made of. The texts, lists and the node are borrowed until fl_settings_destroy. */
typedef struct fl_settings_source {
    const char *instance; /* for log lines: "persist" */
    const char *member; /* "persist": messages speak of plugins.persist.settings.KEY */
    const flamenco_setting *const *declared; /* the plugin's list, ends with NULL; NULL = none */
    const fl_yaml_node *node; /* the map `settings:`, or NULL */
    const char *file; /* where the entry stands; "" = nowhere */
    flamenco_str cwd; /* absolute; copied */
    fl_config *config; /* for settings with a reference key */
} fl_settings_source;

/* Checks everything and adds all problems, defects of the declarations included. Returns 0; INVALID when errors were added;
 * NOMEM. [main] */
int32_t fl_settings_create(const fl_settings_source *source, fl_config_problems *problems, fl_settings **out);
void fl_settings_destroy(fl_settings *settings); /* accepts NULL; after the plugin's destroy() */

/* What the plugin gets. Valid until fl_settings_destroy. [any] */
const flamenco_config *fl_settings_config(const fl_settings *settings);

/* Writes an array with one object per setting, for /api/v3/plugins: key, type, value, default, unit, limits, choices, doc,
 * given, place, reference_key. Secrets are shown as "***" when they are set. [any] */
void fl_settings_json(const fl_settings *settings, fl_json *w);

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
