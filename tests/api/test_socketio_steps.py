# SPDX-License-Identifier: Apache-2.0
"""Step counts in a rush: pages are spared those that a later one makes out of date, and nothing else; and they are told the last
one. Whoever wants each of them can have that. Others than pages are told all: test_event_order.py."""
import time

import pytest
from harness.http import Background
from harness.manager import scale
from harness.websocket import SocketIo

CROWD, STEPS = 200, 300


def is_of(event):
    """What a job's or a task's event is of."""
    return event[0], event[1]["id"]


def only_steps(event):
    return event[0] in ("/jobs", "/task") and not {"previous_status", "was_deleted", "delete_requested_at"} & set(event[1]) \
        and not event[1].get("refresh_tasks")


def left_out(told, published):
    """What a page was not told of what was published, all else being in order."""
    missing, told = [], list(told)
    for event in published:
        if told and told[0] == event:
            told.pop(0)
        else:
            missing.append(event)
    assert not told, f"told in another order, or never published: {told[:3]}"
    return missing


def rush(make_farm, **settings):
    """A farm where hundreds of jobs are deleted at once while a worker reports step after step. Gives what a page was told of
    jobs and of one job's tasks, what was published, and that job's last state."""
    farm = make_farm(live=True, yaml={"plugins": {"broadcaster": {"settings": settings}}})
    for _ in range(CROWD):
        old = farm.submit([], initial_status="paused")
    time.sleep(1.1) # mass deletions go by whole seconds
    job = farm.submit([{"type": "long", "commands": [{"name": "echo", "steps": STEPS + 1}]}])
    worker = farm.worker(types=["long"])
    task = worker.get_task()
    events = farm.events()
    with SocketIo(farm.port) as page:
        page.subscribe("allJobs").subscribe("job", job["id"])
        deleting = Background(farm.api.ok, "DELETE", "/jobs/mass-delete", 204, json={"last_updated_max": old["updated"]})
        for step in range(1, STEPS + 1):
            worker.update(task["uuid"], steps_completed=step, activity=f"step {step}")
        deleting.result(60)
        events_of = []
        deadline = time.monotonic() + 60 * scale()
        while sum("was_deleted" in e["payload"] for e in events_of) < CROWD:
            assert time.monotonic() < deadline, "the jobs are not deleted"
            events_of += events.take("job", "task")
            time.sleep(0.05)
        told = page.sync()
    return told, [(e["name"], e["payload"]) for e in events_of], farm.job(job["id"])


@pytest.fixture(scope="module")
def spared(tmp_path_factory):
    from conftest import start_farm
    farms = []

    def make_farm(**settings):
        farms.append(start_farm(tmp_path_factory.mktemp("steps"), **settings))
        return farms[-1]
    yield rush(make_farm)
    farms[0].manager.stop()


def test_pages_are_spared_outdated_step_counts(spared):
    told, published, _ = spared
    missing = left_out(told, published)
    assert missing, "nothing was left out in all of this rush"
    for event in missing:
        assert only_steps(event), event
        later = [e for e in published[published.index(event) + 1:] if is_of(e) == is_of(event)]
        assert any(e in told for e in later), f"{event} was the newest"


def test_the_last_step_count_is_told(spared):
    told, _, job = spared
    counts = [payload["steps_completed"] for name, payload in told if payload.get("id") == job["id"] and name == "/jobs"]
    assert counts == sorted(set(counts)) and counts[-1] == job["steps_completed"] == STEPS
    assert [payload["activity"] for name, payload in told if name == "/task"][-1] == f"step {STEPS}"


def test_who_wants_every_step_count_gets_it(make_farm):
    told, published, _ = rush(make_farm, steps_interval="0s")
    assert told == published
