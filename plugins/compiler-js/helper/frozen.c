/* SPDX-License-Identifier: Apache-2.0
 *
 * frozen.c - compiles jobs in the frozen context; see engine.h. Called by engine.c.
 */
#include "engine.h"

#include "jstext.h"

#include <stdlib.h>

/* The context is made anew after so many jobs: whatever the engine itself may pile up in it has an end. */
#define USES_MOST 2000

/* Words of scripts that could go on after a write to a frozen object has thrown, or that could look whether an object is frozen,
 * or run code that is not strict, or leave something in the engine itself; and of those that certainly ask the plugin for
 * something. One that hides them all the same leaves nothing behind either; it may only see that it was frozen. */
static const char *const words[] = {
    "catch",
    "finally",
    "async",
    "await",
    "Promise",
    "Reflect",
    "eval",
    "Function",
    "constructor",
    "globalThis",
    "require",
    "RegExp",
    "isFrozen",
    "isSealed",
    "isExtensible",
    "getOwnPropertyDescriptor",
    "getOwnPropertyDescriptors",
    "Atomics",
    "WeakRef",
    "print",
    "alert",
    "FinalizationRegistry",
};

static int is_of_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
}

static int has_word(flamenco_str text, const char *word)
{
    size_t len = strlen(word);
    const char *at = text.ptr;
    const char *end = text.ptr + text.len;
    while ((at = memmem(at, (size_t)(end - at), word, len)) != NULL) {
        const char *behind = at + len;
        int whole = (at == text.ptr || !is_of_word(at[-1])) && (behind == end || !is_of_word(*behind));
        while (behind < end && *behind == ' ')
            behind++;
        /* The key of an object, as in the settings of JOB_TYPE. */
        if (whole && (behind == end || *behind != ':'))
            return 1;
        at++;
    }
    return 0;
}

JSStringRef fl_frozen_wrap(flamenco_str script)
{
    static const char head[] = "(function(){";
    static const char tail[] = "\n;return typeof compileJob===\"function\"?compileJob:undefined})";
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (has_word(script, words[i]))
            return NULL;
    }
    size_t len = sizeof(head) - 1 + (size_t)script.len + sizeof(tail) - 1;
    char *whole = malloc(len + 1);
    if (whole == NULL)
        return NULL;
    memcpy(whole, head, sizeof(head) - 1);
    memcpy(whole + sizeof(head) - 1, script.ptr, (size_t)script.len);
    memcpy(whole + sizeof(head) - 1 + script.len, tail, sizeof(tail));
    flamenco_str all = { whole, len };
    JSStringRef text = fl_jstext_make(all);
    free(whole);
    return text;
}

static void forget_main(fl_engine *engine, fl_cached_script *script)
{
    if (script->main != NULL)
        JSValueUnprotect(engine->frozen.ctx, script->main);
    script->main = NULL;
}

void fl_frozen_give_up(fl_engine *engine, fl_cached_script *script)
{
    forget_main(engine, script);
    if (script->frozen_text != NULL)
        JSStringRelease(script->frozen_text);
    script->frozen_text = NULL;
}

void fl_frozen_forget(fl_engine *engine, fl_cached_script *script)
{
    fl_frozen_give_up(engine, script);
}

static void drop_context(fl_engine *engine)
{
    for (size_t i = 0; i < FL_ENGINE_SCRIPTS; i++)
        forget_main(engine, &engine->scripts[i]);
    fl_engine_free_context(&engine->frozen);
}

void fl_frozen_prepare(fl_engine *engine)
{
    if (!engine->freezes || (engine->frozen.ctx != NULL && engine->frozen_uses < USES_MOST))
        return;
    drop_context(engine);
    engine->frozen_uses = 0;
    if (fl_engine_make_context(engine, &engine->frozen) != 0)
        return;
    engine->current = engine->frozen;
    JSValueRef exception = NULL;
    JSValueRef key = fl_jstext_value(engine->frozen.ctx, flamenco_text(""));
    fl_engine_call(engine, FL_OP_PREPARE, 1, &key, &exception);
    if (exception == NULL)
        fl_engine_call(engine, FL_OP_FREEZE, 0, NULL, &exception);
    engine->current = (fl_context){ NULL, NULL };
    if (exception == NULL)
        return;
    /* This engine has something that cannot be frozen: without it then. */
    fl_engine_free_context(&engine->frozen);
    engine->freezes = 0;
}

/* Returns 0, or -1: the script is no program, though it may be the inside of a function. */
static int find_main(fl_engine *engine, fl_cached_script *script)
{
    JSContextRef ctx = engine->frozen.ctx;
    if (script->main != NULL)
        return 0;
    JSValueRef made = JSCheckScriptSyntax(ctx, script->text, NULL, 1, NULL)
                          ? JSEvaluateScript(ctx, script->frozen_text, NULL, NULL, 1, NULL)
                          : NULL;
    JSObjectRef function = made != NULL && JSValueIsObject(ctx, made) ? JSValueToObject(ctx, made, NULL) : NULL;
    if (function == NULL)
        return -1;
    JSValueProtect(ctx, function);
    script->main = function;
    return 0;
}

/* Returns 1 when all of it worked. */
static int run(fl_engine *engine, const fl_cached_script *script, const fl_compile_args *job, JSValueRef *exception)
{
    fl_engine_begin_job(engine, job, exception);
    if (*exception != NULL)
        return 0;
    JSValueRef args[2] = { script->main, JSValueMakeNumber(engine->current.ctx, FL_FROZEN_TASKS) };
    JSValueRef waits = fl_engine_call(engine, FL_OP_RUN_FROZEN, 2, args, exception);
    if (fl_engine_failed(engine, exception) || waits == NULL || JSValueToBoolean(engine->current.ctx, waits))
        return 0;
    fl_engine_call(engine, FL_OP_FINISH, 0, NULL, exception);
    return !fl_engine_failed(engine, exception) && !engine->gives_up;
}

int fl_frozen_compile(fl_engine *engine, fl_cached_script *script, const fl_compile_args *job)
{
    engine->frozen_uses++;
    if (find_main(engine, script) != 0)
        return 0;
    size_t before = engine->channel->out.len;
    JSValueRef exception = NULL;
    engine->current = engine->frozen;
    engine->holds = 1;
    engine->gives_up = 0;
    int ok = run(engine, script, job, &exception);
    if (!ok && engine->holds) {
        engine->channel->out.len = before;
        engine->channel->out.failed = 0;
        engine->tasks = 0;
    } else if (!ok) {
        /* A large job, of which a part is with the plugin already. */
        fl_engine_report(engine, exception, FL_WIRE_PROBLEM_SCRIPT);
        ok = 1;
    }
    engine->holds = 0;
    fl_engine_forget_rejection(engine);
    engine->current = (fl_context){ NULL, NULL };
    return ok;
}
