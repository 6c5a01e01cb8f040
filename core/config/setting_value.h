/* SPDX-License-Identifier: Apache-2.0
 *
 * setting_value.h - one declared setting (flamenco_setting) and the value that stands for it: from YAML or from its default
 * text, checked for type, range and choice. Used for the plugins' settings and for the sections `http` and `limits`.
 */
#ifndef FL_CONFIG_SETTING_VALUE_H
#define FL_CONFIG_SETTING_VALUE_H

#include "core/config/yaml.h"

typedef struct fl_setting_value {
    int64_t integer; /* INT, BOOL, DURATION (µs), BYTES */
    double real; /* REAL */
    flamenco_str text; /* TEXT, CHOICE, PATH; NUL-terminated */
    const flamenco_str *items; /* lists */
    size_t n_items;
    uint32_t given; /* 1: read from a file */
    uint32_t line;
} fl_setting_value;

/* Names the type for people: "a whole number". */
const char *fl_setting_type_name(uint32_t type);
/* A short name for documents: "int", "duration". */
const char *fl_setting_type_key(uint32_t type);

/* Reads "64MiB", "4096", "1GiB" into bytes. Returns 0 or INVALID. [any] */
int32_t fl_setting_parse_bytes(flamenco_str text, int64_t *out);
/* Writes bytes with the largest unit that divides them. Returns out. */
const char *fl_setting_format_bytes(int64_t bytes, char out[32]);

/* Takes the value of `node` for the setting. Paths are made absolute below `cwd`, but for an empty one. `what` is how
 * messages call it ("plugins.persist.settings.path"). Texts live in the arena or borrow from the node.
 * Returns 0, INVALID (a problem was added) or NOMEM. [any] */
int32_t fl_setting_read(const flamenco_setting *setting, const fl_yaml_node *node, const char *file, const char *what,
                        flamenco_str cwd, fl_arena *arena, fl_config_problems *problems, fl_setting_value *out);

/* Takes the default. Returns 0; INVALID when the declaration is wrong (a defect of the plugin; a problem was added); NOMEM. */
int32_t fl_setting_default(const flamenco_setting *setting, const char *what, flamenco_str cwd, fl_arena *arena,
                           fl_config_problems *problems, fl_setting_value *out);

/* Tells whether a whole number is within the setting's range. */
int fl_setting_in_range(const flamenco_setting *setting, int64_t value);

/* Writes the range, or the choices, for people: "0 to 100", "1s or more", "one of: off baseline". Empty when there is no
 * limit. Returns out. */
const char *fl_setting_limits(const flamenco_setting *setting, char *out, size_t size);

#endif
