/* SPDX-License-Identifier: Apache-2.0
 *
 * types.c - task types: texts outside, small numbers inside. Each session keeps the names that it has met: a committed one
 * never changes, so only those of the running transaction must be forgotten when it is rolled back.
 */
#include "rows.h"

static int32_t add_name(flamenco_session *s, int64_t type, flamenco_str name)
{
    const flamenco_host *host = s->store->host;
    fl_types *types = &s->types;
    if (type != (int64_t)types->n + 1)
        return fl_fail(s, FLAMENCO_E_CORRUPT, "task types are not numbered without gaps: %lld", (long long)type);
    if (types->n == types->room) {
        uint64_t room = types->room != 0 ? types->room * 2 : 16;
        flamenco_str *names = host->alloc(host->h, room * sizeof(*names));
        if (names == NULL)
            return fl_fail(s, FLAMENCO_E_NOMEM, "out of memory");
        if (types->n > 0)
            memcpy(names, types->names, types->n * sizeof(*names));
        host->free(host->h, types->names);
        types->names = names;
        types->room = room;
    }
    char *copy = host->alloc(host->h, name.len + 1);
    if (copy == NULL)
        return fl_fail(s, FLAMENCO_E_NOMEM, "out of memory");
    if (name.len > 0)
        memcpy(copy, name.ptr, (size_t)name.len);
    copy[name.len] = '\0';
    types->names[types->n++] = (flamenco_str){ copy, name.len };
    return FLAMENCO_OK;
}

/* Reads the names that are not known yet. */
static int32_t read_more(flamenco_session *s)
{
    fl_query q = fl_query_begin(s, FL_SQL_TYPES_AFTER);
    fl_bind_int(&q, 1, (int64_t)s->types.n);
    int32_t rc;
    while ((rc = fl_query_step(&q)) > 0) {
        int32_t added = add_name(s, fl_column_int(&q, 0), fl_column_text(&q, 1));
        if (added != FLAMENCO_OK)
            return fl_query_end(&q, added);
    }
    rc = fl_query_end(&q, rc);
    /* A reader sees committed names only. */
    if (rc == FLAMENCO_OK && s->kind == FLAMENCO_SESSION_READER)
        s->types.committed = s->types.n;
    return rc;
}

static int64_t find_name(const fl_types *types, flamenco_str name)
{
    for (uint64_t i = 0; i < types->n; ++i) {
        if (flamenco_str_equal(types->names[i], name))
            return (int64_t)i + 1;
    }
    return 0;
}

int32_t fl_type_number(flamenco_session *s, flamenco_str name, uint32_t create, int64_t *out)
{
    int64_t type = find_name(&s->types, name);
    if (type == 0) {
        int32_t rc = read_more(s);
        if (rc != FLAMENCO_OK)
            return rc;
        type = find_name(&s->types, name);
    }
    if (type == 0 && create) {
        fl_query q = fl_query_begin(s, FL_SQL_TYPE_ADD);
        fl_bind_text(&q, 1, name);
        int32_t rc = fl_query_int(&q, 0, &type);
        if (rc == FLAMENCO_OK)
            rc = add_name(s, type, name);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    *out = type;
    return type != 0;
}

int32_t fl_type_name(flamenco_session *s, int64_t type, flamenco_str *out)
{
    if (type > (int64_t)s->types.n) {
        int32_t rc = read_more(s);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    if (type <= 0 || type > (int64_t)s->types.n)
        return fl_fail(s, FLAMENCO_E_CORRUPT, "there is no task type number %lld", (long long)type);
    *out = s->types.names[type - 1];
    return FLAMENCO_OK;
}

static void cut(flamenco_session *s, uint64_t n)
{
    const flamenco_host *host = s->store->host;
    while (s->types.n > n)
        host->free(host->h, (void *)(uintptr_t)s->types.names[--s->types.n].ptr);
    if (s->types.committed > n)
        s->types.committed = n;
}

void fl_rows_rollback(flamenco_session *s)
{
    s->last_task.key = 0;
    fl_known_end(s);
    cut(s, s->types.committed);
}

void fl_types_commit(flamenco_session *s)
{
    s->types.committed = s->types.n;
}

void fl_types_fini(flamenco_session *s)
{
    cut(s, 0);
    s->store->host->free(s->store->host->h, s->types.names);
    s->types.names = NULL;
    s->types.room = 0;
}
