// SPDX-License-Identifier: Apache-2.0
//
// values.js - the beginning of the prelude: what a job type's script finds around it, the global functions, the modules author,
// path and process, and the job object (contract: job-compiler 2 to 7 and 11). Its files are one function, put together by
// meson.build in the order values, texts, tasks, job, types, end. engine.c evaluates it in every new context, before the
// script, and calls it with the native functions; it gives the function that engine.c calls with an operation. In the frozen
// context (engine.h) one script follows the other: begin() puts everything here back to where it was.
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
    const { create, defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf, keys, values } = Object;
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
        if (typeof v === "number" && (v | 0) === v)
            return v | 0;
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

    // Thrown from the depth, where the stack is too long to show the script's own line; topLevel() turns it into an error.
    const fault = { text: "" };

    function unstorable(depth, problem) {
        let place = "";
        for (let i = 0; i < depth; i++)
            place += typeof trail[i] === "number" ? `[${trail[i]}]` : (place ? "." : "") + trail[i];
        fault.text = (place ? `value of "${place}": ` : "value: ") + problem;
        throw fault;
    }

    function topLevel(convert, v, depth) {
        try {
            return convert(v, depth);
        } catch (e) {
            throw e === fault ? new TypeErrorType(fault.text) : e;
        }
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

    // Tells whether JSON.stringify writes a value as clean() and JSON.stringify would: most parameters are like that, and
    // looking costs a third of copying.
    function isSimple(v, depth) {
        if (depth > depthLimit || v === settings)
            return false;
        if (isArray(v))
            return isSimpleList(v, depth);
        return getPrototypeOf(v) === objectPrototype && isSimpleList(values(v), depth);
    }

    // The kinds are asked for one by one: the engine does that without making the name of one.
    function isSimpleList(list, depth) {
        for (let i = 0, n = list.length; i < n; i++) {
            const item = list[i];
            if (typeof item === "string" || (typeof item === "number" && isFinite(item)) || typeof item === "boolean"
                || item === null)
                continue;
            if (typeof item !== "object" || !isSimple(item, depth + 1))
                return false;
        }
        return true;
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
        return topLevel(cleanMap, v, 0);
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
        const date = new DateType(ms);
        const write = { value: () => rfc3339(date, micros) };
        const proto = create(null);
        defineProperty(proto, "toString", write);
        defineProperty(proto, "toJSON", write);
        defineProperty(proto, "valueOf", write);
        createdDate = date;
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
