/* SPDX-License-Identifier: Apache-2.0
 *
 * config.h - the file given by --config: settings of the plugin under test and of those that it needs, and commands that
 * prepare storage for each check. Read by main.c; asked by settings.c and runner.c.
 */
#ifndef KIT_CONFIG_H
#define KIT_CONFIG_H

#include <stddef.h>

typedef struct kit_config kit_config;

/* Reads a YAML file, NULL = an empty one. On failure gives NULL, with the reason in problem. */
kit_config *kit_config_read(const char *file, char *problem, size_t size);
void kit_config_free(kit_config *config);

/* The index-th value at a path of keys with '\x1f' between, as it stands in the file; NULL: there is none. A scalar is a list
 * of one. */
const char *kit_config_get(const kit_config *config, const char *path, size_t index);

/* The keys directly below a path, one after the other; NULL behind the last. */
const char *kit_config_key(const kit_config *config, const char *path, size_t index, char *out, size_t size);

/* A copy with {dir} and {run} filled in; NULL: memory is exhausted. To be freed. */
char *kit_config_expand(const char *text, const char *dir, const char *run);

#endif
