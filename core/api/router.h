/* SPDX-License-Identifier: Apache-2.0
 *
 * router.h - finds the operation for a method and a path in the tree of path segments that api/generate.py makes
 * (api-behaviour 1.6). Called through api_route() of api_routes.h.
 */
#ifndef FL_API_ROUTER_H
#define FL_API_ROUTER_H

#include "core/base/arena.h"

#define FL_ROUTE_PARAMS_MAX 4u
#define FL_ROUTE_METHODS 4u

/* One segment of paths. Nodes and paths are counted from 1: 0 = none. */
typedef struct fl_route_node {
    const char *text; /* of a literal */
    uint16_t len;
    uint16_t first, count; /* the literals that may follow: neighbours, ordered by length, then by bytes */
    uint16_t param; /* the parameter that may follow */
    uint16_t path; /* the path that ends here */
    uint8_t takes_rest; /* a parameter that takes all segments that are left */
} fl_route_node;

typedef struct fl_route_path {
    uint16_t operations[FL_ROUTE_METHODS]; /* number + 1 for DELETE, GET, POST, PUT; 0 = none */
    uint8_t unvalidated;
    const char *allow; /* value of the Allow header */
} fl_route_path;

typedef struct fl_route_tree {
    const fl_route_node *nodes; /* the first one is the root */
    const fl_route_path *paths;
} fl_route_tree;

/* What a path leads to. */
typedef struct fl_route_match {
    /* 200: operation and params are set. 204: the method is OPTIONS. 400: a bad escape or a NUL byte. 404: no such path,
     * or not with this method. 405: the method is not offered, to be told with Allow. */
    int32_t status;
    uint32_t operation;
    uint32_t n_params;
    flamenco_str params[FL_ROUTE_PARAMS_MAX]; /* decoded; borrowed from the path or in the arena */
    const char *allow; /* with 204 and 405; NULL: the path is unknown */
} fl_route_match;

/* Looks up a path that is still encoded, without its query. Returns 0 with *out filled, or NOMEM. */
int32_t fl_router_find(const fl_route_tree *tree, flamenco_str method, flamenco_str path, fl_arena *arena,
                       fl_route_match *out);

#endif
