/* SPDX-License-Identifier: Apache-2.0
 *
 * engine.c - see engine.h.
 */
#include "engine.h"

#include "jstext.h"

#include <stdlib.h>
#include <unistd.h>

static const char prelude_text[] = {
#include "prelude.inc"
};

#define OP_ARGS_MAX 10

/* After a job of more tasks than this, or above this much memory, the garbage is collected at once: by itself the engine
 * would keep it for some hundred jobs. */
#define COLLECT_TASKS 2000
#define COLLECT_BYTES (48u << 20)

JSValueRef fl_engine_call(fl_engine *engine, int operation, size_t n, const JSValueRef *args, JSValueRef *exception)
{
    JSContextRef ctx = engine->current.ctx;
    JSValueRef all[OP_ARGS_MAX + 1];
    all[0] = JSValueMakeNumber(ctx, operation);
    for (size_t i = 0; i < n; i++)
        all[i + 1] = args[i];
    return JSObjectCallAsFunction(ctx, engine->current.api, NULL, n + 1, all, exception);
}

void fl_engine_free_context(fl_context *context)
{
    if (context->ctx == NULL)
        return;
    if (context->api != NULL)
        JSValueUnprotect(context->ctx, context->api);
    JSGlobalContextRelease(context->ctx);
    context->ctx = NULL;
    context->api = NULL;
}

/* The plugin reads standard error when the helper does not start. */
static void complain(JSContextRef ctx, JSValueRef exception)
{
    char text[300] = "the prelude does not run";
    JSStringRef s = exception != NULL ? JSValueToStringCopy(ctx, exception, NULL) : NULL;
    if (s != NULL) {
        JSStringGetUTF8CString(s, text, sizeof(text));
        JSStringRelease(s);
    }
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

int fl_engine_make_context(fl_engine *engine, fl_context *out)
{
    JSGlobalContextRef ctx = JSGlobalContextCreateInGroup(engine->group, NULL);
    if (ctx == NULL)
        return -1;
    fl_context context = { ctx, NULL };
    JSValueRef exception = NULL;
    JSValueRef made = JSEvaluateScript(ctx, engine->prelude, NULL, engine->prelude_url, 1, &exception);
    JSObjectRef function = made != NULL && exception == NULL ? JSValueToObject(ctx, made, &exception) : NULL;
    if (function != NULL && exception == NULL) {
        JSValueRef args[4] = { fl_natives_make(engine, ctx), JSValueMakeString(ctx, engine->platform),
                               JSValueMakeString(ctx, engine->cwd), JSValueMakeString(ctx, engine->year_one) };
        JSValueRef api = JSObjectCallAsFunction(ctx, function, NULL, 4, args, &exception);
        context.api = api != NULL && exception == NULL ? JSValueToObject(ctx, api, &exception) : NULL;
    }
    if (context.api != NULL) {
        JSValueProtect(ctx, context.api);
        JSGlobalContextSetUnhandledRejectionCallback(ctx, engine->on_rejection, &exception);
    }
    if (exception != NULL || context.api == NULL) {
        complain(ctx, exception);
        fl_engine_free_context(&context);
        return -1;
    }
    *out = context;
    return 0;
}

int fl_engine_start(fl_engine *engine, fl_channel *channel, fl_watch *watch, int freezes, const flamenco_str init[3])
{
    memset(engine, 0, sizeof(*engine));
    engine->channel = channel;
    engine->watch = watch;
    engine->freezes = freezes;
    engine->group = JSContextGroupCreate();
    flamenco_str prelude = { prelude_text, sizeof(prelude_text) };
    engine->prelude = fl_jstext_make(prelude);
    engine->prelude_url = fl_jstext_make(flamenco_text("flamenco:prelude"));
    engine->platform = fl_jstext_make(init[0]);
    engine->cwd = fl_jstext_make(init[1]);
    engine->year_one = fl_jstext_make(init[2]);
    if (fl_natives_start(engine) != 0)
        return -1;
    engine->base = JSGlobalContextCreateInGroup(engine->group, NULL);
    if (engine->base == NULL)
        return -1;
    engine->on_rejection = fl_natives_make_on_rejection(engine, engine->base);
    JSValueProtect(engine->base, engine->on_rejection);
    return fl_engine_make_context(engine, &engine->spare);
}

void fl_engine_answer(fl_engine *engine, uint32_t type)
{
    fl_channel_flush(engine->channel);
    fl_channel_read(engine->channel, &engine->answer);
    if (engine->answer.type != type)
        _exit(FL_WIRE_EXIT_BROKEN);
}

/* ---- Scripts --------------------------------------------------------------------------------------------------- */

static void fetch_script(fl_engine *engine, uint64_t id, fl_cached_script *out)
{
    fl_wire_begin(&engine->channel->out, FL_WIRE_NEED_SCRIPT);
    fl_wire_u64(&engine->channel->out, id);
    fl_wire_end(&engine->channel->out);
    fl_engine_answer(engine, FL_WIRE_SCRIPT);
    flamenco_str text = fl_wire_get_str(&engine->answer.in);
    if (!fl_wire_done(&engine->answer.in))
        _exit(FL_WIRE_EXIT_BROKEN);
    size_t prefix = sizeof(FL_STRICT) - 1;
    char *whole = malloc(prefix + (size_t)text.len + 1);
    if (whole == NULL)
        _exit(FL_WIRE_EXIT_MEMORY);
    memcpy(whole, FL_STRICT, prefix);
    if (text.len > 0)
        memcpy(whole + prefix, text.ptr, (size_t)text.len);
    flamenco_str all = { whole, prefix + text.len };
    out->id = id;
    out->text = fl_jstext_make(all);
    out->frozen_text = engine->freezes ? fl_frozen_wrap(all) : NULL;
    free(whole);
}

static void forget_script(fl_engine *engine, fl_cached_script *script)
{
    fl_frozen_forget(engine, script);
    if (script->text != NULL)
        JSStringRelease(script->text);
    memset(script, 0, sizeof(*script));
}

/* The script, from the cache or from the plugin. */
static fl_cached_script *find_script(fl_engine *engine, uint64_t id)
{
    fl_cached_script *oldest = &engine->scripts[0];
    for (size_t i = 0; i < FL_ENGINE_SCRIPTS; i++) {
        fl_cached_script *script = &engine->scripts[i];
        if (script->id == id) {
            script->used = ++engine->uses;
            return script;
        }
        if (script->used < oldest->used)
            oldest = script;
    }
    forget_script(engine, oldest);
    fetch_script(engine, id, oldest);
    oldest->used = ++engine->uses;
    return oldest;
}

/* ---- Orders ---------------------------------------------------------------------------------------------------- */

static void send_problem(fl_engine *engine, uint32_t kind, const char *message)
{
    if (engine->problem_sent)
        return;
    engine->problem_sent = 1;
    fl_wire_out *out = &engine->channel->out;
    fl_wire_begin(out, FL_WIRE_PROBLEM);
    fl_wire_u32(out, kind);
    fl_wire_u32(out, 0);
    fl_wire_u32(out, 0);
    fl_wire_str(out, flamenco_text(NULL));
    fl_wire_str(out, flamenco_text(message));
    fl_wire_end(out);
}

/* Sends why the order failed: the prelude takes the exception apart, natives.c writes the frame. */
void fl_engine_report(fl_engine *engine, JSValueRef exception, uint32_t kind)
{
    engine->problem_kind = kind;
    if (exception != NULL) {
        JSValueRef again = NULL;
        fl_engine_call(engine, FL_OP_REPORT, 1, &exception, &again);
    }
    send_problem(engine, kind, "unknown error");
}

/* The reference ignores rejected promises, and so the errors of async functions. */
int fl_engine_failed(fl_engine *engine, JSValueRef *exception)
{
    if (*exception == NULL)
        *exception = engine->rejected;
    return *exception != NULL;
}

static int load_script(fl_engine *engine, const fl_wire_order *order, JSStringRef text, int check,
                       JSValueRef *exception)
{
    JSContextRef ctx = engine->current.ctx;
    JSStringRef url = fl_jstext_make(order->file);
    int ok = !check || JSCheckScriptSyntax(ctx, text, url, 1, exception);
    if (!ok) {
        fl_engine_report(engine, *exception, FL_WIRE_PROBLEM_SYNTAX);
    } else {
        JSValueRef key = fl_jstext_value(ctx, order->key);
        ok = fl_engine_call(engine, FL_OP_PREPARE, 1, &key, exception) != NULL && *exception == NULL &&
             JSEvaluateScript(ctx, text, NULL, url, 1, exception) != NULL && !fl_engine_failed(engine, exception);
    }
    JSStringRelease(url);
    return ok;
}

static int describe(fl_engine *engine, const fl_wire_order *order, JSStringRef text, flamenco_str name,
                    JSValueRef *exception)
{
    if (!load_script(engine, order, text, 1, exception))
        return 0;
    JSValueRef arg = fl_jstext_value(engine->current.ctx, name);
    fl_engine_call(engine, FL_OP_DESCRIBE, 1, &arg, exception);
    return *exception == NULL;
}

void fl_engine_begin_job(fl_engine *engine, const fl_compile_args *job, JSValueRef *exception)
{
    JSContextRef ctx = engine->current.ctx;
    int64_t millis = job->created_us / 1000;
    int64_t micros = job->created_us % 1000;
    if (micros < 0) {
        micros += 1000;
        millis -= 1;
    }
    JSValueRef args[10] = {
        fl_jstext_value(ctx, job->uuid),        fl_jstext_value(ctx, job->tag),
        fl_jstext_value(ctx, job->name),        fl_jstext_value(ctx, job->type),
        JSValueMakeNumber(ctx, job->priority),  JSValueMakeNumber(ctx, (double)millis),
        JSValueMakeNumber(ctx, (double)micros), fl_jstext_value(ctx, job->settings),
        fl_jstext_value(ctx, job->metadata),    fl_jstext_value(ctx, job->checkout),
    };
    fl_engine_call(engine, FL_OP_BEGIN, 10, args, exception);
}

static int compile(fl_engine *engine, const fl_wire_order *order, JSStringRef text, const fl_compile_args *job,
                   JSValueRef *exception)
{
    JSContextRef ctx = engine->current.ctx;
    fl_engine_begin_job(engine, job, exception);
    if (*exception != NULL || !load_script(engine, order, text, 0, exception))
        return 0;
    /* Promise reactions run whenever the outermost call returns: the result of an async function is known after the call,
     * and what settle() attaches runs at its end. */
    JSValueRef waits = fl_engine_call(engine, FL_OP_RUN, 0, NULL, exception);
    if (!fl_engine_failed(engine, exception) && waits != NULL && JSValueToBoolean(ctx, waits))
        fl_engine_call(engine, FL_OP_SETTLE, 0, NULL, exception);
    if (!fl_engine_failed(engine, exception))
        fl_engine_call(engine, FL_OP_FINISH, 0, NULL, exception);
    return !fl_engine_failed(engine, exception);
}

static void begin_order(fl_engine *engine, const fl_wire_order *order)
{
    engine->order = order;
    engine->problem_sent = 0;
    engine->problem_kind = FL_WIRE_PROBLEM_SCRIPT;
    engine->logs = 0;
    engine->tasks = 0;
    fl_watch_begin(engine->watch, order->time_limit_us, order->memory_limit);
}

void fl_engine_forget_rejection(fl_engine *engine)
{
    if (engine->rejected != NULL)
        JSValueUnprotect(engine->current.ctx, engine->rejected);
    engine->rejected = NULL;
}

static void end_order(fl_engine *engine)
{
    fl_watch_end(engine->watch);
    fl_wire_out *out = &engine->channel->out;
    fl_wire_begin(out, FL_WIRE_END);
    fl_wire_u64(out, engine->order->number);
    fl_wire_end(out);
    fl_channel_flush(engine->channel);
    engine->order = NULL;
    if (engine->module_source != NULL)
        JSStringRelease(engine->module_source);
    if (engine->module_place != NULL)
        JSStringRelease(engine->module_place);
    engine->module_source = engine->module_place = NULL;
    fl_kept_clear(&engine->kept);
    fl_engine_forget_rejection(engine);
    fl_engine_free_context(&engine->current);
}

/* What can be done while nobody waits: the next context, and the garbage of a large job. */
static void tidy(fl_engine *engine)
{
    if (engine->spare.ctx == NULL && fl_engine_make_context(engine, &engine->spare) != 0)
        _exit(FL_WIRE_EXIT_MEMORY);
    if (engine->tasks > COLLECT_TASKS || fl_watch_private_bytes(engine->watch) > COLLECT_BYTES)
        JSSynchronousGarbageCollectForDebugging(engine->spare.ctx);
}

static void get_compile_args(fl_wire_in *in, fl_compile_args *job)
{
    job->created_us = (int64_t)fl_wire_get_u64(in);
    job->priority = (int32_t)fl_wire_get_u32(in);
    job->uuid = fl_wire_get_str(in);
    job->tag = fl_wire_get_str(in);
    job->name = fl_wire_get_str(in);
    job->type = fl_wire_get_str(in);
    job->settings = fl_wire_get_str(in);
    job->metadata = fl_wire_get_str(in);
    job->checkout = fl_wire_get_str(in);
}

/* Carries out the order in a context of its own. job NULL: a description is wanted, for the type `name`. */
static int serve_alone(fl_engine *engine, const fl_wire_order *order, JSStringRef text, const fl_compile_args *job,
                       flamenco_str name)
{
    if (engine->spare.ctx == NULL && fl_engine_make_context(engine, &engine->spare) != 0)
        _exit(FL_WIRE_EXIT_MEMORY);
    engine->current = engine->spare;
    engine->spare.ctx = NULL;
    engine->spare.api = NULL;
    JSValueRef exception = NULL;
    int ok =
        job != NULL ? compile(engine, order, text, job, &exception) : describe(engine, order, text, name, &exception);
    if (!ok)
        fl_engine_report(engine, exception, FL_WIRE_PROBLEM_SCRIPT);
    return ok;
}

int fl_engine_serve(fl_engine *engine, fl_frame *frame)
{
    fl_wire_order order;
    fl_compile_args job;
    flamenco_str name = { NULL, 0 };
    int compiles = frame->type == FL_WIRE_COMPILE;
    fl_wire_get_order(&frame->in, &order);
    if (compiles)
        get_compile_args(&frame->in, &job);
    else
        name = fl_wire_get_str(&frame->in);
    if ((!compiles && frame->type != FL_WIRE_DESCRIBE) || !fl_wire_done(&frame->in))
        return -1;
    fl_cached_script *script = find_script(engine, order.script);
    begin_order(engine, &order);
    int tries = compiles && engine->frozen.ctx != NULL && script->frozen_text != NULL && !script->large;
    if (!tries || !fl_frozen_compile(engine, script, &job)) {
        int ok = serve_alone(engine, &order, script->text, compiles ? &job : NULL, name);
        if (tries && ok && engine->tasks <= FL_FROZEN_TASKS)
            fl_frozen_give_up(engine, script);
    }
    script->large = engine->tasks > FL_FROZEN_TASKS;
    end_order(engine);
    tidy(engine);
    if (compiles && script->frozen_text != NULL)
        fl_frozen_prepare(engine);
    return 0;
}
