# SPDX-License-Identifier: Apache-2.0
"""Everything that can happen is told to everybody, the same, in the same order: to a web page (Socket.IO of both generations),
to a script (server-sent events), and to forwarders (the recorder is one). Content and causes: test_events.py."""
import json

import pytest
from harness.images import plain
from harness.sse import Sse
from harness.websocket import SocketIo


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("order"), live=True, reference={"worker_timeout": "0s", "task_timeout": "0s"}, yaml={
        "plugins": {"job_deleter": {"file": "job-deleter"}, "last_rendered": {"file": "last-rendered"}}})
    yield farm
    farm.manager.stop()


def everything(farm, watch):
    """All operations that cause events. `watch` is called with each job, before anything happens to its tasks."""
    worker = farm.register(name="narrator")
    worker.sign_on(["story"], can_restart=True)
    worker.state_changed("awake")
    job = farm.submit([{"type": "story", "name": "one", "commands": [{"name": "echo", "steps": 3}]}, {"type": "story", "name": "two"}])
    watch(job)
    task = worker.get_task()["uuid"]
    worker.update(task, steps_completed=2, activity="sample", log="line 1\nline 2 äöü 😀 <&>\u2028\n")
    farm.api.ok("POST", f"/jobs/{job['id']}/setpriority", 204, json={"priority": 73})
    worker.api.ok("POST", f"/worker/task/{task}/output-produced", 202, data=plain(64, 48), headers={"Content-Type": "image/png"})
    worker.complete(task)
    worker.get_task()
    farm.set_job_status(job["id"], "pause-requested")
    farm.api.ok("POST", f"/worker-mgt/workers/{worker.id}/setstatus", 204, json={"status": "asleep", "is_lazy": True})
    worker.sign_off()
    farm.set_job_status(job["id"], "requeueing")
    farm.set_job_status(job["id"], "cancel-requested")
    farm.set_task_status(task, "failed", "by hand")
    tag = farm.api.ok("POST", "/worker-mgt/tags", json={"name": "gpu"})["id"]
    farm.api.ok("POST", f"/worker-mgt/workers/{worker.id}/settags", 204, json={"tag_ids": [tag]})
    farm.api.ok("PUT", f"/worker-mgt/tag/{tag}", 204, json={"name": "gpus", "description": "fast"})
    farm.api.ok("DELETE", f"/worker-mgt/tag/{tag}", 204)
    farm.api.ok("POST", f"/worker-mgt/workers/{worker.id}/sleep-schedule", 204, json={
        "is_active": True, "days_of_week": "", "start_time": "00:00", "end_time": "24:00"})
    farm.api.ok("DELETE", f"/worker-mgt/workers/{worker.id}", 204)
    farm.api.ok("DELETE", f"/jobs/{job['id']}", 204)
    return job


def is_end(name, payload):
    return name == "/workertags" and payload["tag"]["name"] == "the end"


def test_everybody_is_told_the_same(live):
    pages = [SocketIo(live.port, eio, statuses=True) for eio in (3, 4)]
    for page in pages:
        for kind in ("allJobs", "allWorkers", "allWorkerTags", "allLastRendered"):
            page.subscribe(kind)

    def watch(job):
        for page in pages:
            page.subscribe("job", job["id"])
            heard[page] += page.kept
            for task in live.tasks(job["id"]):
                page.subscribe("tasklog", task["id"])
                heard[page] += page.kept

    heard = {page: [] for page in pages}
    events = live.events()
    with Sse(live.port) as stream:
        job = everything(live, watch)
        events.wait(lambda e: e["kind"] == "job" and e["payload"].get("was_deleted"), 60)
        live.api.ok("POST", "/worker-mgt/tags", json={"name": "the end"})
        told = stream.wait(lambda e: is_end(e["event"], e["data"]))
    events.last = int(told[0]["id"].split("-")[1]) - 1
    recorded = []
    while not recorded or not is_end(recorded[-1]["name"], recorded[-1]["payload"]):
        recorded += events.take()
    assert [(e["event"], e["topic"], e["data"]) for e in told] == [(e["name"], e["topic"], e["payload"]) for e in recorded]
    assert [int(e["id"].split("-")[1]) for e in told] == [e["seq"] for e in recorded]
    names = [e["event"] for e in told]
    assert set(names) >= {"/jobs", "/task", "/tasklog", "/workers", "/workertags", "/last-rendered"}
    both = [e["topic"] for e in told if e["event"] == "/last-rendered"]
    assert both == [f"/jobs/{job['id']}/last-rendered", "/last-rendered"]
    for page in pages:
        got = [tuple(json.loads(text[2:])) for text in heard[page] if text.startswith("42")]
        got += page.wait(lambda e: is_end(*e))
        page.close()
        # A page may have heard of what the others were not there for yet, or the other way round: status changes alone.
        assert [e for e in got if e[0] != "/status"] == [(e["event"], e["data"]) for e in told if e["event"] != "/status"]
