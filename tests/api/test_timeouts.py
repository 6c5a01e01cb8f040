# SPDX-License-Identifier: Apache-2.0
"""Tasks and workers that time out, with the clock set by hand (state-and-scheduling 10; decisions: 0s switches one check off,
events have the true values, a timed-out worker that asks again is served)."""
import pytest
from harness.check import assert_error, parse_time
from harness.events import shape


@pytest.fixture
def timed(make_farm):
    def make(**reference):
        return make_farm(manual_clock=True, reference=reference)
    return make


def test_active_task_times_out(timed):
    farm = timed(task_timeout="10m", worker_timeout="0s")
    worker = farm.worker()
    job = farm.submit([{}] + [{"type": "ballast"}] * 20)
    task = worker.get_task()
    events = farm.events()
    farm.advance("11m")
    got = events.wait_task(task["uuid"], "failed")
    payload = got[-1]["payload"]
    assert payload["previous_status"] == "active" and payload["worker"] == {"name": worker.name, "uuid": worker.id}
    row = farm.task(task["uuid"])
    assert row["status"] == "failed" and row["activity"] == payload["activity"] != ""
    assert worker.name in row["activity"] or worker.id in row["activity"]
    assert row["failed_by_workers"] == []  # nobody is to blame
    assert farm.job(job["id"])["status"] == "active"
    log = farm.log_file(job["id"], task["uuid"]).read_text()
    assert worker.name in log.splitlines()[-1] or worker.id in log.splitlines()[-1]
    assert worker.status == "awake"
    assert worker.may_run(task["uuid"])["mayKeepRunning"] is False


def test_timed_out_task_fails_its_job_by_the_usual_rule(timed):
    farm = timed(task_timeout="10m", worker_timeout="0s")
    worker = farm.worker()
    job = farm.submit([{}] * 10)
    worker.get_task()
    events = farm.events()
    farm.advance("11m")
    events.wait_job(job["id"], "failed")
    assert farm.letters(job["id"]) == "F" + "X" * 9


def test_only_active_and_untouched_tasks_time_out(timed):
    farm = timed(task_timeout="10m", worker_timeout="0s")
    stale, lively = farm.worker(), farm.worker()
    job = farm.submit([{}] * 2 + [{"type": "ballast"}] * 30)
    old, fresh = stale.get_task(), lively.get_task()
    farm.set_task_status(farm.tasks(job["id"])[5]["id"], "active")  # by a person: never touched
    events = farm.events()
    farm.advance("6m")
    lively.update(fresh["uuid"], activity="still there")
    farm.advance("5m")
    events.wait_task(old["uuid"], "failed")
    assert farm.task(fresh["uuid"])["status"] == "active"
    assert farm.tasks(job["id"])[5]["status"] == "active"
    assert [t["status"] for t in farm.tasks(job["id"])].count("queued") == 29
    # may-i-run touches, too
    lively.may_run(fresh["uuid"])
    farm.advance("9m")
    lively.may_run(fresh["uuid"])
    farm.advance("9m")
    assert farm.task(fresh["uuid"])["status"] == "active"
    events.wait_while(lambda: farm.advance("61s"),
                      lambda e: e["kind"] == "task" and e["payload"]["id"] == fresh["uuid"] and e["payload"]["status"] == "failed")


@pytest.mark.parametrize("status", ["awake", "asleep", "starting", "testing", "restart"])
def test_silent_worker_times_out(timed, status):
    farm = timed(worker_timeout="1m")
    worker = farm.register()
    worker.sign_on(can_restart=True)
    if status != "starting":
        worker.state_changed(status)
    seen = worker.row()["last_seen"]
    events = farm.events()
    farm.advance("6m")
    payload = events.wait_worker(worker.id, "error")[-1]["payload"]
    assert payload["previous_status"] == status
    assert payload["can_restart"] is True and payload["last_seen"] == seen and "status_change" not in payload
    row = worker.row()
    assert row["status"] == "error" and row["last_seen"] == seen
    assert parse_time(payload["updated"]) > parse_time(seen)


def test_who_does_not_time_out(timed):
    farm = timed(worker_timeout="1m")
    never_seen = farm.register()
    offline = farm.worker().sign_off()
    broken = farm.worker(status="error")
    silent = farm.worker()
    events = farm.events()
    farm.advance("6m")
    events.wait_worker(silent.id, "error")
    assert [never_seen.status, offline.status, broken.status] == ["", "offline", "error"]
    assert [w["payload"]["id"] for w in events.take("worker")] == []


def test_tasks_of_a_timed_out_worker_return_to_the_pool(timed):
    farm = timed(worker_timeout="1m", task_timeout="1h")
    worker, other = farm.worker(), farm.worker()
    job = farm.submit([{}])
    task = worker.get_task()
    events = farm.events()
    farm.advance("4m30s")
    other.api.get("/worker/state")
    farm.advance("40s")
    got = events.wait_worker(worker.id, "error")
    assert ("task", "active", "queued") in shape(got)
    assert farm.letters(job["id"]) == "Q"
    assert farm.task(task["uuid"])["failed_by_workers"] == []
    assert other.get_task()["uuid"] == task["uuid"]


def test_requested_status_is_cleared(timed):
    farm = timed(worker_timeout="1m")
    worker = farm.worker()
    worker.sign_off().state_changed("asleep")
    assert worker.row()["status_change"]["status"] == "awake"
    events = farm.events()
    farm.advance("6m")
    events.wait_worker(worker.id, "error")
    assert "status_change" not in worker.row()


@pytest.mark.parametrize("before", ["awake", "asleep"])
def test_timed_out_worker_that_asks_again_is_put_back(timed, before):
    farm = timed(worker_timeout="1m")
    worker = farm.worker(status=before)
    job = farm.submit([{}])
    events = farm.events()
    farm.advance("6m")
    events.wait_worker(worker.id, "error")
    reply = worker.ask()
    got = shape(events.take("worker"))
    assert ("worker", "error", before) in got
    assert worker.status == before
    if before == "awake":
        assert reply.status_code == 200 and reply.json()["job"] == job["id"]
    else:
        assert_error(reply, 409)


def test_error_that_the_worker_reported_stays(timed):
    farm = timed(worker_timeout="1m")
    worker = farm.worker(status="error")
    assert_error(worker.ask(), 409)
    farm.advance("6m")
    assert_error(worker.ask(), 409)
    assert worker.status == "error"


def test_sign_on_ends_the_error(timed):
    farm = timed(worker_timeout="1m")
    worker = farm.worker()
    events = farm.events()
    farm.advance("6m")
    events.wait_worker(worker.id, "error")
    assert worker.sign_on() == "awake"
    worker.state_changed("awake")
    assert worker.status == "awake"


def test_worker_timeout_0_switches_off_that_check_alone(timed):
    farm = timed(task_timeout="10m", worker_timeout="0s")
    worker = farm.worker()
    farm.submit([{}] + [{"type": "ballast"}] * 20)
    task = worker.get_task()
    events = farm.events()
    farm.advance("30m")
    got = events.wait_task(task["uuid"], "failed")
    assert not [e for e in got if e["kind"] == "worker"] and worker.status == "awake"


def test_task_timeout_0_switches_off_that_check_alone(timed):
    farm = timed(task_timeout="0s", worker_timeout="1m")
    worker, quiet = farm.worker(), farm.worker()
    farm.submit([{}] + [{"type": "ballast"}] * 20)
    task = worker.get_task()
    events = farm.events()
    farm.advance("5h")
    events.wait_worker(quiet.id, "error")
    assert worker.status == "error"
    assert farm.task(task["uuid"])["status"] == "queued"


def test_checks_go_on_every_minute(timed):
    farm = timed(worker_timeout="1m")
    events = farm.events()
    first, second = farm.worker(), farm.worker()
    farm.advance("5m10s")
    events.wait_worker(second.id, "error")
    for _ in range(3):
        first.sign_on()
        first.state_changed("awake")
        events.skip()
        events.wait_while(lambda: farm.advance("61s"),
                          lambda e: e["kind"] == "worker" and e["payload"]["id"] == first.id and e["payload"]["status"] == "error")


def test_times_out_at_exactly_the_limit(timed):
    farm = timed(worker_timeout="1m")
    worker = farm.worker()
    farm.advance("4m10s")
    worker.api.get("/worker/state")
    events = farm.events()
    control = farm.register()
    control.sign_on()
    farm.clock(frozen=True)
    worker.api.get("/worker/state")
    assert worker.status == "awake"
    farm.advance("1m")
    events.wait_worker(worker.id, "error")
