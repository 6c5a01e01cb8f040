/* SPDX-License-Identifier: Apache-2.0
 *
 * support.h - what several tests of the configuration need: cmocka in its order, reading from text, finding problems.
 */
#ifndef FL_TEST_CONFIG_SUPPORT_H
#define FL_TEST_CONFIG_SUPPORT_H

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/str.h"
#include "core/config/current.h"
#include "core/config/manager_yaml.h"
#include "core/config/reference.h"

#define CWD FL_STR("/farm dir")

/* A configuration read from text: defaults, the text over them, processed. rc is that of reading. */
typedef struct loaded {
    fl_arena *arena;
    fl_yaml_doc *doc;
    fl_config_problems problems;
    fl_reference raw, ref;
    int32_t rc;
} loaded;

/* Reads `text` as flamenco-manager.yaml. `meta` 1: with "_meta: {version: 3}" in front. */
void load_text(loaded *l, const char *text, int meta);
void load_bytes(loaded *l, flamenco_str text);
void loaded_free(loaded *l);

/* fl_reference_decode and fl_config_put for a body as text; one that is no JSON is INVALID. */
int32_t decode_text(fl_arena *arena, flamenco_str body, fl_reference *out, flamenco_error *err);
int32_t put_text(fl_config *config, flamenco_str body, int64_t now_us, flamenco_error *err);

/* Tells whether a problem of that level contains `part` in "file:line: text". */
int has_problem(const fl_config_problems *problems, uint32_t level, const char *part);

/* Fails the test, naming `what`, unless the texts are equal. */
void assert_text(const char *what, flamenco_str got, const char *wanted);

/* A fresh directory; remove_tree removes it. */
char *make_dir(char *buffer, size_t size);
void remove_tree(const char *dir);
void write_file(const char *path, const char *text);
char *read_file(const char *path); /* malloc'ed, NULL when there is none */

#endif
