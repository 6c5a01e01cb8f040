# SPDX-License-Identifier: Apache-2.0
"""Reads what the manager published, from the plugin event-recorder."""
import time

from .manager import scale


class Events:
    """A position in the stream of events of one manager. Events are published before the reply of the operation that
    caused them, so after a reply `take` gives them without waiting."""

    def __init__(self, api):
        self.api = api.clone()
        self.last = 0
        self.skip()

    def _read(self, wait_ms=0):
        events = self.api.ok("GET", f"//test/events?after={self.last}&wait_ms={wait_ms}")
        if events:
            self.last = events[-1]["seq"]
        return events

    def skip(self):
        """Forgets what happened so far."""
        newest = self.api.ok("GET", "//test/events?newest=1")
        self.last = newest[-1]["seq"] if newest else 0
        return self

    def take(self, *kinds, topic=None):
        """What happened since the last call, all of it or only some kinds or one topic."""
        return [e for e in self._read() if (not kinds or e["kind"] in kinds) and topic in (None, e["topic"])]

    def wait(self, match, timeout=20):
        """Waits for an event that match() accepts; gives all events up to and including it. Later ones stay unread."""
        deadline = time.monotonic() + timeout * scale()
        passed = []
        while True:
            left_ms = int((deadline - time.monotonic()) * 1000)
            assert left_ms > 0, f"the event did not come; these did: {passed}"
            for event in self._read(min(left_ms, 5000)):
                passed.append(event)
                if match(event):
                    self.last = event["seq"]
                    return passed

    def wait_while(self, step, match, timeout=20):
        """Like wait, and does step() whenever nothing has come for a while. For periodic checks with the hand-set clock: one
        that is under way while the clock is moved comes again only a period after its end."""
        deadline = time.monotonic() + timeout * scale()
        passed = []
        while True:
            assert time.monotonic() < deadline, f"the event did not come; these did: {passed}"
            events = self._read(300)
            for event in events:
                passed.append(event)
                if match(event):
                    self.last = event["seq"]
                    return passed
            if not events:
                step()

    def wait_job(self, job_id, status, timeout=20):
        return self.wait(lambda e: e["kind"] == "job" and e["payload"]["id"] == job_id and e["payload"]["status"] == status,
                         timeout)

    def wait_task(self, task_id, status, timeout=20):
        return self.wait(
            lambda e: e["kind"] == "task" and e["payload"]["id"] == task_id and e["payload"]["status"] == status, timeout)

    def wait_worker(self, worker_id, status, timeout=20):
        return self.wait(
            lambda e: e["kind"] == "worker" and e["payload"]["id"] == worker_id and e["payload"]["status"] == status, timeout)


def shape(events):
    """Events in short: (kind, previous status, status), job events with refresh_tasks behind it."""
    out = []
    for event in events:
        p = event["payload"]
        if event["kind"] == "job":
            out.append(("job", p.get("previous_status"), p["status"], p["refresh_tasks"]))
        elif event["kind"] in ("task", "worker"):
            out.append((event["kind"], p.get("previous_status"), p["status"]))
        else:
            out.append((event["kind"],))
    return out
