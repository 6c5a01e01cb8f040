# SPDX-License-Identifier: Apache-2.0
"""Events: exact keys of every payload, topics, order (events 1; api-behaviour 6; decisions: sent after the change, with the
values after it)."""
import pytest
from harness.check import parse_time
from harness.events import shape
from harness.http import Background
from harness.openapi import assert_schema

SCHEMAS = {"job": "EventJobUpdate", "task": "EventTaskUpdate", "task_log": "EventTaskLogUpdate", "worker": "EventWorkerUpdate",
           "lifecycle": "EventLifeCycle", "farm_status": "FarmStatusReport"}
NAMES = {"job": "/jobs", "task": "/task", "task_log": "/tasklog", "worker": "/workers"}
JOB = {"id", "name", "priority", "refresh_tasks", "status", "steps_completed", "steps_total", "type", "updated"}
TASK = {"activity", "id", "job_id", "name", "status", "steps_completed", "steps_total", "updated"}
WORKER = {"can_restart", "id", "last_seen", "name", "status", "updated", "version"}


@pytest.fixture(scope="module")
def story(shared_farm):
    """Everything that may happen in the life of a job and a worker, as (what, events)."""
    farm, chapters = shared_farm, []
    events = farm.events()

    def tell(what):
        chapters.append((what, events.take()))

    worker = farm.register(name="narrator")
    tell("register")
    worker.sign_on(["story"], can_restart=True)
    tell("first sign-on")
    worker.state_changed("awake")
    tell("awake")
    job = farm.submit([{"type": "story", "name": "one", "commands": [{"name": "echo", "steps": 3}]}, {"type": "story", "name": "two"}],
                      name="tale", priority=60)
    tell("submit")
    task = worker.get_task()
    tell("schedule")
    worker.update(task["uuid"], steps_completed=2, activity="sample")
    tell("steps")
    worker.update(task["uuid"], activity="alone")
    tell("activity")
    worker.update(task["uuid"], log="a line\n")
    tell("log")
    worker.may_run(task["uuid"])
    worker.api.get("/worker/state")
    tell("questions")
    farm.api.ok("POST", f"/jobs/{job['id']}/setpriority", 204, json={"priority": 73})
    tell("priority")
    worker.complete(task["uuid"])
    tell("complete")
    second = worker.get_task()
    tell("schedule again")
    farm.set_job_status(job["id"], "pause-requested")
    tell("pause")
    worker.sign_off()
    tell("sign-off")
    farm.set_job_status(job["id"], "requeueing")
    tell("requeue")
    farm.set_job_status(job["id"], "cancel-requested")
    tell("cancel")
    farm.set_task_status(second["uuid"], "failed", "by hand")
    tell("set task")
    chapters.append(("rows", {"job": farm.job(job["id"]), "worker": worker.row(), "task": task, "second": second}))
    return dict(chapters)


def test_order_of_everything(story):
    assert {what: shape(got) for what, got in story.items() if what != "rows"} == {
        "register": [],
        "first sign-on": [("worker", None, "starting")],
        "awake": [("worker", "starting", "awake")],
        "submit": [("job", None, "queued", False)],
        "schedule": [("task_log",), ("task_log",), ("task", "queued", "active"), ("job", "queued", "active", False),
                     ("worker", None, "awake")],
        "steps": [("job", None, "active", False), ("task", None, "active")],
        "activity": [],
        "log": [("task_log",)],
        "questions": [],
        "priority": [("job", None, "active", False)],
        "complete": [("task_log",), ("task", "active", "completed")],
        "schedule again": [("task_log",), ("task_log",), ("task", "queued", "active"), ("worker", None, "awake")],
        "pause": [("job", "active", "pause-requested", True)],
        "sign-off": [("task_log",), ("task", "active", "paused"), ("job", "pause-requested", "paused", False), ("task_log",),
                     ("worker", "awake", "offline")],
        "requeue": [("job", "paused", "requeueing", True), ("job", "requeueing", "queued", True)],
        "cancel": [("job", "queued", "cancel-requested", True), ("job", "cancel-requested", "canceled", False)],
        "set task": [("task_log",), ("task", "canceled", "failed"), ("job", "canceled", "failed", True)],
    }


def all_events(story):
    return [e for what, got in story.items() if what != "rows" for e in got]


def test_every_payload_has_exactly_its_keys(story):
    for event in all_events(story):
        payload, kind = event["payload"], event["kind"]
        assert_schema(SCHEMAS[kind], payload)
        assert event["name"] == NAMES[kind]
        optional = {k for k in ("previous_status", "status_change", "worker") if k in payload}
        if kind == "job":
            assert set(payload) - optional == JOB and event["topic"] == "/jobs"
        elif kind == "task":
            assert set(payload) - optional == TASK and event["topic"] == f"/jobs/{payload['job_id']}"
        elif kind == "worker":
            assert set(payload) - optional == WORKER and event["topic"] == "/workers"
        else:
            assert set(payload) == {"log", "task_id"} and event["topic"] == f"/tasklog/{payload['task_id']}"
        assert None not in payload.values()


def test_keys_are_sorted(story):
    for event in all_events(story):
        assert list(event["payload"]) == sorted(event["payload"])


def test_numbers_ascend_without_gaps(story):
    numbers = [e["seq"] for e in all_events(story)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def payload_of(story, what, kind):
    return [e["payload"] for e in story[what] if e["kind"] == kind]


def test_first_sign_on(story):
    (payload,) = payload_of(story, "first sign-on", "worker")
    assert payload["name"] == "narrator" and payload["can_restart"] is True and payload["version"] == "3.9-test"
    assert "previous_status" not in payload and "status_change" not in payload


def test_sign_off_tells_what_is_remembered(story):
    (payload,) = payload_of(story, "sign-off", "worker")
    assert payload["previous_status"] == "awake" and payload["status"] == "offline"
    assert payload["status_change"] == {"status": "awake", "is_lazy": False}


def test_steps(story):
    (job,), (task,) = payload_of(story, "steps", "job"), payload_of(story, "steps", "task")
    assert (job["steps_completed"], job["steps_total"]) == (2, 4)
    assert (task["steps_completed"], task["steps_total"]) == (2, 3)
    assert task["activity"] == "sample" and task["worker"]["name"] == "narrator"


def test_priority(story):
    (payload,) = payload_of(story, "priority", "job")
    assert payload["priority"] == 73 and payload["name"] == "tale" and payload["type"] == "graph"


def test_values_are_those_after_the_change(story):
    rows = story["rows"]
    (last,) = payload_of(story, "set task", "job")
    assert last["updated"] == rows["job"]["updated"] and last["status"] == rows["job"]["status"]
    (worker,) = payload_of(story, "sign-off", "worker")
    assert worker["updated"] == worker["last_seen"] or parse_time(worker["updated"]) >= parse_time(worker["last_seen"])
    assert worker["last_seen"] == rows["worker"]["last_seen"]
    moments = [parse_time(e["payload"]["updated"]) for e in all_events(story) if e["kind"] == "job"]
    assert moments == sorted(moments)


def test_same_status_is_no_event_for_jobs_and_one_for_workers(farm):
    worker = farm.worker(status="asleep")
    job = farm.submit([], initial_status="paused")
    events = farm.events()
    farm.set_job_status(job["id"], "paused")
    assert events.take() == []
    worker.state_changed("asleep")
    assert shape(events.take()) == [("worker", "asleep", "asleep")]


def test_refused_requests_tell_nothing(farm, lane):
    worker = farm.worker(types=[lane])
    events = farm.events()
    farm.api.post("/jobs", farm.submission([], type="no-such-type"))
    farm.api.post("/jobs", {"name": 5})
    farm.api.post("/worker/sign-on", {}, auth=("x", "y"))
    worker.api.post("/worker/state-changed", {"status": "?"})
    worker.ask()
    farm.api.get("/jobs")
    assert events.take() == []


def test_order_of_causes_under_parallel_load(farm, lane):
    """Per task: queued, active, completed; per job: the completion behind that of its last task. Whatever else happens."""
    workers = [farm.worker(types=[lane]) for _ in range(6)]
    jobs = [farm.submit([{"type": lane}] * 8) for _ in range(6)]
    events = farm.events()

    def work(worker):
        while (task := worker.get_task()) is not None:
            worker.update(task["uuid"], activity="x", log="y\n", steps_completed=1)
            worker.complete(task["uuid"])

    for call in [Background(work, w) for w in workers]:
        call.result(60)
    got = events.take()
    assert [e["seq"] for e in got] == list(range(got[0]["seq"], got[0]["seq"] + len(got)))
    for job in jobs:
        tasks, statuses = {}, []
        for event in got:
            payload = event["payload"]
            if event["kind"] == "task" and payload["job_id"] == job["id"] and "previous_status" in payload:
                before = tasks.get(payload["id"], "queued")
                assert payload["previous_status"] == before
                tasks[payload["id"]] = payload["status"]
            elif event["kind"] == "job" and payload["id"] == job["id"] and "previous_status" in payload:
                statuses.append(payload["status"])
                if payload["status"] == "completed":
                    assert len(tasks) == 8 and set(tasks.values()) == {"completed"}
        assert statuses == ["active", "completed"]
    assert all(farm.job(j["id"])["status"] == "completed" for j in jobs)
