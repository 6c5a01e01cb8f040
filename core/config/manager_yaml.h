/* SPDX-License-Identifier: Apache-2.0
 *
 * manager_yaml.h - `manager.yaml`, the admin's file, which the manager never writes (architecture.md 7, 8): which plugins are
 * loaded and with which settings, the sections `http` and `limits`, `reported_version`, and presets of the reference's keys.
 * Read once at start, by the main thread; afterwards it is read only and may be used by any thread.
 */
#ifndef FL_CONFIG_MANAGER_YAML_H
#define FL_CONFIG_MANAGER_YAML_H

#include "core/config/members.h"
#include "core/config/reference.h"
#include "core/config/setting_value.h"

/* One instance of a plugin, or one member that another instance serves as well. */
typedef struct fl_plugin_entry {
    const fl_member *member;
    const char *name; /* of the instance, unique; "persist", "events-mqtt" */
    const char *file; /* a bare name without ".so", or an absolute path; NULL with `use` */
    const char *use; /* the name of the instance that serves this member, too; else NULL */
    const struct fl_plugin_entry *used; /* that instance's entry */
    int enabled;
    const fl_yaml_node *settings; /* a map, or NULL */
    const char *yaml_file; /* where the entry stands, for messages; "" for the default set */
    uint32_t line;
} fl_plugin_entry;

/* Durations in µs, sizes in bytes. 0 = see the comment. */
typedef struct fl_http_settings {
    int64_t threads; /* event loops; 0 = one per core */
    int64_t connections; /* 0 = min(50000, open files - 512) */
    int64_t head_timeout_us, idle_timeout_us, body_timeout_us, reply_timeout_us;
    int64_t body_rate_bytes; /* per second, less is a stalled body */
    int64_t body_json_bytes, body_job_bytes, body_image_bytes;
    int64_t spill_above_bytes;
    flamenco_str spill_directory; /* empty = the system's */
    int64_t websocket_messages, websocket_queue_bytes, websocket_message_bytes, websocket_timeout_us;
    int64_t gzip;
    flamenco_str tls_certificate, tls_key; /* both or none; PEM files */
} fl_http_settings;

typedef struct fl_limit_settings {
    int64_t hold_empty_poll_us, hold_empty_poll_proxy_us; /* 0 = off */
    int64_t readers; /* 0 = one per core, 2 to 8 */
    int64_t read_timeout_us, request_timeout_us;
    int64_t reply_memory_bytes, compile_memory_bytes, image_memory_bytes;
} fl_limit_settings;

typedef struct fl_manager_yaml {
    fl_yaml_doc *doc; /* holds all texts; NULL when there is no file */
    fl_arena *arena;
    const char *file; /* its name as given; "" when built in */
    const flamenco_str
        *plugin_path; /* directories; relative ones are below the install prefix: the loader's business */
    size_t n_plugin_path;
    fl_plugin_entry *plugins; /* in order of the members' table, then of the file */
    size_t n_plugins;
    fl_http_settings http;
    fl_limit_settings limits;
    flamenco_str reported_version; /* empty = as decisions.md says */
} fl_manager_yaml;

/* Reads the text of manager.yaml. `file` names it in messages. `cwd` (absolute) is what paths are relative to. All problems
 * are collected. Returns 0; INVALID when errors were added: then *out is what could be understood, so that the plugins can be
 * checked too, or NULL when the text is no YAML; NOMEM. Free it with fl_manager_yaml_destroy. [main] */
int32_t fl_manager_yaml_parse(flamenco_str text, const char *file, flamenco_str cwd, fl_config_problems *problems,
                              fl_manager_yaml **out);

/* Finds and reads the file: `given` (of -config; NULL = none) alone when set, else ./etc/manager.yaml, else `installed`
 * (NULL = none), else the embedded copy. A file that exists but cannot be read is an error, never passed over. Blocks. [main] */
int32_t fl_manager_yaml_load(const char *given, const char *installed, flamenco_str cwd, fl_config_problems *problems,
                             fl_manager_yaml **out);

/* Accepts NULL. Only after everything that borrowed from it: plugin settings, the presets' configuration. */
void fl_manager_yaml_destroy(fl_manager_yaml *yaml);

/* Lays the preset reference keys over `ref`. Errors were reported by parse; so this only returns 0 or NOMEM for a file that
 * parse accepted. [any] */
int32_t fl_manager_yaml_presets(const fl_manager_yaml *yaml, fl_arena *arena, fl_reference *ref);

/* Tells whether the member is loaded and enabled. */
int fl_manager_yaml_has(const fl_manager_yaml *yaml, const char *member);
/* Has the member count as disabled. */
void fl_manager_yaml_disable(fl_manager_yaml *yaml, const char *member);

/* The embedded copy of etc/manager.yaml. */
flamenco_str fl_manager_yaml_embedded(void);

/* A section of plain settings: the declarations, and the struct that they fill. */
typedef struct fl_section_setting {
    flamenco_setting setting;
    uint32_t offset; /* of an int64_t, or of a flamenco_str for TEXT and PATH */
} fl_section_setting;
typedef struct fl_section {
    const char *name; /* "http" */
    const char *doc;
    const fl_section_setting *settings;
    size_t count;
    uint32_t offset; /* of the section's struct in fl_manager_yaml */
} fl_section;
extern const fl_section fl_sections[];
extern const size_t fl_sections_count;

/* The value of a key of the section `limits`; 0 when there is none. */
int64_t fl_limit_by_key(const fl_limit_settings *limits, const char *key);

#endif
