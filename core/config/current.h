/* SPDX-License-Identifier: Apache-2.0
 *
 * current.h - the configuration now in force: presets and flamenco-manager.yaml, as an immutable, counted snapshot that any
 * thread may take. Reloaded when a web page asks for it, replaced by PUT and by the setup assistant (contract:
 * configuration-and-clients 1.9 to 1.12, decisions.md).
 *
 * A snapshot and everything in it is valid until it is given back. Texts that plugins read through live settings must last
 * longer: they are interned (fl_config_intern), so what they cost is bounded by the number of different values.
 */
#ifndef FL_CONFIG_CURRENT_H
#define FL_CONFIG_CURRENT_H

#include "core/config/manager_yaml.h"
#include "core/config/variables.h"

typedef struct fl_config fl_config;
struct json_t;

typedef struct fl_config_options {
    const char *path; /* flamenco-manager.yaml; NULL = that name in cwd */
    const fl_manager_yaml *yaml; /* for presets and the member shaman; borrowed until fl_config_close; NULL = none */
    flamenco_str cwd; /* absolute */
    flamenco_str executable_dir; /* absolute; empty = unknown */
    const char *program; /* "Flamenco 3.9", for the comment in a written file; borrowed until close */
    int force_first_run; /* -setup-assistant */
    int ignore_file; /* as if the file were missing: to check plugins although it cannot be used */
} fl_config_options;

typedef struct fl_config_snapshot {
    uint64_t generation; /* ascending; another number = another configuration */
    const fl_reference *raw; /* as written in the file, or sent */
    const fl_reference *ref; /* as the manager works with it (1.8) */
    const fl_variables *variables;
    flamenco_str storage_path; /* the effective storage path, absolute */
    flamenco_str local_storage; /* local_manager_storage_path, absolute as decisions.md says */
    int first_run;
    int file_missing;
} fl_config_snapshot;

/* Reads the configuration for the first time. A missing file is no error. All problems are added to the list, warnings
 * too. Returns 0, INVALID or another error (an error is in the list then). Blocks. [main] */
int32_t fl_config_open(const fl_config_options *options, fl_config_problems *problems, fl_config **out);

/* Frees everything, interned texts included; every snapshot must have been given back. Accepts NULL. [main] */
void fl_config_close(fl_config *config);

/* Takes the configuration now in force; give it back with fl_config_unref. Never NULL, never blocks for I/O. [any] */
const fl_config_snapshot *fl_config_current(fl_config *config);
void fl_config_unref(const fl_config_snapshot *snapshot); /* accepts NULL */

/* Reads the file again. When it cannot be used the last good configuration stays, the reason is logged (once) and kept for
 * fl_config_trouble. Returns 0, or why the file was not taken. Blocks. [worker] */
int32_t fl_config_reload(fl_config *config, flamenco_error *err);

/* Tells whether the last reload failed, and why. Returns 1 and fills `text` then, else 0. [any] */
int fl_config_trouble(fl_config *config, char *text, size_t size);

/* Takes the body of PUT /api/v3/configuration/file: checks it, writes the file (the old one stays as .bak), makes it
 * current. now_us: µs since 1970 UTC. Errors: INVALID (the text names the field; nothing was written), IO, FULL, NOMEM (the
 * old configuration stays). Blocks. [worker] */
int32_t fl_config_put(fl_config *config, const struct json_t *body, int64_t now_us, flamenco_error *err);

/* Saves what the setup assistant found: storage path, and the command for the variable `blender`, which is stored as it is
 * (the reference quotes some, which the Worker then cannot run). The file is written, and the new configuration is current
 * at once. The checks of 1.9 are the caller's. Errors: INVALID, IO, FULL, NOMEM. Blocks. [worker] */
int32_t fl_config_setup(fl_config *config, flamenco_str storage, flamenco_str blender, int64_t now_us,
                        flamenco_error *err);

/* Writes the configuration now in force to the file (-write-config). Errors: IO, FULL, NOMEM. Blocks. [main] */
int32_t fl_config_write(fl_config *config, int64_t now_us, flamenco_error *err);

/* The directory of the running program; empty = unknown. Valid until fl_config_close. [any] */
flamenco_str fl_config_executable_dir(const fl_config *config);

/* Copies a text that lasts until fl_config_close, NUL-terminated; equal texts share one copy. ptr is NULL when memory is
 * exhausted. [any] */
flamenco_str fl_config_intern(fl_config *config, flamenco_str text);

#endif
