/* SPDX-License-Identifier: Apache-2.0
 *
 * current.c - the configuration now in force. See current.h.
 */
#include "core/config/current.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/str.h"
#include "core/config/comments.h"
#include "core/config/file.h"
#include "core/config/paths.h"

typedef struct snapshot {
    fl_config_snapshot public;
    atomic_uint refs;
    fl_arena *arena;
    fl_yaml_doc *doc; /* whose texts raw borrows; NULL when they are in the arena */
    struct snapshot *parent; /* the same, for one that was made of another one's texts */
    fl_reference raw, ref;
} snapshot;

typedef struct interned {
    struct interned *next;
    uint64_t len;
    char text[];
} interned;

#define INTERN_BUCKETS 64

struct fl_config {
    fl_arena *arena; /* of the options' copies; used by open alone */
    const char *path;
    const fl_manager_yaml *yaml;
    const char *program;
    flamenco_str cwd, executable_dir;
    int shaman_loaded, force_first_run;

    /* Held while the file is read or written, so that a reload cannot put an older file over a newer one. */
    pthread_mutex_t io;
    fl_buf last_text; /* under io: the file's bytes that `now` was made of; empty = unknown */
    uint64_t generation;

    pthread_mutex_t lock; /* short: the members below */
    snapshot *now;
    char trouble[256]; /* empty = none */

    pthread_mutex_t intern_lock;
    interned *buckets[INTERN_BUCKETS];
};

/* ---- Snapshots ---- */

static void snapshot_unref(snapshot *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    fl_variables_destroy((fl_variables *)(uintptr_t)s->public.variables);
    fl_yaml_doc_destroy(s->doc);
    fl_arena_destroy(s->arena);
    snapshot *parent = s->parent;
    free(s);
    snapshot_unref(parent);
}

void fl_config_unref(const fl_config_snapshot *s)
{
    snapshot_unref((snapshot *)(uintptr_t)s);
}

static snapshot *snapshot_create(void)
{
    snapshot *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->arena = fl_arena_create(0);
    if (s->arena == NULL) {
        free(s);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->public.raw = &s->raw;
    s->public.ref = &s->ref;
    return s;
}

const fl_config_snapshot *fl_config_current(fl_config *config)
{
    pthread_mutex_lock(&config->lock);
    snapshot *s = config->now;
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&config->lock);
    return &s->public;
}

static void make_current(fl_config *config, snapshot *s)
{
    s->public.generation = ++config->generation;
    pthread_mutex_lock(&config->lock);
    snapshot *old = config->now;
    config->now = s;
    config->trouble[0] = '\0';
    pthread_mutex_unlock(&config->lock);
    snapshot_unref(old);
}

/* decisions.md: beside the executable if it is there already or can be made there, else in the working directory. */
static int32_t find_local_storage(const fl_config *config, fl_arena *arena, flamenco_str path, flamenco_str *out)
{
    if (config->executable_dir.len > 0 && (path.len == 0 || path.ptr[0] != '/')) {
        flamenco_str beside;
        int32_t rc = fl_path_absolute(arena, config->executable_dir, path, &beside);
        if (rc != FLAMENCO_OK)
            return rc;
        if (access(beside.ptr, F_OK) == 0 || access(config->executable_dir.ptr, W_OK) == 0) {
            *out = beside;
            return FLAMENCO_OK;
        }
    }
    return fl_path_absolute(arena, config->cwd, path, out);
}

/* Makes the rest of a snapshot from its raw part. */
static int32_t complete(fl_config *config, snapshot *s, fl_config_problems *problems)
{
    int32_t rc = fl_reference_process(&s->raw, s->arena, config->cwd, problems, &s->ref);
    if (rc == FLAMENCO_OK)
        rc = fl_reference_storage(&s->ref, s->arena, config->cwd, config->shaman_loaded, &s->public.storage_path);
    if (rc == FLAMENCO_OK)
        rc = find_local_storage(config, s->arena, s->ref.local_manager_storage_path, &s->public.local_storage);
    if (rc != FLAMENCO_OK)
        return rc;
    s->public.variables = fl_variables_create(&s->ref, s->public.storage_path, flamenco_text(fl_path_own_platform()));
    s->public.first_run = config->force_first_run || s->ref.shared_storage_path.len == 0;
    return s->public.variables != NULL ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
}

/* Makes a snapshot of the file's text; text NULL: there is no file. */
static int32_t build(fl_config *config, const fl_buf *text, fl_config_problems *problems, snapshot **out)
{
    snapshot *s = snapshot_create();
    if (s == NULL)
        return FLAMENCO_E_NOMEM;
    fl_reference_defaults(&s->raw);
    int32_t rc = fl_manager_yaml_presets(config->yaml, s->arena, &s->raw);
    if (rc == FLAMENCO_OK && text == NULL)
        s->public.file_missing = 1;
    if (rc == FLAMENCO_OK && text != NULL)
        rc = fl_yaml_parse(fl_buf_str(text), config->path, 0, problems, &s->doc);
    if (rc == FLAMENCO_OK && text != NULL)
        rc = fl_reference_overlay(&s->raw, s->arena, fl_yaml_root(s->doc), fl_yaml_file(s->doc), FL_REFERENCE_FROM_FILE,
                                  problems);
    if (rc == FLAMENCO_OK)
        rc = complete(config, s, problems);
    if (rc != FLAMENCO_OK) {
        snapshot_unref(s);
        return rc;
    }
    *out = s;
    return FLAMENCO_OK;
}

/* ---- Open, close ---- */

static int32_t copy_options(fl_config *config, const fl_config_options *options)
{
    flamenco_str cwd = fl_arena_copy(config->arena, options->cwd), path;
    flamenco_str exe = fl_arena_copy(config->arena, options->executable_dir);
    flamenco_str name = flamenco_text(options->path != NULL ? options->path : "flamenco-manager.yaml");
    if (cwd.ptr == NULL || exe.ptr == NULL || fl_path_absolute(config->arena, cwd, name, &path) != FLAMENCO_OK)
        return FLAMENCO_E_NOMEM;
    config->cwd = cwd;
    config->executable_dir = exe;
    config->path = path.ptr;
    config->yaml = options->yaml;
    config->program = options->program != NULL ? options->program : "Flamenco Manager";
    config->shaman_loaded = options->yaml == NULL || fl_manager_yaml_has(options->yaml, "shaman");
    config->force_first_run = options->force_first_run;
    return FLAMENCO_OK;
}

/* Reads the file and makes a snapshot of it. *same_out (may be NULL): the file is what the current snapshot was made of. */
static int32_t read_file(fl_config *config, fl_config_problems *problems, snapshot **out, int *same_out)
{
    fl_buf text = { 0 };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    int32_t rc = fl_config_file_read(config->path, &text, &err);
    if (rc == FLAMENCO_E_NOT_FOUND) {
        rc = build(config, NULL, problems, out);
    } else if (rc != FLAMENCO_OK) {
        fl_config_problem_add(problems, FLAMENCO_LOG_ERROR, NULL, 0, "%s", err.text);
    } else if (same_out != NULL && text.len > 0 && text.len == config->last_text.len &&
               memcmp(text.data, config->last_text.data, text.len) == 0) {
        *same_out = 1;
    } else {
        rc = build(config, &text, problems, out);
    }
    if (rc == FLAMENCO_OK && (same_out == NULL || !*same_out)) {
        fl_buf_fini(&config->last_text);
        config->last_text = text;
        return rc;
    }
    fl_buf_fini(&text);
    return rc;
}

int32_t fl_config_open(const fl_config_options *options, fl_config_problems *problems, fl_config **out)
{
    snapshot *first = NULL;
    fl_config *config = calloc(1, sizeof(*config));
    if (config == NULL)
        return FLAMENCO_E_NOMEM;
    config->arena = fl_arena_create(0);
    if (config->arena == NULL) {
        free(config);
        return FLAMENCO_E_NOMEM;
    }
    pthread_mutex_init(&config->io, NULL);
    pthread_mutex_init(&config->lock, NULL);
    pthread_mutex_init(&config->intern_lock, NULL);
    int32_t rc = copy_options(config, options);
    if (rc == FLAMENCO_OK)
        rc = options->ignore_file ? build(config, NULL, problems, &first) : read_file(config, problems, &first, NULL);
    if (rc != FLAMENCO_OK) {
        fl_config_close(config);
        return rc;
    }
    make_current(config, first);
    *out = config;
    return FLAMENCO_OK;
}

void fl_config_close(fl_config *config)
{
    if (config == NULL)
        return;
    snapshot_unref(config->now);
    for (size_t i = 0; i < INTERN_BUCKETS; ++i) {
        for (interned *t = config->buckets[i], *next; t != NULL; t = next) {
            next = t->next;
            free(t);
        }
    }
    fl_buf_fini(&config->last_text);
    pthread_mutex_destroy(&config->io);
    pthread_mutex_destroy(&config->lock);
    pthread_mutex_destroy(&config->intern_lock);
    fl_arena_destroy(config->arena);
    free(config);
}

/* ---- Reload ---- */

/* Remembers why a reload failed; logs it when it is news. */
static void note_trouble(fl_config *config, const char *text)
{
    pthread_mutex_lock(&config->lock);
    int news = strncmp(config->trouble, text, sizeof(config->trouble) - 1) != 0;
    snprintf(config->trouble, sizeof(config->trouble), "%s", text);
    pthread_mutex_unlock(&config->lock);
    if (news)
        fl_error("config", "the last good configuration stays in force: %s", text);
}

int32_t fl_config_reload(fl_config *config, flamenco_error *err)
{
    fl_config_problems problems = { 0 };
    flamenco_error why = FLAMENCO_ERROR_INIT;
    snapshot *next = NULL;
    int same = 0;
    pthread_mutex_lock(&config->io);
    int32_t rc = read_file(config, &problems, &next, &same);
    if (rc != FLAMENCO_OK) {
        if (problems.errors > 0)
            fl_config_problems_fail(&problems, rc, &why);
        else
            flamenco_fail(&why, rc, "out of memory while reading %s", config->path);
        note_trouble(config, why.text);
        flamenco_fail(err, rc, "%s", why.text);
    } else if (same) {
        pthread_mutex_lock(&config->lock);
        config->trouble[0] = '\0';
        pthread_mutex_unlock(&config->lock);
    } else {
        fl_config_problems_log(&problems, "config");
        make_current(config, next);
    }
    pthread_mutex_unlock(&config->io);
    fl_config_problems_fini(&problems);
    return rc;
}

int fl_config_trouble(fl_config *config, char *text, size_t size)
{
    pthread_mutex_lock(&config->lock);
    int trouble = config->trouble[0] != '\0';
    if (trouble)
        snprintf(text, size, "%s", config->trouble);
    pthread_mutex_unlock(&config->lock);
    return trouble;
}

/* ---- Write ---- */

/* Reads what is about to be written: it must be accepted, and written once more give `plain`, the text without comments. So
 * no defect of the writer can leave a file that the next start refuses. */
static int32_t prove(fl_config *config, const fl_buf *text, const fl_buf *plain, int64_t now_us, flamenco_error *err)
{
    fl_config_problems problems = { 0 };
    fl_yaml_doc *doc = NULL;
    fl_buf again = { 0 };
    fl_reference ref = { 0 };
    fl_arena *arena = fl_arena_create(0);
    int32_t rc = arena != NULL ? FLAMENCO_OK : FLAMENCO_E_NOMEM;
    if (rc == FLAMENCO_OK)
        rc = fl_yaml_parse(fl_buf_str(text), config->path, 0, &problems, &doc);
    if (rc == FLAMENCO_OK)
        rc = fl_reference_overlay(&ref, arena, fl_yaml_root(doc), config->path, FL_REFERENCE_FROM_FILE, &problems);
    if (rc == FLAMENCO_OK) {
        fl_reference_yaml(&ref, config->program, now_us, &again);
        if (again.failed)
            rc = FLAMENCO_E_NOMEM;
        else if (again.len != plain->len || memcmp(again.data, plain->data, plain->len) != 0)
            rc = flamenco_fail(err, FLAMENCO_E_INTERNAL, "the configuration cannot be written so that it reads back");
    } else if (problems.errors > 0) {
        fl_config_problems_fail(&problems, rc, err);
    }
    if (rc == FLAMENCO_E_NOMEM)
        flamenco_fail(err, rc, "out of memory");
    fl_buf_fini(&again);
    fl_yaml_doc_destroy(doc);
    fl_arena_destroy(arena);
    fl_config_problems_fini(&problems);
    return rc;
}

/* Lays the comments of the file that stands there into `plain`. Returns 0 with the text in `out`; anything else: there is
 * nothing to keep, or it cannot be kept, which is no reason not to save. */
static int32_t keep_comments(fl_config *config, const fl_buf *plain, int64_t now_us, fl_buf *out)
{
    fl_buf old = { 0 };
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_arena *arena = fl_arena_create(0);
    int32_t rc = arena != NULL ? fl_config_file_read(config->path, &old, &err) : FLAMENCO_E_NOMEM;
    if (rc == FLAMENCO_OK)
        rc = fl_comments_keep(arena, fl_buf_str(&old), fl_buf_str(plain), out);
    if (rc == FLAMENCO_OK && out->len > FL_CONFIG_FILE_MAX)
        rc = FLAMENCO_E_INVALID;
    if (rc == FLAMENCO_OK && (rc = prove(config, out, plain, now_us, &err)) != FLAMENCO_OK)
        fl_warn("config", "the comments of %s are lost, its backup has them: %s", config->path, err.text);
    fl_arena_destroy(arena);
    fl_buf_fini(&old);
    return rc;
}

static int32_t save(fl_config *config, const fl_reference *ref, int64_t now_us, uint32_t flags, flamenco_error *err)
{
    fl_buf plain = { 0 }, commented = { 0 };
    fl_reference_yaml(ref, config->program, now_us, &plain);
    int32_t rc;
    if (plain.failed)
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    else if (plain.len > FL_CONFIG_FILE_MAX)
        rc = flamenco_fail(err, FLAMENCO_E_INVALID, "the configuration is larger than 1 MiB");
    else
        rc = prove(config, &plain, &plain, now_us, err);
    if (rc == FLAMENCO_OK) {
        int kept = keep_comments(config, &plain, now_us, &commented) == FLAMENCO_OK;
        rc = fl_config_file_replace(config->path, fl_buf_str(kept ? &commented : &plain), flags, err);
    }
    fl_buf_fini(&plain);
    fl_buf_fini(&commented);
    return rc;
}

/* Completes, saves and makes current; takes over `s`. */
static int32_t replace(fl_config *config, snapshot *s, int64_t now_us, uint32_t flags, flamenco_error *err)
{
    fl_config_problems problems = { 0 };
    int32_t rc = complete(config, s, &problems);
    if (rc != FLAMENCO_OK)
        flamenco_fail(err, rc, "out of memory");
    else
        rc = save(config, &s->raw, now_us, flags, err);
    if (rc == FLAMENCO_OK) {
        fl_config_problems_log(&problems, "config");
        fl_buf_fini(&config->last_text); /* the next reload reads anew: defaults may fill what was left out */
        make_current(config, s);
    } else {
        snapshot_unref(s);
    }
    fl_config_problems_fini(&problems);
    return rc;
}

int32_t fl_config_put(fl_config *config, const struct json_t *body, int64_t now_us, flamenco_error *err)
{
    snapshot *s = snapshot_create();
    if (s == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    int32_t rc = fl_reference_decode(s->arena, body, &s->raw, err);
    if (rc != FLAMENCO_OK) {
        snapshot_unref(s);
        return rc;
    }
    pthread_mutex_lock(&config->io);
    rc = replace(config, s, now_us, FL_CONFIG_FILE_BACKUP, err);
    pthread_mutex_unlock(&config->io);
    return rc;
}

int32_t fl_config_setup(fl_config *config, flamenco_str storage, flamenco_str blender, int64_t now_us,
                        flamenco_error *err)
{
    snapshot *s = snapshot_create();
    if (s == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "out of memory");
    pthread_mutex_lock(&config->io);
    s->parent = (snapshot *)(uintptr_t)fl_config_current(config);
    int32_t rc = fl_reference_setup(&s->parent->ref, s->arena, storage, blender, &s->raw);
    if (rc == FLAMENCO_OK) {
        rc = replace(config, s, now_us, FL_CONFIG_FILE_BACKUP | FL_CONFIG_FILE_KEEP_MODE, err);
    } else {
        snapshot_unref(s);
        flamenco_fail(err, rc, "out of memory");
    }
    pthread_mutex_unlock(&config->io);
    return rc;
}

int32_t fl_config_write(fl_config *config, int64_t now_us, flamenco_error *err)
{
    const fl_config_snapshot *now = fl_config_current(config);
    pthread_mutex_lock(&config->io);
    int32_t rc = save(config, now->ref, now_us, FL_CONFIG_FILE_KEEP_MODE, err);
    pthread_mutex_unlock(&config->io);
    fl_config_unref(now);
    return rc;
}

flamenco_str fl_config_executable_dir(const fl_config *config)
{
    return config->executable_dir;
}

/* ---- Texts that last ---- */

flamenco_str fl_config_intern(fl_config *config, flamenco_str text)
{
    uint64_t hash = 1469598103934665603u;
    for (uint64_t i = 0; i < text.len; ++i)
        hash = (hash ^ (unsigned char)text.ptr[i]) * 1099511628211u;
    interned **bucket = &config->buckets[hash % INTERN_BUCKETS], *t;
    flamenco_str result = { NULL, 0 };
    pthread_mutex_lock(&config->intern_lock);
    for (t = *bucket; t != NULL; t = t->next)
        if (flamenco_str_equal((flamenco_str){ t->text, t->len }, text))
            break;
    if (t == NULL) {
        t = malloc(sizeof(*t) + (size_t)text.len + 1);
        if (t != NULL) {
            t->len = text.len;
            if (text.len > 0)
                memcpy(t->text, text.ptr, (size_t)text.len);
            t->text[text.len] = '\0';
            t->next = *bucket;
            *bucket = t;
        }
    }
    if (t != NULL)
        result = (flamenco_str){ t->text, t->len };
    pthread_mutex_unlock(&config->intern_lock);
    return result;
}
