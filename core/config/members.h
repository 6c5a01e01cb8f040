/* SPDX-License-Identifier: Apache-2.0
 *
 * members.h - the one table of what struct flamenco consists of (architecture.md 3): each member's name in manager.yaml, the
 * service that its plugin must provide, how many there may be, and which plugin serves it by default.
 * To offer a new default plugin, add its file name to the table in members.c and to etc/manager.yaml; nothing else.
 */
#ifndef FL_CONFIG_MEMBERS_H
#define FL_CONFIG_MEMBERS_H

#include "flamenco/plugin.h"

#define FL_MEMBER_MANDATORY 1u /* without it the manager does not start */
#define FL_MEMBER_ANY 2u /* any number of instances; in manager.yaml a list */

typedef struct fl_member {
    const char *name; /* "persist" */
    const char *service; /* "flamenco.persistence/1" */
    uint32_t flags; /* FL_MEMBER_* */
    const char *default_file; /* a bare name, loaded when manager.yaml names none */
    const char *doc; /* one line, for manager.yaml */
} fl_member;

/* All members, in the order of architecture.md 3, and their number. */
extern const fl_member fl_members[];
extern const size_t fl_members_count;

/* Finds a member by name. NULL: there is none. */
const fl_member *fl_member_find(flamenco_str name);

#endif
