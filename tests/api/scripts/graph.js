/* SPDX-License-Identifier: Apache-2.0
 *
 * A job type for tests: makes exactly the tasks that the submission asks for.
 *   settings.tasks: [{name, type, priority, deps: [index of an earlier or later task], commands: [{name, parameters, steps}]}]
 *   settings.count: that many plain tasks instead
 */
const JOB_TYPE = {
    label: "Graph",
    settings: [
        { key: "count", type: "int32", default: 0 },
    ],
};

function compileJob(job) {
    if (job.settings.count) {
        for (let i = 0; i < job.settings.count; i++) {
            const task = author.Task("t" + (i + 1), "misc");
            task.addCommand(author.Command("echo", { message: "" + i }));
            job.addTask(task);
        }
        return;
    }
    const specs = job.settings.tasks || [];
    const tasks = specs.map((spec, i) => {
        const task = author.Task(spec.name || "t" + (i + 1), spec.type || "misc");
        if (spec.priority !== undefined)
            task.priority = spec.priority;
        for (const c of spec.commands || [{ name: "echo", parameters: { message: "hi" } }])
            task.addCommand(author.Command(c.name, c.parameters, c.steps || 0));
        return task;
    });
    specs.forEach((spec, i) => (spec.deps || []).forEach((d) => tasks[i].addDependency(tasks[d])));
    tasks.forEach((task) => job.addTask(task));
}
