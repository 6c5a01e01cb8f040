/* SPDX-License-Identifier: Apache-2.0
 *
 * variables_internal.h - what variables.c and variables_json.c share.
 */
#ifndef FL_CONFIG_VARIABLES_INTERNAL_H
#define FL_CONFIG_VARIABLES_INTERNAL_H

#include "core/config/variables.h"

/* A two-way value to be recognised at the beginning of a text, and what is put in its place. */
typedef struct prefix {
    flamenco_str value;
    flamenco_str with; /* "{name}", or the value for the target platform */
    flamenco_str name;
} prefix;

/* Everything known for one audience and platform. */
typedef struct variable_set {
    flamenco_str platform; /* empty: all unknown platforms */
    fl_variable *list; /* sorted by name */
    size_t n;
    uint64_t longest_name;
    prefix *replace; /* longest value first, then by name */
    size_t n_replace;
    prefix *expand;
    size_t n_expand;
    uint8_t expand_first[32]; /* bit set: some expand value begins with that byte */
} variable_set;

/* How much an expansion may still do. */
typedef struct budget {
    uint64_t bytes;
    uint32_t substitutions;
} budget;

const variable_set *fl_variables_set(const fl_variables *variables, flamenco_str audience, flamenco_str platform);

int32_t fl_variables_expand_in(const variable_set *set, fl_arena *arena, flamenco_str platform, budget *left,
                               flamenco_str text, flamenco_str *out);

/* The platform that "manager" stands for. */
flamenco_str fl_variables_own_platform(const fl_variables *variables, flamenco_str platform);

static inline int fl_variables_may_begin(const variable_set *set, char c)
{
    return set->expand_first[(unsigned char)c >> 3] >> ((unsigned char)c & 7) & 1;
}

#endif
