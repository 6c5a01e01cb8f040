/* SPDX-License-Identifier: Apache-2.0
 *
 * reference.h - the settings of the reference's `flamenco-manager.yaml` (contract: configuration-and-clients 1.6 to 1.12,
 * decisions.md): reading, defaults, checks, the JSON of GET and PUT /api/v3/configuration/file, writing.
 *
 * A fl_reference is a plain struct that borrows its texts from the arena it was made with (or from static memory). Once
 * filled it is read only, and may be read by any thread. All functions: [any], none does I/O.
 */
#ifndef FL_CONFIG_REFERENCE_H
#define FL_CONFIG_REFERENCE_H

#include "core/base/buf.h"
#include "core/config/yaml.h"

typedef struct fl_reference_value {
    flamenco_str audience; /* "all", "workers", "users"; as written, so it may be empty or nonsense */
    flamenco_str platform; /* empty: see platforms */
    const flamenco_str *platforms;
    size_t n_platforms;
    flamenco_str value;
} fl_reference_value;

typedef struct fl_reference_variable {
    flamenco_str name;
    int is_twoway;
    const fl_reference_value *values;
    size_t n_values;
} fl_reference_variable;

/* More are refused: each costs memory for every platform. */
#define FL_REFERENCE_VARIABLES_MAX 4096u

/* The keys but `variables`, in the order of the file; indexes of fl_reference.origin. */
enum {
    FL_REFERENCE_VERSION,
    FL_REFERENCE_MANAGER_NAME,
    FL_REFERENCE_DATABASE,
    FL_REFERENCE_DATABASE_CHECK_PERIOD,
    FL_REFERENCE_LISTEN,
    FL_REFERENCE_AUTODISCOVERABLE,
    FL_REFERENCE_LOCAL_STORAGE,
    FL_REFERENCE_SHARED_STORAGE,
    FL_REFERENCE_SHAMAN_ENABLED,
    FL_REFERENCE_GC_PERIOD,
    FL_REFERENCE_GC_MAX_AGE,
    FL_REFERENCE_TASK_TIMEOUT,
    FL_REFERENCE_WORKER_TIMEOUT,
    FL_REFERENCE_BLOCKLIST_THRESHOLD,
    FL_REFERENCE_SOFTFAIL_COUNT,
    FL_REFERENCE_MQTT_ENABLED,
    FL_REFERENCE_MQTT_BROKER,
    FL_REFERENCE_MQTT_CLIENT_ID,
    FL_REFERENCE_MQTT_TOPIC_PREFIX,
    FL_REFERENCE_MQTT_USERNAME,
    FL_REFERENCE_MQTT_PASSWORD,
    FL_REFERENCE_FIELDS
};

/* Where a value was written. file NULL: it is the built-in default, or came over the API. */
typedef struct fl_reference_origin {
    const char *file;
    uint32_t line;
    uint32_t given; /* 1: somebody wrote it (file or API) */
} fl_reference_origin;

/* Durations are nanoseconds, since the canonical texts reach that far. */
typedef struct fl_reference {
    int64_t version;
    flamenco_str manager_name;
    flamenco_str database;
    int64_t database_check_period_ns;
    flamenco_str listen;
    int64_t autodiscoverable;
    flamenco_str local_manager_storage_path;
    flamenco_str shared_storage_path;
    int64_t shaman_enabled;
    int64_t gc_period_ns;
    int64_t gc_max_age_ns;
    int64_t task_timeout_ns;
    int64_t worker_timeout_ns;
    int64_t blocklist_threshold;
    int64_t task_fail_after_softfail_count;
    int64_t mqtt_enabled;
    flamenco_str mqtt_broker;
    flamenco_str mqtt_client_id;
    flamenco_str mqtt_topic_prefix;
    flamenco_str mqtt_username;
    flamenco_str mqtt_password;
    const fl_reference_variable *variables; /* sorted by name */
    size_t n_variables;
    fl_reference_origin origin[FL_REFERENCE_FIELDS];
} fl_reference;

#define FL_REFERENCE_INT 1u
#define FL_REFERENCE_BOOL 2u
#define FL_REFERENCE_DURATION 3u
#define FL_REFERENCE_TEXT 4u

typedef struct fl_reference_field {
    const char *key; /* "mqtt.client.broker" */
    uint32_t type; /* FL_REFERENCE_* type */
    uint32_t offset; /* into fl_reference: int64_t, or flamenco_str for TEXT */
    const char *doc; /* one line, for manager.yaml */
} fl_reference_field;

extern const fl_reference_field fl_reference_fields[FL_REFERENCE_FIELDS];

/* Finds a field by its dotted key. Returns its index, or -1. */
int fl_reference_find(const char *key);
int64_t fl_reference_number(const fl_reference *ref, int field); /* INT, BOOL, DURATION (ns); else 0 */
flamenco_str fl_reference_text(const fl_reference *ref, int field); /* TEXT; else empty */

/* Tells whether `key` is a top-level key of the file. */
int fl_reference_is_top_key(flamenco_str key);

/* Fills in the built-in defaults. */
void fl_reference_defaults(fl_reference *ref);

/* What an unknown key is worth; PRESET is the part of manager.yaml: its own top-level keys are passed over, and `_meta` is
 * refused there. */
#define FL_REFERENCE_FROM_FILE 0u
#define FL_REFERENCE_FROM_PRESET 1u

/* Lays the map `root` (NULL = empty) over `ref`, as 1.6 says: absent keys keep what they had, null gives the zero value,
 * variables are replaced name by name. `file` must live as long as ref; every problem is added. Texts are borrowed from
 * the document of `root`. Returns 0, INVALID (errors were added) or NOMEM; ref may be changed in part then. */
int32_t fl_reference_overlay(fl_reference *ref, fl_arena *arena, const fl_yaml_node *root, const char *file,
                             uint32_t source, fl_config_problems *problems);

/* Makes the form that the manager works with (1.8): absolute storage path, trimmed database, audiences filled in, platforms
 * gathered, no variable `jobs`. `cwd` is absolute. Findings are added as warnings. `out` shares texts with `raw`.
 * Returns 0 or NOMEM. */
int32_t fl_reference_process(const fl_reference *raw, fl_arena *arena, flamenco_str cwd, fl_config_problems *problems,
                             fl_reference *out);

/* The effective storage path of a processed configuration (1.8), absolute. shaman_loaded: 0 when the member is absent or
 * disabled in manager.yaml, then the path is that of `shaman.enabled: false` (decisions.md). Returns 0 or NOMEM. */
int32_t fl_reference_storage(const fl_reference *ref, fl_arena *arena, flamenco_str cwd, int shaman_loaded,
                             flamenco_str *out);

/* Writes the JSON of GET /api/v3/configuration/file (1.11). Empty variables and values are {} and [], never null: the
 * Settings page cannot take null. Errors are sticky in `out`. */
void fl_reference_json(const fl_reference *ref, fl_buf *out);

struct json_t;

/* Takes the body of a PUT (1.10), already parsed: absent keys become zero values, key names match in any case, unknown ones are ignored.
 * Then checks what decisions.md wants: version 3, non-empty listen and database, no negative duration. Texts are copied to
 * the arena. Errors: INVALID with a text that names the field; NOMEM. */
int32_t fl_reference_decode(fl_arena *arena, const struct json_t *body, fl_reference *out, flamenco_error *err);

/* Writes the file's text (1.12): six comment lines, an empty one, all keys. program: name and version; now_us: µs since
 * 1970 UTC. Errors are sticky in `out`. */
void fl_reference_yaml(const fl_reference *ref, const char *program, int64_t now_us, fl_buf *out);

/* Changes what the setup assistant changes (1.9): storage path, variables `blender` (linux, windows, darwin) and
 * `blenderArgs`. The texts are copied. Returns 0 or NOMEM. */
int32_t fl_reference_setup(const fl_reference *ref, fl_arena *arena, flamenco_str storage, flamenco_str blender,
                           fl_reference *out);

#endif
