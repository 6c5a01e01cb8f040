/* SPDX-License-Identifier: Apache-2.0
 *
 * places.h - where the program and its files are: installed below a prefix, or run from the build tree.
 */
#ifndef FL_PLACES_H
#define FL_PLACES_H

#include <limits.h>

#include "flamenco/plugin.h"

typedef struct fl_places {
    char program[PATH_MAX]; /* absolute path of the running program */
    char directory[PATH_MAX]; /* its directory */
    char build_root[PATH_MAX]; /* of the build tree; empty when installed */
    char prefix[PATH_MAX]; /* of the installation */
    char cwd[PATH_MAX]; /* working directory */
    char manager_yaml[PATH_MAX]; /* the installed one */
} fl_places;

/* Finds all of it. Returns 0 or IO. [main] */
int32_t fl_places_find(fl_places *out, flamenco_error *err);

#endif
