// SPDX-License-Identifier: Apache-2.0
//
// Job type "echo-sleep-test": one task that writes a message, and any number of tasks that wait for it and then sleep. For
// trying out a farm without rendering anything.

const JOB_TYPE = {
    label: "Echo Sleep Test",
    settings: [
        { key: "message", type: "string", required: true },
        { key: "sleep_duration_seconds", type: "int32", default: 1 },
        { key: "sleep_repeats", type: "int32", default: 1 },
    ],
};

function compileJob(job) {
    const { message, sleep_duration_seconds, sleep_repeats } = job.settings;

    const echo = author.Task("echo", "misc");
    echo.addCommand(author.Command("echo", { message }));
    job.addTask(echo);

    for (let i = 0; i < sleep_repeats; i++) {
        const sleep = author.Task("sleep", "misc");
        sleep.addCommand(author.Command("sleep", { duration_in_seconds: sleep_duration_seconds }));
        sleep.addDependency(echo);
        job.addTask(sleep);
    }
}
