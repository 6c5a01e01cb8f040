# SPDX-License-Identifier: Apache-2.0
"""What a restart finds and puts right (state-and-scheduling 3.3), and that nothing acknowledged is lost in a power cut."""
import sqlite3

import pytest
from harness.check import assert_error
from harness.events import Events, shape
from harness.manager import Manager
from harness.store import sqlite_only

LETTERS = {"A": "active", "C": "completed", "F": "failed", "P": "paused", "Q": "queued", "S": "soft-failed", "X": "canceled"}


def arrange(farm, status, letters):
    job_id = farm.submit([{}] * len(letters), initial_status=status)["id"]
    rows = farm.tasks(job_id)
    for wanted in "AFXPCSQ":
        for row, letter in zip(rows, letters):
            if letter == wanted and letter != "Q":
                farm.set_task_status(row["id"], LETTERS[letter])
    assert (farm.job(job_id)["status"], farm.letters(job_id)) == (status, letters)
    return job_id


def start_events(farm):
    """The events since the start of the process, before the first request."""
    farm.manager.start()
    events = Events.__new__(Events)
    events.api, events.last = farm.api.clone(), 0
    return events.take()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_transitional_statuses_are_finished_at_the_start(own_farm, how):
    farm = own_farm
    table = [
        # status, tasks, events behind the first, status and tasks after
        ("cancel-requested", "ACQ", ["canceled"], "canceled", "XCX"),
        ("cancel-requested", "ACPS", ["canceled"], "canceled", "XCXX"),
        ("requeueing", "XFCPA", ["queued"], "queued", "QQCQA"),
        ("requeueing", "CC", ["queued", "completed"], "completed", "CC"),
        ("pause-requested", "QQQ", ["paused"], "paused", "PPP"),
        ("pause-requested", "AQC", [], "pause-requested", "APC"),
    ]
    jobs = [arrange(farm, status, tasks) for status, tasks, *_ in table]
    untouched = farm.submit([{}])
    getattr(farm.manager, how)()
    events = start_events(farm)
    for job_id, (status, _, follow, after, letters) in zip(jobs, table):
        got = [(e["payload"]["previous_status"], e["payload"]["status"]) for e in events
               if e["kind"] == "job" and e["payload"]["id"] == job_id]
        steps = [status, *follow]
        assert got == [(status, status)] + list(zip(steps, steps[1:])), status
        assert (farm.job(job_id)["status"], farm.letters(job_id)) == (after, letters)
        assert farm.job(job_id)["activity"]
    assert not [e for e in events if e["kind"] == "job" and e["payload"]["id"] == untouched["id"]]
    assert shape(events)[-1] == ("lifecycle",) and events[-1]["payload"] == {"type": "manager-startup"}


def test_active_tasks_of_other_jobs_are_left_alone(own_farm):
    worker = own_farm.worker()
    job = own_farm.submit([{}])
    task = worker.get_task()
    own_farm.manager.kill()
    own_farm.manager.start()
    assert own_farm.letters(job["id"]) == "A" and worker.status == "awake"
    assert worker.get_task()["uuid"] == task["uuid"]
    worker.complete(task["uuid"])


def test_nothing_acknowledged_is_lost_in_a_power_cut(own_farm):
    farm = own_farm
    worker = farm.register(name="survivor")
    worker.sign_on(["misc"], can_restart=True)
    worker.state_changed("awake")
    job = farm.submit([{"commands": [{"name": "echo", "steps": 3}]}, {}, {}], name="kept", metadata={"a": "b"}, priority=7)
    task = worker.get_task()
    worker.update(task["uuid"], steps_completed=2, activity="two", log="line\n")
    farm.api.ok("POST", f"/jobs/{job['id']}/setpriority", 204, json={"priority": 8})
    before = (farm.job(job["id"]), farm.tasks(job["id"]), farm.task(task["uuid"]))
    row = worker.row()
    for _ in range(2):
        farm.manager.kill()
        farm.manager.start()
        assert farm.job(job["id"]) == before[0]
        assert farm.tasks(job["id"]) == before[1]
        after = farm.task(task["uuid"])
        # the touch time is stored within 1 s (architecture 1)
        assert after | {"last_touched": 0, "updated": 0} == before[2] | {"last_touched": 0, "updated": 0}
        again = worker.row()
        assert again | {"last_seen": 0} == row | {"last_seen": 0} or again["status"] == "awake"
        assert "line\n" in farm.log_file(job["id"], task["uuid"]).read_text()


def test_power_cuts_at_any_time_leave_a_sound_database(own_farm):
    """Kills the manager in the middle of traffic, several times."""
    farm = own_farm
    done = []
    for round_ in range(4):
        worker = farm.worker()
        jobs = [farm.submit([{}] * 3, name=f"{round_}-{i}")["id"] for i in range(5)]
        while len(done) < (round_ + 1) * 5:
            task = worker.get_task()
            worker.complete(task["uuid"])
            done.append(task["uuid"])
        farm.manager.kill()
        if farm.manager.store.kind == "sqlite":
            assert farm.manager.store.query("PRAGMA integrity_check") == [("ok",)]
        farm.manager.start()
        assert all(farm.task(t)["status"] == "completed" for t in done)
        assert all(farm.job(j)["name"].startswith(str(round_)) for j in jobs)


@sqlite_only
def test_clean_stop_leaves_no_log_of_the_database(own_farm):
    own_farm.submit([{}])
    own_farm.manager.stop()
    names = {p.name for p in own_farm.manager.dir.iterdir()}
    assert "farm-c.sqlite" in names and not names & {"farm-c.sqlite-wal", "farm.sqlite"}


@sqlite_only
def test_database_file_is_ours_and_private(own_farm):
    path = own_farm.manager.database
    assert path.stat().st_mode & 0o777 == 0o600
    own_farm.manager.stop()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA application_id").fetchone()[0] != 0
        assert db.execute("PRAGMA user_version").fetchone()[0] >= 1
    db.close()


def same_store(farm):
    """For the manager.yaml of another manager."""
    if farm.manager.store.kind == "sqlite":
        return {"plugins": {"persist": {"settings": {"path": str(farm.manager.database)}}}}
    return {"plugins": {"persist": farm.manager.store.yaml()}}


def test_second_manager_on_one_database_is_refused(own_farm, make_manager):
    other = make_manager(yaml=same_store(own_farm))
    other.spawn()
    assert other.wait_exit() == 1
    assert f"process {own_farm.manager.proc.pid} on host" in other.log()
    own_farm.submit([{}])
    reply = own_farm.api.get("//health/ready")
    assert reply.status_code == 200, reply.text


def test_lease_of_a_killed_manager_is_free(own_farm, make_manager):
    other = make_manager(yaml=same_store(own_farm))
    own_farm.manager.kill()
    other.start()
    assert other.is_running()


@sqlite_only
def test_database_of_a_newer_version_is_refused(own_farm):
    own_farm.manager.stop()
    with sqlite3.connect(own_farm.manager.database) as db:
        db.execute("PRAGMA user_version = 9999")
    db.close()
    own_farm.manager.spawn()
    assert own_farm.manager.wait_exit() == 1
    assert "9999" in own_farm.manager.log() or "newer" in own_farm.manager.log()


@sqlite_only
def test_file_that_is_no_database_is_refused(make_manager):
    manager = make_manager()
    manager.database.write_text("this is no database, and it must not be overwritten\n" * 50)
    manager.spawn()
    assert manager.wait_exit() == 1
    assert manager.database.read_text().startswith("this is no database")
    assert "farm-c.sqlite" in manager.log()


def test_taken_port_is_exit_code_1_and_one_clear_line(own_farm, make_manager):
    other = make_manager(reference={"listen": f"127.0.0.1:{own_farm.port}"})
    assert isinstance(other, Manager)
    other.spawn()
    assert other.wait_exit() == 1
    assert str(own_farm.port) in other.log()


def test_worker_operations_are_never_5xx_at_the_start(own_farm):
    """Before everything is ready, nobody listens: a Worker takes a 5xx at sign-on for final."""
    worker = own_farm.worker()
    own_farm.manager.stop()
    own_farm.manager.spawn()
    seen = set()
    while not seen & {200}:
        try:
            reply = worker.api.post("/worker/sign-on", {"name": "x", "supported_task_types": [], "software_version": "1"})
            seen.add(reply.status_code)
        except OSError:
            pass  # refused or reset: the Worker tries again
    assert seen == {200}
    own_farm.manager.wait_ready()


def test_unknown_task_after_a_restart_is_404(own_farm):
    worker = own_farm.worker()
    own_farm.manager.restart()
    assert_error(worker.api.post("/worker/task/11111111-2222-4333-8444-555555555555", {}), 404)
