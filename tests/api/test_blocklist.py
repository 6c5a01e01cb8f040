# SPDX-License-Identifier: Apache-2.0
"""A job's blocklist, as people see and clear it (api-behaviour 7.6; state-and-scheduling 8.3)."""
import pytest
from harness.check import UNKNOWN, assert_empty, assert_error
from harness.openapi import assert_schema
from harness.parked import Ask

THRESHOLD = 3


class Blocked:
    """Workers that failed so many tasks of a job that they are on its blocklist, and one that did nothing."""

    def __init__(self, farm, lane, names=("blocked",)):
        self.farm, self.lane = farm, lane
        self.workers = [farm.worker(name, types=[lane]) for name in names]
        self.idle = farm.worker(types=[lane])
        self.job = farm.submit([{"type": lane}] * (THRESHOLD * len(names) + 1) + [{"type": lane + "-ballast"}] * 100)
        self.path = f"/jobs/{self.job['id']}/blocklist"
        for worker in self.workers:
            for _ in range(THRESHOLD):
                worker.fail(worker.get_task()["uuid"])
            assert worker.get_task() is None

    def entry(self, worker, **fields):
        return {"worker_id": worker.id, "task_type": self.lane, **fields}

    def listed(self):
        return self.farm.api.ok("GET", self.path)

    def remove(self, *entries):
        return self.farm.api.delete(self.path, json=list(entries))


def test_list_is_ordered_by_name(farm, lane):
    area = Blocked(farm, lane, ["b-node", "Z-node", "a-node"])
    got = area.listed()
    assert got == [area.entry(w, worker_name=w.name) for w in (area.workers[1], area.workers[2], area.workers[0])]
    assert_schema("JobBlocklist", got)
    farm.put_away(area.job["id"])


def test_jobs_without_entries_have_an_empty_list(farm, lane):
    job = farm.submit([{"type": lane}], initial_status="paused")
    assert farm.api.ok("GET", f"/jobs/{job['id']}/blocklist") == []
    assert farm.api.ok("GET", f"/jobs/{UNKNOWN}/blocklist") == []
    assert_error(farm.api.get("/jobs/nope/blocklist"), 400)


def test_removed_entry_lets_the_worker_run_the_job_again(farm, lane):
    area = Blocked(farm, lane)
    worker = area.workers[0]
    assert_empty(area.remove(area.entry(worker, worker_name="whatever")))
    assert area.listed() == []
    # its failures are remembered, so it gets the one task that it has not failed, and is blocked at the next failure
    task = worker.get_task()
    assert worker.id not in [w["id"] for w in farm.task(task["uuid"])["failed_by_workers"]]
    worker.fail(task["uuid"])
    assert [e["worker_id"] for e in area.listed()] == [worker.id]
    farm.put_away(area.job["id"])


def test_only_what_is_named_is_removed(farm, lane):
    area = Blocked(farm, lane, ["one", "two"])
    one, two = area.workers
    for entries in ([{"worker_id": one.id, "task_type": "other"}], [{"worker_id": UNKNOWN, "task_type": lane}],
                    [{"worker_id": area.idle.id, "task_type": lane}]):
        assert_empty(area.remove(*entries))
    assert len(area.listed()) == 2
    assert_empty(area.remove({"worker_id": UNKNOWN, "task_type": lane}, {"worker_id": one.id.upper(), "task_type": lane},
                             area.entry(one)))
    assert [e["worker_id"] for e in area.listed()] == [two.id]
    farm.put_away(area.job["id"])


def test_long_lists_are_removed_whole(farm, lane):
    area = Blocked(farm, lane)
    padding = [{"worker_id": UNKNOWN, "task_type": f"type {n}"} for n in range(1234)]
    assert_empty(area.remove(*padding, area.entry(area.workers[0])))
    assert area.listed() == []
    farm.put_away(area.job["id"])


def test_nothing_is_removed_when_something_is_wrong(farm, lane):
    area = Blocked(farm, lane)
    entry = area.entry(area.workers[0])
    assert_error(area.remove(), 400)
    assert_error(farm.api.delete(area.path), 400)
    assert_error(area.remove(entry, {"worker_id": "nope", "task_type": lane}), 400)
    assert_error(area.remove(entry, {"worker_id": UNKNOWN}), 400)
    assert_error(farm.api.delete("/jobs/nope/blocklist", json=[entry]), 400)
    assert_error(farm.api.delete(f"/jobs/{UNKNOWN}/blocklist", json=[]), 400)
    assert_empty(farm.api.delete(f"/jobs/{UNKNOWN}/blocklist", json=[entry]))
    assert len(area.listed()) == 1
    farm.put_away(area.job["id"])


def test_no_event_is_sent(farm, lane):
    area = Blocked(farm, lane)
    events = farm.events()
    area.remove(area.entry(area.workers[0]))
    assert events.take() == []
    farm.put_away(area.job["id"])


def test_deleted_worker_can_be_removed(farm, lane):
    area = Blocked(farm, lane)
    worker = area.workers[0]
    assert_empty(farm.api.delete(f"/worker-mgt/workers/{worker.id}"))
    assert area.listed() == [area.entry(worker, worker_name=worker.name)]
    assert_empty(area.remove(area.entry(worker)))
    assert area.listed() == []
    farm.put_away(area.job["id"])


@pytest.mark.parametrize("left", [1, 0])
def test_who_waits_hears_of_it(parked_farm, lane, left):
    """Only if there is a task for it."""
    area = Blocked.__new__(Blocked)
    area.farm, area.lane = parked_farm, lane
    worker, helper = parked_farm.worker(types=[lane]), parked_farm.worker(types=[lane])
    area.job = parked_farm.submit([{"type": lane}] * (THRESHOLD + left) + [{"type": lane + "-ballast"}] * 100)
    area.path = f"/jobs/{area.job['id']}/blocklist"
    for _ in range(THRESHOLD):
        worker.fail(worker.get_task()["uuid"])
    assert len(area.listed()) == 1
    with Ask(worker) as ask:
        assert_empty(area.remove(area.entry(worker)))
        if left:
            assert ask.task()["job"] == area.job["id"]
        else:
            more = parked_farm.submit([{"type": lane}])  # the first that it is told
            assert ask.task()["job"] == more["id"]
            parked_farm.put_away(more["id"])
    helper.state_changed("asleep")
    parked_farm.put_away(area.job["id"])
