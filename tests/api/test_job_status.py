# SPDX-License-Identifier: Apache-2.0
"""Job status: what setJobStatus does, and what follows from the tasks (state-and-scheduling 2.1, 3; decisions.md wins:
cancelling takes paused tasks along, nothing wakes a job that was ended or paused)."""
import pytest
from harness.check import assert_empty, parse_time
from harness.events import shape
from harness.openapi import assert_schema

LETTERS = {"A": "active", "C": "completed", "F": "failed", "P": "paused", "Q": "queued", "S": "soft-failed", "X": "canceled"}
TRANSITIONAL = ("cancel-requested", "requeueing", "pause-requested")
# Tasks of a type that no worker has, so that nobody takes them away.
NOBODYS = "nobodys-type"


def arrange(farm, status, letters):
    """A job in that status with tasks in those statuses. Failed ones are set first, since they end the job and cancel the
    rest; but active ones in a job that waits for them."""
    initial = status if status in TRANSITIONAL else "queued"
    job_id = farm.submit([{"type": NOBODYS}] * len(letters), initial_status=initial)["id"]
    tasks = [t["id"] for t in farm.tasks(job_id)]
    for wanted in "AFXPCSQ" if status in TRANSITIONAL else "FXPCSAQ":
        for index, letter in enumerate(letters):
            if letter == wanted and farm.letters(job_id)[index] != letter:
                farm.set_task_status(tasks[index], LETTERS[letter])
    if farm.job(job_id)["status"] != status:
        assert status not in TRANSITIONAL, "the tasks moved the job on"
        farm.set_job_status(job_id, status)
    assert (farm.job(job_id)["status"], farm.letters(job_id)) == (status, letters)
    return job_id


def refresh(status):
    return status in ("cancel-requested", "failed", "pause-requested", "requeueing", "queued")


def chain(*statuses):
    """The job events of a chain of statuses."""
    return [("job", a, b, refresh(b)) for a, b in zip(statuses, statuses[1:])]


@pytest.mark.parametrize("before, tasks, request_status, steps, after", [
    # pausing
    ("queued", "QQQ", "pause-requested", ["pause-requested", "paused"], "PPP"),
    ("queued", "CQQ", "pause-requested", ["pause-requested", "paused"], "CPP"),
    ("active", "ACQ", "pause-requested", ["pause-requested"], "ACP"),
    ("active", "CSQ", "pause-requested", ["pause-requested", "paused"], "CPP"),
    ("active", "AFX", "pause-requested", ["pause-requested"], "AFX"),
    ("canceled", "XCX", "pause-requested", ["pause-requested", "paused"], "XCX"),
    # cancelling
    ("active", "ACQ", "cancel-requested", ["cancel-requested", "canceled"], "XCX"),
    ("active", "CFS", "cancel-requested", ["cancel-requested", "canceled"], "CFX"),
    ("paused", "PPC", "cancel-requested", ["cancel-requested", "canceled"], "XXC"),
    ("paused", "APC", "cancel-requested", ["cancel-requested", "canceled"], "XXC"),
    ("queued", "QQQ", "cancel-requested", ["cancel-requested", "canceled"], "XXX"),
    ("completed", "CC", "cancel-requested", ["cancel-requested", "canceled"], "CC"),
    # failing
    ("active", "ACQS", "failed", ["failed"], "XCXX"),
    # requeueing
    ("active", "CFS", "requeueing", ["requeueing", "queued"], "CQQ"),
    ("completed", "CCC", "requeueing", ["requeueing", "queued"], "QQQ"),
    ("failed", "FXC", "requeueing", ["requeueing", "queued"], "QQC"),
    ("paused", "QQ", "requeueing", ["requeueing", "queued"], "QQ"),
    ("paused", "PPC", "requeueing", ["requeueing", "queued"], "QQC"),
    ("canceled", "CC", "requeueing", ["requeueing", "queued", "completed"], "CC"),
    ("canceled", "XP", "requeueing", ["requeueing", "queued"], "QQ"),
    ("active", "AQ", "requeueing", ["requeueing", "queued"], "AQ"),
    # taken literally
    ("active", "AQ", "canceled", ["canceled"], "AQ"),
    ("active", "AQ", "paused", ["paused"], "AQ"),
    ("queued", "QQ", "active", ["active"], "QQ"),
    ("active", "AQ", "completed", ["completed"], "AQ"),
    ("paused", "PQ", "queued", ["queued"], "PQ"),
    ("paused", "CC", "queued", ["queued", "completed"], "CC"),
    ("canceled", "XX", "under-construction", ["under-construction"], "XX"),
    # nothing to do
    ("queued", "Q", "queued", [], "Q"),
    ("paused", "PQ", "paused", [], "PQ"),
    ("failed", "FX", "failed", [], "FX"),
])
def test_set_status(farm, before, tasks, request_status, steps, after):
    job_id = arrange(farm, before, tasks)
    unchanged = farm.job(job_id)
    events = farm.events()
    assert_empty(farm.api.post(f"/jobs/{job_id}/setstatus", {"status": request_status, "reason": "because of tests"}))
    got = events.take()
    assert shape(got) == chain(before, *steps), "no task events, no log lines"
    assert farm.letters(job_id) == after
    job = farm.job(job_id)
    assert job["status"] == (steps[-1] if steps else before)
    if steps:
        assert "because of tests" in job["activity"] and job["status"] in job["activity"]
        assert parse_time(job["updated"]) > parse_time(unchanged["updated"])
        for event in got:
            assert event["payload"]["id"] == job_id and event["topic"] == "/jobs"
            assert_schema("EventJobUpdate", event["payload"])
    else:
        assert job == unchanged
    farm.set_job_status(job_id, "canceled")


def test_cancel_of_a_pausing_job(farm):
    job_id = arrange(farm, "active", "ACQ")
    farm.set_job_status(job_id, "pause-requested")
    assert farm.letters(job_id) == "ACP"
    events = farm.events()
    farm.set_job_status(job_id, "cancel-requested")
    assert shape(events.take()) == chain("pause-requested", "cancel-requested", "canceled")
    assert farm.letters(job_id) == "XCX"


def test_steps_are_recounted_after_requeueing(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane, "commands": [{"name": "echo", "steps": 3}]}] * 3)
    first = worker.get_task()
    worker.update(first["uuid"], steps_completed=2)
    worker.complete(first["uuid"])
    second = worker.get_task()
    worker.update(second["uuid"], steps_completed=2)
    assert farm.job(job["id"])["steps_completed"] == 5
    farm.set_job_status(job["id"], "requeueing")
    assert [t["steps_completed"] for t in farm.tasks(job["id"])] == [3, 2, 0]
    assert farm.job(job["id"])["steps_completed"] == 5
    farm.set_job_status(job["id"], "cancel-requested")
    farm.set_job_status(job["id"], "requeueing")
    assert [t["steps_completed"] for t in farm.tasks(job["id"])] == [3, 0, 0]
    assert farm.job(job["id"])["steps_completed"] == 3
    farm.put_away(job["id"])


def test_job_without_tasks(farm):
    job = farm.submit([])
    assert job["status"] == "queued" and farm.tasks(job["id"]) == []
    farm.set_job_status(job["id"], "requeueing")
    assert farm.job(job["id"])["status"] == "completed"


def test_bulk_changes_leave_an_activity(farm):
    job_id = arrange(farm, "queued", "QQ")
    farm.set_job_status(job_id, "cancel-requested")
    assert all(farm.task(t["id"])["activity"] for t in farm.tasks(job_id))


# ---- What follows from tasks ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("job, tasks, index, letter, job_after, tasks_after", [
    # a task starts or fails softly
    ("queued", "QQ", 0, "A", "active", None),
    ("queued", "QQ", 0, "S", "active", None),
    ("active", "AQ", 0, "S", "active", None),
    ("paused", "PP", 0, "A", "paused", None),
    ("paused", "AP", 0, "S", "paused", None),
    ("canceled", "XX", 0, "A", "canceled", None),
    ("canceled", "AX", 0, "S", "canceled", None),
    ("failed", "FX", 1, "A", "failed", None),
    ("failed", "FA", 1, "S", "failed", None),
    ("completed", "CC", 0, "A", "completed", None),
    # a task ends well
    ("active", "AAA", 0, "C", "active", None),
    ("active", "ACC", 0, "C", "completed", None),
    ("queued", "QQ", 0, "C", "active", None),
    ("queued", "Q", 0, "C", "completed", None),
    ("paused", "AC", 0, "C", "completed", None),
    # a task is requeued
    ("completed", "CCC", 1, "Q", "queued", "CQC"),
    ("failed", "FX", 0, "Q", "failed", None),
    ("canceled", "XX", 0, "Q", "canceled", None),
    ("paused", "PP", 0, "Q", "paused", None),
    ("active", "AC", 1, "Q", "active", None),
    # a task is canceled
    ("active", "AQ", 0, "X", "active", None),
    ("active", "AF", 0, "X", "canceled", None),
    ("active", "AC", 0, "X", "canceled", None),
    ("active", "AS", 0, "X", "active", None),
    ("active", "APC", 0, "X", "paused", None),
    ("active", "APQ", 0, "X", "active", None),
    ("completed", "CC", 0, "X", "canceled", None),
    ("cancel-requested", "AQ", 0, "X", "cancel-requested", None),
    ("cancel-requested", "XQ", 1, "X", "canceled", None),
    ("cancel-requested", "AFC", 0, "X", "canceled", None),
    # a task of a pausing job leaves `active`
    ("pause-requested", "AP", 0, "C", "paused", None),
    ("pause-requested", "AC", 0, "C", "completed", None),
    ("pause-requested", "AP", 0, "X", "paused", None),
    ("pause-requested", "AP", 0, "P", "paused", None),
    ("pause-requested", "AP", 0, "S", "paused", "PP"),
    ("pause-requested", "AAP", 0, "S", "pause-requested", "PAP"),
    ("pause-requested", "AAP", 0, "C", "pause-requested", None),
    ("pause-requested", "A" + "P" * 20, 0, "F", "paused", None),
    ("pause-requested", "AP", 0, "F", "failed", "FP"),
])
def test_ripple(farm, job, tasks, index, letter, job_after, tasks_after):
    job_id = arrange(farm, job, tasks)
    task_id = farm.tasks(job_id)[index]["id"]
    events = farm.events()
    farm.set_task_status(task_id, LETTERS[letter])
    if tasks_after is None:
        tasks_after = tasks[:index] + letter + tasks[index + 1:]
    assert (farm.job(job_id)["status"], farm.letters(job_id)) == (job_after, tasks_after)
    got = shape(events.take("job", "task"))
    assert got[0] == ("task", LETTERS[tasks[index]], LETTERS[tasks_after[index]]) or got[0][0] == "task"
    jobs = [e for e in got if e[0] == "job"]
    if job == job_after:
        assert jobs == []
    else:
        assert jobs[0][1] == job and jobs[-1][2] == job_after
    if job_after not in ("canceled", "completed", "failed"):
        farm.set_job_status(job_id, "canceled")


def test_failure_in_a_pausing_job_stays_recorded(farm, lane):
    worker = farm.worker(types=[lane])
    farm.worker(types=[lane])
    job = farm.submit([{"type": lane}, {"type": lane}] + [{"type": NOBODYS}] * 40)
    task = worker.get_task()
    farm.set_job_status(job["id"], "pause-requested")
    assert farm.job(job["id"])["status"] == "pause-requested"
    worker.fail(task["uuid"])
    row = farm.task(task["uuid"])
    assert row["status"] == "paused" and [w["id"] for w in row["failed_by_workers"]] == [worker.id]
    assert farm.job(job["id"])["status"] == "paused"


def test_returned_task_of_a_pausing_job_becomes_paused(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}, {"type": lane}])
    worker.get_task()
    farm.set_job_status(job["id"], "pause-requested")
    events = farm.events()
    worker.sign_off()
    assert farm.letters(job["id"]) == "PP" and farm.job(job["id"])["status"] == "paused"
    assert [e for e in shape(events.take("job", "task", "worker"))] == [
        ("task", "active", "paused"), ("job", "pause-requested", "paused", False), ("worker", "awake", "offline")]


def test_task_keeps_running_when_its_job_is_canceled_directly(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}])
    task = worker.get_task()
    farm.set_job_status(job["id"], "canceled")
    assert worker.may_run(task["uuid"])["mayKeepRunning"] is True
    worker.complete(task["uuid"])
    assert farm.job(job["id"])["status"] == "completed"


# ---- Tasks set by people --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("status", list(LETTERS.values()))
def test_any_task_status_may_follow_any_other(farm, status):
    job_id = arrange(farm, "active", "QQQQQQQQQQQQ")
    task_id = farm.tasks(job_id)[0]["id"]
    events = farm.events()
    assert_empty(farm.api.post(f"/tasks/{task_id}/setstatus", {"status": status, "reason": "my reason"}))
    row = farm.task(task_id)
    assert row["status"] == status and row["activity"] == "my reason"
    event = events.take("task")[0]["payload"]
    assert event["previous_status"] == "queued" and event["status"] == status and event["activity"] == "my reason"
    assert "worker" not in event
    farm.set_job_status(job_id, "canceled")


def test_current_task_status_stores_and_tells(farm):
    job_id = arrange(farm, "active", "QQ")
    task_id = farm.tasks(job_id)[0]["id"]
    events = farm.events()
    farm.set_task_status(task_id, "queued", "again")
    assert shape(events.take()) == [("task", "queued", "queued")]
    assert farm.task(task_id)["activity"] == "again"
    assert not farm.log_file(job_id, task_id).exists()
    farm.set_job_status(job_id, "canceled")


def test_completing_and_requeueing_a_task_sets_its_steps(farm):
    job = farm.submit([{"type": NOBODYS, "commands": [{"name": "echo", "steps": 5}, {"name": "echo"}]}, {"type": NOBODYS}])
    task_id = farm.tasks(job["id"])[0]["id"]
    farm.set_task_status(task_id, "completed")
    assert (farm.task(task_id)["steps_completed"], farm.job(job["id"])["steps_completed"]) == (6, 6)
    farm.set_task_status(task_id, "canceled")
    assert farm.task(task_id)["steps_completed"] == 6
    farm.set_task_status(task_id, "queued")
    assert (farm.task(task_id)["steps_completed"], farm.job(job["id"])["steps_completed"]) == (0, 0)
    farm.put_away(job["id"])


def test_status_change_is_written_to_the_task_log(farm):
    job_id = arrange(farm, "active", "QQ")
    task_id = farm.tasks(job_id)[0]["id"]
    farm.set_task_status(task_id, "canceled")
    lines = farm.log_file(job_id, task_id).read_text().splitlines()
    assert len(lines) == 1 and "queued" in lines[0] and "canceled" in lines[0]
    farm.set_job_status(job_id, "canceled")
