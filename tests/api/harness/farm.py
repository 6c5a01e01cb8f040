# SPDX-License-Identifier: Apache-2.0
"""Plays artists and Workers: submits jobs, registers Workers, runs their tasks."""
import itertools
import json
from pathlib import Path

from .check import assert_uuid
from .events import Events
from .http import Api

GRAPH = (Path(__file__).resolve().parents[1] / "scripts" / "graph.js").read_text()
ALL_TYPES = ("blender", "ffmpeg", "file-management", "misc")
_numbers = itertools.count(1)


class Worker:
    def __init__(self, farm, uuid, secret, name):
        self.farm, self.id, self.secret, self.name = farm, uuid, secret, name
        self.api = farm.api.clone((uuid, secret))

    # ---- What a Worker says ----

    def sign_on(self, types=ALL_TYPES, name=None, can_restart=None, software="3.9-test"):
        body = {"name": name or self.name, "supported_task_types": list(types), "software_version": software}
        if can_restart is not None:
            body["can_restart"] = can_restart
        return self.api.ok("POST", "/worker/sign-on", json=body)["status_requested"]

    def state_changed(self, status):
        self.api.ok("POST", "/worker/state-changed", 204, json={"status": status})
        return self

    def sign_off(self):
        self.api.ok("POST", "/worker/sign-off", 204)
        return self

    def ask(self, **kw):
        """The raw reply of a request for a task."""
        return self.api.post("/worker/task", **kw)

    def get_task(self):
        """The task that it is given; None for 204."""
        reply = self.ask()
        assert reply.status_code in (200, 204), f"{reply.status_code} {reply.text}"
        return reply.json() if reply.status_code == 200 else None

    def update(self, task_id, expect=204, **fields):
        reply = self.api.post(f"/worker/task/{task_id}", json=fields)
        assert reply.status_code == expect, f"{reply.status_code} {reply.text}"
        return reply

    def complete(self, task_id):
        self.update(task_id, taskStatus="completed", activity="done")

    def fail(self, task_id):
        self.update(task_id, taskStatus="failed", activity="broken")

    def may_run(self, task_id):
        return self.api.ok("GET", f"/worker/task/{task_id}/may-i-run")

    # ---- What people see of it ----

    def row(self):
        return self.farm.api.ok("GET", f"/worker-mgt/workers/{self.id}")

    @property
    def status(self):
        return self.row()["status"]


class Farm:
    """A running manager, seen from outside."""

    def __init__(self, manager):
        self.manager = manager
        self.api = Api(manager.url)

    @property
    def port(self):
        return self.manager.port

    def events(self):
        return Events(self.api)

    # ---- Workers ----

    def register(self, name=None, platform="linux", types=ALL_TYPES, secret="s3cret"):
        name = name or f"worker-{next(_numbers)}"
        body = {"name": name, "platform": platform, "secret": secret, "supported_task_types": list(types)}
        row = self.api.ok("POST", "/worker/register-worker", json=body)
        assert_uuid(row["uuid"], 4)
        return Worker(self, row["uuid"], secret, name)

    def worker(self, name=None, status="awake", types=ALL_TYPES, **kw):
        """A Worker in that status; "" = registered only."""
        worker = self.register(name, types=types, **kw)
        if status:
            worker.sign_on(types)
            if status != "starting":
                worker.state_changed(status)
        return worker

    # ---- Jobs ----

    def submission(self, tasks=None, **fields):
        """The body of a submission; `tasks` is a list as graph.js wants it, or a number of plain ones."""
        settings = {"count": tasks} if isinstance(tasks, int) else {"tasks": tasks if tasks is not None else [{}]}
        body = {"name": f"job {next(_numbers)}", "type": "graph", "submitter_platform": "linux", "priority": 50,
                "settings": settings}
        body.update(fields)
        return body

    def submit(self, tasks=None, **fields):
        return self.api.ok("POST", "/jobs", json=self.submission(tasks, **fields))

    def job(self, job_id):
        return self.api.ok("GET", f"/jobs/{job_id}")

    def tasks(self, job_id):
        return self.api.ok("GET", f"/jobs/{job_id}/tasks")["tasks"]

    def task(self, task_id):
        return self.api.ok("GET", f"/tasks/{task_id}")

    def letters(self, job_id):
        """Statuses of a job's tasks in short, in order: A, C, F, P, Q, S or X (state-and-scheduling, conventions)."""
        letter = {"active": "A", "completed": "C", "failed": "F", "paused": "P", "queued": "Q", "soft-failed": "S",
                  "canceled": "X"}
        return "".join(letter[t["status"]] for t in self.tasks(job_id))

    def set_job_status(self, job_id, status, reason="test"):
        self.api.ok("POST", f"/jobs/{job_id}/setstatus", 204, json={"status": status, "reason": reason})

    def set_task_status(self, task_id, status, reason="test"):
        self.api.ok("POST", f"/tasks/{task_id}/setstatus", 204, json={"status": status, "reason": reason})

    def put_away(self, *job_ids):
        """Cancels what a test leaves behind, so that no other test's worker gets it."""
        for job_id in job_ids:
            self.set_job_status(job_id, "cancel-requested")

    def log_file(self, job_id, task_id):
        return self.manager.storage / f"job-{job_id[:4]}" / job_id / f"task-{task_id}.txt"

    # ---- Hand-set clock ----

    def clock(self, **change):
        return self.api.ok("POST", "//test/clock", json=change) if change else self.api.ok("GET", "//test/clock")

    def advance(self, text):
        return self.clock(advance=text)

    def dump(self, value):
        return json.dumps(value, indent=1)
