/* SPDX-License-Identifier: Apache-2.0
 *
 * compiler.c - the service flamenco.job_compiler: which job types there are, and compiling (contract: job-compiler 8 to 10).
 */
#include "compiler.h"

#include "jscheck.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <time.h>

/* A script that reached a limit while it was loaded gets another chance after this long: the machine may have been busy. */
#define RETRY_US 60000000
#define SLICE_US 20000
#define KILLED_TRIES 2

static const char empty_etag[] = "\"etag\":\"\"";

/* ---- Calls in progress ----------------------------------------------------------------------------------------- */

static void enter(fl_compiler *compiler)
{
    pthread_mutex_lock(&compiler->lock);
    compiler->calls++;
    pthread_mutex_unlock(&compiler->lock);
}

/* Hands a call's result out. */
static int32_t leave(fl_compiler *compiler, int32_t rc, const flamenco_error *own, flamenco_error *err)
{
    pthread_mutex_lock(&compiler->lock);
    if (--compiler->calls == 0)
        pthread_cond_signal(&compiler->idle);
    pthread_mutex_unlock(&compiler->lock);
    return rc == FLAMENCO_OK ? rc : flamenco_fail(err, rc, "%s", own->text);
}

/* ---- Describing ------------------------------------------------------------------------------------------------ */

/* Puts the etag, the SHA-1 of the canonical JSON, into it (section 8). */
static int32_t set_etag(fl_script *script, const char *json, size_t len, flamenco_error *err)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    /* Within a text the quotes would be escaped, and only the description comes before it. */
    const char *at = memmem(json, len, empty_etag, sizeof(empty_etag) - 1);
    if (at == NULL || EVP_Digest(json, len, hash, &n, EVP_sha1(), NULL) != 1 || n != 20)
        return flamenco_fail(err, FLAMENCO_E_INTERNAL, "cannot make the etag of %s", script->file);
    char etag[41];
    for (unsigned int i = 0; i < n; i++)
        snprintf(etag + (size_t)i * 2, 3, "%02x", hash[i]);
    size_t before = (size_t)(at - json) + sizeof(empty_etag) - 2;
    char *whole = malloc(len + 41);
    if (whole == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for job type %s", script->type);
    memcpy(whole, json, before);
    memcpy(whole + before, etag, 40);
    memcpy(whole + before + 40, json + before, len - before);
    free(script->json);
    script->json = whole;
    script->json_len = len + 40;
    memcpy(script->etag, etag, sizeof(etag));
    return FLAMENCO_OK;
}

/* Writes down what a helper found out. The catalogue's lock is held. */
static int32_t settle_script(fl_compiler *compiler, fl_script *script, const fl_talk *talk, int32_t rc,
                             flamenco_error *err)
{
    const flamenco_host *host = compiler->host;
    script->state = FL_SCRIPT_NEW;
    if (rc == FLAMENCO_OK)
        rc = set_etag(script, talk->json, talk->json_len, err);
    if (rc == FLAMENCO_OK) {
        script->state = FL_SCRIPT_READY;
        return rc;
    }
    if (rc != FLAMENCO_E_INVALID)
        return rc;
    char *problem = strdup(err->text);
    if (problem == NULL)
        return flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory for an error text");
    free(script->problem);
    script->problem = problem;
    script->line = talk->line;
    script->column = talk->column;
    script->retry_us = talk->problem == 0 ? fl_pool_now_us() + RETRY_US : 0;
    int syntax = talk->problem == FL_WIRE_PROBLEM_SYNTAX + 1;
    script->state = syntax ? FL_SCRIPT_SYNTAX : FL_SCRIPT_BROKEN;
    host->log(host->h, syntax ? FLAMENCO_LOG_ERROR : FLAMENCO_LOG_WARN, "job type script %s/%s cannot be used: %s",
              compiler->catalogue.sources[script->source].dir, script->file, problem);
    return FLAMENCO_OK;
}

static int32_t describe_now(fl_compiler *compiler, flamenco_cx *cx, fl_script *script, flamenco_error *err)
{
    fl_talk *talk = calloc(1, sizeof(*talk));
    int32_t rc = FLAMENCO_E_NOMEM;
    if (talk != NULL) {
        talk->pool = &compiler->pool;
        talk->catalogue = &compiler->catalogue;
        talk->limits = &compiler->limits;
        talk->cx = cx;
        talk->script = script;
        rc = fl_talk_describe(talk, err);
    }
    pthread_mutex_lock(&compiler->catalogue.lock);
    if (talk != NULL)
        rc = settle_script(compiler, script, talk, rc, err);
    else
        script->state = FL_SCRIPT_NEW;
    pthread_cond_broadcast(&compiler->catalogue.changed);
    pthread_mutex_unlock(&compiler->catalogue.lock);
    if (talk != NULL)
        free(talk->json);
    free(talk);
    return rc;
}

/* Makes sure that it is known what the script is. Afterwards its state is READY, BROKEN or SYNTAX. */
static int32_t know_script(fl_compiler *compiler, flamenco_cx *cx, fl_script *script, uint32_t *state,
                           flamenco_error *err)
{
    fl_catalogue *catalogue = &compiler->catalogue;
    for (;;) {
        int32_t rc = FLAMENCO_OK;
        pthread_mutex_lock(&catalogue->lock);
        while (script->state == FL_SCRIPT_BUSY && rc == FLAMENCO_OK) {
            int64_t until = fl_pool_now_us() + SLICE_US;
            struct timespec ts = { (time_t)(until / 1000000), (long)(until % 1000000) * 1000 };
            pthread_cond_timedwait(&catalogue->changed, &catalogue->lock, &ts);
            rc = fl_pool_given_up(&compiler->pool, cx, err);
        }
        int again = script->state == FL_SCRIPT_BROKEN && script->retry_us != 0 && fl_pool_now_us() >= script->retry_us;
        int mine = rc == FLAMENCO_OK && (script->state == FL_SCRIPT_NEW || again);
        if (mine)
            script->state = FL_SCRIPT_BUSY;
        *state = script->state;
        pthread_mutex_unlock(&catalogue->lock);
        if (!mine)
            return rc;
        rc = describe_now(compiler, cx, script, err);
        if (rc != FLAMENCO_OK)
            return rc;
    }
}

/* Picks, from scripts of one type in order of precedence, the one that counts: the first that can be parsed. Returns NULL
 * when there is none. */
static int32_t choose_script(fl_compiler *compiler, flamenco_cx *cx, fl_script *const *scripts, size_t n,
                             fl_script **out, uint32_t *state, flamenco_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        int32_t rc = know_script(compiler, cx, scripts[i], state, err);
        if (rc != FLAMENCO_OK)
            return rc;
        if (*state != FL_SCRIPT_SYNTAX) {
            *out = scripts[i];
            return FLAMENCO_OK;
        }
    }
    return FLAMENCO_OK;
}

/* A borrowed copy of why a script is broken. */
static void copy_problem(fl_compiler *compiler, const fl_script *script, char *out, size_t size)
{
    pthread_mutex_lock(&compiler->catalogue.lock);
    snprintf(out, size, "%s", script != NULL && script->problem != NULL ? script->problem : "");
    pthread_mutex_unlock(&compiler->catalogue.lock);
}

/* ---- List and get ---------------------------------------------------------------------------------------------- */

static int visit_script(const fl_script *script, flamenco_visit_job_type visit, void *ctx)
{
    flamenco_job_type type = {
        (uint32_t)sizeof(type), 0, flamenco_text(script->type), { script->etag, 40 }, { script->json, script->json_len }
    };
    return visit(ctx, &type) != 0;
}

static int32_t list_types(fl_compiler *compiler, flamenco_cx *cx, flamenco_visit_job_type visit, void *ctx,
                          flamenco_error *err)
{
    fl_scripts scripts = { NULL, 0, 0 };
    int32_t rc = fl_catalogue_find(&compiler->catalogue, NULL, &scripts, err);
    int stop = 0;
    for (size_t i = 0, end; rc == FLAMENCO_OK && !stop && i < scripts.count; i = end) {
        for (end = i + 1; end < scripts.count && strcmp(scripts.items[i]->type, scripts.items[end]->type) == 0;)
            end++;
        fl_script *script = NULL;
        uint32_t state = FL_SCRIPT_NEW;
        rc = choose_script(compiler, cx, scripts.items + i, end - i, &script, &state, err);
        if (rc == FLAMENCO_OK && script != NULL && state == FL_SCRIPT_READY)
            stop = visit_script(script, visit, ctx);
    }
    fl_scripts_free(&scripts);
    return rc;
}

static int32_t list(void *self, flamenco_cx *cx, flamenco_visit_job_type visit, void *ctx, flamenco_error *err)
{
    fl_compiler *compiler = self;
    flamenco_error own = FLAMENCO_ERROR_INIT;
    enter(compiler);
    int32_t rc = list_types(compiler, cx, visit, ctx, &own);
    return leave(compiler, rc, &own, err);
}

/* Finds the script of a type. NOT_FOUND; INVALID when it is broken. The caller frees `scripts`, which holds it. */
static int32_t find_type(fl_compiler *compiler, flamenco_cx *cx, flamenco_str name, fl_scripts *scripts,
                         fl_script **out, flamenco_error *err)
{
    int shown = (int)(name.len < 100 ? name.len : 100);
    uint32_t state = FL_SCRIPT_NEW;
    int32_t rc = fl_catalogue_find(&compiler->catalogue, &name, scripts, err);
    if (rc == FLAMENCO_OK)
        rc = choose_script(compiler, cx, scripts->items, scripts->count, out, &state, err);
    if (rc != FLAMENCO_OK)
        return rc;
    char problem[240];
    if (*out != NULL && state == FL_SCRIPT_READY)
        return FLAMENCO_OK;
    if (*out != NULL) {
        copy_problem(compiler, *out, problem, sizeof(problem));
        flamenco_fail(err, FLAMENCO_E_INVALID, "%s", problem);
        return FLAMENCO_E_INVALID;
    }
    if (scripts->count == 0) {
        flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "unknown job type '%.*s'", shown, shown > 0 ? name.ptr : "");
        return FLAMENCO_E_NOT_FOUND;
    }
    copy_problem(compiler, scripts->items[0], problem, sizeof(problem));
    flamenco_fail(err, FLAMENCO_E_NOT_FOUND, "job type '%.*s': %s", shown, shown > 0 ? name.ptr : "", problem);
    return FLAMENCO_E_NOT_FOUND;
}

static int32_t get(void *self, flamenco_cx *cx, flamenco_str name, flamenco_visit_job_type visit, void *ctx,
                   flamenco_error *err)
{
    fl_compiler *compiler = self;
    flamenco_error own = FLAMENCO_ERROR_INIT;
    fl_scripts scripts = { NULL, 0, 0 };
    fl_script *script = NULL;
    enter(compiler);
    int32_t rc = find_type(compiler, cx, name, &scripts, &script, &own);
    if (rc == FLAMENCO_OK)
        visit_script(script, visit, ctx);
    fl_scripts_free(&scripts);
    return leave(compiler, rc, &own, err);
}

/* ---- Compile --------------------------------------------------------------------------------------------------- */

static int32_t check_request(const flamenco_compile_request *request, flamenco_error *err)
{
    const flamenco_str texts[] = { request->type, request->etag, request->name, request->worker_tag,
                                   request->shaman_checkout_id };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!fl_jscheck_utf8(texts[i]))
            return flamenco_fail(err, FLAMENCO_E_INVALID, "a text of the job is not valid UTF-8");
    }
    if (request->settings.len > 0 && !fl_jscheck_json(request->settings, FL_JSCHECK_OBJECT, 0))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the settings of the job are not a JSON object");
    if (request->metadata.len > 0 && !fl_jscheck_json(request->metadata, FL_JSCHECK_OBJECT, 0))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "the metadata of the job are not a JSON object");
    return FLAMENCO_OK;
}

/* The caller's structure may be shorter or longer than ours. */
static int32_t complete_request(const fl_compiler *compiler, const flamenco_cx *cx,
                                const flamenco_compile_request *given, flamenco_compile_request *out,
                                flamenco_error *err)
{
    static const flamenco_uuid none;
    size_t size = given->struct_size < sizeof(*out) ? given->struct_size : sizeof(*out);
    memset(out, 0, sizeof(*out));
    memcpy(out, given, size);
    if (out->created_us == 0 || out->created_us == FLAMENCO_TIME_NONE)
        out->created_us = cx->now_us;
    int32_t rc = check_request(out, err);
    if (rc == FLAMENCO_OK && memcmp(&out->uuid, &none, sizeof(none)) == 0)
        rc = compiler->host->uuid_make(compiler->host->h, 4, &out->uuid);
    return rc;
}

static int32_t compile_job(fl_compiler *compiler, flamenco_cx *cx, const flamenco_compile_request *request,
                           const flamenco_compile_sink *sink, flamenco_error *err)
{
    const flamenco_host *host = compiler->host;
    fl_scripts scripts = { NULL, 0, 0 };
    fl_script *script = NULL;
    fl_talk *talk = NULL;
    int32_t rc = find_type(compiler, cx, request->type, &scripts, &script, err);
    if (rc == FLAMENCO_E_INVALID && script != NULL) {
        char problem[240];
        copy_problem(compiler, script, problem, sizeof(problem));
        flamenco_script_problem report = { (uint32_t)sizeof(report),    script->line,          script->column, 0,
                                           flamenco_text(script->file), flamenco_text(problem) };
        if (FLAMENCO_HAS(sink, problem))
            sink->problem(sink->ctx, &report);
    }
    if (rc != FLAMENCO_OK)
        goto cleanup;
    flamenco_str etag = { script->etag, 40 };
    if (request->etag.len > 0 && !flamenco_str_equal(request->etag, etag)) {
        rc = flamenco_fail(err, FLAMENCO_E_CONFLICT, "job type '%s' has changed: its etag is %s", script->type,
                           script->etag);
        goto cleanup;
    }
    talk = calloc(1, sizeof(*talk));
    if (talk == NULL) {
        rc = flamenco_fail(err, FLAMENCO_E_NOMEM, "no memory to compile a job");
        goto cleanup;
    }
    /* A helper that was killed, by people or by a system short of memory, says nothing of the job: another one gets it. */
    for (int tries = 0; tries == 0 || (talk->killed && tries < KILLED_TRIES); ++tries) {
        *talk = (fl_talk){ .pool = &compiler->pool,
                           .catalogue = &compiler->catalogue,
                           .limits = &compiler->limits,
                           .cx = cx,
                           .script = script,
                           .sink = sink };
        rc = fl_talk_compile(talk, request, err);
    }
    if (FLAMENCO_HAS(host, metric))
        host->metric(host->h, rc == FLAMENCO_OK ? "compiler_jobs_total" : "compiler_failures_total", 1);
cleanup:
    free(talk);
    fl_scripts_free(&scripts);
    return rc;
}

static int32_t compile(void *self, flamenco_cx *cx, const flamenco_compile_request *request,
                       const flamenco_compile_sink *sink, flamenco_error *err)
{
    fl_compiler *compiler = self;
    flamenco_error own = FLAMENCO_ERROR_INIT;
    flamenco_compile_request whole;
    if (!FLAMENCO_HAS(sink, job) || !FLAMENCO_HAS(sink, tasks))
        return flamenco_fail(err, FLAMENCO_E_INVALID, "a sink needs the callbacks job and tasks");
    enter(compiler);
    int32_t rc = complete_request(compiler, cx, request, &whole, &own);
    if (rc == FLAMENCO_OK)
        rc = compile_job(compiler, cx, &whole, sink, &own);
    return leave(compiler, rc, &own, err);
}

const flamenco_job_compiler fl_compiler_table = {
    .struct_size = (uint32_t)sizeof(flamenco_job_compiler),
    .list = list,
    .get = get,
    .compile = compile,
};
