// SPDX-License-Identifier: Apache-2.0
//
// job.js - part of the prelude (values.js): the job object, running compileJob, and what goes out.

    // ---- The job (11) ----

    let settings = {};
    let metadata = {};
    let added = []; // tasks (tasks.js), until the script asks for job.tasks
    let tasks = null; // the array that it got then
    const own = { jobID: "", workerTagUUID: "", name: "", jobType: "", priority: 50, status: "under-construction",
        created: null, shamanCheckoutID: "" };

    const jobNames = ["jobID", "workerTagUUID", "name", "jobType", "priority", "status", "created", "settings", "metadata",
        "storage", "tasks", "addTask"];

    const storageHandler = handler("job.storage", ["shamanCheckoutID"], {
        get: (_, key) => (key === "shamanCheckoutID" ? own.shamanCheckoutID : objectPrototype[key]),
        set(_, key, v) {
            if (key !== "shamanCheckoutID")
                refuse("job.storage", key);
            own.shamanCheckoutID = text(v);
            return true;
        },
    });

    function addTask(task) {
        if (added.length >= most)
            tooMany();
        const t = insideOfTask(task, "addTask");
        if (tasks !== null) {
            tasks[tasks.length] = showTask(copyTask(t));
        } else if (t.ident === t && t.index < 0 && t.shown === null) {
            t.index = added.length;
            added[added.length] = t;
        } else {
            added[added.length] = copyTask(t);
        }
    }

    const jobHandler = handler("the job", jobNames, {
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
                    for (let i = 0; i < added.length; i++) {
                        if (added[i].index >= 0)
                            leaveJob(added[i]);
                        tasks[i] = showTask(added[i]);
                    }
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
    });

    // What scripts get hold of is made anew for each job, since they can do things to a Proxy that no trap sees.
    let job = null;
    let storage = null;

    function begin(id, tag, name, type, priority, createdMs, createdMicros, settingsText, metadataText, checkout) {
        job = new ProxyType({}, jobHandler);
        storage = new ProxyType({}, storageHandler);
        added = [];
        tasks = null;
        finishing = false;
        forgetLast();
        trail.length = 0;
        shared = null;
        sharing = false;
        most = Infinity;
        made = 0;
        result = undefined;
        outcome = "done";
        own.status = "under-construction";
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

    // What stands around a command's parameters, of the last one, and of one that is alone in its task: it is the same for most of
    // a job, and a text that is there already is no garbage.
    const last = { name: "", head: '{"name":"","parameters":', onlyHead: '[{"name":"","parameters":', steps: 0,
        tail: ',"total_step_count":0}', onlyTail: ',"total_step_count":0}]' };

    function lookAt({ name, steps }) {
        if (name !== last.name) {
            last.head = `{"name":${stringify(name)},"parameters":`;
            last.onlyHead = `[${last.head}`;
            last.name = name;
        }
        if (steps !== last.steps) {
            last.tail = `,"total_step_count":${steps}}`;
            last.onlyTail = `${last.tail}]`;
            last.steps = steps;
        }
        return last;
    }

    function emitTask(t, buffer) {
        // All of it now: a getter in parameters may change the task, which then leaves what is read here as it is.
        const { ident, name, type, priority, first, more, deps } = t;
        const steps = stepsOf(t);
        // In three pieces: the parameters are the largest part by far, and making a text of the whole would copy them.
        let head = "null";
        let parameters = "";
        let tail = "";
        if (first !== null) {
            lookAt(first);
            head = last.onlyHead;
            parameters = boxText(first.box);
            tail = last.onlyTail;
        }
        if (more !== null) {
            tail = last.tail;
            for (let i = 0; i < more.length; i++)
                tail += "," + lookAt(more[i]).head + keptText(boxText(more[i].box)) + last.tail;
            tail += "]";
        }
        let n = 0;
        if (deps !== null) {
            n = deps.length;
            if (n > buffer.length)
                buffer = new Int32(n * 2);
            const caller = `task "${name}", dependencies`;
            for (let i = 0; i < n; i++) {
                const { index } = identOf(deps[i], caller);
                if (index < 0)
                    throw new TypeErrorType(`task "${name}" depends on a task that was not added to the job`);
                buffer[i] = index;
            }
        }
        native.task(ident.uuid, name, type, priority, steps, head, parameters, tail, n, buffer);
        return buffer;
    }

    const stepsOfCommand = ({ steps }) => (steps > 1 ? steps : 1);

    function stepsOf({ first, more }) {
        let steps = first === null ? 0 : stepsOfCommand(first);
        for (let i = 0; more !== null && i < more.length; i++)
            steps += stepsOfCommand(more[i]);
        return steps;
    }

    function finish() {
        if (outcome === "pending")
            throw new ErrorType("compileJob returned a promise that is never settled");
        let all = added;
        if (tasks !== null) {
            all = [];
            for (let i = 0; i < tasks.length; i++)
                all[i] = copyTask(insideOfTask(tasks[i], `job.tasks[${i}]`));
        }
        for (let i = 0; i < added.length; i++)
            added[i].ident.index = -1;
        finishing = true;
        added = all;
        let nDeps = 0;
        let steps = 0;
        const uuids = new MapType();
        for (let i = 0; i < all.length; i++) {
            const { ident, name, deps } = all[i];
            if (ident.index >= 0)
                throw new TypeErrorType(`task "${name}" was added twice`);
            ident.index = i;
            if (ident.uuid !== "") {
                if (mapGet(uuids, ident.uuid) !== undefined)
                    throw new TypeErrorType(`two tasks have the UUID ${ident.uuid}`);
                mapSet(uuids, ident.uuid, true);
            }
            steps += stepsOf(all[i]);
            if (deps !== null)
                nDeps += deps.length;
        }
        trail.length = 0;
        native.job(own.jobID, own.name, own.jobType, own.priority, stringify(topLevel(cleanMap, settings, 0)),
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

    // The same in the frozen context, where the whole script is the function `main`, which gives its compileJob.
    function runFrozen(main, largeJob) {
        exec(/(?:)/, ""); // the engine remembers the last match of the script before
        most = largeJob;
        const compile = apply(main, globalThis, []);
        if (typeof compile !== "function")
            throw new TypeErrorType("the script does not define a function compileJob(job)");
        result = compile(job);
        return result instanceof PromiseType;
    }

    function settle() {
        outcome = "pending";
        const settled = () => { outcome = "done"; };
        then(result, settled, settled); // engine.c hears of rejections by itself
    }
