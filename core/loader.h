/* SPDX-License-Identifier: Apache-2.0
 *
 * loader.h - finds, checks, configures, starts and stops plugins, and puts their services into struct flamenco. Called by
 * main.c and lifecycle.c on the main thread; the listing by /api/v3/plugins and /health on any.
 */
#ifndef FL_LOADER_H
#define FL_LOADER_H

#include "core/config/manager_yaml.h"
#include "core/flamenco.h"

typedef struct fl_loader fl_loader;

/* One loaded plugin, for people and for lists. Borrowed, valid as long as the loader. */
typedef struct fl_plugin_info {
    const char *name; /* of the instance */
    const char *member; /* the member that it serves first */
    const char *members; /* all that it serves, blank-separated */
    const char *id, *version, *licence;
    const char *file; /* absolute path */
    const char *services; /* blank-separated ids */
    int enabled;
} fl_plugin_info;

/* What the loader must know of its surroundings. Borrowed. */
typedef struct fl_loader_places {
    const struct fl_places *places;
    struct fl_config *config; /* for settings that live in the reference's file */
    flamenco_str cwd; /* absolute */
} fl_loader_places;

/* Loads every enabled plugin of the file, checks the descriptors, reads the settings and calls create and configure.
 * Everything wrong is added to problems, with the line of manager.yaml. Returns 0, or INVALID when errors were added; the
 * loader is made in both cases (NULL: memory is exhausted). `f` is filled by fl_loader_start. [main] */
int32_t fl_loader_load(struct flamenco *f, const fl_manager_yaml *yaml, const fl_loader_places *where,
                       fl_config_problems *problems, fl_loader **out);

/* Starts all of them, those that others need first, and sets the members of f as it goes. The first failure ends it: those
 * that run stay running until fl_loader_stop. [main] */
int32_t fl_loader_start(fl_loader *loader, flamenco_error *err);

/* Starts only the plugin that serves this member and those that it needs; starting one that runs does nothing. [main] */
int32_t fl_loader_start_member(fl_loader *loader, const char *member, flamenco_error *err);

/* Stops those that run, in reverse order. A failure is logged. [main] */
void fl_loader_stop(fl_loader *loader, int64_t deadline_us);

/* Destroys the instances. Files stay mapped. Accepts NULL. [main] */
void fl_loader_destroy(fl_loader *loader);

/* Those that were loaded, in the order of manager.yaml. */
size_t fl_loader_count(const fl_loader *loader);
fl_plugin_info fl_loader_info(const fl_loader *loader, size_t index);

/* The setting that says where an instance's data is: the first text or path that has no place elsewhere. NULL: none. */
const char *fl_loader_main_setting(const fl_loader *loader, size_t index);

/* Those that manager.yaml names but switches off: what is known of them without loading the file. */
size_t fl_loader_count_disabled(const fl_loader *loader);
fl_plugin_info fl_loader_info_disabled(const fl_loader *loader, size_t index);

/* Writes the plugin's settings as a JSON array, secrets masked. [any] */
void fl_loader_settings_json(const fl_loader *loader, size_t index, fl_buf *out);

/* Asks the plugin whether it can work: 0, or its error. A plugin without the method is healthy. [worker] */
int32_t fl_loader_health(fl_loader *loader, size_t index, flamenco_error *err);

/* Where plugins are looked for, as one text with ':' between; for --list-plugins. */
const char *fl_loader_path(const fl_loader *loader);

#endif
