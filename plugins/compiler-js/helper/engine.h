/* SPDX-License-Identifier: Apache-2.0
 *
 * engine.h - runs scripts with JavaScriptCore: one context group for the life of the process, one fresh context for each
 * order, so that nothing that a script does to its globals reaches the next one. Called by main.c; natives.c holds the
 * functions that the prelude calls.
 */
#ifndef FL_ENGINE_H
#define FL_ENGINE_H

#include "channel.h"

#include <JavaScriptCore/JavaScript.h>

/* Exported by the library, declared in no header of it. */
void JSGlobalContextSetUnhandledRejectionCallback(JSGlobalContextRef ctx, JSObjectRef function, JSValueRef *exception);
void JSSynchronousGarbageCollectForDebugging(JSContextRef ctx);
void JSLock(JSContextRef ctx);
void JSUnlock(JSContextRef ctx);

#define FL_ENGINE_NATIVES 12
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
    fl_cached_script scripts[FL_ENGINE_SCRIPTS];
    uint64_t uses;

    /* About the running order. */
    const fl_wire_order *order;
    fl_frame answer;
    int problem_sent;
    uint32_t problem_kind;
    uint32_t logs;
    uint64_t tasks;
    JSValueRef rejected; /* why a promise was rejected that nobody looks at; protected */
    JSStringRef module_source, module_place;
} fl_engine;

/* Starts the engine. `init` holds the three texts of FL_WIRE_INIT. Returns 0, or -1: the engine cannot run the prelude. */
int fl_engine_start(fl_engine *engine, fl_channel *channel, fl_watch *watch, const flamenco_str init[3]);
/* Carries out one DESCRIBE or COMPILE and sends the whole answer. Returns -1 when the frame is broken. */
int fl_engine_serve(fl_engine *engine, fl_frame *frame);

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
