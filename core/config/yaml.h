/* SPDX-License-Identifier: Apache-2.0
 *
 * yaml.h - reads one YAML document into a tree that remembers where each value stands and whether it was quoted. Types are
 * not decided here: YAML's guesses (`no`, `1_000`) depend on what the reader of a value wants. Built on libyaml's events.
 *
 * Limits, so that no file costs more than its size: 1 MiB, depth 32, 200,000 nodes with every alias counted as often as
 * it is used, 1000 anchors. A tree may share nodes (aliases) but is never cyclic.
 */
#ifndef FL_CONFIG_YAML_H
#define FL_CONFIG_YAML_H

#include "core/base/arena.h"
#include "core/config/problem.h"

#define FL_YAML_DEPTH_MAX 32u
#define FL_YAML_NODES_MAX 200000u
#define FL_YAML_ANCHORS_MAX 1000u

#define FL_YAML_SCALAR 0u
#define FL_YAML_MAP 1u
#define FL_YAML_LIST 2u

typedef struct fl_yaml_node fl_yaml_node;

typedef struct fl_yaml_pair {
    const fl_yaml_node *key; /* always a scalar */
    const fl_yaml_node *value;
} fl_yaml_pair;

struct fl_yaml_node {
    uint8_t kind; /* FL_YAML_* */
    uint8_t plain; /* a scalar without quotes: what it means is up to the reader */
    uint16_t height; /* levels below it */
    uint32_t line, column; /* from 1 */
    uint32_t weight; /* nodes in its tree, each alias counted */
    flamenco_str text; /* scalar: NUL-terminated */
    const fl_yaml_pair *pairs; /* map: unique keys, in order of the file */
    const fl_yaml_node *const *items; /* list */
    size_t count; /* pairs or items */
};

typedef struct fl_yaml_doc fl_yaml_doc;

/* As manager.yaml wants it: a repeated key, an alias, a merge key or a second document is an error. Without the flag, as
 * the reference reads its file: the last of repeated keys wins, aliases and merge keys work, later documents are ignored. */
#define FL_YAML_STRICT 1u

/* Reads `text`. `file` is only named in problems; it is copied. Returns 0; INVALID with at least one error added to
 * `problems`; NOMEM. The document owns its nodes. [any] */
int32_t fl_yaml_parse(flamenco_str text, const char *file, uint32_t flags, fl_config_problems *problems,
                      fl_yaml_doc **out);

/* Frees the document and its nodes. Accepts NULL. */
void fl_yaml_doc_destroy(fl_yaml_doc *doc);

/* The root; NULL when the document is empty. */
const fl_yaml_node *fl_yaml_root(const fl_yaml_doc *doc);
const char *fl_yaml_file(const fl_yaml_doc *doc);

/* The value of `key`, NULL when node is no map (or NULL) or has no such key. */
const fl_yaml_node *fl_yaml_get(const fl_yaml_node *node, const char *key);

/* What the value is called in messages: "a text", "a map", "a list". */
const char *fl_yaml_kind_name(const fl_yaml_node *node);

/* YAML 1.1 typing of plain scalars. Each tells whether the node is one, and what; outputs are untouched otherwise. */
int fl_yaml_is_null(const fl_yaml_node *node); /* "", ~, null; also a NULL node */
int fl_yaml_bool(const fl_yaml_node *node, int *out);
int fl_yaml_int(const fl_yaml_node *node, int64_t *out); /* decimal, 0x, 0o, 0b, 0 = octal, _ allowed */
int fl_yaml_real(const fl_yaml_node *node, double *out); /* decimal; not .inf, .nan */

#endif
