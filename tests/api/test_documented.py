# SPDX-License-Identifier: Apache-2.0
"""Walks the OpenAPI document: every documented status of every operation is got once, and its body is what the document says.
A new status in the document without a case here fails."""
import hashlib

import pytest
from harness import openapi
from harness.check import UNKNOWN, assert_empty, assert_error
from harness.images import plain

# Documented because the reference's document has them, and never sent.
NEVER = {
    ("taskOutputProduced", "411"): "a missing length is a bad request (state-and-scheduling 14)",
    ("taskOutputProduced", "415"): "other types are refused before (the same)",
    ("taskOutputProduced", "429"): "needs 256 MiB of images; test_last_rendered.py has it",
    ("shamanFileStore", "204"): "success is 200 (decisions)",
    **{(op, "422"): "no change of status is refused, no value is too odd (api-behaviour 7)"
       for op in ("setJobStatus", "setJobPriority", "setJobTag", "setTaskStatus")},
    ("shamanFileStore", "425"): "never sent (decisions)",
    ("streamEvents", "200"): "does not end; test_event_stream.py has it",
    ("shamanCheckout", "409"): "needs ten names that are taken, nine of them random",
}


class World:
    """What the cases call, with something to find in it. Made anew for each case: cases change it."""

    def __init__(self, farm, lane, tmp_path):
        self.farm, self.lane, self.tmp_path = farm, lane, tmp_path
        self._worker = self._job = None

    @property
    def worker(self):
        if self._worker is None:
            self._worker = self.farm.worker(types=[self.lane])
        return self._worker

    @property
    def job(self):
        if self._job is None:
            self._job = self.farm.submit([{"type": self.lane}])
        return self._job

    @property
    def task_id(self):
        return self.farm.tasks(self.job["id"])[0]["id"]

    def held_task(self):
        """The id of a task that the worker is at."""
        assert self.job
        return self.worker.get_task()["uuid"]

    def tag(self):
        return self.farm.api.ok("POST", "/worker-mgt/tags", json={"name": f"tag of {self.lane}"})["id"]

    def get(self, path):
        return self.farm.api.get(path)

    def post(self, path, body):
        return self.farm.api.post(path, body)

    def finished_job(self):
        self.farm.set_job_status(self.job["id"], "cancel-requested")
        return self.job["id"]

    def config(self):
        return self.farm.api.ok("GET", "/configuration/file")

    def blob(self):
        data = self.lane.encode()
        return hashlib.sha256(data).hexdigest(), data

    def store(self):
        sha, data = self.blob()
        return self.farm.api.post(f"/shaman/files/{sha}/{len(data)}", data=data,
                                  headers={"Content-Type": "application/octet-stream"})

    def spec(self, *files):
        return {"files": [{"sha": sha, "size": len(data), "path": f"file-{n}"} for n, (sha, data) in enumerate(files)]}

    def checkout(self, *files):
        return self.post("/shaman/checkout/create", {**self.spec(*files), "checkoutPath": self.lane})

    def image(self, data, task=None):
        return self.worker.api.post(f"/worker/task/{task or self.held_task()}/output-produced", data=data,
                                    headers={"Content-Type": "image/png"})

    def submission(self, **fields):
        return self.farm.submission([{"type": self.lane}], **fields)

    def status_changed(self, status):
        return self.worker.api.post("/worker/state-changed", {"status": status})

    def ask_while_asked_to_sleep(self):
        self.farm.api.ok("POST", f"/worker-mgt/workers/{self.worker.id}/setstatus", 204,
                         json={"status": "asleep", "is_lazy": False})
        return self.worker.ask()

    def state_of_sleeper(self):
        worker = self.farm.worker(status="asleep")
        self.farm.api.ok("POST", f"/worker-mgt/workers/{worker.id}/setstatus", 204, json={"status": "awake", "is_lazy": False})
        return worker.api.get("/worker/state")

    def update_of_another(self):
        task = self.held_task()
        return self.farm.worker().api.post(f"/worker/task/{task}", {"activity": "not mine"})

    def log_written(self, path):
        self.worker.update(task := self.held_task(), log="one line\n")
        return self.get(f"/tasks/{task}/{path}")

    def schedule(self):
        self.farm.api.ok("POST", f"/worker-mgt/workers/{self.worker.id}/sleep-schedule", 204,
                         json={"is_active": False, "days_of_week": "mo", "start_time": "09:00", "end_time": "10:00"})
        return self.get(f"/worker-mgt/workers/{self.worker.id}/sleep-schedule")


def set_tag(w, job, tag):
    return w.post(f"/jobs/{job}/settag", {"id": tag})


# Operation → status → what brings it about. An error of any kind is the document's "default".
CASES = {
    "getVersion": {"200": lambda w: w.get("/version")},
    "getConfiguration": {"200": lambda w: w.get("/configuration")},
    "checkSharedStoragePath": {
        "200": lambda w: w.post("/configuration/check/shared-storage", {"path": str(w.tmp_path)})},
    "findBlenderExePath": {"200": lambda w: w.get("/configuration/check/blender")},
    "checkBlenderExePath": {"200": lambda w: w.post("/configuration/check/blender", {"path": "/no/such/blender"})},
    "saveSetupAssistantConfig": {},  # restarts the manager: test_setup_assistant.py
    "getConfigurationFile": {"200": lambda w: w.get("/configuration/file")},
    "updateConfigurationFile": {"204": lambda w: w.farm.api.put("/configuration/file", w.config())},
    "getVariables": {"200": lambda w: w.get("/configuration/variables/users/linux")},
    "getSharedStorage": {"200": lambda w: w.get("/configuration/shared-storage/users/linux")},
    "getFarmStatus": {"200": lambda w: w.get("/status")},
    "getPlugins": {"200": lambda w: w.get("/plugins")},
    "getJobTypes": {"200": lambda w: w.get("/jobs/types")},
    "getJobType": {"200": lambda w: w.get("/jobs/type/graph"), "default": lambda w: w.get("/jobs/type/no-such-type")},
    "fetchJobs": {"200": lambda w: w.get("/jobs")},
    "submitJob": {"200": lambda w: w.post("/jobs", w.submission()),
                  "412": lambda w: w.post("/jobs", w.submission(type_etag="of another time"))},
    "submitJobCheck": {"204": lambda w: w.post("/jobs/check", w.submission()),
                       "412": lambda w: w.post("/jobs/check", w.submission(type_etag="of another time"))},
    "deleteJobMass": {
        "204": lambda w: w.finished_job() and w.farm.api.delete("/jobs/mass-delete",
                                                                json={"last_updated_max": "2101-01-01T00:00:00Z"}),
        "416": lambda w: w.farm.api.delete("/jobs/mass-delete", json={"last_updated_max": "1971-01-01T00:00:00Z"})},
    "fetchJob": {"200": lambda w: w.get(f"/jobs/{w.job['id']}"), "default": lambda w: w.get(f"/jobs/{UNKNOWN}")},
    "deleteJob": {"204": lambda w: w.farm.api.delete(f"/jobs/{w.finished_job()}"),
                  "default": lambda w: w.farm.api.delete(f"/jobs/{UNKNOWN}")},
    "deleteJobWhatWouldItDo": {"200": lambda w: w.get(f"/jobs/{w.job['id']}/what-would-delete-do"),
                               "default": lambda w: w.get(f"/jobs/{UNKNOWN}/what-would-delete-do")},
    "fetchJobLastRenderedInfo": {"204": lambda w: w.get(f"/jobs/{w.job['id']}/last-rendered")},  # 200: see below
    "fetchGlobalLastRenderedInfo": {},  # the same
    "setJobStatus": {
        "204": lambda w: w.post(f"/jobs/{w.job['id']}/setstatus", {"status": "cancel-requested", "reason": ""}),
        "default": lambda w: w.post(f"/jobs/{UNKNOWN}/setstatus", {"status": "cancel-requested", "reason": ""})},
    "setJobPriority": {"204": lambda w: w.post(f"/jobs/{w.job['id']}/setpriority", {"priority": 1}),
                       "default": lambda w: w.post(f"/jobs/{UNKNOWN}/setpriority", {"priority": 1})},
    "setJobTag": {"204": lambda w: set_tag(w, w.job["id"], w.tag()), "406": lambda w: set_tag(w, w.job["id"], UNKNOWN),
                  "default": lambda w: set_tag(w, UNKNOWN, w.tag())},
    "fetchJobTasks": {"200": lambda w: w.get(f"/jobs/{w.job['id']}/tasks")},
    "fetchJobBlocklist": {"200": lambda w: w.get(f"/jobs/{w.job['id']}/blocklist")},
    "removeJobBlocklist": {
        "204": lambda w: w.farm.api.delete(f"/jobs/{w.job['id']}/blocklist",
                                           json=[{"worker_id": w.worker.id, "task_type": w.lane}])},
    "fetchTask": {"200": lambda w: w.get(f"/tasks/{w.task_id}"), "default": lambda w: w.get(f"/tasks/{UNKNOWN}")},
    "fetchTaskLogTail": {"200": lambda w: w.log_written("logtail"), "204": lambda w: w.get(f"/tasks/{w.task_id}/logtail"),
                         "default": lambda w: w.get(f"/tasks/{UNKNOWN}/logtail")},
    "fetchTaskLogInfo": {"200": lambda w: w.log_written("log"), "204": lambda w: w.get(f"/tasks/{w.task_id}/log"),
                         "default": lambda w: w.get(f"/tasks/{UNKNOWN}/log")},
    "setTaskStatus": {"204": lambda w: w.post(f"/tasks/{w.task_id}/setstatus", {"status": "canceled", "reason": ""}),
                      "default": lambda w: w.post(f"/tasks/{UNKNOWN}/setstatus", {"status": "canceled", "reason": ""})},
    "registerWorker": {
        "200": lambda w: w.post("/worker/register-worker", {"name": "n", "platform": "linux", "secret": "s3cret",
                                                            "supported_task_types": []})},
    "signOn": {"200": lambda w: w.worker.api.post("/worker/sign-on", {"name": "n", "supported_task_types": [w.lane],
                                                                      "software_version": "3"})},
    "signOff": {"204": lambda w: w.worker.api.post("/worker/sign-off")},
    "workerState": {"200": lambda w: w.state_of_sleeper(), "204": lambda w: w.worker.api.get("/worker/state")},
    "workerStateChanged": {"204": lambda w: w.status_changed("awake")},
    "scheduleTask": {"200": lambda w: w.job and w.worker.ask(), "204": lambda w: w.worker.ask(),
                     "403": lambda w: w.farm.api.clone((w.worker.id, "wrong")).post("/worker/task"),
                     "409": lambda w: w.status_changed("starting") and w.worker.ask(),
                     "423": lambda w: w.ask_while_asked_to_sleep()},
    "taskUpdate": {"204": lambda w: w.worker.api.post(f"/worker/task/{w.held_task()}", {"activity": "at it"}),
                   "409": lambda w: w.update_of_another()},
    "mayWorkerRun": {"200": lambda w: w.worker.api.get(f"/worker/task/{w.held_task()}/may-i-run")},
    "taskOutputProduced": {"202": lambda w: w.image(plain(4, 4)), "413": lambda w: w.image(bytes(26_214_401)),
                           "default": lambda w: w.image(plain(4, 4), UNKNOWN)},
    "fetchWorkers": {"200": lambda w: w.worker and w.get("/worker-mgt/workers")},
    "fetchWorker": {"200": lambda w: w.get(f"/worker-mgt/workers/{w.worker.id}"),
                    "default": lambda w: w.get(f"/worker-mgt/workers/{UNKNOWN}")},
    "deleteWorker": {"204": lambda w: w.farm.api.delete(f"/worker-mgt/workers/{w.worker.id}"),
                     "default": lambda w: w.farm.api.delete(f"/worker-mgt/workers/{UNKNOWN}")},
    "requestWorkerStatusChange": {
        "204": lambda w: w.post(f"/worker-mgt/workers/{w.worker.id}/setstatus", {"status": "asleep", "is_lazy": True}),
        "412": lambda w: w.post(f"/worker-mgt/workers/{w.worker.id}/setstatus", {"status": "restart", "is_lazy": True})},
    "setWorkerTags": {"204": lambda w: w.post(f"/worker-mgt/workers/{w.worker.id}/settags", {"tag_ids": [w.tag()]})},
    "fetchWorkerSleepSchedule": {
        "200": lambda w: w.schedule(), "204": lambda w: w.get(f"/worker-mgt/workers/{w.worker.id}/sleep-schedule"),
        "default": lambda w: w.get("/worker-mgt/workers/no-uuid/sleep-schedule")},
    "setWorkerSleepSchedule": {
        "204": lambda w: w.post(f"/worker-mgt/workers/{w.worker.id}/sleep-schedule",
                                {"is_active": False, "days_of_week": "", "start_time": "", "end_time": ""})},
    "fetchWorkerTags": {"200": lambda w: w.tag() and w.get("/worker-mgt/tags")},
    "createWorkerTag": {"200": lambda w: w.post("/worker-mgt/tags", {"name": f"new {w.lane}"})},
    "fetchWorkerTag": {"200": lambda w: w.get(f"/worker-mgt/tag/{w.tag()}"),
                       "default": lambda w: w.get(f"/worker-mgt/tag/{UNKNOWN}")},
    "updateWorkerTag": {"204": lambda w: w.farm.api.put(f"/worker-mgt/tag/{w.tag()}", {"name": f"other {w.lane}"})},
    "deleteWorkerTag": {"204": lambda w: w.farm.api.delete(f"/worker-mgt/tag/{w.tag()}"),
                        "default": lambda w: w.farm.api.delete(f"/worker-mgt/tag/{UNKNOWN}")},
    "shamanCheckoutRequirements": {"200": lambda w: w.post("/shaman/checkout/requirements", w.spec(w.blob()))},
    "shamanCheckout": {"200": lambda w: w.store() and w.checkout(w.blob()), "424": lambda w: w.checkout(w.blob())},
    "shamanFileStoreCheck": {"200": lambda w: w.get(f"/shaman/files/{w.blob()[0]}/{len(w.blob()[1])}")},
    "shamanGarbage": {"200": lambda w: w.get("/shaman/gc")},
    "shamanFileStore": {"200": lambda w: w.store(), "208": lambda w: w.store() and w.store(),
                        "417": lambda w: w.farm.api.post(f"/shaman/files/{w.blob()[0]}/3", data=b"abc",
                                                         headers={"Content-Type": "application/octet-stream"})},
}
# Cases of a kind that other tests bring about, at some length.
ELSEWHERE = {
    ("saveSetupAssistantConfig", "204"): "test_setup_assistant.py",
    ("fetchJobLastRenderedInfo", "200"): "test_last_rendered.py", ("fetchGlobalLastRenderedInfo", "200"): "test_last_rendered.py",
    ("fetchGlobalLastRenderedInfo", "204"): "test_last_rendered.py",
}


def any_error(op, w):
    """An error that every operation of that form knows."""
    if op.auth:
        return w.farm.api.call(op.method, op.url(), json={})
    if op.body:
        return w.farm.api.call(op.method, op.url(), data=b"[", headers={"Content-Type": "application/json"})
    if "_id}" in op.path:
        return w.farm.api.call(op.method, op.path.removeprefix("/api/v3").replace("{", "").replace("}", ""))
    return w.farm.api.call("PATCH", op.url())


def cases():
    for op in openapi.operations():
        for status in op.node["responses"]:
            if (op.id, status) in NEVER or (op.id, status) in ELSEWHERE:
                continue
            case = CASES.get(op.id, {}).get(status)
            if case is None and status == "default" and "403" in op.node["responses"]:
                continue # wrong credentials are all that can be wrong, and have a status of their own
            if case is None and status == "default":
                case = lambda w, op=op: any_error(op, w)  # noqa: E731
            yield pytest.param(op, status, case, id=f"{op.id}-{status}")


@pytest.fixture
def world(shaman, lane, tmp_path):
    farm = shaman.farm # like the shared one, but Shaman is active
    world = World(farm, lane, tmp_path)
    yield world
    for job in farm.api.ok("GET", "/jobs")["jobs"]:
        if job["status"] in ("queued", "active"):
            farm.put_away(job["id"])


@pytest.mark.parametrize(("op", "status", "case"), list(cases()))
def test_status_is_as_documented(world, op, status, case):
    assert case, f"{op.id} documents {status}, and no case here brings it about"
    reply = case(world)
    if status == "default":
        assert reply.status_code >= 400 and str(reply.status_code) not in op.node["responses"]
        assert_error(reply, reply.status_code)
        return
    response = openapi.resolve(op.node["responses"][status])
    if "content" not in response:
        if status in ("204", "202", "200", "208"):
            assert reply.content == b"" and reply.status_code == int(status), f"{reply.status_code} {reply.text}"
        else:
            assert_error(reply, int(status))
        if status == "204":
            assert_empty(reply)
        return
    assert reply.status_code == int(status), f"{reply.status_code} {reply.text[:500]}"
    content_type = reply.headers["Content-Type"].split(";")[0]
    schema = response["content"][content_type]["schema"]
    if content_type == "application/json":
        assert openapi.problems(schema, reply.json()) == []
    else:
        assert openapi.resolve(schema)["type"] == "string" and reply.text


def test_cases_are_of_the_document():
    documented = {(op.id, status) for op in openapi.operations() for status in op.node["responses"]}
    named = {(op, status) for op, of in CASES.items() for status in of if status != "default"} | NEVER.keys() | ELSEWHERE.keys()
    assert named <= documented, named - documented
