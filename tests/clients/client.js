// SPDX-License-Identifier: Apache-2.0
// Started by ./run with Node.js and NODE_PATH: connects as the official web app does (but by the given transports), subscribes
// whenever it is connected, and prints a line of JSON for all that it is told, until that were so many events about jobs as are
// wanted. When the manager goes away it comes back by itself.
"use strict";

const [generation, url, transports, wanted] = process.argv.slice(2);
const client = require(`socket.io-client-${generation}`);
const io = client.io || client;
const socket = io(url, {
    transports: transports.split(","), reconnectionDelay: 250, reconnectionDelayMax: 3000, timeout: 20000, forceNew: true,
});
let told = 0;

function say(...what) {
    process.stdout.write(JSON.stringify(what) + "\n");
}

function end() {
    const engine = socket.io.engine;
    // The way from polling to a WebSocket may take a moment longer than the events do.
    if (engine.transport.name !== transports.split(",").pop()) {
        setTimeout(end, 20);
        return;
    }
    say("transport", engine.transport.name);
    socket.disconnect();
}

socket.on("connect", () => {
    say("connect");
    socket.emit("/subscription", { op: "subscribe", type: "nonsense" }, (text) => say("ack", text));
    socket.emit("/subscription", { op: "subscribe", type: "allJobs" }, (text) => say("ack", text));
});
socket.on("/jobs", (payload) => {
    say("/jobs", payload.name, payload.status);
    if (++told === Number(wanted))
        end();
});
socket.on("/lifecycle", (payload) => say("/lifecycle", payload.type));
socket.on("disconnect", (reason) => {
    if (reason !== "io client disconnect")
        say("disconnect", reason);
});
setTimeout(() => {
    process.stderr.write("not told in time\n");
    process.exit(1);
}, 120000).unref();
