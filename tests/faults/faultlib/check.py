# SPDX-License-Identifier: Apache-2.0
"""Compares a load's notes with the manager, through the API, while no client sends anything."""
from .link import Link
from .load import TASK_STEPS


class Checker:
    """everything: all records, not only those that changed since the last check."""

    def __init__(self, load, everything=False):
        self.load, self.everything = load, everything
        self.link = Link(load.manager.port)
        self.problems = []
        self.pending, self.askers = {}, set()
        for actor in load.actors:
            record, changes, logs = actor.pending or (None, {}, ())
            if record is not None:
                self.pending[record] = (changes, logs)
            self.askers |= {changes["asks"]} if "asks" in changes else set()

    def get(self, path):
        answer = self.link.call("GET", path)
        if answer.status != 200:
            self.problems.append(f"GET {path}: {answer!r}")
            return None
        return answer.json()

    def run(self):
        """Gives the problems found."""
        load = self.load
        todo = list(load.records.values()) if self.everything else list(load.dirty)
        self.check_list_of_jobs()
        workers = {w["id"]: w for w in self.get("/worker-mgt/workers")["workers"]}
        for worker in workers.values():
            if ("worker", worker["id"]) not in load.records and worker["name"] not in load.maybe_workers:
                self.problems.append(f"a worker that nobody registered: {worker}")
        jobs = {}
        for record in todo:
            kind = record.key[0]
            if kind == "worker":
                self.compare(record, {"status": workers.get(record.key[1], {}).get("status", "missing")})
            elif kind == "task":
                self.check_task(record)
                jobs[record.fields["job"]] = load.records.get(("job", record.fields["job"]))
            else:
                jobs[record.key[1]] = record
        for job_id, record in jobs.items():
            self.check_job(job_id, record)
        load.checked += len(todo)
        load.dirty = set(self.pending)
        self.link.close()
        return self.problems

    # ---- One thing ----------------------------------------------------------------------------------------------------

    @staticmethod
    def fits(expected, found):
        return all(expected.get(name) is None or expected[name] == value for name, value in found.items())

    def compare(self, record, found):
        """Found must be the acknowledged state, or the one after the request whose fate is unknown."""
        states = [record.fields]
        if record in self.pending:
            states.append({**record.fields, **self.pending[record][0]})
        # What failed may have been handed to one whose question was not answered.
        if any(state.get("status") == "soft-failed" for state in states):
            states += [{**states[-1], "status": "active", "worker": worker} for worker in self.askers]
        if not any(self.fits(state, found) for state in states):
            self.problems.append(f"{record.key}: found {found}, should be {' or '.join(map(str, states))}")

    def check_task(self, record):
        task = self.get(f"/tasks/{record.key[1]}")
        if task is None:
            return
        self.compare(record, {"status": task["status"], "activity": task["activity"], "steps": task["steps_completed"],
                              "worker": task["worker"]["id"]})
        missing = self.load.failed_by[record.key] - {w["id"] for w in task["failed_by_workers"]}
        if missing:
            self.problems.append(f"{record.key}: its failures of workers {missing} are lost")
        self.check_log(record)

    def check_log(self, record):
        if not record.logs or not self.load.check_logs:
            return
        job, task = record.fields["job"], record.key[1]
        file = self.load.manager.storage / f"job-{job[:4]}" / job / f"task-{task}.txt"
        lines = set(file.read_text().splitlines()) if file.exists() else set()
        lost = [line for line in record.logs if line not in lines]
        if lost:
            self.problems.append(f"{record.key}: log lines are lost: {lost[:3]} of {len(record.logs)}")

    def check_job(self, job_id, record):
        job, listed = self.get(f"/jobs/{job_id}"), self.get(f"/jobs/{job_id}/tasks")
        if job is None or listed is None:
            return
        tasks = listed["tasks"]
        statuses = {t["status"] for t in tasks}
        steps = sum(t["steps_completed"] for t in tasks)
        if (job["steps_completed"], job["steps_total"]) != (steps, len(tasks) * TASK_STEPS):
            self.problems.append(f"job {job_id}: {job['steps_completed']} of {job['steps_total']} steps, its tasks have {steps} "
                                 f"of {len(tasks) * TASK_STEPS}")
        n = record.fields["n"] if record else self.load.maybe_jobs.get(job["name"])
        if len(tasks) != n or sorted(t["index_in_job"] for t in tasks) != list(range(1, n + 1)):
            self.problems.append(f"job {job_id}: {len(tasks)} tasks of {n}")
        if record is None or record.fields["lane"] == "misc":
            expected = {"completed"} if statuses == {"completed"} else {"queued", "active"}
            if job["status"] not in expected:
                self.problems.append(f"job {job_id} is {job['status']}, its tasks are {statuses}")
            return
        found = {"name": job["name"], "priority": job["priority"], "status": job["status"],
                 "tasks": statuses.pop() if len(statuses) == 1 else str(sorted(statuses))}
        self.compare(record, found)

    def check_list_of_jobs(self):
        load = self.load
        known = {key[1] for key in load.records if key[0] == "job"}
        names = {load.records["job", key].fields["name"] for key in known}
        listed = {job["id"]: job["name"] for job in self.get("/jobs")["jobs"]}
        if known - set(listed):
            self.problems.append(f"jobs are lost: {known - set(listed)}")
        for job_id in set(listed) - known:
            # One whose submission was not answered may be there, once, and then it is whole.
            if listed[job_id] not in load.maybe_jobs or listed[job_id] in names:
                self.problems.append(f"a job that nobody submitted: {listed[job_id]}")
            names.add(listed[job_id])
            self.check_job(job_id, None)


def check(load, everything=False):
    """Asserts that the manager has what it acknowledged."""
    problems = Checker(load, everything).run()
    load.assert_no_problem()
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems[:20])
