# SPDX-License-Identifier: Apache-2.0
"""Deleting jobs: one, many, what it would take along; files first, back-off, nothing left (state-and-scheduling 13)."""
import datetime
import shutil

import pytest
from harness.check import NEVER, UNKNOWN, assert_empty, assert_error, parse_time, wait_until
from harness.http import Background

TABLES = ("job", "job_hot", "task", "task_cold", "dep", "runq", "blocklist", "failure", "last_rendered")


def was_deleted(job_id):
    return lambda e: e["kind"] == "job" and e["payload"]["id"] == job_id and e["payload"].get("was_deleted")


def gone_event(job_id):
    return {"id": job_id, "priority": 0, "refresh_tasks": False, "status": "", "steps_completed": 0, "steps_total": 0, "type": "",
            "updated": NEVER, "was_deleted": True}


def job_dir(farm, job_id):
    return farm.manager.storage / f"job-{job_id[:4]}" / job_id


def delete(farm, job_id):
    assert_empty(farm.api.delete(f"/jobs/{job_id}"))


def wait_no_rows(farm):
    wait_until(lambda: not any(farm.manager.store.count(table) for table in TABLES), "no rows are left")


@pytest.fixture
def stuck_job(make_farm):
    """A job whose files cannot be erased until release(), in a manager whose clock stands still."""
    farm = make_farm(manual_clock=True, reference={"worker_timeout": "0s", "task_timeout": "0s"})
    farm.clock(frozen=True)
    job_id = farm.submit(2)["id"]
    deep = job_dir(farm, job_id) / "/".join(["d"] * 70)  # more levels than the manager ever makes
    deep.mkdir(parents=True)
    farm.job_id, farm.release = job_id, lambda: shutil.rmtree(job_dir(farm, job_id) / "d")
    return farm


# ---- One job --------------------------------------------------------------------------------------------------------------


def test_deleted_job_is_gone_with_all_that_belongs_to_it(own_farm):
    farm = own_farm
    worker = farm.worker()
    job = farm.submit([{}, {"deps": [0]}, {"deps": [0]}])
    task = worker.get_task()
    worker.update(task["uuid"], log="a line\n", activity="working")
    worker.fail(task["uuid"])
    assert farm.log_file(job["id"], task["uuid"]).exists()
    assert farm.manager.store.count("dep") == 2
    events = farm.events()
    delete(farm, job["id"])
    passed = [e for e in events.wait(was_deleted(job["id"])) if e["kind"] == "job" and e["topic"] == "/jobs"]
    assert len(passed) == 2
    request, gone = (e["payload"] for e in passed)
    assert gone == gone_event(job["id"])
    assert parse_time(request["delete_requested_at"]) == parse_time(request["updated"])
    assert "previous_status" not in request and request["refresh_tasks"] is False
    assert request["name"] == job["name"] and request["status"] == "failed"  # no other worker
    assert_error(farm.api.get(f"/jobs/{job['id']}"), 404)
    assert_error(farm.api.get(f"/tasks/{task['uuid']}"), 404)
    assert farm.api.ok("GET", "/jobs") == {"jobs": []}
    assert farm.tasks(job["id"]) == []
    assert_error(worker.api.post(f"/worker/task/{task['uuid']}", json={"log": "too late\n"}), 404)
    wait_no_rows(farm)
    wait_until(lambda: not list(farm.manager.storage.glob("job-*")), "no files are left")
    assert "task" not in worker.row()
    assert worker.get_task() is None


@pytest.mark.parametrize("path, method", [("/jobs/{}", "DELETE"), ("/jobs/{}/what-would-delete-do", "GET")])
def test_unknown_jobs_and_bad_ids(api, path, method):
    assert_error(api.call(method, path.format(UNKNOWN)), 404)
    assert_error(api.call(method, path.format("no-uuid")), 400)


@pytest.mark.parametrize("status", ["queued", "paused", "canceled", "failed", "completed", "active"])
def test_any_status_is_accepted(farm, lane, status):
    job_id = farm.submit([{"type": lane}], initial_status="paused" if status == "paused" else "queued")["id"]
    if status == "canceled":
        farm.set_job_status(job_id, "cancel-requested")
    elif status in ("failed", "completed"):
        farm.set_task_status(farm.tasks(job_id)[0]["id"], status)
    elif status == "active":
        farm.worker(types=[lane]).get_task()
    assert farm.job(job_id)["status"] == status
    events = farm.events()
    delete(farm, job_id)
    passed = [e["payload"] for e in events.wait(was_deleted(job_id)) if e["kind"] == "job" and e["payload"]["id"] == job_id]
    assert [p["status"] for p in passed] == [status, ""]


def test_upper_case_id(farm, lane):
    job_id = farm.submit([{"type": lane}])["id"]
    events = farm.events()
    delete(farm, job_id.upper())
    events.wait(was_deleted(job_id))


def test_checkout_is_not_named_without_shaman(farm, lane):
    job = farm.submit([{"type": lane}], storage={"shaman_checkout_id": "shot/010"})
    assert farm.api.ok("GET", f"/jobs/{job['id']}/what-would-delete-do") == {"shaman_checkout": False}
    events = farm.events()
    delete(farm, job["id"])
    events.wait(was_deleted(job["id"]))


# ---- Until it is deleted --------------------------------------------------------------------------------------------------


def test_marked_job_is_listed_but_not_scheduled(stuck_job):
    farm = stuck_job
    worker, other = farm.worker(), farm.worker()
    held = worker.get_task()
    delete(farm, farm.job_id)
    farm.manager.wait_log("cannot be deleted yet")
    row = farm.job(farm.job_id)
    assert row["delete_requested_at"] == row["updated"]
    assert [job["id"] for job in farm.api.ok("GET", "/jobs")["jobs"]] == [farm.job_id]
    assert farm.letters(farm.job_id) == "AQ"
    assert other.get_task() is None and worker.get_task() is None
    # What the worker still says about its task is taken.
    worker.complete(held["uuid"])
    assert farm.letters(farm.job_id) == "CQ"
    events = farm.events()
    farm.release()
    farm.advance("1s")
    events.wait(was_deleted(farm.job_id))


def test_asked_twice_sets_the_time_again(stuck_job):
    farm = stuck_job
    delete(farm, farm.job_id)
    first = farm.job(farm.job_id)["delete_requested_at"]
    farm.manager.wait_log("trying again in 1 s")
    farm.advance("500ms")
    events = farm.events()
    delete(farm, farm.job_id)
    second = farm.job(farm.job_id)["delete_requested_at"]
    assert parse_time(second) > parse_time(first)
    assert [e["payload"]["delete_requested_at"] for e in events.take("job")] == [second]


def test_failing_deletion_is_retried_with_back_off(stuck_job):
    farm = stuck_job
    events = farm.events()
    delete(farm, farm.job_id)
    position = 0
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]:
        farm.manager.wait_log(rf"{farm.job_id} cannot be deleted yet, trying again in {seconds} s: .*64 levels", position)
        position = farm.manager.log_position()
        farm.advance(f"{seconds}s")
    farm.manager.wait_log("trying again in 3600 s", position)
    assert farm.api.metric('flamenco_job_deletions_failing{plugin="job_deleter"}') == 1
    assert [e["kind"] for e in events.take("job")] == ["job"]  # the request alone
    # Others are not held up.
    other = farm.submit(1)["id"]
    delete(farm, other)
    events.wait(was_deleted(other))
    farm.release()
    farm.advance("1h")
    events.wait(was_deleted(farm.job_id))
    assert not job_dir(farm, farm.job_id).exists()
    wait_no_rows(farm)
    wait_until(lambda: farm.api.metric('flamenco_job_deletions_failing{plugin="job_deleter"}') == 0, "nothing fails")


def test_restart_tries_at_once(stuck_job):
    farm = stuck_job
    delete(farm, farm.job_id)
    farm.manager.wait_log("cannot be deleted yet")
    farm.release()
    farm.manager.restart()
    wait_until(lambda: farm.api.get(f"/jobs/{farm.job_id}").status_code == 404, "the job is deleted")
    wait_no_rows(farm)


# ---- Many jobs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body, status", [
    ({}, 400), ({"last_updated_max": None}, 400), ({"last_updated_max": "2026-05-01"}, 400),
    ({"last_updated_max": "2026-05-01T10:00:00"}, 400), ({"last_updated_max": 5}, 400),
    ({"last_updated_max": "1999-01-01T00:00:00Z"}, 416), ({"last_updated_max": "1960-01-01T00:00:00.5Z"}, 416),
])
def test_mass_deletion_refuses(farm, body, status):
    assert_error(farm.api.delete("/jobs/mass-delete", json=body), status)


@pytest.fixture
def dated_farm(make_farm):
    farm = make_farm(manual_clock=True, reference={"worker_timeout": "0s", "task_timeout": "0s"})
    farm.clock(frozen=True)
    return farm


@pytest.mark.parametrize("limit, deleted", [
    ("2027-12-01T09:17:34.275+02:00", 2), ("2027-12-01T09:17:35+02:00", 2), ("2027-12-01T07:17:34.999999Z", 2),
    ("2027-12-01T07:17:34Z", 1), ("2027-12-01T07:17:35.000001Z", 3), ("2027-12-01T07:17:33Z", 0),
])
def test_mass_deletion_rounds_up_to_whole_seconds(dated_farm, limit, deleted):
    farm = dated_farm
    jobs = []
    for moment in ("07:17:34", "07:17:35", "07:17:35.5"):
        farm.clock(set=f"2027-12-01T{moment}Z")
        jobs.append(farm.submit(1)["id"])
    farm.clock(set="2027-12-02T00:00:00Z")
    events = farm.events()
    reply = farm.api.delete("/jobs/mass-delete", json={"last_updated_max": limit})
    if deleted == 0:
        assert_error(reply, 416)
        return
    assert_empty(reply)
    for job_id in jobs[:deleted]:
        wait_until(lambda j=job_id: farm.api.get(f"/jobs/{j}").status_code == 404, "it is deleted")
    assert [job["id"] for job in farm.api.ok("GET", "/jobs")["jobs"]] == jobs[deleted:]
    told = [e["payload"] for e in events.take("job")]
    for job_id in jobs[:deleted]:
        mine = [p for p in told if p["id"] == job_id]
        assert [p.get("delete_requested_at") for p in mine] == ["2027-12-02T00:00:00Z", None]
        assert mine[1] == gone_event(job_id)
    assert not [p for p in told if p["id"] in jobs[deleted:]]


def test_mass_deletion_marks_at_once_and_takes_requested_ones_too(stuck_job):
    farm = stuck_job
    delete(farm, farm.job_id)
    farm.manager.wait_log("trying again in 1 s")
    events = farm.events()
    farm.clock(advance="10ms")
    latest = farm.clock()["now"].replace("Z", "+00:00")
    assert_empty(farm.api.delete("/jobs/mass-delete", json={"last_updated_max": latest}))
    assert [(e["payload"]["id"], "delete_requested_at" in e["payload"]) for e in events.take("job")] == [(farm.job_id, True)]
    assert parse_time(farm.job(farm.job_id)["delete_requested_at"]) == datetime.datetime.fromisoformat(latest)


def test_mass_deletion_of_many_jobs(own_farm):
    """More than fit into the deleter's queue, and more than one step of events; no event of a job comes behind its last."""
    farm = own_farm
    jobs = [farm.submit(1)["id"] for _ in range(620)]
    kept = farm.submit(1)
    events = farm.events()
    # so that one job is newer than the limit by more than a second
    farm.manager.store.execute("UPDATE job_hot SET updated=updated+3600000000 WHERE id=(SELECT max(id) FROM job)")
    assert_empty(farm.api.delete("/jobs/mass-delete", json={"last_updated_max": farm.job(jobs[-1])["updated"]}))
    seen = events.wait(was_deleted(jobs[-1]), timeout=120)
    order = {}
    for e in seen:
        if e["kind"] == "job":
            order.setdefault(e["payload"]["id"], []).append("gone" if e["payload"].get("was_deleted") else "requested")
    assert order == {job_id: ["requested", "gone"] for job_id in jobs}
    assert [job["id"] for job in farm.api.ok("GET", "/jobs")["jobs"]] == [kept["id"]]
    wait_until(lambda: farm.manager.store.count("job") == 1, "the rows are gone")


# ---- Large jobs -----------------------------------------------------------------------------------------------------------


def test_rows_of_a_large_job_go_in_steps_between_other_requests(own_farm):
    farm = own_farm
    n = 20_000
    # All wait for the first one: as many dependencies on one task as there are tasks.
    job_id = farm.submit([{}] + [{"deps": [0]}] * (n - 1))["id"]
    assert farm.manager.store.count("dep") == n - 1
    steps = farm.api.metric("flamenco_write_steps_total")
    events = farm.events()
    delete(farm, job_id)
    events.wait(was_deleted(job_id))
    served = 0
    while farm.manager.store.count("job"):
        farm.register()
        served += 1
    assert farm.api.metric("flamenco_write_steps_total") - steps - served >= 2 * n / 500
    wait_no_rows(farm)


def test_deletion_and_a_long_change_of_the_same_job(own_farm):
    farm = own_farm
    job_id = farm.submit(20_000)["id"]
    change = Background(farm.api.clone().post, f"/jobs/{job_id}/setstatus", {"status": "cancel-requested", "reason": ""})
    wait_until(lambda: farm.job(job_id)["status"] != "queued" or change.done, "the change has begun")
    events = farm.events()
    delete(farm, job_id)
    last = events.wait(was_deleted(job_id))[-1]
    assert change.result().status_code == 204
    wait_no_rows(farm)
    assert farm.api.ok("GET", "/jobs") == {"jobs": []}
    assert not [e for e in events.take("job") if e["seq"] > last["seq"]]


# ---- Power cuts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["marked", "files erased", "hidden", "rows half gone"])
def test_power_cut_is_made_good_at_the_start(own_farm, stage):
    farm = own_farm
    worker = farm.worker()
    job_id = farm.submit(30_000)["id"]
    task = worker.get_task()
    worker.update(task["uuid"], log="a line\n")
    assert job_dir(farm, job_id).exists()
    delete(farm, job_id)
    rows = farm.manager.store
    wait = {
        "marked": lambda: True,
        "files erased": lambda: not job_dir(farm, job_id).exists(),
        "hidden": lambda: farm.api.get(f"/jobs/{job_id}").status_code == 404,
        "rows half gone": lambda: rows.count("task") < 20_000,
    }
    wait_until(wait[stage], stage)
    farm.manager.kill()
    farm.manager.start()
    wait_no_rows(farm)
    wait_until(lambda: not list(farm.manager.storage.glob("job-*")), "no files are left")
    assert farm.api.ok("GET", "/jobs") == {"jobs": []}
    assert farm.worker().get_task() is None
