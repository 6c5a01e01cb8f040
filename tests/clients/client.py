# SPDX-License-Identifier: Apache-2.0
"""Started by ./run with the Python of an environment that has some python-socketio: connects, subscribes, and prints a line of
JSON for all it is told, until that were so many events about jobs as are wanted."""
import json
import sys
import threading

import socketio

url, transports, wanted = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3])
client = socketio.Client(reconnection=False)
done, ready, lock = threading.Event(), threading.Event(), threading.Lock()
told = 0


def say(*what):
    global told
    with lock: # each callback has a thread of its own
        print(json.dumps(what), flush=True)
        told += 1
        if told == wanted:
            done.set()


@client.on("connect")
def connected():
    ready.set()


@client.on("/jobs")
def on_job(payload):
    say("/jobs", payload["name"], payload["status"])


client.connect(url, transports=transports)
if not ready.wait(30):
    sys.exit("not connected in time")
client.emit("/subscription", {"op": "subscribe", "type": "nonsense"}, callback=lambda text: say("ack", text))
client.emit("/subscription", {"op": "subscribe", "type": "allJobs"}, callback=lambda text: say("ack", text))
if not done.wait(60):
    sys.exit("not told in time")
say("transport", client.transport() if callable(client.transport) else client.transport)
client.disconnect()
