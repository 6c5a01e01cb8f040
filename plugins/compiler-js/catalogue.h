/* SPDX-License-Identifier: Apache-2.0
 *
 * catalogue.h - which scripts there are, and their texts (contract: job-compiler 1). It looks at the directories anew for
 * each request, and reads a file only when its size, times or inode have changed. Called by compiler.c and modules.c.
 */
#ifndef FL_CATALOGUE_H
#define FL_CATALOGUE_H

#include "flamenco/plugin.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define FL_CATALOGUE_FILE_MIN 8
#define FL_CATALOGUE_FILE_MAX (16u << 20)

#define FL_SCRIPT_NEW 0u
#define FL_SCRIPT_BUSY 1u /* a thread is finding out */
#define FL_SCRIPT_READY 2u /* json and etag are set */
#define FL_SCRIPT_BROKEN 3u /* it parses and cannot be used; problem is set */
#define FL_SCRIPT_SYNTAX 4u /* it does not parse: it does not exist; problem is set */

/* One text of one file. What stands above `state` never changes; the rest is guarded by the catalogue's lock, and is final
 * in READY and SYNTAX. */
typedef struct fl_script {
    atomic_uint refs;
    uint64_t id; /* no two texts of one process have the same */
    uint32_t source;
    char *file; /* "my_type.js" */
    char *type; /* "my-type" */
    char *text;
    size_t len;
    uint32_t state; /* FL_SCRIPT_* */
    char *json;
    size_t json_len;
    char etag[41];
    char *problem; /* "Error: … (my_type.js:3)" */
    uint32_t line, column;
    int64_t retry_us; /* BROKEN by a limit: when to try again, on CLOCK_MONOTONIC; 0 = when the file changes */
} fl_script;

/* A file of a directory, as it was last seen. */
typedef struct fl_entry {
    char *file;
    uint64_t device, inode;
    int64_t size;
    struct timespec modified, changed;
    int settled; /* it was read long enough after its last change for the times to tell the next one */
    fl_script *script; /* NULL: it could not be read */
} fl_entry;

typedef struct fl_source {
    char *dir;
    int required; /* the admin named it: say so when it cannot be read */
    int complained;
    fl_entry *entries; /* ascending by file, bytewise */
    size_t count;
    int missing; /* there was no such directory; settled is 0 then */
    /* The directory when its names were read; 0 = it has to be read. Names come and go with its times, so that most requests
     * need to look at the files alone. */
    int settled;
    uint64_t device, inode;
    struct timespec modified, changed;
} fl_source;

typedef struct fl_catalogue {
    const flamenco_host *host;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a script's state */
    fl_source *sources; /* the first has precedence; fixed after start */
    uint32_t count;
    uint64_t last_id;
} fl_catalogue;

/* An array of references, owned by the caller. */
typedef struct fl_scripts {
    fl_script **items;
    size_t count, cap;
} fl_scripts;

int32_t fl_catalogue_init(fl_catalogue *catalogue, const flamenco_host *host, flamenco_error *err);
void fl_catalogue_fini(fl_catalogue *catalogue);
/* Adds a directory with the least precedence. NOMEM. */
int32_t fl_catalogue_add(fl_catalogue *catalogue, flamenco_str dir, int required, flamenco_error *err);

/* Looks at the directories and gives the scripts, those of one type in order of precedence: ascending by type, then by
 * source, then descending by file. `type` NULL = all. NOMEM. */
int32_t fl_catalogue_find(fl_catalogue *catalogue, const flamenco_str *type, fl_scripts *out, flamenco_error *err);
void fl_scripts_free(fl_scripts *scripts);

void fl_script_ref(fl_script *script);
void fl_script_unref(fl_script *script);

/* Describes what is wrong with the scripts that were looked at so far. Returns how many are broken. */
size_t fl_catalogue_health(fl_catalogue *catalogue, char *text, size_t size);

/* "render_it.js" -> "render-it", into malloc'ed memory; NULL without memory. */
char *fl_catalogue_type_of(const char *file);

#endif
