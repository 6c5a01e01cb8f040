/* SPDX-License-Identifier: Apache-2.0
 *
 * source.c - opens the reference's database so that it stays as it is, byte for byte, and nothing is left beside it.
 *
 * SQLite leaves files beside a database with a log that it opens for reading alone. So a database that was closed in order is
 * read in place as `immutable`, without locks; one with a log or a journal beside it is copied with these, and the copy read.
 * In both cases the locks that a running manager holds are looked at, and at the end whether the file is still the same.
 */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Where SQLite's locks are (file format 1.10 "lock-byte page"): pending, reserved, and 510 bytes of shared ones. */
#define LOCKS_AT 0x40000000
#define LOCKS_SIZE 512
#define COPY_BYTES (1u << 20)

static const char *const companions[FL_SOURCE_FILES] = { "", "-wal", "-journal" };

static int32_t join(char **out, const char *a, const char *b, flamenco_error *err)
{
    *out = NULL;
    return asprintf(out, "%s%s", a, b) < 0 ? flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory") : FLAMENCO_OK;
}

static int32_t look(const fl_source *source, fl_source_state out[FL_SOURCE_FILES], flamenco_error *err)
{
    for (size_t i = 0; i < FL_SOURCE_FILES; ++i) {
        char *name = NULL;
        struct stat st;
        int32_t rc = join(&name, source->path, companions[i], err);
        if (rc != FLAMENCO_OK)
            return rc;
        memset(&out[i], 0, sizeof(out[i]));
        if (stat(name, &st) == 0)
            out[i] = (fl_source_state){ 1, st.st_dev, st.st_ino, st.st_size, st.st_mtim };
        else if (errno != ENOENT)
            rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot look at %s: %s", name, strerror(errno));
        free(name);
        if (rc != FLAMENCO_OK)
            return rc;
    }
    return FLAMENCO_OK;
}

/* A manager that runs holds a lock as long as it has the database open. */
static int32_t look_for_locks(const fl_source *source, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCKS_AT, .l_len = LOCKS_SIZE };
    int fd = open(source->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot open %s: %s", source->path, strerror(errno));
    if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
        rc = flamenco_fail(err, FLAMENCO_E_BUSY,
                           "%s cannot be imported while process %ld has it open; stop that manager first", source->path,
                           (long)lock.l_pid);
    close(fd);
    return rc;
}

int32_t fl_source_unchanged(const fl_source *source, flamenco_error *err)
{
    fl_source_state now[FL_SOURCE_FILES];
    int32_t rc = look_for_locks(source, err);
    if (rc == FLAMENCO_OK)
        rc = look(source, now, err);
    for (size_t i = 0; i < FL_SOURCE_FILES && rc == FLAMENCO_OK; ++i) {
        const fl_source_state *a = &source->before[i], *b = &now[i];
        if (a->exists != b->exists || a->dev != b->dev || a->ino != b->ino || a->size != b->size ||
            a->changed.tv_sec != b->changed.tv_sec || a->changed.tv_nsec != b->changed.tv_nsec)
            rc = flamenco_fail(err, FLAMENCO_E_CONFLICT,
                               "%s was changed by another program during the import; stop that manager first",
                               source->path);
    }
    return rc;
}

/* ---- Copying ---- */

static int32_t copy_bytes(int from, int to, char *buffer, const char *name, flamenco_error *err)
{
    for (;;) {
        ssize_t got = read(from, buffer, COPY_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return flamenco_fail(err, FLAMENCO_E_IO, "cannot read %s: %s", name, strerror(errno));
        if (got == 0)
            return FLAMENCO_OK;
        for (ssize_t done = 0; done < got;) {
            ssize_t put = write(to, buffer + done, (size_t)(got - done));
            if (put < 0 && errno != EINTR)
                return flamenco_fail(err, errno == ENOSPC ? FLAMENCO_E_FULL : FLAMENCO_E_IO, "cannot copy %s: %s", name,
                                     strerror(errno));
            done += put > 0 ? put : 0;
        }
    }
}

static int32_t copy_file(const char *from, const char *to, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    int out = -1;
    char *buffer = malloc(COPY_BYTES);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (buffer == NULL) {
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        goto cleanup;
    }
    if (in < 0) {
        rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot open %s: %s", from, strerror(errno));
        goto cleanup;
    }
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) {
        rc = flamenco_fail(err, FLAMENCO_E_UNAVAILABLE, "cannot make %s: %s", to, strerror(errno));
        goto cleanup;
    }
    rc = copy_bytes(in, out, buffer, from, err);
cleanup:
    if (out >= 0 && close(out) != 0 && rc == FLAMENCO_OK)
        rc = flamenco_fail(err, FLAMENCO_E_IO, "cannot write %s: %s", to, strerror(errno));
    if (in >= 0)
        close(in);
    free(buffer);
    return rc;
}

static int32_t copy_all(const fl_source *source, flamenco_error *err)
{
    int32_t rc = FLAMENCO_OK;
    for (size_t i = 0; i < FL_SOURCE_FILES && rc == FLAMENCO_OK; ++i) {
        char *from = NULL, *to = NULL;
        rc = join(&from, source->path, companions[i], err);
        if (rc == FLAMENCO_OK)
            rc = join(&to, source->scratch, companions[i], err);
        if (rc == FLAMENCO_OK && source->before[i].exists)
            rc = copy_file(from, to, err);
        free(from);
        free(to);
    }
    return rc;
}

static void remove_copy(const fl_source *source)
{
    static const char *const made[] = { "", "-wal", "-journal", "-shm" };
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); ++i) {
        char *name = NULL;
        if (join(&name, source->scratch, made[i], NULL) == FLAMENCO_OK)
            (void)unlink(name);
        free(name);
    }
}

/* ---- Opening ---- */

/* "file:…?mode=ro&immutable=1" for a path; owned by the caller, NULL when memory is exhausted. */
static char *make_uri(const char *path)
{
    static const char tail[] = "?mode=ro&immutable=1";
    static const char hex[] = "0123456789ABCDEF";
    char *uri = malloc(5 + 3 * strlen(path) + sizeof(tail));
    if (uri == NULL)
        return NULL;
    char *at = stpcpy(uri, "file:");
    for (const unsigned char *c = (const unsigned char *)path; *c != '\0'; ++c) {
        if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
            strchr("/._-~", *c) != NULL) {
            *at++ = (char)*c;
        } else {
            *at++ = '%';
            *at++ = hex[*c >> 4];
            *at++ = hex[*c & 15];
        }
    }
    memcpy(at, tail, sizeof(tail));
    return uri;
}

int32_t fl_source_fail(const fl_source *source, flamenco_error *err)
{
    int code = sqlite3_extended_errcode(source->db);
    int32_t rc = FLAMENCO_E_CONFLICT;
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB)
        rc = FLAMENCO_E_CORRUPT;
    else if ((code & 0xff) == SQLITE_NOMEM || code == SQLITE_IOERR_NOMEM)
        rc = FLAMENCO_E_NOMEM;
    else if ((code & 0xff) == SQLITE_IOERR)
        rc = FLAMENCO_E_IO;
    else if ((code & 0xff) == SQLITE_FULL)
        rc = FLAMENCO_E_FULL;
    else if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
        rc = FLAMENCO_E_BUSY;
    return flamenco_fail(err, rc, "%s cannot be imported: %s", source->path, sqlite3_errmsg(source->db));
}

int32_t fl_source_run(const fl_source *source, const char *sql, flamenco_error *err)
{
    return sqlite3_exec(source->db, sql, NULL, NULL, NULL) == SQLITE_OK ? FLAMENCO_OK : fl_source_fail(source, err);
}

int32_t fl_source_step(const fl_source *source, sqlite3_stmt *st, flamenco_error *err)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : fl_source_fail(source, err);
}

static int32_t open_database(fl_source *source, flamenco_error *err)
{
    int rc;
    if (source->before[1].size > 0 || source->before[2].size > 0) {
        source->copied = 1;
        int32_t copied = copy_all(source, err);
        if (copied != FLAMENCO_OK)
            return copied;
        rc = sqlite3_open_v2(source->scratch, &source->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE, NULL);
    } else {
        char *uri = make_uri(source->path);
        if (uri == NULL)
            return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
        rc = sqlite3_open_v2(uri, &source->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_PRIVATECACHE, NULL);
        free(uri);
    }
    if (source->db == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    sqlite3_extended_result_codes(source->db, 1);
    if (rc != SQLITE_OK)
        return fl_source_fail(source, err);
    if (sqlite3_db_config(source->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
        sqlite3_db_config(source->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) != SQLITE_OK)
        return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "SQLite %s lacks a setting", sqlite3_libversion());
    /* What is sorted goes to a file: the database may be larger than the memory. */
    return fl_source_run(source, "PRAGMA temp_store=FILE; PRAGMA cache_size=-16384; PRAGMA cell_size_check=1;", err);
}

/* Values that the schema does not allow are mended row by row; damage of the file itself is not. */
static int is_about_values(const char *finding)
{
    static const char *const harmless[] = { "NULL value in ", "CHECK constraint failed ", "TEXT value in ",
                                            "NUMERIC value in ", "non-" };
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); ++i) {
        if (strncmp(finding, harmless[i], strlen(harmless[i])) == 0)
            return 1;
    }
    return strcmp(finding, "ok") == 0;
}

static int32_t check_structure(const fl_source *source, flamenco_error *err)
{
    sqlite3_stmt *st = NULL;
    int32_t rc;
    if (sqlite3_prepare_v2(source->db, "PRAGMA quick_check(1000)", -1, &st, NULL) != SQLITE_OK)
        return fl_source_fail(source, err);
    while ((rc = fl_source_step(source, st, err)) > 0) {
        const char *finding = (const char *)sqlite3_column_text(st, 0);
        if (finding == NULL || is_about_values(finding))
            continue;
        rc = flamenco_fail(err, FLAMENCO_E_CORRUPT, "%s is damaged and cannot be imported: %.120s", source->path,
                           finding);
        break;
    }
    sqlite3_finalize(st);
    return rc;
}

/* ---- Tables and columns ---- */

static int32_t has(const fl_source *source, const char *sql, const char *table, const char *column, flamenco_error *err)
{
    sqlite3_stmt *st = NULL;
    int32_t rc;
    if (sqlite3_prepare_v2(source->db, sql, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC) == SQLITE_OK &&
        (column == NULL || sqlite3_bind_text(st, 2, column, -1, SQLITE_STATIC) == SQLITE_OK))
        rc = fl_source_step(source, st, err);
    else
        rc = fl_source_fail(source, err);
    sqlite3_finalize(st);
    return rc;
}

int32_t fl_source_has_table(const fl_source *source, const char *table, flamenco_error *err)
{
    return has(source, "SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?1", table, NULL, err);
}

int32_t fl_source_has_column(const fl_source *source, const char *table, const char *column, flamenco_error *err)
{
    return has(source, "SELECT 1 FROM pragma_table_info(?1) WHERE name=?2", table, column, err);
}

static int32_t read_int(const fl_source *source, const char *sql, int64_t none, int64_t *out, flamenco_error *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(source->db, sql, -1, &st, NULL) != SQLITE_OK)
        return fl_source_fail(source, err);
    int32_t rc = fl_source_step(source, st, err);
    if (rc >= 0)
        *out = rc > 0 ? sqlite3_column_int64(st, 0) : none;
    sqlite3_finalize(st);
    return rc < 0 ? rc : FLAMENCO_OK;
}

int32_t fl_source_select(const fl_source *source, const char *table, const char *const *columns, const char *from,
                         sqlite3_stmt **out, flamenco_error *err)
{
    char sql[1024];
    int n = snprintf(sql, sizeof(sql), "SELECT ");
    for (size_t i = 0; columns[i] != NULL && n > 0 && n < (int)sizeof(sql); ++i) {
        int32_t there = fl_source_has_column(source, table, columns[i], err);
        if (there < 0)
            return there;
        n += snprintf(sql + n, sizeof(sql) - (size_t)n, "%s%s%s", i > 0 ? "," : "", there ? "t." : "",
                      there ? columns[i] : "NULL");
    }
    if (n > 0 && n < (int)sizeof(sql))
        n += snprintf(sql + n, sizeof(sql) - (size_t)n, " FROM %s", from);
    if (n <= 0 || n >= (int)sizeof(sql))
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "a statement of the import is too long");
    return sqlite3_prepare_v2(source->db, sql, -1, out, NULL) == SQLITE_OK ? FLAMENCO_OK : fl_source_fail(source, err);
}

/* ---- Opening and closing ---- */

static int32_t recognise(fl_source *source, flamenco_error *err)
{
    static const char *const needed[][2] = {
        { "jobs", "uuid" }, { "tasks", "uuid" }, { "tasks", "job_id" }, { "workers", "uuid" }, { "workers", "secret" }
    };
    int64_t objects = 0;
    int32_t rc = read_int(source, "SELECT count(*) FROM sqlite_schema", 0, &objects, err);
    if (rc != FLAMENCO_OK)
        return rc;
    source->empty = objects == 0;
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]) && !source->empty; ++i) {
        rc = fl_source_has_column(source, needed[i][0], needed[i][1], err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return flamenco_fail(
                err, FLAMENCO_E_CONFLICT,
                "%s is no database of Flamenco: it lacks %s.%s; name another file as `database`, or move "
                "this one away",
                source->path, needed[i][0], needed[i][1]);
    }
    rc = fl_source_has_table(source, "goose_db_version", err);
    if (rc > 0)
        rc = read_int(source, "SELECT version_id FROM goose_db_version WHERE is_applied<>0 ORDER BY id DESC LIMIT 1", 0,
                      &source->version, err);
    if (rc < 0)
        return rc;
    if (source->version > FL_REFERENCE_VERSION)
        return flamenco_fail(
            err, FLAMENCO_E_CONFLICT,
            "%s was written by a newer release of Flamenco (database version %lld, known up to %d) and "
            "cannot be imported; name another file as `database`, or move this one away",
            source->path, (long long)source->version, FL_REFERENCE_VERSION);
    return FLAMENCO_OK;
}

int32_t fl_source_open(fl_source *source, const flamenco_host *host, const char *path, const char *scratch,
                       flamenco_error *err)
{
    *source = (fl_source){ .host = host, .path = path, .scratch = scratch };
    int32_t rc = look_for_locks(source, err);
    if (rc == FLAMENCO_OK)
        rc = look(source, source->before, err);
    if (rc == FLAMENCO_OK)
        rc = open_database(source, err);
    if (rc == FLAMENCO_OK)
        rc = check_structure(source, err);
    return rc == FLAMENCO_OK ? recognise(source, err) : rc;
}

void fl_source_close(fl_source *source)
{
    sqlite3_close(source->db);
    source->db = NULL;
    if (source->copied)
        remove_copy(source);
    source->copied = 0;
}
