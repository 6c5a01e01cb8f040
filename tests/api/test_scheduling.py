# SPDX-License-Identifier: Apache-2.0
"""Which task a worker gets (state-and-scheduling 6)."""
import uuid

import pytest
from harness.check import parse_time
from harness.events import shape
from harness.openapi import assert_schema


def names_in_order(farm, lane, worker=None):
    """Runs everything that is handed out, one after the other; gives the tasks' names."""
    worker = worker or farm.worker(types=[lane])
    out = []
    while (task := worker.get_task()) is not None:
        out.append(task["name"])
        worker.complete(task["uuid"])
    return out


def test_no_jobs_no_task(farm, lane):
    assert farm.worker(types=[lane]).get_task() is None


def test_assigned_task(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane, "name": "only", "priority": 7,
                        "commands": [{"name": "echo", "parameters": {"message": "m", "list": ["a", 1]}, "steps": 4}]}], priority=33)
    task = worker.get_task()
    assert task == {"uuid": farm.tasks(job["id"])[0]["id"], "job": job["id"], "name": "only", "status": "active", "priority": 7,
                    "job_priority": 33, "job_type": "graph", "task_type": lane, "steps_completed": 0, "steps_total": 4,
                    "commands": [{"name": "echo", "parameters": {"message": "m", "list": ["a", 1]}, "total_step_count": 4}]}
    assert_schema("AssignedTask", task)
    row = farm.task(task["uuid"])
    assert row["status"] == "active" and row["worker"] == {"id": worker.id, "name": worker.name, "address": "127.0.0.1"}
    parse_time(row["last_touched"])
    worker.complete(task["uuid"])


@pytest.mark.parametrize("tasks, order", [
    # task priority first, then order of creation
    ([("a", 50, []), ("b", 100, []), ("c", 50, [])], "bac"),
    ([("a", 50, []), ("b", 100, [0]), ("c", 50, [])], "abc"),
    ([("a", 50, []), ("b", 50, []), ("c", 50, [])], "abc"),
    ([("a", -3, []), ("b", 0, []), ("c", 200, [])], "cba"),
    # a graph stored back to front: final, fan-in, p1, p2, start, p3
    ([("final", 50, [1]), ("fan-in", 50, [2, 3, 5]), ("p1", 50, [4]), ("p2", 50, [4]), ("start", 50, []), ("p3", 50, [4])],
     "start p1 p2 p3 fan-in final"),
])
def test_order_within_a_job(farm, lane, tasks, order):
    farm.submit([{"name": n, "type": lane, "priority": p, "deps": d} for n, p, d in tasks])
    assert names_in_order(farm, lane) == (order.split() if " " in order else list(order))


def test_job_priority_beats_task_priority(farm, lane):
    farm.submit([{"name": "1-100", "type": lane, "priority": 100}], priority=50)
    farm.submit([{"name": "2-50", "type": lane, "priority": 50}, {"name": "2-100", "type": lane, "priority": 100, "deps": [0]},
                 {"name": "2-150", "type": lane, "priority": 150}], priority=100)
    assert names_in_order(farm, lane) == ["2-150", "2-50", "2-100", "1-100"]


def test_ties_go_to_the_older_job(farm, lane):
    for name in "abc":
        farm.submit([{"name": name, "type": lane}])
    assert names_in_order(farm, lane) == list("abc")


def test_changed_job_priority_counts_from_the_next_request_on(farm, lane):
    jobs = [farm.submit([{"name": n, "type": lane}]) for n in "abc"]
    farm.api.ok("POST", f"/jobs/{jobs[2]['id']}/setpriority", 204, json={"priority": 90})
    farm.api.ok("POST", f"/jobs/{jobs[0]['id']}/setpriority", 204, json={"priority": 1})
    assert names_in_order(farm, lane) == list("cba")


def test_priority_outside_the_range_of_the_add_on_counts(farm, lane):
    for name, priority in (("a", -2147483648), ("b", 2147483647), ("c", 0)):
        farm.submit([{"name": name, "type": lane}], priority=priority)
    assert names_in_order(farm, lane) == list("bca")


def test_task_types_match_exactly(farm, lane):
    job = farm.submit([{"type": lane + "x"}, {"type": lane[:-1]}, {"type": lane.upper()}, {"type": ""+lane + " y"}])
    assert farm.worker(types=[lane]).get_task() is None
    assert farm.worker(types=[]).get_task() is None
    farm.put_away(job["id"])


def test_unmet_dependencies_and_foreign_types_wait(farm, lane):
    job = farm.submit([{"type": lane, "name": "done"}, {"type": lane + "-other", "name": "foreign"},
                       {"type": lane, "name": "both", "deps": [0, 1]}])
    assert names_in_order(farm, lane) == ["done"]
    assert farm.letters(job["id"]) == "CQQ"
    assert names_in_order(farm, lane, farm.worker(types=[lane, lane + "-other"])) == ["foreign", "both"]
    assert farm.job(job["id"])["status"] == "completed"


@pytest.mark.parametrize("status", ["failed", "canceled", "paused", "active", "soft-failed", "queued"])
def test_only_completed_dependencies_count(farm, lane, status):
    job = farm.submit([{"type": lane + "-dep"}] * 1 + [{"type": lane, "deps": [0]}] + [{"type": lane + "-dep"}] * 9)
    farm.set_task_status(farm.tasks(job["id"])[0]["id"], status)
    farm.set_job_status(job["id"], "active")
    assert farm.worker(types=[lane]).get_task() is None
    farm.put_away(job["id"])


@pytest.mark.parametrize("status, schedulable", [
    ("queued", True), ("active", True), ("paused", False), ("canceled", False), ("completed", False), ("failed", False),
    ("under-construction", False),
])
def test_job_status_decides(farm, lane, status, schedulable):
    job = farm.submit([{"type": lane}], initial_status=status)
    assert farm.job(job["id"])["status"] == status
    assert farm.letters(job["id"]) == "Q"
    task = farm.worker(types=[lane]).get_task()
    assert (task is not None) == schedulable
    farm.put_away(job["id"])


def test_two_way_statuses_of_a_submission_are_taken_literally(farm):
    """api-behaviour 7.5: any JobStatus, and the state machine is not run."""
    for status in ("cancel-requested", "pause-requested", "requeueing"):
        job = farm.submit([{}], initial_status=status)
        assert job["status"] == status and farm.letters(job["id"]) == "Q"
        farm.set_job_status(job["id"], "canceled")


def test_soft_failed_tasks_are_handed_out(farm, lane):
    job = farm.submit([{"type": lane}])
    farm.set_task_status(farm.tasks(job["id"])[0]["id"], "soft-failed")
    assert farm.worker(types=[lane]).get_task() is not None
    farm.put_away(job["id"])


def test_active_task_is_handed_out_again(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane, "name": "mine", "priority": 50, "commands": [{"name": "echo", "steps": 5}]}])
    mine = worker.get_task()
    worker.update(mine["uuid"], steps_completed=2)
    other = farm.submit([{"type": lane, "name": "better", "priority": 100}], priority=100)
    events = farm.events()
    again = worker.get_task()
    assert again["uuid"] == mine["uuid"] and again["steps_completed"] == 2
    assert shape(events.take()) == [("task_log",), ("task", "active", "active"), ("worker", None, "awake")]
    # without a look at types
    worker.sign_on(["something-else"])
    worker.state_changed("awake")
    assert worker.get_task()["uuid"] == mine["uuid"]
    farm.put_away(job["id"], other["id"])


def test_active_task_of_a_pausing_job_is_not_handed_out_again(farm, lane):
    worker = farm.worker(types=[lane])
    first, second = farm.submit([{"type": lane, "name": "first"}]), farm.submit([{"type": lane, "name": "second"}])
    assert worker.get_task()["name"] == "first"
    farm.set_job_status(first["id"], "pause-requested")
    assert worker.get_task()["name"] == "second"
    assert farm.letters(first["id"]) == "A"
    farm.put_away(first["id"], second["id"])


def test_task_last_assigned_to_another_worker_is_handed_out(farm, lane):
    job = farm.submit([{"type": lane}])
    first, second = farm.worker(types=[lane]), farm.worker(types=[lane])
    task = first.get_task()
    assert second.get_task() is None
    first.sign_off()
    assert second.get_task()["uuid"] == task["uuid"]
    assert farm.task(task["uuid"])["worker"]["id"] == second.id
    farm.put_away(job["id"])


def test_no_task_is_handed_out_twice(farm, lane):
    """Several workers ask at once."""
    from harness.http import Background
    job = farm.submit([{"type": lane}] * 12)
    workers = [farm.worker(types=[lane]) for _ in range(16)]
    calls = [Background(w.get_task) for w in workers]
    got = [task["uuid"] for task in (c.result() for c in calls) if task]
    assert len(got) == len(set(got)) == 12
    farm.put_away(job["id"])


def test_worker_on_the_failure_list_gets_another_task(farm, lane):
    worker = farm.worker(types=[lane])
    for _ in range(3):
        farm.worker(types=[lane])
    job = farm.submit([{"type": lane, "name": "one"}] + [{"type": lane, "name": f"more {i}"} for i in range(11)])
    first = worker.get_task()
    worker.fail(first["uuid"])
    assert farm.task(first["uuid"])["status"] == "soft-failed"
    assert worker.get_task()["name"] == "more 0"
    farm.put_away(job["id"])


def test_events_and_log_of_an_assignment(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}])
    events = farm.events()
    task = worker.get_task()
    got = events.take()
    # the assignment line, then what the state machine writes and tells, then the worker
    kinds = [e["kind"] for e in got]
    assert kinds[0] == "task_log" and kinds[-1] == "worker"
    assert worker.name in got[0]["payload"]["log"] and worker.id in got[0]["payload"]["log"]
    assert shape([e for e in got if e["kind"] in ("task", "job", "worker")]) == [
        ("task", "queued", "active"), ("job", "queued", "active", False), ("worker", None, "awake")]
    assert got[0]["topic"] == f"/tasklog/{task['uuid']}"
    farm.put_away(job["id"])


# ---- Tags ----------------------------------------------------------------------------------------------------------------

def add_tag(store, name, *worker_ids):
    """Tag operations come in a later issue: writes straight into the database of a manager that does not run."""
    tag = str(uuid.uuid4())
    store.execute(f"INSERT INTO tag (uuid, name, description) VALUES ({store.uuid(tag)}, '{name}', '')",
                  *(f"INSERT INTO worker_tag (tag, worker) SELECT t.id, w.id FROM tag t, worker w "
                    f"WHERE t.uuid = {store.uuid(tag)} AND w.uuid = {store.uuid(worker)}" for worker in worker_ids))
    return tag


def test_tags(own_farm):
    """The four vectors, and that only tagged workers count as capable."""
    farm = own_farm
    t1, t2, untagged = (farm.worker(types=[t]) for t in ("one", "two", "none"))
    farm.manager.stop()
    tag1, tag2 = add_tag(farm.manager.store, "T1", t1.id), add_tag(farm.manager.store, "T2", t2.id)
    farm.manager.start()
    both = [{"type": t} for t in ("one", "two", "none")]
    only_t2 = farm.submit(both, worker_tag=tag2)
    assert only_t2["worker_tag"] == tag2
    assert farm.job(only_t2["id"])["worker_tag"] == tag2
    assert t1.get_task() is None and untagged.get_task() is None
    only_t1 = farm.submit(both, worker_tag=tag1.upper())
    assert only_t1["worker_tag"] == tag1
    assert t1.get_task()["job"] == only_t1["id"] and untagged.get_task() is None
    everybodys = farm.submit(both)
    assert untagged.get_task()["job"] == everybodys["id"]
    assert farm.api.ok("GET", f"/worker-mgt/workers/{t1.id}")["tags"] == [{"id": tag1, "name": "T1"}]
    # nobody else has the tag and the type
    other = farm.worker(types=["two"])
    task = t2.get_task()
    assert task["job"] == only_t2["id"] and other.get_task() is not None
    t2.fail(task["uuid"])
    assert farm.job(only_t2["id"])["status"] == "failed"


def test_unknown_worker_tag_at_submission(farm, lane):
    """Nothing is stored, and the check does not notice (job-compiler 13)."""
    body = farm.submission([{"type": lane}], worker_tag="11111111-2222-4333-8444-555555555555")
    before = farm.api.ok("GET", "/jobs")
    reply = farm.api.post("/jobs", body)
    assert reply.status_code in (400, 500), reply.text
    assert set(reply.json()) == {"code", "message"}
    assert farm.api.ok("GET", "/jobs") == before
    job = farm.submit([{"type": lane}], worker_tag="")
    assert "worker_tag" not in job
    farm.put_away(job["id"])
