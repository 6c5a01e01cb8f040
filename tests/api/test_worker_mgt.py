# SPDX-License-Identifier: Apache-2.0
"""What people do to Workers: asking for another status, deleting (api-behaviour 7.4; state-and-scheduling 9.3; decisions:
events have the true values). Tags have a file of their own."""
import json

import pytest
from harness.check import UNKNOWN, assert_empty, assert_error, parse_time
from harness.events import shape
from harness.parked import Ask


def request(worker, status, lazy=False, expect=204):
    reply = worker.farm.api.post(f"/worker-mgt/workers/{worker.id}/setstatus", {"status": status, "is_lazy": lazy})
    assert reply.status_code == expect, f"{reply.status_code} {reply.text}"
    return reply


def delete(worker):
    return worker.farm.api.delete(f"/worker-mgt/workers/{worker.id}")


def change(status, lazy=False):
    return {"status": status, "is_lazy": lazy}


# ---- Requested status -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("current, earlier, asked, pending", [
    ("awake", None, ("asleep", True), change("asleep", True)),
    ("awake", ("asleep", True), ("awake", True), None),
    ("awake", ("asleep", True), ("awake", False), None),
    ("awake", ("asleep", True), ("asleep", False), change("asleep")),
    ("awake", ("asleep", False), ("asleep", True), change("asleep", True)),
    ("awake", ("asleep", False), ("offline", False), change("offline")),
    ("offline", None, ("awake", False), change("awake")),
    ("", None, ("asleep", False), change("asleep")),
    ("error", None, ("awake", False), change("awake")),
    ("asleep", None, ("starting", True), change("starting", True)),  # nobody asks whether it makes sense
    ("asleep", None, ("testing", False), change("testing")),
    ("asleep", None, ("error", False), change("error")),
])
def test_request_table(farm, current, earlier, asked, pending):
    worker = farm.worker(status=current)
    if earlier:
        request(worker, *earlier)
    events = farm.events()
    assert_empty(request(worker, *asked))
    row = worker.row()
    assert row["status"] == current and row.get("status_change") == pending
    got = events.take()
    assert shape(got) == [("worker", None, current)]
    assert got[0]["payload"].get("status_change") == pending
    assert "deleted_at" not in got[0]["payload"]


def test_event_of_a_request_has_the_true_values(farm):
    worker = farm.worker()
    worker.sign_on(can_restart=True)
    worker.state_changed("awake")
    events = farm.events()
    request(worker, "restart", True)
    row = worker.row()
    assert events.take()[0]["payload"] == {
        "can_restart": True, "id": worker.id, "last_seen": row["last_seen"], "name": worker.name, "status": "awake",
        "status_change": change("restart", True), "updated": events_time(row), "version": "3.9-test"}


def events_time(row):
    """The row's `updated` is not in the reply; it is the time of the request, later than the last-seen time."""
    class AtOrAfter(str):
        def __eq__(self, other):
            return parse_time(other) >= parse_time(self)
        __hash__ = str.__hash__
    return AtOrAfter(row["last_seen"])


@pytest.mark.parametrize("can_restart, expect", [(True, 204), (False, 412), (None, 412)])
def test_restart_needs_a_worker_that_can(farm, can_restart, expect):
    worker = farm.worker()
    worker.sign_on(can_restart=can_restart)
    request(worker, "asleep", True)
    events = farm.events()
    reply = request(worker, "restart", expect=expect)
    if expect == 412:
        assert worker.name in assert_error(reply, 412)
        assert events.take() == []
    assert worker.row()["status_change"] == (change("restart") if expect == 204 else change("asleep", True))


def test_requests_are_refused_in_this_order(farm):
    worker = farm.worker()
    path = "/worker-mgt/workers/{}/setstatus"
    good = {"status": "awake", "is_lazy": False}
    assert_error(farm.api.post(path.format("nope"), good), 400)
    assert_error(farm.api.post(path.format(UNKNOWN), good), 404)
    assert_error(farm.api.post(path.format(UNKNOWN), {"status": "awake"}), 400)
    assert_error(farm.api.post(path.format(worker.id), {"status": "", "is_lazy": False}), 400)
    delete(worker)
    assert_error(farm.api.post(path.format(worker.id), good), 404)


@pytest.mark.parametrize("lazy", [True, False])
def test_worker_hears_of_a_request(farm, lane, lazy):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}, {"type": lane}])
    task = worker.get_task()
    request(worker, "asleep", lazy)
    # the running task goes on when the request is lazy
    answer = worker.may_run(task["uuid"])
    assert (answer["mayKeepRunning"], answer["statusChangeRequested"]) == (lazy, not lazy)
    assert farm.letters(job["id"]) == "AQ"  # nothing is returned before the worker obeys
    if lazy:
        worker.complete(task["uuid"])
    reply = worker.ask()
    assert reply.status_code == 423 and reply.json() == {"status_requested": "asleep"}
    assert worker.api.ok("GET", "/worker/state") == {"status_requested": "asleep"}
    worker.state_changed("asleep")
    assert "status_change" not in worker.row()
    assert farm.letters(job["id"]) == ("CQ" if lazy else "QQ")
    request(worker, "awake")
    assert worker.api.ok("GET", "/worker/state") == {"status_requested": "awake"}
    worker.state_changed("awake")
    assert worker.get_task() is not None
    farm.put_away(job["id"])


def test_request_to_an_offline_worker_waits_for_its_sign_on(farm):
    worker = farm.worker(status="offline")
    request(worker, "asleep")
    assert worker.sign_on() == "asleep"
    request(worker, "offline")
    assert worker.sign_on() == "offline"
    worker.sign_off()
    assert "status_change" not in worker.row()


def test_worker_in_error_is_called_back(farm):
    worker = farm.worker(status="error")
    assert_error(worker.ask(), 409)
    request(worker, "awake")
    assert worker.ask().status_code == 423
    worker.state_changed("awake")
    assert worker.get_task() is None


@pytest.mark.parametrize("path, method", [("/api/v3/worker/task", "POST"), ("/api/v3/worker/state", "GET")])
def test_request_ends_the_wait_of_the_worker(parked_farm, lane, path, method):
    worker = parked_farm.worker(types=[lane])
    with Ask(worker, path, method) as ask:
        request(worker, "asleep", True)
        reply = ask.read()
        assert reply.status == (423 if "task" in path else 200)
        assert json.loads(reply.body) == {"status_requested": "asleep"}
        # a request that is taken back is no news worth an answer: the next question waits again
        request(worker, "awake")
    with Ask(worker, path, method) as ask:
        pass


# ---- Deletion -------------------------------------------------------------------------------------------------------------

def test_deleted_worker_is_gone(farm):
    worker = farm.worker(name="to be deleted")
    request(worker, "asleep", True)
    before = worker.row()
    events = farm.events()
    assert_empty(delete(worker))
    got = events.take()
    assert shape(got) == [("worker", None, "awake")]
    payload = got[0]["payload"]
    assert parse_time(payload.pop("deleted_at")) >= parse_time(before["last_seen"])
    assert payload.pop("updated")
    assert payload == {"can_restart": False, "id": worker.id, "last_seen": before["last_seen"], "name": "to be deleted",
                       "status": "awake", "status_change": change("asleep", True), "version": "3.9-test"}
    assert worker.id not in [w["id"] for w in farm.api.ok("GET", "/worker-mgt/workers")["workers"]]
    assert_error(farm.api.get(f"/worker-mgt/workers/{worker.id}"), 404)
    assert_error(delete(worker), 404)
    assert events.take() == []


def test_credentials_of_a_deleted_worker_stop_working(farm):
    worker = farm.worker()
    assert worker.ask().status_code == 204
    delete(worker)
    assert_error(worker.ask(), 403)
    assert_error(worker.api.post("/worker/sign-on", {"name": "x", "supported_task_types": [], "software_version": "1"}), 403)
    assert_error(worker.api.post("/worker/sign-off"), 403)


def test_deletion_is_refused_for_bad_and_unknown_ids(farm):
    assert_error(farm.api.delete("/worker-mgt/workers/nope"), 400)
    assert_error(farm.api.delete(f"/worker-mgt/workers/{UNKNOWN}"), 404)


def test_deletion_returns_active_tasks(farm, lane):
    worker, other = farm.worker(types=[lane]), farm.worker(types=[lane])
    job = farm.submit([{"type": lane}, {"type": lane}])
    done = worker.get_task()
    worker.complete(done["uuid"])
    task = worker.get_task()
    events = farm.events()
    delete(worker)
    assert shape(events.take("job", "task", "worker")) == [("task", "active", "queued"), ("worker", None, "awake")]
    assert sorted(farm.letters(job["id"])) == ["C", "Q"]
    assert "deleted" in farm.task(task["uuid"])["activity"]
    # history keeps the worker's id alone
    assert farm.task(done["uuid"])["worker"] == {"id": worker.id, "name": "", "address": ""}
    assert other.get_task()["uuid"] == task["uuid"]
    farm.put_away(job["id"])


def test_deleted_worker_stays_on_failure_list_and_blocklist(farm, lane):
    worker, _ = farm.worker(types=[lane]), farm.worker(types=[lane])
    job = farm.submit([{"type": lane}] * 3 + [{"type": lane + "-ballast"}] * 40)
    failed = []
    for _ in range(3):
        failed.append(worker.get_task()["uuid"])
        worker.fail(failed[-1])
    delete(worker)
    assert [e["worker_name"] for e in farm.api.ok("GET", f"/jobs/{job['id']}/blocklist")] == [worker.name]
    assert [w["id"] for w in farm.task(failed[0])["failed_by_workers"]] == [worker.id]
    farm.put_away(job["id"])


def test_waiting_request_of_a_deleted_worker_is_refused(parked_farm, lane):
    worker = parked_farm.worker(types=[lane])
    with Ask(worker) as ask:
        delete(worker)
        assert ask.read().status == 403


def test_deletion_hands_the_task_to_one_who_waits(parked_farm, lane):
    worker, other = parked_farm.worker(types=[lane]), parked_farm.worker(types=[lane])
    job = parked_farm.submit([{"type": lane}])
    task = worker.get_task()
    with Ask(other) as ask:
        delete(worker)
        assert ask.task()["uuid"] == task["uuid"]
    parked_farm.put_away(job["id"])


def test_deletion_survives_a_restart(make_farm):
    farm = make_farm()
    worker, other = farm.worker(), farm.worker()
    delete(worker)
    farm.manager.restart()
    assert [w["id"] for w in farm.api.ok("GET", "/worker-mgt/workers")["workers"]] == [other.id]
    assert_error(worker.ask(), 403)
