// SPDX-License-Identifier: Apache-2.0
//
// tasks.js - part of the prelude (values.js): the module author with its tasks and commands.

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

    // Short texts stay here, others are kept outside the engine: the number stands for the text.
    const keepText = (json) => (json.length < 64 ? json : native.keep(json));
    const keptText = (json) => (typeof json === "number" ? native.kept(json) : json);

    // Parameters are shared by all copies of a command: either `json`, or, once a script has asked for it, `map`.
    function makeBox(v) {
        if (v === undefined || v === null)
            return { json: "null", map: null };
        if (v === settings)
            return { json: null, map: v };
        if (typeof v === "object" && !isArray(v) && isSimple(v, 0))
            return { json: keepText(stringify(v)), map: null };
        sharing = false;
        try {
            shared = settings;
            const map = freeMap(v, "parameters of a command");
            return sharing ? { json: null, map } : { json: keepText(stringify(map)), map: null };
        } finally {
            shared = null;
        }
    }

    function boxMap(box) {
        if (box.json !== null) {
            box.map = parse(keptText(box.json));
            box.json = null;
        }
        return box.map;
    }

    const boxText = (box) => (box.json !== null ? box.json : stringify(box.map === null ? null : topLevel(cleanMap, box.map, 0)));

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

    // The command and the task that were made last, with what stands behind them: scripts use them next, and asking a Proxy
    // costs as much as making one. begin() forgets them.
    let lastCommand = behind; // nothing that a script can have
    let lastCommandInside = null;
    let lastTask = behind;
    let lastTaskInside = null;

    function forgetLast() {
        lastCommand = lastTask = behind;
        lastCommandInside = lastTaskInside = null;
    }

    function showCommand(c) {
        lastCommandInside = c;
        return lastCommand = new ProxyType(c, commandHandler);
    }

    // A copy of what the script means by a command: one of ours, or an object that looks like one.
    function copyCommand(v, caller) {
        if (typeof v !== "object" || v === null)
            throw new TypeErrorType(`${caller}: a command is wanted, not ${what(v)}`);
        const c = v === lastCommand ? lastCommandInside : v[behind];
        if (c === undefined)
            return { name: text(v.name), steps: integer(v.totalStepCount), box: makeBox(v.parameters) };
        if (c.box === undefined)
            throw new TypeErrorType(`${caller}: a command is wanted, not another object of the job`);
        return { name: c.name, steps: c.steps, box: c.box };
    }

    // ---- Tasks (6.1, 6.3) ----

    const taskNames = ["uUID", "name", "type", "priority", "commands", "dependencies"];

    // `ident` is shared by a task and its copies: it is what dependencies refer to. `index` is its place in the job.
    // Its array of commands is the task's `own` until a copy of the task takes it over, too.
    const noCommands = [];
    const makeTask = (name, type, priority) => ({ ident: { uuid: "", index: -1 }, name, type, priority, commands: noCommands,
        own: false, shown: null, deps: null });

    // The commands as copies; `shown` is the array that the script got, if it asked for one.
    function commandsOf(t) {
        if (t.shown === null)
            return t.commands;
        const out = [];
        for (let i = 0; i < t.shown.length; i++)
            out[i] = copyCommand(t.shown[i], `task "${t.name}"`);
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

    function takeOwn(t, command) {
        const { commands } = t;
        t.own = true;
        t.commands = commands.length === 0 ? [command] : copyList(commands);
        if (commands.length > 0)
            t.commands[commands.length] = command;
    }

    const taskMethods = {
        addCommand(command) {
            const t = taskBehind(this, "addCommand");
            const c = copyCommand(command, "addCommand");
            if (t.shown !== null)
                t.shown[t.shown.length] = showCommand(c);
            else if (t.own)
                t.commands[t.commands.length] = c;
            else
                takeOwn(t, c);
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
        if (v === lastTask)
            return lastTaskInside;
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

    function showTask(t) {
        lastTaskInside = t;
        return lastTask = new ProxyType(t, taskHandler);
    }

    let most = Infinity; // tasks, in the frozen context: it makes a task a fifth dearer, and only a small job so much cheaper
    let made = 0; // looked at, too, since many scripts make all tasks before they add the first

    function tooMany() {
        throw new ErrorType("too many tasks for the frozen context");
    }

    let lastType = behind; // trimmed; most tasks of a job have the same

    function makeText(v, name) {
        const s = trim(text(v));
        if (s === "")
            throw new ErrorType(`author.Task: the ${name} is empty`);
        return s;
    }

    const author = {
        Task(name, type) {
            if (++made > most)
                tooMany();
            const trimmed = makeText(name, "name");
            if (type !== lastType)
                lastType = makeText(type, "type");
            return showTask(makeTask(trimmed, lastType, 50));
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
        if (t === undefined)
            return plainIdentOf(v);
        if (t.ident === undefined)
            throw new TypeErrorType(`${caller}: a task is wanted, not another object of the job`);
        return t.ident;
    }

    function plainIdentOf(v) {
        let ident = weakGet(plainIdents, v);
        if (ident === undefined) {
            ident = { uuid: text(v.uUID), index: -1 };
            weakSet(plainIdents, v, ident);
        }
        return ident;
    }

    function taskOf(v) {
        const t = makeTask(text(v.name), text(v.type), integer(v.priority));
        t.ident = plainIdentOf(v);
        t.shown = wantList(v.commands, "commands of a task");
        t.deps = wantList(v.dependencies, "dependencies of a task");
        return t;
    }

    function snapshot(v, caller) {
        if (typeof v !== "object" || v === null)
            throw new TypeErrorType(`${caller}: a task is wanted, not ${what(v)}`);
        const t = v === lastTask ? lastTaskInside : v[behind] || taskOf(v);
        const { ident } = t;
        if (ident === undefined)
            throw new TypeErrorType(`${caller}: a task is wanted, not another object of the job`);
        t.own = false;
        return { ident, name: t.name, type: t.type, priority: t.priority, commands: commandsOf(t), own: false, shown: null,
            deps: t.deps === null || t.deps.length === 0 ? null : copyList(t.deps) };
    }
