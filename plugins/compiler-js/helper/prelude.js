// SPDX-License-Identifier: Apache-2.0
//
// prelude.js - what a job type's script finds around it: the global functions, the modules author, path and process, and
// the job object (contract: job-compiler 2 to 7 and 11). Evaluated by engine.c in every fresh context, before the script.
// Its value is a function that gets the native functions and gives the function that engine.c calls with an operation.
//
// Scripts may overwrite every global and every prototype. Therefore all that is needed after the script has begun is taken
// from the fresh context first, and lists are walked by index.
//
// Tasks and commands are Proxies: a write converts as section 2.3 asks for, an unknown name throws. What stands behind
// them stays plain: `addTask` keeps a copy, and a command's parameters are kept as JSON text until a script looks at them.
(function (native, platform, workingDirectory, yearOneStamp) {
    "use strict";

    const apply = Reflect.apply;
    const ArrayFrom = Array.from;
    const ErrorType = Error;
    const Int32 = Int32Array;
    const PromiseType = Promise;
    const ProxyType = Proxy;
    const ReferenceErrorType = ReferenceError;
    const TypeErrorType = TypeError;
    const DateType = Date;
    const MapType = Map;
    const WeakMapType = WeakMap;
    const NumberOf = Number;
    const StringOf = String;
    const objectPrototype = Object.prototype;
    const { create, defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf, keys } = Object;
    const { isArray } = Array;
    const { isFinite } = Number;
    const { isView } = ArrayBuffer;
    const { trunc } = Math;
    const { parse, stringify } = JSON;

    const method = (fn) => (self, ...args) => apply(fn, self, args);
    const getterOf = (proto, name) => method(getOwnPropertyDescriptor(proto, name).get);
    const split = method(String.prototype.split);
    const slice = method(String.prototype.slice);
    const replaceAll = method(String.prototype.replaceAll);
    const lastIndexOf = method(String.prototype.lastIndexOf);
    const charCodeAt = method(String.prototype.charCodeAt);
    const padStart = method(String.prototype.padStart);
    const join = method(Array.prototype.join);
    const sort = method(Array.prototype.sort);
    const exec = method(RegExp.prototype.exec);
    const then = method(Promise.prototype.then);
    const mapGet = method(Map.prototype.get);
    const mapSet = method(Map.prototype.set);
    const mapForEach = method(Map.prototype.forEach);
    const mapSize = getterOf(Map.prototype, "size");
    const setForEach = method(Set.prototype.forEach);
    const setSize = getterOf(Set.prototype, "size");
    const weakGet = method(WeakMap.prototype.get);
    const weakSet = method(WeakMap.prototype.set);
    const numberValue = method(Number.prototype.valueOf);
    const booleanValue = method(Boolean.prototype.valueOf);
    const stringValue = method(String.prototype.valueOf);
    const symbolDescription = getterOf(Symbol.prototype, "description");
    const typedArrayName = getterOf(getPrototypeOf(Int32Array.prototype), Symbol.toStringTag);
    const date = {};
    for (const part of ["Time", "FullYear", "Month", "Date", "Hours", "Minutes", "Seconds", "TimezoneOffset"])
        date[part] = method(Date.prototype["get" + part]);

    const succeeds = (fn, value) => {
        try {
            fn(value);
            return true;
        } catch (e) {
            return false;
        }
    };

    // ---- Conversions at the border (2.3) ----

    function text(v) {
        if (typeof v === "string")
            return v;
        return v === undefined || v === null ? "" : StringOf(v);
    }

    function integer(v) {
        if (v === undefined)
            return 0;
        const n = trunc(typeof v === "number" ? v : NumberOf(v));
        if (!isFinite(n))
            return 0;
        return n > 2147483647 ? 2147483647 : n < -2147483648 ? -2147483648 : n + 0;
    }

    const what = (v) => (v === null ? "null" : isArray(v) ? "an array" : typeof v === "object" ? "an object"
        : typeof v === "undefined" ? "undefined" : "a " + typeof v);

    // Where clean() is, for its error texts: one key for each level.
    const trail = [];
    const depthLimit = 200;

    function unstorable(depth, problem) {
        let place = "";
        for (let i = 0; i < depth; i++)
            place += typeof trail[i] === "number" ? `[${trail[i]}]` : (place ? "." : "") + trail[i];
        throw new TypeErrorType((place ? `value of "${place}": ` : "value: ") + problem);
    }

    // The settings object of the job, while values share it instead of copying it (6.3), else null; and whether one did.
    let shared = null;
    let sharing = false;

    function cleanList(list, depth) {
        const out = [];
        for (let i = 0; i < list.length; i++) {
            trail[depth] = i;
            out[i] = clean(list[i], depth + 1);
        }
        return out;
    }

    function cleanMap(map, depth) {
        const out = {};
        const names = keys(map);
        for (let i = 0; i < names.length; i++) {
            const name = names[i];
            trail[depth] = name;
            const value = clean(map[name], depth + 1);
            if (name === "__proto__")
                defineProperty(out, name, { value, writable: true, enumerable: true, configurable: true });
            else
                out[name] = value;
        }
        return out;
    }

    // Copies a free value into one that JSON.stringify writes as the contract wants it. The depth limit ends cycles, too.
    function clean(v, depth) {
        switch (typeof v) {
        case "string":
        case "boolean":
            return v;
        case "number":
            if (!isFinite(v))
                unstorable(depth, `${v} cannot be stored`);
            return v;
        case "undefined":
            return null;
        case "symbol":
            return text(symbolDescription(v));
        case "bigint":
            return NumberOf(v);
        case "function":
            unstorable(depth, "a function cannot be stored");
        }
        if (v === null)
            return null;
        if (depth > depthLimit)
            unstorable(3, "nested too deeply, or contains itself");
        if (isArray(v))
            return cleanList(v, depth);
        if (v === shared) {
            sharing = true;
            return v;
        }
        const proto = getPrototypeOf(v);
        if (proto === objectPrototype || proto === null)
            return cleanMap(v, depth);
        return cleanSpecial(v, depth);
    }

    function cleanSpecial(v, depth) {
        if (v === created)
            return v.toString();
        if (succeeds(date.Time, v))
            return rfc3339(v, 0);
        if (succeeds(mapSize, v)) {
            const pairs = [];
            mapForEach(v, (value, key) => { pairs[pairs.length] = [key, value]; });
            return cleanList(pairs, depth);
        }
        if (succeeds(setSize, v)) {
            const items = [];
            setForEach(v, (value) => { items[items.length] = value; });
            return cleanList(items, depth);
        }
        if (isView(v) && typedArrayName(v) !== undefined)
            return typedArrayName(v) === "Uint8Array" ? base64(v) : cleanList(v, depth);
        if (succeeds(numberValue, v))
            return clean(numberValue(v), depth);
        if (succeeds(booleanValue, v))
            return booleanValue(v);
        if (succeeds(stringValue, v))
            return {};
        return cleanMap(v, depth);
    }

    function base64(bytes) {
        const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let out = "";
        for (let i = 0; i < bytes.length; i += 3) {
            const left = bytes.length - i;
            const n = (bytes[i] << 16) | ((left > 1 ? bytes[i + 1] : 0) << 8) | (left > 2 ? bytes[i + 2] : 0);
            out += alphabet[n >> 18] + alphabet[(n >> 12) & 63] + (left > 1 ? alphabet[(n >> 6) & 63] : "=")
                + (left > 2 ? alphabet[n & 63] : "=");
        }
        return out;
    }

    // A map of free values: the job's settings, a command's parameters.
    function freeMap(v, name) {
        if (typeof v !== "object")
            throw new TypeErrorType(`${name} must be an object, not ${what(v)}`);
        return cleanMap(v, 0);
    }

    // ---- Times ----

    const two = (n) => padStart(StringOf(n), 2, "0");

    function rfc3339(d, micros) {
        const time = date.Time(d);
        if (time !== time)
            throw new TypeErrorType("an invalid Date cannot be stored");
        let fraction = padStart(StringOf((((time % 1000) + 1000) % 1000) * 1000 + micros), 6, "0");
        while (fraction !== "" && fraction[fraction.length - 1] === "0")
            fraction = slice(fraction, 0, -1);
        const offset = -date.TimezoneOffset(d);
        const ahead = offset < 0 ? -offset : offset;
        return padStart(StringOf(date.FullYear(d)), 4, "0") + "-" + two(date.Month(d) + 1) + "-" + two(date.Date(d)) + "T"
            + two(date.Hours(d)) + ":" + two(date.Minutes(d)) + ":" + two(date.Seconds(d)) + (fraction ? "." + fraction : "")
            + (offset === 0 ? "Z" : (offset < 0 ? "-" : "+") + two(trunc(ahead / 60)) + ":" + two(ahead % 60));
    }

    let created = null; // job.created: opaque on purpose, since scripts may only format it
    let createdDate = null;

    function makeCreated(ms, micros) {
        createdDate = new DateType(ms);
        const written = rfc3339(createdDate, micros);
        const proto = create(null);
        for (const name of ["toString", "toJSON", "valueOf"])
            defineProperty(proto, name, { value: () => written });
        created = freeze(create(proto));
    }

    function formatTimestampLocal(t) {
        let d;
        if (t === undefined || t === null)
            return yearOneStamp; // the zero time of the reference, in local mean time, which the engine knows differently
        if (t === created)
            d = createdDate;
        else if (typeof t === "string")
            d = new DateType(t);
        else if (typeof t !== "object")
            throw new TypeErrorType(`formatTimestampLocal: a time is wanted, not ${what(t)}`);
        else if (succeeds(date.Time, t))
            d = t;
        else
            return yearOneStamp;
        if (date.Time(d) !== date.Time(d))
            throw new TypeErrorType("formatTimestampLocal: this is no valid time");
        return padStart(StringOf(date.FullYear(d)), 4, "0") + "-" + two(date.Month(d) + 1) + "-" + two(date.Date(d)) + "_"
            + two(date.Hours(d)) + two(date.Minutes(d)) + two(date.Seconds(d));
    }

    // ---- Texts ----

    // White space as Unicode has it. JavaScript's own trim() takes U+FEFF, too, and leaves U+0085.
    const blanks = create(null);
    for (const c of "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028"
        + "\u2029\u202f\u205f\u3000")
        blanks[c] = true;

    function trim(s) {
        let begin = 0;
        let end = s.length;
        while (begin < end && s[begin] in blanks)
            begin++;
        while (end > begin && s[end - 1] in blanks)
            end--;
        return begin === 0 && end === s.length ? s : slice(s, begin, end);
    }

    function shellSplit(value) {
        const s = text(value);
        const words = [];
        let word = "";
        let inWord = false;
        for (let i = 0; i < s.length; i++) {
            const c = s[i];
            if (c === " " || c === "\t" || c === "\r" || c === "\n") {
                if (inWord)
                    words[words.length] = word;
                word = "";
                inWord = false;
            } else if (c === "#" && !inWord) {
                while (i + 1 < s.length && s[i + 1] !== "\n")
                    i++;
            } else if (c === "'" || c === '"') {
                inWord = true;
                for (i++; i < s.length && s[i] !== c; i++) {
                    if (c === '"' && s[i] === "\\")
                        i++;
                    if (i < s.length)
                        word += s[i];
                }
                if (i >= s.length)
                    throw new ErrorType("shellSplit: a quote is not closed");
            } else {
                inWord = true;
                if (c === "\\" && ++i >= s.length)
                    throw new ErrorType("shellSplit: nothing follows the last backslash");
                word += s[i];
            }
        }
        if (inWord)
            words[words.length] = word;
        return words;
    }

    const path = {
        basename(p) {
            const s = replaceAll(text(p), "\\", "/");
            let end = s.length;
            while (end > 0 && s[end - 1] === "/")
                end--;
            if (end === 0)
                return s === "" ? "." : "/";
            return slice(s, lastIndexOf(s, "/", end - 1) + 1, end);
        },
        dirname(p) {
            const s = replaceAll(text(p), "\\", "/");
            const at = lastIndexOf(s, "/");
            return at < 0 ? "." : slice(s, 0, at === 0 ? 1 : at);
        },
        stem(p) {
            const base = basename(p);
            const at = lastIndexOf(base, ".");
            return at < 0 ? base : slice(base, 0, at);
        },
        join(...parts) {
            const given = [];
            for (let i = 0; i < parts.length; i++) {
                const part = text(parts[i]);
                if (part !== "")
                    given[given.length] = part;
            }
            if (given.length === 0)
                return "";
            const whole = join(given, "/");
            const rooted = whole[0] === "/";
            const names = split(whole, "/");
            const kept = [];
            for (let i = 0; i < names.length; i++) {
                const name = names[i];
                if (name === "" || name === ".")
                    continue;
                if (name === ".." && kept.length > 0 && kept[kept.length - 1] !== "..")
                    kept.length--;
                else if (name !== ".." || !rooted)
                    kept[kept.length] = name;
            }
            const cleaned = (rooted ? "/" : "") + join(kept, "/");
            return replaceAll(cleaned === "" ? "." : cleaned, "\\", "/");
        },
    };
    const { basename } = path;

    const process = { platform, cwd: () => workingDirectory };

    const globals = {
        frameChunker: (range, chunkSize) => split(native.chunk(text(range), integer(chunkSize)), "\n"),
        frameCount: (range) => native.count(text(range)),
        formatTimestampLocal,
        shellSplit,
        print: (...args) => native.log(0, display(args)),
        alert: (...args) => native.log(1, display(args)),
    };

    // How print() shows values: objects as JSON where that is possible.
    function display(args) {
        for (let i = 0; i < args.length; i++) {
            try {
                const json = typeof args[i] === "object" && !(args[i] instanceof ErrorType) ? stringify(args[i]) : undefined;
                args[i] = typeof json === "string" ? json : StringOf(args[i]);
            } catch (e) {
                args[i] = "[object]";
            }
        }
        return join(args, " ");
    }

    // ---- Commands (6.2) ----

    // Asking a Proxy of ours for this key gives what stands behind it. Scripts never get hold of it.
    const behind = Symbol("behind");
    const insideOf = (v) => (typeof v === "object" && v !== null ? v[behind] : undefined);

    function refuse(kind, key) {
        throw new TypeErrorType(`${kind} has no property "${StringOf(key)}" that can be set`);
    }

    const handler = (kind, names, traps) => ({
        __proto__: null,
        deleteProperty(_, key) {
            throw new TypeErrorType(`property "${StringOf(key)}" of ${kind} cannot be deleted`);
        },
        defineProperty(_, key) {
            refuse(kind, key);
        },
        ownKeys: () => copyList(names),
        getOwnPropertyDescriptor(target, key) {
            for (let i = 0; i < names.length; i++) {
                if (names[i] === key)
                    return { value: traps.get(target, key), writable: true, enumerable: true, configurable: true };
            }
            return undefined;
        },
        has(_, key) {
            for (let i = 0; i < names.length; i++) {
                if (names[i] === key)
                    return true;
            }
            return key in objectPrototype;
        },
        ...traps,
    });

    // Parameters are shared by all copies of a command: either `json`, or, once a script has asked for it, `map`.
    function makeBox(v) {
        if (v === undefined || v === null)
            return { json: "null", map: null };
        if (v === settings)
            return { json: null, map: v };
        sharing = false;
        try {
            shared = settings;
            const map = freeMap(v, "parameters of a command");
            return sharing ? { json: null, map } : { json: stringify(map), map: null };
        } finally {
            shared = null;
        }
    }

    function boxMap(box) {
        if (box.json !== null) {
            box.map = parse(box.json);
            box.json = null;
        }
        return box.map;
    }

    const boxText = (box) => (box.json !== null ? box.json : stringify(box.map === null ? null : cleanMap(box.map, 0)));

    const commandHandler = handler("a command", ["name", "parameters", "totalStepCount"], {
        get(c, key) {
            if (key === behind)
                return c;
            switch (key) {
            case "name":
                return c.name;
            case "parameters":
                return boxMap(c.box);
            case "totalStepCount":
                return c.steps;
            }
            return objectPrototype[key];
        },
        set(c, key, v) {
            switch (key) {
            case "name":
                c.name = text(v);
                return true;
            case "parameters":
                c.box = makeBox(v);
                return true;
            case "totalStepCount":
                c.steps = integer(v);
                return true;
            }
            refuse("a command", key);
        },
    });

    const showCommand = (c) => new ProxyType(c, commandHandler);

    // A copy of what the script means by a command: one of ours, or an object that looks like one.
    function copyCommand(v, caller) {
        if (typeof v !== "object" || v === null)
            throw new TypeErrorType(`${caller}: a command is wanted, not ${what(v)}`);
        const c = v[behind];
        if (c === undefined)
            return { name: text(v.name), steps: integer(v.totalStepCount), box: makeBox(v.parameters) };
        if (c.box === undefined)
            throw new TypeErrorType(`${caller}: a command is wanted, not another object of the job`);
        return { name: c.name, steps: c.steps, box: c.box };
    }

    // ---- Tasks (6.1, 6.3) ----

    const taskNames = ["uUID", "name", "type", "priority", "commands", "dependencies"];

    // `ident` is shared by a task and its copies: it is what dependencies refer to. `index` is its place in the job.
    const makeTask = (name, type, priority) => ({ ident: { uuid: "", index: -1 }, name, type, priority, commands: [],
        shown: null, deps: null });

    // The commands as copies; `shown` is the array that the script got, if it asked for one.
    function commandsOf(t) {
        const out = [];
        if (t.shown === null) {
            for (let i = 0; i < t.commands.length; i++)
                out[i] = t.commands[i];
        } else {
            for (let i = 0; i < t.shown.length; i++)
                out[i] = copyCommand(t.shown[i], `task "${t.name}"`);
        }
        return out;
    }

    function copyList(list) {
        const out = [];
        for (let i = 0; i < list.length; i++)
            out[i] = list[i];
        return out;
    }

    function wantList(v, name) {
        if (v === undefined || v === null)
            return [];
        if (!isArray(v))
            throw new TypeErrorType(`${name} must be an array, not ${what(v)}`);
        return copyList(v);
    }

    const taskMethods = {
        addCommand(command) {
            const t = taskBehind(this, "addCommand");
            const c = copyCommand(command, "addCommand");
            if (t.shown !== null)
                t.shown[t.shown.length] = showCommand(c);
            else
                t.commands[t.commands.length] = c;
        },
        addDependency(task) {
            const t = taskBehind(this, "addDependency");
            if (typeof task !== "object" || task === null)
                throw new TypeErrorType(`addDependency: a task is wanted, not ${what(task)}`);
            if (t.deps === null)
                t.deps = [];
            t.deps[t.deps.length] = task;
        },
    };
    const { addCommand, addDependency } = taskMethods;

    function taskBehind(v, caller) {
        const t = insideOf(v);
        if (t === undefined || t.ident === undefined)
            throw new TypeErrorType(`${caller} was not called on a task`);
        return t;
    }

    const taskHandler = handler("a task", taskNames, {
        get(t, key) {
            if (key === behind)
                return t;
            switch (key) {
            case "addCommand":
                return addCommand;
            case "addDependency":
                return addDependency;
            case "name":
                return t.name;
            case "type":
                return t.type;
            case "priority":
                return t.priority;
            case "uUID":
                if (t.ident.uuid === "")
                    t.ident.uuid = native.uuid();
                return t.ident.uuid;
            case "commands":
                if (t.shown === null) {
                    t.shown = [];
                    for (let i = 0; i < t.commands.length; i++) {
                        const { name, steps, box } = t.commands[i];
                        t.shown[i] = showCommand({ name, steps, box });
                    }
                }
                return t.shown;
            case "dependencies":
                if (t.deps === null)
                    t.deps = [];
                return t.deps;
            }
            return objectPrototype[key];
        },
        set(t, key, v) {
            switch (key) {
            case "name":
                t.name = text(v);
                return true;
            case "type":
                t.type = text(v);
                return true;
            case "priority":
                t.priority = integer(v);
                return true;
            case "uUID":
                t.ident.uuid = text(v);
                return true;
            case "commands":
                t.shown = wantList(v, "commands of a task");
                return true;
            case "dependencies":
                t.deps = wantList(v, "dependencies of a task");
                return true;
            }
            refuse("a task", key);
        },
    });

    const showTask = (t) => new ProxyType(t, taskHandler);

    function makeText(v, name) {
        const s = trim(text(v));
        if (s === "")
            throw new ErrorType(`author.Task: the ${name} is empty`);
        return s;
    }

    const author = {
        Task(name, type) {
            return showTask(makeTask(makeText(name, "name"), makeText(type, "type"), 50));
        },
        Command(name, parameters, totalStepCount) {
            return showCommand({ name: text(name), steps: integer(totalStepCount), box: makeBox(parameters) });
        },
    };

    // Objects that look like tasks have no ident of their own.
    const plainIdents = new WeakMapType();

    function identOf(v, caller) {
        if (typeof v !== "object" || v === null)
            throw new TypeErrorType(`${caller}: a task is wanted, not ${what(v)}`);
        const t = v[behind];
        if (t !== undefined) {
            if (t.ident === undefined)
                throw new TypeErrorType(`${caller}: a task is wanted, not another object of the job`);
            return t.ident;
        }
        let ident = weakGet(plainIdents, v);
        if (ident === undefined) {
            ident = { uuid: text(v.uUID), index: -1 };
            weakSet(plainIdents, v, ident);
        }
        return ident;
    }

    function snapshot(v, caller) {
        const ident = identOf(v, caller);
        let t = v[behind];
        if (t === undefined) {
            t = makeTask(text(v.name), text(v.type), integer(v.priority));
            t.shown = wantList(v.commands, "commands of a task");
            t.deps = wantList(v.dependencies, "dependencies of a task");
        }
        return { ident, name: t.name, type: t.type, priority: t.priority, commands: commandsOf(t), shown: null,
            deps: t.deps === null || t.deps.length === 0 ? null : copyList(t.deps) };
    }

    // ---- The job (11) ----

    let settings = {};
    let metadata = {};
    let added = []; // snapshots, until the script asks for job.tasks
    let tasks = null; // the array that it got then
    const own = { jobID: "", workerTagUUID: "", name: "", jobType: "", priority: 50, status: "under-construction",
        created: null, shamanCheckoutID: "" };

    const jobNames = ["jobID", "workerTagUUID", "name", "jobType", "priority", "status", "created", "settings", "metadata",
        "storage", "tasks", "addTask"];

    const storage = new ProxyType({}, handler("job.storage", ["shamanCheckoutID"], {
        get: (_, key) => (key === "shamanCheckoutID" ? own.shamanCheckoutID : objectPrototype[key]),
        set(_, key, v) {
            if (key !== "shamanCheckoutID")
                refuse("job.storage", key);
            own.shamanCheckoutID = text(v);
            return true;
        },
    }));

    function addTask(task) {
        const t = snapshot(task, "addTask");
        if (tasks !== null)
            tasks[tasks.length] = showTask(t);
        else
            added[added.length] = t;
    }

    const job = new ProxyType({}, handler("the job", jobNames, {
        get(_, key) {
            switch (key) {
            case "addTask":
                return addTask;
            case "settings":
                return settings;
            case "metadata":
                return metadata;
            case "storage":
                return storage;
            case "tasks":
                if (tasks === null) {
                    tasks = [];
                    for (let i = 0; i < added.length; i++)
                        tasks[i] = showTask(added[i]);
                }
                return tasks;
            case "jobID":
            case "workerTagUUID":
            case "name":
            case "jobType":
            case "priority":
            case "status":
            case "created":
                return own[key];
            }
            return objectPrototype[key];
        },
        set(_, key, v) {
            switch (key) {
            case "settings":
                settings = v === undefined || v === null ? {} : freeMap(v, "job.settings");
                return true;
            case "metadata":
                metadata = v === undefined || v === null ? {} : freeMap(v, "job.metadata");
                return true;
            case "storage":
                own.shamanCheckoutID = v === undefined || v === null ? "" : text(v.shamanCheckoutID);
                return true;
            case "tasks":
                tasks = wantList(v, "job.tasks");
                return true;
            case "priority":
                own.priority = integer(v);
                return true;
            case "created":
                own.created = v;
                return true;
            case "jobID":
            case "workerTagUUID":
            case "name":
            case "jobType":
            case "status":
                own[key] = text(v);
                return true;
            }
            refuse("the job", key);
        },
    }));

    function begin(id, tag, name, type, priority, createdMs, createdMicros, settingsText, metadataText, checkout) {
        own.jobID = id;
        own.workerTagUUID = tag;
        own.name = name;
        own.jobType = type;
        own.priority = priority;
        own.shamanCheckoutID = checkout;
        settings = parse(settingsText);
        metadata = parse(metadataText);
        makeCreated(createdMs, createdMicros);
        own.created = created;
    }

    // ---- What goes out ----

    function textMap(map) {
        const out = {};
        const names = keys(map);
        for (let i = 0; i < names.length; i++)
            defineProperty(out, names[i], { value: text(map[names[i]]), enumerable: true });
        return out;
    }

    function emitTask(t, buffer) {
        const { deps, ident, commands } = t;
        let steps = 0;
        let json = "null";
        if (commands.length > 0) {
            json = "[";
            for (let i = 0; i < commands.length; i++) {
                const c = commands[i];
                steps += c.steps > 1 ? c.steps : 1;
                json += (i === 0 ? '{"name":' : ',{"name":') + stringify(c.name) + ',"parameters":' + boxText(c.box)
                    + ',"total_step_count":' + c.steps + "}";
            }
            json += "]";
        }
        let n = 0;
        if (deps !== null) {
            n = deps.length;
            if (n > buffer.length)
                buffer = new Int32(n * 2);
            for (let i = 0; i < n; i++) {
                const index = identOf(deps[i], `task "${t.name}", dependencies`).index;
                if (index < 0)
                    throw new TypeErrorType(`task "${t.name}" depends on a task that was not added to the job`);
                buffer[i] = index;
            }
        }
        native.task(ident.uuid, t.name, t.type, t.priority, steps, json, n, buffer);
        return buffer;
    }

    function stepsOf(commands) {
        let steps = 0;
        for (let i = 0; i < commands.length; i++)
            steps += commands[i].steps > 1 ? commands[i].steps : 1;
        return steps;
    }

    function finish() {
        if (outcome === "pending")
            throw new ErrorType("compileJob returned a promise that is never settled");
        let all = added;
        if (tasks !== null) {
            all = [];
            for (let i = 0; i < tasks.length; i++)
                all[i] = snapshot(tasks[i], `job.tasks[${i}]`);
        }
        let nDeps = 0;
        let steps = 0;
        const uuids = new MapType();
        for (let i = 0; i < all.length; i++) {
            const { ident, name, deps, commands } = all[i];
            if (ident.index >= 0)
                throw new TypeErrorType(`task "${name}" was added twice`);
            ident.index = i;
            if (ident.uuid !== "") {
                if (mapGet(uuids, ident.uuid) !== undefined)
                    throw new TypeErrorType(`two tasks have the UUID ${ident.uuid}`);
                mapSet(uuids, ident.uuid, true);
            }
            steps += stepsOf(commands);
            if (deps !== null)
                nDeps += deps.length;
        }
        trail.length = 0;
        native.job(own.jobID, own.name, own.jobType, own.priority, stringify(cleanMap(settings, 0)),
            stringify(textMap(metadata)), own.workerTagUUID, own.shamanCheckoutID, all.length, nDeps, steps);
        let buffer = new Int32(64);
        for (let i = 0; i < all.length; i++)
            buffer = emitTask(all[i], buffer);
    }

    // ---- Running compileJob ----

    let result;
    let outcome = "done";

    // Returns true when the result is a promise, which settle() has to look at.
    function run() {
        if (typeof compileJob !== "function")
            throw new TypeErrorType("the script does not define a function compileJob(job)");
        result = compileJob(job);
        return result instanceof PromiseType;
    }

    function settle() {
        outcome = "pending";
        const settled = () => { outcome = "done"; };
        then(result, settled, settled); // engine.c hears of rejections by itself
    }

    // ---- JOB_TYPE (7) and its canonical JSON (8) ----

    // Go sorts by bytes of UTF-8, that is by code point; JavaScript by UTF-16 unit.
    function byCodePoint(a, b) {
        const n = a.length < b.length ? a.length : b.length;
        for (let i = 0; i < n; i++) {
            let x = charCodeAt(a, i);
            let y = charCodeAt(b, i);
            if (x !== y) {
                if (x >= 0xd800 && y >= 0xd800) {
                    x = x >= 0xe000 ? x - 0x2000 : x + 0x2000;
                    y = y >= 0xe000 ? y - 0x2000 : y + 0x2000;
                }
                return x - y;
            }
        }
        return a.length - b.length;
    }

    function canonical(v) {
        if (typeof v !== "object" || v === null)
            return stringify(v);
        let out = "";
        if (isArray(v)) {
            for (let i = 0; i < v.length; i++)
                out += (i === 0 ? "" : ",") + canonical(v[i]);
            return "[" + out + "]";
        }
        const names = sort(keys(v), byCodePoint);
        for (let i = 0; i < names.length; i++)
            out += (i === 0 ? "" : ",") + stringify(names[i]) + ":" + canonical(v[names[i]]);
        return "{" + out + "}";
    }

    const asked = (v) => v !== undefined && v !== null;

    function listOf(v, name) {
        if (typeof v !== "object" || typeof v[Symbol.iterator] !== "function")
            throw new TypeErrorType(`${name} must be a list, not ${what(v)}`);
        return isArray(v) ? copyList(v) : ArrayFrom(v);
    }

    function objectOf(v, name) {
        if (typeof v !== "object" && typeof v !== "function")
            throw new TypeErrorType(`${name} must be an object, not ${what(v)}`);
        return v;
    }

    function free(v, name) {
        trail[0] = name;
        return clean(v, 1);
    }

    function evalInfoOf(v, place) {
        objectOf(v, place + ".evalInfo");
        return { description: text(v.description), showLinkButton: !!v.showLinkButton };
    }

    function choicesOf(v, place) {
        const list = listOf(v, place + ".choices");
        for (let i = 0; i < list.length; i++)
            list[i] = text(list[i]);
        return list;
    }

    const conversions = {
        __proto__: null,
        subtype: text,
        choices: choicesOf,
        propargs: (v, place) => cleanMap(objectOf(v, place + ".propargs"), 0),
        description: (v, place) => free(v, place + ".description"),
        label: (v, place) => free(v, place + ".label"),
        default: (v, place) => free(v, place + ".default"),
        eval: text,
        evalInfo: evalInfoOf,
        visible: text,
        required: (v) => !!v,
        editable: (v) => !!v,
    };

    const known = {
        __proto__: null,
        type: ["string", "int32", "float", "bool"],
        subtype: ["file_path", "dir_path", "file_name", "hashed_file_path"],
        visible: ["visible", "hidden", "submission", "web"],
    };

    // Not an error in the reference, but the Blender add-on then refuses the whole list of job types.
    function warnOfUnknown(setting, place) {
        for (const name in known) {
            const value = setting[name];
            let found = value === undefined;
            for (let i = 0; !found && i < known[name].length; i++)
                found = known[name][i] === value;
            if (!found)
                native.log(1, `${place}.${name} is "${value}", and the Blender add-on knows only ${join(known[name], ", ")}`);
        }
    }

    function settingOf(v, index) {
        const place = `JOB_TYPE.settings[${index}]`;
        const given = v === undefined || v === null ? {} : objectOf(v, place);
        const out = { key: text(given.key), type: text(given.type) };
        for (const name in conversions) {
            const value = given[name];
            if (asked(value))
                out[name] = conversions[name](value, place);
        }
        warnOfUnknown(out, place);
        return out;
    }

    function describe(name) {
        let jobType;
        try {
            jobType = JOB_TYPE;
        } catch (e) {
            throw new ReferenceErrorType("the script does not define JOB_TYPE");
        }
        const given = asked(jobType) ? objectOf(jobType, "JOB_TYPE") : {};
        const out = { etag: "", name, label: text(given.label), settings: [] };
        if (asked(given.description))
            out.description = text(given.description);
        if (asked(given.settings)) {
            const list = listOf(given.settings, "JOB_TYPE.settings");
            for (let i = 0; i < list.length; i++)
                out.settings[i] = settingOf(list[i], i);
        }
        native.type(canonical(out));
    }

    // ---- Errors ----

    const frame = /^(?:.*?@)?(.*):([0-9]+):([0-9]+)$/;

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
            const stack = typeof error === "object" && error !== null ? split(text(error.stack), "\n") : [];
            for (let i = 0; i < stack.length && line === 0; i++) {
                const found = exec(frame, stack[i]);
                if (found !== null && found[1] !== "" && found[1] !== "flamenco:prelude") {
                    script = found[1];
                    line = integer(found[2]);
                    column = integer(found[3]);
                }
            }
            if (line === 0 && typeof error.sourceURL === "string" && error.sourceURL !== "flamenco:prelude") {
                script = error.sourceURL;
                line = integer(error.line);
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
        }
        return undefined;
    };
})
