# SPDX-License-Identifier: Apache-2.0
"""Registration, sign-on and -off, status, may-i-run (api-behaviour 7.2; state-and-scheduling 9)."""
import pytest
from harness.check import assert_empty, assert_error, assert_uuid, parse_time
from harness.events import shape
from harness.openapi import assert_schema

ALL_STATUSES = ("starting", "awake", "asleep", "error", "testing", "offline", "restart")


# ---- Registration -------------------------------------------------------------------------------------------------------

def register(api, headers=None, **fields):
    body = {"name": "node", "platform": "linux", "secret": "s", "supported_task_types": ["blender"], **fields}
    return api.ok("POST", "/worker/register-worker", json=body, headers=headers)


def test_registration_reply_and_row(farm):
    events = farm.events()
    row = register(farm.api, name=" Node A ", platform="LiNuX ", supported_task_types=["Blender", " x "])
    assert_uuid(row.pop("uuid"), 4)
    assert row == {"name": " Node A ", "address": "127.0.0.1", "status": "", "platform": "LiNuX ", "software": "",
                   "supported_task_types": ["Blender", " x "]}
    assert events.take() == []


def test_registered_worker_is_listed_without_last_seen(farm):
    worker = farm.register(name="fresh", platform="darwin")
    row = worker.row()
    assert row == {"id": worker.id, "name": "fresh", "status": "", "version": "", "can_restart": False,
                   "ip_address": "127.0.0.1", "platform": "darwin",
                   "supported_task_types": ["blender", "ffmpeg", "file-management", "misc"]}


@pytest.mark.parametrize("types, reply, fetched", [
    ([], [""], []),
    (["a,b", " C "], ["a", "b", " C "], ["a", "b", " C "]),
    (["a", "a"], ["a", "a"], ["a", "a"]),
])
def test_task_types_are_joined_and_split_again(farm, types, reply, fetched):
    row = register(farm.api, supported_task_types=types)
    assert row["supported_task_types"] in (reply, fetched)  # decisions: [""] is no use to anybody
    assert farm.api.ok("GET", f"/worker-mgt/workers/{row['uuid']}")["supported_task_types"] == fetched


@pytest.mark.parametrize("headers, address", [
    ({"X-Forwarded-For": "10.0.0.7, 10.0.0.8"}, "10.0.0.7"),
    ({"X-Real-Ip": "10.0.0.9"}, "10.0.0.9"),
    ({"X-Forwarded-For": "fd00::1"}, "fd00::1"),
    ({"X-Forwarded-For": "10.0.0.7", "X-Real-Ip": "10.0.0.9"}, "10.0.0.7"),
])
def test_address_behind_a_proxy(api, headers, address):
    assert register(api, headers)["address"] == address


def test_each_registration_makes_another_worker(farm):
    first, second = register(farm.api, name="twin"), register(farm.api, name="twin")
    assert first["uuid"] != second["uuid"]
    ids = [w["id"] for w in farm.api.ok("GET", "/worker-mgt/workers")["workers"]]
    assert ids.index(first["uuid"]) < ids.index(second["uuid"])


# ---- Sign-on ------------------------------------------------------------------------------------------------------------

def test_sign_on_stores_everything(farm):
    worker = farm.register(types=["old"])
    events = farm.events()
    assert worker.sign_on([" Blender ", "FFmpeg"], name="new name", can_restart=True, software="3.9") == "awake"
    row = worker.row()
    assert row["name"] == "new name" and row["version"] == "3.9" and row["can_restart"] is True
    assert row["status"] == "starting" and row["supported_task_types"] == ["blender", "ffmpeg"]
    assert "status_change" not in row
    parse_time(row["last_seen"])
    assert shape(events.take()) == [("worker", None, "starting")]
    assert worker.sign_on(["x"]) == "awake"
    assert worker.row()["can_restart"] is False
    assert shape(events.take()) == [("worker", "starting", "starting")]


@pytest.mark.parametrize("types, stored", [([], []), (["a,b"], ["a", "b"]), (["  A  "], ["a"])])
def test_sign_on_types(farm, types, stored):
    worker = farm.register()
    worker.sign_on(types)
    assert worker.row()["supported_task_types"] == stored


def test_sign_on_keeps_requested_status_and_tasks(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}])
    task = worker.get_task()
    assert worker.sign_on([lane]) == "awake"
    assert farm.letters(job["id"]) == "A"
    worker.state_changed("awake")
    assert worker.get_task()["uuid"] == task["uuid"]
    worker.state_changed("asleep").sign_off()
    assert worker.sign_on([lane]) == "asleep"
    assert worker.row()["status_change"] == {"status": "asleep", "is_lazy": False}


# ---- Sign-off -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("before, requested", [
    ("awake", "awake"), ("asleep", "asleep"), ("starting", None), ("error", None), ("testing", None), ("offline", None),
    ("restart", None), ("", None),
])
def test_sign_off_remembers_awake_and_asleep(farm, before, requested):
    worker = farm.worker(status=before)
    events = farm.events()
    assert_empty(worker.api.post("/worker/sign-off"))
    row = worker.row()
    assert row["status"] == "offline"
    assert row.get("status_change") == ({"status": requested, "is_lazy": False} if requested else None)
    event = events.take()
    assert shape(event) == [("worker", before if before else event[0]["payload"].get("previous_status"), "offline")]
    assert event[0]["payload"].get("status_change") == row.get("status_change")
    assert worker.sign_on() == (requested or "awake")


def test_sign_off_ignores_its_body(farm):
    worker = farm.worker()
    assert_empty(worker.api.call("POST", "/worker/sign-off", data=b"\xff{", headers={"Content-Type": "x/y"}))


def test_second_sign_off_keeps_the_request(farm):
    worker = farm.worker()
    worker.sign_off().sign_off()
    assert worker.row()["status_change"] == {"status": "awake", "is_lazy": False}


@pytest.mark.parametrize("before, expected", [("awake", "Q"), ("asleep", "Q"), ("error", "Q")])
def test_sign_off_returns_active_tasks(farm, lane, before, expected):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}])
    task = worker.get_task()
    worker.update(task["uuid"], steps_completed=1)
    events = farm.events()
    if before != "awake":
        worker.state_changed(before)
    worker.sign_off()
    assert farm.letters(job["id"]) == expected
    assert farm.tasks(job["id"])[0]["steps_completed"] == 0
    assert farm.task(task["uuid"])["activity"]
    seen = shape(events.take("task", "worker"))
    assert seen[0] == ("task", "active", "queued") and seen[-1] == ("worker", before, "offline")
    farm.put_away(job["id"])


# ---- Status changes ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("status", ALL_STATUSES)
def test_any_status_is_accepted(farm, status):
    worker = farm.worker(status="starting")
    events = farm.events()
    assert_empty(worker.api.post("/worker/state-changed", {"status": status}))
    assert worker.status == status
    assert shape(events.take()) == [("worker", "starting", status)]


def test_same_status_is_told_again(farm):
    worker = farm.worker()
    events = farm.events()
    worker.state_changed("awake")
    assert shape(events.take()) == [("worker", "awake", "awake")]


@pytest.mark.parametrize("remembered, reported, left", [
    ("asleep", "starting", "asleep"),  # a request stays until it is obeyed
    ("asleep", "asleep", None),
    ("asleep", "awake", "asleep"),
    ("awake", "awake", None),
    ("awake", "error", "awake"),
])
def test_request_is_cleared_when_it_is_obeyed(farm, remembered, reported, left):
    worker = farm.worker(status=remembered)
    worker.sign_off()
    events = farm.events()
    worker.state_changed(reported)
    change = {"status": left, "is_lazy": False} if left else None
    assert worker.row().get("status_change") == change
    assert events.take()[0]["payload"].get("status_change") == change


@pytest.mark.parametrize("status, returned", [("asleep", True), ("error", True), ("offline", True), ("starting", True),
                                              ("testing", True), ("awake", False)])
def test_leaving_awake_returns_active_tasks(farm, lane, status, returned):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}])
    worker.get_task()
    worker.state_changed(status)
    assert farm.letters(job["id"]) == ("Q" if returned else "A")
    farm.put_away(job["id"])


def test_only_leaving_awake_returns_tasks(farm, lane):
    """A worker that signs on anew keeps its task, also when it then reports another status than awake."""
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}])
    worker.get_task()
    worker.sign_on([lane])
    worker.state_changed("asleep")
    assert farm.letters(job["id"]) == "A"
    farm.put_away(job["id"])


# ---- workerState, scheduleTask by status ---------------------------------------------------------------------------------

def test_worker_state(farm):
    worker = farm.worker(status="asleep")
    assert_empty(worker.api.get("/worker/state"))
    worker.sign_off()
    assert worker.api.ok("GET", "/worker/state") == {"status_requested": "asleep"}
    worker.sign_on()
    assert worker.api.ok("GET", "/worker/state") == {"status_requested": "asleep"}
    worker.state_changed("asleep")
    assert_empty(worker.api.get("/worker/state"))


@pytest.mark.parametrize("status", ["", "starting", "asleep", "error", "testing", "offline", "restart"])
def test_only_awake_workers_get_tasks(farm, status):
    worker = farm.worker(status=status)
    if status == "offline":  # as it is after a crash: nothing is requested
        assert "status_change" not in worker.row()
    assert_error(worker.ask(), 409)


@pytest.mark.parametrize("remembered", ["awake", "asleep"])
@pytest.mark.parametrize("status", ["offline", "starting", "error"])
def test_requested_status_wins_over_wrong_status(farm, remembered, status):
    worker = farm.worker(status=remembered)
    worker.sign_off()
    if status != "offline":
        worker.state_changed(status)
    reply = worker.ask()
    assert reply.status_code == 423 and reply.headers["Content-Type"] == "application/json"
    assert reply.json() == {"status_requested": remembered}
    assert_schema("WorkerStateChange", reply.json())


def test_requested_status_wins_over_waiting_tasks(farm, lane):
    worker = farm.worker(types=[lane], status="asleep")
    job = farm.submit([{"type": lane}])
    worker.sign_off().state_changed("awake")
    assert worker.ask().status_code == 423
    assert farm.letters(job["id"]) == "Q"
    farm.put_away(job["id"])


# ---- may-i-run -----------------------------------------------------------------------------------------------------------

def test_may_run_table(farm, lane):
    worker, other = farm.worker(types=[lane]), farm.worker(types=["nothing"])
    job = farm.submit([{"type": lane}, {"type": lane}])
    task_id = worker.get_task()["uuid"]
    waiting = next(t["id"] for t in farm.tasks(job["id"]) if t["id"] != task_id)
    yes = {"mayKeepRunning": True, "reason": "", "statusChangeRequested": False}
    assert worker.may_run(task_id) == yes

    for asker, asked in ((other, task_id), (worker, waiting)):
        answer = asker.may_run(asked)
        assert answer["mayKeepRunning"] is False and answer["statusChangeRequested"] is False and answer["reason"]

    for status in ("canceled", "failed", "completed", "paused", "soft-failed", "queued"):
        farm.set_task_status(task_id, status)
        answer = worker.may_run(task_id)
        assert answer["mayKeepRunning"] is False and status in answer["reason"]
    farm.set_job_status(job["id"], "canceled")
    farm.set_task_status(task_id, "active")
    assert worker.may_run(task_id) == yes  # the job's status is not looked at
    farm.put_away(job["id"])


def test_may_run_with_a_requested_status(farm, lane):
    worker = farm.worker(types=[lane], status="asleep")
    job = farm.submit([{"type": lane}])
    worker.state_changed("awake")
    task_id = worker.get_task()["uuid"]
    # a request that is not lazy: what sign-off remembers, while the task is its again
    worker.sign_off()
    farm.set_task_status(task_id, "active")
    answer = worker.may_run(task_id)
    assert answer["mayKeepRunning"] is False and answer["statusChangeRequested"] is True and answer["reason"]
    farm.put_away(job["id"])


def test_may_run_wants_a_uuid(farm):
    assert_error(farm.worker().api.get("/worker/task/nope/may-i-run"), 400)


# ---- Last seen -----------------------------------------------------------------------------------------------------------

def seen(worker):
    text = worker.row().get("last_seen")
    return parse_time(text) if text else None


def test_what_counts_as_seen(farm, lane):
    worker = farm.worker(types=[lane], status="")
    assert seen(worker) is None
    worker.sign_on([lane])
    last = seen(worker)
    farm.submit([{"type": lane}])
    steps = [
        lambda: worker.state_changed("awake"),
        lambda: worker.api.get("/worker/state"),
        lambda: worker.get_task(),
        lambda: worker.may_run(worker.get_task()["uuid"]),
        lambda: worker.complete(worker.get_task()["uuid"]),
        lambda: worker.ask(),
        lambda: worker.sign_off(),
    ]
    for step in steps:
        step()
        now = seen(worker)
        assert now > last
        last = now


def test_refused_updates_do_not_count_as_seen(farm, lane):
    worker, other = farm.worker(types=[lane]), farm.worker(types=["nothing"])
    job = farm.submit([{"type": lane}])
    task_id = worker.get_task()["uuid"]
    before = seen(other)
    other.update(task_id, 409, activity="x")
    other.update("11111111-2222-4333-8444-555555555555", 404)
    other.may_run("11111111-2222-4333-8444-555555555555")
    assert_error(other.api.post("/worker/task/nope", {}), 400)
    assert seen(other) == before
    other.may_run(task_id)
    assert seen(other) > before
    farm.put_away(job["id"])


# ---- What people see -----------------------------------------------------------------------------------------------------

def test_worker_list_and_detail(farm, lane):
    worker = farm.worker(types=[lane], name="seen by people")
    job = farm.submit([{"type": lane, "name": "first"}])
    rows = farm.api.ok("GET", "/worker-mgt/workers")["workers"]
    summary = next(r for r in rows if r["id"] == worker.id)
    assert set(summary) == {"id", "name", "status", "last_seen", "version", "can_restart"}
    assert_schema("WorkerSummary", summary)
    assert "task" not in worker.row() and "tags" not in worker.row()
    task = worker.get_task()
    shown = worker.row()["task"]
    assert shown["id"] == task["uuid"] and shown["job_id"] == job["id"] and shown["status"] == "active"
    assert shown["worker"] == {"id": worker.id, "name": worker.name, "address": "127.0.0.1"}
    assert_schema("Worker", worker.row())
    worker.complete(task["uuid"])
    assert worker.row()["task"]["status"] == "completed"
    assert [w["id"] for w in farm.api.ok("GET", "/worker-mgt/workers?status=testing")["workers"]] == \
        [r["id"] for r in rows if r["status"] == "testing"]
