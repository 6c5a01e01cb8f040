# SPDX-License-Identifier: Apache-2.0
"""Requests that wait: for a task, for news (architecture 2, Parked requests)."""
import json
import time

import pytest
from harness.check import wait_until
from harness.http import Background
from harness.manager import scale
from harness.parked import HOLD, Ask, parked


def test_hold_0_answers_at_once(farm, lane):
    worker = farm.worker(types=[lane])
    assert worker.ask().status_code == 204
    assert worker.api.get("/worker/state").status_code == 204
    assert parked(farm) == 0


def test_question_for_a_task_waits_for_a_job(parked_farm, lane):
    worker = parked_farm.worker(types=[lane])
    with Ask(worker) as ask:
        job = parked_farm.submit([{"type": lane, "name": "awaited"}])
        assert ask.task()["name"] == "awaited"
        assert parked(parked_farm) == 0
        # the connection goes on
        parked_farm.set_job_status(job["id"], "cancel-requested")
        assert ask.request("GET", "/api/v3/version").read().status == 200


@pytest.mark.parametrize("trigger", ["requeue", "unblock by dependency", "sign-off of another", "setTaskStatus", "resume"])
def test_whatever_makes_a_task_runnable_ends_the_wait(parked_farm, lane, trigger):
    farm = parked_farm
    other = farm.worker(types=[lane, lane + "-first"])
    job = farm.submit([{"type": lane + "-first"}, {"type": lane, "deps": [0]}] if "dependency" in trigger else [{"type": lane}])
    first = other.get_task()
    task_id = farm.tasks(job["id"])[-1]["id"]
    if trigger in ("requeue", "setTaskStatus", "resume"):
        farm.set_job_status(job["id"], "cancel-requested")
    if trigger == "resume":
        farm.set_task_status(task_id, "queued")
    worker = farm.worker(types=[lane])
    with Ask(worker) as ask:
        if trigger == "requeue":
            farm.set_job_status(job["id"], "requeueing")
        elif trigger == "unblock by dependency":
            other.complete(first["uuid"])
        elif trigger == "sign-off of another":
            other.sign_off()
        elif trigger == "setTaskStatus":
            farm.set_job_status(job["id"], "active")
            farm.set_task_status(task_id, "queued")
        else:
            farm.set_job_status(job["id"], "active")
        assert ask.task()["uuid"] == task_id
    farm.put_away(job["id"])


def test_task_that_a_worker_holds_ends_its_wait_when_the_job_goes_on(parked_farm, lane):
    """Its answer got lost, then the job was to be paused: nothing for it until the job goes on."""
    worker = parked_farm.worker(types=[lane])
    job = parked_farm.submit([{"type": lane}])
    task = worker.get_task()
    parked_farm.set_job_status(job["id"], "pause-requested")
    with Ask(worker) as ask:
        parked_farm.set_job_status(job["id"], "requeueing")
        assert ask.task()["uuid"] == task["uuid"]
    parked_farm.put_away(job["id"])


@pytest.mark.parametrize("by", ["hand", "its worker"])
def test_task_that_is_made_active_ends_the_wait_of_who_has_it(parked_farm, lane, by):
    farm = parked_farm
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}, {"type": lane + "-other"}])
    task = worker.get_task()
    worker.complete(task["uuid"])
    with Ask(worker) as ask:
        if by == "hand":
            farm.set_task_status(task["uuid"], "active")
        else:
            worker.update(task["uuid"], taskStatus="active")
        assert ask.task()["uuid"] == task["uuid"]
    farm.put_away(job["id"])


def test_worker_that_failed_a_task_gets_it_when_it_is_requeued(parked_farm, lane):
    """Others could have it all the time; for this one the wait ends when its failure is forgotten."""
    farm = parked_farm
    other = farm.worker(types=[lane])
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}])
    task = worker.get_task()
    other.state_changed("asleep")
    worker.update(task["uuid"], taskStatus="failed")
    assert farm.task(task["uuid"])["status"] == "soft-failed"
    with Ask(worker) as ask:
        farm.set_task_status(task["uuid"], "queued")
        assert ask.task()["uuid"] == task["uuid"]
    farm.put_away(job["id"])


def test_own_change_of_status_ends_the_wait(parked_farm, lane):
    """A worker that changes its status on another connection is told what it may do."""
    worker = parked_farm.worker(types=[lane])
    with Ask(worker) as ask:
        worker.state_changed("asleep")
        assert ask.read().status == 409
    worker.state_changed("awake")
    with Ask(worker) as ask:
        worker.sign_off()
        reply = ask.read()
        assert reply.status == 423 and json.loads(reply.body) == {"status_requested": "awake"}


def test_worker_state_waits_for_news(parked_farm):
    worker = parked_farm.worker(status="asleep")
    with Ask(worker, "/api/v3/worker/state", "GET") as ask:
        worker.sign_off()
        reply = ask.read()
        assert reply.status == 200 and json.loads(reply.body) == {"status_requested": "asleep"}


def test_end_of_the_hold_is_204(parked_farm, lane):
    worker = parked_farm.worker(types=[lane])
    with Ask(worker) as task, Ask(worker, "/api/v3/worker/state", "GET") as state:
        parked_farm.advance("9m50s")
        assert parked(parked_farm) == 2
        parked_farm.advance("11s")
        assert task.read().status == 204
        assert state.read().status == 204
    assert worker.status == "awake"


@pytest.mark.parametrize("header", [("Forwarded", "for=10.0.0.1"), ("X-Forwarded-For", "10.0.0.1"), ("Via", "1.1 proxy")])
def test_shorter_hold_behind_a_proxy(parked_farm, lane, header):
    worker = parked_farm.worker(types=[lane])
    with Ask(worker, headers=[header]) as ask:
        parked_farm.advance("51s")
        assert ask.read().status == 204


def test_parked_worker_does_not_time_out(parked_farm, lane):
    worker, silent = parked_farm.worker(types=[lane]), parked_farm.worker(types=[lane + "-x"])
    events = parked_farm.events()
    with Ask(worker) as ask:
        parked_farm.advance("7m")
        events.wait_worker(silent.id, "error")
        assert worker.status == "awake"
        job = parked_farm.submit([{"type": lane}])
        ask.task()
    parked_farm.put_away(job["id"])


def test_client_that_went_away_gets_no_task(parked_farm, lane):
    worker = parked_farm.worker(types=[lane])
    ask = Ask(worker)
    ask.close()
    job = parked_farm.submit([{"type": lane}])
    assert parked_farm.letters(job["id"]) == "Q"
    wait_until(lambda: parked(parked_farm) == 0, "the request of a client that is gone is dropped")
    assert parked_farm.letters(job["id"]) == "Q"
    other = parked_farm.worker(types=[lane])
    assert other.get_task() is not None
    parked_farm.put_away(job["id"])


def test_task_goes_to_the_next_one_when_the_oldest_is_gone(parked_farm, lane):
    gone, alive = (parked_farm.worker(types=[lane]) for _ in range(2))
    first = Ask(gone)
    with Ask(alive) as second:
        first.close()
        job = parked_farm.submit([{"type": lane}])
        assert second.task()["job"] == job["id"]
    assert parked_farm.tasks(job["id"])[0]["worker"]["id"] == alive.id
    parked_farm.put_away(job["id"])


def test_oldest_first_and_no_more_than_there_are_tasks(parked_farm, lane):
    workers = [parked_farm.worker(types=[lane]) for _ in range(6)]
    asks = [Ask(w) for w in workers]
    job = parked_farm.submit([{"type": lane}] * 3)
    names = [asks[i].task()["name"] for i in range(3)]
    assert sorted(names) == ["t1", "t2", "t3"]
    assert parked(parked_farm) == 3
    served = [t["worker"]["id"] for t in parked_farm.tasks(job["id"])]
    assert sorted(served) == sorted(w.id for w in workers[:3])
    parked_farm.set_job_status(job["id"], "requeueing")
    more = parked_farm.submit([{"type": lane}])
    assert asks[3].task()["job"] == more["id"]
    for ask in asks:
        ask.close()
    parked_farm.put_away(job["id"], more["id"])
    wait_until(lambda: parked(parked_farm) == 0, "all are dropped")


def test_types_decide_who_is_woken(parked_farm, lane):
    a, b = parked_farm.worker(types=[lane + "-a"]), parked_farm.worker(types=[lane + "-b"])
    with Ask(a) as ask_a, Ask(b) as ask_b:
        job = parked_farm.submit([{"type": lane + "-b"}])
        assert ask_b.task()["task_type"] == lane + "-b"
        assert parked(parked_farm) == 1
        job2 = parked_farm.submit([{"type": lane + "-a"}])
        assert ask_a.task()["job"] == job2["id"]
    parked_farm.put_away(job["id"], job2["id"])


def test_fifty_workers_get_a_new_job_at_once(parked_farm, lane):
    workers = [parked_farm.worker(types=[lane]) for _ in range(50)]
    asks = [Ask(w, wait=False) for w in workers]
    wait_until(lambda: parked(parked_farm) == 50, "all are parked")
    job = parked_farm.submit([{"type": lane}] * 50)
    submitted = time.monotonic()
    tasks = [ask.task()["uuid"] for ask in asks]
    took = time.monotonic() - submitted
    assert len(set(tasks)) == 50
    assert took < 1.0 * scale(), f"{took:.3f} s from the submit reply to the last worker's task"
    for ask in asks:
        ask.close()
    parked_farm.put_away(job["id"])


def test_two_questions_of_one_worker(parked_farm, lane):
    """The newer one is answered as well: both get the same task, or one of them none."""
    worker = parked_farm.worker(types=[lane])
    with Ask(worker) as first, Ask(worker) as second:
        job = parked_farm.submit([{"type": lane}])
        task = first.task()
        worker.complete(task["uuid"])
        again = parked_farm.submit([{"type": lane}])
        reply = second.read()
        assert reply.status in (200, 204)
    parked_farm.put_away(job["id"], again["id"])
    wait_until(lambda: parked(parked_farm) == 0, "nothing waits any more")


def test_stop_answers_parked_requests_with_204(make_farm):
    farm = make_farm(yaml=HOLD)
    worker = farm.worker()
    with Ask(worker) as ask:
        stop = Background(farm.manager.stop)
        assert ask.read().status == 204
        stop.result(40)


def test_reply_of_a_parked_request_is_like_any_other(parked_farm, lane):
    worker = parked_farm.worker(types=[lane])
    with Ask(worker, headers=[("Origin", "http://localhost:8081")]) as ask:
        job = parked_farm.submit([{"type": lane}])
        reply = ask.read()
    assert reply.header("Content-Type") == "application/json"
    assert reply.header("Access-Control-Allow-Origin") == "http://localhost:8081"
    assert "Origin" in reply.header("Vary")
    parked_farm.put_away(job["id"])
