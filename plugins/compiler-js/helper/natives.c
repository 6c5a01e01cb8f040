/* SPDX-License-Identifier: Apache-2.0
 *
 * natives.c - the functions that the prelude calls: what goes out to the plugin, and what JavaScript would be slow at. Each is
 * an object of a class of its own whose private data is the engine, since callbacks carry no context.
 */
#include "engine.h"
#include "jstext.h"
#include "ranges.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/random.h>

/* Frames are collected into writes of this size. */
#define FLUSH_BYTES (64u << 10)
/* So much of an answer is held back as long as it could be taken back. */
#define HELD_BYTES (512u << 10)
/* A script that logs in a loop does not fill the manager's log. */
#define LOGS_MAX 1000
#define LOG_BYTES_MAX (8u << 10)
#define MESSAGE_BYTES_MAX (8u << 10)

typedef JSObjectCallAsFunctionCallback native_fn;

static fl_engine *engine_of(JSObjectRef function)
{
    return JSObjectGetPrivate(function);
}

static JSValueRef throw_text(JSContextRef ctx, JSValueRef *exception, const char *text)
{
    JSValueRef message = fl_jstext_value(ctx, flamenco_text(text));
    *exception = JSObjectMakeError(ctx, 1, &message, NULL);
    return JSValueMakeUndefined(ctx);
}

/* Tells whether the call comes from the context that the running order has, with as many arguments as it must have. */
static int accept_call(fl_engine *engine, JSContextRef ctx, size_t argc, size_t wanted, JSValueRef *exception)
{
    if (engine->order != NULL && JSContextGetGlobalContext(ctx) == engine->current.ctx && argc == wanted)
        return 1;
    throw_text(ctx, exception, "this function belongs to another compilation");
    return 0;
}

/* The same for what the plugin hears of at once: in the frozen context that is not to be had. */
static int accept_talk(fl_engine *engine, JSContextRef ctx, size_t argc, size_t wanted, JSValueRef *exception)
{
    if (!accept_call(engine, ctx, argc, wanted, exception))
        return 0;
    if (!engine->holds)
        return 1;
    engine->gives_up = 1;
    throw_text(ctx, exception, "not in the frozen context");
    return 0;
}

static int64_t to_integer(JSContextRef ctx, JSValueRef value)
{
    double d = JSValueToNumber(ctx, value, NULL);
    if (!isfinite(d))
        return 0;
    if (d > 9e15)
        return (int64_t)9e15;
    if (d < -9e15)
        return (int64_t)-9e15;
    return (int64_t)d;
}

static int put(fl_engine *engine, JSContextRef ctx, JSValueRef value, JSValueRef *exception)
{
    return fl_jstext_put(&engine->channel->out, ctx, value, FL_JSTEXT_PLAIN, exception);
}

static int put_json(fl_engine *engine, JSContextRef ctx, JSValueRef value, JSValueRef *exception)
{
    return fl_jstext_put(&engine->channel->out, ctx, value, FL_JSTEXT_JSON, exception);
}

/* Closes the frame, or takes it back and throws when it could not be made. */
static JSValueRef finish_frame(fl_engine *engine, JSContextRef ctx, int ok, const char *what, JSValueRef *exception)
{
    fl_wire_out *out = &engine->channel->out;
    if (ok)
        fl_wire_end(out);
    if (!ok || out->failed) {
        int large = out->failed;
        fl_wire_drop(out);
        if (large && *exception == NULL)
            throw_text(ctx, exception, what);
    } else if (out->len >= (engine->holds ? HELD_BYTES : FLUSH_BYTES)) {
        engine->holds = 0;
        fl_channel_flush(engine->channel);
    }
    return JSValueMakeUndefined(ctx);
}

/* job(uuid, name, type, priority, settings, metadata, tag, checkout, tasks, dependencies, steps) */
static JSValueRef native_job(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                             const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    fl_engine *engine = engine_of(function);
    if (!accept_call(engine, ctx, argc, 11, exception))
        return JSValueMakeUndefined(ctx);
    fl_wire_out *out = &engine->channel->out;
    fl_wire_begin(out, FL_WIRE_JOB);
    int ok = put(engine, ctx, argv[0], exception);
    fl_wire_u32(out, (uint32_t)to_integer(ctx, argv[3]));
    ok = ok && put(engine, ctx, argv[1], exception) && put(engine, ctx, argv[2], exception) &&
         put_json(engine, ctx, argv[4], exception) && put_json(engine, ctx, argv[5], exception) &&
         put(engine, ctx, argv[6], exception) && put(engine, ctx, argv[7], exception);
    for (size_t i = 8; i < 11; i++)
        fl_wire_u64(out, (uint64_t)to_integer(ctx, argv[i]));
    return finish_frame(engine, ctx, ok, "the job's settings are too large", exception);
}

/* The commands' text comes in pieces: texts, and numbers of texts that were kept. */
#define COMMAND_PIECES 3

static int put_commands(fl_engine *engine, JSContextRef ctx, const JSValueRef pieces[], JSValueRef *exception)
{
    fl_wire_out *out = &engine->channel->out;
    size_t begin = fl_jstext_begin(out);
    for (size_t i = 0; i < COMMAND_PIECES; i++) {
        int ok = JSValueIsNumber(ctx, pieces[i]) ? fl_kept_write(&engine->kept, to_integer(ctx, pieces[i]), out)
                                                 : fl_jstext_add(out, ctx, pieces[i], FL_JSTEXT_JSON, exception);
        if (!ok)
            return 0;
    }
    return fl_jstext_end(out, begin);
}

static int put_task(fl_engine *engine, JSContextRef ctx, const JSValueRef argv[], JSValueRef *exception)
{
    fl_wire_out *out = &engine->channel->out;
    fl_wire_begin(out, FL_WIRE_TASK);
    int ok = put(engine, ctx, argv[0], exception);
    fl_wire_u32(out, (uint32_t)to_integer(ctx, argv[3]));
    fl_wire_u64(out, (uint64_t)to_integer(ctx, argv[4]));
    ok = ok && put(engine, ctx, argv[1], exception) && put(engine, ctx, argv[2], exception) &&
         put_commands(engine, ctx, argv + 5, exception);
    uint32_t n = (uint32_t)to_integer(ctx, argv[5 + COMMAND_PIECES]);
    fl_wire_u32(out, n);
    if (ok && n > 0) {
        JSObjectRef array = JSValueToObject(ctx, argv[6 + COMMAND_PIECES], exception);
        const void *deps = array != NULL ? JSObjectGetTypedArrayBytesPtr(ctx, array, exception) : NULL;
        ok = deps != NULL && JSObjectGetTypedArrayByteLength(ctx, array, exception) / 4 >= n;
        if (ok)
            fl_wire_bytes(out, deps, (size_t)n * 4);
    }
    return ok;
}

/* task(uuid, name, type, priority, steps, commands × 3, n, Int32Array of dependencies) */
static JSValueRef native_task(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                              const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    fl_engine *engine = engine_of(function);
    /* The engine lets go of its lock for a callback. Without taking it here, each of the calls above would, for itself:
     * they made up two thirds of the cost of a task. The same holds below, where scripts may call once for each task. */
    JSLock(ctx);
    JSValueRef result = JSValueMakeUndefined(ctx);
    if (accept_call(engine, ctx, argc, 7 + COMMAND_PIECES, exception)) {
        engine->tasks++;
        int ok = put_task(engine, ctx, argv, exception);
        result = finish_frame(engine, ctx, ok, "a task is too large to be stored", exception);
    }
    JSUnlock(ctx);
    return result;
}

/* keep(JSON text) -> its number, or the text itself when there is no room for it */
static JSValueRef native_keep(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                              const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    fl_engine *engine = engine_of(function);
    JSValueRef result = JSValueMakeUndefined(ctx);
    JSLock(ctx);
    if (accept_call(engine, ctx, argc, 1, exception)) {
        size_t begin = engine->kept.bytes.len;
        if (fl_jstext_add(&engine->kept.bytes, ctx, argv[0], FL_JSTEXT_JSON, exception)) {
            int64_t number = fl_kept_add(&engine->kept, begin);
            result = number < 0 ? argv[0] : JSValueMakeNumber(ctx, (double)number);
        }
    }
    JSUnlock(ctx);
    return result;
}

/* kept(number) -> the text, with the escapes that it goes out with */
static JSValueRef native_kept(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                              const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    fl_engine *engine = engine_of(function);
    if (!accept_call(engine, ctx, argc, 1, exception))
        return JSValueMakeUndefined(ctx);
    fl_wire_out whole = { NULL, 0, 0, 0, 0 };
    JSValueRef result;
    if (fl_kept_write(&engine->kept, to_integer(ctx, argv[0]), &whole) && !whole.failed)
        result = fl_jstext_value(ctx, (flamenco_str){ (const char *)whole.data, whole.len });
    else
        result = throw_text(ctx, exception, "the parameters of a command are lost");
    fl_wire_free(&whole);
    return result;
}

static JSValueRef native_type(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                              const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    fl_engine *engine = engine_of(function);
    if (!accept_call(engine, ctx, argc, 1, exception))
        return JSValueMakeUndefined(ctx);
    fl_wire_begin(&engine->channel->out, FL_WIRE_TYPE);
    int ok = put_json(engine, ctx, argv[0], exception);
    return finish_frame(engine, ctx, ok, "JOB_TYPE is too large", exception);
}

/* The text of a value, cut to `max` bytes; NULL when it has none. Owned by the caller. */
static char *copy_text(JSContextRef ctx, JSValueRef value, size_t max, flamenco_str *out)
{
    fl_wire_out text = { NULL, 0, 0, 0, 0 };
    JSValueRef ignored = NULL;
    if (!fl_jstext_put(&text, ctx, value, FL_JSTEXT_PLAIN, &ignored)) {
        fl_wire_free(&text);
        return NULL;
    }
    size_t len = text.len - sizeof(uint32_t);
    const uint8_t *p = text.data + sizeof(uint32_t);
    if (len > max) {
        len = max;
        while (len > 0 && (p[len] & 0xC0) == 0x80)
            len--;
    }
    out->ptr = (const char *)p;
    out->len = len;
    return (char *)text.data;
}

/* log(level, text) */
static JSValueRef native_log(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                             const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    fl_engine *engine = engine_of(function);
    if (!accept_talk(engine, ctx, argc, 2, exception) || engine->logs > LOGS_MAX)
        return JSValueMakeUndefined(ctx);
    flamenco_str text = flamenco_text("this script writes too much; its further lines are left out");
    char *copy = NULL;
    if (engine->logs < LOGS_MAX) {
        copy = copy_text(ctx, argv[1], LOG_BYTES_MAX, &text);
        if (copy == NULL)
            return JSValueMakeUndefined(ctx);
    }
    engine->logs++;
    fl_wire_out *out = &engine->channel->out;
    fl_wire_begin(out, FL_WIRE_LOG);
    fl_wire_u32(out, to_integer(ctx, argv[0]) != 0 ? FLAMENCO_LOG_WARN : FLAMENCO_LOG_INFO);
    fl_wire_str(out, text);
    fl_wire_end(out);
    free(copy);
    /* At once: the script may be about to reach a limit that ends the process. */
    fl_channel_flush(engine->channel);
    return JSValueMakeUndefined(ctx);
}

/* problem(message, script, line, column) */
static JSValueRef native_problem(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                                 const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    fl_engine *engine = engine_of(function);
    if (!accept_call(engine, ctx, argc, 4, exception) || engine->problem_sent)
        return JSValueMakeUndefined(ctx);
    flamenco_str message = { NULL, 0 };
    flamenco_str script = { NULL, 0 };
    char *message_copy = copy_text(ctx, argv[0], MESSAGE_BYTES_MAX, &message);
    char *script_copy = copy_text(ctx, argv[1], MESSAGE_BYTES_MAX, &script);
    int64_t line = to_integer(ctx, argv[2]);
    int64_t column = to_integer(ctx, argv[3]);
    int own = script.len == 0 || flamenco_str_equal(script, engine->order->file);
    column -= own && line == 1 ? 13 : 0; /* the directive in front of the script */
    line -= !own && line > 2 ? 2 : 0; /* the engine's two lines in front of a function body: a module */
    fl_wire_out *out = &engine->channel->out;
    fl_wire_begin(out, FL_WIRE_PROBLEM);
    fl_wire_u32(out, engine->problem_kind);
    fl_wire_u32(out, line > 0 && line < INT32_MAX ? (uint32_t)line : 0);
    fl_wire_u32(out, column > 0 && column < INT32_MAX ? (uint32_t)column : 0);
    fl_wire_str(out, script);
    fl_wire_str(out, message);
    fl_wire_end(out);
    free(message_copy);
    free(script_copy);
    engine->problem_sent = 1;
    return JSValueMakeUndefined(ctx);
}

static JSValueRef native_uuid(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                              const JSValueRef argv[], JSValueRef *exception)
{
    (void)function;
    (void)self;
    (void)argc;
    (void)argv;
    uint8_t b[16];
    if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
        return throw_text(ctx, exception, "no random numbers");
    b[6] = (uint8_t)((b[6] & 0x0F) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3F) | 0x80);
    static const char hex[] = "0123456789abcdef";
    char text[37];
    size_t n = 0;
    for (size_t i = 0; i < sizeof(b); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[n++] = '-';
        text[n++] = hex[b[i] >> 4];
        text[n++] = hex[b[i] & 15];
    }
    text[n] = '\0';
    return fl_jstext_value(ctx, flamenco_text(text));
}

/* chunk(range, size) -> the chunks, separated by newlines */
static JSValueRef native_chunk(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                               const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    if (!accept_call(engine_of(function), ctx, argc, 2, exception))
        return JSValueMakeUndefined(ctx);
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_ranges ranges = { NULL, 0, 0 };
    flamenco_str text = { NULL, 0 };
    char *chunks = NULL;
    size_t len = 0;
    JSValueRef result = JSValueMakeUndefined(ctx);
    char *copy = copy_text(ctx, argv[0], FL_WIRE_PAYLOAD_MAX, &text);
    flamenco_str trimmed = fl_ranges_trim(text);
    int64_t size = to_integer(ctx, argv[1]);
    int32_t rc;
    if (trimmed.len == 0)
        rc = flamenco_fail(&err, FLAMENCO_E_INVALID, "the frame range is empty");
    else if (size < 1)
        rc = flamenco_fail(&err, FLAMENCO_E_INVALID, "the chunk size must be 1 or more, not %lld", (long long)size);
    else
        rc = fl_ranges_parse(trimmed, &ranges, &err);
    if (rc == FLAMENCO_OK && ranges.count == 0)
        rc = flamenco_fail(&err, FLAMENCO_E_INVALID, "the frame range '%.*s' has no frames",
                           (int)(trimmed.len < 150 ? trimmed.len : 150), trimmed.ptr);
    if (rc == FLAMENCO_OK)
        rc = fl_ranges_chunks(&ranges, (uint64_t)size, &chunks, &len, &err);
    if (rc == FLAMENCO_OK) {
        flamenco_str all = { chunks, len };
        result = fl_jstext_value(ctx, all);
    } else {
        throw_text(ctx, exception, err.text);
    }
    free(chunks);
    free(copy);
    fl_ranges_free(&ranges);
    return result;
}

static JSValueRef native_count(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                               const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    JSValueRef result = NULL;
    flamenco_error err = FLAMENCO_ERROR_INIT;
    fl_ranges ranges = { NULL, 0, 0 };
    flamenco_str text = { NULL, 0 };
    char *copy = NULL;
    JSLock(ctx);
    if (!accept_call(engine_of(function), ctx, argc, 1, exception))
        goto cleanup;
    copy = copy_text(ctx, argv[0], FL_WIRE_PAYLOAD_MAX, &text);
    if (fl_ranges_parse(text, &ranges, &err) == FLAMENCO_OK)
        result = JSValueMakeNumber(ctx, (double)fl_ranges_count(&ranges));
    else
        throw_text(ctx, exception, err.text);
cleanup:
    free(copy);
    fl_ranges_free(&ranges);
    if (result == NULL)
        result = JSValueMakeUndefined(ctx);
    JSUnlock(ctx);
    return result;
}

static void keep_text(JSStringRef *slot, flamenco_str text)
{
    if (*slot != NULL)
        JSStringRelease(*slot);
    *slot = fl_jstext_make(text);
}

/* find(key of the requiring file, name) -> the module's key; its text and place then come from source() and place() */
static JSValueRef native_find(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                              const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    fl_engine *engine = engine_of(function);
    if (!accept_talk(engine, ctx, argc, 2, exception))
        return JSValueMakeUndefined(ctx);
    fl_wire_out *out = &engine->channel->out;
    fl_wire_begin(out, FL_WIRE_NEED_MODULE);
    if (!put(engine, ctx, argv[0], exception) || !put(engine, ctx, argv[1], exception))
        return finish_frame(engine, ctx, 0, "the name of the module is too long", exception);
    fl_wire_end(out);
    fl_engine_answer(engine, FL_WIRE_MODULE);
    fl_wire_in *in = &engine->answer.in;
    uint32_t found = fl_wire_get_u32(in);
    flamenco_str key = fl_wire_get_str(in);
    flamenco_str place = fl_wire_get_str(in);
    flamenco_str text = fl_wire_get_str(in);
    if (!found) {
        JSValueRef message = fl_jstext_value(ctx, text);
        *exception = JSObjectMakeError(ctx, 1, &message, NULL);
        return JSValueMakeUndefined(ctx);
    }
    keep_text(&engine->module_source, text);
    keep_text(&engine->module_place, place);
    return fl_jstext_value(ctx, key);
}

static JSValueRef give_kept(JSContextRef ctx, JSStringRef text)
{
    return text != NULL ? JSValueMakeString(ctx, text) : JSValueMakeUndefined(ctx);
}

static JSValueRef native_source(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                                const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    (void)argc;
    (void)argv;
    (void)exception;
    return give_kept(ctx, engine_of(function)->module_source);
}

static JSValueRef native_place(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                               const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    (void)argc;
    (void)argv;
    (void)exception;
    return give_kept(ctx, engine_of(function)->module_place);
}

/* compile(text, url) -> the module as a function (exports, require, module), not strict */
static JSValueRef native_compile(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                                 const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    if (!accept_call(engine_of(function), ctx, argc, 2, exception))
        return JSValueMakeUndefined(ctx);
    JSStringRef text = JSValueToStringCopy(ctx, argv[0], exception);
    JSStringRef url = text != NULL ? JSValueToStringCopy(ctx, argv[1], exception) : NULL;
    JSObjectRef made = NULL;
    if (url != NULL) {
        JSStringRef names[3] = { fl_jstext_make(flamenco_text("exports")), fl_jstext_make(flamenco_text("require")),
                                 fl_jstext_make(flamenco_text("module")) };
        made = JSObjectMakeFunction(ctx, NULL, 3, names, text, url, 1, exception);
        for (size_t i = 0; i < 3; i++)
            JSStringRelease(names[i]);
        JSStringRelease(url);
    }
    if (text != NULL)
        JSStringRelease(text);
    return made != NULL ? made : JSValueMakeUndefined(ctx);
}

/* (promise, reason), called by the engine in its base context when promise reactions have run. */
static JSValueRef native_rejected(JSContextRef ctx, JSObjectRef function, JSObjectRef self, size_t argc,
                                  const JSValueRef argv[], JSValueRef *exception)
{
    (void)self;
    (void)exception;
    fl_engine *engine = engine_of(function);
    if (argc == 2 && engine->order != NULL && engine->rejected == NULL) {
        JSValueProtect(ctx, argv[1]);
        engine->rejected = argv[1];
    }
    return JSValueMakeUndefined(ctx);
}

static const struct {
    const char *name;
    native_fn call;
} functions[FL_ENGINE_NATIVES] = {
    { "job", native_job },       { "task", native_task },       { "type", native_type },
    { "log", native_log },       { "problem", native_problem }, { "uuid", native_uuid },
    { "chunk", native_chunk },   { "count", native_count },     { "find", native_find },
    { "source", native_source }, { "place", native_place },     { "compile", native_compile },
    { "keep", native_keep },     { "kept", native_kept },
};

int fl_natives_start(fl_engine *engine)
{
    JSClassDefinition rejected = kJSClassDefinitionEmpty;
    rejected.className = "rejected";
    rejected.callAsFunction = native_rejected;
    engine->rejection_class = JSClassCreate(&rejected);
    if (engine->rejection_class == NULL)
        return -1;
    for (size_t i = 0; i < FL_ENGINE_NATIVES; i++) {
        JSClassDefinition definition = kJSClassDefinitionEmpty;
        definition.className = functions[i].name;
        definition.callAsFunction = functions[i].call;
        engine->natives[i] = JSClassCreate(&definition);
        if (engine->natives[i] == NULL)
            return -1;
    }
    return 0;
}

JSObjectRef fl_natives_make(fl_engine *engine, JSContextRef ctx)
{
    JSObjectRef all = JSObjectMake(ctx, NULL, NULL);
    for (size_t i = 0; i < FL_ENGINE_NATIVES; i++) {
        JSStringRef name = fl_jstext_make(flamenco_text(functions[i].name));
        JSObjectSetProperty(ctx, all, name, JSObjectMake(ctx, engine->natives[i], engine), kJSPropertyAttributeNone,
                            NULL);
        JSStringRelease(name);
    }
    return all;
}

JSObjectRef fl_natives_make_on_rejection(fl_engine *engine, JSContextRef ctx)
{
    return JSObjectMake(ctx, engine->rejection_class, engine);
}
