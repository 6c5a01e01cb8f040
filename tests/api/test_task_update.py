# SPDX-License-Identifier: Apache-2.0
"""What a worker reports about its task (state-and-scheduling 7; api-behaviour 7.2)."""
import pytest
from harness.check import UNKNOWN, assert_error, parse_time
from harness.events import shape


@pytest.fixture
def running(farm, lane):
    """A worker with an active task of 3 steps; the job has a second task, so that nothing completes by itself."""
    class Running:
        worker = farm.worker(types=[lane])
        job = farm.submit([{"type": lane, "commands": [{"name": "echo", "steps": 3}]}, {"type": lane + "-later"}])
        task = worker.get_task()
        id = task["uuid"]
        events = farm.events()

        @property
        def row(self):
            return farm.task(self.id)

    yield Running()
    farm.put_away(Running.job["id"])


def job_steps(farm, job_id):
    job = farm.job(job_id)
    return job["steps_completed"], job["steps_total"]


def test_checks_in_order(farm, running, lane):
    stranger = farm.worker(types=["nothing"])
    waiting = farm.tasks(running.job["id"])[1]["id"]
    running.events.skip()
    assert_error(running.worker.api.post("/worker/task/not-a-uuid", {"taskStatus": "active"}), 400)
    assert_error(running.worker.api.post(f"/worker/task/{UNKNOWN}", {}), 404)
    assert_error(running.worker.update(waiting, 409, activity="x"), 409)  # nobody's
    assert_error(stranger.update(running.id, 409, activity="x"), 409)
    assert_error(stranger.update(running.id, 409, taskStatus="soft-failed"), 409)
    assert_error(running.worker.update(running.id, 400, taskStatus="soft-failed"), 400)
    assert running.row["activity"] != "x" and running.events.take() == []


@pytest.mark.parametrize("steps, stored", [(2, 2), (47, 3), (3, 3), (0, 0)])
def test_steps_are_capped(farm, running, steps, stored):
    running.worker.update(running.id, steps_completed=steps)
    assert running.row["steps_completed"] == stored
    assert job_steps(farm, running.job["id"]) == (stored, 4)
    events = running.events.take()
    if stored == 0:
        assert events == []
        return
    assert shape(events) == [("job", None, "active", False), ("task", None, "active")]
    job, task = (e["payload"] for e in events)
    assert (job["steps_completed"], job["steps_total"]) == (stored, 4)
    assert (task["steps_completed"], task["steps_total"]) == (stored, 3)
    assert task["worker"] == {"name": running.worker.name, "uuid": running.worker.id}


def test_same_steps_are_not_told_again(farm, running):
    running.worker.update(running.id, steps_completed=2)
    running.events.skip()
    running.worker.update(running.id, steps_completed=2)
    assert running.events.take() == []
    running.worker.update(running.id, steps_completed=1)  # may go down
    assert running.row["steps_completed"] == 1
    assert len(running.events.take()) == 2


def test_task_without_steps(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane, "commands": []}])
    task = worker.get_task()
    assert task["steps_total"] == 0 and task["commands"] in (None, [])
    events = farm.events()
    worker.update(task["uuid"], steps_completed=1)
    assert farm.task(task["uuid"])["steps_completed"] == 0 and events.take() == []
    worker.complete(task["uuid"])
    assert farm.job(job["id"])["status"] == "completed"


def test_activity_alone_is_stored_and_not_told(running):
    running.worker.update(running.id, activity="Frame 12")
    assert running.row["activity"] == "Frame 12"
    assert running.events.take() == []


def test_active_on_an_active_task_is_no_change(running):
    running.worker.update(running.id, taskStatus="active", activity="Started")
    assert running.row["activity"] == "Started"
    assert running.events.take() == []


def test_steps_with_equal_status_are_told_once(running):
    running.worker.update(running.id, taskStatus="active", steps_completed=1)
    assert shape(running.events.take()) == [("job", None, "active", False), ("task", None, "active")]


def test_completion(farm, running):
    running.worker.update(running.id, taskStatus="completed", activity="Done", log="x\n")
    row = running.row
    assert row["status"] == "completed" and row["activity"] == "Done"
    assert (row["steps_completed"], row["steps_total"]) == (3, 3)
    assert row["worker"]["id"] == running.worker.id
    events = running.events.take()
    tasks = [e["payload"] for e in events if e["kind"] == "task"]
    assert len(tasks) == 1
    assert tasks[0]["previous_status"] == "active" and tasks[0]["activity"] == "Done" and tasks[0]["steps_completed"] == 3
    assert events[0]["kind"] == "task_log" and events[0]["payload"] == {"task_id": running.id, "log": "x\n"}
    assert job_steps(farm, running.job["id"]) == (3, 4)
    assert farm.job(running.job["id"])["status"] == "active"


def test_steps_and_new_status_in_one_update(running):
    """The job event of the steps comes first; the task event is the state machine's alone."""
    running.worker.update(running.id, taskStatus="completed", steps_completed=2)
    kinds = shape([e for e in running.events.take() if e["kind"] in ("job", "task")])
    assert kinds[0] == ("job", None, "active", False)
    assert kinds.count(("task", "active", "completed")) == 1 and ("task", None, "active") not in kinds


def test_log_is_told_as_sent(farm, running):
    for text in ("one\n", "two", "", "ä€ <&>\n"):
        running.worker.update(running.id, log=text)
    assert [e["payload"]["log"] for e in running.events.take("task_log")] == ["one\n", "two", "", "ä€ <&>\n"]
    content = farm.log_file(running.job["id"], running.id).read_text()
    assert content.endswith("one\ntwo\nä€ <&>\n")


@pytest.mark.parametrize("status", ["completed", "canceled", "queued", "paused", "failed"])
def test_any_other_status_is_accepted(farm, running, status):
    running.worker.update(running.id, taskStatus=status)
    # the only capable worker failed it: the whole job fails (decisions)
    assert running.row["status"] == status


def test_requeue_by_the_worker_resets_steps(farm, running):
    running.worker.update(running.id, steps_completed=2)
    running.worker.update(running.id, taskStatus="queued")
    assert running.row["steps_completed"] == 0
    assert job_steps(farm, running.job["id"]) == (0, 4)


def test_current_status_is_not_checked(farm, running):
    """A worker may complete a task that was canceled meanwhile, as long as it is the last one assigned."""
    farm.set_task_status(running.id, "canceled")
    running.worker.update(running.id, taskStatus="completed")
    assert running.row["status"] == "completed"


def test_task_that_went_to_another_worker_is_409(farm, running, lane):
    other = farm.worker(types=[lane])
    farm.set_task_status(running.id, "queued")
    assert other.get_task()["uuid"] == running.id
    assert_error(running.worker.update(running.id, 409, taskStatus="completed"), 409)
    assert running.row["status"] == "active"
    other.complete(running.id)


def test_late_update_of_an_offline_worker_is_taken(farm, running):
    running.worker.sign_off()
    assert running.row["status"] == "queued"
    running.worker.update(running.id, taskStatus="completed", log="late\n")
    assert running.row["status"] == "completed"


def test_every_update_touches_the_task(running):
    last = parse_time(running.row["last_touched"])
    for fields in ({}, {"activity": "x"}, {"log": "y"}, {"steps_completed": 1}, {"taskStatus": "active"}):
        running.worker.update(running.id, **fields)
        now = parse_time(running.row["last_touched"])
        assert now > last
        last = now
    running.worker.may_run(running.id)
    assert parse_time(running.row["last_touched"]) > last


def test_job_completes_with_its_last_task(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}] * 3)
    for left in (2, 1, 0):
        task = worker.get_task()
        events = farm.events()
        worker.complete(task["uuid"])
        jobs = shape(events.take("job"))
        assert jobs[-1:] == ([("job", "active", "completed", False)] if left == 0 else jobs[-1:])
        assert ("job", "active", "completed", False) not in jobs[:-1]
        assert farm.job(job["id"])["status"] == ("active" if left else "completed")
    done = farm.job(job["id"])
    assert done["steps_completed"] == done["steps_total"] == 3
