# SPDX-License-Identifier: Apache-2.0
"""Jobs above 1000 tasks, whose changes are chains of steps (architecture 2): outside nothing differs."""

import pytest
from harness.check import wait_until
from harness.events import shape
from harness.http import Background

BIG = 2600


@pytest.fixture(scope="module")
def big_farm(tmp_path_factory):
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("big"))
    yield farm
    farm.manager.stop()


def test_submission(big_farm):
    events = big_farm.events()
    job = big_farm.submit(BIG)
    assert shape(events.take("job", "task")) == [("job", None, "queued", False)]  # of a farm that has just started, others may come
    assert job["steps_total"] == BIG and job["steps_completed"] == 0
    tasks = big_farm.tasks(job["id"])
    assert [t["index_in_job"] for t in tasks] == list(range(1, BIG + 1))
    assert [t["name"] for t in tasks] == [f"t{i}" for i in range(1, BIG + 1)]
    assert len({t["id"] for t in tasks}) == BIG
    big_farm.put_away(job["id"])


def test_dependencies_across_steps(big_farm):
    """A task that depends on all others, and one on which all others depend."""
    n = 1500
    job = big_farm.submit([{"name": "last", "type": "big", "deps": list(range(2, n))}, {"name": "first", "type": "big"}] +
                          [{"type": "big", "deps": [1]} for _ in range(n - 2)])
    worker = big_farm.worker(types=["big"])
    task = worker.get_task()
    assert task["name"] == "first"
    assert big_farm.worker(types=["big"]).get_task() is None
    worker.complete(task["uuid"])
    def work(worker):
        """Everything but the last one; it is done when all others are."""
        names = []
        while (task := worker.get_task()) is not None:
            worker.complete(task["uuid"])
            names.append(task["name"])
        return names

    calls = [Background(work, big_farm.worker(types=["big"])) for _ in range(8)]
    names = [name for call in calls for name in call.result(120)]
    rest = work(worker)
    assert (names + rest)[-1:] == ["last"] or "last" in names
    assert len(names + rest) == n - 1
    assert big_farm.job(job["id"])["status"] == "completed"
    assert big_farm.job(job["id"])["steps_completed"] == n


def steps_of(events):
    """Job events without refresh_tasks; asserts that the last one asks for a refetch. The tasks of a chain change after its
    first event, so the last one has to ask, whatever its status."""
    assert events[-1]["payload"]["refresh_tasks"] is True
    return [(k, a, b) for k, a, b, _ in shape(events)]


def test_cancel_requeue_pause(big_farm):
    job_id = big_farm.submit(BIG)["id"]
    events = big_farm.events()
    big_farm.set_job_status(job_id, "cancel-requested")
    assert steps_of(events.take()) == [("job", "queued", "cancel-requested"), ("job", "cancel-requested", "canceled")]
    assert set(big_farm.letters(job_id)) == {"X"}
    big_farm.set_job_status(job_id, "requeueing")
    assert steps_of(events.take()) == [("job", "canceled", "requeueing"), ("job", "requeueing", "queued")]
    assert set(big_farm.letters(job_id)) == {"Q"}
    big_farm.set_job_status(job_id, "pause-requested")
    assert steps_of(events.take()) == [("job", "queued", "pause-requested"), ("job", "pause-requested", "paused")]
    assert set(big_farm.letters(job_id)) == {"P"}
    big_farm.put_away(job_id)
    assert set(big_farm.letters(job_id)) == {"X"}


def test_worker_failure_fails_a_big_job(big_farm):
    """The worker's update is answered, the rest of the chain follows."""
    job_id = big_farm.submit([{"type": "lonely"}] * BIG)["id"]
    worker = big_farm.worker(types=["lonely"])
    events = big_farm.events()
    task = worker.get_task()
    worker.fail(task["uuid"])
    events.wait_job(job_id, "failed")
    wait_until(lambda: set(big_farm.letters(job_id)) == {"F", "X"}, "all other tasks are canceled")
    assert worker.get_task() is None


def test_nothing_of_a_job_under_change_is_handed_out(big_farm):
    """Workers ask all the time while a job is canceled: whoever gets a task has it canceled in the end, or got it before."""
    job_id = big_farm.submit([{"type": "race"}] * BIG)["id"]
    workers = [big_farm.worker(types=["race"]) for _ in range(8)]
    cancel = Background(big_farm.api.clone().ok, "POST", f"/jobs/{job_id}/setstatus", 204,
                        json={"status": "cancel-requested", "reason": ""})
    got = [t for t in (w.get_task() for w in workers) if t]
    cancel.result()
    assert set(big_farm.letters(job_id)) == {"X"}
    for task in got:
        assert big_farm.task(task["uuid"])["status"] == "canceled"
    assert workers[0].get_task() is None


def test_other_requests_are_served_meanwhile(big_farm):
    job_id = big_farm.submit(20_000)["id"]
    cancel = Background(big_farm.api.clone().ok, "POST", f"/jobs/{job_id}/setstatus", 204,
                        json={"status": "cancel-requested", "reason": ""})
    served = 0
    while not cancel.done:
        big_farm.register()
        served += 1
    cancel.result()
    assert served > 0
    assert set(big_farm.letters(job_id)) == {"X"}


def test_two_changes_of_one_job_do_not_mix(big_farm):
    job_id = big_farm.submit(BIG)["id"]
    calls = [Background(big_farm.api.clone().ok, "POST", f"/jobs/{job_id}/setstatus", 204, json={"status": s, "reason": ""})
             for s in ("cancel-requested", "requeueing", "cancel-requested", "requeueing")]
    for call in calls:
        call.result()
    status, letters = big_farm.job(job_id)["status"], set(big_farm.letters(job_id))
    assert (status, letters) in (("canceled", {"X"}), ("queued", {"Q"}))
    big_farm.put_away(job_id)


def test_power_cut_within_a_submission_leaves_nothing_or_all(own_farm):
    n = 40_000
    before = own_farm.api.metric("flamenco_write_steps_total")
    submit = Background(own_farm.api.clone().post, "/jobs", own_farm.submission(n), timeout=60)
    wait_until(lambda: own_farm.api.metric("flamenco_write_steps_total") >= before + 3 or submit.done, "the chain has begun")
    own_farm.manager.kill()
    acknowledged = False
    try:
        acknowledged = submit.result().status_code == 200
    except Exception as gone:  # noqa: BLE001 the connection went away, which is the point
        assert "onnection" in str(gone)
    own_farm.manager.start()
    jobs = own_farm.api.ok("GET", "/jobs")["jobs"]
    assert len(jobs) in ((1,) if acknowledged else (0, 1))
    if jobs:
        assert len(own_farm.tasks(jobs[0]["id"])) == n
    else:
        wait_until(lambda: own_farm.manager.store.count("task") == 0, "what was left is removed")
    own_farm.submit([{}])


@pytest.mark.parametrize("first, request_status, final, letter", [
    ("queued", "cancel-requested", "canceled", "X"),
    ("queued", "pause-requested", "paused", "P"),
    ("canceled", "requeueing", "queued", "Q"),
    ("queued", "failed", "failed", "X"),
])
def test_power_cut_within_a_bulk_change_is_repaired(own_farm, first, request_status, final, letter):
    job_id = own_farm.submit(20_000)["id"]
    if first == "canceled":
        own_farm.set_job_status(job_id, "cancel-requested")
    change = Background(own_farm.api.clone().post, f"/jobs/{job_id}/setstatus",
                        {"status": request_status, "reason": "power cut"}, timeout=60)
    wait_until(lambda: own_farm.job(job_id)["status"] != first or change.done, "the chain has begun")
    own_farm.manager.kill()
    own_farm.manager.start()
    wait_until(lambda: own_farm.job(job_id)["status"] == final and set(own_farm.letters(job_id)) == {letter},
               f"the job is {final}")
