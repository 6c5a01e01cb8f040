/* SPDX-License-Identifier: Apache-2.0
 *
 * inner.h - what the files of the kit's own machinery share; no business of the checks.
 */
#ifndef KIT_INNER_H
#define KIT_INNER_H

#include "config.h"
#include "kit.h"

/* The child's end of the pipe on which it reports. High, so that a plugin's descriptors have their usual numbers. */
#define KIT_REPORT_FD 500

/* What a report begins with. */
#define KIT_SAYS_OK 'O'
#define KIT_SAYS_FAILED 'F'
#define KIT_SAYS_SKIPPED 'S'
#define KIT_SAYS_BLOCKED 'B' /* behind it the other check's name and a blank */

typedef struct kit_options {
    const char *file; /* absolute path */
    const char *service; /* NULL: all that it provides */
    const char *config_file; /* NULL: none */
    const char *plugin_path; /* folders with ':' between, where the plugins are that it needs; may be empty */
    const char *only; /* --check: a name, or a beginning that ends in '.' or '*'; NULL: all */
    int list, json, keep, verbose;
    double slower; /* factor on every time limit */
} kit_options;

/* A service's table as the instance gave it, copied to this host's size. */
typedef struct kit_table {
    const char *id;
    void *table;
    int known;
    struct kit_table *next;
} kit_table;

/* Fills in the settings of an instance. */
void kit_settings_init(kit_instance *i);
/* Fills in its host. */
void kit_host_init(kit_instance *i);
/* Remembers the first forbidden use of the host. */
void kit_violation(kit *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
kit_phase kit_phase_of(const kit_instance *i);
/* Checks one descriptor for what calling it needs; NULL: it is well. */
const char *kit_descriptor_fault(const flamenco_plugin *found);

/* Every check, in the order in which they run; ends with NULL. */
extern const kit_group *const kit_groups[];

#endif
