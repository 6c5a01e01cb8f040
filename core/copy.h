/* SPDX-License-Identifier: Apache-2.0
 *
 * copy.h - `flamenco-manager copy-data`: everything of one store into an empty one, through the persistence interface alone, so that
 * any two back ends will do. copy_store.c opens both, copy_data.c copies, copy_verify.c compares every row. Called by main.c.
 */
#ifndef FL_COPY_H
#define FL_COPY_H

#include "core/cx.h"
#include "core/lifecycle.h"
#include "core/places.h"

/* What the command needs of the program. Borrowed. */
typedef struct fl_copy_options {
    const char *from, *to; /* PLUGIN:PLACE */
    const fl_places *places;
    const fl_manager_yaml *yaml; /* for its plugin_path */
    fl_config *config; /* for settings that live in the reference's file */
} fl_copy_options;

/* Copies, compares, and tells in the log how it goes. Returns the program's exit code. [main] */
int fl_copy_data(const fl_copy_options *options);

/* One of the two stores. */
typedef struct fl_copy_store {
    const char *spec; /* as it was given; for messages without what stands behind the colon */
    fl_run run;
    fl_config_problems problems;
    flamenco_session *session;
    fl_arena *arena; /* of cx */
    fl_cx cx;
    uint64_t batch;
} fl_copy_store;

/* Loads the plugin and starts the store, which takes its lease. Texts of failures name the store. */
int32_t fl_copy_open(const fl_copy_options *options, const char *spec, fl_copy_store *out, flamenco_error *err);
/* Stops the store and frees all. Also after a failed open. */
void fl_copy_close(fl_copy_store *store);
/* Opens a session of FLAMENCO_SESSION_* in the place of the one before, and begins a transaction. */
int32_t fl_copy_begin(fl_copy_store *store, uint32_t kind, flamenco_error *err);
/* Commits, frees what the arena holds, and begins the next transaction. */
int32_t fl_copy_commit(fl_copy_store *store, flamenco_error *err);
void fl_copy_end(fl_copy_store *store); /* rolls back, closes the session */

/* The keys of all jobs, in order. *keys_out is the caller's, freed with free(). */
int32_t fl_copy_list_jobs(fl_copy_store *store, int64_t **keys_out, size_t *n_out, flamenco_error *err);

/* Compares everything. Both are in a transaction that reads. CORRUPT names the first difference. */
int32_t fl_copy_verify(fl_copy_store *from, fl_copy_store *to, flamenco_error *err);

/* Says so at most every two seconds; `last_us` is the caller's. */
void fl_copy_progress(int64_t *last_us, const char *what, size_t done, size_t total);

#endif
