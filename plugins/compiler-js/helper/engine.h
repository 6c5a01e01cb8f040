/* SPDX-License-Identifier: Apache-2.0
 *
 * engine.h - runs scripts with JavaScriptCore: one context group for the life of the process, and contexts in it so that
 * nothing that a script does reaches the next one. Called by main.c; natives.c holds the functions that the prelude calls.
 *
 * A context of its own for each order is safe, and costs most of what a small job costs: the engine makes some thousand objects
 * and links every function anew. So most jobs are compiled in one *frozen context*: everything in it that a script can reach
 * without making it is frozen, deeply, and the script is the body of a strict function, whose variables are new in each call.
 * A script can then leave nothing behind: what it tries throws. Whatever throws there, asks the plugin for something or
 * prints, is taken back before a byte of it was sent, and runs again in a context of its own, which alone decides. Scripts that
 * could tell a frozen object from another without an error, by what they contain, never run there (frozen.c).
 */
#ifndef FL_ENGINE_H
#define FL_ENGINE_H

#include "channel.h"
#include "kept.h"

#include <JavaScriptCore/JavaScript.h>

/* Exported by the library, declared in no header of it. */
void JSGlobalContextSetUnhandledRejectionCallback(JSGlobalContextRef ctx, JSObjectRef function, JSValueRef *exception);
void JSSynchronousGarbageCollectForDebugging(JSContextRef ctx);
void JSLock(JSContextRef ctx);
void JSUnlock(JSContextRef ctx);

#define FL_ENGINE_NATIVES 14
#define FL_ENGINE_SCRIPTS 64

/* A context with the prelude in it. */
typedef struct fl_context {
    JSGlobalContextRef ctx;
    JSObjectRef api; /* protected */
} fl_context;

typedef struct fl_cached_script {
    uint64_t id; /* 0 = free */
    uint64_t used;
    JSStringRef text;
    JSStringRef frozen_text; /* the same as a function; NULL: it is not for the frozen context */
    JSObjectRef main; /* that function in the frozen context; protected; NULL: not made yet */
    int large; /* its last job had more than FL_FROZEN_TASKS */
} fl_cached_script;

typedef struct fl_engine {
    fl_channel *channel;
    fl_watch *watch;
    JSContextGroupRef group;
    JSClassRef natives[FL_ENGINE_NATIVES];
    JSClassRef rejection_class;
    JSStringRef prelude, prelude_url, platform, cwd, year_one;
    /* Lives for ever and holds on_rejection. A context keeps its callback alive: a function of its own would in turn keep
     * the context, and none would ever be freed. */
    JSGlobalContextRef base;
    JSObjectRef on_rejection;
    fl_context current; /* runs a script; ctx NULL between orders */
    fl_context spare; /* made in advance while nobody waits */
    int freezes; /* the frozen context is to be used */
    fl_context frozen; /* ctx NULL: not made yet */
    uint64_t frozen_uses;
    fl_cached_script scripts[FL_ENGINE_SCRIPTS];
    uint64_t uses;

    /* About the running order. */
    const fl_wire_order *order;
    int holds; /* it runs in the frozen context and nothing of it was sent yet, so that it can be taken back */
    int gives_up; /* it asked for what it gets in a context of its own only */
    fl_frame answer;
    int problem_sent;
    uint32_t problem_kind;
    uint32_t logs;
    uint64_t tasks;
    JSValueRef rejected; /* why a promise was rejected that nobody looks at; protected */
    JSStringRef module_source, module_place;
    fl_kept kept;
} fl_engine;

/* Starts the engine. `init` holds the three texts of FL_WIRE_INIT. Returns 0, or -1: the engine cannot run the prelude. */
int fl_engine_start(fl_engine *engine, fl_channel *channel, fl_watch *watch, int freezes, const flamenco_str init[3]);
/* Carries out one DESCRIBE or COMPILE and sends the whole answer. Returns -1 when the frame is broken. */
int fl_engine_serve(fl_engine *engine, fl_frame *frame);

/* ---- Parts of engine.c that frozen.c uses ---- */

/* Operations of the function that the prelude gives. */
#define FL_OP_PREPARE 0
#define FL_OP_BEGIN 1
#define FL_OP_RUN 2
#define FL_OP_SETTLE 3
#define FL_OP_FINISH 4
#define FL_OP_DESCRIBE 5
#define FL_OP_REPORT 6
#define FL_OP_FREEZE 7
#define FL_OP_RUN_FROZEN 8

/* Contract 2: the whole file is strict. Nothing else may stand before the script, or its lines would shift. */
#define FL_STRICT "\"use strict\";"

/* The members of FL_WIRE_COMPILE behind the order. */
typedef struct fl_compile_args {
    int64_t created_us;
    int32_t priority;
    flamenco_str uuid, tag, name, type, settings, metadata, checkout;
} fl_compile_args;

JSValueRef fl_engine_call(fl_engine *engine, int operation, size_t n, const JSValueRef *args, JSValueRef *exception);
/* FL_OP_BEGIN. */
void fl_engine_begin_job(fl_engine *engine, const fl_compile_args *job, JSValueRef *exception);
/* Tells whether the last call threw, or left a rejected promise that nobody looks at. */
int fl_engine_failed(fl_engine *engine, JSValueRef *exception);
/* Makes a context with the prelude in it. Returns 0 or -1. */
int fl_engine_make_context(fl_engine *engine, fl_context *out);
void fl_engine_free_context(fl_context *context);
void fl_engine_forget_rejection(fl_engine *engine);
/* Sends why the order failed. kind: FL_WIRE_PROBLEM_*. */
void fl_engine_report(fl_engine *engine, JSValueRef exception, uint32_t kind);

/* ---- frozen.c ---- */

/* Jobs of more tasks are compiled in a context of their own: what that costs does not matter then, and frozen objects make a
 * task dearer by a fifth. */
#define FL_FROZEN_TASKS 500

/* The script, FL_STRICT in front, as a function for the frozen context; NULL: it is not for that. */
JSStringRef fl_frozen_wrap(flamenco_str script);
/* Makes the frozen context, unless it is there or cannot be: some 10 ms, so this is done while nobody waits. */
void fl_frozen_prepare(fl_engine *engine);
/* Compiles in the frozen context, which must be there. Returns 1: the answer is on its way but for its end; 0: nothing of it was sent, it has to run
 * in a context of its own. */
int fl_frozen_compile(fl_engine *engine, fl_cached_script *script, const fl_compile_args *job);
/* The job ran again in a context of its own, and worked: the script is not for the frozen context. */
void fl_frozen_give_up(fl_engine *engine, fl_cached_script *script);
/* The script leaves the cache. */
void fl_frozen_forget(fl_engine *engine, fl_cached_script *script);

/* ---- natives.c ---- */

/* Makes the classes of the native functions. Returns 0, or -1 without memory. */
int fl_natives_start(fl_engine *engine);
/* Makes the object `native` of the prelude. */
JSObjectRef fl_natives_make(fl_engine *engine, JSContextRef ctx);

/* Makes the function that hears of rejected promises. */
JSObjectRef fl_natives_make_on_rejection(fl_engine *engine, JSContextRef ctx);

/* Waits for the answer to a question that was flushed; exits when another frame comes. */
void fl_engine_answer(fl_engine *engine, uint32_t type);

#endif
