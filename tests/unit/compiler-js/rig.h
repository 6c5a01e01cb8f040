/* SPDX-License-Identifier: Apache-2.0
 *
 * rig.h - the plugin compiler-js with its real helper, a directory for scripts, and what a compilation gave, as JSON that
 * tests can compare.
 */
#ifndef RIG_H
#define RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>

#include "fake_host.h"
#include "flamenco/job_compiler.h"
#include "temp_dir.h"

#define RIG_UUID "f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4"
/* 2026-04-13 09:08:07.654321 UTC */
#define RIG_CREATED INT64_C(1776071287654321)

typedef struct rig {
    fake_host fake;
    char dir[TEMP_DIR_MAX]; /* the scripts; what stands beside it is also removed at the end */
    char root[TEMP_DIR_MAX];
    const flamenco_plugin *plugin;
    const flamenco_job_compiler *table;
    void *self;
} rig;

/* What one call gave. */
typedef struct outcome {
    int32_t rc;
    flamenco_error err;
    json_t *
        job; /* {"name", "type", "priority", "settings", "metadata", "tag", "checkout", "uuid", counts}; NULL: none came */
    json_t *tasks; /* as in the contract's examples */
    json_t *uuids; /* the tasks'; "" = none */
    size_t calls; /* of sink.tasks */
    char log[4096]; /* the first lines, each as "level text\n" */
    size_t lines;
    char problem[9000];
    char script[128];
    uint32_t line, column;
    int32_t fail_job, fail_tasks; /* what the callbacks of the sink return; set before the call */
} outcome;

/* Makes the temporary directories and the host, with settings for a rig that finds everything. */
void rig_init(rig *r);
void rig_set(rig *r, const char *key, const char *text);
void rig_start(rig *r);
void rig_stop(rig *r);
/* Stops, removes, checks for leaks. */
void rig_fini(rig *r);

/* Writes a file below the scripts directory. */
void rig_write(rig *r, const char *name, const char *text);
void rig_remove(rig *r, const char *name);
/* Writes a script: a JOB_TYPE and then `body`. */
void rig_script(rig *r, const char *name, const char *body);

flamenco_compile_request rig_request(const char *type, const char *settings);
void rig_run(rig *r, const flamenco_compile_request *request, outcome *o);
/* For rig_run_cx, which does not do it, so that another thread may look at it meanwhile. Keeps what the test set. */
void outcome_init(outcome *o);
void rig_run_cx(rig *r, flamenco_cx *cx, const flamenco_compile_request *request, outcome *o);
/* Compiles with the usual request. */
void rig_compile(rig *r, const char *type, const char *settings, outcome *o);
/* Writes a script with the body `body` under a new name, and compiles it. */
void rig_body(rig *r, const char *body, const char *settings, outcome *o);
void outcome_free(outcome *o);

/* Evaluates expressions inside of a compileJob, and compares what they give (stored as a setting) with JSON texts. An
 * exception gives its text behind "!". */
typedef struct vector {
    const char *expression;
    const char *json;
} vector;
void rig_evaluate(rig *r, const char *prelude, const vector *vectors, size_t n);

/* The list of job types: "name name", and in *json an object of all by name, when asked for. */
int32_t rig_list(rig *r, char *names, size_t size, json_t **json, flamenco_error *err);
/* One job type's JSON, or NULL. */
char *rig_get(rig *r, const char *name, int32_t *rc, flamenco_error *err);

/* Compares, showing both when they differ. Steals `actual`? No: both stay the caller's. */
void assert_json(json_t *actual, const char *expected);
/* Asserts that text contains part. */
void assert_contains(const char *text, const char *part);

/* Processes that run the helper, children of this one. */
size_t rig_helpers(void);
/* The first of them, or 0. */
int rig_helper_pid(void);
/* Open descriptors of this process. */
size_t rig_descriptors(void);
/* Gives way until the condition holds; fails after 20 s. */
#define WAIT_UNTIL(condition) \
    do { \
        for (int wait_turns = 0; !(condition); wait_turns++) { \
            if (wait_turns > 20000) \
                fail_msg("waited in vain for: %s", #condition); \
            rig_yield(); \
        } \
    } while (0)
void rig_yield(void);

#endif
