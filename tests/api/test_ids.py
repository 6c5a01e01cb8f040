# SPDX-License-Identifier: Apache-2.0
"""Unknown ids, and ids in upper case (api-behaviour 7; decisions: any letter case finds it, replies are lower case)."""
import pytest
from harness.check import UNKNOWN, assert_empty, assert_error


@pytest.mark.parametrize("method, path, body", [
    ("GET", f"/jobs/{UNKNOWN}", None),
    ("POST", f"/jobs/{UNKNOWN}/setstatus", {"status": "queued", "reason": ""}),
    ("POST", f"/jobs/{UNKNOWN}/setpriority", {"priority": 7}),
    ("GET", f"/tasks/{UNKNOWN}", None),
    ("GET", f"/tasks/{UNKNOWN}/log", None),
    ("GET", f"/tasks/{UNKNOWN}/logtail", None),
    ("POST", f"/tasks/{UNKNOWN}/setstatus", {"status": "queued", "reason": ""}),
    ("GET", f"/worker-mgt/workers/{UNKNOWN}", None),
    ("DELETE", f"/worker-mgt/workers/{UNKNOWN}", None),
    ("GET", f"/worker-mgt/tag/{UNKNOWN}", None),
    ("GET", "/jobs/type/no-such-type", None),
])
def test_unknown_ids_give_404(api, method, path, body):
    assert_error(api.call(method, path, json=body), 404)


def test_tasks_of_an_unknown_job_are_an_empty_list(api):
    assert api.ok("GET", f"/jobs/{UNKNOWN}/tasks") == {"tasks": []}


def test_unknown_task_in_worker_operations(farm):
    worker = farm.worker()
    assert_error(worker.api.post(f"/worker/task/{UNKNOWN}", json={}), 404)
    answer = worker.may_run(UNKNOWN)
    assert answer["mayKeepRunning"] is False and answer["statusChangeRequested"] is False and answer["reason"]


def test_upper_case_ids_find_and_replies_are_lower_case(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}])
    task = worker.get_task()
    job_id, task_id = job["id"].upper(), task["uuid"].upper()
    api = farm.api
    assert api.ok("GET", f"/jobs/{job_id}")["id"] == job["id"]
    assert api.ok("GET", f"/jobs/{job_id}/tasks")["tasks"][0]["id"] == task["uuid"]
    assert_empty(api.post(f"/jobs/{job_id}/setpriority", json={"priority": 3}))
    assert api.ok("GET", f"/tasks/{task_id}")["job_id"] == job["id"]
    assert api.ok("GET", f"/tasks/{task_id}/log")["task_id"] == task["uuid"]
    assert api.get(f"/tasks/{task_id}/logtail").status_code == 200
    assert api.ok("GET", f"/worker-mgt/workers/{worker.id.upper()}")["id"] == worker.id
    assert worker.may_run(task_id)["mayKeepRunning"] is True
    upper = api.clone((worker.id.upper(), worker.secret))
    assert_empty(upper.post(f"/worker/task/{task_id}", json={"activity": "up"}))
    assert farm.task(task["uuid"])["activity"] == "up"
    assert_empty(api.post(f"/tasks/{task_id}/setstatus", json={"status": "canceled", "reason": "up"}))
    assert_empty(api.post(f"/jobs/{job_id}/setstatus", json={"status": "canceled", "reason": "up"}))
    assert farm.job(job["id"])["status"] == "canceled"
