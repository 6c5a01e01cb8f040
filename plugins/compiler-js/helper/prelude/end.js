// SPDX-License-Identifier: Apache-2.0
//
// end.js - part of the prelude (values.js): errors, require, and the function that engine.c calls.

    // ---- Errors ----

    const frame = /^(?:.*?@)?(.*):([0-9]+):([0-9]+)$/;

    const preludeUrl = "flamenco:prelude"; // errors that are made here are blamed on the caller

    function report(error) {
        let message = "an object without a text form was thrown";
        let script = "";
        let line = 0;
        let column = 0;
        try {
            message = StringOf(error);
        } catch (e) {
            // The text above says it.
        }
        try {
            const isObject = typeof error === "object" && error !== null;
            // Of a syntax error the stack tells only who loaded the file.
            if (isObject && typeof error.sourceURL === "string" && error.sourceURL !== preludeUrl) {
                script = error.sourceURL;
                line = integer(error.line);
                column = integer(error.column);
            }
            const stack = isObject && line === 0 ? split(text(error.stack), "\n") : [];
            for (let i = 0; i < stack.length && line === 0; i++) {
                const found = exec(frame, stack[i]);
                if (found !== null && found[1] !== "" && found[1] !== preludeUrl) {
                    script = found[1];
                    line = integer(found[2]);
                    column = integer(found[3]);
                }
            }
        } catch (e) {
            // An error whose properties throw has no place.
        }
        native.problem(message, script, line, column);
    }

    // ---- Modules (2.2) ----

    const modules = new MapType();
    mapSet(modules, "author", { exports: author });
    mapSet(modules, "path", { exports: path });
    mapSet(modules, "process", { exports: process });

    function makeRequire(from) {
        return function require(name) {
            const wanted = text(name);
            const inner = wanted === "author" || wanted === "path" || wanted === "process";
            const key = inner ? wanted : native.find(from, wanted);
            let module = mapGet(modules, key);
            if (module === undefined) {
                const source = native.source();
                const url = native.place();
                module = { exports: {} };
                mapSet(modules, key, module);
                let done = false;
                try {
                    if (slice(url, -5) === ".json")
                        module.exports = parse(source);
                    else
                        apply(native.compile(source, url), module.exports, [module.exports, makeRequire(key), module]);
                    done = true;
                } finally {
                    if (!done)
                        mapSet(modules, key, undefined);
                }
            }
            return module.exports;
        };
    }

    // `script` is the key that the manager gave to the script's file.
    function prepare(script) {
        globals.require = makeRequire(script);
        globals.author = author;
        globals.path = path;
        globals.process = process;
        for (const name in globals)
            globalThis[name] = globals[name];
    }

    // ---- The frozen context (engine.h) ----

    // An object of each kind that no property leads to. What an engine does not have yet is left out.
    function listHidden() {
        const makers = [
            () => function* () {}, () => async function () {}, () => async function* () {}, () => (function* () {})(),
            () => (async function* () {})(), () => [][Symbol.iterator](), () => new Map()[Symbol.iterator](),
            () => new Set()[Symbol.iterator](), () => ""[Symbol.iterator](), () => "".matchAll(/a/g),
            () => (function () { return arguments; })(), () => Iterator.from({ next() {} }), () => [].values().map(() => 0),
            () => new Intl.Segmenter().segment(""), () => new Intl.Segmenter().segment("")[Symbol.iterator](),
        ];
        const found = [];
        for (const make of makers) {
            try {
                found.push(make());
            } catch (e) {
                // Not in this engine.
            }
        }
        return found;
    }

    // Freezes everything that a script can reach without making it: what it does to that throws, for scripts are strict.
    function freezeAll() {
        const todo = [globalThis, addTask, addCommand, addDependency, ...listHidden()];
        const seen = new Set();
        while (todo.length > 0) {
            const o = todo.pop();
            if ((typeof o !== "object" && typeof o !== "function") || o === null || seen.has(o))
                continue;
            seen.add(o);
            freeze(o);
            todo.push(getPrototypeOf(o));
            for (const key of Reflect.ownKeys(o)) {
                const { value, get, set } = getOwnPropertyDescriptor(o, key);
                todo.push(value, get, set);
            }
        }
    }

    // No spread here: a script may have replaced the iterator of arrays.
    return (operation, a, b, c, d, e, f, g, h, i, j) => {
        switch (operation) {
        case 0:
            return prepare(a);
        case 1:
            return begin(a, b, c, d, e, f, g, h, i, j);
        case 2:
            return run();
        case 3:
            return settle();
        case 4:
            return finish();
        case 5:
            return describe(a);
        case 6:
            return report(a);
        case 7:
            return freezeAll();
        case 8:
            return runFrozen(a, b);
        }
        return undefined;
    };
})
