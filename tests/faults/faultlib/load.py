# SPDX-License-Identifier: Apache-2.0
"""A farm of clients that write down every acknowledged reply, and a check of these notes against what the manager says.

Each thing (task, job, worker) is changed by one client at a time, one request after the other, so at any moment it is in the
state of the last acknowledged change, or, when one more request has an unknown fate, in that state or the next one: whole,
never in between.
"""
import collections
import random
import threading
import time

from .link import Link, NoReply, NotSent

TASK_STEPS = 10
ETAG = "5eed" * 10  # of the job type of compiler_test.c
BIG = 1200  # tasks of a job that is stored and changed in several steps


class Record:
    """One thing. `fields`: its acknowledged state; `logs`: acknowledged log lines of a task."""

    def __init__(self, key, **fields):
        self.key, self.fields, self.logs = key, fields, []


class Stop(Exception):
    """The load ends."""


class Actor(threading.Thread):
    def __init__(self, load, name):
        super().__init__(name=name, daemon=True)
        self.load, self.rng = load, random.Random(f"{load.seed}-{name}")
        self.link = Link(load.manager.port)
        self.pending = None  # (record, changes, log lines) of a request whose fate is not known
        self.acks = 0
        self.at_gate = False
        self._lines = 0

    def run(self):
        try:
            while True:
                self.step()
        except Stop:
            pass
        except Exception as reason:  # pylint: disable=broad-except
            self.load.problem(f"{self.name}: {reason!r}")
        finally:
            self.at_gate = True
            self.link.close()

    def step(self):
        raise NotImplementedError

    def line(self, text):
        self._lines += 1
        return f"{self.name} {self._lines} {text}"

    # ---- Requests -----------------------------------------------------------------------------------------------------

    def do(self, kind, method, path, body=None, *, pending=None, accept=(200, 204), recover=None, after_doubt=()):
        """Sends until there is an answer. pending: what it changes. recover: asked for an answer after an unknown fate;
        after_doubt: further statuses that are accepted then."""
        doubt = False
        while True:
            self.load.pass_gate(self)
            if doubt and recover:
                answer = recover()
                if answer is not None:
                    break
            self.pending = pending
            try:
                answer = self.link.call(method, path, body)
            except NotSent:
                self.pending = pending if doubt else None
                self.load.breaks["not connected"] += 1
                time.sleep(0.02)
                continue
            except NoReply:
                doubt = True
                self.load.breaks[kind] += 1
                time.sleep(0.02)
                continue
            if answer.status == 503 and self.load.may_refuse and not path.startswith("/worker/"):
                if not answer.headers.get("retry-after", "").isdigit():
                    self.load.problem(f"{self.name}: 503 without Retry-After: {method} {path}")
                self.pending = pending if doubt else None
                self.load.refused += 1
                time.sleep(0.1)
                continue
            break
        self.pending = None
        if answer.status not in accept and not (doubt and answer.status in after_doubt):
            self.load.problem(f"{self.name}: {method} {path}: {answer!r}")
            raise Stop
        self.acks += 1
        self.load.acks[kind] += 1
        return answer

    def change(self, kind, record, changes, method, path, body, logs=(), **kw):
        """A request that changes a record."""
        answer = self.do(kind, method, path, body, pending=(record, changes, logs), **kw)
        self.load.apply(record, changes, logs)
        return answer


class WorkerActor(Actor):
    """Registers, then asks for tasks and reports on them, as a Worker does."""

    def __init__(self, load, name):
        super().__init__(load, name)
        self.id = None

    def step(self):
        if self.id is None:
            self.register(["misc"], "awake")
        answer = self.do("ask", "POST", "/worker/task", pending=(None, {"asks": self.id}, ()))
        if answer.status == 204:
            return
        task = answer.json()
        record = self.load.assigned(task, self.id)
        if record is None:
            self.load.problem(f"{self.name} got task {task['uuid']}, which was done before")
            raise Stop
        self.work(task, record)

    def register(self, types, status):
        name = f"{self.name}-{self._lines}"
        self._lines += 1
        body = {"name": name, "platform": "linux", "secret": "s3cret", "supported_task_types": types}
        self.load.maybe_workers.add(name)
        self.link.headers = []
        self.id = self.do("register", "POST", "/worker/register-worker", body).json()["uuid"]
        self.link.close()
        self.link = Link(self.load.manager.port, (self.id, "s3cret"))
        self.record = self.load.add(Record(("worker", self.id), status=""))
        body = {"name": name, "supported_task_types": types, "software_version": "3.9"}
        self.change("sign-on", self.record, {"status": "starting"}, "POST", "/worker/sign-on", body)
        self.change("state", self.record, {"status": status}, "POST", "/worker/state-changed", {"status": status})

    def work(self, task, record):
        path = f"/worker/task/{task['uuid']}"
        for part in range(self.rng.randint(0, 2)):
            activity, steps = self.line("renders"), self.rng.randint(0, TASK_STEPS)
            log = [self.line("log") for _ in range(self.rng.randint(1, 8))]
            body = {"activity": activity, "steps_completed": steps, "log": "".join(line + "\n" for line in log)}
            self.change("update", record, {"activity": activity, "steps": steps}, "POST", path, body, log)
            if part == 0 and self.rng.random() < 0.3:
                may = self.do("may-i-run", "GET", path + "/may-i-run").json()
                if not may["mayKeepRunning"]:
                    self.load.problem(f"{self.name} may not go on: {may}")
        activity, log = self.line("ends"), [self.line("end")]
        body = {"activity": activity, "steps_completed": TASK_STEPS, "log": log[0] + "\n"}
        if self.rng.random() < self.load.fail_rate:
            body["taskStatus"] = "failed"
            changes = {"status": "soft-failed", "steps": TASK_STEPS, "worker": None, "activity": None}
            self.do("fail", "POST", path, body, pending=(record, changes, ()), after_doubt=(409,))
            self.load.failed(record, changes, self.id)
        else:
            body["taskStatus"] = "completed"
            changes = {"status": "completed", "activity": activity, "steps": TASK_STEPS}
            self.change("complete", record, changes, "POST", path, body, log)


class LifeActor(WorkerActor):
    """Workers that come and go, and never work."""

    def step(self):
        if self.id is None or self.rng.random() < 0.1:
            self.register(["none"], "asleep")
        status = self.rng.choice(["awake", "asleep", "sign-off"])
        if status == "sign-off":
            self.change("sign-off", self.record, {"status": "offline"}, "POST", "/worker/sign-off", None)
        else:
            self.change("state", self.record, {"status": status}, "POST", "/worker/state-changed", {"status": status})


class ArtistActor(Actor):
    """Submits work for the Workers, and jobs that nobody works on, whose status and priority it changes."""

    def __init__(self, load, name):
        super().__init__(load, name)
        self.idle = []

    def step(self):
        if self.load.backlog() < 4 * self.load.n_workers:
            self.submit("misc", self.rng.randint(5, 40))
        elif len(self.idle) < 6 or (len(self.idle) < 25 and self.rng.random() < 0.2):
            sizes = (1, 7, 60, BIG) if self.load.big_jobs else (1, 7, 60)
            self.idle.append(self.submit("nobody", self.rng.choice(sizes)))
        else:
            self.alter(self.rng.choice(self.idle))

    def submit(self, lane, n):
        name = self.line(lane)
        body = {"name": name, "type": "frames", "type_etag": ETAG, "submitter_platform": "linux", "priority": 50,
                "settings": {"frames": f"1-{n}", "task_type": lane}, "metadata": {"project": "faults"}}
        self.load.maybe_jobs[name] = n
        job = self.do("submit", "POST", "/jobs", body, recover=lambda: self.find(name)).json()
        return self.load.submitted(Record(("job", job["id"]), lane=lane, n=n, name=name, status="queued", priority=50,
                                          tasks="queued"))

    def find(self, name):
        """The job of that name, as the answer to its submission; None when there is none."""
        answer = self.do("look", "GET", "/jobs")
        for job in answer.json()["jobs"]:
            if job["name"] == name:
                return self.do("look", "GET", f"/jobs/{job['id']}")
        return None

    def alter(self, record):
        path = f"/jobs/{record.key[1]}"
        if self.rng.random() < 0.5:
            priority = self.rng.randint(0, 100)
            self.change("priority", record, {"priority": priority}, "POST", path + "/setpriority", {"priority": priority})
            return
        status, then, tasks = {"queued": ("cancel-requested", "canceled", "canceled"),
                               "canceled": ("requeueing", "queued", "queued")}[record.fields["status"]]
        self.change(f"job {then}", record, {"status": then, "tasks": tasks}, "POST", path + "/setstatus",
                    {"status": status, "reason": "test"})


class Load:
    """gate: clients whose connection breaks wait until open_gate(). may_refuse: the API may answer 503 to people."""

    def __init__(self, manager, seed, *, workers=6, artists=2, lives=1, may_refuse=False, fail_rate=0.03, big_jobs=True,
                 check_logs=True):
        self.manager, self.seed, self.may_refuse, self.fail_rate = manager, seed, may_refuse, fail_rate
        self.n_workers, self.big_jobs, self.check_logs = workers, big_jobs, check_logs
        self.lock = threading.Lock()
        self.records, self.dirty = {}, set()
        self.maybe_jobs, self.maybe_workers, self.failed_by = {}, set(), collections.defaultdict(set)
        self.acks, self.breaks, self.problems = collections.Counter(), collections.Counter(), []
        self.refused = self._submitted = self._done = 0
        self.checked = 0  # states that were compared
        self._gate, self._open, self._stopping = threading.Condition(), True, False
        self.actors = [WorkerActor(self, f"worker{i}") for i in range(workers)]
        self.actors += [ArtistActor(self, f"artist{i}") for i in range(artists)]
        self.actors += [LifeActor(self, f"life{i}") for i in range(lives)]

    def start(self):
        for actor in self.actors:
            actor.start()
        return self

    def total(self):
        return sum(self.acks.values())

    def problem(self, text):
        self.problems.append(text)

    def assert_no_problem(self):
        assert not self.problems, "\n".join(self.problems[:20])

    def wait_acks(self, more, timeout=30, each=False):
        """Waits for `more` further acknowledged replies, of every client when `each`."""
        until = time.monotonic() + timeout
        before = {actor: actor.acks for actor in self.actors}
        while True:
            gains = [actor.acks - before[actor] for actor in self.actors]
            if (min(gains) if each else sum(gains)) >= more:
                return
            self.assert_no_problem()
            assert time.monotonic() < until, f"the clients do not go on: {[(a.name, g) for a, g in zip(self.actors, gains)]}"
            time.sleep(0.01)

    # ---- Gate ---------------------------------------------------------------------------------------------------------

    def pass_gate(self, actor):
        with self._gate:
            while not self._open and not self._stopping:
                actor.at_gate = True
                self._gate.notify_all()
                self._gate.wait()
            actor.at_gate = False
            if self._stopping:
                raise Stop

    def close_gate(self, timeout=60):
        """Lets no further request out, and waits until all that are under way have ended one way or another."""
        with self._gate:
            self._open = False
            arrived = self._gate.wait_for(lambda: all(a.at_gate or not a.is_alive() for a in self.actors), timeout)
        assert arrived, f"requests without an end: {[a.name for a in self.actors if not a.at_gate]}"

    def open_gate(self):
        with self._gate:
            self._open = True
            self._gate.notify_all()

    def stop(self):
        with self._gate:
            self._stopping = True
            self._gate.notify_all()
        for actor in self.actors:
            actor.join(90)
            assert not actor.is_alive(), f"{actor.name} hangs"

    # ---- Notes --------------------------------------------------------------------------------------------------------

    def add(self, record):
        with self.lock:
            self.records[record.key] = record
            self.dirty.add(record)
        return record

    def apply(self, record, changes, logs=()):
        with self.lock:
            record.fields.update(changes)
            record.logs.extend(logs)
            self.dirty.add(record)
            self._done += record.key[0] == "task" and changes.get("status") == "completed"

    def submitted(self, record):
        with self.lock:
            self._submitted += record.fields["n"] if record.fields["lane"] == "misc" else 0
        return self.add(record)

    def backlog(self):
        return self._submitted - self._done

    def assigned(self, task, worker):
        """Notes that a worker got a task. None when that must not be, since the task was completed."""
        key = ("task", task["uuid"])
        with self.lock:
            record = self.records.get(key)
            if record is None:
                record = self.records[key] = Record(key, job=task["job"], activity=None, steps=None)
            elif record.fields["status"] == "completed":
                return None
            if record.fields.get("worker") != worker:  # the one before may not have heard yet that its report arrived
                record.fields.update(activity=None, steps=None)
            record.fields.update(status="active", worker=worker)
            self.dirty.add(record)
        return record

    def failed(self, record, changes, worker):
        with self.lock:
            self.failed_by[record.key].add(worker)
            if record.fields["worker"] == worker:  # nobody else has it yet
                record.fields.update(changes)
            self.dirty.add(record)

    def summary(self):
        acks = ", ".join(f"{n} {kind}" for kind, n in sorted(self.acks.items()))
        return f"{self.total()} acknowledged ({acks}); {sum(self.breaks.values())} broken, {self.refused} refused with 503"
