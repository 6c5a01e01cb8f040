/* SPDX-License-Identifier: Apache-2.0
 *
 * router.c - finds the operation for a method and a path (router.h).
 */
#include "core/api/router.h"

#include "core/base/str.h"

static const char *const methods[FL_ROUTE_METHODS] = { "DELETE", "GET", "POST", "PUT" };

typedef struct route_walk {
    const fl_route_tree *tree;
    fl_arena *arena;
    fl_route_match *out;
    int escaped; /* the path has percent signs */
} route_walk;

/* Decodes a piece of the path. The escapes were checked before, so that only memory can fail. */
static int32_t decode(const route_walk *walk, flamenco_str piece, flamenco_str *out)
{
    if (!walk->escaped || memchr(piece.ptr, '%', (size_t)piece.len) == NULL) {
        *out = piece;
        return FLAMENCO_OK;
    }
    return fl_str_percent_decode(walk->arena, piece, 0, out);
}

/* Looks for a literal among the neighbours that follow a node. */
static const fl_route_node *find_literal(const route_walk *walk, const fl_route_node *node, flamenco_str segment)
{
    uint32_t low = node->first, high = low + node->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const fl_route_node *at = &walk->tree->nodes[middle - 1];
        int order = segment.len < at->len ? -1 : segment.len > at->len ? 1 : memcmp(segment.ptr, at->text, at->len);
        if (order == 0)
            return at;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Follows `rest`, which begins behind a slash; a NULL ptr means that the path has ended. Gives the number of the
 * path, 0 for none, or NOMEM. Recursion is as deep as the tree. */
static int32_t follow(const route_walk *walk, const fl_route_node *node, flamenco_str rest)
{
    if (rest.ptr == NULL)
        return node->path;
    flamenco_str left = rest, segment, text;
    fl_str_split(&left, '/', &segment);
    int32_t rc = decode(walk, segment, &text);
    if (rc != 0)
        return rc;
    const fl_route_node *literal = node->count != 0 && text.len != 0 ? find_literal(walk, node, text) : NULL;
    if (literal != NULL && (rc = follow(walk, literal, left)) != 0)
        return rc;
    if (node->param == 0 || text.len == 0)
        return 0;
    const fl_route_node *param = &walk->tree->nodes[node->param - 1];
    uint32_t n = walk->out->n_params;
    if (param->takes_rest) {
        rc = decode(walk, rest, &text);
        left = (flamenco_str){ NULL, 0 };
        if (rc != 0)
            return rc;
    }
    walk->out->params[n] = text;
    walk->out->n_params = n + 1;
    rc = follow(walk, param, left);
    if (rc <= 0)
        walk->out->n_params = n;
    return rc;
}

/* Tells whether every escape of the path is right and it has no NUL byte. 1, 0 or NOMEM. */
static int32_t check_escapes(flamenco_str path, fl_arena *arena)
{
    flamenco_str ignored;
    if (memchr(path.ptr, '\0', (size_t)path.len) != NULL)
        return 0;
    int32_t rc = fl_str_percent_decode(arena, path, 0, &ignored);
    return rc == FLAMENCO_OK ? 1 : rc == FLAMENCO_E_INVALID ? 0 : rc;
}

int32_t fl_router_find(const fl_route_tree *tree, flamenco_str method, flamenco_str path, fl_arena *arena,
                       fl_route_match *out)
{
    memset(out, 0, sizeof(*out));
    out->status = 404;
    if (path.len == 0 || path.ptr[0] != '/')
        return FLAMENCO_OK;
    route_walk walk = { tree, arena, out, memchr(path.ptr, '%', (size_t)path.len) != NULL };
    if (walk.escaped || memchr(path.ptr, '\0', (size_t)path.len) != NULL) {
        int32_t rc = check_escapes(path, arena);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            out->status = 400;
            return FLAMENCO_OK;
        }
    }
    int32_t found = follow(&walk, &tree->nodes[0], (flamenco_str){ path.ptr + 1, path.len - 1 });
    if (found < 0)
        return found;
    const fl_route_path *at = found > 0 ? &tree->paths[found - 1] : NULL;
    if (fl_str_is(method, "OPTIONS")) {
        out->status = 204;
        out->allow = at != NULL ? at->allow : NULL;
        return FLAMENCO_OK;
    }
    if (at == NULL)
        return FLAMENCO_OK;
    for (uint32_t i = 0; i < FL_ROUTE_METHODS; ++i) {
        if (at->operations[i] != 0 && fl_str_is(method, methods[i])) {
            out->status = 200;
            out->operation = at->operations[i] - 1u;
            return FLAMENCO_OK;
        }
    }
    if (at->unvalidated) {
        out->status = 405;
        out->allow = at->allow;
    }
    return FLAMENCO_OK;
}
