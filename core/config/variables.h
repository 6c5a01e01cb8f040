/* SPDX-License-Identifier: Apache-2.0
 *
 * variables.h - variables in texts (contract: configuration-and-clients 2, api-behaviour 8, decisions.md): two-way values
 * become placeholders when a job is submitted, placeholders become values when a task is handed out. Prepared once per
 * configuration and read only afterwards, so any thread may use it. What a call allocates lives in the caller's arena.
 *
 * Where several two-way variables match, the longest value on a component boundary wins, ties by name; a boundary is the
 * end of the text, a separator, or a value that ends in ':' or a separator. Empty two-way values match nothing.
 * One-way values may contain placeholders, eight deep; two-way values are taken as they are.
 */
#ifndef FL_CONFIG_VARIABLES_H
#define FL_CONFIG_VARIABLES_H

#include "core/config/reference.h"

typedef struct fl_variables fl_variables;

/* A variable's value for one audience and platform; two-way values without their trailing separators. */
typedef struct fl_variable {
    flamenco_str name;
    flamenco_str value;
    uint32_t is_twoway;
} fl_variable;

/* More platforms than these are treated as unknown ones. */
#define FL_VARIABLES_PLATFORMS_MAX 32u
/* An expansion that makes a text grow by more, or takes more substitutions, fails. */
#define FL_VARIABLES_GROWTH_MAX ((uint64_t)16 * 1024 * 1024)
#define FL_VARIABLES_SUBSTITUTIONS_MAX 200000u

/* Prepares the variables of a processed configuration. `jobs` is the effective storage path; `platform` the one that the
 * manager runs on. All texts are copied. Returns NULL when memory is exhausted. [any] */
fl_variables *fl_variables_create(const fl_reference *ref, flamenco_str jobs, flamenco_str platform);
void fl_variables_destroy(fl_variables *variables); /* accepts NULL */

/* The values for an audience ("workers", "users") and a platform, sorted by name; `jobs` among them. Borrowed from
 * `variables`. Any other audience has none. [any] */
size_t fl_variables_list(const fl_variables *variables, flamenco_str audience, flamenco_str platform,
                         const fl_variable **out);

/* Puts a placeholder for the two-way value that `text` begins with (2.3; audience workers). platform "manager" means ours.
 * *out is `text` itself when nothing matches. Returns 0 or NOMEM. [any] */
int32_t fl_variables_replace(const fl_variables *variables, fl_arena *arena, flamenco_str platform, flamenco_str text,
                             flamenco_str *out);

/* The same for every text directly in a JSON object (a job's settings, its metadata). `json` must be valid; *out is `json`
 * itself when nothing changed. Returns 0, NOMEM, or INVALID when it is no object. [any] */
int32_t fl_variables_replace_object(const fl_variables *variables, fl_arena *arena, flamenco_str platform,
                                    flamenco_str json, flamenco_str *out);

/* Puts values for placeholders and translates paths for the platform (2.4). *out is `text` itself when nothing changed.
 * Returns 0, NOMEM, or FULL (see the limits above). [any] */
int32_t fl_variables_expand(const fl_variables *variables, fl_arena *arena, flamenco_str audience,
                            flamenco_str platform, flamenco_str text, flamenco_str *out);

/* The same for a task's commands, a JSON array of {name, parameters, total_step_count}: texts that are parameters, and texts
 * directly in parameters that are lists; for the audience workers. `json` must be valid (as stored); null is allowed. What
 * is not changed is not touched, *out is `json` itself when nothing is. Returns 0, NOMEM, FULL, or INVALID when it is not
 * such a text. [any] */
int32_t fl_variables_expand_commands(const fl_variables *variables, fl_arena *arena, flamenco_str platform,
                                     flamenco_str json, flamenco_str *out);

#endif
