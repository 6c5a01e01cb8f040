// SPDX-License-Identifier: Apache-2.0
//
// types.js - part of the prelude (values.js): JOB_TYPE and its canonical JSON.

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
        return topLevel(clean, v, 1);
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
        propargs: (v, place) => topLevel(cleanMap, objectOf(v, place + ".propargs"), 0),
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
