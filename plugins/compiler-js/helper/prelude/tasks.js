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

    // A command that a task has taken does not change any more, so that the task can keep it without a copy. `moved` is null
    // before that, then the command itself, and after the script's next change the one that stands for it from then on.
    const makeCommand = (name, steps, box) => ({ name, steps, box, moved: null });
    const present = (c) => (c.moved === null ? c : c.moved);

    function take(command) {
        const c = present(command);
        c.moved = c;
        return c;
    }

    function changeable(command) {
        const c = present(command);
        if (c.moved !== null)
            command.moved = makeCommand(c.name, c.steps, c.box);
        return present(command);
    }

    const commandHandler = handler("a command", ["name", "parameters", "totalStepCount"], {
        get(c, key) {
            if (key === behind)
                return c;
            switch (key) {
            case "name":
                return present(c).name;
            case "parameters":
                return boxMap(present(c).box);
            case "totalStepCount":
                return present(c).steps;
            }
            return objectPrototype[key];
        },
        set(c, key, v) {
            switch (key) {
            case "name":
                changeable(c).name = text(v);
                return true;
            case "parameters":
                changeable(c).box = makeBox(v);
                return true;
            case "totalStepCount":
                changeable(c).steps = integer(v);
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

    // What the script means by a command, as a task keeps it: one of ours, or an object that looks like one.
    function takeCommand(v, caller) {
        if (typeof v !== "object" || v === null)
            throw new TypeErrorType(`${caller}: a command is wanted, not ${what(v)}`);
        const c = v === lastCommand ? lastCommandInside : v[behind];
        if (c === undefined)
            return makeCommand(text(v.name), integer(v.totalStepCount), makeBox(v.parameters));
        if (c.box === undefined)
            throw new TypeErrorType(`${caller}: a command is wanted, not another object of the job`);
        return take(c);
    }

    const showCopy = ({ name, steps, box }) => showCommand(makeCommand(name, steps, box));

    // ---- Tasks (6.1, 6.3) ----

    const taskNames = ["uUID", "name", "type", "priority", "commands", "dependencies"];

    // `ident` is shared by a task and its copies: it is what dependencies refer to, with a UUID and an index. A task is its own
    // until it is a copy. The commands are `first` and, behind it, the list `more`, unless the script has got hold of the
    // arrays of commands or dependencies: then they are in `shown`.
    //
    // What a job gets is a copy, but most tasks are not touched any more once they were added: then the task itself is in the
    // job, at `index` of `added`. What could change it calls leaveJob() before, which puts a copy there. Jobs of 100,000 tasks
    // take a third less memory than with a copy of each.
    function makeTask(name, type, priority) {
        const t = { ident: null, uuid: "", index: -1, name, type, priority, first: null, more: null, shown: null, deps: null };
        t.ident = t;
        return t;
    }

    function copyTask(t) {
        const copy = { ident: t.ident, uuid: "", index: -1, name: t.name, type: t.type, priority: t.priority, first: t.first,
            more: t.more === null ? null : copyList(t.more), shown: null,
            deps: t.deps === null || t.deps.length === 0 ? null : copyList(t.deps) };
        if (t.shown !== null) {
            copy.first = copy.more = null;
            for (let i = 0; i < t.shown.length; i++)
                append(copy, takeCommand(t.shown[i], `task "${t.name}"`));
        }
        return copy;
    }

    // While the job is sent, a script's getter may still be called: then the indexes are no longer places in `added`.
    let finishing = false;

    function leaveJob(t) {
        if (added[t.index] === t) {
            const copy = copyTask(t);
            const { more, deps } = copy;
            copy.more = t.more;
            copy.deps = t.deps;
            t.more = more; // of the lists, too, what is in the job stays
            t.deps = deps;
            added[t.index] = copy;
        }
        if (!finishing)
            t.index = -1;
    }

    function append(t, command) {
        if (t.first === null)
            t.first = command;
        else if (t.more === null)
            t.more = [command];
        else
            t.more[t.more.length] = command;
    }

    // From here on the script may change the arrays behind our back.
    function show(t) {
        if (t.index >= 0)
            leaveJob(t);
        if (t.deps === null)
            t.deps = [];
        if (t.shown !== null)
            return;
        t.shown = [];
        if (t.first !== null)
            t.shown[0] = showCopy(t.first);
        for (let i = 0; t.more !== null && i < t.more.length; i++)
            t.shown[i + 1] = showCopy(t.more[i]);
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
            const c = takeCommand(command, "addCommand");
            if (t.index >= 0)
                leaveJob(t);
            if (t.shown !== null)
                t.shown[t.shown.length] = showCopy(c);
            else
                append(t, c);
        },
        addDependency(task) {
            const t = taskBehind(this, "addDependency");
            if (typeof task !== "object" || task === null)
                throw new TypeErrorType(`addDependency: a task is wanted, not ${what(task)}`);
            if (t.index >= 0)
                leaveJob(t);
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
                show(t);
                return t.shown;
            case "dependencies":
                show(t);
                return t.deps;
            }
            return objectPrototype[key];
        },
        set(t, key, v) {
            if (key === "uUID") {
                t.ident.uuid = text(v);
                return true;
            }
            if (t.index >= 0)
                leaveJob(t);
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
            return showCommand(makeCommand(text(name), integer(totalStepCount), makeBox(parameters)));
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

    function insideOfTask(v, caller) {
        if (typeof v !== "object" || v === null)
            throw new TypeErrorType(`${caller}: a task is wanted, not ${what(v)}`);
        const t = v === lastTask ? lastTaskInside : v[behind] || taskOf(v);
        if (t.ident === undefined)
            throw new TypeErrorType(`${caller}: a task is wanted, not another object of the job`);
        return t;
    }
